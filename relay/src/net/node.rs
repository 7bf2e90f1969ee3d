//! The loop that drives the swarm: keeps the address book and the metrics, and answers discovery.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use exchange::ResponseChannel;
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::{ConnectedPoint, transport::ListenerId},
    multiaddr::Protocol,
    ping, relay, request_response,
    swarm::{ConnectionId, SwarmEvent},
};
use node_proto::{NodeId, Registry, RegistryLimits, Timestamp};
use tokio::{
    sync::watch,
    time::{interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    behaviour::{Behaviour, BehaviourEvent},
    places::Places,
};
use crate::{
    Error,
    addresses::AddressBook,
    limits::TokenBucket,
    metrics::{Gauge, Metrics},
};

/// How long the first address of a listener may take to be reported.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// How often expired registrations are dropped when nobody asks.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(10);

/// Connections of one node count as made at the same time when there is less than this between them.
const SAME_TIME: Duration = Duration::from_secs(3);

/// The relay's libp2p side while it runs.
pub struct Node {
    swarm: Swarm<Behaviour>,
    book: watch::Sender<AddressBook>,
    metrics: Arc<Metrics>,
    /// What is open to each node, the oldest first; the swarm's limits bound it.
    open: BTreeMap<PeerId, Vec<(ConnectionId, Instant)>>,
    /// One bucket per connected node, so as long as the connection limit.
    buckets: BTreeMap<PeerId, TokenBucket>,
    requests_per_second_max: u32,
    places: Places,
    registry: Registry,
    /// The zero of the registry's clock.
    started: Instant,
}

impl Node {
    /// A node that listens nowhere yet.
    pub fn new(
        swarm: Swarm<Behaviour>,
        book: watch::Sender<AddressBook>,
        metrics: Arc<Metrics>,
        requests_per_second_max: u32,
        places: Places,
    ) -> Self {
        Self {
            swarm,
            book,
            metrics,
            open: BTreeMap::new(),
            buckets: BTreeMap::new(),
            requests_per_second_max,
            places,
            registry: Registry::new(RegistryLimits::default(), rand::random()),
            started: Instant::now(),
        }
    }

    /// Listens on every address and waits until each listener has said where it can be reached.
    pub async fn listen(&mut self, addresses: impl IntoIterator<Item = Multiaddr>) -> Result<(), Error> {
        let mut waiting: Vec<ListenerId> = Vec::new();
        for address in addresses {
            let listener = self
                .swarm
                .listen_on(address.clone())
                .map_err(|error| Error::Transport {
                    address,
                    reason: error.to_string(),
                })?;
            waiting.push(listener);
        }
        let reported = async {
            while !waiting.is_empty() {
                let event = self.swarm.select_next_some().await;
                if let SwarmEvent::NewListenAddr { listener_id, .. } = &event {
                    waiting.retain(|id| id != listener_id);
                }
                self.handle(event);
            }
        };
        if timeout(LISTEN_TIMEOUT, reported).await.is_err() {
            tracing::warn!("no address was reported for {} of the listeners", waiting.len());
        }
        self.update_external_addresses();
        Ok(())
    }

    /// Runs until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(EXPIRE_INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.expire(),
                () = stop.cancelled() => return,
                event = self.swarm.select_next_some() => self.handle(event),
            }
        }
    }

    fn handle(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.book.send_modify(|book| book.add(address));
                self.update_external_addresses();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                tracing::info!(%address, "no longer listening");
                self.book.send_modify(|book| book.remove(&address));
                self.update_external_addresses();
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener has a fault"),
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                tracing::error!(?addresses, ?reason, "a listener has closed");
            }
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.connections(&endpoint).add(1);
                let since = (connection_id, Instant::now());
                self.open.entry(peer_id).or_default().push(since);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.connections(&endpoint).add(-1);
                self.closed(&peer_id, connection_id);
            }
            SwarmEvent::IncomingConnectionError {
                error,
                send_back_addr,
                ..
            } => {
                self.metrics.connections_failed.increment();
                tracing::debug!(%send_back_addr, %error, "a connection failed");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Relay(event)) => self.relay(&event),
            // libp2p-ping reports only the second failure in a row.
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                connection,
                result: Err(error),
                ..
            })) if !matches!(error, ping::Failure::Unsupported) => {
                tracing::debug!(%connection, %error, "a connection is dead");
                self.swarm.close_connection(connection);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(event)) => self.exchange(event),
            _ => {}
        }
    }

    /// Reservations carry the swarm's external addresses; they follow the book.
    fn update_external_addresses(&mut self) {
        let wanted = self.book.borrow().advertised();
        let known: Vec<_> = self.swarm.external_addresses().cloned().collect();
        // The swarm puts the newest first.
        for address in wanted.iter().rev().filter(|address| !known.contains(address)) {
            self.swarm.add_external_address(address.clone());
        }
        for address in known.iter().filter(|address| !wanted.contains(address)) {
            self.swarm.remove_external_address(address);
        }
    }

    fn connections(&self, endpoint: &ConnectedPoint) -> &Gauge {
        let local = match endpoint {
            ConnectedPoint::Listener { local_addr, .. } => local_addr,
            ConnectedPoint::Dialer { address, .. } => address,
        };
        let transport = local
            .iter()
            .find(|part| matches!(part, Protocol::Ws(_) | Protocol::WebRTCDirect));
        match transport {
            Some(Protocol::Ws(_)) => &self.metrics.connections_websocket,
            Some(_) => &self.metrics.connections_webrtc_direct,
            None => &self.metrics.connections_tcp,
        }
    }

    fn relay(&mut self, event: &relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id, renewed } => {
                self.count_places();
                if !renewed {
                    self.close_older(src_peer_id);
                }
            }
            relay::Event::ReservationTimedOut { src_peer_id } => {
                self.places.give_back(src_peer_id);
                self.count_places();
            }
            relay::Event::ReservationReqDenied { src_peer_id, status } => {
                self.metrics.reservations_denied.increment();
                tracing::debug!(peer = %src_peer_id, ?status, "a reservation was refused");
            }
            relay::Event::CircuitReqAccepted { .. } => {
                self.metrics.circuits.add(1);
                self.metrics.circuits_opened.increment();
            }
            relay::Event::CircuitClosed { .. } => self.metrics.circuits.add(-1),
            relay::Event::CircuitReqDenied {
                src_peer_id,
                dst_peer_id,
                status,
            } => {
                self.metrics.circuits_denied.increment();
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, ?status, "a circuit was refused");
            }
            _ => {}
        }
    }

    /// A node that comes back from sleep or from another network leaves a dead connection behind, which shows as dead
    /// only by and by. libp2p-relay would send circuits to either. Two that were made at the same time are both alive:
    /// the one to the relay itself, and another for a circuit that could not wait.
    fn close_older(&mut self, peer: &PeerId) {
        let Some((&(_, newest), older)) = self.open.get(peer).and_then(|open| open.split_last()) else {
            return;
        };
        for (connection, since) in older {
            if newest.duration_since(*since) > SAME_TIME {
                self.swarm.close_connection(*connection);
            }
        }
    }

    fn closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        let Some(open) = self.open.get_mut(peer) else {
            return;
        };
        open.retain(|(other, _)| *other != connection);
        if open.is_empty() {
            self.open.remove(peer);
            self.forget(peer);
        }
    }

    fn count_places(&self) {
        self.metrics.reservations.set(self.places.taken());
    }

    fn exchange(&mut self, event: exchange::Event) {
        match event {
            request_response::Event::Message {
                peer,
                message: request_response::Message::Request { request, channel, .. },
                ..
            } => self.answer(peer, &request, channel),
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a discovery exchange failed");
            }
            _ => {}
        }
    }

    fn answer(&mut self, peer: PeerId, request: &[u8], channel: ResponseChannel) {
        let now = Instant::now();
        let rate = self.requests_per_second_max;
        if !self
            .buckets
            .entry(peer)
            .or_insert_with(|| TokenBucket::new(rate, now))
            .take(rate, now)
        {
            // Dropping the channel closes the stream: cheaper than an answer, and the caller's library
            // reports it at once.
            self.metrics.requests_limited.increment();
            return;
        }
        let Some(from) = node_id(&peer) else {
            tracing::debug!(%peer, "a discovery request from a key that is not Ed25519");
            return;
        };
        let response = self.registry.handle_frame(self.timestamp(now), from, request);
        self.metrics.requests_answered.increment();
        self.metrics.registrations.set(self.registry.len());
        if self
            .swarm
            .behaviour_mut()
            .exchange
            .send_response(channel, response)
            .is_err()
        {
            tracing::debug!(%peer, "the caller did not wait for its answer");
        }
    }

    /// What a node filed is void once it is gone: others would try to reach it in vain.
    fn forget(&mut self, peer: &PeerId) {
        self.buckets.remove(peer);
        self.places.give_back(peer);
        self.count_places();
        if let Some(node) = node_id(peer) {
            self.registry.forget(&node);
            self.metrics.registrations.set(self.registry.len());
        }
    }

    fn expire(&mut self) {
        self.registry.expire(self.timestamp(Instant::now()));
        self.metrics.registrations.set(self.registry.len());
    }

    fn timestamp(&self, now: Instant) -> Timestamp {
        let elapsed = now.saturating_duration_since(self.started);
        Timestamp(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The node behind a peer id; peers with another kind of key than Ed25519 are no nodes of this network.
fn node_id(peer: &PeerId) -> Option<NodeId> {
    NodeId::from_peer_id_bytes(&peer.to_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    #[test]
    fn a_node_is_named_by_the_key_in_its_peer_id() {
        let keypair = Keypair::generate_ed25519();
        let peer = keypair.public().to_peer_id();
        let node = node_id(&peer).unwrap();
        assert_eq!(node.0, keypair.public().try_into_ed25519().unwrap().to_bytes());
        assert_eq!(node.to_string(), peer.to_string());
    }
}
