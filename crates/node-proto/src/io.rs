//! What crosses the border of the core: [`Input`] comes in, [`Output`] goes out, [`Event`]s tell people and programs what happened.
//!
//! The core has no clock, socket, file or randomness. The shell (a tab, a native test, the simulator) calls
//! [`Node::handle_input`](crate::Node::handle_input) with the time, drains [`Node::poll_output`](crate::Node::poll_output) until
//! it is empty, sleeps until [`Node::poll_timeout`](crate::Node::poll_timeout) and calls
//! [`Node::handle_timeout`](crate::Node::handle_timeout).

use serde::{Deserialize, Serialize};

use crate::capability::{Environment, LendPolicy, Measurements};
use crate::ids::{ExchangeId, Hash, JobId, Millicredits, ModelId, NodeId, WorkId};
use crate::service::{ComputerInfo, Failure, ModelInfo, Probe, Requirements, ServiceRequest, StoreInfo};
use crate::storage::Keep;
use crate::transfer::{BlobInput, BlobOutput};
use crate::view::Event;
use crate::work::{WorkInput, WorkOutput};

/// How bytes reach a peer. Decides what may be sent: bulk goes only over [`Path::Direct`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// Browser to browser over WebRTC.
    Direct,
    /// Through a relay's circuit: slow, metered, small messages only.
    Relayed,
    /// A connection to a relay or another server.
    Server,
}

/// What the shell tells the core.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection stands. The best path is reported; a later report for the same peer replaces it.
    Connected {
        /// Who is at the other end, proven by the transport.
        peer: NodeId,
        /// How the bytes travel.
        path: Path,
    },
    /// The last connection to the peer is gone.
    Disconnected {
        /// Who was at the other end.
        peer: NodeId,
    },
    /// A fresh round-trip time from the transport's ping.
    RoundTrip {
        /// The peer that was pinged.
        peer: NodeId,
        /// Milliseconds.
        rtt_ms: u32,
    },
    /// Addresses under which others can reach this node, as multiaddr text; replaces the former list.
    Addresses(Vec<String>),
    /// A peer serves (or no longer serves) as a discovery point.
    DiscoveryPoint {
        /// The relay or Power node.
        peer: NodeId,
        /// Whether it can be asked now.
        available: bool,
    },
    /// A peer's request frame; the core answers it with one [`Output::Respond`].
    Request {
        /// The shell's handle for the answer.
        exchange: ExchangeId,
        /// The authenticated sender.
        peer: NodeId,
        /// Bytes as received, at most `exchange::FRAME_BYTES_MAX`.
        frame: Vec<u8>,
    },
    /// The answer to an [`Output::Request`], or why there is none.
    Response {
        /// The core's handle, from the output.
        exchange: ExchangeId,
        /// The frame, or the transport's failure.
        result: Result<Vec<u8>, ExchangeFailure>,
    },
    /// Everything up to and including this [`Output::Persist`] is durable.
    Persisted {
        /// The highest durable sequence number.
        seq: u64,
    },
    /// Storage refused a write; the node stops acknowledging trades until a later `Persisted`.
    PersistFailed {
        /// The write that failed.
        seq: u64,
    },
    /// The engine finished (or failed) an [`Output::Work`].
    WorkDone {
        /// Which work.
        work: WorkId,
        /// Its result.
        result: Result<WorkOutput, Failure>,
        /// Wall time in the engine, milliseconds.
        took_ms: u32,
    },
    /// What the person or the embedding page wants.
    Command(Command),
    /// Of blobs: wanted, fetched, kept, held, read.
    Blob(BlobInput),
}

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeFailure {
    /// No answer within the time the output named.
    Timeout,
    /// The connection is gone, or none could be made.
    Unreachable,
    /// The peer does not speak the protocol.
    Unsupported,
}

/// What the person or the embedding page wants. Serialisable, so that another tab can send it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// New measurements of this device.
    Measured(Measurements),
    /// Battery, network and visibility changed.
    Environment(Environment),
    /// The lending switch and its limits.
    Lend(LendPolicy),
    /// The models this node can run at this moment; replaces the former list.
    Models {
        /// Loaded and checked against their known answers.
        models: Vec<ModelInfo>,
    },
    /// The engine for modules, or that there is none.
    Computer {
        /// Checked against a known answer, and measured.
        computer: Option<ComputerInfo>,
    },
    /// Room for others' blobs, or that there is none.
    Store {
        /// As far as the person and the device's class allow.
        store: Option<StoreInfo>,
    },
    /// Have a blob kept by others until a time: see [`storage`](crate::storage). Said again of the same blob it changes everything but who
    /// keeps it.
    Keep(Keep),
    /// Ask everyone who keeps it now whether they still do, and pay them for one more slice.
    Prolong {
        /// The blob.
        blob: Hash,
    },
    /// Have it kept no more. What was paid stays paid.
    Release {
        /// The blob.
        blob: Hash,
    },
    /// Known answers for checking what others compute with a model.
    Probes {
        /// The model they belong to.
        model: ModelId,
        /// Texts and the embeddings the reference gives.
        probes: Vec<Probe>,
    },
    /// Buy a service.
    Request {
        /// Chosen by the caller; comes back in every event of this trade.
        job: JobId,
        /// What is to be done.
        request: ServiceRequest,
        /// Under which conditions.
        requirements: Requirements,
    },
    /// Give up a request. What was delivered and signed stays paid.
    Cancel {
        /// The request.
        job: JobId,
    },
    /// How much members of a private group may owe this node. Receipts are signed whatever the line is.
    CreditLine {
        /// Whose; `None` is everyone without a line of their own.
        member: Option<NodeId>,
        /// How much.
        line: Line,
    },
    /// Look for offers of a service again and refresh the market view.
    RefreshMarket,
}

/// A credit line between members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// As for everyone; for everyone: as the configuration says.
    Default,
    /// No limit.
    Unlimited,
    /// A member that owes this much gets no more.
    Limit {
        /// Millicredits; below zero counts as zero.
        most: Millicredits,
    },
}

/// What the core wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a frame, answer with [`Input::Response`].
    Request {
        /// The core's handle.
        exchange: ExchangeId,
        /// The addressee.
        peer: NodeId,
        /// The frame.
        frame: Vec<u8>,
        /// After this long the shell reports [`ExchangeFailure::Timeout`].
        timeout_ms: u32,
    },
    /// Answer an [`Input::Request`].
    Respond {
        /// The shell's handle.
        exchange: ExchangeId,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Connect to a peer found through discovery.
    Dial {
        /// Whom.
        peer: NodeId,
        /// Multiaddr texts, as the peer announced them; the shell parses and bounds them.
        addresses: Vec<String>,
    },
    /// Close the connections to a peer that is needed least. The core has let go of it already;
    /// [`Input::Disconnected`] may still follow.
    HangUp {
        /// On whom.
        peer: NodeId,
    },
    /// Make these writes durable, all or none, then report [`Input::Persisted`].
    Persist {
        /// Rises by one each time.
        seq: u64,
        /// Applied in order.
        writes: Vec<Write>,
    },
    /// Run work on this device, then report [`Input::WorkDone`].
    Work {
        /// The core's handle.
        work: WorkId,
        /// For whom. It holds the module, where there is one.
        requester: NodeId,
        /// The model; for runs the module.
        model: Option<ModelId>,
        /// What to compute.
        input: WorkInput,
        /// The engine's time limit, milliseconds.
        limit_ms: u32,
    },
    /// Fetch, keep or read a part of a blob.
    Blob(BlobOutput),
    /// Tell people and programs.
    Event(Event),
}

/// One change of durable state. Keys and values are the core's; the shell keeps them in one ordered store and hands all
/// pairs back to [`Node::new`](crate::Node::new) at the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Set a key.
    Put {
        /// Ordered bytes.
        key: Vec<u8>,
        /// Canonical encoding of a record.
        value: Vec<u8>,
    },
    /// Remove a key.
    Delete {
        /// Ordered bytes.
        key: Vec<u8>,
    },
}

impl Write {
    /// The key that is set or removed.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}
