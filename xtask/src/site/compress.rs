//! Brotli siblings, made once: the relay only ever copies bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use brotli::enc::BrotliEncoderParams;

use crate::cache::hash_file;
use crate::error::{Context, Error};
use crate::workspace::Workspace;

/// Large model files are weights, which do not compress.
const MODEL_BYTES_MAX: u64 = 8 * 1024 * 1024;
const COMPRESSIBLE: &[&str] = &[
    "css",
    "html",
    "js",
    "json",
    "mjs",
    "svg",
    "ts",
    "txt",
    "wasm",
    "webmanifest",
];
/// 16 MiB, the largest window that every browser accepts.
const WINDOW_BITS: i32 = 24;
const QUALITY: i32 = 11;

/// Whether a sibling is worth its bytes. Files under `models/` have hashes for names, so their size decides.
pub(super) fn is_compressible(site_path: &str, bytes: u64) -> bool {
    let extension = site_path.rsplit_once('.').map(|(_, extension)| extension);
    match extension {
        Some(extension) => COMPRESSIBLE.contains(&extension),
        None => site_path.starts_with("models/") && bytes <= MODEL_BYTES_MAX,
    }
}

/// Compresses every file that has not been compressed before, on all cores; returns the cached results in order.
pub(super) fn compress_all(workspace: &Workspace, sources: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let shelf = workspace.cache().join("brotli");
    fs::create_dir_all(&shelf).context("create", &shelf)?;
    let results = sources
        .iter()
        .map(|source| Ok(shelf.join(format!("{}.br", hash_file(source)?))))
        .collect::<Result<Vec<_>, Error>>()?;

    let mut todo: Vec<_> = sources
        .iter()
        .zip(&results)
        .filter(|(_, result)| !result.exists())
        .collect();
    // The largest first, or one core works alone at the end.
    todo.sort_by_key(|(source, _)| fs::metadata(source).map_or(0, |found| found.len()));
    let todo = Mutex::new(todo);
    let next = || todo.lock().ok().and_then(|mut todo| todo.pop());
    let worker = || -> Result<(), Error> {
        while let Some((source, result)) = next() {
            compress(source, result)?;
        }
        Ok(())
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        handles.into_iter().try_for_each(|handle| {
            handle
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok(results)
}

fn compress(source: &Path, result: &Path) -> Result<(), Error> {
    let bytes = fs::read(source).context("read", source)?;
    let params = BrotliEncoderParams {
        quality: QUALITY,
        lgwin: WINDOW_BITS,
        size_hint: bytes.len(),
        ..Default::default()
    };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut bytes.as_slice(), &mut compressed, &params).context("compress", source)?;
    // Written aside first: an interrupted run must not leave half a file under a name that says it is whole.
    let draft = result.with_extension(format!("draft{}", std::process::id()));
    fs::write(&draft, &compressed).context("write", &draft)?;
    fs::rename(&draft, result).context("write", result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_images_are_left_alone() {
        assert!(is_compressible("index.html", 1));
        assert!(is_compressible("models/0123abcd", 1000));
        assert!(!is_compressible("models/0123abcd", MODEL_BYTES_MAX + 1));
        assert!(!is_compressible("icons/icon-512.png", 1000));
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(dir.path(), dir.path()).unwrap();
        let source = dir.path().join("a.txt");
        fs::write(&source, "hello ".repeat(1000)).unwrap();
        let results = compress_all(&workspace, &[source]).unwrap();
        let mut plain = Vec::new();
        brotli::BrotliDecompress(&mut fs::read(&results[0]).unwrap().as_slice(), &mut plain).unwrap();
        assert_eq!(plain, "hello ".repeat(1000).into_bytes());
    }
}
