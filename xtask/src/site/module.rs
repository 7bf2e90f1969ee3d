//! From a crate to an ES module: cargo, wasm-bindgen, wasm-opt.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::{self, Key, Product};
use crate::command::Program;
use crate::error::{Context, Error};
use crate::progress::{Outcome, Ticker};
use crate::tools;
use crate::workspace::Workspace;

/// The cache's shelf for the module that other sites embed.
pub(super) const EMBED: &str = "embed";

/// Cargo's name for the browser.
pub(super) const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// The profile of everything that a browser downloads.
pub(super) const WASM_PROFILE: &str = "wasm";

/// Builds `embed/node_wasm.js`.
pub(super) fn build_embed(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    compile(
        workspace,
        ticker,
        &["--package", "node-wasm", "--lib", "--features", "js-api"],
    )?;
    let product = bind(
        workspace,
        ticker,
        EMBED,
        &workspace.wasm_artifact(WASM_PROFILE, "node_wasm"),
        "node_wasm",
    )?;
    publish(workspace, EMBED, &product)?;
    Ok(outcome(&product))
}

/// Compiles a package as browsers download it.
pub(super) fn compile(workspace: &Workspace, ticker: &mut Ticker, selection: &[&str]) -> Result<(), Error> {
    let what = format!(
        "compile {} for the browser",
        selection.join(" ").replace("--", "")
    );
    Program::cargo(workspace, &what)
        .args([
            "build",
            "--locked",
            "--target",
            "wasm32-unknown-unknown",
            "--profile",
            "wasm",
        ])
        .args(selection)
        .run(ticker)
        .map(|_| ())
}

/// Turns a compiled module into JavaScript and optimised wasm named `name`.
pub(super) fn bind(
    workspace: &Workspace,
    ticker: &mut Ticker,
    kind: &str,
    wasm: &Path,
    name: &str,
) -> Result<Product, Error> {
    let key = Key::new("module")
        .text(name)
        .text(&tools::versions())
        .file(wasm)?;
    cache::produce(workspace, kind, key, |dir| {
        Program::new(
            workspace,
            tools::wasm_bindgen(workspace),
            &format!("wasm-bindgen {name}"),
        )
        .args(["--target", "web", "--out-name", name, "--out-dir"])
        .arg(dir)
        .arg(wasm)
        .run(ticker)?;
        optimise(workspace, ticker, &dir.join(format!("{name}_bg.wasm")), "-Oz")
    })
}

/// Runs wasm-opt on a file in place.
pub(super) fn optimise(
    workspace: &Workspace,
    ticker: &mut Ticker,
    wasm: &Path,
    level: &str,
) -> Result<(), Error> {
    let optimised = wasm.with_extension("optimised");
    let name = wasm
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Program::new(workspace, tools::wasm_opt(workspace), &format!("wasm-opt {name}"))
        .arg(level)
        .arg(wasm)
        .arg("--output")
        .arg(&optimised)
        .run(ticker)?;
    fs::rename(&optimised, wasm).context("replace", wasm)
}

/// Remembers which product of a kind the next site is assembled from.
pub(super) fn publish(workspace: &Workspace, kind: &str, product: &Product) -> Result<(), Error> {
    let note = current_note(workspace, kind);
    fs::write(&note, product.dir.to_string_lossy().as_bytes()).context("write", &note)
}

/// The product of a kind that was published last.
pub(super) fn published(workspace: &Workspace, kind: &str) -> Result<PathBuf, Error> {
    let note = current_note(workspace, kind);
    fs::read_to_string(&note)
        .map(PathBuf::from)
        .context("read", &note)
}

/// What to say about a step that made, or found, this product.
pub(super) fn outcome(product: &Product) -> Outcome {
    if product.fresh {
        Outcome::Done(String::new())
    } else {
        Outcome::Unchanged
    }
}

fn current_note(workspace: &Workspace, kind: &str) -> PathBuf {
    workspace.cache().join(format!("{kind}.current"))
}
