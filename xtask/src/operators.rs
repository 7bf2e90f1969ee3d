//! `cargo xtask operators`: ONNX's own node tests on the CPU kernels, and the table in `docs/operators.md`.
//!
//! The tests are data inside the PyPI package `onnx`, which is downloaded and unpacked but not installed. The version is
//! the last one whose operator sets this project reads; newer ones move most tests to sets that it does not.

use std::process::ExitCode;

use crate::command::Program;
use crate::error::Error;
use crate::pip::Package;
use crate::progress::{Outcome, Progress};
use crate::site::ENGINE_PROFILE;
use crate::workspace::Workspace;

/// The wheel for any Linux will do: the tests in it are the same everywhere.
const ONNX: Package = Package {
    name: "onnx",
    version: "1.17.0",
    select: &["--platform", "manylinux2014_x86_64", "--python-version", "3.11"],
};

/// Runs the tests, writes the table, and fails if a result is wrong or too few pass.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode, Error> {
    let mut tests = None;
    Progress::new(1).step("ONNX's node tests", |ticker| {
        tests = Some(ONNX.unpacked(workspace, ticker)?);
        Ok(Outcome::Done(String::new()))
    })?;
    let tests = tests.unwrap_or_default().join("onnx/backend/test/data/node");
    let finished = Program::cargo(workspace, "operators")
        .args([
            "run",
            "--profile",
            ENGINE_PROFILE,
            "--locked",
            "--quiet",
            "--package",
            "inference",
        ])
        .args(["--features", "operators", "--bin", "operators", "--", "--tests"])
        .arg(&tests)
        .args(["--version", ONNX.version, "--out"])
        .arg(workspace.root().join("docs").join("operators.md"))
        .finish_quietly()?;
    print!("{}", finished.output);
    Ok(if finished.success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
