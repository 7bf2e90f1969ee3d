//! Running other programs: output goes to a log, its last line to the progress report, its end to the error.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use crate::error::{Context, Error};
use crate::progress::Ticker;
use crate::workspace::Workspace;

/// How many of the last lines an error quotes.
const TAIL_LINES: usize = 40;
/// Lines in flight between the readers and the log; the program waits when the log falls behind.
const LINES_IN_FLIGHT_MAX: usize = 1024;

/// One program to run, in the repository's root unless said otherwise.
pub(crate) struct Program {
    command: Command,
    what: String,
    log: PathBuf,
    echo: bool,
}

/// What a program wrote, whether it succeeded or not.
pub(crate) struct Finished {
    /// Both streams, in the order of arrival.
    pub(crate) output: String,
    /// Whether it exited with 0.
    pub(crate) success: bool,
    /// How it ended, in words.
    pub(crate) status: String,
}

impl Program {
    /// Prepares `program`; `what` names the work in logs and errors.
    pub(crate) fn new(workspace: &Workspace, program: impl AsRef<OsStr>, what: &str) -> Self {
        let mut command = Command::new(program);
        command
            .current_dir(workspace.root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let file: String = what
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        Self {
            command,
            what: what.to_owned(),
            log: workspace.logs().join(format!("{file}.log")),
            echo: false,
        }
    }

    /// The cargo that runs this task.
    pub(crate) fn cargo(workspace: &Workspace, what: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Self::cargo_subcommand(workspace, cargo, what)
    }

    /// A program that runs cargo in turn, such as nextest.
    pub(crate) fn cargo_subcommand(workspace: &Workspace, program: impl AsRef<OsStr>, what: &str) -> Self {
        let mut program = Self::new(workspace, program, what)
            .env("CARGO_TARGET_DIR", workspace.target())
            .env("CARGO_TERM_COLOR", "never");
        // `cargo run` describes xtask in variables that would rebuild whatever reads them.
        for name in [
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
            "CARGO_PKG_NAME",
            "CARGO_PKG_VERSION",
        ] {
            program.command.env_remove(name);
        }
        program
    }

    /// Adds arguments.
    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    /// Adds one argument.
    pub(crate) fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets several.
    pub(crate) fn envs(mut self, pairs: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        self.command.envs(pairs);
        self
    }

    /// Runs somewhere else than in the repository's root.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Shows every line as it comes, for programs that are themselves a report.
    pub(crate) fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Runs to the end and fails if the program does.
    pub(crate) fn run(self, ticker: &mut Ticker) -> Result<String, Error> {
        let (what, log) = (self.what.clone(), self.log.clone());
        let finished = self.finish(ticker)?;
        if finished.success {
            return Ok(finished.output);
        }
        let lines: Vec<&str> = finished.output.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        Err(Error::Failed {
            what,
            status: finished.status,
            log,
            tail,
        })
    }

    /// Runs to the end outside of any step.
    pub(crate) fn finish_quietly(self) -> Result<Finished, Error> {
        self.finish(&mut Ticker::new())
    }

    /// Runs to the end, whatever that is.
    fn finish(mut self, ticker: &mut Ticker) -> Result<Finished, Error> {
        let program = self.command.get_program().to_string_lossy().into_owned();
        let mut log = File::create(&self.log).context("create", &self.log)?;
        let mut child = self.command.spawn().map_err(|source| Error::Start {
            program: program.clone(),
            source,
        })?;

        let (sender, lines) = mpsc::sync_channel(LINES_IN_FLIGHT_MAX);
        forward(child.stdout.take(), sender.clone());
        forward(child.stderr.take(), sender);

        let mut output = String::new();
        let mut last = String::new();
        loop {
            match lines.recv_timeout(Duration::from_secs(1)) {
                Ok(line) => {
                    // A full disk must not hide the result of the program.
                    let _ = writeln!(log, "{line}");
                    if self.echo {
                        eprintln!("{line}");
                    }
                    output.push_str(&line);
                    output.push('\n');
                    last = line;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if !self.echo {
                ticker.report(if last.is_empty() { &self.what } else { &last });
            }
        }
        let status = child.wait().map_err(|source| Error::Start { program, source })?;
        Ok(Finished {
            output,
            success: status.success(),
            status: status.to_string(),
        })
    }
}

/// Whether a program is on the path and answers `--version` (or what `args` say).
pub(crate) fn answers(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Makes a directory empty.
pub(crate) fn fresh_dir(dir: &Path) -> Result<(), Error> {
    if dir.exists() {
        fs::remove_dir_all(dir).context("remove", dir)?;
    }
    fs::create_dir_all(dir).context("create", dir)
}

fn forward(stream: Option<impl Read + Send + 'static>, lines: SyncSender<String>) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            if lines.send(line).is_err() {
                return;
            }
            bytes.clear();
        }
    });
}
