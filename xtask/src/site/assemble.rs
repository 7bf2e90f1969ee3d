//! The site directory: exactly the files that this build consists of, each in place at once, nothing left from before.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::{self, Key, hash_file};
use crate::error::{Context, Error};
use crate::progress::{Outcome, Ticker};
use crate::site::manifest::{self, BUILD_PLACEHOLDER, SERVICE_WORKER};
use crate::site::{compress, computation, model, module, page, worker};
use crate::workspace::Workspace;

/// One file of the site and where its bytes come from.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The path below the site's root, with forward slashes.
    pub(super) site_path: String,
    /// The file to copy.
    pub(super) source: PathBuf,
}

/// Puts together everything that the steps before have made.
pub(super) fn build(workspace: &Workspace, _: &mut Ticker) -> Result<Outcome, Error> {
    let mut entries = Vec::new();
    for (kind, prefix) in [
        (page::PAGE, ""),
        (module::EMBED, "embed/"),
        (worker::INFERENCE, "worker/"),
        (worker::LIBRARY, "worker/"),
        (worker::COMPUTATION, "worker/"),
        (worker::CPU, "worker/"),
        (worker::CPU_RELAXED, "worker/"),
        (worker::TRACT, "worker/"),
        (worker::KERNELS, "worker/"),
        (worker::WONNX, "worker/"),
        (model::MODELS, "models/"),
        (computation::MODULES, "modules/"),
    ] {
        entries.extend(entries_below(&module::published(workspace, kind)?, prefix)?);
    }
    entries.sort_by(|one, other| one.site_path.cmp(&other.site_path));
    let build = add_manifest(workspace, &mut entries)?;
    add_compressed(workspace, &mut entries)?;
    let changed = synchronise(&workspace.site(), &entries)?;
    if changed == 0 {
        return Ok(Outcome::Unchanged);
    }
    Ok(Outcome::Done(format!(
        "build {build}, {changed} of {} files new",
        entries.len()
    )))
}

fn entries_below(dir: &Path, prefix: &str) -> Result<Vec<Entry>, Error> {
    let files = cache::files_below(dir)?.into_iter();
    let entries = files.map(|source| {
        let relative = source
            .strip_prefix(dir)
            .unwrap_or(&source)
            .to_string_lossy()
            .replace('\\', "/");
        Entry {
            site_path: format!("{prefix}{relative}"),
            source,
        }
    });
    Ok(entries.collect())
}

/// Adds `asset-manifest.json` and gives the service worker its build's id.
fn add_manifest(workspace: &Workspace, entries: &mut Vec<Entry>) -> Result<String, Error> {
    let build = manifest::build_id(entries)?;
    let listed = manifest::asset_manifest(&build, entries);
    let product = cache::produce(
        workspace,
        "generated",
        Key::new("generated").text(&build).text(&listed.to_string()),
        |dir| {
            let path = dir.join("asset-manifest.json");
            fs::write(&path, listed.to_string()).context("write", &path)?;
            let Some(worker) = entries.iter().find(|entry| entry.site_path == SERVICE_WORKER) else {
                return Ok(());
            };
            let text = fs::read_to_string(&worker.source).context("read", &worker.source)?;
            let path = dir.join(SERVICE_WORKER);
            fs::write(&path, text.replace(BUILD_PLACEHOLDER, &build)).context("write", &path)
        },
    )?;
    entries.retain(|entry| entry.site_path != SERVICE_WORKER);
    entries.extend(entries_below(&product.dir, "")?);
    Ok(build)
}

fn add_compressed(workspace: &Workspace, entries: &mut Vec<Entry>) -> Result<(), Error> {
    let mut compressible = Vec::new();
    for entry in entries.iter() {
        let bytes = fs::metadata(&entry.source).context("read", &entry.source)?.len();
        if compress::is_compressible(&entry.site_path, bytes) {
            compressible.push(entry.clone());
        }
    }
    let sources: Vec<PathBuf> = compressible.iter().map(|entry| entry.source.clone()).collect();
    let compressed = compress::compress_all(workspace, &sources)?;
    let siblings = compressible.into_iter().zip(compressed);
    entries.extend(siblings.map(|(entry, source)| Entry {
        site_path: format!("{}.br", entry.site_path),
        source,
    }));
    Ok(())
}

/// Makes the directory equal to the entries; returns how many files it had to write or remove.
fn synchronise(site: &Path, entries: &[Entry]) -> Result<usize, Error> {
    let mut changed = 0;
    for entry in entries {
        let to = site.join(&entry.site_path);
        if !same_content(&entry.source, &to)? {
            copy(&entry.source, &to)?;
            changed += 1;
        }
    }
    let wanted: BTreeSet<PathBuf> = entries.iter().map(|entry| site.join(&entry.site_path)).collect();
    for path in cache::files_below(site)? {
        if !wanted.contains(&path) {
            fs::remove_file(&path).context("remove", &path)?;
            changed += 1;
        }
    }
    Ok(changed)
}

fn same_content(from: &Path, to: &Path) -> Result<bool, Error> {
    let bytes = |path: &Path| fs::metadata(path).map(|meta| meta.len()).ok();
    Ok(bytes(to).is_some() && bytes(from) == bytes(to) && hash_file(from)? == hash_file(to)?)
}

/// Copies aside and renames, so that a relay that is serving this directory never sees half a file.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let parent = to.parent().unwrap_or(to);
    fs::create_dir_all(parent).context("create", parent)?;
    let draft = parent.join(format!(".draft-{}", std::process::id()));
    fs::copy(from, &draft).context("copy", from)?;
    fs::rename(&draft, to).context("write", to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_holds_exactly_the_entries() {
        let dir = tempfile::tempdir().unwrap();
        let (source, site) = (dir.path().join("source"), dir.path().join("site"));
        fs::create_dir_all(site.join("old")).unwrap();
        fs::write(&source, "text").unwrap();
        fs::write(site.join("old/file"), "gone").unwrap();
        let entries = [Entry {
            site_path: "a/b.txt".to_owned(),
            source,
        }];

        assert_eq!(synchronise(&site, &entries).unwrap(), 2);
        assert_eq!(fs::read_to_string(site.join("a/b.txt")).unwrap(), "text");
        assert!(!site.join("old/file").exists());
        assert_eq!(synchronise(&site, &entries).unwrap(), 0);
    }

    #[test]
    fn the_service_worker_carries_the_id_of_its_build() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(dir.path(), dir.path()).unwrap();
        let source = dir.path().join("sw.js");
        fs::write(&source, "const build = '__BUILD__';").unwrap();
        let mut entries = vec![Entry {
            site_path: "sw.js".to_owned(),
            source,
        }];

        let build = add_manifest(&workspace, &mut entries).unwrap();
        let paths: Vec<&str> = entries.iter().map(|entry| entry.site_path.as_str()).collect();
        assert_eq!(paths, ["asset-manifest.json", "sw.js"]);
        assert_eq!(
            fs::read_to_string(&entries[1].source).unwrap(),
            format!("const build = '{build}';")
        );
    }
}
