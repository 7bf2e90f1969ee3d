//! `cargo xtask endure`: journeys that take as long as they say, such as a quarter of an hour in a hidden tab, or a hundred
//! browsers that are killed in the middle of trades.

use std::process::ExitCode;

use clap::Args;

use crate::check;
use crate::error::Error;
use crate::site;
use crate::workspace::Workspace;

/// What to go through.
#[derive(Args)]
pub(crate) struct Options {
    /// Only the journeys whose name contains this.
    #[arg(long, default_value = "")]
    filter: String,
}

/// Builds what is missing, runs `tests/e2e/endure` and leaves its clocks beside those of the other journeys. One of them
/// pulls a network cable, which takes root.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    site::build_all(workspace)?;
    let program = check::journeys(workspace, &workspace.endurance())?
        .args(["--folder", "endure"])
        .args(["--filter", &options.filter]);
    let counts = check::counted(program)?;
    println!("{counts}");
    Ok(if counts.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
