//! Plain arrays.

use super::LANES;

/// Eight floats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floats([f32; LANES]);

impl Floats {
    #[inline(always)]
    pub(crate) fn load(values: &[f32; LANES]) -> Self {
        Self(*values)
    }

    #[inline(always)]
    pub(crate) fn store(self) -> [f32; LANES] {
        self.0
    }

    /// `self + x · row`.
    #[inline(always)]
    pub(crate) fn add_product(mut self, x: f32, row: Self) -> Self {
        for (sum, value) in self.0.iter_mut().zip(row.0) {
            *sum += x * value;
        }
        self
    }
}

/// Eight pairs of small integers: the first of each, and the second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairs([i16; LANES], [i16; LANES]);

impl Pairs {
    #[inline(always)]
    pub(crate) fn load(values: &[i8; 2 * LANES]) -> Self {
        let every_other = |first: usize| std::array::from_fn(|lane| i16::from(values[2 * lane + first]));
        Self(every_other(0), every_other(1))
    }
}

/// Eight sums of integers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Integers([i32; LANES]);

impl Integers {
    pub(crate) const ZERO: Self = Self([0; LANES]);

    #[inline(always)]
    pub(crate) fn store(self) -> [i32; LANES] {
        self.0
    }

    /// Adds to each sum the product of `pair` with its pair.
    #[inline(always)]
    pub(crate) fn add_product(mut self, pair: [i16; 2], row: Pairs) -> Self {
        let [x, y] = pair.map(i32::from);
        for (sum, a) in self.0.iter_mut().zip(row.0) {
            *sum += x * i32::from(a);
        }
        for (sum, b) in self.0.iter_mut().zip(row.1) {
            *sum += y * i32::from(b);
        }
        self
    }
}
