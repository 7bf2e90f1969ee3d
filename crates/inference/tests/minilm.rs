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

use std::fs;
use std::path::PathBuf;

use futures::executor::block_on;
use inference::backend::tract::TractBackend;
use inference::check::{check, embed_tokens};
use inference::embed::cosine;
use inference::tokens::TextTokenizer;
use inference::{BackendOutcome, FileRef, ModelIndex, ModelManifest};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    text: String,
    embedding: Vec<f32>,
}

struct Model {
    manifest: ModelManifest,
    folder: PathBuf,
}

impl Model {
    fn minilm() -> Self {
        let folder = std::env::var_os("KNOWLEDGE_MODELS_DIR")
            .map(PathBuf::from)
            .expect(
                "KNOWLEDGE_MODELS_DIR must name the folder with index.json that `prepare-model` wrote; \
             `cargo xtask test` sets it",
            );
        let index = ModelIndex::from_json(&fs::read_to_string(folder.join("index.json")).unwrap()).unwrap();
        let found = index
            .models
            .into_iter()
            .find(|model| model.name == "all-MiniLM-L6-v2");
        Self {
            manifest: found.expect("the folder has no all-MiniLM-L6-v2"),
            folder,
        }
    }

    fn file(&self, file: FileRef) -> Vec<u8> {
        let content = fs::read(self.folder.join(file.blake3.to_string())).unwrap();
        assert_eq!(
            blake3::hash(&content).as_bytes(),
            &file.blake3.0,
            "a file is not what its name says"
        );
        content
    }

    fn tokenizer(&self) -> TextTokenizer {
        TextTokenizer::from_json(&self.file(self.manifest.tokenizer), self.manifest.max_tokens).unwrap()
    }

    fn tract(&self) -> TractBackend {
        TractBackend::prepare(
            bytes::Bytes::from(self.file(self.manifest.onnx)),
            self.manifest.dimension,
        )
        .unwrap()
    }
}

fn reference() -> Vec<Row> {
    serde_json::from_str::<Reference>(include_str!("../reference/minilm.json"))
        .unwrap()
        .rows
}

#[test]
fn embeddings_agree_with_sentence_transformers() {
    let model = Model::minilm();
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
fn the_known_answer_tells_right_from_wrong() {
    let model = Model::minilm();
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
