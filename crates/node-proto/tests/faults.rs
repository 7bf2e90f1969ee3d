//! Trades in which something goes wrong: liars, lost messages, crashes, full disks, nonsense.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod world;

use std::cell::Cell;
use std::rc::Rc;

use node_proto::{
    Config, Event, ExchangeFailure, ExchangeId, Failure, Input, Millicredits, Output, Precision,
    Requirements, ServeStep, Timestamp, TradeStep, Verification,
};
use world::{Disk, Engine, Fate, Passing, World, private};

const TEXTS: [&str; 3] = ["the first passage", "another one", "what is asked"];

/// Place of the message's number in a frame: version, array of two, number.
const KIND: usize = 2;
const AGREE: u8 = 5;
const EXECUTE: u8 = 6;
const SETTLE: u8 = 7;

/// Loses the first `count` requests of a kind, or their answers.
fn lose(world: &mut World, kind: u8, request: bool, count: u32) -> Rc<Cell<u32>> {
    let left = Rc::new(Cell::new(count));
    let counter = Rc::clone(&left);
    world.fate = Box::new(move |passing: Passing<'_>| {
        let wanted = passing.is_request == request && passing.frame.get(KIND) == Some(&kind);
        if wanted && counter.get() > 0 {
            counter.set(counter.get() - 1);
            return Fate::Lost;
        }
        Fate::Arrives
    });
    left
}

fn steps(world: &World, host: usize) -> Vec<&TradeStep> {
    let steps = world.hosts[host].events.iter().filter_map(|event| match event {
        Event::Trade { step, .. } => Some(step),
        _ => None,
    });
    steps.collect()
}

#[test]
fn a_liar_is_caught_unpaid_and_replaced() {
    let mut world = World::new();
    let liar = world.join_provider(private(1), Engine::Lies);
    let buyer = world.join_buyer(private(1));
    world.run(2_000);
    world.ask(buyer, 1, &TEXTS);
    world.run(3_000);
    let honest = world.join_provider(private(1), Engine::Honest);
    let outcome = world.finish(buyer, 1);
    let wrong = steps(&world, buyer).into_iter().any(|step| {
        matches!(step, TradeStep::Verified { verification: Verification::Wrong { cosine_min, required } }
            if cosine_min < required)
    });
    assert!(wrong);
    match outcome {
        Ok(outcome) => assert_eq!(outcome.provider, world.hosts[honest].id),
        Err(failure) => assert_eq!(failure, Failure::WrongResult),
    }
    world.run(1_000);
    assert_eq!(world.balance(liar), (0, 0));
    let unpaid = world.hosts[liar].events.iter().any(|event| {
        matches!(
            event,
            Event::Served {
                step: ServeStep::Unpaid {
                    reason: Failure::WrongResult
                },
                ..
            }
        )
    });
    assert!(unpaid);
    let seen = world.node(buyer).reputation(&world.hosts[liar].id);
    let nobody = world.node(buyer).reputation(&world.hosts[buyer].id);
    assert!(seen.lower < nobody.lower && seen.quality.mean < 0.3);
}

#[test]
fn after_a_liar_the_backup_answers_and_is_paid() {
    let mut caught = 0;
    for attempt in 0..6 {
        let mut world = World::new();
        for _ in 0..attempt {
            // Other names, other random numbers.
            world.join(private(9));
        }
        let liar = world.join_provider(private(1), Engine::Lies);
        let honest = world.join_provider(private(1), Engine::Honest);
        let buyer = world.join_buyer(private(1));
        world.run(8_000);
        world.ask(buyer, 1, &TEXTS);
        let outcome = world.finish(buyer, 1).unwrap();
        assert_eq!(outcome.provider, world.hosts[honest].id);
        world.run(1_000);
        assert_eq!(world.balance(liar), (0, 0));
        assert_eq!(world.balance(honest).0, -world.balance(buyer).0);
        // A sample that it computed to check the liar is paid as well.
        assert!(world.balance(honest).0 >= outcome.price.0);
        caught += u32::from(
            steps(&world, buyer)
                .iter()
                .any(|step| matches!(step, TradeStep::Retrying { .. })),
        );
    }
    assert!(caught > 0);
}

#[test]
fn a_third_one_decides_between_two_whose_known_answers_are_right() {
    let (mut as_main, mut as_sample) = (0, 0);
    for attempt in 0..8 {
        let mut world = World::new();
        for _ in 0..attempt {
            // Other names, other random numbers.
            world.join(private(9));
        }
        let cunning = world.join_provider(private(1), Engine::Cunning);
        let honest = [(); 3].map(|()| world.join_provider(private(1), Engine::Honest));
        let buyer = world.join_buyer(private(1));
        world.run(8_000);
        world.ask(buyer, 1, &TEXTS);
        let outcome = world.finish(buyer, 1).unwrap();
        world.run(1_000);
        let quality = |host: usize| world.node(buyer).reputation(&world.hosts[host].id).quality.mean;
        assert!(
            honest.iter().all(|host| quality(*host) >= 0.5),
            "nobody honest was taken for a liar"
        );
        if quality(cunning) < 0.5 {
            assert_ne!(outcome.provider, world.hosts[cunning].id);
            assert_eq!(world.balance(cunning), (0, 0));
            let retried = steps(&world, buyer)
                .iter()
                .any(|step| matches!(step, TradeStep::Retrying { .. }));
            as_main += u32::from(retried);
            as_sample += u32::from(!retried);
        }
    }
    assert!(as_main > 0 && as_sample > 0, "{as_main} {as_sample}");
}

#[test]
fn engines_that_fail_or_hang_cost_the_buyer_nothing() {
    for engine in [Engine::Fails, Engine::Hangs] {
        let mut world = World::new();
        let provider = world.join_provider(private(1), engine);
        let buyer = world.join_buyer(private(1));
        world.run(2_000);
        world.ask(buyer, 1, &TEXTS);
        let failure = world.finish(buyer, 1).unwrap_err();
        assert!(
            matches!(
                failure,
                Failure::Engine { .. } | Failure::Deadline | Failure::NoProvider
            ),
            "{failure:?}"
        );
        assert_eq!((world.balance(buyer), world.balance(provider)), ((0, 0), (0, 0)));
        world.run(120_000);
        world.hosts[provider].engine = Engine::Honest;
        world.ask(buyer, 2, &TEXTS);
        world.finish(buyer, 2).unwrap();
    }
}

#[test]
fn whose_engine_hung_once_is_asked_again_where_there_is_nobody_else() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(8_000);
    world.ask(buyer, 1, &TEXTS);
    assert!(world.finish(buyer, 1).is_ok());
    world.hosts[provider].engine = Engine::Hangs;
    world.ask(buyer, 2, &TEXTS);
    assert_eq!(world.finish(buyer, 2).unwrap_err(), Failure::Deadline);
    // Its next promise contains the time that waking takes. By its record it would take ten times as long, or more.
    world.offer(provider, 500.0, Precision::F32, 6_000);
    world.hosts[provider].engine = Engine::Slow(3_000);
    world.ask(buyer, 3, &TEXTS);
    let asked = world.now;
    assert!(world.finish(buyer, 3).is_ok());
    assert!(world.now - asked < 4_000, "{}", world.now - asked);
    // What nobody could keep is not even tried.
    world.offer(provider, 500.0, Precision::F32, 40_000);
    world.ask(buyer, 4, &TEXTS);
    let asked = world.now;
    assert_eq!(world.finish(buyer, 4).unwrap_err(), Failure::Deadline);
    assert!(world.now - asked < 1_000, "{}", world.now - asked);
}

#[test]
fn a_lost_input_or_result_ends_in_another_attempt() {
    for request in [true, false] {
        let mut world = World::new();
        let providers = [
            world.join_provider(private(1), Engine::Honest),
            world.join_provider(private(1), Engine::Honest),
        ];
        let buyer = world.join_buyer(private(1));
        world.run(8_000);
        let left = lose(&mut world, EXECUTE, request, 1);
        world.ask(buyer, 1, &TEXTS);
        world.finish(buyer, 1).unwrap();
        assert_eq!(left.get(), 0);
        world.run(5_000);
        let earned: i64 = providers.iter().map(|provider| world.balance(*provider).0).sum();
        assert_eq!(earned, -world.balance(buyer).0);
    }
}

#[test]
fn an_agreement_that_is_not_answered_is_asked_for_again() {
    // The number of `Agreed` among the answers is the same as that of `Agree` among the requests.
    for request in [true, false] {
        let mut world = World::new();
        world.join_provider(private(1), Engine::Honest);
        let buyer = world.join_buyer(private(1));
        world.run(2_000);
        let left = lose(&mut world, AGREE, request, 1);
        let begin = world.now;
        world.ask(buyer, 1, &TEXTS);
        world.finish(buyer, 1).unwrap();
        assert_eq!(left.get(), 0);
        // The only provider there is: it was neither given up nor waited for as long as for somebody who is gone.
        let retries = |step: &&&TradeStep| matches!(step, TradeStep::Retrying { .. });
        assert_eq!(steps(&world, buyer).iter().filter(retries).count(), 0);
        assert!(world.now - begin < 5_000, "{} ms", world.now - begin);
        // Twice is enough: then it counts as gone.
        lose(&mut world, AGREE, request, 2);
        world.ask(buyer, 2, &TEXTS);
        assert!(world.finish(buyer, 2).is_err());
    }
}

#[test]
fn a_quote_is_asked_for_again_where_another_connection_stands() {
    let lost = |world: &mut World, buyer: usize| {
        let exchange = ExchangeId(world.hosts[buyer].asked);
        let result = Err(ExchangeFailure::Unreachable);
        world.input(buyer, Input::Response { exchange, result });
    };
    let mut world = World::new();
    world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(2_000);
    world.ask(buyer, 1, &TEXTS);
    lost(&mut world, buyer);
    world.finish(buyer, 1).unwrap();
    // Twice is enough: then it counts as gone.
    world.ask(buyer, 2, &TEXTS);
    for _ in 0..2 {
        lost(&mut world, buyer);
    }
    assert_eq!(world.finish(buyer, 2).unwrap_err(), Failure::Disconnected);
}

#[test]
fn a_result_is_asked_for_again_where_another_connection_stands() {
    // A circuit is left for a direct connection while the provider computes, and with it goes the exchange.
    let lost = |world: &mut World, buyer: usize| {
        let exchange = ExchangeId(world.hosts[buyer].asked);
        let result = Err(ExchangeFailure::Unreachable);
        world.input(buyer, Input::Response { exchange, result });
    };
    let sent = |world: &World, buyer| {
        let steps = steps(world, buyer);
        steps
            .iter()
            .filter(|step| matches!(step, TradeStep::Sent { .. }))
            .count()
    };
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(2_000);
    world.ask(buyer, 1, &TEXTS);
    while sent(&world, buyer) == 0 {
        world.run(1);
    }
    for _ in 0..3 {
        lost(&mut world, buyer);
    }
    world.finish(buyer, 1).unwrap();
    let retries = |step: &&&TradeStep| matches!(step, TradeStep::Retrying { .. });
    assert_eq!(steps(&world, buyer).iter().filter(retries).count(), 0);
    assert_eq!(sent(&world, buyer), 1);
    assert_eq!(world.hosts[provider].works, 1, "it is computed once");
    // Whose connections go again and again is given up.
    world.ask(buyer, 2, &TEXTS);
    while sent(&world, buyer) == 1 {
        world.run(1);
    }
    for _ in 0..4 {
        lost(&mut world, buyer);
    }
    assert_eq!(steps(&world, buyer).iter().filter(retries).count(), 1);
}

#[test]
fn a_payment_is_repeated_until_it_is_answered_and_counts_once() {
    for request in [true, false] {
        let mut world = World::new();
        let provider = world.join_provider(private(1), Engine::Honest);
        let buyer = world.join_buyer(private(1));
        world.run(2_000);
        // The number of `Settled` among the answers is the same as that of `Settle` among the requests.
        lose(&mut world, SETTLE, request, 4);
        world.ask(buyer, 1, &TEXTS);
        let outcome = world.finish(buyer, 1).unwrap();
        assert!(!outcome.receipt.fully_signed);
        assert_eq!(world.balance(buyer), (0, -outcome.price.0));
        world.run(600_000);
        assert_eq!(world.balance(buyer), (-outcome.price.0, 0));
        assert_eq!(world.balance(provider), (outcome.price.0, 0));
    }
}

#[test]
fn a_buyer_that_dies_before_its_payment_leaves_pays_after_it_comes_back() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(2_000);
    world.ask(buyer, 1, &TEXTS);
    let sent = |world: &World| {
        steps(world, buyer)
            .iter()
            .any(|step| matches!(step, TradeStep::Sent { .. }))
    };
    while !sent(&world) {
        world.run(1);
    }
    world.run(10);
    // From here on writes are durable, but the word that they are never comes: the payment cannot leave.
    world.hosts[buyer].disk = Disk::Silent;
    world.run(5_000);
    assert_eq!(world.balance(provider), (0, 0));
    world.crash(buyer);
    world.hosts[buyer].disk = Disk::Writes;
    world.start(buyer);
    let pending = world.balance(buyer);
    assert!(pending.0 == 0 && pending.1 < 0, "{pending:?}");
    world.run(20_000);
    assert_eq!(world.balance(buyer), (pending.1, 0));
    assert_eq!(world.balance(provider), (-pending.1, 0));
}

#[test]
fn a_payment_is_sent_again_when_its_receiver_is_heard_of_again() {
    // Nobody dials more than one other by itself.
    let config = Config {
        connections_max: 1,
        ..Config::default()
    };
    let mut world = World::new();
    let provider = world.join_with(private(1), config.clone());
    world.lend(provider);
    for _ in 0..4 {
        world.join_with(private(1), config.clone());
    }
    world.run(8_000);
    let buyer = world.join_with(private(1), config);
    world.run(8_000);
    world.ask(buyer, 1, &TEXTS);
    while !steps(&world, buyer)
        .iter()
        .any(|step| matches!(step, TradeStep::Sent { .. }))
    {
        world.run(1);
    }
    world.run(10);
    world.hosts[buyer].disk = Disk::Silent;
    world.run(5_000);
    world.crash(buyer);
    world.hosts[buyer].disk = Disk::Writes;
    world.crash(provider);
    world.start(buyer);
    let pending = world.balance(buyer);
    assert!(pending.0 == 0 && pending.1 < 0, "{pending:?}");
    // The pauses have grown to minutes when the provider is back.
    world.run(200_000);
    world.start(provider);
    world.run(15_000);
    assert_eq!(world.balance(buyer), (pending.1, 0));
    assert_eq!(world.balance(provider), (-pending.1, 0));
}

#[test]
fn a_provider_that_dies_before_its_answer_leaves_is_paid_once() {
    for disk in [Disk::Silent, Disk::Refuses] {
        let mut world = World::new();
        let provider = world.join_provider(private(1), Engine::Honest);
        let buyer = world.join_buyer(private(1));
        world.run(2_000);
        world.hosts[provider].disk = disk;
        world.ask(buyer, 1, &TEXTS);
        world.run(3_000);
        world.crash(provider);
        world.hosts[provider].disk = Disk::Writes;
        world.start(provider);
        world.run(700_000);
        let (paid, earned) = (world.balance(buyer), world.balance(provider));
        assert!(paid.0 < 0 && paid.1 == 0, "{disk:?} {paid:?}");
        assert_eq!(earned, (-paid.0, 0));
    }
}

#[test]
fn a_full_disk_stops_trades_and_says_so() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(2_000);
    world.hosts[buyer].disk = Disk::Refuses;
    world.ask(buyer, 1, &TEXTS);
    assert_eq!(world.finish(buyer, 1).unwrap_err(), Failure::Storage);
    world.ask(buyer, 2, &TEXTS);
    assert_eq!(world.finish(buyer, 2).unwrap_err(), Failure::Storage);
    assert_eq!(world.balance(provider), (0, 0));
    world.hosts[buyer].disk = Disk::Writes;
    world.run(10_000);
    world.ask(buyer, 3, &TEXTS);
    world.finish(buyer, 3).unwrap();
    world.run(60_000);
    assert_eq!(world.balance(buyer).0, -world.balance(provider).0);
    assert_eq!(world.balance(buyer).1, 0);
}

#[test]
fn doubled_messages_change_nothing() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.fate = Box::new(|_| Fate::Twice);
    world.run(2_000);
    for job in 1..=3 {
        world.ask(buyer, job, &TEXTS);
        world.finish(buyer, job).unwrap();
    }
    world.run(60_000);
    assert_eq!(world.balance(provider).0, -world.balance(buyer).0);
    assert_eq!(world.balance(buyer).1, 0);
    assert_eq!(world.hosts[provider].works, 3);
}

#[test]
fn a_provider_that_vanishes_is_replaced() {
    let mut world = World::new();
    let first = world.join_provider(private(1), Engine::Hangs);
    let second = world.join_provider(private(1), Engine::Hangs);
    let buyer = world.join_buyer(private(1));
    world.run(8_000);
    world.ask_with(
        buyer,
        1,
        &TEXTS,
        Requirements {
            deadline_ms: 60_000,
            ..Requirements::default()
        },
    );
    world.run(1_000);
    let running = if world.hosts[first].works > 0 {
        first
    } else {
        second
    };
    let other = first + second - running;
    world.hosts[other].engine = Engine::Honest;
    world.crash(running);
    let outcome = world.finish(buyer, 1);
    if let Ok(outcome) = outcome {
        assert_eq!(outcome.provider, world.hosts[other].id);
    }
    assert!(
        steps(&world, buyer)
            .iter()
            .any(|step| matches!(step, TradeStep::Retrying { .. }))
    );
}

#[test]
fn nonsense_is_refused_with_a_reason() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let peer = world.relay;
    let mut number = 1_000_000;
    let mut refusal = |frame: Vec<u8>| {
        number += 1;
        let exchange = ExchangeId(number);
        let node = world.hosts[provider].node.as_mut().unwrap();
        node.handle_input(
            Timestamp(world.now),
            Input::Request {
                exchange,
                peer,
                frame,
            },
        );
        let mut answer = None;
        while let Some(output) = node.poll_output() {
            if let Output::Respond {
                exchange: answered,
                frame,
            } = output
            {
                assert_eq!(answered, exchange);
                answer = Some(frame);
            }
        }
        match node_proto::wire::decode_frame(&answer.unwrap()).unwrap() {
            node_proto::wire::Response::Refused(refusal) => refusal.code,
            other => panic!("{other:?}"),
        }
    };
    let truncated = vec![1, 0x82, 6, 0x82];
    let oversize = vec![1; node_proto::wire::FRAME_BYTES_MAX + 1];
    // A demand with the tag of an outsider.
    let demand = node_proto::wire::Demand {
        nonce: [0; 16],
        scope: node_proto::Scope::Group,
        service: 0,
        model: None,
        items: 1,
        tokens: 1,
        deadline_ms: 1_000,
        head: None,
        keys: None,
        bytes: None,
    };
    let stranger = node_proto::wire::Request::RequestProposal {
        tag: node_proto::Hash([0; 32]),
        demand,
    };
    assert_eq!(refusal(vec![]), 1);
    assert_eq!(refusal(vec![9, 0]), 2);
    assert_eq!(refusal(vec![1, 0x82, 0x18, 99, 0x80]), 3);
    assert_eq!(refusal(truncated), 1);
    assert_eq!(refusal(oversize), 1);
    assert_eq!(refusal(node_proto::wire::encode_frame(&stranger)), 5);
}

#[test]
fn the_price_of_a_comparison_counts_against_the_limit() {
    let mut world = World::new();
    world.join_provider(private(1), Engine::Honest);
    world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(8_000);
    world.ask(buyer, 1, &TEXTS);
    let free = world.finish(buyer, 1).unwrap();
    world.run(2_000);
    let limit = Millicredits(free.price.0 + 1);
    world.ask_with(
        buyer,
        2,
        &TEXTS,
        Requirements {
            price_max: Some(limit),
            ..Requirements::default()
        },
    );
    let bound = world.finish(buyer, 2).unwrap();
    assert!(bound.price.0 + bound.check_price.0 <= limit.0);
}
