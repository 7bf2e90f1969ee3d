//! What a site says of the example modules is true: on this crate's interpreter, which wrote it, and on V8.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(not(target_arch = "wasm32"))]

mod common;

use std::fs;
use std::process::Command;

use computation::{Ending, RULES_VERSION};
use serde_json::Value;

use crate::common::{in_v8, module};

fn sample(entry: &Value) -> Vec<u8> {
    if let Some(text) = entry["sample"]["text"].as_str() {
        return text.as_bytes().to_vec();
    }
    let hex = entry["sample"]["hex"].as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn modules_are_listed_with_answers_that_another_engine_finds() {
    let dir = tempfile::tempdir().unwrap();
    let (compiled, out) = (dir.path().join("compiled"), dir.path().join("out"));
    fs::create_dir(&compiled).unwrap();
    for name in ["words", "shrink", "factors"] {
        fs::write(compiled.join(format!("{name}.wasm")), module(name)).unwrap();
    }
    let made = Command::new(env!("CARGO_BIN_EXE_prepare-modules"))
        .args([&compiled, &out])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let listed: Value = serde_json::from_slice(&fs::read(out.join("modules.json")).unwrap()).unwrap();
    assert_eq!(listed["rules"], RULES_VERSION);
    let modules = listed["modules"].as_array().unwrap();
    let names: Vec<&str> = modules
        .iter()
        .map(|entry| entry["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["words", "shrink", "factors"]);
    for entry in modules {
        let name = entry["name"].as_str().unwrap();
        let bytes = fs::read(out.join(format!("{name}.wasm"))).unwrap();
        assert_eq!(entry["bytes"], bytes.len());
        assert_eq!(entry["cid"], blob::to_cid(&blob::name_of(&bytes)));
        assert_eq!(entry["license"], "MIT OR Apache-2.0");
        let answer = &entry["answer"];
        let fuel = answer["fuel"].as_u64().unwrap();
        let [outcome] = &in_v8(&bytes, &sample(entry), &[fuel])[..] else {
            panic!("one run, one outcome");
        };
        // The fuel is just enough.
        assert_eq!(outcome.fuel_used, fuel, "{name}");
        let Ending::Output(output) = &outcome.ending else {
            panic!("{name}: {outcome:?}");
        };
        assert_eq!(answer["output_bytes"], output.len());
        assert_eq!(answer["output_cid"], blob::to_cid(&blob::name_of(output)));
    }
}

#[test]
fn a_module_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_prepare-modules"))
        .args([dir.path(), &dir.path().join("out")])
        .output()
        .unwrap();
    assert!(!made.status.success());
    assert!(String::from_utf8_lossy(&made.stderr).contains("words.wasm is not there"));
}
