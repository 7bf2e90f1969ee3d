//! The two modules that run off the main thread: the inference worker and, loaded by it on demand, wonnx.

use crate::command::Program;
use crate::error::Error;
use crate::progress::{Outcome, Ticker};
use crate::site::module::{self, WASM_PROFILE, WASM_TARGET};
use crate::workspace::Workspace;

/// The cache's shelf for the inference worker.
pub(super) const INFERENCE: &str = "inference-worker";
/// The cache's shelf for wonnx.
pub(super) const WONNX: &str = "wonnx-worker";

/// Builds `worker/inference_worker.js`.
pub(super) fn build_inference(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    module::compile(
        workspace,
        ticker,
        &[
            "--package",
            "inference",
            "--features",
            "worker",
            "--bin",
            "inference_worker",
        ],
    )?;
    let product = module::bind(
        workspace,
        ticker,
        INFERENCE,
        &workspace.wasm_artifact(WASM_PROFILE, "inference_worker"),
        "inference_worker",
    )?;
    module::publish(workspace, INFERENCE, &product)?;
    Ok(module::outcome(&product))
}

/// Builds `worker/wonnx_worker.js` from its own workspace: wonnx needs an older web-sys than everything else, and a
/// workspace of one crate needs no other profile than its `release`.
pub(super) fn build_wonnx(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    Program::cargo(workspace, "compile wonnx-worker for the browser")
        .args(["build", "--locked", "--target", WASM_TARGET, "--release"])
        .dir(&workspace.root().join("crates").join("wonnx-worker"))
        .run(ticker)?;
    let wasm = workspace.wasm_artifact("release", "wonnx_worker");
    let product = module::bind(workspace, ticker, WONNX, &wasm, "wonnx_worker")?;
    module::publish(workspace, WONNX, &product)?;
    Ok(module::outcome(&product))
}
