//! One of the thousand: a node that holds a reservation, renews it, signals when it is told to and answers who signals.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, Transport as _,
    core::upgrade::Version,
    multiaddr::Protocol,
    noise, relay as circuit, request_response,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::PHASE_MAX;

/// One message of signalling: a session description with candidates, as browsers make them.
const MESSAGE_BYTES: usize = 4 * 1024;
/// The offer and two batches of candidates, each with an answer.
const MESSAGES: usize = 3;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    circuit: circuit::client::Behaviour,
    exchange: exchange::Behaviour,
}

/// An order to signal, and where the time that it took is to go.
pub(super) struct Signal {
    pub(super) to: PeerId,
    pub(super) done: oneshot::Sender<Result<Duration, String>>,
}

/// What a tab has to tell.
pub(super) enum Told {
    Reserved,
    Renewed,
    Lost(String),
}

/// The caller's end of a tab, which lives in a task of its own.
pub(super) struct Tab {
    pub(super) peer: PeerId,
    pub(super) orders: mpsc::Sender<Signal>,
    pub(super) told: mpsc::Receiver<Told>,
}

impl Tab {
    /// Connects, and waits for the reservation.
    pub(super) async fn open(door: Multiaddr) -> Self {
        let mut swarm = swarm();
        let peer = *swarm.local_peer_id();
        swarm.listen_on(door.clone().with(Protocol::P2pCircuit)).unwrap();
        let (orders, inbox) = mpsc::channel(4);
        let (tell, mut told) = mpsc::channel(64);
        let life = Life {
            swarm,
            door,
            tell,
            call: None,
        };
        tokio::spawn(life.run(inbox));
        match timeout(PHASE_MAX, told.recv()).await {
            Ok(Some(Told::Reserved)) => Self { peer, orders, told },
            Ok(Some(Told::Lost(reason))) => panic!("a node was not admitted: {reason}"),
            _ => panic!("a node got no reservation in time"),
        }
    }
}

/// A node of the network as far as the relay is concerned, over the transport that browsers use.
pub(super) fn swarm() -> Swarm<Behaviour> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|keypair| {
            libp2p_websocket::Config::new(tcp::tokio::Transport::default())
                .upgrade(Version::V1Lazy)
                .authenticate(noise::Config::new(keypair).unwrap())
                .multiplex(yamux::Config::default())
        })
        .unwrap()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_, circuit| Behaviour {
            circuit,
            exchange: exchange::behaviour(&exchange::Config::default()),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(PHASE_MAX))
        .build()
}

/// The innermost cause.
pub(super) fn source_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Signalling under way: one at a time.
struct Call {
    order: Signal,
    started: Instant,
    sent: usize,
}

struct Life {
    swarm: Swarm<Behaviour>,
    door: Multiaddr,
    tell: mpsc::Sender<Told>,
    call: Option<Call>,
}

impl Life {
    async fn run(mut self, mut inbox: mpsc::Receiver<Signal>) {
        loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(order) => self.start(order),
                    None => return,
                },
                event = self.swarm.select_next_some() => self.on_event(event),
            }
        }
    }

    fn start(&mut self, order: Signal) {
        let through = self.door.clone().with(Protocol::P2pCircuit);
        if let Err(error) = self.swarm.dial(through.with(Protocol::P2p(order.to))) {
            let _ = order.done.send(Err(error.to_string()));
            return;
        }
        self.send(Call {
            order,
            started: Instant::now(),
            sent: 0,
        });
    }

    fn send(&mut self, mut call: Call) {
        let message = vec![7; MESSAGE_BYTES];
        self.swarm
            .behaviour_mut()
            .exchange
            .send_request(&call.order.to, message);
        call.sent += 1;
        self.call = Some(call);
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        // Nobody listens any more when the measurement is over.
        match event {
            SwarmEvent::ListenerClosed { reason, .. } => {
                let reason = reason.map_or_else(|error| source_of(&error), |()| "it was closed".to_owned());
                let _ = self.tell.try_send(Told::Lost(reason));
            }
            SwarmEvent::Behaviour(BehaviourEvent::Circuit(
                circuit::client::Event::ReservationReqAccepted { renewal, .. },
            )) => {
                let told = if renewal { Told::Renewed } else { Told::Reserved };
                let _ = self.tell.try_send(told);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(event)) => self.on_exchange(event),
            _ => {}
        }
    }

    fn on_exchange(&mut self, event: exchange::Event) {
        match event {
            request_response::Event::Message {
                message: request_response::Message::Request { request, channel, .. },
                ..
            } => {
                // A caller that is gone gets no answer.
                let _ = self
                    .swarm
                    .behaviour_mut()
                    .exchange
                    .send_response(channel, request);
            }
            request_response::Event::Message { .. } => match self.call.take() {
                Some(call) if call.sent < MESSAGES => self.send(call),
                Some(call) => {
                    let _ = call.order.done.send(Ok(call.started.elapsed()));
                }
                None => {}
            },
            request_response::Event::OutboundFailure { error, .. } => {
                if let Some(call) = self.call.take() {
                    let _ = call.order.done.send(Err(error.to_string()));
                }
            }
            _ => {}
        }
    }
}
