//! What a first visit costs, and what the WebGPU path adds: listed, and refused when it is too much.

use std::fs;
use std::path::Path;

use crate::cache::files_below;
use crate::error::{Context, Error};
use crate::progress::{Outcome, Ticker};
use crate::site::manifest;
use crate::workspace::Workspace;

/// The budget of the first load in brotli bytes: about 5 s on a connection of 1.5 Mbit/s.
const FIRST_LOAD_BYTES_MAX: u64 = 900_000;

/// The budget of the pages that are loaded once the first one runs.
const LATER_BYTES_MAX: u64 = 150_000;

/// The budget of the WebGPU path, which is loaded when it is first used.
const KERNELS_BYTES_MAX: u64 = 1_200_000;

/// The budget of the library, which is loaded once the page runs.
const LIBRARY_BYTES_MAX: u64 = 150_000;

/// The budget of the computation worker, which is loaded when a device first computes a module.
const COMPUTATION_BYTES_MAX: u64 = 150_000;

/// The budget of the CPU path: the inference worker and the kernels that it imports.
const CPU_BYTES_MAX: u64 = 3_000_000;

/// Adds up the brotli siblings of everything that a first visit loads.
pub(super) fn check(workspace: &Workspace, _: &mut Ticker) -> Result<Outcome, Error> {
    check_page(
        workspace,
        "the first load",
        manifest::is_first_load,
        FIRST_LOAD_BYTES_MAX,
    )
}

/// Checks the other pages, which every browser downloads once the first one runs.
pub(super) fn check_later(workspace: &Workspace, _: &mut Ticker) -> Result<Outcome, Error> {
    check_page(
        workspace,
        "the pages beyond the first",
        manifest::is_later,
        LATER_BYTES_MAX,
    )
}

fn check_page(
    workspace: &Workspace,
    what: &'static str,
    belongs: fn(&str) -> bool,
    budget: u64,
) -> Result<Outcome, Error> {
    let site = workspace.site();
    let mut parts = Vec::new();
    let mut bytes = 0;
    for path in files_below(&site)? {
        let site_path = path
            .strip_prefix(&site)
            .unwrap_or(&path)
            .to_string_lossy()
            .replace('\\', "/");
        if belongs(&site_path) {
            let part = brotli_bytes(&path)?;
            bytes += part;
            parts.push(format!("{site_path} {:.1} KB", kilobytes(part)));
        }
    }
    let report = format!(
        "{:.1} KB brotli of {:.0} KB ({})",
        kilobytes(bytes),
        kilobytes(budget),
        parts.join(", ")
    );
    if bytes > budget {
        eprintln!("\n        {report}");
        return Err(Error::TooHeavy { what, bytes, budget });
    }
    Ok(Outcome::Done(report))
}

/// Checks what every browser downloads once the page runs.
pub(super) fn check_library(workspace: &Workspace, _: &mut Ticker) -> Result<Outcome, Error> {
    let modules = ["library_module"];
    check_workers(workspace, "the library", &modules, LIBRARY_BYTES_MAX)
}

/// Checks what a device downloads to compute modules.
pub(super) fn check_computation(workspace: &Workspace, _: &mut Ticker) -> Result<Outcome, Error> {
    check_workers(
        workspace,
        "the computation worker",
        &["computation_worker"],
        COMPUTATION_BYTES_MAX,
    )
}

/// Checks what a browser with WebGPU downloads for the project's own kernels.
pub(super) fn check_kernels(workspace: &Workspace, _: &mut Ticker) -> Result<Outcome, Error> {
    check_workers(
        workspace,
        "the kernels worker",
        &["wgpu_worker"],
        KERNELS_BYTES_MAX,
    )
}

/// Checks what every browser downloads to compute on the CPU, with either of its two modules.
pub(super) fn check_cpu(workspace: &Workspace, _: &mut Ticker) -> Result<Outcome, Error> {
    let mut reports = Vec::new();
    for module in ["cpu_worker", "cpu_relaxed_worker"] {
        let modules = ["inference_worker", module];
        match check_workers(workspace, "the CPU worker", &modules, CPU_BYTES_MAX)? {
            Outcome::Done(report) => reports.push(report),
            Outcome::Unchanged => {}
        }
    }
    Ok(Outcome::Done(reports.join(" or ")))
}

fn check_workers(
    workspace: &Workspace,
    what: &'static str,
    names: &[&str],
    budget: u64,
) -> Result<Outcome, Error> {
    let folder = workspace.site().join("worker");
    let files = names
        .iter()
        .flat_map(|name| [format!("{name}.js"), format!("{name}_bg.wasm")]);
    let bytes = files
        .map(|file| brotli_bytes(&folder.join(file)))
        .sum::<Result<u64, Error>>()?;
    if bytes > budget {
        return Err(Error::TooHeavy { what, bytes, budget });
    }
    Ok(Outcome::Done(format!(
        "{:.1} KB brotli of {:.0} KB",
        kilobytes(bytes),
        kilobytes(budget)
    )))
}

fn brotli_bytes(path: &Path) -> Result<u64, Error> {
    let mut sibling = path.as_os_str().to_owned();
    sibling.push(".br");
    let sibling = Path::new(&sibling);
    Ok(fs::metadata(sibling).context("read", sibling)?.len())
}

fn kilobytes(bytes: u64) -> f64 {
    // Sizes are far below 2^52, where a float stops being exact.
    bytes as f64 / 1000.0
}
