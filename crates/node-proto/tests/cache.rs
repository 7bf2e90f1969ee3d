//! Answers that were computed once, kept, and sold again.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod world;

use node_proto::cache::CachedAnswer;
use node_proto::wire::{Response, ResultHead, Signed, decode_frame, encode_frame};
use node_proto::{
    Command, Config, Ed25519Signer, Event, Failure, JobId, Outcome, Requirements, ServeStep, Service,
    ServiceRequest, Signer, Verification, WorkOutput, Write,
};
use world::{Engine, MODEL, World, embedding, private};

const QUESTION: &str = "how do plants make their food";

fn look_up(world: &mut World, host: usize, job: u64, texts: &[&str]) {
    let request = ServiceRequest::CacheQuery {
        model: MODEL,
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
    };
    let command = Command::Request {
        job: JobId(job),
        request,
        requirements: Requirements::default(),
    };
    world.command(host, command);
}

fn vectors(outcome: &Outcome) -> Vec<f32> {
    let WorkOutput::Embeddings { values, .. } = &outcome.output else {
        panic!("vectors were asked for");
    };
    values.clone()
}

fn signers(outcome: &Outcome) -> u32 {
    match outcome.verification {
        Verification::Kept { signers, .. } => signers,
        ref other => panic!("{other:?}"),
    }
}

/// Somebody has bought the answer, and the offers of it have been filed.
fn asked_before(world: &mut World, buyer: usize, texts: &[&str]) -> Outcome {
    world.ask(buyer, 1, texts);
    let outcome = world.finish(buyer, 1).unwrap();
    world.run(10_000);
    outcome
}

#[test]
fn the_same_question_again_is_answered_without_an_engine_and_cheaper() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let first = world.join_buyer(private(1));
    let second = world.join_buyer(private(1));
    world.run(3_000);
    let computed = asked_before(&mut world, first, &[QUESTION]);
    let worked = world.hosts[provider].works;

    look_up(&mut world, second, 2, &[QUESTION]);
    let outcome = world.finish(second, 2).unwrap();
    assert_eq!(vectors(&outcome), embedding(QUESTION));
    let signer = world.hosts[provider].id;
    assert!(
        matches!(outcome.verification, Verification::Kept { signer: by, signers: 1, .. } if by == signer),
        "{:?}",
        outcome.verification
    );
    assert_eq!(outcome.receipt.service, Service::CacheQuery);
    assert!(
        outcome.price.0 > 0 && outcome.price < computed.price,
        "{} of {}",
        outcome.price,
        computed.price
    );
    assert_eq!(world.hosts[provider].works, worked, "nothing was computed");
    world.run(1_000);
    assert_eq!(world.balance(second), (-outcome.price.0, 0));
    let earned = computed.price.0 + computed.check_price.0 + outcome.price.0;
    assert_eq!(world.balance(provider), (earned, 0));
}

#[test]
fn who_bought_an_answer_sells_it_when_its_maker_is_gone() {
    let mut world = World::new();
    let maker = world.join_provider(private(1), Engine::Honest);
    let reseller = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(3_000);
    let requirements = Requirements {
        provider: Some(world.hosts[maker].id),
        ..Requirements::default()
    };
    world.ask_with(reseller, 1, &[QUESTION], requirements);
    world.finish(reseller, 1).unwrap();
    world.run(10_000);
    world.crash(maker);
    world.run(1_000);

    look_up(&mut world, buyer, 2, &[QUESTION]);
    let outcome = world.finish(buyer, 2).unwrap();
    assert_eq!(outcome.provider, world.hosts[reseller].id);
    assert_eq!(vectors(&outcome), embedding(QUESTION));
    let by = world.hosts[maker].id;
    assert!(matches!(outcome.verification, Verification::Kept { signer, .. } if signer == by));
}

#[test]
fn two_that_computed_the_same_confirm_it() {
    let mut world = World::new();
    let [one, other] = [0; 2].map(|_| world.join_provider(private(1), Engine::Honest));
    let first = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(3_000);
    for (job, provider) in [(1, one), (2, other)] {
        let requirements = Requirements {
            provider: Some(world.hosts[provider].id),
            ..Requirements::default()
        };
        world.ask_with(first, job, &[QUESTION], requirements);
        world.finish(first, job).unwrap();
    }
    world.run(10_000);
    for gone in [one, other] {
        world.crash(gone);
    }
    world.run(1_000);
    look_up(&mut world, buyer, 3, &[QUESTION]);
    let outcome = world.finish(buyer, 3).unwrap();
    assert_eq!(outcome.provider, world.hosts[first].id);
    assert_eq!(signers(&outcome), 2);
}

#[test]
fn what_nobody_kept_is_said_at_once_and_costs_nothing() {
    let mut world = World::new();
    world.join_provider(private(1), Engine::Honest);
    let first = world.join_buyer(private(1));
    let second = world.join_buyer(private(1));
    world.run(3_000);
    asked_before(&mut world, first, &[QUESTION]);
    let asked = world.now;
    look_up(&mut world, second, 2, &["another question"]);
    assert_eq!(world.finish(second, 2).unwrap_err(), Failure::NotHeld);
    assert!(world.now - asked < 2_000, "{} ms", world.now - asked);
    // Only who has all of it sells any of it.
    look_up(&mut world, second, 3, &[QUESTION, "another question"]);
    assert_eq!(world.finish(second, 3).unwrap_err(), Failure::NotHeld);
    assert_eq!(world.balance(second), (0, 0));
}

#[test]
fn it_stays_in_the_group_it_was_computed_in() {
    let mut world = World::new();
    world.join_provider(private(1), Engine::Honest);
    let member = world.join_buyer(private(1));
    let outsider = world.join_buyer(private(2));
    world.run(3_000);
    asked_before(&mut world, member, &[QUESTION]);
    look_up(&mut world, outsider, 2, &[QUESTION]);
    assert!(matches!(
        world.finish(outsider, 2).unwrap_err(),
        Failure::NoProvider | Failure::NoDiscovery
    ));
}

#[test]
fn it_lasts_over_a_restart() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let first = world.join_buyer(private(1));
    let second = world.join_buyer(private(1));
    world.run(3_000);
    asked_before(&mut world, first, &[QUESTION]);
    world.crash(provider);
    world.run(1_000);
    world.start(provider);
    world.lend(provider);
    world.run(20_000);
    let worked = world.hosts[provider].works;
    look_up(&mut world, second, 2, &[QUESTION]);
    let outcome = world.finish(second, 2).unwrap();
    assert_eq!(outcome.provider, world.hosts[provider].id);
    assert_eq!(vectors(&outcome), embedding(QUESTION));
    assert_eq!(world.hosts[provider].works, worked);

    let stored = world.hosts[provider].stored.clone();
    let is_kept = |key: &[u8]| key.first() == Some(&b'k');
    assert!(stored.keys().any(|key| is_kept(key)));
    let backup = node_proto::backup::export(world.hosts[provider].id, stored);
    let writes = node_proto::backup::import(world.hosts[provider].id, &backup, &Default::default()).unwrap();
    assert!(!writes.is_empty());
    for write in writes {
        assert!(
            matches!(write, Write::Put { key, .. } if !is_kept(&key)),
            "no backup has it"
        );
    }
}

#[test]
fn what_was_bought_from_a_cache_lasts_as_well() {
    let mut world = World::new();
    let maker = world.join_provider(private(1), Engine::Honest);
    let reseller = world.join_provider(private(1), Engine::Honest);
    let first = world.join_buyer(private(1));
    let second = world.join_buyer(private(1));
    world.run(3_000);
    let requirements = Requirements {
        provider: Some(world.hosts[maker].id),
        ..Requirements::default()
    };
    world.ask_with(first, 1, &[QUESTION], requirements);
    world.finish(first, 1).unwrap();
    world.run(10_000);
    look_up(&mut world, reseller, 2, &[QUESTION]);
    world.finish(reseller, 2).unwrap();
    world.run(10_000);
    for host in [maker, reseller] {
        world.crash(host);
    }
    world.run(1_000);
    world.start(reseller);
    world.lend(reseller);
    world.run(20_000);
    look_up(&mut world, second, 4, &[QUESTION]);
    let outcome = world.finish(second, 4).unwrap();
    assert_eq!(outcome.provider, world.hosts[reseller].id);
    assert_eq!(signers(&outcome), 1);
}

#[test]
fn what_has_become_too_old_is_not_sold() {
    let mut world = World::new();
    let config = Config {
        cache_age_ms: 60_000,
        ..Config::default()
    };
    let provider = world.join_with(private(1), config.clone());
    world.hosts[provider].engine = Engine::Honest;
    world.lend(provider);
    let first = world.join_buyer(private(1));
    let second = world.join_with(private(1), config);
    world.run(3_000);
    asked_before(&mut world, first, &[QUESTION]);
    look_up(&mut world, second, 2, &[QUESTION]);
    world.finish(second, 2).unwrap();
    world.run(60_000);
    look_up(&mut world, second, 3, &[QUESTION]);
    assert_eq!(world.finish(second, 3).unwrap_err(), Failure::NotHeld);
}

#[test]
fn who_keeps_nothing_offers_nothing() {
    let mut world = World::new();
    let config = Config {
        cache_rows_max: 0,
        ..Config::default()
    };
    let provider = world.join_with(private(1), config);
    world.hosts[provider].engine = Engine::Honest;
    world.lend(provider);
    let first = world.join_buyer(private(1));
    let second = world.join_buyer(private(1));
    world.run(3_000);
    asked_before(&mut world, first, &[QUESTION]);
    look_up(&mut world, second, 2, &[QUESTION]);
    assert_eq!(world.finish(second, 2).unwrap_err(), Failure::NoProvider);
}

/// Has a host, whose key is all this byte, change what it kept before it sells it, and sign that.
fn forge(world: &mut World, forger: usize, key: u8, change: fn(&mut CachedAnswer, &dyn Signer)) {
    world.forge = Box::new(move |from, frame| {
        let signer = Ed25519Signer::from_secret(&[key; 32]);
        let Ok(Response::Result {
            head,
            output: WorkOutput::Cached { mut answers },
            partial,
        }) = decode_frame(&frame)
        else {
            return frame;
        };
        if from != forger {
            return frame;
        }
        answers.iter_mut().for_each(|answer| change(answer, &signer));
        let output = WorkOutput::Cached { answers };
        let head: ResultHead = head.open(&signer.id()).unwrap();
        let head = ResultHead {
            output: output.hash(),
            ..head
        };
        encode_frame(&Response::Result {
            head: Signed::seal(&signer, &head),
            output,
            partial,
        })
    });
}

#[test]
fn a_forger_is_not_paid_and_another_is_asked() {
    let changes: [fn(&mut CachedAnswer, &dyn Signer); 4] = [
        // Another's word with another vector.
        |answer, _| answer.rows[0].values[0] += 0.5,
        // Its own word put in the place of the maker's, on a head that says nothing of rows.
        |answer, signer| {
            let row = &mut answer.rows[0];
            row.signer = signer.id();
            row.head = Signed::seal(
                signer,
                &ResultHead {
                    version: 1,
                    agreement: node_proto::AgreementId([1; 32]),
                    output: node_proto::Hash([2; 32]),
                    took_ms: 1,
                    origin: None,
                },
            );
        },
        // The same word twice, to look confirmed.
        |answer, _| {
            let row = answer.rows[0].clone();
            answer.rows.push(row);
        },
        |answer, _| answer.rows.clear(),
    ];
    for change in changes {
        let mut world = World::new();
        let maker = world.join_provider(private(1), Engine::Honest);
        let forger = world.join_provider(private(1), Engine::Honest);
        let buyer = world.join_buyer(private(1));
        world.run(3_000);
        let requirements = Requirements {
            provider: Some(world.hosts[maker].id),
            ..Requirements::default()
        };
        world.ask_with(forger, 1, &[QUESTION], requirements);
        let bought = world.finish(forger, 1).unwrap();
        world.run(10_000);
        // Hosts' keys are their numbers, from one on.
        forge(&mut world, forger, 2, change);
        for job in 2..6 {
            look_up(&mut world, buyer, job, &[QUESTION]);
            let outcome = world.finish(buyer, job).unwrap();
            assert_eq!(outcome.provider, world.hosts[maker].id);
            assert_eq!(vectors(&outcome), embedding(QUESTION));
            world.run(1_000);
        }
        let delivered = |event: &Event| {
            let Event::Served { step, .. } = event else {
                return false;
            };
            matches!(step, ServeStep::Delivered { .. })
        };
        assert!(world.hosts[forger].events.iter().any(delivered), "it was asked");
        assert_eq!(
            world.balance(forger).0,
            -bought.price.0 - bought.check_price.0,
            "it earned nothing"
        );
    }
}
