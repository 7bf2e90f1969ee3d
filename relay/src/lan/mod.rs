//! A secure page on the local network.
//!
//! Browsers give WebGPU, service workers and WebCrypto to secure pages alone, and no public authority signs a
//! name or address of a home network. So the relay makes an authority of its own, once, and signs a leaf
//! certificate for the names and addresses that it has right now. A person installs the authority on each
//! device, from a page that explains what that means.
//!
//! The authority is constrained to private addresses and local names: whoever steals its key from the data
//! directory still cannot pretend to be a bank ([`authority`]).

pub mod authority;
pub mod setup;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, interval_at},
};
use tokio_util::sync::CancellationToken;

use self::authority::Authority;
use crate::{
    Error, Options, addresses::AddressBook, keys::DataDir, limits::ConnectionCount, metrics::Metrics,
    page::server::Server, run, tls::Certificates,
};

/// A leaf is renewed long before it expires, even on a network where nothing changes.
const RENEW_INTERVAL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The install page serves a handful of small answers per device.
const SETUP_CONNECTIONS_MAX: u32 = 256;

/// What the page's server needs of this module.
#[derive(Debug)]
pub struct Lan {
    /// The leaf, renewed in the background.
    pub certificates: Certificates,
    /// Where a device installs the authority.
    pub url: String,
}

/// Makes or reads the authority, signs a leaf, and serves the install page.
pub async fn start(
    options: &Options,
    data: &DataDir,
    page: SocketAddr,
    page_url: &str,
    addresses: watch::Receiver<AddressBook>,
    stop: &CancellationToken,
    tasks: &mut JoinSet<&'static str>,
) -> Result<Lan, Error> {
    let authority = Authority::open(data)?;
    let mut names = vec!["localhost".to_owned()];
    names.extend(host_name().map(|name| format!("{name}.local")));
    names.extend(options.lan_name.iter().map(|name| name.to_ascii_lowercase()));
    let ips = subject_ips(&addresses.borrow(), page.ip());
    let certificates = Certificates::new(authority.issue(&names, &ips)?);

    let socket = SocketAddr::new(page.ip(), options.beside(options.lan_setup_port, page.port(), 2));
    let listener = run::bind(socket, "lan-setup-port").await?;
    let port = run::local_address(&listener)?.port();
    let url = format!("http://{}:{port}/", run::host_text(preferred_ip(&ips)));
    let server = Server {
        listener,
        router: setup::router(&authority, page_url)?,
        certificates: None,
        connections: ConnectionCount::new(SETUP_CONNECTIONS_MAX, SETUP_CONNECTIONS_MAX),
        metrics: std::sync::Arc::new(Metrics::default()),
    };
    setup::announce(&url, &authority.fingerprint());
    tasks.spawn({
        let stop = stop.clone();
        async move {
            server.run(stop).await;
            "install page"
        }
    });
    tasks.spawn({
        let (stop, certificates) = (stop.clone(), certificates.clone());
        async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = renew(&authority, &names, page.ip(), ips, addresses, &certificates) => {}
            }
            "certificate renewal"
        }
    });
    Ok(Lan { certificates, url })
}

/// Signs a new leaf whenever this machine's addresses change, and now and then in any case.
async fn renew(
    authority: &Authority,
    names: &[String],
    bound: IpAddr,
    mut signed: Vec<IpAddr>,
    mut addresses: watch::Receiver<AddressBook>,
    certificates: &Certificates,
) {
    let mut ticks = interval_at(Instant::now() + RENEW_INTERVAL, RENEW_INTERVAL);
    loop {
        let due = tokio::select! {
            _ = ticks.tick() => true,
            changed = addresses.changed() => match changed {
                Ok(()) => false,
                // The node has ended, and the program is about to.
                Err(_) => return,
            },
        };
        let ips = subject_ips(&addresses.borrow_and_update(), bound);
        if !due && ips == signed {
            continue;
        }
        match authority.issue(names, &ips) {
            Ok(certified) => {
                certificates.replace(certified);
                tracing::info!(addresses = ?ips, "the local certificate was renewed");
                signed = ips;
            }
            Err(error) => tracing::error!(%error, "the local certificate cannot be renewed"),
        }
    }
}

/// The addresses that the leaf is for: loopback, what the page is bound to and every interface. Public ones are
/// left out, since the authority may not sign them.
pub(crate) fn subject_ips(book: &AddressBook, bound: IpAddr) -> Vec<IpAddr> {
    let mut ips = vec![
        IpAddr::from([127, 0, 0, 1]),
        IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    ips.extend(book.interface_ips());
    ips.extend((!bound.is_unspecified()).then_some(bound));
    ips.retain(|ip| authority::may_sign(*ip));
    ips.sort();
    ips.dedup();
    ips
}

/// The address that a phone nearby is most likely to reach: a home network's before a container's, and
/// loopback when there is no network.
pub(crate) fn preferred_ip(ips: &[IpAddr]) -> IpAddr {
    let rank = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => match ip.octets() {
            [192, 168, ..] => 0,
            [10, ..] => 1,
            [172, 16..=31, ..] => 2,
            _ => 3,
        },
        IpAddr::V6(_) => 4,
    };
    let reachable = ips.iter().copied().filter(|ip| !ip.is_loopback());
    reachable
        .min_by_key(|ip| (rank(ip), *ip))
        .unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// This machine's name, when it is one that a certificate can carry.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim().split('.').next()?.to_ascii_lowercase();
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (!name.is_empty() && name.len() <= 63 && name != "localhost" && name.bytes().all(fine)).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use libp2p::PeerId;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[test]
    fn a_home_network_comes_before_a_container_and_loopback_last() {
        let preferred = |ips: &[&str]| {
            preferred_ip(&ips.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<_>>()).to_string()
        };
        assert_eq!(
            preferred(&["127.0.0.1", "172.17.0.1", "192.168.1.5", "fd00::1"]),
            "192.168.1.5"
        );
        assert_eq!(preferred(&["::1", "172.17.0.1", "10.0.0.2"]), "10.0.0.2");
        assert_eq!(preferred(&["127.0.0.1", "::1"]), "127.0.0.1");
    }

    #[tokio::test]
    async fn a_new_address_gets_a_new_leaf_and_other_news_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(&DataDir::open(folder.path()).unwrap()).unwrap();
        let names = ["localhost".to_owned()];
        let bound = IpAddr::from([0, 0, 0, 0]);
        let (book, addresses) = watch::channel(AddressBook::new(PeerId::random(), true, Vec::new()));
        let ips = subject_ips(&addresses.borrow(), bound);
        let certificates = Certificates::new(authority.issue(&names, &ips).unwrap());
        let renewed = certificates.clone();
        tokio::spawn(async move { renew(&authority, &names, bound, ips, addresses, &renewed).await });

        let first = certificates.current();
        book.send_modify(|book| book.add("/ip4/127.0.0.1/tcp/1/ws".parse().unwrap()));
        sleep(Duration::from_millis(100)).await;
        assert!(Arc::ptr_eq(&first, &certificates.current()));
        book.send_modify(|book| book.add("/ip4/192.168.1.5/tcp/1/ws".parse().unwrap()));
        let other = async {
            while Arc::ptr_eq(&first, &certificates.current()) {
                sleep(Duration::from_millis(10)).await
            }
        };
        timeout(Duration::from_secs(10), other).await.unwrap();
        let leaf = certificates.current().end_entity_cert().unwrap().to_vec();
        assert!(
            leaf.windows(4).any(|octets| octets == [192, 168, 1, 5]),
            "the leaf names the new address"
        );
    }
}
