//! What the page and its inference worker say to each other.
//!
//! The page numbers its requests; the worker answers each with exactly one final response (`Loaded`, `Embedded`, …
//! or `Failed`) under the same number, and may send `Progress` or `Piece` before it. `Cancel` alone is not answered. Model
//! files never travel in these messages: the page puts them on the [`shelf`](crate::shelf), and the worker reads them there, so
//! that 90 MB are in memory once. What the browser does not keep, and what a person brings, it reads from an object URL of the page.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits;
use crate::manifest::{ModelId, ModelManifest};

/// An implementation that can run a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// The project's own kernels, on the CPU. They run what a person brought, too.
    Cpu,
    /// tract, on the CPU with wasm's 128-bit vectors.
    Tract,
    /// wonnx, on WebGPU.
    Wonnx,
    /// The project's own kernels, on WebGPU.
    Webgpu,
}

/// A model, and how it is to be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadRequest {
    /// The model.
    pub manifest: ModelManifest,
    /// Its files, where the browser does not keep them.
    pub held: HeldFiles,
    /// Choices of the person.
    pub options: LoadOptions,
}

/// Object URLs of the page for those files of a model that the browser does not keep.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeldFiles {
    /// The graph and its weights.
    pub onnx: Option<String>,
    /// The tokenizer.
    pub tokenizer: Option<String>,
}

/// A person's choices for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoadOptions {
    /// Use this backend or none. Without a pin the fastest correct one is used.
    pub pin: Option<BackendKind>,
    /// Leave WebGPU alone, because it hung or lost its device.
    pub without_gpu: bool,
}

/// A file that the page holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenFile {
    /// An object URL of the page.
    pub url: String,
    /// Its exact length.
    pub bytes: u64,
}

/// A model that a person brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddRequest {
    /// As the person calls it.
    pub name: String,
    /// The graph and its weights.
    pub onnx: GivenFile,
    /// The tokenizer, for models of text.
    pub tokenizer: Option<GivenFile>,
    /// `config.json`, for the labels of a classifier.
    pub config: Option<GivenFile>,
    /// What the device has for it: what its owner and its tier allow.
    pub memory_bytes_max: u64,
}

/// How it was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// What the device shall remember: an [`OwnModel`](crate::own::OwnModel) as JSON, which a page passes on without knowing all
    /// of it.
    pub record: String,
    /// Why its files could not be kept for the next visit; `None` if they were.
    pub not_kept: Option<String>,
}

/// A model that was brought earlier, to be made ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest {
    /// What was remembered of it.
    pub record: String,
    /// Object URLs of its files in their order, if the page holds them because the browser did not keep them.
    pub held: Vec<String>,
    /// What the device has for it.
    pub memory_bytes_max: u64,
}

/// A message to the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the page, echoed in every response.
    pub id: u64,
    /// What is asked for.
    pub body: RequestBody,
}

/// What the page asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RequestBody {
    /// Make a model ready: fetch, verify, check each backend, choose one.
    Load(Box<LoadRequest>),
    /// Embed texts with a model that was loaded.
    Embed {
        /// The model.
        model: ModelId,
        /// At most [`limits::TEXTS_MAX`] texts of at most [`limits::TEXT_BYTES_MAX`] bytes.
        texts: Vec<String>,
    },
    /// Forget a model and free what can be freed.
    Unload {
        /// The model.
        model: ModelId,
    },
    /// Take in a model that a person brought: check, measure, keep. It is open then.
    Add(Box<AddRequest>),
    /// Make a model ready that was taken in earlier.
    Open(Box<OpenRequest>),
    /// Ask a model that is open.
    Ask {
        /// The model.
        model: ModelId,
        /// A [`Question`](crate::own::Question), packed, so that a page that asks none does not carry them.
        question: Vec<u8>,
    },
    /// End the generation of this number, or skip it if it has not begun.
    Cancel,
    /// Remove the files of a model that was taken in from this browser.
    Forget {
        /// What was remembered of it.
        record: String,
        /// The same of all models whose files stay.
        others: Vec<String>,
    },
}

/// A message from the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The request's number.
    pub id: u64,
    /// What is answered.
    pub body: ResponseBody,
}

/// What the worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ResponseBody {
    /// A load is under way.
    Progress(LoadProgress),
    /// The model is ready.
    Loaded(LoadReport),
    /// The texts are embedded.
    Embedded(Embeddings),
    /// The model is forgotten.
    Unloaded,
    /// The model was taken in.
    Added(Added),
    /// The model is ready.
    Opened,
    /// A text is under way: a [`Piece`](crate::own::Piece), packed.
    Piece(Vec<u8>),
    /// What a model says: an [`Answer`](crate::own::Answer), packed.
    Answered(Vec<u8>),
    /// The files are gone.
    Forgotten,
    /// The request came to nothing.
    Failed(EngineError),
}

/// What a load is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LoadProgress {
    /// Bytes arrive from the network.
    Downloading {
        /// Bytes that arrived, of all files.
        bytes: u64,
        /// Bytes of all files.
        total: u64,
    },
    /// The files were read from this browser's own cache.
    Cached {
        /// Bytes of all files.
        total: u64,
    },
    /// The files could not be kept for the next visit; they are used from memory this time.
    NotCached {
        /// Why, for people.
        reason: String,
    },
    /// A backend prepares the model.
    Preparing(BackendKind),
    /// A backend computes the known answer.
    Checking(BackendKind),
}

/// How a load ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// The model.
    pub model: ModelId,
    /// Every backend and what became of it.
    pub backends: Vec<BackendReport>,
    /// The backend that will be used.
    pub chosen: BackendKind,
    /// Tokens per second of the chosen backend in the benchmark.
    pub tokens_per_second: f64,
    /// Whether the files came from this browser's cache.
    pub from_cache: bool,
    /// Milliseconds from request to report.
    pub took_ms: f64,
}

/// What became of one backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendReport {
    /// The backend.
    pub kind: BackendKind,
    /// What became of it.
    pub outcome: BackendOutcome,
}

/// What a check of one backend found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum BackendOutcome {
    /// It reproduced the known answer.
    Correct {
        /// Milliseconds for the benchmark text.
        ms_per_run: f64,
        /// Tokens of the benchmark text, padding included where the backend needs it.
        tokens: usize,
        /// The least cosine against the known answer.
        cosine: f32,
    },
    /// It cannot run the model, or ran it wrongly.
    Refused {
        /// Why, for people.
        reason: String,
    },
    /// It was not tried.
    NotTried {
        /// Why, for people.
        reason: String,
    },
}

/// Texts as unit vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embeddings {
    /// One vector for each text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// What computed them.
    pub backend: BackendKind,
    /// Milliseconds in the worker.
    pub took_ms: f64,
    /// Tokens of all texts, special tokens included and padding not.
    pub tokens: u64,
}

/// Why the engine did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Error)]
pub enum EngineError {
    /// The browser would not start the worker.
    #[error("the inference worker could not be started: {0}")]
    Spawn(String),
    /// The worker died. A new [`Engine`](crate::client::Engine) is needed.
    #[error("the inference worker stopped: {0}")]
    Crashed(String),
    /// The worker did not answer in time and was stopped. A new engine is needed.
    #[error("the inference worker did not answer within {seconds} s and was stopped")]
    Timeout {
        /// The time it had.
        seconds: u64,
    },
    /// The engine was terminated by its owner. A new engine is needed.
    #[error("the inference worker was stopped")]
    Terminated,
    /// Too many requests wait already.
    #[error(
        "the inference worker is busy: {} requests wait already",
        limits::PENDING_REQUESTS_MAX
    )]
    Busy,
    /// More texts than allowed.
    #[error(
        "{count} texts are too many: at most {} fit in one request",
        limits::TEXTS_MAX
    )]
    TooManyTexts {
        /// How many there were.
        count: usize,
    },
    /// A text is longer than allowed.
    #[error(
        "text {index} has {bytes} bytes: at most {} are allowed",
        limits::TEXT_BYTES_MAX
    )]
    TextTooLong {
        /// Which one, counted from 0.
        index: usize,
        /// Its length.
        bytes: usize,
    },
    /// The manifest is out of bounds.
    #[error("the model's description is unusable: {0}")]
    Manifest(String),
    /// The model was not loaded.
    #[error("model {0} is not loaded")]
    NotLoaded(ModelId),
    /// A file could not be fetched.
    #[error("the model could not be downloaded: {0}")]
    Download(String),
    /// Whoever wanted it changed their mind.
    #[error("its download was stopped; what came of it is kept")]
    Stopped,
    /// A file is not what its name says.
    #[error("the file under {expected} has the hash {actual}: it is damaged or forged and was not used")]
    WrongHash {
        /// The name.
        expected: ModelId,
        /// The content.
        actual: ModelId,
    },
    /// The graph or the tokenizer cannot be used.
    #[error("the model cannot be used: {0}")]
    Model(String),
    /// The browser has lost a file of the model, or was never able to keep it.
    #[error("a file of the model is not in this browser any more: bring it again")]
    Missing,
    /// What was given does not fit the model or the limits.
    #[error("{0}")]
    Input(String),
    /// No backend reproduced the known answer.
    #[error("no backend runs this model correctly: {}", describe(.0))]
    NoBackend(Vec<BackendReport>),
    /// The chosen backend failed while it ran.
    #[error("{backend} failed: {reason}")]
    Backend {
        /// The backend.
        backend: BackendKind,
        /// Why.
        reason: String,
    },
}

impl BackendKind {
    /// Whether it computes on WebGPU.
    #[must_use]
    pub fn is_gpu(self) -> bool {
        match self {
            Self::Cpu | Self::Tract => false,
            Self::Wonnx | Self::Webgpu => true,
        }
    }
}

impl EngineError {
    /// Whether the worker is gone, so that a new one has to be spawned before anything else can work.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::Spawn(_) | Self::Crashed(_) | Self::Timeout { .. } | Self::Terminated
        )
    }
}

/// Checks a batch against the limits, on either side of the channel.
///
/// # Errors
/// The first limit that is exceeded.
pub fn check_texts(texts: &[String]) -> Result<(), EngineError> {
    if texts.len() > limits::TEXTS_MAX {
        return Err(EngineError::TooManyTexts { count: texts.len() });
    }
    match texts.iter().position(|text| text.len() > limits::TEXT_BYTES_MAX) {
        Some(index) => Err(EngineError::TextTooLong {
            index,
            bytes: texts[index].len(),
        }),
        None => Ok(()),
    }
}

fn describe(reports: &[BackendReport]) -> String {
    let lines: Vec<String> = reports
        .iter()
        .map(|report| format!("{}: {}", report.kind, report.outcome))
        .collect();
    lines.join("; ")
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU",
            Self::Tract => "CPU (tract)",
            Self::Wonnx => "WebGPU (wonnx)",
            Self::Webgpu => "WebGPU",
        })
    }
}

impl fmt::Display for BackendOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Correct {
                ms_per_run, tokens, ..
            } => write!(f, "correct, {ms_per_run:.0} ms for {tokens} tokens"),
            Self::Refused { reason } => write!(f, "refused: {reason}"),
            Self::NotTried { reason } => write!(f, "not tried: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_in_number_and_length() {
        assert!(check_texts(&vec!["a".into(); limits::TEXTS_MAX]).is_ok());
        assert_eq!(
            check_texts(&vec!["a".into(); limits::TEXTS_MAX + 1]),
            Err(EngineError::TooManyTexts {
                count: limits::TEXTS_MAX + 1
            })
        );
        let long = "x".repeat(limits::TEXT_BYTES_MAX + 1);
        assert_eq!(
            check_texts(&["a".into(), long]),
            Err(EngineError::TextTooLong {
                index: 1,
                bytes: limits::TEXT_BYTES_MAX + 1
            })
        );
    }
}
