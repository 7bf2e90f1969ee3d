//! The provider's side: quotes, agreements and activities.
//!
//! ```text
//! quote ─▶ agreement ─▶ queued ─▶ running ─▶ delivered ─▶ paid
//!                 └──────── expires, refused or rejected: unpaid
//! ```
//!
//! One activity runs at a time; a bounded number waits. Messages that come twice get the same answer twice.

use crate::capability::PauseReason;
use crate::ids::{AgreementId, ExchangeId, Hash, Millicredits, NodeId, Timestamp, WorkId};
use crate::io::{Output, Path};
use crate::market::{input_hash, output_hash};
use crate::node::Node;
use crate::node::seller::{Active, Quoted, State};
use crate::price;
use crate::reputation::Aspect;
use crate::service::{Failure, Scope, Service, WorkInput, WorkOutput};
use crate::sign::Domain;
use crate::view::{Quote, ServeStep};
use crate::wire::{
    Agreement, Blocks, Demand, FetchBlocks, Head, OBJECT_VERSION, Proposal, Refusal, RefusalCode, Response,
    ResultHead, Signed, Verdict, encode_frame,
};

/// The engine may take this many times the promise before it counts as hung.
const HUNG_FACTOR: u32 = 4;
/// Exchanges of one agreement that wait for the same result.
const ASKERS_MAX: usize = 4;
/// What a buyer that does not pay loses in reputation, in ordinary trades.
const UNPAID_WEIGHT: f64 = 2.0;

impl Node {
    pub(super) fn selling_timeout(&self) -> Option<Timestamp> {
        let active = self.seller.active.values().map(|active| active.until);
        let waiting = !self.seller.queue.is_empty() && self.seller.running.is_none();
        let rested = waiting.then(|| self.lending.rested_at(self.now)).flatten();
        active
            .chain(rested)
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
        self.start_next();
    }

    /// Why lending is paused at this moment; `None` when it lends, or is off.
    pub(super) fn paused(&self) -> Option<PauseReason> {
        let online = !self.network.points.is_empty() || self.network.peer_connections() > 0;
        self.lending.pause(self.now, self.journal.is_failing(), online)
    }

    /// Answers a demand with a binding quote, or says why not.
    pub(super) fn quote(&mut self, peer: NodeId, demand: Demand) -> Result<Response, Refusal> {
        let (proposal, until) = self.propose(&peer, &demand)?;
        self.hand_out(peer, demand, proposal, until)
    }

    /// A buyer asks for less: granted as far as the least demand factor allows.
    pub(super) fn counter(
        &mut self,
        peer: NodeId,
        hash: &Hash,
        price: Millicredits,
    ) -> Result<Response, Refusal> {
        let quoted = self
            .seller
            .quotes
            .get(hash)
            .filter(|quoted| quoted.requester == peer);
        let quoted = quoted.ok_or_else(|| Refusal::new(RefusalCode::Expired))?;
        let lowered = quoted.proposal.factors.lowered_to(price);
        let factors = lowered.ok_or_else(|| Refusal::new(RefusalCode::TooCheap))?;
        let price = factors
            .price()
            .ok_or_else(|| Refusal::new(RefusalCode::InvalidRequest))?;
        let proposal = Proposal {
            factors,
            price,
            ..quoted.proposal.clone()
        };
        let (demand, until) = (quoted.demand.clone(), quoted.until);
        self.hand_out(peer, demand, proposal, until)
    }

    fn propose(&mut self, peer: &NodeId, demand: &Demand) -> Result<(Proposal, Timestamp), Refusal> {
        let refuse = |code| Err(Refusal::new(code));
        self.check_demand(demand)?;
        let Some(model) = self.lending.model(demand.model.as_ref()).cloned() else {
            return refuse(RefusalCode::UnknownModel);
        };
        let answer_bytes = u64::from(demand.items) * u64::from(model.dimension) * 4;
        let answer_bytes_max = match self.network.path(peer) {
            Some(Path::Relayed) => self.config.relayed_bytes_max,
            _ => crate::wire::FRAME_BYTES_MAX / 2,
        };
        if answer_bytes > answer_bytes_max as u64 {
            return Err(Refusal::because(
                RefusalCode::InvalidRequest,
                "the result is too large for this path",
            ));
        }
        let open = self.seller.quotes.len().max(self.seller.active.len());
        if open >= self.config.agreements_max || self.seller.queue.len() >= self.config.queue_max {
            self.lending.demand.turned_away();
            return refuse(RefusalCode::Busy);
        }
        let waiting = self.seller.tokens_waiting();
        let promised = self
            .lending
            .promised_ms(&model, demand.tokens, waiting, demand.deadline_ms);
        let Some(promised_ms) = promised else {
            return refuse(RefusalCode::Deadline);
        };
        let factors = self.lending.factors(&model, demand.tokens);
        let Some(price) = factors.price() else {
            return refuse(RefusalCode::InvalidRequest);
        };
        self.credit_of(peer, price)?;
        let proposal = Proposal {
            version: OBJECT_VERSION,
            provider: self.me,
            requester: *peer,
            demand: demand.hash(),
            model: Some(model.id),
            precision: model.precision,
            price,
            factors,
            promised_ms,
            valid_ms: self.config.quote_valid_ms,
        };
        Ok((proposal, self.now.plus_ms(self.config.quote_valid_ms.into())))
    }

    /// Whether demands like this one are served at all at the moment.
    fn check_demand(&self, demand: &Demand) -> Result<(), Refusal> {
        let items_max = u32::try_from(crate::wire::ITEMS_MAX).unwrap_or(u32::MAX);
        let objections = [
            (
                Service::from_code(demand.service) != Some(Service::Inference),
                RefusalCode::UnknownService,
            ),
            (
                !matches!(demand.scope, Scope::Group | Scope::Anyone),
                RefusalCode::NotAMember,
            ),
            (
                !self.lending.policy.enabled || !matches!(self.paused(), None | Some(PauseReason::NoModel)),
                RefusalCode::Paused,
            ),
            (!self.ledger.has_room(), RefusalCode::Storage),
            (
                demand.items == 0 || demand.items > items_max || demand.tokens < demand.items,
                RefusalCode::InvalidRequest,
            ),
        ];
        match objections.into_iter().find(|(holds, _)| *holds) {
            Some((_, code)) => Err(Refusal::new(code)),
            None => Ok(()),
        }
    }

    fn hand_out(
        &mut self,
        requester: NodeId,
        demand: Demand,
        proposal: Proposal,
        until: Timestamp,
    ) -> Result<Response, Refusal> {
        let signed = Signed::seal(self.signer.as_ref(), &proposal);
        let quote = Quote {
            price: proposal.price,
            factors: proposal.factors,
            promised_ms: proposal.promised_ms,
            valid_ms: proposal.valid_ms,
        };
        let quoted = Quoted {
            requester,
            demand,
            proposal,
            until,
        };
        self.seller
            .make_room_for_quote(&requester, self.config.agreements_per_buyer_max);
        self.seller.quotes.insert(signed.hash::<Proposal>(), quoted);
        self.served(requester, ServeStep::Quoted { quote });
        Ok(Response::Proposal(signed))
    }

    /// Signs an agreement that says what the quote said.
    pub(super) fn agree(&mut self, peer: NodeId, signed: &Signed) -> Result<Response, Refusal> {
        let terms: Agreement = signed.open(&peer).map_err(|error| Refusal::from(&error))?;
        let id = AgreementId(signed.hash::<Agreement>().0);
        if !self.seller.active.contains_key(&id) {
            let quoted = self.seller.quotes.get(&terms.proposal);
            let quoted = quoted.ok_or_else(|| Refusal::new(RefusalCode::Expired))?;
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
            // Several quotes may stand that only together exceed the line.
            self.credit_of(&peer, terms.price)?;
            self.seller.quotes.remove(&terms.proposal);
            let until = self.now.plus_ms(self.config.input_ms.into());
            self.seller.active.insert(
                id,
                Active {
                    terms,
                    state: State::Agreed,
                    until,
                },
            );
            self.served(peer, ServeStep::Agreed { agreement: id });
        }
        let signature = Domain::Agreement.sign(self.signer.as_ref(), &signed.body);
        Ok(Response::Agreed { signature })
    }

    /// Takes the input of an agreement and puts it in the queue.
    pub(super) fn execute(
        &mut self,
        exchange: ExchangeId,
        peer: NodeId,
        id: AgreementId,
        texts: Vec<String>,
    ) {
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
            State::Delivered { frame } => {
                let frame = frame.clone();
                return self.outputs.push_back(Output::Respond { exchange, frame });
            }
        }
        let terms = &active.terms;
        let as_agreed = texts.len() == terms.items as usize
            && price::tokens(&texts) == terms.tokens
            && input_hash(&texts) == terms.input;
        if !as_agreed {
            self.seller.active.remove(&id);
            let refusal = Refusal::because(RefusalCode::InvalidRequest, "the input is not the agreed one");
            return self.refuse(exchange, &refusal);
        }
        if self.seller.queue.len() >= self.config.queue_max {
            return self.refuse(exchange, &Refusal::new(RefusalCode::Busy));
        }
        let engine_ms = u64::from(engine_limit_ms(terms.promised_ms, self.config.engine_min_ms));
        let waiting = self.seller.queue.len() as u64 + 2;
        active.state = State::Queued {
            exchanges: vec![exchange],
            texts,
        };
        active.until = now.plus_ms(
            engine_ms
                .saturating_mul(waiting)
                .saturating_add(self.config.unreported_ms.into()),
        );
        self.seller.queue.push_back(id);
        self.start_next();
    }

    /// Gives the engine the next activity when it is free and the compute share allows.
    fn start_next(&mut self) {
        if self.seller.running.is_some() || self.lending.rested_at(self.now).is_some() {
            return;
        }
        while let Some(id) = self.seller.queue.pop_front() {
            let Some(active) = self.seller.active.get_mut(&id) else {
                continue;
            };
            let State::Queued { exchanges, texts } = &mut active.state else {
                continue;
            };
            let (exchanges, texts) = (std::mem::take(exchanges), std::mem::take(texts));
            self.seller.last_work += 1;
            let work = WorkId(self.seller.last_work);
            let limit_ms = engine_limit_ms(active.terms.promised_ms, self.config.engine_min_ms);
            active.state = State::Running { exchanges, work };
            active.until = self
                .now
                .plus_ms(u64::from(limit_ms) + u64::from(self.config.unreported_ms));
            self.seller.running = Some(id);
            let (model, input) = (active.terms.model, WorkInput::Texts { texts });
            self.outputs.push_back(Output::Work {
                work,
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
        let Some(id) = self.seller.running else { return };
        let Some(active) = self.seller.active.get_mut(&id) else {
            return;
        };
        let State::Running {
            exchanges,
            work: running,
        } = &active.state
        else {
            return;
        };
        if *running != work {
            return;
        }
        let exchanges = exchanges.clone();
        self.seller.running = None;
        self.lending.worked(self.now, took_ms);
        let terms = active.terms.clone();
        let delivered = result.and_then(|output| deliverable(&terms, output));
        match delivered {
            Ok(delivery) => self.deliver(id, &terms, exchanges, delivery, took_ms),
            Err(reason) => {
                self.seller.active.remove(&id);
                let refusal = Refusal::because(RefusalCode::Engine, reason.to_string());
                exchanges
                    .iter()
                    .for_each(|exchange| self.refuse(*exchange, &refusal));
                self.served(terms.requester, ServeStep::Unpaid { reason });
            }
        }
        self.start_next();
    }

    fn deliver(
        &mut self,
        id: AgreementId,
        terms: &Agreement,
        exchanges: Vec<ExchangeId>,
        (dimension, values, backend): (u32, Vec<u8>, String),
        took_ms: u32,
    ) {
        let head = ResultHead {
            version: OBJECT_VERSION,
            agreement: id,
            output: output_hash(dimension, &values),
            took_ms,
        };
        let frame = encode_frame(&Response::Result {
            head: Signed::seal(self.signer.as_ref(), &head),
            dimension,
            values,
            backend,
        });
        if let Some(active) = self.seller.active.get_mut(&id) {
            active.state = State::Delivered { frame: frame.clone() };
            active.until = self.now.plus_ms(self.config.payment_ms.into());
        }
        self.lending.served = self.lending.served.saturating_add(1);
        for exchange in exchanges {
            let frame = frame.clone();
            self.outputs.push_back(Output::Respond { exchange, frame });
        }
        let agreement = id;
        self.served(terms.requester, ServeStep::Delivered { agreement, took_ms });
    }

    /// The buyer does not accept the result.
    pub(super) fn rejected(&mut self, peer: NodeId, signed: &Signed) -> Result<Response, Refusal> {
        let verdict: Verdict = signed.open(&peer).map_err(|error| Refusal::from(&error))?;
        let theirs = self.seller.active.get(&verdict.agreement);
        let theirs = theirs.is_some_and(|active| {
            active.terms.requester == peer && matches!(active.state, State::Delivered { .. })
        });
        if theirs {
            self.seller.active.remove(&verdict.agreement);
            let me = self.me;
            self.observe(&me, Aspect::Quality, false, 1.0);
            self.served(
                peer,
                ServeStep::Unpaid {
                    reason: Failure::WrongResult,
                },
            );
        }
        Ok(Response::Noted)
    }

    /// An agreement was paid: it is not open any more.
    pub(super) fn close_active(&mut self, id: &AgreementId) {
        self.seller.active.remove(id);
        self.seller.queue.retain(|queued| queued != id);
        if self.seller.running.as_ref() == Some(id) {
            self.seller.running = None;
        }
    }

    fn end_unpaid(&mut self, id: &AgreementId) {
        let Some(active) = self.seller.active.remove(id) else {
            return;
        };
        let requester = active.terms.requester;
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
            State::Delivered { .. } => {
                self.observe(&requester, Aspect::Reliability, false, UNPAID_WEIGHT);
                Failure::Deadline
            }
        };
        self.close_active(id);
        self.served(requester, ServeStep::Unpaid { reason });
    }

    /// Shows members of the group the head of the chain, and a part of it.
    pub(super) fn show_blocks(&self, fetch: &FetchBlocks) -> Response {
        let count = usize::try_from(fetch.count)
            .unwrap_or(usize::MAX)
            .min(crate::wire::BLOCKS_MAX);
        let head: Option<Head> = self.ledger.head();
        Response::Blocks(Blocks {
            head,
            blocks: self.ledger.blocks(fetch.epoch, fetch.from, count),
        })
    }
}

fn engine_limit_ms(promised_ms: u32, engine_min_ms: u32) -> u32 {
    promised_ms.saturating_mul(HUNG_FACTOR).max(engine_min_ms)
}

/// The output as it travels, when it has the agreed shape.
fn deliverable(terms: &Agreement, output: WorkOutput) -> Result<(u32, Vec<u8>, String), Failure> {
    let WorkOutput::Embeddings {
        dimension,
        values,
        mut backend,
    } = output;
    let expected = (terms.items as usize).checked_mul(dimension as usize);
    if dimension == 0 || expected != Some(values.len()) {
        return Err(Failure::Engine {
            what: "the result has the wrong shape".to_owned(),
        });
    }
    let end = (0..=crate::wire::NAME_BYTES_MAX.min(backend.len()))
        .rev()
        .find(|at| backend.is_char_boundary(*at));
    backend.truncate(end.unwrap_or(0));
    let values = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok((dimension, values, backend))
}
