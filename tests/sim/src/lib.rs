//! The network in virtual time: real nodes, simulated everything else.
//!
//! A [`World`] runs [`node_proto::Node`]s by the thousand, each in the shell of a [`host`]: a disk, an engine, a clock
//! that may be wrong, connections over links that delay, lose, repeat and reorder. Signatures, hashes and encodings are
//! the real ones. The only actors besides hosts are relays, and they run the real discovery point.
//!
//! ```text
//! spec ─▶ world ─▶ host ⇄ shell ⇄ node        events in, effects out, in virtual time
//!            │        └─ record               requests and what became of them
//!            └─▶ summary ─▶ scenario ─▶ report  measured values against bounds; table, JSON, SVG
//! ```
//!
//! Invariants:
//! - the same description gives the same trace on every machine and for any number of threads: no hash-map order, no
//!   platform transcendental functions, every actor with a random stream of its own;
//! - nothing is canned: every number of a report comes out of the run that it stands under;
//! - a cheat is an honest node in a shell that departs from the rules, so what stops it is what would stop it in the field.

mod agenda;
pub mod baseline;
pub mod check;
pub mod curves;
pub mod effort;
pub mod engine;
pub mod event;
pub mod host;
pub mod luck;
pub mod network;
pub mod plot;
pub mod record;
pub mod report;
pub mod rng;
pub mod scenario;
mod shell;
pub mod spec;
pub mod summary;
pub mod town;
pub mod world;

pub use report::Report;
pub use world::World;
