//! Blocks become passages.

use std::ops::Range;

use super::Span;
use super::blocks::Block;
use super::split::{split, trim};
use crate::limits::Limits;

/// Between headings of a context.
const JOINT: &str = " › ";

/// A heading that is in force.
struct Heading {
    level: usize,
    range: Range<usize>,
    /// Whether it is above a passage.
    is_used: bool,
}

pub(super) struct Assembler<'a> {
    text: &'a str,
    limits: &'a Limits,
    /// Whether neighbouring blocks share a passage.
    joins: bool,
    /// Outermost first.
    headings: Vec<Heading>,
    /// The context that the headings make, once it was needed.
    context: Option<usize>,
    contexts: Vec<String>,
    /// The passage that the next block may still join.
    open: Option<Range<usize>>,
    passages: Vec<Span>,
}

impl<'a> Assembler<'a> {
    pub(super) fn new(text: &'a str, limits: &'a Limits, joins: bool) -> Self {
        Self {
            text,
            limits,
            joins,
            headings: Vec::new(),
            context: None,
            contexts: Vec::new(),
            open: None,
            passages: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, block: Block) {
        match block {
            Block::Heading { level, range } => {
                let range = trim(self.text, range);
                self.close();
                self.leave(level);
                self.context = None;
                self.headings.push(Heading {
                    level,
                    range,
                    is_used: false,
                });
            }
            Block::Prose(range) => self.join(range, false),
            Block::Code(range) => self.join(range, true),
        }
    }

    pub(super) fn finish(mut self) -> (Vec<Span>, Vec<String>) {
        self.close();
        self.leave(0);
        (self.passages, self.contexts)
    }

    /// Takes a block into the open passage, or begins another with it.
    fn join(&mut self, range: Range<usize>, is_code: bool) {
        let bytes_max = self.limits.passage_bytes_max;
        let range = trim(self.text, range);
        if let Some(open) = &mut self.open
            && self.joins
            && range.end - open.start <= bytes_max
        {
            open.end = range.end;
            return;
        }
        let text = self.text;
        split(text, range, bytes_max, is_code, &mut |piece| {
            self.close();
            self.open = Some(piece);
        });
    }

    fn close(&mut self) {
        // One too many shows that there are too many.
        if let Some(range) = self.open.take()
            && self.passages.len() <= self.limits.document_passages_max
        {
            let context = self.context();
            self.passages.push(Span { range, context });
        }
    }

    /// Ends the headings that one of this level ends. One with nothing below it becomes a passage.
    fn leave(&mut self, level: usize) {
        while let Some(heading) = self.headings.pop_if(|heading| heading.level >= level) {
            self.context = None;
            if !heading.is_used {
                self.join(heading.range, false);
                self.close();
            }
        }
    }

    /// The context of what stands here.
    fn context(&mut self) -> Option<usize> {
        if self.headings.is_empty() {
            return None;
        }
        if self.context.is_none() {
            for heading in &mut self.headings {
                heading.is_used = true;
            }
            let context = self.describe();
            if self.contexts.last() != Some(&context) {
                self.contexts.push(context);
            }
            self.context = Some(self.contexts.len() - 1);
        }
        self.context
    }

    /// The headings in force, the inner ones first where not all of them fit.
    fn describe(&self) -> String {
        let bytes_max = self.limits.context_bytes_max;
        let mut context = String::new();
        for heading in self.headings.iter().rev() {
            // A heading cannot be longer than a line, but a line can be as long as the text.
            let words = &self.text[heading.range.clone()];
            let words = &words[..words.floor_char_boundary(bytes_max)];
            if context.is_empty() {
                context.push_str(words);
            } else if words.len() + JOINT.len() + context.len() <= bytes_max {
                context.insert_str(0, JOINT);
                context.insert_str(0, words);
            } else {
                break;
            }
        }
        // A heading with an underline may have several lines.
        context.replace('\n', " ")
    }
}
