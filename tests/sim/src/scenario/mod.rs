//! The scenarios: each makes a town with a problem, lets it live and says which bounds were kept.
//!
//! | scenario | the problem | the bounds |
//! | --- | --- | --- |
//! | `honest` | none | welfare, punctuality, predicted times |
//! | `rush` | everyone is honest and wants more than there is | welfare against the upper bound and three simpler markets |
//! | `churn` | three hosts in ten crash and come back, one with another time | served in time, nothing lost, predicted times |
//! | `cheaters` | three lenders in ten give wrong results, by eight strategies | wrong results accepted, extra work |
//! | `whitewashing` | one host in ten takes a new name after a few unpaid requests | the newcomer pool |
//! | `free-riders` | one host in ten never pays | the newcomer pool |
//! | `riders` | both together, and others that take results and call them wrong | the newcomer pool |
//! | `colluders` | ten fake identities on each cheat's machine | their share of jobs |
//! | `slander` | one host in ten calls every right result wrong | honest peers' scores and prices |
//! | `capacity-liars` | one lender in ten claims ten times its speed | its traffic, predicted times |
//! | `double-spenders` | a few go back to an old backup twice and spend again | gain per victim, time to detection |
//! | `flash-crowd` | demand twentyfold for a while | served within capacity, prices afterwards |
//! | `partition` | a third of the hosts is cut off, and comes back | nothing lost, service afterwards |
//! | `giant` | one lender with a hundred times the speed | welfare, service |
//! | `ledger` | crashes, partitions, loss and repetition in random order | conservation at every step |
//! | `size` | the honest town at several sizes | frames, requests and bytes per trade |

mod capacity;
mod cheaters;
mod colluders;
mod disturbed;
mod honest;
mod ledger;
mod riders;
mod size;
mod slander;
mod spenders;

use crate::baseline::compare;
use crate::check::{Bound, share};
use crate::curves::Curves;
use crate::effort::Effort;
use crate::event::Act;
use crate::network::Millis;
use crate::record::End;
use crate::report::Report;
use crate::spec::{HostSpec, WorldSpec};
use crate::summary::Summary;
use crate::town;
use crate::world::World;

/// Lenders that are watched for the plots, and hosts that are asked about them.
const WATCHED_MAX: usize = 20;
const OBSERVERS_MAX: usize = 200;
/// They are asked this often, milliseconds.
const OBSERVE_MS: Millis = 20_000;

/// Which world, how large, how random, on how many threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Hosts; for `ledger`, schedules.
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
    /// Runs it.
    pub run: fn(Setting) -> Report,
}

/// All of them.
pub const ALL: &[Scenario] = &[
    scenario("honest", honest::calm),
    scenario("rush", honest::rush),
    scenario("churn", disturbed::churn),
    scenario("cheaters", cheaters::run),
    scenario("whitewashing", riders::whitewashing),
    scenario("colluders", colluders::run),
    scenario("slander", slander::run),
    scenario("free-riders", riders::free_riders),
    scenario("riders", riders::all),
    scenario("capacity-liars", capacity::liars),
    scenario("double-spenders", spenders::run),
    scenario("flash-crowd", disturbed::flash_crowd),
    scenario("partition", disturbed::partition),
    scenario("giant", capacity::giant),
    scenario("ledger", ledger::run),
    scenario("size", size::run),
];

const fn scenario(name: &'static str, run: fn(Setting) -> Report) -> Scenario {
    Scenario { name, run }
}

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

/// Lets a world live to its end. Where the scenario watches nobody, a few lenders are watched for the plots.
fn live(mut spec: WorldSpec, setting: Setting) -> World {
    if spec.watched.is_empty() {
        watch(&mut spec, WATCHED_MAX, OBSERVERS_MAX);
    }
    let until = spec.until;
    let mut world = World::new(spec, setting.threads);
    world.run(until);
    world
}

/// Lets so many hosts note now and then what they think of so many lenders; half of these are cheats, where there are some.
fn watch(spec: &mut WorldSpec, watched: usize, observers: usize) {
    let (honest, dishonest): (Vec<u32>, Vec<u32>) = (0..)
        .zip(&spec.hosts)
        .filter(|(_, host)| host.lends.is_some())
        .map(|(index, _)| index)
        .partition(|index| spec.hosts[*index as usize].is_honest());
    let cheats = dishonest.len().min(watched / 2);
    spec.watched = honest.into_iter().take(watched - cheats).collect();
    spec.watched.extend(dishonest.into_iter().take(cheats));
    let every = spec.hosts.len().div_ceil(observers).max(1);
    let hosts = || (0..spec.hosts.len() as u32).step_by(every);
    let times = (spec.asking.start..=spec.asking.end + OBSERVE_MS).step_by(OBSERVE_MS as usize);
    spec.acts
        .extend(times.flat_map(|at| hosts().map(move |host| (at, host, Act::Observe))));
}

/// Changes every so-manyth of the hosts that `choose` picks; returns their numbers.
fn change(
    spec: &mut WorldSpec,
    every: usize,
    choose: impl Fn(&HostSpec) -> bool,
    change: impl Fn(&mut HostSpec),
) -> Vec<u32> {
    let chosen = spec.hosts.iter_mut().enumerate().filter(|(_, host)| choose(host));
    let chosen = chosen.step_by(every).map(|(index, host)| {
        change(host);
        index as u32
    });
    chosen.collect()
}

/// A report with what every scenario shows of its world.
fn begin(name: &str, setting: Setting, summary: &Summary<'_>) -> Report {
    let mut report = Report::new(name, setting.nodes, setting.seed);
    report.plots = Curves::new().add("all hosts", summary).plots();
    report.row("requests", summary.requests.len());
    report.row("served", summary.served().count());
    report.row("served in time", summary.in_time().count());
    for (reason, count) in summary.failures() {
        report.row(&format!("not served: {reason}"), count);
    }
    for (reason, count) in summary.refusals() {
        report.row(&format!("quotes refused: {reason}"), count);
    }
    let paid: u32 = summary.world.hosts().map(|host| host.tally.paid).sum();
    report.row("receipts (second opinions included)", paid);
    let frames = summary.per_trade(|tally| tally.to_peers);
    report.row("frames between peers, per trade", format!("{frames:.1}"));
    for (kind, sent) in summary.asked_per_trade() {
        report.row(
            &format!("requests to peers, per trade: {kind}"),
            format!("{sent:.2}"),
        );
    }
    let dials = summary.per_trade(|tally| tally.dials);
    report.row("connections asked for, per trade", format!("{dials:.2}"));
    let hang_ups = summary.per_trade(|tally| tally.hang_ups);
    report.row(
        "connections closed to make room, per trade",
        format!("{hang_ups:.2}"),
    );
    let to_relays = summary.per_trade(|tally| tally.to_relays);
    report.row(
        "requests to discovery points, per trade",
        format!("{to_relays:.1}"),
    );
    let effort = Effort::of(summary);
    report.row("extra work", percent(effort.extra()));
    for (what, part) in effort.parts() {
        report.row(&format!("extra work: {what}"), percent(part));
    }
    let hedged: u32 = summary.world.hosts().map(|host| host.requests.hedged).sum();
    report.row("orders given twice because of a late provider", hedged);
    sound(&mut report, summary);
    report
}

/// What must hold in every world: balances cancel out, and whatever was stored can be read.
fn sound(report: &mut Report, summary: &Summary<'_>) {
    report.traced(summary.world.trace());
    let all = Summary::new(summary.world);
    report.trades += all.served().count() as u64;
    report.never(
        "a request that never ends although its host stays up",
        all.ended(&End::Open) as u64,
    );
    let (settled, pending) = summary.balances();
    report.sum("half-signed at the end, millicredits", pending);
    // Whoever went back to a backup has lost its own side of what it signed since.
    if !summary.world.hosts().any(|host| host.spec().conduct.forks) {
        report.never("balances off zero, millicredits", settled.unsigned_abs());
    }
    let unreadable = summary
        .world
        .hosts()
        .map(|host| u64::from(host.tally.times_unreadable));
    report.never("a node that cannot read its own storage", unreadable.sum());
}

/// The welfare of this world against the upper bound and the simpler markets.
fn welfare(report: &mut Report, summary: &Summary<'_>, rivals: bool) {
    let span_ms = match (summary.requests.first(), summary.requests.last()) {
        (Some(first), Some(last)) => last.at - first.at + u64::from(town::DEADLINE_MS),
        _ => 0,
    };
    let others = compare(&summary.requests, &summary.supplies(), span_ms, report.seed);
    let own = summary.welfare();
    report.row("welfare, millicredits", format!("{own:.0}"));
    report.row("welfare: upper bound", format!("{:.0}", others.bound));
    report.check(
        "welfare over the upper bound",
        "×",
        share(own, others.bound),
        Bound::AtLeast(0.9),
    );
    let rivals = rivals.then_some([
        ("random choice", others.random),
        ("cheapest of four", others.cheapest),
        ("one queue for all", others.queue),
    ]);
    for (name, other) in rivals.into_iter().flatten() {
        report.row(&format!("welfare: {name}"), format!("{other:.0}"));
        report.check(
            &format!("welfare over {name}"),
            "×",
            share(own, other),
            Bound::Above(1.05),
        );
    }
}

fn served_in_time(report: &mut Report, summary: &Summary<'_>) {
    let served = summary.served_share();
    report.check(
        "served in time, of those who stay and can pay",
        "",
        served,
        Bound::AtLeast(0.99),
    );
}

fn predicted(report: &mut Report, summary: &Summary<'_>) {
    report.row(
        "predicted over actual time, median",
        format!("{:.3}", summary.predicted_over_actual()),
    );
    report.check(
        "predicted and actual time, median difference",
        "",
        summary.prediction_error(),
        Bound::AtMost(0.25),
    );
}

fn percent(part: f64) -> String {
    format!("{:.2} %", part * 100.0)
}
