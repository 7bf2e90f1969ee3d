//! Both halves in swarms. Peers signal over an in-memory connection in place of a circuit: to the transport, a connection to
//! the peer that stands already is as good as the other.

use std::{pin::pin, time::Duration};

use futures::{
    AsyncReadExt as _, FutureExt as _, StreamExt as _,
    channel::mpsc,
    future::{Either, join, join_all, select},
};
use futures_timer::Delay;
use libp2p_core::{
    Multiaddr, Transport as _,
    muxing::StreamMuxerBox,
    transport::{Boxed, DialOpts as TransportDialOpts, MemoryTransport, PortUse, TransportError},
    upgrade::Version,
};
use libp2p_identity::{Keypair, PeerId};
use libp2p_swarm::{
    Config as SwarmConfig, NetworkBehaviour, Swarm, SwarmEvent,
    dial_opts::{DialOpts, PeerCondition},
};
use wasm_bindgen_futures::spawn_local;
use wasm_bindgen_test::wasm_bindgen_test;
use webrtc_transport::{Behaviour, Config, Error, Event, Step, signalling};

/// Longer than any test.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

fn memory(key: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    MemoryTransport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(libp2p_noise::Config::new(key).unwrap())
        .multiplex(libp2p_yamux::Config::default())
        .boxed()
}

fn swarm<B: NetworkBehaviour>(
    transport: Boxed<(PeerId, StreamMuxerBox)>,
    behaviour: B,
    key: &Keypair,
    negotiation: Version,
) -> Swarm<B> {
    let config = SwarmConfig::with_executor(spawn_local)
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        .with_substream_upgrade_protocol_override(negotiation);
    Swarm::new(transport, behaviour, key.public().to_peer_id(), config)
}

/// A swarm that knows nothing but this transport and memory, composed as the README tells.
fn node(config: Config) -> Swarm<Behaviour> {
    negotiating_node(config, Version::V1Lazy)
}

fn negotiating_node(config: Config, negotiation: Version) -> Swarm<Behaviour> {
    let key = Keypair::generate_ed25519();
    let (webrtc, behaviour) = webrtc_transport::new(config).unwrap();
    let transport = webrtc
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .or_transport(memory(&key))
        .map(|either, _| either.into_inner())
        .boxed();
    swarm(transport, behaviour, &key, negotiation)
}

/// Listens in memory and behind `/webrtc`; returns the address in memory.
async fn listening(swarm: &mut Swarm<Behaviour>) -> Multiaddr {
    swarm.listen_on("/webrtc".parse().unwrap()).unwrap();
    swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

/// Connects in memory.
async fn join_memory<B: NetworkBehaviour>(swarm: &mut Swarm<B>, address: Multiaddr) {
    swarm.dial(address).unwrap();
    while !matches!(
        swarm.select_next_some().await,
        SwarmEvent::ConnectionEstablished { .. }
    ) {}
}

/// Dials a peer behind `/webrtc`; the error in words.
async fn dial(swarm: &mut Swarm<Behaviour>, peer: PeerId) -> Result<(), String> {
    let address: Multiaddr = format!("/webrtc/p2p/{peer}").parse().unwrap();
    let opts = DialOpts::peer_id(peer)
        .condition(PeerCondition::Always)
        .addresses(vec![address])
        .build();
    let dialled = opts.connection_id();
    swarm.dial(opts).unwrap();
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { connection_id, .. } if connection_id == dialled => {
                return Ok(());
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id, error, ..
            } if connection_id == dialled => {
                return Err(error.to_string());
            }
            _ => {}
        }
    }
}

/// Runs a swarm for as long as the page does and counts its direct connections: up for one, down for the loss of any.
fn run(mut swarm: Swarm<Behaviour>) -> mpsc::UnboundedReceiver<i32> {
    let (sender, counted) = mpsc::unbounded();
    spawn_local(async move {
        loop {
            let change = match swarm.select_next_some().await {
                SwarmEvent::Behaviour(Event::DirectEstablished { .. }) => 1,
                SwarmEvent::ConnectionClosed { .. } => -1,
                _ => continue,
            };
            // Not everybody counts.
            let _ = sender.unbounded_send(change);
        }
    });
    counted
}

#[wasm_bindgen_test]
async fn a_connection_that_was_there_before_carries_the_signalling() {
    let (mut a, mut b) = (node(Config::default()), node(Config::default()));
    let address = listening(&mut b).await;
    let peer = *b.local_peer_id();
    run(b);
    join_memory(&mut a, address).await;
    dial(&mut a, peer).await.unwrap();
}

#[wasm_bindgen_test]
async fn two_that_dial_each_other_at_once_are_connected() {
    let (mut a, mut b) = (node(Config::default()), node(Config::default()));
    listening(&mut a).await;
    let address = listening(&mut b).await;
    let (at_a, at_b) = (*a.local_peer_id(), *b.local_peer_id());
    // While one connects the other has to run, too.
    {
        let accept = async {
            while !matches!(
                b.select_next_some().await,
                SwarmEvent::ConnectionEstablished { .. }
            ) {}
        };
        join(join_memory(&mut a, address), accept).await;
    }
    let dials = async {
        let first = async {
            dial(&mut a, at_b).await.unwrap();
            run(a)
        };
        let second = async {
            dial(&mut b, at_a).await.unwrap();
            run(b)
        };
        join(first, second).await
    };
    let (mut counted, _kept) = dials.await;
    // Neither takes the place of the other.
    let lost = async { while counted.next().await != Some(-1) {} };
    match select(pin!(lost), Delay::new(Duration::from_millis(500))).await {
        Either::Left(_) => panic!("a connection was closed"),
        Either::Right(_) => {}
    }
}

#[wasm_bindgen_test]
async fn a_flood_of_sessions_takes_its_places_and_no_more() {
    const FLOOD: usize = 64;
    let config = Config::default();
    let mut victim = node(config.clone());
    let address = listening(&mut victim).await;
    let peer = *victim.local_peer_id();
    let mut counted = run(victim);
    let mut bystander = node(config.clone());
    join_memory(&mut bystander, address.clone()).await;
    dial(&mut bystander, peer).await.unwrap();
    run(bystander);

    let key = Keypair::generate_ed25519();
    let mut attacker = swarm(memory(&key), libp2p_stream::Behaviour::new(), &key, Version::V1);
    join_memory(&mut attacker, address.clone()).await;
    let control = attacker.behaviour().new_control();
    spawn_local(attacker.for_each(|_| async {}));
    let mut streams = join_all((0..FLOOD).map(|_| {
        let mut control = control.clone();
        async move { control.open_stream(peer, signalling::PROTOCOL).await.unwrap() }
    }))
    .await;
    // None of them says a word. Those that are refused end at once, the others with their time.
    let at_once = config.description_timeout / 4;
    let ended = join_all(streams.iter_mut().map(|stream| async move {
        select(pin!(stream.read(&mut [0])), Delay::new(at_once))
            .map(|first| matches!(first, Either::Left(_)))
            .await
    }));
    // Meanwhile somebody else gets in.
    let newcomer = async {
        let mut newcomer = node(config.clone());
        join_memory(&mut newcomer, address).await;
        dial(&mut newcomer, peer).await.unwrap();
        run(newcomer)
    };
    let (ended, _kept) = join(ended, newcomer).await;
    let waiting = ended.iter().filter(|ended| !**ended).count();
    assert!((1..=config.sessions_per_peer_max).contains(&waiting), "{waiting}");
    // The bystander's connection and the newcomer's, and none lost.
    let mut changes = Vec::new();
    while let Ok(change) = counted.try_recv() {
        changes.push(change);
    }
    assert_eq!(changes, [1, 1]);
}

#[wasm_bindgen_test]
async fn a_peer_that_cannot_be_signalled_to_is_an_error_each() {
    let mut a = node(Config::default());
    let error = dial(&mut a, PeerId::random()).await.unwrap_err();
    assert!(error.contains(&Error::NoCircuit.to_string()), "{error}");

    let key = Keypair::generate_ed25519();
    let mut other = swarm(memory(&key), libp2p_stream::Behaviour::new(), &key, Version::V1);
    other.listen_on("/memory/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = other.select_next_some().await {
            break address;
        }
    };
    spawn_local(other.for_each(|_| async {}));
    for negotiation in [Version::V1, Version::V1Lazy] {
        let mut a = negotiating_node(Config::default(), negotiation);
        join_memory(&mut a, address.clone()).await;
        let error = dial(&mut a, key.public().to_peer_id()).await.unwrap_err();
        assert!(error.contains(&Error::Unsupported.to_string()), "{error}");
    }
}

#[wasm_bindgen_test]
async fn a_transport_on_its_own_fails_in_words() {
    let opts = TransportDialOpts {
        role: libp2p_core::Endpoint::Dialer,
        port_use: PortUse::Reuse,
    };
    let config = Config {
        circuit_timeout: Duration::from_millis(100),
        ..Config::default()
    };
    let address = |peer: PeerId| -> Multiaddr { format!("/webrtc/p2p/{peer}").parse().unwrap() };

    let (mut transport, behaviour) = webrtc_transport::new(config.clone()).unwrap();
    let peer = PeerId::random();
    let dials: Vec<_> = (0..config.sessions_per_peer_max)
        .map(|_| transport.dial(address(peer), opts).unwrap())
        .collect();
    let busy = transport.dial(address(peer), opts);
    assert!(matches!(busy, Err(TransportError::Other(Error::Busy))));
    for result in join_all(dials).await {
        // Nobody polls the behaviour.
        assert!(matches!(result, Err(Error::Timeout(Step::Circuit))));
    }
    let nobody: Multiaddr = "/webrtc".parse().unwrap();
    let error = transport.dial(nobody, opts);
    assert!(matches!(error, Err(TransportError::Other(Error::Address(_)))));

    drop(behaviour);
    let error = transport.dial(address(peer), opts).unwrap().await;
    assert!(matches!(error, Err(Error::Shutdown)));

    let nothing = Config {
        sessions_max: 0,
        ..Config::default()
    };
    assert!(matches!(
        webrtc_transport::new(nothing),
        Err(Error::Config("sessions_max"))
    ));
}
