//! One provider of a request on the buyer's side: agreement and activity, and another provider when it fails.
//!
//! ```text
//! Agreeing ──signed──▶ Executing ──result──▶ Delivered ──judged──▶ paid, or rejected
//!     └──── refused, lost, too late ────┘        (given up on the way: see `hedge`)
//! ```
//!
//! `Agreeing` ends with the exchange's timeout, `Executing` after twice the promise (or the promise and
//! [`late_ms`](crate::Config::late_ms)) and never later than the request's deadline.

use crate::ids::{AgreementId, JobId, Millicredits, NodeId};
use crate::ledger::{Contract, PartialDelivery};
use crate::node::Node;
use crate::node::job::{Delivery, End, Job, Leg, LegStage, Quoted, Stage, Which};
use crate::node::network::Purpose;
use crate::reputation::Aspect;
use crate::service::Failure;
use crate::sign::Domain;
use crate::verification::to_ppm;
use crate::view::TradeStep;
use crate::wire::{
    Agreement, ComparisonRule, OBJECT_VERSION, Request, Response, ResultHead, Signed, encode_frame,
};
use crate::work::WorkOutput;

/// Connections of one peer that may be lost in a row while a result is waited for.
const SENT_AGAIN_MAX: u8 = 3;

impl Node {
    /// Offers the agreement that takes up a quote.
    pub(super) fn start_leg(&mut self, job: &mut Job, which: Which, provider: NodeId, quoted: Quoted) {
        let hash = quoted.hash();
        let Quoted {
            batch,
            demand,
            proposal,
            ..
        } = quoted;
        let rule = job.input.rule();
        let cosine_min_ppm = match rule {
            ComparisonRule::Cosine => to_ppm(self.config.cosine_min),
            ComparisonRule::Exact => 0,
        };
        let terms = Agreement {
            version: OBJECT_VERSION,
            requester: self.me,
            provider,
            proposal: hash,
            scope: demand.scope,
            service: demand.service,
            model: proposal.model,
            precision: proposal.precision,
            rule,
            cosine_min_ppm,
            items: demand.items,
            tokens: demand.tokens,
            input: batch.hash(&job.input),
            price: proposal.price,
            factors: proposal.factors,
            promised_ms: proposal.promised_ms,
        };
        let signed = Signed::seal(self.signer.as_ref(), &terms);
        let agreement = AgreementId(signed.hash::<Agreement>().0);
        let leg = Leg {
            provider,
            batch,
            terms,
            id: agreement,
            signed,
            contract: None,
            stage: LegStage::Agreeing,
            asked_again: false,
            sent_again: 0,
            sent_at: self.now,
            delivery: None,
            is_late: false,
            is_paid: false,
        };
        // An answer takes a round trip. While a place is kept for the input it is worth asking a second time.
        let timeout_ms = self.config.exchange_timeout_ms;
        self.ask_to_agree(job.id, &leg, timeout_ms.min(self.config.place_ms.max(1)));
        job.put(which, leg);
    }

    fn ask_to_agree(&mut self, job: JobId, leg: &Leg, timeout_ms: u32) {
        let request = Request::Agree {
            tag: self.tag(&leg.provider),
            agreement: leg.signed.clone(),
        };
        let agreement = leg.id;
        let purpose = Purpose::Agree { job, agreement };
        self.request(leg.provider, &request, purpose, timeout_ms);
    }

    /// Question or answer was lost. Asked again the answer is the same, so it is asked again, once.
    fn ask_again_to_agree(&mut self, job: &mut Job, which: Which) -> bool {
        let (id, timeout_ms) = (job.id, self.config.exchange_timeout_ms);
        let Some(leg) = job.leg(which).filter(|leg| !leg.asked_again) else {
            return false;
        };
        leg.asked_again = true;
        self.ask_to_agree(id, leg, timeout_ms);
        true
    }

    /// The provider signed the agreement, or did not: send the input, or try another.
    pub(super) fn agreed(
        &mut self,
        id: JobId,
        agreement: &AgreementId,
        peer: &NodeId,
        result: Result<Response, Failure>,
    ) {
        self.with_job(id, |node, job| {
            let which = job.role(agreement, peer, LegStage::Agreeing)?;
            let signature = match result {
                Ok(Response::Agreed { signature }) => signature,
                Ok(_) => return node.leg_failed(job, which, unexpected()),
                Err(Failure::Deadline | Failure::Disconnected) if node.ask_again_to_agree(job, which) => {
                    return None;
                }
                Err(reason) => return node.leg_failed(job, which, reason),
            };
            let leg = job.leg(which)?;
            if !Domain::Agreement.verify(peer, &leg.signed.body, &signature) {
                return node.leg_failed(job, which, Failure::BadSignature);
            }
            leg.contract = Some(Contract {
                id: leg.id,
                terms: leg.terms.clone(),
                signed: leg.signed.clone(),
                countersignature: signature,
                partial: None,
            });
            leg.stage = LegStage::Executing;
            leg.sent_at = node.now;
            let promised_ms = u64::from(leg.terms.promised_ms);
            if which == Which::Main {
                // What is kept comes at once or not at all, and where it is kept is not doubled in a hurry.
                let is_kept = job.input.shows_itself();
                job.hedge_at = Some(node.now.plus_ms(promised_ms)).filter(|_| !is_kept);
                let agreement = *agreement;
                node.trade(id, TradeStep::Agreed { agreement });
            }
            node.send_input(job, which);
            None
        });
    }

    fn send_input(&mut self, job: &mut Job, which: Which) {
        let (id, bytes) = (job.id, self.ask_for_result(job, which));
        let items = job.leg(which).map(|leg| leg.terms.items);
        if let (Which::Main, Some(items)) = (which, items) {
            self.trade(id, TradeStep::Sent { items, bytes });
        }
    }

    /// The connection that the question went over is gone. Where another one stands, as when a circuit is left for a direct
    /// connection, it is asked there: the answer is the same.
    fn ask_again_for_result(&mut self, job: &mut Job, which: Which) -> bool {
        let Some(leg) = job.leg(which) else { return false };
        if leg.sent_again >= SENT_AGAIN_MAX || self.network.path(&leg.provider).is_none() {
            return false;
        }
        leg.sent_again += 1;
        self.ask_for_result(job, which);
        true
    }

    /// Returns the bytes that it sends.
    fn ask_for_result(&mut self, job: &mut Job, which: Which) -> u32 {
        let (id, left_ms) = (job.id, job.deadline.ms_since(self.now));
        job.is_sent = true;
        let Some(leg) = job.leg(which) else { return 0 };
        let promised_ms = u64::from(leg.terms.promised_ms);
        let timeout_ms = (2 * promised_ms)
            .max(promised_ms + u64::from(self.config.late_ms))
            .min(left_ms.max(1));
        let (provider, agreement) = (leg.provider, leg.id);
        let batch = leg.batch.clone();
        let input = batch.input(&job.input);
        let frame = encode_frame(&Request::Execute { agreement, input });
        let bytes = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let purpose = Purpose::Execute { job: id, agreement };
        let timeout_ms = u32::try_from(timeout_ms).unwrap_or(u32::MAX);
        self.request_frame(provider, frame, purpose, timeout_ms);
        bytes
    }

    /// The result came, or did not; perhaps for an agreement that was given up meanwhile.
    pub(super) fn executed(
        &mut self,
        id: JobId,
        agreement: &AgreementId,
        peer: &NodeId,
        result: Result<Response, Failure>,
    ) {
        if self.partings.contains_key(agreement) {
            // The answer to `Cancel` says what is owed; only a result that crossed it says more.
            if result.is_ok() {
                self.parted(agreement, peer, result);
            }
            return;
        }
        self.with_job(id, |node, job| {
            let which = job.role(agreement, peer, LegStage::Executing)?;
            if result == Err(Failure::Disconnected) && node.ask_again_for_result(job, which) {
                return None;
            }
            let leg = job.leg(which)?;
            let delivery = match result.and_then(|response| read_result(leg, response)) {
                Ok(delivery) => delivery,
                Err(reason) => return node.leg_failed(job, which, reason),
            };
            let took_ms = node.now.ms_since(leg.sent_at);
            let in_time = took_ms <= u64::from(leg.terms.promised_ms);
            let promised_ms = leg.terms.promised_ms;
            leg.delivered(delivery);
            leg.is_late = !in_time;
            node.took(peer, Some(took_ms), promised_ms);
            node.observe(peer, Aspect::ResponseTime, in_time, 1.0);
            let to_use = match which {
                Which::Main => true,
                Which::Sample(_) => false,
                Which::Hedge => node.take_hedge(job),
            };
            if to_use {
                let took_ms = u32::try_from(took_ms).unwrap_or(u32::MAX);
                node.trade(id, TradeStep::Delivered { took_ms });
            }
            match (job.stage_is_trying(), which) {
                (true, Which::Sample(provider)) => node.judge_trial(job, provider),
                _ => node.conclude(job),
            }
        });
    }

    /// The time to expect of a provider's promise, milliseconds: on the way there and back, and with it.
    pub(super) fn expected_ms(&self, provider: &NodeId, promised_ms: u32) -> u32 {
        let there = self.paces.expected_ms(provider, promised_ms);
        there.saturating_add(self.round_trip_ms(provider))
    }

    /// The same if nothing were known of the provider.
    pub(super) fn usual_ms(&self, provider: &NodeId, promised_ms: u32) -> u32 {
        let there = self.paces.usual_ms(promised_ms);
        there.saturating_add(self.round_trip_ms(provider))
    }

    /// Counts how long a trade took; `None` when no result came at all.
    pub(super) fn took(&mut self, provider: &NodeId, took_ms: Option<u64>, promised_ms: u32) {
        let round_trip_ms = u64::from(self.round_trip_ms(provider));
        let there_ms = took_ms.map(|took_ms| took_ms.saturating_sub(round_trip_ms));
        self.paces.took(self.now, provider, there_ms, promised_ms);
    }

    /// What the transport measured; while it has not, that time counts as the provider's.
    fn round_trip_ms(&self, provider: &NodeId) -> u32 {
        let connection = self.network.connections.get(provider);
        connection.and_then(|connection| connection.rtt_ms).unwrap_or(0)
    }

    /// A provider failed. Only the main one has to be replaced: by the hedge where there is one, or else by a new search.
    pub(super) fn leg_failed(&mut self, job: &mut Job, which: Which, reason: Failure) -> Option<End> {
        let leg = job.take(which)?;
        let provider = leg.provider;
        if leg.contract.is_some() {
            self.observe(&provider, Aspect::Reliability, false, 1.0);
        }
        if reason == Failure::Deadline {
            self.took(&provider, None, leg.terms.promised_ms);
            self.observe(&provider, Aspect::ResponseTime, false, 1.0);
        }
        // Others' agreements took the room that the quote had spoken of. That is nobody's failure, and it passes.
        let crowded_out = leg.contract.is_none() && reason == Failure::Busy;
        if let Which::Sample(_) = which {
            if job.stage_is_trying() && !crowded_out {
                self.failed_trial(job, provider);
            }
            return self.sampled(job);
        }
        if !crowded_out {
            job.tried.insert(provider);
        }
        if which == Which::Hedge {
            return None;
        }
        job.attempts += usize::from(!crowded_out);
        if let Some(hedge) = job.hedge.take() {
            job.main = Some(hedge);
            self.trade(job.id, TradeStep::Retrying { provider, reason });
            return None;
        }
        if job.attempts >= self.config.attempts_max || self.now >= job.deadline {
            return Some(End::Failed(reason));
        }
        job.last_refusal = Some(reason.clone());
        self.trade(job.id, TradeStep::Retrying { provider, reason });
        self.search_anew(job);
        if crowded_out {
            // Asked again it says what it can do now; where all are like that, a pause comes first.
            job.approached.remove(&provider);
            job.met_busy = true;
            job.refusals = job.refusals.saturating_add(1);
            job.busy_refusals = job.busy_refusals.saturating_add(1);
        } else if job.quotes.is_empty() {
            job.forget_asked();
        }
        self.search(job)
    }

    /// Forgets everything about the former provider and looks at the other quotes, or for new ones.
    fn search_anew(&mut self, job: &mut Job) {
        self.give_up_samples(job);
        job.samples_asked.clear();
        (job.sample_until, job.third) = (None, None);
        (job.hedge_at, job.hedge_wanted) = (None, false);
        let now = self.now;
        let tried = &job.tried;
        job.quotes
            .retain(|peer, quoted| quoted.until > now && !tried.contains(peer));
        job.stage = Stage::Searching;
        job.grace_until = (!job.quotes.is_empty()).then_some(now);
        job.search_until = now.plus_ms(self.config.search_ms.into());
    }
}

pub(super) fn unexpected() -> Failure {
    Failure::Protocol {
        what: "an answer to another question".to_owned(),
    }
}

impl Leg {
    /// The result is here.
    pub(super) fn delivered(&mut self, mut delivery: Delivery) {
        if let Some(contract) = &mut self.contract {
            contract.partial = delivery.partial.take();
        }
        self.delivery = Some(delivery);
        self.stage = LegStage::Delivered;
    }

    /// What is owed for what was delivered.
    pub(super) fn due(&self) -> Millicredits {
        self.contract.as_ref().map_or(self.terms.price, Contract::due)
    }
}

/// A result that is the provider's own and has the agreed shape.
pub(super) fn read_result(leg: &Leg, response: Response) -> Result<Delivery, Failure> {
    let Response::Result {
        head,
        output,
        partial,
    } = response
    else {
        return Err(unexpected());
    };
    let opened: ResultHead = head.open(&leg.provider).map_err(|error| Failure::from(&error))?;
    let hash = output.hash();
    if opened.agreement != leg.id || opened.output != hash {
        return Err(Failure::BadSignature);
    }
    if output.service() as u8 != leg.terms.service {
        return Err(unexpected());
    }
    output.check(leg.terms.items, leg.terms.tokens)?;
    Ok(Delivery {
        head,
        origin: opened.origin,
        partial: read_partial(leg, &output, partial.as_ref())?,
        output,
        hash,
    })
}

/// The provider's word that it did less than was agreed. Where the output shows that, it is owed, and nowhere else.
fn read_partial(
    leg: &Leg,
    output: &WorkOutput,
    partial: Option<&Signed>,
) -> Result<Option<PartialDelivery>, Failure> {
    let partial = partial.map(|signed| PartialDelivery::open(signed, &leg.provider, &leg.id));
    let partial = partial.transpose().map_err(|_| Failure::BadSignature)?;
    let stated = partial.as_ref().map(|partial| partial.units);
    if stated != output.units_done(leg.terms.tokens) {
        return Err(Failure::Protocol {
            what: "a bill for other work than was done".to_owned(),
        });
    }
    Ok(partial)
}
