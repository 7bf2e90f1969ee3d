//! Native nodes meet through the relay, each over another of its transports.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, Transport as _,
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay as circuit,
    request_response::{self, OutboundFailure},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use node_proto::{
    Ed25519Signer, Signer as _,
    ids::Hash,
    wire::{OBJECT_VERSION, Registration, Request, Response, Signed, decode_frame, encode_frame},
};
use tokio::time::timeout;

use crate::support::Fixture;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(NetworkBehaviour)]
struct Behaviour {
    circuit: circuit::client::Behaviour,
    ping: ping::Behaviour,
    exchange: exchange::Behaviour,
}

fn client(keypair: Keypair) -> Swarm<Behaviour> {
    SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_other_transport(|keypair| {
            libp2p_websocket::Config::new(tcp::tokio::Transport::default())
                .upgrade(Version::V1)
                .authenticate(noise::Config::new(keypair).unwrap())
                .multiplex(yamux::Config::default())
        })
        .unwrap()
        .with_other_transport(|keypair| {
            let certificate = libp2p_webrtc::tokio::Certificate::generate(&mut rand::rng()).unwrap();
            libp2p_webrtc::tokio::Transport::new(keypair.clone(), certificate)
                .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        })
        .unwrap()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_, circuit| Behaviour {
            circuit,
            ping: ping::Behaviour::default(),
            exchange: exchange::behaviour(&exchange::Config::default()),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build()
}

/// What `/bootstrap.json` tells, and the first of its addresses that holds `part`.
async fn address_of(relay: &Fixture, part: &str) -> Multiaddr {
    let host = relay.relay.address().to_string();
    let json = relay.get("/bootstrap.json", &[("host", &host)]).await.json();
    let addresses = json["addresses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|address| address.as_str().unwrap());
    addresses
        .clone()
        .find(|address| address.contains(part))
        .unwrap()
        .parse()
        .unwrap()
}

/// Drives the swarm until an event makes `found` say something.
async fn until<T>(
    swarm: &mut Swarm<Behaviour>,
    mut found: impl FnMut(SwarmEvent<BehaviourEvent>) -> Option<T>,
) -> T {
    let search = async {
        loop {
            let event = swarm.select_next_some().await;
            if let SwarmEvent::OutgoingConnectionError { error, .. } = &event {
                panic!("{error}");
            }
            if let Some(value) = found(event) {
                return value;
            }
        }
    };
    timeout(PATIENCE, search).await.unwrap()
}

/// A reservation over `address`; returns the address under which others then reach this node.
async fn reserve(swarm: &mut Swarm<Behaviour>, address: Multiaddr) -> Multiaddr {
    swarm.listen_on(address.with(Protocol::P2pCircuit)).unwrap();
    until(swarm, |event| match event {
        SwarmEvent::NewListenAddr { address, .. } => Some(address),
        SwarmEvent::ListenerClosed { reason, .. } => panic!("{reason:?}"),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn two_nodes_reach_each_other_through_a_circuit_over_websocket() {
    let relay = Fixture::start(&[]).await;
    let door = address_of(&relay, "/ws/").await;
    let mut callee = client(Keypair::generate_ed25519());
    let callee_id = *callee.local_peer_id();
    let reachable = reserve(&mut callee, door.clone()).await;
    assert!(reachable.to_string().contains("/p2p-circuit"), "{reachable}");
    tokio::spawn(async move {
        loop {
            let event = callee.select_next_some().await;
            if let SwarmEvent::Behaviour(BehaviourEvent::Exchange(request_response::Event::Message {
                message: request_response::Message::Request { request, channel, .. },
                ..
            })) = event
            {
                let reversed = request.into_iter().rev().collect();
                callee
                    .behaviour_mut()
                    .exchange
                    .send_response(channel, reversed)
                    .unwrap();
            }
        }
    });

    let mut caller = client(Keypair::generate_ed25519());
    let through = door.with(Protocol::P2pCircuit).with(Protocol::P2p(callee_id));
    caller.dial(through).unwrap();
    until(&mut caller, |event| match event {
        SwarmEvent::ConnectionEstablished { peer_id, .. } => (peer_id == callee_id).then_some(()),
        _ => None,
    })
    .await;
    // A large part of what a circuit may carry, in one message.
    let frame: Vec<u8> = (0..400_000_u32).map(|index| (index % 251) as u8).collect();
    let answer = ask(&mut caller, callee_id, frame.clone()).await.unwrap();
    assert!(answer.iter().rev().eq(frame.iter()));

    let metrics = relay.get("/metrics", &[]).await;
    for line in [
        "knowledge_relay_libp2p_connections{transport=\"websocket\"} 2",
        "knowledge_relay_reservations 1",
        "knowledge_relay_circuits_total 1",
    ] {
        assert!(metrics.text().contains(line), "{line}\n{}", metrics.text());
    }
}

#[tokio::test]
async fn reservations_are_given_over_webrtc_direct_and_tcp_too() {
    let relay = Fixture::start(&["--no-websocket"]).await;
    for part in ["/webrtc-direct/", "/tcp/"] {
        let mut node = client(Keypair::generate_ed25519());
        node.listen_on("/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap())
            .unwrap();
        until(&mut node, |event| {
            matches!(event, SwarmEvent::NewListenAddr { .. }).then_some(())
        })
        .await;
        let reachable = reserve(&mut node, address_of(&relay, part).await).await;
        assert!(reachable.to_string().contains("/p2p-circuit"), "{reachable}");
    }
}

#[tokio::test]
async fn a_class_behind_one_address_fits() {
    const TABS: usize = 60;
    let relay = Fixture::start(&[]).await;
    let door = address_of(&relay, "/ws/").await;
    let mut tabs = Vec::new();
    for _ in 0..TABS {
        let mut tab = client(Keypair::generate_ed25519());
        reserve(&mut tab, door.clone()).await;
        tabs.push(tokio::spawn(async move { while tab.next().await.is_some() {} }));
    }
    let metrics = relay.get("/metrics", &[]).await;
    assert!(
        metrics
            .text()
            .contains(&format!("knowledge_relay_reservations {TABS}\n")),
        "{}",
        metrics.text()
    );
    tabs.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_full_relay_refuses_newcomers_and_renews_for_those_it_has() {
    // Renewed after three quarters of two seconds.
    let relay = Fixture::start(&["--reservations-max", "1", "--reservation-seconds", "2"]).await;
    let door = address_of(&relay, "/ws/").await;
    let mut resident = client(Keypair::generate_ed25519());
    reserve(&mut resident, door.clone()).await;

    let mut newcomer = client(Keypair::generate_ed25519());
    newcomer.listen_on(door.with(Protocol::P2pCircuit)).unwrap();
    let refusal = until(&mut newcomer, |event| match event {
        SwarmEvent::ListenerClosed { reason, .. } => Some(reason.unwrap_err().to_string()),
        SwarmEvent::NewListenAddr { address, .. } => panic!("{address} was granted"),
        _ => None,
    })
    .await;
    assert!(refusal.contains("Reservation"), "{refusal}");

    for _ in 0..2 {
        let renewed = until(&mut resident, |event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Circuit(
                circuit::client::Event::ReservationReqAccepted { renewal, .. },
            )) => Some(renewal),
            SwarmEvent::ListenerClosed { reason, .. } => panic!("{reason:?}"),
            _ => None,
        });
        assert!(renewed.await);
    }
    drop(resident);
    until_metric(&relay, "knowledge_relay_reservations 0\n").await;
}

#[tokio::test]
async fn a_node_that_comes_back_is_reached_by_its_new_connection() {
    let relay = Fixture::start(&[]).await;
    let door = address_of(&relay, "/ws/").await;
    let keypair = Keypair::generate_ed25519();
    let mut asleep = client(keypair.clone());
    reserve(&mut asleep, door.clone()).await;
    // Longer than two connections that are made at the same time lie apart.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    let mut back = client(keypair);
    let callee = *back.local_peer_id();
    reserve(&mut back, door.clone()).await;
    tokio::spawn(async move { while back.next().await.is_some() {} });
    // It hears only now that its first connection is gone.
    until(&mut asleep, |event| {
        matches!(event, SwarmEvent::ConnectionClosed { .. }).then_some(())
    })
    .await;
    let mut caller = client(Keypair::generate_ed25519());
    caller
        .dial(door.with(Protocol::P2pCircuit).with(Protocol::P2p(callee)))
        .unwrap();
    until(&mut caller, |event| match event {
        SwarmEvent::ConnectionEstablished { peer_id, .. } => (peer_id == callee).then_some(()),
        _ => None,
    })
    .await;
    until_metric(&relay, "knowledge_relay_reservations 1\n").await;
}

#[tokio::test]
async fn discovery_answers_its_callers_and_forgets_those_who_left() {
    let relay = Fixture::start(&[]).await;
    let door = address_of(&relay, "/ws/").await;
    let Some(Protocol::P2p(relay_id)) = door.iter().last() else {
        panic!("{door}")
    };
    let key = Hash([7; 32]);
    let secret = [9; 32];
    let signer = Ed25519Signer::from_secret(&secret);
    let mut provider = client(Keypair::ed25519_from_bytes(secret).unwrap());
    provider.dial(door.clone()).unwrap();
    let registration = Registration {
        version: OBJECT_VERSION,
        owner: signer.id(),
        sequence: 1,
        key,
        ttl_ms: 60_000,
        tag: Hash([0; 32]),
        addresses: vec![door.to_string()],
        presence: None,
        offer: None,
    };
    let request = Request::Register(Signed::seal(&signer, &registration));
    let answer = ask(&mut provider, relay_id, encode_frame(&request))
        .await
        .unwrap();
    assert!(matches!(
        decode_frame(&answer).unwrap(),
        Response::Registered { .. }
    ));

    let mut seeker = client(Keypair::generate_ed25519());
    seeker.dial(door).unwrap();
    let sample = encode_frame(&Request::Sample { key, count: 5 });
    for (total_expected, provider) in [(1, Some(provider)), (0, None)] {
        let answer = ask(&mut seeker, relay_id, sample.clone()).await.unwrap();
        let Response::Sampled { total, records } = decode_frame(&answer).unwrap() else {
            panic!("a sample")
        };
        assert_eq!((total, records.len()), (total_expected, total_expected as usize));
        drop(provider);
        until_metric(&relay, "knowledge_relay_registrations 0\n").await;
    }
}

#[tokio::test]
async fn a_caller_who_asks_too_often_is_refused() {
    let relay = Fixture::start(&["--requests-per-second-max", "1"]).await;
    let door = address_of(&relay, "/ws/").await;
    let Some(Protocol::P2p(relay_id)) = door.iter().last() else {
        panic!("{door}")
    };
    let mut node = client(Keypair::generate_ed25519());
    node.dial(door).unwrap();
    let sample = encode_frame(&Request::Sample {
        key: Hash([1; 32]),
        count: 1,
    });
    let mut refused = 0;
    for _ in 0..20 {
        refused += u32::from(ask(&mut node, relay_id, sample.clone()).await.is_err());
    }
    assert!((10..20).contains(&refused), "{refused} of 20 were refused");
}

async fn ask(swarm: &mut Swarm<Behaviour>, peer: PeerId, frame: Vec<u8>) -> Result<Vec<u8>, OutboundFailure> {
    swarm.behaviour_mut().exchange.send_request(&peer, frame);
    until(swarm, |event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Exchange(event)) => match event {
            request_response::Event::Message {
                message: request_response::Message::Response { response, .. },
                ..
            } => Some(Ok(response)),
            request_response::Event::OutboundFailure { error, .. } => Some(Err(error)),
            _ => None,
        },
        _ => None,
    })
    .await
}

async fn until_metric(relay: &Fixture, line: &str) {
    let search = async {
        while !relay.get("/metrics", &[]).await.text().contains(line) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, search).await.unwrap();
}
