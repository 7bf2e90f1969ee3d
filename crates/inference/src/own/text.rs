//! Text that grows token by token: what of it is certain, and where it stops.
//!
//! A token may hold a part of a character, and a stop sequence may come in several tokens. Both are held back until they
//! are complete, so that nothing that was said has to be taken back.

/// What stands where a character is not complete.
const INCOMPLETE: char = '\u{fffd}';

/// A text under way.
#[derive(Debug)]
pub(super) struct GrowingText<'a> {
    stop: &'a [String],
    said: String,
}

impl<'a> GrowingText<'a> {
    pub(super) fn new(stop: &'a [String]) -> Self {
        let said = String::new();
        Self { stop, said }
    }

    /// Takes the text of all tokens so far. Gives what is new and certain, and the whole text if a stop sequence ended it.
    pub(super) fn grow(&mut self, text: &str) -> (String, Option<String>) {
        let stop = self.stop.iter().filter_map(|stop| text.find(stop.as_str())).min();
        if let Some(end) = stop {
            let whole = &text[..end];
            return (self.say(whole), Some(whole.to_owned()));
        }
        let complete = text.trim_end_matches(INCOMPLETE);
        let open = self.stop.iter().map(|stop| overlap(complete, stop)).max();
        let certain = &complete[..complete.len() - open.unwrap_or(0)];
        (self.say(certain), None)
    }

    /// What is certain and was not said. A tokenizer that changes what it said before says nothing more until the end.
    fn say(&mut self, certain: &str) -> String {
        let new = certain
            .strip_prefix(self.said.as_str())
            .unwrap_or_default()
            .to_owned();
        self.said.push_str(&new);
        new
    }
}

/// Bytes of the longest end of a text with which a stop sequence begins.
fn overlap(text: &str, stop: &str) -> usize {
    let ends = stop.char_indices().map(|(at, letter)| at + letter.len_utf8());
    ends.filter(|&end| text.ends_with(&stop[..end]))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(stop: &[&str], texts: &[&str]) -> (Vec<String>, Option<String>) {
        let stop: Vec<String> = stop.iter().map(|&stop| stop.to_owned()).collect();
        let mut growing = GrowingText::new(&stop);
        let mut said = Vec::new();
        for text in texts {
            let (piece, whole) = growing.grow(text);
            said.push(piece);
            if whole.is_some() {
                return (said, whole);
            }
        }
        (said, None)
    }

    #[test]
    fn half_a_character_waits_for_its_other_half() {
        let (said, _) = pieces(&[], &["a", "a\u{fffd}", "aé", "aé!"]);
        assert_eq!(said, ["a", "", "é", "!"]);
    }

    #[test]
    fn a_stop_sequence_is_never_said_not_even_its_beginning() {
        let (said, whole) = pieces(&["\n\nQ", "##"], &["one", "one\n", "one\n\n", "one\n\nQ: two"]);
        assert_eq!(said, ["one", "", "", ""]);
        assert_eq!(whole.as_deref(), Some("one"));
    }

    #[test]
    fn what_only_looked_like_a_stop_is_said_later() {
        let (said, whole) = pieces(&["ab€c"], &["xa", "xab€", "xab€d"]);
        assert_eq!(said, ["x", "", "ab€d"]);
        assert_eq!(whole, None);
    }

    #[test]
    fn a_tokenizer_that_changes_its_mind_is_not_repeated() {
        let (said, _) = pieces(&[], &["a ,", "a, b", "a, b"]);
        assert_eq!(said, ["a ,", "", ""]);
    }
}
