//! What the relay tells browsers besides its own addresses, and the STUN that it answers itself.

use std::time::Duration;

use serde_json::json;
use tokio::{net::UdpSocket, time::timeout};

use crate::support::Fixture;

const OTHER: &str = "/dns4/b.example/tcp/443/tls/ws/p2p/12D3KooWCRwPxBsGK4NYBUPz6UzsqyE8DmcUu8tGqRWGYd37S5JM";

#[tokio::test]
async fn the_relay_itself_is_the_first_ice_server_and_tells_how_it_sees_a_caller() {
    let relay = Fixture::start(&["--ice-server", "turn:ada:secret@turn.example:3478"]).await;
    let port = relay.relay.address().port();
    let host = format!("127.0.0.1:{port}");
    let told = relay.get("/bootstrap.json", &[("host", &host)]).await.json();
    let servers = told["ice_servers"].as_array().unwrap();
    assert_eq!(
        servers[1],
        json!({ "urls": ["turn:turn.example:3478"], "username": "ada", "credential": "secret" })
    );
    let stun = servers[0]["urls"][0]
        .as_str()
        .unwrap()
        .strip_prefix("stun:")
        .unwrap();

    let caller = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
    request.extend([7; 12]);
    let mut answer = [0; 64];
    let exchange = async {
        caller.send_to(b"noise", stun).await.unwrap();
        caller.send_to(&request, stun).await.unwrap();
        caller.recv(&mut answer).await.unwrap()
    };
    let length = timeout(Duration::from_secs(5), exchange).await.unwrap();
    assert_eq!(
        (length, &answer[..2], &answer[8..20]),
        (32, &[1, 1][..], &[7; 12][..])
    );
    let port = u16::from_be_bytes([answer[26] ^ 0x21, answer[27] ^ 0x12]);
    assert_eq!(port, caller.local_addr().unwrap().port());
}

#[tokio::test]
async fn nobody_else_is_named_unless_the_operator_does() {
    let relay = Fixture::start(&["--no-stun"]).await;
    let told = relay.get("/bootstrap.json", &[]).await.json();
    assert_eq!((&told["ice_servers"], &told["relays"]), (&json!([]), &json!([])));

    let second = OTHER.replace("b.example", "c.example");
    let relay = Fixture::start(&["--other-relay", OTHER, "--other-relay", &second]).await;
    let told = relay.get("/bootstrap.json", &[]).await.json();
    let peer = OTHER.rsplit('/').next().unwrap();
    assert_eq!(
        told["relays"],
        json!([{ "peer_id": peer, "addresses": [OTHER, second] }])
    );
}
