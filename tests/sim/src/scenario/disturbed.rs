//! Honest people in bad times: hosts that crash, a network that parts, demand that explodes.

use crate::check::{Bound, median, share};
use crate::event::Act;
use crate::network::{Millis, Partition};
use crate::report::Report;
use crate::rng::Rng;
use crate::scenario::{Setting, begin, live, predicted, served_in_time};
use crate::spec::WorldSpec;
use crate::summary::{Summary, prices};
use crate::town::{DEADLINE_MS, SETTLING_MS, town};

/// Hosts that leave and return in each hour of a run, in a hundred.
const LEAVING_PERCENT: u64 = 30;
const HOUR_MS: u64 = 3_600_000;
/// Times are stretched so that departures fall between the trades.
const CHURN_GAP_MS: u64 = 60_000;
/// Whoever leaves is back after this long on average, milliseconds.
const AWAY_MS: u64 = 60_000;

/// Three hosts in ten crash within each hour, in the middle of whatever they do, and restart from their storage.
pub(super) fn churn(setting: Setting) -> Report {
    let mut spec = town(setting.nodes, setting.seed);
    stretch(&mut spec, CHURN_GAP_MS);
    let mut rng = Rng::new(setting.seed, "churn", 0);
    let span = spec.asking.end - spec.asking.start;
    let leaving = (u64::from(setting.nodes) * LEAVING_PERCENT * span).div_ceil(100 * HOUR_MS);
    for _ in 0..leaving {
        let host = rng.below(setting.nodes.into()) as u32;
        let at = spec.asking.start + rng.below(span);
        let back = (at + rng.gap(AWAY_MS)).min(spec.asking.end);
        spec.acts.push((at, host, Act::Crash));
        spec.acts.push((back, host, Act::Start));
    }
    set_a_clock_right(&mut spec);
    let world = live(spec, setting);
    let summary = Summary::new(&world);
    let mut report = begin("churn", setting, &summary);
    report.row("crashes", leaving);
    served_in_time(&mut report, &summary);
    predicted(&mut report, &summary);
    report
}

/// The lender whose clock is most ahead is set right in the middle of the run and started anew: all that it stored lies in
/// its future.
fn set_a_clock_right(spec: &mut WorldSpec) {
    let lenders = (0..).zip(&spec.hosts).filter(|(_, host)| host.lends.is_some());
    let Some((ahead, _)) = lenders.max_by_key(|(_, host)| host.skew_ms) else {
        return;
    };
    let at = spec.asking.start.midpoint(spec.asking.end);
    let acts = [Act::SetClock { skew_ms: 0 }, Act::Crash, Act::Start];
    spec.acts
        .extend((at..).step_by(1_000).zip(acts).map(|(at, act)| (at, ahead, act)));
}

/// Requests come slower over a longer time, as many as before.
fn stretch(spec: &mut WorldSpec, gap_ms: u64) {
    let requests = crate::town::REQUESTS;
    for wants in spec.hosts.iter_mut().filter_map(|host| host.wants.as_mut()) {
        wants.gap_ms = gap_ms;
    }
    spec.asking.end = spec.asking.start + requests * gap_ms;
    spec.until = spec.asking.end + SETTLING_MS;
}

/// A third of the hosts is cut off from the others and from discovery for a minute.
pub(super) fn partition(setting: Setting) -> Report {
    let mut spec = town(setting.nodes, setting.seed);
    stretch(&mut spec, CHURN_GAP_MS / 4);
    let from = spec.asking.start + 60_000;
    let parted = Partition {
        from,
        until: from + 60_000,
        first_beyond: setting.nodes / 3,
    };
    spec.links.partitions.push(parted);
    spec.until += SETTLING_MS;
    let world = live(spec, setting);
    let mut report = begin("partition", setting, &Summary::new(&world));
    let during = Summary::new(&world)
        .during(parted.from..parted.until)
        .served_share();
    report.row("served in time while parted", format!("{during:.4}"));
    // Half a minute until broken exchanges have run out and connections stand again.
    let after = Summary::new(&world).during(parted.until + 30_000..Millis::MAX);
    served_in_time(&mut report, &after);
    let (_, pending) = after.balances();
    report.never(
        "payments half signed long after, millicredits",
        pending.unsigned_abs(),
    );
    report
}

/// For twenty seconds, demand is twenty times what it was: more than all engines can do in that time, and about seven tenths
/// of what they can do until the last deadline has passed.
pub(super) fn flash_crowd(setting: Setting) -> Report {
    const FACTOR: u64 = 20;
    let mut spec = town(setting.nodes, setting.seed);
    stretch(&mut spec, 50_000);
    let surge = spec.asking.start + 80_000..spec.asking.start + 100_000;
    spec.surge = Some((surge.clone(), FACTOR));
    let world = live(spec, setting);
    let all = Summary::new(&world);
    let mut report = begin("flash-crowd", setting, &all);
    let crowd = Summary::new(&world).during(surge.clone());
    let done: u64 = crowd
        .in_time()
        .map(|(request, _)| u64::from(request.tokens))
        .sum();
    let asked: u64 = crowd
        .requests
        .iter()
        .map(|request| u64::from(request.tokens))
        .sum();
    let speed: f64 = crowd.supplies().iter().map(|supply| supply.speed).sum();
    let seconds = (surge.end - surge.start + u64::from(DEADLINE_MS)) as f64 / 1_000.0;
    let allowed = (speed * seconds).min(asked as f64);
    report.row(
        "asked for in the crowd, of what capacity allows",
        format!("{:.2}", asked as f64 / (speed * seconds)),
    );
    report.check(
        "served in time, of what capacity allows",
        "",
        share(done as f64, allowed),
        Bound::AtLeast(0.95),
    );
    let price = |from: Millis, until: Millis| {
        let then = Summary::new(&world).during(from..until);
        median(prices(&then.served().collect::<Vec<_>>()))
    };
    let (before, peak) = (price(0, surge.start), price(surge.start, surge.end + 20_000));
    let after = price(surge.end + 180_000, Millis::MAX);
    report.row(
        "price before, millicredits for 1,000 tokens",
        format!("{before:.0}"),
    );
    report.row("price in the crowd", format!("{peak:.0}"));
    report.check(
        "price afterwards over price before",
        "×",
        share(after, before),
        Bound::AtMost(1.1),
    );
    report
}
