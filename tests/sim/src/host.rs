//! A host: a node and the shell around it: a disk, an engine, a clock that may be wrong, connections.
//!
//! The shell does what a tab's shell does, in virtual time. It carries out every output of the node, reports what came of
//! it, and plays the part that the scenario gave it: a cheat is a host whose *shell* departs from the rules, with the same
//! node inside as everyone else.

use std::collections::{BTreeMap, BTreeSet};

use node_proto::{
    AgreementId, Command, Ed25519Signer, ExchangeId, Input, JobId, LendPolicy, Millicredits, ModelInfo, Node,
    NodeId, Path, Precision, Requirements, Scope, ServiceRequest, Timestamp,
};

use crate::engine::{self, DIMENSION, MODEL};
use crate::event::{Act, Asker, Event, What};
use crate::network::Millis;
use crate::record::{Dealing, End, Opinion, Request, Requests, Tally, Work};
use crate::rng::Rng;
use crate::spec::{HostSpec, Wants};
use crate::world::Shared;

/// The world begins at this time of every right clock, Unix milliseconds.
pub const START_MS: u64 = 1_800_000_000_000;

/// A host of the simulated world.
pub struct Host {
    pub(crate) index: u32,
    pub(crate) spec: HostSpec,
    pub(crate) name: NodeId,
    /// How many names it had before this one.
    pub(crate) renames: u32,
    /// How far the machine's clock is ahead, milliseconds. The node reads it when it starts and counts from there, as the
    /// tab does, so a clock that jumps is noticed at the next start.
    date_skew_ms: i64,
    /// `None` while it is down.
    pub(crate) node: Option<Node>,
    /// How often it was started.
    pub(crate) life: u32,
    pub(crate) disk: BTreeMap<Vec<u8>, Vec<u8>>,
    backup: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) links: BTreeSet<NodeId>,
    /// To whom a connection was asked for and does not stand yet.
    pub(crate) dialling: BTreeSet<NodeId>,
    /// Requests of others that wait for this node's answer: who asked.
    pub(crate) asked: BTreeMap<ExchangeId, (u32, Asker)>,
    pub(crate) last_asked: u64,
    wake_at: Option<Millis>,
    pub(crate) rng: Rng,
    /// When it asks and for what: a stream of its own, so that the demand is the same whatever the nodes do.
    wishes: Rng,
    caused: u64,
    /// The requests that it made.
    pub requests: Requests,
    /// What is counted here.
    pub tally: Tally,
    /// Everything that its engine did.
    pub works: Vec<Work>,
    /// The prices of what a host agreed to that is not going to pay for it.
    pub agreed: BTreeMap<AgreementId, i64>,
    /// What it had to do with each of its buyers.
    pub dealings: BTreeMap<u32, Dealing>,
    /// The factor of its standing in the last price that it quoted, parts per million.
    pub reputation_factor: Option<u32>,
    /// What it thought of those that are watched.
    pub opinions: Vec<Opinion>,
    pub(crate) trace: [u8; 32],
}

impl Host {
    pub(crate) fn new(index: u32, spec: HostSpec, shared: &Shared) -> Self {
        Self {
            index,
            date_skew_ms: spec.skew_ms,
            spec,
            name: shared.name(index, 0),
            renames: 0,
            node: None,
            life: 0,
            disk: BTreeMap::new(),
            backup: BTreeMap::new(),
            links: BTreeSet::new(),
            dialling: BTreeSet::new(),
            asked: BTreeMap::new(),
            last_asked: 0,
            wake_at: None,
            rng: Rng::new(shared.seed, "host", index.into()),
            wishes: Rng::new(shared.seed, "wishes", index.into()),
            caused: 0,
            requests: Requests::default(),
            tally: Tally::default(),
            works: Vec::new(),
            agreed: BTreeMap::new(),
            dealings: BTreeMap::new(),
            reputation_factor: None,
            opinions: Vec::new(),
            trace: [0; 32],
        }
    }

    /// The node, while the host is up.
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// Its number.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The prices of what was delivered to a buyer that keeps count of its agreements, and what of them was never paid.
    pub fn taken_by(&self, buyer: Option<&Host>) -> (i64, i64) {
        let Some((buyer, dealing)) = buyer.and_then(|buyer| Some((buyer, self.dealings.get(&buyer.index)?)))
        else {
            return (0, 0);
        };
        let prices = dealing.delivered.iter().filter_map(|id| buyer.agreed.get(id));
        let delivered: i64 = prices.sum();
        (delivered, delivered - dealing.paid)
    }

    /// Whether its node holds a proof of fraud against a host.
    pub(crate) fn convicts(&self, host: u32, shared: &Shared) -> bool {
        let view = self
            .node
            .as_ref()
            .map(|node| node.reputation(&shared.name(host, 0)));
        view.is_some_and(|view| view.upper == 0.0)
    }

    /// The part that the scenario gave it.
    pub fn spec(&self) -> &HostSpec {
        &self.spec
    }

    /// The time on this host's clock.
    pub(crate) fn clock(&self, now: Millis) -> Timestamp {
        Timestamp((START_MS + now).saturating_add_signed(self.spec.skew_ms))
    }

    /// Does what an event says and returns what it causes.
    pub(crate) fn handle(&mut self, event: Event, shared: &Shared) -> Vec<Event> {
        let mut effects = Effects {
            now: event.at,
            events: Vec::new(),
        };
        self.note(&event);
        match event.what {
            What::Act(act) => self.act(act, shared, &mut effects),
            What::Wake => self.wake(&mut effects, shared),
            What::Written { life, seq, writes } => {
                self.written(life, seq, writes, shared, &mut effects);
            }
            what if self.node.is_some() => self.happen(event.from, what, shared, &mut effects),
            // Nobody is there: whoever asked learns it as from a refused connection.
            What::Frame { asker, addressee, .. } => {
                self.is_gone(event.from, asker, addressee, shared, &mut effects);
            }
            _ => {}
        }
        self.plan_wake(&mut effects);
        effects.events
    }

    fn act(&mut self, act: Act, shared: &Shared, effects: &mut Effects) {
        match act {
            Act::Start => self.start(shared, effects),
            Act::Crash => self.crash(shared, effects),
            Act::Ask => self.ask(shared, effects),
            Act::Rename => self.rename(shared, effects),
            Act::Backup => self.backup = self.disk.clone(),
            Act::Rollback => {
                self.crash(shared, effects);
                self.disk = self.backup.clone();
                self.start(shared, effects);
            }
            Act::Part => self.part(shared, effects),
            Act::SetClock { skew_ms } => self.date_skew_ms = skew_ms,
            Act::Observe => self.observe(shared, effects.now),
        }
    }

    fn start(&mut self, shared: &Shared, effects: &mut Effects) {
        if self.node.is_some() {
            return;
        }
        self.life += 1;
        self.spec.skew_ms = self.date_skew_ms;
        let signer = Box::new(Ed25519Signer::from_secret(
            &shared.secret(self.index, self.renames),
        ));
        let stored = self.disk.iter().map(|(key, value)| (key.clone(), value.clone()));
        let (config, group) = (self.spec.config.clone(), shared.group.clone());
        let now = self.clock(effects.now);
        let seed = match self.spec.conduct.forks {
            true => u64::from(self.index),
            false => self.rng.next_u64(),
        };
        let node = Node::new(config, signer, group, seed, now, stored);
        self.node = node.ok();
        // A disk that its own node cannot read is a defect of the node: the audit counts it.
        self.tally.times_unreadable += u32::from(self.node.is_none());
        let relay = shared.relay_name(self.index);
        self.input(
            Input::Addresses(vec![format!("/memory/{}", self.index)]),
            shared,
            effects,
        );
        self.input(
            Input::Connected {
                peer: relay,
                path: Path::Server,
            },
            shared,
            effects,
        );
        self.input(
            Input::DiscoveryPoint {
                peer: relay,
                available: true,
            },
            shared,
            effects,
        );
        self.lend(shared, effects);
        let probes = engine::probes(self.spec.conduct.slanders);
        self.input(
            Input::Command(Command::Probes { model: MODEL, probes }),
            shared,
            effects,
        );
    }

    fn lend(&mut self, shared: &Shared, effects: &mut Effects) {
        let Some(device) = self.spec.lends else { return };
        let model = ModelInfo {
            id: MODEL,
            name: "simulated".to_owned(),
            dimension: DIMENSION as u32,
            backend: "cpu".to_owned(),
            tokens_per_second: device.claimed_speed as f32,
            precision: Precision::F32,
            wake_ms: 0,
        };
        let models = vec![model];
        self.input(Input::Command(Command::Models { models }), shared, effects);
        let policy = LendPolicy {
            enabled: true,
            compute_share: 1.0,
            ..LendPolicy::default()
        };
        self.input(Input::Command(Command::Lend(policy)), shared, effects);
    }

    fn crash(&mut self, shared: &Shared, effects: &mut Effects) {
        if self.node.take().is_none() {
            return;
        }
        let name = self.name;
        self.dialling.clear();
        let links = std::mem::take(&mut self.links);
        for peer in links.iter().filter_map(|peer| shared.host_of(peer)) {
            self.send(peer, What::Closed { name }, shared, effects);
        }
        self.send(
            shared.relay_of(self.index),
            What::Closed { name },
            shared,
            effects,
        );
        self.asked.clear();
        self.requests.forget_open();
    }

    fn rename(&mut self, shared: &Shared, effects: &mut Effects) {
        self.crash(shared, effects);
        self.disk.clear();
        self.renames = (self.renames + 1).min(shared.renames_max());
        self.name = shared.name(self.index, self.renames);
        self.start(shared, effects);
    }

    fn part(&mut self, shared: &Shared, effects: &mut Effects) {
        let now = effects.now;
        let reaches = |peer: &NodeId| {
            shared
                .host_of(peer)
                .is_some_and(|peer| shared.links.reaches(now, self.index, peer))
        };
        let (kept, lost): (BTreeSet<NodeId>, BTreeSet<NodeId>) =
            std::mem::take(&mut self.links).into_iter().partition(reaches);
        self.links = kept;
        for peer in lost {
            self.input(Input::Disconnected { peer }, shared, effects);
        }
    }

    fn observe(&mut self, shared: &Shared, at: Millis) {
        let Some(node) = &self.node else { return };
        let watched = shared.watched.iter().filter(|of| **of != self.index);
        let opinions = watched.map(|of| {
            let name = shared.name(*of, 0);
            let view = node.reputation(&name);
            Opinion {
                at,
                by: self.index,
                of: *of,
                score: view.score,
                lower: view.lower,
                receipts: view.receipts,
                convicted: view.upper == 0.0,
            }
        });
        let opinions = opinions.filter(|opinion| opinion.receipts > 0 || opinion.convicted);
        self.opinions.extend(opinions);
    }

    /// Sends the next request, and plans the one after.
    fn ask(&mut self, shared: &Shared, effects: &mut Effects) {
        let Some(wants) = self.spec.wants else { return };
        let next = shared.after(effects.now, self.wishes.gap(wants.gap_ms));
        if shared.asking.contains(&next) {
            self.cause(next, self.index, What::Act(Act::Ask), effects);
        }
        let made = self.requests.all.len() as u32;
        let renames = self.spec.conduct.renames_after;
        if renames.is_some_and(|after| made > 0 && made.is_multiple_of(after.max(1))) {
            self.rename(shared, effects);
        }
        if self.node.is_none() {
            return;
        }
        let fellow =
            self.spec.conduct.coalition.map(|coalition| {
                shared.name(coalition.first + self.rng.below(coalition.count.into()) as u32, 0)
            });
        let command = self.request(&wants, effects.now, fellow);
        self.input(Input::Command(command), shared, effects);
    }

    fn request(&mut self, wants: &Wants, at: Millis, provider: Option<NodeId>) -> Command {
        let items = u64::from(wants.items_min) + self.wishes.below(u64::from(wants.items_min) + 1);
        let tokens = u32::try_from(items)
            .unwrap_or(u32::MAX)
            .saturating_mul(wants.item_tokens);
        let worth_rate = self.wishes.octaves(wants.worth_min, wants.worth_octaves);
        let worth = i64::try_from(worth_rate * u64::from(tokens) / 1_000).unwrap_or(i64::MAX);
        let number = self.requests.all.len();
        let width = wants.item_tokens as usize * 4;
        let text = |item| engine::text(self.index, number, item, width);
        let texts: Vec<String> = (0..items).map(text).collect();
        let request = Request {
            buyer: self.index,
            number: u32::try_from(number).unwrap_or(u32::MAX),
            at,
            tokens,
            worth,
            deadline_ms: wants.deadline_ms,
            end: End::Open,
        };
        let job: JobId = self.requests.begin(request, texts.clone());
        Command::Request {
            job,
            request: ServiceRequest::Inference { model: None, texts },
            requirements: Requirements {
                deadline_ms: wants.deadline_ms,
                price_max: Some(Millicredits(worth.max(1))),
                scope: Scope::Anyone,
                provider,
                ..Requirements::default()
            },
        }
    }

    fn wake(&mut self, effects: &mut Effects, shared: &Shared) {
        if self.wake_at.is_none_or(|at| at > effects.now) {
            return;
        }
        self.wake_at = None;
        let now = self.clock(effects.now);
        let Some(node) = &mut self.node else { return };
        node.handle_timeout(now);
        self.tally.inputs += 1;
        self.drain(shared, effects);
    }

    /// One event is kept for the time at which the node wants to be called next; a later one that was planned is let pass.
    fn plan_wake(&mut self, effects: &mut Effects) {
        let Some(due) = self.node.as_ref().and_then(Node::poll_timeout) else {
            return;
        };
        let due = due
            .0
            .saturating_sub(START_MS.saturating_add_signed(self.spec.skew_ms));
        // A timeout that is due already comes a millisecond later, so that no node can stop time.
        let due = due.max(effects.now + 1);
        if self
            .wake_at
            .is_none_or(|planned| due < planned || planned < effects.now)
        {
            self.wake_at = Some(due);
            self.cause(due, self.index, What::Wake, effects);
        }
    }

    pub(crate) fn input(&mut self, input: Input, shared: &Shared, effects: &mut Effects) {
        let now = self.clock(effects.now);
        let Some(node) = &mut self.node else { return };
        node.handle_input(now, input);
        self.tally.inputs += 1;
        self.drain(shared, effects);
    }

    fn drain(&mut self, shared: &Shared, effects: &mut Effects) {
        while let Some(output) = self.node.as_mut().and_then(Node::poll_output) {
            self.carry_out(output, shared, effects);
        }
    }

    /// Lets something arrive at another actor, when it can be reached.
    pub(crate) fn send(&mut self, to: u32, what: What, shared: &Shared, effects: &mut Effects) {
        let at = effects.now + shared.links.latency_ms(&mut self.rng, self.index, to);
        if shared.links.reaches(effects.now, self.index, to) {
            self.cause(at, to, what, effects);
        }
    }

    pub(crate) fn cause(&mut self, at: Millis, to: u32, what: What, effects: &mut Effects) {
        self.caused += 1;
        effects.events.push(Event {
            at,
            to,
            from: self.index,
            count: self.caused,
            what,
        });
    }

    /// Every event leaves its mark in the trace: time, kind, cause and content.
    fn note(&mut self, event: &Event) {
        let frame = match &event.what {
            What::Frame { frame, .. } => frame.as_slice(),
            What::Answer { frame, .. } => frame.as_deref().unwrap_or_default(),
            _ => &[],
        };
        // Hashed in one piece: the hasher copies small ones, one by one.
        let mut bytes = Vec::with_capacity(self.trace.len() + 8 + 4 + 8 + frame.len());
        bytes.extend_from_slice(&self.trace);
        bytes.extend_from_slice(&event.at.to_le_bytes());
        bytes.extend_from_slice(&event.from.to_le_bytes());
        bytes.extend_from_slice(&event.count.to_le_bytes());
        bytes.extend_from_slice(frame);
        self.trace = *blake3::hash(&bytes).as_bytes();
    }
}

/// What handling one event causes.
pub(crate) struct Effects {
    pub(crate) now: Millis,
    pub(crate) events: Vec<Event>,
}
