//! `cargo xtask test`: every check, each named with its result and seconds, and one line with the sum at the end.
//!
//! A step that fails does not stop those that can still say something; a step whose ground is gone (no site, no
//! browsers) fails by itself. Nothing is ever skipped.

mod counts;
mod steps;

use std::panic::resume_unwind;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use clap::Args;

use crate::error::Error;
use crate::prerequisites;
use crate::workspace::Workspace;

use self::steps::Step;

pub(crate) use self::counts::Counts;
pub(crate) use self::steps::{counted, journeys};

/// What to check.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only these steps.
    #[arg(long, value_name = "STEP", value_parser = clap::builder::PossibleValuesParser::new(steps::names()))]
    only: Vec<String>,
}

/// Runs the steps and prints the sum as the last line of stdout.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    let sum = run_steps(workspace, &options.only);
    println!("{} passed, {} failed", sum.passed, sum.failed);
    Ok(if sum.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn run_step(workspace: &Workspace, step: &Step) -> (&'static str, Counts, f64) {
    eprintln!("── {}: {}", step.name, step.about);
    let started = Instant::now();
    let counts = (step.run)(workspace).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        Counts::FAILED
    });
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("── {}: {counts} in {seconds:.1} s", step.name);
    (step.name, counts, seconds)
}

/// Runs the named steps, or all of them, and adds up what they counted.
pub(crate) fn run_steps(workspace: &Workspace, only: &[String]) -> Counts {
    let chosen = steps::ALL
        .iter()
        .filter(|step| only.is_empty() || only.iter().any(|name| name == step.name));
    let results = thread::scope(|scope| {
        let mut packages = chosen.clone().any(|step| step.needs_packages).then(|| {
            // The first checks need nothing but Rust, and compile for minutes on a new machine.
            scope.spawn(|| prerequisites::install_beside(workspace))
        });
        let mut results = Vec::new();
        for step in chosen {
            let installing = if step.needs_packages {
                packages.take()
            } else {
                None
            };
            if let Some(installing) = installing {
                installing.join().unwrap_or_else(|panic| resume_unwind(panic));
            }
            results.push(run_step(workspace, step));
        }
        results
    });
    eprintln!();
    for (name, counts, seconds) in &results {
        let verdict = if counts.failed == 0 { "ok" } else { "FAILED" };
        eprintln!("{verdict:6} {name:14} {counts}, {seconds:.1} s");
    }
    results.into_iter().map(|(_, counts, _)| counts).sum()
}
