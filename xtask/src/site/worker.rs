//! The modules beside the page: the inference worker and, loaded by it on demand, the kernels, tract and wonnx; the worker that runs
//! strangers' modules; and the library, which the page itself imports when it runs.

use crate::command::Program;
use crate::error::Error;
use crate::progress::{Outcome, Ticker};
use crate::site::module::{self, Binding, FAST, FASTER, Family, Passes, SMALL, WASM_TARGET};
use crate::workspace::Workspace;

/// The cache's shelf for the inference worker.
pub(super) const INFERENCE: &str = "inference-worker";
/// The cache's shelf for the project's own kernels on WebGPU.
pub(super) const KERNELS: &str = "wgpu-worker";
/// The cache's shelf for the project's own kernels on the CPU.
pub(super) const CPU: &str = "cpu-worker";
/// The cache's shelf for the same with relaxed SIMD.
pub(super) const CPU_RELAXED: &str = "cpu-relaxed-worker";
/// The cache's shelf for tract.
pub(super) const TRACT: &str = "tract-worker";
/// The cache's shelf for wonnx.
pub(super) const WONNX: &str = "wonnx-worker";

/// The cache's shelf for the computation worker.
pub(super) const COMPUTATION: &str = "computation-worker";

/// The cache's shelf for the library.
pub(super) const LIBRARY: &str = "library-module";

/// Builds `worker/library_module.js`. Fast: a question looks at every vector.
pub(super) fn build_library(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    build_package(workspace, ticker, LIBRARY, &FAST, &["-O3"])
}

/// Builds `worker/computation_worker.js`. Small rather than fast: a module's own code runs on the browser's engine.
pub(super) fn build_computation(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    build_package(workspace, ticker, COMPUTATION, &SMALL, &["-Oz"])
}

/// Builds `worker/wgpu_worker.js`. Small rather than fast: its work is done in shaders.
pub(super) fn build_kernels(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    build_package(workspace, ticker, KERNELS, &SMALL, &["-Oz"])
}

/// Builds a package that is one module, and is called like it.
fn build_package(
    workspace: &Workspace,
    ticker: &mut Ticker,
    package: &'static str,
    family: &Family,
    passes: Passes,
) -> Result<Outcome, Error> {
    module::compile(workspace, ticker, "build", family, &["--package", package])?;
    let name = package.replace('-', "_");
    let wasm = workspace.wasm_artifact(family.profile, &name);
    let binding = Binding {
        kind: package,
        name: &name,
        wasm: &wasm,
        passes,
        types: false,
    };
    module::bind(workspace, ticker, &binding)
}

/// Builds `worker/inference_worker.js`.
pub(super) fn build_inference(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    let selection = [
        "--package",
        "inference",
        "--features",
        "worker",
        "--bin",
        "inference_worker",
    ];
    module::compile(workspace, ticker, "build", &FAST, &selection)?;
    let wasm = workspace.wasm_artifact(FAST.profile, "inference_worker");
    let binding = Binding {
        kind: INFERENCE,
        name: "inference_worker",
        wasm: &wasm,
        passes: &["-O3"],
        types: false,
    };
    module::bind(workspace, ticker, &binding)
}

/// Builds `worker/cpu_worker.js`.
pub(super) fn build_cpu(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    build_cpu_for(workspace, ticker, &FAST, &[], (CPU, "cpu_worker", &["-O3"]))
}

/// Builds `worker/cpu_relaxed_worker.js`: the same for browsers with relaxed SIMD.
pub(super) fn build_cpu_relaxed(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    let module: (_, _, Passes) = (CPU_RELAXED, "cpu_relaxed_worker", &["-O3"]);
    build_cpu_for(workspace, ticker, &FASTER, &[], module)
}

/// Builds `worker/tract_worker.js`: tract in the place of the kernels. A stand-in that is seldom loaded, and more passes would take minutes.
pub(super) fn build_tract(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    let features = ["--features", "tract"];
    build_cpu_for(
        workspace,
        ticker,
        &FAST,
        &features,
        (TRACT, "tract_worker", &["-O1"]),
    )
}

fn build_cpu_for(
    workspace: &Workspace,
    ticker: &mut Ticker,
    family: &Family,
    features: &[&str],
    (kind, name, passes): (&'static str, &'static str, Passes),
) -> Result<Outcome, Error> {
    let selection = [&["--package", "cpu-worker"], features].concat();
    module::compile(workspace, ticker, "build", family, &selection)?;
    let wasm = workspace.wasm_artifact(family.profile, "cpu_worker");
    let binding = Binding {
        kind,
        name,
        wasm: &wasm,
        passes,
        types: false,
    };
    module::bind(workspace, ticker, &binding)
}

/// Builds `worker/wonnx_worker.js` from its own workspace: wonnx needs an older web-sys than everything else, and a
/// workspace of one crate needs no other profile than its `release`.
pub(super) fn build_wonnx(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    Program::cargo(workspace, "compile wonnx-worker for the browser")
        .args(["build", "--locked", "--target", WASM_TARGET, "--release"])
        .dir(&workspace.root().join("crates").join("wonnx-worker"))
        .run(ticker)?;
    let wasm = workspace.wasm_artifact("release", "wonnx_worker");
    let binding = Binding {
        kind: WONNX,
        name: "wonnx_worker",
        wasm: &wasm,
        passes: &["-Oz"],
        types: false,
    };
    module::bind(workspace, ticker, &binding)
}
