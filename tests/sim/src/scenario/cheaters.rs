//! Three lenders in ten give wrong results: always, now and then, after a good start, all the same wrong ones, the same
//! although a tenth of all known answers is known to them, right ones but for a single row, or right ones for nothing but
//! known answers.
//!
//! The last two are what probes miss. One known answer among seventeen texts is as likely to be hit as any other row, and
//! whoever recognises all of them is never hit; the second opinions that would find it are rare once there are records, and
//! where three in ten collude they often agree. So no bound is set for how often these succeed: the table says what they cost
//! buyers and what they gain, and the bound is that they earn less than honest work. It is why known answers are secrets.

use crate::check::{Bound, share};
use crate::curves::Curves;
use crate::effort::Effort;
use crate::engine::Honesty;
use crate::record::End;
use crate::report::Report;
use crate::scenario::{Setting, begin, live, percent, sound};
use crate::summary::Summary;
use crate::town::{GAP_MS, ITEM_TOKENS, REQUESTS, town};

const STRATEGIES: [(&str, Honesty); 8] = [
    ("always", Honesty::AlwaysWrong),
    ("in a tenth of trades", Honesty::SometimesWrong { ppm: 100_000 }),
    ("after 20 honest trades", Honesty::WrongAfter { activities: 20 }),
    ("colluding", Honesty::Colluding),
    ("colluding, a tenth recognised", recognises(100_000, true)),
    ("a single row", Honesty::WrongRow),
    ("all recognised", recognises(1_000_000, false)),
    ("colluding, all recognised", recognises(1_000_000, true)),
];

const fn recognises(ppm: u32, colluding: bool) -> Honesty {
    Honesty::Recognises { ppm, colluding }
}

/// Whether probes do not find this strategy.
fn eludes_probes(honesty: Honesty) -> bool {
    matches!(
        honesty,
        Honesty::WrongRow | Honesty::Recognises { ppm: 1_000_000, .. }
    )
}

/// One world for each strategy, twice as long as others; the bounds are for the second half of each, when there are records.
pub(super) fn run(setting: Setting) -> Report {
    let mut report: Option<Report> = None;
    let mut curves = Curves::new();
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
        curves = curves.add(strategy, &summary);
        let report = match &mut report {
            Some(report) => {
                sound(report, &summary);
                report
            }
            none => none.insert(begin("cheaters", setting, &summary)),
        };
        outcome(report, strategy, honesty, summary);
    }
    let mut report = report.unwrap_or_else(|| Report::new("cheaters", setting.nodes, setting.seed));
    report.plots = curves.plots();
    report
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
    let late = summary.late();
    let effort = Effort::of(&late);
    for (what, part) in effort.parts() {
        report.row(&format!("{strategy}: extra work: {what}"), percent(part));
    }
    let wrong = late.wrong_share();
    if eludes_probes(honesty) {
        report.row(&format!("{strategy}: wrong results accepted"), percent(wrong));
        if honesty == Honesty::WrongRow {
            let rows: u32 = late
                .served()
                .map(|(request, _)| request.tokens / ITEM_TOKENS)
                .sum();
            let results = late.served().filter(|(_, served)| !served.right).count();
            report.row(
                &format!("{strategy}: wrong rows accepted"),
                percent(share(results as f64, rows.into())),
            );
        }
        report.check(
            &format!("{strategy}: income over an honest lender's"),
            "×",
            gain,
            Bound::Below(1.0),
        );
    } else {
        report.check(
            &format!("{strategy}: wrong results accepted"),
            "",
            wrong,
            Bound::Below(0.001),
        );
    }
    report.check(
        &format!("{strategy}: extra work"),
        "",
        effort.extra(),
        Bound::AtMost(0.1),
    );
}
