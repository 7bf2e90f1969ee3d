//! The swarm: how the README of the transport tells an application to compose one.

use std::time::Duration;

use exchange::Config as ExchangeConfig;
use libp2p::{
    Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identify, identity, noise, ping, relay,
    swarm::{self, NetworkBehaviour},
    websocket_websys, yamux,
};
use wasm_bindgen::JsError;

/// What identify tells peers, so that a test can tell the two implementations apart.
const AGENT: &str = "webrtc-transport-page/1";

/// Longer than any pause of a test.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Short, because a test waits for the first one.
const PING_INTERVAL: Duration = Duration::from_secs(2);

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) webrtc: webrtc_transport::Behaviour,
    pub(crate) relay: relay::client::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) exchange: exchange::Behaviour,
    pub(crate) streams: libp2p_stream::Behaviour,
}

/// A swarm with a new identity that listens nowhere yet.
pub(crate) fn build() -> Result<Swarm<Behaviour>, JsError> {
    let key = identity::Keypair::generate_ed25519();
    let id = key.public().to_peer_id();
    let config = webrtc_transport::Config {
        // Nothing but signalling uses circuits here.
        circuit_grace: Some(Duration::ZERO),
        ..webrtc_transport::Config::default()
    };
    let (webrtc, webrtc_behaviour) = webrtc_transport::new(config)?;
    let (circuits, relay_client) = relay::client::new(id);
    let upgraded = circuits
        .or_transport(websocket_websys::Transport::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&key)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let transport = webrtc
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .or_transport(upgraded)
        .map(|either, _| either.into_inner())
        .boxed();
    let identify =
        identify::Config::new("/transport-page/1".into(), key.public()).with_agent_version(AGENT.into());
    let behaviour = Behaviour {
        webrtc: webrtc_behaviour,
        relay: relay_client,
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
        exchange: exchange::behaviour(&ExchangeConfig::default()),
        streams: libp2p_stream::Behaviour::new(),
    };
    let config = swarm::Config::with_wasm_executor()
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        // The name of the protocol travels with the first bytes, so that opening a stream costs no round trip.
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    Ok(Swarm::new(transport, behaviour, id, config))
}
