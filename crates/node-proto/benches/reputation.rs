//! `cargo bench -p node-proto --bench reputation`: how long an update takes with 10,000 known peers.
//!
//! An update is everything that one trade changes: four observations of a peer, a payment of this node's and one that a
//! peer signed, both of which redirect walks, and the peer's new score with its interval. The bound is one millisecond at
//! the 99th of a hundred. What is measured is far longer than the clock's resolution, so a loop and a clock are enough.
//! `cargo xtask bench core` reads the last line.
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod report;

use std::time::{Duration, Instant};

use node_proto::reputation::{Aspect, Reputation};
use node_proto::{Millicredits, NodeId, Timestamp};
use report::Report;

const PEERS: u32 = 10_000;
/// Payments between others that this node has heard of.
const PAYMENTS: u32 = 50_000;
const RUNS: u64 = 5_000;
const BOUND: Duration = Duration::from_millis(1);
const ASPECTS: [Aspect; 4] = [
    Aspect::Reliability,
    Aspect::Availability,
    Aspect::ResponseTime,
    Aspect::Quality,
];

fn main() {
    let me = id(u32::MAX);
    let mut reputation = Reputation::new(me, 30 * 86_400_000, PEERS as usize);
    let mut draw = numbers();
    for peer in 0..PEERS {
        for aspect in ASPECTS {
            let _ = reputation.observe(Timestamp(1), &id(peer), aspect, true, 1.0);
        }
        reputation.paid(&me, &id(peer), Millicredits(1 + i64::from(draw() % 500)));
    }
    for _ in 0..PAYMENTS {
        let (from, to, amount) = (draw() % PEERS, draw() % PEERS, draw() % 500);
        reputation.paid(&id(from), &id(to), Millicredits(i64::from(amount)));
    }
    let mut times: Vec<Duration> = (0..report::runs(RUNS))
        .map(|run| {
            let (peer, other) = (id(draw() % PEERS), id(draw() % PEERS));
            let now = Timestamp(1_000 + run);
            let started = Instant::now();
            for aspect in ASPECTS {
                let _ = reputation.observe(now, &peer, aspect, true, 1.0);
            }
            reputation.paid(&me, &peer, Millicredits(250));
            reputation.paid(&peer, &other, Millicredits(250));
            let view = reputation.view(now, &peer);
            let took = started.elapsed();
            assert!(view.lower > 0.0);
            took
        })
        .collect();
    Report {
        what: format!("update at {PEERS} known peers"),
        percent: 99,
        bound: BOUND,
    }
    .print(&mut times);
}

fn id(number: u32) -> NodeId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    NodeId(id)
}

/// Marsaglia's xorshift32.
fn numbers() -> impl FnMut() -> u32 {
    let mut state = 0x9e37_79b9_u32;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    }
}
