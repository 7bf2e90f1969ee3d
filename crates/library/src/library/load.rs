//! A library out of the pieces that were kept.

use std::collections::BTreeMap;

use blob::Name;

use super::model::Model;
use super::{Library, ModelError};
use crate::limits::{Limits, LimitsError};
use crate::pieces::{self, Key, ModelId, PieceError, Record, SEGMENT_ROWS, Segment};

/// Takes pieces one by one, in the order of their keys: documents, then vectors. Texts are not read; they stay where they are.
///
/// A piece that is refused costs what is in it and nothing else. Vectors that are missing are waited for again; those
/// whose document is missing are dropped.
#[derive(Clone, Debug)]
pub struct Loader {
    library: Library,
    /// Segments that the storage has, by model, whether they could be read or not: one more than the highest number.
    kept: BTreeMap<ModelId, usize>,
}

impl Loader {
    /// The first byte of the keys that are to be read, in this order.
    pub const PREFIXES: [u8; 2] = [b'd', b'v'];

    /// Begins with a library without documents.
    ///
    /// # Errors
    /// If a limit is out of its range.
    pub fn new(limits: Limits) -> Result<Self, LimitsError> {
        Ok(Self {
            library: Library::new(limits)?,
            kept: BTreeMap::new(),
        })
    }

    /// Takes one piece.
    ///
    /// # Errors
    /// If it is not one that was written here. What was taken before stays.
    pub fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), PieceError> {
        match Key::read(key) {
            Some(Key::Document(name)) => self.take_record(name, pieces::read_record(&name, value)?),
            Some(Key::Segment(id, number)) => {
                let kept = self.kept.entry(id).or_default();
                *kept = (*kept).max(number as usize + 1).min(SEGMENTS_MAX);
                let segment = pieces::read_segment(&id, value)?;
                self.take_segment(id, number as usize, &segment)
            }
            Some(Key::Text(..)) | None => Err(PieceError::UnknownKey),
        }
    }

    /// The library. Its first writes put in order what was found in disorder.
    #[must_use]
    pub fn finish(mut self) -> Library {
        for (id, count) in self.kept {
            if let Some(model) = self.library.models.get_mut(&id) {
                let stale = model.segments();
                if stale < count {
                    model.rewrite(stale, count);
                }
            }
        }
        self.library
    }

    fn take_record(&mut self, name: Name, record: Record) -> Result<(), PieceError> {
        let library = &mut self.library;
        if library.documents.contains_key(&name) || library.tombstones.contains_key(&name) {
            return Err(PieceError::Twice);
        }
        match record {
            Record::Kept(document) => {
                let passages = library.passages + document.passages.len();
                let room = library.check_room(library.documents.len() + 1, passages);
                room.map_err(|_| PieceError::Full)?;
                library.insert(document);
                // It is kept as it is.
                library.changed.clear();
            }
            Record::Gone(_) if library.tombstones.len() >= library.limits.tombstones_max => {
                return Err(PieceError::Full);
            }
            Record::Gone(stone) => {
                library.tombstones.insert(name, stone);
            }
        }
        Ok(())
    }

    fn take_segment(&mut self, id: ModelId, number: usize, segment: &Segment) -> Result<(), PieceError> {
        let library = &mut self.library;
        let dimension = segment.dimension as usize;
        library.open_model(id, dimension).map_err(|error| match error {
            ModelError::TooMany(_) => PieceError::Full,
            _ => PieceError::Damaged("another dimension than its model"),
        })?;
        let Some(model) = library.models.get_mut(&id) else {
            return Err(PieceError::Full);
        };
        let documents: Vec<Option<(u32, usize)>> = segment
            .documents
            .iter()
            .map(|name| library.documents.get(&**name))
            .map(|entry| entry.map(|entry| (entry.number, entry.document.passages.len())))
            .collect();
        let before = model.owners.len();
        for (row, (place, passage)) in segment.owners.iter().enumerate() {
            // Whose document is gone, is gone too.
            let Some((number, passages)) = documents[*place as usize] else {
                continue;
            };
            let owner = (number, *passage);
            if *passage as usize >= passages || model.has(owner) {
                continue;
            }
            let codes = &segment.codes[row * dimension..(row + 1) * dimension];
            let codes: Vec<i8> = codes.iter().map(|code| code.cast_signed()).collect();
            model.push(owner, segment.scales[row], &codes);
        }
        let is_in_place = before == number * SEGMENT_ROWS;
        let is_whole = model.owners.len() == before + segment.owners.len();
        if !(is_in_place && is_whole) {
            mend(model, before / SEGMENT_ROWS);
        }
        Ok(())
    }
}

/// Most segments that a model can have: a million passages in 256s.
const SEGMENTS_MAX: usize = 4096;

/// From here on rows are not where they are kept.
fn mend(model: &mut Model, from: usize) {
    let count = model.segments();
    model.rewrite(from, count);
}
