//! The half of the transport that lives in the swarm: circuits, signalling streams, listen addresses.
//!
//! It never reads a signalling stream. It finds or makes the connection that a stream can run over, hands streams to
//! the transport, tells it on which circuits the relay client listens, and closes circuits that a direct connection
//! has made superfluous.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use futures_timer::Delay;
use libp2p_core::{Endpoint, Multiaddr, multiaddr::Protocol, transport::ListenerId, transport::PortUse};
use libp2p_identity::PeerId;
use libp2p_swarm::{
    CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm, ListenOpts,
    NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    behaviour::ConnectionEstablished,
    dial_opts::{DialOpts, PeerCondition},
};
use litemap::LiteMap;

use crate::{
    address::{Route, accepted_address, is_circuit_listen_address, is_webrtc_direct_peer, relay_of},
    config::{Config, IceServer},
    error::Error,
    handler::{Accepted, Handler, Open},
    link::{Command, Lease, Notice, Reply, ToTransport},
};

/// What the behaviour tells the swarm's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A direct connection to the peer stands.
    DirectEstablished {
        /// The peer.
        peer: PeerId,
        /// The direct connection.
        connection: ConnectionId,
    },
    /// Direct connections to the peer stand and circuits to it do not (any more): whatever is sent now goes directly.
    /// Protocols that pick one of several connections by themselves, like request-response, are best used from here on.
    DirectOnly {
        /// The peer.
        peer: PeerId,
    },
    /// A circuit to a directly connected peer is being closed.
    CircuitReleased {
        /// The peer.
        peer: PeerId,
        /// The circuit's connection.
        connection: ConnectionId,
    },
}

#[derive(Debug)]
struct Known {
    route: Route,
    lease: Lease,
    /// What is shown as the address of a peer that signals over this connection.
    shown: Multiaddr,
}

/// Dials that wait for a circuit to one peer.
#[derive(Debug)]
struct Waiting {
    dial: ConnectionId,
    replies: Vec<Reply>,
}

/// Signals for the [`Transport`](crate::Transport) it was made with.
pub struct Behaviour {
    config: Config,
    link: ToTransport,
    actions: VecDeque<ToSwarm<Event, Open>>,
    connections: LiteMap<PeerId, LiteMap<ConnectionId, Known>>,
    waiting: LiteMap<PeerId, Waiting>,
    /// Leases handed to handlers whose connection is not reported as established yet.
    leases: LiteMap<ConnectionId, Lease>,
    /// Circuits that this behaviour asked the relay client to listen on.
    requested: Vec<(ListenerId, Multiaddr)>,
    /// Circuits that the relay client listens on, whoever asked.
    circuits: Vec<(ListenerId, Multiaddr)>,
    /// Notices that did not fit into the channel yet; one per listen address at most.
    notices: VecDeque<Notice>,
    releases: FuturesUnordered<BoxFuture<'static, PeerId>>,
}

impl std::fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Behaviour")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl Behaviour {
    pub(crate) fn new(config: Config, link: ToTransport) -> Self {
        Self {
            config,
            link,
            actions: VecDeque::new(),
            connections: LiteMap::new(),
            waiting: LiteMap::new(),
            leases: LiteMap::new(),
            requested: Vec::new(),
            circuits: Vec::new(),
            notices: VecDeque::new(),
            releases: FuturesUnordered::new(),
        }
    }

    /// The best route to a peer among the connections that stand, if any.
    pub fn route(&self, peer: &PeerId) -> Option<Route> {
        self.connections
            .get(peer)?
            .values()
            .map(|known| known.route)
            .min()
    }

    /// Replaces [`Config::ice_servers`] for the connections that are made after the swarm's next poll, for those who
    /// learn of servers only once they run.
    pub fn set_ice_servers(&mut self, servers: Vec<IceServer>) {
        // The list that did not get through yet has had its day.
        self.notices
            .retain(|notice| !matches!(notice, Notice::IceServers(_)));
        self.notices.push_back(Notice::IceServers(servers));
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Open { peer, circuit, reply } => self.open(peer, circuit, reply),
            Command::Listen { circuit } => self.listen(circuit),
            Command::Unlisten { circuit } => {
                let (gone, kept) = self
                    .requested
                    .drain(..)
                    .partition(|(_, requested)| *requested == circuit);
                self.requested = kept;
                let gone: Vec<(ListenerId, Multiaddr)> = gone;
                self.actions
                    .extend(gone.into_iter().map(|(id, _)| ToSwarm::RemoveListener { id }));
            }
        }
    }

    fn open(&mut self, peer: PeerId, circuit: Option<Multiaddr>, reply: Reply) {
        if let Some(connection) = self.signalling_connection(&peer) {
            return self.open_on(peer, connection, reply);
        }
        if let Some(waiting) = self.waiting.get_mut(&peer) {
            return waiting.replies.push(reply);
        }
        let Some(circuit) = circuit else {
            let _ = reply.send(Err(Error::NoCircuit));
            return;
        };
        // The swarm is dialling this peer already: the dial that waits for this circuit.
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(vec![circuit])
            .build();
        self.waiting.insert(
            peer,
            Waiting {
                dial: opts.connection_id(),
                replies: vec![reply],
            },
        );
        self.actions.push_back(ToSwarm::Dial { opts });
    }

    /// A circuit if there is one: a direct connection may be the dead one that is about to be replaced.
    fn signalling_connection(&self, peer: &PeerId) -> Option<ConnectionId> {
        let connections = self.connections.get(peer)?;
        let circuit = connections
            .iter()
            .find(|(_, known)| known.route == Route::Relayed);
        circuit
            .or_else(|| connections.iter().next_back())
            .map(|(id, _)| *id)
    }

    fn open_on(&mut self, peer_id: PeerId, connection: ConnectionId, reply: Reply) {
        let handler = NotifyHandler::One(connection);
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler,
            event: Open(reply),
        });
    }

    fn listen(&mut self, circuit: Multiaddr) {
        // A relay tells us addresses of its own choice, which need not begin with the one that we know it by.
        let stands = self
            .circuits
            .iter()
            .any(|(_, address)| relay_of(address) == relay_of(&circuit));
        let asked = self.requested.iter().any(|(_, requested)| *requested == circuit);
        if stands || asked {
            return;
        }
        let opts = ListenOpts::new(circuit.clone());
        self.requested.push((opts.listener_id(), circuit));
        self.actions.push_back(ToSwarm::ListenOn { opts });
    }

    fn on_established(&mut self, event: ConnectionEstablished<'_>) {
        let ConnectionEstablished {
            peer_id: peer,
            connection_id: id,
            endpoint,
            ..
        } = event;
        let route = Route::of(endpoint);
        let lease = self.leases.remove(&id).unwrap_or_default();
        self.connections.entry(peer).or_default().insert(
            id,
            Known {
                route,
                lease,
                shown: accepted_address(endpoint, peer),
            },
        );
        if let Some(waiting) = self.waiting.remove(&peer) {
            for reply in waiting.replies {
                self.open_on(peer, id, reply);
            }
        }
        if route == Route::Direct {
            self.actions
                .push_back(ToSwarm::GenerateEvent(Event::DirectEstablished {
                    peer,
                    connection: id,
                }));
        }
        if self.route(&peer) == Some(Route::Direct) {
            self.tell_direct_only(peer);
            self.schedule_release(peer);
        }
    }

    fn on_closed(&mut self, event: ConnectionClosed<'_>) {
        let Some(connections) = self.connections.get_mut(&event.peer_id) else {
            return;
        };
        connections.remove(&event.connection_id);
        if connections.is_empty() {
            self.connections.remove(&event.peer_id);
        }
        if Route::of(event.endpoint) == Route::Relayed {
            self.tell_direct_only(event.peer_id);
        }
    }

    fn tell_direct_only(&mut self, peer: PeerId) {
        let routes = || {
            self.connections
                .get(&peer)
                .into_iter()
                .flatten()
                .map(|(_, known)| known.route)
        };
        if routes().any(|route| route == Route::Direct) && !routes().any(|route| route == Route::Relayed) {
            self.actions
                .push_back(ToSwarm::GenerateEvent(Event::DirectOnly { peer }));
        }
    }

    fn on_dial_failure(&mut self, event: DialFailure<'_>) {
        self.leases.remove(&event.connection_id);
        let Some(peer) = event.peer_id else { return };
        if self
            .waiting
            .get(&peer)
            .is_none_or(|waiting| waiting.dial != event.connection_id)
        {
            return;
        }
        for reply in self
            .waiting
            .remove(&peer)
            .into_iter()
            .flat_map(|waiting| waiting.replies)
        {
            let _ = reply.send(Err(Error::Circuit(event.error.to_string())));
        }
    }

    fn on_listen_address(&mut self, listener: ListenerId, address: &Multiaddr) {
        if is_circuit_listen_address(address) {
            self.circuits.push((listener, address.clone()));
            self.notices.push_back(Notice::CircuitUp(address.clone()));
        } else if is_webrtc_direct_peer(address) && matches!(address.iter().last(), Some(Protocol::P2p(_))) {
            // Our own listener's address. Nobody can observe it from outside, so it is as confirmed as it gets.
            self.actions
                .push_back(ToSwarm::ExternalAddrConfirmed(address.clone()));
        }
    }

    fn on_listen_address_gone(&mut self, listener: ListenerId, address: &Multiaddr) {
        if let Some(index) = self
            .circuits
            .iter()
            .position(|(id, known)| *id == listener && known == address)
        {
            let (_, circuit) = self.circuits.remove(index);
            self.notices.push_back(Notice::CircuitDown(circuit));
        } else if is_webrtc_direct_peer(address) {
            self.actions
                .push_back(ToSwarm::ExternalAddrExpired(address.clone()));
        }
    }

    fn on_listener_closed(&mut self, listener: ListenerId) {
        let (gone, kept) = self.circuits.drain(..).partition(|(id, _)| *id == listener);
        self.circuits = kept;
        let gone: Vec<(ListenerId, Multiaddr)> = gone;
        self.notices
            .extend(gone.into_iter().map(|(_, circuit)| Notice::CircuitDown(circuit)));
        if let Some(index) = self.requested.iter().position(|(id, _)| *id == listener) {
            let (_, circuit) = self.requested.remove(index);
            self.notices.push_back(Notice::CircuitClosed(circuit));
        }
    }

    fn schedule_release(&mut self, peer: PeerId) {
        if let Some(grace) = self.config.circuit_grace {
            self.releases.push(Delay::new(grace).map(move |()| peer).boxed());
        }
    }

    /// Closes a peer's circuits if a direct connection stands and no session signals over them.
    fn release(&mut self, peer: PeerId) {
        if self.route(&peer) != Some(Route::Direct) {
            return;
        }
        let Some(connections) = self.connections.get(&peer) else {
            return;
        };
        let circuits = connections
            .iter()
            .filter(|(_, known)| known.route == Route::Relayed);
        // One lease is ours, one the handler's.
        let (free, busy): (Vec<_>, Vec<_>) =
            circuits.partition(|(_, known)| Arc::strong_count(&known.lease) <= 2);
        let retry = !busy.is_empty();
        let free: Vec<ConnectionId> = free.into_iter().map(|(id, _)| *id).collect();
        for connection in free {
            self.actions
                .push_back(ToSwarm::GenerateEvent(Event::CircuitReleased {
                    peer,
                    connection,
                }));
            let connection = CloseConnection::One(connection);
            self.actions.push_back(ToSwarm::CloseConnection {
                peer_id: peer,
                connection,
            });
        }
        if retry {
            self.schedule_release(peer);
        }
    }

    fn handler(&mut self, connection: ConnectionId) -> Handler {
        let lease = self.leases.entry(connection).or_default().clone();
        Handler::new(lease, self.config.circuit_timeout)
    }

    fn poll_notices(&mut self, cx: &mut Context<'_>) {
        while !self.notices.is_empty() {
            match self.link.notices.poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    if let Some(notice) = self.notices.pop_front() {
                        let _ = self.link.notices.start_send(notice);
                    }
                }
                // The transport is gone: nobody is left to tell.
                Poll::Ready(Err(_)) => self.notices.clear(),
                Poll::Pending => return,
            }
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(connection))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(connection))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => self.on_established(event),
            FromSwarm::ConnectionClosed(event) => self.on_closed(event),
            FromSwarm::DialFailure(event) => self.on_dial_failure(event),
            FromSwarm::ListenFailure(event) => {
                self.leases.remove(&event.connection_id);
            }
            FromSwarm::NewListenAddr(event) => self.on_listen_address(event.listener_id, event.addr),
            FromSwarm::ExpiredListenAddr(event) => self.on_listen_address_gone(event.listener_id, event.addr),
            FromSwarm::ListenerClosed(event) => self.on_listener_closed(event.listener_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        let Accepted(signalling) = event;
        let Some(known) = self.connections.get(&peer).and_then(|all| all.get(&id)) else {
            return;
        };
        let notice = Notice::Inbound {
            peer,
            address: known.shown.clone(),
            signalling: Box::new(signalling),
        };
        // A stream that does not fit is dropped, which resets it: the dialler learns at once.
        if self.link.notices.try_send(notice).is_err() {
            tracing::debug!(%peer, "refused signalling: too many sessions");
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            self.poll_notices(cx);
            if let Poll::Ready(Some(peer)) = self.releases.poll_next_unpin(cx) {
                self.release(peer);
                continue;
            }
            if let Poll::Ready(Some(command)) = self.link.commands.poll_next_unpin(cx) {
                self.on_command(command);
                continue;
            }
            return Poll::Pending;
        }
    }
}
