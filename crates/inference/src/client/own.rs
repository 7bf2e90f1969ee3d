//! The engine's side for models that a person brought.

use std::time::Duration;

use super::pending::OnProgress;
use super::spawn::Handle;
use super::{Engine, LOAD_SILENCE_MAX, of_load, unexpected};
use crate::manifest::ModelId;
use crate::own::{
    Answer, GenerateRequest, GeneratedText, LabelScore, NamedTensor, Piece, Question, check_generate,
    check_tensors, pack, unpack,
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
            ResponseBody::Added(added) => Ok(added),
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
        match self.ask(model, &Question::Run(inputs), timeout, None).await? {
            Answer::Ran(outputs) => Ok(outputs),
            _ => Err(mismatch()),
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
        let question = Question::Classify(texts);
        match self.ask(model, &question, timeout, None).await? {
            Answer::Classified(scores) => Ok(scores),
            _ => Err(mismatch()),
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
        let listener = Box::new(move |body| {
            if let ResponseBody::Piece(piece) = body
                && let Ok(piece) = unpack(&piece)
            {
                on_piece(piece);
            }
        });
        let question = Question::Generate(request);
        match self.ask(model, &question, silence, Some(listener)).await? {
            Answer::Generated(text) => Ok(text),
            _ => Err(mismatch()),
        }
    }

    /// Removes the files of a model that was taken in, but those that the `others` need.
    ///
    /// # Errors
    /// Fatal ones as for the engine, or if the browser refuses.
    pub async fn forget(&self, record: String, others: Vec<String>) -> Result<(), EngineError> {
        let body = RequestBody::Forget { record, others };
        let answer = self.worker.request(body, None)?;
        self.answered_within(answer, FORGET_TIMEOUT).await.map(drop)
    }

    async fn ask(
        &self,
        model: ModelId,
        question: &Question,
        silence: Duration,
        listener: Option<OnProgress>,
    ) -> Result<Answer, EngineError> {
        let question = pack(question)?;
        let body = RequestBody::Ask { model, question };
        let answer = self.worker.request(body, listener)?;
        let mut waiting = Waiting {
            worker: &self.worker,
            id: Some(answer.id),
        };
        let answered = self.answered_within(answer, silence).await;
        waiting.id = None;
        match answered? {
            ResponseBody::Answered(answer) => unpack(&answer),
            other => Err(unexpected(&other)),
        }
    }
}

fn mismatch() -> EngineError {
    EngineError::Crashed("it answered another question".to_owned())
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
