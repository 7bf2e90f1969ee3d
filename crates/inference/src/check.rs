//! Trusting a backend only after it reproduced a known answer.
//!
//! Some backends fail silently: wonnx 0.5.1 returns `Ok` with wrong numbers when the browser rejects a shader. So
//! every backend computes the manifest's known texts on this very machine before its output is used for anything.

use crate::backend::{Backend, BackendError};
use crate::embed::cosine;
use crate::manifest::KnownAnswer;
use crate::protocol::{BackendOutcome, EngineError};
use crate::tokens::{TextTokenizer, Tokens};

/// Time that a check may take beyond its first text. A backend that is slower is checked on fewer texts, at least
/// one: a software GPU needs 6 to 10 s for each.
pub const CHECK_MS_MAX: f64 = 3_000.0;

/// One unit vector for one tokenized text.
///
/// # Errors
/// If the backend fails.
pub async fn embed_tokens<B: Backend>(
    backend: &mut B,
    tokens: &Tokens,
    dimension: usize,
) -> Result<Vec<f32>, BackendError> {
    let vectors = backend.embed(&[&tokens.ids], dimension).await?;
    vectors.into_iter().next().ok_or(BackendError::Shape {
        expected: dimension,
        actual: 0,
    })
}

/// Runs the known texts and says whether the backend may be used, and how fast it is.
///
/// `now_ms` is a clock of any origin. The first text runs twice, because the first run of a backend also warms it up;
/// the second run is the benchmark, unless the first alone took longer than [`CHECK_MS_MAX`].
///
/// # Errors
/// Only if a known text cannot be tokenized. What is wrong with the backend is the outcome's business.
pub async fn check<B: Backend>(
    backend: &mut B,
    tokenizer: &TextTokenizer,
    answer: &KnownAnswer,
    dimension: usize,
    now_ms: impl Fn() -> f64,
) -> Result<BackendOutcome, EngineError> {
    let refused = |reason: String| Ok(BackendOutcome::Refused { reason });
    let start = now_ms();
    let (mut least, mut benchmark) = (f32::INFINITY, None);
    for (index, (text, known)) in answer.texts.iter().zip(&answer.embeddings).enumerate() {
        if index > 0 && now_ms() - start > CHECK_MS_MAX {
            break;
        }
        let tokens = tokenizer.encode(text)?;
        let mut run_start = now_ms();
        let mut vector = embed_tokens(backend, &tokens, dimension).await;
        if index == 0 && now_ms() - run_start < CHECK_MS_MAX {
            run_start = now_ms();
            vector = embed_tokens(backend, &tokens, dimension).await;
        }
        benchmark.get_or_insert((now_ms() - run_start, backend.padded_length(tokens.len())));
        let cosine = match vector {
            Ok(vector) => cosine(&vector, known),
            Err(error) => return refused(error.to_string()),
        };
        if cosine.is_nan() || cosine < answer.cosine_min {
            return refused(format!(
                "its answer to a known text is wrong (cosine {cosine:.4}, at least {} is needed)",
                answer.cosine_min
            ));
        }
        least = least.min(cosine);
    }
    match benchmark {
        Some((ms_per_run, tokens)) => Ok(BackendOutcome::Correct {
            ms_per_run,
            tokens,
            cosine: least,
        }),
        None => refused("the model has no known answer".to_owned()),
    }
}
