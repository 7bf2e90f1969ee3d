//! `simulate`: runs scenarios, prints their tables, writes their reports; the exit status says whether all bounds were kept.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use mimalloc::MiMalloc;
use simulator::check::share;
use simulator::scenario::{ALL, Scenario, Setting};

/// Millions of small messages live for a moment and die on whichever thread took them; the system's allocator spends a
/// seventh of a run on that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs scenarios of the network in virtual time.
#[derive(Parser)]
#[command(name = "simulate")]
struct Cli {
    /// Which scenarios [default: all].
    #[arg(long, value_parser = PossibleValuesParser::new(ALL.iter().map(|scenario| scenario.name)))]
    scenario: Vec<String>,
    /// How many hosts; for `ledger`, schedules.
    #[arg(long, default_value_t = 1_000)]
    nodes: u32,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run so many seeds, from that one on.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Fail when a run takes longer, seconds.
    #[arg(long)]
    within: Option<f64>,
    /// Where tables, JSON and plots go.
    #[arg(long, default_value = "proof/sim")]
    out: PathBuf,
    /// Threads; the result does not depend on them [default: one for each core].
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let chosen = |scenario: &&Scenario| {
        cli.scenario.is_empty() || cli.scenario.iter().any(|name| name == scenario.name)
    };
    let (mut kept, mut broken) = (0, Vec::new());
    for scenario in ALL.iter().filter(chosen) {
        for seed in cli.seed..cli.seed + cli.seeds {
            match cli.run(scenario, seed) {
                true => kept += 1,
                false => broken.push(format!("{} (seed {seed})", scenario.name)),
            }
        }
    }
    if !broken.is_empty() {
        eprintln!("bounds are broken in: {}", broken.join(", "));
    }
    println!("{kept} passed, {} failed", broken.len());
    if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Cli {
    /// Runs one scenario with one seed; whether everything was kept and written.
    fn run(&self, scenario: &Scenario, seed: u64) -> bool {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let setting = Setting {
            nodes: self.nodes,
            seed,
            threads: self.threads.unwrap_or(cores),
        };
        let (began, used) = (Instant::now(), processor_seconds());
        let report = (scenario.run)(setting);
        let seconds = began.elapsed().as_secs_f64();
        print!("{report}");
        // Not in the report, which is the same on every machine.
        let in_time = self.within.is_none_or(|within| seconds <= within);
        let verdict = match (self.within, in_time) {
            (None, _) => String::new(),
            (Some(within), true) => format!(", within {within} s"),
            (Some(within), false) => format!(", MORE than {within} s"),
        };
        let name = scenario.name;
        eprintln!("{name}: {seconds:.1} s on {} threads{verdict}", setting.threads);
        let used = used
            .zip(processor_seconds())
            .map(|(before, after)| after - before);
        let core_ms = used.unwrap_or(seconds * setting.threads as f64) * 1_000.0;
        let trades = report.trades;
        eprintln!(
            "{name}: {trades} trades, {:.2} core·ms each",
            share(core_ms, trades as f64)
        );
        if let Err(error) = report.write(&self.out, seconds) {
            eprintln!("error: cannot write to {}: {error}", self.out.display());
            return false;
        }
        in_time && report.is_kept()
    }
}

/// Processor time that this process has used on all cores, where the system tells it as Linux does: the twelfth and
/// thirteenth field after the program's name, in hundredths of a second.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
    Some(ticks.sum::<Result<f64, _>>().ok()? / 100.0)
}
