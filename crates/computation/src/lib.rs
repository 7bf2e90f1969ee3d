//! Strangers' WebAssembly, computed so that every machine gets the same bytes for the same fuel.
//!
//! A computation is a module, named by its CID, and an input; its outcome is an output, or a reason why there is none, and the
//! fuel that it took. All of it is the same on every machine: replicas are compared exactly, and what is paid is what was used.
//!
//! # The calling convention
//!
//! A module imports nothing and exports
//!
//! | export | meaning |
//! | --- | --- |
//! | `memory` | its memory, of 32 bits |
//! | `alloc(length: i32) -> i32` | a place for an input of so many bytes |
//! | `run(place: i32, length: i32) -> i64` | computes the input that lies there. The result says where the output is: its place in bits 32 to 62, its length in bits 0 to 31. With bit 63 set it is a message instead, in UTF-8, that says why the module does not accept the input |
//!
//! Each run has an instance and memory of its own, calls `alloc` once and `run` once, and reads the output. A module has no start
//! function. `modules/guest` is the other side of this in Rust, and `modules/` holds three that use it: `words`, `shrink`, `factors`.
//!
//! # From bytes to an outcome
//!
//! 1. [`Instrumented::new`] *validates*: only features with one possible result, everything within [`Limits`], compared before
//!    anything is reserved. A module that fails is refused in words ([`Refusal`]).
//! 2. It *meters*: the module's code is rewritten so that it counts for itself. Fuel is taken when a segment of code begins
//!    and tested in every loop and function; what costs by its length is charged by its length before it is done; calls count
//!    their stack slots; memory ends at the limit; and each NaN that arithmetic makes becomes the one NaN. See [`weights`].
//! 3. [`Prepared::run`] *runs* it, on the browser's engine in a worker ([`protocol`] is what a page says to it) or on
//!    an interpreter elsewhere, and gives an [`Outcome`].
//!
//! Of the failures only [`Failure::Machine`] is a matter of the machine; [`Outcome::agrees_with`] says whether two replicas agree, and
//! so do, for those who do not know this crate, the fuel and the bytes of [`Ending::to_canonical_bytes`].
//!
//! Without the feature `engine` there are only outcomes, limits and [`protocol`]: what a page needs to speak to a worker.
//!
//! # Bounds
//!
//! Time is bounded by fuel, except for what an engine takes to compile; whoever runs a worker keeps a deadline and terminates it.
//! Fuel may go below zero by what one function's code costs at most before a test sees it: the run then ends the same way
//! everywhere, with all its fuel used.
//!
//! # What the meters cost
//!
//! Medians of `cargo bench -p computation --profile dev` in milliseconds, on a busy machine of two cores, V8 of Node.js 20:
//!
//! | module | V8 plain | V8 metered | | units/ns | wasmi | bytes | metered |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | `words`, 20,000 words | 33 | 54 | × 1.6 | 4.2 | × 1.9 | 70,930 | 83,168 |
//! | `shrink`, 512 × 512 to 100 × 75 (floats) | 1.9 | 4.2 | × 2.1 | 10 | × 2.7 | 16,911 | 21,690 |
//! | `factors`, 100 numbers near 10¹² | 7.2 | 8.7 | × 1.2 | 3.6 | × 1.7 | 24,982 | 31,291 |

#[cfg(all(feature = "catalogue", target_arch = "wasm32"))]
pub mod catalogue;
mod cbor;
#[cfg(feature = "engine")]
mod desk;
#[cfg(feature = "engine")]
mod engine;
#[cfg(feature = "engine")]
mod floats;
#[cfg(feature = "engine")]
mod instrument;
pub mod limits;
mod outcome;
#[cfg(feature = "engine")]
mod prepared;
pub mod protocol;
#[cfg(feature = "engine")]
mod refusal;
#[cfg(feature = "engine")]
mod survey;
#[cfg(feature = "engine")]
pub mod weights;

#[cfg(feature = "engine")]
pub use desk::Desk;
pub use limits::{Limits, LimitsError};
pub use outcome::{Ending, Failure, Outcome, OutcomeError, Trap};
#[cfg(feature = "engine")]
pub use prepared::{Instrumented, Prepared, compute};
#[cfg(feature = "engine")]
pub use refusal::{Part, Refusal};

/// The version of the rules by which fuel is counted and modules are bounded. Outcomes are compared only under one version.
pub const RULES_VERSION: u32 = 1;
