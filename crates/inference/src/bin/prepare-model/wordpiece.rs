//! WordPiece for plain English, so that the known answers of models made here do not rest on the tokenizer that they check.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The part of a `tokenizer.json` that lists the pieces.
#[derive(Deserialize)]
struct File {
    model: Vocabulary,
}

/// Pieces and their numbers.
#[derive(Deserialize)]
pub(crate) struct Vocabulary {
    vocab: BTreeMap<String, usize>,
}

impl Vocabulary {
    pub(crate) fn read(tokenizer: &[u8]) -> Result<Self> {
        let file: File = serde_json::from_slice(tokenizer).context("tokenizer.json")?;
        let count = file.model.vocab.len();
        ensure!(
            file.model.vocab.values().all(|&id| id < count),
            "the vocabulary has gaps"
        );
        Ok(file.model)
    }

    pub(crate) fn len(&self) -> usize {
        self.vocab.len()
    }

    pub(crate) fn id(&self, piece: &str) -> Result<usize> {
        let id = self.vocab.get(piece).copied();
        id.with_context(|| format!("the vocabulary does not have {piece:?}"))
    }

    /// The tokens of a text of ASCII letters, digits, spaces and punctuation, with the marks at both ends.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<usize>> {
        ensure!(
            text.is_ascii(),
            "{text:?} is not plain English, which is all that is cut here"
        );
        let mut tokens = vec![self.id("[CLS]")?];
        let lower = text.to_ascii_lowercase();
        for word in lower.split_ascii_whitespace() {
            for part in word.split_inclusive(|c: char| c.is_ascii_punctuation()) {
                let (letters, mark) = match part.strip_suffix(|c: char| c.is_ascii_punctuation()) {
                    Some(letters) => (letters, &part[letters.len()..]),
                    None => (part, ""),
                };
                self.cut(letters, &mut tokens)?;
                self.cut(mark, &mut tokens)?;
            }
        }
        tokens.push(self.id("[SEP]")?);
        Ok(tokens)
    }

    /// The longest piece that fits, again and again.
    fn cut(&self, word: &str, tokens: &mut Vec<usize>) -> Result<()> {
        let mut start = 0;
        while start < word.len() {
            let mark = if start == 0 { "" } else { "##" };
            let longest = (start + 1..=word.len())
                .rev()
                .find_map(|end| Some((end, *self.vocab.get(&format!("{mark}{}", &word[start..end]))?)));
            let (end, id) = longest.with_context(|| format!("{word:?} cannot be cut"))?;
            tokens.push(id);
            start = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_into_the_longest_pieces() {
        let vocab = ["[CLS]", "[SEP]", "un", "##able", "##ab", "##le", "able", "?", "'"];
        let vocab = vocab
            .iter()
            .enumerate()
            .map(|(id, piece)| ((*piece).to_owned(), id));
        let vocabulary = Vocabulary {
            vocab: vocab.collect(),
        };
        let encode = |text: &str| vocabulary.encode(text);
        assert_eq!(encode("Unable? 'able'").unwrap(), [0, 2, 3, 7, 8, 6, 8, 1]);
        assert_eq!(encode("").unwrap(), [0, 1]);
        assert!(encode("xyz").is_err() && encode("é").is_err());
    }
}
