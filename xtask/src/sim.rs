//! `cargo xtask sim`: a scenario of the network in virtual time, with real nodes, in release.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::command::Program;
use crate::error::Error;
use crate::progress::{Outcome, Progress};
use crate::workspace::Workspace;

/// Which scenario.
#[derive(Args)]
pub(crate) struct Options {
    /// Which scenario; a wrong name lists them.
    #[arg(long)]
    scenario: String,
    /// How many nodes.
    #[arg(long, default_value_t = 1_000)]
    nodes: u32,
    /// Everything random follows from it: the same seed gives the same `trace` line on every machine.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Builds the simulator, runs the scenario and leaves `proof/sim/NAME.json` and `NAME.svg`; fails when a bound is broken.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    build(workspace)?;
    let status = command(workspace, options).status();
    let status = status.map_err(|source| Error::Start {
        program: "simulate".to_owned(),
        source,
    })?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn build(workspace: &Workspace) -> Result<(), Error> {
    Progress::new(1).step("simulator", |ticker| {
        Program::cargo(workspace, "build the simulator")
            .args(["build", "--locked", "--release", "--package", "simulator"])
            .run(ticker)?;
        Ok(Outcome::Done(String::new()))
    })
}

fn command(workspace: &Workspace, options: &Options) -> Command {
    let mut command = Command::new(workspace.target().join("release").join("simulate"));
    command.args(["--scenario", &options.scenario]);
    command.arg("--nodes").arg(options.nodes.to_string());
    command.arg("--seed").arg(options.seed.to_string());
    command
        .arg("--out")
        .arg(workspace.root().join("proof").join("sim"));
    command
}
