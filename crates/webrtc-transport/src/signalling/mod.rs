//! The signalling protocol: how two browsers that share a circuit tell each other how to connect directly.
//!
//! On one stream of protocol [`PROTOCOL`] the dialler sends an SDP offer, the other side an SDP answer, and both
//! then trickle ICE candidates until the direct connection stands. The circuit is authenticated by Noise and the
//! descriptions carry the fingerprints of the DTLS certificates, so the direct connection needs no handshake of its
//! own to be known to lead to the same peer.

pub(crate) mod candidate;
pub(crate) mod codec;

use libp2p_swarm::StreamProtocol;

/// The protocol that descriptions and candidates travel in.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/webrtc-signaling/0.0.1");

/// How the remote, or the stream to it, broke the signalling protocol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignallingError {
    /// A message is longer than any honest one.
    #[error("a signalling message of {0} bytes is too long")]
    TooLong(usize),
    /// A message is not what the protocol allows.
    #[error("malformed signalling message")]
    Malformed,
    /// A message came out of turn.
    #[error("unexpected signalling message")]
    Unexpected,
    /// A candidate is not a JSON `RTCIceCandidateInit` within bounds.
    #[error("malformed ICE candidate")]
    Candidate,
    /// The remote sent more candidates than the limit.
    #[error("too many ICE candidates")]
    TooManyCandidates,
    /// The stream ended before the descriptions were exchanged.
    #[error("the peer hung up during signalling")]
    HungUp,
    /// The stream broke.
    #[error("the signalling stream broke: {0}")]
    Io(#[from] std::io::Error),
}
