//! What is a sentence that a person might have written down, and what is code, markup or a licence.

/// Sentences that follow one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passage(pub(crate) Vec<String>);

/// Words of one sentence.
const WORDS_MIN: usize = 5;
const WORDS_MAX: usize = 60;
/// Characters of one word: longer ones are identifiers.
const WORD_CHARS_MAX: usize = 22;
/// Sentences of one passage.
const SENTENCES_MAX: usize = 12;

/// Words without which English is not written: one in six of a sentence's at least.
const COMMON: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "do", "for", "from", "have", "if", "in",
    "is", "it", "not", "of", "on", "or", "so", "that", "the", "then", "there", "they", "this", "to", "was",
    "we", "what", "when", "which", "will", "with", "you",
];
/// Parts of words that only stand in texts which are the same everywhere.
const BOILERPLATE: &[&str] = &[
    "copyright",
    "licen",
    "warrant",
    "redistribut",
    "permission",
    "liab",
    "trademark",
    "patent",
    "public domain",
    "contributor",
    "free software",
];
/// Ends with a full stop and ends no sentence.
const ABBREVIATIONS: &[&str] = &[
    "e.g.", "i.e.", "etc.", "vs.", "cf.", "mr.", "mrs.", "dr.", "no.", "fig.", "approx.",
];

/// The passages of a text: sentences of paragraphs that follow one another. What is no prose is left out, and a paragraph of
/// nothing else ends a passage.
pub(crate) fn passages(text: &str) -> Vec<Passage> {
    let (mut found, mut passage) = (Vec::new(), Vec::new());
    let mut paragraph = String::new();
    for line in text.lines().chain([""]) {
        let trimmed = line.trim();
        let item = trimmed.trim_start_matches(['-', '*', '+', '•']);
        let begins = item.len() != trimmed.len();
        if trimmed.is_empty() || begins || !trimmed.contains(char::is_alphabetic) {
            extend(&mut passage, &std::mem::take(&mut paragraph), &mut found);
        }
        paragraph.push(' ');
        paragraph.push_str(item.trim_start());
    }
    found.extend((!passage.is_empty()).then_some(Passage(passage)));
    found
}

/// Python's documentation strings.
pub(crate) fn of_python(source: &str) -> String {
    source
        .split("\"\"\"")
        .skip(1)
        .step_by(2)
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// Perl's documentation without its examples, which are indented.
pub(crate) fn of_perl(source: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in source.lines() {
        match line.strip_prefix('=') {
            Some(command) => {
                inside = !command.starts_with("cut");
                prose.push('\n');
            }
            None if inside && !line.starts_with([' ', '\t']) => {
                prose.push_str(line);
                prose.push('\n');
            }
            None => {}
        }
    }
    prose
}

/// Rust's documentation comments.
pub(crate) fn of_rust(source: &str) -> String {
    let comment = |line: &str| {
        let line = line.trim_start();
        let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        text.unwrap_or_default().to_owned()
    };
    source.lines().map(comment).collect::<Vec<_>>().join("\n")
}

/// Adds a paragraph's prose to the passage, which ends where there is none or it is long enough.
fn extend(passage: &mut Vec<String>, paragraph: &str, found: &mut Vec<Passage>) {
    let good: Vec<String> = sentences(paragraph)
        .into_iter()
        .filter(|sentence| is_prose(sentence))
        .collect();
    let ends = good.is_empty() && !paragraph.trim().is_empty();
    for sentence in good {
        passage.push(sentence);
        if passage.len() == SENTENCES_MAX {
            found.push(Passage(std::mem::take(passage)));
        }
    }
    if ends && !passage.is_empty() {
        found.push(Passage(std::mem::take(passage)));
    }
}

fn sentences(paragraph: &str) -> Vec<String> {
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let (mut found, mut start) = (Vec::new(), 0);
    for (place, word) in words.iter().enumerate() {
        let next_begins = words
            .get(place + 1)
            .is_none_or(|next| next.starts_with(|c: char| c.is_uppercase() || "\"'(“".contains(c)));
        if next_begins && ends_sentence(word) {
            found.push(words[start..=place].join(" "));
            start = place + 1;
        }
    }
    if start < words.len() {
        found.push(words[start..].join(" "));
    }
    found
}

fn ends_sentence(word: &str) -> bool {
    let bare = word.trim_end_matches(['"', '\'', ')', '”']);
    bare.ends_with(['.', '?', '!']) && !ABBREVIATIONS.contains(&bare.to_lowercase().as_str())
}

/// Whether a sentence is whole, English, and of words alone.
fn is_prose(sentence: &str) -> bool {
    let words: Vec<&str> = sentence.split(' ').collect();
    let plain = |c: char| c.is_alphanumeric() || " ,.;:'\"()-?!%–—’“”".contains(c);
    let fine = (WORDS_MIN..=WORDS_MAX).contains(&words.len())
        && sentence.starts_with(char::is_uppercase)
        && words.last().is_some_and(|last| ends_sentence(last))
        && sentence.chars().all(plain)
        && !["::", "()", "..", "--", ".:"]
            .iter()
            .any(|code| sentence.contains(code))
        && words.iter().all(|word| is_word(word));
    if !fine {
        return false;
    }
    let lower = sentence.to_lowercase();
    let share = |count: usize| count as f64 / words.len() as f64;
    let common = lower.split(' ').filter(|word| COMMON.contains(word)).count();
    let capital = words
        .iter()
        .skip(1)
        .filter(|word| word.starts_with(char::is_uppercase))
        .count();
    share(common) >= 1.0 / 6.0
        && share(capital) <= 0.25
        && !BOILERPLATE.iter().any(|part| lower.contains(part))
}

/// No identifier, path, version or host name: no full stop, colon or capital inside.
fn is_word(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    let inside = bare.contains(['.', ':', ';', '(', ')', '?', '!', '"']);
    let camel = bare
        .chars()
        .zip(bare.chars().skip(1))
        .any(|(a, b)| a.is_lowercase() && b.is_uppercase());
    word.chars().count() <= WORD_CHARS_MAX && (!inside || ABBREVIATIONS.contains(&word)) && !camel
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(passages: &[Passage]) -> Vec<String> {
        passages.iter().map(|passage| passage.0.join(" ")).collect()
    }

    #[test]
    fn sentences_of_a_paragraph_stay_together_and_code_goes() {
        let text = "The cache is emptied\nwhen it is full. Then the oldest entry goes first, i.e. the one that nobody wants.\n\n    let x = cache.len();\n\n- A list has an item that is of interest to us.\n- short one\n\nIt calls foo() and then it is over for good. What comes after it is fine for us.\n\nSo is the paragraph that comes next.\n";
        assert_eq!(
            texts(&passages(text)),
            [
                "The cache is emptied when it is full. Then the oldest entry goes first, i.e. the one that nobody wants.",
                "A list has an item that is of interest to us.",
                "What comes after it is fine for us. So is the paragraph that comes next.",
            ]
        );
    }

    #[test]
    fn licences_names_and_other_languages_are_left_out() {
        for text in [
            "Permission is hereby granted to any person who has a copy of it.",
            "This is distributed in the hope that it is useful but without any warranty.",
            "Ada Lovelace Charles Babbage Grace Hopper and Alan Turing in London.",
            "Die Katze sitzt auf der Mauer und schaut den Vögeln zu.",
            "See https://example.org for what is in the newest one of them.",
            "The option maxConnections is what you want to set in this case.",
            "the sentence has no beginning that one could see in it.",
            "It has no end that anybody could find in the text",
        ] {
            assert_eq!(texts(&passages(text)), [""; 0], "{text}");
        }
    }

    #[test]
    fn documentation_is_taken_out_of_sources() {
        let python = "def f():\n    \"\"\"Return what is in the box.\"\"\"\n    return 1\n";
        assert_eq!(
            texts(&passages(&of_python(python))),
            ["Return what is in the box."]
        );
        let perl = "my $x = 1;\n=head1 NAME\n\nIt is what the name of it says.\n\n    $x = f();\n\n=cut\nWhat is not in it is not there.\n";
        assert_eq!(
            texts(&passages(&of_perl(perl))),
            ["It is what the name of it says."]
        );
        let rust = "/// Gives what is in the box.\nfn f() {}\n// What is not in it is not there.\n";
        assert_eq!(texts(&passages(&of_rust(rust))), ["Gives what is in the box."]);
    }
}
