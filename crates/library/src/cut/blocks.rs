//! What plain text and Markdown consist of, line by line.
//!
//! Of [CommonMark] only what decides where a passage begins is read: ATX and setext headings, fences, blank lines and the
//! starts of list items. Everything else is prose, with its marks, since that is how its author wrote it.
//!
//! [CommonMark]: https://spec.commonmark.org/0.31.2/

use std::ops::Range;

/// A stretch of text of one kind. Blocks come in the text's order and do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// A heading's words.
    Heading {
        /// 1 is the outermost.
        level: usize,
        range: Range<usize>,
    },
    Prose(Range<usize>),
    /// With its fences.
    Code(Range<usize>),
}

/// Longest paragraph that an underline makes a heading of, bytes: what is longer was no heading to its author.
const UNDERLINED_BYTES_MAX: usize = 200;

/// Paragraphs between blank lines.
pub(super) fn plain(text: &str, found: &mut dyn FnMut(Block)) {
    let mut open = None;
    for (start, line) in lines(text) {
        if line.trim().is_empty() {
            open.take().map(Block::Prose).map(&mut *found);
        } else {
            extend(&mut open, start..start + line.len());
        }
    }
    open.map(Block::Prose).map(found);
}

/// Headings, code and paragraphs.
pub(super) fn markdown(text: &str, found: &mut dyn FnMut(Block)) {
    let mut open: Option<Range<usize>> = None;
    let mut code: Option<(Fence, Range<usize>)> = None;
    for (start, line) in lines(text) {
        let range = start..start + line.len();
        if let Some((fence, so_far)) = &mut code {
            so_far.end = range.end;
            if fence.is_closed_by(line) {
                found(Block::Code(so_far.clone()));
                code = None;
            }
        } else if let Some(fence) = Fence::opened_by(line) {
            open.take().map(Block::Prose).map(&mut *found);
            code = Some((fence, range));
        } else if let Some((level, words)) = atx_heading(line) {
            open.take().map(Block::Prose).map(&mut *found);
            found(Block::Heading {
                level,
                range: start + words.start..start + words.end,
            });
        } else if line.trim().is_empty() {
            open.take().map(Block::Prose).map(&mut *found);
        } else if let Some(level) = underline(line)
            && open
                .as_ref()
                .is_some_and(|open| open.len() <= UNDERLINED_BYTES_MAX)
        {
            open.take()
                .map(|range| Block::Heading { level, range })
                .map(&mut *found);
        } else {
            if starts_item(line) {
                open.take().map(Block::Prose).map(&mut *found);
            }
            extend(&mut open, range);
        }
    }
    // A fence that nothing closes holds the rest, as in CommonMark.
    code.map(|(_, range)| Block::Code(range)).map(&mut *found);
    open.map(Block::Prose).map(found);
}

/// Whether a line would be taken for something else than prose; a writer puts a backslash before it.
pub(super) fn is_marked(line: &str) -> bool {
    atx_heading(line).is_some() || Fence::opened_by(line).is_some() || underline(line).is_some()
}

/// Lines without what ends them, and where they begin.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |start, line| {
        let at = *start;
        *start += line.len();
        Some((at, line.trim_end_matches(['\n', '\r'])))
    })
}

fn extend(open: &mut Option<Range<usize>>, line: Range<usize>) {
    match open {
        Some(open) => open.end = line.end,
        None => *open = Some(line),
    }
}

/// `# words`, up to three spaces in and with at most six marks. The range is the words'.
fn atx_heading(line: &str) -> Option<(usize, Range<usize>)> {
    let marks = indented(line)?;
    let words = marks.trim_start_matches('#');
    let level = marks.len() - words.len();
    let is_heading = (1..=6).contains(&level) && words.starts_with([' ', '\t']) && !words.trim().is_empty();
    let start = line.len() - words.trim_start().len();
    is_heading.then(|| (level, start..start + words.trim().len()))
}

/// The level of the heading that a line below it makes: `===` or `---`. One mark would do in CommonMark; three are no accident.
fn underline(line: &str) -> Option<usize> {
    let marks = indented(line)?.trim_end();
    let is_all = |mark: char| marks.len() >= 3 && marks.trim_matches(mark).is_empty();
    match (is_all('='), is_all('-')) {
        (true, _) => Some(1),
        (_, true) => Some(2),
        _ => None,
    }
}

/// The line without its indentation, if that is none of a code block's.
fn indented(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches(' ');
    (line.len() - rest.len() <= 3).then_some(rest)
}

/// `- words`, `* words`, `+ words`, `1. words`, `1) words`, however far in.
fn starts_item(line: &str) -> bool {
    let line = line.trim_start();
    let rest = match line.strip_prefix(['-', '*', '+']) {
        Some(rest) => rest,
        None => {
            let after = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
            match after.strip_prefix(['.', ')']) {
                Some(rest) if after.len() < line.len() => rest,
                _ => return false,
            }
        }
    };
    rest.starts_with([' ', '\t'])
}

/// What begins a code block: three or more of one mark.
struct Fence {
    mark: char,
    count: usize,
}

impl Fence {
    fn opened_by(line: &str) -> Option<Self> {
        let marks = line.trim_start();
        ['`', '~'].into_iter().find_map(|mark| {
            let rest = marks.trim_start_matches(mark);
            let count = marks.len() - rest.len();
            // Backticks after it mean that the first ones are part of a line.
            (count >= 3 && !(mark == '`' && rest.contains('`'))).then_some(Self { mark, count })
        })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let marks = line.trim();
        marks.len() >= self.count && marks.trim_matches(self.mark).is_empty()
    }
}
