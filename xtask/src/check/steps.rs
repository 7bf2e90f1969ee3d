//! The steps of `cargo xtask test`. Every test is in exactly one of them.

use std::path::{Path, PathBuf};

use crate::check::counts::Counts;
use crate::command::Program;
use crate::error::Error;
use crate::interop;
use crate::prerequisites;
use crate::progress::Progress;
use crate::site;
use crate::tools;
use crate::workspace::Workspace;

/// One step.
pub(super) struct Step {
    /// What `--only` takes.
    pub(super) name: &'static str,
    /// What it checks, for a person.
    pub(super) about: &'static str,
    /// Whether it needs more than Rust.
    pub(super) needs_packages: bool,
    /// Runs it.
    pub(super) run: fn(&Workspace) -> Result<Counts, Error>,
}

/// Crates whose tests need no optimisation to be quick.
const DEV: &[&str] = &[
    "blob",
    "computation",
    "exchange",
    "library",
    "node-proto",
    "node-wasm",
    "simulator",
    "web-ui",
    "webrtc-transport",
    "xtask",
];
/// The features that they have there.
const NATIVE_FEATURES: &str = "computation/prepare";
/// Crates with tests that run as WebAssembly.
const IN_BROWSER: &[&str] = &["computation", "node-proto", "node-wasm", "webrtc-transport"];
/// Crates that are compiled for the browser.
const FOR_BROWSER: &[&str] = &[
    "blob",
    "computation",
    "computation-worker",
    "cpu-worker",
    "exchange",
    "inference",
    "library",
    "library-module",
    "node-proto",
    "node-wasm",
    "transport-page",
    "web-ui",
    "webrtc-transport",
    "wgpu-worker",
];
/// The features that they have there.
const BROWSER_FEATURES: &str = "inference/client,inference/worker,node-wasm/js-api";

/// All steps, the quickest verdicts first.
pub(super) const ALL: &[Step] = &[
    Step {
        name: "format",
        about: "rustfmt changes nothing",
        needs_packages: false,
        run: format,
    },
    Step {
        name: "clippy",
        about: "no warning in native code",
        needs_packages: false,
        run: clippy,
    },
    Step {
        name: "clippy-wasm",
        about: "no warning in the browser's code",
        needs_packages: false,
        run: clippy_wasm,
    },
    Step {
        name: "native",
        about: "native tests, and the wire vectors read by another language",
        needs_packages: true,
        run: native,
    },
    Step {
        name: "build",
        about: "the site and the relay, within the size budget",
        needs_packages: true,
        run: build,
    },
    Step {
        name: "native-release",
        about: "native tests of the relay and of the inference engine with the real model",
        needs_packages: true,
        run: native_release,
    },
    Step {
        name: "browser-unit",
        about: "unit tests as WebAssembly, inside headless Chromium",
        needs_packages: true,
        run: browser_unit,
    },
    Step {
        name: "end-to-end",
        about: "people's journeys through a real relay and separate browsers",
        needs_packages: true,
        run: end_to_end,
    },
    Step {
        name: "interop",
        about: "the transport against itself and js-libp2p, in every pair of browsers",
        needs_packages: true,
        run: interop,
    },
];

/// The names of all steps.
pub(super) fn names() -> Vec<&'static str> {
    ALL.iter().map(|step| step.name).collect()
}

fn format(workspace: &Workspace) -> Result<Counts, Error> {
    let mut worked = check(Program::cargo(workspace, "rustfmt").args(["fmt", "--all", "--check"]))?;
    let apart = [
        ("rustfmt wonnx-worker", wonnx_worker(workspace)),
        (
            "rustfmt modules of computation",
            site::computation_modules(workspace),
        ),
    ];
    for (what, dir) in apart {
        let formatted = Program::cargo(workspace, what)
            .args(["fmt", "--all", "--check"])
            .dir(&dir);
        worked &= check(formatted)?;
    }
    Ok(verdict(worked))
}

fn clippy(workspace: &Workspace) -> Result<Counts, Error> {
    let selection = [
        "--workspace",
        "--all-targets",
        "--features",
        "inference/known-answers,inference/retrieval,inference/gpu,computation/prepare",
    ];
    check(clippy_of(workspace, "clippy", &selection)).map(verdict)
}

fn clippy_wasm(workspace: &Workspace) -> Result<Counts, Error> {
    prerequisites::ensure_target(workspace)?;
    let target = ["--target", "wasm32-unknown-unknown"];
    let mut selection = vec!["--features", BROWSER_FEATURES];
    selection.extend(FOR_BROWSER.iter().flat_map(|package| ["--package", package]));
    selection.extend(target);
    let ours = check(clippy_of(workspace, "clippy for the browser", &selection))?;
    let tract = [&["--package", "cpu-worker", "--features", "tract"], &target[..]].concat();
    let tract = check(clippy_of(workspace, "clippy cpu-worker with tract", &tract))?;
    let wonnx = clippy_of(workspace, "clippy wonnx-worker", &target).dir(&wonnx_worker(workspace));
    let wonnx = check(wonnx)?;
    let modules = clippy_of(workspace, "clippy modules of computation", &target);
    let modules = check(modules.dir(&site::computation_modules(workspace)))?;
    Ok(verdict(wonnx && modules && ours && tract))
}

fn native(workspace: &Workspace) -> Result<Counts, Error> {
    prerequisites::ensure(workspace, prerequisites::BUILD)?;
    let vectors = workspace.root().join("tests").join("vectors").join("verify.py");
    let read = check(
        Program::new(workspace, "python3", "wire vectors")
            .arg("-B")
            .arg(vectors),
    )?;
    let mut selection = vec!["--features", NATIVE_FEATURES];
    selection.extend(DEV.iter().flat_map(|package| ["--package", package]));
    let native = nextest(workspace, "native tests", &selection)?;
    Ok([verdict(read), native].into_iter().sum())
}

fn build(workspace: &Workspace) -> Result<Counts, Error> {
    site::build_all(workspace).map(|()| Counts::PASSED)
}

/// One package at a time: together they would unify their features and compile their dependencies once more.
fn native_release(workspace: &Workspace) -> Result<Counts, Error> {
    let relay = nextest(
        workspace,
        "tests of the relay",
        &["--release", "--package", "relay"],
    )?;
    let inference = [
        "--cargo-profile",
        site::ENGINE_PROFILE,
        "--package",
        "inference",
        "--features",
        "known-answers,retrieval,gpu",
    ];
    // The kernels in WGSL run on the renderer that a browser without a GPU uses too.
    let vulkan = prerequisites::software_vulkan(workspace)?;
    let inference = with_nextest(workspace, "tests of the inference engine", &inference)?
        .env("LD_LIBRARY_PATH", &vulkan)
        .env("VK_ICD_FILENAMES", vulkan.join(prerequisites::VULKAN_DRIVER));
    Ok([relay, counted(inference)?].into_iter().sum())
}

fn browser_unit(workspace: &Workspace) -> Result<Counts, Error> {
    prerequisites::ensure(workspace, prerequisites::BROWSERS)?;
    let mut sum = Vec::new();
    for package in IN_BROWSER {
        let program = Program::cargo(workspace, &format!("browser tests of {package}"))
            .args([
                "test",
                "--locked",
                "--target",
                "wasm32-unknown-unknown",
                "--package",
                package,
            ])
            .env(
                "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER",
                tools::wasm_test_runner(workspace),
            )
            .env("CHROMEDRIVER", "chromedriver")
            // Tests that need no browser run in one all the same: Debian 12's Node.js 18 dies of them in V8.
            .env("WASM_BINDGEN_USE_BROWSER", "1")
            .env("WASM_BINDGEN_TEST_TIMEOUT", "600");
        sum.push(counted(program)?);
    }
    Ok(sum.into_iter().sum())
}

fn end_to_end(workspace: &Workspace) -> Result<Counts, Error> {
    counted(journeys(workspace, &workspace.end_to_end())?)
}

/// The runner of journeys, with whatever it needs; it leaves evidence and clocks in `out`.
pub(crate) fn journeys(workspace: &Workspace, out: &Path) -> Result<Program, Error> {
    prerequisites::ensure(workspace, prerequisites::BUILD)?;
    prerequisites::ensure(workspace, prerequisites::BROWSERS)?;
    let suite = workspace.root().join("tests").join("e2e");
    Progress::new(1).step("npm ci", |ticker| tools::npm_ci(workspace, ticker, &suite))?;
    Ok(Program::new(workspace, "node", "end-to-end tests")
        .arg(suite.join("run.mjs"))
        .arg("--relay")
        .arg(workspace.relay())
        .arg("--site")
        .arg(workspace.site())
        .arg("--known-answers")
        .arg(workspace.known_answers())
        .arg("--out")
        .arg(out))
}

fn interop(workspace: &Workspace) -> Result<Counts, Error> {
    let fixture = interop::prepare(workspace)?;
    counted(fixture.program(workspace, "run.mjs", "interoperability tests"))
}

fn nextest(workspace: &Workspace, what: &str, selection: &[&str]) -> Result<Counts, Error> {
    counted(with_nextest(workspace, what, selection)?)
}

fn with_nextest(workspace: &Workspace, what: &str, selection: &[&str]) -> Result<Program, Error> {
    Progress::new(1).step("nextest", |ticker| tools::install_nextest(workspace, ticker))?;
    Ok(
        Program::cargo_subcommand(workspace, tools::nextest(workspace), what)
            .args([
                "nextest",
                "run",
                "--locked",
                "--no-fail-fast",
                "--no-tests",
                "pass",
            ])
            .args(["--status-level", "slow", "--color", "never"])
            .args(selection)
            .env("KNOWLEDGE_MODELS_DIR", workspace.site().join("models")),
    )
}

fn clippy_of(workspace: &Workspace, what: &str, selection: &[&str]) -> Program {
    Program::cargo(workspace, what)
        .args(["clippy", "--locked"])
        .args(selection)
        .args(["--", "-D", "warnings"])
}

fn wonnx_worker(workspace: &Workspace) -> PathBuf {
    workspace.root().join("crates").join("wonnx-worker")
}

/// Runs a check that has no tests to count.
fn check(program: Program) -> Result<bool, Error> {
    program.echo().finish_quietly().map(|finished| finished.success)
}

/// Runs a test runner and reads its report.
pub(crate) fn counted(program: Program) -> Result<Counts, Error> {
    let finished = program.echo().finish_quietly()?;
    Ok(Counts::read(&finished.output).with_status(finished.success))
}

fn verdict(worked: bool) -> Counts {
    if worked { Counts::PASSED } else { Counts::FAILED }
}
