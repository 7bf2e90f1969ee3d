//! What a caller can tune, with the bounds that protect a page from its peers.

use std::time::Duration;

use crate::{
    error::Error,
    stream::{budget::Limits, frame::LARGE_FRAME_BYTES_MAX},
};

/// With less than this in advance a stream would spend its time waiting.
const WINDOW_BYTES_MIN: usize = 1024;

/// One STUN or TURN server, as `RTCIceServer` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:` or `turn:` URLs of the same server.
    pub urls: Vec<String>,
    /// TURN user name.
    pub username: Option<String>,
    /// TURN password.
    pub credential: Option<String>,
}

impl IceServer {
    /// A STUN server, which needs no credentials.
    pub fn stun(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            username: None,
            credential: None,
        }
    }
}

/// Parameters of the transport. The defaults suit browser tabs that trade small and medium messages.
#[derive(Debug, Clone)]
pub struct Config {
    /// STUN and TURN servers. Empty is enough between tabs of one machine or one local network.
    pub ice_servers: Vec<IceServer>,
    /// Signalling sessions that may be under way at once, counted separately for dials and for answers.
    pub sessions_max: usize,
    /// How many of them with one peer. Two that dial each other have one each way; more is a dial tried again.
    pub sessions_per_peer_max: usize,
    /// ICE candidates accepted from the remote in one session; more end the session.
    pub candidates_max: usize,
    /// Streams open at once on one connection. Chromium ends at 1,024 data channels.
    pub streams_max: usize,
    /// Bytes that all streams of a connection together buffer for readers that lag behind. A remote that knows windows
    /// waits; any other has the stream reset that would exceed this.
    pub receive_bytes_max: usize,
    /// Bytes that one stream buffers for its reader when the remote does not know windows; more reset the stream, because
    /// data channels give a receiver no other way to slow its sender down.
    pub stream_receive_bytes_max: usize,
    /// Bytes that all streams of a connection together hold for sending before writes wait.
    pub send_bytes_max: usize,
    /// Bytes that one data channel may hold for sending before writes wait.
    pub stream_send_bytes_max: usize,
    /// Whether to announce receive windows, so that peers which know them wait for slow readers.
    pub windows: bool,
    /// Time to get a circuit to the remote and a signalling stream on it.
    pub circuit_timeout: Duration,
    /// Time for the remote to send its offer, or its answer to ours.
    pub description_timeout: Duration,
    /// Time from exchanged descriptions to a standing connection.
    pub connect_timeout: Duration,
    /// Time that a connection may be `disconnected` (ICE consent lost, perhaps for good) before it is given up.
    pub disconnected_timeout: Duration,
    /// Time to wait for the remote's `FIN_ACK` (or for a channel to drain) before a finished stream is let go.
    pub linger_timeout: Duration,
    /// How long circuits to a peer are kept after a direct connection to it stands; `None` keeps them.
    pub circuit_grace: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            sessions_max: 32,
            sessions_per_peer_max: 4,
            candidates_max: 128,
            streams_max: 256,
            receive_bytes_max: 10 * 1024 * 1024,
            stream_receive_bytes_max: 8 * 1024 * 1024,
            send_bytes_max: 6 * 1024 * 1024,
            stream_send_bytes_max: 1024 * 1024,
            windows: true,
            circuit_timeout: Duration::from_secs(15),
            description_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(20),
            disconnected_timeout: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(10),
            circuit_grace: Some(Duration::from_secs(2)),
        }
    }
}

impl Config {
    /// Checks that no limit makes the transport useless.
    pub fn validate(&self) -> Result<(), Error> {
        let counts = [
            ("sessions_max", self.sessions_max),
            ("sessions_per_peer_max", self.sessions_per_peer_max),
            ("candidates_max", self.candidates_max),
            ("streams_max", self.streams_max),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::Config(name));
        }
        // A stream must be able to hold at least one message of the largest size in either direction.
        let sizes = [
            ("receive_bytes_max", self.receive_bytes_max),
            ("send_bytes_max", self.send_bytes_max),
            ("stream_receive_bytes_max", self.stream_receive_bytes_max),
            ("stream_send_bytes_max", self.stream_send_bytes_max),
        ];
        let too_small = |(_, bytes): &(_, usize)| *bytes < LARGE_FRAME_BYTES_MAX;
        match sizes.into_iter().find(too_small) {
            Some((name, _)) => Err(Error::Config(name)),
            None if self.limits().initial_window_bytes() < WINDOW_BYTES_MIN => {
                Err(Error::Config("receive_bytes_max"))
            }
            None => Ok(()),
        }
    }

    /// What one connection may take.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            streams_max: self.streams_max,
            receive_bytes_max: self.receive_bytes_max,
            send_bytes_max: self.send_bytes_max,
            stream_send_bytes_max: self.stream_send_bytes_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert!(Config::default().validate().is_ok());
    }

    #[test]
    fn a_limit_of_nothing_is_named() {
        let config = Config {
            streams_max: 0,
            ..Config::default()
        };
        assert!(matches!(config.validate(), Err(Error::Config("streams_max"))));
        let config = Config {
            stream_send_bytes_max: 1,
            ..Config::default()
        };
        assert!(matches!(
            config.validate(),
            Err(Error::Config("stream_send_bytes_max"))
        ));
    }
}
