//! Makes a relay's pool of secret known answers.
//!
//! From texts of this machine it draws sentences and passages of mixed length at random and computes each with the model's own
//! reference path, the one that browsers run on their CPU. Each model gets a file of its own; a run that is stopped leaves the
//! former one. Two runs never make the same pool: all chance comes from the operating system.

mod chance;
mod compute;
mod corpus;
mod draw;
mod prose;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use inference::manifest::Task;
use inference::{KnownAnswers, ModelIndex, ModelManifest, limits};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// The site's `models` folder: `index.json` and one file per hash.
    #[arg(long, value_name = "DIR")]
    models: PathBuf,

    /// Files and folders with English prose: plain text, Markdown, reStructuredText, Python, Perl, Rust. May be repeated [default:
    /// the documentation that this machine has].
    #[arg(long, value_name = "PATH", num_args = 1..)]
    corpus: Vec<PathBuf>,

    /// How many known answers each model gets.
    #[arg(long, default_value_t = 2_000)]
    count: usize,

    /// Where they go: one file per model. A relay reads them from here and shows the folder to nobody.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Leave models alone that have a file already.
    #[arg(long)]
    missing: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(
        (1..=limits::POOL_TEXTS_MAX).contains(&arguments.count),
        "--count must be between 1 and {}",
        limits::POOL_TEXTS_MAX
    );
    let index = arguments.models.join("index.json");
    let json = fs::read_to_string(&index).with_context(|| format!("reading {}", index.display()))?;
    let models = ModelIndex::from_json(&json)?.models;
    let wanted: Vec<&ModelManifest> = models
        .iter()
        .filter(|model| model.task == Task::Embed)
        .filter(|model| !(arguments.missing && file_of(model, &arguments.out).is_file()))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let passages = corpus::gather(&arguments.corpus, arguments.count)?;
    for model in wanted {
        let texts = draw::texts(&passages, arguments.count)?;
        let answers = compute::answers(model, &arguments.models, texts)
            .with_context(|| format!("computing with {}", model.name))?;
        let path = file_of(model, &arguments.out);
        write(&path, &answers).with_context(|| format!("writing {}", path.display()))?;
        eprintln!(
            "known answers: {} for {}, in {}",
            answers.len(),
            model.name,
            path.display()
        );
    }
    Ok(())
}

fn file_of(model: &ModelManifest, out: &Path) -> PathBuf {
    out.join(format!("{}.json", model.id()))
}

/// Writes beside the target and renames, so that a relay that looks meanwhile reads the old ones or the new ones.
fn write(path: &Path, answers: &KnownAnswers) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    fs::write(&partial, answers.to_json()?)?;
    fs::rename(&partial, path)?;
    Ok(())
}
