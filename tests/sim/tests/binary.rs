//! The program: its exit status says whether all bounds were kept, and what it leaves behind can be read.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use simulator::Report;

/// Schedules of the ledger are the smallest thing to run; none at all are too few trades, which breaks a bound.
fn simulate(schedules: u32, out: &str) -> (Option<i32>, PathBuf) {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(out);
    fs::remove_dir_all(&out).ok();
    let status = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args([
            "--scenario",
            "ledger",
            "--seed",
            "7",
            "--nodes",
            &schedules.to_string(),
        ])
        .arg("--out")
        .arg(&out)
        .output();
    (status.ok().and_then(|output| output.status.code()), out)
}

#[test]
fn the_exit_status_says_whether_the_bounds_were_kept() {
    let (kept, out) = simulate(1, "kept");
    assert_eq!(kept, Some(0));
    assert!(out.join("ledger-1-7.txt").exists());
    let (broken, out) = simulate(0, "broken");
    assert_eq!(broken, Some(1));
    let overview = fs::read_to_string(out.join("overview.json")).unwrap();
    let runs: serde_json::Value = serde_json::from_str(&overview).unwrap();
    assert_eq!(runs[0]["scenario"], "ledger");
    assert_eq!(runs[0]["kept"], false);
}

#[test]
fn the_overview_keeps_what_other_runs_put_there() {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("overview");
    fs::remove_dir_all(&out).ok();
    for (name, seed) in [("b", 1), ("a", 2), ("a", 1), ("b", 1)] {
        Report::new(name, 10, seed).write(&out, 1.0).unwrap();
    }
    let runs: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("overview.json")).unwrap()).unwrap();
    let runs = runs.as_array().unwrap().iter();
    let names: Vec<_> = runs
        .map(|run| (run["scenario"].as_str().unwrap(), run["seed"].as_u64()))
        .collect();
    assert_eq!(names, [("a", Some(1)), ("a", Some(2)), ("b", Some(1))]);
}
