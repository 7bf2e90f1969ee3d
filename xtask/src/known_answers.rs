//! The relay's secret known answers: building what makes them, and making them beside the relay.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::command::Program;
use crate::error::Error;
use crate::progress::{Outcome, Ticker};
use crate::site::ENGINE_PROFILE;
use crate::workspace::Workspace;

/// Compiles `known-answers`.
pub(crate) fn build(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    Program::cargo(workspace, "build known-answers")
        .args([
            "build",
            "--profile",
            ENGINE_PROFILE,
            "--locked",
            "--package",
            "inference",
            "--features",
            "known-answers",
            "--bin",
            "known-answers",
        ])
        .run(ticker)?;
    Ok(Outcome::Done(String::new()))
}

/// Starts making what the data directory lacks; the relay sees it when it is there. Not being able to is no reason to stop
/// serving. It takes all cores for a minute, and whoever tries the page meanwhile needs them more.
pub(crate) fn make_later(workspace: &Workspace, data_dir: &Path) {
    let mut maker = Command::new("nice");
    maker
        .args(["-n", "19"])
        .arg(workspace.known_answers())
        .arg("--models")
        .arg(workspace.site().join("models"))
        .arg("--out")
        .arg(data_dir.join("known-answers"))
        .arg("--missing");
    // Standard output is the relay's; what a person reads goes to standard error, as the relay's own words do.
    let _ = maker.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
}
