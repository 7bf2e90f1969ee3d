//! libp2p over the WebSockets that arrive on the page's own port.
//!
//! Browsers may dial `ws` or `wss` to the port that the page came from and nowhere else without further
//! set-up, so the page's server owns the listening socket. It upgrades a request and hands the socket over
//! here; TLS, where there is any, has already been taken off.
//!
//! ```text
//! page server ── upgraded socket ──▶ Handoff ──(bounded queue)──▶ Transport ──▶ Noise, Yamux, swarm
//! ```
//!
//! A [`Stream`] maps bytes to binary messages in both directions: message boundaries carry no meaning.
//!
//! # Bounds
//!
//! The queue holds [`HANDOFF_MAX`] sockets; the server answers 503 while it is full. A received message is at
//! most [`MESSAGE_BYTES_MAX`] long, a sent one [`SEND_BYTES_MAX`].

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use axum::{
    body::Bytes,
    extract::ws::{Message, WebSocket},
};
use futures::{AsyncRead, AsyncWrite, Sink as _, Stream as _, future};
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p::{
    Multiaddr, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
    multiaddr::Protocol,
};
use tokio::sync::mpsc;

use crate::limits::Permit;

/// Upgraded sockets that wait for the swarm.
pub const HANDOFF_MAX: usize = 256;

/// The longest message that a peer may send. Browsers send what Yamux and Noise wrote at once, which is less.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The longest message that is sent: one full Noise frame.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// Makes the two ends: one for the page's server, one for the swarm. `secure` is part of the address.
pub fn channel(secure: bool) -> (Handoff, Transport) {
    let (sender, receiver) = mpsc::channel(HANDOFF_MAX);
    let transport = Transport {
        secure,
        receiver,
        listener: None,
        events: VecDeque::new(),
        waker: None,
    };
    (Handoff(sender), transport)
}

/// The server's end.
#[derive(Debug, Clone)]
pub struct Handoff(mpsc::Sender<Upgraded>);

/// An upgraded socket and whose it is.
#[derive(Debug)]
struct Upgraded {
    socket: WebSocket,
    remote: SocketAddr,
    local: SocketAddr,
    permit: Arc<Permit>,
}

/// A place in the queue, taken before the socket is upgraded.
#[derive(Debug)]
pub struct Place(mpsc::OwnedPermit<Upgraded>);

impl Handoff {
    /// Takes a place, or says that the swarm is behind.
    pub fn reserve(&self) -> Option<Place> {
        self.0.clone().try_reserve_owned().ok().map(Place)
    }
}

impl Place {
    /// Hands the socket over. The permit is kept for as long as the connection lives.
    pub fn fill(self, socket: WebSocket, remote: SocketAddr, local: SocketAddr, permit: Arc<Permit>) {
        self.0.send(Upgraded {
            socket,
            remote,
            local,
            permit,
        });
    }
}

/// The swarm's end: listens on one address, dials none.
#[derive(Debug)]
pub struct Transport {
    secure: bool,
    receiver: mpsc::Receiver<Upgraded>,
    listener: Option<Listener>,
    events: VecDeque<Event>,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Listener {
    id: ListenerId,
    port: u16,
    /// Interfaces come and go; `None` when bound to one address.
    interfaces: Option<IfWatcher>,
    any_family: bool,
}

type Event = TransportEvent<future::Ready<io::Result<Stream>>, io::Error>;

impl Transport {
    /// The multiaddr of `address`, under this transport's scheme.
    pub fn multiaddr(&self, address: SocketAddr) -> Multiaddr {
        let bare = Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()));
        let bare = if self.secure {
            bare.with(Protocol::Tls)
        } else {
            bare
        };
        bare.with(Protocol::Ws("/".into()))
    }

    fn parse(&self, address: &Multiaddr) -> Option<SocketAddr> {
        let mut parts = address.iter();
        let ip = match parts.next()? {
            Protocol::Ip4(ip) => IpAddr::from(ip),
            Protocol::Ip6(ip) => IpAddr::from(ip),
            _ => return None,
        };
        let Protocol::Tcp(port) = parts.next()? else {
            return None;
        };
        let socket = SocketAddr::new(ip, port);
        (self.multiaddr(socket) == *address).then_some(socket)
    }

    fn poll_interfaces(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        let Some(listener) = self.listener.as_mut() else {
            return Poll::Pending;
        };
        let Some(interfaces) = listener.interfaces.as_mut() else {
            return Poll::Pending;
        };
        let (id, port, any_family) = (listener.id, listener.port, listener.any_family);
        loop {
            let event = match ready!(interfaces.poll_if_event(context)) {
                Ok(event) => event,
                Err(error) => {
                    return Poll::Ready(TransportEvent::ListenerError {
                        listener_id: id,
                        error,
                    });
                }
            };
            let (IfEvent::Up(network) | IfEvent::Down(network)) = event;
            if !any_family && network.addr().is_ipv6() {
                continue;
            }
            let listen_addr = self.multiaddr(SocketAddr::new(network.addr(), port));
            return Poll::Ready(match event {
                IfEvent::Up(_) => TransportEvent::NewAddress {
                    listener_id: id,
                    listen_addr,
                },
                IfEvent::Down(_) => TransportEvent::AddressExpired {
                    listener_id: id,
                    listen_addr,
                },
            });
        }
    }
}

impl libp2p::Transport for Transport {
    type Output = Stream;
    type Error = io::Error;
    type ListenerUpgrade = future::Ready<io::Result<Stream>>;
    type Dial = future::Pending<io::Result<Stream>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        let Some(socket) = self.parse(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let interfaces = if socket.ip().is_unspecified() {
            Some(IfWatcher::new().map_err(TransportError::Other)?)
        } else {
            self.events.push_back(TransportEvent::NewAddress {
                listener_id: id,
                listen_addr: address,
            });
            None
        };
        let any_family = socket.is_ipv6();
        self.listener = Some(Listener {
            id,
            port: socket.port(),
            interfaces,
            any_family,
        });
        self.waker.take().into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let found = self.listener.take_if(|listener| listener.id == id).is_some();
        if found {
            self.events.push_back(TransportEvent::ListenerClosed {
                listener_id: id,
                reason: Ok(()),
            });
            self.waker.take().into_iter().for_each(Waker::wake);
        }
        found
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        self.waker = Some(context.waker().clone());
        let Some(listener_id) = self.listener.as_ref().map(|listener| listener.id) else {
            return Poll::Pending;
        };
        if let Poll::Ready(event) = self.poll_interfaces(context) {
            return Poll::Ready(event);
        }
        let Some(upgraded) = ready!(self.receiver.poll_recv(context)) else {
            // The page's server is gone, which ends the program.
            return Poll::Pending;
        };
        Poll::Ready(TransportEvent::Incoming {
            listener_id,
            local_addr: self.multiaddr(upgraded.local),
            send_back_addr: self.multiaddr(upgraded.remote),
            upgrade: future::ready(Ok(Stream::new(upgraded.socket, upgraded.permit))),
        })
    }
}

/// A WebSocket as a stream of bytes.
#[derive(Debug)]
pub struct Stream {
    socket: WebSocket,
    received: Bytes,
    _permit: Arc<Permit>,
}

impl Stream {
    fn new(socket: WebSocket, permit: Arc<Permit>) -> Self {
        Self {
            socket,
            received: Bytes::new(),
            _permit: permit,
        }
    }

    /// Waits until unread bytes are at hand; `false` at the end of the stream.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.received.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.received = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(false)),
                Some(Ok(Message::Text(_))) => {
                    let error =
                        io::Error::new(io::ErrorKind::InvalidData, "a text message on a binary stream");
                    return Poll::Ready(Err(error));
                }
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        Poll::Ready(Ok(true))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_fill(context))? {
            return Poll::Ready(Ok(0));
        }
        let length = buffer.len().min(self.received.len());
        buffer[..length].copy_from_slice(&self.received.split_to(length));
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut socket = Pin::new(&mut self.socket);
        ready!(socket.as_mut().poll_ready(context)).map_err(io::Error::other)?;
        let length = bytes.len().min(SEND_BYTES_MAX);
        let message = Message::Binary(Bytes::copy_from_slice(&bytes[..length]));
        socket.start_send(message).map_err(io::Error::other)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket)
            .poll_flush(context)
            .map_err(io::Error::other)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket)
            .poll_close(context)
            .map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use libp2p::Transport as _;

    use super::*;

    #[test]
    fn only_its_own_scheme_is_listened_on_and_nothing_is_dialled() {
        let (_handoff, mut transport) = channel(true);
        for address in [
            "/ip4/127.0.0.1/tcp/1/ws",
            "/ip4/127.0.0.1/tcp/1",
            "/dns4/a/tcp/1/tls/ws",
        ] {
            let result = transport.listen_on(ListenerId::next(), address.parse().unwrap());
            assert!(
                matches!(result, Err(TransportError::MultiaddrNotSupported(_))),
                "{address}"
            );
        }
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1/tls/ws".parse().unwrap();
        let id = ListenerId::next();
        transport.listen_on(id, address.clone()).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let event = Pin::new(&mut transport).poll(&mut context);
        assert!(
            matches!(event, Poll::Ready(TransportEvent::NewAddress { listen_addr, .. }) if listen_addr == address)
        );
        assert!(transport.remove_listener(id) && !transport.remove_listener(id));
    }
}
