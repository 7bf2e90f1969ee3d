//! One host in ten calls every right result wrong, and does not pay. The same town without them is what scores are compared
//! with; prices, with a town in which they ask for as much as they took and pay for it. As two towns differ by luck alone, each
//! lives several times.

use std::collections::BTreeMap;

use crate::check::{Bound, median, share};
use crate::curves::Curves;
use crate::event::Act;
use crate::luck::{Moved, Subject, moved};
use crate::report::Report;
use crate::rng::mix;
use crate::scenario::{Setting, begin, change, live, sound};
use crate::spec::WorldSpec;
use crate::summary::{Summary, prices};
use crate::town::{LENDERS, town};
use crate::world::World;

const EVERY: usize = 10;
/// Lenders that everyone is asked about.
const WATCHED_MAX: u32 = 20;
/// A mean of fewer says more of who they are than of whom they judge.
const OBSERVERS_MIN: u32 = 20;
/// Slander moves nothing by more than this part.
const MOVED_MAX: f64 = 0.05;
/// Towns of each kind: so many hosts altogether, within these bounds.
const HOSTS: u32 = 6_000;
const TOWNS_MIN: u32 = 2;
const TOWNS_MAX: u32 = 6;

pub(super) fn run(setting: Setting) -> Report {
    let mut seen = Comparison::default();
    let first = Pair::live(setting, 0);
    let mut report = first.begin(setting);
    seen.add(&first);
    drop(first);
    for luck in 1..(HOSTS / setting.nodes.max(1)).clamp(TOWNS_MIN, TOWNS_MAX) {
        let pair = Pair::live(setting, luck);
        sound(&mut report, &Summary::new(&pair.calm));
        sound(&mut report, &Summary::new(&pair.slandered));
        seen.add(&pair);
    }
    seen.judge(&mut report);
    report
}

/// A town without slander and the same with it, and one in which the slanderers ask for as much as they took, and pay.
struct Pair {
    calm: World,
    slandered: World,
    paying: World,
    slanderers: usize,
}

impl Pair {
    fn live(setting: Setting, luck: u32) -> Self {
        let mut spec = watched(setting, luck);
        let slanderers = change(
            &mut spec,
            EVERY,
            |host| host.lends.is_none(),
            |host| host.conduct.slanders = true,
        );
        let calm = live(watched(setting, luck), setting);
        let slandered = live(spec, setting);
        let taken = |world| tokens_for(world, &slanderers);
        let greed = share(taken(&slandered) as f64, taken(&calm) as f64);
        let mut spec = watched(setting, luck);
        for host in &slanderers {
            let wants = spec.hosts[*host as usize].wants.as_mut();
            if let Some(wants) = wants.filter(|_| greed > 0.0) {
                wants.gap_ms = (wants.gap_ms as f64 / greed) as u64;
            }
        }
        let paying = live(spec, setting);
        Self {
            calm,
            slandered,
            paying,
            slanderers: slanderers.len(),
        }
    }

    fn begin(&self, setting: Setting) -> Report {
        let summary = Summary::new(&self.slandered).of_honest();
        let mut report = begin("slander", setting, &summary);
        sound(&mut report, &Summary::new(&self.calm));
        report.row("slanderers", self.slanderers);
        report.plots = Curves::new()
            .add("without slander", &Summary::new(&self.calm))
            .add("with slander", &summary)
            .plots();
        report
    }

    /// Whoever slanders in the one world is left out in both.
    fn is_honest(&self, host: u32) -> bool {
        let host = self.slandered.host(host);
        host.is_some_and(|host| host.spec().is_honest())
    }
}

/// What engines computed for these hosts, tokens.
fn tokens_for(world: &World, buyers: &[u32]) -> u64 {
    let works = world.hosts().flat_map(|host| &host.works);
    let theirs = works.filter(|work| buyers.contains(&work.buyer));
    theirs
        .map(|work| u64::from(work.item_tokens + work.probe_tokens))
        .sum()
}

/// The town of the setting, with another luck: who lives there stays, what happens to them does not.
fn watched(setting: Setting, luck: u32) -> WorldSpec {
    let mut spec = town(setting.nodes, setting.seed);
    if luck > 0 {
        spec.seed = mix(setting.seed ^ mix(luck.into()));
    }
    spec.watched = (0..setting.nodes)
        .step_by(LENDERS as usize)
        .take(WATCHED_MAX as usize)
        .collect();
    let times = (spec.asking.start..=spec.asking.end + 20_000).step_by(20_000);
    let acts = times.flat_map(|at| (0..setting.nodes).map(move |host| (at, host, Act::Observe)));
    spec.acts.extend(acts);
    spec
}

/// What was seen of the towns of both kinds.
#[derive(Default)]
struct Comparison {
    /// What honest hosts thought of all watched lenders, on average.
    mean: Subject,
    /// What they thought of each.
    scores: BTreeMap<u32, Subject>,
    /// What each lender's standing did to its price.
    factors: BTreeMap<u32, Subject>,
    /// The median price beside that of the paying town: slanderers ask again elsewhere and take engine time that others would
    /// have had, and what is scarce costs more, whoever takes it.
    price: Subject,
    /// The same beside that of the calm town.
    price_of_calm: Subject,
}

impl Comparison {
    fn add(&mut self, pair: &Pair) {
        self.add_world(pair, &pair.calm, |subject| &mut subject.without);
        self.add_world(pair, &pair.slandered, |subject| &mut subject.with);
        let price = |world| {
            let summary = Summary::new(world);
            let served: Vec<_> = summary.served().collect();
            median(prices(&served))
        };
        self.price_of_calm.without.push(price(&pair.calm));
        self.price_of_calm.with.push(price(&pair.slandered));
        self.price.without.push(price(&pair.paying));
        self.price.with.push(price(&pair.slandered));
    }

    fn add_world(&mut self, pair: &Pair, world: &World, side: impl Fn(&mut Subject) -> &mut Vec<f64>) {
        let opinions = || world.hosts().flat_map(|host| &host.opinions);
        let last = opinions().map(|opinion| opinion.at).max();
        let mut scores: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for opinion in opinions().filter(|opinion| Some(opinion.at) == last && pair.is_honest(opinion.by)) {
            scores.entry(opinion.of).or_default().push(opinion.score.into());
        }
        let mean = |scores: &[f64]| share(scores.iter().sum(), scores.len() as f64);
        let all: Vec<f64> = scores.values().flatten().copied().collect();
        side(&mut self.mean).push(mean(&all));
        for (of, scores) in scores {
            if scores.len() >= OBSERVERS_MIN as usize {
                side(self.scores.entry(of).or_default()).push(mean(&scores));
            }
        }
        for (index, host) in (0..).zip(world.hosts()) {
            if let Some(factor) = host.reputation_factor {
                side(self.factors.entry(index).or_default()).push(factor.into());
            }
        }
    }

    fn judge(self, report: &mut Report) {
        report.row("towns of each kind", self.price.with.len());
        largest(
            report,
            "the median price, with what they took unpaid",
            &moved(&[self.price_of_calm]),
        );
        judge(report, "honest peers' scores, on average", vec![self.mean]);
        judge(
            report,
            "an honest peer's score",
            self.scores.into_values().collect(),
        );
        judge(
            report,
            "a lender's reputation factor",
            self.factors.into_values().collect(),
        );
        judge(report, "the median price", vec![self.price]);
    }
}

/// The largest move, and the bound that it must not surely break.
fn judge(report: &mut Report, what: &str, subjects: Vec<Subject>) {
    let moves = moved(&subjects);
    largest(report, what, &moves);
    // Of nobody, nothing is shown.
    let surely = moves.iter().map(Moved::at_least).reduce(f64::max);
    report.check(
        &format!("{what} moved, surely, by at most"),
        "",
        surely.unwrap_or(f64::NAN),
        Bound::Below(MOVED_MAX),
    );
}

fn largest(report: &mut Report, what: &str, moves: &[Moved]) {
    let largest = moves.iter().max_by(|a, b| a.by.abs().total_cmp(&b.by.abs()));
    if let Some(Moved { by, within }) = largest {
        let name = format!("{what}: the largest of {} moves", moves.len());
        report.row(&name, format!("{by:+.4} ± {within:.4}"));
    }
}
