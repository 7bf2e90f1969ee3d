//! Content addressing: how models, and whatever else is stored, are named, cut and checked.
//!
//! A blob is named by the BLAKE3 hash of its bytes, which people and other programs see as a [CID]. It travels in chunks of
//! [`CHUNK_BYTES`]. BLAKE3 is the root of a binary tree over the content ([paper], section 2.1), and each chunk is a whole
//! subtree of it. So the values of these subtrees, the blob's [`Outline`], prove themselves against the name, and then each
//! chunk proves itself against its value: whoever gives a wrong chunk is found out at once, and no list of hashes has to be
//! trusted or signed.
//!
//! [CID]: https://github.com/multiformats/cid
//! [paper]: https://github.com/BLAKE3-team/BLAKE3-specs/blob/master/blake3.pdf

mod cid;
mod outline;

pub use cid::{CID_TEXT_LENGTH, CidError, from_cid, to_cid};
pub use outline::{Outline, OutlineError};

/// The name: BLAKE3 of the content.
pub type Name = [u8; 32];

/// Length of a chunk; the last one of a blob may be shorter. A power of two of BLAKE3's own 1,024 bytes, and small enough that a
/// slow link gives one in a few seconds and a page is not held up by checking one.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// The longest blob: its outline has 128 KiB.
pub const BLOB_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The name of a content that lies in memory.
#[must_use]
pub fn name_of(content: &[u8]) -> Name {
    *blake3::hash(content).as_bytes()
}

/// How many chunks so many bytes make.
#[must_use]
pub fn chunk_count(bytes: u64) -> u64 {
    bytes.div_ceil(CHUNK_BYTES as u64)
}

/// The length of one chunk of so many bytes; zero beyond the last.
#[must_use]
pub fn chunk_length(bytes: u64, index: u32) -> usize {
    let start = u64::from(index) * CHUNK_BYTES as u64;
    let left = bytes.saturating_sub(start).min(CHUNK_BYTES as u64);
    // At most CHUNK_BYTES.
    usize::try_from(left).unwrap_or(CHUNK_BYTES)
}
