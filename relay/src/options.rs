//! The command line. Every option is also an environment variable, for systemd units and containers.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use clap::{Args, Parser};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::{
    Error,
    addresses::ADDRESSES_MAX,
    ice::{ICE_SERVERS_MAX, IceServer},
    lan::authority::may_name,
};

/// The meeting point of a knowledge network: serves the page, connects browsers, answers discovery.
#[derive(Debug, Clone, Parser)]
#[command(name = "knowledge-relay", version, max_term_width = 100)]
pub struct Options {
    /// Address to listen on; 0.0.0.0 is every IPv4 interface, :: every interface.
    #[arg(long, env = "KNOWLEDGE_RELAY_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub address: IpAddr,

    /// Port of the page and of its WebSocket; 0 lets the system choose.
    #[arg(long, env = "KNOWLEDGE_RELAY_PORT", default_value_t = 8080)]
    pub port: u16,

    /// Folder for what must survive a restart: the identity and the certificates. Keep it private.
    #[arg(long, env = "KNOWLEDGE_RELAY_DATA_DIR", default_value = "relay-data")]
    pub data_dir: PathBuf,

    /// Folder with the secret known answers that `known-answers` made, one file per model. Read again when they change [default:
    /// known-answers in the data folder].
    #[arg(long, env = "KNOWLEDGE_RELAY_KNOWN_ANSWERS")]
    pub known_answers: Option<PathBuf>,

    /// Folder with the page's files: index.html and its assets, embed/, worker/, models/.
    #[arg(long, env = "KNOWLEDGE_RELAY_SITE_DIR", default_value = "dist")]
    pub site_dir: PathBuf,

    /// TLS certificate chain (PEM). The page is then https and its WebSocket wss. Read again when it changes.
    #[arg(long, env = "KNOWLEDGE_RELAY_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the TLS certificate (PEM).
    #[arg(long, env = "KNOWLEDGE_RELAY_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Serve https on the local network with a certificate authority made on this machine, and an install page.
    #[arg(long, env = "KNOWLEDGE_RELAY_LAN", conflicts_with = "tls_cert")]
    pub lan: bool,

    /// Port of the plain http page that installs the local authority [default: the page's port + 2].
    #[arg(long, env = "KNOWLEDGE_RELAY_LAN_SETUP_PORT")]
    pub lan_setup_port: Option<u16>,

    /// Further host names for the local certificate, under .local, .lan, .home, .internal or .home.arpa.
    #[arg(long, env = "KNOWLEDGE_RELAY_LAN_NAME", value_delimiter = ',')]
    pub lan_name: Vec<String>,

    /// Port for libp2p over TCP, for native nodes [default: the page's port + 1].
    #[arg(long, env = "KNOWLEDGE_RELAY_TCP_PORT")]
    pub tcp_port: Option<u16>,

    /// UDP port for webrtc-direct, which browsers can reach without a TLS certificate [default: the page's port].
    #[arg(long, env = "KNOWLEDGE_RELAY_WEBRTC_PORT")]
    pub webrtc_port: Option<u16>,

    /// UDP port for STUN, which tells browsers how the outside sees them [default: the page's port + 3].
    #[arg(long, env = "KNOWLEDGE_RELAY_STUN_PORT")]
    pub stun_port: Option<u16>,

    /// Do not answer STUN.
    #[arg(long, env = "KNOWLEDGE_RELAY_NO_STUN")]
    pub no_stun: bool,

    /// Further ICE server for browsers: stun:HOST[:PORT] or turn:USER:PASSWORD@HOST[:PORT][?transport=tcp]. May be repeated.
    #[arg(long, env = "KNOWLEDGE_RELAY_ICE_SERVER", value_delimiter = ' ')]
    pub ice_server: Vec<IceServer>,

    /// Address of another relay of this network, ending with /p2p/ and its identity. Browsers use both. May be repeated.
    #[arg(long, env = "KNOWLEDGE_RELAY_OTHER_RELAY", value_delimiter = ',')]
    pub other_relay: Vec<Multiaddr>,

    /// Do not accept libp2p over WebSocket.
    #[arg(long, env = "KNOWLEDGE_RELAY_NO_WEBSOCKET")]
    pub no_websocket: bool,

    /// Do not accept webrtc-direct.
    #[arg(long, env = "KNOWLEDGE_RELAY_NO_WEBRTC_DIRECT")]
    pub no_webrtc_direct: bool,

    /// Do not accept libp2p over TCP.
    #[arg(long, env = "KNOWLEDGE_RELAY_NO_TCP")]
    pub no_tcp: bool,

    /// Address under which others reach this relay, for example /dns/relay.example.org/tcp/443/tls/ws. May be repeated.
    #[arg(long, env = "KNOWLEDGE_RELAY_EXTERNAL_ADDRESS", value_delimiter = ',')]
    pub external_address: Vec<Multiaddr>,

    /// What is logged to standard error: error, warn, info, debug, trace, or a tracing filter.
    #[arg(
        long,
        env = "KNOWLEDGE_RELAY_LOG",
        default_value = "info,webrtc=error,webrtc_ice=error,webrtc_sctp=error"
    )]
    pub log: String,

    /// Limits that keep one machine's memory and one caller's share bounded.
    #[command(flatten)]
    pub limits: Limits,
}

/// Limits that keep one machine's memory and one caller's share bounded.
///
/// The defaults fit a class of 60 tabs behind one address many times over: a tab holds one connection, one
/// reservation, and a circuit for the seconds that signalling takes.
#[derive(Debug, Clone, Args)]
pub struct Limits {
    /// HTTP and WebSocket connections at a time.
    #[arg(long, env = "KNOWLEDGE_RELAY_CONNECTIONS_MAX", default_value_t = 8192)]
    pub connections_max: u32,

    /// HTTP and WebSocket connections at a time from one address (a household or school is often one address).
    #[arg(long, env = "KNOWLEDGE_RELAY_CONNECTIONS_PER_IP_MAX", default_value_t = 1024)]
    pub connections_per_ip_max: u32,

    /// libp2p connections at a time, over all transports.
    #[arg(long, env = "KNOWLEDGE_RELAY_PEERS_MAX", default_value_t = 4096)]
    pub peers_max: u32,

    /// Reservations at a time: how many nodes can be reached through this relay.
    #[arg(long, env = "KNOWLEDGE_RELAY_RESERVATIONS_MAX", default_value_t = 4096)]
    pub reservations_max: usize,

    /// Seconds for which a reservation is granted; nodes renew it in time.
    #[arg(long, env = "KNOWLEDGE_RELAY_RESERVATION_SECONDS", default_value_t = 3600)]
    pub reservation_seconds: u32,

    /// Reservations at a time by one node.
    #[arg(long, env = "KNOWLEDGE_RELAY_RESERVATIONS_PER_PEER_MAX", default_value_t = 8)]
    pub reservations_per_peer_max: usize,

    /// Circuits at a time.
    #[arg(long, env = "KNOWLEDGE_RELAY_CIRCUITS_MAX", default_value_t = 4096)]
    pub circuits_max: usize,

    /// Circuits at a time of one node.
    #[arg(long, env = "KNOWLEDGE_RELAY_CIRCUITS_PER_PEER_MAX", default_value_t = 64)]
    pub circuits_per_peer_max: usize,

    /// Bytes that one circuit carries before it is closed.
    #[arg(long, env = "KNOWLEDGE_RELAY_CIRCUIT_BYTES_MAX", default_value_t = 1 << 20)]
    pub circuit_bytes_max: u64,

    /// Seconds after which a circuit is closed.
    #[arg(long, env = "KNOWLEDGE_RELAY_CIRCUIT_SECONDS_MAX", default_value_t = 300)]
    pub circuit_seconds_max: u32,

    /// Discovery requests per second that one node may make over time.
    #[arg(long, env = "KNOWLEDGE_RELAY_REQUESTS_PER_SECOND_MAX", default_value_t = 20)]
    pub requests_per_second_max: u32,
}

impl Options {
    /// Refuses what clap cannot: values that would make a relay which nobody can use.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |sentence: &str| Err(Error::Options(sentence.to_owned()));
        if self.no_websocket && self.no_webrtc_direct && self.no_tcp {
            return wrong(
                "every transport is switched off: leave at least one of WebSocket, webrtc-direct and TCP on",
            );
        }
        if let Some(name) = self
            .lan_name
            .iter()
            .find(|name| !may_name(&name.to_ascii_lowercase()))
        {
            return wrong(&format!(
                "{name} is not a local name: use one that ends in .local, .lan, .home, .internal or .home.arpa"
            ));
        }
        if self.ice_server.len() > ICE_SERVERS_MAX || self.other_relay.len() > ADDRESSES_MAX {
            return wrong(&format!(
                "there are too many of them: at most {ICE_SERVERS_MAX} ICE servers and {ADDRESSES_MAX} addresses of other relays"
            ));
        }
        if let Some(address) = self.other_relay.iter().find(|address| peer_of(address).is_none()) {
            return wrong(&format!(
                "{address} does not end with /p2p/ and the other relay's identity"
            ));
        }
        let limits = &self.limits;
        let counts = [
            limits.connections_max,
            limits.connections_per_ip_max,
            limits.peers_max,
            limits.circuit_seconds_max,
            limits.reservation_seconds,
            limits.requests_per_second_max,
        ];
        let sizes = [
            limits.reservations_max,
            limits.reservations_per_peer_max,
            limits.circuits_max,
            limits.circuits_per_peer_max,
        ];
        if counts.contains(&0) || sizes.contains(&0) || limits.circuit_bytes_max == 0 {
            return wrong("a limit of 0 would admit nobody: give each limit at least 1");
        }
        node_proto::RegistryLimits::default()
            .validate()
            .map_err(|error| Error::Options(error.to_string()))
    }

    /// Where the known answers are.
    pub(crate) fn known_answers_dir(&self) -> PathBuf {
        self.known_answers
            .clone()
            .unwrap_or_else(|| self.data_dir.join("known-answers"))
    }

    /// The port of a further listener, beside a page that really listens on `page_port`.
    pub(crate) fn beside(&self, chosen: Option<u16>, page_port: u16, offset: u16) -> u16 {
        match (chosen, self.port) {
            (Some(port), _) => port,
            // The page took whatever was free, and so does everything beside it.
            (None, 0) => 0,
            (None, _) => page_port.checked_add(offset).unwrap_or(0),
        }
    }
}

/// Whose address it is, if it says.
pub(crate) fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_option_is_documented_and_has_an_environment_variable() {
        Options::command().debug_assert();
        for argument in Options::command().get_arguments() {
            if ["help", "version"].contains(&argument.get_id().as_str()) {
                continue;
            }
            let name = argument.get_long().unwrap().replace('-', "_").to_uppercase();
            assert_eq!(
                argument.get_env().unwrap().to_str().unwrap(),
                format!("KNOWLEDGE_RELAY_{name}")
            );
            assert!(argument.get_help().is_some(), "{name} is not documented");
        }
    }

    #[test]
    fn what_nobody_could_use_is_refused() {
        let off = ["relay", "--no-websocket", "--no-webrtc-direct", "--no-tcp"];
        assert!(Options::parse_from(off).validate().is_err());
        assert!(
            Options::parse_from(["relay", "--peers-max", "0"])
                .validate()
                .is_err()
        );
        assert!(
            Options::parse_from(["relay", "--other-relay", "/ip4/192.0.2.1/tcp/80/ws"])
                .validate()
                .is_err()
        );
        assert!(Options::try_parse_from(["relay", "--ice-server", "turn:without.account"]).is_err());
        assert!(Options::parse_from(["relay"]).validate().is_ok());
        assert!(Options::try_parse_from(["relay", "--tls-cert", "c.pem"]).is_err());
        assert!(Options::try_parse_from(["relay", "--lan", "--tls-cert", "c", "--tls-key", "k"]).is_err());
    }

    #[test]
    fn ports_beside_the_page_follow_it() {
        let options = Options::parse_from(["relay", "--port", "9000"]);
        assert_eq!(options.beside(None, 9000, 1), 9001);
        assert_eq!(options.beside(Some(7), 9000, 1), 7);
        assert_eq!(options.beside(None, u16::MAX, 1), 0);
        assert_eq!(
            Options::parse_from(["relay", "--port", "0"]).beside(None, 4321, 1),
            0
        );
    }
}
