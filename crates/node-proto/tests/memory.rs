//! How much memory a node's knowledge of others takes, counted by the allocator itself.
//!
//! A thousand peers, each a member with an offer, a fully signed receipt, a reputation record, a pace and edges of merit,
//! sixteen of them connected: 4 MiB. The witness is counted apart, since its bound is a number of blocks and not of peers.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one forwards to the system's and counts"
)]

#[path = "../fuzz/entry.rs"]
mod entry;
mod made_up;
mod town;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use entry::peers::Peer;
use node_proto::group::Purpose;
use node_proto::ledger::{Block, Check, FraudProof};
use node_proto::wire::{Gossip, Request, Response, Rumour, Signed, decode_frame, encode_frame};
use node_proto::{
    Command, Config, ExchangeId, Factors, Group, Hash, Input, JobId, Millicredits, Node, NodeId, Output,
    Path, Requirements, ServiceRequest, Signer, Verification, Write,
};
use town::{MODEL, NOW, Town, signer};

static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is forwarded unchanged to the system's allocator, which upholds the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PEERS: u32 = 1_000;
const CONNECTIONS: u32 = 16;
const BOUND: usize = 4 * 1024 * 1024;
/// The whole witness of the default configuration, and the merit that was heard of on the way.
const WITNESS_BOUND: usize = 2 * 1024 * 1024;
/// A message's most.
const RUMOURS: usize = 64;

type Disk = BTreeMap<Vec<u8>, Vec<u8>>;

/// A node in the town, and everything that it wrote.
struct Citizen {
    node: Node,
    disk: Disk,
}

impl Citizen {
    fn input(&mut self, input: Input, peer: &mut Peer) {
        self.node.handle_input(NOW, input);
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Request {
                    exchange,
                    peer: to,
                    frame,
                    ..
                } => {
                    let request: Request = decode_frame(&frame).unwrap();
                    // The discovery point knows nothing more.
                    let answer = match request {
                        Request::Sample { .. } => Some(Response::Sampled {
                            total: PEERS,
                            records: Vec::new(),
                        }),
                        _ if to == peer.id() => peer.answer(&request, 0),
                        _ => Some(Response::Noted),
                    };
                    let result = Ok(encode_frame(&answer.unwrap()));
                    self.node.handle_input(NOW, Input::Response { exchange, result });
                }
                Output::Persist { seq, writes } => {
                    keep(&mut self.disk, writes);
                    self.node.handle_input(NOW, Input::Persisted { seq });
                }
                _ => {}
            }
        }
    }

    /// One trade: a receipt, an exposure, a reputation record, a pace and an edge of merit.
    fn buy_from(&mut self, number: u32) {
        let mut seller = Peer::new(signer(number), Group::open(), self.node.id());
        let peer = seller.id();
        let path = Path::Direct;
        self.input(Input::Connected { peer, path }, &mut seller);
        let command = Command::Request {
            job: JobId(number.into()),
            request: ServiceRequest::Inference {
                model: Some(MODEL),
                texts: vec!["one text".to_owned()],
            },
            requirements: Requirements {
                provider: Some(peer),
                ..Requirements::default()
            },
        };
        self.input(Input::Command(command), &mut seller);
        self.input(Input::Disconnected { peer }, &mut seller);
    }

    /// What others were paid, signed, and as much of it as the node cares to keep.
    fn hear(&mut self, blocks: &[Signed]) {
        for (number, part) in (1..).zip(blocks.chunks(RUMOURS)) {
            // One teller alone is not heard out so far.
            let teller = signer(number).id();
            let tag = Hash(Group::open().tag(Purpose::Trade, &teller, &self.node.id()));
            let rumour = |block: &Signed| Rumour {
                block: block.clone(),
                hops: 0,
            };
            let gossip = Gossip {
                tag,
                proofs: Vec::new(),
                rumours: part.iter().map(rumour).collect(),
            };
            let frame = encode_frame(&Request::Gossip(gossip));
            let (exchange, peer) = (ExchangeId(number.into()), teller);
            self.node.handle_input(
                NOW,
                Input::Request {
                    exchange,
                    peer,
                    frame,
                },
            );
            while let Some(output) = self.node.poll_output() {
                if let Output::Respond { frame, .. } = output {
                    assert_eq!(decode_frame(&frame), Ok(Response::Noted));
                }
            }
        }
    }
}

fn keep(disk: &mut Disk, writes: Vec<Write>) {
    for write in writes {
        match write {
            Write::Put { key, value } => disk.insert(key, value),
            Write::Delete { key } => disk.remove(&key),
        };
    }
}

/// Payment number `sequence` of one peer to another.
fn payment(author: u32, sequence: u64) -> Signed {
    let key = signer(author);
    let block = Block {
        // Its half of the trade with this node is in the first.
        epoch: 2,
        counterparty: signer(1 + (author * 7 + sequence as u32 * 13) % PEERS).id(),
        delta: Millicredits(-100),
        model: Some(MODEL),
        units: 10,
        factors: Factors {
            base_cost: 100,
            quality_multiplier: 1_000_000,
            market_demand: 1_000_000,
            reputation_factor: 1_000_000,
        },
        at_ms: NOW.0,
        ..made_up::block(key.id(), sequence, sequence as u8)
    };
    Signed::seal(&key, &block)
}

fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// What a node restored from the stored pairs of these kinds takes, less an empty one.
fn restored(disk: &Disk, kinds: &[u8]) -> usize {
    let start = |kinds: &[u8]| {
        let pairs = disk.iter().filter(|(key, _)| kinds.contains(&key[0]));
        let pairs: Vec<_> = pairs.map(|(key, value)| (key.clone(), value.clone())).collect();
        let before = held()
            - pairs
                .iter()
                .map(|(key, value)| key.capacity() + value.capacity())
                .sum::<usize>();
        let before = before - pairs.capacity() * size_of::<(Vec<u8>, Vec<u8>)>();
        let config = Config {
            witness_blocks_max: 1,
            witness_told_max: 0,
            ..Config::default()
        };
        let node = Node::new(config, Box::new(signer(0)), Group::open(), 1, NOW, pairs).unwrap();
        let taken = held() - before;
        drop(node);
        taken
    };
    start(kinds) - start(&[])
}

#[test]
fn the_state_for_a_thousand_peers_is_less_than_four_mebibytes() {
    let town = Town::new(PEERS);
    let config = Config {
        // The whole town is bought from before anything is earned.
        newcomer_allowance: Millicredits(1_000_000_000),
        ..Config::default()
    };
    let witnessed = config.witness_blocks_max as u64;
    let authors = 1..=PEERS;
    let each = witnessed.div_ceil(PEERS.into());
    let payments: Vec<Signed> = authors
        .flat_map(|author| (1..=each).map(move |at| payment(author, at)))
        .collect();
    let begin = held();
    let mut citizen = Citizen {
        node: town.known_by_one_with(config),
        disk: Disk::new(),
    };
    let known = held() - begin;
    (1..=PEERS).for_each(|number| citizen.buy_from(number));
    let disk = std::mem::take(&mut citizen.disk);
    let node = &citizen.node;
    assert_eq!(
        node.receipts(usize::MAX)
            .iter()
            .filter(|receipt| receipt.fully_signed)
            .count(),
        PEERS as usize
    );
    assert_eq!(node.snapshot(NOW).offers.len(), PEERS as usize);
    let on_disk = held();
    let copy = disk.clone();
    let disk_bytes = held() - on_disk;
    drop(copy);
    let traded = held() - begin - known - disk_bytes;
    let before = held();
    citizen.hear(&payments);
    let heard = held() - before;
    let before = held();
    for number in 1..=CONNECTIONS {
        let mut peer = Peer::new(signer(number), Group::open(), citizen.node.id());
        let (id, path) = (peer.id(), Path::Direct);
        citizen.input(Input::Connected { peer: id, path }, &mut peer);
    }
    let connected = held().saturating_sub(before);
    let (receipts, records) = (restored(&disk, b"mb"), restored(&disk, b"r"));
    drop(disk);
    let sum = held() - begin;
    println!("{PEERS} peers, each with an offer, a trade and {each} payments heard of: {sum} bytes");
    println!("  members and offers            {known}");
    println!("  trades                        {traded}");
    println!("    of which receipts, exposure {receipts}");
    println!("    of which reputation records {records}");
    println!("  witness and heard merit       {heard}");
    println!("  {CONNECTIONS} connections                {connected}");
    assert!(heard < WITNESS_BOUND, "{heard} bytes");
    assert!(sum - heard < BOUND, "{} bytes", sum - heard);
    assert!(
        sum > 1_000_000,
        "{sum} bytes cannot hold so much: nothing was counted"
    );
}

/// The widest block that is usual: the receiver's half of a receipt that was compared.
fn half(author: u32, sequence: u64, agreement: u8) -> Signed {
    let signer = signer(author);
    let block = Block {
        epoch: 70_000,
        delta: Millicredits(-100_000),
        model: Some(MODEL),
        units: 100_000,
        factors: Factors {
            base_cost: 100_000,
            quality_multiplier: 1_000_000,
            market_demand: 1_000_000,
            reputation_factor: 1_000_000,
        },
        check: Check::from(&Verification::TwoAgree {
            second: NodeId([3; 32]),
            compared: 16,
            probes: 2,
            cosine_min: 0.999,
        }),
        link: Some(Hash([2; 32])),
        at_ms: NOW.0,
        ..made_up::block(signer.id(), sequence, agreement)
    };
    Signed::seal(&signer, &block)
}

/// Tells a node of something as one of its neighbours.
fn tell(node: &mut Node, proofs: Vec<FraudProof>, rumours: Vec<Rumour>) {
    let (me, peer) = (node.id(), signer(1).id());
    let tag = Hash(Group::open().tag(Purpose::Trade, &peer, &me));
    let frame = encode_frame(&Request::Gossip(Gossip { tag, proofs, rumours }));
    let exchange = ExchangeId(1);
    node.handle_input(
        NOW,
        Input::Request {
            exchange,
            peer,
            frame,
        },
    );
    while let Some(output) = node.poll_output() {
        if let Output::Persist { seq, .. } = output {
            node.handle_input(NOW, Input::Persisted { seq });
        }
    }
}

#[test]
fn a_full_witness_and_all_convictions_fit_into_the_same_four_mebibytes() {
    let town = Town::new(1_000);
    let config = Config::default();
    let (blocks, convictions) = (config.witness_blocks_max, config.convictions_max);
    let rumours: Vec<Rumour> = (0..blocks as u64)
        .map(|number| Rumour {
            block: half(300 + (number % 700) as u32, 1 + number / 700, 1),
            hops: 5,
        })
        .collect();
    let proofs: Vec<FraudProof> = (1..=2 * convictions as u32)
        .map(|author| FraudProof {
            author: signer(author).id(),
            first: half(author, 9, 1),
            second: half(author, 9, 2),
        })
        .collect();
    let before = HELD.load(Ordering::Relaxed);
    // What is told fills all of the room but one place: what is checked is kept in the same way.
    let mut node = town.known_by_one_with(Config {
        witness_told_max: blocks - 1,
        gossip_burst: 65_536,
        ..config
    });
    let (peer, path) = (signer(1).id(), Path::Direct);
    node.handle_input(NOW, Input::Connected { peer, path });
    for part in rumours.chunks(64) {
        tell(&mut node, Vec::new(), part.to_vec());
    }
    for part in proofs[1..].chunks(4) {
        tell(&mut node, part.to_vec(), Vec::new());
    }
    let held = HELD.load(Ordering::Relaxed) - before;
    let convicted = proofs
        .iter()
        .filter(|proof| node.reputation(&proof.author).upper == 0.0);
    assert_eq!(convicted.count(), convictions);
    println!("1,000 peers, {blocks} blocks and {convictions} convictions: {held} bytes");
    assert!(held < 4 * 1024 * 1024, "{held} bytes");
}
