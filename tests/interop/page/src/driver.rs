//! The swarm's loop: commands in, the answers that they wait for out.
//!
//! Every command carries a reply, which is dropped when what it waits for can no longer happen; the caller sees that as
//! an error. Who waits for a direct connection waits on: the dialler may end the circuit a moment before the listener knows
//! that the direct connection stands.

use std::collections::BTreeMap;

use exchange::Frame;
use futures::{
    StreamExt as _,
    channel::{mpsc, oneshot},
    select,
};
use libp2p::{
    Multiaddr, PeerId, Swarm, identify, ping,
    request_response::{Message, OutboundRequestId},
    swarm::{
        ConnectionId, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use webrtc_transport::{Event as WebRtcEvent, is_webrtc_direct_peer};

use crate::swarm::{Behaviour, BehaviourEvent};

/// Commands under way between JavaScript and the loop; more wait.
pub(crate) const COMMANDS_MAX: usize = 64;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, String>>;

/// What JavaScript asks of the swarm.
pub(crate) enum Command {
    /// Be reachable at this address; answered once a peer can dial it.
    Listen(Multiaddr, Reply<()>),
    /// Connect; answered once the connection stands.
    Dial(PeerId, Multiaddr, Reply<()>),
    /// Wait until only direct connections to the peer stand.
    Direct(PeerId, Reply<()>),
    /// Wait for what identify says of the peer.
    Identified(PeerId, Reply<String>),
    /// Wait for the next ping's round trip in milliseconds.
    Ping(PeerId, Reply<f64>),
    /// Ask over `/knowledge/1`.
    Request(PeerId, Frame, Reply<Frame>),
    /// Close every connection to the peer.
    Close(PeerId, Reply<()>),
}

#[derive(Default)]
struct Waiting {
    listens: Vec<Reply<()>>,
    dials: BTreeMap<ConnectionId, Reply<()>>,
    direct: Vec<(PeerId, Reply<()>)>,
    identified: Vec<(PeerId, Reply<String>)>,
    pings: Vec<(PeerId, Reply<f64>)>,
    requests: BTreeMap<OutboundRequestId, Reply<Frame>>,
    closes: Vec<(PeerId, Reply<()>)>,
}

/// The loop's state.
pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    waiting: Waiting,
    /// What identify has said already.
    agents: BTreeMap<PeerId, String>,
    /// Peers that are reached directly and not otherwise.
    direct: Vec<PeerId>,
}

impl Driver {
    pub(crate) fn new(swarm: Swarm<Behaviour>, commands: mpsc::Receiver<Command>) -> Self {
        Self {
            swarm,
            commands,
            waiting: Waiting::default(),
            agents: BTreeMap::new(),
            direct: Vec::new(),
        }
    }

    /// Runs until nobody can send commands any more.
    pub(crate) async fn run(mut self) {
        loop {
            select! {
                command = self.commands.next() => match command {
                    Some(command) => self.on_command(command),
                    None => return,
                },
                event = self.swarm.select_next_some() => self.on_event(event),
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Listen(address, reply) => match self.swarm.listen_on(address) {
                Ok(_) => self.waiting.listens.push(reply),
                Err(error) => drop(reply.send(Err(error.to_string()))),
            },
            Command::Dial(peer, address, reply) => self.dial(peer, address, reply),
            Command::Direct(peer, reply) if self.direct.contains(&peer) => drop(reply.send(Ok(()))),
            Command::Direct(peer, reply) => self.waiting.direct.push((peer, reply)),
            Command::Identified(peer, reply) => match self.agents.get(&peer) {
                Some(agent) => drop(reply.send(Ok(agent.clone()))),
                None => self.waiting.identified.push((peer, reply)),
            },
            Command::Ping(peer, reply) => self.waiting.pings.push((peer, reply)),
            Command::Request(peer, frame, reply) => {
                let request = self.swarm.behaviour_mut().exchange.send_request(&peer, frame);
                self.waiting.requests.insert(request, reply);
            }
            Command::Close(peer, reply) => match self.swarm.disconnect_peer_id(peer) {
                Ok(()) => self.waiting.closes.push((peer, reply)),
                // It is closed already.
                Err(()) => drop(reply.send(Ok(()))),
            },
        }
    }

    fn dial(&mut self, peer: PeerId, address: Multiaddr, reply: Reply<()>) {
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(vec![address])
            .build();
        let connection = opts.connection_id();
        match self.swarm.dial(opts) {
            Ok(()) => drop(self.waiting.dials.insert(connection, reply)),
            Err(error) => drop(reply.send(Err(error.to_string()))),
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            // The plain circuit is confirmed too, a moment earlier.
            SwarmEvent::ExternalAddrConfirmed { address } if is_webrtc_direct_peer(&address) => {
                for reply in self.waiting.listens.drain(..) {
                    let _ = reply.send(Ok(()));
                }
            }
            SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                if let Some(reply) = self.waiting.dials.remove(&connection_id) {
                    let _ = reply.send(Ok(()));
                }
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id, error, ..
            } => {
                if let Some(reply) = self.waiting.dials.remove(&connection_id) {
                    let _ = reply.send(Err(error.to_string()));
                }
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established: 0,
                ..
            } => self.on_gone(peer_id),
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            _ => {}
        }
    }

    fn on_gone(&mut self, peer: PeerId) {
        self.agents.remove(&peer);
        self.direct.retain(|known| *known != peer);
        answer(&mut self.waiting.closes, peer, || ());
        self.waiting.pings.retain(|(waited, _)| *waited != peer);
        self.waiting.identified.retain(|(waited, _)| *waited != peer);
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Webrtc(WebRtcEvent::DirectOnly { peer }) => {
                self.direct.push(peer);
                answer(&mut self.waiting.direct, peer, || ());
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.agents.insert(peer_id, info.agent_version.clone());
                answer(&mut self.waiting.identified, peer_id, || {
                    info.agent_version.clone()
                });
            }
            BehaviourEvent::Ping(ping::Event {
                peer,
                result: Ok(round_trip),
                ..
            }) => {
                answer(&mut self.waiting.pings, peer, || {
                    round_trip.as_secs_f64() * 1_000.0
                });
            }
            BehaviourEvent::Exchange(event) => self.on_exchange(event),
            _ => {}
        }
    }

    fn on_exchange(&mut self, event: exchange::Event) {
        match event {
            exchange::Event::Message { message, .. } => match message {
                Message::Request {
                    mut request, channel, ..
                } => {
                    // Reversed, so that an answer cannot be mistaken for an echo.
                    request.reverse();
                    let _ = self
                        .swarm
                        .behaviour_mut()
                        .exchange
                        .send_response(channel, request);
                }
                Message::Response {
                    request_id, response, ..
                } => {
                    if let Some(reply) = self.waiting.requests.remove(&request_id) {
                        let _ = reply.send(Ok(response));
                    }
                }
            },
            exchange::Event::OutboundFailure {
                request_id, error, ..
            } => {
                if let Some(reply) = self.waiting.requests.remove(&request_id) {
                    let _ = reply.send(Err(error.to_string()));
                }
            }
            _ => {}
        }
    }
}

/// Answers everybody who waits for this peer.
fn answer<T>(waiting: &mut Vec<(PeerId, Reply<T>)>, peer: PeerId, value: impl Fn() -> T) {
    for (_, reply) in waiting.extract_if(.., |(waited, _)| *waited == peer) {
        let _ = reply.send(Ok(value()));
    }
}
