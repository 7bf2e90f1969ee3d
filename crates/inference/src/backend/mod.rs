//! What can run a model, and the trait that makes them interchangeable.
//!
//! A backend turns the tokens of one text into the model's hidden states, and those of several texts into vectors. On
//! the CPU texts go one by one: that is the fastest way for mixed lengths, since nothing is computed for padding. A GPU
//! takes texts of similar length together. A text's vector never depends on what else was in the batch.

#[cfg(feature = "onnx")]
pub mod cpu;
#[cfg(all(feature = "worker", target_arch = "wasm32"))]
pub mod module;
#[cfg(feature = "onnx")]
mod roles;
#[cfg(all(feature = "worker", target_arch = "wasm32"))]
mod sibling;
#[cfg(feature = "tract")]
pub mod tract;
#[cfg(feature = "gpu")]
pub mod webgpu;
#[cfg(all(feature = "worker", target_arch = "wasm32"))]
pub mod wonnx;

use thiserror::Error;

use crate::embed::mean_pool;
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

impl Hidden {
    /// What a backend gave, if it is as much as was asked for.
    ///
    /// # Errors
    /// [`BackendError::Shape`] if it is not.
    pub fn of(rows: Vec<f32>, expected: usize) -> Result<Self, BackendError> {
        let actual = rows.len();
        if actual == expected {
            Ok(Self { rows })
        } else {
            Err(BackendError::Shape { expected, actual })
        }
    }
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

    /// One unit vector for each text: the average of its hidden states, scaled to length 1. A backend that gains from
    /// running texts together does so; by default they run one by one.
    ///
    /// # Errors
    /// As for one run; a failure fails all.
    async fn embed(&mut self, texts: &[&[i64]], dimension: usize) -> Result<Vec<Vec<f32>>, BackendError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for ids in texts {
            let hidden = self.run(ids).await?;
            let expected = ids.len() * dimension;
            if hidden.rows.len() < expected {
                return Err(BackendError::Shape {
                    expected,
                    actual: hidden.rows.len(),
                });
            }
            vectors.push(mean_pool(&hidden.rows, &vec![1; ids.len()], dimension));
        }
        Ok(vectors)
    }
}
