//! From a passage's name to its words. The library holds no text; the shell brings the piece that it is in.

use std::ops::Range;

use blob::{Name, Outline};

use super::{Library, PassageId};
use crate::pieces::{self, Key, PIECE_PASSAGES, PieceError};

/// Where a passage's text is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key of the piece.
    pub key: Vec<u8>,
    piece: u32,
    range: Range<usize>,
    passage: PassageId,
    context: String,
    fingerprint: u64,
}

/// A passage in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassageText {
    /// Which.
    pub passage: PassageId,
    /// The headings above it, or nothing.
    pub context: String,
    /// As it was written.
    pub text: String,
}

impl PassageText {
    /// What a model is to embed: a passage means little without what it is about.
    #[must_use]
    pub fn for_embedding(&self) -> String {
        match self.context.is_empty() {
            true => self.text.clone(),
            false => format!("{}\n{}", self.context, self.text),
        }
    }
}

impl Place {
    /// Reads the passage out of the value under [`key`](Self::key).
    ///
    /// # Errors
    /// If that is not the text that was put there.
    pub fn read(&self, value: &[u8]) -> Result<PassageText, PieceError> {
        let piece = pieces::read_text(&self.passage.document, self.piece, value)?;
        let text = piece.get(self.range.clone()).unwrap_or_default();
        if fingerprint(&self.context, text) != self.fingerprint {
            return Err(PieceError::Damaged("the text is another one"));
        }
        Ok(PassageText {
            passage: self.passage,
            context: self.context.clone(),
            text: text.to_owned(),
        })
    }
}

impl Library {
    /// Where a passage's text is kept; `None` if there is no such passage or its document is forgotten.
    #[must_use]
    pub fn locate(&self, passage: PassageId) -> Option<Place> {
        let document = self.document(&passage.document)?;
        let at = passage.passage as usize;
        let entry = document.passages.get(at)?;
        let piece = at / PIECE_PASSAGES;
        let start = document.piece_range(piece).start;
        let context = entry
            .context
            .and_then(|place| document.contexts.get(place as usize));
        let piece = super::place(piece);
        Some(Place {
            key: Key::Text(passage.document, piece).to_bytes(),
            piece,
            range: entry.start as usize - start..entry.end as usize - start,
            passage,
            context: context.cloned().unwrap_or_default(),
            fingerprint: entry.fingerprint,
        })
    }

    /// The keys of the pieces that make a document's text; none if there is no such document.
    #[must_use]
    pub fn text_keys(&self, name: &Name) -> Vec<Vec<u8>> {
        let pieces = self.document(name).map_or(0, |document| document.pieces());
        (0..pieces)
            .map(|piece| Key::Text(*name, piece).to_bytes())
            .collect()
    }

    /// Puts the values under [`text_keys`](Self::text_keys) together to the document's text, and checks it by its name.
    ///
    /// # Errors
    /// If one of them is not what was put there.
    pub fn join_text<'a>(
        &self,
        name: &Name,
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<String, PieceError> {
        let mut text = String::new();
        for (value, piece) in values.into_iter().zip(0..) {
            text.push_str(pieces::read_text(name, piece, value)?);
        }
        match Outline::of(text.as_bytes()) {
            Ok(outline) if outline.name() == name => Ok(text),
            _ => Err(PieceError::Damaged("the text is another one")),
        }
    }
}

/// 64 bits of the hash of what is embedded: enough to see damage, and that a passage is in another version too.
pub(super) fn fingerprint(context: &str, text: &str) -> u64 {
    let whole = [context, "\n", text].concat();
    let name = Outline::of(whole.as_bytes()).map_or([0; 32], |outline| *outline.name());
    let [a, b, c, d, e, f, g, h, ..] = name;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
