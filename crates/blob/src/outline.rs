//! The values of a blob's chunks, and what they prove.

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::{BLOB_BYTES_MAX, CHUNK_BYTES, Name, chunk_count, chunk_length};

const VALUE_BYTES: usize = 32;

/// The chaining value of each chunk, in order. A blob of one chunk has none: its name is the hash of the chunk.
///
/// An outline stands for the content of `name` alone: it cannot be made without checking it ([`verify`](Self::verify)) or
/// reading the content ([`of`](Self::of)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    name: Name,
    bytes: u64,
    values: Vec<ChainingValue>,
}

/// Why bytes are not the outline of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutlineError {
    /// No content, or more than may be.
    #[error("a blob has between 1 and {BLOB_BYTES_MAX} bytes, not {0}")]
    Size(u64),
    /// Not one value for each chunk.
    #[error("an outline of {expected} bytes was expected, and {actual} came")]
    Length {
        /// For the blob's size.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// The values do not lead to the name.
    #[error("the outline is not the one of this blob")]
    Forged,
}

impl Outline {
    /// The outline of a content, which also tells its name.
    ///
    /// # Errors
    /// [`OutlineError::Size`].
    pub fn of(content: &[u8]) -> Result<Self, OutlineError> {
        let bytes = content.len() as u64;
        let count = count(bytes)?;
        if count == 1 {
            let name = *blake3::hash(content).as_bytes();
            let values = Vec::new();
            return Ok(Self { name, bytes, values });
        }
        let chunks = content.chunks(CHUNK_BYTES);
        let values: Vec<ChainingValue> = chunks
            .zip(0..)
            .map(|(chunk, index)| value(index, chunk))
            .collect();
        let name = root(&values);
        Ok(Self { name, bytes, values })
    }

    /// Reads the outline of the blob `name` of so many bytes.
    ///
    /// # Errors
    /// If it is not that.
    pub fn verify(name: Name, bytes: u64, outline: &[u8]) -> Result<Self, OutlineError> {
        let count = count(bytes)?;
        let expected = if count == 1 { 0 } else { count * VALUE_BYTES };
        if outline.len() != expected {
            let actual = outline.len();
            return Err(OutlineError::Length { expected, actual });
        }
        let (values, _) = outline.as_chunks::<VALUE_BYTES>();
        if count > 1 && root(values) != name {
            return Err(OutlineError::Forged);
        }
        let values = values.to_vec();
        Ok(Self { name, bytes, values })
    }

    /// As it travels: the values one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.values.concat()
    }

    /// Whose outline it is.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Length of the content.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many chunks there are.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        // At most 4,096.
        u32::try_from(chunk_count(self.bytes)).unwrap_or(u32::MAX)
    }

    /// Whether these bytes are the chunk at this place.
    #[must_use]
    pub fn accepts(&self, index: u32, chunk: &[u8]) -> bool {
        let length = chunk_length(self.bytes, index);
        if length == 0 || chunk.len() != length {
            return false;
        }
        match self.values.get(index as usize) {
            Some(expected) => value(index, chunk) == *expected,
            None => self.values.is_empty() && blake3::hash(chunk) == self.name,
        }
    }
}

/// How many chunks; not more than fit an outline.
fn count(bytes: u64) -> Result<usize, OutlineError> {
    if bytes == 0 || bytes > BLOB_BYTES_MAX {
        return Err(OutlineError::Size(bytes));
    }
    usize::try_from(chunk_count(bytes)).map_err(|_| OutlineError::Size(bytes))
}

/// The chaining value of one of several chunks. None of them is empty or longer than [`CHUNK_BYTES`].
fn value(index: u32, chunk: &[u8]) -> ChainingValue {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(u64::from(index) * CHUNK_BYTES as u64);
    hasher.update(chunk);
    hasher.finalize_non_root()
}

/// The hash that several chunks make.
fn root(values: &[ChainingValue]) -> Name {
    let (left, right) = values.split_at(left_count(values.len()));
    *merge_subtrees_root(&merged(left), &merged(right), Mode::Hash).as_bytes()
}

/// The value of a subtree; there is at least one chunk in it. As deep as the logarithm of their number.
fn merged(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [] => ChainingValue::default(),
        [value] => *value,
        several => {
            let (left, right) = several.split_at(left_count(several.len()));
            merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
        }
    }
}

/// BLAKE3's shape: the left subtree has the largest power of two that leaves something for the right one.
fn left_count(count: usize) -> usize {
    count.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|place| (place * 31 % 251) as u8).collect()
    }

    #[test]
    fn the_values_lead_to_the_hash_of_the_whole() {
        for chunks in [1, 2, 3, 4, 5, 7, 8, 9] {
            for over in [-1, 0, 1] {
                let bytes = (chunks * CHUNK_BYTES).saturating_add_signed(over);
                let content = content(bytes);
                let outline = Outline::of(&content).unwrap();
                assert_eq!(outline.name(), blake3::hash(&content).as_bytes(), "{bytes} bytes");
                let read = Outline::verify(*outline.name(), bytes as u64, &outline.to_bytes());
                assert_eq!(read.as_ref(), Ok(&outline));
                for (chunk, index) in content.chunks(CHUNK_BYTES).zip(0..) {
                    assert!(outline.accepts(index, chunk), "chunk {index} of {bytes} bytes");
                    assert!(!outline.accepts(index + 1, chunk));
                }
            }
        }
    }

    #[test]
    fn one_wrong_bit_anywhere_is_seen() {
        let content = content(3 * CHUNK_BYTES - 5);
        let outline = Outline::of(&content).unwrap();
        let mut chunk = content[2 * CHUNK_BYTES..].to_vec();
        for place in [0, 1023, 1024, chunk.len() - 1] {
            chunk[place] ^= 1;
            assert!(!outline.accepts(2, &chunk));
            chunk[place] ^= 1;
        }
        assert!(outline.accepts(2, &chunk));
        assert!(!outline.accepts(2, &chunk[1..]) && !outline.accepts(2, &[]));
        let (name, bytes) = (*outline.name(), outline.bytes());
        let mut values = outline.to_bytes();
        for place in [0, 33, 95] {
            values[place] ^= 0x80;
            assert_eq!(Outline::verify(name, bytes, &values), Err(OutlineError::Forged));
            values[place] ^= 0x80;
        }
        // The size is no secret of the name: a wrong one with as many chunks ends in a last chunk that nobody can give.
        assert!(
            !Outline::verify(name, bytes - 1, &values)
                .unwrap()
                .accepts(2, &content[2 * CHUNK_BYTES..])
        );
    }

    #[test]
    fn what_cannot_be_an_outline_is_refused() {
        let name = [1; 32];
        assert_eq!(Outline::verify(name, 0, &[]), Err(OutlineError::Size(0)));
        let long = BLOB_BYTES_MAX + 1;
        assert_eq!(Outline::verify(name, long, &[]), Err(OutlineError::Size(long)));
        assert!(Outline::verify(name, u64::MAX, &[]).is_err());
        let bytes = 2 * CHUNK_BYTES as u64;
        for length in [0, 32, 63, 65, 96] {
            let expected = OutlineError::Length {
                expected: 64,
                actual: length,
            };
            assert_eq!(Outline::verify(name, bytes, &vec![0; length]), Err(expected));
        }
        assert!(Outline::of(&[]).is_err());
    }
}
