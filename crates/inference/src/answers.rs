//! Secret known answers: a pool on a relay, of which each buyer gets a few.
//!
//! The known answer in a model's manifest is public, so a provider that lies recognises its texts and answers just those rightly.
//! A relay's operator makes a pool of their own with `known-answers`; the relay gives each caller some of it, and they are what a
//! buyer hides among its texts. A file of the pool and an answer of the relay have the same form.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits;

/// The form of the file that this version writes and reads.
const VERSION: u32 = 1;

/// Texts and what a model's reference gives for them, as `<model id>.json` and `/known-answers/<model id>` carry them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownAnswers {
    version: u32,
    texts: Vec<String>,
    embeddings: Vec<Vec<f32>>,
}

/// Why known answers cannot be used. All cases are final: the same file fails again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KnownAnswersError {
    /// Not JSON of this shape.
    #[error("it is not a file of known answers: {0}")]
    Json(String),
    /// Of a later version of this program.
    #[error("its version is {0}, and only {VERSION} is known here")]
    Version(u32),
    /// Longer than [`limits::POOL_BYTES_MAX`].
    #[error("it has more than {} bytes", limits::POOL_BYTES_MAX)]
    TooLong,
    /// It contradicts itself or a limit.
    #[error("{0}")]
    Content(&'static str),
}

impl KnownAnswers {
    /// Puts texts and their vectors together. Components are rounded to five decimals, which changes a cosine by less than 1e-7 and
    /// halves the file.
    ///
    /// # Errors
    /// What [`from_json`](Self::from_json) would refuse.
    pub fn new(answers: Vec<(String, Vec<f32>)>) -> Result<Self, KnownAnswersError> {
        let (texts, mut embeddings): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
        for value in embeddings.iter_mut().flatten() {
            *value = (*value * 1e5).round() / 1e5;
        }
        let answers = Self {
            version: VERSION,
            texts,
            embeddings,
        };
        answers.validate()?;
        Ok(answers)
    }

    /// Reads a file of the pool or an answer of a relay.
    ///
    /// # Errors
    /// If it is too long, not JSON of this shape, of another version, or out of bounds.
    pub fn from_json(json: &[u8]) -> Result<Self, KnownAnswersError> {
        if json.len() > limits::POOL_BYTES_MAX {
            return Err(KnownAnswersError::TooLong);
        }
        let answers: Self =
            serde_json::from_slice(json).map_err(|error| KnownAnswersError::Json(error.to_string()))?;
        answers.validate()?;
        Ok(answers)
    }

    /// As JSON.
    ///
    /// # Errors
    /// If it is longer than what can be read back.
    pub fn to_json(&self) -> Result<String, KnownAnswersError> {
        let json = serde_json::to_string(self).map_err(|error| KnownAnswersError::Json(error.to_string()))?;
        if json.len() > limits::POOL_BYTES_MAX {
            return Err(KnownAnswersError::TooLong);
        }
        Ok(json)
    }

    /// How many there are: at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Components of each embedding.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.embeddings.first().map_or(0, Vec::len)
    }

    /// Those at these places; places that are none are left out.
    #[must_use]
    pub fn at(&self, places: &[usize]) -> Self {
        Self {
            version: VERSION,
            texts: places
                .iter()
                .filter_map(|&place| self.texts.get(place).cloned())
                .collect(),
            embeddings: places
                .iter()
                .filter_map(|&place| self.embeddings.get(place).cloned())
                .collect(),
        }
    }

    /// Each text with its embedding.
    pub fn into_answers(self) -> impl Iterator<Item = (String, Vec<f32>)> {
        self.texts.into_iter().zip(self.embeddings)
    }

    fn validate(&self) -> Result<(), KnownAnswersError> {
        let refuse = |what| Err(KnownAnswersError::Content(what));
        if self.version != VERSION {
            return Err(KnownAnswersError::Version(self.version));
        }
        if self.texts.is_empty() || self.texts.len() > limits::POOL_TEXTS_MAX {
            return refuse("it has no texts or too many");
        }
        if self.texts.len() != self.embeddings.len() {
            return refuse("it has not one embedding for each text");
        }
        if self
            .texts
            .iter()
            .any(|text| text.is_empty() || text.len() > limits::TEXT_BYTES_MAX)
        {
            return refuse("a text is empty or too long");
        }
        let dimension = self.dimension();
        if !(1..=limits::DIMENSION_MAX).contains(&dimension) {
            return refuse("an embedding is empty or too long");
        }
        let fits =
            |vector: &Vec<f32>| vector.len() == dimension && vector.iter().all(|value| value.is_finite());
        if !self.embeddings.iter().all(fits) {
            return refuse("an embedding has another length than the first, or is not of numbers");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_survives_json_but_for_its_last_decimals() {
        let made = KnownAnswers::new(vec![
            ("a quiet place".to_owned(), vec![0.123_456_7, -0.5]),
            ("to read".to_owned(), vec![1.0, 0.0]),
        ])
        .unwrap();
        let json = made.to_json().unwrap();
        assert!(json.contains("[0.12346,-0.5]"), "{json}");
        assert_eq!(KnownAnswers::from_json(json.as_bytes()).unwrap(), made);
        let second: Vec<_> = made.at(&[1, 7]).into_answers().collect();
        assert_eq!(second, [("to read".to_owned(), vec![1.0, 0.0])]);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let refused = |json: &str| KnownAnswers::from_json(json.as_bytes()).unwrap_err();
        assert!(matches!(refused("<html>"), KnownAnswersError::Json(_)));
        assert_eq!(
            refused(r#"{"version":2,"texts":["a"],"embeddings":[[1]]}"#),
            KnownAnswersError::Version(2)
        );
        for wrong in [
            r#"{"version":1,"texts":[],"embeddings":[]}"#,
            r#"{"version":1,"texts":["a"],"embeddings":[]}"#,
            r#"{"version":1,"texts":["a"],"embeddings":[[]]}"#,
            r#"{"version":1,"texts":[""],"embeddings":[[1]]}"#,
            r#"{"version":1,"texts":["a","b"],"embeddings":[[1],[1,0]]}"#,
        ] {
            assert!(matches!(refused(wrong), KnownAnswersError::Content(_)), "{wrong}");
        }
        let long = vec![b' '; limits::POOL_BYTES_MAX + 1];
        assert_eq!(
            KnownAnswers::from_json(&long).unwrap_err(),
            KnownAnswersError::TooLong
        );
        let text = "x".repeat(limits::TEXT_BYTES_MAX + 1);
        assert!(KnownAnswers::new(vec![(text, vec![1.0])]).is_err());
        assert!(KnownAnswers::new(vec![("a".to_owned(), vec![f32::NAN])]).is_err());
    }
}
