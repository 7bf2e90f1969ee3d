//! Everyone is honest: what the market is worth.

use crate::check::Bound;
use crate::report::Report;
use crate::scenario::{Setting, begin, live, served_in_time, welfare};
use crate::summary::Summary;
use crate::town::town;

pub(super) fn run(setting: Setting) -> Report {
    let world = live(town(setting.nodes, setting.seed), setting);
    let summary = Summary::new(&world);
    let mut report = begin("honest", setting, &summary);
    welfare(&mut report, &summary, true);
    served_in_time(&mut report, &summary);
    let wrong = summary.served().filter(|(_, served)| !served.right).count();
    report.never("a wrong result accepted", wrong as u64);
    let error = summary.promise_error();
    report.check(
        "predicted and actual time, median difference",
        "",
        error,
        Bound::AtMost(0.25),
    );
    report
}
