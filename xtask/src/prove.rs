//! `cargo xtask prove`: run everything and keep what was measured, so that a number in the README has a file behind it.

use std::fs;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::check;
use crate::error::{Context, Error};
use crate::workspace::Workspace;

/// Runs all tests and writes `proof/first-light.json`.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode, Error> {
    let sum = check::run_steps(workspace, &[]);
    let measured = workspace.end_to_end().join("clocks.json");
    let text = fs::read_to_string(&measured).context("read", &measured)?;
    let clocks: Value = serde_json::from_str(&text).map_err(|error| Error::Unexpected {
        path: measured,
        problem: format!("not what the end-to-end tests write: {error}"),
    })?;

    let proof = json!({ "passed": sum.passed, "failed": sum.failed, "clocks": clocks });
    let dir = workspace.root().join("proof");
    fs::create_dir_all(&dir).context("create", &dir)?;
    let path = dir.join("first-light.json");
    fs::write(&path, format!("{proof:#}\n")).context("write", &path)?;

    eprintln!("wrote {}", path.display());
    println!("{sum}");
    Ok(if sum.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
