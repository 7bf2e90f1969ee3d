//! The same town at a hundred hosts and at ten times as many, up to what `--nodes` says: what grows with their number?
//!
//! A hundred hosts take 87 MB at their peak (`--scenario honest --nodes 100`), so a hundred thousand take a hundred gigabytes
//! or so; whoever has them asks for `--scenario size --nodes 100000`.

use crate::check::{Bound, share};
use crate::curves::Curves;
use crate::report::Report;
use crate::scenario::{Setting, live, sound};
use crate::summary::Summary;
use crate::town::town;

/// A town of 20 lenders is the smallest in which there is a choice.
const NODES_MIN: u32 = 100;
/// How much more a trade may take in the largest than in the smallest; what is left is noise.
const GROWTH_MAX: f64 = 1.1;

/// What grows, or does not.
const MEASURES: [&str; 3] = [
    "frames between peers",
    "requests to discovery points",
    "kilobytes",
];

pub(super) fn run(setting: Setting) -> Report {
    let mut report = Report::new("size", setting.nodes, setting.seed);
    let larger = std::iter::successors(Some(NODES_MIN), |nodes| nodes.checked_mul(10));
    let mut curves = Curves::new();
    let mut sizes: Vec<[f64; 3]> = Vec::new();
    for nodes in larger.take_while(|nodes| *nodes <= setting.nodes.max(NODES_MIN)) {
        let world = live(town(nodes, setting.seed), setting);
        let summary = Summary::new(&world);
        report.row(&format!("{nodes} hosts: trades"), summary.served().count());
        let per_trade = [
            summary.per_trade(|tally| tally.to_peers),
            summary.per_trade(|tally| tally.to_relays),
            summary.per_trade(|tally| tally.bytes) / 1_000.0,
        ];
        for (name, value) in MEASURES.iter().zip(per_trade) {
            report.row(
                &format!("{nodes} hosts: {name}, per trade"),
                format!("{value:.2}"),
            );
        }
        // Where there are no more than a few providers everyone is connected to all of them soon.
        let dials = summary.per_trade(|tally| tally.dials);
        report.row(
            &format!("{nodes} hosts: connections asked for, per trade"),
            format!("{dials:.2}"),
        );
        sound(&mut report, &summary);
        curves = curves.add(&format!("{nodes} hosts"), &summary);
        sizes.push(per_trade);
    }
    report.plots = curves.plots();
    let (Some(smallest), Some(largest)) = (sizes.first(), sizes.last()) else {
        return report;
    };
    for (name, (after, before)) in MEASURES.iter().zip(largest.iter().zip(smallest)) {
        report.check(
            &format!("{name} per trade, largest over smallest"),
            "×",
            share(*after, *before),
            Bound::AtMost(GROWTH_MAX),
        );
    }
    report
}
