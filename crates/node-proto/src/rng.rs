//! Randomness from the seed that the shell gives: BLAKE3's extendable output as a stream.
//!
//! The stream depends on the seed and the node, so a trace can be repeated, and nobody who lacks the seed can predict
//! where a probe is hidden.

use crate::ids::NodeId;

pub(crate) struct Rng(blake3::OutputReader);

impl Rng {
    pub(crate) fn new(seed: u64, id: &NodeId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("knowledge/1 node randomness");
        hasher.update(&seed.to_le_bytes()).update(id.as_bytes());
        Self(hasher.finalize_xof())
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A number below `bound`; 0 when `bound` is 0. The bias of at most `bound / 2^64` is below anything measured here.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// True in `ppm` of a million cases.
    pub(crate) fn chance_ppm(&mut self, ppm: u32) -> bool {
        self.below(1_000_000) < ppm as usize
    }

    /// `count` distinct items (or all of them) in random order.
    pub(crate) fn sample<T>(&mut self, mut items: Vec<T>, count: usize) -> Vec<T> {
        let count = count.min(items.len());
        for place in 0..count {
            let other = place + self.below(items.len() - place);
            items.swap(place, other);
        }
        items.truncate(count);
        items
    }
}
