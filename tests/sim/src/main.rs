//! `simulate`: runs one scenario, prints its table, writes its report; the exit status says whether the bounds were kept.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use simulator::scenario::{ALL, Setting, find};

/// Runs a scenario of the network in virtual time.
#[derive(Parser)]
#[command(name = "simulate")]
struct Cli {
    /// Which scenario.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(ALL.iter().map(|scenario| scenario.name)))]
    scenario: String,
    /// How many hosts.
    #[arg(long, default_value_t = 1_000)]
    nodes: u32,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the JSON and the plots go.
    #[arg(long, default_value = "proof/sim")]
    out: PathBuf,
    /// Threads; the result does not depend on them [default: one for each core].
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let Some(scenario) = find(&cli.scenario) else {
        return ExitCode::FAILURE;
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let setting = Setting {
        nodes: cli.nodes,
        seed: cli.seed,
        threads: cli.threads.unwrap_or(cores),
    };
    let began = Instant::now();
    let report = (scenario.run)(setting);
    eprintln!("{:.1} s", began.elapsed().as_secs_f64());
    print!("{report}");
    if let Err(error) = report.write(&cli.out) {
        eprintln!("error: cannot write to {}: {error}", cli.out.display());
        return ExitCode::FAILURE;
    }
    if report.is_kept() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
