//! `cargo xtask bench transport`: what `tests/interop/bench.mjs` measures, with everything that it needs built first.

use std::fs;
use std::process::ExitCode;

use clap::Args;

use crate::error::{Context, Error};
use crate::interop;
use crate::workspace::Workspace;

/// How much to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds of transfers, if there is time for them.
    #[arg(long, default_value_t = 8)]
    rounds: u32,
    /// Minutes that all of it may take. Three rounds are measured in any case.
    #[arg(long, default_value_t = 9)]
    minutes: u32,
    /// MiB of one transfer.
    #[arg(long, default_value_t = 64)]
    mib: u32,
    /// Dials of each implementation.
    #[arg(long, default_value_t = 100)]
    dials: u32,
    /// The browsers of the two sides.
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"], default_values = ["chromium", "chromium"], value_parser = ["chromium", "firefox"])]
    browsers: Vec<String>,
}

/// Runs it and writes `proof/transport.json`, or `transport-<first>-<second>.json` for other browsers than two Chromiums.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    let fixture = interop::prepare(workspace)?;
    let dir = workspace.root().join("proof");
    fs::create_dir_all(&dir).context("create", &dir)?;
    let pair = options.browsers.join("-");
    let name = match pair.as_str() {
        "chromium-chromium" => "transport.json".to_owned(),
        _ => format!("transport-{pair}.json"),
    };
    let mut program = fixture
        .program(workspace, "bench.mjs", "transport benchmark")
        .arg("--json")
        .arg(dir.join(name));
    let numbers = [
        ("--rounds", options.rounds),
        ("--minutes", options.minutes),
        ("--mib", options.mib),
        ("--dials", options.dials),
    ];
    for (option, value) in numbers {
        program = program.arg(option).arg(value.to_string());
    }
    for (option, browser) in ["--first", "--second"].iter().zip(&options.browsers) {
        program = program.arg(option).arg(browser);
    }
    let finished = program.echo().finish_quietly()?;
    Ok(if finished.success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
