//! Every committed seed of the fuzz targets, and a few thousand inputs made from them, without a fuzzer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[path = "../fuzz/entry.rs"]
mod entry;
#[path = "../fuzz/seeds.rs"]
mod seeds;

use seeds::SEEDS;

fn seeds(target: &str) -> impl Iterator<Item = &'static [u8]> {
    let (_, seeds) = SEEDS.iter().find(|(name, _)| *name == target).unwrap();
    assert!(seeds.len() >= 3, "the seeds of {target} are missing");
    seeds.iter().map(|(_, seed)| *seed)
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
        fuzz(seed);
        for _ in 0..changes {
            let mut input = seed.to_vec();
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

#[test]
fn machine() {
    replay("machine", 20, entry::machine);
}

#[test]
fn the_machines_seeds_get_through_whole_trades() {
    let reached = seeds("machine").map(entry::reached);
    let sum = reached.fold([0; 3], |sum, seed| std::array::from_fn(|at| sum[at] + seed[at]));
    assert!(
        sum.iter().all(|count| *count > 0),
        "sold, bought, in part: {sum:?}"
    );
}

/// Where there are files, the list and the directory are the same.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn the_list_of_seeds_is_the_directory() {
    let names = |dir: &std::path::Path| {
        let entries = std::fs::read_dir(dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join("seeds");
    let targets: Vec<&str> = SEEDS.iter().map(|(target, _)| *target).collect();
    assert_eq!(names(&root), targets, "fuzz/seeds.rs lists other targets");
    for (target, seeds) in SEEDS {
        let listed: Vec<&str> = seeds.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names(&root.join(target)),
            listed,
            "fuzz/seeds.rs lists other seeds of {target}"
        );
    }
}
