//! One node under every kind of input and command in arbitrary order, from peers that know how to trade.
//!
//! The bytes choose what happens next; whatever a peer sends is signed and tagged by its own key unless the bytes change
//! it. The shell is this file: it keeps what the node asked for and does it when, and as, the bytes say. What must hold
//! after every step is in [`Machine::check`] and [`Machine::carry_out`].

use std::collections::BTreeMap;

use node_proto::ledger::Block;
use node_proto::storage::Keep;
use node_proto::verification::storage::Questions;
use node_proto::wire::{Request, Response, Signed, decode_frame, encode_frame};
use node_proto::work::FUEL_PER_UNIT;
use node_proto::{
    Command, ComputerInfo, Config, Ed25519Signer, Environment, ExchangeFailure, ExchangeId, Failure, Group,
    Hash, Input, JobId, LendPolicy, Line, Measurements, Millicredits, ModelInfo, Node, NodeId, Output, Path,
    Precision, Probe, Reading, ReceiptView, Requirements, Scope, ServiceRequest, StoreInfo, Timestamp,
    WorkId, WorkInput, WorkOutput, Write,
};

use super::peers::{self, Peer};
use super::world::{DIMENSION, MODEL, MODULE, private, probes};

const OPERATIONS_MAX: usize = 160;
/// More than one input can cause: a registration for each key at each point, a greeting for each peer, each job's offers.
const OUTPUTS_MAX: usize = 1_024;
const PEERS: u8 = 4;
const START: u64 = 1_800_000_000_000;

/// What is left of the input; zeros when it is used up.
pub(crate) struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    pub(crate) fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }
}

pub(super) struct Machine {
    node: Node,
    group: Group,
    now: u64,
    starts: u64,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The write under way.
    writing: Option<(u64, Vec<Write>)>,
    works: Vec<(WorkId, WorkInput)>,
    sent: Vec<(ExchangeId, NodeId, Request)>,
    peers: Vec<Peer>,
    /// Peers' requests that the node has not answered.
    waiting: BTreeMap<u64, (usize, Option<Request>)>,
    next: u64,
    /// The node's own blocks as they left, over all runs.
    left: BTreeMap<(u32, u64), Vec<u8>>,
}

/// A node in every state that inputs can bring it into: nothing panics, every sum agrees with its receipts, nothing
/// unwritten is said, no place is signed twice and nothing grows beyond its bound.
pub fn machine(data: &[u8]) {
    let _ = run(data);
}

/// How far an input got: receipts for what the node sold, for what it bought, and for a part of either.
pub fn reached(data: &[u8]) -> [usize; 3] {
    let receipts = run(data).node.receipts(usize::MAX);
    let count = |what: fn(&ReceiptView) -> bool| {
        receipts
            .iter()
            .filter(|receipt| receipt.fully_signed && what(receipt))
            .count()
    };
    [
        count(|receipt| receipt.delta.0 > 0),
        count(|receipt| receipt.delta.0 < 0),
        count(|receipt| receipt.partial),
    ]
}

fn run(data: &[u8]) -> Machine {
    let mut bytes = Bytes(data);
    let group = if bytes.below(2) == 0 {
        private(1)
    } else {
        Group::open()
    };
    let mut machine = Machine::new(group);
    for _ in 0..OPERATIONS_MAX {
        if bytes.0.is_empty() {
            break;
        }
        machine.step(&mut bytes);
        machine.check();
    }
    machine
}

fn start(group: &Group, starts: u64, now: u64, stored: &BTreeMap<Vec<u8>, Vec<u8>>) -> Node {
    let signer = Box::new(Ed25519Signer::from_secret(&[1; 32]));
    let stored: Vec<_> = stored
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Node::new(
        Config::default(),
        signer,
        group.clone(),
        starts,
        Timestamp(now),
        stored,
    )
    .unwrap()
}

impl Machine {
    fn new(group: Group) -> Self {
        let node = start(&group, 1, START, &BTreeMap::new());
        let me = node.id();
        let mut machine = Self {
            peers: (2..2 + PEERS)
                .map(|number| Peer::new(Ed25519Signer::from_secret(&[number; 32]), group.clone(), me))
                .collect(),
            node,
            group,
            now: START,
            starts: 1,
            disk: BTreeMap::new(),
            writing: None,
            works: Vec::new(),
            sent: Vec::new(),
            waiting: BTreeMap::new(),
            next: 0,
            left: BTreeMap::new(),
        };
        machine.prepare();
        machine
    }

    /// So that few bytes are enough for a trade.
    fn prepare(&mut self) {
        self.command(Command::Models {
            models: vec![model()],
        });
        self.command(Command::Lend(LendPolicy {
            enabled: true,
            ..LendPolicy::default()
        }));
        self.command(Command::Probes {
            model: MODEL,
            probes: probes(),
        });
        for peer in 0..2 {
            self.connect(peer, Path::Direct);
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let operation = bytes.byte();
        match operation % 32 {
            0..=10 => self.peer_asks(operation, bytes),
            11..=15 => self.node_is_answered(bytes),
            16 => self.node_is_answered_badly(bytes),
            17 | 18 => self.engine_reports(bytes),
            19 | 20 => self.storage_reports(bytes),
            21 | 22 => self.buy(bytes),
            23 => self.owner_commands(bytes),
            24 => {
                let peer = bytes.below(self.peers.len());
                let path = [Path::Direct, Path::Relayed, Path::Server][bytes.below(3)];
                self.connect(peer, path);
            }
            25 => self.network_reports(bytes),
            26 => self.restart(),
            27 => self.blobs(bytes),
            28 => self.now = self.now.saturating_add(u64::from(bytes.byte()) * 2_000),
            29 => {
                // A clock that was set back counts as one that stands still.
                let back = u64::from(bytes.byte()) * 1_000;
                self.node.handle_timeout(Timestamp(self.now.saturating_sub(back)));
                self.drain();
            }
            _ => self.time_passes(),
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        self.node.handle_input(Timestamp(self.now), input);
        self.drain();
    }

    fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    fn connect(&mut self, peer: usize, path: Path) {
        let peer = self.peers[peer].id();
        self.input(Input::Connected { peer, path });
        if path == Path::Server {
            self.input(Input::DiscoveryPoint {
                peer,
                available: true,
            });
        }
    }

    /// Runs to the next timeout, which must pass.
    fn time_passes(&mut self) {
        let Some(due) = self.node.poll_timeout() else {
            return;
        };
        self.now = self.now.max(due.0);
        for _ in 0..64 {
            self.node.handle_timeout(Timestamp(self.now));
            self.drain();
            if self.node.poll_timeout().is_none_or(|due| due.0 > self.now) {
                return;
            }
        }
        panic!("a timeout that never passes: {:?}", self.node.audit());
    }

    fn peer_asks(&mut self, kind: u8, bytes: &mut Bytes<'_>) {
        let which = bytes.byte();
        let peer = usize::from(which) % self.peers.len();
        // The low bits follow the order of a trade, so that a run of equal operations goes through one.
        let Some(request) = self.peers[peer].request(kind % 32 + which / 128, bytes) else {
            return;
        };
        let mut frame = encode_frame(&request);
        let changed = which & 0x40 != 0;
        if changed {
            let at = bytes.below(256) * frame.len() / 256;
            frame[at] ^= 1 << bytes.below(8);
        }
        self.next += 1;
        self.waiting
            .insert(self.next, (peer, (!changed).then_some(request)));
        let (exchange, peer) = (ExchangeId(self.next), self.peers[peer].id());
        self.input(Input::Request {
            exchange,
            peer,
            frame,
        });
    }

    fn node_is_answered(&mut self, bytes: &mut Bytes<'_>) {
        if self.sent.is_empty() {
            return;
        }
        let at = self.sent.len() - 1 - bytes.below(self.sent.len());
        let value = bytes.byte();
        let (exchange, peer, request) = self.sent.remove(at);
        let peer = self.peers.iter_mut().find(|candidate| candidate.id() == peer);
        let answer = peer.and_then(|peer| peer.answer(&request, value));
        let result = answer.map_or(Err(ExchangeFailure::Timeout), |answer| Ok(encode_frame(&answer)));
        self.input(Input::Response { exchange, result });
    }

    fn node_is_answered_badly(&mut self, bytes: &mut Bytes<'_>) {
        let how = bytes.byte();
        let exchange = match self.sent.is_empty() || how & 0x80 != 0 {
            true => ExchangeId(u64::from(bytes.byte())),
            false => self.sent.remove(bytes.below(self.sent.len())).0,
        };
        let result = match how % 8 {
            0 => Err(ExchangeFailure::Timeout),
            1 => Err(ExchangeFailure::Unreachable),
            2 => Err(ExchangeFailure::Unsupported),
            3 => Ok(encode_frame(&Response::Noted)),
            // A refusal with any code.
            4 => Ok(vec![1, 0x82, 0, 0x81, 0x81, bytes.byte() % 24]),
            5 => Ok(encode_frame(&Response::Sampled {
                total: u32::MAX,
                records: Vec::new(),
            })),
            6 => Ok(encode_frame(&Response::Agreed { signature: [how; 64] })),
            _ => Ok((0..bytes.below(24)).map(|_| bytes.byte()).collect()),
        };
        self.input(Input::Response { exchange, result });
    }

    fn engine_reports(&mut self, bytes: &mut Bytes<'_>) {
        let how = bytes.byte();
        let nothing = || WorkInput::Texts {
            texts: vec!["text 0".to_owned()],
        };
        let (work, input) = match how & 0x80 == 0 {
            true => self.works.pop().unwrap_or_else(|| (WorkId(7), nothing())),
            false => (WorkId(u64::from(bytes.byte())), nothing()),
        };
        let mut output = peers::output(&input, usize::from(how & 0x40 != 0));
        if let WorkOutput::Embeddings { backend, .. } = &mut output {
            *backend = "ü".repeat(usize::from(how));
        }
        let result = match how % 4 {
            0 => Err(Failure::Engine {
                what: "lost".to_owned(),
            }),
            _ => Ok(output),
        };
        let took_ms = u32::from(bytes.byte()) << (how % 32);
        self.input(Input::WorkDone {
            work,
            result,
            took_ms,
        });
    }

    fn storage_reports(&mut self, bytes: &mut Bytes<'_>) {
        match (bytes.below(8), self.writing.take()) {
            // Reports of what is past, or never was.
            (0, writing) => {
                self.writing = writing;
                self.input(Input::Persisted { seq: 0 });
                self.input(Input::PersistFailed { seq: u64::MAX });
            }
            (1, Some((seq, _))) => self.input(Input::PersistFailed { seq }),
            (_, Some((seq, writes))) => {
                keep(&mut self.disk, writes);
                self.input(Input::Persisted { seq });
            }
            (_, None) => self.input(Input::Persisted { seq: u64::MAX }),
        }
    }

    fn buy(&mut self, bytes: &mut Bytes<'_>) {
        let count = bytes.below(4);
        let texts: Vec<String> = (0..count).map(|number| format!("wanted {number}")).collect();
        let how = bytes.byte();
        let provider = (how & 1 != 0).then(|| self.peers[bytes.below(self.peers.len())].id());
        let requirements = Requirements {
            deadline_ms: 1 + u32::from(bytes.byte()) * 250,
            price_max: (how & 2 != 0).then_some(Millicredits(how.into())),
            provider,
            ..Requirements::default()
        };
        let job = JobId(u64::from(how / 16));
        let model = (how & 4 != 0).then_some(MODEL);
        let request = match how & 8 != 0 {
            true => ServiceRequest::Computation {
                module: MODULE,
                fuel: FUEL_PER_UNIT,
                inputs: texts.into_iter().map(String::into_bytes).collect(),
            },
            false => ServiceRequest::Inference { model, texts },
        };
        self.command(Command::Request {
            job,
            request,
            requirements,
        });
    }

    fn owner_commands(&mut self, bytes: &mut Bytes<'_>) {
        let (how, value) = (bytes.byte(), bytes.byte());
        let bit = |number: u8| value >> number & 1 == 1;
        let command = match how % 12 {
            9 => Command::Store {
                store: bit(0).then_some(StoreInfo {
                    free_bytes: u64::from(value) << 12,
                }),
            },
            10 => Command::Keep(Keep {
                blob: Hash([value % 4; 32]),
                bytes: u32::from(value) << 8,
                copies: u32::from(value % 6),
                slice_hours: 1,
                until: Timestamp(self.now + (u64::from(value) << 17)),
                scope: Scope::Group,
                price_max: None,
                questions: Questions::prepare(
                    1,
                    &self.peers[0].id(),
                    &[value; 40_000],
                    usize::from(value % 8),
                ),
            }),
            11 if bit(7) => Command::Prolong {
                blob: Hash([value % 4; 32]),
            },
            11 => Command::Release {
                blob: Hash([value % 4; 32]),
            },
            0 => Command::Measured(measurements(f64::from(value) * 40.0, Timestamp(self.now))),
            1 => Command::Environment(Environment {
                charging: bit(0).then_some(bit(1)),
                metered: bit(2).then_some(bit(3)),
                hidden: bit(4),
                mobile: bit(5),
            }),
            2 => Command::Lend(LendPolicy {
                enabled: bit(0),
                compute_share: f32::from(value) / 100.0 - 0.5,
                memory_bytes: u64::from(value) << 20,
                coordinate: bit(1).then_some(bit(2)),
                ..LendPolicy::default()
            }),
            3 if bit(0) => Command::Models {
                models: vec![model(); usize::from(value)],
            },
            3 if bit(1) => Command::Models { models: Vec::new() },
            3 => Command::Computer {
                computer: bit(2).then_some(ComputerInfo {
                    units_per_second: 1_000.0,
                }),
            },
            4 => Command::Probes {
                model: node_proto::ModelId([value; 32]),
                probes: vec![
                    Probe {
                        text: String::new(),
                        embedding: Vec::new()
                    };
                    usize::from(how)
                ],
            },
            5 => Command::CreditLine {
                member: bit(0).then(|| self.peers[usize::from(how) % self.peers.len()].id()),
                line: match value % 3 {
                    0 => Line::Default,
                    1 => Line::Unlimited,
                    _ => Line::Limit {
                        most: Millicredits(i64::from(value) * 1_000 - 9),
                    },
                },
            },
            6 | 7 => Command::Cancel {
                job: JobId(u64::from(value / 16)),
            },
            _ => Command::RefreshMarket,
        };
        self.command(command);
    }

    fn network_reports(&mut self, bytes: &mut Bytes<'_>) {
        let (how, value) = (bytes.byte(), bytes.byte());
        let peer = self.peers[usize::from(how / 8) % self.peers.len()].id();
        let input = match how % 6 {
            0 => Input::Disconnected { peer },
            1 => Input::RoundTrip {
                peer,
                rtt_ms: u32::from(value) << (how % 25),
            },
            2 => Input::Addresses(vec!["/memory/9".repeat(usize::from(value)); usize::from(how / 8)]),
            3 | 4 => Input::DiscoveryPoint {
                peer,
                available: value < 160,
            },
            // Points beyond any that can be asked.
            _ => Input::DiscoveryPoint {
                peer: NodeId([value; 32]),
                available: how < 200,
            },
        };
        self.input(input);
    }

    /// What was not durable is lost, and so is every connection.
    fn restart(&mut self) {
        self.starts += 1;
        self.node = start(&self.group, self.starts, self.now, &self.disk);
        self.writing = None;
        self.works.clear();
        self.sent.clear();
        self.waiting.clear();
        self.prepare();
    }

    /// Takes everything that the node wants done, of which there is a bounded number.
    fn drain(&mut self) {
        for _ in 0..OUTPUTS_MAX {
            match self.node.poll_output() {
                Some(output) => self.carry_out(output),
                None => return,
            }
        }
        panic!("one input causes more than {OUTPUTS_MAX} outputs");
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Request {
                exchange,
                peer,
                frame,
                ..
            } => {
                let request: Request = decode_frame(&frame).unwrap();
                if let Request::Settle { block, .. } = &request {
                    self.leaves(block);
                }
                self.sent.push((exchange, peer, request));
            }
            Output::Respond { exchange, frame } => {
                let response: Response = decode_frame(&frame).unwrap();
                match &response {
                    Response::Settled(block) => self.leaves(block),
                    Response::Blocks(part) => {
                        part.blocks.iter().for_each(|block| self.leaves(block));
                        let receipts = part.receipts.iter().flatten();
                        receipts.for_each(|receipt| self.leaves(&receipt.other));
                    }
                    _ => {}
                }
                // Each is answered once; an answer to nobody was from before a restart.
                if let Some((peer, Some(request))) = self.waiting.remove(&exchange.0) {
                    self.peers[peer].hears(&request, response);
                }
            }
            Output::Persist { seq, writes } => {
                assert!(self.writing.is_none(), "two writes at once");
                self.writing = Some((seq, writes));
            }
            Output::Work { work, input, .. } => {
                self.works.push((work, input));
            }
            Output::Blob(output) => self.carry_out_blob(output),
            Output::Dial { .. } | Output::HangUp { .. } | Output::Event(_) => {}
        }
    }

    /// One of the node's own blocks leaves: it is durable, and no other one ever left for its place.
    fn leaves(&mut self, signed: &Signed) {
        let block: Block = signed.open(&self.node.id()).unwrap();
        let place = (block.epoch, block.sequence);
        let key = |kind: &[u8]| [kind, &block.epoch.to_be_bytes(), &block.sequence.to_be_bytes()].concat();
        // Of its own chain, or given back by a counterparty.
        let durable = [key(b"b"), key(b"l")]
            .iter()
            .any(|key| self.disk.contains_key(key));
        assert!(durable, "said before it was durable");
        let former = self.left.entry(place).or_insert_with(|| signed.body.clone());
        assert_eq!(*former, signed.body, "two blocks on one place");
    }

    fn check(&self) {
        assert_eq!(self.node.excess(), None, "{:?}", self.node.audit());
        let (mut settled, mut pending) = (0, 0);
        for receipt in self.node.receipts(usize::MAX) {
            let sum = if receipt.fully_signed {
                &mut settled
            } else {
                &mut pending
            };
            *sum += receipt.delta.0;
        }
        let balance = self.node.balance();
        assert_eq!((balance.settled.0, balance.pending.0), (settled, pending));
    }
}

fn keep(disk: &mut BTreeMap<Vec<u8>, Vec<u8>>, writes: Vec<Write>) {
    for write in writes {
        match write {
            Write::Put { key, value } => disk.insert(key, value),
            Write::Delete { key } => disk.remove(&key),
        };
    }
}

fn model() -> ModelInfo {
    ModelInfo {
        id: MODEL,
        name: "test".to_owned(),
        dimension: DIMENSION as u32,
        backend: "cpu".to_owned(),
        tokens_per_second: 500.0,
        precision: Precision::F32,
        wake_ms: 0,
    }
}

fn measurements(value: f64, at: Timestamp) -> Measurements {
    let reading = Some(Reading {
        value,
        at,
        measured: true,
    });
    Measurements {
        processing_tokens_per_s: reading,
        memory_bytes: reading.map(|reading| Reading {
            value: 4e9,
            ..reading
        }),
        ..Measurements::default()
    }
}
