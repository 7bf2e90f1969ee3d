//! Randomised schedules for the ledger: five to eight hosts, a hundred trades or so, crashes, a partition, loss and repetition
//! in random order, and an audit after every change of any ledger.
//!
//! The audit compares what the two sides of each receipt hold. For every receipt it follows:
//!
//! ```text
//! none ─▶ the payer's half ─▶ both at the receiver ─▶ both on both sides
//! ```
//!
//! A receipt that was once complete at its payer was acknowledged by its receiver: from then on the receiver must hold it
//! whenever it is up, after whatever crash, and both must hold it once, with opposite amounts. So the sum over receipts that both
//! sides hold is zero at every step.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use node_proto::ReceiptId;

use crate::check::Bound;
use crate::event::Act;
use crate::network::Partition;
use crate::report::Report;
use crate::rng::Rng;
use crate::scenario::Setting;
use crate::spec::WorldSpec;
use crate::summary::Summary;
use crate::town::{ASKING_FROM_MS, town};
use crate::world::World;

/// Mean time between two requests of a host in a schedule, milliseconds.
const GAP_MS: u64 = 2_000;
/// How long all hosts together ask: the fewer there are the longer each does, milliseconds.
const ASKING_MS: u64 = 350_000;
/// Fewest trades of a schedule that counts.
const TRADES_MIN: f64 = 50.0;
/// Schedules with something broken that are named.
const SHOWN_MAX: usize = 10;
/// Payments that got no answer are sent again after at most five minutes.
const SETTLING_MS: u64 = 420_000;

/// What one schedule came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Answered requests.
    trades: u64,
    /// Audits made.
    audits: u64,
    /// Receipts on which the two sides differ, or which one side forgot or counted twice.
    broken: u64,
    /// Payments still half signed at the end.
    pending: u64,
    /// Nodes that could not be made from what they had stored.
    unreadable: u64,
}

impl Outcome {
    fn is_broken(&self) -> bool {
        self.broken > 0 || self.pending > 0 || self.unreadable > 0 || (self.trades as f64) < TRADES_MIN
    }
}

/// `--nodes` is the number of schedules.
pub(super) fn run(setting: Setting) -> Report {
    let next = AtomicU32::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..setting.threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= setting.nodes {
                        return;
                    }
                    let outcome = schedule(setting.seed, number);
                    outcomes
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(number, outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut report = Report::new("ledger", setting.nodes, setting.seed);
    for (_, trace) in outcomes.values() {
        report.traced(*trace);
    }
    let is_broken = |(_, (outcome, _)): &(&u32, &(Outcome, _))| outcome.is_broken();
    for (number, (outcome, _)) in outcomes.iter().filter(is_broken).take(SHOWN_MAX) {
        report.row(&format!("schedule {number}"), format!("{outcome:?}"));
    }
    let sum = |part: fn(&Outcome) -> u64| outcomes.values().map(|(outcome, _)| part(outcome)).sum::<u64>();
    report.row("schedules", outcomes.len());
    report.row("trades", sum(|outcome| outcome.trades));
    report.row("audits", sum(|outcome| outcome.audits));
    let fewest = outcomes.values().map(|(outcome, _)| outcome.trades).min();
    report.check(
        "fewest trades in a schedule",
        "",
        fewest.unwrap_or(0) as f64,
        Bound::AtLeast(TRADES_MIN),
    );
    report.never(
        "receipts that differ, are lost or counted twice",
        sum(|outcome| outcome.broken),
    );
    report.never("payments half signed in the end", sum(|outcome| outcome.pending));
    report.never(
        "a node that cannot read its own storage",
        sum(|outcome| outcome.unreadable),
    );
    report
}

/// Lives through one schedule, looking at the ledger after every step.
fn schedule(seed: u64, number: u32) -> (Outcome, [u8; 32]) {
    let mut rng = Rng::new(seed, "schedule", number.into());
    let spec = random(&mut rng);
    let (hosts, until) = (spec.hosts.len() as u32, spec.until);
    let mut world = World::new(spec, 1);
    let mut audit = Audit::new(hosts);
    while let Some(actor) = world.step(until) {
        if actor < hosts {
            audit.look(&world, actor);
        }
    }
    let summary = Summary::new(&world);
    let (settled, pending) = summary.balances();
    let outcome = Outcome {
        trades: summary.served().count() as u64,
        audits: audit.audits,
        broken: audit.broken + u64::from(settled != 0),
        pending: pending.unsigned_abs(),
        unreadable: world
            .hosts()
            .map(|host| u64::from(host.tally.times_unreadable))
            .sum(),
    };
    (outcome, world.trace())
}

fn random(rng: &mut Rng) -> WorldSpec {
    let hosts = 5 + rng.below(4) as u32;
    let mut spec = town(hosts, rng.next_u64());
    let asking_ms = ASKING_MS / u64::from(hosts);
    spec.asking = ASKING_FROM_MS..ASKING_FROM_MS + asking_ms;
    spec.until = spec.asking.end + SETTLING_MS;
    for (index, host) in spec.hosts.iter_mut().enumerate() {
        if index == 1 {
            host.lends = Some(crate::town::device(400));
        }
        if let Some(wants) = &mut host.wants {
            (wants.gap_ms, wants.items_min, wants.worth_min) = (GAP_MS, 2, 3_000);
        }
    }
    spec.links.loss_ppm = rng.below(100_000) as u32;
    spec.links.twice_ppm = rng.below(100_000) as u32;
    spec.links.jitter_ms_max = rng.below(400);
    for _ in 0..1 + rng.below(3) {
        let (host, at) = (
            rng.below(hosts.into()) as u32,
            spec.asking.start + rng.below(asking_ms),
        );
        spec.acts.push((at, host, Act::Crash));
        spec.acts.push((at + 50 + rng.gap(4_000), host, Act::Start));
    }
    let from = spec.asking.start + rng.below(asking_ms);
    spec.links.partitions.push(Partition {
        from,
        until: from + 500 + rng.gap(5_000),
        first_beyond: 1 + rng.below(u64::from(hosts) - 1) as u32,
    });
    spec
}

/// What one side holds of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    counterparty: u32,
    delta: i64,
    complete: bool,
}

/// Both sides of every receipt, as last seen.
struct Audit {
    held: Vec<BTreeMap<ReceiptId, Held>>,
    balances: Vec<Option<(i64, i64)>>,
    /// Complete at the payer once, with its price: the receiver must never be without it again.
    acknowledged: BTreeMap<ReceiptId, (u32, i64)>,
    audits: u64,
    broken: u64,
}

impl Audit {
    fn new(hosts: u32) -> Self {
        Self {
            held: vec![BTreeMap::new(); hosts as usize],
            balances: vec![None; hosts as usize],
            acknowledged: BTreeMap::new(),
            audits: 0,
            broken: 0,
        }
    }

    /// Looks at a host when its balance changed, or when it is back.
    fn look(&mut self, world: &World, index: u32) {
        let node = world.host(index).and_then(|host| host.node());
        let balance = node.map(|node| (node.balance().settled.0, node.balance().pending.0));
        let former = std::mem::replace(&mut self.balances[index as usize], balance);
        let (Some(node), Some(balance)) = (node, balance) else {
            return;
        };
        if former == Some(balance) {
            return;
        }
        self.audits += 1;
        let receipts = node.receipts(usize::MAX);
        let count = receipts.len();
        let held: BTreeMap<ReceiptId, Held> = receipts
            .into_iter()
            .map(|receipt| {
                let held = Held {
                    counterparty: world.shared().host_of(&receipt.counterparty).unwrap_or(u32::MAX),
                    delta: receipt.delta.0,
                    complete: receipt.fully_signed,
                };
                (receipt.id, held)
            })
            .collect();
        let sum = |complete: bool| -> i64 {
            held.values()
                .filter(|held| held.complete == complete)
                .map(|held| held.delta)
                .sum()
        };
        let twice = (count - held.len()) as u64;
        self.broken += twice + u64::from((sum(true), sum(false)) != balance);
        self.held[index as usize] = held;
        self.compare(index);
    }

    /// Compares what a host holds with the other side of each of its receipts.
    fn compare(&mut self, index: u32) {
        let own = &self.held[index as usize];
        for (id, held) in own.iter().filter(|(_, held)| held.complete && held.delta < 0) {
            self.acknowledged
                .entry(*id)
                .or_insert((held.counterparty, -held.delta));
        }
        for (id, held) in own {
            let other = self
                .held
                .get(held.counterparty as usize)
                .and_then(|theirs| theirs.get(id));
            let opposite =
                other.is_none_or(|other| other.delta == -held.delta && other.counterparty == index);
            self.broken += u64::from(!opposite);
        }
        for (id, (receiver, price)) in &self.acknowledged {
            let theirs = self.held[*receiver as usize].get(id);
            let kept = theirs.is_some_and(|held| held.complete && held.delta == *price);
            self.broken += u64::from(!kept);
        }
    }
}
