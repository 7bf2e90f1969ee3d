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
/// How a family of modules is compiled. What shares profile and flags shares its compiled dependencies; cargo works on one
/// profile at a time, so two families can compile side by side.
pub(super) struct Family {
    /// A profile of the root's `Cargo.toml`.
    pub(super) profile: &'static str,
    /// Cargo adds these to the flags of `.cargo/config.toml`.
    pub(super) flags: &'static str,
}

/// What a page loads: small. leptos joins components by the types of their contents; erased, one piece of code serves many.
pub(super) const SMALL: Family = Family {
    profile: "wasm",
    flags: "--cfg=erase_components",
};

/// What computes: fast, with 128-bit vectors, which the page does without.
pub(super) const FAST: Family = Family {
    profile: "worker",
    flags: "-Ctarget-feature=+simd128",
};

/// The same for browsers that have relaxed SIMD. A profile of its own, so that neither build undoes the other's.
pub(super) const FASTER: Family = Family {
    profile: "relaxed",
    flags: "-Ctarget-feature=+simd128,+relaxed-simd",
};

impl Family {
    /// The flags as cargo reads them.
    pub(super) fn environment(&self) -> (&'static str, &'static str) {
        ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", self.flags)
    }
}

/// How a compiled module becomes JavaScript and wasm.
pub(super) struct Binding<'a> {
    /// The cache's shelf.
    pub(super) kind: &'static str,
    /// The name of the JavaScript module.
    pub(super) name: &'a str,
    /// What cargo made.
    pub(super) wasm: &'a Path,
    /// wasm-opt's passes: small for what a first visit waits for, fast for what computes.
    pub(super) passes: Passes,
    /// Whether TypeScript types belong to it.
    pub(super) types: bool,
}

/// What wasm-opt does, in its order.
pub(super) type Passes = &'static [&'static str];

/// For modules whose download counts: little that `-Oz` does, since most of it takes from what brotli would have found, and more. The
/// page has 3.0 MB instead of 3.4 after it, and 904 KB instead of 835 after brotli. What helps both is done twice around the
/// removal of arguments that nobody reads; and the alignment that each access claims, which engines ignore and brotli has to
/// write down, goes last. Together they are 13 KB of the page's 883.
pub(super) const FOR_BROTLI: Passes = &["-O1", "--dae-optimizing", "-O1", "--rse", "--dealign"];

/// Builds `embed/node_wasm.js`.
pub(super) fn build_embed(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    // The crate is an rlib, so that the page's build of it, with other features, leaves this module's file alone.
    let selection = [
        "--package",
        "node-wasm",
        "--lib",
        "--features",
        "js-api",
        "--crate-type",
        "cdylib",
    ];
    compile(workspace, ticker, "rustc", &SMALL, &selection)?;
    let wasm = workspace.wasm_artifact(SMALL.profile, "node_wasm");
    bind(
        workspace,
        ticker,
        &Binding {
            kind: EMBED,
            name: "node_wasm",
            wasm: &wasm,
            passes: FOR_BROTLI,
            types: true,
        },
    )
}

/// Compiles a package as browsers download it.
pub(super) fn compile(
    workspace: &Workspace,
    ticker: &mut Ticker,
    subcommand: &str,
    family: &Family,
    selection: &[&str],
) -> Result<(), Error> {
    let what = format!(
        "compile {} for the browser",
        selection.get(1).unwrap_or(&"everything")
    );
    Program::cargo(workspace, &what)
        .args([
            subcommand,
            "--locked",
            "--target",
            WASM_TARGET,
            "--profile",
            family.profile,
        ])
        .args(selection)
        .envs([family.environment()])
        .run(ticker)
        .map(|_| ())
}

/// Turns a compiled module into an ES module and makes it part of the next site.
pub(super) fn bind(
    workspace: &Workspace,
    ticker: &mut Ticker,
    binding: &Binding<'_>,
) -> Result<Outcome, Error> {
    let Binding {
        kind,
        name,
        wasm,
        passes,
        types,
    } = *binding;
    let key = Key::new("module")
        .text(name)
        .text(&passes.join(" "))
        .text(&tools::versions())
        .file(wasm)?;
    let product = cache::produce(workspace, kind, key, |dir| {
        Program::new(
            workspace,
            tools::wasm_bindgen(workspace),
            &format!("wasm-bindgen {name}"),
        )
        .args((!types).then_some("--no-typescript"))
        .args(["--target", "web", "--out-name", name, "--out-dir"])
        .arg(dir)
        .arg(wasm)
        .run(ticker)?;
        optimise(workspace, ticker, &dir.join(format!("{name}_bg.wasm")), passes)
    })?;
    publish(workspace, kind, &product)?;
    Ok(outcome(&product))
}

/// Runs wasm-opt on a file in place.
pub(super) fn optimise(
    workspace: &Workspace,
    ticker: &mut Ticker,
    wasm: &Path,
    passes: Passes,
) -> Result<(), Error> {
    let optimised = wasm.with_extension("optimised");
    let name = wasm
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Program::new(workspace, tools::wasm_opt(workspace), &format!("wasm-opt {name}"))
        .args(passes)
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
