//! What a world came to: the numbers that several scenarios look at.

use crate::baseline::Supply;
use crate::check::{median, share};
use crate::network::Millis;
use crate::record::{End, Request, Served, Tally};
use crate::world::World;

/// Everything that was asked for, in the order of asking, and what came of it.
pub struct Summary<'a> {
    /// The world at its end.
    pub world: &'a World,
    /// All requests.
    pub requests: Vec<&'a Request>,
}

impl<'a> Summary<'a> {
    /// Gathers.
    pub fn new(world: &'a World) -> Self {
        let mut requests: Vec<&Request> = world.hosts().flat_map(|host| &host.requests.all).collect();
        requests.sort_by_key(|request| (request.at, request.buyer));
        Self { world, requests }
    }

    /// The answered ones.
    pub fn served(&self) -> impl Iterator<Item = (&'a Request, &'a Served)> + '_ {
        self.requests.iter().filter_map(|request| match &request.end {
            End::Served(served) => Some((*request, served)),
            _ => None,
        })
    }

    /// The answered ones that were in time.
    pub fn in_time(&self) -> impl Iterator<Item = (&'a Request, &'a Served)> + '_ {
        self.served()
            .filter(|(request, served)| served.at <= request.at + u64::from(request.deadline_ms))
    }

    /// How many requests failed for a reason.
    pub fn failed(&self, reason: &str) -> usize {
        let failed = |request: &&&Request| matches!(request.end, End::Failed { why, .. } if why == reason);
        self.requests.iter().filter(failed).count()
    }

    /// All reasons, each with how many requests failed for it.
    pub fn failures(&self) -> std::collections::BTreeMap<&'static str, usize> {
        let mut failures = std::collections::BTreeMap::new();
        for request in &self.requests {
            if let End::Failed { why, .. } = request.end {
                *failures.entry(why).or_insert(0) += 1;
            }
        }
        failures
    }

    /// Requests whose buyer would have paid somebody's price and did not crash meanwhile. One that never ended although its
    /// host was there counts: nobody was served.
    pub fn wanted(&self) -> usize {
        self.requests.len() - self.failed("too_expensive") - self.ended(&End::Forgotten)
    }

    /// How many requests stand so.
    pub fn ended(&self, end: &End) -> usize {
        self.requests.iter().filter(|request| request.end == *end).count()
    }

    /// Share of the wanted requests that were served in time.
    pub fn served_share(&self) -> f64 {
        share(self.in_time().count() as f64, self.wanted() as f64)
    }

    /// Worth of what was served rightly and in time, less what all computing cost those who lend.
    pub fn welfare(&self) -> f64 {
        let worth: i64 = self
            .in_time()
            .filter(|(_, served)| served.right)
            .map(|(request, _)| request.worth)
            .sum();
        let cost: f64 = self
            .world
            .hosts()
            .filter_map(|host| host.spec().lends.map(|device| (host, device)))
            .map(|(host, device)| host.tally.busy_ms as f64 / 1_000.0 * device.second_cost as f64)
            .sum();
        worth as f64 - cost
    }

    /// Everyone who lends, as the comparison sees them.
    pub fn supplies(&self) -> Vec<Supply> {
        self.world
            .hosts()
            .filter_map(|host| {
                let second_price = host.spec().config.engine_second_price.0;
                host.spec().lends.map(|device| Supply::new(&device, second_price))
            })
            .collect()
    }

    /// What is counted at all hosts, for each answered request.
    pub fn per_trade(&self, count: impl Fn(&Tally) -> u64) -> f64 {
        let sum: u64 = self.world.hosts().map(|host| count(&host.tally)).sum();
        share(sum as f64, self.served().count() as f64)
    }

    /// Requests between peers for each answered request, by what they are, those that occur.
    pub fn asked_per_trade(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        let kinds = Tally::KINDS.iter().enumerate();
        let sent = kinds.map(|(kind, name)| (*name, self.per_trade(|tally| tally.asked[kind])));
        sent.filter(|(_, sent)| *sent > 0.0)
    }

    /// The requests of those who keep to the rules.
    pub fn of_honest(mut self) -> Self {
        let honest = |buyer: u32| self.world.host(buyer).is_some_and(|host| host.spec().is_honest());
        self.requests.retain(|request| honest(request.buyer));
        self
    }

    /// The requests that began within a time.
    pub fn during(mut self, time: std::ops::Range<Millis>) -> Self {
        self.requests.retain(|request| time.contains(&request.at));
        self
    }

    /// The requests of the second half, when there are records.
    pub fn late(mut self) -> Self {
        self.requests
            .retain(|request| self.world.shared().is_late(request.at));
        self
    }

    /// Share of the answered requests whose result was wrong.
    pub fn wrong_share(&self) -> f64 {
        let wrong = self.served().filter(|(_, served)| !served.right).count();
        share(wrong as f64, self.served().count() as f64)
    }

    /// Refusals by reason.
    pub fn refusals(&self) -> std::collections::BTreeMap<&'static str, u32> {
        let mut sum = std::collections::BTreeMap::new();
        for (reason, count) in self.world.hosts().flat_map(|host| &host.requests.refusals) {
            *sum.entry(*reason).or_insert(0) += count;
        }
        sum
    }

    /// Median of the expected time as a part of the actual: above 1 where buyers expect too much.
    pub fn predicted_over_actual(&self) -> f64 {
        let parts = self.served();
        let parts = parts.map(|(_, served)| f64::from(served.expected_ms) / f64::from(served.took_ms.max(1)));
        median(parts.collect())
    }

    /// Median difference between expected and actual time, as a part of the actual.
    pub fn prediction_error(&self) -> f64 {
        let errors = self.served().map(|(_, served)| {
            let took = f64::from(served.took_ms.max(1));
            (f64::from(served.expected_ms) - took).abs() / took
        });
        median(errors.collect())
    }

    /// What all ledgers add up to, millicredits: settled, and pending.
    pub fn balances(&self) -> (i64, i64) {
        let nodes = self.world.hosts().filter_map(|host| host.node());
        nodes.fold((0, 0), |(settled, pending), node| {
            let balance = node.balance();
            (settled + balance.settled.0, pending + balance.pending.0)
        })
    }
}

/// What 1,000 tokens cost in each of the trades.
pub fn prices(stretch: &[(&Request, &Served)]) -> Vec<f64> {
    stretch
        .iter()
        .map(|(request, served)| served.price as f64 * 1_000.0 / f64::from(request.tokens.max(1)))
        .collect()
}
