//! What a model's reference gives for each text, on all cores.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use futures::executor::block_on;
use inference::backend::tract::TractBackend;
use inference::check::{check, embed_tokens};
use inference::tokens::TextTokenizer;
use inference::{BackendOutcome, FileRef, KnownAnswers, ModelManifest};

/// Threads at most: each holds the values of a run.
const THREADS_MAX: usize = 16;
/// A line tells of every so many parts of the work.
const REPORTS: usize = 10;

/// Computes all texts with a model, once it has given its known answer here.
pub(crate) fn answers(model: &ModelManifest, folder: &Path, texts: Vec<String>) -> Result<KnownAnswers> {
    let tokenizer = TextTokenizer::from_json(&file(folder, model.tokenizer)?, model.max_tokens)?;
    let mut backend = TractBackend::prepare(bytes::Bytes::from(file(folder, model.onnx)?), model.dimension)?;
    let started = Instant::now();
    let elapsed_ms = || started.elapsed().as_secs_f64() * 1e3;
    let outcome = block_on(check(
        &mut backend,
        &tokenizer,
        &model.known_answer,
        model.dimension,
        elapsed_ms,
    ))?;
    if let BackendOutcome::Refused { reason } = outcome {
        return Err(anyhow!("it may not be used on this machine: {reason}"));
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || -> Result<Vec<(usize, Vec<f32>)>> {
        let (mut backend, mut computed) = (backend.clone(), Vec::new());
        while let Some((place, text)) = take(&next, &texts) {
            let tokens = tokenizer.encode(text)?;
            computed.push((
                place,
                block_on(embed_tokens(&mut backend, &tokens, model.dimension))?,
            ));
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(texts.len().div_ceil(REPORTS)) {
                let seconds = started.elapsed().as_secs_f64();
                eprintln!(
                    "known answers: {done} of {} for {}, {seconds:.0} s",
                    texts.len(),
                    model.name
                );
            }
        }
        Ok(computed)
    };
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS_MAX);
    let mut computed = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            let part = thread.join().map_err(|_| anyhow!("a thread ended early"))?;
            all.extend(part?);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    computed.sort_unstable_by_key(|(place, _)| *place);
    ensure!(computed.len() == texts.len(), "not every text was computed");
    let vectors = computed.into_iter().map(|(_, vector)| vector);
    Ok(KnownAnswers::new(texts.into_iter().zip(vectors).collect())?)
}

/// The next text that nobody computes yet.
fn take<'a>(next: &AtomicUsize, texts: &'a [String]) -> Option<(usize, &'a str)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    texts.get(place).map(|text| (place, text.as_str()))
}

/// A file's content, which is what its name says.
fn file(folder: &Path, file: FileRef) -> Result<Vec<u8>> {
    let path = folder.join(file.blake3.to_string());
    let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(
        blake3::hash(&content).as_bytes() == &file.blake3.0,
        "{} is not what its name says",
        path.display()
    );
    Ok(content)
}
