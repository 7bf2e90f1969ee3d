//! Is the result right? Then it is paid for, and if not, another provider is tried.

use crate::ids::{NodeId, Timestamp};
use crate::ledger::Place;
use crate::node::Node;
use crate::node::job::{End, Job, Leg, LegStage, Settling, Stage, Which};
use crate::node::network::Purpose;
use crate::reputation::Aspect;
use crate::service::Failure;
use crate::verification::{probes_likeness, required, to_ppm};
use crate::view::{Outcome, TradeStep, Verification};
use crate::wire::{ComparisonRule, OBJECT_VERSION, Request, Signed, Verdict};
use crate::work::likeness;

/// What is said of a kept answer that does not show where it comes from, or of a blob that is not shown to be there, as a cosine and what was required: it is all or nothing.
pub(super) const UNPROVED: (f32, f32) = (-1.0, 1.0);
/// What a wrong result costs in quality, in ordinary trades.
pub(super) const WRONG_WEIGHT: f64 = 3.0;

/// How many times longer a second result is waited for where there are no known answers.
const EXACT_GRACE_FACTOR: u64 = 5;

impl Node {
    /// Judges the result once everything is there to judge it with, and pays.
    pub(super) fn conclude(&mut self, job: &mut Job) -> Option<End> {
        let main = job.main.as_ref().filter(|leg| leg.stage == LegStage::Delivered)?;
        let required = required(main.terms.rule, main.terms.cosine_min_ppm);
        let alone = match main.check_probes() {
            Ok(verification) => verification,
            Err((cosine_min, required)) => return self.wrong(job, cosine_min, required),
        };
        let alone = match self.check_shown(main) {
            Ok(shown) => shown.unwrap_or(alone),
            Err(()) => return self.wrong(job, UNPROVED.0, UNPROVED.1),
        };
        if self.waits_for_sample(job) {
            return None;
        }
        job.samples_asked.clear();
        if let Some(third) = job.third {
            return self.decide(job, third, alone, required);
        }
        let verification = match self.compare(job, alone, required) {
            Ok(verification) => verification,
            Err(cosine_min) => return self.disagree(job, cosine_min, required),
        };
        self.settle_legs(job, verification)
    }

    /// What a result that shows itself shows; `Ok(None)` of any other.
    pub(super) fn check_shown(&self, leg: &Leg) -> Result<Option<Verification>, ()> {
        match self.check_kept(leg)? {
            Some(kept) => Ok(Some(kept)),
            None => Self::check_held(leg),
        }
    }

    fn waits_for_sample(&self, job: &mut Job) -> bool {
        let rule = job.main.as_ref().map(|main| main.terms.rule);
        let main = job.main.as_ref().map(|main| main.provider);
        let mut others = job.samples.iter().filter(|leg| Some(leg.provider) != main);
        if job.third.is_none() && others.any(|leg| leg.stage == LegStage::Delivered) {
            return false;
        }
        let pending = job.samples.iter().filter(|leg| leg.stage != LegStage::Delivered);
        let promised_ms = pending.map(|leg| u64::from(leg.terms.promised_ms)).min();
        let promised_ms = promised_ms.or((!job.samples_asked.is_empty()).then_some(0));
        let Some(promised_ms) = promised_ms else {
            return false;
        };
        let grace_ms = u64::from(self.config.second_grace_ms);
        let patience_ms = match rule {
            // Nothing else says whether a run is right.
            Some(ComparisonRule::Exact) => grace_ms * EXACT_GRACE_FACTOR,
            _ => grace_ms,
        };
        let until = self.now.plus_ms(promised_ms + patience_ms);
        // There has to be time left to pay in.
        let until = until.min(Timestamp(job.deadline.0.saturating_sub(grace_ms)));
        self.now < *job.sample_until.get_or_insert(until)
    }

    /// Compares with the samples of others that are right by themselves. Where one agrees, those that do not are wrong; where
    /// none does, `Err` with the cosine, and the one that contradicts stays with the request.
    fn compare(&mut self, job: &mut Job, alone: Verification, required: f32) -> Result<Verification, f32> {
        let Some(main) = job.main.take() else {
            return Ok(alone);
        };
        let mut verification = alone;
        let mut contested: Vec<(Leg, f32)> = Vec::new();
        for sample in std::mem::take(&mut job.samples) {
            let other = sample.stage == LegStage::Delivered
                && sample.provider != main.provider
                && sample.check_probes().is_ok();
            match compare_rows(&main, &sample).filter(|_| other) {
                None => {
                    let paid = self.give_up(sample);
                    job.add_check(paid);
                }
                Some((_, seen)) if seen < required => contested.push((sample, seen)),
                Some((compared, seen)) => {
                    verification = two_agree(verification, sample.provider, compared, seen);
                    job.samples.push(sample);
                }
            }
        }
        job.main = Some(main);
        if !contested.is_empty() {
            self.passed = 0;
        }
        if job.samples.is_empty()
            && let Some((sample, seen)) = contested.pop()
        {
            job.samples.push(sample);
            for (other, _) in contested {
                let paid = self.give_up(other);
                job.add_check(paid);
            }
            return Err(seen);
        }
        for (wrong, seen) in contested {
            self.reject(&wrong, seen, required);
            job.tried.insert(wrong.provider);
        }
        Ok(verification)
    }

    /// The result is right as far as it was checked: pay for it, and for the second one that agrees.
    pub(super) fn settle_legs(&mut self, job: &mut Job, verification: Verification) -> Option<End> {
        self.trade(
            job.id,
            TradeStep::Verified {
                verification: verification.clone(),
            },
        );
        if is_work(&verification) {
            self.passed = self.passed.saturating_add(1);
        }
        if let Some(hedge) = job.hedge.take() {
            self.give_up(hedge);
        }
        let main = job.main.take()?;
        let place = match self.pay_leg(&main, &verification) {
            Ok(place) => place,
            Err(reason) => return Some(End::Failed(reason)),
        };
        self.keep_for_later(job, &main);
        self.keep_bought(job, &main);
        for sample in std::mem::take(&mut job.samples)
            .into_iter()
            .filter(|leg| !leg.is_paid)
        {
            let mut theirs = verification.clone();
            if let Verification::TwoAgree { second, .. } = &mut theirs {
                *second = main.provider;
            }
            if self.pay_leg(&sample, &theirs).is_ok() {
                self.keep_bought(job, &sample);
                job.add_check(sample.due());
            }
        }
        let until = self.now.plus_ms(u64::from(self.config.exchange_timeout_ms) * 2);
        let settling = Settling {
            leg: main,
            verification,
            place,
            until,
        };
        job.stage = Stage::Settling(Box::new(settling));
        None
    }

    /// Pays for a right result and counts what it says of its provider.
    pub(super) fn pay_leg(&mut self, leg: &Leg, verification: &Verification) -> Result<Place, Failure> {
        let contract = leg.contract.as_ref().ok_or(Failure::BadSignature)?;
        let place = self.pay(contract, verification)?;
        self.observe(&leg.provider, Aspect::Reliability, true, 1.0);
        if is_work(verification) {
            self.observe(&leg.provider, Aspect::Quality, true, 1.0);
        }
        Ok(place)
    }

    /// The main result is wrong: say so to everyone concerned, do not pay, try another.
    pub(super) fn wrong(&mut self, job: &mut Job, cosine_min: f32, required: f32) -> Option<End> {
        let verification = Verification::Wrong { cosine_min, required };
        self.trade(job.id, TradeStep::Verified { verification });
        if let Some(main) = &job.main {
            self.reject(main, cosine_min, required);
        }
        self.leg_failed(job, Which::Main, Failure::WrongResult)
    }

    pub(super) fn reject(&mut self, leg: &Leg, cosine_min: f32, required: f32) {
        let verdict = Verdict {
            version: OBJECT_VERSION,
            agreement: leg.id,
            output: leg.delivery.as_ref().map(|delivery| delivery.hash),
            cosine_ppm: to_ppm(cosine_min),
            required_ppm: to_ppm(required),
        };
        let verdict = Signed::seal(self.signer.as_ref(), &verdict);
        let provider = leg.provider;
        self.request(
            provider,
            &Request::Reject(verdict),
            Purpose::Reject,
            self.config.exchange_timeout_ms,
        );
        self.observe(&provider, Aspect::Quality, false, WRONG_WEIGHT);
    }

    /// What the buyer gets.
    pub(super) fn outcome(&mut self, job: &Job, settling: Settling) -> Option<Outcome> {
        let Settling {
            leg,
            verification,
            place,
            ..
        } = settling;
        let receipt = self.ledger.receipt(place)?;
        let price = leg.due();
        let delivery = leg.delivery?;
        let places = leg.batch.rows();
        let rows = (0..job.input.len()).map(|item| places.get(&item).copied());
        let output = delivery.output.pick(rows)?;
        if receipt.fully_signed {
            self.trade(
                job.id,
                TradeStep::Receipted {
                    receipt: receipt.id,
                    price,
                },
            );
        }
        Some(Outcome {
            backend: output.backend().cloned(),
            output,
            provider: leg.provider,
            model: leg.terms.model,
            price,
            check_price: job.check_price,
            factors: leg.terms.factors,
            verification,
            receipt,
            took_ms: u32::try_from(self.now.ms_since(job.started)).unwrap_or(u32::MAX),
        })
    }
}

impl Leg {
    pub(super) fn probes_cosine(&self) -> Option<f32> {
        let delivery = self.delivery.as_ref()?;
        probes_likeness(
            self.terms.rule,
            &self.batch.slots,
            &delivery.output,
            &self.batch.probes,
        )
    }
}

/// Whether a result was checked as work. Who sells another's answer has shown nothing of its own, and who keeps bytes nothing of how it
/// computes.
const fn is_work(verification: &Verification) -> bool {
    matches!(
        verification,
        Verification::SpotChecked { .. } | Verification::TwoAgree { .. }
    )
}

/// What a comparison adds to what was known of a result. The first one that agrees is named.
pub(super) fn two_agree(known: Verification, provider: NodeId, rows: u32, seen: f32) -> Verification {
    let (second, compared, probes, cosine_min) = match known {
        Verification::TwoAgree {
            second,
            compared,
            probes,
            cosine_min,
        } => (second, compared + rows, probes, cosine_min.min(seen)),
        Verification::SpotChecked { probes, cosine_min } => (provider, rows, probes, cosine_min.min(seen)),
        _ => (provider, rows, 0, seen),
    };
    Verification::TwoAgree {
        second,
        compared,
        probes,
        cosine_min,
    }
}

/// How alike two providers' rows are for the items that both computed; `None` when there are none.
pub(super) fn compare_rows(main: &Leg, second: &Leg) -> Option<(u32, f32)> {
    let (first, other) = (main.delivery.as_ref()?, second.delivery.as_ref()?);
    let places = main.batch.rows();
    let cosines = second.batch.rows().into_iter().filter_map(|(item, row)| {
        let own = first.output.row(*places.get(&item)?)?;
        let theirs = other.output.row(row);
        Some(theirs.map_or(-1.0, |theirs| likeness(main.terms.rule, own, theirs)))
    });
    cosines.fold(None, |seen: Option<(u32, f32)>, cosine| match seen {
        None => Some((1, cosine)),
        Some((count, lowest)) => Some((count + 1, lowest.min(cosine))),
    })
}
