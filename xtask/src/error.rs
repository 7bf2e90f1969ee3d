//! What can go wrong, each as one sentence that says what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a task stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Programs are missing and this process may not install them.
    #[error("this needs {missing}, not found here; install with:\n    {line}")]
    Missing {
        /// The missing programs, as a person names them.
        missing: String,
        /// The line to type.
        line: String,
    },
    /// A program could not be started at all.
    #[error("could not start `{program}`: {source}")]
    Start {
        /// The program's name.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("{what} failed ({status}); the whole output is in {}\n{tail}", log.display())]
    Failed {
        /// What was being done.
        what: String,
        /// How the program ended.
        status: String,
        /// The file that holds its output.
        log: PathBuf,
        /// The last lines of its output.
        tail: String,
    },
    /// A file or directory could not be read or written.
    #[error("could not {verb} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another program already listens on the port.
    #[error("port {port} is in use: stop what listens there or choose another one with --port")]
    PortBusy {
        /// The port.
        port: u16,
    },
    /// The port may not be bound.
    #[error("port {port} can't be opened ({source}): choose another one with --port")]
    PortRefused {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The first load is heavier than a phone on a slow network should have to fetch.
    #[error("{what} is {bytes} bytes of brotli, more than the budget of {budget}")]
    TooHeavy {
        /// Of what.
        what: &'static str,
        /// What was measured.
        bytes: u64,
        /// What is allowed.
        budget: u64,
    },
    /// A built file is not what the next step needs.
    #[error("{}: {problem}", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// Adds the path and the verb to an I/O error.
pub(crate) trait Context<T> {
    /// Names what was tried on which file.
    fn context(self, verb: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, verb: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::File {
            verb,
            path: path.to_owned(),
            source,
        })
    }
}
