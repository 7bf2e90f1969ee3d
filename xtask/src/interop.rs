//! What `tests/interop` needs: browsers, a relay, the transport's page, and two folders of npm packages.

use std::path::PathBuf;

use crate::command::Program;
use crate::error::Error;
use crate::prerequisites;
use crate::progress::Progress;
use crate::site;
use crate::tools;
use crate::workspace::Workspace;

/// Everything built and installed.
pub(crate) struct Fixture {
    module: PathBuf,
}

/// Builds and installs it, or finds it unchanged.
pub(crate) fn prepare(workspace: &Workspace) -> Result<Fixture, Error> {
    prerequisites::ensure(workspace, prerequisites::BUILD)?;
    prerequisites::ensure(workspace, prerequisites::BROWSERS)?;
    let mut progress = Progress::new(6);
    progress.step("wasm-bindgen", |ticker| {
        tools::install_wasm_bindgen(workspace, ticker)
    })?;
    progress.step("binaryen", |ticker| tools::install_binaryen(workspace, ticker))?;
    progress.step("transport page", |ticker| {
        site::build_transport_page(workspace, ticker)
    })?;
    progress.step("relay", |_| site::build_relay(workspace))?;
    for suite in ["e2e", "interop"] {
        let dir = tests(workspace).join(suite);
        progress.step(&format!("npm ci in {suite}"), |ticker| {
            tools::npm_ci(workspace, ticker, &dir)
        })?;
    }
    let module = site::transport_page(workspace)?;
    Ok(Fixture { module })
}

impl Fixture {
    /// Prepares one of the scripts of `tests/interop`.
    pub(crate) fn program(&self, workspace: &Workspace, script: &str, what: &str) -> Program {
        Program::new(workspace, "node", what)
            .arg(tests(workspace).join("interop").join(script))
            .arg("--relay")
            .arg(workspace.relay())
            .arg("--module")
            .arg(&self.module)
            .arg("--out")
            .arg(workspace.target().join("interop"))
    }
}

fn tests(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tests")
}
