//! The relay's models and this device's engine.
//!
//! One worker runs all models. It is spawned for the first load and terminated when nothing wants a model any more, or nobody
//! used one for a while, since wasm gives memory back only that way.
//!
//! ```text
//! available ─load─▶ awake ─nobody asks─▶ asleep ─somebody asks─▶ awake
//!     ▲               ├──the worker dies: woken at once───▶│
//!     └───unloaded────┴────────────────────────────────────┘
//! ```
//!
//! A model that sleeps is offered like any other, with the time that waking it takes on top of what it promises.

use litemap::LiteMap;
use std::rc::Rc;
use std::time::Duration;

use inference::client::Engine;
use inference::manifest::ModelTier;
use inference::protocol::HeldFiles;
use inference::{EngineError, FileRef, LoadOptions, LoadProgress, ModelIndex, ModelManifest};
use node_proto::ids::ModelId;
use node_proto::service::{Failure, ModelInfo, Precision, Probe};
use node_proto::work::{WorkInput, WorkOutput};

use crate::error::CommandError;
use crate::handle::Shared;
use crate::platform;
use crate::recovery::GpuRest;
use crate::status::{Backend, LoadReport, ModelState, ModelStatus};

/// Longest `/models/index.json`.
const INDEX_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The list, the engine and what it has loaded.
pub(crate) struct Models {
    shared: Rc<Shared>,
    origin: String,
    manifests: Vec<ModelManifest>,
    engine: Option<Engine>,
    ready: LiteMap<ModelId, Ready>,
    loading: LiteMap<ModelId, Loading>,
    pins: LiteMap<ModelId, Option<Backend>>,
    gpu_rest: GpuRest,
    /// Models that a worker took with it, until they are asked for by [`revive`](Self::revive).
    lost: Vec<ModelId>,
}

/// A load under way.
struct Loading {
    /// In the page's monotone milliseconds.
    since: f64,
    /// It may meet a GPU.
    tries_gpu: bool,
}

/// A model that can serve.
struct Ready {
    report: LoadReport,
    not_kept: Option<String>,
    /// What its last load took.
    load_ms: u32,
    asleep: bool,
}

impl Ready {
    fn wake_ms(&self) -> Option<u32> {
        self.asleep.then_some(self.load_ms)
    }

    fn state(&self) -> ModelState {
        ModelState::Loaded {
            report: self.report.clone(),
            not_kept: self.not_kept.clone(),
            wake_ms: self.wake_ms(),
        }
    }
}

impl Models {
    pub(crate) fn new(shared: Rc<Shared>, origin: String) -> Self {
        Self {
            shared,
            origin,
            manifests: Vec::new(),
            engine: None,
            ready: LiteMap::new(),
            loading: LiteMap::new(),
            pins: LiteMap::new(),
            gpu_rest: GpuRest::default(),
            lost: Vec::new(),
        }
    }

    /// Fetches the list. A small file: those who only buy read the known answers in it.
    pub(crate) fn fetch_index(&self) -> impl Future<Output = Result<ModelIndex, String>> + use<> {
        let url = format!("{}/models/index.json", self.origin);
        async move {
            let json = platform::fetch_text(&url, INDEX_BYTES_MAX).await?;
            ModelIndex::from_json(&json).map_err(|error| error.to_string())
        }
    }

    /// Takes the list, or the reason why there is none.
    pub(crate) fn set_index(&mut self, answer: Result<ModelIndex, String>) {
        match answer {
            Ok(index) => {
                self.shared.update(|status| {
                    status.models = index.models.iter().map(available).collect();
                    status.models_unavailable = None;
                });
                self.manifests = index.models;
            }
            Err(reason) => self
                .shared
                .update(|status| status.models_unavailable = Some(reason)),
        }
    }

    pub(crate) fn has_index(&self) -> bool {
        !self.manifests.is_empty()
    }

    /// The model to lend: one that is ready, or else the relay's first choice of those whose files fit so many bytes.
    pub(crate) fn preferred(&self, bytes_max: u64) -> Option<ModelId> {
        let id = |manifest: &ModelManifest| core_id(manifest.id());
        let mut models = self.manifests.iter();
        let ready = models.clone().find(|manifest| self.is_ready(&id(manifest)));
        ready
            .or_else(|| models.find(|manifest| size_of(manifest) <= bytes_max))
            .map(id)
    }

    /// The models and the dimension of each.
    pub(crate) fn dimensions(&self) -> Vec<(ModelId, usize)> {
        let dimension = |manifest: &ModelManifest| (core_id(manifest.id()), manifest.dimension);
        self.manifests.iter().map(dimension).collect()
    }

    /// Public known answers, model by model.
    pub(crate) fn probes(&self) -> Vec<(ModelId, Vec<Probe>)> {
        self.manifests
            .iter()
            .map(|manifest| (core_id(manifest.id()), probes_of(manifest)))
            .collect()
    }

    /// What the core may offer.
    pub(crate) fn infos(&self) -> Vec<ModelInfo> {
        let info = |manifest: &ModelManifest| {
            let id = core_id(manifest.id());
            let ready = self.ready.get(&id)?;
            Some(model_info(manifest, id, ready))
        };
        self.manifests.iter().filter_map(info).collect()
    }

    /// Tokens per second of the fastest transformer that is ready. What a table of vectors does in a second says nothing of
    /// a device.
    pub(crate) fn tokens_per_s(&self) -> Option<f64> {
        let is_table = |model| {
            self.manifest(model)
                .is_some_and(|manifest| manifest.tier == ModelTier::Basic)
        };
        let transformers = self.ready.iter().filter(|(model, _)| !is_table(model));
        transformers
            .map(|(_, ready)| ready.report.tokens_per_second)
            .max_by(f64::total_cmp)
    }

    /// Whether the model can serve, maybe after it was woken.
    pub(crate) fn is_ready(&self, model: &ModelId) -> bool {
        self.ready.contains_key(model)
    }

    pub(crate) fn is_asleep(&self, model: &ModelId) -> bool {
        self.ready.get(model).is_some_and(|ready| ready.asleep)
    }

    /// The backend that a person chose for a model.
    pub(crate) fn pin(&self, model: &ModelId) -> Option<Backend> {
        self.pins.get(model).copied().flatten()
    }

    fn manifest(&self, model: &ModelId) -> Option<&ModelManifest> {
        let mut manifests = self.manifests.iter();
        manifests.find(|manifest| core_id(manifest.id()) == *model)
    }

    /// The files of a model: graph and tokenizer.
    pub(crate) fn files(&self, model: &ModelId) -> Option<[FileRef; 2]> {
        let manifest = self.manifest(model)?;
        Some([manifest.onnx, manifest.tokenizer])
    }

    /// The files of all models that are ready.
    pub(crate) fn ready_files(&self) -> Vec<FileRef> {
        let files = self.ready.keys().filter_map(|model| self.files(model));
        files.flatten().collect()
    }

    /// A model is to be made ready anew.
    pub(crate) fn forget(&mut self, model: ModelId) {
        self.ready.remove(&model);
        self.show(model, ModelState::Verifying { backend: None });
    }

    /// What a person sees of a model.
    pub(crate) fn show(&self, model: ModelId, state: ModelState) {
        set_state(&self.shared, model, state);
    }

    /// Makes a model ready whose files are here. Progress goes into the status; the result comes back to
    /// [`loaded`](Self::loaded).
    pub(crate) fn load(
        &mut self,
        model: ModelId,
        pin: Option<Backend>,
        held: HeldFiles,
    ) -> Result<impl Future<Output = Result<LoadReport, EngineError>> + use<>, EngineError> {
        let unknown = || EngineError::Manifest(CommandError::UnknownModel.to_string());
        let manifest = self.manifest(&model).cloned().ok_or_else(unknown)?;
        let engine = self.engine()?;
        self.pins.insert(model, pin);
        let without_gpu = self.gpu_rest.is_on(self.shared.clock.now());
        // What was measured before it slept need not be measured again.
        let sleeping = self.ready.get(&model).filter(|ready| ready.asleep);
        let pin = pin.or(sleeping.map(|ready| ready.report.chosen));
        // A pin is a preference: while the GPU rests the CPU serves on.
        let pin = pin.filter(|backend| !(without_gpu && backend.is_gpu()));
        let loading = Loading {
            since: platform::monotone_ms(),
            tries_gpu: !without_gpu && pin.is_none_or(Backend::is_gpu),
        };
        self.loading.insert(model, loading);
        set_state(&self.shared, model, ModelState::Verifying { backend: None });
        let shared = self.shared.clone();
        Ok(async move {
            let progress = move |progress| {
                if let Some(state) = state_of(progress) {
                    set_state(&shared, model, state);
                }
            };
            engine
                .load(manifest, held, LoadOptions { pin, without_gpu }, progress)
                .await
        })
    }

    /// A load failed. Returns whether the model sleeps on, to be woken again, because its worker died or the GPU failed where
    /// it had run before.
    pub(crate) fn sleeps_on(&mut self, model: ModelId, error: &EngineError) -> bool {
        let tried_gpu = self.loading.get(&model).is_some_and(|load| load.tries_gpu);
        let gpu_failed =
            tried_gpu && matches!(error, EngineError::NoBackend(_) | EngineError::Timeout { .. });
        let Some(ready) = self.ready.get(&model).filter(|ready| ready.asleep) else {
            return false;
        };
        if !error.is_fatal() && !gpu_failed {
            return false;
        }
        set_state(&self.shared, model, ready.state());
        self.loading.remove(&model);
        if gpu_failed {
            self.gpu_rest.lost(self.shared.clock.now());
        }
        true
    }

    /// A load ended.
    pub(crate) fn loaded(
        &mut self,
        model: ModelId,
        result: &Result<LoadReport, EngineError>,
        not_kept: Option<String>,
    ) {
        let since = self.loading.remove(&model).map(|load| load.since);
        let before = self.ready.remove(&model);
        let state = match result {
            Ok(report) => {
                // Who wakes is measured on one backend only: what is known of the others stays.
                let known = before.map(|ready| ready.report);
                let known = known.filter(|known| known.chosen == report.chosen);
                let ready = Ready {
                    report: known.unwrap_or_else(|| report.clone()),
                    not_kept,
                    // Durations of a page's life fit.
                    load_ms: since.map_or(0, |since| (platform::monotone_ms() - since) as u32),
                    asleep: false,
                };
                let state = ready.state();
                self.ready.insert(model, ready);
                state
            }
            Err(error) => ModelState::Refused {
                reason: error.to_string(),
            },
        };
        set_state(&self.shared, model, state);
    }

    /// Forgets a model; the last one ends the worker.
    pub(crate) fn unload(&mut self, model: ModelId) {
        if self.ready.remove(&model).is_none() {
            return;
        }
        set_state(&self.shared, model, ModelState::Available);
        if self.ready.is_empty() {
            self.end_engine();
        } else if let Some(engine) = self.engine.clone() {
            wasm_bindgen_futures::spawn_local(async move {
                // A worker that cannot forget is dead, which the next request notices.
                let _ = engine.unload(engine_id(model)).await;
            });
        }
    }

    /// Runs work. The engine itself is replaced when this ends with its death, by [`revive`](Self::revive).
    pub(crate) fn work(
        &self,
        model: Option<ModelId>,
        input: WorkInput,
        limit_ms: u32,
    ) -> Result<impl Future<Output = Result<WorkOutput, Failure>> + use<>, Failure> {
        let WorkInput::Texts { texts } = input else {
            return Err(Failure::UnknownService);
        };
        let model = model
            .filter(|model| self.is_ready(model))
            .ok_or(Failure::UnknownModel)?;
        let engine = self.engine.clone().ok_or(Failure::UnknownModel)?;
        let limit = Duration::from_millis(limit_ms.into());
        Ok(async move {
            let embedded = engine.embed(engine_id(model), texts, limit).await;
            if let Err(EngineError::Backend { backend, .. }) = &embedded
                && backend.is_gpu()
            {
                // What hangs on the GPU, and what it holds, ends only with the worker.
                engine.terminate();
            }
            embedded.map(output_of).map_err(|error| failure_of(&error))
        })
    }

    /// Clears up after a worker that died. What it had loaded sleeps, and is to be woken.
    pub(crate) fn revive(&mut self) -> Vec<ModelId> {
        self.clear_up();
        std::mem::take(&mut self.lost)
    }

    fn clear_up(&mut self) {
        if self.engine.as_ref().is_none_or(Engine::is_alive) {
            return;
        }
        self.engine = None;
        let awake = self.ready.iter().filter(|(_, ready)| !ready.asleep);
        self.lost.extend(awake.map(|(model, _)| *model));
        let mut lost_ones = self.ready.values().filter(|ready| !ready.asleep);
        if lost_ones.any(|ready| ready.report.chosen.is_gpu()) {
            self.gpu_rest.lost(self.shared.clock.now());
        }
        self.put_to_sleep();
    }

    /// Whether a worker takes memory.
    pub(crate) fn is_awake(&self) -> bool {
        self.engine.is_some()
    }

    /// Ends the worker and gives its memory back; what it had loaded sleeps.
    pub(crate) fn rest(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.terminate();
        }
        self.put_to_sleep();
    }

    fn put_to_sleep(&mut self) {
        for (model, ready) in self.ready.iter_mut() {
            ready.asleep = true;
            set_state(&self.shared, *model, ready.state());
        }
    }

    /// Gives a model up that its worker does not survive.
    pub(crate) fn give_up(&mut self, model: ModelId) {
        self.ready.remove(&model);
        set_state(&self.shared, model, ModelState::Available);
    }

    /// Ends the worker and gives its memory back.
    pub(crate) fn end_engine(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.terminate();
        }
        for model in std::mem::take(&mut self.ready)
            .into_iter()
            .map(|(model, _)| model)
        {
            set_state(&self.shared, model, ModelState::Available);
        }
    }

    fn engine(&mut self) -> Result<Engine, EngineError> {
        // Or what died with the last worker would count as loaded in the next one.
        self.clear_up();
        if let Some(engine) = self.engine.clone() {
            return Ok(engine);
        }
        let engine = Engine::spawn(&format!("{}/worker/inference_worker.js", self.origin))?;
        self.engine = Some(engine.clone());
        Ok(engine)
    }
}

fn size_of(manifest: &ModelManifest) -> u64 {
    manifest.onnx.bytes + manifest.tokenizer.bytes
}

fn available(manifest: &ModelManifest) -> ModelStatus {
    ModelStatus {
        id: core_id(manifest.id()),
        name: manifest.name.clone(),
        license: manifest.license.clone(),
        bytes: size_of(manifest),
        state: ModelState::Available,
    }
}

fn set_state(shared: &Shared, model: ModelId, state: ModelState) {
    shared.update(|status| {
        if let Some(entry) = status.models.iter_mut().find(|entry| entry.id == model) {
            entry.state = state;
        }
    });
}

pub(crate) fn state_of(progress: LoadProgress) -> Option<ModelState> {
    match progress {
        LoadProgress::Downloading { bytes, total } => Some(ModelState::Downloading {
            bytes,
            total,
            from_peers: 0,
        }),
        LoadProgress::Cached { .. } | LoadProgress::NotCached { .. } => None,
        LoadProgress::Preparing(backend) | LoadProgress::Checking(backend) => Some(ModelState::Verifying {
            backend: Some(backend),
        }),
    }
}

fn probes_of(manifest: &ModelManifest) -> Vec<Probe> {
    let answer = &manifest.known_answer;
    let probe = |(text, embedding): (&String, &Vec<f32>)| Probe {
        text: text.clone(),
        embedding: embedding.clone(),
    };
    answer.texts.iter().zip(&answer.embeddings).map(probe).collect()
}

fn output_of(embeddings: inference::Embeddings) -> WorkOutput {
    let dimension = embeddings.vectors.first().map_or(0, Vec::len);
    WorkOutput::Embeddings {
        // The engine bounds it to 4,096.
        dimension: u32::try_from(dimension).unwrap_or_default(),
        values: embeddings.vectors.concat(),
        backend: name_of(embeddings.backend).to_owned(),
    }
}

fn failure_of(error: &EngineError) -> Failure {
    match error {
        EngineError::Busy => Failure::Busy,
        EngineError::NotLoaded(_) => Failure::UnknownModel,
        EngineError::TooManyTexts { .. } | EngineError::TextTooLong { .. } => Failure::InvalidRequest {
            what: error.to_string(),
        },
        other => Failure::Engine {
            what: other.to_string(),
        },
    }
}

pub(crate) fn core_id(id: inference::ModelId) -> ModelId {
    ModelId(id.0)
}

pub(crate) fn engine_id(id: ModelId) -> inference::ModelId {
    inference::ContentHash(id.0)
}

fn model_info(manifest: &ModelManifest, id: ModelId, ready: &Ready) -> ModelInfo {
    let report = &ready.report;
    ModelInfo {
        id,
        name: manifest.name.clone(),
        // The manifest's validation bounds it to 4,096.
        dimension: u32::try_from(manifest.dimension).unwrap_or_default(),
        backend: name_of(report.chosen).to_owned(),
        tokens_per_second: report.tokens_per_second as f32,
        precision: precision_of(&manifest.precision),
        wake_ms: ready.wake_ms().unwrap_or_default(),
    }
}

/// The name under which offers and results carry a backend.
fn name_of(backend: Backend) -> &'static str {
    match backend {
        Backend::Cpu => "cpu",
        Backend::Tract => "tract",
        Backend::Wonnx => "wonnx",
        Backend::Webgpu => "webgpu",
    }
}

/// A manifest's own word; both backends compute what they do not know by name in f32.
fn precision_of(word: &str) -> Precision {
    match word {
        "f16" => Precision::F16,
        "int8" => Precision::Int8,
        _ => Precision::F32,
    }
}

#[cfg(test)]
mod tests;
