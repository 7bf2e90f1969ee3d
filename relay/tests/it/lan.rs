//! A secure page for devices nearby.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};

use crate::support::{Answer, Fixture, get, request};

/// A GET by a device that installed the authority.
async fn get_securely(relay: &Fixture, authority: Vec<u8>, path: &str) -> Answer {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority)).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(relay.relay.address()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    let port = relay.relay.address().port();
    request(stream, "GET", path, &[("host", &format!("127.0.0.1:{port}"))]).await
}

#[tokio::test]
async fn a_device_installs_the_authority_and_opens_the_page() {
    let relay = Fixture::start(&["--lan"]).await;
    let setup = relay.relay.setup_url().unwrap();
    let setup = setup
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .parse()
        .unwrap();
    let page = get(setup, "/", &[]).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains(relay.relay.url()) && page.text().contains("<svg"));
    let certificate = get(setup, "/knowledge-network.crt", &[]).await;
    assert_eq!(
        certificate.header("content-type"),
        Some("application/x-x509-ca-cert")
    );

    assert!(relay.relay.url().starts_with("https://127.0.0.1:"));
    let answer = get_securely(&relay, certificate.body, "/bootstrap.json").await;
    let address = answer.json()["addresses"][0].as_str().unwrap().to_owned();
    let port = relay.relay.address().port();
    assert!(
        address.starts_with(&format!("/ip4/127.0.0.1/tcp/{port}/tls/ws/p2p/")),
        "{address}"
    );

    let host = format!("127.0.0.1:{port}");
    let typed = relay.get("/market?q=1", &[("host", &host)]).await;
    assert_eq!(
        (typed.status, typed.header("location").unwrap()),
        (307, &*format!("https://{host}/market?q=1"))
    );
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_used_and_a_wrong_one_named() {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.key_pair.serialize_pem()).unwrap();
    let files = [
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    let relay = Fixture::start(&files).await;
    assert_eq!(
        get_securely(&relay, certified.cert.der().to_vec(), "/healthz")
            .await
            .text(),
        "ok\n"
    );

    std::fs::write(&key, "nothing").unwrap();
    let site = crate::support::site();
    let error = relay::Relay::start(crate::support::options(&site, &files))
        .await
        .unwrap_err();
    assert!(
        error.is_usage() && error.to_string().contains("key.pem cannot be used"),
        "{error}"
    );
    assert!(
        !relay.data("authority.key").exists(),
        "an authority is made for --lan alone"
    );
}
