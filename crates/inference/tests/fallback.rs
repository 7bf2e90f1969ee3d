//! The model that `prepare-model --fallback` makes runs on the engine and reproduces its known answer, which was
//! computed without the engine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

use std::fs;
use std::process::Command;

use futures::executor::block_on;
use inference::backend::tract::TractBackend;
use inference::check::{check, embed_tokens};
use inference::embed::cosine;
use inference::tokens::TextTokenizer;
use inference::{BackendOutcome, FileRef, ModelIndex};

#[test]
fn the_fallback_model_runs_and_compares_spelling() {
    let out = tempfile::tempdir().unwrap();
    let prepare = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prepare-model"));
        command
            .arg("--fallback")
            .arg("--out")
            .arg(out.path())
            .output()
            .unwrap()
    };
    let first = prepare();
    assert!(
        first.status.success(),
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );
    let second = String::from_utf8(prepare().stdout).unwrap();
    assert!(
        second.contains("is ready"),
        "a second run does the work again: {second}"
    );

    let index = ModelIndex::from_json(&fs::read_to_string(out.path().join("index.json")).unwrap()).unwrap();
    let manifest = &index.models[0];
    let read = |file: FileRef| fs::read(out.path().join(file.blake3.to_string())).unwrap();
    let tokenizer = TextTokenizer::from_json(&read(manifest.tokenizer), manifest.max_tokens).unwrap();
    let mut backend =
        TractBackend::prepare(bytes::Bytes::from(read(manifest.onnx)), manifest.dimension).unwrap();
    let dimension = manifest.dimension;
    let outcome = block_on(check(
        &mut backend,
        &tokenizer,
        &manifest.known_answer,
        dimension,
        || 0.0,
    ))
    .unwrap();
    assert!(
        matches!(outcome, BackendOutcome::Correct { cosine, .. } if cosine > 0.999_99),
        "{outcome}"
    );

    let mut embed = |text: &str| {
        let tokens = tokenizer.encode(text).unwrap();
        block_on(embed_tokens(&mut backend, &tokens, dimension)).unwrap()
    };
    let (passage, question) = (embed("Glaciers carve valleys."), embed("What do glaciers carve?"));
    assert!(cosine(&passage, &question) > cosine(&embed("Bread needs flour."), &question));
}
