//! The pinned tools, each in `<target>/tools/<name>-<version>`: a new version is a new directory, an old clone keeps its own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::Key;
use crate::command::{Program, answers, fresh_dir};
use crate::error::{Context, Error};
use crate::progress::{Outcome, Ticker};
use crate::workspace::Workspace;

/// Fixed by libp2p's browser crates; `Cargo.toml` says why.
const WASM_BINDGEN: &str = "0.2.108";
const BINARYEN: &str = "132.0.0";
const ESBUILD: &str = "0.28.2";
const NEXTEST: &str = "0.9.143";
const CARGO_FUZZ: &str = "0.13.2";

/// What rustc emits for wasm32 today and every browser since 2022 runs, and relaxed SIMD, which is in one module only;
/// binaryen must be told.
const WASM_FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-relaxed-simd",
    "--enable-simd",
];

/// A tool runs for seconds; with the profiles of their authors (fat LTO in one unit) compiling them takes many minutes on two cores.
const QUICK_PROFILE: [(&str, &str); 2] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
];

/// How much a tool is optimised.
#[derive(Clone, Copy)]
enum Work {
    /// It mostly waits for other programs.
    Light,
    /// It reads and rewrites megabytes of wasm.
    Heavy,
}

impl Work {
    const fn opt_level(self) -> &'static str {
        match self {
            Self::Light => "0",
            Self::Heavy => "1",
        }
    }
}

/// Identifies the tools in cache keys: another version may make another file of the same input.
pub(crate) fn versions() -> String {
    format!(
        "wasm-bindgen {WASM_BINDGEN}, binaryen {BINARYEN}, {}",
        WASM_FEATURES.join(" ")
    )
}

/// `wasm-bindgen`.
pub(crate) fn wasm_bindgen(workspace: &Workspace) -> PathBuf {
    cargo_tool(workspace, "wasm-bindgen", WASM_BINDGEN).join("wasm-bindgen")
}

/// `wasm-bindgen-test-runner`.
pub(crate) fn wasm_test_runner(workspace: &Workspace) -> PathBuf {
    cargo_tool(workspace, "wasm-bindgen", WASM_BINDGEN).join("wasm-bindgen-test-runner")
}

/// `wasm-opt`, with the features that our modules use switched on.
pub(crate) fn wasm_opt(workspace: &Workspace) -> PathBuf {
    binaryen_dir(workspace).join("bin").join("wasm-opt")
}

/// `esbuild`, which makes scripts smaller.
pub(crate) fn esbuild(workspace: &Workspace) -> PathBuf {
    esbuild_dir(workspace)
        .join("node_modules")
        .join(".bin")
        .join("esbuild")
}

/// Identifies it in the keys of what it makes smaller.
pub(crate) fn esbuild_version() -> String {
    format!("esbuild {ESBUILD}")
}

/// Installs wasm-bindgen's command line.
pub(crate) fn install_wasm_bindgen(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    install_crate(
        workspace,
        ticker,
        "wasm-bindgen",
        "wasm-bindgen-cli",
        WASM_BINDGEN,
        Work::Heavy,
        &[],
    )
}

/// Installs nextest unless the machine has one.
pub(crate) fn install_nextest(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    if answers("cargo-nextest", &["--version"]) {
        return Ok(Outcome::Unchanged);
    }
    install_crate(
        workspace,
        ticker,
        "nextest",
        "cargo-nextest",
        NEXTEST,
        Work::Light,
        &["--no-default-features", "--features", "default-no-update"],
    )
}

/// The nextest to run: the machine's own, or the one that was installed here.
pub(crate) fn nextest(workspace: &Workspace) -> PathBuf {
    let ours = cargo_tool(workspace, "nextest", NEXTEST).join("cargo-nextest");
    if ours.exists() {
        ours
    } else {
        PathBuf::from("cargo-nextest")
    }
}

/// Installs cargo-fuzz.
pub(crate) fn install_cargo_fuzz(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    install_crate(
        workspace,
        ticker,
        "cargo-fuzz",
        "cargo-fuzz",
        CARGO_FUZZ,
        Work::Light,
        &[],
    )
}

/// `cargo-fuzz`.
pub(crate) fn cargo_fuzz(workspace: &Workspace) -> PathBuf {
    cargo_tool(workspace, "cargo-fuzz", CARGO_FUZZ).join("cargo-fuzz")
}

/// Installs binaryen from npm, which has current ones, and puts a launcher beside it.
pub(crate) fn install_binaryen(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    let launcher = wasm_opt(workspace);
    let text = wasm_opt_launcher(&binaryen_dir(workspace));
    if fs::read_to_string(&launcher).is_ok_and(|current| current == text) {
        return Ok(Outcome::Unchanged);
    }
    let dir = binaryen_dir(workspace);
    fresh_dir(&dir.join("bin"))?;
    npm_install(workspace, ticker, &dir, "binaryen", BINARYEN)?;
    write_executable(&launcher, &text)?;
    Ok(Outcome::Done(String::new()))
}

/// Installs esbuild from npm.
pub(crate) fn install_esbuild(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    let dir = esbuild_dir(workspace);
    let note = dir.join(".installed");
    if note.exists() {
        return Ok(Outcome::Unchanged);
    }
    fresh_dir(&dir)?;
    npm_install(workspace, ticker, &dir, "esbuild", ESBUILD)?;
    // Written last, so that an interrupted installation starts over.
    fs::write(&note, ESBUILD).context("write", &note)?;
    Ok(Outcome::Done(String::new()))
}

fn npm_install(
    workspace: &Workspace,
    ticker: &mut Ticker,
    dir: &Path,
    package: &str,
    version: &str,
) -> Result<(), Error> {
    Program::new(workspace, "npm", &format!("install {package}"))
        .args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"])
        .arg(dir)
        .arg(format!("{package}@{version}"))
        .run(ticker)
        .map(|_| ())
}

/// Installs what a folder's lock file names, unless that is what is there.
pub(crate) fn npm_ci(workspace: &Workspace, ticker: &mut Ticker, dir: &Path) -> Result<Outcome, Error> {
    let key = Key::new("npm ci").file(&dir.join("package-lock.json"))?.finish();
    let note = dir.join("node_modules").join(".installed");
    if fs::read_to_string(&note).is_ok_and(|installed| installed == key) {
        return Ok(Outcome::Unchanged);
    }
    let folder = dir.file_name().unwrap_or_default().to_string_lossy();
    Program::new(workspace, "npm", &format!("npm ci in {folder}"))
        .args(["ci", "--no-audit", "--no-fund"])
        .dir(dir)
        .run(ticker)?;
    // Written last, so that an interrupted installation starts over.
    fs::write(&note, key).context("write", &note)?;
    Ok(Outcome::Done(String::new()))
}

fn wasm_opt_launcher(dir: &Path) -> String {
    let script = dir
        .join("node_modules")
        .join("binaryen")
        .join("bin")
        .join("wasm-opt");
    format!(
        "#!/bin/sh\nexec node '{}' \"$@\" {}\n",
        script.display(),
        WASM_FEATURES.join(" ")
    )
}

fn binaryen_dir(workspace: &Workspace) -> PathBuf {
    workspace.tools().join(format!("binaryen-{BINARYEN}"))
}

fn esbuild_dir(workspace: &Workspace) -> PathBuf {
    workspace.tools().join(format!("esbuild-{ESBUILD}"))
}

fn cargo_tool(workspace: &Workspace, name: &str, version: &str) -> PathBuf {
    workspace.tools().join(format!("{name}-{version}")).join("bin")
}

fn install_crate(
    workspace: &Workspace,
    ticker: &mut Ticker,
    name: &str,
    package: &str,
    version: &str,
    work: Work,
    features: &[&str],
) -> Result<Outcome, Error> {
    let root = workspace.tools().join(format!("{name}-{version}"));
    // cargo writes this list after the binaries, so that an interrupted installation starts over.
    let installed = fs::read_to_string(root.join(".crates.toml"));
    if installed.is_ok_and(|list| list.contains(&format!("\"{package} {version} "))) {
        return Ok(Outcome::Unchanged);
    }
    Program::cargo(workspace, &format!("install {package}"))
        .args(["install", "--locked", "--force", package, "--version", version])
        .args(features)
        .envs(QUICK_PROFILE)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", work.opt_level())
        .arg("--root")
        .arg(&root)
        .arg("--target-dir")
        .arg(workspace.tools().join("build"))
        .run(ticker)?;
    Ok(Outcome::Done(String::new()))
}

#[cfg(unix)]
fn write_executable(path: &Path, text: &str) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).context("write", path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).context("make executable", path)
}

#[cfg(not(unix))]
fn write_executable(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).context("write", path)
}
