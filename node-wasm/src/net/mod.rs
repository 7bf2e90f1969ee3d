//! The swarm: connections, exchanges and the way to the relay, translated into the core's inputs.
//!
//! [`Network::next`] is the one place that waits. Everything else is a command that returns at once. Maps are bounded by
//! the swarm's connection limits and by the limits in [`exchanges`].

mod coordinator;
mod direct;
mod exchanges;
mod reason;
mod relay;
mod transport;
mod unrelayed;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use exchange::Frame;
use futures::StreamExt as _;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::ConnectedPoint;
use libp2p::core::transport::ListenerId;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::request_response::{Event as Exchange, Message};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionError, ConnectionId, DialError, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, ping, relay as circuit};
use litemap::LiteMap;
use node_proto::ids::{ExchangeId, NodeId, Timestamp};
use node_proto::io::{ExchangeFailure, Input};

use self::coordinator::Coordinators;
use self::direct::Attempts;
use self::exchanges::{Exchanges, failure_of};
use self::relay::Ways;
use self::unrelayed::Unrelayed;
use crate::address::{self, node_id, peer_id, transport_of};
use crate::clock::Clock;
use crate::error::{CommandError, StartError};
use crate::options::{IceServer, StartOptions};
use crate::order::Reply;
use crate::status::{ConnectionStatus, RelayState, TransportKind};
use crate::wires::Wires;

/// Connections of all kinds; a page slows down with hundreds of `RTCPeerConnection`s.
const CONNECTIONS_MAX: u32 = 64;
/// A circuit and a direct connection in each direction.
const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// Connections are kept while the tab lives; the core decides whom to know.
const IDLE_TIMEOUT: Duration = Duration::from_secs(24 * 3_600);
/// libp2p-ping reports the second failure in a row. Twice the sum is less than half a minute: a connection that died
/// while the device slept is noticed by then, and one slow answer costs nothing.
const PING_INTERVAL: Duration = Duration::from_secs(7);
const PING_TIMEOUT: Duration = Duration::from_secs(6);
/// Dials to one peer or by hand that are under way.
const DIALS_MAX: usize = 64;

#[derive(NetworkBehaviour)]
struct Behaviour {
    limits: connection_limits::Behaviour,
    circuits: Unrelayed<circuit::client::Behaviour>,
    coordinator: Unrelayed<circuit::Behaviour>,
    webrtc: webrtc_transport::Behaviour,
    exchange: exchange::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

/// What happened on the network.
pub(crate) enum NetEvent {
    /// For the core.
    Input(Input),
    /// Connections or the relay's state changed: read them.
    Changed,
    /// Fetch `/bootstrap.json`, then call [`Network::bootstrapped`].
    FetchBootstrap,
    /// Call [`Network::retry_relay`] with the same relay after this long.
    RetryRelay {
        /// Which; none means `/bootstrap.json`.
        relay: Option<PeerId>,
        /// Milliseconds.
        ms: u32,
    },
}

/// Why a connection is being made.
enum Dial {
    Relay(PeerId),
    Peer,
    Hand(Reply<NodeId>),
}

/// The swarm and what is remembered about it.
pub(crate) struct Network {
    swarm: Swarm<Behaviour>,
    clock: Clock,
    wires: Wires,
    exchanges: Exchanges,
    ways: Ways,
    coordinators: Coordinators,
    /// This node relays circuits for others.
    coordinating: bool,
    /// The page named ICE servers of its own; the relay's are not used then.
    own_ice_servers: bool,
    dials: LiteMap<ConnectionId, Dial>,
    attempts: Attempts,
    listening: BTreeSet<Multiaddr>,
    /// Events that one step of the swarm caused.
    ready: VecDeque<NetEvent>,
    direct_failed: u32,
    direct_failure: Option<String>,
}

impl Network {
    pub(crate) fn new(
        keypair: &Keypair,
        options: &StartOptions,
        origin: &str,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let (transport, circuits, webrtc) = transport::build(keypair, options)?;
        let limits = ConnectionLimits::default()
            .with_max_established(Some(CONNECTIONS_MAX))
            .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX));
        let identity = identify::Config::new(exchange::PROTOCOL.to_string(), keypair.public())
            .with_agent_version(format!("knowledge-node/{}", env!("CARGO_PKG_VERSION")));
        let behaviour = Behaviour {
            limits: connection_limits::Behaviour::new(limits),
            circuits: Unrelayed(circuits),
            coordinator: coordinator::behaviour(keypair.public().to_peer_id()),
            webrtc,
            exchange: exchange::behaviour(&exchange::Config::default()),
            identify: identify::Behaviour::new(identity),
            ping: ping::Behaviour::new(
                ping::Config::new()
                    .with_interval(PING_INTERVAL)
                    .with_timeout(PING_TIMEOUT),
            ),
        };
        let config = libp2p::swarm::Config::with_wasm_executor()
            .with_idle_connection_timeout(IDLE_TIMEOUT)
            // The name of the protocol travels with the first bytes, so that opening a stream costs no round trip.
            .with_substream_upgrade_protocol_override(Version::V1Lazy);
        Ok(Self {
            swarm: Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config),
            clock,
            wires: Wires::default(),
            exchanges: Exchanges::default(),
            ways: Ways::new(origin, options.transports),
            coordinators: Coordinators::default(),
            coordinating: false,
            own_ice_servers: !options.ice_servers.is_empty(),
            dials: LiteMap::new(),
            attempts: Attempts::default(),
            listening: BTreeSet::new(),
            ready: VecDeque::from([NetEvent::FetchBootstrap]),
            direct_failed: 0,
            direct_failure: None,
        })
    }

    /// Waits for the next event. Nothing is lost when it is dropped while it waits.
    pub(crate) async fn next(&mut self) -> NetEvent {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            let event = self.swarm.select_next_some().await;
            self.on_swarm(event);
        }
    }

    /// Sends a request of the core's.
    pub(crate) fn request(&mut self, exchange: ExchangeId, peer: &NodeId, frame: Frame, timeout_ms: u32) {
        let deadline = self.clock.now().plus_ms(timeout_ms.into());
        let connected = peer_id(peer).filter(|peer| self.wires.has(peer));
        match connected {
            Some(peer) if self.exchanges.has_room() => {
                let id = self.swarm.behaviour_mut().exchange.send_request(&peer, frame);
                self.exchanges.sent(id, exchange, deadline);
            }
            _ => self.input(Input::Response {
                exchange,
                result: Err(ExchangeFailure::Unreachable),
            }),
        }
    }

    /// Answers a request of a peer's.
    pub(crate) fn respond(&mut self, exchange: ExchangeId, frame: Frame) {
        if let Some(channel) = self.exchanges.channel(exchange) {
            // A peer that is gone gets no answer.
            let _ = self.swarm.behaviour_mut().exchange.send_response(channel, frame);
        }
    }

    /// Connects to an address that somebody typed.
    pub(crate) fn dial_address(&mut self, address: Multiaddr, reply: Reply<NodeId>) {
        let options = match address::peer_of(&address) {
            Some(peer) => DialOpts::peer_id(peer)
                .condition(PeerCondition::Always)
                .addresses(vec![address])
                .build(),
            None => DialOpts::unknown_peer_id().address(address).build(),
        };
        self.dial(options, Dial::Hand(reply));
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.exchanges.next_deadline()
    }

    /// Reports the requests whose time has passed.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        for input in self.exchanges.expire(now) {
            self.input(input);
        }
    }

    /// Closes the connections to a peer.
    pub(crate) fn hang_up(&mut self, peer: &NodeId) {
        if let Some(peer) = peer_id(peer) {
            self.attempts.forget(&peer);
            // Not connected any more is what is wanted.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Closes every connection.
    pub(crate) fn close(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // Not connected any more is what is wanted.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// For people.
    pub(crate) fn connections(&self) -> Vec<ConnectionStatus> {
        self.wires.status()
    }

    /// For people: the relay's identity and what the way to it does.
    pub(crate) fn relay_status(&self) -> (Option<NodeId>, RelayState) {
        let (relay, state) = self.ways.relays.best();
        (relay.as_ref().and_then(node_id), state)
    }

    /// The last round trip to the relay.
    pub(crate) fn relay_rtt_ms(&self) -> Option<u32> {
        self.wires.rtt_ms(&self.ways.relays.best().0?)
    }

    /// Direct connections that stand, and those that failed since one stood, with the last reason.
    pub(crate) fn direct(&self) -> (usize, u32, Option<&str>) {
        (
            self.wires.direct(),
            self.direct_failed,
            self.direct_failure.as_deref(),
        )
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                cause,
                ..
            } => {
                let input = self.wires.closed(connection_id);
                self.ready.extend(input.map(NetEvent::Input));
                if num_established == 0 {
                    self.on_peer_gone(&peer_id, cause.as_ref());
                }
                self.ready.push_back(NetEvent::Changed);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id, error, ..
            } => {
                self.on_dial_failed(connection_id, &error);
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listen_address(address, true),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_listen_address(address, false),
            SwarmEvent::ListenerClosed {
                listener_id,
                addresses,
                reason,
            } => {
                self.on_listener_closed(listener_id, addresses, reason);
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Exchange(event) => self.on_exchange(event),
            BehaviourEvent::Ping(ping::Event {
                connection,
                result: Ok(rtt),
                ..
            }) => {
                let rtt_ms = u32::try_from(rtt.as_millis()).unwrap_or(u32::MAX);
                let input = self.wires.pinged(connection, rtt_ms);
                self.ready.extend(input.map(NetEvent::Input));
                self.ready.push_back(NetEvent::Changed);
            }
            // A stream that cannot be opened any more is as sure a sign of a dead wire as a pong that does not come.
            BehaviourEvent::Ping(event) => {
                if !matches!(event.result, Err(ping::Failure::Unsupported)) {
                    self.swarm.close_connection(event.connection);
                }
            }
            BehaviourEvent::Circuits(circuit::client::Event::ReservationReqAccepted {
                relay_peer_id,
                ..
            }) => {
                self.ways.relays.reserved(&relay_peer_id);
                self.on_place_granted(&relay_peer_id);
                self.ready.push_back(NetEvent::Changed);
            }
            BehaviourEvent::Identify(event) => self.on_identified(&event),
            BehaviourEvent::Circuits(_)
            | BehaviourEvent::Coordinator(_)
            | BehaviourEvent::Webrtc(_)
            | BehaviourEvent::Limits(_) => {}
        }
    }

    fn on_exchange(&mut self, event: exchange::Event) {
        match event {
            Exchange::Message {
                peer,
                message:
                    Message::Request {
                        request_id,
                        request,
                        channel,
                    },
                ..
            } => {
                let Some(peer) = node_id(&peer) else { return };
                if let Some(exchange) = self.exchanges.received(request_id, channel) {
                    self.input(Input::Request {
                        exchange,
                        peer,
                        frame: request,
                    });
                }
            }
            Exchange::Message {
                message: Message::Response { request_id, response },
                ..
            } => {
                let input = self.exchanges.answered(request_id, Ok(response));
                self.ready.extend(input.map(NetEvent::Input));
            }
            Exchange::OutboundFailure {
                request_id, error, ..
            } => {
                let input = self.exchanges.answered(request_id, Err(failure_of(&error)));
                self.ready.extend(input.map(NetEvent::Input));
            }
            Exchange::InboundFailure { request_id, .. } => self.exchanges.forget(request_id),
            Exchange::ResponseSent { .. } => {}
        }
    }

    fn on_established(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        // An accepted connection shows its kind in the local address.
        let (transport, address) = match endpoint {
            ConnectedPoint::Dialer { address, .. } => (transport_of(address), address),
            ConnectedPoint::Listener {
                local_addr,
                send_back_addr,
            } => (
                transport_of(local_addr).min(transport_of(send_back_addr)),
                send_back_addr,
            ),
        };
        match self.dials.remove(&id) {
            Some(Dial::Relay(relay)) => {
                let task = self.ways.relays.connected(&relay, address.clone());
                self.follow(task);
            }
            Some(Dial::Hand(reply)) => {
                let answer = node_id(&peer)
                    .ok_or_else(|| CommandError::DialFailed("it is no node of this network".to_owned()));
                let _ = reply.send(answer);
            }
            Some(Dial::Peer) | None => {}
        }
        if transport == TransportKind::Webrtc {
            (self.direct_failed, self.direct_failure) = (0, None);
            self.attempts.forget(&peer);
        }
        let input = self.wires.opened(id, peer, transport, address.to_string());
        self.ready.extend(input.map(NetEvent::Input));
        self.ready.push_back(NetEvent::Changed);
    }

    fn on_dial_failed(&mut self, id: ConnectionId, error: &DialError) {
        let reason = reason::of_dial(error);
        match self.dials.remove(&id) {
            Some(Dial::Relay(relay)) => self.on_relay_failed(&relay, &reason),
            // Neither a dial under way nor a peer that left is a sign of a network that blocks direct connections.
            Some(Dial::Peer) if matches!(error, DialError::DialPeerConditionFalse(_)) => {}
            Some(Dial::Peer) if reason::is_gone(&reason) => {}
            Some(Dial::Peer) => {
                self.direct_failed = self.direct_failed.saturating_add(1);
                self.direct_failure = Some(reason);
            }
            Some(Dial::Hand(reply)) => {
                let _ = reply.send(Err(CommandError::DialFailed(reason)));
            }
            None => {}
        }
        self.ready.push_back(NetEvent::Changed);
    }

    fn on_listen_address(&mut self, address: Multiaddr, added: bool) {
        if transport_of(&address) != TransportKind::Webrtc {
            return;
        }
        if added {
            self.listening.insert(address);
        } else {
            self.listening.remove(&address);
        }
        let addresses = address::worth_announcing(&self.listening);
        let reachable = !addresses.is_empty();
        self.input(Input::Addresses(addresses));
        // Asked for earlier, discovery would tell others of a node that they cannot reach.
        if reachable {
            self.announce_relays();
        }
    }

    fn on_listener_closed(
        &mut self,
        listener: ListenerId,
        addresses: Vec<Multiaddr>,
        reason: Result<(), std::io::Error>,
    ) {
        for address in addresses {
            self.on_listen_address(address, false);
        }
        if let Some(relay) = self.ways.lost(listener) {
            let reason =
                reason.map_or_else(|error| error.to_string(), |()| "the reservation ended".to_owned());
            self.on_relay_failed(&relay, &reason);
            // Nobody can reach this node, but it can still find and reach others.
            self.announce_relays();
        } else {
            self.on_place_lost(listener);
        }
    }

    /// The last connection to a peer ended.
    fn on_peer_gone(&mut self, peer: &PeerId, cause: Option<&ConnectionError>) {
        if self.ways.relays.has(peer) {
            let reason = cause.map_or_else(|| "the relay closed it".to_owned(), reason::of_end);
            self.on_relay_gone(peer, &reason);
        } else {
            self.on_neighbour_gone(peer);
        }
    }

    /// The relay's ICE servers, unless the page chose its own.
    fn use_ice_servers(&mut self, servers: &[IceServer]) {
        if !self.own_ice_servers {
            let servers = servers.iter().map(transport::ice_server).collect();
            self.swarm.behaviour_mut().webrtc.set_ice_servers(servers);
        }
    }

    fn dial(&mut self, options: DialOpts, why: Dial) {
        let id = options.connection_id();
        let refused = if self.dials.len() >= DIALS_MAX {
            Some(DialError::Aborted)
        } else {
            self.dials.insert(id, why);
            self.swarm.dial(options).err()
        };
        if let Some(error) = refused {
            self.on_dial_failed(id, &error);
        }
    }

    fn input(&mut self, input: Input) {
        self.ready.push_back(NetEvent::Input(input));
    }
}
