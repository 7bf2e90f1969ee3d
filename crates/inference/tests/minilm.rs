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

use bytes::Bytes;
use futures::executor::block_on;
use inference::BackendOutcome;
use inference::backend::Backend;
use inference::backend::cpu::CpuBackend;
use inference::backend::tract::TractBackend;
use inference::check::{check, embed_tokens};
use inference::embed::{cosine, mean_pool};
use inference::onnx;
use inference::onnx::quantise::quantise;
use inference::session::Session;
use prost::Message;
use serde::Deserialize;
use support::{Model, hidden_states};

/// What every way to compute must reach against sentence-transformers with weights as floats.
const FLOATS_MIN: f32 = 0.9999;
/// What it must reach with weights as bytes.
const BYTES_MIN: f32 = 0.995;

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

/// Holds the vectors of some way to compute to sentence-transformers' own, over the varied sentences, and says which is worst.
///
/// Texts go from long to short, so that a backend which prepares for lengths meets the most different ones.
fn agrees(model: &Model, what: &str, cosine_min: f32, mut embed: impl FnMut(&[i64]) -> Vec<f32>) {
    let tokenizer = model.tokenizer();
    let mut rows: Vec<Packed> =
        serde_json::from_str::<Sentences>(include_str!("../reference/sentences.json"))
            .unwrap()
            .rows;
    let count = rows.len();
    assert!(count >= 100, "only {count} sentences");
    rows.sort_by_key(|row| std::cmp::Reverse(row.text.len()));
    let cosines = rows.into_iter().map(|row| {
        let vector = embed(&tokenizer.encode(&row.text).unwrap().ids);
        (cosine(&vector, &row.vector()), row.text)
    });
    let (cosine, text) = cosines.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    let text: String = text.chars().take(60).collect();
    println!("{what}: the least cosine of {count} sentences is {cosine:.7}, for {text:?}");
    assert!(cosine >= cosine_min, "{what}: cosine {cosine} for {text:?}");
}

fn agrees_on(model: &Model, what: &str, cosine_min: f32, backend: &mut impl Backend) {
    let dimension = model.manifest.dimension;
    agrees(model, what, cosine_min, |ids| {
        let mut vectors = block_on(backend.embed(&[ids], dimension)).unwrap();
        vectors.remove(0)
    });
}

fn agrees_on_tract(model: &Model, what: &str, cosine_min: f32, onnx: Vec<u8>) {
    let mut backend = TractBackend::prepare(Bytes::from(onnx), model.manifest.dimension).unwrap();
    agrees_on(model, what, cosine_min, &mut backend);
}

fn agrees_on_encoder_kernels(model: &Model, what: &str, cosine_min: f32, onnx: Vec<u8>) {
    let mut backend = CpuBackend::prepare(onnx.into(), model.manifest.dimension).unwrap();
    agrees_on(model, what, cosine_min, &mut backend);
}

fn agrees_on_own_kernels(model: &Model, what: &str, cosine_min: f32, onnx: Vec<u8>) {
    let session = Session::new(onnx::read(onnx.into()).unwrap()).unwrap();
    let dimension = model.manifest.dimension;
    agrees(model, what, cosine_min, |ids| {
        mean_pool(&hidden_states(&session, ids), &vec![1; ids.len()], dimension)
    });
}

/// The model with its large matrices as bytes.
fn with_bytes(model: &Model) -> Vec<u8> {
    let graph = onnx::read(model.onnx().into()).unwrap();
    quantise(graph).unwrap().encode_to_vec()
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
fn varied_sentences_agree_on_tract() {
    let model = minilm();
    agrees_on_tract(&model, "tract, f32", FLOATS_MIN, model.onnx());
}

#[test]
fn varied_sentences_agree_on_encoder_kernels() {
    let model = minilm();
    agrees_on_encoder_kernels(&model, "encoder kernels, f32", FLOATS_MIN, model.onnx());
}

#[test]
fn varied_sentences_agree_on_encoder_kernels_in_integers() {
    let model = minilm();
    let onnx = with_bytes(&model);
    agrees_on_encoder_kernels(&model, "encoder kernels, int8", BYTES_MIN, onnx);
}

#[test]
fn varied_sentences_agree_on_tract_with_weights_as_bytes() {
    let model = minilm();
    let onnx = with_bytes(&model);
    let quarter = 25_000_000;
    assert!(
        onnx.len() < quarter,
        "{} bytes are no quarter of the floats",
        onnx.len()
    );
    agrees_on_tract(&model, "tract, int8", BYTES_MIN, onnx);
}

#[test]
fn varied_sentences_agree_on_own_kernels() {
    let model = minilm();
    agrees_on_own_kernels(&model, "own kernels, f32", FLOATS_MIN, model.onnx());
}

#[test]
fn varied_sentences_agree_on_own_kernels_with_weights_as_bytes() {
    let model = minilm();
    let onnx = with_bytes(&model);
    agrees_on_own_kernels(&model, "own kernels, int8", BYTES_MIN, onnx);
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
