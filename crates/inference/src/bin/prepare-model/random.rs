//! Numbers that look random and are the same wherever a model is made.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform in 0..1, in steps that an `f32` holds exactly.
    pub(crate) fn unit(&mut self) -> f64 {
        self.bits() as f64 / f64::from(1_u32 << 24)
    }

    /// Uniform in -1..1.
    pub(crate) fn signed(&mut self) -> f32 {
        self.bits() as f32 / (1_u32 << 23) as f32 - 1.0
    }

    /// 24 bits.
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        mixed >> 40
    }
}
