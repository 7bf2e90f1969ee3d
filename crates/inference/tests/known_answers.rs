//! The pool of secret known answers that `known-answers` makes, with the small model of `prepare-model --fallback`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use futures::executor::block_on;
use inference::backend::tract::TractBackend;
use inference::check::embed_tokens;
use inference::embed::cosine;
use inference::tokens::TextTokenizer;
use inference::{FileRef, KnownAnswers, ModelIndex};

/// A corpus of made-up prose in three kinds of files, and a licence that must not be drawn from.
fn corpus(folder: &Path) {
    let sentence = |of: &str, number: usize| {
        format!("The {of} of house {number} is open when there is a light in the window.")
    };
    let prose = |of: &str| -> String { (0..60).map(|number| sentence(of, number) + "\n\n").collect() };
    fs::create_dir_all(folder.join("deep").join("down")).unwrap();
    fs::write(folder.join("README"), prose("door")).unwrap();
    fs::write(
        folder.join("deep").join("down").join("garden.md"),
        prose("garden"),
    )
    .unwrap();
    let python = format!(
        "def f():\n    \"\"\"{}\"\"\"\n    return 'The secret of it is not in the text.'\n",
        prose("cellar")
    );
    fs::write(folder.join("deep").join("f.py"), python).unwrap();
    fs::write(folder.join("LICENSE.txt"), prose("lawyer")).unwrap();
    fs::write(folder.join("picture.png"), prose("picture")).unwrap();
    fs::write(folder.join("latin"), [0xff, 0xfe, b'T']).unwrap();
}

fn known_answers(folder: &Path, more: &[&str]) -> Output {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    Command::new(env!("CARGO_BIN_EXE_known-answers"))
        .args([
            "--models",
            &path("models"),
            "--corpus",
            &path("corpus"),
            "--out",
            &path("pool"),
        ])
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn a_pool_is_what_the_model_computes_and_never_twice_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let models = path.join("models");
    let prepared = Command::new(env!("CARGO_BIN_EXE_prepare-model"))
        .arg("--fallback")
        .arg("--out")
        .arg(&models)
        .output()
        .unwrap();
    assert!(prepared.status.success());
    corpus(&path.join("corpus"));

    let index = ModelIndex::from_json(&fs::read_to_string(models.join("index.json")).unwrap()).unwrap();
    let manifest = &index.models[0];
    let file = path.join("pool").join(format!("{}.json", manifest.id()));
    let make = |more: &[&str]| {
        let output = known_answers(path, more);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        KnownAnswers::from_json(&fs::read(&file).unwrap()).unwrap()
    };
    let first = make(&["--count", "40"]);
    assert_eq!((first.len(), first.dimension()), (40, manifest.dimension));
    assert_eq!(make(&["--count", "40", "--missing"]), first, "it was there");
    let second = make(&["--count", "40"]);
    let texts = |answers: &KnownAnswers| -> BTreeSet<String> {
        answers.clone().into_answers().map(|(text, _)| text).collect()
    };
    assert!(texts(&first).intersection(&texts(&second)).count() < 20);
    assert_eq!(
        fs::read_dir(path.join("pool")).unwrap().count(),
        1,
        "nothing half made is left"
    );

    let read = |file: FileRef| fs::read(models.join(file.blake3.to_string())).unwrap();
    let tokenizer = TextTokenizer::from_json(&read(manifest.tokenizer), manifest.max_tokens).unwrap();
    let mut backend =
        TractBackend::prepare(bytes::Bytes::from(read(manifest.onnx)), manifest.dimension).unwrap();
    for (text, known) in second.into_answers() {
        assert!(
            !["lawyer", "picture", "secret"]
                .iter()
                .any(|word| text.contains(word)),
            "{text}"
        );
        let tokens = tokenizer.encode(&text).unwrap();
        let computed = block_on(embed_tokens(&mut backend, &tokens, manifest.dimension)).unwrap();
        assert!(cosine(&computed, &known) > 0.999_999, "{text}");
    }
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let said = |more: &[&str]| {
        let output = known_answers(folder.path(), more);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&[]).contains("index.json"));
    assert!(said(&["--count", "0"]).contains("--count must be between 1 and"));
    let models = folder.path().join("models");
    let prepared = Command::new(env!("CARGO_BIN_EXE_prepare-model"))
        .arg("--fallback")
        .arg("--out")
        .arg(models)
        .output()
        .unwrap();
    assert!(prepared.status.success());
    let too_little = said(&[]);
    assert!(too_little.contains("with --corpus"), "{too_little}");
    assert!(!folder.path().join("pool").exists());
}
