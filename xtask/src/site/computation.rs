//! The example modules of the computation service: compiled as anybody would, and described with known answers by `prepare-modules`,
//! which runs each on the native engine.

use std::path::PathBuf;

use crate::cache::{self, Key};
use crate::command::Program;
use crate::error::Error;
use crate::progress::{Outcome, Ticker};
use crate::site::module::{self, WASM_TARGET};
use crate::workspace::Workspace;

/// The cache's shelf for modules.
pub(super) const MODULES: &str = "computation-modules";

/// The packages that are modules.
const NAMES: &[&str] = &["factors", "shrink", "words"];

/// Builds `modules/*.wasm` and `modules/modules.json`.
pub(super) fn build(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    let compiled = compile(workspace, ticker)?;
    let describer = compile_describer(workspace, ticker)?;
    let mut key = Key::new("computation modules").file(&describer)?;
    for name in NAMES {
        key = key.text(name).file(&compiled.join(format!("{name}.wasm")))?;
    }
    let product = cache::produce(workspace, MODULES, key, |dir| {
        Program::new(workspace, &describer, "prepare-modules")
            .arg(&compiled)
            .arg(dir)
            .run(ticker)
            .map(|_| ())
    })?;
    module::publish(workspace, MODULES, &product)?;
    Ok(module::outcome(&product))
}

/// Compiles the modules from their own workspace; returns where they are. The directory is the one that the tests of
/// `computation` use, so nothing is compiled twice.
fn compile(workspace: &Workspace, ticker: &mut Ticker) -> Result<PathBuf, Error> {
    let target = workspace.target().join("computation-modules");
    Program::cargo(workspace, "compile modules of computation")
        .args(["build", "--locked", "--release", "--target", WASM_TARGET])
        .arg("--target-dir")
        .arg(&target)
        .dir(&modules(workspace))
        .run(ticker)?;
    Ok(target.join(WASM_TARGET).join("release"))
}

/// In the profile of the tests, which compile the same engine.
fn compile_describer(workspace: &Workspace, ticker: &mut Ticker) -> Result<PathBuf, Error> {
    Program::cargo(workspace, "build prepare-modules")
        .args(["build", "--locked", "--package", "computation"])
        .args(["--features", "prepare", "--bin", "prepare-modules"])
        .run(ticker)?;
    Ok(workspace.target().join("debug").join("prepare-modules"))
}

/// The workspace of the modules.
pub(crate) fn modules(workspace: &Workspace) -> PathBuf {
    workspace
        .root()
        .join("crates")
        .join("computation")
        .join("modules")
}
