//! How well models find what belongs together in real text: documentation, as a distribution packages it.
//!
//! The passages are the paragraphs of a manual. Two tasks are made of it without any person's judgement: which paragraphs
//! stand below a *title*, and which paragraph a *sentence* was taken from that is no longer in it. Every model of an index
//! gets the same ones. Prints one line of JSON.

mod manual;
mod score;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use futures::executor::block_on;
use inference::backend::Backend;
use inference::backend::tract::TractBackend;
use inference::tokens::TextTokenizer;
use inference::{FileRef, ModelIndex, ModelManifest};
use serde_json::{Value, json};

use crate::manual::Tasks;
use crate::score::Score;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// The folder with `index.json` that `prepare-model` wrote.
    #[arg(long, value_name = "DIR")]
    models: PathBuf,

    /// A folder of HTML files, with a name for it before a `=`; may be repeated.
    #[arg(long = "manual", value_name = "NAME=DIR", required = true)]
    manuals: Vec<String>,

    /// About how many passages of each manual are taken.
    #[arg(long, default_value_t = 3_000)]
    passages: usize,
}

/// A model on the CPU, as a tab without WebGPU runs it.
struct Model {
    manifest: ModelManifest,
    tokenizer: TextTokenizer,
    backend: TractBackend,
}

impl Model {
    fn load(folder: &Path, manifest: ModelManifest) -> Result<Self> {
        let read = |file: FileRef| {
            let path = folder.join(file.blake3.to_string());
            fs::read(&path).with_context(|| format!("reading {}", path.display()))
        };
        Ok(Self {
            tokenizer: TextTokenizer::from_json(&read(manifest.tokenizer)?, manifest.max_tokens)?,
            backend: TractBackend::prepare(Bytes::from(read(manifest.onnx)?), manifest.dimension)?,
            manifest,
        })
    }

    /// A text's vector, and the microseconds of the tokenizer and of the model.
    fn embed(&mut self, text: &str) -> Result<(Vec<f32>, [f64; 2])> {
        let started = Instant::now();
        let ids = self.tokenizer.encode(text)?.ids;
        let cut = started.elapsed();
        let mut vectors = block_on(self.backend.embed(&[&ids], self.manifest.dimension))?;
        let times = [cut, started.elapsed() - cut].map(|took| took.as_secs_f64() * 1e6);
        Ok((vectors.pop().context("no vector")?, times))
    }
}

/// What one model made of one manual.
#[derive(Default)]
struct Vectors {
    passages: Vec<Vec<f32>>,
    titles: Vec<Vec<f32>>,
    sentences: Vec<Vec<f32>>,
    tokenizing_us: Vec<f64>,
    running_us: Vec<f64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let index = fs::read_to_string(arguments.models.join("index.json"))?;
    let models = ModelIndex::from_json(&index)?.models.into_iter();
    let mut models = models
        .map(|manifest| Model::load(&arguments.models, manifest))
        .collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for named in &arguments.manuals {
        let (name, folder) = named.split_once('=').context("a manual is given as NAME=DIR")?;
        let tasks = Tasks::read(Path::new(folder), arguments.passages)?;
        ensure!(
            !tasks.passages.is_empty(),
            "{folder} has no paragraphs below titles"
        );
        rows.extend(measure(&mut models, name, &tasks)?);
    }
    println!("{}", json!({ "rows": rows }));
    Ok(())
}

/// All models on one manual. They take turns at each text, so that whatever else the machine does falls on all of them.
fn measure(models: &mut [Model], manual: &str, tasks: &Tasks) -> Result<Vec<Value>> {
    let mut found: Vec<Vectors> = models.iter().map(|_| Vectors::default()).collect();
    for text in &tasks.passages {
        for (model, vectors) in models.iter_mut().zip(&mut found) {
            let (vector, [tokenizing, running]) = model.embed(text)?;
            vectors.passages.push(vector);
            vectors.tokenizing_us.push(tokenizing);
            vectors.running_us.push(running);
        }
    }
    for (model, vectors) in models.iter_mut().zip(&mut found) {
        for (text, _) in &tasks.titles {
            vectors.titles.push(model.embed(text)?.0);
        }
        for (text, _) in &tasks.sentences {
            vectors.sentences.push(model.embed(text)?.0);
        }
    }
    let rows = models.iter().zip(found).map(|(model, vectors)| {
        let score = |queries: &[Vec<f32>], relevant: &[(String, Vec<usize>)]| {
            let relevant = relevant.iter().map(|(_, passages)| &passages[..]);
            Score::of(&vectors.passages, queries.iter().zip(relevant))
        };
        json!({
            "manual": manual,
            "model": model.manifest.name,
            "bytes": model.manifest.onnx.bytes,
            "passages": tasks.passages.len(),
            "titles": score(&vectors.titles, &tasks.titles),
            "sentences": score(&vectors.sentences, &tasks.sentences),
            "tokenizing_median_us": median(&vectors.tokenizing_us),
            "running_median_us": median(&vectors.running_us),
        })
    });
    Ok(rows.collect())
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
