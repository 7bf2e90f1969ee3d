//! Fake identities, ten to one: each cheat's machine lends under ten names, and the names praise each other with trades
//! that never took any work. The bound is for the whole run; a row shows the second half, when there are records.

use crate::check::{Bound, share};
use crate::effort::{Kind, Piece, pieces};
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
    let whole = Shares::of(&world, &all, false);
    let late = Shares::of(&world, &all, true);
    for (when, shares) in [("whole run", &whole), ("second half", &late)] {
        let mut row = |name: &str, value: f64| report.row(&format!("{when}: {name}"), format!("{value:.4}"));
        row("their share of outsiders' jobs", shares.jobs);
        row("their share of work that outsiders verified", shares.work);
    }
    gains(&mut report, &world, &all);
    report.check(
        "share of jobs over share of verified work",
        "×",
        whole.over_work(),
        Bound::AtMost(1.0),
    );
    report.row("second half: the same", format!("{:.4}", late.over_work()));
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

/// What part of the market is the coalition's.
struct Shares {
    /// Of the jobs that outsiders gave.
    jobs: f64,
    /// Of the work that outsiders checked and found right: whole requests and samples, known answers included.
    work: f64,
}

impl Shares {
    /// Their part of the jobs over their part of the verified work; jobs without any verified work are beyond every bound.
    fn over_work(&self) -> f64 {
        match self.work > 0.0 || self.jobs == 0.0 {
            true => share(self.jobs, self.work),
            false => f64::INFINITY,
        }
    }

    fn of(world: &World, all: &Coalition, late_only: bool) -> Self {
        let then = |at: Millis| !late_only || world.shared().is_late(at);
        let given = || {
            let hosts = world.hosts().filter(|host| host.spec().is_honest());
            let given = hosts.flat_map(|host| &host.requests.given);
            given.filter(|(at, _)| then(*at))
        };
        let count = given().filter(|(_, provider)| all.contains(*provider)).count() as f64;
        let requests = Summary::new(world).of_honest();
        let requests = if late_only { requests.late() } else { requests };
        let verified: Vec<Piece> = pieces(&requests)
            .into_iter()
            .filter(|piece| matches!(piece.kind, Kind::Accepted { verified: true } | Kind::Sample))
            .collect();
        let tokens = |inside: bool| -> f64 {
            let theirs = verified
                .iter()
                .filter(|piece| !inside || all.contains(piece.provider));
            theirs
                .map(|piece| (piece.tokens + piece.probe_tokens) as f64)
                .sum()
        };
        Self {
            jobs: share(count, given().count() as f64),
            work: share(tokens(true), tokens(false)),
        }
    }
}
