//! Hosts that take and never pay: under one name or under many, silently or by calling right results wrong, and all of
//! these together, since it is their sum that a provider's pool bounds.

use node_proto::Millicredits;

use crate::check::{Bound, share};
use crate::host::Host;
use crate::report::Report;
use crate::scenario::{Setting, begin, change, live};
use crate::spec::Conduct;
use crate::summary::Summary;
use crate::town::{UNLIMITED, town};

/// One host in so many rides free.
const EVERY: usize = 10;
/// A rider asks so many times as often as others.
const GREED: u64 = 10;
/// A small pool, so that a run of minutes can exhaust it: what the default stands for, a fortieth in size.
const POOL: Millicredits = Millicredits(2_500);
const PAIR: Millicredits = Millicredits(500);

/// Payments never leave.
const KEEPS: Conduct = Conduct {
    keeps_payments: true,
    slanders: false,
    renames_after: None,
    forks: false,
    coalition: None,
};
/// Whoever whitewashes is a stranger again after so many requests.
const RENAMES_AFTER: Option<u32> = Some(3);
const KEEPS_AND_RENAMES: Conduct = Conduct {
    renames_after: RENAMES_AFTER,
    ..KEEPS
};
/// Results are taken and called wrong, too.
const REJECTS: Conduct = Conduct {
    slanders: true,
    ..KEEPS
};
const REJECTS_AND_RENAMES: Conduct = Conduct {
    renames_after: RENAMES_AFTER,
    ..REJECTS
};

/// One name each; the riders' own nodes would let them spend without end.
pub(super) fn free_riders(setting: Setting) -> Report {
    ride("free-riders", setting, &[KEEPS])
}

/// The same under many names.
pub(super) fn whitewashing(setting: Setting) -> Report {
    ride("whitewashing", setting, &[KEEPS_AND_RENAMES])
}

/// All kinds in one town.
pub(super) fn all(setting: Setting) -> Report {
    let kinds = [KEEPS, REJECTS_AND_RENAMES, KEEPS_AND_RENAMES, REJECTS];
    ride("riders", setting, &kinds)
}

fn ride(name: &str, setting: Setting, kinds: &[Conduct]) -> Report {
    let mut spec = town(setting.nodes, setting.seed);
    for host in &mut spec.hosts {
        host.config.stranger_pool_max = POOL;
        host.config.stranger_pair_max = PAIR;
    }
    let riders = change(
        &mut spec,
        EVERY,
        |host| host.lends.is_none(),
        |host| {
            host.config.newcomer_allowance = UNLIMITED;
            if let Some(wants) = &mut host.wants {
                wants.gap_ms /= GREED;
            }
        },
    );
    for (rider, kind) in riders.iter().zip(kinds.iter().cycle()) {
        spec.hosts[*rider as usize].conduct = *kind;
    }
    let world = live(spec, setting);
    let honest = Summary::new(&world).of_honest();
    let mut report = begin(name, setting, &honest);
    report.row("riders", riders.len());
    let drawn = |lender: &Host| -> f64 {
        let taken = riders.iter().map(|rider| lender.taken_by(world.host(*rider)).1);
        taken.sum::<i64>() as f64
    };
    let lenders = || world.hosts().filter(|host| host.spec().lends.is_some());
    let total: f64 = lenders().map(drawn).sum();
    report.row(
        "drawn by all riders together, millicredits",
        format!("{total:.0}"),
    );
    report.row(
        "drawn from a lender on average",
        format!("{:.0}", share(total, lenders().count() as f64)),
    );
    let most = lenders().map(drawn).fold(0.0, f64::max);
    report.check(
        "most drawn from one lender, of its newcomer pool",
        "×",
        most / POOL.0 as f64,
        Bound::AtMost(1.0),
    );
    report.row(
        "honest buyers served in time",
        format!("{:.4}", honest.served_share()),
    );
    report
}
