//! The page's side of inference: an [`Engine`] owns one dedicated worker.
//!
//! States: *alive* → *dead*. An engine is alive from [`Engine::spawn`] until its worker crashes, misses a deadline or
//! is terminated; then every request, waiting or new, gets the same fatal error ([`EngineError::is_fatal`]) and the
//! owner spawns another engine. Nothing that happens in the worker (a trap, a hang, a lost GPU) blocks the page.
//!
//! Bounds: at most [`PENDING_REQUESTS_MAX`] requests wait; texts are checked before they are sent; a load may take as
//! long as the network needs but may not be silent for longer than [`LOAD_SILENCE_MAX`].

mod channel;
pub mod dedicated;
mod own;
mod pending;
mod spawn;

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use gloo::timers::future::TimeoutFuture;

use crate::manifest::{ModelId, ModelManifest};
use crate::protocol::{
    Embeddings, EngineError, HeldFiles, LoadOptions, LoadProgress, LoadReport, LoadRequest, RequestBody,
    ResponseBody, check_texts,
};
use pending::{Answer, OnProgress, Pending};
use spawn::Handle;

/// The longest that a load may be silent. Preparing MiniLM takes a slow machine several seconds, and one checked run
/// on a software GPU took 10.5 s on the machine that the design's facts were measured on.
pub const LOAD_SILENCE_MAX: Duration = Duration::from_secs(120);

/// How long an unload may take.
const UNLOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A dedicated worker that runs models. Clones share the worker; it ends when the last one is dropped.
#[derive(Clone)]
pub struct Engine {
    worker: Rc<Handle>,
}

impl Engine {
    /// Starts the worker from its script, given by an absolute URL or one relative to the page.
    ///
    /// The script may come from another origin that allows it (CORS). Returns before the script has loaded: a script
    /// that cannot be loaded shows as [`EngineError::Crashed`] on the first request.
    ///
    /// # Errors
    /// [`EngineError::Spawn`] if the browser refuses, for example by its content security policy.
    pub fn spawn(worker_url: &str) -> Result<Self, EngineError> {
        Ok(Self {
            worker: Rc::new(Handle::spawn(worker_url)?),
        })
    }

    /// Makes a model ready: the worker reads its files from the shelf, or from where the page holds them, verifies them,
    /// checks each backend and chooses one. Loading a loaded model again only reports.
    ///
    /// # Errors
    /// Fatal ones as described above, and those that say why the model cannot be used.
    pub async fn load(
        &self,
        manifest: ModelManifest,
        held: HeldFiles,
        options: LoadOptions,
        on_progress: impl FnMut(LoadProgress) + 'static,
    ) -> Result<LoadReport, EngineError> {
        manifest
            .validate()
            .map_err(|error| EngineError::Manifest(error.to_string()))?;
        let request = LoadRequest {
            manifest,
            held,
            options,
        };
        let answer = self
            .worker
            .request(RequestBody::Load(Box::new(request)), Some(of_load(on_progress)))?;
        match self.answered_within(answer, LOAD_SILENCE_MAX).await? {
            ResponseBody::Loaded(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    /// Embeds texts with a model that was loaded.
    ///
    /// `timeout` counts from now, requests that wait before this one included. When it passes the worker is
    /// terminated, because a computation in wasm cannot be interrupted in any other way.
    ///
    /// # Errors
    /// Fatal ones as described above, a limit that is exceeded, or what the backend says.
    pub async fn embed(
        &self,
        model: ModelId,
        texts: Vec<String>,
        timeout: Duration,
    ) -> Result<Embeddings, EngineError> {
        check_texts(&texts)?;
        let answer = self.worker.request(RequestBody::Embed { model, texts }, None)?;
        match self.answered_within(answer, timeout).await? {
            ResponseBody::Embedded(embeddings) => Ok(embeddings),
            other => Err(unexpected(&other)),
        }
    }

    /// Forgets a model. Memory that wasm took stays taken until the engine is terminated.
    ///
    /// # Errors
    /// Fatal ones as described above.
    pub async fn unload(&self, model: ModelId) -> Result<(), EngineError> {
        let answer = self.worker.request(RequestBody::Unload { model }, None)?;
        self.answered_within(answer, UNLOAD_TIMEOUT).await.map(drop)
    }

    /// Stops the worker at once. Whatever waits gets [`EngineError::Terminated`].
    pub fn terminate(&self) {
        self.worker.stop(EngineError::Terminated);
    }

    /// Whether the worker can still answer.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.worker.is_alive()
    }

    /// Waits for the answer; `silence` starts anew with every progress message.
    async fn answered_within(&self, answer: Answer, silence: Duration) -> Result<ResponseBody, EngineError> {
        let Answer { mut done, heard, .. } = answer;
        let mut heard_before = heard.get();
        loop {
            let silence_ms = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
            match select(done, TimeoutFuture::new(silence_ms)).await {
                Either::Left((Ok(result), _)) => return result,
                Either::Left((Err(_canceled), _)) => return Err(EngineError::Terminated),
                Either::Right((_, waiting)) if heard.get() == heard_before => {
                    let error = EngineError::Timeout {
                        seconds: silence.as_secs(),
                    };
                    self.worker.stop(error.clone());
                    drop(waiting);
                    return Err(error);
                }
                Either::Right((_, waiting)) => {
                    heard_before = heard.get();
                    done = waiting;
                }
            }
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("alive", &self.is_alive()).finish()
    }
}

fn of_load(mut on_progress: impl FnMut(LoadProgress) + 'static) -> OnProgress {
    Box::new(move |body| {
        if let ResponseBody::Progress(progress) = body {
            on_progress(progress);
        }
    })
}

fn unexpected(body: &ResponseBody) -> EngineError {
    EngineError::Crashed(
        format!("it gave an answer of the wrong kind: {body:?}")
            .chars()
            .take(200)
            .collect(),
    )
}
