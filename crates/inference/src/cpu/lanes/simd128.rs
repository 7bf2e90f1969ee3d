//! Two vectors of wasm.
//!
//! Relaxed SIMD may fuse a product and its sum: more exact than ONNX asks for, and one instruction instead of two.

use core::arch::wasm32::{
    f32x4, f32x4_extract_lane, f32x4_splat, i16x8, i32x4_add, i32x4_dot_i16x8, i32x4_extract_lane,
    i32x4_splat, v128,
};

use super::LANES;

#[cfg(target_feature = "relaxed-simd")]
use core::arch::wasm32::f32x4_relaxed_madd as multiply_add;

#[cfg(not(target_feature = "relaxed-simd"))]
#[inline(always)]
fn multiply_add(a: v128, b: v128, c: v128) -> v128 {
    core::arch::wasm32::f32x4_add(core::arch::wasm32::f32x4_mul(a, b), c)
}

/// Eight floats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floats(v128, v128);

impl Floats {
    #[inline(always)]
    pub(crate) fn load(values: &[f32; LANES]) -> Self {
        let [a, b, c, d, e, f, g, h] = *values;
        Self(f32x4(a, b, c, d), f32x4(e, f, g, h))
    }

    #[inline(always)]
    pub(crate) fn store(self) -> [f32; LANES] {
        let four = |x| {
            [
                f32x4_extract_lane::<0>(x),
                f32x4_extract_lane::<1>(x),
                f32x4_extract_lane::<2>(x),
                f32x4_extract_lane::<3>(x),
            ]
        };
        let ([a, b, c, d], [e, f, g, h]) = (four(self.0), four(self.1));
        [a, b, c, d, e, f, g, h]
    }

    /// `self + x · row`.
    #[inline(always)]
    pub(crate) fn add_product(self, x: f32, row: Self) -> Self {
        let x = f32x4_splat(x);
        Self(multiply_add(x, row.0, self.0), multiply_add(x, row.1, self.1))
    }
}

/// Eight pairs of small integers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairs(v128, v128);

impl Pairs {
    #[inline(always)]
    pub(crate) fn load(values: &[i8; 2 * LANES]) -> Self {
        let eight = |at: usize| {
            let [a, b, c, d, e, f, g, h] = std::array::from_fn(|lane| i16::from(values[at + lane]));
            i16x8(a, b, c, d, e, f, g, h)
        };
        Self(eight(0), eight(LANES))
    }
}

/// Eight sums of integers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Integers(v128, v128);

impl Integers {
    /// All sums 0.
    pub(crate) const ZERO: Self = Self(
        core::arch::wasm32::i32x4(0, 0, 0, 0),
        core::arch::wasm32::i32x4(0, 0, 0, 0),
    );

    #[inline(always)]
    pub(crate) fn store(self) -> [i32; LANES] {
        let four = |x| {
            [
                i32x4_extract_lane::<0>(x),
                i32x4_extract_lane::<1>(x),
                i32x4_extract_lane::<2>(x),
                i32x4_extract_lane::<3>(x),
            ]
        };
        let ([a, b, c, d], [e, f, g, h]) = (four(self.0), four(self.1));
        [a, b, c, d, e, f, g, h]
    }

    /// Adds to each sum the product of `pair` with its pair.
    #[inline(always)]
    pub(crate) fn add_product(self, pair: [i16; 2], row: Pairs) -> Self {
        let [low, high] = pair.map(|x| u32::from(x.cast_unsigned()));
        let pair = i32x4_splat((low | high << 16).cast_signed());
        let sum = |sum, row| i32x4_add(i32x4_dot_i16x8(pair, row), sum);
        Self(sum(self.0, row.0), sum(self.1, row.1))
    }
}
