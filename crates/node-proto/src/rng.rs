//! Randomness from the seed that the shell gives: BLAKE3's extendable output as a stream.
//!
//! The stream depends on the seed and the node, so a trace can be repeated, and nobody who lacks the seed can predict
//! where a probe is hidden.

use crate::ids::NodeId;

/// What BLAKE3 computes at once; a part of it costs as much.
const BLOCK_BYTES: usize = 64;

pub(crate) struct Rng {
    stream: blake3::OutputReader,
    block: [u8; BLOCK_BYTES],
    /// So much of the block has been handed out.
    used: usize,
}

impl Rng {
    pub(crate) fn new(seed: u64, id: &NodeId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("knowledge/1 node randomness");
        hasher.update(&seed.to_le_bytes()).update(id.as_bytes());
        Self {
            stream: hasher.finalize_xof(),
            block: [0; BLOCK_BYTES],
            used: BLOCK_BYTES,
        }
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            if self.used == BLOCK_BYTES {
                self.stream.fill(&mut self.block);
                self.used = 0;
            }
            let rest = &self.block[self.used..];
            let count = rest.len().min(bytes.len());
            let (now, later) = bytes.split_at_mut(count);
            now.copy_from_slice(&rest[..count]);
            self.used += count;
            bytes = later;
        }
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

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_stream_does_not_depend_on_how_much_is_taken_at_once() {
        let id = NodeId([1; 32]);
        let (mut large, mut small) = (Rng::new(7, &id), Rng::new(7, &id));
        let large = large.bytes::<200>();
        let small: Vec<u8> = (0..40).flat_map(|_| small.bytes::<5>()).collect();
        assert_eq!(large.as_slice(), small);
    }
}
