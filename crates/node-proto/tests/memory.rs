//! How much memory a node's knowledge of others takes, counted by the allocator itself.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one forwards to the system's and counts"
)]

mod town;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use town::{NOW, Town};

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
