//! Which addresses the relay tells whom.
//!
//! Listeners report what they really listen on; from that the book derives two lists:
//!
//! - what **reservations** carry ([`AddressBook::advertised`]): addresses under which *others* reach this
//!   relay. A node's own address is such an address plus `/p2p-circuit`;
//! - what **`/bootstrap.json`** answers ([`AddressBook::for_caller`]): addresses for *this* caller, first of
//!   all the host and port that the caller has just used, since that is known to work.
//!
//! A loopback address is told only to callers on this machine: to anyone else it would be a wrong door, and a
//! browser asks its user before a page from the network may knock there.
//!
//! # Bounds
//!
//! A reservation's answer fits in 4096 bytes by specification, and an address with a certificate hash takes
//! about 100: at most [`ADDRESSES_MAX`] are told.

use std::net::{IpAddr, Ipv4Addr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::run::host_text;

/// How many addresses are told to anyone.
pub const ADDRESSES_MAX: usize = 16;

/// How many listening addresses are kept; a machine with more interfaces tells the first ones.
const LISTENING_MAX: usize = 64;

/// How a caller reached the page, from its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The host name or address in the browser's address bar.
    pub host: Host,
    /// The port beside it.
    pub port: u16,
    /// Whether the browser speaks TLS to whatever it reached.
    pub secure: bool,
}

/// A host as browsers write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name, in lower case.
    Name(String),
}

impl Caller {
    /// Reads a `Host` header; without a port it is the scheme's own.
    pub fn parse(host_header: &str, secure: bool) -> Option<Self> {
        let authority: axum::http::uri::Authority = host_header.parse().ok()?;
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
        let host = match bare.parse() {
            Ok(ip) => Host::Ip(ip),
            Err(_) if is_name(bare) => Host::Name(bare.to_ascii_lowercase()),
            Err(_) => return None,
        };
        Some(Self { host, port, secure })
    }

    fn is_local(&self) -> bool {
        match &self.host {
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    /// The host as a URL writes it.
    pub fn url_host(&self) -> String {
        match &self.host {
            Host::Ip(ip) => host_text(*ip),
            Host::Name(name) => name.clone(),
        }
    }

    fn websocket(&self) -> Multiaddr {
        let host = match &self.host {
            Host::Ip(ip) => Protocol::from(*ip),
            Host::Name(name) if self.is_local() => Protocol::Dns4(name.as_str().into()),
            Host::Name(name) => Protocol::Dns(name.as_str().into()),
        };
        let address = Multiaddr::from(host).with(Protocol::Tcp(self.port));
        let address = if self.secure {
            address.with(Protocol::Tls)
        } else {
            address
        };
        address.with(Protocol::Ws("/".into()))
    }
}

/// The relay's addresses, kept current by its listeners.
#[derive(Debug, Clone)]
pub struct AddressBook {
    peer: PeerId,
    websocket: bool,
    configured: Vec<Multiaddr>,
    listening: Vec<Multiaddr>,
}

impl AddressBook {
    /// A book of a relay that listens nowhere yet. `configured` are addresses that the operator vouches for.
    pub fn new(peer: PeerId, websocket: bool, configured: Vec<Multiaddr>) -> Self {
        Self {
            peer,
            websocket,
            configured,
            listening: Vec::new(),
        }
    }

    /// The relay's identity.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Notes an address that a listener reported.
    pub fn add(&mut self, address: Multiaddr) {
        let useful = ip(&address).is_some_and(|ip| !is_link_local(ip));
        if useful && self.listening.len() < LISTENING_MAX && !self.listening.contains(&address) {
            self.listening.push(address);
            self.listening.sort_by_key(rank);
        }
    }

    /// Forgets an address that a listener lost.
    pub fn remove(&mut self, address: &Multiaddr) {
        self.listening.retain(|known| known != address);
    }

    /// The addresses of this machine on its networks, without loopback.
    pub fn interface_ips(&self) -> Vec<IpAddr> {
        let mut ips: Vec<_> = self
            .listening
            .iter()
            .filter_map(ip)
            .filter(|ip| !ip.is_loopback())
            .collect();
        ips.sort();
        ips.dedup();
        ips
    }

    /// What reservations carry; loopback addresses only on a machine that has no other.
    pub fn advertised(&self) -> Vec<Multiaddr> {
        let everywhere = !self.interface_ips().is_empty() || !self.configured.is_empty();
        let listening = self
            .listening
            .iter()
            .filter(|address| !everywhere || !is_loopback(address));
        self.finish(self.configured.iter().chain(listening).cloned())
    }

    /// What `/bootstrap.json` tells a caller.
    pub fn for_caller(&self, caller: Option<&Caller>) -> Vec<Multiaddr> {
        let Some(caller) = caller else {
            return self.advertised();
        };
        let own = self.websocket.then(|| caller.websocket());
        // The interface that the caller came through is known to be reachable, others are guesses. A local
        // caller still gets the network's addresses first: Firefox refuses webrtc-direct on loopback.
        let near = |address: &&Multiaddr| ip(address).map(Host::Ip).as_ref() == Some(&caller.host);
        let others: Vec<_> = self
            .listening
            .iter()
            .filter(|address| !is_websocket(address) && (caller.is_local() || !is_loopback(address)))
            .collect();
        let (near, far): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|address| !caller.is_local() && near(address));
        self.finish(
            own.into_iter()
                .chain(self.configured.iter().chain(near).chain(far).cloned()),
        )
    }

    fn finish(&self, addresses: impl Iterator<Item = Multiaddr>) -> Vec<Multiaddr> {
        let mut told: Vec<Multiaddr> = Vec::new();
        for address in addresses {
            let address = match address.iter().last() {
                Some(Protocol::P2p(_)) => address,
                _ => address.with(Protocol::P2p(self.peer)),
            };
            if told.len() < ADDRESSES_MAX && !told.contains(&address) {
                told.push(address);
            }
        }
        told
    }
}

/// The address in an address's first component.
pub fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

fn is_loopback(address: &Multiaddr) -> bool {
    ip(address).is_some_and(|ip| ip.is_loopback())
}

/// Addresses that mean nothing without naming the interface, which a multiaddr of ours cannot.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip == Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

fn is_websocket(address: &Multiaddr) -> bool {
    address
        .iter()
        .any(|part| matches!(part, Protocol::Ws(_) | Protocol::Wss(_)))
}

/// WebSocket before webrtc-direct before TCP, IPv4 before IPv6, loopback last.
fn rank(address: &Multiaddr) -> (bool, u8, bool) {
    let transport = match address
        .iter()
        .find(|part| matches!(part, Protocol::Ws(_) | Protocol::WebRTCDirect))
    {
        Some(Protocol::Ws(_)) => 0,
        Some(_) => 1,
        None => 2,
    };
    (
        is_loopback(address),
        transport,
        ip(address).is_some_and(|ip| ip.is_ipv6()),
    )
}

fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= 253 && text.trim_end_matches('.').split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTHASH: &str = "/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ";

    fn book() -> AddressBook {
        let mut book = AddressBook::new(PeerId::random(), true, Vec::new());
        for address in [
            "/ip4/127.0.0.1/tcp/81".to_owned(),
            "/ip4/192.168.1.5/tcp/81".to_owned(),
            format!("/ip4/127.0.0.1/udp/80/webrtc-direct{CERTHASH}"),
            format!("/ip4/192.168.1.5/udp/80/webrtc-direct{CERTHASH}"),
            format!("/ip4/10.0.0.9/udp/80/webrtc-direct{CERTHASH}"),
            "/ip6/fe80::1/tcp/81".to_owned(),
            "/ip4/127.0.0.1/tcp/80/ws".to_owned(),
            "/ip4/192.168.1.5/tcp/80/ws".to_owned(),
        ] {
            book.add(address.parse().unwrap());
        }
        book
    }

    fn told(book: &AddressBook, host: &str, secure: bool) -> Vec<String> {
        let caller = Caller::parse(host, secure).unwrap();
        let suffix = format!("/p2p/{}", book.peer());
        let list = book.for_caller(Some(&caller)).into_iter();
        list.map(|address| address.to_string().strip_suffix(&suffix).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_caller_gets_the_door_that_it_used_first() {
        let book = book();
        assert_eq!(
            told(&book, "localhost:8080", false)[0],
            "/dns4/localhost/tcp/8080/ws"
        );
        assert_eq!(
            told(&book, "127.0.0.1:8080", false)[0],
            "/ip4/127.0.0.1/tcp/8080/ws"
        );
        assert_eq!(told(&book, "[::1]:8080", false)[0], "/ip6/::1/tcp/8080/ws");
        assert_eq!(
            told(&book, "Relay.Example.org", true)[0],
            "/dns/relay.example.org/tcp/443/tls/ws"
        );
        let lan = told(&book, "192.168.1.5:80", false);
        assert_eq!(lan[0], "/ip4/192.168.1.5/tcp/80/ws");
        assert!(lan[1].starts_with("/ip4/192.168.1.5/udp/80/webrtc-direct/certhash/"));
    }

    #[test]
    fn loopback_is_told_to_this_machine_alone_and_last() {
        let book = book();
        assert!(
            told(&book, "192.168.1.5", false)
                .iter()
                .all(|address| !address.contains("127.0.0.1"))
        );
        let local = told(&book, "localhost", false);
        let position = |part: &str| local.iter().position(|address| address.contains(part)).unwrap();
        assert!(position("/192.168.1.5/udp") < position("/127.0.0.1/udp"));
        assert!(book.advertised().iter().all(|address| !is_loopback(address)));
    }

    #[test]
    fn a_machine_without_network_advertises_loopback() {
        let mut book = AddressBook::new(PeerId::random(), true, Vec::new());
        book.add("/ip4/127.0.0.1/tcp/80/ws".parse().unwrap());
        assert_eq!(book.advertised().len(), 1);
        book.remove(&"/ip4/127.0.0.1/tcp/80/ws".parse().unwrap());
        assert!(book.advertised().is_empty());
    }

    #[test]
    fn an_answer_fits_in_a_reservation() {
        let mut book = AddressBook::new(
            PeerId::random(),
            true,
            vec!["/dns/a.example/tcp/443/tls/ws".parse().unwrap()],
        );
        for last in 1..=200 {
            book.add(
                format!("/ip4/10.0.0.{last}/udp/80/webrtc-direct{CERTHASH}")
                    .parse()
                    .unwrap(),
            );
        }
        let advertised = book.advertised();
        assert_eq!(advertised.len(), ADDRESSES_MAX);
        assert!(advertised[0].to_string().starts_with("/dns/a.example"));
        assert!(advertised.iter().map(Multiaddr::len).sum::<usize>() < 3000);
    }

    #[test]
    fn hosts_that_are_no_hosts_are_refused() {
        for host in ["", "a b", "a/b", "ex$ample", "..", "[::1"] {
            assert_eq!(Caller::parse(host, false), None, "{host}");
        }
    }
}
