//! Files, headers and the two documents that programs read.

use std::collections::BTreeSet;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use tokio::net::TcpStream;

use crate::support::{Fixture, PAGE, request};

#[tokio::test]
async fn files_come_with_their_type_and_their_caching() {
    let relay = Fixture::start(&[]).await;
    for (path, kind, caching) in [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/index.html", "text/html; charset=utf-8", "no-cache"),
        ("/market", "text/html; charset=utf-8", "no-cache"),
        ("/sw.js", "text/javascript; charset=utf-8", "no-cache"),
        (
            "/page-0123456789abcdef_bg.wasm",
            "application/wasm",
            "public, max-age=31536000, immutable",
        ),
        (
            "/models/00ff",
            "application/octet-stream",
            "public, max-age=31536000, immutable",
        ),
        ("/models/index.json", "application/json", "no-cache"),
    ] {
        let answer = relay.get(path, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        assert_eq!(answer.header("cache-control"), Some(caching), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let unchanged = relay
            .get(path, &[("if-none-match", answer.header("etag").unwrap())])
            .await;
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{path}");
    }
    assert_eq!(relay.get("/market", &[]).await.text(), PAGE);
}

#[tokio::test]
async fn brotli_is_negotiated_and_tagged_apart() {
    let relay = Fixture::start(&[]).await;
    let path = "/page-0123456789abcdef_bg.wasm";
    let compressed = relay.get(path, &[("accept-encoding", "gzip, br")]).await;
    assert_eq!(
        (compressed.header("content-encoding"), compressed.text()),
        (Some("br"), "compressed")
    );
    assert_eq!(compressed.header("content-type"), Some("application/wasm"));
    let plain = relay.get(path, &[("accept-encoding", "gzip")]).await;
    assert_eq!((plain.header("content-encoding"), plain.text()), (None, "\0asm"));
    assert_ne!(plain.header("etag"), compressed.header("etag"));
    assert_eq!(plain.header("vary"), Some("accept-encoding"));
}

#[tokio::test]
async fn scripts_run_by_origin_or_hash_alone() {
    let relay = Fixture::start(&[]).await;
    let page = relay.get("/", &[]).await;
    let policy = page.header("content-security-policy").unwrap();
    let scripts = policy
        .split(';')
        .map(str::trim)
        .find(|part| part.starts_with("script-src"))
        .unwrap();
    assert!(
        scripts.starts_with("script-src 'self' 'wasm-unsafe-eval' 'sha256-"),
        "{scripts}"
    );
    assert!(!scripts.contains("unsafe-inline"), "{scripts}");
    for part in [
        "worker-src 'self' blob:",
        "connect-src 'self' ws: wss: http: https:",
        "object-src 'none'",
    ] {
        assert!(policy.contains(part), "{part}");
    }
}

#[tokio::test]
async fn what_embedding_needs_is_open_to_other_origins_and_nothing_else_is() {
    let relay = Fixture::start(&[]).await;
    let origin = [("origin", "https://other.example")];
    for path in [
        "/bootstrap.json",
        "/embed/node_wasm.js",
        "/models/00ff",
        "/modules/modules.json",
        "/worker/inference_worker.js",
    ] {
        let answer = relay.get(path, &origin).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(
            answer.header("cross-origin-resource-policy"),
            Some("cross-origin"),
            "{path}"
        );
        let stream = TcpStream::connect(relay.relay.address()).await.unwrap();
        let asked = [origin[0], ("access-control-request-private-network", "true")];
        let preflight = request(stream, "OPTIONS", path, &asked).await;
        assert_eq!(
            (
                preflight.status,
                preflight.header("access-control-allow-private-network")
            ),
            (204, Some("true"))
        );
    }
    for path in ["/", "/sw.js", "/metrics"] {
        let answer = relay.get(path, &origin).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(
            answer.header("cross-origin-resource-policy"),
            Some("same-origin"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn nothing_outside_the_site_is_served() {
    let relay = Fixture::start(&[]).await;
    for path in [
        "/../secret",
        "/embed/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "//secret",
        "/missing.js",
        "/models/none",
    ] {
        let answer = relay.get(path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text().contains("secret"), "{path}");
    }
    let stream = TcpStream::connect(relay.relay.address()).await.unwrap();
    assert_eq!(request(stream, "POST", "/", &[]).await.status, 405);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let relay = Fixture::start(&[]).await;
    let answer = relay.get("/", &[("x-long", &"a".repeat(64 * 1024))]).await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn bootstrap_tells_each_caller_its_own_door() {
    let relay = Fixture::start(&[]).await;
    let port = relay.relay.address().port();
    let answer = relay
        .get("/bootstrap.json", &[("host", &format!("localhost:{port}"))])
        .await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let json = answer.json();
    let peer: PeerId = json["peer_id"].as_str().unwrap().parse().unwrap();
    let addresses: Vec<Multiaddr> = json["addresses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(
        addresses[0].to_string(),
        format!("/dns4/localhost/tcp/{port}/ws/p2p/{peer}")
    );
    assert!(
        addresses
            .iter()
            .all(|address| address.iter().last() == Some(Protocol::P2p(peer)))
    );
    let direct = addresses
        .iter()
        .find(|address| address.iter().any(|part| part == Protocol::WebRTCDirect))
        .unwrap();
    assert!(
        direct.iter().any(|part| matches!(part, Protocol::Certhash(_))),
        "{direct}"
    );
    assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), addresses.len());

    let proxied = [("host", "relay.example.org"), ("x-forwarded-proto", "https")];
    let json = relay.get("/bootstrap.json", &proxied).await.json();
    assert_eq!(
        json["addresses"][0],
        format!("/dns/relay.example.org/tcp/443/tls/ws/p2p/{peer}")
    );
}

#[tokio::test]
async fn websocket_can_be_switched_off() {
    let relay = Fixture::start(&["--no-websocket"]).await;
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    assert_eq!(relay.get("/", &upgrade).await.status, 404);
    let json = relay.get("/bootstrap.json", &[]).await.json();
    let addresses = json["addresses"].as_array().unwrap();
    assert!(
        !addresses.is_empty()
            && addresses
                .iter()
                .all(|address| !address.as_str().unwrap().contains("/ws"))
    );
}

#[tokio::test]
async fn the_operator_sees_health_and_metrics() {
    let relay = Fixture::start(&[]).await;
    assert_eq!(relay.get("/healthz", &[]).await.text(), "ok\n");
    let metrics = relay.get("/metrics", &[]).await;
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(
        metrics
            .text()
            .contains("knowledge_relay_http_responses_total{status=\"2xx\"} 1")
    );
}

#[tokio::test]
async fn one_address_gets_no_more_connections_than_its_share() {
    let relay = Fixture::start(&["--connections-per-ip-max", "2"]).await;
    let held = [
        TcpStream::connect(relay.relay.address()).await.unwrap(),
        TcpStream::connect(relay.relay.address()).await.unwrap(),
    ];
    // Both are accepted in order, so an answer on the second shows that the first is counted too.
    let [first, second] = held;
    assert_eq!(request(second, "GET", "/healthz", &[]).await.status, 200);
    let second = TcpStream::connect(relay.relay.address()).await.unwrap();
    let mut third = TcpStream::connect(relay.relay.address()).await.unwrap();
    let mut byte = [0];
    let ended = tokio::io::AsyncReadExt::read(&mut third, &mut byte).await;
    assert!(!matches!(ended, Ok(1)), "the third is closed without an answer");
    drop((first, second));
}
