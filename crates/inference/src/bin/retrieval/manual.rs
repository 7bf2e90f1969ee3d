//! Paragraphs and the titles above them, out of a folder of HTML.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Words of the shortest paragraph that is taken.
const PARAGRAPH_WORDS_MIN: usize = 20;
/// Words of the shortest sentence that is asked for.
const SENTENCE_WORDS_MIN: usize = 6;
/// Of so many paragraphs that have a sentence to spare, one gives it.
const SENTENCE_EVERY: usize = 4;
/// Elements whose text is not prose.
const SKIPPED: [&str; 4] = ["script", "style", "pre", "table"];

/// What is to be found, and what by.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    pub(crate) passages: Vec<String>,
    /// Titles, with the passages below each.
    pub(crate) titles: Vec<(String, Vec<usize>)>,
    /// First sentences that were taken out of a passage, with that passage.
    pub(crate) sentences: Vec<(String, Vec<usize>)>,
}

impl Tasks {
    /// Takes about so many passages out of all HTML files below a folder, whole sections, from all over the manual. Sections
    /// whose title is not unique are left out, since it would not say which one is meant.
    pub(crate) fn read(folder: &Path, count: usize) -> Result<Self> {
        let mut files = Vec::new();
        find_html(folder, &mut files)?;
        let mut sections: Vec<(String, Vec<String>)> = Vec::new();
        for file in files {
            let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            sections.extend(sections_of(&String::from_utf8_lossy(&bytes)));
        }
        let mut uses: BTreeMap<String, usize> = BTreeMap::new();
        for (title, _) in &sections {
            *uses.entry(title.clone()).or_default() += 1;
        }
        sections.retain(|(title, _)| uses[title] == 1);
        let available: usize = sections.iter().map(|(_, paragraphs)| paragraphs.len()).sum();
        let every = available.div_ceil(count.max(1)).max(1);
        let mut tasks = Self::default();
        for (title, paragraphs) in sections.into_iter().step_by(every) {
            tasks.add(title, paragraphs);
        }
        Ok(tasks)
    }

    fn add(&mut self, title: String, paragraphs: Vec<String>) {
        let first = self.passages.len();
        for paragraph in paragraphs {
            let at = self.passages.len();
            let gives = at.is_multiple_of(SENTENCE_EVERY);
            match without_first_sentence(&paragraph).filter(|_| gives) {
                Some((sentence, rest)) => {
                    self.sentences.push((sentence.to_owned(), vec![at]));
                    self.passages.push(rest.to_owned());
                }
                None => self.passages.push(paragraph),
            }
        }
        self.titles.push((title, (first..self.passages.len()).collect()));
    }
}

/// All HTML files, in the order of their names.
fn find_html(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find_html(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "html") {
            files.push(path);
        }
    }
    Ok(())
}

/// Titles with the paragraphs up to the next one.
fn sections_of(html: &str) -> Vec<(String, Vec<String>)> {
    let (mut sections, mut text, mut inside, mut skipped) = (Vec::new(), String::new(), false, 0_u32);
    for piece in html.split('<') {
        // What precedes the first tag has no '>' and is no prose either.
        let Some((tag, after)) = piece.split_once('>') else {
            continue;
        };
        let (ends, name) = match tag.strip_prefix('/') {
            Some(name) => (true, name),
            None => (false, tag),
        };
        let name = name.split([' ', '\n', '/']).next().unwrap_or_default();
        let is_title = matches!(name.as_bytes(), [b'h', b'1'..=b'6']);
        match (ends, is_title || name == "p") {
            (false, true) => {
                text.clear();
                inside = true;
            }
            (true, true) if inside => {
                inside = false;
                let plain = plain(&text);
                if is_title {
                    sections.push((title(&plain), Vec::new()));
                } else if let Some((_, paragraphs)) = sections.last_mut()
                    && plain.split(' ').count() >= PARAGRAPH_WORDS_MIN
                {
                    paragraphs.push(plain);
                }
            }
            _ if SKIPPED.contains(&name) => match ends {
                true => skipped = skipped.saturating_sub(1),
                false => skipped += 1,
            },
            _ => {}
        }
        if inside && skipped == 0 {
            text.push_str(after);
        }
    }
    sections.retain(|(title, paragraphs)| !title.is_empty() && !paragraphs.is_empty());
    sections
}

/// Text with its entities resolved and single spaces.
fn plain(text: &str) -> String {
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#8217;", "'"),
        ("&nbsp;", " "),
        ("&#160;", " "),
        ("&amp;", "&"),
    ];
    let resolved = named
        .iter()
        .fold(text.to_owned(), |text, (name, letter)| text.replace(name, letter));
    resolved.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A title without its number and the mark that links to it.
fn title(text: &str) -> String {
    let text = text.trim_end_matches('¶').trim();
    let text = ["Chapter ", "Appendix ", "Part "]
        .iter()
        .find_map(|kind| text.strip_prefix(kind))
        .unwrap_or(text);
    match text.split_once(". ") {
        Some((number, rest)) if is_number(number) => rest.trim().to_owned(),
        _ => text.to_owned(),
    }
}

/// "13.1", "A", "IV".
fn is_number(text: &str) -> bool {
    let parts = || text.split('.');
    parts().all(|part| !part.is_empty() && part.len() <= 4)
        && parts().all(|part| part.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()))
}

/// The first sentence of a paragraph and the rest, if both are long enough.
fn without_first_sentence(paragraph: &str) -> Option<(&str, &str)> {
    let end = paragraph.find(". ")? + 1;
    let (sentence, rest) = (&paragraph[..end], paragraph[end..].trim_start());
    let words = |text: &str| text.split(' ').count();
    (words(sentence) >= SENTENCE_WORDS_MIN && words(rest) >= PARAGRAPH_WORDS_MIN).then_some((sentence, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize) -> String {
        vec!["word"; count].join(" ")
    }

    #[test]
    fn paragraphs_belong_to_the_title_above_them() {
        let html = format!(
            "<html><h1>Chapter 5. Queries</h1><p>too short</p><p>a &lt; <em>b</em>\n {}</p><h2>5.1. Joins<a>¶</a></h2>\
             <pre>code</pre><p class=\"x\">Joins: {}</p><table><p>{}</p></table><h2>Empty</h2>",
            words(20),
            words(20),
            words(30)
        );
        let found = sections_of(&html);
        let titles: Vec<&str> = found.iter().map(|(title, _)| title.as_str()).collect();
        assert_eq!(titles, ["Queries", "Joins"]);
        assert_eq!(found[0].1, [format!("a < b {}", words(20))]);
        assert!(found[1].1[0].starts_with("Joins: word"), "{found:?}");
    }

    #[test]
    fn a_sentence_is_asked_for_only_where_it_is_gone() {
        let mut tasks = Tasks::default();
        let paragraph = format!("This sentence is the first one. {}", words(20));
        tasks.add("A title".into(), vec![paragraph.clone(), paragraph.clone()]);
        assert_eq!(
            tasks.sentences,
            [("This sentence is the first one.".to_owned(), vec![0])]
        );
        assert_eq!(tasks.passages, [words(20), paragraph]);
        assert_eq!(tasks.titles, [("A title".to_owned(), vec![0, 1])]);
    }
}
