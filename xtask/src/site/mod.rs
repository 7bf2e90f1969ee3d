//! Building what the relay serves, and the relay.
//!
//! ```text
//! sources ─cargo─▶ wasm ─wasm-bindgen, wasm-opt─▶ module ─┐
//! web-ui ──cargo, wasm-split, wasm-bindgen, …───▶ page ───┼─▶ <target>/site, each file with its .br
//! PyPI ───prepare-model─────────────────────────▶ models ─┤
//! crates/computation/modules ─prepare-modules───▶ modules ┘
//! ```
//! Every arrow is a step; each is skipped when what stands on its left has not changed.

mod assemble;
mod compress;
mod computation;
mod manifest;
mod model;
mod module;
mod page;
mod size;
mod transport;
mod worker;

pub(crate) use self::computation::modules as computation_modules;
pub(crate) use self::model::ENGINE_PROFILE;
pub(crate) use self::transport::{build_transport_page, transport_page};

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use crate::command::Program;
use crate::error::Error;
use crate::known_answers;
use crate::prerequisites;
use crate::progress::{Outcome, Progress, Ticker};
use crate::tools;
use crate::workspace::Workspace;

/// How often a step that waits looks up.
const JOIN_EVERY: Duration = Duration::from_millis(50);

/// One step of a build.
type Step = (
    &'static str,
    fn(&Workspace, &mut Ticker) -> Result<Outcome, Error>,
);

const GROUND: &[Step] = &[
    ("wasm-bindgen", tools::install_wasm_bindgen),
    ("binaryen", tools::install_binaryen),
    ("esbuild", tools::install_esbuild),
    ("model", model::build),
];

/// The wonnx worker comes last: its build scripts share the relay's profile and wait for it.
const MODULES: &[Step] = &[
    ("embeddable node", module::build_embed),
    ("page", page::build),
    ("library", worker::build_library),
    ("computation worker", worker::build_computation),
    ("modules of computation", computation::build),
    ("kernels worker", worker::build_kernels),
    ("CPU worker", worker::build_cpu),
    ("CPU worker, relaxed", worker::build_cpu_relaxed),
    ("tract worker", worker::build_tract),
    ("wonnx worker", worker::build_wonnx),
];

const SITE: &[Step] = &[
    ("site", assemble::build),
    ("size of the first load", size::check),
    ("size of the pages beyond the first", size::check_later),
    ("size of the library", size::check_library),
    ("size of the computation worker", size::check_computation),
    ("size of the kernels worker", size::check_kernels),
    ("size of the CPU workers", size::check_cpu),
    ("maker of known answers", known_answers::build),
];

/// Takes the machine from whatever it has to a complete site and relay.
///
/// The inference worker and the relay compile beside the other modules: linking and optimising wasm keep one core busy for
/// minutes, and each has a profile of its own, by which cargo locks its directories.
pub(crate) fn build_all(workspace: &Workspace) -> Result<(), Error> {
    prerequisites::ensure(workspace, prerequisites::BUILD)?;
    prerequisites::ensure_target(workspace)?;
    let mut progress = Progress::new(GROUND.len() + MODULES.len() + SITE.len() + 2);
    for (name, run) in GROUND {
        progress.step(name, |ticker| run(workspace, ticker))?;
    }
    thread::scope(|scope| {
        let inference = scope.spawn(|| worker::build_inference(workspace, &mut Ticker::silent()));
        let relay = scope.spawn(|| build_relay(workspace));
        for (name, run) in MODULES {
            progress.step(name, |ticker| run(workspace, ticker))?;
        }
        progress.step("inference worker", |ticker| join(inference, ticker))?;
        for (name, run) in SITE {
            progress.step(name, |ticker| run(workspace, ticker))?;
        }
        progress.step("relay", |ticker| join(relay, ticker))
    })
}

/// Makes the models alone and says where they are.
pub(crate) fn build_models(workspace: &Workspace, ticker: &mut Ticker) -> Result<PathBuf, Error> {
    model::build(workspace, ticker)?;
    module::published(workspace, model::MODELS)
}

/// Waits for what was begun beside other steps.
fn join(begun: ScopedJoinHandle<'_, Result<Outcome, Error>>, ticker: &mut Ticker) -> Result<Outcome, Error> {
    while !begun.is_finished() {
        ticker.report("still compiling or optimising");
        thread::sleep(JOIN_EVERY);
    }
    begun.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Builds the relay as people run it, in silence, since it may run beside another step.
pub(crate) fn build_relay(workspace: &Workspace) -> Result<Outcome, Error> {
    Program::cargo(workspace, "build the relay")
        .args(["build", "--release", "--locked", "--package", "relay"])
        .run(&mut Ticker::silent())?;
    Ok(Outcome::Done(String::new()))
}
