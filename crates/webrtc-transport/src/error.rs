//! The error type of the transport. A stream that breaks says why in a [`StreamError`](crate::StreamError).

use crate::{sdp::SdpError, signalling::SignallingError};

/// Why a dial, a listener or a connection failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configured limit is too small to work with.
    #[error("the limit `{0}` is too small")]
    Config(&'static str),
    /// The address names no peer, or leads to one in a way that this transport does not know.
    #[error("not a browser-to-browser address: {0}")]
    Address(&'static str),
    /// There is no connection to the peer and the address names no circuit to make one.
    #[error("no circuit to signal over")]
    NoCircuit,
    /// The circuit to the peer could not be made.
    #[error("could not reach the peer through the relay: {0}")]
    Circuit(String),
    /// The peer does not speak the signalling protocol.
    #[error("the peer does not support browser-to-browser connections")]
    Unsupported,
    /// Too many signalling sessions are under way.
    #[error("too many connections are being set up")]
    Busy,
    /// A step took longer than its limit.
    #[error("timed out while {0}")]
    Timeout(Step),
    /// The peer broke the signalling protocol or the signalling stream broke.
    #[error(transparent)]
    Signalling(#[from] SignallingError),
    /// The peer's session description was refused.
    #[error("bad session description: {0}")]
    Sdp(#[from] SdpError),
    /// No direct path between the two browsers was found.
    #[error("no direct path to the peer")]
    NoPath,
    /// The connection was closed or lost.
    #[error("the connection is closed")]
    Closed,
    /// The browser refused an operation.
    #[error("the browser refused to {operation}: {reason}")]
    Browser {
        /// What was asked of it.
        operation: &'static str,
        /// Its own words.
        reason: String,
    },
    /// The behaviour or the transport of the pair is gone.
    #[error("the swarm is shutting down")]
    Shutdown,
}

/// The steps of setting a connection up, each of which has a limit in [`Config`](crate::Config).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Getting a circuit and a signalling stream on it.
    Circuit,
    /// Exchanging session descriptions.
    Description,
    /// Finding a direct path and making it secure.
    Connect,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::Circuit => "reaching the peer through the relay",
            Step::Description => "exchanging session descriptions",
            Step::Connect => "looking for a direct path",
        })
    }
}
