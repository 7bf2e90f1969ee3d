//! The provider's side: agreements and activities.
//!
//! ```text
//! quote ─▶ agreed ─▶ queued ─▶ running ─▶ delivered ─▶ paid
//!            │         │          ├───────── expires, refused or rejected: unpaid
//!            └─────────┴──────────┴─ the buyer cancels ─▶ cancelled ─▶ paid in proportion (see `hedge`)
//! ```
//!
//! One activity runs at a time; a bounded number waits. Messages that come twice get the same answer twice.

use crate::cache;
use crate::capability::PauseReason;
use crate::ids::{AgreementId, ExchangeId, Hash, Millicredits, NodeId, Timestamp, WorkId};
use crate::io::Output;
use crate::market::units_done;
use crate::monitor::{Circumstances, Denied};
use crate::node::Node;
use crate::node::seller::{Active, Run, State};
use crate::price;
use crate::reputation::Aspect;
use crate::service::{Failure, Service};
use crate::sign::Domain;
use crate::view::ServeStep;
use crate::wire::{
    Agreement, Blocks, FetchBlocks, Head, OBJECT_VERSION, Partial, Refusal, RefusalCode, Response,
    ResultHead, Signed, Verdict, encode_frame,
};
use crate::work::{WorkInput, WorkOutput};

/// The engine may take this many times the promise before it counts as hung.
const HUNG_FACTOR: u32 = 4;
/// Exchanges of one agreement that wait for the same result.
const ASKERS_MAX: usize = 4;
/// What a buyer that does not pay loses in reputation, in ordinary trades.
const UNPAID_WEIGHT: f64 = 2.0;

impl Node {
    pub(super) fn selling_timeout(&self) -> Option<Timestamp> {
        let active = self.seller.active.values().map(|active| active.until);
        let waiting = !self.monitor.queue.is_empty() && self.seller.running.is_none();
        let rested = waiting.then(|| self.monitor.rested_at(self.now)).flatten();
        let running = self.seller.running.as_ref().map(|run| run.until);
        active
            .chain(rested)
            .chain(running)
            .chain(self.seller.quotes.values().map(|quoted| quoted.until))
            .min()
    }

    pub(super) fn sell_due(&mut self) {
        let now = self.now;
        self.seller.quotes.retain(|_, quoted| quoted.until > now);
        let active = self.seller.active.iter();
        let over: Vec<AgreementId> = active
            .filter(|(_, active)| active.until <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.end_unpaid(&id);
        }
        // A hung engine is waited for no longer.
        self.seller.running.take_if(|run| run.until <= now);
        if !self.monitor.queue.is_empty() && self.monitor.sheds(self.paused()) {
            self.shed_all();
        }
        self.start_next();
    }

    /// Why lending is paused at this moment; `None` when it lends, or is off.
    pub(super) fn paused(&self) -> Option<PauseReason> {
        let others = |point: &NodeId| *point != self.me;
        let online = self.network.points.keys().any(others) || self.network.peer_connections() > 0;
        let circumstances = Circumstances {
            storage_fails: self.journal.is_failing(),
            online,
            engines: self.lending.engines(),
        };
        self.monitor.pause(self.now, &circumstances)
    }

    /// Signs an agreement that says what the quote said. Asked again, the answer is the same.
    pub(super) fn agree(&mut self, peer: NodeId, signed: &Signed) -> Result<Response, Refusal> {
        let id = AgreementId(signed.hash::<Agreement>().0);
        let active = self.seller.active.get(&id);
        if let Some(active) = active.filter(|active| active.terms.requester == peer) {
            let signature = active.countersignature;
            return Ok(Response::Agreed { signature });
        }
        let terms: Agreement = signed.open(&peer).map_err(|error| Refusal::from(&error))?;
        let quoted = self.seller.quotes.get(&terms.proposal);
        let quoted = quoted.ok_or_else(|| Refusal::new(RefusalCode::Expired))?;
        let deadline = quoted.deadline;
        if !quoted.covers(&peer, &terms, &self.me) {
            return Err(Refusal::because(
                RefusalCode::InvalidRequest,
                "not what was quoted",
            ));
        }
        let theirs = self.seller.active_of(&peer).count();
        if self.seller.active.len() >= self.config.agreements_max
            || theirs >= self.config.agreements_per_buyer_max
        {
            return Err(Refusal::new(RefusalCode::Busy));
        }
        // Several quotes may stand that only together exceed the queue, or the line. Kept answers wait for no engine.
        if terms.service != Service::CacheQuery as u8 {
            self.admit(&peer, terms.tokens)
                .map_err(|denied| denied.to_refusal())?;
        }
        self.credit_of(&peer, terms.price)?;
        // Others agreed meanwhile. A word that cannot be kept any more is better taken back than broken.
        let ability = self.lending.ability(terms.service, terms.model.as_ref());
        if ability.is_some_and(|ability| !self.can_keep(&ability, terms.tokens, terms.promised_ms, deadline))
        {
            return Err(Refusal::new(RefusalCode::Busy));
        }
        self.seller.quotes.remove(&terms.proposal);
        let signature = Domain::Agreement.sign(self.signer.as_ref(), &signed.body);
        let active = Active {
            terms,
            signed: signed.clone(),
            countersignature: signature,
            state: State::Agreed,
            promised_from: self.now,
            deadline,
            until: self.now.plus_ms(self.config.input_ms.into()),
        };
        self.seller.active.insert(id, active);
        self.used(&peer);
        self.served(peer, ServeStep::Agreed { agreement: id });
        Ok(Response::Agreed { signature })
    }

    /// Takes the input of an agreement and puts it in the queue.
    pub(super) fn execute(&mut self, exchange: ExchangeId, peer: NodeId, id: AgreementId, input: WorkInput) {
        let now = self.now;
        let active = self
            .seller
            .active
            .get_mut(&id)
            .filter(|active| active.terms.requester == peer);
        let Some(active) = active else {
            return self.refuse(exchange, &Refusal::new(RefusalCode::Expired));
        };
        match &mut active.state {
            State::Agreed => {}
            // Asked again, perhaps over a new connection: the result goes to both.
            State::Queued { exchanges, .. } | State::Running { exchanges, .. } => {
                if exchanges.len() < ASKERS_MAX {
                    return exchanges.push(exchange);
                }
                return self.refuse(exchange, &Refusal::new(RefusalCode::Busy));
            }
            State::Delivered { frame, .. } => {
                let frame = frame.clone();
                return self.outputs.push_back(Output::Respond { exchange, frame });
            }
            State::Cancelled { .. } => {
                return self.refuse(exchange, &Refusal::new(RefusalCode::Cancelled));
            }
        }
        let terms = &active.terms;
        let as_agreed = input.service() as u8 == terms.service
            && input.len() == terms.items as usize
            && input.units() == terms.tokens
            && input.names().is_none_or(|named| terms.model == Some(named))
            && input.hash() == terms.input
            && input.check_sent().is_ok();
        if !as_agreed {
            self.seller.active.remove(&id);
            let refusal = Refusal::because(RefusalCode::InvalidRequest, "the input is not the agreed one");
            return self.refuse(exchange, &refusal);
        }
        if let WorkInput::Cached { keys } = &input {
            let terms = terms.clone();
            return self.deliver_kept(id, &terms, exchange, keys);
        }
        let (tokens, promised_ms) = (terms.tokens, terms.promised_ms);
        if !active.holds_place(now, self.config.place_ms)
            && let Err(denied) = self.admit(&peer, tokens)
        {
            return self.refuse(exchange, &denied.to_refusal());
        }
        let engine_ms = u64::from(engine_limit_ms(promised_ms, self.config.engine_min_ms));
        let waiting = self.monitor.queue.len() as u64 + 2;
        let Some(active) = self.seller.active.get_mut(&id) else {
            return;
        };
        active.state = State::Queued {
            exchanges: vec![exchange],
            input,
        };
        active.promised_from = now;
        let deadline = active.deadline;
        active.until = now.plus_ms(
            engine_ms
                .saturating_mul(waiting)
                .saturating_add(self.config.unreported_ms.into()),
        );
        let due = self.engine_due(now, promised_ms, deadline);
        self.monitor.queue.push(peer, id, tokens, due);
        self.start_next();
    }

    /// Whether there is room for so much more work of a buyer.
    pub(super) fn admit(&self, peer: &NodeId, tokens: u32) -> Result<(), Denied> {
        let held = self.seller.held(self.now, self.config.place_ms);
        self.monitor.admit(peer, tokens, self.lending.tier(), held)
    }

    /// Gives the engine the next activity when it is free and the compute share allows.
    fn start_next(&mut self) {
        if self.seller.running.is_some() {
            return;
        }
        while let Some(id) = self.monitor.next(self.now) {
            let Some(active) = self.seller.active.get_mut(&id) else {
                continue;
            };
            // Twice the promise is what a buyer waits at least: nobody is there any more.
            let waited_ms = self.now.ms_since(active.promised_from);
            if waited_ms > (2 * u64::from(active.terms.promised_ms)).max(self.config.late_ms.into()) {
                self.shed(&id, RefusalCode::Deadline, Failure::Deadline);
                continue;
            }
            let (exchanges, input) = match std::mem::replace(&mut active.state, State::Agreed) {
                State::Queued { exchanges, input } => (exchanges, input),
                other => {
                    active.state = other;
                    continue;
                }
            };
            self.seller.last_work += 1;
            let work = WorkId(self.seller.last_work);
            // Past the deadline nobody waits for a result, and an engine that hangs serves nobody else.
            let left_ms = active.deadline.ms_since(self.now);
            let left_ms = u32::try_from(left_ms)
                .unwrap_or(u32::MAX)
                .max(self.config.engine_min_ms);
            let limit_ms = engine_limit_ms(active.terms.promised_ms, self.config.engine_min_ms).min(left_ms);
            let started = self.now;
            let keys = match &input {
                WorkInput::Texts { texts } if self.cache.is_on() => {
                    texts.iter().map(|text| cache::key_of(text)).collect()
                }
                _ => Vec::new(),
            };
            active.state = State::Running {
                exchanges,
                started,
                keys,
            };
            active.until = started.plus_ms(u64::from(limit_ms) + u64::from(self.config.unreported_ms));
            let (model, requester) = (active.terms.model, active.terms.requester);
            let engine = self.lending.ability(active.terms.service, model.as_ref());
            self.seller.running = Some(Run {
                work,
                agreement: id,
                tokens: active.terms.tokens,
                tokens_per_s: engine.map_or(0.0, |engine| engine.units_per_s),
                since: started,
                until: active.until,
            });
            self.outputs.push_back(Output::Work {
                work,
                requester,
                model,
                input,
                limit_ms,
            });
            self.changed = true;
            return;
        }
    }

    /// The engine finished; a report for work that was given up is ignored.
    pub(super) fn work_done(&mut self, work: WorkId, result: Result<WorkOutput, Failure>, took_ms: u32) {
        let Some(run) = self.seller.running.take_if(|run| run.work == work) else {
            return;
        };
        self.monitor.worked(self.now, took_ms);
        self.lending.worked(took_ms);
        self.finish_activity(run.agreement, result, took_ms);
        self.start_next();
    }

    fn finish_activity(&mut self, id: AgreementId, result: Result<WorkOutput, Failure>, took_ms: u32) {
        let Some(active) = self.seller.active.get_mut(&id) else {
            return;
        };
        let State::Running { exchanges, keys, .. } = &mut active.state else {
            return;
        };
        let (exchanges, keys) = (std::mem::take(exchanges), std::mem::take(keys));
        let terms = active.terms.clone();
        let delivered = result.and_then(|output| deliverable(&terms, output));
        match delivered {
            Ok(delivery) => self.deliver(id, &terms, exchanges, delivery, took_ms, &keys),
            Err(reason) => {
                self.seller.active.remove(&id);
                let refusal = match reason {
                    Failure::NotHeld => Refusal::new(RefusalCode::NotHeld),
                    Failure::NoRoom => Refusal::new(RefusalCode::NoRoom),
                    _ => Refusal::because(RefusalCode::Engine, reason.to_string()),
                };
                exchanges
                    .iter()
                    .for_each(|exchange| self.refuse(*exchange, &refusal));
                self.served(terms.requester, ServeStep::Unpaid { reason });
            }
        }
    }

    pub(super) fn deliver(
        &mut self,
        id: AgreementId,
        terms: &Agreement,
        exchanges: Vec<ExchangeId>,
        output: WorkOutput,
        took_ms: u32,
        keys: &[Hash],
    ) {
        let origin = self.origin(terms, keys, &output);
        let head = ResultHead {
            version: OBJECT_VERSION,
            agreement: id,
            output: output.hash(),
            took_ms,
            origin,
        };
        let head = Signed::seal(self.signer.as_ref(), &head);
        if let Some(origin) = &origin {
            self.keep_own(terms.scope, origin, &head, keys, &output);
        }
        let units = output.units_done(terms.tokens);
        let due = price::pro_rata(terms.price, units.unwrap_or(terms.tokens), terms.tokens);
        let partial = units.map(|units| self.partial(id, units));
        let frame = encode_frame(&Response::Result {
            head,
            output,
            partial,
        });
        if let Some(active) = self.seller.active.get_mut(&id) {
            let frame = frame.clone();
            active.state = State::Delivered { frame, due };
            active.until = self.now.plus_ms(self.config.payment_ms.into());
        }
        for exchange in exchanges {
            let frame = frame.clone();
            self.outputs.push_back(Output::Respond { exchange, frame });
        }
        let agreement = id;
        self.served(terms.requester, ServeStep::Delivered { agreement, took_ms });
    }

    /// This node's word on how much of an agreement it did.
    fn partial(&self, agreement: AgreementId, units: u32) -> Signed {
        let partial = Partial {
            version: OBJECT_VERSION,
            agreement,
            units,
        };
        Signed::seal(self.signer.as_ref(), &partial)
    }

    /// The buyer does not accept the result.
    pub(super) fn rejected(&mut self, peer: NodeId, signed: &Signed) -> Result<Response, Refusal> {
        let verdict: Verdict = signed.open(&peer).map_err(|error| Refusal::from(&error))?;
        let theirs = self.seller.active.get(&verdict.agreement);
        let theirs = theirs.is_some_and(|active| {
            active.terms.requester == peer && matches!(active.state, State::Delivered { .. })
        });
        if theirs {
            if let Some(active) = self.seller.active.remove(&verdict.agreement)
                && let State::Delivered { due, .. } = active.state
            {
                self.left_unpaid(&peer, due);
            }
            let (me, weight) = (self.me, self.word_of(&peer));
            if weight > 0.0 {
                self.observe(&me, Aspect::Quality, false, weight);
            }
            self.served(
                peer,
                ServeStep::Unpaid {
                    reason: Failure::WrongResult,
                },
            );
        }
        Ok(Response::Noted)
    }

    /// The buyer gives an agreement up: say what is owed. Asked again, the answer is the same.
    pub(super) fn cancelled(&mut self, exchange: ExchangeId, peer: &NodeId, id: &AgreementId) {
        let now = self.now;
        let active = self.seller.active.get_mut(id);
        let Some(active) = active.filter(|active| active.terms.requester == *peer) else {
            return self.refuse(exchange, &Refusal::new(RefusalCode::Expired));
        };
        let (waiting, engine_ms) = match &mut active.state {
            State::Agreed => (Vec::new(), 0),
            State::Queued { exchanges, .. } => (std::mem::take(exchanges), 0),
            State::Running {
                exchanges, started, ..
            } => (std::mem::take(exchanges), now.ms_since(*started)),
            State::Delivered { frame, .. } | State::Cancelled { frame, .. } => {
                let frame = frame.clone();
                return self.outputs.push_back(Output::Respond { exchange, frame });
            }
        };
        let late = now.ms_since(active.promised_from) > u64::from(active.terms.promised_ms);
        let units = if late {
            0
        } else {
            units_done(&active.terms, engine_ms)
        };
        let due = price::pro_rata(active.terms.price, units, active.terms.tokens);
        let frame = encode_frame(&Response::Cancelled(self.partial(*id, units)));
        if let Some(active) = self.seller.active.get_mut(id) {
            let frame = frame.clone();
            active.state = State::Cancelled { frame, due };
            active.until = now.plus_ms(self.config.payment_ms.into());
        }
        self.monitor.queue.remove(peer, id);
        let refusal = Refusal::new(RefusalCode::Cancelled);
        waiting.iter().for_each(|waiting| self.refuse(*waiting, &refusal));
        self.outputs.push_back(Output::Respond { exchange, frame });
        let agreement = *id;
        self.served(*peer, ServeStep::Cancelled { agreement, due });
    }

    /// An agreement was paid: it is not open any more.
    pub(super) fn close_active(&mut self, id: &AgreementId) {
        if let Some(active) = self.seller.active.remove(id) {
            self.monitor.queue.remove(&active.terms.requester, id);
        }
    }

    /// Gives back what has not begun: lending is paused for a reason that lasts, and each buyer has a backup.
    fn shed_all(&mut self) {
        while let Some(id) = self.monitor.queue.pop() {
            self.shed(&id, RefusalCode::Paused, Failure::Paused);
        }
    }

    /// Gives back one agreement that has not begun.
    pub(super) fn shed(&mut self, id: &AgreementId, code: RefusalCode, reason: Failure) {
        let Some(active) = self.seller.active.remove(id) else {
            return;
        };
        if let State::Queued { exchanges, .. } = active.state {
            let refusal = Refusal::new(code);
            exchanges
                .iter()
                .for_each(|exchange| self.refuse(*exchange, &refusal));
        }
        self.served(active.terms.requester, ServeStep::Unpaid { reason });
    }

    fn end_unpaid(&mut self, id: &AgreementId) {
        let Some(active) = self.seller.active.remove(id) else {
            return;
        };
        let requester = active.terms.requester;
        self.monitor.queue.remove(&requester, id);
        let reason = match active.state {
            State::Agreed => Failure::Expired,
            State::Queued { exchanges, .. } | State::Running { exchanges, .. } => {
                let refusal = Refusal::because(RefusalCode::Engine, "no result in time");
                exchanges
                    .iter()
                    .for_each(|exchange| self.refuse(*exchange, &refusal));
                Failure::Engine {
                    what: "no result in time".to_owned(),
                }
            }
            State::Cancelled { due, .. } if due == Millicredits::ZERO => return,
            State::Delivered { due, .. } | State::Cancelled { due, .. } => self.never_paid(&requester, due),
        };
        self.served(requester, ServeStep::Unpaid { reason });
    }

    fn never_paid(&mut self, requester: &NodeId, due: Millicredits) -> Failure {
        self.left_unpaid(requester, due);
        self.observe(requester, Aspect::Reliability, false, UNPAID_WEIGHT);
        Failure::Deadline
    }

    /// Shows members of the group the head of the chain and a part of it, or a member what is held of its own.
    pub(super) fn show_blocks(&self, peer: &NodeId, fetch: &FetchBlocks) -> Result<Response, Refusal> {
        let count = usize::try_from(fetch.count).unwrap_or(usize::MAX);
        let (blocks, receipts) = match fetch.of {
            None => {
                let count = count.min(crate::wire::BLOCKS_MAX);
                (self.ledger.blocks(fetch.epoch, fetch.from, count), None)
            }
            Some(of) if of == *peer => {
                let count = count.min(crate::wire::RECEIPTS_MAX);
                let held = self.ledger.held_of(peer, (fetch.epoch, fetch.from), count);
                (Vec::new(), Some(held))
            }
            // What others traded is theirs to show.
            Some(_) => return Err(Refusal::new(RefusalCode::InvalidRequest)),
        };
        let head: Option<Head> = self.ledger.head();
        Ok(Response::Blocks(Blocks {
            head,
            blocks,
            receipts,
        }))
    }
}

fn engine_limit_ms(promised_ms: u32, engine_min_ms: u32) -> u32 {
    promised_ms.saturating_mul(HUNG_FACTOR).max(engine_min_ms)
}

/// The output as it travels, when it has the agreed shape.
fn deliverable(terms: &Agreement, mut output: WorkOutput) -> Result<WorkOutput, Failure> {
    output.shorten();
    match output.check(terms.items, terms.tokens) {
        Ok(()) => Ok(output),
        Err(reason) => Err(Failure::Engine {
            what: reason.to_string(),
        }),
    }
}
