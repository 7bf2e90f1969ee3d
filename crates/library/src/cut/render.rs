//! Writes Markdown that [`blocks`](super::blocks) reads as it was meant.

use super::blocks::is_marked;

/// What a block is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Style {
    #[default]
    Prose,
    /// With its level.
    Heading(usize),
    Item,
    /// Of a table.
    Row,
    Code,
}

/// Text on its way out. A block is gathered in `line` and written when it ends.
#[derive(Default)]
pub(super) struct Renderer {
    out: String,
    line: String,
    style: Style,
    /// White space was left out before what comes next.
    has_space: bool,
    /// The style of the block that was written last.
    last: Style,
}

impl Renderer {
    /// Appends text; white space shrinks to one space except in code.
    pub(super) fn push_str(&mut self, text: &str) {
        if self.style == Style::Code {
            self.line.push_str(text);
        } else {
            for letter in text.chars() {
                // A line of the file is none of the paragraph.
                self.push(if letter == '\n' { ' ' } else { letter });
            }
        }
    }

    /// Appends one letter; a line feed stays one.
    pub(super) fn push(&mut self, letter: char) {
        if self.style == Style::Code || (letter == '\n' && !self.line.is_empty()) {
            self.line.push(letter);
            self.has_space = false;
        } else if letter.is_whitespace() {
            self.has_space = true;
        } else {
            if self.has_space && !self.line.is_empty() && !self.line.ends_with('\n') {
                self.line.push(' ');
            }
            self.has_space = false;
            self.line.push(letter);
        }
    }

    pub(super) fn is_code(&self) -> bool {
        self.style == Style::Code
    }

    /// Ends the block and begins one of this style.
    pub(super) fn begin(&mut self, style: Style) {
        self.end_block();
        self.style = style;
    }

    pub(super) fn begin_cell(&mut self) {
        if self.style == Style::Row && !self.line.is_empty() {
            self.line.push_str(" | ");
            self.has_space = false;
        }
    }

    /// Writes the block, if there is anything in it.
    pub(super) fn end_block(&mut self) {
        self.has_space = false;
        let line = std::mem::take(&mut self.line);
        // A paragraph that begins an item, a cell or a heading ends none.
        if line.trim().is_empty() {
            return;
        }
        let style = std::mem::take(&mut self.style);
        if !self.out.is_empty() {
            let is_tight = style == self.last && matches!(style, Style::Item | Style::Row);
            self.out.push_str(if is_tight { "\n" } else { "\n\n" });
        }
        self.last = style;
        match style {
            Style::Prose | Style::Row => self.write_lines(line.trim()),
            Style::Item => {
                self.out.push_str("- ");
                self.write_lines(line.trim());
            }
            Style::Heading(level) => {
                self.out.extend(std::iter::repeat_n('#', level));
                for word in line.split_whitespace() {
                    self.out.push(' ');
                    self.out.push_str(word);
                }
            }
            Style::Code => self.write_code(line.trim_matches(['\n', '\r']).trim_end()),
        }
    }

    /// All that was written.
    pub(super) fn finish(mut self) -> String {
        self.end_block();
        self.out
    }

    /// The words so far on one line, if there are any.
    pub(super) fn words(&self) -> Option<String> {
        let words: Vec<&str> = self.line.split_whitespace().collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    fn write_lines(&mut self, lines: &str) {
        for (line, place) in lines.split('\n').zip(0..) {
            if place > 0 {
                self.out.push('\n');
            }
            // What no reader takes for markup.
            if is_marked(line) {
                self.out.push('\\');
            }
            self.out.push_str(line.trim_end());
        }
    }

    /// The fence is longer than any run of its mark within.
    fn write_code(&mut self, code: &str) {
        let (mut run, mut longest) = (0, 2);
        for byte in code.bytes() {
            run = if byte == b'`' { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        let fence = "`".repeat(longest + 1);
        for part in [fence.as_str(), "\n", code, "\n", fence.as_str()] {
            self.out.push_str(part);
        }
    }
}
