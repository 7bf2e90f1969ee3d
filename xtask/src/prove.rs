//! `cargo xtask prove`: everything that takes longer than CI may, and a file behind every number that a document states.
//!
//! A proof is a command line of this program, so that anyone can run it alone. Each writes what it measured to `proof/`;
//! `proof/summary.json` says for each when, at which commit and on what machine it last ran, and how it ended. Running
//! some of them (`--only`) leaves what the others proved before in place.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::{Map, Value, json};

use crate::check::Counts;
use crate::error::{Context, Error};
use crate::workspace::Workspace;

/// One proof.
struct Proof {
    /// What `--only` takes, and its key in the summary.
    name: &'static str,
    /// What it shows, for a person.
    about: &'static str,
    /// The arguments after `cargo xtask`.
    args: &'static [&'static str],
    /// Keeps a file that the command leaves elsewhere.
    keep: fn(&Workspace, &Path) -> Result<(), Error>,
}

const ALL: &[Proof] = &[
    Proof {
        name: "test",
        about: "every test of CI, and the clocks of the end-to-end journeys",
        args: &["test"],
        keep: keep_clocks,
    },
    Proof {
        name: "operators",
        about: "ONNX's own node tests: none wrong, nine in ten of the f32 and i64 ones passed",
        args: &["operators"],
        keep: keep_nothing,
    },
    Proof {
        name: "core",
        about: "the core chooses among 10,000 offers, and learns with 10,000 known peers, within a millisecond",
        args: &["bench", "core"],
        keep: keep_nothing,
    },
    Proof {
        name: "transport",
        about: "the WebRTC transport level with a bare data channel and with js-libp2p",
        args: &["bench", "transport"],
        keep: keep_nothing,
    },
    Proof {
        name: "inference",
        about: "MiniLM on WebGPU beside onnxruntime-web on the same adapter",
        args: &["bench", "inference"],
        keep: keep_nothing,
    },
    Proof {
        name: "static-model",
        about: "what the static model finds in manuals, beside MiniLM",
        args: &["bench", "static-model"],
        keep: keep_nothing,
    },
    Proof {
        name: "fuzz",
        about: "every fuzz target for ten minutes",
        args: &["fuzz", "--seconds", "600"],
        keep: keep_nothing,
    },
    Proof {
        name: "relay",
        about: "a thousand reservations, two hundred circuits at once, and what a full relay says",
        args: &["bench", "relay"],
        keep: keep_nothing,
    },
    Proof {
        name: "endure",
        about: "sleep, a frozen page, a pulled cable, a quarter of an hour in a hidden tab, and a hundred kills",
        args: &["endure"],
        keep: keep_endurance,
    },
    Proof {
        name: "sim",
        about: "every scenario with 1,000 nodes and three seeds",
        args: &["sim", "--nodes", "1000", "--seeds", "3"],
        keep: keep_nothing,
    },
    Proof {
        name: "sim-speed",
        about: "10,000 nodes complete 200,000 trades within three minutes on two cores",
        args: &[
            "sim",
            "--scenario",
            "honest",
            "--nodes",
            "10000",
            "--threads",
            "2",
            "--within",
            "180",
        ],
        keep: keep_nothing,
    },
    Proof {
        name: "sim-large",
        about: "every scenario with 10,000 nodes, and 10,000 schedules of the ledger",
        args: &["sim", "--nodes", "10000"],
        keep: keep_nothing,
    },
];

/// What to prove.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only these proofs.
    #[arg(long, value_name = "PROOF", value_parser = clap::builder::PossibleValuesParser::new(ALL.iter().map(|proof| proof.name)))]
    only: Vec<String>,
}

/// Runs the proofs one after the other, since each measures, and prints the sum as the last line of stdout.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    let dir = workspace.root().join("proof");
    fs::create_dir_all(&dir).context("create", &dir)?;
    let path = dir.join("summary.json");
    let mut summary = read_summary(&path)?;
    let mut sum = Vec::new();
    let chosen =
        |proof: &&Proof| options.only.is_empty() || options.only.iter().any(|name| name == proof.name);
    for proof in ALL.iter().filter(chosen) {
        eprintln!("━━ {}: {}", proof.name, proof.about);
        let started = Instant::now();
        let counts = proof.run(workspace)?;
        (proof.keep)(workspace, &dir)?;
        let seconds = started.elapsed().as_secs();
        eprintln!("━━ {}: {counts} in {seconds} s", proof.name);
        summary.insert(proof.name.to_owned(), entry(workspace, proof, counts, seconds));
        // After each, so that an interrupted run keeps what it has shown.
        let text = format!("{:#}\n", Value::Object(summary.clone()));
        fs::write(&path, text).context("write", &path)?;
        sum.push(counts);
    }
    let sum: Counts = sum.into_iter().sum();
    println!("{sum}");
    Ok(if sum.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Proof {
    /// A command that counts tests is believed; any other counts as one, by its exit status.
    fn run(&self, workspace: &Workspace) -> Result<Counts, Error> {
        let program = std::env::current_exe().context("find", Path::new("this program"))?;
        let child = Command::new(&program)
            .args(self.args)
            .current_dir(workspace.root())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("run", &program)?;
        let report = String::from_utf8_lossy(&child.stdout);
        print!("{report}");
        let last = report.lines().last().map(Counts::read).unwrap_or_default();
        let counted = last.passed + last.failed > 0;
        Ok(match (counted, child.status.success()) {
            (true, success) => last.with_status(success),
            (false, true) => Counts::PASSED,
            (false, false) => Counts::FAILED,
        })
    }
}

fn entry(workspace: &Workspace, proof: &Proof, counts: Counts, seconds: u64) -> Value {
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    json!({
        "command": format!("cargo xtask {}", proof.args.join(" ")),
        "passed": counts.passed,
        "failed": counts.failed,
        "seconds": seconds,
        "unix_time": at,
        "commit": commit(workspace.root()),
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "memory_gib": memory_gib(),
    })
}

/// The commit that was measured; `+` means that the work tree had changes on top of it.
fn commit(root: &Path) -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(root).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--", ".", ":!proof"])?;
    let mark = if changed.is_empty() { "" } else { "+" };
    Some(format!("{}{mark}", git(&["rev-parse", "--short=12", "HEAD"])?))
}

fn memory_gib() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?
        .split_whitespace()
        .next()?;
    Some(kib.parse::<u64>().ok()?.div_ceil(1 << 20))
}

fn read_summary(path: &Path) -> Result<Map<String, Value>, Error> {
    if !path.exists() {
        return Ok(Map::new());
    }
    let text = fs::read_to_string(path).context("read", path)?;
    serde_json::from_str(&text).map_err(|error| Error::Unexpected {
        path: path.to_owned(),
        problem: format!("not a summary of proofs: {error}"),
    })
}

fn keep_clocks(workspace: &Workspace, dir: &Path) -> Result<(), Error> {
    copy(
        &workspace.end_to_end().join("clocks.json"),
        &dir.join("clocks.json"),
    )
}

fn keep_endurance(workspace: &Workspace, dir: &Path) -> Result<(), Error> {
    copy(
        &workspace.endurance().join("clocks.json"),
        &dir.join("endurance.json"),
    )
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::copy(from, to).context("copy", from).map(drop)
}

/// The command writes its own files, or none: simulations leave theirs in `proof/sim/`, a set for each scenario, size and
/// seed.
fn keep_nothing(_: &Workspace, _: &Path) -> Result<(), Error> {
    Ok(())
}
