//! When network, storage and engine fall silent for ever, every request, agreement and exchange still ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod draw;
mod world;

use node_proto::group::Purpose;
use node_proto::wire::{FetchBlocks, Request, encode_frame};
use node_proto::{Audit, ExchangeId, Group, Hash, Input, Output, Timestamp};
use world::{Disk, Engine, World, private};

/// Longer than any wait of the default configuration, settlement's growing pauses aside.
const SILENCE_MS: u64 = 600_000;
const STEPS: usize = 24;

/// What only silence may leave: exchanges that began after it, payments, and what waits for storage.
fn assert_at_rest(world: &World, host: usize, asked: u64) {
    let audit = world.node(host).audit();
    let rest = Audit {
        jobs: 0,
        partings: 0,
        quotes: 0,
        agreements: 0,
        queued: 0,
        running: false,
        ..audit.clone()
    };
    assert_eq!(audit, rest);
    let stale = audit.oldest_exchange.is_some_and(|exchange| exchange.0 <= asked);
    assert!(!stale, "an exchange is waited for after ten minutes: {audit:?}");
}

fn step(world: &mut World, draw: &mut draw::Draw, hosts: [usize; 3], job: u64) {
    let host = *draw.pick(&hosts);
    match draw.below(10) {
        0..=3 => world.ask(host, job, &["one text", "and another"]),
        4 => {
            let engines = [
                Engine::Honest,
                Engine::Lies,
                Engine::Fails,
                Engine::Hangs,
                Engine::Slow(3_000),
            ];
            world.hosts[host].engine = *draw.pick(&engines);
        }
        5 => world.hosts[host].disk = *draw.pick(&[Disk::Writes, Disk::Refuses, Disk::Silent]),
        6 => {
            let peer = world.hosts[*draw.pick(&hosts)].id;
            world.input(host, Input::Disconnected { peer });
        }
        7 => {
            world.crash(host);
            world.start(host);
            world.lend(host);
        }
        _ => world.run(draw.below(4_000) as u64),
    }
}

fn everything_ends(draw: &mut draw::Draw) {
    let mut world = World::new();
    let group = if draw.one_in(2) { private(1) } else { Group::open() };
    let hosts = [(); 3].map(|()| world.join_provider(group.clone(), Engine::Honest));
    world.run(8_000);
    for number in 0..STEPS {
        step(&mut world, draw, hosts, number as u64 + 1);
        for host in hosts {
            assert_eq!(world.node(host).excess(), None);
        }
    }
    world.fall_silent();
    let asked = hosts.map(|host| world.hosts[host].asked);
    world.run(SILENCE_MS);
    for (host, asked) in hosts.into_iter().zip(asked) {
        assert_at_rest(&world, host, asked);
    }
}

#[test]
fn everything_ends_when_the_world_falls_silent() {
    draw::holds(6, everything_ends);
}

#[test]
fn silent_storage_ends_requests_and_stops_lending_until_it_answers() {
    let mut world = World::new();
    let seller = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(8_000);
    world.hosts[buyer].disk = Disk::Silent;
    world.ask(buyer, 1, &["one text"]);
    let first = world.finish(buyer, 1);
    assert!(
        !first.is_ok_and(|outcome| outcome.receipt.fully_signed),
        "paid before it was durable"
    );
    world.run(60_000);
    // The payment is neither sent nor forgotten, and nothing new is begun.
    assert_eq!(world.balance(seller), (0, 0));
    assert_eq!(world.node(buyer).audit().payments, 1);
    world.ask(buyer, 2, &["one text"]);
    assert!(world.finish(buyer, 2).is_err());
}

#[test]
fn receipts_are_not_shown_before_they_are_durable() {
    let mut world = World::new();
    let seller = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(8_000);
    world.hosts[seller].disk = Disk::Silent;
    world.ask(buyer, 1, &["one text"]);
    world.run(3_000);
    let (now, peer) = (Timestamp(world.now), world.hosts[buyer].id);
    let fetch = FetchBlocks {
        tag: Hash(private(1).tag(Purpose::Trade, &peer, &world.hosts[seller].id)),
        epoch: 0,
        from: 0,
        count: 16,
        of: Some(peer),
    };
    let frame = encode_frame(&Request::FetchBlocks(fetch));
    let exchange = ExchangeId(1_000_000);
    let node = world.hosts[seller].node.as_mut().unwrap();
    let mut answers = |input| {
        node.handle_input(now, input);
        let outputs = std::iter::from_fn(|| node.poll_output());
        let answers = outputs
            .filter(|output| matches!(output, Output::Respond { exchange: to, .. } if *to == exchange));
        answers.count()
    };
    let asked = Input::Request {
        exchange,
        peer,
        frame,
    };
    assert_eq!(answers(asked), 0);
    assert_eq!(answers(Input::Persisted { seq: u64::MAX }), 1);
}
