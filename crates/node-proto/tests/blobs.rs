//! Blobs between nodes: whoever lends a model gives its files, and nothing is believed that its name does not prove.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use blob::CHUNK_BYTES;
use node_proto::{BlobStep, Hash, Progress};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
use world::blobs::Origin;
use world::{Engine, Fate, World, private};

/// Ten chunks and a bit.
const BYTES: usize = 10 * CHUNK_BYTES + 77;

fn content() -> Vec<u8> {
    (0..BYTES)
        .map(|place| (place % 251) as u8 ^ (place / CHUNK_BYTES) as u8)
        .collect()
}

fn whole(step: BlobStep) -> Progress {
    match step {
        BlobStep::Whole(progress) => progress,
        other => panic!("{other:?}"),
    }
}

/// A lender that holds the content, another node that has met it, and the blob, which the web server has too.
fn pair() -> (World, usize, usize, Hash) {
    let mut world = World::new();
    let lender = world.join_provider(private(1), Engine::Honest);
    let other = world.join(private(1));
    world.run(10_000);
    let blob = world.publish(&content());
    world.hold(lender, &content());
    (world, lender, other, blob)
}

/// Fetches all of it; tells how much came from the origin, and how much from peers.
fn fetched(world: &mut World, host: usize, blob: Hash) -> (u64, u64) {
    let progress = whole(world.fetch(host, blob, BYTES as u64));
    assert_eq!((progress.bytes, progress.total), (BYTES as u64, BYTES as u64));
    assert_eq!(world.content(host, blob), content());
    (progress.from_origin, progress.from_peers)
}

#[test]
fn it_comes_from_the_origin_and_from_a_peer_at_once() {
    let (mut world, _, other, blob) = pair();
    let (from_origin, from_peers) = fetched(&mut world, other, blob);
    assert_eq!(from_origin + from_peers, BYTES as u64);
    assert!(from_origin > 0 && from_peers > 0, "{from_origin}, {from_peers}");
}

#[test]
fn without_an_origin_a_peer_is_enough_and_the_other_way_round() {
    for origin in [Origin::Fails, Origin::None, Origin::Forges] {
        let (mut world, _, other, blob) = pair();
        world.origin = origin;
        assert_eq!(fetched(&mut world, other, blob), (0, BYTES as u64), "{origin:?}");
    }
    let mut world = World::new();
    let alone = world.join(private(1));
    world.origin = Origin::BreaksOffAfter(3);
    let blob = world.publish(&content());
    assert_eq!(fetched(&mut world, alone, blob), (BYTES as u64, 0));
}

#[test]
fn who_forges_is_asked_no_more_and_thought_less_of() {
    let (mut world, lender, other, blob) = pair();
    world.hosts[lender].shelf.forges = true;
    assert_eq!(fetched(&mut world, other, blob), (BYTES as u64, 0));
    let reads = world.hosts[lender].shelf.reads;
    assert!(reads <= 4, "asked {reads} times");
    let lender_id = world.hosts[lender].id;
    let quality = world.node(other).reputation(&lender_id).quality;
    assert!(quality.mean < 0.5, "{quality:?}");
}

#[test]
fn what_was_kept_does_not_come_again() {
    let mut world = World::new();
    let host = world.join(private(1));
    let content = content();
    let blob = world.publish(&content);
    world.want(host, blob, content.len() as u64);
    world.run(300);
    let kept = world.hosts[host].shelf.parts.len();
    assert!(kept > 2 && kept < 11, "{kept} parts are kept");
    world.crash(host);
    world.run(2_000);
    world.start(host);
    let progress = whole(world.fetch(host, blob, content.len() as u64));
    assert!(progress.from_origin < content.len() as u64 - (kept as u64 - 2) * CHUNK_BYTES as u64);
    assert_eq!(world.content(host, blob), content);
}

#[test]
fn what_nobody_has_is_given_up_with_a_reason() {
    let mut world = World::new();
    let host = world.join(private(1));
    world.origin = Origin::Fails;
    let content = content();
    let blob = world.publish(&content);
    let BlobStep::Failed { reason } = world.fetch(host, blob, content.len() as u64) else {
        panic!("it came from nowhere");
    };
    assert!(reason.contains("it cannot be reached"), "{reason}");
    for bytes in [0, u64::MAX] {
        assert!(matches!(world.fetch(host, blob, bytes), BlobStep::Failed { .. }));
    }
    // A length that is not the blob's.
    world.origin = Origin::Gives;
    assert!(matches!(
        world.fetch(host, blob, content.len() as u64 - 1),
        BlobStep::Failed { .. }
    ));
}

#[test]
fn who_does_not_lend_gives_nothing_and_strangers_get_nothing() {
    let mut world = World::new();
    let lender = world.join_provider(private(1), Engine::Honest);
    let stranger = world.join(private(2));
    world.origin = Origin::None;
    let content = content();
    let blob = world.hold(lender, &content);
    world.run(10_000);
    assert!(matches!(
        world.fetch(stranger, blob, content.len() as u64),
        BlobStep::Failed { .. }
    ));
    assert_eq!(world.hosts[lender].shelf.reads, 0);
}

#[test]
fn lost_and_repeated_messages_delay_it_and_nothing_else() {
    let (mut world, _, other, blob) = pair();
    world.origin = Origin::None;
    let mut count = 0;
    world.fate = Box::new(move |_| {
        count += 1;
        match count % 5 {
            0 => Fate::Lost,
            1 => Fate::Twice,
            _ => Fate::Arrives,
        }
    });
    let step = world.fetch(other, blob, BYTES as u64);
    // A holder that is silent three times is asked no more; what came by then is kept, and asking again ends it.
    let step = match step {
        BlobStep::Failed { .. } => world.fetch(other, blob, BYTES as u64),
        whole => whole,
    };
    assert_eq!(whole(step).bytes, BYTES as u64);
    assert_eq!(world.content(other, blob), content());
}
