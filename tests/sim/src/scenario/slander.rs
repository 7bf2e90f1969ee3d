//! One host in ten calls every right result wrong, and does not pay. The same town without them is what it is compared with.

use crate::check::{Bound, share};
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
    report.plots.push(summary.scores("honest lenders, slandered"));
    let (before, after) = (score(&calm, &slanderers), score(&world, &slanderers));
    report.row(
        "mean score of honest lenders without slander",
        format!("{before:.4}"),
    );
    report.row("mean score of honest lenders with it", format!("{after:.4}"));
    let moved = share((before - after).abs(), before);
    report.check("an honest peer's score moved by", "", moved, Bound::Below(0.05));
    let price = |world: &World| {
        let summary = Summary::new(world);
        crate::check::median(crate::summary::prices(&summary.served().collect::<Vec<_>>()))
    };
    let prices = share(price(&world), price(&calm));
    report.row("prices with slander over prices without", format!("{prices:.3}"));
    report
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

/// What those who are neither lenders under watch nor slanderers think of them in the end.
fn score(world: &World, slanderers: &[u32]) -> f64 {
    let last = world
        .hosts()
        .flat_map(|host| &host.opinions)
        .map(|opinion| opinion.at)
        .max();
    let opinions = world.hosts().flat_map(|host| &host.opinions);
    let fair = opinions.filter(|opinion| Some(opinion.at) == last && !slanderers.contains(&opinion.by));
    let (sum, count) = fair.fold((0.0, 0), |(sum, count), opinion| {
        (sum + f64::from(opinion.score), count + 1)
    });
    share(sum, f64::from(count))
}
