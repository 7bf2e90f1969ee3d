//! The page: Trunk binds the wasm, names files by their content and writes index.html; wasm-opt makes the wasm smaller, and esbuild
//! the scripts.
//!
//! Trunk starts over each time it is called, so it is called only when something that it reads has changed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::{self, Key, hash_file};
use crate::command::Program;
use crate::error::{Context, Error};
use crate::progress::{Outcome, Ticker};
use crate::site::module::{self, FOR_BROTLI, SMALL};
use crate::tools;
use crate::workspace::Workspace;

/// The cache's shelf for the page.
pub(super) const PAGE: &str = "page";

/// Builds index.html and what it loads.
pub(super) fn build(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    module::compile(workspace, ticker, "build", &SMALL, &["--package", "web-ui"])?;
    let mut key = Key::new("page")
        .text(&tools::versions())
        .text(&tools::esbuild_version())
        .text(&FOR_BROTLI.join(" "))
        .file(&workspace.wasm_artifact(SMALL.profile, "web_ui"))?;
    for path in inputs(workspace)? {
        let relative = path.strip_prefix(workspace.root()).unwrap_or(&path);
        key = key.text(&relative.to_string_lossy()).file(&path)?;
    }
    let product = cache::produce(workspace, PAGE, key, |dir| {
        run_trunk(workspace, ticker, dir)?;
        let wasm = only_wasm(dir)?;
        module::optimise(workspace, ticker, &wasm, FOR_BROTLI)?;
        minify(workspace, ticker, dir)?;
        rename_by_content(dir, &wasm)
    })?;
    module::publish(workspace, PAGE, &product)?;
    Ok(module::outcome(&product))
}

/// Everything that Trunk copies or links: index.html and whatever lies beside the page's Rust sources.
fn inputs(workspace: &Workspace) -> Result<Vec<PathBuf>, Error> {
    let mut files = cache::files_below(&workspace.root().join("web-ui"))?;
    files.retain(|path| path.extension().is_none_or(|extension| extension != "rs"));
    files.extend(["index.html", "Trunk.toml"].map(|name| workspace.root().join(name)));
    Ok(files)
}

fn run_trunk(workspace: &Workspace, ticker: &mut Ticker, dist: &Path) -> Result<(), Error> {
    Program::new(workspace, tools::trunk(workspace), "trunk build")
        .args([
            "build",
            "--release",
            "--cargo-profile",
            SMALL.profile,
            "--offline",
            "true",
            "--locked",
            "true",
            "--filehash",
            "true",
            "--dist",
        ])
        .arg(dist)
        .arg("index.html")
        .envs([SMALL.environment()])
        .env("PATH", tools::path_with_tools(workspace))
        .env("CARGO_TARGET_DIR", workspace.target())
        .env("TRUNK_SKIP_VERSION_CHECK", "true")
        .env("NO_COLOR", "true")
        .run(ticker)
        .map(|_| ())
}

/// Takes out what only people read. Names that one file has of another stay.
fn minify(workspace: &Workspace, ticker: &mut Ticker, dist: &Path) -> Result<(), Error> {
    let mut files = cache::files_below(dist)?;
    // Trunk has written the digests of the style sheets into index.html.
    files.retain(|path| path.extension().is_some_and(|extension| extension == "js"));
    Program::new(workspace, tools::esbuild(workspace), "esbuild")
        .args([
            "--minify",
            "--charset=utf8",
            "--log-level=warning",
            "--allow-overwrite",
        ])
        .arg(format!("--outdir={}", dist.display()))
        .arg(format!("--outbase={}", dist.display()))
        .args(files)
        .run(ticker)
        .map(|_| ())
}

fn only_wasm(dist: &Path) -> Result<PathBuf, Error> {
    let mut modules = cache::files_below(dist)?;
    modules.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    match (modules.pop(), modules.is_empty()) {
        (Some(wasm), true) => Ok(wasm),
        _ => Err(Error::Unexpected {
            path: dist.to_owned(),
            problem: "Trunk should have left exactly one wasm file here".to_owned(),
        }),
    }
}

/// Browsers keep a hashed name for ever, and Trunk chose this one before the content was final.
fn rename_by_content(dist: &Path, wasm: &Path) -> Result<(), Error> {
    let before = wasm
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let after = format!("web-ui-{}_bg.wasm", &hash_file(wasm)?[..16]);
    let renamed = wasm.with_file_name(&after);
    fs::rename(wasm, &renamed).context("rename", wasm)?;
    for path in cache::files_below(dist)? {
        if path
            .extension()
            .is_some_and(|extension| extension == "html" || extension == "js")
        {
            let text = fs::read_to_string(&path).context("read", &path)?;
            fs::write(&path, text.replace(&before, &after)).context("write", &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_the_wasm_by_its_final_name() {
        let dist = tempfile::tempdir().unwrap();
        let wasm = dist.path().join("web-ui-0123_bg.wasm");
        fs::write(&wasm, "module").unwrap();
        fs::write(
            dist.path().join("index.html"),
            r#"<script data-wasm="/web-ui-0123_bg.wasm">"#,
        )
        .unwrap();

        assert_eq!(only_wasm(dist.path()).unwrap(), wasm);
        rename_by_content(dist.path(), &wasm).unwrap();
        let name = format!("web-ui-{}_bg.wasm", &cache::hash_bytes(b"module")[..16]);
        assert!(dist.path().join(&name).exists());
        let html = fs::read_to_string(dist.path().join("index.html")).unwrap();
        assert_eq!(html, format!(r#"<script data-wasm="/{name}">"#));
    }
}
