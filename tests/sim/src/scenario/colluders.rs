//! Fake identities, ten to one: each cheat's machine lends under ten names, and the names praise each other with trades
//! that never took any work. The bound is for the whole run; a row shows the second half, when there are records.
//!
//! The coalition gets some hundred jobs of a run, so its share of them and its share of verified work differ by a few percent from
//! luck alone. The bound is broken when the 95 % interval of their ratio lies above it; rows show the ratio itself.

use std::collections::BTreeMap;

use crate::check::{Bound, share};
use crate::effort::{Kind, pieces};
use crate::luck::{Added, Moved, ratio};
use crate::network::Millis;
use crate::record::End;
use crate::report::Report;
use crate::scenario::{Setting, begin, live, percent};
use crate::spec::Coalition;
use crate::summary::Summary;
use crate::town::{self, town};
use crate::world::World;

/// Names of each machine.
const NAMES: u32 = 10;
/// One machine for so many hosts of the town.
const TOWN: u32 = 100;
/// What the machine really computes, split among its names.
const SPEED: u32 = 400;

pub(super) fn run(setting: Setting) -> Report {
    let mut spec = town(setting.nodes, setting.seed);
    let machines = setting.nodes.div_ceil(TOWN);
    let all = Coalition {
        first: setting.nodes - machines * NAMES,
        count: machines * NAMES,
    };
    for host in spec.hosts.iter_mut().skip(all.first as usize) {
        let mut device = town::device(SPEED / NAMES);
        // They claim the whole machine, each.
        device.claimed_speed = SPEED;
        host.lends = Some(device);
        host.conduct.coalition = Some(all);
    }
    let world = live(spec, setting);
    let outsiders = Summary::new(&world).of_honest();
    let mut report = begin("colluders", setting, &outsiders);
    report.row("fake identities", all.count);
    let whole = shares(&world, &all, false);
    let late = shares(&world, &all, true);
    for (when, shares) in [("whole run", &whole), ("second half", &late)] {
        let sum = |of: fn(&Added) -> (f64, f64)| {
            let (part, whole) = shares
                .iter()
                .map(of)
                .fold((0.0, 0.0), |(part, whole), more| (part + more.0, whole + more.1));
            share(part, whole)
        };
        let Moved { by, within } = ratio(shares);
        let mut row = |name: &str, value: String| report.row(&format!("{when}: {name}"), value);
        row(
            "their share of outsiders' jobs",
            format!("{:.4}", sum(|added| added.first)),
        );
        row(
            "their share of work that outsiders verified",
            format!("{:.4}", sum(|added| added.second)),
        );
        row("the one over the other", format!("{by:.4} ± {within:.4}"));
    }
    gains(&mut report, &world, &all);
    let whole = ratio(&whole);
    report.check(
        "share of jobs over share of verified work, beyond luck",
        "×",
        whole.by - whole.within,
        Bound::AtMost(1.0),
    );
    report
}

/// What the coalition has, and what it gets.
fn gains(report: &mut Report, world: &World, all: &Coalition) {
    let earned = |inside: bool| -> f64 {
        let payers = world.hosts().filter(|host| host.spec().is_honest());
        let paid = payers.flat_map(|host| &host.requests.all);
        let prices = paid.filter_map(|request| match &request.end {
            End::Served(served) if !inside || all.contains(served.provider) => Some(served.price as f64),
            _ => None,
        });
        prices.sum()
    };
    let capacity = |inside: bool| -> f64 {
        let lenders = world.hosts().filter(|host| !inside || all.contains(host.index()));
        let speeds = lenders.filter_map(|host| host.spec().lends.map(|device| f64::from(device.speed)));
        speeds.sum()
    };
    report.row(
        "their share of capacity",
        percent(share(capacity(true), capacity(false))),
    );
    report.row(
        "their share of what outsiders paid",
        percent(share(earned(true), earned(false))),
    );
}

/// What each outsider adds to the coalition's part of the market: of the jobs that it gave, and of the work, in tokens, that it checked
/// and found right (whole requests and samples, known answers included).
fn shares(world: &World, all: &Coalition, late_only: bool) -> Vec<Added> {
    let then = |at: Millis| !late_only || world.shared().is_late(at);
    let mut outsiders: BTreeMap<u32, Added> = BTreeMap::new();
    for host in world.hosts().filter(|host| host.spec().is_honest()) {
        let added = outsiders.entry(host.index()).or_default();
        for (_, provider) in host.requests.given.iter().filter(|(at, _)| then(*at)) {
            add(&mut added.first, all.contains(*provider), 1.0);
        }
    }
    let requests = Summary::new(world).of_honest();
    let requests = if late_only { requests.late() } else { requests };
    let verified = |kind| matches!(kind, Kind::Accepted { verified: true } | Kind::Sample);
    for piece in pieces(&requests).iter().filter(|piece| verified(piece.kind)) {
        let tokens = (piece.tokens + piece.probe_tokens) as f64;
        let added = outsiders.entry(piece.buyer).or_default();
        add(&mut added.second, all.contains(piece.provider), tokens);
    }
    outsiders.into_values().collect()
}

fn add((part, whole): &mut (f64, f64), inside: bool, amount: f64) {
    *part += if inside { amount } else { 0.0 };
    *whole += amount;
}
