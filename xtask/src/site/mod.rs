//! Building what the relay serves, and the relay.
//!
//! ```text
//! sources ─cargo─▶ wasm ─wasm-bindgen, wasm-opt─▶ module ─┐
//! index.html ─────────────Trunk─────────────────▶ page ───┼─▶ <target>/site, each file with its .br
//! PyPI ───prepare-model─────────────────────────▶ models ─┘
//! ```
//! Every arrow is a step; each is skipped when what stands on its left has not changed.

mod assemble;
mod compress;
mod manifest;
mod model;
mod module;
mod page;
mod size;
mod worker;

use crate::command::Program;
use crate::error::Error;
use crate::prerequisites;
use crate::progress::{Outcome, Progress, Ticker};
use crate::tools;
use crate::workspace::Workspace;

/// One step of a build.
type Step = (
    &'static str,
    fn(&Workspace, &mut Ticker) -> Result<Outcome, Error>,
);

const STEPS: &[Step] = &[
    ("wasm-bindgen", tools::install_wasm_bindgen),
    ("Trunk", tools::install_trunk),
    ("binaryen", tools::install_binaryen),
    ("model", model::build),
    ("inference worker", worker::build_inference),
    ("wonnx worker", worker::build_wonnx),
    ("embeddable node", module::build_embed),
    ("page", page::build),
    ("site", assemble::build),
    ("size of the first load", size::check),
    ("relay", build_relay),
];

/// Takes the machine from whatever it has to a complete site and relay.
pub(crate) fn build_all(workspace: &Workspace) -> Result<(), Error> {
    prerequisites::ensure(workspace, prerequisites::BUILD)?;
    let mut progress = Progress::new(STEPS.len());
    for (name, run) in STEPS {
        progress.step(name, |ticker| run(workspace, ticker))?;
    }
    Ok(())
}

fn build_relay(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    Program::cargo(workspace, "build the relay")
        .args(["build", "--release", "--locked", "--package", "relay"])
        .run(ticker)?;
    Ok(Outcome::Done(String::new()))
}
