//! The service worker's list: which files make up one build of the page.
//!
//! `sw.js` is written with `__BUILD__` where this build's id belongs, so that a new build is a new service worker; it
//! caches exactly the files of `/asset-manifest.json` and serves them together or not at all.

use serde_json::{Value, json};

use crate::cache::Key;
use crate::error::Error;
use crate::site::assemble::Entry;
use crate::site::page::LATER;

/// What `sw.js` contains in place of the build's id.
pub(super) const BUILD_PLACEHOLDER: &str = "__BUILD__";
/// The service worker is fetched by the browser itself and never from its own cache.
pub(super) const SERVICE_WORKER: &str = "sw.js";

/// What the page consists of.
const CODE: &[&str] = &["css", "html", "js", "wasm"];
/// What the page also needs to look right offline.
const ALSO_OFFLINE: &[&str] = &["ico", "png", "svg", "webmanifest"];

/// Whether a file belongs to the page itself and not to what it loads later.
pub(super) fn is_first_load(site_path: &str) -> bool {
    is_code(site_path) && !is_later(site_path)
}

/// Whether a file is part of the page that it loads once it runs.
pub(super) fn is_later(site_path: &str) -> bool {
    is_code(site_path) && site_path.starts_with(LATER)
}

fn is_code(site_path: &str) -> bool {
    is_page(site_path) && has_extension(site_path, CODE)
}

/// The id of a build: any change of any file but a model is another build.
pub(super) fn build_id(entries: &[Entry]) -> Result<String, Error> {
    let mut key = Key::new("build");
    for entry in entries
        .iter()
        .filter(|entry| !entry.site_path.starts_with("models/"))
    {
        key = key.text(&entry.site_path).file(&entry.source)?;
    }
    Ok(key.finish()[..16].to_owned())
}

/// The text of `/asset-manifest.json`.
pub(super) fn asset_manifest(build: &str, entries: &[Entry]) -> Value {
    let paths = |keep: fn(&str) -> bool| -> Vec<String> {
        let kept = entries
            .iter()
            .map(|entry| entry.site_path.as_str())
            .filter(|path| keep(path));
        kept.map(|path| {
            if path == "index.html" {
                "/".to_owned()
            } else {
                format!("/{path}")
            }
        })
        .collect()
    };
    json!({
        "build": build,
        "files": paths(|path| is_code(path) || (is_page(path) && has_extension(path, ALSO_OFFLINE))),
        "lazy": paths(|path| path.starts_with("worker/") || path.starts_with("modules/")),
    })
}

fn is_page(site_path: &str) -> bool {
    let elsewhere = ["embed/", "models/", "modules/", "worker/"];
    site_path != SERVICE_WORKER && !elsewhere.iter().any(|prefix| site_path.starts_with(prefix))
}

fn has_extension(site_path: &str, extensions: &[&str]) -> bool {
    site_path
        .rsplit_once('.')
        .is_some_and(|(_, extension)| extensions.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(paths: &[&str]) -> Vec<Entry> {
        paths
            .iter()
            .map(|path| Entry {
                site_path: (*path).to_owned(),
                source: path.into(),
            })
            .collect()
    }

    #[test]
    fn the_manifest_lists_the_page_and_names_the_root() {
        let site = entries(&[
            "index.html",
            "web-ui-1.js",
            "web-ui-later-1-ab.wasm",
            "icons/a.svg",
            "sw.js",
            "embed/node_wasm.js",
            "worker/w.js",
            "modules/m.wasm",
            "models/ab",
        ]);
        let manifest = asset_manifest("id", &site);
        assert_eq!(
            manifest["files"],
            json!(["/", "/web-ui-1.js", "/web-ui-later-1-ab.wasm", "/icons/a.svg"])
        );
        assert_eq!(manifest["lazy"], json!(["/worker/w.js", "/modules/m.wasm"]));
    }

    #[test]
    fn the_budget_counts_what_the_first_visit_runs() {
        assert!(is_first_load("web-ui-1_bg.wasm"));
        assert!(!is_first_load("web-ui-later-1-ab.wasm"));
        assert!(!is_first_load("icons/a.svg"));
        assert!(!is_first_load("worker/inference_worker_bg.wasm"));
        assert!(!is_first_load("modules/words.wasm"));
    }
}
