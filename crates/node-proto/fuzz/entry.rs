//! What is fuzzed, and what must hold. The fuzz targets call these, and so does `tests/corpus.rs` with every seed.
#![allow(dead_code, unreachable_pub, reason = "each target uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a broken invariant is reported by a panic"
)]

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use minicbor::{Decode, Encode};
use node_proto::group::Purpose;
use node_proto::ledger::{Block, FraudProof};
use node_proto::sign::Domain;
use node_proto::wire::{
    Agreement, Demand, Gossip, Object, Partial, Proposal, Registration, Request, Response, ResultHead,
    Rumour, Signed, Verdict, decode_frame, encode_frame,
};
use node_proto::{
    Config, Ed25519Signer, ExchangeId, Group, GroupSecret, Hash, Input, ModelId, Node, NodeId, Registry,
    RegistryLimits, Signer, Timestamp, Write, backup,
};

#[path = "../tests/world/mod.rs"]
mod world;

mod blobs;
mod machine;
pub(crate) mod peers;

#[allow(unused_imports, reason = "as above")]
pub use machine::{machine, reached};

use world::{Disk, Engine, Fate, World, private};

/// Operations of one input, so that no input takes long.
const OPERATIONS_MAX: usize = 48;

/// A frame that is read says the same when it is written and read again.
pub fn frames(data: &[u8]) {
    read_again::<Request>(data);
    read_again::<Response>(data);
    let answer =
        Registry::new(RegistryLimits::default(), 1).handle_frame(Timestamp(1), NodeId([1; 32]), data);
    assert!(decode_frame::<Response>(&answer).is_ok());
}

fn read_again<T: PartialEq + std::fmt::Debug + Encode<()> + for<'b> Decode<'b, ()>>(data: &[u8]) {
    if let Ok(message) = decode_frame::<T>(data) {
        assert_eq!(decode_frame::<T>(&encode_frame(&message)), Ok(message));
    }
}

/// A signed object that is taken has exactly the bytes that its meaning is written in.
pub fn objects(data: &[u8]) {
    taken_as_written::<Registration>(data);
    taken_as_written::<Proposal>(data);
    taken_as_written::<Agreement>(data);
    taken_as_written::<ResultHead>(data);
    taken_as_written::<Verdict>(data);
    taken_as_written::<Partial>(data);
    taken_as_written::<Block>(data);
    named_by_its_meaning(data);
    heard(data);
    if let Ok(proof) = minicbor::decode::<FraudProof>(data) {
        let _ = proof.verify();
    }
}

/// A demand is not signed; proposals name it by the hash of what it means, so that has to be stable.
fn named_by_its_meaning(data: &[u8]) {
    if let Ok(demand) = minicbor::decode::<Demand>(data) {
        let again: Demand = minicbor::decode(&minicbor::to_vec(&demand).unwrap()).unwrap();
        assert_eq!(again.hash(), demand.hash());
        assert_eq!(again, demand);
    }
}

/// A rumour, whole and with `data` for the body of its block, of which only the head is read before it is believed.
fn heard(data: &[u8]) {
    let block = Signed {
        body: data.to_vec(),
        signature: [0; 64],
    };
    let read = minicbor::decode::<Rumour>(data).ok();
    let rumours = read.into_iter().chain([Rumour { block, hops: 3 }]).collect();
    let (me, peer) = (
        Ed25519Signer::from_secret(&[1; 32]),
        Ed25519Signer::from_secret(&[2; 32]).id(),
    );
    let group = Group::open();
    let tag = Hash(group.tag(Purpose::Trade, &peer, &me.id()));
    let frame = encode_frame(&Request::Gossip(Gossip {
        tag,
        proofs: Vec::new(),
        rumours,
    }));
    let mut node = Node::new(Config::default(), Box::new(me), group, 1, Timestamp(1), []).unwrap();
    // Shown twice, so that it meets itself.
    for exchange in [ExchangeId(1), ExchangeId(2)] {
        let frame = frame.clone();
        node.handle_input(
            Timestamp(1),
            Input::Request {
                exchange,
                peer,
                frame,
            },
        );
    }
    assert!(node.reputation(&peer).upper > 0.0);
}

fn taken_as_written<T: Object>(data: &[u8]) {
    let key = Ed25519Signer::from_secret(&[1; 32]);
    let signed = Signed {
        body: data.to_vec(),
        signature: T::DOMAIN.sign(&key, data),
    };
    if let Ok(object) = signed.open::<T>(&key.id()) {
        assert_eq!(minicbor::to_vec(&object).unwrap(), data);
    }
    let other = Signed {
        signature: Domain::Block.sign(&key, b"something else"),
        ..signed
    };
    assert!(other.open::<T>(&key.id()).is_err());
}

/// Whatever is stored or imported, a node starts from it or says why not.
pub fn stored(data: &[u8]) {
    let me = Ed25519Signer::from_secret(&[1; 32]).id();
    let checksum = blake3::derive_key("knowledge/1 backup", data);
    let file = [data, &checksum].concat();
    for file in [data, &file] {
        let Ok(writes) = backup::import(me, file, &BTreeMap::new()) else {
            continue;
        };
        let pairs = writes.into_iter().filter_map(|write| match write {
            Write::Put { key, value } => Some((key, value)),
            Write::Delete { .. } => None,
        });
        start(pairs.collect());
    }
    let (key, value) = data.split_at(
        data.len()
            .min(usize::from(data.first().copied().unwrap_or(0) % 48)),
    );
    start(vec![(key.to_vec(), value.to_vec())]);
}

fn start(pairs: Vec<(Vec<u8>, Vec<u8>)>) {
    let signer = Box::new(Ed25519Signer::from_secret(&[1; 32]));
    if let Ok(node) = Node::new(Config::default(), signer, Group::open(), 1, Timestamp(1), pairs) {
        let _ = node.snapshot(Timestamp(2));
    }
}

/// A name that is read is written as the same name.
pub fn texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(id) = text.parse::<NodeId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Ok(id) = text.parse::<ModelId>() {
        assert_eq!(id.to_string(), text.to_lowercase());
    }
    if let Ok(secret) = text.parse::<GroupSecret>() {
        assert_eq!(secret.to_invite().parse(), Ok(secret));
    }
}

/// A buyer and a seller under arbitrary inputs in arbitrary order: no panic, and no money made or lost.
pub fn node(data: &[u8]) {
    let bytes = Rc::new(RefCell::new(data.iter().copied().collect::<VecDeque<u8>>()));
    let next = |bytes: &Rc<RefCell<VecDeque<u8>>>| bytes.borrow_mut().pop_front();
    let mut world = World::new();
    let group = if data.len().is_multiple_of(2) {
        private(1)
    } else {
        Group::open()
    };
    let seller = world.join_provider(group.clone(), Engine::Honest);
    let buyer = world.join_buyer(group);
    world.run(3_000);
    let fates = Rc::clone(&bytes);
    world.fate = Box::new(
        move |_| match fates.borrow_mut().pop_front().map_or(7, |byte| byte % 8) {
            0 => Fate::Lost,
            1 => Fate::Twice,
            _ => Fate::Arrives,
        },
    );
    for job in 1..=OPERATIONS_MAX as u64 {
        let Some(operation) = next(&bytes) else { break };
        let host = if operation & 0x80 == 0 { seller } else { buyer };
        let argument = next(&bytes).unwrap_or(0);
        match operation % 10 {
            0 | 1 => world.ask(buyer, job, &["one text", "and another"]),
            2 => world.run(u64::from(argument) * 8),
            3 => world.run(u64::from(argument) * 400),
            4 => {
                world.crash(host);
                world.start(host);
                if host == seller {
                    world.lend(seller);
                }
            }
            5 => {
                world.hosts[host].disk =
                    [Disk::Writes, Disk::Refuses, Disk::Silent][usize::from(argument % 3)]
            }
            6 => {
                let engines = [Engine::Honest, Engine::Lies, Engine::Fails, Engine::Hangs];
                world.hosts[seller].engine = engines[usize::from(argument % 4)];
            }
            7 => {
                let count = usize::from(argument).min(bytes.borrow().len());
                let frame: Vec<u8> = bytes.borrow_mut().drain(..count).collect();
                let frame = [vec![1], frame].concat();
                let peer = world.hosts[if host == seller { buyer } else { seller }].id;
                let exchange = ExchangeId(1_000_000 + job);
                world.input(
                    host,
                    Input::Request {
                        exchange,
                        peer,
                        frame,
                    },
                );
            }
            8 => {
                let exchange = ExchangeId(u64::from(argument));
                let result = Ok(vec![1, 0x82, argument % 9, 0x80]);
                world.input(host, Input::Response { exchange, result });
            }
            _ => {
                let peer = world.hosts[if host == seller { buyer } else { seller }].id;
                world.input(host, Input::Disconnected { peer });
            }
        }
        conserved(&world, seller, buyer);
    }
}

/// What the buyer holds answered, the seller has; the seller has nothing that the buyer did not sign.
fn conserved(world: &World, seller: usize, buyer: usize) {
    let ((earned, pending), (settled, signed)) = (world.balance(seller), world.balance(buyer));
    let received = earned + pending;
    assert!(
        -settled <= received && received <= -(settled + signed),
        "{earned} {pending} {settled} {signed}"
    );
}
