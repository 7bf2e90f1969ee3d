//! `/bootstrap.json`: how a page finds its relay, and in which order its addresses are worth a try.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use serde::Deserialize;

use crate::address::{self, ADDRESS_BYTES_MAX};
use crate::options::Transports;
use crate::status::TransportKind;

/// Longest file that is read.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// Most addresses that are looked at.
const ADDRESSES_MAX: usize = 32;

/// The relay, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bootstrap {
    pub(crate) peer: PeerId,
    pub(crate) addresses: Vec<Multiaddr>,
}

/// Why the file is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BootstrapError {
    #[error("the relay's description is not readable: {0}")]
    Json(String),
    #[error("the relay's identity is not one")]
    Peer,
}

/// What the page is, as far as it decides what may be dialled.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    /// An https page may not open `ws://`, except to its own machine.
    pub(crate) https: bool,
    /// Host of the relay's origin: the one that surely can be reached.
    pub(crate) host: &'a str,
    /// What the options allow.
    pub(crate) transports: Transports,
}

impl Bootstrap {
    /// Reads the file; addresses that cannot be read are left out.
    pub(crate) fn from_json(json: &str) -> Result<Self, BootstrapError> {
        #[derive(Deserialize)]
        struct File {
            peer_id: String,
            addresses: Vec<String>,
        }
        let file: File =
            serde_json::from_str(json).map_err(|error| BootstrapError::Json(error.to_string()))?;
        let peer: PeerId = file.peer_id.parse().map_err(|_| BootstrapError::Peer)?;
        // The core knows nodes by their Ed25519 key.
        address::node_id(&peer).ok_or(BootstrapError::Peer)?;
        let addresses = file
            .addresses
            .iter()
            .take(ADDRESSES_MAX)
            .filter(|text| text.len() <= ADDRESS_BYTES_MAX)
            .filter_map(|text| text.parse::<Multiaddr>().ok())
            .filter_map(|address| address.with_p2p(peer).ok())
            .collect();
        Ok(Self { peer, addresses })
    }

    /// The addresses that may work from here, the best first: WebSocket before WebRTC, the page's own host first.
    pub(crate) fn candidates(&self, place: &Place<'_>) -> Vec<Multiaddr> {
        let mut candidates: Vec<(bool, bool, &Multiaddr)> = self
            .addresses
            .iter()
            .filter_map(|address| {
                let websocket = match address::transport_of(address) {
                    TransportKind::Websocket => place.transports.ws && place.may_dial(address),
                    TransportKind::WebrtcDirect if place.transports.webrtc_direct => false,
                    _ => return None,
                };
                let allowed = websocket || address::transport_of(address) == TransportKind::WebrtcDirect;
                allowed.then(|| {
                    (
                        !websocket,
                        host_of(address).as_deref() != Some(place.host),
                        address,
                    )
                })
            })
            .collect();
        candidates.sort_by_key(|&(webrtc, foreign, _)| (webrtc, foreign));
        candidates
            .into_iter()
            .map(|(_, _, address)| address.clone())
            .collect()
    }
}

impl Place<'_> {
    fn may_dial(&self, websocket: &Multiaddr) -> bool {
        !self.https || is_secure(websocket) || host_of(websocket).is_some_and(|host| is_this_machine(&host))
    }
}

fn is_secure(websocket: &Multiaddr) -> bool {
    websocket
        .iter()
        .any(|part| matches!(part, Protocol::Tls | Protocol::Wss(_)))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
}

/// As it stands in a URL.
fn host_of(address: &Multiaddr) -> Option<String> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.to_string()),
        Protocol::Ip6(ip) => Some(format!("[{ip}]")),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(name.into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWCRwPxBsGK4NYBUPz6UzsqyE8DmcUu8tGqRWGYd37S5JM";
    const DIRECT: &str =
        "/ip4/10.0.0.1/udp/9/webrtc-direct/certhash/uEiDikp5KVUgkLta1EjUN-IKbHk-dUBg8VzKgf5nXxLK46w";

    fn bootstrap(addresses: &[&str]) -> Bootstrap {
        Bootstrap::from_json(&serde_json::json!({ "peer_id": PEER, "addresses": addresses }).to_string())
            .unwrap()
    }

    fn candidates(bootstrap: &Bootstrap, https: bool, host: &str, transports: Transports) -> Vec<String> {
        let place = Place {
            https,
            host,
            transports,
        };
        let suffix = format!("/p2p/{PEER}");
        let strip = |address: Multiaddr| address.to_string().replace(&suffix, "");
        bootstrap.candidates(&place).into_iter().map(strip).collect()
    }

    #[test]
    fn the_pages_own_host_comes_first_and_webrtc_last() {
        let bootstrap = bootstrap(&[
            DIRECT,
            "/ip4/10.0.0.1/tcp/80/ws",
            "/ip4/127.0.0.1/tcp/80/ws",
            "/ip4/10.0.0.1/tcp/4001",
        ]);
        let found = candidates(&bootstrap, false, "127.0.0.1", Transports::default());
        assert_eq!(
            found,
            ["/ip4/127.0.0.1/tcp/80/ws", "/ip4/10.0.0.1/tcp/80/ws", DIRECT]
        );
    }

    #[test]
    fn an_https_page_leaves_unencrypted_sockets_out() {
        let bootstrap = bootstrap(&["/ip4/10.0.0.1/tcp/80/ws", "/dns4/a.example/tcp/443/tls/ws"]);
        let found = candidates(&bootstrap, true, "a.example", Transports::default());
        assert_eq!(found, ["/dns4/a.example/tcp/443/tls/ws"]);
    }

    #[test]
    fn a_transport_that_is_switched_off_is_not_used() {
        let bootstrap = bootstrap(&[DIRECT, "/ip4/127.0.0.1/tcp/80/ws"]);
        let without =
            |ws, webrtc_direct| candidates(&bootstrap, false, "127.0.0.1", Transports { ws, webrtc_direct });
        assert_eq!(without(false, true), [DIRECT]);
        assert_eq!(without(true, false), ["/ip4/127.0.0.1/tcp/80/ws"]);
        assert!(without(false, false).is_empty());
    }

    #[test]
    fn a_file_that_is_not_one_is_refused() {
        assert!(matches!(
            Bootstrap::from_json("<html>"),
            Err(BootstrapError::Json(_))
        ));
        let wrong = r#"{"peer_id":"nobody","addresses":[]}"#;
        assert_eq!(Bootstrap::from_json(wrong), Err(BootstrapError::Peer));
        assert_eq!(
            bootstrap(&["nonsense", "/ip4/1.2.3.4/tcp/80/ws"]).addresses.len(),
            1
        );
    }
}
