//! Payment, on both sides.
//!
//! The payer's half leaves once it is durable; the receiver's answer leaves once that is. Whatever is lost on the way is
//! sent again, after a while, after a reconnection, after a restart, until the answer is there. The same half gets the
//! same answer, so nothing is paid twice.

use crate::ids::{AgreementId, ExchangeId, NodeId, Timestamp};
use crate::io::{Output, Write};
use crate::ledger::{Contract, LedgerError, PartialDelivery, Place, Source};
use crate::node::job::{End, Job, Stage};
use crate::node::network::Purpose;
use crate::node::{After, Node};
use crate::reputation::Aspect;
use crate::service::Failure;
use crate::sign::Domain;
use crate::view::{Event, ServeStep, Verification};
use crate::wire::{Agreement, Refusal, RefusalCode, Request, Response, Signed, WireError, encode_frame};

/// A payment whose answer is missing.
pub(super) struct Retry {
    counterparty: NodeId,
    /// Where it was last known to be: what is filed of it may run out before it answers.
    addresses: Vec<String>,
    /// `None` while an attempt is under way, or before the half is durable.
    at: Option<Timestamp>,
    pause_ms: u64,
}

impl Retry {
    pub(super) fn is_to(&self, peer: &NodeId) -> bool {
        self.counterparty == *peer
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.at
    }
}

impl Node {
    /// Takes up payments that were not answered before a restart.
    pub(super) fn resume_payments(&mut self) {
        let pause_ms = u64::from(self.config.settle_retry_ms);
        let pending = self.ledger.pending();
        let retries = pending.map(|(place, counterparty)| {
            (
                place,
                Retry {
                    counterparty,
                    addresses: Vec::new(),
                    at: Some(self.now),
                    pause_ms,
                },
            )
        });
        self.retries = retries.collect();
    }

    /// A connection, or a way to make one, is a reason to try at once.
    pub(super) fn retry_payments_to(&mut self, peer: &NodeId) {
        let theirs = self
            .retries
            .iter_mut()
            .map(|(_, retry)| retry)
            .filter(|retry| retry.is_to(peer));
        for retry in theirs.filter(|retry| retry.at.is_some()) {
            retry.at = Some(self.now);
            retry.pause_ms = u64::from(self.config.settle_retry_ms);
        }
    }

    pub(super) fn settle_due(&mut self) {
        let due = self
            .retries
            .iter()
            .filter(|(_, retry)| retry.at.is_some_and(|at| at <= self.now));
        for place in due.map(|(place, _)| *place).collect::<Vec<_>>() {
            self.send_settlement(place);
        }
    }

    /// Signs the payer's half; it leaves when it is durable.
    pub(super) fn pay(&mut self, contract: &Contract, verification: &Verification) -> Result<Place, Failure> {
        let paid = self
            .ledger
            .pay(self.signer.as_ref(), self.now, contract, verification);
        let (place, writes) = paid.map_err(|error| match error {
            LedgerError::Full => Failure::Storage,
            other => Failure::Protocol {
                what: other.to_string(),
            },
        })?;
        let pause_ms = u64::from(self.config.settle_retry_ms);
        let counterparty = contract.terms.provider;
        self.retries.insert(
            place,
            Retry {
                counterparty,
                addresses: self.network.addresses_of(&counterparty),
                at: None,
                pause_ms,
            },
        );
        self.journal.commit(writes, [After::Settle(place)]);
        self.changed = true;
        Ok(place)
    }

    pub(super) fn send_settlement(&mut self, place: Place) {
        let Some(retry) = self.retries.get_mut(&place) else {
            return;
        };
        let peer = retry.counterparty;
        if !self.network.connections.contains_key(&peer) {
            retry.at = Some(self.now.plus_ms(retry.pause_ms));
            retry.pause_ms = (retry.pause_ms * 2).min(self.config.settle_retry_max_ms.into());
            // Nobody else has a reason to connect: the debt is this node's.
            if !self.network.members.contains_key(&peer) && !retry.addresses.is_empty() {
                let addresses = retry.addresses.clone();
                return self.outputs.push_back(Output::Dial { peer, addresses });
            }
            return self.dial(&peer);
        }
        retry.at = None;
        let Some(pending) = self.ledger.pending_at(place) else {
            return;
        };
        let request = Request::Settle {
            agreement: pending.agreement,
            countersignature: pending.countersignature,
            block: pending.block,
            partial: pending.partial,
        };
        self.request(
            peer,
            &request,
            Purpose::Settle { place },
            self.config.exchange_timeout_ms,
        );
    }

    /// The receiver answered a payment, or did not.
    pub(super) fn settled(&mut self, place: Place, result: Result<Response, Failure>) {
        let answer = match result {
            Ok(Response::Settled(answer)) => answer,
            _ => return self.settle_later(place),
        };
        match self.ledger.complete(place, &answer) {
            Ok(writes) => {
                self.retries.remove(&place);
                self.journal.commit(writes, [After::Receipted(place)]);
                self.witnessed(&answer, Source::Own);
            }
            Err(LedgerError::Fraud(proof)) => {
                self.convict(&proof);
                self.settle_later(place);
            }
            Err(_) => self.settle_later(place),
        }
    }

    fn settle_later(&mut self, place: Place) {
        if let Some(retry) = self.retries.get_mut(&place) {
            retry.at = Some(self.now.plus_ms(retry.pause_ms));
            retry.pause_ms = (retry.pause_ms * 2).min(self.config.settle_retry_max_ms.into());
        }
    }

    /// Both halves are durable at the payer's.
    pub(super) fn receipted(&mut self, place: Place) {
        let Some(receipt) = self.ledger.receipt(place) else {
            return;
        };
        let mut writes = self.reputation.receipted(self.now, &receipt.counterparty);
        if let Some(paid) = receipt.delta.checked_neg() {
            let me = self.me;
            self.reputation.paid(&me, &receipt.counterparty, paid);
        }
        writes.extend(self.ledger.fold(self.config.ledger_whole_max));
        self.journal.commit(writes, []);
        let waiting = self.jobs.iter().find_map(|(id, job)| match &job.stage {
            Stage::Settling(settling) if settling.place == place => Some(*id),
            _ => None,
        });
        if let Some(id) = waiting {
            self.with_job(id, |node, job| Some(node.finish(job)));
        }
        self.changed = true;
    }

    /// A payer's half came in: answer it with this node's own, once that is durable.
    pub(super) fn take_payment(
        &mut self,
        exchange: ExchangeId,
        peer: NodeId,
        agreement: &Signed,
        countersignature: &[u8; 64],
        block: &Signed,
        partial: Option<&Signed>,
    ) {
        if self.journal.waiting() >= self.config.answers_max {
            return self.refuse(exchange, &Refusal::new(RefusalCode::Busy));
        }
        let contract = self.contract(peer, agreement, countersignature, partial);
        match contract.and_then(|contract| self.receive(peer, &contract, block)) {
            Ok((writes, answer, event)) => {
                let respond = After::Respond(exchange, encode_frame(&Response::Settled(answer)));
                self.journal
                    .commit(writes, [Some(respond), event].into_iter().flatten());
            }
            Err(refusal) => self.refuse(exchange, &refusal),
        }
    }

    fn receive(
        &mut self,
        peer: NodeId,
        contract: &Contract,
        block: &Signed,
    ) -> Result<(Vec<Write>, Signed, Option<After>), Refusal> {
        let received = self
            .ledger
            .receive(self.signer.as_ref(), self.now, contract, block);
        let (place, mut writes) = received.map_err(|error| self.refuse_payment(error))?;
        let answer = self
            .ledger
            .own(place)
            .ok_or_else(|| Refusal::new(RefusalCode::Storage))?;
        if writes.is_empty() {
            return Ok((writes, answer, None));
        }
        let was_given_up = !self.seller.active.contains_key(&contract.id);
        self.close_active(&contract.id);
        self.witnessed_payment(block);
        let receipt = self
            .ledger
            .receipt(place)
            .ok_or_else(|| Refusal::new(RefusalCode::Storage))?;
        if was_given_up {
            // Counted as never paid, and paid after all; or forgotten in a restart, when nothing is claimed.
            writes.extend(self.ledger.claim(&peer, receipt.delta.0.saturating_neg()));
        }
        writes.extend(
            self.reputation
                .observe(self.now, &peer, Aspect::Reliability, true, 1.0),
        );
        writes.extend(self.reputation.receipted(self.now, &peer));
        writes.extend(self.ledger.fold(self.config.ledger_whole_max));
        if receipt.verification != Verification::Unchecked {
            let me = self.me;
            writes.extend(self.reputation.observe(self.now, &me, Aspect::Quality, true, 1.0));
        }
        let step = ServeStep::Paid {
            receipt: receipt.id,
            price: receipt.delta,
        };
        let event = Event::Served {
            requester: peer,
            at: self.now,
            step,
        };
        Ok((writes, answer, Some(After::Event(event))))
    }

    /// The agreement that is being paid. This node's own signature on it is enough: it need not remember.
    fn contract(
        &mut self,
        peer: NodeId,
        signed: &Signed,
        countersignature: &[u8; 64],
        partial: Option<&Signed>,
    ) -> Result<Contract, Refusal> {
        let id = AgreementId(signed.hash::<Agreement>().0);
        let known = self.seller.active.get(&id);
        let known =
            known.filter(|active| active.signed == *signed && active.countersignature == *countersignature);
        let terms = match known {
            Some(active) => active.terms.clone(),
            None => {
                let terms: Agreement = signed.open(&peer).map_err(|error| Refusal::from(&error))?;
                if !Domain::Agreement.verify(&self.me, &signed.body, countersignature) {
                    return Err(Refusal::new(RefusalCode::BadSignature));
                }
                terms
            }
        };
        if terms.requester != peer || terms.provider != self.me {
            return Err(Refusal::new(RefusalCode::BadSignature));
        }
        let partial = partial.map(|partial| PartialDelivery::open(partial, &self.me, &id));
        let partial = partial.transpose().map_err(|error| self.refuse_payment(error))?;
        Ok(Contract {
            id,
            terms,
            signed: signed.clone(),
            countersignature: *countersignature,
            partial,
        })
    }

    fn refuse_payment(&mut self, error: LedgerError) -> Refusal {
        match error {
            LedgerError::Wire(WireError::BadSignature) => Refusal::new(RefusalCode::BadSignature),
            LedgerError::Fraud(proof) => {
                self.convict(&proof);
                Refusal::new(RefusalCode::Fraud)
            }
            LedgerError::Full => Refusal::new(RefusalCode::Storage),
            other => Refusal::because(RefusalCode::InvalidRequest, other.to_string()),
        }
    }

    /// Ends a request whose payment is complete, or has waited long enough for the other half.
    pub(super) fn finish(&mut self, job: &mut Job) -> End {
        let stage = std::mem::replace(&mut job.stage, Stage::Searching);
        let Stage::Settling(settling) = stage else {
            return End::Failed(Failure::Cancelled);
        };
        match self.outcome(job, *settling) {
            Some(outcome) => End::Finished(Box::new(outcome)),
            None => End::Failed(Failure::Storage),
        }
    }
}
