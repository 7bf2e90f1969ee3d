//! `cargo xtask fuzz`: runs every fuzz target of the repository for a while.
//!
//! A crate that parses a stranger's bytes has `crates/<name>/fuzz`, laid out as cargo-fuzz wants it: a package of its
//! own workspace with one binary per target and, beside it, `seeds/<target>/`. That is all that it takes to be found here.
//! The corpus that grows while fuzzing stays under the target directory; what is worth keeping is committed as a seed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::cache;
use crate::check::Counts;
use crate::command::Program;
use crate::error::{Context, Error};
use crate::progress::Progress;
use crate::tools;
use crate::workspace::Workspace;

/// The sanitizers' platform.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What to fuzz.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for each target.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Run only the targets whose crate or name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// Runs the targets one after the other; the last line of stdout is `N passed, N failed`, counting targets.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    Progress::new(1).step("cargo-fuzz", |ticker| {
        tools::install_cargo_fuzz(workspace, ticker)
    })?;
    let mut results = Vec::new();
    for dir in fuzz_crates(workspace)? {
        for target in targets(workspace, &dir)? {
            let name = format!("{} of {}", target, crate_name(&dir));
            if !name.contains(&options.only) {
                continue;
            }
            eprintln!("── fuzzing {name} for {} s", options.seconds);
            let worked = fuzz(workspace, &dir, &target, options.seconds)?;
            results.push((name, worked));
        }
    }
    for (name, worked) in &results {
        eprintln!("{:6} {name}", if *worked { "ok" } else { "FAILED" });
    }
    let sum: Counts = results
        .iter()
        .map(|(_, worked)| if *worked { Counts::PASSED } else { Counts::FAILED })
        .sum();
    println!("{sum}");
    // Nothing fuzzed is not a success: it means that the targets were not found.
    Ok(if sum.failed == 0 && sum.passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn fuzz_crates(workspace: &Workspace) -> Result<Vec<PathBuf>, Error> {
    let crates = cache::list(&workspace.root().join("crates"))?;
    let fuzz = crates.into_iter().map(|dir| dir.join("fuzz"));
    Ok(fuzz.filter(|dir| dir.join("Cargo.toml").exists()).collect())
}

fn targets(workspace: &Workspace, dir: &Path) -> Result<Vec<String>, Error> {
    let what = format!("fuzz targets of {}", crate_name(dir));
    let finished = Program::new(workspace, tools::cargo_fuzz(workspace), &what)
        .args(["list", "--fuzz-dir"])
        .arg(dir)
        .finish_quietly()?;
    Ok(finished.output.lines().map(str::to_owned).collect())
}

fn fuzz(workspace: &Workspace, dir: &Path, target: &str, seconds: u32) -> Result<bool, Error> {
    let name = crate_name(dir);
    let corpus = workspace.target().join("fuzz-corpus").join(&name).join(target);
    fs::create_dir_all(&corpus).context("create", &corpus)?;
    // cargo-fuzz needs flags that the pinned toolchain only takes as if it were a nightly one. Artifacts, the inputs of
    // a crash, land in `artifacts/` beside the targets.
    let finished = Program::cargo_subcommand(
        workspace,
        tools::cargo_fuzz(workspace),
        &format!("fuzz {target} of {name}"),
    )
    .env("RUSTC_BOOTSTRAP", "1")
    .args(["run", "--target", TARGET, "--codegen-units", "16", "--fuzz-dir"])
    .arg(dir)
    .arg("--target-dir")
    .arg(workspace.target().join("fuzz"))
    .arg(target)
    .arg(&corpus)
    .arg(dir.join("seeds").join(target))
    .args([
        "--",
        "-timeout=5",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        &format!("-max_total_time={seconds}"),
    ])
    .echo()
    .finish_quietly()?;
    Ok(finished.success)
}

/// `crates/<name>/fuzz` is named after its crate.
fn crate_name(dir: &Path) -> String {
    let parent = dir.parent().and_then(Path::file_name).unwrap_or_default();
    parent.to_string_lossy().into_owned()
}
