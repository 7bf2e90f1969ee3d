//! How much memory a node's knowledge of others takes, counted by the allocator itself.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one forwards to the system's and counts"
)]

mod town;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use node_proto::group::Purpose;
use node_proto::ledger::{Block, Check, FraudProof};
use node_proto::wire::{Gossip, OBJECT_VERSION, Request, Rumour, Signed, encode_frame};
use node_proto::{
    AgreementId, Config, ExchangeId, Factors, Group, Hash, Input, Millicredits, Node, NodeId, Output, Path,
    Scope, Signer, Verification,
};
use town::{NOW, Town, signer};

static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is forwarded unchanged to the system's allocator, which upholds the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_state_for_a_thousand_peers_is_less_than_four_mebibytes() {
    let town = Town::new(1_000);
    let before = HELD.load(Ordering::Relaxed);
    let node = town.known_by_one();
    let held = HELD.load(Ordering::Relaxed) - before;
    assert_eq!(node.snapshot(NOW).offers.len(), 1_000);
    println!("1,000 peers, each a member with an offer: {held} bytes");
    assert!(held < 4 * 1024 * 1024, "{held} bytes");
    assert!(
        held > 200_000,
        "{held} bytes cannot hold a thousand peers: nothing was counted"
    );
}

/// The widest block that is usual: the receiver's half of a receipt that was compared.
fn half(author: u32, sequence: u64, agreement: u8) -> Signed {
    let signer = signer(author);
    let block = Block {
        version: OBJECT_VERSION,
        author: signer.id(),
        epoch: 70_000,
        sequence,
        previous: Hash([1; 32]),
        counterparty: NodeId([9; 32]),
        agreement: AgreementId([agreement; 32]),
        delta: Millicredits(-100_000),
        service: 0,
        model: Some(town::MODEL),
        units: 100_000,
        factors: Factors {
            base_cost: 100_000,
            quality_multiplier: 1_000_000,
            market_demand: 1_000_000,
            reputation_factor: 1_000_000,
        },
        scope: Scope::Anyone,
        mark: Hash([1; 32]),
        check: Check::from(&Verification::TwoAgree {
            second: NodeId([3; 32]),
            compared: 16,
            probes: 2,
            cosine_min: 0.999,
        }),
        link: Some(Hash([2; 32])),
        at_ms: NOW.0,
    };
    Signed::seal(&signer, &block)
}

/// Tells a node of something as one of its neighbours.
fn tell(node: &mut Node, proofs: Vec<FraudProof>, rumours: Vec<Rumour>) {
    let (me, peer) = (node.id(), signer(1).id());
    let tag = Hash(Group::open().tag(Purpose::Trade, &peer, &me));
    let frame = encode_frame(&Request::Gossip(Gossip { tag, proofs, rumours }));
    let exchange = ExchangeId(1);
    node.handle_input(
        NOW,
        Input::Request {
            exchange,
            peer,
            frame,
        },
    );
    while let Some(output) = node.poll_output() {
        if let Output::Persist { seq, .. } = output {
            node.handle_input(NOW, Input::Persisted { seq });
        }
    }
}

#[test]
fn a_full_witness_and_all_convictions_fit_into_the_same_four_mebibytes() {
    let town = Town::new(1_000);
    let config = Config::default();
    let (blocks, convictions) = (config.witness_blocks_max, config.convictions_max);
    let rumours: Vec<Rumour> = (0..blocks as u64)
        .map(|number| Rumour {
            block: half(300 + (number % 700) as u32, 1 + number / 700, 1),
            hops: 5,
        })
        .collect();
    let proofs: Vec<FraudProof> = (1..=2 * convictions as u32)
        .map(|author| FraudProof {
            author: signer(author).id(),
            first: half(author, 9, 1),
            second: half(author, 9, 2),
        })
        .collect();
    let before = HELD.load(Ordering::Relaxed);
    // What is told fills all of the room but one place: what is checked is kept in the same way.
    let mut node = town.known_with(Config {
        witness_told_max: blocks - 1,
        gossip_burst: 65_536,
        ..config
    });
    let (peer, path) = (signer(1).id(), Path::Direct);
    node.handle_input(NOW, Input::Connected { peer, path });
    for part in rumours.chunks(64) {
        tell(&mut node, Vec::new(), part.to_vec());
    }
    for part in proofs[1..].chunks(4) {
        tell(&mut node, part.to_vec(), Vec::new());
    }
    let held = HELD.load(Ordering::Relaxed) - before;
    let convicted = proofs
        .iter()
        .filter(|proof| node.reputation(&proof.author).upper == 0.0);
    assert_eq!(convicted.count(), convictions);
    println!("1,000 peers, {blocks} blocks and {convictions} convictions: {held} bytes");
    assert!(held < 4 * 1024 * 1024, "{held} bytes");
}
