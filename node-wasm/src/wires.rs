//! Every open connection, and what the core is told of them: one path per peer.
//!
//! A peer can be connected more than once: through a circuit, by which the direct connection was signalled, and
//! directly, when both sides dialled at the same time. The exchange protocol spreads its frames over all of them, so a
//! peer counts as [`Path::Direct`] only once its circuits are gone.

use litemap::LiteMap;

use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use node_proto::ids::NodeId;
use node_proto::io::{Input, Path};

use crate::address::{node_id, path_of};
use crate::status::{ConnectionStatus, Role, TransportKind};

/// One open connection.
#[derive(Clone, Debug)]
struct Wire {
    peer: PeerId,
    node: NodeId,
    transport: TransportKind,
    address: String,
    rtt_ms: Option<u32>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wires {
    open: LiteMap<ConnectionId, Wire>,
}

impl Wires {
    /// A connection stands. What the core hears of it; nothing if the peer's key is not one of this network's.
    pub(crate) fn opened(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        transport: TransportKind,
        address: String,
    ) -> Option<Input> {
        let node = node_id(&peer)?;
        let before = self.path(&peer);
        self.open.insert(
            id,
            Wire {
                peer,
                node,
                transport,
                address,
                rtt_ms: None,
            },
        );
        self.change(&peer, node, before)
    }

    /// A connection is gone. What the core hears of it.
    pub(crate) fn closed(&mut self, id: ConnectionId) -> Option<Input> {
        let peer = self.open.get(&id)?.peer;
        let before = self.path(&peer);
        let wire = self.open.remove(&id)?;
        self.change(&peer, wire.node, before)
    }

    /// A round trip was measured.
    pub(crate) fn pinged(&mut self, id: ConnectionId, rtt_ms: u32) -> Option<Input> {
        let wire = self.open.get_mut(&id)?;
        wire.rtt_ms = Some(rtt_ms);
        Some(Input::RoundTrip {
            peer: wire.node,
            rtt_ms,
        })
    }

    /// Whether any connection to the peer stands.
    pub(crate) fn has(&self, peer: &PeerId) -> bool {
        self.open.values().any(|wire| wire.peer == *peer)
    }

    /// Direct connections to nodes.
    pub(crate) fn direct(&self) -> usize {
        self.open
            .values()
            .filter(|wire| wire.transport == TransportKind::Webrtc)
            .count()
    }

    /// Whether a direct connection to the peer stands.
    pub(crate) fn is_direct(&self, peer: &PeerId) -> bool {
        self.open
            .values()
            .any(|wire| wire.peer == *peer && wire.transport == TransportKind::Webrtc)
    }

    /// The newest round trip to a peer.
    pub(crate) fn rtt_ms(&self, peer: &PeerId) -> Option<u32> {
        self.open
            .values()
            .filter(|wire| wire.peer == *peer)
            .find_map(|wire| wire.rtt_ms)
    }

    /// For people.
    pub(crate) fn status(&self) -> Vec<ConnectionStatus> {
        let role = |transport| match path_of(transport) {
            Path::Server => Role::Relay,
            Path::Direct | Path::Relayed => Role::Node,
        };
        self.open
            .values()
            .map(|wire| ConnectionStatus {
                peer: wire.node,
                role: role(wire.transport),
                transport: wire.transport,
                address: wire.address.clone(),
                rtt_ms: wire.rtt_ms,
            })
            .collect()
    }

    fn change(&self, peer: &PeerId, node: NodeId, before: Option<Path>) -> Option<Input> {
        match self.path(peer) {
            after if after == before => None,
            Some(path) => Some(Input::Connected { peer: node, path }),
            None => Some(Input::Disconnected { peer: node }),
        }
    }

    /// The path that every frame to the peer is sure to take.
    fn path(&self, peer: &PeerId) -> Option<Path> {
        let paths = || {
            self.open
                .values()
                .filter(|wire| wire.peer == *peer)
                .map(|wire| path_of(wire.transport))
        };
        if paths().any(|path| path == Path::Relayed) {
            return Some(Path::Relayed);
        }
        paths().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn peer() -> PeerId {
        libp2p::identity::Keypair::generate_ed25519()
            .public()
            .to_peer_id()
    }

    #[test]
    fn a_peer_is_direct_once_its_circuit_is_gone() {
        let (mut wires, peer) = (Wires::default(), peer());
        let circuit = wires.opened(id(1), peer, TransportKind::Relayed, String::new());
        assert!(matches!(
            circuit,
            Some(Input::Connected {
                path: Path::Relayed,
                ..
            })
        ));
        assert!(
            wires
                .opened(id(2), peer, TransportKind::Webrtc, String::new())
                .is_none()
        );
        assert_eq!(wires.direct(), 1);
        assert!(matches!(
            wires.closed(id(1)),
            Some(Input::Connected {
                path: Path::Direct,
                ..
            })
        ));
        assert!(matches!(wires.closed(id(2)), Some(Input::Disconnected { .. })));
        assert!(!wires.has(&peer));
    }

    #[test]
    fn a_second_connection_of_the_same_kind_changes_nothing() {
        let (mut wires, peer) = (Wires::default(), peer());
        assert!(
            wires
                .opened(id(1), peer, TransportKind::Webrtc, String::new())
                .is_some()
        );
        assert!(
            wires
                .opened(id(2), peer, TransportKind::Webrtc, String::new())
                .is_none()
        );
        assert!(wires.is_direct(&peer));
        assert!(wires.closed(id(1)).is_none());
        assert!(wires.closed(id(7)).is_none());
    }

    #[test]
    fn a_round_trip_belongs_to_its_connection() {
        let (mut wires, peer) = (Wires::default(), peer());
        wires.opened(id(1), peer, TransportKind::Websocket, "/ws".into());
        assert!(matches!(
            wires.pinged(id(1), 12),
            Some(Input::RoundTrip { rtt_ms: 12, .. })
        ));
        assert!(wires.pinged(id(2), 12).is_none());
        let status = wires.status();
        assert_eq!((status[0].role, status[0].rtt_ms), (Role::Relay, Some(12)));
        assert_eq!(wires.rtt_ms(&peer), Some(12));
    }

    #[test]
    fn a_peer_with_another_kind_of_key_is_left_out() {
        let mut wires = Wires::default();
        assert!(
            wires
                .opened(id(1), PeerId::random(), TransportKind::Webrtc, String::new())
                .is_none()
        );
        assert!(wires.status().is_empty());
    }
}
