//! Every test of this crate runs as WebAssembly too: the core is what a browser runs.
//!
//! A `#[test]` is silently left out there unless its module takes `wasm_bindgen_test` for `test`, so the sources are read.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Tests of what only an operating system has: its allocator, and files.
const NATIVE: &[&str] = &["memory.rs", "portable.rs"];
const IMPORT: &str = "use wasm_bindgen_test::wasm_bindgen_test as test;";
const LEFT_OUT: &str = "#![cfg(not(target_arch = \"wasm32\"))]";

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What is wrong with a file; each module with tests needs an import of its own.
fn fault(text: &str) -> Option<&'static str> {
    let lines = || text.lines().map(str::trim);
    let is_module = |line: &&str| line.starts_with("mod ") && line.ends_with('{');
    let modules = lines().filter(is_module).count().max(1);
    if lines().any(|line| line == LEFT_OUT) {
        return Some("is left out as a whole");
    }
    let tests = lines().any(|line| line == "#[test]");
    (tests && lines().filter(|line| *line == IMPORT).count() < modules).then_some("lacks the import")
}

#[test]
fn no_test_is_left_out_of_webassembly() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["src", "tests", "fuzz"] {
        sources(&root.join(dir), &mut files);
    }
    assert!(files.len() > 50, "the sources were not found");
    let native = |path: &PathBuf| NATIVE.iter().any(|name| path.ends_with(name));
    for path in files.iter().filter(|path| !native(path)) {
        if let Some(fault) = fault(&fs::read_to_string(path).unwrap()) {
            panic!("{} {fault}", path.display());
        }
    }
}

#[test]
fn a_missing_import_is_noticed() {
    let tested = "mod tests {\n    #[test]\n    fn a() {}\n}\n";
    assert_eq!(fault(tested), Some("lacks the import"));
    assert_eq!(
        fault(&format!(
            "mod tests {{\n    {IMPORT}\n    #[test]\n    fn a() {{}}\n}}"
        )),
        None
    );
    assert_eq!(
        fault(&format!("{IMPORT}\n{LEFT_OUT}\n#[test]\nfn a() {{}}")),
        Some("is left out as a whole")
    );
    assert_eq!(fault("fn a() {}"), None);
}
