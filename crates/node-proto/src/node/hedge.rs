//! Late providers, and agreements that are given up.
//!
//! # Hedging
//!
//! When the promised time is over and no result is there, the whole is ordered from one more provider as well, so that one
//! slow machine does not decide how long a person waits (hedged requests: J. Dean, L. A. Barroso, *The Tail at Scale*,
//! Communications of the ACM 56(2), 2013, with the promise in the place of their percentile). Once per provider, within the
//! request's highest price and deadline. The first right result is used; the other agreement is given up.
//!
//! # Giving up, and what is owed then
//!
//! The buyer sends `Cancel`. Both sides know the same rule, so that neither depends on the other's goodwill:
//!
//! | when `Cancel` arrives | owed |
//! | --- | --- |
//! | the result has left | the whole price, if the result is right |
//! | the engine runs, the promised time is not over | the price × time in the engine / promised time |
//! | the engine has not begun | nothing |
//! | the promised time is over | nothing: the promise is broken |
//!
//! The provider states its part in a signed [`Partial`](crate::wire::Partial). The engine cannot have run longer than the
//! buyer has waited, so a statement of more than `tokens × waited / promised` is not believed and not paid. A provider that
//! lost a race in time is thus paid for its work, one that was late for nothing but a result.
//!
//! ```text
//! leg ──give up──▶ Parting ──Cancelled──▶ paid in proportion
//!                     ├────── Result ───▶ paid in full, or rejected
//!                     └── no answer in time, or refused ──▶ nothing is owed
//! ```

use crate::ids::{AgreementId, Millicredits, NodeId};
use crate::ledger::PartialDelivery;
use crate::node::Node;
use crate::node::job::{Job, Leg, LegStage, Parting, Which};
use crate::node::judge::UNPROVED;
use crate::node::leg::read_result;
use crate::node::network::Purpose;
use crate::node::sample::SAMPLES_MAX;
use crate::reputation::Aspect;
use crate::service::Failure;
use crate::verification::required;
use crate::view::{TradeStep, Verification};
use crate::wire::{Request, Response};

/// A promise counts as broken at the buyer's this much later, so that messages may cross, milliseconds.
const CROSSING_MS: u64 = 1_000;
/// Agreements of one request that can be given up at the same time.
const LEGS_MAX: usize = 2 + SAMPLES_MAX;

impl Node {
    /// Orders the whole once more when the main provider is late, from the best quote at hand or from a new one.
    pub(super) fn hedge(&mut self, job: &mut Job) {
        if job.hedge_at.is_some_and(|at| self.now >= at) {
            job.hedge_at = None;
            job.hedge_wanted = true;
            let former = job.main.as_ref().map(|leg| leg.provider);
            job.forget_asked();
            job.approached = job.quotes.keys().copied().chain(former).collect();
        }
        let late = job
            .main
            .as_ref()
            .is_some_and(|leg| leg.stage == LegStage::Executing);
        if !job.hedge_wanted || !late {
            return;
        }
        let best = self.acceptable(job).first().map(|(peer, _)| *peer);
        let Some((peer, quoted)) = best.and_then(|peer| Some((peer, self.take_up(job, &peer)?))) else {
            self.ask_candidates(job);
            return;
        };
        job.hedge_wanted = false;
        let price = quoted.proposal.price;
        self.trade(
            job.id,
            TradeStep::Hedged {
                provider: peer,
                price,
            },
        );
        self.start_leg(job, Which::Hedge, peer, quoted);
    }

    /// The hedge delivered before the main provider did: it takes its place, unless it is wrong. Returns whether it did.
    pub(super) fn take_hedge(&mut self, job: &mut Job) -> bool {
        let Some(hedge) = job.hedge.take() else {
            return false;
        };
        if let Err((cosine_min, required)) = hedge.check_probes() {
            self.reject(&hedge, cosine_min, required);
            job.tried.insert(hedge.provider);
            return false;
        }
        if let Some(late) = job.main.replace(hedge) {
            self.give_up(late);
        }
        true
    }

    /// Gives up every agreement that a request still has.
    pub(super) fn give_up_all(&mut self, job: &mut Job) {
        let legs = job.main.take().into_iter().chain(job.hedge.take());
        for leg in legs.chain(std::mem::take(&mut job.samples)) {
            self.give_up(leg);
        }
    }

    /// Gives up the samples of a request, and counts what is paid for those that are there.
    pub(super) fn give_up_samples(&mut self, job: &mut Job) {
        for sample in std::mem::take(&mut job.samples) {
            let paid = self.give_up(sample);
            job.add_check(paid);
        }
    }

    /// An agreement is not needed any more: what was delivered is paid for, the rest is cancelled. Returns what was paid
    /// at once.
    pub(super) fn give_up(&mut self, leg: Leg) -> Millicredits {
        if leg.is_paid {
            return Millicredits::ZERO;
        }
        if leg.stage == LegStage::Delivered {
            return self.settle_alone(&leg);
        }
        let room = LEGS_MAX * self.config.jobs_max;
        if self.partings.len() >= room
            && let Some((&first, _)) = self.partings.first()
        {
            self.partings.remove(&first);
        }
        let (agreement, provider) = (leg.id, leg.provider);
        let purpose = Purpose::Cancel { agreement };
        let timeout_ms = self.config.exchange_timeout_ms;
        self.request(provider, &Request::Cancel { agreement }, purpose, timeout_ms);
        let waited_ms = self.now.ms_since(leg.sent_at);
        if leg.stage == LegStage::Executing && waited_ms > u64::from(leg.terms.promised_ms) {
            // It took at least so long.
            self.took(&provider, Some(waited_ms), leg.terms.promised_ms);
            self.observe(&provider, Aspect::ResponseTime, false, 1.0);
        }
        let parting = Parting { leg, since: self.now };
        self.partings.insert(agreement, parting);
        Millicredits::ZERO
    }

    /// The provider of an agreement that was given up says what is owed, or sends the result after all.
    pub(super) fn parted(
        &mut self,
        agreement: &AgreementId,
        peer: &NodeId,
        result: Result<Response, Failure>,
    ) {
        let Some(Parting { mut leg, since }) = self.partings.remove(agreement) else {
            return;
        };
        match result {
            Ok(Response::Cancelled(signed)) => {
                let Ok(partial) = PartialDelivery::open(&signed, peer, agreement) else {
                    return;
                };
                if partial.units == 0 {
                    return;
                }
                if partial.units
                    > leg.units_believable(since.ms_since(leg.sent_at), self.now.ms_since(leg.sent_at))
                {
                    return self.observe(peer, Aspect::Reliability, false, 1.0);
                }
                if let Some(mut contract) = leg.contract.take() {
                    contract.partial = Some(partial);
                    // As in `settle_alone`.
                    self.pay(&contract, &Verification::Unchecked).ok();
                }
            }
            Ok(response) if leg.contract.is_some() => match read_result(&leg, response) {
                Ok(delivery) => {
                    leg.delivered(delivery);
                    self.settle_alone(&leg);
                }
                Err(_) => self.observe(peer, Aspect::Reliability, false, 1.0),
            },
            Ok(_) | Err(_) => {}
        }
    }

    /// Pays for a right result that nobody waits for, and rejects a wrong one.
    pub(super) fn settle_alone(&mut self, leg: &Leg) -> Millicredits {
        let checked = leg.check_probes().and_then(|verification| {
            let shown = self.check_shown(leg).map_err(|()| UNPROVED)?;
            Ok(shown.unwrap_or(verification))
        });
        let verification = match checked {
            Ok(verification) => verification,
            Err((cosine_min, required)) => {
                self.reject(leg, cosine_min, required);
                return Millicredits::ZERO;
            }
        };
        match self.pay_leg(leg, &verification) {
            Ok(_) => leg.due(),
            // A ledger that is full takes no more; nothing else is waiting for this payment.
            Err(_) => Millicredits::ZERO,
        }
    }
}

impl Leg {
    fn promise_is_over(&self, waited_ms: u64) -> bool {
        waited_ms > u64::from(self.terms.promised_ms) + CROSSING_MS
    }

    /// The most units that can have been done when the agreement was given up after `waited_ms`, and heard of after
    /// `heard_ms`.
    fn units_believable(&self, waited_ms: u64, heard_ms: u64) -> u32 {
        if self.promise_is_over(waited_ms) {
            return 0;
        }
        crate::market::units_done(&self.terms, heard_ms)
    }

    /// What the probes of a delivered batch say: how it was checked, or the lowest cosine seen and the required one.
    pub(super) fn check_probes(&self) -> Result<Verification, (f32, f32)> {
        let required = required(self.terms.rule, self.terms.cosine_min_ppm);
        let probes = u32::try_from(self.batch.probes.len()).unwrap_or(u32::MAX);
        match self.probes_cosine() {
            None => Ok(Verification::Unchecked),
            // A NaN is never enough.
            Some(cosine_min) if cosine_min >= required => {
                Ok(Verification::SpotChecked { probes, cosine_min })
            }
            Some(cosine_min) => Err((cosine_min, required)),
        }
    }
}
