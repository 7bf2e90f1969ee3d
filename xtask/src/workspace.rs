//! Where things are: the sources and, apart from them, everything that is made.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error};
use crate::site::ENGINE_PROFILE;

/// The directories that every task works in.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the sources by this crate's own place and the target directory as cargo would.
    pub(crate) fn locate() -> Result<Self, Error> {
        let crate_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = crate_dir.parent().unwrap_or(&crate_dir).to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => env::current_dir().context("read", Path::new("."))?.join(dir),
            None => root.join("target"),
        };
        Self::at(&root, &target)
    }

    /// A workspace at known places, with the directories that every task expects.
    pub(crate) fn at(root: &Path, target: &Path) -> Result<Self, Error> {
        let workspace = Self {
            root: root.to_owned(),
            target: target.to_owned(),
        };
        for dir in [workspace.tools(), workspace.cache(), workspace.logs()] {
            fs::create_dir_all(&dir).context("create", &dir)?;
        }
        Ok(workspace)
    }

    /// The repository's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Pinned tools, one directory per tool and version.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Products of steps, keyed by the content of their inputs.
    pub(crate) fn cache(&self) -> PathBuf {
        self.target.join("site-cache")
    }

    /// The directory that the relay serves.
    pub(crate) fn site(&self) -> PathBuf {
        self.target.join("site")
    }

    /// The whole output of each program that was run.
    pub(crate) fn logs(&self) -> PathBuf {
        self.target.join("xtask-log")
    }

    /// Screenshots, console logs and clocks of the end-to-end tests.
    pub(crate) fn end_to_end(&self) -> PathBuf {
        self.target.join("e2e")
    }

    /// The same of the journeys that take long.
    pub(crate) fn endurance(&self) -> PathBuf {
        self.target.join("endure")
    }

    /// The relay as built for people.
    pub(crate) fn relay(&self) -> PathBuf {
        self.target.join("release").join("knowledge-relay")
    }

    /// The program that makes a relay's known answers.
    pub(crate) fn known_answers(&self) -> PathBuf {
        self.target.join(ENGINE_PROFILE).join("known-answers")
    }

    /// What cargo makes of a package for the browser in a profile.
    pub(crate) fn wasm_artifact(&self, profile: &str, stem: &str) -> PathBuf {
        self.target
            .join("wasm32-unknown-unknown")
            .join(profile)
            .join(format!("{stem}.wasm"))
    }
}
