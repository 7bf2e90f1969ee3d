//! Everyone is honest: what the market is worth on a calm day, and in a rush.

use node_proto::Millicredits;

use crate::check::Bound;
use crate::report::Report;
use crate::scenario::{Setting, begin, live, served_in_time, welfare};
use crate::summary::Summary;
use crate::town::{LENDERS, SETTLING_MS, town};

/// Half of the engine time is asked for.
pub(super) fn calm(setting: Setting) -> Report {
    let world = live(town(setting.nodes, setting.seed), setting);
    let summary = Summary::new(&world);
    let mut report = begin("honest", setting, &summary);
    welfare(&mut report, &summary, false);
    served_in_time(&mut report, &summary);
    let wrong = summary.served().filter(|(_, served)| !served.right).count();
    report.never("a wrong result accepted", wrong as u64);
    report.row(
        "predicted over actual time, median",
        format!("{:.3}", summary.predicted_over_actual()),
    );
    let error = summary.prediction_error();
    report.check(
        "predicted and actual time, median difference",
        "",
        error,
        Bound::AtMost(0.25),
    );
    report
}

/// Half as many lenders and more requests: one and a half times the engine time there is. On a calm day any way of
/// choosing serves everyone; here it shows who is served.
pub(super) fn rush(setting: Setting) -> Report {
    const GAP_MS: u64 = 4_000;
    const REQUESTS: u64 = 40;
    /// Scarce time is dear, and most here never lend. They have known each other for longer than a run of minutes lasts: the
    /// lines between them have grown, so that prices decide and not the credit of newcomers.
    const KNOWN: Millicredits = Millicredits(1_000_000);
    let mut spec = town(setting.nodes, setting.seed);
    for host in spec.hosts.iter_mut().step_by(2 * LENDERS as usize) {
        host.lends = None;
    }
    for host in &mut spec.hosts {
        host.config.newcomer_allowance = KNOWN;
        host.config.stranger_pair_max = KNOWN;
        host.config.stranger_pool_max = Millicredits(KNOWN.0 * 100);
        host.config.stranger_line_max = Millicredits(KNOWN.0 * 100);
    }
    for wants in spec.hosts.iter_mut().filter_map(|host| host.wants.as_mut()) {
        wants.gap_ms = GAP_MS;
    }
    spec.asking.end = spec.asking.start + REQUESTS * GAP_MS;
    spec.until = spec.asking.end + SETTLING_MS;
    let world = live(spec, setting);
    let summary = Summary::new(&world);
    let mut report = begin("rush", setting, &summary);
    welfare(&mut report, &summary, true);
    report
}
