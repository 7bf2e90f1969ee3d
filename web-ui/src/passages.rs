//! Knowledge: the texts a person keeps on this device, cut into passages that a model can read whole.
//!
//! A passage is a paragraph. One that is longer than the model reads (256 tokens, about a thousand characters) is cut at
//! the ends of sentences, so that nothing is silently left out of its meaning.

use std::collections::HashSet;

use node_proto::service::TEXTS_MAX;
use serde::{Deserialize, Serialize};

/// Longest passage in characters; below what 256 tokens of prose hold, so that the model cuts nothing off.
pub const PASSAGE_CHARS_MAX: usize = 700;
/// Most passages one question is compared with: the question itself takes the last place of a request.
pub const PASSAGES_MAX: usize = TEXTS_MAX - 1;
/// Most bytes of text one device keeps here; settings stores refuse more than about five million.
pub const KNOWLEDGE_BYTES_MAX: usize = 2_000_000;

/// A text and where it is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file's name; empty for what was pasted.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// Everything kept on this device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Knowledge {
    /// What the text field holds.
    pub pasted: String,
    /// Files, in the order in which they came.
    pub files: Vec<Source>,
}

/// One passage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Passage {
    /// The name of its source; empty for what was pasted.
    pub source: String,
    /// Its number within the source, from 1.
    pub number: usize,
    /// The text.
    pub text: String,
}

/// Why a file was not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// The store would outgrow its limit.
    #[error("there is room for {room} more bytes")]
    Full {
        /// What is left.
        room: usize,
    },
    /// Not text.
    #[error("the file is not plain text")]
    NotText,
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
}

impl Knowledge {
    /// Adds a file, or replaces the one of the same name.
    ///
    /// # Errors
    /// If it is empty, not text, or more than the store holds. The store is unchanged then.
    pub fn add(&mut self, source: Source) -> Result<(), AddError> {
        if source.text.trim().is_empty() {
            return Err(AddError::Empty);
        }
        if source.text.contains(['\0', '\u{fffd}']) {
            return Err(AddError::NotText);
        }
        let kept = self
            .files
            .iter()
            .filter(|file| file.name != source.name)
            .map(|file| file.text.len());
        let room = KNOWLEDGE_BYTES_MAX.saturating_sub(self.pasted.len() + kept.sum::<usize>());
        if source.text.len() > room {
            return Err(AddError::Full { room });
        }
        match self.files.iter_mut().find(|file| file.name == source.name) {
            Some(file) => *file = source,
            None => self.files.push(source),
        }
        Ok(())
    }

    /// All passages, each text once, in order.
    pub fn passages(&self) -> Vec<Passage> {
        let mut seen = HashSet::new();
        let pasted = cut("", &self.pasted);
        let filed = self.files.iter().flat_map(|file| cut(&file.name, &file.text));
        pasted
            .into_iter()
            .chain(filed)
            .filter(|passage| seen.insert(passage.text.clone()))
            .collect()
    }
}

/// Cuts one text: paragraphs, then sentences where a paragraph is too long, then words where a sentence is.
pub fn cut(source: &str, text: &str) -> Vec<Passage> {
    let paragraphs = paragraphs(text);
    let pieces = paragraphs
        .iter()
        .flat_map(|paragraph| pieces(paragraph, PASSAGE_CHARS_MAX));
    pieces
        .enumerate()
        .map(|(index, text)| Passage {
            source: source.to_owned(),
            number: index + 1,
            text,
        })
        .collect()
}

/// Paragraphs are separated by blank lines; the line breaks inside one are only layout.
fn paragraphs(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut current = String::new();
    for line in text.lines().chain([""]) {
        let words = line.split_whitespace();
        if line.trim().is_empty() {
            all.extend((!current.is_empty()).then(|| std::mem::take(&mut current)));
        }
        words.for_each(|word| push_word(&mut current, word));
    }
    all
}

fn pieces(paragraph: &str, chars_max: usize) -> Vec<String> {
    if paragraph.chars().count() <= chars_max {
        return vec![paragraph.to_owned()];
    }
    let mut all = Vec::new();
    let mut current = String::new();
    for part in paragraph
        .split_inclusive(". ")
        .flat_map(|sentence| words_within(sentence, chars_max))
    {
        if !current.is_empty() && current.chars().count() + 1 + part.chars().count() > chars_max {
            all.push(std::mem::take(&mut current));
        }
        push_word(&mut current, part.trim());
    }
    all.extend((!current.is_empty()).then_some(current));
    all
}

/// A sentence whole if it fits, else in runs of words, else in runs of characters.
fn words_within(sentence: &str, chars_max: usize) -> Vec<String> {
    if sentence.chars().count() <= chars_max {
        return vec![sentence.to_owned()];
    }
    let words = sentence.split_whitespace().flat_map(|word| {
        let letters: Vec<char> = word.chars().collect();
        letters
            .chunks(chars_max)
            .map(String::from_iter)
            .collect::<Vec<_>>()
    });
    let mut all: Vec<String> = Vec::new();
    for word in words {
        match all.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() <= chars_max => {
                push_word(last, &word)
            }
            _ => all.push(word),
        }
    }
    all
}

fn push_word(text: &mut String, word: &str) {
    if !text.is_empty() && !word.is_empty() {
        text.push(' ');
    }
    text.push_str(word);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        cut("", text).into_iter().map(|passage| passage.text).collect()
    }

    #[test]
    fn blank_lines_separate_passages_and_line_breaks_do_not() {
        assert_eq!(
            texts("one\ntwo\n\n  \nthree\r\n\r\nfour"),
            ["one two", "three", "four"]
        );
        assert!(texts(" \n\n ").is_empty());
    }

    #[test]
    fn a_long_paragraph_is_cut_at_sentences_and_loses_nothing() {
        let sentence = "The heat pump in the cellar was serviced in March and runs quietly since then. ";
        let paragraph = sentence.repeat(30);
        let cut = texts(&paragraph);
        assert!(cut.len() > 1);
        assert!(
            cut.iter()
                .all(|text| text.chars().count() <= PASSAGE_CHARS_MAX && text.ends_with('.'))
        );
        assert_eq!(cut.join(" "), paragraph.trim());
    }

    #[test]
    fn even_a_word_without_end_is_bounded() {
        let cut = texts(&"ü".repeat(PASSAGE_CHARS_MAX * 2 + 1));
        assert_eq!(cut.len(), 3);
        assert!(cut.iter().all(|text| text.chars().count() <= PASSAGE_CHARS_MAX));
    }

    #[test]
    fn the_same_text_counts_once() {
        let mut knowledge = Knowledge {
            pasted: "a\n\nb\n\na".into(),
            files: Vec::new(),
        };
        knowledge
            .add(Source {
                name: "f.txt".into(),
                text: "b\n\nc".into(),
            })
            .unwrap();
        let passages = knowledge.passages();
        assert_eq!(
            passages.iter().map(|p| p.text.as_str()).collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
        assert_eq!((passages[2].source.as_str(), passages[2].number), ("f.txt", 2));
    }

    #[test]
    fn a_file_is_replaced_by_its_name_and_refused_when_it_is_no_text_or_too_much() {
        let mut knowledge = Knowledge::default();
        let file = |text: &str| Source {
            name: "f".into(),
            text: text.into(),
        };
        knowledge.add(file("one")).unwrap();
        knowledge.add(file("two")).unwrap();
        assert_eq!(knowledge.files.len(), 1);
        assert_eq!(knowledge.add(file(" \n")), Err(AddError::Empty));
        assert_eq!(knowledge.add(file("a\0b")), Err(AddError::NotText));
        let huge = "x".repeat(KNOWLEDGE_BYTES_MAX + 1);
        assert_eq!(
            knowledge.add(file(&huge)),
            Err(AddError::Full {
                room: KNOWLEDGE_BYTES_MAX
            })
        );
        assert_eq!(knowledge.files[0].text, "two");
    }
}
