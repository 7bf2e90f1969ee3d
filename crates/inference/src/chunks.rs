//! A file in pieces, so that a large one is never in memory twice.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

/// A file's content. Reading it as a [`Buf`] frees each piece as soon as it is consumed.
#[derive(Debug, Clone, Default)]
pub struct Chunks {
    pieces: VecDeque<Bytes>,
    remaining: usize,
}

impl Chunks {
    /// Appends a piece.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.remaining += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Joins what is left into one buffer.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        self.copy_to_bytes(self.remaining)
    }
}

impl Buf for Chunks {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        // `Buf` promises a panic here; decoding what is left of a shorter file is the alternative to it.
        count = count.min(self.remaining);
        self.remaining -= count;
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_read_as_one_file() {
        let mut chunks = Chunks::default();
        for piece in [&b"ab"[..], b"", b"cde", b"f"] {
            chunks.push(Bytes::copy_from_slice(piece));
        }
        assert_eq!(chunks.remaining(), 6);
        chunks.advance(3);
        assert_eq!(chunks.chunk(), b"de");
        assert_eq!(chunks.into_bytes(), &b"def"[..]);
    }
}
