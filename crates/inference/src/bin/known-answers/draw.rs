//! Which texts: from a few words to a passage, as people's questions and notes are.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::chance;
use crate::prose::Passage;

/// Words of a text. Lengths are spread evenly over their logarithm, so that every length has many that are about as long.
const WORDS_MIN: f64 = 3.0;
const WORDS_MAX: f64 = 120.0;
/// Below this many words a text is a piece of a sentence, as questions and titles are.
const PIECE_WORDS_MAX: usize = 12;
/// Passages that are looked at for one that is long enough, and tries for a text that is not there yet.
const LOOKS: usize = 24;
const TRIES_PER_TEXT: usize = 20;

/// Draws `count` different texts.
pub(crate) fn texts(passages: &[Passage], count: usize) -> Result<Vec<String>> {
    ensure!(!passages.is_empty(), "there is no text to draw from");
    let mut drawn = BTreeSet::new();
    for _ in 0..count.saturating_mul(TRIES_PER_TEXT) {
        if drawn.len() == count {
            break;
        }
        let words = (WORDS_MIN * (WORDS_MAX / WORDS_MIN).powf(chance::unit()?)).round() as usize;
        drawn.insert(text(passages, words)?);
    }
    ensure!(
        drawn.len() == count,
        "only {} different texts could be drawn: more prose is needed",
        drawn.len()
    );
    let mut texts: Vec<String> = drawn.into_iter().collect();
    chance::shuffle(&mut texts)?;
    Ok(texts)
}

/// A text of about so many words.
fn text(passages: &[Passage], words: usize) -> Result<String> {
    let mut best: &[String] = &[];
    for _ in 0..LOOKS {
        let sentences = &passages[chance::below(passages.len())?].0;
        let sentences = &sentences[chance::below(sentences.len())?..];
        if words_of(sentences) > words_of(best) {
            best = sentences;
        }
        if words_of(best) >= words {
            break;
        }
    }
    if words < PIECE_WORDS_MAX {
        return piece(best.first().map_or("", String::as_str), words);
    }
    // Whole sentences, as many as come closest.
    let mut taken = 1;
    let miss = |taken: usize| words_of(&best[..taken]).abs_diff(words);
    while taken < best.len() && miss(taken + 1) < miss(taken) {
        taken += 1;
    }
    Ok(best[..taken].join(" "))
}

/// So many words of a sentence, from anywhere in it.
fn piece(sentence: &str, words: usize) -> Result<String> {
    let all: Vec<&str> = sentence.split(' ').collect();
    let words = words.min(all.len());
    let start = chance::below(all.len() - words + 1)?;
    let piece = all[start..start + words].join(" ");
    Ok(piece.trim_matches(|c: char| !c.is_alphanumeric()).to_owned())
}

fn words_of(sentences: &[String]) -> usize {
    sentences.iter().map(|sentence| sentence.split(' ').count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_of_every_length_and_none_comes_twice() {
        let sentence = |passage: usize, place: usize| {
            format!("Number {passage} and {place} of a row of many words is here.")
        };
        let passages: Vec<Passage> = (0..300)
            .map(|passage| Passage((0..10).map(|place| sentence(passage, place)).collect()))
            .collect();
        let drawn = texts(&passages, 400).unwrap();
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 400);
        let lengths: Vec<usize> = drawn.iter().map(|text| text.split(' ').count()).collect();
        for (low, high) in [(3, 6), (7, 12), (13, 24), (25, 48), (49, 120)] {
            let within = lengths
                .iter()
                .filter(|length| (low..=high).contains(*length))
                .count();
            assert!(within >= 20, "{within} have {low} to {high} words");
        }
        assert!(lengths.iter().all(|length| (3..=120).contains(length)));
        assert!(
            drawn
                .iter()
                .all(|text| !text.starts_with(' ') && !text.is_empty())
        );
    }

    #[test]
    fn too_little_prose_is_an_error() {
        let passage = Passage(vec!["There is one sentence in all of it.".to_owned()]);
        assert!(texts(&[passage], 100).is_err());
        assert!(texts(&[], 1).is_err());
    }
}
