//! The one libp2p protocol that carries `node-proto` frames between nodes.
//!
//! A frame is opaque here: this crate knows its length and nothing else. One stream carries one request
//! and one response, each written as an unsigned-varint length followed by that many bytes:
//!
//! ```text
//! dialer    ── varint(len) ‖ request  ──▶  listener
//! dialer    ◀─ varint(len) ‖ response ──  listener
//! ```
//!
//! # Bounds
//!
//! - A length above the limit of its direction is refused as soon as the prefix is read.
//! - A length within the limit reserves no more than [`frame::RESERVE_BYTES_MAX`] at first; the buffer then
//!   grows with the bytes that really arrive, so an announced length costs its sender what it claims.
//! - A connection carries at most [`Config::concurrent_streams_max`] exchanges at a time, and each ends after
//!   [`Config::timeout`].
//!
//! # Invariants
//!
//! This crate does not look into a frame and does not depend on `node-proto`. It is the same code natively
//! and in a browser.

pub mod frame;

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    StreamProtocol,
    request_response::{self, Codec, ProtocolSupport},
};

pub use frame::{Frame, FrameError};

/// The protocol's name on the wire. A change of the framing gets a new number.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/knowledge/1");

/// The longest frame that any node may send: a batch of texts or embeddings fits, a model does not.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The behaviour that a swarm embeds.
pub type Behaviour = request_response::Behaviour<FrameCodec>;

/// What the swarm hears from [`Behaviour`].
pub type Event = request_response::Event<Frame, Frame>;

/// The right to answer one request.
pub type ResponseChannel = request_response::ResponseChannel<Frame>;

/// The bounds of one node's exchanges.
#[derive(Debug, Clone)]
pub struct Config {
    /// The longest request to read or write, at most [`FRAME_BYTES_MAX`].
    pub request_bytes_max: usize,
    /// The longest response to read or write, at most [`FRAME_BYTES_MAX`].
    pub response_bytes_max: usize,
    /// How long one exchange may take, from opening the stream to the last byte of the response.
    pub timeout: Duration,
    /// How many exchanges one connection may carry at a time.
    pub concurrent_streams_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            request_bytes_max: FRAME_BYTES_MAX,
            response_bytes_max: FRAME_BYTES_MAX,
            // A batch of inference on a slow processor takes tens of seconds; what matters to the person is
            // cancelled by the requester long before.
            timeout: Duration::from_secs(120),
            concurrent_streams_max: 64,
        }
    }
}

/// A behaviour that both asks and answers within `config`'s bounds.
pub fn behaviour(config: &Config) -> Behaviour {
    let codec = FrameCodec {
        request_bytes_max: config.request_bytes_max.min(FRAME_BYTES_MAX),
        response_bytes_max: config.response_bytes_max.min(FRAME_BYTES_MAX),
    };
    let settings = request_response::Config::default()
        .with_request_timeout(config.timeout)
        .with_max_concurrent_streams(config.concurrent_streams_max);
    request_response::Behaviour::with_codec(codec, [(PROTOCOL, ProtocolSupport::Full)], settings)
}

/// Reads and writes length-prefixed frames.
#[derive(Debug, Clone, Copy)]
pub struct FrameCodec {
    request_bytes_max: usize,
    response_bytes_max: usize,
}

impl Codec for FrameCodec {
    type Protocol = StreamProtocol;
    type Request = Frame;
    type Response = Frame;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Frame>
    where
        T: AsyncRead + Unpin + Send,
    {
        Ok(frame::read(io, self.request_bytes_max).await?)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Frame>
    where
        T: AsyncRead + Unpin + Send,
    {
        Ok(frame::read(io, self.response_bytes_max).await?)
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Frame) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Ok(frame::write(io, &request, self.request_bytes_max).await?)
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Frame) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Ok(frame::write(io, &response, self.response_bytes_max).await?)
    }
}
