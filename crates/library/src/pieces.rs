//! What lasts, in pieces that a browser's storage takes one by one.
//!
//! | key | value |
//! | --- | --- |
//! | `d`, name | a [`Document`] without its text, or the mark of one that is gone |
//! | `t`, name, piece | the text of [`PIECE_PASSAGES`] passages with what stands between them; all pieces make the text |
//! | `v`, model, segment | the vectors of up to [`SEGMENT_ROWS`] passages |
//!
//! Numbers in keys are big-endian, so that keys have the order of what they name. Values are CBOR (RFC 8949) in the one encoding
//! that this module writes: arrays, definite lengths, shortest integers. They begin with [`VERSION`]. What does not encode to
//! the same bytes again is refused, and so is what is longer than [`PIECE_BYTES_MAX`].
//!
//! Vectors can be computed again, so their segments may be lost without harm. The text cannot: it is proved by its document's
//! name as a whole, and each passage on its own by 64 bits of its hash.

use blob::Name;
use minicbor::{Decode, Decoder, Encode};

use crate::document::Provenance;

/// With which every value begins.
pub const VERSION: u8 = 1;
/// Longest value, bytes.
pub const PIECE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Passages whose text is kept together.
pub const PIECE_PASSAGES: usize = 64;
/// Vectors that are kept together.
pub const SEGMENT_ROWS: usize = 256;

/// A model that makes vectors: the hash that its list names it by.
pub type ModelId = [u8; 32];

/// A change of what lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Set a key.
    Put {
        /// Ordered bytes.
        key: Vec<u8>,
        /// What to keep.
        value: Vec<u8>,
    },
    /// Remove a key; nothing is wrong if it is not there.
    Delete {
        /// Ordered bytes.
        key: Vec<u8>,
    },
}

/// Why a piece was not taken. The others are not touched by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PieceError {
    /// A key of no piece, or of a kind that is not read here.
    #[error("not the key of a piece that is read here")]
    UnknownKey,
    /// The value belongs to another key.
    #[error("the piece belongs to another key")]
    OtherKey,
    /// More than [`PIECE_BYTES_MAX`].
    #[error("a piece of {0} bytes is too long")]
    TooLong(usize),
    /// Written by another version of this program.
    #[error("version {0} of pieces is not known here")]
    UnknownVersion(u8),
    /// Not CBOR, cut short, or not of the expected shape.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Not in the one encoding, or numbers in it contradict each other.
    #[error("the piece is damaged: {0}")]
    Damaged(&'static str),
    /// The library is full.
    #[error("the library has no room for it")]
    Full,
    /// The same document was read already.
    #[error("the document was there already")]
    Twice,
}

/// What a piece is kept under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Document(Name),
    Text(Name, u32),
    Segment(ModelId, u32),
}

impl Key {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Document(name) => [&b"d"[..], &name].concat(),
            Self::Text(name, piece) => [&b"t"[..], &name, &piece.to_be_bytes()].concat(),
            Self::Segment(model, segment) => [&b"v"[..], &model, &segment.to_be_bytes()].concat(),
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (name, number) = rest.split_first_chunk::<32>()?;
        match (kind, number) {
            (b'd', []) => Some(Self::Document(*name)),
            (b't', number) => Some(Self::Text(*name, u32::from_be_bytes(number.try_into().ok()?))),
            (b'v', number) => Some(Self::Segment(*name, u32::from_be_bytes(number.try_into().ok()?))),
            _ => None,
        }
    }
}

/// What is kept under a document's name.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) enum Record {
    #[n(0)]
    Kept(#[n(0)] Document),
    #[n(1)]
    Gone(#[n(0)] Tombstone),
}

/// A document without its text.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Document {
    /// The hash of the text.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub name: Name,
    /// Where it comes from.
    #[n(1)]
    pub provenance: Provenance,
    /// Whether it is read as Markdown; as plain text otherwise.
    #[n(2)]
    pub is_markdown: bool,
    /// Length of the text, bytes.
    #[n(3)]
    pub text_bytes: u32,
    /// When it took the place of an earlier version, milliseconds since the Unix epoch.
    #[n(4)]
    pub edited_at_ms: Option<u64>,
    /// Since when it is forgotten, milliseconds since the Unix epoch. It can be brought back until it is erased.
    #[n(5)]
    pub forgotten_at_ms: Option<u64>,
    #[n(6)]
    pub(crate) contexts: Vec<String>,
    #[n(7)]
    pub(crate) passages: Vec<Passage>,
}

impl Document {
    /// How many passages it has.
    #[must_use]
    pub fn passage_count(&self) -> usize {
        self.passages.len()
    }

    /// How many pieces its text is kept in.
    pub(crate) fn pieces(&self) -> u32 {
        // A document has at most 10,000 passages.
        u32::try_from(self.passages.len().div_ceil(PIECE_PASSAGES)).unwrap_or(u32::MAX)
    }

    /// Which bytes of the text a piece has.
    pub(crate) fn piece_range(&self, piece: usize) -> std::ops::Range<usize> {
        let start_of = |piece: usize| self.passages.get(piece * PIECE_PASSAGES).map(|first| first.start);
        // What precedes the first passage belongs to the first piece.
        let start = if piece == 0 { Some(0) } else { start_of(piece) };
        let all = self.text_bytes;
        start.unwrap_or(all) as usize..start_of(piece + 1).unwrap_or(all) as usize
    }

    /// Whether its numbers fit each other.
    fn check(&self) -> Result<(), PieceError> {
        let mut end = 0;
        for passage in &self.passages {
            if passage.start < end || passage.end <= passage.start {
                return Err(PieceError::Damaged("passages overlap"));
            }
            if passage
                .context
                .is_some_and(|place| place as usize >= self.contexts.len())
            {
                return Err(PieceError::Damaged("a context is missing"));
            }
            end = passage.end;
        }
        match self.passages.is_empty() || end > self.text_bytes {
            true => Err(PieceError::Damaged("passages are missing")),
            false => Ok(()),
        }
    }
}

/// A passage's place, and enough of its hash to know it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Passage {
    #[n(0)]
    pub(crate) start: u32,
    #[n(1)]
    pub(crate) end: u32,
    #[n(2)]
    pub(crate) context: Option<u32>,
    #[n(3)]
    pub(crate) fingerprint: u64,
}

/// The mark of a document that is gone, so that a copy that comes back is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Tombstone {
    /// The hash of the text that was.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub name: Name,
    /// When it went, milliseconds since the Unix epoch.
    #[n(1)]
    pub at_ms: u64,
    /// The version in its place; `None` if it was forgotten.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub replaced_by: Option<Name>,
}

/// A part of a document's text.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TextPiece<'a> {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) document: Name,
    #[n(1)]
    pub(crate) piece: u32,
    #[n(2)]
    pub(crate) text: &'a str,
}

/// Vectors of one model. Documents are named once, and rows refer to them.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) struct Segment {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) model: ModelId,
    #[n(1)]
    pub(crate) dimension: u32,
    #[n(2)]
    pub(crate) documents: Vec<minicbor::bytes::ByteArray<32>>,
    /// Place of the document, and passage.
    #[n(3)]
    pub(crate) owners: Vec<(u32, u32)>,
    #[n(4)]
    pub(crate) scales: Vec<f32>,
    /// Two's complement.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub(crate) codes: Vec<u8>,
}

impl Segment {
    fn check(&self) -> Result<(), PieceError> {
        let (rows, dimension) = (self.owners.len(), self.dimension as usize);
        if rows == 0 || rows > SEGMENT_ROWS || dimension == 0 || dimension > crate::index::DIMENSION_MAX {
            return Err(PieceError::Damaged("rows or dimensions out of range"));
        }
        if self.scales.len() != rows || self.codes.len() != rows * dimension {
            return Err(PieceError::Damaged("rows of different lengths"));
        }
        let documents = self.documents.len();
        if self
            .owners
            .iter()
            .any(|(document, _)| *document as usize >= documents)
        {
            return Err(PieceError::Damaged("a document is missing"));
        }
        let is_sound = |scale: &f32| scale.is_finite() && *scale > 0.0;
        if !self.scales.iter().all(is_sound) || self.codes.contains(&0x80) {
            return Err(PieceError::Damaged("a vector out of range"));
        }
        Ok(())
    }
}

/// Encodes with the version before it.
pub(crate) fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    let encoded = minicbor::encode(value, &mut bytes);
    debug_assert!(encoded.is_ok(), "a Vec takes every byte");
    bytes
}

/// Decodes only what [`encode`] writes.
pub(crate) fn decode<'a, T: Encode<()> + Decode<'a, ()>>(bytes: &'a [u8]) -> Result<T, PieceError> {
    if bytes.len() > PIECE_BYTES_MAX {
        return Err(PieceError::TooLong(bytes.len()));
    }
    let malformed = |error: minicbor::decode::Error| PieceError::Malformed(error.to_string());
    match bytes.split_first() {
        None => Err(PieceError::Malformed("no bytes".to_owned())),
        Some((&VERSION, body)) => {
            let value = Decoder::new(body).decode().map_err(malformed)?;
            match encode(&value) == bytes {
                true => Ok(value),
                false => Err(PieceError::Damaged("not in canonical encoding")),
            }
        }
        Some((other, _)) => Err(PieceError::UnknownVersion(*other)),
    }
}

/// Reads what is kept under a document's name.
pub(crate) fn read_record(name: &Name, bytes: &[u8]) -> Result<Record, PieceError> {
    let record: Record = decode(bytes)?;
    let named = match &record {
        Record::Kept(document) => {
            document.check()?;
            &document.name
        }
        Record::Gone(tombstone) => &tombstone.name,
    };
    if named == name {
        Ok(record)
    } else {
        Err(PieceError::OtherKey)
    }
}

/// Reads a part of a document's text.
pub(crate) fn read_text<'a>(name: &Name, piece: u32, bytes: &'a [u8]) -> Result<&'a str, PieceError> {
    let read: TextPiece<'a> = decode(bytes)?;
    match read.document == *name && read.piece == piece {
        true => Ok(read.text),
        false => Err(PieceError::OtherKey),
    }
}

/// Reads vectors of a model.
pub(crate) fn read_segment(model: &ModelId, bytes: &[u8]) -> Result<Segment, PieceError> {
    let segment: Segment = decode(bytes)?;
    segment.check()?;
    if segment.model == *model {
        Ok(segment)
    } else {
        Err(PieceError::OtherKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_and_keep_their_order() {
        let keys = [
            Key::Document([1; 32]),
            Key::Text([1; 32], 2),
            Key::Text([1; 32], 256),
            Key::Segment([0; 32], 7),
        ];
        let bytes = keys.map(Key::to_bytes);
        assert!(bytes.is_sorted());
        for (key, bytes) in keys.iter().zip(&bytes) {
            assert_eq!(Key::read(bytes), Some(*key));
            assert_eq!(Key::read(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(Key::read(&[&bytes[0][..], &[0]].concat()), None);
        assert_eq!(Key::read(b"x"), None);
    }

    #[test]
    fn one_meaning_has_one_encoding() {
        let tombstone = Tombstone {
            name: [1; 32],
            at_ms: 5,
            replaced_by: Some([2; 32]),
        };
        let bytes = encode(&Record::Gone(tombstone));
        assert_eq!(read_record(&[1; 32], &bytes), Ok(Record::Gone(tombstone)));
        assert_eq!(read_record(&[2; 32], &bytes), Err(PieceError::OtherKey));
        // A longer integer, another version, one byte more, one less.
        let at = bytes.iter().position(|byte| *byte == 5).unwrap();
        let longer = [&bytes[..at], &[0x18, 5], &bytes[at + 1..]].concat();
        assert_eq!(
            read_record(&[1; 32], &longer),
            Err(PieceError::Damaged("not in canonical encoding"))
        );
        assert_eq!(
            read_record(&[1; 32], &[&[9], &bytes[1..]].concat()),
            Err(PieceError::UnknownVersion(9))
        );
        assert!(read_record(&[1; 32], &[&bytes[..], &[0]].concat()).is_err());
        assert!(read_record(&[1; 32], &bytes[..bytes.len() - 1]).is_err());
        assert!(read_record(&[1; 32], &[]).is_err());
    }

    #[test]
    fn contradictions_are_damage() {
        let sound = Segment {
            model: [1; 32],
            dimension: 2,
            documents: vec![[3; 32].into()],
            owners: vec![(0, 4)],
            scales: vec![0.5],
            codes: vec![127, 0x81],
        };
        assert_eq!(read_segment(&[1; 32], &encode(&sound)), Ok(sound.clone()));
        let mut damaged = [(); 6].map(|()| sound.clone());
        damaged[0].dimension = 0;
        damaged[1].owners = vec![(1, 4)];
        damaged[2].scales = vec![f32::NAN];
        damaged[3].scales = vec![];
        damaged[4].codes = vec![127, 0x80];
        damaged[5].owners = vec![];
        for segment in damaged {
            let read = read_segment(&[1; 32], &encode(&segment));
            assert!(matches!(read, Err(PieceError::Damaged(_))), "{read:?}");
        }
    }
}
