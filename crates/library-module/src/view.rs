//! What the page is told, as JSON, and the names in what it says.

use library::{Document, Hit, Library, PassageText};
use serde::Serialize;
use wasm_bindgen::JsError;

/// A document in a list.
#[derive(Serialize)]
pub(crate) struct DocumentView {
    name: String,
    title: String,
    bytes: u32,
    passages: usize,
}

/// A passage that is near a question.
#[derive(Serialize)]
pub(crate) struct PassageView {
    score: f32,
    /// The document's title; empty for notes.
    title: String,
    /// Place in the document, from 1.
    number: u32,
    /// The headings above it, or nothing.
    context: String,
    text: String,
}

impl DocumentView {
    pub(crate) fn of(document: &Document) -> Self {
        Self {
            name: hex(&document.name),
            title: document.provenance.title.clone(),
            bytes: document.text_bytes,
            passages: document.passage_count(),
        }
    }
}

impl PassageView {
    pub(crate) fn of(library: &Library, hit: &Hit, text: PassageText) -> Self {
        let document = library.document(&hit.passage.document);
        Self {
            score: hit.cosine,
            title: document.map_or_else(String::new, |document| document.provenance.title.clone()),
            number: hit.passage.passage.saturating_add(1),
            context: text.context,
            text: text.text,
        }
    }
}

pub(crate) fn json(value: impl Serialize) -> String {
    // Plain structs of text and numbers always are JSON.
    serde_json::to_string(&value).unwrap_or_default()
}

pub(crate) fn hex(name: &blob::Name) -> String {
    use std::fmt::Write as _;
    name.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn name(hex: &str) -> Result<blob::Name, JsError> {
    let wrong = || JsError::new("this is no name of a document");
    let digits = hex.as_bytes();
    if digits.len() != 64 {
        return Err(wrong());
    }
    let mut name = [0; 32];
    for (byte, pair) in name.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(name)
}

pub(crate) fn model(bytes: &[u8]) -> Result<library::ModelId, JsError> {
    bytes
        .try_into()
        .map_err(|_| JsError::new("this is no name of a model"))
}
