//! Starting and stopping everything in the right order.

use std::{
    net::{IpAddr, SocketAddr, TcpListener as StdTcpListener, UdpSocket},
    sync::Arc,
    time::Duration,
};

use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Options,
    addresses::AddressBook,
    answers::Answers,
    keys::DataDir,
    lan,
    limits::ConnectionCount,
    metrics::Metrics,
    net::{behaviour, node::Node, places::Places, websocket},
    options::peer_of,
    page::{self, Door, server::Server, site::Site},
    stun, tls,
};

/// How long connections may take to finish what they are doing when the relay stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A relay that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Relay {
    url: String,
    setup_url: Option<String>,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<&'static str>,
}

impl Relay {
    /// Binds every port and answers from then on. Nothing is left behind when it fails.
    pub async fn start(options: Options) -> Result<Self, Error> {
        options.validate()?;
        let site = Site::open(&options.site_dir)?;
        let data = DataDir::open(&options.data_dir)?;
        let keypair = data.identity()?;
        let listener = bind(SocketAddr::new(options.address, options.port), "port").await?;
        let address = local_address(&listener)?;
        let secure = options.lan || options.tls_cert.is_some();

        let metrics = Arc::new(Metrics::default());
        let book = AddressBook::new(
            keypair.public().to_peer_id(),
            !options.no_websocket,
            options.external_address.clone(),
        );
        let (book, addresses) = watch::channel(book);
        let (handoff, websocket) = websocket::channel(secure);
        let node = start_node(&options, &data, &keypair, address, websocket, book, &metrics).await?;
        let stun = start_stun(&options, address).await?;

        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let mut setup_url = None;
        let connections = ConnectionCount::new(
            options.limits.connections_max,
            options.limits.connections_per_ip_max,
        );
        let url = public_url(&options, address, &addresses.borrow());
        let certificates = match (&options.tls_cert, &options.tls_key) {
            (Some(cert), Some(key)) => Some(tls::from_files(cert, key, &stop, &mut tasks)?),
            _ if options.lan => {
                let setup = lan::start(
                    &options,
                    &data,
                    address,
                    &url,
                    addresses.clone(),
                    &stop,
                    &mut tasks,
                )
                .await?;
                setup_url = Some(setup.url);
                Some(setup.certificates)
            }
            _ => None,
        };
        let answers =
            Answers::start(&options.known_answers_dir(), &options.site_dir, &stop, &mut tasks).await?;
        let handoff = (!options.no_websocket).then_some(handoff);
        let router = page::router(page::State {
            site,
            addresses,
            others: other_relays(&options.other_relay),
            stun_port: stun.as_ref().map(stun::Server::port),
            ice_servers: options.ice_server.clone(),
            answers,
            metrics: metrics.clone(),
            handoff,
            secure,
        });
        let server = Server {
            listener,
            router,
            certificates,
            connections,
            metrics,
        };
        tasks.spawn({
            let stop = stop.clone();
            async move {
                server.run(stop).await;
                "page server"
            }
        });
        if let Some(stun) = stun {
            let stop = stop.clone();
            tasks.spawn(async move {
                stun.run(stop).await;
                "STUN server"
            });
        }
        tasks.spawn({
            let stop = stop.clone();
            async move {
                node.run(stop).await;
                "libp2p node"
            }
        });
        Ok(Self {
            url,
            setup_url,
            address,
            stop,
            tasks,
        })
    }

    /// Where a person opens the page.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where a phone installs the local authority, in `--lan`.
    pub fn setup_url(&self) -> Option<&str> {
        self.setup_url.as_deref()
    }

    /// What the page really listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a part ends by itself, which none should.
    pub async fn failed(&mut self) -> Result<(), Error> {
        match self.tasks.join_next().await {
            Some(Ok(part)) => Err(Error::Ended(part)),
            Some(Err(_)) | None => Err(Error::Ended("relay")),
        }
    }

    /// Stops accepting, lets answers that are under way finish, and closes everything.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(STOP_TIMEOUT, finished).await.is_err() {
            tracing::warn!("some connections did not end in time and were cut");
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn start_node(
    options: &Options,
    data: &DataDir,
    keypair: &Keypair,
    page: SocketAddr,
    websocket: websocket::Transport,
    book: watch::Sender<AddressBook>,
    metrics: &Arc<Metrics>,
) -> Result<Node, Error> {
    let mut addresses: Vec<Multiaddr> = Vec::new();
    if !options.no_websocket {
        addresses.push(websocket.multiaddr(page));
    }
    if !options.no_webrtc_direct {
        let socket = SocketAddr::new(page.ip(), options.beside(options.webrtc_port, page.port(), 0));
        probe(UdpSocket::bind(socket), "UDP", socket, "webrtc-port")?;
        addresses.push(
            Multiaddr::from(socket.ip())
                .with(Protocol::Udp(socket.port()))
                .with(Protocol::WebRTCDirect),
        );
    }
    if !options.no_tcp {
        let socket = SocketAddr::new(page.ip(), options.beside(options.tcp_port, page.port(), 1));
        probe(StdTcpListener::bind(socket), "TCP", socket, "tcp-port")?;
        addresses.push(Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port())));
    }
    let places = Places::new(options.limits.reservations_max);
    let certificate = data.webrtc_certificate()?;
    let swarm = behaviour::swarm(keypair, certificate, websocket, &options.limits, &places)
        .map_err(|error| Error::Options(format!("the identity key cannot be used: {error}")))?;
    let mut node = Node::new(
        swarm,
        book,
        metrics.clone(),
        options.limits.requests_per_second_max,
        places,
    );
    node.listen(addresses).await?;
    Ok(node)
}

async fn start_stun(options: &Options, page: SocketAddr) -> Result<Option<stun::Server>, Error> {
    if options.no_stun {
        return Ok(None);
    }
    let port = options.beside(options.stun_port, page.port(), 3);
    stun::Server::bind(SocketAddr::new(page.ip(), port))
        .await
        .map(Some)
}

/// Groups addresses by the relay that they lead to, in the order in which the operator named them.
fn other_relays(addresses: &[Multiaddr]) -> Vec<Door> {
    let mut doors: Vec<Door> = Vec::new();
    for address in addresses {
        let Some(peer) = peer_of(address).map(|peer| peer.to_string()) else {
            continue;
        };
        let text = address.to_string();
        match doors.iter_mut().find(|door| door.peer_id == peer) {
            Some(door) => door.addresses.push(text),
            None => doors.push(Door {
                peer_id: peer,
                addresses: vec![text],
            }),
        }
    }
    doors
}

/// Binds a TCP port for HTTP.
pub(crate) async fn bind(address: SocketAddr, option: &'static str) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::listen(source, "TCP", address, option))
}

pub(crate) fn local_address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|source| Error::Listen {
        address: "the bound port".to_owned(),
        source,
    })
}

/// libp2p's transports hide the operating system's reason; binding once beforehand shows it.
fn probe<T>(
    bound: std::io::Result<T>,
    protocol: &'static str,
    address: SocketAddr,
    option: &'static str,
) -> Result<(), Error> {
    bound
        .map(drop)
        .map_err(|source| Error::listen(source, protocol, address, option))
}

/// The address to open in a browser: the one that the operator gave, or else one on this machine, or in `--lan`
/// one that any device beside it reaches.
fn public_url(options: &Options, address: SocketAddr, book: &AddressBook) -> String {
    if let Some(url) = options.external_address.iter().find_map(named_url) {
        return url;
    }
    let secure = options.lan || options.tls_cert.is_some();
    let host = match address.ip() {
        ip if !ip.is_unspecified() && !ip.is_loopback() => host_text(ip),
        _ if options.lan => host_text(lan::preferred_ip(&lan::subject_ips(book, address.ip()))),
        _ => "localhost".to_owned(),
    };
    url(secure, &host, address.port())
}

/// The page behind a WebSocket address with a name, such as `/dns/relay.example.org/tcp/443/tls/ws`.
fn named_url(address: &Multiaddr) -> Option<String> {
    let mut parts = address.iter();
    let (Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) = parts.next()? else {
        return None;
    };
    let Protocol::Tcp(port) = parts.next()? else {
        return None;
    };
    let secure = match parts.next()? {
        Protocol::Tls | Protocol::Wss(_) => true,
        Protocol::Ws(_) => false,
        _ => return None,
    };
    Some(url(secure, &name, port))
}

fn url(secure: bool, host: &str, port: u16) -> String {
    let (scheme, default_port) = if secure { ("https", 443) } else { ("http", 80) };
    if port == default_port {
        format!("{scheme}://{host}/")
    } else {
        format!("{scheme}://{host}:{port}/")
    }
}

/// An address as a URL writes it.
pub(crate) fn host_text(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_address_is_where_the_page_is() {
        for (address, url) in [
            ("/dns/a.example/tcp/443/tls/ws", Some("https://a.example/")),
            ("/dns4/a.example/tcp/8443/wss", Some("https://a.example:8443/")),
            ("/dns/a.example/tcp/80/ws", Some("http://a.example/")),
            ("/dns/a.example/tcp/4001", None),
            ("/ip4/192.0.2.1/tcp/443/tls/ws", None),
        ] {
            assert_eq!(named_url(&address.parse().unwrap()).as_deref(), url, "{address}");
        }
    }
}
