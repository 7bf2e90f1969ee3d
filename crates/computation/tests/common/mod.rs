//! The example modules, compiled when a test first asks for one, and an engine of another kind.

#![allow(dead_code, reason = "each test and benchmark uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use computation::{Ending, Failure, Instrumented, Limits, Outcome, Trap};

/// A module of `modules/`, as anybody would compile it.
pub(crate) fn module(name: &str) -> Vec<u8> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules");
    let target = target().join("computation-modules");
    // Cargo waits for another one that builds the same, and does nothing where nothing changed.
    let output = Command::new(env::var_os("CARGO").unwrap())
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

/// Fuel that is used before the module does anything.
pub(crate) fn upfront(module: &Instrumented, input: &[u8]) -> u64 {
    module.start_units() + (input.len() as u64).div_ceil(16)
}

/// Runs a module by the same calling convention on V8, which compiles, once with each amount of fuel.
pub(crate) fn in_v8(module: &[u8], input: &[u8], fuels: &[u64]) -> Vec<Outcome> {
    let instrumented = Instrumented::new(module, &Limits::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (wasm, input_file) = (dir.path().join("module.wasm"), dir.path().join("input"));
    fs::write(&wasm, instrumented.wasm()).unwrap();
    fs::write(&input_file, input).unwrap();
    let upfront = upfront(&instrumented, input);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("v8.mjs");
    let run_with = |fuel: u64| {
        let run = Command::new("node")
            .args([script.as_path(), &wasm, &input_file])
            .arg((fuel - upfront).to_string())
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let line_end = run.stdout.iter().position(|&byte| byte == b'\n').unwrap();
        let (line, output) = (
            std::str::from_utf8(&run.stdout[..line_end]).unwrap(),
            &run.stdout[line_end + 1..],
        );
        let (ending, left) = line.split_once(' ').unwrap();
        let left = left.parse::<i64>().unwrap();
        Outcome {
            fuel_used: fuel - u64::try_from(left).unwrap_or(0),
            ending: match ending {
                "output" => Ending::Output(output.to_vec()),
                "refused" => Ending::Failed(Failure::Refused(String::from_utf8_lossy(output).into_owned())),
                "elsewhere" => Ending::Failed(Failure::BadPlace),
                "too-long" => Ending::Failed(Failure::OutputTooLong),
                "stopped-1" => Ending::Failed(Failure::OutOfFuel),
                "stopped-2" => Ending::Failed(Failure::CallDepth),
                "stopped-5" => Ending::Failed(Failure::MemoryLimit),
                "stopped-0" | "stopped-4" => Ending::Failed(Failure::Trap(Trap::Other)),
                other => panic!("{other}"),
            },
        }
    };
    fuels.iter().copied().map(run_with).collect()
}
