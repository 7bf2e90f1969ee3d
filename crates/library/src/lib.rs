//! placeholder
pub mod cut;
pub mod document;
mod limits;
pub use cut::TextError;
pub use document::{Kind, Provenance, Scope, UnknownKind};
pub use limits::{Limits, LimitsError};
/// x
pub const PIECE_BYTES_MAX: usize = 8 * 1024 * 1024;
