//! Cutting a text into passages: pieces short enough for an embedding model, each of them about one thing.
//!
//! ```text
//! HTML ──▶ Markdown ──▶ blocks (heading, prose, code) ──▶ passages
//!                plain ──▶ blocks (paragraphs) ─────────────▲
//! ```
//!
//! A passage is a range of the text, so that it is shown as it was written and nothing is kept twice. Neighbouring blocks
//! share one while they fit. What does not fit is cut after a sentence, else at the end of a line, else between words, else
//! between letters, but not between a letter and its marks. A heading ends a passage; it is not part of any but becomes the
//! context of those below it, with the headings above it ("Kitchen › Bread"). Only a heading with nothing below is a passage.
//!
//! Every character that is not white space is in exactly one passage, except for marks of Markdown (headings' `#` and
//! underlines) and HTML's tags. All of it takes time and memory in proportion to the text, whatever the text.

mod assemble;
mod blocks;
mod entities;
mod html;
mod render;
mod split;

use std::borrow::Cow;
use std::ops::Range;

use crate::document::Kind;
use crate::limits::Limits;

/// A text and where its passages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut<'a> {
    /// What was cut: the text given, or for HTML the Markdown that it became.
    pub text: Cow<'a, str>,
    /// What the HTML calls itself.
    pub title: Option<String>,
    /// In the order of the text; they do not overlap.
    pub passages: Vec<Span>,
    /// Headings that passages are below, outermost first, joined by `›`. No two neighbours are equal.
    pub contexts: Vec<String>,
}

/// One passage: a range of the text and what it is below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Bytes of the text; never empty, and without white space at its ends.
    pub range: Range<usize>,
    /// Place in [`Cut::contexts`]; `None` above all headings.
    pub context: Option<usize>,
}

/// Why a text cannot be taken. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// More than [`Limits::text_bytes_max`].
    #[error("the text has {bytes} bytes, and {bytes_max} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
    },
    /// More than [`Limits::document_passages_max`].
    #[error("the text falls into more than {0} passages")]
    TooManyPassages(usize),
    /// White space at most.
    #[error("there is no text in it")]
    Empty,
    /// Bytes that are no UTF-8: another encoding, or no text.
    #[error("not a text in UTF-8: byte {at} fits no letter")]
    NotUtf8 {
        /// The first byte that does not fit.
        at: usize,
    },
}

/// Reads a file's bytes as text; a byte order mark at the start is dropped.
///
/// # Errors
/// If it is too long, or no UTF-8.
pub fn read<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, TextError> {
    check_length(bytes.len(), limits)?;
    let text = str::from_utf8(bytes).map_err(|error| TextError::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Cuts a text.
///
/// # Errors
/// If it is too long or has nothing to read in it.
pub fn cut<'a>(kind: Kind, text: &'a str, limits: &Limits) -> Result<Cut<'a>, TextError> {
    check_length(text.len(), limits)?;
    let (text, title) = match kind {
        Kind::Plain | Kind::Notes | Kind::Markdown => (Cow::Borrowed(text), None),
        Kind::Html => {
            let page = html::to_markdown(text);
            (Cow::Owned(page.text), page.title)
        }
    };
    check_length(text.len(), limits)?;
    let mut assembler = assemble::Assembler::new(&text, limits, kind != Kind::Notes);
    match kind {
        Kind::Plain | Kind::Notes => blocks::plain(&text, &mut |block| assembler.add(block)),
        Kind::Markdown | Kind::Html => blocks::markdown(&text, &mut |block| assembler.add(block)),
    }
    let (passages, contexts) = assembler.finish();
    if passages.is_empty() {
        return Err(TextError::Empty);
    }
    let passages_max = limits.document_passages_max;
    if passages.len() > passages_max {
        return Err(TextError::TooManyPassages(passages_max));
    }
    Ok(Cut {
        text,
        title,
        passages,
        contexts,
    })
}

fn check_length(bytes: usize, limits: &Limits) -> Result<(), TextError> {
    let bytes_max = limits.text_bytes_max;
    if bytes > bytes_max {
        return Err(TextError::TooLong { bytes, bytes_max });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
