//! `cargo xtask bench core`: how long the core takes to choose among offers and to learn from a trade, on this machine.
//!
//! The bounds are the benchmarks' own. Instructions are counted beside the time, since they do not depend on what else the
//! machine does: by `perf` where the processor's counters may be read, or else by valgrind. Both count the whole program,
//! so each benchmark runs with few runs and with more, and the difference is what the runs took.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::command::{Finished, Program};
use crate::error::{Context, Error};
use crate::progress::{Outcome, Progress};
use crate::workspace::Workspace;

/// The benchmarks of `node-proto`.
const BENCHES: [&str; 2] = ["market", "reputation"];
/// How often a benchmark may begin anew.
const ATTEMPTS: u32 = 3;
/// Runs without and with what is counted.
const RUNS: [u64; 2] = [1, 101];

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave instructions out: counting them takes minutes where only valgrind can.
    #[arg(long)]
    without_instructions: bool,
}

/// Builds and runs the benchmarks and leaves `proof/core.json`.
pub(super) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    let mut rows = Vec::new();
    let mut holds = true;
    for (name, program) in build(workspace)? {
        let finished = measure(workspace, name, &program)?;
        let report = finished.output.lines().rev().find_map(read_report);
        holds &= finished.success && report.is_some();
        let Some(mut row) = report else { continue };
        let instructions = match options.without_instructions {
            true => None,
            false => instructions(workspace, &program),
        };
        row["name"] = json!(name);
        row["instructions"] = json!(instructions);
        print_row(&row, instructions);
        rows.push(row);
    }
    holds &= rows.len() == BENCHES.len();
    let dir = workspace.root().join("proof");
    fs::create_dir_all(&dir).context("create", &dir)?;
    let path = dir.join("core.json");
    let report = json!({ "rows": rows, "holds": holds });
    fs::write(&path, format!("{report:#}\n")).context("write", &path)?;
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The programs that the benchmarks are, by name.
fn build(workspace: &Workspace) -> Result<Vec<(&'static str, PathBuf)>, Error> {
    let mut messages = String::new();
    Progress::new(1).step("benchmarks of the core", |ticker| {
        messages = Program::cargo(workspace, "build the benchmarks of the core")
            .args(["bench", "--locked", "--no-run", "--message-format", "json"])
            .args(["--package", "node-proto"])
            .args(BENCHES.iter().flat_map(|name| ["--bench", name]))
            .run(ticker)?;
        Ok(Outcome::Done(String::new()))
    })?;
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let programs = artifacts.filter_map(|artifact| {
        let name = BENCHES.iter().find(|name| artifact["target"]["name"] == **name)?;
        Some((*name, PathBuf::from(artifact["executable"].as_str()?)))
    });
    Ok(programs.collect())
}

/// One benchmark. A bound on the slow end of many runs breaks when the machine does something else meanwhile, which is not
/// the core's doing, so it counts as broken when no attempt keeps it.
fn measure(workspace: &Workspace, name: &str, program: &PathBuf) -> Result<Finished, Error> {
    let attempt = || Program::new(workspace, program, &format!("bench {name}")).finish_quietly();
    let mut finished = attempt()?;
    for _ in 1..ATTEMPTS {
        if finished.success {
            break;
        }
        finished = attempt()?;
    }
    Ok(finished)
}

/// The line of a benchmark that is for programs.
fn read_report(line: &str) -> Option<Value> {
    let report: Value = serde_json::from_str(line).ok()?;
    report["bound_us"].is_number().then_some(report)
}

fn print_row(row: &Value, instructions: Option<u64>) {
    let us = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
    let counted = instructions.map_or("unknown".to_owned(), |count| count.to_string());
    println!(
        "{}: median {:.0} µs, 99 % {:.0} µs, {} % within {:.0} µs {}; instructions {counted}",
        row["what"].as_str().unwrap_or_default(),
        us("median_us"),
        us("p99_us"),
        row["bound_percent"],
        us("bound_us"),
        if row["holds"] == true {
            "as they must be"
        } else {
            "is BROKEN"
        },
    );
}

/// Instructions of one run; `None` where nothing on this machine can count them.
fn instructions(workspace: &Workspace, program: &PathBuf) -> Option<u64> {
    [by_perf, by_valgrind].into_iter().find_map(|count| {
        let [few, many] = RUNS.map(|runs| count(workspace, program, runs));
        Some(many?.checked_sub(few?)? / (RUNS[1] - RUNS[0]))
    })
}

fn by_perf(workspace: &Workspace, program: &PathBuf, runs: u64) -> Option<u64> {
    let counter = Program::new(workspace, "perf", "count instructions with perf");
    let args = ["stat", "-x", ",", "-e", "instructions:u", "--"];
    let output = counted(counter.args(args).arg(program), runs)?;
    let line = output.lines().find(|line| line.contains(",instructions:u"))?;
    line.split(',').next()?.parse().ok()
}

fn by_valgrind(workspace: &Workspace, program: &PathBuf, runs: u64) -> Option<u64> {
    let counter = Program::new(workspace, "valgrind", "count instructions with valgrind");
    let args = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let output = counted(counter.args(args).arg(program), runs)?;
    let (_, count) = output.lines().find_map(|line| line.split_once("Collected : "))?;
    count.trim().parse().ok()
}

/// The output of a counter over so many runs of a benchmark; `None` where it is not installed or failed.
fn counted(counter: Program, runs: u64) -> Option<String> {
    let finished = counter
        .env("KNOWLEDGE_BENCH_RUNS", runs.to_string())
        .finish_quietly()
        .ok()?;
    finished.success.then_some(finished.output)
}
