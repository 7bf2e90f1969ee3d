//! Models that a person brought to this device, and the worker that runs them.
//!
//! It is a worker of its own: nobody vouches for these models, and one that traps, hangs or fills the memory takes
//! nothing down that this node sells. It is spawned when a model is brought or used and ends after two idle minutes, since
//! wasm gives memory back only that way. What is remembered of the models is kept among the settings; their files are the
//! worker's business. Where the browser keeps no files, the page holds them and the model lasts as long as the page.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use inference::client::Engine;
use inference::limits;
use inference::own::{GenerateRequest, GeneratedText, LabelScore, NamedTensor, OwnModel, Piece};
use inference::protocol::{AddRequest, Added, GivenFile, OpenRequest};
use inference::{ContentHash, LoadProgress};
use node_proto::ids::ModelId;
use web_sys::{Blob, Url};

use crate::error::{CommandError, ModelError};
use crate::handle::Shared;
use crate::models::{core_id, engine_id};
use crate::platform;
use crate::status::{Adding, Backend, OwnModelStatus};
use crate::store::settings::Settings;

/// Under this name the list is kept.
const OWN_MODELS: &str = "own-models";
/// The worker is given up after so long without use.
const IDLE_MS_MAX: f64 = 120_000.0;
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
}

#[derive(Clone)]
struct Entry {
    model: OwnModel,
    /// Why the browser did not keep it, and the files that the page holds instead.
    not_kept: Option<(String, Rc<Held>)>,
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

impl OwnModels {
    /// With what a former visit kept.
    pub(crate) async fn kept(origin: String, settings: Option<Rc<Settings>>) -> Self {
        let kept: Option<Vec<OwnModel>> = match &settings {
            Some(settings) => settings.choice(OWN_MODELS).await,
            None => None,
        };
        let kept = kept.unwrap_or_default().into_iter();
        let entries = kept
            .filter(|model| model.validate().is_ok())
            .take(limits::OWN_MODELS_MAX)
            .map(|model| Entry {
                model,
                not_kept: None,
                open: false,
            });
        Self {
            origin,
            settings,
            entries: RefCell::new(entries.collect()),
            engine: RefCell::default(),
            uses: Cell::default(),
            used_at: Cell::default(),
        }
    }

    /// The list as others see it.
    pub(crate) fn statuses(&self) -> Vec<OwnModelStatus> {
        self.entries.borrow().iter().map(status_of).collect()
    }

    /// Takes a model in. One at a time; progress shows in the status.
    pub(crate) async fn add(&self, shared: &Rc<Shared>, files: BroughtModel) -> Result<ModelId, ModelError> {
        if self.entries.borrow().len() >= limits::OWN_MODELS_MAX {
            return Err(ModelError::TooMany);
        }
        if shared.status.borrow().adding.is_some() {
            return Err(CommandError::Busy.into());
        }
        shared.update(|status| {
            status.adding = Some(Adding {
                name: files.name.clone(),
                bytes: 0,
                total: 0,
            });
        });
        let added = self.take_in(shared, files).await;
        shared.update(|status| status.adding = None);
        let (entry, id) = added?;
        {
            let mut entries = self.entries.borrow_mut();
            // Brought again, it has the name and the files that came last.
            entries.retain(|known| known.model.id() != entry.model.id());
            entries.push(entry);
        }
        self.changed(shared).await;
        Ok(id)
    }

    async fn take_in(
        &self,
        shared: &Rc<Shared>,
        files: BroughtModel,
    ) -> Result<(Entry, ModelId), ModelError> {
        let mut held = Held(Vec::new());
        let request = AddRequest {
            name: files.name,
            onnx: held.file(&files.onnx)?,
            tokenizer: files.tokenizer.as_ref().map(|blob| held.file(blob)).transpose()?,
            config: files.config.as_ref().map(|blob| held.file(blob)).transpose()?,
        };
        let worker = self.begin()?;
        let weak = Rc::downgrade(shared);
        let progress = move |progress| {
            if let (Some(shared), LoadProgress::Downloading { bytes, total }) = (weak.upgrade(), progress) {
                shared.update(|status| {
                    if let Some(adding) = &mut status.adding {
                        (adding.bytes, adding.total) = (bytes, total);
                    }
                });
            }
        };
        let Added { model, not_kept } = worker.engine.add(request, progress).await?;
        let id = core_id(model.id());
        let entry = Entry {
            model,
            not_kept: not_kept.map(|reason| (reason, Rc::new(held))),
            open: true,
        };
        Ok((entry, id))
    }

    /// Forgets a model and removes those of its files that no other model needs.
    pub(crate) async fn remove(&self, shared: &Shared, id: ModelId) -> Result<(), ModelError> {
        let place = self.place(id)?;
        let Entry { model, open, .. } = self.entries.borrow_mut().remove(place);
        self.changed(shared).await;
        let needed = |hash: &ContentHash| {
            let entries = self.entries.borrow();
            entries
                .iter()
                .any(|entry| entry.model.files().any(|file| file.blake3 == *hash))
        };
        let files = model.files().filter(|file| !needed(&file.blake3)).collect();
        let worker = self.begin()?;
        if open {
            worker.engine.unload(engine_id(id)).await?;
        }
        Ok(worker.engine.forget(files).await?)
    }

    pub(crate) async fn run(
        &self,
        model: ModelId,
        inputs: Vec<NamedTensor>,
    ) -> Result<Vec<NamedTensor>, ModelError> {
        let worker = self.opened(model).await?;
        Ok(worker.engine.run(engine_id(model), inputs, RUN_TIMEOUT).await?)
    }

    pub(crate) async fn classify(
        &self,
        model: ModelId,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<LabelScore>>, ModelError> {
        let worker = self.opened(model).await?;
        Ok(worker
            .engine
            .classify(engine_id(model), texts, RUN_TIMEOUT)
            .await?)
    }

    pub(crate) async fn generate(
        &self,
        model: ModelId,
        request: GenerateRequest,
        on_piece: impl FnMut(Piece) + 'static,
    ) -> Result<GeneratedText, ModelError> {
        let worker = self.opened(model).await?;
        let text = worker
            .engine
            .generate(engine_id(model), request, TOKEN_TIMEOUT, on_piece);
        Ok(text.await?)
    }

    /// Ends a worker that nobody used for a while. Called now and then.
    pub(crate) fn rest(&self) {
        let idle_ms = platform::monotone_ms() - self.used_at.get();
        if self.uses.get() == 0 && idle_ms > IDLE_MS_MAX {
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
    async fn opened(&self, id: ModelId) -> Result<Use<'_>, ModelError> {
        self.place(id)?;
        let worker = self.begin()?;
        let entry = self.entries.borrow()[self.place(id)?].clone();
        if entry.open {
            return Ok(worker);
        }
        self.make_room(&worker.engine, &entry.model).await?;
        let names = entry.model.files().map(|file| file.blake3);
        let urls = entry.not_kept.iter().flat_map(|(_, held)| held.0.iter().cloned());
        let request = OpenRequest {
            held: names.zip(urls).collect(),
            model: entry.model,
        };
        worker.engine.open(request).await?;
        let place = self.place(id)?;
        self.entries.borrow_mut()[place].open = true;
        Ok(worker)
    }

    async fn make_room(&self, engine: &Engine, wanted: &OwnModel) -> Result<(), ModelError> {
        let open: Vec<OwnModel> = {
            let entries = self.entries.borrow();
            entries
                .iter()
                .filter(|entry| entry.open)
                .map(|entry| entry.model.clone())
                .collect()
        };
        let bytes: u64 = open.iter().map(|model| model.onnx.bytes).sum();
        if bytes + wanted.onnx.bytes > OPEN_BYTES_MAX {
            self.close_all();
            for model in open {
                engine.unload(model.id()).await?;
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
        let place = entries.iter().position(|entry| entry.model.id() == engine_id(id));
        place.ok_or(ModelError::Unknown)
    }

    /// Shows the list and keeps what of it lasts.
    async fn changed(&self, shared: &Shared) {
        let models = self.statuses();
        shared.update(|status| status.own_models = models);
        let kept: Vec<OwnModel> = {
            let entries = self.entries.borrow();
            let kept = entries.iter().filter(|entry| entry.not_kept.is_none());
            kept.map(|entry| entry.model.clone()).collect()
        };
        if let Some(settings) = &self.settings {
            // A list that cannot be kept holds until the page is closed.
            let _ = settings.keep(OWN_MODELS, &kept).await;
        }
    }
}

fn status_of(entry: &Entry) -> OwnModelStatus {
    let Entry { model, not_kept, .. } = entry;
    OwnModelStatus {
        id: core_id(model.id()),
        name: model.name.clone(),
        bytes: model.files().map(|file| file.bytes).sum(),
        has_tokenizer: model.tokenizer.is_some(),
        tasks: model.tasks.clone(),
        inputs: model.inputs.clone(),
        outputs: model.outputs.clone(),
        backend: Backend::Cpu,
        ms_per_run: model.speed.map(|speed| speed.ms_per_run),
        tokens_per_second: model.speed.and_then(|speed| speed.tokens_per_second()),
        not_kept: not_kept.as_ref().map(|(reason, _)| reason.clone()),
    }
}
