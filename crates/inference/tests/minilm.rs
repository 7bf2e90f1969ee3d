//! all-MiniLM-L6-v2 against sentence-transformers' own vectors.
//!
//! The model is not in the repository: `cargo xtask test` makes it and says where in `KNOWLEDGE_MODELS_DIR`. Without
//! it these tests fail, they do not skip.

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
use inference::backend::tract::TractBackend;
use inference::check::{check, embed_tokens};
use inference::embed::cosine;
use inference::onnx;
use inference::onnx::quantise::quantise;
use prost::Message;
use serde::Deserialize;
use support::Model;

#[derive(Deserialize)]
struct Reference {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    text: String,
    embedding: Vec<f32>,
}

/// A text and its vector as four hexadecimal digits for each component, see `reference/embed.py`.
#[derive(Deserialize)]
struct Packed {
    text: String,
    embedding: String,
}

impl Packed {
    fn vector(&self) -> Vec<f32> {
        let digits = self.embedding.as_bytes().chunks_exact(4);
        digits
            .map(|digits| {
                let digits = std::str::from_utf8(digits).unwrap();
                f32::from(u16::from_str_radix(digits, 16).unwrap().cast_signed()) / 32767.0
            })
            .collect()
    }
}

fn minilm() -> Model {
    Model::find(|model| model.name == "all-MiniLM-L6-v2")
}

/// The least cosine between a backend's vectors and sentence-transformers' own, over the varied sentences.
///
/// Texts go from long to short, so that a backend which prepares for lengths meets the most different ones.
fn least_cosine(model: &Model, backend: &mut impl Backend) -> (f32, String) {
    let tokenizer = model.tokenizer();
    let mut rows: Vec<Packed> =
        serde_json::from_str::<Sentences>(include_str!("../reference/sentences.json"))
            .unwrap()
            .rows;
    assert!(rows.len() >= 100, "only {} sentences", rows.len());
    rows.sort_by_key(|row| std::cmp::Reverse(row.text.len()));
    let cosines = rows.into_iter().map(|row| {
        let tokens = tokenizer.encode(&row.text).unwrap();
        let vector = block_on(embed_tokens(backend, &tokens, model.manifest.dimension)).unwrap();
        (cosine(&vector, &row.vector()), row.text)
    });
    cosines.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

#[derive(Deserialize)]
struct Sentences {
    rows: Vec<Packed>,
}

fn reference() -> Vec<Row> {
    serde_json::from_str::<Reference>(include_str!("../reference/minilm.json"))
        .unwrap()
        .rows
}

#[test]
fn embeddings_agree_with_sentence_transformers() {
    let model = minilm();
    let (tokenizer, mut backend) = (model.tokenizer(), model.tract());
    for row in reference() {
        let tokens = tokenizer.encode(&row.text).unwrap();
        let vector = block_on(embed_tokens(&mut backend, &tokens, model.manifest.dimension)).unwrap();
        let cosine = cosine(&vector, &row.embedding);
        assert!(
            cosine >= 0.999_99,
            "cosine {cosine} for {:?} ({} tokens)",
            row.text,
            tokens.len()
        );
    }
}

#[test]
fn varied_sentences_agree_on_the_cpu() {
    let model = minilm();
    let (cosine, text) = least_cosine(&model, &mut model.tract());
    assert!(cosine >= 0.9999, "cosine {cosine} for {text:?}");
}

#[test]
fn varied_sentences_agree_with_weights_as_bytes() {
    let model = minilm();
    let graph = onnx::read(model.onnx().into()).unwrap();
    let bytes = quantise(graph).unwrap().encode_to_vec();
    assert!(
        bytes.len() < 25_000_000,
        "{} bytes are no quarter of the floats",
        bytes.len()
    );
    let mut backend = TractBackend::prepare(bytes::Bytes::from(bytes), model.manifest.dimension).unwrap();
    let (cosine, text) = least_cosine(&model, &mut backend);
    assert!(cosine >= 0.995, "cosine {cosine} for {text:?}");
}

#[test]
fn the_known_answer_tells_right_from_wrong() {
    let model = minilm();
    let (tokenizer, mut backend) = (model.tokenizer(), model.tract());
    let mut answer = model.manifest.known_answer.clone();
    let dimension = model.manifest.dimension;
    let right = block_on(check(&mut backend, &tokenizer, &answer, dimension, || 0.0)).unwrap();
    assert!(
        matches!(right, BackendOutcome::Correct { cosine, .. } if cosine > 0.999_99),
        "{right}"
    );
    answer.embeddings.swap(0, 1);
    let wrong = block_on(check(&mut backend, &tokenizer, &answer, dimension, || 0.0)).unwrap();
    assert!(matches!(wrong, BackendOutcome::Refused { .. }), "{wrong}");
}
