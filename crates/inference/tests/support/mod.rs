//! The models that `cargo xtask test` makes and names in `KNOWLEDGE_MODELS_DIR`. They are not in the repository; without
//! them the tests that need them fail, they do not skip.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use inference::backend::tract::TractBackend;
use inference::session::Session;
use inference::tensor::Tensor;
use inference::tokens::TextTokenizer;
use inference::{FileRef, ModelIndex, ModelManifest};

/// One model of the folder.
pub(crate) struct Model {
    /// Its description.
    pub(crate) manifest: ModelManifest,
    folder: PathBuf,
}

impl Model {
    /// The first model for which `wanted` holds.
    pub(crate) fn find(wanted: impl Fn(&ModelManifest) -> bool) -> Self {
        let folder = std::env::var_os("KNOWLEDGE_MODELS_DIR")
            .map(PathBuf::from)
            .expect(
                "KNOWLEDGE_MODELS_DIR must name the folder with index.json that `prepare-model` wrote; \
             `cargo xtask test` sets it",
            );
        let index = ModelIndex::from_json(&fs::read_to_string(folder.join("index.json")).unwrap()).unwrap();
        let manifest = index.models.into_iter().find(wanted);
        Self {
            manifest: manifest.expect("the folder does not have the model that is looked for"),
            folder,
        }
    }

    /// A file's content, which is what its name says.
    pub(crate) fn file(&self, file: FileRef) -> Vec<u8> {
        let content = fs::read(self.folder.join(file.blake3.to_string())).unwrap();
        assert_eq!(
            blake3::hash(&content).as_bytes(),
            &file.blake3.0,
            "a file is not what its name says"
        );
        content
    }

    /// The ONNX file.
    pub(crate) fn onnx(&self) -> Vec<u8> {
        self.file(self.manifest.onnx)
    }

    /// The model's own tokenizer.
    pub(crate) fn tokenizer(&self) -> TextTokenizer {
        TextTokenizer::from_json(&self.file(self.manifest.tokenizer), self.manifest.max_tokens).unwrap()
    }

    /// The model on tract.
    pub(crate) fn tract(&self) -> TractBackend {
        TractBackend::prepare(bytes::Bytes::from(self.onnx()), self.manifest.dimension).unwrap()
    }
}

/// What the project's own kernels compute for one text, as [`inference::backend::Backend::run`] gives it.
#[allow(dead_code, reason = "not every test computes without tract")]
pub(crate) fn hidden_states(session: &Session, ids: &[i64]) -> Vec<f32> {
    let given: BTreeMap<String, Tensor> = session
        .inputs()
        .iter()
        .map(|port| {
            let values = match port.name.as_str() {
                "input_ids" => ids.to_vec(),
                "attention_mask" => vec![1; ids.len()],
                _ => vec![0; ids.len()],
            };
            let tensor = Tensor::integers(&[1, ids.len()], values).unwrap();
            (port.name.clone(), tensor)
        })
        .collect();
    let found = session.run(given).unwrap();
    found["last_hidden_state"].as_floats().unwrap().to_vec()
}
