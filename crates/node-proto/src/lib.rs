//! The sans-IO core of the knowledge network: everything that the network *decides*.
//!
//! A [`Node`] knows no clock, randomness, socket, browser or file. The shell around it (a tab, a native test, the
//! simulator) feeds it [`Input`]s with the time and carries out its [`Output`]s:
//!
//! ```text
//! loop {
//!     while let Some(output) = node.poll_output() { carry out }      // always drained before the next input
//!     wait for an input, or until node.poll_timeout()
//!     node.handle_input(now, input)  or  node.handle_timeout(now)
//! }
//! ```
//!
//! The chain that makes a trade, one module each:
//! capability → offer ([`discovery`]) → demand, proposal, agreement ([`market`]) → activity → verification →
//! receipt ([`ledger`]) → reputation → price.
//!
//! Invariants:
//! - the same inputs, seed and stored state give the same outputs, on every machine;
//! - an output that acknowledges a change of the ledger waits until [`Input::Persisted`] says the change is durable;
//! - everything that comes from outside is bounded before memory is reserved for it.

pub mod backup;
pub mod cache;
pub mod capability;
pub mod config;
pub mod discovery;
pub mod group;
pub mod ids;
pub mod io;
pub mod ledger;
pub mod market;
mod monitor;
mod node;
pub mod order;
mod pace;
pub mod price;
pub mod reputation;
mod rng;
pub mod service;
pub mod sign;
pub mod storage;
pub mod transfer;
pub mod verification;
pub mod view;
pub mod wire;
pub mod work;

// What the crate's own tests share with those in `tests/` names the crate as these do.
#[cfg(test)]
extern crate self as node_proto;
#[cfg(test)]
#[path = "../tests/made_up/mod.rs"]
mod made_up;

pub use capability::{Capability, Environment, LendPolicy, Measurements, PauseReason, Reading, Tier};
pub use config::{Config, ConfigError};
pub use discovery::{Registry, RegistryLimits, RegistryLimitsError};
pub use group::{Group, GroupSecret, InviteError};
pub use ids::{
    AgreementId, ExchangeId, GroupId, Hash, JobId, Millicredits, ModelId, NodeId, ParseIdError, ReceiptId,
    Timestamp, WorkId,
};
pub use io::{Command, ExchangeFailure, Input, Line, Output, Path, Write};
#[doc(hidden)]
pub use node::Audit;
pub use node::{Node, RestoreError};
pub use price::Factors;
pub use service::{
    ComputerInfo, Failure, ModelInfo, Precision, Probe, Requirements, Scope, Service, ServiceRequest,
    StoreInfo, TEXT_BYTES_MAX, TEXTS_MAX,
};
pub use sign::{Ed25519Signer, Signer};
pub use transfer::{BlobInput, BlobOutput, BlobStep, HeldBy, Part, Progress};
pub use view::{
    Balance, CreditView, Event, GroupView, LendingView, Metric, OfferView, Outcome, PeerView, Quote,
    ReceiptView, ReputationView, ServeStep, Snapshot, TradeStep, Verification, Voucher,
};
pub use work::{Module, RunOutcome, WorkInput, WorkOutput};
