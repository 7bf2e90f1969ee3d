//! Double spenders: they keep a backup, begin from it with a randomness of their choice, spend, and begin from it once more
//! with the same. Each run of a node draws the epoch that it signs in, so going back once contradicts nothing, and it asks
//! others for what it has lost. Going back twice to one state with one randomness, and asking nobody, puts two blocks of theirs
//! in one place of their chain, again and again.

use std::collections::BTreeMap;

use node_proto::Millicredits;

use crate::check::Bound;
use crate::event::Act;
use crate::network::Millis;
use crate::report::Report;
use crate::scenario::{Setting, begin, live};
use crate::summary::Summary;
use crate::town::{LENDERS, UNLIMITED, town};

/// One host in so many, and not more than a few: each is asked about by every lender.
const EVERY: u32 = 50;
const SPENDERS_MAX: u32 = 8;
/// They spend fast.
const GAP_MS: u64 = 1_000;
/// What one stranger may owe, so that a run of minutes reaches it.
const CAP: Millicredits = Millicredits(1_000);
/// Lenders that are asked about, too.
const WATCHED: usize = 4;
/// Lenders are asked this often, milliseconds.
const LOOK_MS: u64 = 2_000;
/// ConTrib's reference is 22 s; the bound is 20 s.
const DETECTION_S_MAX: f64 = 20.0;

pub(super) fn run(setting: Setting) -> Report {
    let mut spec = town(setting.nodes, setting.seed);
    let backup = spec.asking.start + 20_000;
    let rollback = backup + 20_000;
    // Neighbours of lenders, never lenders themselves.
    let spenders: Vec<u32> = (1..setting.nodes)
        .step_by(EVERY as usize)
        .take(SPENDERS_MAX as usize)
        .collect();
    for host in &mut spec.hosts {
        host.config.stranger_pair_max = CAP;
    }
    for spender in &spenders {
        let host = &mut spec.hosts[*spender as usize];
        host.conduct.forks = true;
        host.config.newcomer_allowance = UNLIMITED;
        if let Some(wants) = &mut host.wants {
            wants.gap_ms = GAP_MS;
        }
        spec.acts.push((backup, *spender, Act::Backup));
        spec.acts.push((backup + 1, *spender, Act::Rollback));
        spec.acts.push((rollback, *spender, Act::Rollback));
    }
    spec.watched.clone_from(&spenders);
    // And a few lenders beside them, to compare with.
    spec.watched
        .extend((0..setting.nodes).step_by(LENDERS as usize).take(WATCHED));
    let times = (rollback..spec.asking.end + 40_000).step_by(LOOK_MS as usize);
    let lenders = (0..setting.nodes).step_by(LENDERS as usize);
    spec.acts
        .extend(times.flat_map(|at| lenders.clone().map(move |host| (at, host, Act::Observe))));
    let world = live(spec, setting);
    let summary = Summary::new(&world).of_honest();
    let mut report = begin("double-spenders", setting, &summary);
    report.row("double spenders", spenders.len());
    judge(&mut report, &Summary::new(&world), &spenders, rollback);
    report
}

fn judge(report: &mut Report, summary: &Summary<'_>, spenders: &[u32], rollback: Millis) {
    let lenders = || summary.world.hosts().filter(|host| host.spec().lends.is_some());
    // The contradiction is in the world when the first payment after the second return is answered.
    let mut forked: BTreeMap<u32, Millis> = BTreeMap::new();
    for (request, served) in summary.served().filter(|(request, _)| request.at >= rollback) {
        if spenders.contains(&request.buyer) {
            let first = forked.entry(request.buyer).or_insert(served.at);
            *first = (*first).min(served.at);
        }
    }
    let convicted = |spender: u32| {
        let opinions = lenders().flat_map(|host| &host.opinions);
        let those = opinions.filter(|opinion| opinion.of == spender && opinion.convicted);
        those.map(|opinion| opinion.at).min()
    };
    report.row("of them contradicted themselves", forked.len());
    let mut slowest: f64 = 0.0;
    let mut after = 0;
    for (spender, at) in &forked {
        let Some(detected) = convicted(*spender) else {
            slowest = f64::INFINITY;
            continue;
        };
        slowest = slowest.max(detected.saturating_sub(*at) as f64 / 1_000.0);
        let told = detected + (DETECTION_S_MAX * 1_000.0) as u64;
        let dealings = lenders().filter_map(|host| host.dealings.get(spender));
        after += dealings.filter(|dealing| dealing.last_at > told).count() as u64;
    }
    report.check(
        "time from the contradiction to its proof",
        "s",
        slowest,
        Bound::AtMost(DETECTION_S_MAX),
    );
    report.never(
        "lenders that served one later than that after the first proof",
        after,
    );
    report.never(
        "work begun by a lender that holds the proof itself",
        lenders().map(|host| host.tally.for_convicts).sum(),
    );
    // Their payments are debts, and worth nothing from whoever signs them twice: all that was delivered is gained.
    let taken: Vec<(i64, i64)> = lenders()
        .flat_map(|host| {
            let spenders = spenders.iter();
            spenders.map(move |spender| host.taken_by(summary.world.host(*spender)))
        })
        .collect();
    let most = |part: fn(&(i64, i64)) -> i64| taken.iter().map(part).max().unwrap_or(0) as f64;
    let all: i64 = taken.iter().map(|(delivered, _)| delivered).sum();
    report.row("delivered to all of them, millicredits", all);
    report.row(
        "most delivered and not even promised to be paid, of the cap",
        format!("{:.4}", most(|(_, unpaid)| *unpaid) / CAP.0 as f64),
    );
    report.check(
        "most delivered to one by one victim, of the cap",
        "×",
        most(|(delivered, _)| *delivered) / CAP.0 as f64,
        Bound::AtMost(1.0),
    );
}
