//! Tells browsers under which address the outside sees them, so that two of them behind routers can meet.
//!
//! It is the page's default ICE server, so that no third party learns who looks for whom. One socket, one buffer, no
//! state per caller.
//!
//! # Bounds
//!
//! All callers together get [`ANSWERS_PER_SECOND_MAX`] answers a second over time: a browser asks a few times for each
//! connection that it makes, and what exceeds that is somebody who makes this relay answer third parties.

pub mod codec;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{net::UdpSocket, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{Error, limits::TokenBucket};

/// Answers a second, over time and to all callers.
pub const ANSWERS_PER_SECOND_MAX: u32 = 2_000;

/// A socket that cannot be read is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// A bound port that answers once it is [`run`](Self::run).
#[derive(Debug)]
pub struct Server {
    socket: UdpSocket,
    port: u16,
}

impl Server {
    /// Binds the port.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let refused = |source| Error::listen(source, "UDP", address, "stun-port");
        let socket = UdpSocket::bind(address).await.map_err(refused)?;
        let port = socket.local_addr().map_err(refused)?.port();
        Ok(Self { socket, port })
    }

    /// What it really listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.answer() => {}
        }
    }

    async fn answer(&self) {
        let mut budget = TokenBucket::new(ANSWERS_PER_SECOND_MAX, Instant::now());
        // One byte more than a request may have, so that longer ones are seen as such.
        let mut buffer = [0; codec::MESSAGE_BYTES_MAX + 1];
        loop {
            let (length, source) = match self.socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                Err(error) => {
                    // A caller's closed port comes back as an error of this socket's on some systems.
                    tracing::debug!(%error, "the STUN socket has a fault");
                    sleep(RETRY_AFTER).await;
                    continue;
                }
            };
            let answer = codec::answer(&buffer[..length], source);
            if let Some(answer) = answer.filter(|_| budget.take(ANSWERS_PER_SECOND_MAX, Instant::now())) {
                // Lost like any datagram: the browser asks again.
                let _ = self.socket.send_to(&answer, source).await;
            }
        }
    }
}
