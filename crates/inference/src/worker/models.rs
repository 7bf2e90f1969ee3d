//! The loaded models, and how one gets loaded: files, then each backend in turn, then a choice.

use std::collections::BTreeMap;

use super::files::Files;
use super::gpu::{self, Adapter};
use super::now_ms;
use crate::backend::module::ModuleBackend;
use crate::backend::wonnx::WonnxBackend;
use crate::backend::{Backend, BackendError, Hidden};
use crate::check::check;
use crate::manifest::{ModelId, ModelManifest};
use crate::onnx;
use crate::protocol::{
    BackendKind, BackendOutcome, BackendReport, Embeddings, EngineError, LoadOptions, LoadProgress,
    LoadReport, LoadRequest,
};
use crate::tokens::TextTokenizer;

/// Models by identity.
#[derive(Default)]
pub(super) struct Models {
    loaded: BTreeMap<ModelId, Loaded>,
    /// Backends that failed while running a model, and why. They are not tried again in this worker.
    failed: BTreeMap<(ModelId, BackendKind), String>,
}

struct Loaded {
    tokenizer: TextTokenizer,
    backend: AnyBackend,
    dimension: usize,
    options: LoadOptions,
    report: LoadReport,
}

/// Any backend.
enum AnyBackend {
    Module(ModuleBackend),
    Wonnx(WonnxBackend),
}

/// The project's own kernels first: where they are correct, nothing else needs to be tried on the same processor.
const ORDER: [BackendKind; 4] = [
    BackendKind::Cpu,
    BackendKind::Tract,
    BackendKind::Webgpu,
    BackendKind::Wonnx,
];

/// Why a backend is not worth its time and memory, if one that was correct uses the same processor and was faster
/// wherever both were measured (`cargo xtask bench inference`).
fn superseded(kind: BackendKind, mut correct: impl Iterator<Item = BackendKind>) -> Option<&'static str> {
    let (own, reason) = match kind {
        BackendKind::Tract => (
            BackendKind::Cpu,
            "this processor is used through the project's own kernels",
        ),
        BackendKind::Wonnx => (
            BackendKind::Webgpu,
            "this GPU is used through the project's own kernels",
        ),
        BackendKind::Cpu | BackendKind::Webgpu => return None,
    };
    correct.any(|kind| kind == own).then_some(reason)
}

/// A backend that was correct, or nothing, and what became of it.
type Tried = (Option<AnyBackend>, BackendOutcome);

/// Everything that trying a backend needs.
struct Trial<'a> {
    manifest: &'a ModelManifest,
    onnx_held: Option<String>,
    tokenizer: &'a TextTokenizer,
    progress: &'a dyn Fn(LoadProgress),
    options: LoadOptions,
}

impl Models {
    /// Loads a model, unless it is loaded with the same options already.
    pub(super) async fn load(
        &mut self,
        request: LoadRequest,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<LoadReport, EngineError> {
        let start = now_ms();
        let LoadRequest {
            manifest,
            held,
            options,
        } = request;
        manifest
            .validate()
            .map_err(|error| EngineError::Manifest(error.to_string()))?;
        let model = manifest.id();
        if let Some(loaded) = self.loaded.get(&model).filter(|loaded| loaded.options == options) {
            return Ok(loaded.report.clone());
        }
        // Its memory is free before the model is prepared anew.
        self.unload(model);
        let total = manifest.onnx.bytes + manifest.tokenizer.bytes;
        let mut files = Files::new(total, progress).await;
        let tokenizer = files
            .obtain(manifest.tokenizer, held.tokenizer)
            .await?
            .into_bytes();
        let tokenizer = TextTokenizer::from_json(&tokenizer, manifest.max_tokens)?;
        let trial = Trial {
            manifest: &manifest,
            onnx_held: held.onnx,
            tokenizer: &tokenizer,
            progress,
            options,
        };
        let mut candidates: Vec<(f64, usize, AnyBackend)> = Vec::new();
        let mut backends = Vec::new();
        for kind in ORDER {
            let superseded = superseded(kind, candidates.iter().map(|(_, _, backend)| backend.kind()));
            let (backend, outcome) = match self.failed.get(&(model, kind)) {
                Some(reason) => (
                    None,
                    BackendOutcome::Refused {
                        reason: reason.clone(),
                    },
                ),
                None => match superseded {
                    Some(reason) => (
                        None,
                        BackendOutcome::NotTried {
                            reason: reason.to_owned(),
                        },
                    ),
                    None => trial.run(kind, &mut files).await?,
                },
            };
            if let (
                Some(backend),
                BackendOutcome::Correct {
                    ms_per_run, tokens, ..
                },
            ) = (backend, &outcome)
            {
                candidates.push((*ms_per_run, *tokens, backend));
            }
            backends.push(BackendReport { kind, outcome });
        }
        let fastest = candidates.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((ms, tokens, backend)) = fastest else {
            return Err(EngineError::NoBackend(backends));
        };
        let report = LoadReport {
            model,
            backends,
            chosen: backend.kind(),
            tokens_per_second: tokens as f64 * 1000.0 / ms.max(0.001),
            from_cache: files.came_from_cache(),
            took_ms: now_ms() - start,
        };
        let loaded = Loaded {
            tokenizer,
            backend,
            dimension: manifest.dimension,
            options,
            report: report.clone(),
        };
        self.loaded.insert(model, loaded);
        Ok(report)
    }

    /// Embeds texts. A backend that fails is dropped with its model: the next load chooses among the others.
    pub(super) async fn embed(
        &mut self,
        model: ModelId,
        texts: &[String],
    ) -> Result<Embeddings, EngineError> {
        let start = now_ms();
        let loaded = self.loaded.get_mut(&model).ok_or(EngineError::NotLoaded(model))?;
        let backend = loaded.backend.kind();
        let encoded = texts
            .iter()
            .map(|text| Ok(loaded.tokenizer.encode(text)?.ids))
            .collect::<Result<Vec<Vec<i64>>, EngineError>>()?;
        let tokens = encoded.iter().map(|ids| ids.len() as u64).sum();
        let texts: Vec<&[i64]> = encoded.iter().map(Vec::as_slice).collect();
        let embedded = loaded.backend.embed(&texts, loaded.dimension).await;
        let vectors = embedded.map_err(|error| {
            let reason = format!("it failed while running: {error}");
            self.failed.insert((model, backend), reason);
            self.unload(model);
            EngineError::Backend {
                backend,
                reason: error.to_string(),
            }
        })?;
        Ok(Embeddings {
            vectors,
            backend,
            took_ms: now_ms() - start,
            tokens,
        })
    }

    pub(super) fn unload(&mut self, model: ModelId) {
        self.loaded.remove(&model);
    }
}

impl Trial<'_> {
    /// Tries one backend. Only what is wrong with the files or the model is an error.
    async fn run(&self, kind: BackendKind, files: &mut Files<'_>) -> Result<Tried, EngineError> {
        if let Some(reason) = self.reason_not_to(kind).await {
            return Ok((None, BackendOutcome::NotTried { reason }));
        }
        let onnx = files.obtain(self.manifest.onnx, self.onnx_held.clone()).await?;
        if files.came_from_cache() {
            (self.progress)(LoadProgress::Cached {
                total: self.manifest.onnx.bytes + self.manifest.tokenizer.bytes,
            });
        }
        (self.progress)(LoadProgress::Preparing(kind));
        let dimension = self.manifest.dimension;
        let prepared = match kind {
            BackendKind::Cpu => ModuleBackend::cpu(onnx, dimension).await.map(AnyBackend::Module),
            BackendKind::Tract => ModuleBackend::tract(onnx, dimension)
                .await
                .map(AnyBackend::Module),
            BackendKind::Webgpu => {
                let is_software = gpu::probe().await.is_software();
                ModuleBackend::webgpu(onnx, dimension, is_software)
                    .await
                    .map(AnyBackend::Module)
            }
            BackendKind::Wonnx => {
                let model =
                    onnx::read(onnx.into_bytes()).map_err(|error| EngineError::Model(error.to_string()))?;
                WonnxBackend::prepare(model, dimension)
                    .await
                    .map(AnyBackend::Wonnx)
            }
        };
        let mut backend = match prepared {
            Ok(backend) => backend,
            Err(error) => {
                return Ok((
                    None,
                    BackendOutcome::Refused {
                        reason: error.to_string(),
                    },
                ));
            }
        };
        (self.progress)(LoadProgress::Checking(kind));
        let answer = &self.manifest.known_answer;
        let outcome = check(&mut backend, self.tokenizer, answer, dimension, now_ms).await?;
        Ok((Some(backend), outcome))
    }

    async fn reason_not_to(&self, kind: BackendKind) -> Option<String> {
        let LoadOptions { pin, without_gpu } = self.options;
        if let Some(pin) = pin
            && pin != kind
        {
            return Some(format!("{pin} is pinned"));
        }
        if !kind.is_gpu() {
            return None;
        }
        if without_gpu {
            return Some("WebGPU hung or lost its device here".to_owned());
        }
        match gpu::probe().await {
            Adapter::Absent(reason) => Some(reason.to_owned()),
            Adapter::Software if pin.is_none() => {
                Some("the WebGPU adapter is a software renderer, slower than the CPU backend".to_owned())
            }
            Adapter::Software | Adapter::Hardware => None,
        }
    }
}

impl Backend for AnyBackend {
    fn kind(&self) -> BackendKind {
        match self {
            Self::Wonnx(backend) => backend.kind(),
            Self::Module(backend) => backend.kind(),
        }
    }

    fn padded_length(&self, tokens: usize) -> usize {
        match self {
            Self::Wonnx(backend) => backend.padded_length(tokens),
            Self::Module(backend) => backend.padded_length(tokens),
        }
    }

    async fn run(&mut self, ids: &[i64]) -> Result<Hidden, BackendError> {
        match self {
            Self::Wonnx(backend) => backend.run(ids).await,
            Self::Module(backend) => backend.run(ids).await,
        }
    }

    async fn embed(&mut self, texts: &[&[i64]], dimension: usize) -> Result<Vec<Vec<f32>>, BackendError> {
        match self {
            Self::Wonnx(backend) => backend.embed(texts, dimension).await,
            Self::Module(backend) => backend.embed(texts, dimension).await,
        }
    }
}
