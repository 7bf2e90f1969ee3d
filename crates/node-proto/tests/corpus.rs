//! Every committed seed of the fuzz targets, and a few thousand inputs made from them, without a fuzzer.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/entry.rs"]
mod entry;

use std::fs;
use std::path::Path;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join("seeds")
        .join(target);
    let mut paths: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 3, "the seeds of {target} are missing");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Each seed as it is, then with single bytes changed, `changes` times, the same ones in every run.
fn replay(target: &str, changes: usize, fuzz: fn(&[u8])) {
    let mut state = 0x9e37_79b9_u32;
    let mut draw = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % bound.max(1)
    };
    for seed in seeds(target) {
        fuzz(&seed);
        for _ in 0..changes {
            let mut input = seed.clone();
            let place = draw(input.len());
            if let Some(byte) = input.get_mut(place) {
                *byte = draw(256) as u8;
            }
            input.truncate(input.len() - draw(3).min(input.len()));
            fuzz(&input);
        }
    }
}

#[test]
fn frames() {
    replay("frames", 50, entry::frames);
}

#[test]
fn objects() {
    replay("objects", 5, entry::objects);
}

#[test]
fn stored() {
    replay("stored", 20, entry::stored);
}

#[test]
fn texts() {
    replay("texts", 50, entry::texts);
}

#[test]
fn node() {
    replay("node", 0, entry::node);
}
