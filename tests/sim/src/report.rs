//! The report of a scenario: a table for people, JSON for programs, plots for the eye.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::check::{Bound, Check};
use crate::plot::{Plot, draw};

/// What a scenario measured, and whether the bounds are kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The scenario.
    pub scenario: String,
    /// Its hosts.
    pub nodes: u32,
    /// What all randomness followed from.
    pub seed: u64,
    /// What happened, in 64 hexadecimal digits.
    pub trace: String,
    /// Measurements that no bound is set for.
    pub rows: Vec<(String, String)>,
    /// The bounds.
    pub checks: Vec<Check>,
    /// Curves over time.
    pub plots: Vec<Plot>,
}

impl Report {
    /// An empty report.
    pub fn new(scenario: &str, nodes: u32, seed: u64) -> Self {
        Self {
            scenario: scenario.to_owned(),
            nodes,
            seed,
            trace: String::new(),
            rows: Vec::new(),
            checks: Vec::new(),
            plots: Vec::new(),
        }
    }

    /// Adds a world's trace; of several, one hash names all.
    pub fn traced(&mut self, trace: [u8; 32]) {
        let hash = match self.trace.as_str() {
            "" => trace,
            former => *blake3::hash(&[former.as_bytes(), &trace].concat()).as_bytes(),
        };
        self.trace = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    }

    /// Compares a measured value with its bound.
    pub fn check(&mut self, name: &str, unit: &'static str, measured: f64, bound: Bound) {
        self.checks.push(Check::new(name, unit, measured, bound));
    }

    /// Something that must never happen.
    pub fn never(&mut self, name: &str, times: u64) {
        self.checks.push(Check::never(name, times));
    }

    /// Whether every bound is kept.
    pub fn is_kept(&self) -> bool {
        self.checks.iter().all(|check| check.kept)
    }

    /// Adds a measurement.
    pub fn row(&mut self, name: &str, value: impl fmt::Display) {
        self.rows.push((name.to_owned(), value.to_string()));
    }

    /// Writes `NAME.json` and, when there is something to draw, `NAME.svg`.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let json = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        fs::write(directory.join(format!("{}.json", self.scenario)), json + "\n")?;
        if self.plots.is_empty() {
            return Ok(());
        }
        let title = format!("{}: {} nodes, seed {}", self.scenario, self.nodes, self.seed);
        fs::write(
            directory.join(format!("{}.svg", self.scenario)),
            draw(&title, &self.plots),
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} nodes, seed {}", self.scenario, self.nodes, self.seed)?;
        for (name, value) in &self.rows {
            writeln!(f, "  {name:<58} {value:>16}")?;
        }
        for check in &self.checks {
            let verdict = if check.kept { "kept" } else { "BROKEN" };
            let (sign, limit) = match check.bound {
                Bound::AtMost(limit) => ("≤", limit),
                Bound::AtLeast(limit) => ("≥", limit),
                Bound::Below(limit) => ("<", limit),
                Bound::Above(limit) => (">", limit),
            };
            let measured = format!("{:.4} {}", check.measured, check.unit);
            writeln!(
                f,
                "  {:<58} {measured:>16}  {sign} {limit:<8} {verdict}",
                check.name
            )?;
        }
        writeln!(f, "trace {}", self.trace)
    }
}
