//! Scenarios small enough for every run of the tests. The sizes that the bounds are meant for are run by
//! `cargo xtask prove`, and so are those that mean something only in a larger town: `slander` needs twenty buyers that know
//! a lender, `colluders` a machine's ten names among many lenders, `size` towns of a hundred and more, `cheaters` eight towns
//! that live twice as long as others.

use simulator::Report;
use simulator::scenario::{Setting, find};

fn keeps(name: &str, nodes: u32) {
    let setting = Setting {
        nodes,
        seed: 1,
        threads: 2,
    };
    let report = find(name).map(|scenario| (scenario.run)(setting));
    assert!(report.as_ref().is_some_and(Report::is_kept), "{report:#?}");
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

#[test]
fn riders_of_all_kinds_together_stay_within_the_newcomer_pool() {
    keeps("riders", 30);
}

#[test]
fn a_giant_leaves_everyone_served() {
    keeps("giant", 20);
}

#[test]
fn a_double_spender_is_found_out_and_served_no_more() {
    keeps("double-spenders", 30);
}
