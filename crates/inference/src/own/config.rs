//! What `config.json` says that a graph does not: the labels of a classifier, and how long its texts may be.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::limits;
use crate::protocol::EngineError;

/// The fields of Hugging Face's `config.json` that matter here. All others are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    id2label: BTreeMap<usize, String>,
    max_position_embeddings: Option<usize>,
    problem_type: Option<String>,
}

impl Config {
    pub(super) fn from_json(json: &[u8]) -> Result<Self, EngineError> {
        let refuse = |problem: String| EngineError::Model(format!("its config.json is unusable: {problem}"));
        if json.len() as u64 > limits::CONFIG_BYTES_MAX {
            return Err(refuse(format!("it has {} bytes", json.len())));
        }
        let config: Self = serde_json::from_slice(json).map_err(|error| refuse(error.to_string()))?;
        if config.id2label.len() > limits::LABELS_MAX {
            return Err(refuse(format!("it has {} labels", config.id2label.len())));
        }
        Ok(config)
    }

    /// The name of a class.
    pub(super) fn label(&self, place: usize) -> String {
        let named = self.id2label.get(&place).cloned();
        named.unwrap_or_else(|| format!("LABEL_{place}"))
    }

    /// Tokens after which a text is cut.
    pub(super) fn tokens_max(&self) -> usize {
        let positions = self.max_position_embeddings.unwrap_or(limits::TOKENS_MAX);
        positions.clamp(1, limits::TOKENS_MAX)
    }

    /// Whether each label holds or not by itself, rather than one of them all. A single label can only hold or not.
    pub(super) fn is_independent(&self, labels: usize) -> bool {
        labels == 1 || self.problem_type.as_deref() == Some("multi_label_classification")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_from_the_file_or_are_numbered() {
        let json = br#"{"id2label":{"0":"bad","1":"good"},"max_position_embeddings":64,"model_type":"bert"}"#;
        let config = Config::from_json(json).unwrap();
        assert_eq!(
            [0, 1, 2].map(|place| config.label(place)),
            ["bad", "good", "LABEL_2"]
        );
        assert_eq!(config.tokens_max(), 64);
        assert!(!config.is_independent(2) && config.is_independent(1));
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        for wrong in [
            &b"1"[..],
            b"{",
            br#"{"id2label":{"a":"b"}}"#,
            &vec![b' '; 1 << 21],
        ] {
            let error = Config::from_json(wrong).unwrap_err().to_string();
            assert!(error.contains("config.json"), "{error}");
        }
        let zero = Config::from_json(br#"{"max_position_embeddings":0}"#).unwrap();
        assert_eq!(zero.tokens_max(), 1);
    }
}
