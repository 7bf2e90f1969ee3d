//! Two blocks on one place: noticed wherever they meet, told to everyone, and never held against the honest.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod made_up;
mod world;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use node_proto::group::Purpose;
use node_proto::ledger::FraudProof;
use node_proto::wire::{Gossip, Request, Signed, decode_frame, encode_frame};
use node_proto::{Ed25519Signer, ExchangeId, Failure, Group, Hash, Input, Signer, Timestamp, Write};
use world::{Engine, Fate, World};

const TEXTS: [&str; 2] = ["one text", "and another"];

/// Whether a host holds a proof against another, as stored.
fn holds_proof(world: &World, host: usize, against: usize) -> bool {
    let key = [b"f", world.hosts[against].id.as_bytes().as_slice()].concat();
    world.hosts[host]
        .stored
        .get(&key)
        .is_some_and(|proof| minicbor::decode::<FraudProof>(proof).is_ok_and(|proof| proof.verify().is_ok()))
}

/// Buys once; returns what came of it.
fn buy(world: &mut World, buyer: usize, job: u64, from: usize) -> Result<(), Failure> {
    let provider = world.hosts[from].id;
    let requirements = node_proto::Requirements {
        provider: Some(provider),
        ..Default::default()
    };
    world.ask_with(buyer, job, &TEXTS, requirements);
    world.finish(buyer, job).map(drop)
}

/// A group of strangers: three shops and a buyer that everyone knows.
fn strangers() -> (World, [usize; 3], usize) {
    let mut world = World::new();
    let shops = [(); 3].map(|()| world.join_provider(Group::open(), Engine::Honest));
    let buyer = world.join_buyer(Group::open());
    world.run(8_000);
    (world, shops, buyer)
}

#[test]
fn a_double_spender_is_caught_by_gossip_and_served_by_nobody() {
    let (mut world, shops, cheat) = strangers();
    let before = world.hosts[cheat].clone_state();
    buy(&mut world, cheat, 1, shops[0]).unwrap();
    world.run(100);
    // The same seed and the same state: it signs another block for the place that the first shop was paid on.
    world.crash(cheat);
    world.hosts[cheat].restore_state(&before);
    world.start_cheating(cheat);
    world.run(8_000);
    let _ = buy(&mut world, cheat, 2, shops[1]);
    let paid = world.now;
    while !shops.iter().all(|shop| holds_proof(&world, *shop, cheat)) {
        assert!(world.now < paid + 20_000, "not noticed within 20 s");
        world.run(500);
    }
    assert!(buy(&mut world, cheat, 3, shops[2]).is_err());
    for shop in shops {
        assert_eq!(world.node(shop).reputation(&world.hosts[cheat].id).upper, 0.0);
    }
}

#[test]
fn a_proof_reaches_whoever_comes_later_and_survives_a_restart() {
    let (mut world, shops, cheat) = strangers();
    let before = world.hosts[cheat].clone_state();
    buy(&mut world, cheat, 1, shops[0]).unwrap();
    world.crash(cheat);
    world.hosts[cheat].restore_state(&before);
    world.start_cheating(cheat);
    world.run(8_000);
    let _ = buy(&mut world, cheat, 2, shops[1]);
    world.run(20_000);
    for shop in shops {
        world.crash(shop);
        world.start(shop);
        world.lend(shop);
    }
    let late = world.join_provider(Group::open(), Engine::Honest);
    world.run(20_000);
    assert!(holds_proof(&world, late, cheat));
}

/// What a host has on its disk.
type Stored = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the second purchase at the first shop signed is missing in the backup.
fn backed_up_between_two_purchases() -> (World, [usize; 3], usize, Stored) {
    let (mut world, shops, person) = strangers();
    buy(&mut world, person, 1, shops[0]).unwrap();
    world.run(1_000);
    let backup = world.hosts[person].clone_state();
    buy(&mut world, person, 2, shops[0]).unwrap();
    world.run(1_000);
    (world, shops, person, backup)
}

#[test]
fn an_old_backup_brands_nobody() {
    let (mut world, shops, person, backup) = backed_up_between_two_purchases();
    for job in 3..=4 {
        world.crash(person);
        world.hosts[person].restore_state(&backup);
        world.start(person);
        world.run(8_000);
        buy(&mut world, person, job, shops[job as usize % 3]).unwrap();
        world.run(10_000);
    }
    for shop in shops {
        assert!(!holds_proof(&world, shop, person));
    }
    let earned: i64 = shops.iter().map(|shop| world.balance(*shop).0).sum();
    let receipts = world.node(person).snapshot(Timestamp(world.now)).receipts;
    assert!(earned > 0 && receipts.iter().all(|receipt| receipt.fully_signed));
}

#[test]
fn a_restored_backup_first_asks_what_it_lost() {
    let (mut world, shops, person) = strangers();
    buy(&mut world, person, 1, shops[0]).unwrap();
    world.run(1_000);
    let me = world.hosts[person].id;
    let file = node_proto::backup::export(me, world.hosts[person].clone_state());
    buy(&mut world, person, 2, shops[0]).unwrap();
    buy(&mut world, person, 3, shops[1]).unwrap();
    world.run(1_000);
    let before = world.balance(person);
    // The device is lost. On a new one the same identity begins from the file.
    world.crash(person);
    world.hosts[person].stored.clear();
    for write in node_proto::backup::import(me, &file, &BTreeMap::new()).unwrap() {
        let Write::Put { key, value } = write else {
            panic!("an import removes nothing")
        };
        world.hosts[person].stored.insert(key, value);
    }
    world.start(person);
    // Nobody was asked yet, so nothing is signed.
    assert!(matches!(
        buy(&mut world, person, 4, shops[2]),
        Err(Failure::Storage)
    ));
    world.run(8_000);
    assert_eq!(world.balance(person), before);
    buy(&mut world, person, 5, shops[2]).unwrap();
    world.run(20_000);
    assert!(shops.iter().all(|shop| !holds_proof(&world, *shop, person)));
    // And once more from what is stored now.
    let balance = world.balance(person);
    world.crash(person);
    world.start(person);
    assert_eq!(world.balance(person), balance);
}

#[test]
fn whoever_does_not_answer_is_asked_again_for_what_was_lost() {
    let (mut world, shops, person, backup) = backed_up_between_two_purchases();
    let lost = world.balance(person);
    world.crash(person);
    world.hosts[person].restore_state(&backup);
    world.fate = Box::new(|passing| {
        let asks = passing.is_request && matches!(decode_frame(passing.frame), Ok(Request::FetchBlocks(_)));
        if asks { Fate::Lost } else { Fate::Arrives }
    });
    world.start(person);
    world.run(20_000);
    let restored = world.balance(person);
    assert_ne!(restored, lost);
    // The two trade before anything was found. What is newer must not hide what is missing.
    buy(&mut world, person, 3, shops[0]).unwrap();
    world.run(1_000);
    let paid = world.balance(person).0 - restored.0;
    assert!(paid < 0);
    world.fate = Box::new(|_| Fate::Arrives);
    world.run(40_000);
    buy(&mut world, person, 4, shops[0]).unwrap();
    world.run(10_000);
    let shop = world.balance(shops[0]);
    assert_eq!(world.balance(person).0 + shop.0, 0, "both sides count all four");
}

/// A proof against a key that was made up for it.
fn invented(number: u32) -> FraudProof {
    let mut secret = [77; 32];
    secret[..4].copy_from_slice(&number.to_le_bytes());
    let signer = Ed25519Signer::from_secret(&secret);
    let half = |agreement| Signed::seal(&signer, &made_up::block(signer.id(), 1, agreement));
    FraudProof {
        author: signer.id(),
        first: half(1),
        second: half(2),
    }
}

#[test]
fn a_thousand_made_up_keys_push_out_no_record_and_no_conviction() {
    let (mut world, shops, cheat) = strangers();
    let honest = world.join_buyer(Group::open());
    let attacker = world.join_buyer(Group::open());
    world.run(8_000);
    let before = world.hosts[cheat].clone_state();
    buy(&mut world, honest, 9, shops[0]).unwrap();
    buy(&mut world, cheat, 1, shops[0]).unwrap();
    world.crash(cheat);
    world.hosts[cheat].restore_state(&before);
    world.start_cheating(cheat);
    world.run(8_000);
    let _ = buy(&mut world, cheat, 2, shops[1]);
    world.run(20_000);
    assert!(shops.iter().all(|shop| holds_proof(&world, *shop, cheat)));
    let sent = Rc::new(Cell::new(0_usize));
    let counter = sent.clone();
    world.fate = Box::new(move |passing| {
        if passing.is_request
            && let Ok(Request::Gossip(gossip)) = decode_frame(passing.frame)
        {
            counter.set(counter.get() + gossip.proofs.len());
        }
        Fate::Arrives
    });
    let (shop, peer) = (shops[0], world.hosts[attacker].id);
    let tag = Hash(Group::open().tag(Purpose::Trade, &peer, &world.hosts[shop].id));
    for first in (0..1_000).step_by(4) {
        let frame = encode_frame(&Request::Gossip(Gossip {
            tag,
            proofs: (first..first + 4).map(invented).collect(),
            rumours: Vec::new(),
        }));
        let exchange = ExchangeId(1 << 40);
        world.input(
            shop,
            Input::Request {
                exchange,
                peer,
                frame,
            },
        );
        world.run(200);
    }
    world.run(20_000);
    for shop in shops {
        let stored = &world.hosts[shop].stored;
        assert_eq!(stored.keys().filter(|key| key[0] == b'f').count(), 1);
        assert!(holds_proof(&world, shop, cheat));
        assert_eq!(world.node(shop).reputation(&world.hosts[cheat].id).upper, 0.0);
    }
    let reputation = world.node(shops[0]).reputation(&world.hosts[honest].id);
    assert_eq!(reputation.receipts, 1);
    // The first sixteen, and one in ten seconds of the seventy that it took, once over each of fifteen connections and back.
    assert!(sent.get() <= 24 * 30, "{} proofs were passed on", sent.get());
}

/// Buys by turns with two nodes of one key, from different shops and from the same one, and twice at the same moment.
fn buy_with_both(world: &mut World, shops: [usize; 3], nodes: [usize; 2]) -> i64 {
    let mut spent = 0;
    for job in 10..16 {
        let (node, shop) = (nodes[job as usize % 2], shops[job as usize / 2 % 3]);
        buy(world, node, job, shop).unwrap();
        spent += world.outcome(node, job).unwrap().unwrap().price.0;
    }
    for (job, apart) in [(20, 0), (21, 1)] {
        for (turn, node) in nodes.into_iter().enumerate() {
            let requirements = node_proto::Requirements {
                provider: Some(world.hosts[shops[turn * apart]].id),
                ..Default::default()
            };
            world.ask_with(node, job, &TEXTS, requirements);
        }
        for node in nodes {
            spent += world.finish(node, job).unwrap().price.0;
        }
    }
    world.run(30_000);
    spent
}

/// Nobody holds a proof against a person, everybody still trades with them, and the shops got what was spent.
fn stays_honest(world: &mut World, shops: [usize; 3], nodes: [usize; 2], spent: i64) {
    let earned: i64 = shops.iter().map(|shop| world.balance(*shop).0).sum();
    assert_eq!(earned, spent);
    for shop in shops {
        assert!(!holds_proof(world, shop, nodes[0]));
        assert!(world.node(shop).reputation(&world.hosts[nodes[0]].id).upper > 0.0);
        for node in nodes {
            buy(world, node, 30 + shop as u64, shop).unwrap();
        }
    }
    let late = world.join_provider(Group::open(), Engine::Honest);
    world.run(30_000);
    assert!(!holds_proof(world, late, nodes[0]));
    buy(world, nodes[1], 40, late).unwrap();
}

#[test]
fn two_tabs_at_once_brand_nobody() {
    let (mut world, shops, person) = strangers();
    buy(&mut world, person, 1, shops[0]).unwrap();
    let first = world.outcome(person, 1).unwrap().unwrap().price.0;
    world.run(1_000);
    // Both tabs begin from what is stored now; the lock that keeps the second one from starting has failed.
    let stored = world.hosts[person].clone_state();
    let tab = world.join_twin(person, stored);
    world.run(8_000);
    let spent = first + buy_with_both(&mut world, shops, [person, tab]);
    stays_honest(&mut world, shops, [person, tab], spent);
}

#[test]
fn two_devices_with_one_key_brand_nobody() {
    let (mut world, shops, phone) = strangers();
    let laptop = world.join_twin(phone, BTreeMap::new());
    world.run(8_000);
    let spent = buy_with_both(&mut world, shops, [phone, laptop]);
    stays_honest(&mut world, shops, [phone, laptop], spent);
    // And one of them sells: its half-blocks are of its own epoch too.
    world.lend(laptop);
    world.run(30_000);
    let _ = buy(&mut world, shops[0], 1, laptop);
    world.run(30_000);
    assert!(shops.iter().all(|shop| !holds_proof(&world, *shop, phone)));
}
