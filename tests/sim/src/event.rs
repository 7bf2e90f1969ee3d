//! What happens in the simulated world, and the order in which it does.
//!
//! Events are ordered by time, then by whom they happen to, then by who caused them and that actor's own count. The order
//! is total and depends on nothing but the actors themselves, so a run is the same however many threads it is spread over.

use node_proto::{ExchangeId, Failure, NodeId, WorkId, WorkOutput, Write};

use crate::network::Millis;

/// Something that happens to an actor (a host or a relay).
#[derive(Debug)]
pub struct Event {
    /// When.
    pub at: Millis,
    /// To whom.
    pub to: u32,
    /// Who caused it.
    pub from: u32,
    /// That actor's own count of what it caused.
    pub count: u64,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Debug)]
pub enum What {
    /// A request frame arrives.
    Frame {
        /// Who sent it.
        name: NodeId,
        /// Whom it is for.
        addressee: NodeId,
        /// The sender's life and handle, for the answer.
        asker: Asker,
        /// The bytes.
        frame: Vec<u8>,
    },
    /// The answer to a request arrives.
    Answer {
        /// Who asked.
        asker: Asker,
        /// The bytes; `None` when nobody is reachable there any more.
        frame: Option<Vec<u8>>,
    },
    /// The shell gives up an exchange.
    Timeout {
        /// Whose.
        asker: Asker,
    },
    /// Somebody wants a connection.
    Dial {
        /// Who.
        name: NodeId,
        /// Whom.
        addressee: NodeId,
    },
    /// The connection that was asked for stands.
    Dialled {
        /// To whom.
        name: NodeId,
    },
    /// A connection broke.
    Closed {
        /// To whom.
        name: NodeId,
    },
    /// A write is on the disk.
    Written {
        /// Of which life of the host.
        life: u32,
        /// Its number.
        seq: u64,
        /// What is written.
        writes: Vec<Write>,
    },
    /// The engine is done.
    Worked {
        /// Of which life of the host.
        life: u32,
        /// Which activity.
        work: WorkId,
        /// Its result.
        result: Result<WorkOutput, Failure>,
        /// Time in the engine, milliseconds.
        took_ms: u32,
    },
    /// The node wants to be called.
    Wake,
    /// Something that the scenario wants.
    Act(Act),
}

/// Which request of which life of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker {
    /// A host that restarts begins a new life; answers to a former one are lost with its connections.
    pub life: u32,
    /// The node's handle.
    pub exchange: ExchangeId,
}

/// What a scenario makes a host do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Begin, or begin again from what is stored.
    Start,
    /// Be gone from one moment to the next; what was being written may or may not be there later.
    Crash,
    /// Send its next request and plan the one after.
    Ask,
    /// Begin again with nothing: new key, empty storage.
    Rename,
    /// Keep a copy of what is stored.
    Backup,
    /// Go back to the copy and begin again from it, with the same key.
    Rollback,
    /// A partition begins: connections across it break.
    Part,
    /// Set the machine's clock.
    SetClock {
        /// So far ahead, milliseconds.
        skew_ms: i64,
    },
    /// Note what this host thinks of those that the scenario watches.
    Observe,
}

/// Where an event stands in the order: when, to whom, by whom, and that one's count.
pub(crate) type Place = (Millis, u32, u32, u64);

impl Event {
    pub(crate) fn place(&self) -> Place {
        (self.at, self.to, self.from, self.count)
    }
}
