//! The static model that `prepare-model` distils: it runs like any other, and it means something.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

mod support;

use futures::executor::block_on;
use inference::BackendOutcome;
use inference::backend::Backend;
use inference::check::check;
use inference::embed::{cosine, mean_pool};
use inference::manifest::ModelTier;
use inference::onnx;
use inference::session::Session;
use support::{Model, hidden_states};

/// What a Basic device may be asked to download.
const BYTES_MAX: u64 = 10_000_000;

fn distilled() -> Model {
    Model::find(|model| model.tier == ModelTier::Basic)
}

#[test]
fn it_is_small_and_gives_its_known_answer() {
    let model = distilled();
    let manifest = &model.manifest;
    assert!(
        manifest.onnx.bytes + manifest.tokenizer.bytes <= BYTES_MAX,
        "{manifest:?}"
    );
    let (tokenizer, mut backend) = (model.tokenizer(), model.tract());
    let outcome = check(
        &mut backend,
        &tokenizer,
        &manifest.known_answer,
        manifest.dimension,
        || 0.0,
    );
    let outcome = block_on(outcome).unwrap();
    assert!(
        matches!(outcome, BackendOutcome::Correct { cosine, .. } if cosine > 0.999_999),
        "{outcome}"
    );
}

#[test]
fn own_kernels_and_tract_agree_and_no_text_is_without_direction() {
    let model = distilled();
    let (tokenizer, mut backend, dimension) = (model.tokenizer(), model.tract(), model.manifest.dimension);
    let session = Session::new(onnx::read(model.onnx().into()).unwrap()).unwrap();
    for text in [
        "",
        "cat",
        "\u{1f600}",
        "今天天气很好",
        "fn main() {}",
        "Bread needs flour. ".repeat(200).as_str(),
    ] {
        let ids = tokenizer.encode(text).unwrap().ids;
        let ours = mean_pool(&hidden_states(&session, &ids), &vec![1; ids.len()], dimension);
        let theirs = block_on(backend.embed(&[&ids], dimension)).unwrap().remove(0);
        let same = cosine(&ours, &theirs);
        assert!(same > 0.999_999, "cosine {same} for {text:?}");
    }
}

/// It ranks passages that share no content word with the question as MiniLM does.
#[test]
fn it_knows_meaning_and_not_only_spelling() {
    let model = distilled();
    let (tokenizer, mut backend, dimension) = (model.tokenizer(), model.tract(), model.manifest.dimension);
    let mut embed = |text: &str| {
        let ids = tokenizer.encode(text).unwrap().ids;
        block_on(backend.embed(&[&ids], dimension)).unwrap().remove(0)
    };
    for (question, near, far) in [
        (
            "How do doctors treat an illness?",
            "The physician cures the disease.",
            "The ship left the harbour.",
        ),
        (
            "What do kittens eat?",
            "Food for young cats",
            "Loans from large banks",
        ),
        (
            "When does the train leave?",
            "railway departure times",
            "recipes for soup",
        ),
    ] {
        let (question, near, far) = (embed(question), embed(near), embed(far));
        assert!(
            cosine(&question, &near) > cosine(&question, &far) + 0.1,
            "{near:?} {far:?}"
        );
    }
}
