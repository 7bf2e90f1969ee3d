//! Shows browser-to-browser connections to libp2p-relay as what they are.
//!
//! libp2p-relay takes every address with a `/p2p-circuit` in it for a circuit and serves nobody there. The address
//! `<relay>/p2p-circuit/webrtc/p2p/<peer>` names a circuit only because that is where the two sides signalled; the
//! connection itself is direct. So the wrapped behaviour sees `/webrtc/p2p/<peer>` instead, which is also how the other
//! side's swarm shows the same connection.
//!
//! External addresses are kept from it: a tab can be reached through circuits alone, which its own circuits must not be
//! built on. What a tab says of itself as a relay is up to [`coordinator`](super::coordinator).

use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
    behaviour::{ConnectionClosed, ConnectionEstablished},
};
use libp2p::{Multiaddr, PeerId};

use crate::address::{peer_of, transport_of};
use crate::status::TransportKind;

/// The wrapped behaviour.
pub(super) struct Unrelayed<B>(pub(super) B);

/// The address without the circuit that was only signalled over.
fn plain(address: &Multiaddr) -> Multiaddr {
    match (transport_of(address), peer_of(address)) {
        (TransportKind::Webrtc, Some(peer)) => Multiaddr::from(Protocol::WebRTC).with(Protocol::P2p(peer)),
        _ => address.clone(),
    }
}

fn plain_endpoint(endpoint: &ConnectedPoint) -> ConnectedPoint {
    match endpoint.clone() {
        ConnectedPoint::Dialer {
            address,
            role_override,
            port_use,
        } => ConnectedPoint::Dialer {
            address: plain(&address),
            role_override,
            port_use,
        },
        accepted @ ConnectedPoint::Listener { .. } => accepted,
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Unrelayed<B> {
    type ConnectionHandler = B::ConnectionHandler;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.0
            .handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.0
            .handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.0
            .handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.0
            .handle_established_outbound_connection(connection, peer, &plain(address), role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                let endpoint = &plain_endpoint(event.endpoint);
                let event = ConnectionEstablished { endpoint, ..event };
                self.0.on_swarm_event(FromSwarm::ConnectionEstablished(event));
            }
            FromSwarm::ConnectionClosed(event) => {
                let endpoint = &plain_endpoint(event.endpoint);
                let event = ConnectionClosed { endpoint, ..event };
                self.0.on_swarm_event(FromSwarm::ConnectionClosed(event));
            }
            FromSwarm::NewExternalAddrCandidate(_)
            | FromSwarm::ExternalAddrConfirmed(_)
            | FromSwarm::ExternalAddrExpired(_) => {}
            event => self.0.on_swarm_event(event),
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.0.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.0.poll(cx)
    }
}
