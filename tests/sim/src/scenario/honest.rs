//! Everyone is honest: what the market is worth on a calm day, and in a rush.

use node_proto::Millicredits;

use crate::check::{Bound, share};
use crate::report::Report;
use crate::scenario::{Setting, begin, live, predicted, served_in_time, welfare};
use crate::summary::Summary;
use crate::town::{GAP_MS, LENDERS, SETTLING_MS, town};

/// Requests of each host on average: some more than the trades that are to be completed, for those that nobody serves at
/// what they are worth.
const REQUESTS: u64 = 21;
/// Fewest trades for each host.
const TRADES_MIN: f64 = 20.0;

/// Half of the engine time is asked for.
pub(super) fn calm(setting: Setting) -> Report {
    let mut spec = town(setting.nodes, setting.seed);
    spec.asking.end = spec.asking.start + REQUESTS * GAP_MS;
    spec.until = spec.asking.end + SETTLING_MS;
    let world = live(spec, setting);
    let summary = Summary::new(&world);
    let mut report = begin("honest", setting, &summary);
    welfare(&mut report, &summary, false);
    served_in_time(&mut report, &summary);
    let wrong = summary.served().filter(|(_, served)| !served.right).count();
    report.never("a wrong result accepted", wrong as u64);
    predicted(&mut report, &summary);
    let trades = share(summary.served().count() as f64, setting.nodes.into());
    // With `--nodes 10000` these are the 200,000 trades whose time is measured; few hosts may ask for less by chance.
    if setting.nodes >= 1_000 {
        report.check(
            "trades completed, for each host",
            "",
            trades,
            Bound::AtLeast(TRADES_MIN),
        );
    }
    report
}

/// Half as many lenders and more requests: one and a half times the engine time there is, in a town of any size. On a calm
/// day any way of choosing serves everyone; here it shows who is served.
pub(super) fn rush(setting: Setting) -> Report {
    const OVERLOAD: f64 = 1.5;
    const LASTS_MS: u64 = 160_000;
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
    // In a small town the few lenders may be fast or slow.
    let lenders = spec.hosts.iter().filter_map(|host| host.lends);
    let speed: f64 = lenders.map(|device| f64::from(device.speed)).sum();
    for wants in spec.hosts.iter_mut().filter_map(|host| host.wants.as_mut()) {
        let mean_tokens = f64::from(wants.items_min) * 1.5 * f64::from(wants.item_tokens);
        wants.gap_ms = (f64::from(setting.nodes) * mean_tokens * 1_000.0 / (OVERLOAD * speed)) as u64;
    }
    spec.asking.end = spec.asking.start + LASTS_MS;
    spec.until = spec.asking.end + SETTLING_MS;
    let world = live(spec, setting);
    let summary = Summary::new(&world);
    let mut report = begin("rush", setting, &summary);
    let tokens: f64 = summary
        .requests
        .iter()
        .map(|request| f64::from(request.tokens))
        .sum();
    let load = share(tokens, speed * LASTS_MS as f64 / 1_000.0);
    report.row("engine time asked for, over what there is", format!("{load:.2}"));
    welfare(&mut report, &summary, true);
    report
}
