//! Where a text too long for one passage is cut.

use std::ops::Range;

/// Cuts a range into pieces of at most `bytes_max` without white space at their ends. Each but the last takes at least a third
/// of `bytes_max` off the range, so that the time is linear.
pub(super) fn split(
    text: &str,
    range: Range<usize>,
    bytes_max: usize,
    is_code: bool,
    found: &mut dyn FnMut(Range<usize>),
) {
    let mut rest = trim(text, range);
    while rest.len() > bytes_max {
        let window = &text[rest.start..text.floor_char_boundary(rest.start + bytes_max)];
        let end = rest.start + cut_at(window, is_code);
        found(trim(text, rest.start..end));
        rest = trim(text, end..rest.end);
    }
    if !rest.is_empty() {
        found(rest);
    }
}

/// A range without the white space at its ends.
pub(super) fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let within = &text[range.clone()];
    let start = range.start + within.len() - within.trim_start().len();
    start..start + within.trim().len()
}

/// The best place in a window that begins with a letter; never 0.
fn cut_at(window: &str, is_code: bool) -> usize {
    let least = window.len() / 3;
    let (mut sentence, mut line, mut word) = (0, 0, 0);
    let mut ended = false;
    for (at, letter) in window.char_indices() {
        if letter == '\n' && at > least {
            line = at;
        }
        if letter.is_whitespace() && at > least {
            word = at;
        }
        let after = at + letter.len_utf8();
        if is_wide_stop(letter) && after > least {
            sentence = after;
        }
        if ended && letter.is_whitespace() && at > least && !goes_on(&window[at..]) {
            sentence = at;
        }
        // A quotation or bracket may close after the full stop.
        ended = matches!(letter, '.' | '!' | '?' | '…') || (ended && is_closing(letter));
    }
    let places = if is_code {
        [line, word, 0]
    } else {
        [sentence, line, word]
    };
    places
        .into_iter()
        .find(|place| *place > 0)
        .unwrap_or_else(|| between_letters(window))
}

/// Full stops of scripts that put no space after one.
fn is_wide_stop(letter: char) -> bool {
    matches!(letter, '。' | '！' | '？' | '।' | '۔')
}

fn is_closing(letter: char) -> bool {
    matches!(letter, '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '*' | '_')
}

/// Whether what follows a full stop is in small letters: then it was an abbreviation's.
fn goes_on(rest: &str) -> bool {
    let next = rest.chars().find(|letter| !letter.is_whitespace());
    next.is_some_and(char::is_lowercase)
}

/// Marks looked back over for the start of a letter; a longer pile of them is cut.
const MARKS_MAX: usize = 24;

/// The last place in the window that is not within a letter and its marks.
fn between_letters(window: &str) -> usize {
    let mut places = window.char_indices().rev().take(MARKS_MAX).peekable();
    while let Some((at, letter)) = places.next() {
        let before = places.peek().map(|(_, before)| *before);
        if !is_mark(letter) && before != Some('\u{200d}') && !is_flag(letter) {
            // The mark of this letter may stand beyond the window, so the letter goes with it.
            return if at > window.len() / 3 { at } else { window.len() };
        }
    }
    window.len()
}

/// Combining marks of the most used blocks, variation selectors, the joiner, and skin tones (UAX #29's Extend, in part).
fn is_mark(letter: char) -> bool {
    matches!(letter,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{900}'..='\u{903}' | '\u{93a}'..='\u{94d}' | '\u{e31}' | '\u{e34}'..='\u{e3a}'
        | '\u{e47}'..='\u{e4e}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{200d}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

/// Regional indicators, of which two make a flag.
fn is_flag(letter: char) -> bool {
    matches!(letter, '\u{1f1e6}'..='\u{1f1ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, bytes_max: usize, is_code: bool) -> Vec<&str> {
        let mut found = Vec::new();
        split(text, 0..text.len(), bytes_max, is_code, &mut |range| {
            found.push(&text[range]);
        });
        found
    }

    #[test]
    fn sentences_stay_whole_where_they_fit() {
        let text = "Bread needs time, e.g. a night. \"Salt?\" Yes. Knead it well and wait.";
        assert_eq!(
            pieces(text, 48, false),
            [
                "Bread needs time, e.g. a night. \"Salt?\" Yes.",
                "Knead it well and wait."
            ]
        );
        // The full stop of an abbreviation ends nothing; then words are the places.
        assert_eq!(
            pieces("Take spices, e.g. thyme and dill", 24, false),
            ["Take spices, e.g. thyme", "and dill"]
        );
    }

    #[test]
    fn scripts_without_spaces_are_cut_too() {
        assert_eq!(
            pieces("水是湿的。火是热的。", 18, false),
            ["水是湿的。", "火是热的。"]
        );
        assert_eq!(pieces("水是湿的火是热的", 14, false).concat(), "水是湿的火是热的");
    }

    #[test]
    fn a_letter_keeps_its_marks() {
        for piece in pieces(&"e\u{301}".repeat(50), 64, false) {
            assert!(piece.starts_with('e') && piece.ends_with('\u{301}'), "{piece:?}");
        }
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        for piece in pieces(&family.repeat(20), 64, false) {
            assert_eq!(piece.len() % family.len(), 0, "{piece:?}");
        }
        // A pile of marks that would fill passages is no letter any more.
        let pile = format!("a{}", "\u{301}".repeat(500));
        assert_eq!(pieces(&pile, 64, false).concat(), pile);
    }

    #[test]
    fn code_is_cut_between_lines() {
        let code = "let a = 1. + b;\nlet c = d. Eq;\nlet e = 2;";
        assert_eq!(
            pieces(code, 32, true),
            ["let a = 1. + b;\nlet c = d. Eq;", "let e = 2;"]
        );
    }
}
