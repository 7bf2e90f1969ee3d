//! What holds whatever comes: nothing panics, and money is neither made nor lost.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use node_proto::wire::{Blocks, Request, Response, Signed, WireError, decode_frame, encode_frame};
use node_proto::{ExchangeId, Hash, Input, Registry, RegistryLimits, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use world::{Engine, Fate, World, private};

fn signed() -> impl Strategy<Value = Signed> {
    (vec(any::<u8>(), 0..200), any::<[u8; 32]>()).prop_map(|(body, half)| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&half);
        Signed { body, signature }
    })
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        signed().prop_map(Request::Register),
        signed().prop_map(Request::Reject),
        any::<[u8; 32]>().prop_map(|key| Request::Unregister(Hash(key))),
        (any::<[u8; 32]>(), any::<u32>()).prop_map(|(key, count)| Request::Sample {
            key: Hash(key),
            count
        }),
        (any::<[u8; 32]>(), vec(".{0,40}", 0..20)).prop_map(|(id, texts)| Request::Execute {
            agreement: node_proto::AgreementId(id),
            texts
        }),
        (signed(), signed()).prop_map(|(agreement, block)| Request::Settle {
            countersignature: agreement.signature,
            agreement,
            block,
            partial: None,
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn messages_come_back_as_they_went(request in request(), blocks in vec(signed(), 0..32)) {
        let frame = encode_frame(&request);
        prop_assert_eq!(decode_frame::<Request>(&frame), Ok(request));
        let response = Response::Blocks(Blocks { head: None, blocks, receipts: None });
        prop_assert_eq!(decode_frame::<Response>(&encode_frame(&response)), Ok(response));
    }

    #[test]
    fn a_frame_that_was_cut_or_changed_is_an_error_or_another_message(
        request in request(),
        cut in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let frame = encode_frame(&request);
        let shorter = &frame[..cut.index(frame.len())];
        prop_assert!(decode_frame::<Request>(shorter).is_err());
        let mut changed = frame.clone();
        let place = place.index(frame.len());
        changed[place] = byte;
        if let Ok(other) = decode_frame::<Request>(&changed) {
            prop_assert!(changed == frame || other != request || encode_frame(&other) != changed);
        }
        let longer = [frame.as_slice(), &[0]].concat();
        prop_assert!(decode_frame::<Request>(&longer).is_err());
    }

    #[test]
    fn a_discovery_point_answers_anything(mut frame in vec(any::<u8>(), 0..300), version in any::<bool>()) {
        if version && !frame.is_empty() {
            frame[0] = 1;
        }
        let mut registry = Registry::new(RegistryLimits::default(), 1);
        let answer = registry.handle_frame(Timestamp(1), world::World::new().relay, &frame);
        prop_assert!(decode_frame::<Response>(&answer).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_node_answers_anything(frames in vec((any::<bool>(), vec(any::<u8>(), 0..200), request()), 1..10)) {
        let mut world = World::new();
        let host = world.join_provider(private(1), Engine::Honest);
        let peer = world.relay;
        for (number, (random, bytes, request)) in frames.into_iter().enumerate() {
            let frame = if random { [vec![1], bytes].concat() } else { encode_frame(&request) };
            let exchange = ExchangeId(1_000_000 + number as u64);
            world.input(host, Input::Request { exchange, peer, frame: frame.clone() });
            world.input(host, Input::Response { exchange: ExchangeId(number as u64), result: Ok(frame) });
        }
        world.run(1_000);
        prop_assert_eq!(world.balance(host), (0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 8, ..ProptestConfig::default() })]

    #[test]
    fn balances_are_opposite_whatever_is_lost_or_doubled(
        fates in vec(prop_oneof![6 => Just(Fate::Arrives), 2 => Just(Fate::Lost), 1 => Just(Fate::Twice)], 40),
        crash in 0_usize..4,
    ) {
        let mut world = World::new();
        let first = world.join_provider(private(1), Engine::Honest);
        let second = world.join_provider(private(1), Engine::Honest);
        let buyer = world.join_buyer(private(1));
        world.run(7_000);
        let mut turn = fates.into_iter();
        world.fate = Box::new(move |_| turn.next().unwrap_or(Fate::Arrives));
        for job in 1..=3 {
            world.ask(buyer, job, &["one text", "and another"]);
            if job as usize == crash {
                world.run(150);
                world.crash(first);
                world.start(first);
                world.lend(first);
            }
            let _ = world.finish(buyer, job);
        }
        if crash == 0 {
            world.crash(buyer);
            world.start(buyer);
        }
        world.run(700_000);
        let balances = [first, second, buyer].map(|host| world.balance(host));
        let settled: i64 = balances.iter().map(|(settled, _)| settled).sum();
        let pending: i64 = balances.iter().map(|(_, pending)| pending).sum();
        prop_assert_eq!((settled, pending), (0, 0), "{:?}", balances);
    }
}

#[test]
fn the_same_inputs_give_the_same_trace() {
    let trace = || {
        let mut world = World::new();
        world.join_provider(private(1), Engine::Lies);
        world.join_provider(private(1), Engine::Honest);
        let buyer = world.join_buyer(private(1));
        world.run(7_000);
        world.ask(buyer, 1, &["one text", "and another"]);
        let _ = world.finish(buyer, 1);
        world
            .hosts
            .iter()
            .map(|host| format!("{:?} {:?}", host.events, host.stored))
            .collect::<Vec<_>>()
    };
    assert_eq!(trace(), trace());
}

#[test]
fn lengths_are_checked_before_anything_is_reserved() {
    // An array of 2^32 texts in ten bytes.
    let frame = [1, 0x82, 6, 0x82, 0x58, 32]
        .into_iter()
        .chain([0; 32])
        .chain([0x9a, 255, 255, 255, 255]);
    let error = decode_frame::<Request>(&frame.collect::<Vec<u8>>()).unwrap_err();
    assert!(
        matches!(&error, WireError::Malformed(what) if what.contains("too long")),
        "{error:?}"
    );
}
