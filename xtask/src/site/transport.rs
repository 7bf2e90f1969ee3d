//! The page of the transport alone, which interoperability tests and benchmarks open. It is no part of the site.

use std::path::PathBuf;

use crate::error::Error;
use crate::progress::{Outcome, Ticker};
use crate::workspace::Workspace;

use super::module::{self, Binding, SMALL};

const PACKAGE: &str = "transport-page";
const NAME: &str = "transport_page";

/// Builds the page's module as people download ours.
pub(crate) fn build_transport_page(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    module::compile(workspace, ticker, "build", &SMALL, &["--package", PACKAGE])?;
    let wasm = workspace.wasm_artifact(SMALL.profile, NAME);
    let binding = Binding {
        kind: PACKAGE,
        name: NAME,
        wasm: &wasm,
        passes: &["-Oz"],
        types: false,
    };
    module::bind(workspace, ticker, &binding)
}

/// The directory with the module that was built last.
pub(crate) fn transport_page(workspace: &Workspace) -> Result<PathBuf, Error> {
    module::published(workspace, PACKAGE)
}
