//! The report of a scenario: a table for people, JSON for programs, plots for the eye; and an overview of all that were run.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// Answered requests in all its worlds.
    pub trades: u64,
}

/// One line of the overview.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    scenario: String,
    nodes: u32,
    seed: u64,
    kept: bool,
    trace: String,
    seconds: f64,
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
            trades: 0,
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

    /// Something that must never happen, in none of a report's worlds.
    pub fn never(&mut self, name: &str, times: u64) {
        match self.checks.iter_mut().find(|check| check.name == name) {
            Some(check) => *check = Check::never(name, times.saturating_add(check.measured as u64)),
            None => self.checks.push(Check::never(name, times)),
        }
    }

    /// Whether every bound is kept.
    pub fn is_kept(&self) -> bool {
        self.checks.iter().all(|check| check.kept)
    }

    /// Adds a measurement.
    pub fn row(&mut self, name: &str, value: impl fmt::Display) {
        self.rows.push((name.to_owned(), value.to_string()));
    }

    /// Adds to a number that every one of a report's worlds has.
    pub fn sum(&mut self, name: &str, value: i64) {
        match self.rows.iter_mut().find(|(row, _)| row == name) {
            Some((_, sum)) => *sum = (value + sum.parse::<i64>().unwrap_or(0)).to_string(),
            None => self.row(name, value),
        }
    }

    /// Writes the table, the JSON and, when there is something to draw, the plots: `NAME-NODES-SEED.txt`, `.json`, `.svg`.
    /// The overview keeps what other runs put there.
    pub fn write(&self, directory: &Path, seconds: f64) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let name = format!("{}-{}-{}", self.scenario, self.nodes, self.seed);
        let file = |ending: &str| directory.join(format!("{name}.{ending}"));
        fs::write(file("txt"), self.to_string())?;
        let json = serde_json::to_value(self).map_err(io::Error::other)?;
        fs::write(file("json"), by_line(&json, 2) + "\n")?;
        if !self.plots.is_empty() {
            let title = format!("{}: {} nodes, seed {}", self.scenario, self.nodes, self.seed);
            fs::write(file("svg"), draw(&title, &self.plots))?;
        }
        self.enter(&directory.join("overview.json"), seconds)
    }

    fn enter(&self, path: &Path, seconds: f64) -> io::Result<()> {
        let mut entries: Vec<Entry> = match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let own = Entry {
            scenario: self.scenario.clone(),
            nodes: self.nodes,
            seed: self.seed,
            kept: self.is_kept(),
            trace: self.trace.clone(),
            seconds: (seconds * 10.0).round() / 10.0,
        };
        fn key(entry: &Entry) -> (&str, u32, u64) {
            (&entry.scenario, entry.nodes, entry.seed)
        }
        entries.retain(|entry| key(entry) != key(&own));
        entries.push(own);
        entries.sort_by(|a, b| key(a).cmp(&key(b)));
        let json = serde_json::to_value(&entries).map_err(io::Error::other)?;
        fs::write(path, by_line(&json, 1) + "\n")
    }
}

/// JSON with a line for each element down to a depth, and whatever lies deeper on that line: half as long as fully
/// indented, and still fit to be compared line by line.
fn by_line(value: &Value, depth: usize) -> String {
    let (open, elements, close): (_, Vec<String>, _) = match value {
        Value::Array(array) if depth > 0 => {
            let elements = array.iter().map(|element| by_line(element, depth - 1));
            ("[", elements.collect(), "]")
        }
        Value::Object(object) if depth > 0 => {
            let element = |(key, element)| format!("{}: {}", Value::String(key), by_line(element, depth - 1));
            let pairs = object.iter().map(|(key, element)| (String::clone(key), element));
            ("{", pairs.map(element).collect(), "}")
        }
        other => return other.to_string(),
    };
    if elements.is_empty() {
        return format!("{open}{close}");
    }
    format!("{open}\n{}\n{close}", elements.join(",\n"))
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
