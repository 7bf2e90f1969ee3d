//! What the shell knows and the core does not: the relay, the wires, the engine, the storage, the identity.
//!
//! Like the core's [`Snapshot`](node_proto::view::Snapshot) this is plain serialisable data, so that the page, an
//! embedding program and a second tab all read the same words. Unknown is `None`, never 0.

use node_proto::ids::{ModelId, NodeId};
use serde::{Deserialize, Serialize};

/// The shell's state, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShellStatus {
    /// This node.
    pub me: NodeId,
    /// The relay.
    pub relay: RelayStatus,
    /// Why nobody is here, or that somebody is.
    pub diagnosis: Diagnosis,
    /// Every open connection.
    pub connections: Vec<ConnectionStatus>,
    /// The models of the relay's list, and what this device did with them.
    pub models: Vec<ModelStatus>,
    /// Why there is no model list; `None` when there is one or nobody asked yet.
    pub models_unavailable: Option<String>,
    /// The models that a person brought to this device.
    pub own_models: Vec<ModelStatus>,
    /// One that is being taken in; its id is not known yet and reads as zeros.
    pub adding: Option<ModelStatus>,
    /// The engine for WebAssembly modules.
    pub computer: ComputerState,
    /// Storage of this browser.
    pub storage: StorageStatus,
    /// Where the node's key is.
    pub identity: IdentityStatus,
    /// Whether this tab is the node.
    pub tab: TabStatus,
    /// Versions, for reports of errors.
    pub versions: Versions,
}

/// The engine for WebAssembly modules on this device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ComputerState {
    /// Nobody asked for it.
    #[default]
    Unmeasured,
    /// It is being checked and measured by the site's own modules.
    Measuring,
    /// It gave the known answers.
    Ready {
        /// Measured speed: units of fuel a second.
        fuel_per_s: u64,
    },
    /// It is not lent.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

/// The relay and the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStatus {
    /// The origin that was asked for `/bootstrap.json`.
    pub origin: String,
    /// The relay's identity; `None` until it answered once.
    pub peer: Option<NodeId>,
    /// What the connection does.
    pub state: RelayState,
}

/// The connection to the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RelayState {
    /// Being made.
    Connecting {
        /// The first attempt is 1.
        attempt: u32,
    },
    /// It stands, but nobody can reach this node through it yet.
    Connected {
        /// By which way.
        transport: TransportKind,
    },
    /// It stands and others can reach this node through it.
    Reserved {
        /// By which way.
        transport: TransportKind,
    },
    /// The last attempt failed; the next one is scheduled.
    Waiting {
        /// The last attempt's number.
        attempt: u32,
        /// Until the next one.
        retry_in_ms: u32,
        /// Why it failed, for people.
        reason: String,
    },
}

/// "No peers because …".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Diagnosis {
    /// Somebody is connected directly.
    Ok,
    /// The first seconds: too early to say.
    Starting,
    /// The browser says that there is no network.
    Offline,
    /// The relay does not answer.
    RelayUnreachable {
        /// What failed last, for people.
        detail: String,
    },
    /// The relay answers, nobody else is here.
    Alone,
    /// Others are here, but no direct connection could be made.
    NoDirect {
        /// How many direct connections failed.
        failed: u32,
        /// What failed last, for people.
        detail: String,
    },
}

/// How bytes travel on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransportKind {
    /// Browser to browser.
    Webrtc,
    /// WebRTC to a server.
    WebrtcDirect,
    /// WebSocket to a server.
    Websocket,
    /// A circuit through a relay.
    Relayed,
    /// Plain TCP; natively only.
    Tcp,
    /// Anything that this build does not know.
    Other,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A relay or another server.
    Relay,
    /// A node of the network.
    Node,
}

/// One open connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Who is at the other end.
    pub peer: NodeId,
    /// What it is.
    pub role: Role,
    /// How the bytes travel.
    pub transport: TransportKind,
    /// The other end's address.
    pub address: String,
    /// Last round trip of the transport's ping.
    pub rtt_ms: Option<u32>,
}

/// One model of the relay's list, or one that a person brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelStatus {
    /// BLAKE3 of the ONNX file.
    pub id: ModelId,
    /// Its usual name.
    pub name: String,
    /// SPDX identifier of the weights' licence; empty for a model that a person brought.
    pub license: String,
    /// All files together, bytes.
    pub bytes: u64,
    /// What this device did with it.
    pub state: ModelState,
}

/// What this device did with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ModelState {
    /// It could be loaded.
    Available,
    /// Its files arrive.
    Downloading {
        /// Arrived.
        bytes: u64,
        /// Of all files.
        total: u64,
        /// Of what arrived, how much came from other devices.
        from_peers: u64,
    },
    /// A backend prepares it, or computes the known answer.
    Verifying {
        /// The backend at work; `None` before the first one starts.
        backend: Option<Backend>,
    },
    /// Ready.
    Loaded {
        /// Every backend and what became of it.
        report: inference::protocol::LoadReport,
        /// Why it lasts only as long as this page; `None` if the browser keeps it.
        not_kept: Option<String>,
        /// What waking it takes, milliseconds; `None` while it is in memory.
        wake_ms: Option<u32>,
    },
    /// It cannot be used here.
    Refused {
        /// Why, for people.
        reason: String,
    },
    /// A person brought it, and it can be used here.
    Own {
        /// What runs it.
        backend: Backend,
        /// Milliseconds of one run when it was taken in; `None` if it could not be measured.
        ms_per_run: Option<f64>,
        /// The same as tokens in a second, for models of text.
        tokens_per_second: Option<f64>,
        /// Why it lasts only as long as this page; `None` if the browser keeps it.
        not_kept: Option<String>,
    },
}

/// Re-exported so that a page needs no dependency of its own on the engine.
pub use inference::protocol::{BackendKind as Backend, BackendOutcome, BackendReport, LoadReport};

/// Storage of this browser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageStatus {
    /// Bytes in use by this origin.
    pub usage_bytes: Option<u64>,
    /// Bytes that this origin may use.
    pub quota_bytes: Option<u64>,
    /// Whether the browser promised not to evict it.
    pub persisted: Option<bool>,
    /// Why the last write of the ledger failed; `None` when all are durable.
    pub ledger_error: Option<String>,
}

impl StorageStatus {
    /// Bytes that may still be kept; a browser that does not say counts as one with room.
    #[must_use]
    pub fn room(&self) -> u64 {
        let used = self.usage_bytes.unwrap_or_default();
        self.quota_bytes
            .map_or(u64::MAX, |quota| quota.saturating_sub(used))
    }
}

/// Where the node's key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IdentityStatus {
    /// Kept in this browser, encrypted with a key that cannot leave it.
    Kept {
        /// Made in this visit.
        new: bool,
    },
    /// Gone when the tab closes, and with it the balance.
    Temporary {
        /// Why it could not be kept.
        reason: TemporaryReason,
    },
}

/// Why an identity is temporary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemporaryReason {
    /// Without https the browser offers neither encryption nor a way to keep two tabs apart.
    InsecureContext,
    /// The browser has no Web Locks, so two tabs could fork the ledger.
    NoLocks,
    /// The browser keeps nothing: private mode or a full disk.
    NoStorage,
}

/// Whether this tab is the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TabStatus {
    /// It is.
    Active,
    /// It was, until [`NodeHandle::stop`](crate::NodeHandle::stop).
    Stopped,
    /// It was, until another tab of this browser took over.
    TakenOver,
}

/// Versions, for reports of errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Of this software.
    pub node: String,
    /// Of the wire protocol.
    pub protocol: String,
}

impl Versions {
    /// Those of this build.
    #[must_use]
    pub fn of_this_build() -> Self {
        Self {
            node: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: exchange::PROTOCOL.to_string(),
        }
    }
}
