//! What can run a model, and the trait that makes them interchangeable.
//!
//! A backend turns the tokens of one text into the model's hidden states. Texts go one by one: on the CPU that is
//! the fastest way for mixed lengths, since nothing is computed for padding, and a text's vector does not depend on
//! what else was in the batch.

pub mod tract;
#[cfg(all(feature = "worker", target_arch = "wasm32"))]
pub mod wonnx;

use thiserror::Error;

use crate::protocol::BackendKind;

/// Why a backend cannot run a model, or failed while it ran. After a failed run the backend is not used again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BackendError {
    /// It cannot prepare this model.
    #[error("it cannot prepare the model: {0}")]
    Prepare(String),
    /// It failed while running.
    #[error("it failed while running: {0}")]
    Run(String),
    /// It gave something else than hidden states.
    #[error("it gave {actual} numbers where {expected} were expected")]
    Shape {
        /// Numbers expected.
        expected: usize,
        /// Numbers given.
        actual: usize,
    },
}

/// Hidden states of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Hidden {
    /// Rows of the model's dimension, one for each token; more rows than tokens are padding.
    pub rows: Vec<f32>,
}

/// A prepared model on one implementation.
///
/// Not `Send`: a worker has one thread.
#[allow(
    async_fn_in_trait,
    reason = "single-threaded, and never used as a trait object"
)]
pub trait Backend {
    /// Which implementation it is.
    fn kind(&self) -> BackendKind;

    /// How many tokens are computed for a text of `tokens` tokens, padding included.
    fn padded_length(&self, tokens: usize) -> usize;

    /// Runs the model on one text.
    ///
    /// # Errors
    /// If it fails; never a wrong result that it knows to be wrong.
    async fn run(&mut self, ids: &[i64]) -> Result<Hidden, BackendError>;
}
