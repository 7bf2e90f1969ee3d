//! The buyer's choice: the best quote, or a counter-offer where one pays.

use crate::ids::{Millicredits, NodeId};
use crate::market::{Candidate, rank, worth_offering};
use crate::node::Node;
use crate::node::job::{Asked, End, Job, Quoted, Stage, Which};
use crate::node::network::Purpose;
use crate::service::Failure;
use crate::view::TradeStep;
use crate::wire::{Proposal, Request};

/// A round trip to a peer that was not measured yet, milliseconds.
const ROUND_TRIP_MS: u32 = 200;

impl Node {
    /// Takes the best acceptable quote, or haggles once, or gives up.
    pub(super) fn choose(&mut self, job: &mut Job) -> Option<End> {
        let order = self.acceptable(job);
        let order = self.tested(job, order);
        let order = self.known_first(job, order);
        if self.asks_for_less(job, &order) {
            return self.search(job);
        }
        let strangers = self.to_try(job, &order);
        if !strangers.is_empty() {
            return self.try_out(job, &strangers);
        }
        let Some(((best, candidate), others)) = order.split_first() else {
            return self.haggle(job);
        };
        if let Some(price) = self.counter_price(job, &order) {
            self.counter_offer(job, *best, price);
            return None;
        }
        self.buy_of(job, best, candidate.expected_ms, others)
    }

    /// Takes a provider's quote for the whole; `others` could be taken as well, the best first.
    fn buy_of(
        &mut self,
        job: &mut Job,
        provider: &NodeId,
        expected_ms: u32,
        others: &[(NodeId, Candidate)],
    ) -> Option<End> {
        let Some(quoted) = self.take_up(job, provider) else {
            return self.choose(job);
        };
        let backup = others.first().map(|(peer, _)| *peer);
        self.trade(
            job.id,
            TradeStep::Chosen {
                provider: *provider,
                price: quoted.proposal.price,
                backup,
                expected_ms,
            },
        );
        job.stage = Stage::Trading;
        self.ask_second(job, provider, others, &quoted);
        self.start_leg(job, Which::Main, *provider, quoted);
        None
    }

    /// Takes a quote off the table; one whose signature does not hold is a refusal.
    pub(super) fn take_up(&mut self, job: &mut Job, peer: &NodeId) -> Option<Quoted> {
        let quoted = job.quotes.remove(peer)?;
        if quoted.is_genuine() {
            return Some(quoted);
        }
        job.tried.insert(*peer);
        self.refused(job, *peer, Failure::BadSignature);
        None
    }

    /// The quotes that can be taken, the best first. Those that have run out are dropped.
    pub(super) fn acceptable(&self, job: &mut Job) -> Vec<(NodeId, Candidate)> {
        let now = self.now;
        job.quotes.retain(|_, quoted| quoted.until > now);
        let fit = job
            .quotes
            .iter()
            .filter(|(_, quoted)| self.objection(job, &quoted.proposal).is_none());
        let candidates: Vec<(NodeId, Candidate)> = fit
            .map(|(peer, quoted)| {
                let candidate = Candidate {
                    price: quoted.proposal.price,
                    expected_ms: self.expected_ms(peer, quoted.proposal.promised_ms),
                    measured: self.paces.knows(peer),
                    success: self.reputation.success(now, peer),
                };
                (*peer, candidate)
            })
            .collect();
        let judged: Vec<Candidate> = candidates.iter().map(|(_, candidate)| *candidate).collect();
        let places = rank(&judged).into_iter();
        places
            .filter_map(|place| candidates.get(place).copied())
            .collect()
    }

    /// Why a quote cannot be taken.
    pub(super) fn objection(&self, job: &Job, proposal: &Proposal) -> Option<Failure> {
        let expected_ms = self.expected_ms(&proposal.provider, proposal.promised_ms);
        self.objection_if(job, proposal, expected_ms)
    }

    /// The same for a time to expect. The highest price is for everything that a request orders at the same time.
    fn objection_if(&self, job: &Job, proposal: &Proposal, expected_ms: u32) -> Option<Failure> {
        let price = proposal.price.0;
        let spent = job.committed().saturating_add(job.check_price.0);
        let total = Millicredits(price.saturating_add(spent));
        if job.requirements.price_max.is_some_and(|limit| total > limit) {
            return Some(Failure::TooExpensive);
        }
        let is_compared = self.deferred.is_own(job.id);
        let is_other = proposal.precision != job.requirements.precision;
        if proposal.precision > job.requirements.precision || (is_compared && is_other) {
            return Some(Failure::Protocol {
                what: "a coarser precision than was offered".to_owned(),
            });
        }
        if u64::from(expected_ms) > job.deadline.ms_since(self.now) {
            return Some(Failure::Deadline);
        }
        let available = self.credit_available()?.saturating_sub(job.committed());
        (price > available).then_some(Failure::CreditLimit {
            available,
            required: price,
        })
    }

    /// How much this node may still spend in the present group, the request in hand not counted; `None` is unlimited.
    fn credit_available(&self) -> Option<i64> {
        let line = match self.group.is_open() {
            true => Some(self.config.newcomer_allowance),
            false => self.config.group_line,
        };
        let partings = self.partings.values().map(|parting| parting.leg.terms.price.0);
        let committed = self.jobs.values().map(|job| job.committed()).chain(partings);
        let committed = committed.fold(0, i64::saturating_add);
        line.map(|line| {
            line.0
                .saturating_add(self.ledger.balance_in_group())
                .saturating_sub(committed)
        })
    }

    /// No quote is acceptable: where the price alone is in the way, offer what the buyer would pay, once. Whoever has others
    /// waiting concedes nothing, so it is not asked to.
    fn haggle(&mut self, job: &mut Job) -> Option<End> {
        let is_calm = |quoted: &Quoted| {
            let factors = quoted.proposal.factors;
            factors == factors.without_scarcity()
        };
        let cheapest = job
            .quotes
            .iter()
            .filter(|(_, quoted)| !quoted.countered && is_calm(quoted))
            .filter(|(_, quoted)| self.objection(job, &quoted.proposal) == Some(Failure::TooExpensive))
            .min_by_key(|(_, quoted)| quoted.proposal.price)
            .map(|(peer, _)| *peer);
        let (Some(peer), Some(price)) = (cheapest, job.requirements.price_max) else {
            let objections = job
                .quotes
                .values()
                .filter_map(|quoted| self.objection(job, &quoted.proposal));
            job.last_refusal = objections
                .max_by_key(|failure| matches!(failure, Failure::CreditLimit { .. }))
                .or(job.last_refusal.take());
            job.met_busy |= self.is_dear_for_now(job);
            if self.waits_for_the_busy(job) {
                return None;
            }
            let Some((provider, expected_ms)) = self.last_resort(job) else {
                return Some(End::Failed(self.nobody(job)));
            };
            return self.buy_of(job, &provider, expected_ms, &[]);
        };
        self.counter_offer(job, peer, price);
        None
    }

    /// Where nobody is expected in time, whoever would be if it were as fast as the others, the fastest by its record. One
    /// result that failed to come makes any longer promise look late, and one that comes late again costs nothing.
    fn last_resort(&self, job: &Job) -> Option<(NodeId, u32)> {
        let fit = job.quotes.iter().filter(|(_, quoted)| {
            let usual_ms = self.usual_ms(&quoted.proposal.provider, quoted.proposal.promised_ms);
            self.objection_if(job, &quoted.proposal, usual_ms).is_none()
        });
        let expected = fit.map(|(peer, quoted)| (*peer, self.expected_ms(peer, quoted.proposal.promised_ms)));
        expected.min_by_key(|(_, expected_ms)| *expected_ms)
    }

    /// Whether a quote is too dear only because others want the same at the moment, which passes.
    fn is_dear_for_now(&self, job: &Job) -> bool {
        job.quotes.values().any(|quoted| {
            let calm = quoted.proposal.factors.without_scarcity().price();
            self.objection(job, &quoted.proposal) == Some(Failure::TooExpensive)
                && calm.is_some_and(|calm| job.requirements.price_max.is_none_or(|most| calm <= most))
        })
    }

    /// What to offer the best provider instead of taking its quote; `None` when that would not pay, or was done before.
    fn counter_price(&self, job: &Job, order: &[(NodeId, Candidate)]) -> Option<Millicredits> {
        if job.quotes.values().any(|quoted| quoted.countered) {
            return None;
        }
        let ((best, candidate), others) = order.split_first()?;
        let connection = self.network.connections.get(best);
        let round_trip_ms = connection
            .and_then(|connection| connection.rtt_ms)
            .unwrap_or(ROUND_TRIP_MS);
        let others: Vec<Candidate> = others.iter().map(|(_, other)| *other).collect();
        worth_offering(candidate, &others, round_trip_ms)
    }

    /// Asks for the same at a lower price. The quote in question stands until the answer, and after a refusal.
    fn counter_offer(&mut self, job: &mut Job, peer: NodeId, price: Millicredits) {
        let Some(quoted) = job.quotes.get_mut(&peer) else {
            return;
        };
        quoted.countered = true;
        let asked = Asked {
            batch: quoted.batch.clone(),
            demand: quoted.demand.clone(),
            again: false,
        };
        let request = Request::Counter {
            tag: self.tag(&peer),
            proposal: quoted.hash(),
            price,
        };
        job.asked.insert(peer, asked);
        let purpose = Purpose::Counter { job: job.id };
        self.request(peer, &request, purpose, self.config.exchange_timeout_ms);
        let provider = peer;
        self.trade(job.id, TradeStep::Countered { provider, price });
    }

    /// Why a search ended without a provider.
    pub(super) fn nobody(&self, job: &Job) -> Failure {
        let count = u32::try_from(job.approached.len()).unwrap_or(u32::MAX);
        match &job.last_refusal {
            Some(reason)
                if count <= 1 || matches!(reason, Failure::CreditLimit { .. } | Failure::TooExpensive) =>
            {
                reason.clone()
            }
            Some(_) => Failure::NoProposal { count },
            None if self.network.points.is_empty() && self.network.offers.is_empty() => Failure::NoDiscovery,
            None if count == 0 && self.is_too_long_for_all(job) => Failure::InvalidRequest {
                what: "a relay may not carry it, and no direct connection to a provider stands".to_owned(),
            },
            None => Failure::NoProvider,
        }
    }

    /// How many right results in a row speak for the next one of a provider, see [`verification`](crate::verification).
    pub(super) fn record_of(&self, provider: &NodeId) -> u32 {
        let own = self.reputation.credited_streak(provider);
        own.saturating_add(self.passed)
    }
}
