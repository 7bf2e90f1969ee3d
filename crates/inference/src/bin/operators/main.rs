//! Runs ONNX's own backend node tests and writes the table of operators.
//!
//! Each test of the PyPI package `onnx` is a model with inputs and the outputs that ONNX's reference gave for them. It
//! ends as *passed*; *refused*, with the reason that the engine gave; or *wrong*: another number, another shape or
//! type, or a crash. The exit status is 1 if anything is wrong or the share that is asked for is missed.

mod case;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// The folder `onnx/backend/test/data/node` of the unpacked package.
    #[arg(long, value_name = "DIR")]
    tests: PathBuf,

    /// The package's version, for the table.
    #[arg(long)]
    version: String,

    /// Where the table goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Run only tests whose name contains this, print each, and write no table.
    #[arg(long)]
    only: Option<String>,
}

/// The share of tests in scope that the CPU must pass.
const PASSED_MIN: f64 = 0.9;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    // A crash is counted, and its message is in the table already.
    std::panic::set_hook(Box::new(|_| {}));
    let mut cases =
        case::list(&arguments.tests).with_context(|| format!("reading {}", arguments.tests.display()))?;
    if let Some(part) = &arguments.only {
        cases.retain(|case| case.name.contains(part.as_str()));
    }
    let results: Vec<case::Result<'_>> = cases.iter().map(case::run).collect();
    let summary = table::Summary::new(&results);
    if arguments.only.is_some() {
        results.iter().for_each(|result| println!("{result}"));
    } else {
        let text = table::write(&results, &summary, &arguments.version);
        std::fs::write(&arguments.out, text)
            .with_context(|| format!("writing {}", arguments.out.display()))?;
    }
    println!("{summary}");
    for result in results
        .iter()
        .filter(|result| matches!(result.verdict, case::Verdict::Wrong(_)))
    {
        println!("wrong: {result}");
    }
    let good = summary.wrong == 0 && summary.share() >= PASSED_MIN;
    Ok(if good || arguments.only.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
