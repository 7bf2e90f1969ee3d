//! Writing a model's files under their hashes, and finding out that they are there already.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use blob::Outline;
use inference::manifest::{ModelTier, Task};
use inference::{ContentHash, FileRef, KnownAnswer, ModelIndex, ModelManifest};

/// Everything about a model but its files' hashes, and a way to make those files.
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) license: &'static str,
    pub(crate) tier: ModelTier,
    /// Number format of the weights, as the manifest names it.
    pub(crate) precision: &'static str,
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

/// The least cosine that a backend must reach. Backends are within 1e-6 of what the file says, whose weights may be floats
/// or bytes; other bytes for the same floats are a model, and a manifest, of their own.
pub(crate) const COSINE_MIN: f32 = 0.999;

/// Makes what is missing of the models, the preferred one first, and returns a line about each for people.
pub(crate) fn write(recipes: Vec<Recipe>, out: &Path) -> Result<String> {
    fs::create_dir_all(out)?;
    let index_path = out.join("index.json");
    let (mut models, mut lines) = (Vec::new(), Vec::new());
    for recipe in recipes {
        let (model, line) = match finished(&index_path, &recipe.source) {
            Some(model) => {
                let line = format!("{} is ready ({})", model.name, model.id());
                (model, line)
            }
            None => made(recipe, out)?,
        };
        models.push(model);
        lines.push(line);
    }
    replace(
        &index_path,
        serde_json::to_string(&ModelIndex { models })?.as_bytes(),
    )?;
    Ok(lines.join("\n"))
}

fn made(recipe: Recipe, out: &Path) -> Result<(ModelManifest, String)> {
    let Files {
        onnx,
        tokenizer,
        known_answer,
    } = (recipe.make)()?;
    let model = ModelManifest {
        name: recipe.name.to_owned(),
        license: recipe.license.to_owned(),
        task: Task::Embed,
        tier: recipe.tier,
        precision: recipe.precision.to_owned(),
        dimension: recipe.dimension,
        max_tokens: recipe.max_tokens,
        onnx: store(out, &onnx)?,
        tokenizer: store(out, &tokenizer)?,
        known_answer,
        source: recipe.source,
    };
    model.validate()?;
    let line = format!(
        "made {} ({}, {:.1} MB)",
        model.name,
        model.id(),
        model.onnx.bytes as f64 / 1e6
    );
    Ok((model, line))
}

/// The model of an earlier run from the same source whose files are still there.
fn finished(index_path: &Path, source: &str) -> Option<ModelManifest> {
    let index = ModelIndex::from_json(&fs::read_to_string(index_path).ok()?).ok()?;
    let model = index.models.into_iter().find(|model| model.source == source)?;
    let folder = index_path.parent()?;
    let present = |file: &FileRef| {
        let whole = fs::metadata(folder.join(file.blake3.to_string()));
        whole.is_ok_and(|found| found.len() == file.bytes) && folder.join(outline_name(file)).exists()
    };
    (present(&model.onnx) && present(&model.tokenizer)).then_some(model)
}

fn store(out: &Path, content: &[u8]) -> Result<FileRef> {
    let file = FileRef {
        blake3: ContentHash(*blake3::hash(content).as_bytes()),
        bytes: content.len() as u64,
    };
    replace(&out.join(file.blake3.to_string()), content)?;
    // By it each chunk is checked on its own, whoever gives it.
    replace(&out.join(outline_name(&file)), &Outline::of(content)?.to_bytes())?;
    Ok(file)
}

fn outline_name(file: &FileRef) -> String {
    format!("{}.outline", file.blake3)
}

/// Writes beside the target and renames, so that a run that is stopped leaves no half file under a good name.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, content).with_context(|| format!("writing {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("writing {}", path.display()))
}
