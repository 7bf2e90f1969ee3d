//! Whole trades between nodes that behave.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod world;

use node_proto::{
    Command, Event, Failure, Group, Input, Millicredits, Path, Requirements, Scope, ServeStep, Service,
    TradeStep, Verification, WorkOutput,
};
use world::{Engine, World, embedding, private};

const TEXTS: [&str; 3] = ["the first passage", "another one", "what is asked"];

#[test]
fn two_nodes_find_each_other_and_trade() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    world.run(1_000);
    let buyer = world.join_buyer(private(1));
    world.run(1_000);
    let snapshot = world.node(buyer).snapshot(node_proto::Timestamp(world.now));
    assert_eq!(snapshot.members_seen, Some(1));
    assert_eq!(snapshot.offers.len(), 1);
    assert_eq!(snapshot.peers[0].path, Some(Path::Direct));
    assert!(snapshot.peers[0].member);

    world.ask(buyer, 1, &TEXTS);
    let outcome = world.finish(buyer, 1).unwrap();
    let WorkOutput::Embeddings {
        dimension, values, ..
    } = &outcome.output
    else {
        panic!("embeddings were asked for");
    };
    let expected: Vec<f32> = TEXTS.iter().flat_map(|text| embedding(text)).collect();
    assert_eq!((*dimension as usize, values), (world::DIMENSION, &expected));
    assert!(matches!(
        outcome.verification,
        Verification::SpotChecked { probes: 2, .. }
    ));
    assert_eq!(outcome.factors.price(), Some(outcome.price));
    assert!(outcome.receipt.fully_signed);
    assert_eq!(outcome.receipt.service, Service::Inference);
    world.run(1_000);
    let price = outcome.price.0;
    assert!(price > 0);
    assert_eq!(world.balance(buyer), (-price, 0));
    assert_eq!(world.balance(provider), (price, 0));
    let seen = world.node(buyer).reputation(&world.hosts[provider].id);
    assert!(seen.score > 0.5 && seen.receipts == 1 && seen.quality.observations > 0.9);
}

#[test]
fn a_circuit_carries_small_requests_and_no_large_ones() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(1_000);
    for (host, other) in [(buyer, provider), (provider, buyer)] {
        let (peer, path) = (world.hosts[other].id, Path::Relayed);
        world.input(host, Input::Connected { peer, path });
    }
    world.ask(buyer, 1, &TEXTS);
    assert!(world.finish(buyer, 1).is_ok());

    let long = "a passage of many words ".repeat(100);
    world.ask(buyer, 2, &[long.as_str(); 30]);
    let refused = world.finish(buyer, 2).unwrap_err();
    assert!(
        matches!(&refused, Failure::InvalidRequest { what } if what.contains("relay")),
        "{refused:?}"
    );
}

#[test]
fn a_buyer_sees_the_steps_in_order_and_a_provider_its_own() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(2_000);
    world.ask(buyer, 1, &TEXTS);
    world.finish(buyer, 1).unwrap();
    let steps: Vec<&str> = world.hosts[buyer]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Trade { step, .. } => Some(match step {
                TradeStep::Searching { .. } => "searching",
                TradeStep::Found { .. } => "found",
                TradeStep::Proposal { .. } => "proposal",
                TradeStep::Refused { .. } => "refused",
                TradeStep::Waiting { .. } => "waiting",
                TradeStep::Countered { .. } => "countered",
                TradeStep::Hedged { .. } => "hedged",
                TradeStep::Trying { .. } => "trying",
                TradeStep::Chosen { .. } => "chosen",
                TradeStep::Agreed { .. } => "agreed",
                TradeStep::Sent { .. } => "sent",
                TradeStep::Delivered { .. } => "delivered",
                TradeStep::Verified { .. } => "verified",
                TradeStep::Receipted { .. } => "receipted",
                TradeStep::Retrying { .. } => "retrying",
            }),
            _ => None,
        })
        .collect();
    let expected = [
        "searching",
        "found",
        "proposal",
        "chosen",
        "agreed",
        "sent",
        "delivered",
        "verified",
        "receipted",
    ];
    assert_eq!(steps, expected);
    let served = world.hosts[provider]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Served { step, .. } => Some(step),
            _ => None,
        });
    let served: Vec<&ServeStep> = served.collect();
    assert!(matches!(
        served[..],
        [
            ServeStep::Quoted { .. },
            ServeStep::Agreed { .. },
            ServeStep::Delivered { .. },
            ServeStep::Paid { .. }
        ]
    ));
}

#[test]
fn everything_survives_a_restart() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(2_000);
    for job in 1..=3 {
        world.ask(buyer, job, &TEXTS);
        world.finish(buyer, job).unwrap();
    }
    world.run(1_000);
    let before = (world.balance(buyer), world.balance(provider));
    assert_eq!(before.0.0, -before.1.0);
    let reputation = world.node(buyer).reputation(&world.hosts[provider].id);
    for host in [buyer, provider] {
        world.crash(host);
    }
    for host in [buyer, provider] {
        world.start(host);
    }
    world.run(100);
    assert_eq!((world.balance(buyer), world.balance(provider)), before);
    let restored = world.node(buyer).reputation(&world.hosts[provider].id);
    assert_eq!(restored.receipts, reputation.receipts);
    assert!((restored.lower - reputation.lower).abs() < 1e-3);
    world.command(
        buyer,
        Command::Probes {
            model: world::MODEL,
            probes: world::probes(),
        },
    );
    world.lend(provider);
    world.run(8_000);
    world.ask(buyer, 9, &TEXTS);
    let outcome = world.finish(buyer, 9).unwrap();
    // The chain goes on in an epoch of this run's own.
    assert_eq!(outcome.receipt.sequence, 1);
    let receipts = world
        .node(buyer)
        .snapshot(node_proto::Timestamp(world.now))
        .receipts;
    assert_eq!((receipts.len(), receipts[0].id), (4, outcome.receipt.id));
}

#[test]
fn with_two_providers_a_sample_is_compared_and_both_are_paid() {
    let mut world = World::new();
    let first = world.join_provider(private(1), Engine::Honest);
    let second = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(3_000);
    let texts: Vec<String> = (0..9)
        .map(|number| format!("passage {number} of nine, some words long"))
        .collect();
    world.ask(buyer, 1, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let outcome = world.finish(buyer, 1).unwrap();
    assert!(
        matches!(
            outcome.verification,
            Verification::TwoAgree {
                compared: 1,
                probes: 2,
                ..
            }
        ),
        "{:?}",
        outcome.verification
    );
    assert!(outcome.check_price > Millicredits::ZERO && outcome.check_price < outcome.price);
    world.run(1_000);
    let (earned, paid) = (
        world.balance(first).0 + world.balance(second).0,
        world.balance(buyer).0,
    );
    assert_eq!(
        (earned, paid),
        (-paid, -(outcome.price.0 + outcome.check_price.0))
    );
}

#[test]
fn outsiders_see_and_get_nothing() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let outsider = world.join_buyer(private(2));
    let passer_by = world.join_buyer(Group::open());
    world.run(3_000);
    for host in [outsider, passer_by] {
        let snapshot = world.node(host).snapshot(node_proto::Timestamp(world.now));
        assert_eq!(
            (snapshot.members_seen, snapshot.offers.len(), snapshot.peers.len()),
            (Some(0), 0, 0)
        );
        world.ask(host, 1, &TEXTS);
        assert_eq!(world.finish(host, 1).unwrap_err(), Failure::NoProvider);
    }
    assert_eq!(world.hosts[provider].works, 0);
}

#[test]
fn strangers_trade_up_to_the_newcomer_allowance() {
    let mut world = World::new();
    world.join_provider(Group::open(), Engine::Honest);
    let buyer = world.join_buyer(Group::open());
    world.run(3_000);
    let long = "word ".repeat(2_000);
    let mut paid = 0;
    let refusal = (1..200).find_map(|job| {
        world.ask(buyer, job, &[long.as_str(); 2]);
        match world.finish(buyer, job) {
            Ok(outcome) => {
                paid += outcome.price.0;
                world.run(20_000);
                None
            }
            Err(failure) => Some(failure),
        }
    });
    assert!(
        matches!(refusal, Some(Failure::CreditLimit { .. })),
        "{refusal:?}"
    );
    assert!((1..=10_000).contains(&paid), "{paid}");
}

#[test]
fn conditions_are_kept() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(3_000);
    let default = Requirements::default;
    world.ask_with(
        buyer,
        1,
        &TEXTS,
        Requirements {
            price_max: Some(Millicredits(0)),
            ..default()
        },
    );
    assert_eq!(world.finish(buyer, 1).unwrap_err(), Failure::TooExpensive);
    world.ask_with(
        buyer,
        2,
        &TEXTS,
        Requirements {
            scope: Scope::Device,
            ..default()
        },
    );
    assert_eq!(world.finish(buyer, 2).unwrap_err(), Failure::NoProvider);
    world.ask_with(
        buyer,
        3,
        &TEXTS,
        Requirements {
            reputation_min: 0.99,
            ..default()
        },
    );
    assert_eq!(world.finish(buyer, 3).unwrap_err(), Failure::NoProvider);
    world.ask_with(buyer, 4, &[], default());
    assert!(matches!(
        world.finish(buyer, 4),
        Err(Failure::InvalidRequest { .. })
    ));
    let provider_id = world.hosts[provider].id;
    world.ask_with(
        buyer,
        5,
        &TEXTS,
        Requirements {
            provider: Some(provider_id),
            ..default()
        },
    );
    let full = world.finish(buyer, 5).unwrap().price;
    // A little below the quote: granted out of the demand factor.
    let limit = Millicredits(full.0 * 3 / 4);
    world.ask_with(
        buyer,
        6,
        &TEXTS,
        Requirements {
            price_max: Some(limit),
            ..default()
        },
    );
    let haggled = world.finish(buyer, 6).unwrap();
    assert!(haggled.price <= limit && haggled.factors.price() == Some(haggled.price));
    assert_eq!(world.hosts[provider].works, 2);
}

#[test]
fn a_paused_provider_says_so_and_withdraws() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(3_000);
    world.command(provider, Command::Lend(node_proto::LendPolicy::default()));
    world.ask(buyer, 1, &TEXTS);
    let failure = world.finish(buyer, 1).unwrap_err();
    assert!(
        matches!(failure, Failure::Paused | Failure::NoProvider),
        "{failure:?}"
    );
    world.run(6_000);
    let snapshot = world.node(buyer).snapshot(node_proto::Timestamp(world.now));
    assert!(snapshot.offers.is_empty());
    assert_eq!(snapshot.peers.len(), 1);
}

#[test]
fn new_addresses_are_told_at_once() {
    let mut world = World::new();
    let first = world.join(private(1));
    world.input(first, node_proto::Input::Addresses(Vec::new()));
    world.run(500);
    world.input(
        first,
        node_proto::Input::Addresses(vec!["/memory/new".to_owned()]),
    );
    world.run(100);
    let second = world.join(private(1));
    world.run(500);
    let snapshot = world.node(second).snapshot(node_proto::Timestamp(world.now));
    assert_eq!(snapshot.peers.len(), 1);
}
