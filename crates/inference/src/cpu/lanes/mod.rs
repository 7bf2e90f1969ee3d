//! Eight numbers at a time, as the machine does it best.
//!
//! Twin modules under one signature: `simd128` for wasm's vectors, fixed or relaxed, and `portable` for everything else.

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(super) use portable::{Floats, Integers, Pairs};
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) use simd128::{Floats, Integers, Pairs};

/// Numbers in one vector of this module.
pub(super) const LANES: usize = 8;
