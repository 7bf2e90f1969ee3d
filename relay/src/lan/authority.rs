//! A certificate authority for one local network, and the leaves that it signs.
//!
//! The authority's certificate permits private addresses and local names alone (RFC 5280, name constraints,
//! critical), so a device that trusts it trusts it for this network's machines and for no site of the
//! internet. Its key and certificate stay in the data directory; leaf keys live in memory only and are new
//! with every leaf.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use crate::{Error, keys::DataDir, tls};

const KEY_FILE: &str = "authority.key";
const CERTIFICATE_FILE: &str = "authority.pem";

const AUTHORITY_VALIDITY: Duration = Duration::days(10 * 365);

/// Browsers refuse leaves that are valid for much longer than a year.
const LEAF_VALIDITY: Duration = Duration::days(397);

/// Clocks of devices nearby may be behind.
const CLOCK_SKEW: Duration = Duration::days(1);

/// Domains that name machines of a local network and never a site of the internet.
pub const LOCAL_DOMAINS: [&str; 6] = ["localhost", "local", "lan", "home", "internal", "home.arpa"];

/// Loopback, private, link-local, carrier-internal and unique-local addresses, and the documentation range that
/// some virtual networks use: none of them is routed on the internet.
const LOCAL_NETWORKS_V4: [([u8; 4], u8); 7] = [
    ([127, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
    ([169, 254, 0, 0], 16),
    ([100, 64, 0, 0], 10),
    ([192, 0, 2, 0], 24),
];
const LOCAL_NETWORKS_V6: [([u16; 8], u8); 3] = [
    ([0, 0, 0, 0, 0, 0, 0, 1], 128),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
];

/// The authority of one relay.
#[derive(Debug)]
pub struct Authority {
    key: KeyPair,
    /// What devices installed: made once, since a second certificate would be a stranger to them.
    installed: CertificateDer<'static>,
}

impl Authority {
    /// Reads the authority, or makes it on the first start.
    pub fn open(data: &DataDir) -> Result<Self, Error> {
        let key = data.read_or_create(
            KEY_FILE,
            |bytes| {
                let pem = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
                KeyPair::from_pem(pem).map_err(|error| error.to_string())
            },
            || {
                let key = KeyPair::generate().map_err(|error| error.to_string())?;
                let pem = key.serialize_pem().into_bytes();
                Ok((key, pem))
            },
        )?;
        let installed = data.read_or_create(
            CERTIFICATE_FILE,
            |bytes| CertificateDer::from_pem_slice(bytes).map_err(|error| error.to_string()),
            || {
                let certificate = certificate(&key).map_err(|error| error.to_string())?;
                Ok((certificate.der().clone(), certificate.pem().into_bytes()))
            },
        )?;
        Ok(Self { key, installed })
    }

    /// The certificate that devices install.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.installed
    }

    /// What a careful person compares before installing it.
    pub fn fingerprint(&self) -> String {
        let bytes: Vec<_> = Sha256::digest(&self.installed)
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        bytes.join(":")
    }

    /// Signs a leaf for these names and addresses, with a key of its own.
    pub fn issue(&self, names: &[String], ips: &[IpAddr]) -> Result<CertifiedKey, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("Knowledge network relay".to_owned());
        params.not_before = OffsetDateTime::now_utc() - CLOCK_SKEW;
        params.not_after = OffsetDateTime::now_utc() + LEAF_VALIDITY;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        for name in names {
            params
                .subject_alt_names
                .push(SanType::DnsName(name.as_str().try_into()?));
        }
        params
            .subject_alt_names
            .extend(ips.iter().copied().map(SanType::IpAddress));
        let key = KeyPair::generate()?;
        // Only the issuer's name and key identifier enter a leaf, and both follow from the key: this fresh
        // certificate stands in for the installed one.
        let leaf = params.signed_by(&key, &certificate(&self.key)?, &self.key)?;
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        tls::certified(vec![leaf.der().clone()], private).map_err(|error| Error::Options(error.to_string()))
    }
}

/// Whether the authority's constraints permit the address.
pub fn may_sign(ip: IpAddr) -> bool {
    let within = |ip: &[u8], network: &[u8], prefix: u8| {
        (0..usize::from(prefix)).all(|bit| (ip[bit / 8] ^ network[bit / 8]) & (0x80 >> (bit % 8)) == 0)
    };
    match ip {
        IpAddr::V4(ip) => LOCAL_NETWORKS_V4
            .iter()
            .any(|(network, prefix)| within(&ip.octets(), network, *prefix)),
        IpAddr::V6(ip) => LOCAL_NETWORKS_V6
            .iter()
            .any(|(network, prefix)| within(&ip.octets(), &octets(*network), *prefix)),
    }
}

/// Whether the authority's constraints permit the name.
pub fn may_name(name: &str) -> bool {
    LOCAL_DOMAINS.iter().any(|domain| {
        name == *domain
            || name
                .strip_suffix(domain)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    })
}

fn certificate(key: &KeyPair) -> Result<Certificate, rcgen::Error> {
    let domains = LOCAL_DOMAINS
        .iter()
        .map(|domain| GeneralSubtree::DnsName((*domain).to_owned()));
    let v4 = LOCAL_NETWORKS_V4
        .iter()
        .map(|(network, prefix)| CidrSubnet::from_v4_prefix(*network, *prefix));
    let v6 = LOCAL_NETWORKS_V6
        .iter()
        .map(|(network, prefix)| CidrSubnet::from_v6_prefix(octets(*network), *prefix));
    let permitted = domains
        .chain(v4.chain(v6).map(GeneralSubtree::IpAddress))
        .collect();

    let mut params = CertificateParams::default();
    // Part of the key's hash tells two relays' authorities apart in a device's list.
    let short = Sha256::digest(key.public_key_raw())
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    params.distinguished_name = named(format!("Knowledge network on this local network ({short})"));
    params.not_before = OffsetDateTime::now_utc() - CLOCK_SKEW;
    params.not_after = OffsetDateTime::now_utc() + AUTHORITY_VALIDITY;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: permitted,
        excluded_subtrees: Vec::new(),
    });
    params.self_signed(key)
}

fn named(common_name: String) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn octets(groups: [u16; 8]) -> [u8; 16] {
    std::net::Ipv6Addr::from(groups).octets()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_rustls::rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
        crypto::ring,
        pki_types::{ServerName, UnixTime},
    };

    use super::*;

    fn authority() -> (tempfile::TempDir, Authority) {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(&DataDir::open(folder.path()).unwrap()).unwrap();
        (folder, authority)
    }

    fn trusts(authority: &Authority, leaf: &CertifiedKey, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
                .build()
                .unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier
            .verify_server_cert(leaf.end_entity_cert().unwrap(), &[], &name, &[], UnixTime::now())
            .is_ok()
    }

    #[test]
    fn a_device_that_installed_the_authority_trusts_the_leaf() {
        let (folder, first) = authority();
        let names = ["localhost".to_owned(), "laptop.local".to_owned()];
        let ips = ["127.0.0.1", "192.168.1.5", "::1", "fd00::5"].map(|ip| ip.parse().unwrap());
        assert!(ips.iter().all(|ip| may_sign(*ip)));
        // After a restart, what was installed before is still good.
        let second = Authority::open(&DataDir::open(folder.path()).unwrap()).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
        let leaf = second.issue(&names, &ips).unwrap();
        for name in [
            "localhost",
            "laptop.local",
            "127.0.0.1",
            "192.168.1.5",
            "::1",
            "fd00::5",
        ] {
            assert!(trusts(&first, &leaf, name), "{name}");
        }
        assert!(!trusts(&first, &leaf, "192.168.1.6"));
        assert!(
            !trusts(&authority().1, &leaf, "localhost"),
            "another relay's authority"
        );
    }

    #[test]
    fn the_authority_is_worth_nothing_on_the_internet() {
        let (_folder, authority) = authority();
        for (name, ip) in [
            ("bank.example", "192.168.1.5"),
            ("localhost", "8.8.8.8"),
            ("localhost", "2001:4860::1"),
        ] {
            let leaf = authority
                .issue(&[name.to_owned()], &[ip.parse().unwrap()])
                .unwrap();
            assert!(
                !trusts(&authority, &leaf, name) && !trusts(&authority, &leaf, ip),
                "{name} {ip}"
            );
        }
        assert!(!may_sign("8.8.8.8".parse().unwrap()) && !may_sign("172.32.0.1".parse().unwrap()));
        assert!(may_name("a.local") && may_name("localhost") && may_name("x.home.arpa"));
        assert!(!may_name("bank.example") && !may_name("evillocal") && !may_name(".local"));
    }
}
