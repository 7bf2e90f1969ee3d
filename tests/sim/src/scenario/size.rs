//! The same town at a hundredth, a tenth and the whole of its size: what grows with the number of hosts?

use crate::check::{Bound, share};
use crate::report::Report;
use crate::scenario::{Setting, live, sound};
use crate::summary::Summary;
use crate::town::town;

/// A town of 20 lenders is the smallest in which there is a choice.
const NODES_MIN: u32 = 100;
/// How much more a trade may take in the largest than in the smallest; what is left is noise.
const GROWTH_MAX: f64 = 1.1;

pub(super) fn run(setting: Setting) -> Report {
    let mut report = Report::new("size", setting.nodes, setting.seed);
    let sizes = [100, 10, 1].map(|part| (setting.nodes / part).max(NODES_MIN));
    let frames = sizes.map(|nodes| {
        let world = live(town(nodes, setting.seed), setting);
        let summary = Summary::new(&world);
        let trades = summary.served().count() as f64;
        let relays: u64 = world.hosts().map(|host| host.tally.to_relays).sum();
        let bytes: u64 = world.hosts().map(|host| host.tally.bytes).sum();
        report.row(&format!("{nodes} hosts: trades"), trades);
        let per_trade = summary.messages_per_trade();
        report.row(
            &format!("{nodes} hosts: frames between peers, per trade"),
            format!("{per_trade:.1}"),
        );
        let asked = share(relays as f64, trades);
        report.row(
            &format!("{nodes} hosts: requests to discovery points, per trade"),
            format!("{asked:.1}"),
        );
        let kilobytes = share(bytes as f64, trades) / 1_000.0;
        report.row(
            &format!("{nodes} hosts: kilobytes, per trade"),
            format!("{kilobytes:.1}"),
        );
        sound(&mut report, &summary);
        per_trade
    });
    let growth = share(frames[2], frames[0]);
    report.check(
        "frames per trade, largest over smallest",
        "×",
        growth,
        Bound::AtMost(GROWTH_MAX),
    );
    report
}
