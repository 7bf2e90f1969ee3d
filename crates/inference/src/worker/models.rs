//! The loaded models, and how one gets loaded: files, then each backend in turn, then a choice.

use std::collections::BTreeMap;

use super::files::Files;
use super::now_ms;
use crate::backend::tract::TractBackend;
use crate::backend::{Backend, BackendError};
use crate::check::{check, embed_tokens};
use crate::manifest::{ModelId, ModelManifest};
use crate::protocol::{
    BackendKind, BackendOutcome, BackendReport, Embeddings, EngineError, LoadProgress, LoadReport, LoadRequest,
};
use crate::tokens::TextTokenizer;

/// Models by identity.
#[derive(Default)]
pub(super) struct Models {
    loaded: BTreeMap<ModelId, Loaded>,
}

struct Loaded {
    tokenizer: TextTokenizer,
    backend: TractBackend,
    dimension: usize,
    report: LoadReport,
}

impl Models {
    pub(super) async fn load(
        &mut self,
        request: LoadRequest,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<LoadReport, EngineError> {
        let start = now_ms();
        let LoadRequest { manifest, models_url, options: _ } = request;
        manifest.validate().map_err(|error| EngineError::Manifest(error.to_string()))?;
        let mut files = Files::new(&manifest, &models_url, progress).await;
        let tokenizer = files.obtain(manifest.tokenizer).await?.into_bytes();
        let tokenizer = TextTokenizer::from_json(&tokenizer, manifest.max_tokens)?;
        let onnx = files.obtain(manifest.onnx).await?;
        if files.from_cache() {
            progress(LoadProgress::Cached { total: manifest.onnx.bytes + manifest.tokenizer.bytes });
        }
        progress(LoadProgress::Preparing(BackendKind::Tract));
        let mut backend =
            TractBackend::prepare(onnx, manifest.dimension).map_err(|error| EngineError::Model(error.to_string()))?;
        progress(LoadProgress::Checking(BackendKind::Tract));
        let outcome = check(&mut backend, &tokenizer, &manifest.known_answer, manifest.dimension, now_ms).await?;
        let backends = vec![BackendReport { kind: BackendKind::Tract, outcome: outcome.clone() }];
        let BackendOutcome::Correct { ms_per_run, tokens, .. } = outcome else {
            return Err(EngineError::NoBackend(backends));
        };
        let report = LoadReport {
            model: manifest.id(),
            backends,
            chosen: BackendKind::Tract,
            tokens_per_second: tokens as f64 * 1000.0 / ms_per_run,
            from_cache: files.from_cache(),
            took_ms: now_ms() - start,
        };
        let ModelManifest { dimension, .. } = manifest;
        self.loaded.insert(report.model, Loaded { tokenizer, backend, dimension, report: report.clone() });
        Ok(report)
    }

    pub(super) async fn embed(&mut self, model: ModelId, texts: &[String]) -> Result<Embeddings, EngineError> {
        let start = now_ms();
        let loaded = self.loaded.get_mut(&model).ok_or(EngineError::NotLoaded(model))?;
        let backend = loaded.report.chosen;
        let failed = |error: BackendError| EngineError::Backend { backend, reason: error.to_string() };
        let (mut vectors, mut tokens) = (Vec::with_capacity(texts.len()), 0_u64);
        for text in texts {
            let encoded = loaded.tokenizer.encode(text)?;
            tokens += encoded.len() as u64;
            vectors.push(embed_tokens(&mut loaded.backend, &encoded, loaded.dimension).await.map_err(failed)?);
        }
        Ok(Embeddings { vectors, backend: loaded.backend.kind(), took_ms: now_ms() - start, tokens })
    }

    pub(super) fn unload(&mut self, model: ModelId) {
        self.loaded.remove(&model);
    }
}
