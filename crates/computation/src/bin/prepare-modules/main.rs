//! `prepare-modules <compiled modules> <out>`: the example modules as a site offers them.
//!
//! Each is copied to `<out>/<name>.wasm`, and `<out>/modules.json` says what it is for and gives a sample: an input, and what the
//! engine of this crate makes of it. A device computes the samples before it sells computation, since an engine that gets one
//! wrong would be found out by the first who compares.

mod examples;

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use computation::{Ending, Limits, Prepared, RULES_VERSION};
use serde::Serialize;

use crate::examples::{EXAMPLES, Example, Input};

/// What `modules.json` holds.
#[derive(Serialize)]
struct Catalogue {
    /// The rules by which fuel is counted.
    rules: u32,
    modules: Vec<Entry>,
}

/// A module.
#[derive(Serialize)]
struct Entry {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    license: &'static str,
    /// Of the module.
    bytes: usize,
    cid: String,
    sample: Input,
    answer: Answer,
}

/// What comes out of a sample.
#[derive(Serialize)]
struct Answer {
    output_bytes: usize,
    output_cid: String,
    fuel: u64,
}

fn main() -> Result<()> {
    let mut paths = env::args_os().skip(1);
    let (Some(compiled), Some(out)) = (paths.next(), paths.next()) else {
        bail!("usage: prepare-modules <compiled modules> <out>");
    };
    let (compiled, out) = (Path::new(&compiled), Path::new(&out));
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let mut modules = Vec::new();
    for example in EXAMPLES {
        let file = format!("{}.wasm", example.name);
        let module = fs::read(compiled.join(&file)).with_context(|| format!("{file} is not there"))?;
        modules.push(describe(example, &module).with_context(|| example.name)?);
        fs::write(out.join(&file), module).with_context(|| format!("{file} cannot be written"))?;
    }
    let catalogue = Catalogue {
        rules: RULES_VERSION,
        modules,
    };
    let json = serde_json::to_string_pretty(&catalogue)?;
    fs::write(out.join("modules.json"), json).context("modules.json cannot be written")
}

fn describe(example: &Example, module: &[u8]) -> Result<Entry> {
    let sample = (example.sample)();
    let limits = Limits::default();
    let outcome = Prepared::new(module, limits)?.run(&sample.bytes(), limits.fuel_max);
    let output = match outcome.ending {
        Ending::Output(output) => output,
        Ending::Failed(failure) => bail!("its sample fails: {failure}"),
    };
    Ok(Entry {
        name: example.name,
        title: example.title,
        about: example.about,
        license: env!("CARGO_PKG_LICENSE"),
        bytes: module.len(),
        cid: blob::to_cid(&blob::name_of(module)),
        sample,
        answer: Answer {
            output_bytes: output.len(),
            output_cid: blob::to_cid(&blob::name_of(&output)),
            fuel: outcome.fuel_used,
        },
    })
}
