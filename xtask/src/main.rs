//! `cargo xtask`: everything that one does with this project besides writing it.
//!
//! - `serve` takes a fresh clone to a running network: it checks what the machine needs, installs the pinned tools,
//!   builds the page and the relay, fetches the model and becomes the relay.
//! - `test` runs every check that CI runs, in the same order, and ends with one line `N passed, N failed`.
//! - `sim` lets thousands of nodes live in virtual time and checks what the market must keep.
//! - `operators` runs ONNX's own tests of its operators and writes `docs/operators.md`.
//! - `bench` measures this project beside others, turn by turn.
//! - `endure` runs the journeys that take long: sleep, a frozen page, a pulled cable, a tab that stays hidden, a browser that
//!   is killed a hundred times.
//! - `fuzz` runs the fuzz targets of every crate that has some.
//! - `prove` runs `test` and everything that takes longer, and keeps what was measured under `proof/`.
//!
//! Invariants: whatever is downloaded is pinned and lands under the target directory; a step whose inputs are unchanged
//! does nothing; progress goes to stderr, so that stdout carries only results (`ready <URL>`, `N passed, N failed`).

mod bench;
mod browser;
mod cache;
mod check;
mod command;
mod endure;
mod error;
mod fuzz;
mod interop;
mod known_answers;
mod operators;
mod pip;
mod prerequisites;
mod progress;
mod prove;
mod serve;
mod sim;
mod site;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::workspace::Workspace;

/// Builds, serves and tests the knowledge network.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything in release and run the relay, which serves the page; prints `ready <URL>`.
    Serve(serve::Options),
    /// Build the site and the relay and stop there.
    Build,
    /// Run every check and test; the last line is `N passed, N failed`.
    Test(check::Options),
    /// Run a scenario of the network in virtual time; fails when a bound is broken.
    Sim(sim::Options),
    /// Run ONNX's own operator tests and write `docs/operators.md`; fails when a result is wrong.
    Operators,
    /// Measure this project beside others and fail when a bound is broken.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run the journeys that take long: sleep, a frozen page, a pulled cable, a tab that stays hidden.
    Endure(endure::Options),
    /// Run the long proofs as well, and keep what they measured under `proof/`.
    Prove(prove::Options),
    /// Fuzz every target under `crates/*/fuzz`.
    Fuzz(fuzz::Options),
    /// Open a page in the person's browser once its server answers.
    #[command(hide = true)]
    OpenBrowser(browser::Options),
}

fn main() -> ExitCode {
    let outcome = Workspace::locate().and_then(|workspace| run(&workspace, Cli::parse().task));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(workspace: &Workspace, task: Task) -> Result<ExitCode, Error> {
    match task {
        Task::Serve(options) => serve::run(workspace, &options),
        Task::Build => site::build_all(workspace).map(|()| ExitCode::SUCCESS),
        Task::Test(options) => check::run(workspace, &options),
        Task::Sim(options) => sim::run(workspace, &options),
        Task::Operators => operators::run(workspace),
        Task::Bench(bench) => bench::run(workspace, &bench),
        Task::Endure(options) => endure::run(workspace, &options),
        Task::Prove(options) => prove::run(workspace, &options),
        Task::Fuzz(options) => fuzz::run(workspace, &options),
        Task::OpenBrowser(options) => browser::open_when_ready(&options).map(|()| ExitCode::SUCCESS),
    }
}
