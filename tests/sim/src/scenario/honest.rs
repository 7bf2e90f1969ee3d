//! Everyone is honest: what the market is worth.

use crate::check::{Bound, Check};
use crate::report::Report;
use crate::scenario::{Setting, begin, conserves, live, welfare_checks};
use crate::summary::Summary;
use crate::town::town;

pub(super) fn run(setting: Setting) -> Report {
    let world = live(town(setting.nodes, setting.seed), setting);
    let summary = Summary::new(&world);
    let mut report = begin("honest", setting, &summary);
    conserves(&mut report, &summary);
    welfare_checks(&mut report, &summary);
    let served = summary.served_share();
    report.checks.push(Check::new(
        "served in time, of those that could pay",
        "",
        served,
        Bound::AtLeast(0.99),
    ));
    let wrong = summary.served().filter(|(_, served)| !served.right).count();
    report
        .checks
        .push(Check::never("a wrong result accepted", wrong as u64));
    let error = summary.promise_error();
    report.checks.push(Check::new(
        "promised and actual time, median difference",
        "",
        error,
        Bound::AtMost(0.25),
    ));
    report
}
