//! Fake identities, ten to one: each cheat's machine lends under ten names, and the names praise each other with trades
//! that never took any work.

use crate::check::{Bound, share};
use crate::report::Report;
use crate::scenario::{Setting, begin, live};
use crate::spec::Coalition;
use crate::summary::Summary;
use crate::town::{self, town};

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
    let chosen = || {
        let hosts = world.hosts().filter(|host| host.spec().is_honest());
        hosts.flat_map(|host| &host.requests.chosen)
    };
    let jobs = chosen().filter(|(_, provider)| all.contains(*provider)).count();
    let job_share = share(jobs as f64, chosen().count() as f64);
    let tokens = |inside: bool| -> f64 {
        let verified = outsiders
            .served()
            .filter(|(_, served)| served.right && served.checked);
        let theirs = verified.filter(|(_, served)| !inside || all.contains(served.provider));
        theirs.map(|(request, _)| f64::from(request.tokens)).sum()
    };
    let work_share = share(tokens(true), tokens(false));
    report.row("their share of outsiders' jobs", format!("{job_share:.4}"));
    report.row(
        "their share of work that outsiders verified",
        format!("{work_share:.4}"),
    );
    // Shares are counted on a sample: two standard errors of the number of jobs are allowed for.
    let noise = 2.0 / libm::sqrt((jobs as f64).max(1.0));
    report.check(
        "share of jobs over share of verified work",
        "×",
        share(job_share, work_share),
        Bound::AtMost(1.0 + noise),
    );
    report
}
