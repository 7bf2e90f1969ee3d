//! Blobs that others keep: placed, paid slice by slice, and placed elsewhere when a provider loses them or leaves.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod world;

use node_proto::storage::{Keep, StoredStep, StoredView};
use node_proto::verification::storage::Questions;
use node_proto::{Command, Event, Failure, Hash, Scope, Service, Timestamp};
use world::{Disk, Engine, World, private};

const HOUR_MS: u64 = 3_600_000;

fn content() -> Vec<u8> {
    (0..100_000_u32).map(|at| (at / 3 % 251) as u8).collect()
}

fn keep(world: &mut World, host: usize, copies: u32) -> Hash {
    let content = content();
    let blob = Hash(*blake3::hash(&content).as_bytes());
    world.hosts[host].shelf.whole.insert(blob, content.clone());
    let questions = Questions::prepare(5, &world.hosts[host].id, &content, 64);
    world.command(
        host,
        Command::Keep(Keep {
            blob,
            bytes: content.len() as u32,
            copies,
            slice_hours: 1,
            until: Timestamp(world.now + 6 * HOUR_MS),
            scope: Scope::Group,
            price_max: None,
            questions,
        }),
    );
    blob
}

fn stored(world: &World, host: usize) -> Vec<StoredView> {
    world.node(host).snapshot(Timestamp(world.now)).stored
}

fn steps(world: &World, host: usize) -> Vec<StoredStep> {
    let events = world.hosts[host].events.iter();
    let steps = events.filter_map(|event| match event {
        Event::Stored { step, .. } => Some(step.clone()),
        _ => None,
    });
    steps.collect()
}

/// A town with so many that have room, and one that wants a blob kept.
fn town(stores: usize) -> (World, Vec<usize>, usize) {
    let mut world = World::new();
    let stores = (0..stores)
        .map(|_| world.join_store(private(1), Engine::Honest))
        .collect();
    let owner = world.join(private(1));
    world.run(3_000);
    (world, stores, owner)
}

/// The one that has the blob, and the other one; their places among the hosts.
fn first_of_two(world: &World, stores: &[usize], owner: usize) -> (usize, usize) {
    let first = stored(world, owner)[0].holders[0].peer;
    match world.hosts[stores[0]].id == first {
        true => (stores[0], stores[1]),
        false => (stores[1], stores[0]),
    }
}

#[test]
fn a_blob_is_placed_proved_and_paid_slice_by_slice() {
    let (mut world, stores, owner) = town(1);
    let blob = keep(&mut world, owner, 1);
    world.run(60_000);
    let view = &stored(&world, owner)[0];
    assert_eq!(view.holders.len(), 1, "{:?}", steps(&world, owner));
    assert_eq!(view.holders[0].peer, world.hosts[stores[0]].id);
    assert_eq!(world.hosts[stores[0]].shelf.whole[&blob], content());
    let StoredStep::Placed { holder } = steps(&world, owner)[0] else {
        panic!("{:?}", steps(&world, owner));
    };
    let price = holder.price;
    assert!(price.0 > 0);
    assert_eq!(world.balance(owner), (-price.0, 0));
    assert_eq!(world.balance(stores[0]), (price.0, 0));

    world.run(6 * HOUR_MS);
    let steps = steps(&world, owner);
    let prolonged = steps
        .iter()
        .filter(|step| matches!(step, StoredStep::Prolonged { .. }));
    assert_eq!(prolonged.count(), 5, "{steps:?}");
    assert_eq!(steps.last(), Some(&StoredStep::Ended));
    let snapshot = world.node(owner).snapshot(Timestamp(world.now));
    assert!(snapshot.stored.is_empty());
    assert_eq!(snapshot.receipts.len(), 6);
    assert!(
        snapshot
            .receipts
            .iter()
            .all(|receipt| receipt.service == Service::Storage)
    );
}

#[test]
fn whoever_drops_it_is_found_by_the_next_question_not_paid_and_replaced() {
    let (mut world, stores, owner) = town(2);
    let blob = keep(&mut world, owner, 1);
    world.run(60_000);
    let (liar, honest) = first_of_two(&world, &stores, owner);
    let first = world.hosts[liar].id;
    let earned = world.balance(liar);
    world.hosts[liar].shelf.whole.remove(&blob);
    world.hosts[liar].engine = Engine::Lies;
    world.run(HOUR_MS);
    let steps = steps(&world, owner);
    assert!(
        steps.contains(&StoredStep::Lost {
            peer: first,
            reason: Failure::WrongResult
        }),
        "{steps:?}"
    );
    let view = &stored(&world, owner)[0];
    assert_eq!(view.holders[0].peer, world.hosts[honest].id);
    assert_eq!(world.balance(liar), earned);
    assert_eq!(world.hosts[honest].shelf.whole[&blob], content());
}

#[test]
fn it_is_not_given_to_whoever_is_asked_whether_it_still_has_it() {
    let (mut world, stores, owner) = town(2);
    let blob = keep(&mut world, owner, 1);
    world.run(60_000);
    let (careless, _) = first_of_two(&world, &stores, owner);
    world.hosts[careless].shelf.whole.remove(&blob);
    let reads = world.hosts[owner].shelf.reads;
    world.run(HOUR_MS);
    let steps = steps(&world, owner);
    let lost = steps.iter().find(|step| matches!(step, StoredStep::Lost { .. }));
    assert!(lost.is_some(), "{steps:?}");
    let chunks = 1;
    assert_eq!(
        world.hosts[owner].shelf.reads,
        reads + chunks,
        "the other one got it"
    );
}

#[test]
fn whoever_says_that_it_lost_it_is_replaced_at_once() {
    let (mut world, stores, owner) = town(2);
    let blob = keep(&mut world, owner, 1);
    world.run(60_000);
    let (careless, _) = first_of_two(&world, &stores, owner);
    let first = world.hosts[careless].id;
    world.hosts[careless].engine = Engine::Forgets;
    world.command(owner, Command::Prolong { blob });
    world.run(30_000);
    let steps = steps(&world, owner);
    let lost = StoredStep::Lost {
        peer: first,
        reason: Failure::NotHeld,
    };
    assert!(steps.contains(&lost), "{steps:?}");
    assert_ne!(stored(&world, owner)[0].holders[0].peer, first);
}

#[test]
fn whoever_leaves_is_replaced_before_long() {
    let (mut world, stores, owner) = town(2);
    keep(&mut world, owner, 1);
    world.run(60_000);
    let (gone, _) = first_of_two(&world, &stores, owner);
    let first = world.hosts[gone].id;
    world.crash(gone);
    world.run(HOUR_MS);
    let view = &stored(&world, owner)[0];
    assert_eq!(view.holders.len(), 1, "{:?}", steps(&world, owner));
    assert_ne!(view.holders[0].peer, first);
}

#[test]
fn two_copies_are_with_two_providers() {
    let (mut world, stores, owner) = town(2);
    let blob = keep(&mut world, owner, 2);
    world.run(60_000);
    let view = &stored(&world, owner)[0];
    assert_eq!(view.holders.len(), 2);
    for store in stores {
        assert_eq!(world.hosts[store].shelf.whole[&blob], content());
    }
}

#[test]
fn where_nobody_has_room_it_is_said_and_tried_again() {
    let (mut world, stores, owner) = town(1);
    world.command(
        stores[0],
        Command::Store {
            store: Some(node_proto::StoreInfo { free_bytes: 1_000 }),
        },
    );
    keep(&mut world, owner, 1);
    world.run(60_000);
    assert_eq!(stored(&world, owner)[0].failure, Some(Failure::NoRoom));
    world.command(
        stores[0],
        Command::Store {
            store: Some(node_proto::StoreInfo {
                free_bytes: 1_000_000,
            }),
        },
    );
    world.run(5 * 60_000);
    assert_eq!(stored(&world, owner)[0].holders.len(), 1);
    assert_eq!(stored(&world, owner)[0].failure, None);
}

#[test]
fn it_goes_on_after_a_restart() {
    let (mut world, _, owner) = town(1);
    let blob = keep(&mut world, owner, 1);
    world.run(60_000);
    let before = stored(&world, owner);
    world.crash(owner);
    world.run(1_000);
    world.start(owner);
    assert_eq!(stored(&world, owner), before);
    world.run(HOUR_MS);
    let view = &stored(&world, owner)[0];
    assert!(view.holders[0].paid_until > before[0].holders[0].paid_until);
    world.command(owner, Command::Release { blob });
    world.run(1_000);
    assert!(stored(&world, owner).is_empty());
}

#[test]
fn a_disk_that_refuses_is_not_asked_without_end() {
    let (mut world, _, owner) = town(1);
    world.hosts[owner].disk = Disk::Refuses;
    keep(&mut world, owner, 1);
    world.run(10_000);
    let wakes = world.node(owner).poll_timeout().unwrap();
    assert!(wakes.0 > world.now, "it would be woken without end");
    assert!(stored(&world, owner)[0].holders.is_empty());
    world.hosts[owner].disk = Disk::Writes;
    world.run(120_000);
    assert_eq!(stored(&world, owner)[0].holders.len(), 1);
}
