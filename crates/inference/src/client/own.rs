//! The engine's side for models that a person brought.

use std::time::Duration;

use super::spawn::Handle;
use super::{Engine, LOAD_SILENCE_MAX, of_load, unexpected};
use crate::manifest::{FileRef, ModelId};
use crate::own::{
    GenerateRequest, GeneratedText, LabelScore, NamedTensor, Piece, check_generate, check_tensors,
};
use crate::protocol::{
    AddRequest, Added, EngineError, LoadProgress, OpenRequest, RequestBody, ResponseBody, check_texts,
};

/// How long removing files may take.
const FORGET_TIMEOUT: Duration = Duration::from_secs(60);

impl Engine {
    /// Takes in a model: the worker reads its files from the page's object URLs, checks and measures it, and keeps it in this
    /// browser. It is open then. Nothing is left of a model that is refused.
    ///
    /// # Errors
    /// Fatal ones as for the engine, and [`EngineError::Model`] with what stands in the way.
    pub async fn add(
        &self,
        request: AddRequest,
        on_progress: impl FnMut(LoadProgress) + 'static,
    ) -> Result<Added, EngineError> {
        let body = RequestBody::Add(Box::new(request));
        let answer = self.worker.request(body, Some(of_load(on_progress)))?;
        match self.answered_within(answer, LOAD_SILENCE_MAX).await? {
            ResponseBody::Added(added) => Ok(*added),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes a model ready that was taken in earlier. One that is ready already stays so.
    ///
    /// # Errors
    /// Fatal ones as for the engine, and [`EngineError::Missing`] if the browser has lost a file.
    pub async fn open(&self, request: OpenRequest) -> Result<(), EngineError> {
        let body = RequestBody::Open(Box::new(request));
        // Its silence is broken by progress, which nobody needs to see.
        let answer = self.worker.request(body, Some(of_load(drop)))?;
        self.answered_within(answer, LOAD_SILENCE_MAX).await.map(drop)
    }

    /// Runs a model that is open. `timeout` counts as for [`embed`](Self::embed).
    ///
    /// # Errors
    /// Fatal ones as for the engine, and [`EngineError::Input`] if the tensors do not fit.
    pub async fn run(
        &self,
        model: ModelId,
        inputs: Vec<NamedTensor>,
        timeout: Duration,
    ) -> Result<Vec<NamedTensor>, EngineError> {
        check_tensors(&inputs)?;
        let answer = self.worker.request(RequestBody::Run { model, inputs }, None)?;
        match self.answered_within(answer, timeout).await? {
            ResponseBody::Ran(outputs) => Ok(outputs),
            other => Err(unexpected(&other)),
        }
    }

    /// Labelled scores for each text, the likeliest label first. `timeout` counts as for [`embed`](Self::embed).
    ///
    /// # Errors
    /// Fatal ones as for the engine, a limit, or [`EngineError::Input`] if the model classifies no texts.
    pub async fn classify(
        &self,
        model: ModelId,
        texts: Vec<String>,
        timeout: Duration,
    ) -> Result<Vec<Vec<LabelScore>>, EngineError> {
        check_texts(&texts)?;
        let answer = self
            .worker
            .request(RequestBody::Classify { model, texts }, None)?;
        match self.answered_within(answer, timeout).await? {
            ResponseBody::Classified(scores) => Ok(scores),
            other => Err(unexpected(&other)),
        }
    }

    /// Goes on from a prompt. `on_piece` hears each token as it comes. The worker may be silent for `silence`. Dropping
    /// the future ends the text: after the token that is being made, the worker serves the next request.
    ///
    /// # Errors
    /// Fatal ones as for the engine, a limit, or [`EngineError::Input`] if the model generates no text.
    pub async fn generate(
        &self,
        model: ModelId,
        request: GenerateRequest,
        silence: Duration,
        mut on_piece: impl FnMut(Piece) + 'static,
    ) -> Result<GeneratedText, EngineError> {
        check_generate(&request)?;
        let request = Box::new(request);
        let body = RequestBody::Generate { model, request };
        let listener = Box::new(move |body| {
            if let ResponseBody::Piece(piece) = body {
                on_piece(piece);
            }
        });
        let answer = self.worker.request(body, Some(listener))?;
        let mut waiting = Waiting {
            worker: &self.worker,
            id: Some(answer.id),
        };
        let answered = self.answered_within(answer, silence).await;
        waiting.id = None;
        match answered? {
            ResponseBody::Generated(text) => Ok(text),
            other => Err(unexpected(&other)),
        }
    }

    /// Removes files from this browser.
    ///
    /// # Errors
    /// Fatal ones as for the engine, or if the browser refuses.
    pub async fn forget(&self, files: Vec<FileRef>) -> Result<(), EngineError> {
        let answer = self.worker.request(RequestBody::Forget { files }, None)?;
        self.answered_within(answer, FORGET_TIMEOUT).await.map(drop)
    }
}

/// Cancels a request when its caller goes away before the answer.
struct Waiting<'a> {
    worker: &'a Handle,
    id: Option<u64>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.worker.cancel(id);
        }
    }
}
