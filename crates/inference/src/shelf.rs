//! Where a browser keeps model files: one IndexedDB database that the page fills and the worker reads.
//!
//! A file is kept in the chunks in which it travels, beside the outline that proves each of them, and a record that is written last says
//! that it is whole. Losing any of it costs a download and nothing else, so the default (relaxed) durability is enough.

use crate::manifest::ContentHash;

/// The database.
pub const DATABASE: &str = "knowledge-models";
/// Its version.
pub const VERSION: u32 = 1;
/// Object store of the records of whole files: `{ bytes, pieces }` under [`record_key`].
pub const RECORDS: &str = "files";
/// Object store of everything else, as bytes.
pub const PIECES: &str = "pieces";
/// Size of the pieces in which files are downloaded and kept.
pub const CHUNK_BYTES: usize = blob::CHUNK_BYTES;
/// Longest piece that is read: files that were kept before chunks were small are still good.
pub const PIECE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Key of a file's record.
#[must_use]
pub fn record_key(file: ContentHash) -> String {
    file.to_string()
}

/// Key of a piece.
#[must_use]
pub fn piece_key(file: ContentHash, index: u32) -> String {
    format!("{file}/{index:05}")
}

/// The piece that a key of a file stands for; `None` for its outline.
#[must_use]
pub fn piece_of(key: &str) -> Option<u32> {
    key.rsplit_once('/')?.1.parse().ok()
}

/// Key of a file's outline.
#[must_use]
pub fn outline_key(file: ContentHash) -> String {
    format!("{file}/outline")
}

/// Before and after the keys of all of a file's pieces.
#[must_use]
pub fn key_range(file: ContentHash) -> (String, String) {
    (format!("{file}/"), format!("{file}0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_file_are_in_its_range_and_no_others() {
        let file = ContentHash([0xab; 32]);
        let (from, to) = key_range(file);
        for key in [piece_key(file, 0), piece_key(file, 99_999), outline_key(file)] {
            assert!(from <= key && key < to, "{key}");
        }
        let mut next = [0xab; 32];
        next[31] = 0xac;
        for key in [record_key(file), piece_key(ContentHash(next), 0)] {
            assert!(!(from <= key && key < to), "{key}");
        }
        assert_eq!(piece_of(&piece_key(file, 1_234)), Some(1_234));
        assert_eq!(piece_of(&outline_key(file)), None);
    }
}
