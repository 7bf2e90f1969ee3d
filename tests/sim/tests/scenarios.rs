//! Scenarios small enough for every run of the tests. The sizes that the bounds are meant for are run by
//! `cargo xtask prove`.

use simulator::Report;
use simulator::scenario::{Setting, find};

fn report(name: &str, nodes: u32) -> Report {
    let setting = Setting {
        nodes,
        seed: 1,
        threads: 2,
    };
    (find(name).unwrap().run)(setting)
}

fn keeps(name: &str, nodes: u32) {
    let report = report(name, nodes);
    assert!(report.is_kept(), "{report}");
}

#[test]
fn the_ledger_conserves_under_random_crashes_partitions_and_losses() {
    keeps("ledger", 3);
}

#[test]
fn hosts_that_crash_and_return_are_served() {
    keeps("churn", 10);
}

#[test]
fn a_network_that_parts_and_heals_settles_everything() {
    keeps("partition", 10);
}

#[test]
fn free_riders_stay_within_the_newcomer_pool() {
    keeps("free-riders", 20);
}

#[test]
fn new_names_do_not_get_past_the_newcomer_pool() {
    keeps("whitewashing", 20);
}
