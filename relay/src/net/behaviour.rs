//! Which protocols the relay speaks, and within which limits.

#![expect(
    missing_docs,
    reason = "the derived event has one variant per field, which has the description"
)]

use std::{num::NonZeroU32, time::Duration};

use futures::future::Either;
use libp2p::{PeerId, identity::Keypair};
use libp2p::{
    Swarm, Transport as _, connection_limits,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identify, identity, noise, ping, relay,
    swarm::{self, NetworkBehaviour},
    tcp, yamux,
};
use libp2p_webrtc::tokio as webrtc;

use super::{places::Places, websocket};
use crate::options::Limits;

/// Names this network's nodes in identify, apart from the software's version.
const IDENTIFY_PROTOCOL: &str = "/knowledge/1";

/// How long a new connection may take until Noise and Yamux are agreed.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection without streams is kept this long: a tab between reservation and first circuit has none.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// A dead connection fails twice in a row before it is closed, which takes less than two of each.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A discovery answer lists a few dozen providers, a registration is far smaller.
const DISCOVERY_REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Streams that one connection may hold open in Yamux.
const STREAMS_MAX: usize = 512;

/// The protocols, each with its own limits.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    /// Refuses connections above the limits, before any other protocol sees them.
    pub connection_limits: connection_limits::Behaviour,
    /// Circuit relay v2, server side.
    pub relay: relay::Behaviour,
    /// Tells nodes their observed address and learns which protocols they speak.
    pub identify: identify::Behaviour,
    /// Measures round trips and notices dead connections.
    pub ping: ping::Behaviour,
    /// Discovery requests.
    pub exchange: exchange::Behaviour,
}

/// The swarm, not listening yet.
pub fn swarm(
    keypair: &Keypair,
    certificate: webrtc::Certificate,
    websocket: websocket::Transport,
    limits: &Limits,
    places: &Places,
) -> Result<Swarm<Behaviour>, noise::Error> {
    let peer = keypair.public().to_peer_id();
    let transport = transport(keypair, certificate, websocket)?;
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
    Ok(Swarm::new(
        transport,
        behaviour(keypair.public(), limits, places),
        peer,
        config,
    ))
}

fn transport(
    keypair: &Keypair,
    certificate: webrtc::Certificate,
    websocket: websocket::Transport,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let streams = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let streams = websocket
        .or_transport(streams)
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux_config())
        .timeout(UPGRADE_TIMEOUT)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let direct = webrtc::Transport::new(keypair.clone(), certificate)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let either = direct.or_transport(streams).map(|output, _| match output {
        Either::Left(connected) | Either::Right(connected) => connected,
    });
    Ok(either.boxed())
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_MAX);
    config
}

fn behaviour(public_key: identity::PublicKey, limits: &Limits, places: &Places) -> Behaviour {
    let connections = connection_limits::ConnectionLimits::default()
        .with_max_established(Some(limits.peers_max))
        .with_max_pending_incoming(Some(limits.peers_max))
        // A tab that reloads opens its next connection before the last one has timed out.
        .with_max_established_per_peer(Some(8));
    let agent = concat!("knowledge-relay/", env!("CARGO_PKG_VERSION"));
    let identify = identify::Config::new(IDENTIFY_PROTOCOL.to_owned(), public_key.clone())
        .with_agent_version(agent.to_owned())
        // Nobody is dialled, so nobody's addresses are worth keeping.
        .with_cache_size(0)
        // Only addresses under which others reach the relay, not every interface that it listens on.
        .with_hide_listen_addrs(true);
    let exchange = exchange::Config {
        request_bytes_max: DISCOVERY_REQUEST_BYTES_MAX,
        timeout: Duration::from_secs(20),
        ..exchange::Config::default()
    };
    Behaviour {
        connection_limits: connection_limits::Behaviour::new(connections),
        relay: relay::Behaviour::new(public_key.to_peer_id(), relay_config(limits, places)),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(PING_INTERVAL)
                .with_timeout(PING_TIMEOUT),
        ),
        exchange: exchange::behaviour(&exchange),
    }
}

/// libp2p's defaults are made for strangers' traffic: 16 circuits, one a minute per address. Here a circuit
/// carries the signalling of one direct connection, and a class shares one address.
fn relay_config(limits: &Limits, places: &Places) -> relay::Config {
    let many = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    relay::Config {
        // Admission counts nodes and knows a renewal from a newcomer; libp2p's own count does not.
        max_reservations: usize::MAX,
        max_reservations_per_peer: limits.reservations_per_peer_max,
        reservation_duration: Duration::from_secs(limits.reservation_seconds.into()),
        reservation_rate_limiters: vec![places.admission()],
        max_circuits: limits.circuits_max,
        max_circuits_per_peer: limits.circuits_per_peer_max,
        max_circuit_duration: Duration::from_secs(limits.circuit_seconds_max.into()),
        max_circuit_bytes: limits.circuit_bytes_max,
        circuit_src_rate_limiters: Vec::new(),
    }
    // Each pair is a burst and the time in which one more is earned.
    .reservation_rate_per_peer(many(30), Duration::from_secs(2))
    .reservation_rate_per_ip(many(2048), Duration::from_millis(20))
    .circuit_src_per_peer(many(256), Duration::from_millis(250))
    .circuit_src_per_ip(many(8192), Duration::from_millis(10))
}
