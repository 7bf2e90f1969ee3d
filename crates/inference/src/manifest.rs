//! What a model is, as `/models/index.json` describes it.
//!
//! A model is named by the BLAKE3 hash of its ONNX file ([`ModelId`]): an agreement that names it can mean nothing
//! else, and every byte that a browser downloads is checked against it. The manifest also carries a *known answer*:
//! texts with the embeddings that the reference implementation gave for them. A backend that does not reproduce it
//! is refused, whatever it claims.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::limits;

/// A BLAKE3 hash: the name of a file's content, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

/// A model's identity everywhere: the hash of its ONNX file.
pub type ModelId = ContentHash;

/// One content-addressed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// The file's BLAKE3 hash, which is also its name under `/models/`.
    pub blake3: ContentHash,
    /// The file's exact length in bytes.
    pub bytes: u64,
}

/// What a model is for. One variant today; an unknown task makes a manifest unreadable on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Texts to unit vectors whose dot product says how close their meanings are.
    Embed,
}

/// The smallest device tier that is meant to run the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelTier {
    /// At most 10 MB.
    Basic,
    /// Up to about 100 MB.
    Standard,
    /// More than one ordinary device holds.
    Power,
}

/// Texts and the embeddings that a correct backend gives for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownAnswer {
    /// The texts, shortest first: the first one is also the benchmark.
    pub texts: Vec<String>,
    /// One unit vector for each text.
    pub embeddings: Vec<Vec<f32>>,
    /// The least cosine between a backend's vector and the known one.
    pub cosine_min: f32,
}

/// One entry of `/models/index.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelManifest {
    /// The model's usual name.
    pub name: String,
    /// SPDX identifier of the weights' licence.
    pub license: String,
    /// What the model is for.
    pub task: Task,
    /// The smallest device tier that is meant to run it.
    pub tier: ModelTier,
    /// Number format of the weights, for example `f32`.
    pub precision: String,
    /// Components of one embedding.
    pub dimension: usize,
    /// Tokens after which a text is cut, special tokens included.
    pub max_tokens: usize,
    /// The graph and its weights.
    pub onnx: FileRef,
    /// The tokenizer, in the format of Hugging Face's `tokenizer.json`.
    pub tokenizer: FileRef,
    /// What a correct backend computes.
    pub known_answer: KnownAnswer,
    /// How the files were made, for people.
    pub source: String,
}

/// The whole of `/models/index.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelIndex {
    /// The models on offer, the preferred one first.
    pub models: Vec<ModelManifest>,
}

/// Why a manifest cannot be used. All cases are final: the same manifest fails again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// Not 64 hexadecimal digits.
    #[error("\"{0}\" is not a BLAKE3 hash of 64 hexadecimal digits")]
    Hash(String),
    /// A number is zero or beyond the limit.
    #[error("{what} is {value}, but must be between 1 and {max}")]
    Range {
        /// The number's name.
        what: &'static str,
        /// What the manifest says.
        value: u64,
        /// The largest value allowed.
        max: u64,
    },
    /// The known answer contradicts itself or the rest.
    #[error("the known answer is unusable: {0}")]
    KnownAnswer(&'static str),
    /// Not JSON of this shape.
    #[error("the model list cannot be read: {0}")]
    Json(String),
}

impl ModelManifest {
    /// The model's identity.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.onnx.blake3
    }

    /// Checks every number against its limit and the known answer against the rest.
    ///
    /// # Errors
    /// The first thing that is out of bounds.
    pub fn validate(&self) -> Result<(), ManifestError> {
        within("onnx.bytes", self.onnx.bytes, limits::MODEL_BYTES_MAX)?;
        within(
            "tokenizer.bytes",
            self.tokenizer.bytes,
            limits::TOKENIZER_BYTES_MAX,
        )?;
        within("dimension", self.dimension as u64, limits::DIMENSION_MAX as u64)?;
        within("max_tokens", self.max_tokens as u64, limits::TOKENS_MAX as u64)?;
        let answer = &self.known_answer;
        within(
            "known_answer.texts",
            answer.texts.len() as u64,
            limits::KNOWN_ANSWER_TEXTS_MAX as u64,
        )?;
        if answer.texts.len() != answer.embeddings.len() {
            return Err(ManifestError::KnownAnswer(
                "it has not one embedding for each text",
            ));
        }
        if answer
            .texts
            .iter()
            .any(|text| text.len() > limits::TEXT_BYTES_MAX)
        {
            return Err(ManifestError::KnownAnswer("a text is too long"));
        }
        if answer
            .embeddings
            .iter()
            .any(|vector| vector.len() != self.dimension)
        {
            return Err(ManifestError::KnownAnswer("an embedding has the wrong dimension"));
        }
        if !(answer.cosine_min > 0.0 && answer.cosine_min <= 1.0) {
            return Err(ManifestError::KnownAnswer("cosine_min is not between 0 and 1"));
        }
        Ok(())
    }
}

impl ModelIndex {
    /// Reads and validates `/models/index.json`.
    ///
    /// # Errors
    /// If it is not JSON of this shape, or one of its manifests is out of bounds.
    pub fn from_json(json: &str) -> Result<Self, ManifestError> {
        let index: Self =
            serde_json::from_str(json).map_err(|error| ManifestError::Json(error.to_string()))?;
        index.models.iter().try_for_each(ModelManifest::validate)?;
        Ok(index)
    }
}

pub(crate) fn within(what: &'static str, value: u64, max: u64) -> Result<(), ManifestError> {
    if value == 0 || value > max {
        Err(ManifestError::Range { what, value, max })
    } else {
        Ok(())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl FromStr for ContentHash {
    type Err = ManifestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ManifestError::Hash(text.chars().take(80).collect());
        let digits: Vec<u8> = text
            .chars()
            .map(|c| c.to_digit(16).map(|d| d as u8))
            .collect::<Option<_>>()
            .ok_or_else(refuse)?;
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return Err(refuse());
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(hash))
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> ModelManifest {
        let file = FileRef {
            blake3: ContentHash([0xab; 32]),
            bytes: 10,
        };
        ModelManifest {
            name: "tiny".into(),
            license: "MIT".into(),
            task: Task::Embed,
            tier: ModelTier::Basic,
            precision: "f32".into(),
            dimension: 2,
            max_tokens: 16,
            onnx: file,
            tokenizer: file,
            known_answer: KnownAnswer {
                texts: vec!["a".into()],
                embeddings: vec![vec![1.0, 0.0]],
                cosine_min: 0.999,
            },
            source: "a test".into(),
        }
    }

    #[test]
    fn an_index_survives_json() {
        let index = ModelIndex {
            models: vec![manifest()],
        };
        let json = serde_json::to_string(&index).unwrap();
        assert!(json.contains(&"ab".repeat(32)), "hashes are hexadecimal: {json}");
        assert_eq!(ModelIndex::from_json(&json).unwrap(), index);
    }

    #[test]
    fn a_hash_is_64_hexadecimal_digits_and_nothing_else() {
        for wrong in [
            "",
            "ab",
            &"g".repeat(64),
            &"a".repeat(63),
            &"a".repeat(65),
            &"é".repeat(32),
        ] {
            assert!(wrong.parse::<ContentHash>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_manifest_out_of_bounds_is_refused() {
        let refused = |change: fn(&mut ModelManifest)| {
            let mut wrong = manifest();
            change(&mut wrong);
            wrong.validate().unwrap_err()
        };
        assert!(matches!(
            refused(|m| m.dimension = 0),
            ManifestError::Range {
                what: "dimension",
                ..
            }
        ));
        assert!(matches!(
            refused(|m| m.onnx.bytes = u64::MAX),
            ManifestError::Range { .. }
        ));
        assert!(matches!(
            refused(|m| m.known_answer.embeddings.clear()),
            ManifestError::KnownAnswer(_)
        ));
        assert!(matches!(
            refused(|m| m.known_answer.cosine_min = f32::NAN),
            ManifestError::KnownAnswer(_)
        ));
        assert!(manifest().validate().is_ok());
    }
}
