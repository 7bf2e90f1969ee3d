//! One host in ten calls every right result wrong, and does not pay. The same town without them is what it is compared with.

use std::collections::BTreeMap;

use crate::check::{Bound, median, share};
use crate::curves::Curves;
use crate::event::Act;
use crate::report::Report;
use crate::scenario::{Setting, begin, change, live, sound};
use crate::spec::WorldSpec;
use crate::summary::Summary;
use crate::town::{LENDERS, town};
use crate::world::World;

const EVERY: usize = 10;
/// Lenders that everyone is asked about.
const WATCHED_MAX: u32 = 20;
/// A mean of fewer says more of who they are than of whom they judge.
const OBSERVERS_MIN: u32 = 20;
/// Slander moves nothing by more than this part.
const MOVED_MAX: f64 = 0.05;

pub(super) fn run(setting: Setting) -> Report {
    let calm = live(watched(setting), setting);
    let mut spec = watched(setting);
    let slanderers = change(
        &mut spec,
        EVERY,
        |host| host.lends.is_none(),
        |host| host.conduct.slanders = true,
    );
    let world = live(spec, setting);
    let summary = Summary::new(&world).of_honest();
    let mut report = begin("slander", setting, &summary);
    sound(&mut report, &Summary::new(&calm));
    report.row("slanderers", slanderers.len());
    report.plots = Curves::new()
        .add("without slander", &Summary::new(&calm))
        .add("with slander", &summary)
        .plots();
    scores(&mut report, &calm, &world);
    prices(&mut report, &calm, &world);
    report
}

/// What honest buyers think of honest lenders.
fn scores(report: &mut Report, calm: &World, world: &World) {
    let (before, after) = (Scores::of(calm, world), Scores::of(world, world));
    let moved = |before: f64, after: f64| share((before - after).abs(), before);
    report.row(
        "mean score of honest lenders without slander",
        format!("{:.4}", before.mean()),
    );
    report.row(
        "mean score of honest lenders with it",
        format!("{:.4}", after.mean()),
    );
    report.check(
        "honest peers' scores moved by, on average",
        "",
        moved(before.mean(), after.mean()),
        Bound::Below(MOVED_MAX),
    );
    let known = before.known();
    let both = known.iter().filter_map(|(of, before)| {
        let after = after.known().get(of).copied()?;
        Some(moved(*before, after))
    });
    let moves: Vec<f64> = both.collect();
    report.row(
        "honest lenders that enough know in both worlds",
        format!("{} of {}", moves.len(), world.shared().watched.len()),
    );
    report.check(
        "an honest peer's score moved by, at most",
        "",
        // Of nobody, nothing is shown.
        moves.into_iter().reduce(f64::max).unwrap_or(f64::NAN),
        Bound::Below(MOVED_MAX),
    );
}

/// What slander can really act on: a lender's own standing follows its buyers' verdicts, and its price follows that.
fn prices(report: &mut Report, calm: &World, world: &World) {
    let factors = |world: &World| -> Vec<f64> {
        let factors = world.hosts().map(|host| host.reputation_factor);
        factors.map(|ppm| f64::from(ppm.unwrap_or(0))).collect()
    };
    let pairs = factors(calm).into_iter().zip(factors(world));
    let moves = pairs.filter(|(before, after)| *before > 0.0 && *after > 0.0);
    let moves: Vec<f64> = moves
        .map(|(before, after)| share((before - after).abs(), before))
        .collect();
    report.row(
        "a lender's reputation factor moved by, median",
        format!("{:.4}", median(moves.clone())),
    );
    report.check(
        "a lender's reputation factor moved by, at most",
        "",
        moves.into_iter().reduce(f64::max).unwrap_or(f64::NAN),
        Bound::Below(MOVED_MAX),
    );
    let price = |world: &World| {
        let summary = Summary::new(world);
        median(crate::summary::prices(&summary.served().collect::<Vec<_>>()))
    };
    let (before, after) = (price(calm), price(world));
    report.check(
        "the median price moved by",
        "",
        share((before - after).abs(), before),
        Bound::Below(MOVED_MAX),
    );
}

fn watched(setting: Setting) -> WorldSpec {
    let mut spec = town(setting.nodes, setting.seed);
    spec.watched = (0..setting.nodes)
        .step_by(LENDERS as usize)
        .take(WATCHED_MAX as usize)
        .collect();
    let times = (spec.asking.start..=spec.asking.end + 20_000).step_by(20_000);
    let acts = times.flat_map(|at| (0..setting.nodes).map(move |host| (at, host, Act::Observe)));
    spec.acts.extend(acts);
    spec
}

/// The scores that honest hosts gave the watched ones in the end, by whose they are: their sum and number.
struct Scores(BTreeMap<u32, (f64, u32)>);

impl Scores {
    /// `honest` says who of the world is honest, as the same host may be in one world and not in the other.
    fn of(world: &World, honest: &World) -> Self {
        let opinions = || world.hosts().flat_map(|host| &host.opinions);
        let last = opinions().map(|opinion| opinion.at).max();
        let fair = |by: u32| honest.host(by).is_some_and(|host| host.spec().is_honest());
        let mut scores = BTreeMap::new();
        for opinion in opinions().filter(|opinion| Some(opinion.at) == last && fair(opinion.by)) {
            let (sum, count) = scores.entry(opinion.of).or_insert((0.0, 0));
            *sum += f64::from(opinion.score);
            *count += 1;
        }
        Self(scores)
    }

    fn mean(&self) -> f64 {
        let scores = self.0.values();
        let (sum, count) = scores.fold((0.0, 0), |(sum, count), (s, c)| (sum + s, count + c));
        share(sum, f64::from(count))
    }

    /// The mean score of each of those that enough know.
    fn known(&self) -> BTreeMap<u32, f64> {
        let known = self.0.iter().filter(|(_, (_, count))| *count >= OBSERVERS_MIN);
        let means = known.map(|(of, (sum, count))| (*of, share(*sum, f64::from(*count))));
        means.collect()
    }
}
