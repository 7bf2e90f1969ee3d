//! `/bootstrap.json`: how a page finds its relays, in which order their addresses are worth a try, and who helps two
//! browsers to find a path to each other.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use node_proto::order;
use serde::Deserialize;

use crate::address::{self, ADDRESS_BYTES_MAX};
use crate::options::{ICE_SERVERS_MAX, IceServer, Transports};
use crate::status::TransportKind;

/// Longest file that is read.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// Most addresses of one relay that are looked at.
const ADDRESSES_MAX: usize = 32;
/// Relays that are used at the same time: one may vanish, and more would only cost them and the battery.
pub(crate) const RELAYS_MAX: usize = 3;
/// Longest URL of an ICE server, and most of one server.
const ICE_URL_BYTES_MAX: usize = 256;
const ICE_URLS_MAX: usize = 4;

/// What the page's relay tells: itself first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bootstrap {
    pub(crate) relays: Vec<Relay>,
    pub(crate) ice_servers: Vec<IceServer>,
}

/// One relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relay {
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
    /// Reads the file. Other relays, addresses and ICE servers that cannot be used are left out.
    pub(crate) fn from_json(json: &str) -> Result<Self, BootstrapError> {
        let file: File =
            serde_json::from_str(json).map_err(|error| BootstrapError::Json(error.to_string()))?;
        let own = Relay::read(&file.own).ok_or(BootstrapError::Peer)?;
        let mut relays = vec![own];
        for other in file.relays.iter().filter_map(Relay::read) {
            if relays.len() < RELAYS_MAX && relays.iter().all(|known| known.peer != other.peer) {
                relays.push(other);
            }
        }
        let mut ice_servers = file.ice_servers;
        ice_servers.retain(is_usable);
        ice_servers.truncate(ICE_SERVERS_MAX);
        Ok(Self { relays, ice_servers })
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(flatten)]
    own: Door,
    #[serde(default)]
    relays: Vec<Door>,
    #[serde(default)]
    ice_servers: Vec<IceServer>,
}

#[derive(Deserialize)]
struct Door {
    peer_id: String,
    addresses: Vec<String>,
}

/// A browser refuses to make any connection when one of its ICE servers is not to its liking.
fn is_usable(server: &IceServer) -> bool {
    let scheme = |url: &String, schemes: [&str; 2]| schemes.iter().any(|scheme| url.starts_with(scheme));
    let turn = |url: &String| scheme(url, ["turn:", "turns:"]);
    let account = server.username.is_some() && server.credential.is_some();
    (1..=ICE_URLS_MAX).contains(&server.urls.len())
        && server.urls.iter().all(|url| {
            url.len() <= ICE_URL_BYTES_MAX && (scheme(url, ["stun:", "stuns:"]) || (turn(url) && account))
        })
}

impl Relay {
    fn read(door: &Door) -> Option<Self> {
        let peer: PeerId = door.peer_id.parse().ok()?;
        // The core knows nodes by their Ed25519 key.
        address::node_id(&peer)?;
        let addresses = door
            .addresses
            .iter()
            .take(ADDRESSES_MAX)
            .filter(|text| text.len() <= ADDRESS_BYTES_MAX)
            .filter_map(|text| text.parse::<Multiaddr>().ok())
            .filter_map(|address| address.with_p2p(peer).ok())
            .collect();
        Some(Self { peer, addresses })
    }

    /// The addresses that may work from here, the best first: WebSocket before WebRTC, the page's own host first.
    pub(crate) fn candidates(&self, place: &Place<'_>) -> Vec<Multiaddr> {
        let candidates: Vec<(bool, bool, &Multiaddr)> = self
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
        order::sorted(&candidates, |a, b| (a.0, a.1).cmp(&(b.0, b.1)))
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
        bootstrap.relays[0]
            .candidates(&place)
            .into_iter()
            .map(strip)
            .collect()
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
            bootstrap(&["nonsense", "/ip4/1.2.3.4/tcp/80/ws"]).relays[0]
                .addresses
                .len(),
            1
        );
    }

    #[test]
    fn other_relays_and_ice_servers_are_bounded_and_checked() {
        let relay =
            |peer: &str| serde_json::json!({ "peer_id": peer, "addresses": ["/ip4/10.0.0.2/tcp/80/ws"] });
        let key = || {
            libp2p::identity::Keypair::generate_ed25519()
                .public()
                .to_peer_id()
                .to_string()
        };
        let server = |url: &str| serde_json::json!({ "urls": [url] });
        let turn = serde_json::json!({ "urls": ["turn:t.example"], "username": "a", "credential": "b" });
        let file = serde_json::json!({
            "peer_id": PEER,
            "addresses": [],
            "relays": [relay(PEER), relay("nobody"), relay(&key()), relay(&key()), relay(&key())],
            "ice_servers": [server("stun:10.0.0.1:3481"), turn, server("turn:t.example"), server("http://e.example"), { "urls": [] }],
        });
        let read = Bootstrap::from_json(&file.to_string()).unwrap();
        assert_eq!(read.relays.len(), RELAYS_MAX);
        assert_eq!(read.relays[0].peer.to_string(), PEER);
        let urls: Vec<_> = read.ice_servers.iter().flat_map(|server| &server.urls).collect();
        assert_eq!(urls, ["stun:10.0.0.1:3481", "turn:t.example"]);
    }
}
