//! Late providers, requests that are given up, and counter-offers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod world;

use node_proto::{
    Command, Event, Failure, JobId, Millicredits, Outcome, Precision, Requirements, ServeStep, Timestamp,
    TradeStep, Verification,
};
use world::{Engine, World, private};

const TEXTS: [&str; 3] = ["the first passage", "another one", "what is asked"];

fn steps(world: &World, host: usize) -> Vec<&TradeStep> {
    let steps = world.hosts[host].events.iter().filter_map(|event| match event {
        Event::Trade { step, .. } => Some(step),
        _ => None,
    });
    steps.collect()
}

fn has(world: &World, host: usize, step: fn(&TradeStep) -> bool) -> bool {
    steps(world, host).into_iter().any(step)
}

/// What each of the providers is told it will be paid for work that was given up.
fn cancelled(world: &World, host: usize) -> Vec<i64> {
    let dues = world.hosts[host].events.iter().filter_map(|event| match event {
        Event::Served {
            step: ServeStep::Cancelled { due, .. },
            ..
        } => Some(due.0),
        _ => None,
    });
    dues.collect()
}

/// Two providers whose engines take so long, and a buyer that asked; returns who was chosen first, and who was not.
fn asked(engines: [Engine; 2], deadline_ms: u32) -> (World, usize, usize, usize) {
    let mut world = World::new();
    let providers = engines.map(|engine| world.join_provider(private(1), engine));
    let buyer = world.join_buyer(private(1));
    world.run(8_000);
    world.ask_with(
        buyer,
        1,
        &TEXTS,
        Requirements {
            deadline_ms,
            ..Requirements::default()
        },
    );
    while !has(&world, buyer, |step| matches!(step, TradeStep::Sent { .. })) {
        world.run(1);
    }
    let chosen = steps(&world, buyer).into_iter().find_map(|step| match step {
        TradeStep::Chosen { provider, .. } => Some(*provider),
        _ => None,
    });
    let first = providers
        .into_iter()
        .find(|host| Some(world.hosts[*host].id) == chosen);
    let first = first.unwrap();
    let other = providers[0] + providers[1] - first;
    (world, buyer, first, other)
}

fn balances_are_opposite(world: &World, hosts: &[usize]) {
    let balances: Vec<(i64, i64)> = hosts.iter().map(|host| world.balance(*host)).collect();
    let settled: i64 = balances.iter().map(|(settled, _)| settled).sum();
    let pending: i64 = balances.iter().map(|(_, pending)| pending).sum();
    assert_eq!((settled, pending), (0, 0), "{balances:?}");
}

#[test]
fn a_late_provider_is_hedged_and_gets_nothing_for_what_it_did_not_deliver() {
    let (mut world, buyer, late, other) = asked([Engine::Slow(20_000), Engine::Slow(20_000)], 60_000);
    world.hosts[other].engine = Engine::Honest;
    let outcome: Outcome = world.finish(buyer, 1).unwrap();
    assert_eq!(outcome.provider, world.hosts[other].id);
    assert!(outcome.took_ms < 3_000, "{}", outcome.took_ms);
    assert!(has(&world, buyer, |step| matches!(
        step,
        TradeStep::Hedged { .. }
    )));
    world.run(30_000);
    assert_eq!(cancelled(&world, late), [0]);
    assert_eq!(world.balance(late), (0, 0));
    balances_are_opposite(&world, &[buyer, late, other]);
    let seen = world.node(buyer).reputation(&world.hosts[late].id);
    assert!(seen.response_time.mean < 0.5 && seen.reliability.observations < 0.1);
}

#[test]
fn a_hedge_that_loses_the_race_in_time_is_paid_for_its_part() {
    // The first is late, but delivers while the hedge computes.
    let (mut world, buyer, late, hedge) = asked([Engine::Slow(900), Engine::Slow(900)], 60_000);
    world.hosts[hedge].engine = Engine::Slow(550);
    let outcome = world.finish(buyer, 1).unwrap();
    assert_eq!(outcome.provider, world.hosts[late].id);
    world.run(5_000);
    let due = cancelled(&world, hedge);
    assert!(
        matches!(due[..], [part] if part > 0 && part < outcome.price.0),
        "{due:?}"
    );
    let checked = outcome.check_price.0;
    assert_eq!(world.balance(hedge), (due[0] + checked, 0));
    assert_eq!(world.balance(buyer).0, -(outcome.price.0 + due[0] + checked));
    let snapshot = world.node(buyer).snapshot(Timestamp(world.now));
    let part = snapshot.receipts.iter().find(|receipt| receipt.partial).unwrap();
    assert!(part.fully_signed && part.delta.0 == -due[0] && part.units > 0);
    assert_eq!(part.verification, Verification::Unchecked);
    balances_are_opposite(&world, &[buyer, late, hedge]);
}

#[test]
fn work_that_is_cancelled_is_paid_in_proportion_and_the_engine_goes_on_to_the_next() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Slow(600));
    let buyer = world.join_buyer(private(1));
    world.run(3_000);
    world.ask(buyer, 1, &TEXTS);
    while world.hosts[provider].works == 0 {
        world.run(1);
    }
    world.run(200);
    world.command(buyer, Command::Cancel { job: JobId(1) });
    assert_eq!(world.finish(buyer, 1).unwrap_err(), Failure::Cancelled);
    world.run(5_000);
    let due = cancelled(&world, provider);
    assert!(matches!(due[..], [part] if part > 0), "{due:?}");
    assert_eq!(world.balance(provider), (due[0], 0));
    assert_eq!(world.balance(buyer), (-due[0], 0));
    world.ask(buyer, 2, &TEXTS);
    let whole = world.finish(buyer, 2).unwrap().price.0;
    assert!(due[0] < whole);
    // Some 200 of some 600 promised milliseconds.
    assert!((whole / 4..=whole / 2).contains(&due[0]), "{due:?} of {whole}");
}

#[test]
fn a_cancellation_that_crosses_the_result_pays_for_the_result() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Slow(300));
    let buyer = world.join_buyer(private(1));
    world.run(3_000);
    world.ask(buyer, 1, &TEXTS);
    while world.hosts[provider].works == 0 {
        world.run(1);
    }
    world.run(295);
    world.command(buyer, Command::Cancel { job: JobId(1) });
    assert_eq!(world.finish(buyer, 1).unwrap_err(), Failure::Cancelled);
    world.run(5_000);
    assert!(cancelled(&world, provider).is_empty());
    let receipt = world
        .node(buyer)
        .snapshot(Timestamp(world.now))
        .receipts
        .remove(0);
    assert!(receipt.fully_signed && !receipt.partial);
    balances_are_opposite(&world, &[buyer, provider]);
}

#[test]
fn before_the_engine_begins_a_cancellation_costs_nothing() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Slow(20_000));
    let (first, second) = (world.join_buyer(private(1)), world.join_buyer(private(1)));
    world.run(3_000);
    let patient = Requirements {
        deadline_ms: 60_000,
        ..Requirements::default()
    };
    world.ask_with(first, 1, &TEXTS, patient.clone());
    world.run(100);
    world.ask_with(second, 1, &TEXTS, patient);
    while !has(&world, second, |step| matches!(step, TradeStep::Sent { .. })) {
        world.run(1);
    }
    world.run(50);
    world.command(second, Command::Cancel { job: JobId(1) });
    world.run(1_000);
    assert_eq!(cancelled(&world, provider), [0]);
    assert_eq!((world.balance(second), world.hosts[provider].works), ((0, 0), 1));
}

#[test]
fn a_dearer_provider_that_is_better_known_is_asked_to_meet_the_cheaper_one() {
    let mut world = World::new();
    let known = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(3_000);
    for job in 1..=4 {
        world.ask(buyer, job, &TEXTS);
        world.finish(buyer, job).unwrap();
    }
    let cheap = world.join(private(1));
    world.lend_at(cheap, 500.0, Precision::Int8);
    world.run(10_000);
    let long = "a passage of several words ".repeat(40);
    world.ask(buyer, 99, &[long.as_str(); 4]);
    let outcome = world.finish(buyer, 99).unwrap();
    let quotes = steps(&world, buyer);
    let offered = quotes.iter().rev().find_map(|step| match step {
        TradeStep::Countered { provider, price } => Some((*provider, *price)),
        _ => None,
    });
    let (asked, offered) = offered.unwrap();
    assert_eq!(asked, world.hosts[known].id);
    assert_eq!(outcome.provider, asked);
    assert!(outcome.price <= offered && outcome.price > Millicredits::ZERO);
    assert_eq!(outcome.factors.price(), Some(outcome.price));
}

/// Whole numbers of the page's data, as a person reads them.
#[test]
fn strangers_whose_samples_are_late_are_passed_over_while_there_are_others() {
    let mut world = World::new();
    for _ in 0..6 {
        world.join_provider(private(1), Engine::Slow(1_500));
    }
    let slower = world.join(private(1));
    world.lend_at(slower, 50.0, Precision::F32);
    let buyer = world.join_buyer(private(1));
    world.run(10_000);
    let texts: Vec<String> = (0..10).map(|text| format!("the passage number {text}")).collect();
    world.ask(buyer, 1, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let outcome = world.finish(buyer, 1).unwrap();
    assert_eq!(outcome.provider, world.hosts[slower].id);
    assert!(
        steps(&world, buyer)
            .iter()
            .any(|step| matches!(step, TradeStep::Trying { providers } if *providers > 1))
    );
}

fn number(value: &serde_json::Value, path: &[&str]) -> i128 {
    let found = path.iter().fold(value, |value, key| &value[*key]);
    found.as_i64().unwrap().into()
}

#[test]
fn a_person_can_recompute_the_price_from_what_the_page_shows() {
    let mut world = World::new();
    world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(3_000);
    for job in 1..=3 {
        let text = "some words to be embedded ".repeat(7 * job as usize);
        world.ask(buyer, job, &[text.as_str(); 3]);
        world.finish(buyer, job).unwrap();
        world.run(12_000);
        let snapshot = world.node(buyer).snapshot(Timestamp(world.now));
        let page = serde_json::to_value(&snapshot).unwrap();
        let (receipt, offer) = (&page["receipts"][0], &page["offers"][0]);
        // Base cost: the offer's, which is for 1,000 tokens, times the tokens that were computed, rounded up.
        let (rate, tokens) = (
            number(offer, &["factors", "base_cost"]),
            number(receipt, &["units"]),
        );
        let base = (rate * tokens + 999) / 1_000;
        assert_eq!(base, number(receipt, &["factors", "base_cost"]));
        // Price: base cost and the three multipliers in millionths, rounded up once.
        let names = ["quality_multiplier", "market_demand", "reputation_factor"];
        let multipliers = names.map(|name| number(receipt, &["factors", name]));
        let product = multipliers
            .iter()
            .fold(base, |product, multiplier| product * multiplier);
        let price = (product + 10_i128.pow(18) - 1) / 10_i128.pow(18);
        assert_eq!(price, -number(receipt, &["delta"]));
        // Each step is shown with its bounds, and the last one is the price.
        let steps = receipt["explained"].as_array().unwrap();
        for (step, multiplier) in steps.iter().zip(multipliers) {
            assert_eq!(number(step, &["value"]), multiplier);
            let bounds = number(step, &["bounds", "min"])..=number(step, &["bounds", "max"]);
            assert!(bounds.contains(&multiplier));
        }
        assert_eq!(number(&steps[2], &["price_so_far"]), price);
    }
}

#[test]
fn when_the_battery_takes_over_what_waits_is_given_back_and_what_runs_is_finished() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Slow(2_000));
    let buyers = [world.join_buyer(private(1)), world.join_buyer(private(1))];
    world.run(8_000);
    for buyer in buyers {
        world.ask(buyer, 1, &TEXTS);
        while !has(&world, buyer, |step| matches!(step, TradeStep::Sent { .. })) {
            world.run(1);
        }
        world.run(20);
    }
    world.command(
        provider,
        Command::Environment(node_proto::Environment {
            charging: Some(false),
            ..node_proto::Environment::default()
        }),
    );
    let first = world.finish(buyers[0], 1).unwrap();
    assert_eq!(first.provider, world.hosts[provider].id);
    let second = world.finish(buyers[1], 1).unwrap_err();
    assert!(
        matches!(second, Failure::Paused | Failure::NoProvider),
        "{second:?}"
    );
    assert_eq!(world.hosts[provider].works, 1);
    let lending = world.node(provider).snapshot(Timestamp(world.now)).lending;
    assert_eq!(lending.paused, Some(node_proto::PauseReason::Battery));
}
