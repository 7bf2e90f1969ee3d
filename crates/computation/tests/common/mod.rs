//! The example modules, compiled when a test first asks for one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// A module of `modules/`, as anybody would compile it.
pub(crate) fn module(name: &str) -> Vec<u8> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules");
    let target = target().join("computation-modules");
    // Cargo waits for another one that builds the same, and does nothing where nothing changed.
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            "wasm32-unknown-unknown",
            "--target-dir",
        ])
        .arg(&target)
        .args(["--package", name])
        .current_dir(&modules)
        // What this test was built with says nothing about a module.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let wasm = target
        .join("wasm32-unknown-unknown")
        .join("release")
        .join(format!("{name}.wasm"));
    fs::read(wasm).unwrap()
}

/// The target directory: `<target>/<profile>/deps/<this test>`.
pub(crate) fn target() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_path_buf()
}
