//! `cargo xtask bench static-model`: how much of MiniLM's retrieval the static model keeps, on manuals that a distribution
//! packages, and what either takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::command::Program;
use crate::error::{Context, Error};
use crate::prerequisites;
use crate::progress::{Outcome, Progress};
use crate::site::{self, ENGINE_PROFILE};
use crate::workspace::Workspace;

/// The names of the manuals, and how their folders below [`DOCUMENTATION`] begin; the version that follows is the
/// distribution's.
const MANUALS: [(&str, &str); 2] = [("PostgreSQL", "postgresql-doc-"), ("Python", "python3.")];
/// Where Debian keeps them.
const DOCUMENTATION: &str = "/usr/share/doc";

/// How to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// About how many passages of each manual are taken.
    #[arg(long, default_value_t = 3_000)]
    passages: usize,
}

/// Makes the models, measures both, prints a table and writes `proof/static-model.json`.
pub(super) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    prerequisites::ensure(workspace, prerequisites::BUILD)?;
    prerequisites::ensure(workspace, prerequisites::MANUALS)?;
    let mut models = PathBuf::new();
    let mut progress = Progress::new(2);
    progress.step("model", |ticker| {
        models = site::build_models(workspace, ticker)?;
        Ok(Outcome::Done(String::new()))
    })?;
    progress.step("comparison of models", |ticker| {
        Program::cargo(workspace, "build the comparison of models")
            .args(["build", "--profile", ENGINE_PROFILE, "--locked"])
            .args([
                "--package",
                "inference",
                "--features",
                "retrieval",
                "--bin",
                "retrieval",
            ])
            .run(ticker)?;
        Ok(Outcome::Done(String::new()))
    })?;
    let program = workspace.target().join(ENGINE_PROFILE).join("retrieval");
    let mut retrieval = Program::new(workspace, &program, "compare the models")
        .arg("--models")
        .arg(&models)
        .args(["--passages", &options.passages.to_string()]);
    for (name, prefix) in MANUALS {
        let folder = manual(Path::new(DOCUMENTATION), prefix)?;
        retrieval = retrieval
            .arg("--manual")
            .arg(format!("{name}={}", folder.display()));
    }
    let finished = retrieval.finish_quietly()?;
    let report = finished.output.lines().rev().find_map(read_report);
    let Some(report) = report.filter(|_| finished.success) else {
        eprint!("{}", finished.output);
        return Ok(ExitCode::FAILURE);
    };
    report["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .for_each(print_row);
    let dir = workspace.root().join("proof");
    fs::create_dir_all(&dir).context("create", &dir)?;
    let path = dir.join("static-model.json");
    fs::write(&path, format!("{report:#}\n")).context("write", &path)?;
    Ok(ExitCode::SUCCESS)
}

/// The folder with a manual's HTML, of the newest version if there are several.
fn manual(documentation: &Path, prefix: &str) -> Result<PathBuf, Error> {
    let folders = crate::cache::list(documentation)?;
    let found = folders.into_iter().rev().find(|folder| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let version = name.strip_prefix(prefix);
        let is_manual = version.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        is_manual && folder.join("html").is_dir()
    });
    found
        .map(|folder| folder.join("html"))
        .ok_or_else(|| Error::Unexpected {
            path: documentation.to_owned(),
            problem: format!("no {prefix}… with HTML in it"),
        })
}

/// The line of the comparison that is for programs.
fn read_report(line: &str) -> Option<Value> {
    let report: Value = serde_json::from_str(line).ok()?;
    report["rows"].is_array().then_some(report)
}

fn print_row(row: &Value) {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let score = |task: &str| {
        let (ndcg, recall) = (
            number(&row[task]["ndcg_at_10"]),
            number(&row[task]["recall_at_10"]),
        );
        format!("{task} nDCG@10 {ndcg:.3} recall@10 {recall:.3}")
    };
    println!(
        "{} ({} passages), {}: {}; {}; {:.0} µs a text and {:.0} µs of tokenizing",
        row["manual"].as_str().unwrap_or_default(),
        row["passages"],
        row["model"].as_str().unwrap_or_default(),
        score("titles"),
        score("sentences"),
        number(&row["running_median_us"]),
        number(&row["tokenizing_median_us"]),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_manual_with_pages_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        for folder in [
            "postgresql-doc-15/html",
            "postgresql-doc-17/html",
            "postgresql-doc-18",
            "postgresql-doc-17-more/html",
        ] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let found = manual(dir.path(), "postgresql-doc-").unwrap();
        assert_eq!(found, dir.path().join("postgresql-doc-17/html"));
        assert!(manual(dir.path(), "python3.").is_err());
    }
}
