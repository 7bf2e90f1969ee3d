//! Eight numbers at a time, as the machine does it best.
//!
//! Twin modules under one signature. `relaxed` needs wasm's relaxed SIMD, `simd128` its fixed one; `portable` is for
//! every other target, and for the parts that compilers turn into good vectors by themselves.

#[cfg(any(not(target_arch = "wasm32"), not(target_feature = "simd128"), test))]
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(super) use portable::{Floats, Integers, Pairs};
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) use simd128::{Floats, Integers, Pairs};

/// Numbers in one vector of this module.
pub(super) const LANES: usize = 8;
