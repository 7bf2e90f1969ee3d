//! Writing a model's files under their hashes, and finding out that they are there already.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use inference::manifest::{ModelTier, Task};
use inference::{ContentHash, FileRef, KnownAnswer, ModelIndex, ModelManifest};

/// Everything about a model but its files' hashes, and a way to make those files.
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) license: &'static str,
    pub(crate) tier: ModelTier,
    pub(crate) dimension: usize,
    pub(crate) max_tokens: usize,
    /// Describes the input and this program's way with it: equal sources make equal files.
    pub(crate) source: String,
    /// Makes the rest.
    pub(crate) make: Box<dyn FnOnce() -> Result<Files>>,
}

/// The contents of a model's files, and what it computes.
pub(crate) struct Files {
    pub(crate) onnx: Vec<u8>,
    pub(crate) tokenizer: Vec<u8>,
    pub(crate) known_answer: KnownAnswer,
}

/// The least cosine that a backend must reach. f32 backends are within 1e-6; int8 ones are within 1e-2 and would be
/// models, and manifests, of their own.
pub(crate) const COSINE_MIN: f32 = 0.999;

/// Makes what is missing and returns a line for people.
pub(crate) fn write(recipe: Recipe, out: &Path) -> Result<String> {
    fs::create_dir_all(out)?;
    let index_path = out.join("index.json");
    if let Some(model) = finished(&index_path, &recipe.source) {
        return Ok(format!("{} is ready ({})", model.name, model.id()));
    }
    let Recipe {
        name,
        license,
        tier,
        dimension,
        max_tokens,
        source,
        make,
    } = recipe;
    let Files {
        onnx,
        tokenizer,
        known_answer,
    } = make()?;
    let model = ModelManifest {
        name: name.to_owned(),
        license: license.to_owned(),
        task: Task::Embed,
        tier,
        precision: "f32".to_owned(),
        dimension,
        max_tokens,
        onnx: store(out, &onnx)?,
        tokenizer: store(out, &tokenizer)?,
        known_answer,
        source,
    };
    model.validate()?;
    let line = format!(
        "made {} ({}, {:.1} MB)",
        model.name,
        model.id(),
        model.onnx.bytes as f64 / 1e6
    );
    replace(
        &index_path,
        serde_json::to_string(&ModelIndex { models: vec![model] })?.as_bytes(),
    )?;
    Ok(line)
}

/// The model of an earlier run from the same source whose files are still there.
fn finished(index_path: &Path, source: &str) -> Option<ModelManifest> {
    let index = ModelIndex::from_json(&fs::read_to_string(index_path).ok()?).ok()?;
    let model = index.models.into_iter().find(|model| model.source == source)?;
    let folder = index_path.parent()?;
    let present = |file: &FileRef| {
        fs::metadata(folder.join(file.blake3.to_string())).is_ok_and(|found| found.len() == file.bytes)
    };
    (present(&model.onnx) && present(&model.tokenizer)).then_some(model)
}

fn store(out: &Path, content: &[u8]) -> Result<FileRef> {
    let file = FileRef {
        blake3: ContentHash(*blake3::hash(content).as_bytes()),
        bytes: content.len() as u64,
    };
    replace(&out.join(file.blake3.to_string()), content)?;
    Ok(file)
}

/// Writes beside the target and renames, so that a run that is stopped leaves no half file under a good name.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, content).with_context(|| format!("writing {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("writing {}", path.display()))
}
