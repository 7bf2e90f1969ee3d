//! What a multiaddr says: how bytes travel there, whether a browser can dial it, and who is behind it.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use node_proto::ids::NodeId;
use node_proto::io::Path;
use node_proto::order;

use crate::error::CommandError;
use crate::status::TransportKind;

/// Longest text of an address that is looked at; a webrtc-direct address through a relay has about 350.
pub const ADDRESS_BYTES_MAX: usize = 1024;

/// Most addresses of one peer that are tried.
pub const ADDRESSES_MAX: usize = 8;

/// How bytes travel to an address.
#[must_use]
pub fn transport_of(address: &Multiaddr) -> TransportKind {
    let has = |wanted: fn(&Protocol<'_>) -> bool| address.iter().any(|part| wanted(&part));
    // The last hop counts: browsers signal over circuits, and a browser can be the circuit's relay.
    let hop = address.iter().filter_map(|part| match part {
        Protocol::WebRTC => Some(TransportKind::Webrtc),
        Protocol::P2pCircuit => Some(TransportKind::Relayed),
        _ => None,
    });
    if let Some(hop) = hop.last() {
        hop
    } else if has(|part| matches!(part, Protocol::WebRTCDirect)) {
        TransportKind::WebrtcDirect
    } else if has(|part| matches!(part, Protocol::Ws(_) | Protocol::Wss(_))) {
        TransportKind::Websocket
    } else if has(|part| matches!(part, Protocol::Tcp(_))) {
        TransportKind::Tcp
    } else {
        TransportKind::Other
    }
}

/// What the core calls it.
#[must_use]
pub fn path_of(transport: TransportKind) -> Path {
    match transport {
        TransportKind::Webrtc => Path::Direct,
        TransportKind::Relayed => Path::Relayed,
        TransportKind::WebrtcDirect
        | TransportKind::Websocket
        | TransportKind::Tcp
        | TransportKind::Other => Path::Server,
    }
}

/// Reads an address that a person or a peer gave, if a browser can dial it.
///
/// # Errors
/// If it is too long, malformed, or of a transport that browsers lack.
pub fn parse_dialable(text: &str) -> Result<Multiaddr, CommandError> {
    let refuse = |why: &str| Err(CommandError::InvalidAddress(why.to_owned()));
    let text = text.trim();
    if text.len() > ADDRESS_BYTES_MAX {
        return refuse("it is too long");
    }
    let Ok(address) = text.parse::<Multiaddr>() else {
        return refuse("it is not a multiaddr such as /dns4/relay.example/tcp/443/wss/p2p/12D3KooW…");
    };
    match transport_of(&address) {
        TransportKind::Tcp | TransportKind::Other => {
            refuse("a browser can dial /ws, /wss, /webrtc-direct and /p2p-circuit/webrtc only")
        }
        TransportKind::Webrtc | TransportKind::Relayed if peer_of(&address).is_none() => {
            refuse("it does not end with /p2p/ and the peer's id")
        }
        _ => Ok(address),
    }
}

/// The addresses of a peer, as it announced them, that are worth a try: bounded, parsed, WebRTC only and really its own.
#[must_use]
pub fn announced(peer: PeerId, texts: &[String]) -> Vec<Multiaddr> {
    let own = |address: Multiaddr| match peer_of(&address) {
        Some(named) => (named == peer).then_some(address),
        None => Some(address.with(Protocol::P2p(peer))),
    };
    texts
        .iter()
        .take(ADDRESSES_MAX)
        .filter(|text| text.len() <= ADDRESS_BYTES_MAX)
        .filter_map(|text| text.parse::<Multiaddr>().ok())
        .filter(|address| transport_of(address) == TransportKind::Webrtc)
        .filter_map(own)
        .collect()
}

/// Which of the addresses that this node listens on others may be told: those whose relay a browser can dial, the
/// WebSocket ones first, and last those through another tab, which only its neighbours can use.
#[must_use]
pub fn worth_announcing<'a>(listening: impl IntoIterator<Item = &'a Multiaddr>) -> Vec<String> {
    let rank = |address: &Multiaddr| match transport_of(&before_circuit(address)) {
        TransportKind::Websocket => Some(0),
        TransportKind::WebrtcDirect => Some(1),
        TransportKind::Webrtc => Some(2),
        TransportKind::Relayed | TransportKind::Tcp | TransportKind::Other => None,
    };
    let ranked: Vec<(u8, &Multiaddr)> = listening
        .into_iter()
        .filter_map(|address| rank(address).map(|rank| (rank, address)))
        .collect();
    order::sorted(&ranked, |(a, _), (b, _)| a.cmp(b))
        .into_iter()
        .take(ADDRESSES_MAX)
        .map(|(_, address)| address.to_string())
        .collect()
}

/// Who relays the circuit of an address, and how one gets to it: [`TransportKind::Webrtc`] is another tab.
#[must_use]
pub fn relay_of(address: &Multiaddr) -> Option<(PeerId, TransportKind)> {
    let relay = before_circuit(address);
    peer_of(&relay).map(|peer| (peer, transport_of(&relay)))
}

fn before_circuit(address: &Multiaddr) -> Multiaddr {
    address
        .iter()
        .take_while(|part| !matches!(part, Protocol::P2pCircuit))
        .collect()
}

/// Under which address others reach this node through a relay.
#[must_use]
pub fn through_relay(relay: &Multiaddr, me: PeerId) -> Multiaddr {
    relay
        .clone()
        .with(Protocol::P2pCircuit)
        .with(Protocol::WebRTC)
        .with(Protocol::P2p(me))
}

/// The peer at the end of an address: the one named last, if nothing follows it.
#[must_use]
pub fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// The core's name of a peer. `None`: its key is not Ed25519, so it is no node of this network.
#[must_use]
pub fn node_id(peer: &PeerId) -> Option<NodeId> {
    NodeId::from_peer_id_bytes(&peer.to_bytes()).ok()
}

/// libp2p's name of a node. `None` cannot happen for an id that a node really has.
#[must_use]
pub fn peer_id(node: &NodeId) -> Option<PeerId> {
    PeerId::from_bytes(&node.to_peer_id_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str = "/ip4/127.0.0.1/tcp/8080/ws/p2p/12D3KooWCRwPxBsGK4NYBUPz6UzsqyE8DmcUu8tGqRWGYd37S5JM";
    const HASH: &str = "uEiDikp5KVUgkLta1EjUN-IKbHk-dUBg8VzKgf5nXxLK46w";

    fn transport(text: &str) -> TransportKind {
        transport_of(&text.parse().unwrap())
    }

    #[test]
    fn addresses_name_their_transport() {
        assert_eq!(transport(RELAY), TransportKind::Websocket);
        assert_eq!(
            transport("/dns4/a.example/tcp/443/tls/ws"),
            TransportKind::Websocket
        );
        assert_eq!(transport(&format!("{RELAY}/p2p-circuit")), TransportKind::Relayed);
        assert_eq!(
            transport(&format!("{RELAY}/p2p-circuit/webrtc")),
            TransportKind::Webrtc
        );
        assert_eq!(
            transport(&format!("/ip4/10.0.0.1/udp/9/webrtc-direct/certhash/{HASH}")),
            TransportKind::WebrtcDirect
        );
        let tab = format!("/webrtc/p2p/{}/p2p-circuit", PeerId::random());
        assert_eq!(transport(&tab), TransportKind::Relayed);
        assert_eq!(transport(&format!("{tab}/webrtc")), TransportKind::Webrtc);
        assert_eq!(transport("/ip4/10.0.0.1/tcp/9"), TransportKind::Tcp);
    }

    #[test]
    fn what_a_browser_cannot_dial_is_refused_with_a_reason() {
        let too_long = "/ws".repeat(ADDRESS_BYTES_MAX);
        let circuit = format!("{RELAY}/p2p-circuit/webrtc");
        for wrong in [
            "",
            "hello",
            "/ip4/10.0.0.1/tcp/9",
            "/ip4/300.0.0.1/tcp/9/ws",
            &too_long,
            &circuit,
        ] {
            assert!(
                matches!(parse_dialable(wrong), Err(CommandError::InvalidAddress(_))),
                "{wrong}"
            );
        }
        assert!(parse_dialable(RELAY).is_ok());
    }

    #[test]
    fn only_a_peers_own_webrtc_addresses_are_tried() {
        let (me, other) = (PeerId::random(), PeerId::random());
        let relay: Multiaddr = RELAY.parse().unwrap();
        let mine = through_relay(&relay, me);
        let texts: Vec<String> = [
            mine.to_string(),
            through_relay(&relay, other).to_string(),
            format!("{RELAY}/p2p-circuit/webrtc"),
            RELAY.to_owned(),
            "nonsense".to_owned(),
        ]
        .into();
        assert_eq!(announced(me, &texts), [mine.clone(), mine.clone()]);
        assert_eq!(announced(me, &vec![mine.to_string(); 100]).len(), ADDRESSES_MAX);
    }

    #[test]
    fn only_relays_that_browsers_can_dial_are_announced() {
        let me = PeerId::random();
        let through = |relay: &str| through_relay(&relay.parse().unwrap(), me);
        let direct = format!("/ip4/10.0.0.1/udp/9/webrtc-direct/certhash/{HASH}");
        let tab = format!("/webrtc/p2p/{me}");
        let listening = [
            through("/ip4/10.0.0.1/tcp/4001"),
            through(&tab),
            through(&direct),
            through(RELAY),
        ];
        let expected = [RELAY, &direct, &tab].map(|relay| through(relay).to_string());
        assert_eq!(worth_announcing(&listening), expected);
        let relay = |address: &Multiaddr| relay_of(address).unwrap().1;
        assert_eq!(relay(&through(&tab)), TransportKind::Webrtc);
        assert_eq!(relay(&through(RELAY)), TransportKind::Websocket);
    }

    #[test]
    fn a_peer_id_is_the_nodes_key() {
        let key = libp2p::identity::Keypair::generate_ed25519();
        let peer = key.public().to_peer_id();
        let node = node_id(&peer).unwrap();
        assert_eq!(node.to_string(), peer.to_string());
        assert_eq!(peer_id(&node), Some(peer));
    }
}
