//! The loop that is the node.
//!
//! It waits for one thing at a time (an order, the network, a finished task, the surroundings, a deadline), tells the
//! core, and drains the core before it waits again. Whatever takes time is a task; a task's result is one [`Done`].
//! Deadlines are checked on every turn, since a hidden tab's timers may be a minute late.

mod checking;
mod computing;
mod fetching;
mod files;
mod keeping;
mod lending;
mod storing;
mod tasks;
mod waking;

use std::pin::pin;
use std::rc::Rc;

use futures::channel::{mpsc, oneshot};
use futures::future::{FutureExt as _, LocalBoxFuture};
use futures::stream::{self, Fuse, FuturesUnordered, LocalBoxStream, StreamExt as _};
use gloo::timers::future::TimeoutFuture;
use litemap::LiteMap;
use node_proto::capability::Measurements;
use node_proto::ids::{Hash, NodeId, Timestamp};
use node_proto::io::{Command, Input, Output};
use node_proto::transfer::BlobInput;
use node_proto::view::Event;

use self::computing::Computing;
use self::fetching::Coming;
use self::files::Shelf;
use self::keeping::Restoring;
use self::lending::Lending;
use self::storing::Storing;
use self::tasks::Done;
use crate::diagnosis::{Signs, diagnose};
use crate::handle::Shared;
use crate::lock::NodeLock;
use crate::measure::{self, Watch};
use crate::models::Models;
use crate::net::{NetEvent, Network};
use crate::order::Order;
use crate::platform;
use crate::status::TabStatus;
use crate::store::ledger::Ledger;
use crate::store::settings::Settings;

/// The diagnosis is made again after this long, even if nothing happens: patience runs out.
const TICK_MS: u64 = 5_000;
/// The device is measured again after so many ticks.
const TICKS_PER_MEASUREMENT: u32 = 60;
/// How long connections may take to close when the node stops.
const FAREWELL_MS: u32 = 250;

/// What a node is made of.
pub(crate) struct Parts {
    pub(crate) shared: Rc<Shared>,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) network: Network,
    pub(crate) ledger: Rc<Ledger>,
    pub(crate) settings: Option<Rc<Settings>>,
    pub(crate) origin: String,
    /// Models leave the memory after so long without use.
    pub(crate) idle_ms: u32,
    /// Others' modules may run here.
    pub(crate) compute: bool,
    pub(crate) lock: Option<NodeLock>,
    /// Fires when another tab wants to be the node.
    pub(crate) wanted: Option<oneshot::Receiver<()>>,
}

/// The node at work.
pub(crate) struct Driver {
    shared: Rc<Shared>,
    orders: mpsc::Receiver<Order>,
    network: Network,
    models: Models,
    lending: Lending,
    shelf: Shelf,
    computing: Computing,
    storing: Storing,
    /// Blobs on their way into this page's memory.
    coming: LiteMap<Hash, Coming>,
    /// Parts of files from the web server.
    arrivals: mpsc::Receiver<BlobInput>,
    ledger: Rc<Ledger>,
    settings: Option<Rc<Settings>>,
    origin: String,
    /// The last `/bootstrap.json` that came.
    bootstrap: Option<String>,
    tasks: FuturesUnordered<LocalBoxFuture<'static, Done>>,
    /// Writes of the ledger under way.
    writing: u32,
    fetching_index: bool,
    /// From when on the relay may be asked for known answers.
    known_answers_at: Timestamp,
    surroundings: mpsc::Receiver<()>,
    watching: mpsc::Sender<()>,
    watch: Option<Watch>,
    /// Yields once when another tab wants to be the node.
    handover: Fuse<LocalBoxStream<'static, ()>>,
    lock: Option<NodeLock>,
    next_tick: Timestamp,
    ticks: u32,
    stopping: Option<(TabStatus, Option<oneshot::Sender<()>>)>,
    /// Is put in place once the node has stopped.
    restoring: Option<Restoring>,
}

/// What the loop woke up for.
enum Wake {
    Order(Order),
    Network(NetEvent),
    Done(Done),
    Surroundings,
    Part(BlobInput),
    Deadline,
    TakenOver,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let (watching, surroundings) = mpsc::channel(1);
        let (shelf, arrivals) = Shelf::new();
        let models = Models::new(parts.shared.clone(), parts.origin.clone());
        Self {
            shared: parts.shared,
            orders: parts.orders,
            network: parts.network,
            models,
            lending: Lending::new(parts.idle_ms),
            computing: Computing::new(&parts.origin, parts.idle_ms, parts.compute),
            storing: Storing::default(),
            coming: LiteMap::new(),
            shelf,
            arrivals,
            ledger: parts.ledger,
            settings: parts.settings,
            origin: parts.origin,
            bootstrap: None,
            tasks: FuturesUnordered::new(),
            writing: 0,
            fetching_index: false,
            known_answers_at: Timestamp::default(),
            surroundings,
            watching,
            watch: None,
            handover: stream::iter(parts.wanted)
                .filter_map(async |wanted| wanted.await.ok())
                .chain(stream::pending())
                .boxed_local()
                .fuse(),
            lock: parts.lock,
            next_tick: Timestamp::default(),
            ticks: 0,
            stopping: None,
            restoring: None,
        }
    }

    /// Runs until the node is stopped.
    pub(crate) async fn run(mut self) {
        self.first_tasks();
        while self.stopping.is_none() {
            self.drain();
            let wake = self.wait().await;
            self.on_wake(wake);
            self.on_deadlines();
        }
        self.end().await;
    }

    async fn wait(&mut self) -> Wake {
        let mut timer = TimeoutFuture::new(self.sleep_ms()).fuse();
        let mut event = pin!(self.network.next().fuse());
        futures::select_biased! {
            order = self.orders.select_next_some() => Wake::Order(order),
            () = self.handover.select_next_some() => Wake::TakenOver,
            done = self.tasks.select_next_some() => Wake::Done(done),
            event = event => Wake::Network(event),
            () = self.surroundings.select_next_some() => Wake::Surroundings,
            // Last, so that bulk holds nothing up.
            part = self.arrivals.select_next_some() => Wake::Part(part),
            () = timer => Wake::Deadline,
        }
    }

    fn sleep_ms(&self) -> u32 {
        let deadlines = [
            self.shared.node.borrow().poll_timeout(),
            self.network.next_deadline(),
        ];
        let next = deadlines
            .into_iter()
            .flatten()
            .fold(self.next_tick, Timestamp::min);
        u32::try_from(next.ms_since(self.shared.clock.now())).unwrap_or(u32::MAX)
    }

    fn on_wake(&mut self, wake: Wake) {
        match wake {
            Wake::Order(order) => self.on_order(order),
            Wake::Network(event) => self.on_network(event),
            Wake::Done(done) => self.on_done(done),
            Wake::Surroundings => self.on_surroundings(),
            Wake::Part(part) => self.input(Input::Blob(part)),
            Wake::Deadline => {}
            Wake::TakenOver => self.stopping = Some((TabStatus::TakenOver, None)),
        }
    }

    fn on_deadlines(&mut self) {
        let now = self.shared.clock.now();
        self.network.expire(now);
        let due = self
            .shared
            .node
            .borrow()
            .poll_timeout()
            .is_some_and(|at| at <= now);
        if due {
            self.shared.node.borrow_mut().handle_timeout(now);
        }
        if self.next_tick <= now {
            self.next_tick = now.plus_ms(TICK_MS);
            self.ticks = self.ticks.wrapping_add(1);
            self.network.retry_direct();
            self.network.keep_places();
            // A worker can die while nobody waits for it.
            self.revive();
            self.shared.own.rest();
            self.rest();
            self.tidy_blobs();
            self.show_network();
            if self.ticks.is_multiple_of(TICKS_PER_MEASUREMENT) {
                self.measure_storage();
                self.measure_device(0);
            }
        }
    }

    /// Tells the core.
    fn input(&mut self, input: Input) {
        self.drain();
        let now = self.shared.clock.now();
        self.shared.node.borrow_mut().handle_input(now, input);
    }

    fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    /// Carries out everything that the core wants done.
    fn drain(&mut self) {
        loop {
            let output = self.shared.node.borrow_mut().poll_output();
            match output {
                Some(output) => self.carry_out(output),
                None => break,
            }
        }
        let coordinates = self.shared.node.borrow().coordinates();
        self.network.coordinate(coordinates);
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Request {
                exchange,
                peer,
                frame,
                timeout_ms,
            } => {
                self.network.request(exchange, &peer, frame, timeout_ms);
            }
            Output::Respond { exchange, frame } => self.network.respond(exchange, frame),
            Output::Dial { peer, addresses } => self.network.dial_peer(&peer, &addresses),
            Output::HangUp { peer } => self.network.hang_up(&peer),
            Output::Persist { seq, writes } => self.persist(seq, writes),
            Output::Work {
                work,
                requester,
                model,
                input,
                limit_ms,
            } => self.work(work, requester, model, input, limit_ms),
            Output::Blob(output) => self.carry_out_blob(output),
            // The status tells of it.
            Output::Event(Event::Blob { blob, step }) => self.on_blob(blob, step),
            Output::Event(event) => {
                if let Event::Stored { blob, step } = &event {
                    self.on_stored_step(*blob, step);
                }
                self.shared.tell(event);
            }
        }
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Core(command) => {
                if let Command::Lend(policy) = &command {
                    self.lend(policy.clone());
                }
                if let Command::Request { .. } = &command {
                    self.need_known_answers();
                }
                if let Command::Release { blob } = &command {
                    self.forget_own(*blob);
                }
                self.command(command);
                self.tidy_blobs();
            }
            Order::Dial { address, reply } => self.network.dial_address(address, reply),
            Order::Load { model, pin, reply } => self.load(model, pin, Some(reply)),
            Order::Unload { model } => self.unload(model),
            Order::Keep { keep, content, reply } => self.keep_elsewhere(*keep, content, reply),
            Order::Retrieve {
                blob,
                bytes,
                from,
                reply,
            } => self.retrieve(blob, bytes, from, reply),
            Order::Reconnect => self.network.hurry(),
            Order::Export { passphrase, reply } => self.export(passphrase, reply),
            Order::Restore { backup, reply } => self.restore(backup, reply),
            Order::Stop { taken_over, reply } => {
                let tab = if taken_over {
                    TabStatus::TakenOver
                } else {
                    TabStatus::Stopped
                };
                self.stopping = Some((tab, Some(reply)));
            }
        }
    }

    fn on_network(&mut self, event: NetEvent) {
        match event {
            NetEvent::Input(input) => {
                if let Input::DiscoveryPoint { available: true, .. } = &input {
                    self.need_index();
                }
                let relay_pinged = matches!(&input, Input::RoundTrip { peer, .. } if self.is_relay(peer));
                self.input(input);
                if relay_pinged {
                    self.measure_network();
                }
            }
            NetEvent::Changed => self.show_network(),
            NetEvent::FetchBootstrap => self.fetch_bootstrap(),
            NetEvent::RetryRelay { relay, ms } => self.tasks.push(
                async move {
                    TimeoutFuture::new(ms).await;
                    Done::RetryRelay(relay)
                }
                .boxed_local(),
            ),
        }
    }

    fn on_surroundings(&mut self) {
        if platform::online() {
            self.network.hurry();
        }
        self.show_network();
        self.tasks
            .push(async { Done::Environment(measure::environment().await) }.boxed_local());
        self.measure_device(0);
    }

    fn is_relay(&self, peer: &NodeId) -> bool {
        self.network.relay_status().0.as_ref() == Some(peer)
    }

    fn measure_network(&mut self) {
        if let Some(rtt_ms) = self.network.relay_rtt_ms() {
            let reading = measure::measured(rtt_ms.into(), self.shared.clock.now());
            self.command(Command::Measured(Measurements {
                network_rtt_ms: Some(reading),
                ..Measurements::default()
            }));
        }
    }

    /// Brings the status up to date with the network.
    fn show_network(&mut self) {
        let members_seen = self.shared.handle().snapshot().members_seen;
        let (peer, state) = self.network.relay_status();
        let (direct, failed, last_failure) = self.network.direct();
        let diagnosis = diagnose(&Signs {
            online: platform::online(),
            relay: &state,
            direct,
            members_seen,
            failed,
            last_failure,
            age_ms: self.shared.clock.age_ms(),
        });
        let connections = self.network.connections();
        self.shared.update(|status| {
            status.relay.peer = peer;
            status.relay.state = state;
            status.connections = connections;
            status.diagnosis = diagnosis;
        });
    }

    /// Leaves in order: peers, engine, ledger, lock, and then whoever waits for it.
    async fn end(mut self) {
        self.drain();
        self.network.close();
        let mut farewell = TimeoutFuture::new(FAREWELL_MS).fuse();
        let mut in_time = true;
        while in_time || self.writing > 0 {
            let mut event = pin!(self.network.next().fuse());
            futures::select_biased! {
                done = self.tasks.select_next_some() => {
                    if let Done::Persisted { .. } = done {
                        self.writing = self.writing.saturating_sub(1);
                    }
                }
                _ = event => {}
                () = farewell => in_time = false,
            }
        }
        self.models.end_engine();
        self.computing.end();
        let restored = self.put_in_place().await;
        self.ledger.close();
        drop(self.watch.take());
        drop(self.lock.take());
        let (tab, reply) = self.stopping.take().unwrap_or((TabStatus::Stopped, None));
        self.shared.end(tab);
        if let Some(reply) = reply {
            let _ = reply.send(());
        }
        if let Some((reply, result)) = restored {
            let _ = reply.send(result);
        }
    }
}
