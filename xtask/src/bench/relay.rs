//! `cargo xtask bench relay`: builds the relay and the nodes that load it, in release, and keeps what they measured.

use std::fs;
use std::process::{Command, ExitCode, Stdio};

use clap::Args;

use crate::command::Program;
use crate::error::{Context, Error};
use crate::progress::{Outcome, Progress};
use crate::workspace::Workspace;

/// How much load.
#[derive(Args)]
pub(crate) struct Options {
    /// Nodes that hold a reservation and renew it.
    #[arg(long, default_value_t = 1_000)]
    reservations: u32,
    /// Circuits that signal at once.
    #[arg(long, default_value_t = 200)]
    circuits: u32,
}

/// Runs the load against a relay of its own and leaves `proof/relay.json`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    Progress::new(1).step("relay and load", |ticker| {
        Program::cargo(workspace, "build the relay and its load")
            .args(["build", "--locked", "--release", "--package", "relay"])
            .args(["--bin", "knowledge-relay", "--example", "load"])
            .run(ticker)?;
        Ok(Outcome::Done(String::new()))
    })?;
    let load = workspace.target().join("release").join("examples").join("load");
    let output = Command::new(&load)
        .arg("--relay")
        .arg(workspace.relay())
        .args(["--reservations", &options.reservations.to_string()])
        .args(["--circuits", &options.circuits.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start {
            program: load.display().to_string(),
            source,
        })?;
    let measured = String::from_utf8_lossy(&output.stdout);
    if let Some(line) = measured.lines().last() {
        let dir = workspace.root().join("proof");
        fs::create_dir_all(&dir).context("create", &dir)?;
        let path = dir.join("relay.json");
        fs::write(&path, format!("{line}\n")).context("write", &path)?;
        println!("{line}");
    }
    Ok(if output.status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
