//! Is the result right? Then it is paid for, and if not, another provider is tried.

use crate::ledger::Place;
use crate::node::Node;
use crate::node::job::{End, Job, Leg, LegStage, Settling, Stage, Which};
use crate::node::network::Purpose;
use crate::reputation::Aspect;
use crate::service::{Failure, WorkOutput};
use crate::verification::{Rows, likeness, probes_likeness, required, to_ppm};
use crate::view::{Outcome, TradeStep, Verification};
use crate::wire::{OBJECT_VERSION, Request, Signed, Verdict};

/// What a wrong result costs in quality, in ordinary trades.
const WRONG_WEIGHT: f64 = 3.0;

impl Node {
    /// Judges the result once everything is there to judge it with, and pays.
    pub(super) fn conclude(&mut self, job: &mut Job) -> Option<End> {
        let main = job.main.as_ref().filter(|leg| leg.stage == LegStage::Delivered)?;
        let required = required(main.terms.rule, main.terms.cosine_min_ppm);
        let alone = match main.check_probes() {
            Ok(verification) => verification,
            Err((cosine_min, required)) => return self.wrong(job, cosine_min, required),
        };
        if self.waits_for_second(job) {
            return None;
        }
        job.second_asked = None;
        let verification = match self.compare(job, alone, required) {
            Ok(verification) => verification,
            Err(cosine_min) => return self.disagree(job, cosine_min, required),
        };
        self.settle_legs(job, verification)
    }

    fn waits_for_second(&self, job: &mut Job) -> bool {
        let promised_ms = match (&job.second_asked, &job.second) {
            (_, Some(leg)) if leg.stage == LegStage::Delivered => return false,
            (_, Some(leg)) => u64::from(leg.terms.promised_ms),
            (Some(_), None) => 0,
            (None, None) => return false,
        };
        let until = self
            .now
            .plus_ms(promised_ms + u64::from(self.config.second_grace_ms))
            .min(job.deadline);
        self.now < *job.second_until.get_or_insert(until)
    }

    /// Compares with the second result where there is a right one of somebody else; `Err` with the cosine when the two
    /// disagree. A second leg that stays with the request is one that agrees.
    fn compare(&mut self, job: &mut Job, alone: Verification, required: f32) -> Result<Verification, f32> {
        let (Some(main), Some(second)) = (&job.main, job.second.take()) else {
            return Ok(alone);
        };
        let other = second.stage == LegStage::Delivered
            && second.provider != main.provider
            && second.check_probes().is_ok();
        let Some((compared, seen)) = compare_rows(main, &second).filter(|_| other) else {
            let paid = self.give_up(second);
            job.add_check(paid);
            return Ok(alone);
        };
        let provider = second.provider;
        job.second = Some(second);
        if seen < required {
            self.passed = 0;
            return Err(seen);
        }
        let (probes, cosine_min) = match alone {
            Verification::SpotChecked { probes, cosine_min } => (probes, cosine_min.min(seen)),
            _ => (0, seen),
        };
        Ok(Verification::TwoAgree {
            second: provider,
            compared,
            probes,
            cosine_min,
        })
    }

    /// The result is right as far as it was checked: pay for it, and for the second one that agrees.
    fn settle_legs(&mut self, job: &mut Job, verification: Verification) -> Option<End> {
        self.trade(
            job.id,
            TradeStep::Verified {
                verification: verification.clone(),
            },
        );
        if verification != Verification::Unchecked {
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
        if let Some(second) = job.second.take() {
            let mut theirs = verification.clone();
            if let Verification::TwoAgree { second, .. } = &mut theirs {
                *second = main.provider;
            }
            if self.pay_leg(&second, &theirs).is_ok() {
                job.add_check(second.terms.price);
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
        if *verification != Verification::Unchecked {
            self.observe(&leg.provider, Aspect::Quality, true, 1.0);
        }
        Ok(place)
    }

    /// The main result is wrong: say so to everyone concerned, do not pay, try another.
    fn wrong(&mut self, job: &mut Job, cosine_min: f32, required: f32) -> Option<End> {
        let verification = Verification::Wrong { cosine_min, required };
        self.trade(job.id, TradeStep::Verified { verification });
        if let Some(main) = &job.main {
            self.reject(main, cosine_min, required);
        }
        self.leg_failed(job, Which::Main, Failure::WrongResult)
    }

    /// Two results differ and nothing says which is right: neither is taken.
    fn disagree(&mut self, job: &mut Job, cosine_min: f32, required: f32) -> Option<End> {
        if let Some(second) = job.second.take() {
            self.reject(&second, cosine_min, required);
            job.tried.insert(second.provider);
        }
        self.wrong(job, cosine_min, required)
    }

    pub(super) fn reject(&mut self, leg: &Leg, cosine_min: f32, required: f32) {
        let verdict = Verdict {
            version: OBJECT_VERSION,
            agreement: leg.id,
            output: leg.delivery.as_ref().map(|delivery| delivery.output),
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
        let delivery = leg.delivery?;
        let rows = Rows::new(delivery.dimension, &delivery.values);
        let places = leg.batch.rows();
        let mut values = Vec::with_capacity(job.texts.len() * delivery.dimension as usize);
        for item in 0..job.texts.len() {
            values.extend_from_slice(places.get(&item).and_then(|row| rows.get(*row))?);
        }
        let price = leg.terms.price;
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
            output: WorkOutput::Embeddings {
                dimension: delivery.dimension,
                values,
                backend: delivery.backend.clone(),
            },
            provider: leg.provider,
            model: leg.terms.model,
            backend: Some(delivery.backend),
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
        let rows = Rows::new(delivery.dimension, &delivery.values);
        probes_likeness(self.terms.rule, &self.batch.slots, &rows, &self.batch.probes)
    }
}

/// How alike two providers' vectors are for the texts that both computed; `None` when there are none.
fn compare_rows(main: &Leg, second: &Leg) -> Option<(u32, f32)> {
    let (first, other) = (main.delivery.as_ref()?, second.delivery.as_ref()?);
    let first_rows = Rows::new(first.dimension, &first.values);
    let other_rows = Rows::new(other.dimension, &other.values);
    let places = main.batch.rows();
    let cosines = second.batch.rows().into_iter().filter_map(|(item, row)| {
        let own = first_rows.get(*places.get(&item)?)?;
        Some(
            other_rows
                .get(row)
                .map_or(-1.0, |theirs| likeness(main.terms.rule, own, theirs)),
        )
    });
    cosines.fold(None, |seen: Option<(u32, f32)>, cosine| match seen {
        None => Some((1, cosine)),
        Some((count, lowest)) => Some((count + 1, lowest.min(cosine))),
    })
}
