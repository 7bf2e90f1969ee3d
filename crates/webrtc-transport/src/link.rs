//! What the transport and the behaviour say to each other.
//!
//! A libp2p transport cannot open streams and a behaviour cannot yield connections, so the two work as a pair over
//! bounded channels.

use std::sync::Arc;

use futures::channel::{mpsc, oneshot};
use libp2p_core::Multiaddr;
use libp2p_identity::PeerId;
use libp2p_swarm::Stream;

use crate::{config::IceServer, error::Error};

/// Held by whoever signals over a connection; the behaviour does not close a circuit while someone holds its lease.
pub(crate) type Lease = Arc<()>;

/// A stream of the signalling protocol, with a lease on the connection that it runs over.
#[derive(Debug)]
pub(crate) struct Signalling {
    pub(crate) stream: Stream,
    pub(crate) lease: Lease,
}

/// Where the result of [`Command::Open`] goes.
pub(crate) type Reply = oneshot::Sender<Result<Signalling, Error>>;

/// From the transport to the behaviour.
#[derive(Debug)]
pub(crate) enum Command {
    /// Open a signalling stream to a peer, over a circuit at this address if there is no connection yet.
    Open {
        peer: PeerId,
        circuit: Option<Multiaddr>,
        reply: Reply,
    },
    /// See to it that the relay client listens on this circuit.
    Listen { circuit: Multiaddr },
    /// Give up a circuit that was listened on by [`Command::Listen`].
    Unlisten { circuit: Multiaddr },
}

/// From the behaviour to the transport.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A peer opened a signalling stream.
    Inbound {
        peer: PeerId,
        /// Where the peer is, as far as we can tell.
        address: Multiaddr,
        signalling: Box<Signalling>,
    },
    /// The relay client listens on a circuit.
    CircuitUp(Multiaddr),
    /// It no longer does.
    CircuitDown(Multiaddr),
    /// The listener that [`Command::Listen`] asked for is gone.
    CircuitClosed(Multiaddr),
    /// Use these servers from now on.
    IceServers(Vec<IceServer>),
}

/// The transport's end.
#[derive(Debug)]
pub(crate) struct ToBehaviour {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) notices: mpsc::Receiver<Notice>,
}

/// The behaviour's end.
#[derive(Debug)]
pub(crate) struct ToTransport {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) notices: mpsc::Sender<Notice>,
}

/// Connects the two ends; each direction holds a few messages per session.
pub(crate) fn pair(sessions_max: usize) -> (ToBehaviour, ToTransport) {
    let capacity = sessions_max.saturating_mul(2).max(16);
    let (commands, command_receiver) = mpsc::channel(capacity);
    let (notices, notice_receiver) = mpsc::channel(capacity);
    (
        ToBehaviour {
            commands,
            notices: notice_receiver,
        },
        ToTransport {
            commands: command_receiver,
            notices,
        },
    )
}
