//! The scenarios: each makes a town with a problem, lets it live and says which bounds were kept.

mod honest;

use crate::baseline::{Welfare, compare};
use crate::check::{Bound, Check, share};
use crate::report::Report;
use crate::spec::WorldSpec;
use crate::summary::Summary;
use crate::town;
use crate::world::World;

/// Which world, how large, how random, on how many threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Hosts.
    pub nodes: u32,
    /// Everything random follows from it.
    pub seed: u64,
    /// Threads; nothing but the time that it takes depends on them.
    pub threads: usize,
}

/// One scenario.
pub struct Scenario {
    /// What `--scenario` takes.
    pub name: &'static str,
    /// What happens in it.
    pub about: &'static str,
    /// Runs it.
    pub run: fn(Setting) -> Report,
}

/// All of them.
pub const ALL: &[Scenario] = &[Scenario {
    name: "honest",
    about: "everyone is honest; welfare against the upper bound and three simpler markets",
    run: honest::run,
}];

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

/// Lets a world live to its end.
fn live(spec: WorldSpec, setting: Setting) -> World {
    let until = spec.until;
    let mut world = World::new(spec, setting.threads);
    world.run(until);
    world
}

/// A report with what every scenario shows.
fn begin(name: &str, setting: Setting, summary: &Summary<'_>) -> Report {
    let mut report = Report {
        scenario: name.to_owned(),
        nodes: setting.nodes,
        seed: setting.seed,
        trace: summary
            .world
            .trace()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        rows: Vec::new(),
        checks: Vec::new(),
        plots: summary.plots(),
    };
    let hosts = || summary.world.hosts();
    report.row("requests", summary.requests.len());
    report.row("served", summary.served().count());
    report.row("served in time", summary.in_time().count());
    for (reason, count) in summary.failures() {
        report.row(&format!("not served: {reason}"), count);
    }
    let paid: u32 = hosts().map(|host| host.tally.paid).sum();
    report.row("receipts (second opinions included)", paid);
    let frames = summary.messages_per_trade();
    report.row("frames between peers, per trade", format!("{frames:.1}"));
    let to_relays: u64 = hosts().map(|host| host.tally.to_relays).sum();
    let per_trade = share(to_relays as f64, summary.served().count() as f64);
    report.row(
        "requests to discovery points, per trade",
        format!("{per_trade:.1}"),
    );
    report.row(
        "extra work (probes, second opinions, retries)",
        percent(summary.extra_work()),
    );
    let unreadable: u32 = hosts().map(|host| host.tally.times_unreadable).sum();
    report.checks.push(Check::never(
        "a node that cannot read its own storage",
        unreadable.into(),
    ));
    report
}

/// Over fully signed receipts all balances sum to zero, and nothing is left half signed after the time to settle.
fn conserves(report: &mut Report, summary: &Summary<'_>) {
    let (settled, pending) = summary.balances();
    report.checks.push(Check::never(
        "balances off zero, millicredits",
        settled.unsigned_abs(),
    ));
    report.row("half-signed at the end, millicredits", pending);
}

/// Compares with the upper bound and the simpler markets, and adds the four to the table.
fn compared(report: &mut Report, summary: &Summary<'_>) -> Welfare {
    let wants = town::DEADLINE_MS;
    let (first, last) = (summary.requests.first(), summary.requests.last());
    let span_ms = match (first, last) {
        (Some(first), Some(last)) => last.at - first.at + u64::from(wants),
        _ => 0,
    };
    let welfare = compare(&summary.requests, &summary.supplies(), span_ms, report.seed);
    report.row("welfare, millicredits", format!("{:.0}", summary.welfare()));
    report.row("welfare: upper bound", format!("{:.0}", welfare.bound));
    report.row("welfare: random choice", format!("{:.0}", welfare.random));
    report.row("welfare: cheapest of four", format!("{:.0}", welfare.cheapest));
    report.row("welfare: one queue for all", format!("{:.0}", welfare.queue));
    welfare
}

/// The welfare of this world against the others.
fn welfare_checks(report: &mut Report, summary: &Summary<'_>) {
    let others = compared(report, summary);
    let own = summary.welfare();
    let mut at_least = |name: &str, other: f64, bound: Bound| {
        report
            .checks
            .push(Check::new(name, "×", share(own, other), bound));
    };
    at_least("welfare over the upper bound", others.bound, Bound::AtLeast(0.9));
    at_least("welfare over random choice", others.random, Bound::Above(1.05));
    at_least(
        "welfare over cheapest of four",
        others.cheapest,
        Bound::Above(1.05),
    );
    at_least("welfare over one queue for all", others.queue, Bound::Above(1.05));
}

fn percent(part: f64) -> String {
    format!("{:.2} %", part * 100.0)
}
