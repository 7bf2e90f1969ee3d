//! Three lenders in ten give wrong results: always, now and then, after a good start, or all the same wrong ones.

use crate::check::{Bound, share};
use crate::engine::Honesty;
use crate::record::End;
use crate::report::Report;
use crate::scenario::{Setting, begin, live, percent, sound};
use crate::summary::Summary;
use crate::town::{GAP_MS, REQUESTS, town};

const STRATEGIES: [(&str, Honesty); 4] = [
    ("always", Honesty::AlwaysWrong),
    ("in a tenth of trades", Honesty::SometimesWrong { ppm: 100_000 }),
    ("after 20 honest trades", Honesty::WrongAfter { activities: 20 }),
    ("colluding", Honesty::Colluding),
];

/// One world for each strategy, twice as long as others; the bounds are for the second half of each, when there are records.
pub(super) fn run(setting: Setting) -> Report {
    let mut report: Option<Report> = None;
    for (strategy, honesty) in STRATEGIES {
        let mut spec = town(setting.nodes, setting.seed);
        let lenders = spec.hosts.iter_mut().filter_map(|host| host.lends.as_mut());
        for (number, device) in lenders.enumerate() {
            if number % 10 < 3 {
                device.honesty = honesty;
            }
        }
        spec.asking.end += REQUESTS * GAP_MS;
        spec.until += REQUESTS * GAP_MS;
        let world = live(spec, setting);
        let summary = Summary::new(&world).of_honest();
        let report = match &mut report {
            Some(report) => {
                sound(report, &summary);
                report
            }
            none => none.insert(begin("cheaters", setting, &summary)),
        };
        outcome(report, strategy, honesty, summary);
    }
    report.unwrap_or_else(|| Report::new("cheaters", setting.nodes, setting.seed))
}

fn outcome(report: &mut Report, strategy: &str, honesty: Honesty, summary: Summary<'_>) {
    let cheats = |host: u32| {
        let spec = summary.world.host(host).map(|host| host.spec());
        spec.is_some_and(|spec| spec.lends.is_some_and(|device| device.honesty == honesty))
    };
    let (cheaters, others): (Vec<_>, Vec<_>) = summary
        .world
        .hosts()
        .filter(|host| host.spec().lends.is_some())
        .partition(|host| cheats(host.index()));
    let income = |hosts: &[&crate::host::Host]| {
        let earned: i64 = hosts.iter().map(|host| host.tally.earned).sum();
        share(earned as f64, hosts.len() as f64)
    };
    let gain = share(income(&cheaters), income(&others));
    report.row(
        &format!("{strategy}: a cheater's income over an honest lender's"),
        format!("{gain:.3}"),
    );
    let cost: i64 = summary
        .requests
        .iter()
        .filter_map(|request| match &request.end {
            End::Served(served) if !served.right => Some(served.price),
            _ => None,
        })
        .sum();
    report.row(&format!("{strategy}: paid for wrong results, millicredits"), cost);
    report.row(
        &format!("{strategy}: wrong, in the whole run"),
        percent(summary.wrong_share()),
    );
    let (extra, in_vain) = summary.late_extra_work();
    report.row(
        &format!("{strategy}: work that came to a wrong result"),
        percent(in_vain),
    );
    let late = summary.late();
    let wrong = late.wrong_share();
    report.check(
        &format!("{strategy}: wrong results accepted"),
        "",
        wrong,
        Bound::Below(0.001),
    );
    report.check(&format!("{strategy}: extra work"), "", extra, Bound::AtMost(0.1));
}
