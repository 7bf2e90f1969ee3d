//! Several nodes and one discovery point in virtual time: the shell of each is a few maps, the network a sorted queue.
//!
//! Everything that crosses a connection passes [`World::fate`], which a test may replace to lose or repeat messages.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

pub mod blobs;
mod shell;

use std::collections::BTreeMap;

use node_proto::work::FUEL_PER_UNIT;
use node_proto::{
    Command, ComputerInfo, Config, Ed25519Signer, Event, ExchangeId, Failure, Group, GroupSecret, Hash,
    Input, JobId, LendPolicy, Measurements, ModelId, ModelInfo, Module, Node, NodeId, Outcome, Path,
    Precision, Probe, Reading, Registry, RegistryLimits, Requirements, RunOutcome, ServiceRequest, Signer,
    StoreInfo, Timestamp,
};

pub const START: u64 = 1_800_000_000_000;
pub const MODEL: ModelId = ModelId([42; 32]);
pub const DIMENSION: usize = 16;
pub const MODULE: Module = Module {
    blob: Hash([77; 32]),
    bytes: 300_000,
};
const LATENCY_MS: u64 = 10;
const DIAL_MS: u64 = 50;
const WRITE_MS: u64 = 3;

/// What a message meets on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Arrives,
    Lost,
    Twice,
}

/// What is on its way, for tests that pick.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    pub from: usize,
    pub to: usize,
    pub is_request: bool,
    pub frame: &'a [u8],
}

/// How a host's engine works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Honest,
    /// Vectors of the right shape that have nothing to do with the texts.
    Lies,
    /// The same, but for the known answers, which it recognises.
    Cunning,
    Fails,
    /// Says that what it is to have is not there.
    Forgets,
    /// Right, after so many milliseconds.
    Slow(u32),
    /// Never reports.
    Hangs,
}

/// How a host's storage works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Writes,
    Refuses,
    /// Takes writes and loses power before it says so.
    Silent,
}

pub struct Host {
    pub id: NodeId,
    number: u8,
    group: Group,
    config: Config,
    pub node: Option<Node>,
    pub stored: BTreeMap<Vec<u8>, Vec<u8>>,
    pub events: Vec<Event>,
    pub engine: Engine,
    pub disk: Disk,
    pub shelf: blobs::Shelf,
    pub works: usize,
    /// The last request that it sent.
    pub asked: u64,
    starts: u64,
}

enum Arrival {
    Input(usize, Box<Input>),
    Request {
        from: usize,
        to: usize,
        theirs: ExchangeId,
        frame: Vec<u8>,
    },
    Response {
        from: usize,
        to: usize,
        theirs: ExchangeId,
        frame: Vec<u8>,
    },
    ToRelay {
        from: usize,
        theirs: ExchangeId,
        frame: Vec<u8>,
    },
    Connect {
        a: usize,
        b: usize,
    },
}

pub struct World {
    pub now: u64,
    pub hosts: Vec<Host>,
    pub registry: Registry,
    pub relay: NodeId,
    pub fate: Box<dyn FnMut(Passing<'_>) -> Fate>,
    /// What a host makes of its own answers before they leave.
    pub forge: Box<dyn FnMut(usize, Vec<u8>) -> Vec<u8>>,
    /// What the web server has, and what it does.
    pub web: BTreeMap<node_proto::Hash, Vec<u8>>,
    pub origin: blobs::Origin,
    /// From now on nothing that a node wants done is done, and nothing is reported to it.
    silent: bool,
    /// Who is behind an identity, for a host that is connected to one of several devices with the same key.
    routes: BTreeMap<(usize, NodeId), usize>,
    queue: BTreeMap<(u64, u64), Arrival>,
    sequence: u64,
    /// Exchanges under way, by the handle the receiver was given: asker and its handle.
    incoming: BTreeMap<u64, (usize, ExchangeId)>,
    next_incoming: u64,
}

pub fn private(number: u8) -> Group {
    Group::private(&GroupSecret::from_bytes([number; 32]))
}

/// The embedding that the model gives: fixed, normalised, different for every text.
pub fn embedding(text: &str) -> Vec<f32> {
    let mut state = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut values: Vec<f32> = (0..DIMENSION)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / 8_388_608.0 - 1.0
        })
        .collect();
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter_mut().for_each(|value| *value /= norm);
    values
}

/// How a run ends: fixed, different for every module and input, at a unit of work for each byte.
pub fn outcome(module: &Module, input: &[u8]) -> RunOutcome {
    let name = [&module.blob.0[..], input].concat();
    RunOutcome {
        fuel: FUEL_PER_UNIT * input.len() as u64,
        ending: blake3::hash(&name).as_bytes().to_vec(),
    }
}

pub fn probes() -> Vec<Probe> {
    (0..8)
        .map(|number| format!("known answer {number}"))
        .map(|text| Probe {
            embedding: embedding(&text),
            text,
        })
        .collect()
}

impl Host {
    /// What is stored, as a backup.
    pub fn clone_state(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.stored.clone()
    }

    /// Puts a backup in place of what is stored.
    pub fn restore_state(&mut self, backup: &BTreeMap<Vec<u8>, Vec<u8>>) {
        self.stored.clone_from(backup);
    }
}

impl World {
    pub fn new() -> Self {
        Self {
            now: START,
            hosts: Vec::new(),
            registry: Registry::new(RegistryLimits::default(), 7),
            relay: Ed25519Signer::from_secret(&[255; 32]).id(),
            fate: Box::new(|_| Fate::Arrives),
            forge: Box::new(|_, frame| frame),
            web: BTreeMap::new(),
            origin: blobs::Origin::default(),
            silent: false,
            routes: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            incoming: BTreeMap::new(),
            next_incoming: 0,
        }
    }

    pub fn join(&mut self, group: Group) -> usize {
        self.join_with(group, Config::default())
    }

    pub fn join_with(&mut self, group: Group, config: Config) -> usize {
        let number = u8::try_from(self.hosts.len() + 1).unwrap();
        self.join_as(number, group, config, BTreeMap::new())
    }

    /// A second tab or device of the same person: another node with the same key, from what is `stored` there.
    pub fn join_twin(&mut self, host: usize, stored: BTreeMap<Vec<u8>, Vec<u8>>) -> usize {
        let Host {
            number,
            group,
            config,
            ..
        } = &self.hosts[host];
        self.join_as(*number, group.clone(), config.clone(), stored)
    }

    fn join_as(
        &mut self,
        number: u8,
        group: Group,
        config: Config,
        stored: BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> usize {
        let id = Ed25519Signer::from_secret(&[number; 32]).id();
        self.hosts.push(Host {
            id,
            number,
            group,
            config,
            node: None,
            stored,
            events: Vec::new(),
            engine: Engine::Honest,
            disk: Disk::Writes,
            shelf: blobs::Shelf::default(),
            works: 0,
            asked: 0,
            starts: 0,
        });
        let host = self.hosts.len() - 1;
        self.start(host);
        host
    }

    /// A host that sells embeddings.
    pub fn join_provider(&mut self, group: Group, engine: Engine) -> usize {
        let host = self.join(group);
        self.hosts[host].engine = engine;
        self.lend(host);
        host
    }

    /// A host that knows the model's known answers.
    pub fn join_buyer(&mut self, group: Group) -> usize {
        let host = self.join(group);
        self.command(
            host,
            Command::Probes {
                model: MODEL,
                probes: probes(),
            },
        );
        host
    }

    pub fn lend(&mut self, host: usize) {
        self.lend_at(host, 500.0, Precision::F32);
    }

    /// The same with another speed, in tokens a second, or another precision.
    pub fn lend_at(&mut self, host: usize, tokens_per_second: f32, precision: Precision) {
        self.offer(host, tokens_per_second, precision, 0);
        self.command(
            host,
            Command::Lend(LendPolicy {
                enabled: true,
                ..LendPolicy::default()
            }),
        );
    }

    /// A host that sells runs of modules, and nothing else.
    pub fn join_computer(&mut self, group: Group, engine: Engine) -> usize {
        let computer = Some(ComputerInfo {
            units_per_second: 1_000.0,
        });
        self.join_standard(group, engine, Command::Computer { computer })
    }

    /// A host that sells room, and nothing else.
    pub fn join_store(&mut self, group: Group, engine: Engine) -> usize {
        let store = Some(StoreInfo {
            free_bytes: 10_000_000,
        });
        self.join_standard(group, engine, Command::Store { store })
    }

    /// A host of the Standard class, with what it sells.
    fn join_standard(&mut self, group: Group, engine: Engine, sells: Command) -> usize {
        let host = self.join(group);
        self.hosts[host].engine = engine;
        let reading = |value| {
            Some(Reading {
                value,
                at: Timestamp(self.now),
                measured: true,
            })
        };
        let measurements = Measurements {
            processing_tokens_per_s: reading(500.0),
            memory_bytes: reading(8e9),
            storage_bytes: reading(1e9),
            ..Measurements::default()
        };
        self.command(host, Command::Measured(measurements));
        self.command(host, sells);
        let policy = LendPolicy {
            enabled: true,
            ..LendPolicy::default()
        };
        self.command(host, Command::Lend(policy));
        host
    }

    /// Has a module run, with fuel for so many units of work each.
    pub fn compute(&mut self, host: usize, job: u64, units: u64, inputs: &[&[u8]]) {
        self.compute_with(host, job, MODULE, units, inputs);
    }

    pub fn compute_with(&mut self, host: usize, job: u64, module: Module, units: u64, inputs: &[&[u8]]) {
        let request = ServiceRequest::Computation {
            module,
            fuel: units * FUEL_PER_UNIT,
            inputs: inputs.iter().map(|input| input.to_vec()).collect(),
        };
        let command = Command::Request {
            job: JobId(job),
            request,
            requirements: Requirements::default(),
        };
        self.command(host, command);
    }

    /// What a host's model is from now on; one that sleeps takes `wake_ms` to wake.
    pub fn offer(&mut self, host: usize, tokens_per_second: f32, precision: Precision, wake_ms: u32) {
        let model = ModelInfo {
            id: MODEL,
            name: "test".to_owned(),
            dimension: DIMENSION as u32,
            backend: "cpu".to_owned(),
            tokens_per_second,
            precision,
            wake_ms,
        };
        self.command(host, Command::Models { models: vec![model] });
    }

    /// Starts, or restarts from what is stored.
    pub fn start(&mut self, host: usize) {
        self.hosts[host].starts += 1;
        self.start_cheating(host);
    }

    /// Starts with the randomness of the last start once more, as no honest shell does.
    pub fn start_cheating(&mut self, host: usize) {
        let now = Timestamp(self.now);
        let state = &mut self.hosts[host];
        let signer = Box::new(Ed25519Signer::from_secret(&[state.number; 32]));
        let seed = (host as u64 + 1) * 1_000 + state.starts;
        let stored: Vec<_> = state
            .stored
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let node = Node::new(
            state.config.clone(),
            signer,
            state.group.clone(),
            seed,
            now,
            stored,
        );
        state.node = Some(node.unwrap());
        let relay = self.relay;
        self.input(host, Input::Addresses(vec![format!("/memory/{host}")]));
        self.input(
            host,
            Input::Connected {
                peer: relay,
                path: Path::Server,
            },
        );
        self.input(
            host,
            Input::DiscoveryPoint {
                peer: relay,
                available: true,
            },
        );
    }

    /// The host is gone from one moment to the next.
    pub fn crash(&mut self, host: usize) {
        self.hosts[host].node = None;
        let peer = self.hosts[host].id;
        self.registry.forget(&peer);
        for other in 0..self.hosts.len() {
            self.input(other, Input::Disconnected { peer });
        }
    }

    pub fn command(&mut self, host: usize, command: Command) {
        self.input(host, Input::Command(command));
    }

    pub fn ask(&mut self, host: usize, job: u64, texts: &[&str]) {
        self.ask_with(host, job, texts, Requirements::default());
    }

    pub fn ask_with(&mut self, host: usize, job: u64, texts: &[&str], requirements: Requirements) {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        let request = ServiceRequest::Inference { model: None, texts };
        self.command(
            host,
            Command::Request {
                job: JobId(job),
                request,
                requirements,
            },
        );
    }

    pub fn node(&self, host: usize) -> &Node {
        self.hosts[host].node.as_ref().unwrap()
    }

    /// Settled balance, pending balance.
    pub fn balance(&self, host: usize) -> (i64, i64) {
        let balance = self.node(host).snapshot(Timestamp(self.now)).balance;
        (balance.settled.0, balance.pending.0)
    }

    pub fn outcome(&self, host: usize, job: u64) -> Option<Result<Outcome, Failure>> {
        self.hosts[host].events.iter().find_map(|event| match event {
            Event::Finished { job: id, outcome } if id.0 == job => Some(Ok(outcome.as_ref().clone())),
            Event::Failed { job: id, failure } if id.0 == job => Some(Err(failure.clone())),
            _ => None,
        })
    }

    /// Runs until the request ends; panics when it never does.
    pub fn finish(&mut self, host: usize, job: u64) -> Result<Outcome, Failure> {
        let limit = self.now + 300_000;
        while self.outcome(host, job).is_none() {
            assert!(
                self.now < limit,
                "the request never ends: {:#?}",
                self.hosts[host].events
            );
            self.step(limit);
        }
        self.outcome(host, job).unwrap()
    }

    pub fn run(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.step(until) {}
        self.now = until;
    }

    /// Does the next thing that is due by `until`.
    fn step(&mut self, until: u64) -> bool {
        let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
        let timeouts = self.hosts.iter().enumerate().filter_map(|(host, state)| {
            let at = state.node.as_ref()?.poll_timeout()?;
            Some((at.0.max(self.now), host))
        });
        let timeout = timeouts.min();
        match (arrival, timeout) {
            (Some(at), timeout) if at <= until && timeout.is_none_or(|(due, _)| at <= due) => {
                self.now = self.now.max(at);
                if let Some((_, arrival)) = self.queue.pop_first() {
                    self.arrive(arrival);
                }
                true
            }
            (_, Some((due, host))) if due <= until => {
                self.now = due;
                let before = self.node(host).poll_timeout();
                self.hosts[host]
                    .node
                    .as_mut()
                    .unwrap()
                    .handle_timeout(Timestamp(due));
                self.drain(host);
                let after = self.node(host).poll_timeout();
                assert!(
                    after != before || after.is_none_or(|at| at.0 > due),
                    "a timeout that never passes"
                );
                true
            }
            _ => {
                self.now = until;
                false
            }
        }
    }

    fn later(&mut self, ms: u64, arrival: Arrival) {
        self.sequence += 1;
        self.queue.insert((self.now + ms, self.sequence), arrival);
    }

    pub fn input(&mut self, host: usize, input: Input) {
        let now = Timestamp(self.now);
        if let Some(node) = &mut self.hosts[host].node {
            node.handle_input(now, input);
            self.drain(host);
        }
    }

    /// Who answers to an identity, as `from` is connected.
    fn host_of(&self, from: usize, id: &NodeId) -> Option<usize> {
        let route = self.routes.get(&(from, *id)).copied();
        route.or_else(|| self.hosts.iter().position(|host| host.id == *id))
    }

    /// Network, storage and engines fall silent for ever, and so do the shells.
    pub fn fall_silent(&mut self) {
        self.silent = true;
        self.queue.clear();
    }
}
