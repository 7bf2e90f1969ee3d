//! The half of the pair that libp2p dials and listens with.

use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{
    FutureExt as _, StreamExt as _,
    channel::mpsc,
    channel::oneshot,
    future::{BoxFuture, select},
};
use futures_timer::Delay;
use libp2p_core::{
    Multiaddr,
    multiaddr::Protocol,
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use libp2p_identity::PeerId;
use send_wrapper::SendWrapper;
use wasm_bindgen_futures::spawn_local;

use crate::{
    address::{ListenOn, Target, relay_of},
    config::Config,
    error::{Error, Step},
    link::{Command, Notice, Signalling, ToBehaviour},
    sessions::Sessions,
    turns::Turns,
    web::{
        connection::Connection,
        session::{self, within},
    },
};

/// How long an answered session that failed keeps its place, so that a peer cannot make us set up and tear down peer
/// connections as fast as it can send offers.
const FAILED_SESSION_HOLD: Duration = Duration::from_secs(1);

/// How often a dial looks for a path.
const ATTEMPTS_MAX: u32 = 2;

type Upgrade = BoxFuture<'static, Result<(PeerId, Connection), Error>>;

/// Dials and accepts direct connections to other browsers. Works only together with its
/// [`Behaviour`](crate::Behaviour), in the same swarm.
pub struct Transport {
    config: Arc<Config>,
    link: ToBehaviour,
    listeners: Vec<Listener>,
    events: VecDeque<TransportEvent<Upgrade, Error>>,
    /// Circuits that the relay client listens on.
    circuits: Vec<Multiaddr>,
    dialling: Sessions,
    accepting: Sessions,
    turns: Turns,
    waker: Option<Waker>,
}

struct Listener {
    id: ListenerId,
    on: ListenOn,
}

impl Listener {
    fn covers(&self, circuit: &Multiaddr) -> bool {
        match &self.on {
            ListenOn::AnyCircuit => true,
            // A relay tells us addresses of its own choice; all of them lead to the circuit.
            ListenOn::Circuit(wanted) => relay_of(circuit) == relay_of(wanted),
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("circuits", &self.circuits)
            .finish_non_exhaustive()
    }
}

impl Transport {
    pub(crate) fn new(config: Config, link: ToBehaviour) -> Self {
        let sessions = || Sessions::new(config.sessions_max, config.sessions_per_peer_max);
        Self {
            dialling: sessions(),
            accepting: sessions(),
            turns: Turns::default(),
            config: Arc::new(config),
            link,
            listeners: Vec::new(),
            events: VecDeque::new(),
            circuits: Vec::new(),
            waker: None,
        }
    }

    fn push(&mut self, event: TransportEvent<Upgrade, Error>) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Inbound {
                peer,
                address,
                signalling,
            } => self.on_inbound(peer, address, *signalling),
            Notice::CircuitUp(circuit) => {
                self.announce(&circuit);
                self.circuits.push(circuit);
            }
            Notice::CircuitDown(circuit) => {
                self.circuits.retain(|known| *known != circuit);
                self.retract(&circuit);
            }
            Notice::CircuitClosed(circuit) => self.close_listeners(&circuit),
            Notice::IceServers(ice_servers) => {
                self.config = Arc::new(Config {
                    ice_servers,
                    ..(*self.config).clone()
                });
            }
        }
    }

    fn announce(&mut self, circuit: &Multiaddr) {
        let covering = self.listeners.iter().filter(|listener| listener.covers(circuit));
        let events: Vec<_> = covering
            .map(|listener| TransportEvent::NewAddress {
                listener_id: listener.id,
                listen_addr: listen_address(circuit),
            })
            .collect();
        self.events.extend(events);
    }

    fn retract(&mut self, circuit: &Multiaddr) {
        let covering = self.listeners.iter().filter(|listener| listener.covers(circuit));
        let events: Vec<_> = covering
            .map(|listener| TransportEvent::AddressExpired {
                listener_id: listener.id,
                listen_addr: listen_address(circuit),
            })
            .collect();
        self.events.extend(events);
    }

    /// The circuit that a listener asked for is gone, and the listener with it.
    fn close_listeners(&mut self, circuit: &Multiaddr) {
        let closed: Vec<ListenerId> = self
            .listeners
            .extract_if(.., |listener| listener.on == ListenOn::Circuit(circuit.clone()))
            .map(|listener| listener.id)
            .collect();
        self.events.extend(
            closed
                .into_iter()
                .map(|listener_id| TransportEvent::ListenerClosed {
                    listener_id,
                    reason: Err(Error::NoCircuit),
                }),
        );
    }

    fn on_inbound(&mut self, peer: PeerId, address: Multiaddr, signalling: Signalling) {
        let Signalling { stream, lease } = signalling;
        let Some(listener) = self.listeners.first() else {
            tracing::debug!(%peer, "refused signalling: not listening");
            return;
        };
        let Some(permit) = self.accepting.admit(peer) else {
            tracing::debug!(%peer, "refused signalling: too many sessions");
            return;
        };
        let (config, turns) = (self.config.clone(), self.turns.clone());
        let upgrade = SendWrapper::new(async move {
            let _lease = lease;
            let turn = async |offer: &str| turns.answering(peer, offer).await;
            let accepted = session::accept_in_turn(stream, &config, turn).await;
            if accepted.is_err() {
                spawn_local(Delay::new(FAILED_SESSION_HOLD).map(|()| drop(permit)));
            }
            accepted.map(|connection| (peer, connection))
        });
        self.events.push_back(TransportEvent::Incoming {
            listener_id: listener.id,
            upgrade: upgrade.boxed(),
            local_addr: Multiaddr::from(Protocol::WebRTC),
            send_back_addr: address,
        });
    }
}

impl libp2p_core::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        let on = match ListenOn::parse(&address) {
            None => return Err(TransportError::MultiaddrNotSupported(address)),
            Some(parsed) => parsed.map_err(TransportError::Other)?,
        };
        if let ListenOn::Circuit(circuit) = &on {
            let listen = Command::Listen {
                circuit: circuit.clone(),
            };
            self.link
                .commands
                .try_send(listen)
                .map_err(|error| TransportError::Other(not_sent(&error)))?;
        }
        let listener = Listener { id, on };
        let known: Vec<Multiaddr> = self
            .circuits
            .iter()
            .filter(|c| listener.covers(c))
            .cloned()
            .collect();
        self.listeners.push(listener);
        for circuit in known {
            let listen_addr = listen_address(&circuit);
            self.push(TransportEvent::NewAddress {
                listener_id: id,
                listen_addr,
            });
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(index) = self.listeners.iter().position(|listener| listener.id == id) else {
            return false;
        };
        if let ListenOn::Circuit(circuit) = self.listeners.remove(index).on {
            // Should the behaviour be too busy to hear it, the circuit stays reserved, which harms nobody.
            let _ = self.link.commands.try_send(Command::Unlisten { circuit });
        }
        self.push(TransportEvent::ListenerClosed {
            listener_id: id,
            reason: Ok(()),
        });
        true
    }

    fn dial(&mut self, address: Multiaddr, opts: DialOpts) -> Result<Upgrade, TransportError<Error>> {
        let target = match Target::parse(&address) {
            // Hole punching reverses roles; it has no meaning for a connection that ICE makes.
            _ if opts.role.is_listener() => return Err(TransportError::MultiaddrNotSupported(address)),
            None => return Err(TransportError::MultiaddrNotSupported(address)),
            Some(target) => target.map_err(TransportError::Other)?,
        };
        let permit = self
            .dialling
            .admit(target.peer)
            .ok_or(TransportError::Other(Error::Busy))?;
        let (config, commands) = (self.config.clone(), self.link.commands.clone());
        let turns = self.turns.clone();
        let dial = async move {
            let _held = permit;
            // A browser may answer for the name that hides its address too late for the other's patience, but not twice.
            let mut attempt = 1;
            loop {
                match try_once(&commands, &target, &config, &turns).await {
                    Err(Error::NoPath) if attempt < ATTEMPTS_MAX => attempt += 1,
                    result => return result.map(|connection| (target.peer, connection)),
                }
            }
        };
        Ok(SendWrapper::new(dial).boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Upgrade, Error>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            match self.link.notices.poll_next_unpin(cx) {
                Poll::Ready(Some(notice)) => self.on_notice(notice),
                // Without a behaviour nothing can happen any more.
                Poll::Ready(None) | Poll::Pending => {
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}

/// One signalling session with the target.
async fn try_once(
    commands: &mpsc::Sender<Command>,
    target: &Target,
    config: &Config,
    turns: &Turns,
) -> Result<Connection, Error> {
    let open = open(commands.clone(), target);
    let Signalling { stream, lease } = within(Step::Circuit, config.circuit_timeout, open).await?;
    let before = pin!(turns.before_offer(target.peer));
    select(before, Delay::new(config.connect_timeout)).await;
    let turn = |offer: &str| turns.offered(target.peer, offer);
    let connection = session::dial_in_turn(stream, config, turn).await;
    drop(lease);
    connection
}

/// Asks the behaviour for a signalling stream to the target.
async fn open(mut commands: mpsc::Sender<Command>, target: &Target) -> Result<Signalling, Error> {
    let (reply, answer) = oneshot::channel();
    let command = Command::Open {
        peer: target.peer,
        circuit: target.circuit.clone(),
        reply,
    };
    commands.try_send(command).map_err(|error| not_sent(&error))?;
    // The reply is dropped unanswered when the connection that it was to run over closes.
    answer.await.unwrap_or(Err(Error::Closed))
}

fn not_sent(error: &mpsc::TrySendError<Command>) -> Error {
    if error.is_full() {
        Error::Busy
    } else {
        Error::Shutdown
    }
}

/// The listen address that a circuit gives us, with our peer id where the relay client put it.
fn listen_address(circuit: &Multiaddr) -> Multiaddr {
    match circuit.iter().last() {
        Some(Protocol::P2p(own)) => crate::webrtc_address(circuit, own),
        _ => circuit.clone().with(Protocol::WebRTC),
    }
}
