//! Running ONNX models in a browser tab without ever blocking the page.
//!
//! The crate has two halves that share [`protocol`], [`manifest`] and [`own`] and are never linked together:
//!
//! - `client` (feature `client`) lives on the page's main thread. It spawns a dedicated worker, sends requests,
//!   and notices when the worker hangs or dies. It links nothing heavy.
//! - `worker` (feature `worker`) is that worker. It reads a model's files where the page put them ([`shelf`]), verifies their
//!   BLAKE3 hash, checks each backend against the model's known answer, and embeds texts with the fastest correct one. It
//!   also takes in models that a person brought ([`own`]) and runs them, classifies and generates with them.
//!
//! What the worker computes is made of parts that know no browser and are tested natively (feature `engine`): the
//! ONNX reader with its limits and a [`session`] that runs any model on the project's own kernels ([`ops`] for everything,
//! `cpu` for what has to be fast, feature `onnx`), the lowering of a standard graph to the operators that wonnx runs
//! correctly, the tokenizer and pooling. tract (feature `tract`) runs in a module of its own, as do the kernels. `prepare-model` (feature `prepare`) makes the model files
//! from a published package of weights, `known-answers` (feature of the same name) a relay's secret known answers
//! ([`answers`]).
//!
//! Invariants: no backend's output is used for the relay's models before that backend reproduced a known answer; every file
//! is named by its hash and checked against it on every read; every size is checked against [`limits`] before it is
//! allocated for.

pub mod answers;
#[cfg(feature = "onnx")]
pub mod backend;
#[cfg(feature = "engine")]
pub mod check;
#[cfg(feature = "engine")]
pub mod chunks;
#[cfg(all(feature = "client", target_arch = "wasm32"))]
pub mod client;
#[cfg(feature = "onnx")]
mod cpu;
pub mod data;
pub mod embed;
#[cfg(feature = "onnx")]
pub mod generate;
pub mod limits;
#[cfg(feature = "onnx")]
pub mod lower;
pub mod manifest;
#[cfg(feature = "onnx")]
pub mod onnx;
#[cfg(feature = "onnx")]
pub mod ops;
pub mod own;
#[cfg(all(any(feature = "client", feature = "worker"), target_arch = "wasm32"))]
pub mod pieces;
pub mod protocol;
#[cfg(feature = "onnx")]
pub mod session;
#[cfg(any(feature = "client", feature = "worker"))]
pub mod shelf;
#[cfg(feature = "onnx")]
pub mod tensor;
#[cfg(feature = "engine")]
pub mod tokens;
#[cfg(all(feature = "worker", target_arch = "wasm32"))]
pub mod worker;

pub use answers::{KnownAnswers, KnownAnswersError};
pub use manifest::{ContentHash, FileRef, KnownAnswer, ManifestError, ModelId, ModelIndex, ModelManifest};
pub use protocol::{
    BackendKind, BackendOutcome, BackendReport, Embeddings, EngineError, LoadOptions, LoadProgress,
    LoadReport,
};
