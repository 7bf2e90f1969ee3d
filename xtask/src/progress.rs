//! Steps as a person sees them: `[ 3/11] relay … 41.2 s`.
//!
//! A step that takes long says every few seconds what it is doing, so that a cold build never looks stuck.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use crate::error::Error;

/// How long a step may stay silent.
const REPORT_EVERY: Duration = Duration::from_secs(15);
/// A report is one line, even on a narrow terminal.
const REPORT_CHARS_MAX: usize = 100;

/// What a step did.
pub(crate) enum Outcome {
    /// It worked; the note says what came of it, and may be empty.
    Done(String),
    /// Its inputs have not changed since it last worked.
    Unchanged,
}

/// Counts and times the steps of one task.
pub(crate) struct Progress {
    total: usize,
    begun: usize,
}

impl Progress {
    /// A task of `total` steps.
    pub(crate) fn new(total: usize) -> Self {
        Self { total, begun: 0 }
    }

    /// Runs one step, with its line before and its time after.
    pub(crate) fn step(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Ticker) -> Result<Outcome, Error>,
    ) -> Result<(), Error> {
        self.begun += 1;
        let width = self.total.to_string().len();
        eprint!("[{:>width$}/{}] {name} … ", self.begun, self.total);
        let mut ticker = Ticker::new();
        let outcome = work(&mut ticker);
        let seconds = ticker.started.elapsed().as_secs_f64();
        let line = match &outcome {
            Ok(Outcome::Done(note)) if note.is_empty() => format!("{seconds:.1} s"),
            Ok(Outcome::Done(note)) => format!("{note}, {seconds:.1} s"),
            Ok(Outcome::Unchanged) => format!("unchanged, {seconds:.1} s"),
            Err(_) => format!("failed after {seconds:.1} s"),
        };
        ticker.finish(&line);
        outcome.map(|_| ())
    }
}

/// Reports from inside a running step.
pub(crate) struct Ticker {
    started: Instant,
    /// Never, for a step whose lines would mix with another's.
    reported: Option<Instant>,
    on_new_line: bool,
    terminal: bool,
}

impl Ticker {
    /// A report that begins now.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        // Without this the line that names the step would only appear with its result.
        let _ = stderr().flush();
        Self {
            started: now,
            reported: Some(now),
            on_new_line: false,
            terminal: stderr().is_terminal(),
        }
    }

    /// Says nothing, for what runs beside the step that a person sees.
    pub(crate) fn silent() -> Self {
        Self {
            reported: None,
            ..Self::new()
        }
    }

    /// Shows what the step is doing, if it has been silent for long enough.
    pub(crate) fn report(&mut self, doing: &str) {
        if self.reported.is_none_or(|last| last.elapsed() < REPORT_EVERY) {
            return;
        }
        self.reported = Some(Instant::now());
        let seconds = self.started.elapsed().as_secs();
        let doing: String = doing.trim().chars().take(REPORT_CHARS_MAX).collect();
        if !self.on_new_line {
            eprintln!();
            self.on_new_line = true;
        }
        if self.terminal {
            eprint!("\r\x1b[2K        {seconds} s: {doing}");
            let _ = stderr().flush();
        } else {
            eprintln!("        {seconds} s: {doing}");
        }
    }

    fn finish(&self, line: &str) {
        match (self.on_new_line, self.terminal) {
            (false, _) => eprintln!("{line}"),
            (true, true) => eprintln!("\r\x1b[2K        {line}"),
            (true, false) => eprintln!("        {line}"),
        }
    }
}
