//! Runs of modules, bought and sold.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod world;

use node_proto::{
    BlobInput, BlobStep, Command, Event, Failure, HeldBy, Input, Outcome, Path, ServeStep, Service,
    Verification, WorkOutput,
};
use world::{Engine, MODULE, World, outcome, private};

const INPUTS: [&[u8]; 3] = [b"one", b"a second one", b""];

fn endings(outcome: &Outcome) -> Vec<Vec<u8>> {
    let WorkOutput::Runs { outcomes } = &outcome.output else {
        panic!("runs were asked for");
    };
    outcomes.iter().map(|outcome| outcome.ending.clone()).collect()
}

fn right() -> Vec<Vec<u8>> {
    let ending = |input: &&[u8]| outcome(&MODULE, input).ending;
    INPUTS.iter().map(ending).collect()
}

#[test]
fn a_buyer_pays_for_what_the_runs_used() {
    let mut world = World::new();
    let provider = world.join_computer(private(1), Engine::Honest);
    let buyer = world.join(private(1));
    world.run(2_000);
    world.command(buyer, Command::RefreshMarket);
    world.run(1_000);
    let snapshot = world.node(buyer).snapshot(node_proto::Timestamp(world.now));
    assert_eq!(snapshot.offers.len(), 1);
    assert_eq!(snapshot.offers[0].service, Service::Computation);

    world.compute(buyer, 1, 100, &INPUTS);
    let outcome = world.finish(buyer, 1).unwrap();
    assert_eq!(endings(&outcome), right());
    assert_eq!(
        outcome.verification,
        Verification::Unchecked,
        "there is nobody to compare with"
    );
    // A unit for each byte, and one for a run of nothing: 16 of the 300 that were agreed.
    let agreed = outcome.factors.price().unwrap().0;
    assert_eq!(outcome.price.0, (agreed * 16 + 299) / 300);
    assert_eq!((outcome.receipt.units, outcome.receipt.partial), (16, true));
    assert_eq!(outcome.receipt.service, Service::Computation);
    world.run(1_000);
    assert_eq!(world.balance(buyer), (-outcome.price.0, 0));
    assert_eq!(world.balance(provider), (outcome.price.0, 0));
}

#[test]
fn what_uses_all_that_was_agreed_is_paid_in_full() {
    let mut world = World::new();
    world.join_computer(private(1), Engine::Honest);
    let buyer = world.join(private(1));
    world.run(2_000);
    world.compute(buyer, 1, 4, &[b"four"]);
    let outcome = world.finish(buyer, 1).unwrap();
    assert_eq!(Some(outcome.price), outcome.factors.price());
    assert!(!outcome.receipt.partial);
}

#[test]
fn a_liar_is_contradicted_and_not_paid() {
    let mut world = World::new();
    let liar = world.join_computer(private(1), Engine::Lies);
    let honest = [
        world.join_computer(private(1), Engine::Honest),
        world.join_computer(private(1), Engine::Honest),
    ];
    let buyer = world.join(private(1));
    world.run(3_000);
    for job in 1..=3 {
        world.compute(buyer, job, 100, &INPUTS);
        let outcome = world.finish(buyer, job).unwrap();
        assert_eq!(endings(&outcome), right());
        let events = &world.hosts[buyer].events;
        assert!(
            matches!(outcome.verification, Verification::TwoAgree { .. }),
            "{job}: {events:#?}"
        );
        world.run(1_000);
    }
    assert_eq!(world.balance(liar), (0, 0));
    let earned: i64 = honest.iter().map(|host| world.balance(*host).0).sum();
    assert_eq!(world.balance(buyer), (-earned, 0));
    assert!(earned > 0);
    let rejected = world.hosts[liar].events.iter().any(|event| {
        let Event::Served { step, .. } = event else {
            return false;
        };
        matches!(
            step,
            ServeStep::Unpaid {
                reason: Failure::WrongResult
            }
        )
    });
    assert!(rejected);
}

#[test]
fn who_has_no_record_is_compared_even_where_the_second_must_be_dialled_first() {
    let mut world = World::new();
    let first = world.join_computer(private(1), Engine::Honest);
    let second = world.join_computer(private(1), Engine::Honest);
    let buyer = world.join(private(1));
    // It was dialled so long ago that it may be dialled again.
    world.run(61_000);
    for (host, other) in [(buyer, second), (second, buyer)] {
        let peer = world.hosts[other].id;
        world.input(host, Input::Disconnected { peer });
    }
    world.compute(buyer, 1, 100, &INPUTS);
    let outcome = world.finish(buyer, 1).unwrap();
    let events = &world.hosts[buyer].events;
    assert!(
        matches!(outcome.verification, Verification::TwoAgree { .. }),
        "{events:#?}"
    );
    // Where there is nobody else, nobody is waited for in vain for long.
    world.crash(second);
    world.run(1_000);
    world.compute(buyer, 2, 100, &INPUTS);
    let outcome = world.finish(buyer, 2).unwrap();
    assert_eq!(outcome.provider, world.hosts[first].id);
    assert!(outcome.took_ms < 6_000, "{} ms", outcome.took_ms);
}

#[test]
fn an_engine_that_fails_is_replaced() {
    let mut world = World::new();
    let failing = world.join_computer(private(1), Engine::Fails);
    let buyer = world.join(private(1));
    world.run(2_000);
    world.compute(buyer, 1, 100, &INPUTS);
    assert!(matches!(world.finish(buyer, 1), Err(Failure::Engine { .. })));
    world.join_computer(private(1), Engine::Honest);
    world.run(3_000);
    world.compute(buyer, 2, 100, &INPUTS);
    assert_eq!(endings(&world.finish(buyer, 2).unwrap()), right());
    assert_eq!(world.balance(failing), (0, 0));
}

#[test]
fn models_and_modules_are_sold_side_by_side() {
    let mut world = World::new();
    let provider = world.join_computer(private(1), Engine::Honest);
    world.lend(provider);
    let buyer = world.join_buyer(private(1));
    world.run(2_000);
    world.ask(buyer, 1, &["a text"]);
    world.compute(buyer, 2, 100, &INPUTS);
    assert!(matches!(
        world.finish(buyer, 1).unwrap().verification,
        Verification::SpotChecked { .. }
    ));
    assert_eq!(endings(&world.finish(buyer, 2).unwrap()), right());

    world.command(provider, Command::Computer { computer: None });
    world.run(60_000);
    world.command(buyer, Command::RefreshMarket);
    world.run(1_000);
    world.compute(buyer, 3, 100, &INPUTS);
    assert_eq!(world.finish(buyer, 3).unwrap_err(), Failure::NoProvider);
    world.ask(buyer, 4, &["a text"]);
    assert!(world.finish(buyer, 4).is_ok());
}

#[test]
fn a_relay_carries_no_modules() {
    let mut world = World::new();
    let provider = world.join_computer(private(1), Engine::Honest);
    let buyer = world.join(private(1));
    world.run(2_000);
    for (host, other) in [(buyer, provider), (provider, buyer)] {
        let (peer, path) = (world.hosts[other].id, Path::Relayed);
        world.input(host, Input::Connected { peer, path });
    }
    world.compute(buyer, 1, 100, &INPUTS);
    let refused = world.finish(buyer, 1).unwrap_err();
    assert!(
        matches!(&refused, Failure::InvalidRequest { what } if what.contains("direct")),
        "{refused:?}"
    );
}

/// What a shell does that has not got the module: it fetches it from whoever wants it run, while that one waits.
#[test]
fn a_module_is_given_to_whoever_runs_it_and_to_nobody_else() {
    let mut world = World::new();
    let provider = world.join_computer(private(1), Engine::Slow(20_000));
    let other = world.join(private(1));
    let buyer = world.join(private(1));
    let content = vec![7; 300_000];
    let blob = world.hold(buyer, &content);
    world.origin = world::blobs::Origin::None;
    world.run(2_000);
    let module = node_proto::Module {
        blob,
        bytes: content.len() as u32,
    };
    world.compute_with(buyer, 1, module, 100, &INPUTS);
    world.run(200);
    assert_eq!(world.hosts[provider].works, 1, "it runs");
    let fetch = |world: &mut World, host: usize| {
        let want = BlobInput::Want {
            blob,
            bytes: content.len() as u64,
            held_by: HeldBy::Peer(world.hosts[buyer].id),
            outline: None,
            kept: Vec::new(),
            has_origin: false,
        };
        world.input(host, Input::Blob(want));
        world.run(1_000);
        let whole = |event: &Event| {
            matches!(
                event,
                Event::Blob {
                    step: BlobStep::Whole(_),
                    ..
                }
            )
        };
        world.hosts[host].events.iter().any(whole)
    };
    assert!(fetch(&mut world, provider));
    assert_eq!(world.content(provider, blob), content);
    assert!(!fetch(&mut world, other), "the buyer lends nothing");
}
