//! What a text consists of: how long it is, and which words and pairs of words come most often.
//!
//! Input: UTF-8. Output: UTF-8, one fact a line, `name<tab>number`; then up to 20 lines `word<tab>number<tab>the word` and as many
//! `pair<tab>number<tab>two words`, the most frequent first and by the alphabet where they are as frequent. A word is a run of
//! letters and digits with apostrophes within, in lower case; a pair does not reach across the end of a sentence.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Words, and pairs, that are listed.
const LISTED: usize = 20;

guest::entry!(|input| {
    let text = std::str::from_utf8(input)
        .map_err(|error| format!("this is no text in UTF-8 from byte {} on", error.valid_up_to()))?;
    Ok(statistics(text).into_bytes())
});

fn statistics(text: &str) -> String {
    let mut words: BTreeMap<String, u64> = BTreeMap::new();
    let mut pairs: BTreeMap<(String, String), u64> = BTreeMap::new();
    let (mut sentences, mut total) = (0_u64, 0_u64);
    for sentence in text.split_inclusive(['.', '!', '?']) {
        let mut before: Option<String> = None;
        let found = sentence.split(|letter: char| !letter.is_alphanumeric() && letter != '\'');
        for word in found
            .map(|word| word.trim_matches('\''))
            .filter(|word| !word.is_empty())
        {
            let word = word.to_lowercase();
            if let Some(before) = before.replace(word.clone()) {
                *pairs.entry((before, word.clone())).or_default() += 1;
            }
            *words.entry(word).or_default() += 1;
            total += 1;
        }
        sentences += u64::from(before.is_some());
    }
    let mut out = String::new();
    let facts = [
        ("characters", text.chars().count() as u64),
        ("lines", text.lines().count() as u64),
        ("sentences", sentences),
        ("words", total),
        ("distinct words", words.len() as u64),
    ];
    for (name, number) in facts {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{name}\t{number}");
    }
    for (word, number) in most(words) {
        let _ = writeln!(out, "word\t{number}\t{word}");
    }
    for ((first, second), number) in most(pairs) {
        let _ = writeln!(out, "pair\t{number}\t{first} {second}");
    }
    out
}

/// The most frequent ones. They come in the order of the alphabet, and the sort keeps it.
fn most<K>(counts: BTreeMap<K, u64>) -> impl Iterator<Item = (K, u64)> {
    let mut counts: Vec<(K, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    counts.into_iter().take(LISTED)
}
