//! The browser node.
//!
//! `node-proto` decides; this crate carries out. It owns what a tab has and a sans-IO core must not know: a libp2p
//! swarm, IndexedDB, the inference worker, clocks, randomness and the node's key. One loop, the `driver`, feeds the
//! core with what happened and drains what the core wants done:
//!
//! ```text
//!  page ── NodeHandle / KnowledgeNode ──▶ orders ─┐
//!  swarm (WebSocket, WebRTC) ── events ───────────┤           ┌─▶ swarm: request, respond, dial
//!  IndexedDB ── committed ────────────────────────┼─▶ driver ─┼─▶ IndexedDB: all or none, durable
//!  inference worker ── embeddings ────────────────┤   (core)  ├─▶ inference worker: embed
//!  timers, battery, visibility ───────────────────┘           └─▶ listeners: events
//! ```
//!
//! # Invariants
//!
//! - One node per browser profile: the Web Lock is held before the key is read, and let go after the last write.
//! - The core is drained after every input, before the next one.
//! - An output that acknowledges a change of the ledger leaves the core only after IndexedDB reported `complete`.
//! - Nothing here decides about money, trust or prices.
//!
//! # Two faces
//!
//! A page written in Rust uses [`NodeHandle`]. Any other page imports the ES module and its class `KnowledgeNode`
//! (feature `js-api`). What both say in common is native Rust without a browser, and tested there; the browser's part
//! exists on wasm32 alone.

pub mod address;
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only a browser reconnects")
)]
mod backoff;
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only a browser fetches it")
)]
mod bootstrap;
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only a browser has signs")
)]
mod diagnosis;
pub mod error;
pub mod events;
pub mod invite;
pub mod options;
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only a browser has a worker to lose")
)]
mod recovery;
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only a browser has a way to lose")
)]
mod relay_link;
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only a browser has ways to lose")
)]
mod relays;
pub mod status;
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only a browser has wires")
)]
mod wires;

#[cfg(target_arch = "wasm32")]
pub mod backup;
#[cfg(target_arch = "wasm32")]
mod clock;
#[cfg(target_arch = "wasm32")]
pub mod compute;
#[cfg(target_arch = "wasm32")]
mod crypto;
#[cfg(target_arch = "wasm32")]
mod driver;
#[cfg(target_arch = "wasm32")]
pub mod handle;
#[cfg(target_arch = "wasm32")]
mod identity;
#[cfg(all(target_arch = "wasm32", feature = "js-api"))]
mod js;
#[cfg(target_arch = "wasm32")]
mod lock;
#[cfg(target_arch = "wasm32")]
mod measure;
#[cfg(target_arch = "wasm32")]
mod models;
#[cfg(target_arch = "wasm32")]
mod modules;
#[cfg(target_arch = "wasm32")]
mod net;
#[cfg(target_arch = "wasm32")]
mod order;
#[cfg(target_arch = "wasm32")]
pub mod own;
#[cfg(target_arch = "wasm32")]
mod platform;
#[cfg(target_arch = "wasm32")]
mod start;
#[cfg(target_arch = "wasm32")]
pub mod storage;
#[cfg(target_arch = "wasm32")]
mod store;

pub use error::{
    BackupError, CommandError, ComputeError, ModelError, RequestError, StartError, StorageError,
};
pub use events::{Events, NodeEvent, ShellEvent};
#[cfg(target_arch = "wasm32")]
pub use handle::NodeHandle;
pub use invite::Invite;
pub use options::StartOptions;
pub use status::ShellStatus;

#[cfg(all(test, target_arch = "wasm32"))]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
