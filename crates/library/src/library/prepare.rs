//! What is looked at before a text is taken.

use blob::{Name, Outline};

use super::{Library, LibraryError, NewDocument, place, read};
use crate::cut::{self, Cut, TextError};
use crate::document::Kind;
use crate::pieces::{Document, Passage};

impl Library {
    /// Cuts a text and checks what is said about it.
    pub(super) fn prepare<'a>(&self, new: NewDocument<'a>) -> Result<(Document, Cut<'a>), LibraryError> {
        let cut = cut::cut(new.kind, new.text, &self.limits)?;
        let mut provenance = new.provenance;
        if let (Some(title), true) = (&cut.title, provenance.title.is_empty()) {
            let end = title.floor_char_boundary(self.limits.name_bytes_max);
            title[..end].clone_into(&mut provenance.title);
        }
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let lengths = [
            ("title", provenance.title.len(), self.limits.name_bytes_max),
            ("author", length(&provenance.author), self.limits.name_bytes_max),
            ("source", length(&provenance.source), self.limits.source_bytes_max),
        ];
        for (what, bytes, bytes_max) in lengths {
            if bytes > bytes_max {
                return Err(LibraryError::TooLong {
                    what,
                    bytes,
                    bytes_max,
                });
            }
        }
        // A text with a passage in it has at least one byte, and its limit is below that of a blob.
        let outline = Outline::of(cut.text.as_bytes()).map_err(|_| TextError::Empty)?;
        let document = Document {
            name: *outline.name(),
            provenance,
            is_markdown: matches!(new.kind, Kind::Markdown | Kind::Html),
            text_bytes: place(cut.text.len()),
            edited_at_ms: None,
            forgotten_at_ms: None,
            contexts: cut.contexts.clone(),
            passages: describe(&cut),
        };
        Ok((document, cut))
    }

    pub(super) fn check_allowed(&self, name: &Name) -> Result<(), LibraryError> {
        if let Some(stone) = self.tombstones.get(name) {
            return Err(match stone.replaced_by {
                Some(by) => LibraryError::Replaced { by },
                None => LibraryError::Forgotten { at_ms: stone.at_ms },
            });
        }
        let forgotten = self
            .documents
            .get(name)
            .and_then(|entry| entry.document.forgotten_at_ms);
        forgotten.map_or(Ok(()), |at_ms| Err(LibraryError::Forgotten { at_ms }))
    }

    pub(super) fn check_room(&self, documents: usize, passages: usize) -> Result<(), LibraryError> {
        let counts = [
            ("documents", documents, self.limits.documents_max),
            ("passages", passages, self.limits.passages_max),
        ];
        for (what, count, count_max) in counts {
            if count > count_max {
                return Err(LibraryError::Full {
                    what,
                    count,
                    count_max,
                });
            }
        }
        Ok(())
    }
}

/// The table of passages that a document is kept with.
fn describe(cut: &Cut<'_>) -> Vec<Passage> {
    let passages = cut.passages.iter().map(|span| {
        let context = span.context.map_or("", |place| cut.contexts[place].as_str());
        Passage {
            start: place(span.range.start),
            end: place(span.range.end),
            context: span.context.map(place),
            fingerprint: read::fingerprint(context, &cut.text[span.range.clone()]),
        }
    });
    passages.collect()
}
