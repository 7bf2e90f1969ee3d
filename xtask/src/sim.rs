//! `cargo xtask sim`: scenarios of the network in virtual time, with real nodes, optimised for it.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use clap::Args;

use crate::command::Program;
use crate::error::Error;
use crate::progress::{Outcome, Progress};
use crate::workspace::Workspace;

/// What to simulate: the simulator's own options, among them `--scenario NAME`, `--nodes N` and `--seed S`.
#[derive(Args)]
pub(crate) struct Options {
    /// Passed on; `--help` after `--` lists them.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true, value_name = "OPTIONS")]
    options: Vec<OsString>,
}

/// Builds the simulator and runs it; it leaves its tables, JSON and plots in `proof/sim/`, named by scenario, nodes and seed,
/// beside an overview of all runs, and fails when a bound is broken.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    Progress::new(1).step("simulator", |ticker| {
        Program::cargo(workspace, "build the simulator")
            .args([
                "build",
                "--locked",
                "--profile",
                "simulation",
                "--package",
                "simulator",
            ])
            .run(ticker)?;
        Ok(Outcome::Done(String::new()))
    })?;
    let program = workspace.target().join("simulation").join("simulate");
    let status = Command::new(&program)
        .arg("--out")
        .arg(workspace.root().join("proof").join("sim"))
        .args(&options.options)
        .status();
    let status = status.map_err(|source| Error::Start {
        program: program.display().to_string(),
        source,
    })?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
