//! All transports of a browser, in the order in which they are asked whether an address is theirs.

use std::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::transport::{Boxed, OptionalTransport};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport as _, noise, relay, websocket_websys, yamux};

use crate::error::StartError;
use crate::options::{IceServer, StartOptions};

/// How long a connection to a relay may take to be made. A WebSocket that is refused says nothing before.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a circuit stays after a direct connection made it superfluous. Frames are spread over all connections to a
/// peer until then, so it is as short as the end of signalling allows.
const CIRCUIT_GRACE: Duration = Duration::from_millis(500);

/// The transport, and the behaviours that belong to two of its parts.
pub(super) type Parts = (
    Boxed<(PeerId, StreamMuxerBox)>,
    relay::client::Behaviour,
    webrtc_transport::Behaviour,
);

pub(super) fn build(keypair: &Keypair, options: &StartOptions) -> Result<Parts, StartError> {
    let me = keypair.public().to_peer_id();
    let unsupported = |error: &dyn std::fmt::Display| StartError::Unsupported(error.to_string());
    let (webrtc, signalling) =
        webrtc_transport::new(webrtc_config(options)).map_err(|error| unsupported(&error))?;
    let (circuits, relay) = relay::client::new(me);
    let noise = noise::Config::new(keypair).map_err(|error| unsupported(&error))?;
    let sockets = options.transports.ws.then(websocket_websys::Transport::default);
    let upgraded = circuits
        .or_transport(sockets.map_or_else(OptionalTransport::none, OptionalTransport::some))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(CONNECT_TIMEOUT)
        .boxed();
    let direct = options.transports.webrtc_direct.then(|| {
        let config = libp2p_webrtc_websys::Config::new(keypair);
        let direct = libp2p_webrtc_websys::Transport::new(config)
            .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
        TransportTimeout::new(direct, CONNECT_TIMEOUT).boxed()
    });
    // webrtc-direct comes last: it would take a circuit over it for a plain dial to the relay.
    let transport = webrtc
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .or_transport(upgraded)
        .map(|either, _| either.into_inner())
        .or_transport(direct.map_or_else(OptionalTransport::none, OptionalTransport::some))
        .map(|either, _| either.into_inner())
        .boxed();
    Ok((transport, relay, signalling))
}

pub(super) fn ice_server(server: &IceServer) -> webrtc_transport::IceServer {
    webrtc_transport::IceServer {
        urls: server.urls.clone(),
        username: server.username.clone(),
        credential: server.credential.clone(),
    }
}

fn webrtc_config(options: &StartOptions) -> webrtc_transport::Config {
    webrtc_transport::Config {
        ice_servers: options.ice_servers.iter().map(ice_server).collect(),
        circuit_grace: Some(CIRCUIT_GRACE),
        ..webrtc_transport::Config::default()
    }
}
