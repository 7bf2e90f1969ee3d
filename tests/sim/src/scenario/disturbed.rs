//! Honest people in bad times: hosts that crash, a network that parts, demand that explodes.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::check::{Bound, median, share};
use crate::curves::Curves;
use crate::effort::Effort;
use crate::event::Act;
use crate::network::{Millis, Partition};
use crate::report::Report;
use crate::rng::Rng;
use crate::scenario::{Setting, begin, live, percent, predicted, served_in_time, sound};
use crate::spec::WorldSpec;
use crate::summary::{Summary, prices};
use crate::town::{DEADLINE_MS, SETTLING_MS, town};
use crate::world::World;

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

/// For twenty seconds, demand is twenty times what it was, in two towns: one where the crowd wants nearly twice of what all
/// engines can do until its last deadline, and a quieter one where it wants seven tenths of that.
pub(super) fn flash_crowd(setting: Setting) -> Report {
    const TOWNS: [(&str, Millis); 2] = [
        ("a crowd beyond capacity", 20_000),
        ("a crowd within capacity", 50_000),
    ];
    let mut report = Report::new("flash-crowd", setting.nodes, setting.seed);
    let mut curves = Curves::new();
    for (name, gap_ms) in TOWNS {
        let world = crowded(setting, gap_ms);
        let all = Summary::new(&world);
        sound(&mut report, &all);
        curves = curves.add(name, &all);
        let frames = all.per_trade(|tally| tally.to_peers);
        report.row(
            &format!("{name}: frames between peers, per trade"),
            format!("{frames:.1}"),
        );
        served_within_capacity(&mut report, name, &all);
        back_to_normal(&mut report, name, &world);
    }
    report.plots = curves.plots();
    report
}

/// When the crowd is there, by the time at which requests begin.
fn surge(asking_from: Millis) -> Range<Millis> {
    asking_from + 80_000..asking_from + 100_000
}

fn crowded(setting: Setting, gap_ms: Millis) -> World {
    const FACTOR: u64 = 20;
    let mut spec = town(setting.nodes, setting.seed);
    stretch(&mut spec, gap_ms);
    spec.surge = Some((surge(spec.asking.start), FACTOR));
    live(spec, setting)
}

/// Whoever asks before the crowd or after it has the same right to be served, and engines do not wait for the crowd: what was
/// done in time for them is no capacity that the crowd could have had.
fn served_within_capacity(report: &mut Report, name: &str, all: &Summary<'_>) {
    let surge = surge(all.world.shared().asking.start);
    let time = surge.start..surge.end + u64::from(DEADLINE_MS);
    let crowd = Summary::new(all.world).during(surge.clone());
    let done = crowd.in_time().map(|(request, _)| u64::from(request.tokens));
    let done: u64 = done.sum();
    let asked = crowd.requests.iter().map(|request| u64::from(request.tokens));
    let asked: u64 = asked.sum();
    let speed: f64 = crowd.supplies().iter().map(|supply| supply.speed).sum();
    let seconds = (time.end - time.start) as f64 / 1_000.0;
    let others = tokens_of_others(&crowd, time.clone());
    let capacity = speed * seconds;
    let left = capacity - in_time_for_others(all.world, surge, time.clone()) as f64;
    report.row(
        &format!("{name}: served in time, of what capacity allows were nobody else there"),
        format!("{:.4}", share(done as f64, capacity.min(asked as f64))),
    );
    report.row(
        &format!("{name}: asked for, of what capacity allows"),
        format!("{:.2}", asked as f64 / capacity),
    );
    let mut of_capacity = |what: &str, tokens: u64| {
        let share = share(tokens as f64, capacity);
        report.row(&format!("{name}: of capacity, {what}"), percent(share));
        share
    };
    let effort = Effort::begun(&crowd, time);
    let parts = [
        ("what the crowd got in time", done),
        ("what came too late", effort.useful.saturating_sub(done)),
        ("known answers", effort.probes),
        ("second opinions and trials", effort.samples),
        ("given up", effort.given_up + effort.wrong),
        ("others' requests", others),
    ];
    let busy: f64 = parts
        .iter()
        .map(|(what, tokens)| of_capacity(what, *tokens))
        .sum();
    report.row(&format!("{name}: of capacity, idle"), percent(1.0 - busy));
    report.check(
        &format!("{name}: served in time, of what capacity allows"),
        "",
        share(done as f64, left.min(asked as f64)),
        Bound::AtLeast(0.95),
    );
}

/// What engines began to compute in that time for requests from outside the surge that were served in time, known answers not
/// counted.
fn in_time_for_others(world: &World, surge: Range<Millis>, time: Range<Millis>) -> u64 {
    let mut others = Summary::new(world);
    let in_time: BTreeSet<(u32, u32)> = others
        .in_time()
        .map(|(request, _)| (request.buyer, request.number))
        .collect();
    others
        .requests
        .retain(|request| !surge.contains(&request.at) && in_time.contains(&(request.buyer, request.number)));
    Effort::begun(&others, time).useful
}

/// What engines began to compute in that time for other requests than these.
fn tokens_of_others(these: &Summary<'_>, time: Range<Millis>) -> u64 {
    let these_ones = these
        .requests
        .iter()
        .map(|request| (request.buyer, request.number));
    let these_ones: BTreeSet<(u32, u32)> = these_ones.collect();
    let works = these.world.hosts().flat_map(|host| &host.works);
    let others =
        works.filter(|work| time.contains(&work.at) && !these_ones.contains(&(work.buyer, work.request)));
    others
        .map(|work| u64::from(work.item_tokens + work.probe_tokens))
        .sum()
}

fn back_to_normal(report: &mut Report, name: &str, world: &World) {
    let surge = surge(world.shared().asking.start);
    let price = |from: Millis, until: Millis| {
        let then = Summary::new(world).during(from..until);
        median(prices(&then.served().collect::<Vec<_>>()))
    };
    let (before, peak) = (price(0, surge.start), price(surge.start, surge.end + 20_000));
    let after = price(surge.end + 180_000, Millis::MAX);
    report.row(
        &format!("{name}: price before, millicredits for 1,000 tokens"),
        format!("{before:.0}"),
    );
    report.row(&format!("{name}: price in the crowd"), format!("{peak:.0}"));
    report.check(
        &format!("{name}: price afterwards over price before"),
        "×",
        share(after, before),
        Bound::AtMost(1.1),
    );
}
