//! The documents of one device.

mod load;
mod model;
mod prepare;
mod read;
mod search;

use std::collections::BTreeMap;

use blob::Name;

use crate::cut::TextError;
use crate::document::{Kind, Provenance, Scope};
use crate::limits::{Limits, LimitsError};
use crate::pieces::{self, Document, Key, ModelId, Record, TextPiece, Tombstone, Write};
use model::Model;

pub use load::Loader;
pub use read::{PassageText, Place};
pub use search::{Hit, ModelError};

/// One passage of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PassageId {
    /// The document's name.
    pub document: Name,
    /// Place in the document.
    pub passage: u32,
}

/// A text that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDocument<'a> {
    /// How it is written.
    pub kind: Kind,
    /// All of it.
    pub text: &'a str,
    /// Where it comes from, and when. A page's own title is taken where this has none.
    pub provenance: Provenance,
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// Its name: the hash of the text as it is kept.
    pub name: Name,
    /// Whether it is new here; if not, it stays as it was.
    pub is_new: bool,
}

/// Why the library did not change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// The text itself.
    #[error(transparent)]
    Text(#[from] TextError),
    /// What is said about the text.
    #[error("the {what} has {bytes} bytes, and {bytes_max} are allowed")]
    TooLong {
        /// Title, author or source.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
    },
    /// There is no such document, or it is forgotten.
    #[error("there is no such document here")]
    Unknown,
    /// It was forgotten. [`Library::undo_forget`] lets it in again.
    #[error("this text was forgotten here")]
    Forgotten {
        /// When, milliseconds since the Unix epoch.
        at_ms: u64,
    },
    /// An edit put another version in its place. [`Library::undo_forget`] lets it in again.
    #[error("a newer version took the place of this text")]
    Replaced {
        /// The newer version; it may be replaced or forgotten itself.
        by: Name,
    },
    /// As many documents or passages as may be; forgotten ones count until they are erased.
    #[error("the library is full: {count} {what} would be more than {count_max}")]
    Full {
        /// Documents or passages.
        what: &'static str,
        /// With this text.
        count: usize,
        /// What is allowed.
        count_max: usize,
    },
}

/// A document and what only this run knows of it.
#[derive(Clone, Debug)]
struct Entry {
    document: Document,
    /// What vectors know it by.
    number: u32,
}

/// The documents of a device, their passages and vectors. See the [crate's documentation](crate).
#[derive(Clone, Debug)]
pub struct Library {
    limits: Limits,
    documents: BTreeMap<Name, Entry>,
    numbers: BTreeMap<u32, Name>,
    tombstones: BTreeMap<Name, Tombstone>,
    models: BTreeMap<ModelId, Model>,
    /// Of all documents together.
    passages: usize,
    /// What has changed since writes were last taken, by key; `None` is gone. Segments are encoded when they are taken.
    changed: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Library {
    /// A library without documents.
    ///
    /// # Errors
    /// If a limit is out of its range.
    pub fn new(limits: Limits) -> Result<Self, LimitsError> {
        limits.validate()?;
        Ok(Self {
            limits,
            documents: BTreeMap::new(),
            numbers: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            models: BTreeMap::new(),
            passages: 0,
            changed: BTreeMap::new(),
        })
    }

    /// Takes a text. The same text is one document, however often it is added.
    ///
    /// # Errors
    /// If it cannot or must not be taken. Then nothing has changed.
    pub fn add(&mut self, new: NewDocument<'_>) -> Result<Added, LibraryError> {
        let (document, cut) = self.prepare(new)?;
        let name = document.name;
        if self.live(&name).is_some() {
            return Ok(Added { name, is_new: false });
        }
        self.check_allowed(&name)?;
        self.check_room(self.documents.len() + 1, self.passages + document.passages.len())?;
        self.put_text(&document, &cut.text);
        self.insert(document);
        Ok(Added { name, is_new: true })
    }

    /// Puts another text in a document's place, or says something else about the same text. Passages that both versions have
    /// keep their vectors. The time of the new provenance is that of the edit; when the document was added stays.
    ///
    /// Where the new text is a document already, that one stays as it is, and the old one is gone.
    ///
    /// # Errors
    /// If the text cannot or must not be taken. Then nothing has changed.
    pub fn edit(&mut self, old: &Name, new: NewDocument<'_>) -> Result<Added, LibraryError> {
        let former = self.live(old).ok_or(LibraryError::Unknown)?.document.clone();
        let (mut document, cut) = self.prepare(new)?;
        let (name, now_ms) = (document.name, document.provenance.added_at_ms);
        document.edited_at_ms = Some(now_ms);
        document.provenance.added_at_ms = former.provenance.added_at_ms;
        let is_new = name != *old && self.live(&name).is_none();
        if is_new {
            // An edit may go back to a former version, but not to what was forgotten.
            let is_former = |stone: &Tombstone| stone.replaced_by.is_some();
            if !self.tombstones.get(&name).is_some_and(is_former) {
                self.check_allowed(&name)?;
            }
        }
        if name == *old && document.passages == former.passages {
            if let Some(entry) = self.documents.get_mut(old) {
                entry.document = document;
            }
            self.put_record(old);
        } else if is_new || name == *old {
            let rest = self.passages - former.passages.len();
            self.check_room(self.documents.len(), rest + document.passages.len())?;
            self.delete_text(&former);
            self.put_text(&document, &cut.text);
            self.replace(old, document);
        } else {
            self.delete_text(&former);
            self.remove(old);
        }
        if name != *old {
            self.bury(Tombstone {
                name: *old,
                at_ms: now_ms,
                replaced_by: Some(name),
            });
        }
        Ok(Added { name, is_new })
    }

    /// Forgets a document: it is found no more, and a copy that comes back is refused. Its text stays on the disk until
    /// [`erase`](Self::erase), so that [`undo_forget`](Self::undo_forget) can bring it back as it was.
    ///
    /// # Errors
    /// [`LibraryError::Unknown`].
    pub fn forget(&mut self, name: &Name, now_ms: u64) -> Result<(), LibraryError> {
        self.live(name).ok_or(LibraryError::Unknown)?;
        self.set_forgotten(name, Some(now_ms));
        Ok(())
    }

    /// Takes back that a text was forgotten or replaced. True if it is there again, false if its text was erased: then it may be
    /// added again.
    ///
    /// # Errors
    /// [`LibraryError::Unknown`] if it was neither.
    pub fn undo_forget(&mut self, name: &Name) -> Result<bool, LibraryError> {
        if self.tombstones.remove(name).is_some() {
            self.changed.insert(Key::Document(*name).to_bytes(), None);
            return Ok(false);
        }
        let entry = self.documents.get(name).ok_or(LibraryError::Unknown)?;
        if entry.document.forgotten_at_ms.is_none() {
            return Err(LibraryError::Unknown);
        }
        self.set_forgotten(name, None);
        Ok(true)
    }

    /// Removes the text and the vectors of a forgotten document for good. What remains is that it was forgotten.
    ///
    /// # Errors
    /// [`LibraryError::Unknown`] if it is not a forgotten one.
    pub fn erase(&mut self, name: &Name) -> Result<(), LibraryError> {
        let entry = self.documents.get(name).ok_or(LibraryError::Unknown)?;
        let at_ms = entry.document.forgotten_at_ms.ok_or(LibraryError::Unknown)?;
        self.delete_text(&entry.document.clone());
        self.remove(name);
        self.bury(Tombstone {
            name: *name,
            at_ms,
            replaced_by: None,
        });
        Ok(())
    }

    /// The documents, in the order of their names.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.all().filter(|document| document.forgotten_at_ms.is_none())
    }

    /// The documents that are forgotten and not yet erased.
    pub fn forgotten(&self) -> impl Iterator<Item = &Document> {
        self.all().filter(|document| document.forgotten_at_ms.is_some())
    }

    /// The marks of what is gone.
    pub fn tombstones(&self) -> impl Iterator<Item = &Tombstone> {
        self.tombstones.values()
    }

    /// A document that is not forgotten.
    #[must_use]
    pub fn document(&self, name: &Name) -> Option<&Document> {
        self.live(name).map(|entry| &entry.document)
    }

    /// How many passages there are, those of forgotten documents among them until they are erased.
    #[must_use]
    pub fn passage_count(&self) -> usize {
        self.passages
    }

    /// What has to be kept since this was last asked. Best is one transaction; otherwise in this order, in which it may be cut
    /// off anywhere: what is written loses nothing without the rest.
    pub fn take_writes(&mut self) -> Vec<Write> {
        for (id, model) in &mut self.models {
            model.take_changed(id, &self.numbers, &mut self.changed);
        }
        let (mut puts, mut stones, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
        // Keys of texts are behind those of their documents, and a document must not be there without its text.
        for (key, value) in std::mem::take(&mut self.changed).into_iter().rev() {
            let is_gone = |name: &Name| self.tombstones.contains_key(name);
            let is_stone = matches!(Key::read(&key), Some(Key::Document(name)) if is_gone(&name));
            match value {
                // A version must not go before the next one is there, and its text not before itself.
                Some(value) if is_stone => stones.push(Write::Put { key, value }),
                Some(value) => puts.push(Write::Put { key, value }),
                None => deletes.push(Write::Delete { key }),
            }
        }
        puts.append(&mut stones);
        // Here it is the other way round: the document goes before its text.
        puts.extend(deletes.into_iter().rev());
        puts
    }

    fn all(&self) -> impl Iterator<Item = &Document> {
        self.documents.values().map(|entry| &entry.document)
    }

    fn live(&self, name: &Name) -> Option<&Entry> {
        let entry = self.documents.get(name)?;
        entry.document.forgotten_at_ms.is_none().then_some(entry)
    }

    /// Whether who asks from so far away may see the document with this number. Asking from the device itself is
    /// [`Scope::Device`].
    fn may_see(&self, number: u32, from: Scope) -> bool {
        let entry = self.numbers.get(&number).and_then(|name| self.live(name));
        entry.is_some_and(|entry| entry.document.provenance.scope >= from)
    }

    /// Takes in a document that is not there, all of its passages waiting for their vectors.
    fn insert(&mut self, document: Document) {
        let number = self.numbers.last_key_value().map_or(0, |(last, _)| last + 1);
        let name = document.name;
        self.passages += document.passages.len();
        if document.forgotten_at_ms.is_none() {
            for model in self.models.values_mut() {
                model.await_all(number, document.passages.len());
            }
        }
        self.numbers.insert(number, name);
        self.tombstones.remove(&name);
        self.documents.insert(name, Entry { document, number });
        self.put_record(&name);
    }

    /// Takes a document out with its vectors, but not out of storage.
    fn remove(&mut self, name: &Name) -> Option<Entry> {
        let entry = self.documents.remove(name)?;
        self.numbers.remove(&entry.number);
        self.passages -= entry.document.passages.len();
        for model in self.models.values_mut() {
            model.remove_all(entry.number, entry.document.passages.len());
        }
        Some(entry)
    }

    /// Puts a document in another one's place and lets passages that are the same keep their vectors.
    fn replace(&mut self, old: &Name, document: Document) {
        let name = document.name;
        let Some(former) = self.documents.remove(old) else {
            return;
        };
        self.passages -= former.document.passages.len();
        let passages = document.passages.clone();
        self.insert(document);
        let Some(number) = self.documents.get(&name).map(|entry| entry.number) else {
            return;
        };
        let mut places: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for (at, passage) in former.document.passages.iter().enumerate().rev() {
            places.entry(passage.fingerprint).or_default().push(place(at));
        }
        for (at, passage) in passages.iter().enumerate() {
            if let Some(from) = places.get_mut(&passage.fingerprint).and_then(Vec::pop) {
                for model in self.models.values_mut() {
                    model.hand_over((former.number, from), (number, place(at)));
                }
            }
        }
        for model in self.models.values_mut() {
            model.remove_all(former.number, former.document.passages.len());
        }
        self.numbers.remove(&former.number);
    }

    fn set_forgotten(&mut self, name: &Name, at_ms: Option<u64>) {
        if let Some(entry) = self.documents.get_mut(name) {
            entry.document.forgotten_at_ms = at_ms;
            let (number, count) = (entry.number, entry.document.passages.len());
            for model in self.models.values_mut() {
                match at_ms {
                    Some(_) => model.await_none(number),
                    None => model.await_all(number, count),
                }
            }
            self.put_record(name);
        }
    }

    /// Marks a text as gone. The oldest mark makes room.
    fn bury(&mut self, stone: Tombstone) {
        self.tombstones.insert(stone.name, stone);
        let bytes = pieces::encode(&Record::Gone(stone));
        self.changed
            .insert(Key::Document(stone.name).to_bytes(), Some(bytes));
        if self.tombstones.len() > self.limits.tombstones_max {
            let oldest = self
                .tombstones
                .values()
                .min_by_key(|stone| (stone.at_ms, stone.name));
            if let Some(name) = oldest.map(|stone| stone.name) {
                self.tombstones.remove(&name);
                self.changed.insert(Key::Document(name).to_bytes(), None);
            }
        }
    }

    fn put_record(&mut self, name: &Name) {
        if let Some(entry) = self.documents.get(name) {
            // The table of passages is long, and a copy of it costs less than a second kind of record.
            let bytes = pieces::encode(&Record::Kept(entry.document.clone()));
            self.changed.insert(Key::Document(*name).to_bytes(), Some(bytes));
        }
    }

    fn delete_text(&mut self, document: &Document) {
        for piece in 0..document.pieces() {
            self.changed
                .insert(Key::Text(document.name, piece).to_bytes(), None);
        }
    }

    fn put_text(&mut self, document: &Document, text: &str) {
        for piece in 0..document.pieces() {
            let bytes = pieces::encode(&TextPiece {
                document: document.name,
                piece,
                text: &text[document.piece_range(piece as usize)],
            });
            self.changed
                .insert(Key::Text(document.name, piece).to_bytes(), Some(bytes));
        }
    }
}

/// A place in a text or in a table of one; the limit of texts is far below 32 bits.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
