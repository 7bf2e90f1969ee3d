//! What holds whatever comes: nothing panics, and money is neither made nor lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod draw;
mod world;

use draw::{Draw, holds};
use node_proto::wire::{Blocks, Request, Response, Signed, WireError, decode_frame, encode_frame};
use node_proto::{ExchangeId, Hash, Input, Module, Registry, RegistryLimits, Timestamp, WorkInput};
use world::{Engine, Fate, World, private};

fn signed(draw: &mut Draw) -> Signed {
    let length = draw.below(200);
    Signed {
        body: draw.bytes(length),
        signature: draw.array(),
    }
}

fn request(draw: &mut Draw) -> Request {
    match draw.below(6) {
        0 => Request::Register(signed(draw)),
        1 => Request::Reject(signed(draw)),
        2 => Request::Unregister(Hash(draw.array())),
        3 => Request::Sample {
            key: Hash(draw.array()),
            count: draw.u32(),
        },
        4 => {
            let count = draw.below(20);
            Request::Execute {
                agreement: node_proto::AgreementId(draw.array()),
                input: match draw.one_in(2) {
                    true => WorkInput::Texts {
                        texts: (0..count).map(|_| draw.text(40)).collect(),
                    },
                    false => WorkInput::Runs {
                        module: Module {
                            blob: Hash(draw.array()),
                            bytes: draw.u32(),
                        },
                        fuel: draw.u32().into(),
                        inputs: (0..count).map(|_| draw.text(40).into_bytes()).collect(),
                    },
                },
            }
        }
        _ => Request::Settle {
            agreement: signed(draw),
            countersignature: draw.array(),
            block: signed(draw),
            partial: draw.one_in(2).then(|| signed(draw)),
        },
    }
}

#[test]
fn messages_come_back_as_they_went() {
    holds(256, |draw| {
        let request = request(draw);
        let frame = encode_frame(&request);
        assert_eq!(decode_frame::<Request>(&frame), Ok(request));
        let count = draw.below(32);
        let response = Response::Blocks(Blocks {
            head: None,
            blocks: (0..count).map(|_| signed(draw)).collect(),
            receipts: None,
        });
        assert_eq!(decode_frame::<Response>(&encode_frame(&response)), Ok(response));
    });
}

#[test]
fn a_frame_that_was_cut_or_changed_is_an_error_or_another_message() {
    holds(256, |draw| {
        let request = request(draw);
        let frame = encode_frame(&request);
        let shorter = &frame[..draw.below(frame.len())];
        assert!(decode_frame::<Request>(shorter).is_err());
        let mut changed = frame.clone();
        let place = draw.below(frame.len());
        changed[place] = draw.byte();
        if let Ok(other) = decode_frame::<Request>(&changed) {
            assert!(changed == frame || other != request || encode_frame(&other) != changed);
        }
        let longer = [frame.as_slice(), &[0]].concat();
        assert!(decode_frame::<Request>(&longer).is_err());
    });
}

#[test]
fn a_discovery_point_answers_anything() {
    holds(256, |draw| {
        let length = draw.below(300);
        let mut frame = draw.bytes(length);
        if let Some(version) = frame.first_mut().filter(|_| draw.one_in(2)) {
            *version = 1;
        }
        let mut registry = Registry::new(RegistryLimits::default(), 1);
        let answer = registry.handle_frame(Timestamp(1), world::World::new().relay, &frame);
        assert!(decode_frame::<Response>(&answer).is_ok());
    });
}

#[test]
fn a_node_answers_anything() {
    holds(48, |draw| {
        let mut world = World::new();
        let host = world.join_provider(private(1), Engine::Honest);
        let peer = world.relay;
        for number in 0..1 + draw.below(9) as u64 {
            let frame = match draw.one_in(2) {
                true => [vec![1], draw.bytes(100)].concat(),
                false => encode_frame(&request(draw)),
            };
            let exchange = ExchangeId(1_000_000 + number);
            world.input(
                host,
                Input::Request {
                    exchange,
                    peer,
                    frame: frame.clone(),
                },
            );
            world.input(
                host,
                Input::Response {
                    exchange: ExchangeId(number),
                    result: Ok(frame),
                },
            );
        }
        world.run(1_000);
        assert_eq!(world.balance(host), (0, 0));
    });
}

#[test]
fn balances_are_opposite_whatever_is_lost_or_doubled() {
    holds(8, |draw| {
        let fates: Vec<Fate> = (0..40)
            .map(|_| match draw.below(9) {
                0..=5 => Fate::Arrives,
                6 | 7 => Fate::Lost,
                _ => Fate::Twice,
            })
            .collect();
        let crash = draw.below(4);
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
        assert_eq!((settled, pending), (0, 0), "{balances:?}");
    });
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
        .chain([0x82, 0, 0x81, 0x9a, 255, 255, 255, 255]);
    let error = decode_frame::<Request>(&frame.collect::<Vec<u8>>()).unwrap_err();
    assert!(
        matches!(&error, WireError::Malformed(what) if what.contains("too long")),
        "{error:?}"
    );
}
