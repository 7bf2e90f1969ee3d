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
mod transport;
mod worker;

pub(crate) use self::transport::{build_transport_page, transport_page};

use std::panic::resume_unwind;
use std::thread;

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

const GROUND: &[Step] = &[
    ("wasm-bindgen", tools::install_wasm_bindgen),
    ("Trunk", tools::install_trunk),
    ("binaryen", tools::install_binaryen),
    ("model", model::build),
];

const SITE: &[Step] = &[
    ("inference worker", worker::build_inference),
    ("kernels worker", worker::build_kernels),
    ("wonnx worker", worker::build_wonnx),
    ("embeddable node", module::build_embed),
    ("page", page::build),
    ("site", assemble::build),
    ("size of the first load", size::check),
    ("size of the kernels worker", size::check_kernels),
];

/// Takes the machine from whatever it has to a complete site and relay.
///
/// The relay compiles beside the site: linking and optimising wasm keep one core busy for minutes. It begins after the
/// model's builder, whose profile is the same, since cargo locks its directories by profile.
pub(crate) fn build_all(workspace: &Workspace) -> Result<(), Error> {
    prerequisites::ensure(workspace, prerequisites::BUILD)?;
    let mut progress = Progress::new(GROUND.len() + SITE.len() + 1);
    for (name, run) in GROUND {
        progress.step(name, |ticker| run(workspace, ticker))?;
    }
    thread::scope(|scope| {
        let relay = scope.spawn(|| build_relay(workspace));
        for (name, run) in SITE {
            progress.step(name, |ticker| run(workspace, ticker))?;
        }
        progress.step("relay", |_| {
            let built = relay.join();
            built.unwrap_or_else(|panic| resume_unwind(panic))
        })
    })
}

/// Builds the relay as people run it, in silence, since it may run beside another step.
pub(crate) fn build_relay(workspace: &Workspace) -> Result<Outcome, Error> {
    Program::cargo(workspace, "build the relay")
        .args(["build", "--release", "--locked", "--package", "relay"])
        .run(&mut Ticker::silent())?;
    Ok(Outcome::Done(String::new()))
}
