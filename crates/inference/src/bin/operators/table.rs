//! The table: counts per operator, and every refusal with its reason.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::case::{Result, Verdict};

/// Counts over all tests.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    all: usize,
    pub(crate) passed: usize,
    refused: usize,
    pub(crate) wrong: usize,
    scope: usize,
    scope_passed: usize,
}

impl Summary {
    pub(crate) fn new(results: &[Result<'_>]) -> Self {
        let mut summary = Self::default();
        for result in results {
            summary.all += 1;
            match result.verdict {
                Verdict::Passed => summary.passed += 1,
                Verdict::Refused(_) => summary.refused += 1,
                Verdict::Wrong(_) => summary.wrong += 1,
            }
            if result.case.in_scope {
                summary.scope += 1;
                summary.scope_passed += usize::from(result.verdict == Verdict::Passed);
            }
        }
        summary
    }

    /// The share of tests in scope that passed.
    pub(crate) fn share(&self) -> f64 {
        self.scope_passed as f64 / self.scope.max(1) as f64
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} tests: {} passed, {} refused, {} wrong; f32/i64 inference: {} of {} passed ({:.1} %)",
            self.all,
            self.passed,
            self.refused,
            self.wrong,
            self.scope_passed,
            self.scope,
            100.0 * self.share()
        )
    }
}

/// Counts of one operator.
#[derive(Default)]
struct Row {
    passed: usize,
    refused: usize,
    wrong: usize,
    reasons: BTreeMap<String, usize>,
}

/// The whole document.
pub(crate) fn write(results: &[Result<'_>], summary: &Summary, version: &str) -> String {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for result in results {
        for op in &result.case.operators {
            // A function body uses other operators than the one it is about, which has tests of its own.
            if result.case.expanded && result.case.operators.len() > 1 {
                continue;
            }
            let row = rows.entry(op).or_default();
            match &result.verdict {
                Verdict::Passed => row.passed += 1,
                Verdict::Wrong(_) => row.wrong += 1,
                Verdict::Refused(reason) => {
                    row.refused += 1;
                    *row.reasons.entry(short(reason)).or_default() += 1;
                }
            }
        }
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "# Operators\n\n\
         Written by `cargo xtask operators`; do not edit. ONNX's own backend node tests (PyPI package `onnx` {version}) on\n\
         `inference::session`, which runs any model on the CPU with the project's own kernels. *Refused* means that the model is\n\
         turned down with a reason, before or while it runs; *wrong* would be another number, shape or type, or a crash, and\n\
         must be 0.\n\
\n\
         **{summary}.**\n\
\n\
         \"f32/i64 inference\" are the tests whose inputs and outputs are f32, i64 or truth values and whose operators are neither\n\
         random nor for training. Tests whose graph is an operator's body written out (`…_expanded`) count in these sums but not\n\
         in the rows below.\n\
\n\
         | operator | passed | refused | wrong | reasons for refusal |\n| --- | ---: | ---: | ---: | --- |"
    );
    for (op, row) in rows {
        let reasons: Vec<String> = row
            .reasons
            .iter()
            .map(|(reason, count)| {
                if *count > 1 {
                    format!("{reason} ({count})")
                } else {
                    reason.clone()
                }
            })
            .collect();
        let _ = writeln!(
            text,
            "| {op} | {} | {} | {} | {} |",
            row.passed,
            row.refused,
            row.wrong,
            reasons.join("; ")
        );
    }
    text
}

/// A reason without the names that differ from test to test, fit for a table.
fn short(reason: &str) -> String {
    let tail = reason
        .rsplit_once("is in the way: ")
        .map_or(reason, |(_, tail)| tail);
    let tail = if tail.starts_with("tensor \"") {
        tail.split_once("\" ").map_or(tail, |(_, tail)| tail)
    } else {
        tail
    };
    tail.replace('|', "/").chars().take(90).collect()
}
