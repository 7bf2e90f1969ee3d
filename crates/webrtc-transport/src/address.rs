//! Addresses of browser-to-browser connections.
//!
//! A peer is dialled at `<relay>/p2p-circuit/webrtc/p2p/<peer>`: what stands before `/webrtc` is where the two sides
//! signal, what stands after it is whom they connect. Without a circuit (`/webrtc/p2p/<peer>`) the address means
//! "over whatever connection to the peer already exists".

use libp2p_core::{ConnectedPoint, Multiaddr, multiaddr::Protocol};
use libp2p_identity::PeerId;

use crate::error::Error;

/// How the two ends of a connection reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// Browser to browser over WebRTC; nobody in between sees more than encrypted packets, if anything.
    Direct,
    /// Through a relay's circuit: end-to-end encrypted, but limited in time and volume.
    Relayed,
    /// Straight to a server that can be dialled: WebSocket, webrtc-direct, TCP.
    Server,
}

impl Route {
    /// Classifies an established connection.
    pub fn of(endpoint: &ConnectedPoint) -> Self {
        match endpoint {
            ConnectedPoint::Dialer { address, .. } => Self::of_address(address),
            // An accepted circuit shows in the local address only; its sender's address is just `/p2p/<peer>`.
            ConnectedPoint::Listener { local_addr, .. } => Self::of_address(local_addr),
        }
    }

    /// Classifies an address by its outermost hop.
    pub fn of_address(address: &Multiaddr) -> Self {
        address
            .iter()
            .fold(Route::Server, |route, protocol| match protocol {
                Protocol::WebRTC => Route::Direct,
                Protocol::P2pCircuit => Route::Relayed,
                _ => route,
            })
    }
}

/// Whether a connection at this address is a direct one between two browsers.
pub fn is_webrtc_direct_peer(address: &Multiaddr) -> bool {
    Route::of_address(address) == Route::Direct
}

/// The address under which a peer that listens on `circuit` can be dialled browser to browser.
///
/// `circuit` is a relay-client listen address, with or without its final `/p2p/<peer>`.
pub fn webrtc_address(circuit: &Multiaddr, peer: PeerId) -> Multiaddr {
    let mut address = circuit.clone();
    if let Some(Protocol::P2p(last)) = address.iter().last()
        && last == peer
    {
        address.pop();
    }
    address.with(Protocol::WebRTC).with(Protocol::P2p(peer))
}

/// The address to show for a peer that signalled over this connection and was accepted.
///
/// It names the circuit where there is one: an address that begins with neither an IP address nor a name, told back to
/// the peer by identify as the one that we see it at, makes js-libp2p reject the whole of identify.
pub(crate) fn accepted_address(signalled_over: &ConnectedPoint, peer: PeerId) -> Multiaddr {
    let end = match signalled_over {
        ConnectedPoint::Dialer { address, .. } => address,
        ConnectedPoint::Listener { local_addr, .. } => local_addr,
    };
    match Route::of_address(end) {
        Route::Relayed => webrtc_address(end, peer),
        Route::Direct | Route::Server => Multiaddr::from(Protocol::WebRTC).with(Protocol::P2p(peer)),
    }
}

/// A dialled address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) peer: PeerId,
    /// Where to signal when there is no connection to the peer yet.
    pub(crate) circuit: Option<Multiaddr>,
}

impl Target {
    /// Takes an address apart; `None` when it belongs to another transport.
    pub(crate) fn parse(address: &Multiaddr) -> Option<Result<Self, Error>> {
        let (prefix, suffix) = split(address)?;
        Some(Self::from_parts(prefix, suffix))
    }

    fn from_parts(prefix: Multiaddr, suffix: Multiaddr) -> Result<Self, Error> {
        let mut suffix = suffix.iter();
        let (Some(Protocol::P2p(peer)), None) = (suffix.next(), suffix.next()) else {
            return Err(Error::Address(
                "`/webrtc` must be followed by `/p2p/<peer>` and nothing else",
            ));
        };
        let circuit = match prefix.iter().last() {
            None => None,
            Some(Protocol::P2pCircuit) => Some(prefix.with(Protocol::P2p(peer))),
            Some(_) => return Err(Error::Address("only `/p2p-circuit` may stand before `/webrtc`")),
        };
        Ok(Self { peer, circuit })
    }
}

/// What a listener was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListenOn {
    /// `/webrtc`: every circuit that the relay client listens on.
    AnyCircuit,
    /// `<circuit>/webrtc`: this circuit, which is asked for if need be.
    Circuit(Multiaddr),
}

impl ListenOn {
    /// Takes a listen address apart; `None` when it belongs to another transport.
    pub(crate) fn parse(address: &Multiaddr) -> Option<Result<Self, Error>> {
        let (prefix, suffix) = split(address)?;
        let nothing_or_self =
            suffix.iter().count() <= 1 && suffix.iter().all(|p| matches!(p, Protocol::P2p(_)));
        if !nothing_or_self {
            return Some(Err(Error::Address("`/webrtc` must end a listen address")));
        }
        Some(match prefix.iter().last() {
            None => Ok(Self::AnyCircuit),
            Some(Protocol::P2pCircuit) if relay_of(&prefix).is_none() => Err(Error::Address(
                "the relay's `/p2p/<peer>` must stand before `/p2p-circuit`",
            )),
            Some(Protocol::P2pCircuit) => Ok(Self::Circuit(prefix)),
            Some(_) => Err(Error::Address("only `/p2p-circuit` may stand before `/webrtc`")),
        })
    }
}

/// The relay of a circuit address: the peer named before `/p2p-circuit`.
pub(crate) fn relay_of(circuit: &Multiaddr) -> Option<PeerId> {
    let before = circuit
        .iter()
        .take_while(|protocol| !matches!(protocol, Protocol::P2pCircuit));
    before
        .filter_map(|protocol| match protocol {
            Protocol::P2p(relay) => Some(relay),
            _ => None,
        })
        .last()
}

/// Whether this is a relay-client listen address: `<relay>/p2p-circuit`, perhaps with the own peer id.
pub(crate) fn is_circuit_listen_address(address: &Multiaddr) -> bool {
    let mut tail = address
        .iter()
        .skip_while(|p| !matches!(p, Protocol::P2pCircuit))
        .skip(1);
    address.iter().any(|p| matches!(p, Protocol::P2pCircuit))
        && tail.next().is_none_or(|p| matches!(p, Protocol::P2p(_)))
        && tail.next().is_none()
}

/// Splits at the last `/webrtc`, so that a circuit over a browser-to-browser connection can be told apart from a
/// browser-to-browser connection over a circuit.
fn split(address: &Multiaddr) -> Option<(Multiaddr, Multiaddr)> {
    if Route::of_address(address) != Route::Direct {
        return None;
    }
    let at = address
        .iter()
        .collect::<Vec<_>>()
        .iter()
        .rposition(|p| matches!(p, Protocol::WebRTC))?;
    Some((
        address.iter().take(at).collect(),
        address.iter().skip(at + 1).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str = "/ip4/127.0.0.1/tcp/9000/ws/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    const PEER: &str = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_dialled_address_names_peer_and_circuit() {
        let target = Target::parse(&address(&format!("{RELAY}/p2p-circuit/webrtc/p2p/{PEER}")))
            .unwrap()
            .unwrap();
        assert_eq!(target.peer, PEER.parse().unwrap());
        assert_eq!(
            target.circuit,
            Some(address(&format!("{RELAY}/p2p-circuit/p2p/{PEER}")))
        );
        let bare = Target::parse(&address(&format!("/webrtc/p2p/{PEER}")))
            .unwrap()
            .unwrap();
        assert_eq!(bare.circuit, None);
    }

    #[test]
    fn other_transports_addresses_are_left_alone() {
        for other in [
            RELAY.to_string(),
            format!("{RELAY}/p2p-circuit/p2p/{PEER}"),
            format!("{RELAY}/p2p-circuit/webrtc/p2p/{PEER}/p2p-circuit"),
            "/ip4/127.0.0.1/udp/9000/webrtc-direct".into(),
        ] {
            assert_eq!(Target::parse(&address(&other)).map(|_| ()), None, "{other}");
            assert_eq!(ListenOn::parse(&address(&other)).map(|_| ()), None, "{other}");
        }
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for bad in [
            format!("{RELAY}/p2p-circuit/webrtc"),
            format!("{RELAY}/webrtc/p2p/{PEER}"),
            format!("{RELAY}/p2p-circuit/webrtc/p2p/{PEER}/p2p/{PEER}"),
        ] {
            assert!(Target::parse(&address(&bad)).unwrap().is_err(), "{bad}");
        }
        assert!(
            ListenOn::parse(&address(&format!("{RELAY}/webrtc")))
                .unwrap()
                .is_err()
        );
    }

    #[test]
    fn listening_follows_any_circuit_or_one() {
        assert_eq!(
            ListenOn::parse(&address("/webrtc")).unwrap().unwrap(),
            ListenOn::AnyCircuit
        );
        let one = ListenOn::parse(&address(&format!("{RELAY}/p2p-circuit/webrtc")))
            .unwrap()
            .unwrap();
        assert_eq!(one, ListenOn::Circuit(address(&format!("{RELAY}/p2p-circuit"))));
    }

    #[test]
    fn a_circuit_is_its_relays_whatever_the_relay_is_called() {
        let relay = relay_of(&address(&format!("{RELAY}/p2p-circuit/p2p/{PEER}")));
        assert_eq!(relay, relay_of(&address(&format!("{RELAY}/p2p-circuit"))));
        assert_ne!(relay, Some(PEER.parse().unwrap()));
        assert_eq!(relay_of(&address(&format!("/p2p-circuit/p2p/{PEER}"))), None);
    }

    #[test]
    fn circuits_become_browser_addresses() {
        let expected = address(&format!("{RELAY}/p2p-circuit/webrtc/p2p/{PEER}"));
        let peer = PEER.parse().unwrap();
        assert_eq!(
            webrtc_address(&address(&format!("{RELAY}/p2p-circuit")), peer),
            expected
        );
        assert_eq!(
            webrtc_address(&address(&format!("{RELAY}/p2p-circuit/p2p/{PEER}")), peer),
            expected
        );
        assert!(is_circuit_listen_address(&address(&format!(
            "{RELAY}/p2p-circuit/p2p/{PEER}"
        ))));
        assert!(!is_circuit_listen_address(&expected));
        assert!(!is_circuit_listen_address(&address(RELAY)));
    }

    #[test]
    fn routes_follow_the_outermost_hop() {
        let route = |text: &str| Route::of_address(&address(text));
        assert_eq!(route(RELAY), Route::Server);
        assert_eq!(route("/ip4/10.0.0.1/udp/9000/webrtc-direct"), Route::Server);
        assert_eq!(route(&format!("{RELAY}/p2p-circuit/p2p/{PEER}")), Route::Relayed);
        assert_eq!(
            route(&format!("{RELAY}/p2p-circuit/webrtc/p2p/{PEER}")),
            Route::Direct
        );
        assert_eq!(
            route(&format!("/webrtc/p2p/{PEER}/p2p-circuit/p2p/{PEER}")),
            Route::Relayed
        );
        let accepted = ConnectedPoint::Listener {
            local_addr: address(&format!("{RELAY}/p2p-circuit")),
            send_back_addr: address(&format!("/p2p/{PEER}")),
        };
        assert_eq!(Route::of(&accepted), Route::Relayed);
    }

    #[test]
    fn an_accepted_peer_is_shown_behind_its_circuit() {
        let peer: PeerId = PEER.parse().unwrap();
        let shown = address(&format!("{RELAY}/p2p-circuit/webrtc/p2p/{PEER}"));
        let listener = |local_addr| ConnectedPoint::Listener {
            local_addr,
            send_back_addr: address(&format!("/p2p/{PEER}")),
        };
        assert_eq!(
            accepted_address(&listener(address(&format!("{RELAY}/p2p-circuit"))), peer),
            shown
        );
        let dialled = ConnectedPoint::Dialer {
            address: address(&format!("{RELAY}/p2p-circuit/p2p/{PEER}")),
            role_override: libp2p_core::Endpoint::Dialer,
            port_use: libp2p_core::transport::PortUse::Reuse,
        };
        assert_eq!(accepted_address(&dialled, peer), shown);
        assert_eq!(
            accepted_address(&listener(address("/webrtc")), peer),
            address(&format!("/webrtc/p2p/{PEER}"))
        );
    }
}
