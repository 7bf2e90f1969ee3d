//! Accepts connections for the page's port, with or without TLS, each within limits.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use crate::{
    addresses::Caller,
    limits::{ConnectionCount, HANDSHAKE_TIMEOUT, Permit},
    metrics::Metrics,
    tls::Certificates,
};

/// A request's head may be this long; browsers send less than 2 KiB.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// The first byte of every TLS connection: a record that belongs to the handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// After an error such as too many open files, accepting at once again would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whose request it is.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The caller's address.
    pub remote: SocketAddr,
    /// The address that the caller reached.
    pub local: SocketAddr,
    /// Counts the connection for as long as anybody holds it.
    pub permit: Arc<Permit>,
}

/// The page's port.
#[derive(Debug)]
pub struct Server {
    /// The bound socket.
    pub listener: TcpListener,
    /// What answers.
    pub router: Router,
    /// The certificates, or `None` for plain HTTP.
    pub certificates: Option<Certificates>,
    /// How many connections there may be.
    pub connections: ConnectionCount,
    /// Where refusals are counted.
    pub metrics: Arc<Metrics>,
}

impl Server {
    /// Serves until `stop` is cancelled and the answers under way are sent.
    pub async fn run(self, stop: CancellationToken) {
        let acceptor = match self.certificates.as_ref().map(Certificates::acceptor).transpose() {
            Ok(acceptor) => acceptor,
            Err(error) => return tracing::error!(%error, "TLS cannot be started"),
        };
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = open.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, remote)) => match self.admit(&stream, remote) {
                        Some(connection) => {
                            let (router, acceptor) = (self.router.clone(), acceptor.clone());
                            open.spawn(serve(stream, connection, router, acceptor, stop.clone()));
                        }
                        None => self.metrics.http_refused.increment(),
                    },
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        while open.join_next().await.is_some() {}
    }

    fn admit(&self, stream: &TcpStream, remote: SocketAddr) -> Option<Connection> {
        let local = stream.local_addr().ok()?;
        let permit = Arc::new(self.connections.admit(remote.ip())?);
        Some(Connection {
            remote,
            local,
            permit,
        })
    }
}

async fn serve(
    stream: TcpStream,
    connection: Connection,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    let remote = connection.remote;
    // Small messages of signalling should not wait for an acknowledgement of the last one.
    let _ = stream.set_nodelay(true);
    let result = match acceptor {
        None => answer(stream, connection, router, stop).await,
        Some(acceptor) => answer_securely(stream, connection, router, &acceptor, stop).await,
    };
    if let Err(error) = result {
        tracing::debug!(%remote, %error, "a connection ended early");
    }
}

/// Answers over TLS. Whoever typed `http://` is sent to the secure page instead of an empty answer.
async fn answer_securely(
    stream: TcpStream,
    connection: Connection,
    router: Router,
    acceptor: &TlsAcceptor,
    stop: CancellationToken,
) -> io::Result<()> {
    let mut first = [0];
    let length = timeout(HANDSHAKE_TIMEOUT, stream.peek(&mut first)).await??;
    if length == 1 && first[0] != TLS_HANDSHAKE {
        return answer(stream, connection, Router::new().fallback(to_https), stop).await;
    }
    let stream = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
    answer(stream, connection, router, stop).await
}

async fn to_https(request: Request<Body>) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    match host.filter(|host| Caller::parse(host, true).is_some()) {
        // Not a permanent one: browsers keep those, and the same port may serve plain http tomorrow.
        Some(host) => Redirect::temporary(&format!("https://{host}{path}")).into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn answer<S>(
    stream: S,
    connection: Connection,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        router.clone().call(request)
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut conversation = pin!(conversation);
    tokio::select! {
        result = conversation.as_mut() => return result.map_err(io::Error::other),
        () = stop.cancelled() => conversation.as_mut().graceful_shutdown(),
    }
    conversation.await.map_err(io::Error::other)
}
