//! Models that a person brought to this device, and the worker that runs them.
//!
//! It is a worker of its own: nobody vouches for these models, and one that traps, hangs or fills the memory takes
//! nothing down that this node sells. It is spawned when a model is brought or used and ends after two minutes without use, since
//! wasm gives memory back only that way. What is remembered of the models is kept among the settings; their files are the
//! worker's business. Where the browser keeps no files, the page holds them and the model lasts as long as the page.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use inference::client::Engine;
use inference::limits;
use inference::own::{GenerateRequest, GeneratedText, LabelScore, NamedTensor, Piece};
use inference::protocol::{AddRequest, GivenFile, OpenRequest};
use node_proto::ids::ModelId;
use wasm_bindgen::JsValue;
use web_sys::{Blob, Url};

use crate::error::{CommandError, ModelError};
use crate::handle::Shared;
use crate::models::{engine_id, state_of};
use crate::platform::{self, property};
use crate::status::{Backend, ModelState, ModelStatus};
use crate::store::settings::Settings;

/// Under this name the list is kept.
const OWN_MODELS: &str = "own-models";
/// Bytes of files whose models are open together. Beyond, all others are closed before one is opened.
const OPEN_BYTES_MAX: u64 = limits::MODEL_BYTES_MAX;
/// How long one run may take. The person waits at this very device and may stop earlier.
const RUN_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a generation may be silent, reading a prompt or making a token.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(120);

/// A model's files, as a person hands them over.
pub struct BroughtModel {
    /// What to call it.
    pub name: String,
    /// The ONNX file.
    pub onnx: Blob,
    /// `tokenizer.json`, for models of text.
    pub tokenizer: Option<Blob>,
    /// `config.json`, for the labels of a classifier.
    pub config: Option<Blob>,
}

/// The list and the worker.
pub(crate) struct OwnModels {
    origin: String,
    settings: Option<Rc<Settings>>,
    entries: RefCell<Vec<Entry>>,
    engine: RefCell<Option<Engine>>,
    /// Uses under way, and when the last one ended.
    uses: Cell<u32>,
    used_at: Cell<f64>,
    /// The worker is given up after so long without use.
    idle_ms_max: f64,
}

#[derive(Clone)]
struct Entry {
    /// As others see it.
    status: ModelStatus,
    /// What the worker wants to be told of it again.
    record: String,
    /// Its files, if the browser did not keep them.
    held: Option<Rc<Held>>,
    /// In the present worker.
    open: bool,
}

/// Keeps the worker alive while it is used.
struct Use<'a> {
    own: &'a OwnModels,
    engine: Engine,
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        self.own.uses.set(self.own.uses.get().saturating_sub(1));
        self.own.used_at.set(platform::monotone_ms());
    }
}

/// Object URLs of a model's files in their order, released when they are dropped.
struct Held(Vec<String>);

impl Held {
    fn file(&mut self, blob: &Blob) -> Result<GivenFile, ModelError> {
        let url = Url::create_object_url_with_blob(blob)
            .map_err(|error| ModelError::Engine(platform::text_of(&error)))?;
        self.0.push(url.clone());
        // A file's size is a whole number below 2^53.
        let bytes = blob.size() as u64;
        Ok(GivenFile { url, bytes })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.iter().for_each(|url| drop(Url::revoke_object_url(url)));
    }
}

/// What the device has for a model: what its owner and its tier allow.
fn memory_bytes_max(shared: &Rc<Shared>) -> u64 {
    shared.handle().snapshot().capability.memory_bytes_max
}

impl OwnModels {
    /// With what a former visit kept.
    pub(crate) async fn kept(origin: String, settings: Option<Rc<Settings>>, idle_ms_max: u32) -> Self {
        let records: Option<Vec<String>> = match &settings {
            Some(settings) => settings.choice(OWN_MODELS).await,
            None => None,
        };
        let records = records.unwrap_or_default().into_iter();
        let entries = records.filter_map(|record| Entry::read(record, None));
        Self {
            origin,
            settings,
            entries: RefCell::new(entries.take(limits::OWN_MODELS_MAX).collect()),
            engine: RefCell::default(),
            uses: Cell::default(),
            used_at: Cell::default(),
            idle_ms_max: idle_ms_max.into(),
        }
    }

    /// The list as others see it.
    pub(crate) fn statuses(&self) -> Vec<ModelStatus> {
        let entries = self.entries.borrow();
        entries.iter().map(|entry| entry.status.clone()).collect()
    }

    /// What is remembered of each, as JSON.
    pub(crate) fn records(&self) -> Vec<String> {
        let entries = self.entries.borrow();
        entries.iter().map(|entry| entry.record.clone()).collect()
    }

    /// Takes a model in. One at a time; progress shows in the status.
    pub(crate) async fn add(&self, shared: &Rc<Shared>, files: BroughtModel) -> Result<ModelId, ModelError> {
        if self.entries.borrow().len() >= limits::OWN_MODELS_MAX {
            return Err(ModelError::TooMany);
        }
        if shared.status.borrow().adding.is_some() {
            return Err(CommandError::Busy.into());
        }
        let adding = ModelStatus {
            id: ModelId([0; 32]),
            name: files.name.clone(),
            license: String::new(),
            bytes: files.onnx.size() as u64,
            state: ModelState::Verifying { backend: None },
        };
        shared.update(|status| status.adding = Some(adding));
        let added = self.take_in(shared, files).await;
        shared.update(|status| status.adding = None);
        let entry = added?;
        let id = entry.status.id;
        {
            let mut entries = self.entries.borrow_mut();
            // Brought again, it has the name and the files that came last.
            entries.retain(|known| known.status.id != id);
            entries.push(entry);
        }
        self.changed(shared).await;
        Ok(id)
    }

    async fn take_in(&self, shared: &Rc<Shared>, files: BroughtModel) -> Result<Entry, ModelError> {
        let mut held = Held(Vec::new());
        let request = AddRequest {
            name: files.name,
            onnx: held.file(&files.onnx)?,
            tokenizer: files.tokenizer.as_ref().map(|blob| held.file(blob)).transpose()?,
            config: files.config.as_ref().map(|blob| held.file(blob)).transpose()?,
            memory_bytes_max: memory_bytes_max(shared),
        };
        let worker = self.begin()?;
        let weak = Rc::downgrade(shared);
        let progress = move |progress| {
            if let (Some(shared), Some(state)) = (weak.upgrade(), state_of(progress)) {
                shared.update(|status| {
                    if let Some(adding) = &mut status.adding {
                        adding.state = state;
                    }
                });
            }
        };
        let added = worker.engine.add(request, progress).await?;
        let not_kept = added.not_kept.map(|reason| (reason, Rc::new(held)));
        let entry = Entry::read(added.record, not_kept);
        let mut entry = entry
            .ok_or_else(|| ModelError::Engine("the worker described it in no known words".to_owned()))?;
        entry.open = true;
        Ok(entry)
    }

    /// Forgets a model and removes those of its files that no other model needs.
    pub(crate) async fn remove(&self, shared: &Shared, id: ModelId) -> Result<(), ModelError> {
        let place = self.place(id)?;
        let Entry { record, open, .. } = self.entries.borrow_mut().remove(place);
        self.changed(shared).await;
        let worker = self.begin()?;
        if open {
            worker.engine.unload(engine_id(id)).await?;
        }
        Ok(worker.engine.forget(record, self.records()).await?)
    }

    pub(crate) async fn run(
        &self,
        shared: &Rc<Shared>,
        model: ModelId,
        inputs: Vec<NamedTensor>,
    ) -> Result<Vec<NamedTensor>, ModelError> {
        let worker = self.opened(shared, model).await?;
        Ok(worker.engine.run(engine_id(model), inputs, RUN_TIMEOUT).await?)
    }

    pub(crate) async fn classify(
        &self,
        shared: &Rc<Shared>,
        model: ModelId,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<LabelScore>>, ModelError> {
        let worker = self.opened(shared, model).await?;
        Ok(worker
            .engine
            .classify(engine_id(model), texts, RUN_TIMEOUT)
            .await?)
    }

    pub(crate) async fn generate(
        &self,
        shared: &Rc<Shared>,
        model: ModelId,
        request: GenerateRequest,
        on_piece: impl FnMut(Piece) + 'static,
    ) -> Result<GeneratedText, ModelError> {
        let worker = self.opened(shared, model).await?;
        let text = worker
            .engine
            .generate(engine_id(model), request, TOKEN_TIMEOUT, on_piece);
        Ok(text.await?)
    }

    /// Ends a worker that nobody used for a while. Called now and then.
    pub(crate) fn rest(&self) {
        let idle_ms = platform::monotone_ms() - self.used_at.get();
        if self.uses.get() == 0 && idle_ms > self.idle_ms_max {
            self.end();
        }
    }

    /// Ends the worker. Whatever it computes comes to nothing.
    pub(crate) fn end(&self) {
        if let Some(engine) = self.engine.take() {
            engine.terminate();
        }
        self.close_all();
    }

    /// The worker with a model ready in it.
    async fn opened(&self, shared: &Rc<Shared>, id: ModelId) -> Result<Use<'_>, ModelError> {
        self.place(id)?;
        let worker = self.begin()?;
        let entry = self.entries.borrow()[self.place(id)?].clone();
        if entry.open {
            return Ok(worker);
        }
        self.make_room(&worker.engine, entry.status.bytes).await?;
        let request = OpenRequest {
            record: entry.record,
            held: entry.held.map(|held| held.0.clone()).unwrap_or_default(),
            memory_bytes_max: memory_bytes_max(shared),
        };
        worker.engine.open(request).await?;
        let place = self.place(id)?;
        self.entries.borrow_mut()[place].open = true;
        Ok(worker)
    }

    async fn make_room(&self, engine: &Engine, bytes: u64) -> Result<(), ModelError> {
        let open: Vec<(ModelId, u64)> = {
            let entries = self.entries.borrow();
            let open = entries.iter().filter(|entry| entry.open);
            open.map(|entry| (entry.status.id, entry.status.bytes)).collect()
        };
        if open.iter().map(|(_, bytes)| bytes).sum::<u64>() + bytes > OPEN_BYTES_MAX {
            self.close_all();
            for (model, _) in open {
                engine.unload(engine_id(model)).await?;
            }
        }
        Ok(())
    }

    fn close_all(&self) {
        self.entries
            .borrow_mut()
            .iter_mut()
            .for_each(|entry| entry.open = false);
    }

    /// The worker, spawned if there is none alive.
    fn begin(&self) -> Result<Use<'_>, ModelError> {
        let alive = self.engine.borrow().clone().filter(Engine::is_alive);
        let engine = match alive {
            Some(engine) => engine,
            None => {
                self.close_all();
                let engine = Engine::spawn(&format!("{}/worker/inference_worker.js", self.origin))?;
                self.engine.replace(Some(engine.clone()));
                engine
            }
        };
        self.uses.set(self.uses.get() + 1);
        Ok(Use { own: self, engine })
    }

    fn place(&self, id: ModelId) -> Result<usize, ModelError> {
        let entries = self.entries.borrow();
        let place = entries.iter().position(|entry| entry.status.id == id);
        place.ok_or(ModelError::Unknown)
    }

    /// Shows the list and keeps what of it lasts.
    async fn changed(&self, shared: &Shared) {
        let models = self.statuses();
        shared.update(|status| status.own_models = models);
        let kept: Vec<String> = {
            let entries = self.entries.borrow();
            let kept = entries.iter().filter(|entry| entry.held.is_none());
            kept.map(|entry| entry.record.clone()).collect()
        };
        if let Some(settings) = &self.settings {
            // A list that cannot be kept holds until the page is closed.
            let _ = settings.keep(OWN_MODELS, &kept).await;
        }
    }
}

impl Entry {
    /// Reads of a record what a list shows. The record itself is the worker's business, which checks all of it.
    fn read(record: String, not_kept: Option<(String, Rc<Held>)>) -> Option<Self> {
        let json = js_sys::JSON::parse(&record).ok()?;
        let onnx = property(&json, "onnx")?;
        let files = [
            Some(onnx.clone()),
            property(&json, "tokenizer"),
            property(&json, "config"),
        ];
        let bytes = files.iter().flatten().filter_map(|file| number(file, "bytes"));
        let speed = property(&json, "speed");
        let ms_per_run = speed.as_ref().and_then(|speed| number(speed, "ms_per_run"));
        let tokens = speed.as_ref().and_then(|speed| number(speed, "tokens"));
        let (reason, held) = not_kept.unzip();
        let status = ModelStatus {
            id: property(&onnx, "blake3")?.as_string()?.parse().ok()?,
            name: property(&json, "name")?.as_string()?,
            license: String::new(),
            // Whole numbers below 2^53.
            bytes: bytes.sum::<f64>() as u64,
            state: ModelState::Own {
                backend: Backend::Cpu,
                ms_per_run,
                tokens_per_second: tokens
                    .filter(|&tokens| tokens > 0.0)
                    .zip(ms_per_run)
                    .map(|(tokens, ms)| tokens * 1000.0 / ms.max(0.001)),
                not_kept: reason,
            },
        };
        Some(Self {
            status,
            record,
            held,
            open: false,
        })
    }
}

fn number(object: &JsValue, name: &str) -> Option<f64> {
    property(object, name)?.as_f64()
}
