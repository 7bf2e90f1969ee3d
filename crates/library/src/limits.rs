//! The parameters of a library, and what they may be.

/// What a library takes. The defaults are a Standard node's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest text of a document, bytes: about a thousand pages. HTML is held to it before and after it becomes text.
    pub text_bytes_max: usize,
    /// Longest title and longest author, bytes.
    pub name_bytes_max: usize,
    /// Longest source, bytes.
    pub source_bytes_max: usize,
    /// Longest passage, bytes of UTF-8. These are roughly in step with tokens: a Latin letter is one byte and a quarter of
    /// a token of MiniLM, a Chinese character three bytes and one token. So the default stays within the 256 tokens that
    /// MiniLM reads, with room for the context.
    pub passage_bytes_max: usize,
    /// Longest context (the headings above a passage), bytes. Outer headings are left out first.
    pub context_bytes_max: usize,
    /// Most documents, those forgotten but not yet erased among them.
    pub documents_max: usize,
    /// Most passages of one document. A text of headings alone has one for each line.
    pub document_passages_max: usize,
    /// Most passages of all documents together.
    pub passages_max: usize,
    /// Most marks of what was erased or replaced. Beyond it the oldest is dropped, and its text may come back.
    pub tombstones_max: usize,
    /// Most models that passages have vectors of.
    pub models_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_bytes_max: 4 * 1024 * 1024,
            name_bytes_max: 256,
            source_bytes_max: 2048,
            passage_bytes_max: 800,
            context_bytes_max: 160,
            documents_max: 20_000,
            document_passages_max: 10_000,
            passages_max: 50_000,
            tombstones_max: 10_000,
            models_max: 4,
        }
    }
}

/// A parameter outside of what works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}, and must be between {min} and {max}")]
pub struct LimitsError {
    /// Which.
    pub name: &'static str,
    /// As it is.
    pub value: usize,
    /// The least.
    pub min: usize,
    /// The most.
    pub max: usize,
}

impl Limits {
    /// Checks every parameter. The ranges keep a record within [`PIECE_BYTES_MAX`](crate::pieces::PIECE_BYTES_MAX), places
    /// within 32 bits, and leave room for at least one letter with its marks in a passage.
    ///
    /// # Errors
    /// The first one that is out of its range.
    pub fn validate(&self) -> Result<(), LimitsError> {
        let ranges = [
            ("text_bytes_max", self.text_bytes_max, 1, 4 * 1024 * 1024),
            ("name_bytes_max", self.name_bytes_max, 1, 4096),
            ("source_bytes_max", self.source_bytes_max, 1, 64 * 1024),
            ("passage_bytes_max", self.passage_bytes_max, 64, 64 * 1024),
            ("context_bytes_max", self.context_bytes_max, 16, 512),
            ("documents_max", self.documents_max, 1, 1_000_000),
            ("document_passages_max", self.document_passages_max, 1, 10_000),
            ("passages_max", self.passages_max, 1, 1_000_000),
            ("tombstones_max", self.tombstones_max, 1, 1_000_000),
            ("models_max", self.models_max, 1, 16),
        ];
        for (name, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                return Err(LimitsError {
                    name,
                    value,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_nonsense_does_not() {
        assert_eq!(Limits::default().validate(), Ok(()));
        let tiny = Limits {
            passage_bytes_max: 3,
            ..Limits::default()
        };
        assert_eq!(
            tiny.validate().map_err(|error| error.name),
            Err("passage_bytes_max")
        );
    }
}
