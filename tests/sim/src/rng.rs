//! Randomness of the simulated world: SplitMix64 (G. Steele, D. Lea, C. Flood, *Fast Splittable Pseudorandom Number
//! Generators*, OOPSLA 2014). Every actor has a stream of its own, so what one draws never depends on what others did.

/// One stream.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of one actor for one purpose.
    pub fn new(seed: u64, purpose: &str, actor: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("knowledge/1 simulated randomness");
        hasher
            .update(&seed.to_le_bytes())
            .update(&actor.to_le_bytes())
            .update(purpose.as_bytes());
        let mut state = [0; 8];
        hasher.finalize_xof().fill(&mut state);
        Self(u64::from_le_bytes(state))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True in `ppm` of a million cases.
    pub fn chance_ppm(&mut self, ppm: u32) -> bool {
        self.below(1_000_000) < ppm.into()
    }

    /// An exponentially distributed number with this mean, at least 1: the gap between two arrivals of a Poisson process.
    pub fn gap(&mut self, mean: u64) -> u64 {
        let uniform = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let gap = -libm::log1p(-uniform) * mean as f64;
        (gap as u64).max(1)
    }

    /// Log-uniform to good approximation: an octave above `least` picked evenly, and an even place within it.
    pub fn octaves(&mut self, least: u64, octaves: u64) -> u64 {
        let octave = least << self.below(octaves);
        octave + self.below(octave)
    }
}

/// SplitMix64's finaliser: every input bit changes half of the output bits.
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, actor| Rng::new(seed, "test", actor).next_u64();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn gaps_have_their_mean_and_octaves_their_range() {
        let mut rng = Rng::new(7, "test", 0);
        let sum: u64 = (0..10_000).map(|_| rng.gap(1_000)).sum();
        assert!((9_500_000..10_500_000).contains(&sum), "{sum}");
        assert!((0..1_000).all(|_| (100..800).contains(&rng.octaves(100, 3))));
    }
}
