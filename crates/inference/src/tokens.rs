//! Texts to token numbers, with the model's own tokenizer.

use tokenizers::Tokenizer;
use tokenizers::utils::truncation::TruncationParams;

use crate::limits;
use crate::protocol::EngineError;

/// Names of tokens that end a text.
const END_TOKENS: [&str; 8] = [
    "</s>",
    "<eos>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
];

/// The tokens of one text, special tokens included and padding not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Numbers in the model's vocabulary.
    pub ids: Vec<i64>,
}

impl Tokens {
    /// How many tokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// A model's tokenizer, cutting texts at the model's length and padding nothing.
///
/// `tokenizer.json` files carry truncation and padding of whoever saved them (128 in all-MiniLM-L6-v2's, where the
/// model reads 256); both are replaced by what the manifest says.
#[derive(Debug)]
pub struct TextTokenizer {
    tokenizer: Tokenizer,
}

impl TextTokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// If it is too large or not such a file.
    pub fn from_json(json: &[u8], max_tokens: usize) -> Result<Self, EngineError> {
        let truncation = TruncationParams {
            max_length: max_tokens.min(limits::TOKENS_MAX),
            ..TruncationParams::default()
        };
        Self::read(json, Some(truncation))
    }

    /// Reads a `tokenizer.json` for texts that are refused when they are too long, rather than cut.
    ///
    /// # Errors
    /// If it is too large or not such a file.
    pub fn uncut(json: &[u8]) -> Result<Self, EngineError> {
        Self::read(json, None)
    }

    fn read(json: &[u8], truncation: Option<TruncationParams>) -> Result<Self, EngineError> {
        let refuse = |problem: String| EngineError::Model(format!("its tokenizer is unusable: {problem}"));
        if json.len() as u64 > limits::TOKENIZER_BYTES_MAX {
            return Err(refuse(format!("it has {} bytes", json.len())));
        }
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| refuse(error.to_string()))?;
        tokenizer
            .with_truncation(truncation)
            .map_err(|error| refuse(error.to_string()))?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer })
    }

    /// Tokenizes one text.
    ///
    /// # Errors
    /// If the tokenizer cannot represent the text at all.
    pub fn encode(&self, text: &str) -> Result<Tokens, EngineError> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|error| EngineError::Model(format!("a text cannot be tokenized: {error}")))?;
        let ids: Vec<i64> = encoding.get_ids().iter().map(|&id| i64::from(id)).collect();
        if ids.is_empty() {
            return Err(EngineError::Model(
                "its tokenizer gives no tokens for a text".to_owned(),
            ));
        }
        Ok(Tokens { ids })
    }

    /// The text of tokens, special ones left out. Tokens that the vocabulary does not have are skipped.
    ///
    /// # Errors
    /// If the tokenizer cannot put them together.
    pub fn decode(&self, ids: &[i64]) -> Result<String, EngineError> {
        let ids: Vec<u32> = ids.iter().filter_map(|&id| u32::try_from(id).ok()).collect();
        let refuse = |error| EngineError::Model(format!("tokens cannot be made text: {error}"));
        self.tokenizer.decode(&ids, true).map_err(refuse)
    }

    /// The special tokens that end a text, by the names that model families give them: `tokenizer.json` does not say which
    /// ones they are.
    #[must_use]
    pub fn end_tokens(&self) -> Vec<i64> {
        let added = self.tokenizer.get_added_tokens_decoder();
        let ends = added
            .iter()
            .filter(|(_, token)| token.special && END_TOKENS.contains(&token.content.as_str()));
        ends.map(|(&id, _)| i64::from(id)).collect()
    }
}
