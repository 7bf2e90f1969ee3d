//! A libp2p transport that connects two browsers directly, over WebRTC data channels.
//!
//! A browser cannot be dialled. Two browsers that share a relay can still meet: over the relay's circuit they exchange
//! session descriptions and ICE candidates ([`signalling::PROTOCOL`]), then talk without the relay. This is libp2p's
//! [`webrtc/webrtc.md`](https://github.com/libp2p/specs/blob/master/webrtc/webrtc.md), as js-libp2p speaks it.
//!
//! # States of a dial
//!
//! `<relay>/p2p-circuit/webrtc/p2p/<peer>` goes through three [`Step`]s, each with a limit in [`Config`]:
//!
//! 1. **Circuit**: the [`Behaviour`] finds a connection to the peer, or dials the circuit, and opens a signalling
//!    stream on it. The circuit is an ordinary connection of the swarm and stays usable meanwhile.
//! 2. **Description**: offer out, answer in. Both carry the fingerprint of a DTLS certificate, and the circuit is
//!    authenticated, which is why the direct connection needs no Noise.
//! 3. **Connect**: candidates trickle both ways until the browser says `connected`, and the signalling stream is closed. The
//!    dialler's `init` data channel, which only makes browsers gather candidates, stays open and unused.
//!
//! The result is a connection of its own beside the circuit, which the behaviour closes after
//! [`Config::circuit_grace`].
//!
//! # Composition
//!
//! [`new`] returns two halves of one thing; use both in one swarm. The transport comes *first*, so that the relay
//! client does not take its addresses for circuits, and it is not upgraded: it yields secured, multiplexed connections.
//!
//! ```text
//! let (webrtc, webrtc_behaviour) = webrtc_transport::new(webrtc_transport::Config::default())?;
//! let (circuits, relay_client) = libp2p::relay::client::new(peer_id);
//! let upgraded = circuits.or_transport(websocket).upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux);
//! let transport = webrtc
//!     .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
//!     .or_transport(upgraded)
//!     .map(|either, _| either.into_inner())
//!     .boxed();
//! ```
//!
//! # Listening
//!
//! `listen_on("/webrtc")` makes every circuit that the relay client listens on a browser-to-browser address too.
//! `listen_on("<relay>/p2p-circuit/webrtc")` does the same for one relay and asks the relay client for the circuit, so
//! that no second `listen_on` is needed. Either way the swarm reports `<relay>/p2p-circuit/webrtc/p2p/<self>` as a
//! listen address and as an external address. Without a listener, peers that try to connect are refused.
//!
//! # Bounds
//!
//! Sessions, candidates, message sizes, streams and buffers all have limits, most of them in [`Config`]. Between two ends
//! of this crate a slow reader holds its sender: data channels have no receive window, so streams have one of their own.
//! A peer without it has a stream reset that runs more than [`Config::stream_receive_bytes_max`] ahead of its reader.

// Without a browser only the tests use the pure modules; the build for other targets exists for them.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code))]

mod address;
mod behaviour;
mod config;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handler;
mod link;
mod sdp;
mod sessions;
pub mod signalling;
mod stream;
#[cfg(target_family = "wasm")]
mod transport;
mod turns;
#[cfg(target_family = "wasm")]
mod web;

pub use address::{Route, is_webrtc_direct_peer, webrtc_address};
pub use behaviour::{Behaviour, Event};
pub use config::{Config, IceServer};
pub use error::{Error, Step};
pub use sdp::SdpError;
pub use signalling::SignallingError;
pub use stream::{frame::FrameError, inbox::StreamError};
#[cfg(target_family = "wasm")]
pub use transport::Transport;
#[cfg(target_family = "wasm")]
pub use web::{connection::Connection, session, stream::Stream};

/// Makes the two halves: the transport, and the behaviour that signals for it.
///
/// Both must become part of the same swarm.
#[cfg(target_family = "wasm")]
pub fn new(config: Config) -> Result<(Transport, Behaviour), Error> {
    config.validate()?;
    let (to_behaviour, to_transport) = link::pair(config.sessions_max);
    Ok((
        Transport::new(config.clone(), to_behaviour),
        Behaviour::new(config, to_transport),
    ))
}
