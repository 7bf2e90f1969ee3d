//! Credit among the members of a private group: as the owner sets, and receipted whatever it is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod world;

use node_proto::{Command, Failure, Line, Millicredits};
use world::{Engine, World, private};

const TEXTS: [&str; 2] = ["one text", "and another"];

#[test]
fn members_trade_without_limit_until_the_owner_sets_a_line() {
    let mut world = World::new();
    let provider = world.join_provider(private(1), Engine::Honest);
    let buyer = world.join_buyer(private(1));
    world.run(3_000);
    world.ask(buyer, 1, &TEXTS);
    let price = world.finish(buyer, 1).unwrap().price.0;
    world.run(1_000);
    let member = Some(world.hosts[buyer].id);
    let line = |most| Line::Limit {
        most: Millicredits(most),
    };
    world.command(
        provider,
        Command::CreditLine {
            member,
            line: line(price),
        },
    );
    world.ask(buyer, 2, &TEXTS);
    let failure = world.finish(buyer, 2).unwrap_err();
    assert!(
        matches!(failure, Failure::CreditLimit { available: 0, required } if required > 0),
        "{failure:?}"
    );
    let seen = world.node(provider).snapshot(node_proto::Timestamp(world.now));
    let peer = seen.peers.iter().find(|peer| Some(peer.id) == member).unwrap();
    let credit = peer.credit.unwrap();
    assert_eq!((credit.owed.0, credit.line), (price, line(price)));
    assert_eq!((credit.limit, seen.group.line), (Some(Millicredits(price)), None));
    // It holds after a restart, and for this member alone.
    world.run(1_000);
    world.crash(provider);
    world.start(provider);
    world.lend(provider);
    world.run(8_000);
    world.ask(buyer, 3, &TEXTS);
    assert!(matches!(world.finish(buyer, 3), Err(Failure::CreditLimit { .. })));
    let other = world.join_buyer(private(1));
    world.run(8_000);
    world.ask(other, 1, &TEXTS);
    assert!(world.finish(other, 1).unwrap().receipt.fully_signed);
    world.command(
        provider,
        Command::CreditLine {
            member,
            line: Line::Default,
        },
    );
    world.ask(buyer, 4, &TEXTS);
    assert!(world.finish(buyer, 4).unwrap().receipt.fully_signed);
}
