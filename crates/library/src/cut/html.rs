//! HTML becomes Markdown: its text, its headings and its code, and nothing else of it.
//!
//! A single pass over the tags, following [HTML's tokenizer] where it decides what is text: comments, quoted attributes, and
//! elements whose content is no markup. No tree is built, so nothing depends on how deep elements are nested or on whether
//! they are closed. Every byte is looked at a bounded number of times: whatever is searched for and not found ends the page, as
//! it does in a browser.
//!
//! [HTML's tokenizer]: https://html.spec.whatwg.org/multipage/parsing.html#tokenization

use super::entities;
use super::render::{Renderer, Style};

/// What a page says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Its `title`, if that has words.
    pub(super) title: Option<String>,
    /// As Markdown.
    pub(super) text: String,
}

/// Content that is text up to the closing tag, whatever it looks like, and is not for reading.
const RAW: &[&str] = &[
    "script", "style", "iframe", "noembed", "noframes", "xmp", "textarea",
];
/// Elements that are left out with everything in them.
const LEFT_OUT: &[&str] = &[
    "svg", "math", "template", "noscript", "object", "select", "button",
];
/// Elements that begin and end a paragraph.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "legend",
    "main",
    "menu",
    "nav",
    "ol",
    "p",
    "section",
    "summary",
    "table",
    "tbody",
    "tfoot",
    "thead",
    "ul",
];

/// Longest name of an element that is known here.
const NAME_BYTES_MAX: usize = 10;
/// Longest title that is read, bytes.
const TITLE_BYTES_MAX: usize = 4096;

/// Takes the text out of a page. Never fails: in the worst case there is none.
pub(super) fn to_markdown(html: &str) -> Page {
    let mut out = Renderer::default();
    let mut title = None;
    let mut left_out: Option<(&str, usize)> = None;
    let mut rest = html;
    loop {
        let at = rest.find('<').unwrap_or(rest.len());
        if left_out.is_none() {
            push_text(&rest[..at], &mut out);
        }
        rest = &rest[at..];
        if rest.is_empty() {
            break;
        }
        let (markup, length) = Markup::read(rest);
        rest = &rest[length..];
        let Markup::Tag {
            name,
            is_end,
            is_closed,
        } = markup
        else {
            if matches!(markup, Markup::Text) && left_out.is_none() {
                out.push('<');
            }
            continue;
        };
        if let Some((outer, depth)) = &mut left_out {
            if name.is(outer) {
                *depth = if is_end {
                    *depth - 1
                } else {
                    *depth + usize::from(!is_closed)
                };
            }
            if *depth == 0 {
                left_out = None;
                continue;
            }
        }
        if !is_end && (name.is("title") || name.is_any(RAW).is_some()) {
            let length = raw_length(rest, &name);
            if name.is("title") && title.is_none() && left_out.is_none() {
                title = words(&rest[..length]);
            }
            rest = &rest[length..];
        } else if left_out.is_some() {
            continue;
        } else if let Some(outer) = name.is_any(LEFT_OUT) {
            if !is_end && !is_closed {
                left_out = Some((outer, 1));
            }
        } else {
            apply(&name, is_end, &mut out);
        }
    }
    Page {
        title,
        text: out.finish(),
    }
}

/// What a tag does to the text around it.
fn apply(name: &Name, is_end: bool, out: &mut Renderer) {
    let is_block = name.is_any(BLOCKS).is_some();
    let style = match name.as_bytes() {
        b"pre" | b"listing" => Some(Style::Code),
        [b'h', level @ b'1'..=b'6'] => Some(Style::Heading(usize::from(level - b'0'))),
        b"li" => Some(Style::Item),
        b"tr" => Some(Style::Row),
        _ => None,
    };
    if out.is_code() && style != Some(Style::Code) {
        if is_block || style.is_some() || name.is("br") {
            out.push('\n');
        }
        return;
    }
    match style {
        Some(style) if !is_end => out.begin(style),
        Some(_) => out.begin(Style::Prose),
        None if is_block && is_end => out.begin(Style::Prose),
        None if is_block => out.end_block(),
        None if name.is("br") => out.push('\n'),
        None if !is_end && (name.is("td") || name.is("th")) => out.begin_cell(),
        None => {}
    }
}

/// Text between tags, its references resolved.
fn push_text(mut text: &str, out: &mut Renderer) {
    while let Some(at) = text.find('&') {
        out.push_str(&text[..at]);
        let (letter, length) = entities::decode(&text[at..]).unwrap_or(('&', 1));
        out.push(letter);
        text = &text[at + length..];
    }
    out.push_str(text);
}

/// The words of a title.
fn words(text: &str) -> Option<String> {
    let mut line = Renderer::default();
    push_text(&text[..text.floor_char_boundary(TITLE_BYTES_MAX)], &mut line);
    line.words()
}

/// How far it is to the closing tag of an element whose content is no markup.
fn raw_length(text: &str, name: &Name) -> usize {
    let mut from = 0;
    while let Some(at) = text[from..].find("</") {
        from += at + 2;
        let after = Name::read(&text[from..]);
        if after == *name {
            return from - 2;
        }
    }
    text.len()
}

/// An element's name in small letters; one that is too long to be known is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Name {
    letters: [u8; NAME_BYTES_MAX],
    length: usize,
}

impl Name {
    fn read(text: &str) -> Self {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>');
        let length = text.bytes().take(NAME_BYTES_MAX + 1).position(|byte| ends(&byte));
        let length = length.unwrap_or_else(|| text.len().min(NAME_BYTES_MAX + 1));
        let mut name = Self::default();
        if length <= NAME_BYTES_MAX {
            name.letters[..length].copy_from_slice(&text.as_bytes()[..length]);
            name.letters.make_ascii_lowercase();
            name.length = length;
        }
        name
    }

    fn as_bytes(&self) -> &[u8] {
        &self.letters[..self.length]
    }

    fn is(&self, name: &str) -> bool {
        self.as_bytes() == name.as_bytes()
    }

    fn is_any(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.is(name))
    }
}

/// What a `<` begins.
enum Markup {
    /// Nothing: the sign itself.
    Text,
    /// A comment, a declaration or a processing instruction.
    Comment,
    Tag {
        name: Name,
        is_end: bool,
        is_closed: bool,
    },
}

impl Markup {
    /// Reads what stands at the start of a text that begins with `<`, and how many bytes it takes.
    fn read(text: &str) -> (Self, usize) {
        let end = |found: Option<usize>, after: usize| found.map_or(text.len(), |at| at + after);
        if let Some(comment) = text.strip_prefix("<!--") {
            // "<!-->" and "<!--->" are whole comments.
            if comment.starts_with('>') || comment.starts_with("->") {
                return (Self::Comment, end(text.find('>'), 1));
            }
            return (Self::Comment, end(comment.find("-->"), 4 + 3));
        }
        if text.starts_with("<!") || text.starts_with("<?") {
            return (Self::Comment, end(text.find('>'), 1));
        }
        let (is_end, inside) = match text.strip_prefix("</") {
            Some(inside) => (true, inside),
            None => (false, &text[1..]),
        };
        if !inside.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            // "</" before anything else is a comment, except at the end of the page.
            return match is_end && !inside.is_empty() {
                true => (Self::Comment, end(text.find('>'), 1)),
                false => (Self::Text, 1),
            };
        }
        let name = Name::read(inside);
        let (length, is_closed) = tag_length(text);
        let tag = Self::Tag {
            name,
            is_end,
            is_closed,
        };
        (tag, length)
    }
}

/// The length of a tag, whose attributes may be quoted, and whether it closes itself.
fn tag_length(text: &str) -> (usize, bool) {
    let (mut quote, mut last) = (None, b'<');
    for (at, byte) in text.bytes().enumerate() {
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            // A quotation mark opens a value only after its equals sign.
            None if matches!(byte, b'"' | b'\'') && last == b'=' => quote = Some(byte),
            None if byte == b'>' => return (at + 1, last == b'/'),
            None => {}
        }
        if !byte.is_ascii_whitespace() {
            last = byte;
        }
    }
    (text.len(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        to_markdown(html).text
    }

    #[test]
    fn blocks_headings_lists_and_code() {
        let page = to_markdown(
            "<!DOCTYPE html><html><head><title>Bread &amp; salt</title><style>p{}</style></head><body>\n\
             <h1>Bread</h1>\n<p>Flour,\n  <em>water</em><br>salt</p><ul><li>one<li><p>two</p></ul>\
             <pre>let a = 1;\n  let b;</pre><table><tr><td>a<td>b</tr><tr><td>c</table><script>if (a<b) x='</p>'</script>end",
        );
        assert_eq!(page.title.as_deref(), Some("Bread & salt"));
        let expected = "# Bread\n\nFlour, water\nsalt\n\n- one\n- two\n\n```\nlet a = 1;\n  let b;\n```\n\na | b\nc\n\nend";
        assert_eq!(page.text, expected);
    }

    #[test]
    fn signs_in_attributes_and_comments_are_no_text() {
        assert_eq!(
            text("a<img alt='x>y' title=\"<p>\">b<!-- <p> -- > -->c<!-->d<?php e > f"),
            "abcd f"
        );
        assert_eq!(text("1 < 2 <3 </ >x a<b c"), "1 < 2 <3 x a");
        assert_eq!(text("<SCRIPT>x</scripty></ScRiPt >y"), "y");
        assert_eq!(text("a<svg><svg><p>x</svg>y</svg><svg/>b"), "ab");
    }

    #[test]
    fn what_nothing_closes_ends_with_the_page() {
        for html in [
            "a<!-- x",
            "a<script>x",
            "a<p title=\"x",
            "a<svg><p>x",
            "a<b",
            "a<title>x",
            "a</b",
        ] {
            assert_eq!(text(html), "a", "{html}");
        }
    }

    #[test]
    fn text_does_not_become_markup_on_the_way() {
        assert_eq!(
            text("<p># not a heading<p>```<br>---"),
            "\\# not a heading\n\n\\```\n\\---"
        );
        assert_eq!(text("<pre>```\nx\n````</pre>"), "`````\n```\nx\n````\n`````");
        assert_eq!(text("<h2>a<br># b</h2>"), "## a # b");
    }
}
