//! `cargo xtask bench inference`: the kernels beside onnxruntime-web in one browser, on one adapter and on one core.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ratio::Ratio;
use crate::command::Program;
use crate::error::{Context, Error};
use crate::prerequisites;
use crate::progress::{Outcome, Progress};
use crate::site;
use crate::workspace::Workspace;

/// The least cosine between the hidden states of both, whatever the speed.
const COSINE_MIN: f64 = 0.9999;
/// The same for weights of one byte beside floats. Vectors of whole texts are held to 0.995 by the engine's own tests;
/// these are the states of single tokens of a text without meaning.
const COSINE_INT8_MIN: f64 = 0.995;

/// How to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Turns of each kind.
    #[arg(long, default_value_t = 9)]
    rounds: u32,
}

/// What the browser's side writes.
#[derive(Deserialize)]
struct Measured {
    adapter: String,
    first: Vec<Pair>,
    steady: Vec<Pair>,
    batch: Vec<Pair>,
    cpu: Cpu,
}

/// Turns on one core, all beside onnxruntime-web's wasm in floats.
#[derive(Deserialize)]
struct Cpu {
    floats_32: Vec<Pair>,
    floats_128: Vec<Pair>,
    bytes_32: Vec<Pair>,
    bytes_128: Vec<Pair>,
}

/// One turn, in milliseconds.
#[derive(Deserialize)]
struct Pair {
    ours: f64,
    theirs: f64,
    cosine: Option<f64>,
}

/// One line of the table.
#[derive(Serialize)]
struct Row {
    what: &'static str,
    ours_ms: f64,
    theirs_ms: f64,
    ratio: Ratio,
    bound: f64,
    holds: bool,
}

/// Builds, measures, prints the table and writes `proof/inference.json`.
pub(super) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    site::build_all(workspace)?;
    prerequisites::ensure(workspace, prerequisites::BROWSERS)?;
    let measured = measure(workspace, options.rounds)?;
    let cpu = &measured.cpu;
    let lines = [
        (
            "MiniLM f32, 32 tokens, beside onnxruntime-web's WebGPU",
            &measured.steady,
            0.3,
        ),
        ("the same, preparing and first run", &measured.first, 0.3),
        ("64 sentences together, beside one by one", &measured.batch, 0.5),
        (
            "CPU, f32, 32 tokens, beside onnxruntime-web's wasm",
            &cpu.floats_32,
            1.0,
        ),
        ("CPU, f32, 128 tokens", &cpu.floats_128, 1.0),
        ("CPU, int8, 32 tokens, beside its f32", &cpu.bytes_32, 0.7),
        ("CPU, int8, 128 tokens", &cpu.bytes_128, 0.7),
    ];
    let expected = lines.len();
    let rows: Vec<Row> = lines
        .into_iter()
        .filter_map(|(what, pairs, bound)| row(what, pairs, bound))
        .collect();
    let cosine = least_cosine(&[&measured.steady, &cpu.floats_32, &cpu.floats_128]);
    let cosine_int8 = least_cosine(&[&cpu.bytes_32, &cpu.bytes_128]);
    print_table(&measured.adapter, &rows, [cosine, cosine_int8]);
    let dir = workspace.root().join("proof");
    fs::create_dir_all(&dir).context("create", &dir)?;
    let path = dir.join("inference.json");
    let report = json!({
        "adapter": measured.adapter,
        "rounds": options.rounds,
        "onnxruntime_web": "1.30.0",
        "cosine_min": cosine,
        "cosine_int8_min": cosine_int8,
        "rows": rows,
    });
    fs::write(&path, format!("{report:#}\n")).context("write", &path)?;
    let are_right = cosine >= COSINE_MIN && cosine_int8 >= COSINE_INT8_MIN;
    let holds = rows.len() == expected && rows.iter().all(|row| row.holds) && are_right;
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn least_cosine(turns: &[&Vec<Pair>]) -> f64 {
    let cosines = turns
        .iter()
        .flat_map(|pairs| pairs.iter())
        .filter_map(|pair| pair.cosine);
    cosines.fold(1.0, f64::min)
}

fn measure(workspace: &Workspace, rounds: u32) -> Result<Measured, Error> {
    let bench = workspace.root().join("tests").join("bench");
    let mut progress = Progress::new(2);
    for folder in [&bench, &workspace.root().join("tests").join("e2e")] {
        progress.step("npm ci", |ticker| {
            Program::new(workspace, "npm", "npm ci")
                .args(["ci", "--no-audit", "--no-fund"])
                .dir(folder)
                .run(ticker)?;
            Ok(Outcome::Done(String::new()))
        })?;
    }
    let out = workspace.target().join("bench-inference.json");
    let finished = Program::new(workspace, "node", "measure in Chromium")
        .arg(bench.join("inference.mjs"))
        .arg("--site")
        .arg(workspace.site())
        .arg("--out")
        .arg(&out)
        .arg("--rounds")
        .arg(rounds.to_string())
        .echo()
        .finish_quietly()?;
    if !finished.success {
        return Err(unexpected(
            &out,
            "the measurement in the browser failed; its output is above",
        ));
    }
    let text = fs::read_to_string(&out).context("read", &out)?;
    serde_json::from_str(&text).map_err(|error| unexpected(&out, &error.to_string()))
}

fn unexpected(path: &Path, problem: &str) -> Error {
    Error::Unexpected {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

fn row(what: &'static str, pairs: &[Pair], bound: f64) -> Option<Row> {
    let times: Vec<(f64, f64)> = pairs.iter().map(|pair| (pair.ours, pair.theirs)).collect();
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or_default()
    };
    let ratio = Ratio::of(&times)?;
    Some(Row {
        what,
        ours_ms: median(times.iter().map(|(ours, _)| *ours).collect()),
        theirs_ms: median(times.iter().map(|(_, theirs)| *theirs).collect()),
        ratio,
        bound,
        holds: !ratio.breaks(bound),
    })
}

fn print_table(adapter: &str, rows: &[Row], [cosine, cosine_int8]: [f64; 2]) {
    println!("adapter: {adapter}; least cosine of the hidden states {cosine:.7}, in int8 {cosine_int8:.5}");
    println!(
        "{:<58} {:>9} {:>9} {:>7} {:>15} {:>6}",
        "", "ours ms", "beside", "ratio", "interval", "bound"
    );
    for row in rows {
        let Ratio { median, low, high } = row.ratio;
        let verdict = if row.holds { "" } else { "  BROKEN" };
        println!(
            "{:<58} {:>9.0} {:>9.0} {median:>7.3} {:>15} {:>6}{verdict}",
            row.what,
            row.ours_ms,
            row.theirs_ms,
            format!("{low:.3}–{high:.3}"),
            row.bound
        );
    }
}
