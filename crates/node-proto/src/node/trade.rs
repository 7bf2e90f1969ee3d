//! The buyer's side after the choice: agreement, activity, verification, and another provider when one fails.

use crate::ids::{AgreementId, JobId, NodeId};
use crate::ledger::Contract;
use crate::market::{input_hash, output_hash};
use crate::node::Node;
use crate::node::job::{Delivery, End, Job, Leg, LegStage, Quoted, Settling, Stage, Which};
use crate::node::network::Purpose;
use crate::reputation::Aspect;
use crate::service::{Failure, WorkOutput};
use crate::sign::Domain;
use crate::verification::{Rows, cosine, from_ppm, probes_cosine, to_ppm};
use crate::view::{Outcome, TradeStep, Verification};
use crate::wire::{
    Agreement, ComparisonRule, OBJECT_VERSION, Request, Response, ResultHead, Signed, Verdict, encode_frame,
};

/// What a wrong result costs in quality, in ordinary trades.
const WRONG_WEIGHT: f64 = 3.0;

impl Node {
    /// Offers the agreement that takes up a quote.
    pub(super) fn start_leg(&mut self, job: &mut Job, which: Which, provider: NodeId, quoted: Quoted) {
        let Quoted {
            batch,
            demand,
            proposal,
            hash,
            ..
        } = quoted;
        let terms = Agreement {
            version: OBJECT_VERSION,
            requester: self.me,
            provider,
            proposal: hash,
            scope: demand.scope,
            service: demand.service,
            model: proposal.model,
            precision: proposal.precision,
            rule: ComparisonRule::Cosine,
            cosine_min_ppm: to_ppm(self.config.cosine_min),
            items: demand.items,
            tokens: demand.tokens,
            input: input_hash(&batch.texts(&job.texts)),
            price: proposal.price,
            factors: proposal.factors,
            promised_ms: proposal.promised_ms,
        };
        let signed = Signed::seal(self.signer.as_ref(), &terms);
        let request = Request::Agree {
            tag: self.tag(&provider),
            agreement: signed.clone(),
        };
        let purpose = Purpose::Agree {
            job: job.id,
            leg: which,
        };
        self.request(provider, &request, purpose, self.config.exchange_timeout_ms);
        let leg = Leg {
            provider,
            batch,
            terms,
            id: AgreementId(signed.hash::<Agreement>().0),
            signed,
            contract: None,
            stage: LegStage::Agreeing,
            sent_at: self.now,
            delivery: None,
        };
        match which {
            Which::Main => job.main = Some(leg),
            Which::Second => job.second = Some(leg),
        }
    }

    /// A second provider quoted for a sample.
    pub(super) fn proposed_second(&mut self, id: JobId, peer: &NodeId, result: Result<Response, Failure>) {
        self.with_job(id, |node, job| {
            let (second, asked) = job.second_asked.take()?;
            let quoted = node.read_proposal(peer, asked, result);
            if let (true, Ok(quoted)) = (second == *peer, quoted) {
                let mut both = quoted.proposal.clone();
                both.price.0 = both.price.0.saturating_add(job.committed());
                let within = job.requirements.price_max.is_none_or(|limit| both.price <= limit);
                if within && node.objection(job, &quoted.proposal).is_none() {
                    node.start_leg(job, Which::Second, *peer, quoted);
                }
            }
            node.conclude(job)
        });
    }

    /// The provider signed the agreement, or did not: send the input, or try another.
    pub(super) fn agreed(
        &mut self,
        id: JobId,
        which: Which,
        peer: &NodeId,
        result: Result<Response, Failure>,
    ) {
        self.with_job(id, |node, job| {
            let job_id = job.id;
            let leg = job
                .leg(which)
                .filter(|leg| leg.provider == *peer && leg.stage == LegStage::Agreeing)?;
            let signature = match result {
                Ok(Response::Agreed { signature }) => signature,
                Ok(_) => return node.leg_failed(job, which, unexpected()),
                Err(reason) => return node.leg_failed(job, which, reason),
            };
            if !Domain::Agreement.verify(peer, &leg.signed.body, &signature) {
                return node.leg_failed(job, which, Failure::BadSignature);
            }
            leg.contract = Some(Contract {
                id: leg.id,
                terms: leg.terms.clone(),
                signed: leg.signed.clone(),
                countersignature: signature,
            });
            leg.stage = LegStage::Executing;
            leg.sent_at = node.now;
            let agreement = leg.id;
            if which == Which::Main {
                node.trade(job_id, TradeStep::Agreed { agreement });
            }
            node.send_input(job, which);
            None
        });
    }

    fn send_input(&mut self, job: &mut Job, which: Which) {
        let (id, left_ms) = (job.id, job.deadline.ms_since(self.now));
        let Some(leg) = job.leg(which) else { return };
        let promised_ms = u64::from(leg.terms.promised_ms);
        let timeout_ms = (2 * promised_ms)
            .max(promised_ms + u64::from(self.config.late_ms))
            .min(left_ms.max(1));
        let (provider, agreement, items) = (leg.provider, leg.id, leg.terms.items);
        let batch = leg.batch.clone();
        let frame = encode_frame(&Request::Execute {
            agreement,
            texts: batch.texts(&job.texts),
        });
        if which == Which::Main {
            let bytes = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            self.trade(id, TradeStep::Sent { items, bytes });
        }
        let purpose = Purpose::Execute { job: id, leg: which };
        let timeout_ms = u32::try_from(timeout_ms).unwrap_or(u32::MAX);
        self.request_frame(provider, frame, purpose, timeout_ms);
    }

    /// The result came, or did not.
    pub(super) fn executed(
        &mut self,
        id: JobId,
        which: Which,
        peer: &NodeId,
        result: Result<Response, Failure>,
    ) {
        self.with_job(id, |node, job| {
            let now = node.now;
            let leg = job
                .leg(which)
                .filter(|leg| leg.provider == *peer && leg.stage == LegStage::Executing)?;
            let delivery = match result.and_then(|response| read_result(leg, response)) {
                Ok(delivery) => delivery,
                Err(reason) => return node.leg_failed(job, which, reason),
            };
            let took_ms = now.ms_since(leg.sent_at);
            let in_time = took_ms <= u64::from(leg.terms.promised_ms);
            leg.delivery = Some(delivery);
            leg.stage = LegStage::Delivered;
            node.observe(peer, Aspect::ResponseTime, in_time, 1.0);
            if which == Which::Main {
                let took_ms = u32::try_from(took_ms).unwrap_or(u32::MAX);
                node.trade(id, TradeStep::Delivered { took_ms });
            }
            node.conclude(job)
        });
    }

    /// Judges the result once everything is there to judge it with, and pays.
    pub(super) fn conclude(&mut self, job: &mut Job) -> Option<End> {
        let main = job.main.as_ref().filter(|leg| leg.stage == LegStage::Delivered)?;
        let required = from_ppm(main.terms.cosine_min_ppm);
        let seen = main.probes_cosine();
        if let Some(cosine_min) = seen.filter(|seen| !at_least(*seen, required)) {
            return self.wrong(job, cosine_min, required);
        }
        if self.waits_for_second(job) {
            return None;
        }
        job.second_asked = None;
        let verification = match self.compare(job, required) {
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

    /// Compares with the second result where there is a right one; `Err` with the cosine when the two disagree.
    fn compare(&mut self, job: &mut Job, required: f32) -> Result<Verification, f32> {
        let Some(main) = &job.main else {
            return Ok(Verification::Unchecked);
        };
        let own = main.probes_cosine();
        let probes = u32::try_from(main.batch.probes.len()).unwrap_or(u32::MAX);
        let alone = match own {
            Some(cosine_min) => Verification::SpotChecked { probes, cosine_min },
            None => Verification::Unchecked,
        };
        let Some(second) = job.second.take_if(|leg| leg.stage == LegStage::Delivered) else {
            return Ok(alone);
        };
        if let Some(cosine_min) = second.probes_cosine().filter(|seen| !at_least(*seen, required)) {
            self.reject(&second, cosine_min, required);
            return Ok(alone);
        }
        let Some((compared, cosine_min)) = compare_rows(main, &second) else {
            return Ok(alone);
        };
        let provider = second.provider;
        job.second = Some(second);
        if !at_least(cosine_min, required) {
            return Err(cosine_min);
        }
        let cosine_min = own.map_or(cosine_min, |own| own.min(cosine_min));
        Ok(Verification::TwoAgree {
            second: provider,
            compared,
            probes,
            cosine_min,
        })
    }

    /// The result is right as far as it was checked: pay, and the second provider too.
    fn settle_legs(&mut self, job: &mut Job, verification: Verification) -> Option<End> {
        self.trade(
            job.id,
            TradeStep::Verified {
                verification: verification.clone(),
            },
        );
        let main = job.main.take()?;
        let contract = main.contract.clone()?;
        let place = match self.pay(&contract, &verification) {
            Ok(place) => place,
            Err(reason) => return Some(End::Failed(reason)),
        };
        let checked = verification != Verification::Unchecked;
        self.observe(&main.provider, Aspect::Reliability, true, 1.0);
        if checked {
            self.observe(&main.provider, Aspect::Quality, true, 1.0);
        }
        let mut check_price = 0;
        if let Some(second) = job.second.take().filter(|leg| leg.stage == LegStage::Delivered) {
            let theirs = match &verification {
                Verification::TwoAgree {
                    compared,
                    probes,
                    cosine_min,
                    ..
                } => Verification::TwoAgree {
                    second: main.provider,
                    compared: *compared,
                    probes: *probes,
                    cosine_min: *cosine_min,
                },
                other => other.clone(),
            };
            let paid = second
                .contract
                .as_ref()
                .map(|contract| self.pay(contract, &theirs));
            if let Some(Ok(_)) = paid {
                check_price = second.terms.price.0;
                self.observe(&second.provider, Aspect::Reliability, true, 1.0);
                self.observe(&second.provider, Aspect::Quality, true, 1.0);
            }
        }
        let until = self.now.plus_ms(u64::from(self.config.exchange_timeout_ms) * 2);
        let settling = Settling {
            leg: main,
            verification,
            place,
            until,
            check_price,
        };
        job.stage = Stage::Settling(Box::new(settling));
        None
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

    fn reject(&mut self, leg: &Leg, cosine_min: f32, required: f32) {
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

    /// One provider failed. The second one is optional; for the first another is tried.
    fn leg_failed(&mut self, job: &mut Job, which: Which, reason: Failure) -> Option<End> {
        let leg = match which {
            Which::Main => job.main.take(),
            Which::Second => job.second.take(),
        };
        let leg = leg?;
        let provider = leg.provider;
        if leg.contract.is_some() && reason != Failure::Cancelled {
            self.observe(&provider, Aspect::Reliability, false, 1.0);
        }
        if reason == Failure::Deadline {
            self.observe(&provider, Aspect::ResponseTime, false, 1.0);
        }
        if which == Which::Second {
            return self.conclude(job);
        }
        job.tried.insert(provider);
        job.attempts += 1;
        (job.second, job.second_asked, job.second_until) = (None, None, None);
        if job.attempts >= self.config.attempts_max || self.now >= job.deadline {
            return Some(End::Failed(reason));
        }
        job.last_refusal = Some(reason.clone());
        self.trade(job.id, TradeStep::Retrying { provider, reason });
        let now = self.now;
        let tried = &job.tried;
        job.quotes
            .retain(|peer, quoted| quoted.until > now && !tried.contains(peer));
        if job.quotes.is_empty() {
            job.approached.clear();
        }
        job.stage = Stage::Searching;
        job.grace_until = (!job.quotes.is_empty()).then_some(now);
        job.search_until = now.plus_ms(self.config.search_ms.into());
        self.search(job)
    }

    /// What the buyer gets.
    pub(super) fn outcome(&mut self, job: &Job, settling: Settling) -> Option<Outcome> {
        let Settling {
            leg,
            verification,
            place,
            check_price,
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
            check_price: crate::ids::Millicredits(check_price),
            factors: leg.terms.factors,
            verification,
            receipt,
            took_ms: u32::try_from(self.now.ms_since(job.started)).unwrap_or(u32::MAX),
        })
    }
}

impl Leg {
    fn probes_cosine(&self) -> Option<f32> {
        let delivery = self.delivery.as_ref()?;
        let rows = Rows::new(delivery.dimension, &delivery.values);
        probes_cosine(&self.batch.slots, &rows, &self.batch.probes)
    }
}

/// False for a NaN, which is never enough.
fn at_least(seen: f32, required: f32) -> bool {
    seen >= required
}

fn unexpected() -> Failure {
    Failure::Protocol {
        what: "an answer to another question".to_owned(),
    }
}

/// A result that is the provider's own and has the agreed shape.
fn read_result(leg: &Leg, response: Response) -> Result<Delivery, Failure> {
    let Response::Result {
        head,
        dimension,
        values,
        backend,
    } = response
    else {
        return Err(unexpected());
    };
    let opened: ResultHead = head.open(&leg.provider).map_err(|error| Failure::from(&error))?;
    let output = output_hash(dimension, &values);
    let expected = (leg.terms.items as usize)
        .checked_mul(dimension as usize)
        .and_then(|n| n.checked_mul(4));
    if opened.agreement != leg.id || opened.output != output {
        return Err(Failure::BadSignature);
    }
    if dimension == 0 || expected != Some(values.len()) {
        return Err(Failure::Protocol {
            what: "a result of the wrong shape".to_owned(),
        });
    }
    let (words, _) = values.as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    if !values.iter().all(|value| value.is_finite()) {
        return Err(Failure::WrongResult);
    }
    Ok(Delivery {
        dimension,
        values,
        backend,
        output,
    })
}

/// How alike two providers' vectors are for the texts that both computed; `None` when there are none.
fn compare_rows(main: &Leg, second: &Leg) -> Option<(u32, f32)> {
    let (first, other) = (main.delivery.as_ref()?, second.delivery.as_ref()?);
    let first_rows = Rows::new(first.dimension, &first.values);
    let other_rows = Rows::new(other.dimension, &other.values);
    let places = main.batch.rows();
    let cosines = second.batch.rows().into_iter().filter_map(|(item, row)| {
        let own = first_rows.get(*places.get(&item)?)?;
        Some(other_rows.get(row).map_or(-1.0, |theirs| cosine(own, theirs)))
    });
    cosines.fold(None, |seen: Option<(u32, f32)>, cosine| match seen {
        None => Some((1, cosine)),
        Some((count, lowest)) => Some((count + 1, lowest.min(cosine))),
    })
}
