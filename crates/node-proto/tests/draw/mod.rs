//! Where properties draw their values from: a string of bytes, so that proptest can make it smaller natively, a plain
//! generator can make it where proptest does not run (WebAssembly), and a fuzzer can choose it.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

use std::collections::VecDeque;

/// Longest string of bytes that a property is run with; what it draws beyond is made from these.
const BYTES_MAX: usize = 512;

/// Values out of bytes. When they are used up it goes on with numbers that follow from them, so a draw never ends.
pub struct Draw {
    bytes: VecDeque<u8>,
    state: u64,
}

impl Draw {
    pub fn new(bytes: &[u8]) -> Self {
        let state = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self {
            bytes: bytes.iter().copied().collect(),
            state,
        }
    }

    /// Whether only made-up values are left.
    pub fn is_used_up(&self) -> bool {
        self.bytes.is_empty()
    }

    /// SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014), apart from the bytes.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn byte(&mut self) -> u8 {
        match self.bytes.pop_front() {
            Some(byte) => byte,
            None => self.number() as u8,
        }
    }

    /// At least 0 and less than `bound`, which is at most 65,536.
    pub fn below(&mut self, bound: usize) -> usize {
        let high = if bound > 256 {
            usize::from(self.byte()) << 8
        } else {
            0
        };
        (high | usize::from(self.byte())) % bound.max(1)
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// Up to `count` characters, some of which take several bytes.
    pub fn text(&mut self, count: usize) -> String {
        let length = self.below(count + 1);
        (0..length)
            .map(|_| *self.pick(&['a', 'Z', '0', ' ', '\n', 'ß', '→', '𝄞']))
            .collect()
    }
}

/// Holds `property` to so many draws, the same ones in every run.
#[cfg(not(target_arch = "wasm32"))]
pub fn holds(cases: u32, property: fn(&mut Draw)) {
    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, any};
    use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

    let config = ProptestConfig {
        cases,
        max_shrink_iters: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&vec(any::<u8>(), 0..BYTES_MAX), |bytes| {
        property(&mut Draw::new(&bytes));
        Ok(())
    });
    outcome.unwrap();
}

/// The same without making a failure smaller: proptest needs an operating system.
#[cfg(target_arch = "wasm32")]
pub fn holds(cases: u32, property: fn(&mut Draw)) {
    let mut source = Draw::new(b"a fixed beginning");
    for _ in 0..cases {
        let count = source.number() as usize % BYTES_MAX;
        let bytes: Vec<u8> = (0..count).map(|_| source.number() as u8).collect();
        property(&mut Draw::new(&bytes));
    }
}
