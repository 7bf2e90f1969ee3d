//! Devices that are not what others take them for, or far larger than the rest.

use crate::check::{Bound, share};
use crate::host::Host;
use crate::report::Report;
use crate::scenario::{Setting, begin, live, percent, predicted, served_in_time, welfare};
use crate::summary::Summary;
use crate::town::town;

/// One lender in so many lies.
const EVERY: usize = 10;
/// What it claims over what it has.
const LIE: u32 = 10;
/// The giant's speed over the mean of the others.
const GIANT: u32 = 100;

/// One lender in ten claims ten times its speed.
pub(super) fn liars(setting: Setting) -> Report {
    let mut spec = town(setting.nodes, setting.seed);
    let lenders = spec.hosts.iter_mut().filter_map(|host| host.lends.as_mut());
    for device in lenders.step_by(EVERY) {
        device.claimed_speed = device.speed * LIE;
    }
    let world = live(spec, setting);
    let summary = Summary::new(&world);
    let mut report = begin("capacity-liars", setting, &summary);
    let lies = |host: &&Host| {
        host.spec()
            .lends
            .is_some_and(|device| device.claimed_speed > device.speed)
    };
    let lenders = || world.hosts().filter(|host| host.spec().lends.is_some());
    let speed = |host: &Host| host.spec().lends.map_or(0.0, |device| f64::from(device.speed));
    let chosen = |late: bool, of: &dyn Fn(u32) -> bool| -> f64 {
        let all = world.hosts().flat_map(|host| &host.requests.given);
        let then = all.filter(|(at, host)| (!late || world.shared().is_late(*at)) && of(*host));
        then.count() as f64
    };
    let is_liar = |host: u32| world.host(host).as_ref().is_some_and(lies);
    let capacity = share(
        lenders().filter(lies).map(speed).sum(),
        lenders().map(speed).sum(),
    );
    let traffic = |late| share(chosen(late, &is_liar), chosen(late, &|_| true));
    report.row("their share of capacity", percent(capacity));
    report.row("their share of traffic", percent(traffic(false)));
    report.row(
        "their share of traffic in the second half",
        percent(traffic(true)),
    );
    report.check(
        "traffic over what true capacity earns",
        "×",
        share(traffic(false), capacity),
        Bound::AtMost(1.2),
    );
    let earned = |liar: bool| -> f64 {
        let those = || lenders().filter(move |host| lies(host) == liar);
        share(
            those().map(|host| host.tally.earned as f64).sum(),
            those().map(speed).sum(),
        )
    };
    report.row(
        "their income for each unit of speed, over others'",
        format!("{:.3}", share(earned(true), earned(false))),
    );
    served_in_time(&mut report, &summary);
    predicted(&mut report, &summary);
    report
}

/// One lender has a hundred times the speed of the others: what is left for them, and is it worse for anyone?
pub(super) fn giant(setting: Setting) -> Report {
    let mut spec = town(setting.nodes, setting.seed);
    if let Some(device) = spec.hosts.iter_mut().find_map(|host| host.lends.as_mut()) {
        device.speed = 350 * GIANT;
        device.claimed_speed = device.speed;
    }
    let world = live(spec, setting);
    let summary = Summary::new(&world);
    let mut report = begin("giant", setting, &summary);
    let tokens = |host: &Host| host.tally.work_tokens as f64;
    let largest = world.hosts().map(tokens).fold(0.0, f64::max);
    let all: f64 = world.hosts().map(tokens).sum();
    report.row("the giant's share of all work", percent(share(largest, all)));
    let idle = world
        .hosts()
        .filter(|host| host.spec().lends.is_some() && host.tally.works == 0);
    report.row("lenders without any work", idle.count());
    welfare(&mut report, &summary, false);
    served_in_time(&mut report, &summary);
    report
}
