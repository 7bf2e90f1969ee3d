//! Fast kernels for the CPU, on slices: what the steps of a transformer spend their time in.
//!
//! [`ops`](crate::ops) is the reference and computes everything; here is the little that has to be fast, and a
//! [`Session`](crate::session::Session) uses it where a model's graph allows. Products of matrices go through panels that
//! are [packed](gemm::Packed) once, in floats or with [weights of one byte](bytes); [attention] never leaves a head's
//! scores longer than that head takes; [maths] is written so that compilers make vectors of it.
//!
//! ```text
//!  A, four rows at a time     B, packed: panels of eight columns, depth by depth
//!  ┌──────────────┐           ┌────────┬────────┬──
//!  │ 4 × depth    │     ×     │ depth  │        │        =  4 × 8 sums that stay in registers
//!  └──────────────┘           └────────┴────────┴──
//! ```
//! A tile of 4 × 8 is what fits: V8 leaves 15 registers of 128 bits to a loop, and with twelve of them for sums it moved
//! some to memory and back (22 against 31 GFLOP/s for 120 × 384 × 768 on one core of an EPYC 7003; 42 with fused
//! multiply-add, of 54 that the core could do at 3.4 GHz).
//!
//! Everything that depends on the machine's instructions is in [`lanes`]. Nothing here knows tensors or models, and
//! callers bound all sizes.

pub(crate) mod attention;
pub(crate) mod bytes;
pub(crate) mod gemm;
mod lanes;
pub(crate) mod maths;
