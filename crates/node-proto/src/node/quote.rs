//! The provider's side up to the agreement: what is quoted for, at what price, and what a counter-offer gets.

use crate::capability::PauseReason;
use crate::ids::{Hash, Millicredits, NodeId, Timestamp};
use crate::io::Path;
use crate::node::Node;
use crate::node::seller::Quoted;
use crate::price;
use crate::service::{ModelInfo, Scope, Service};
use crate::view::{Quote, ServeStep};
use crate::wire::{Demand, OBJECT_VERSION, Proposal, Refusal, RefusalCode, Response, Signed};

impl Node {
    /// Answers a demand with a binding quote, or says why not.
    pub(super) fn quote(&mut self, peer: NodeId, demand: Demand) -> Result<Response, Refusal> {
        let (proposal, until) = self.propose(&peer, &demand)?;
        self.hand_out(peer, demand, proposal, until, false)
    }

    /// A buyer asks for less: granted out of the demand factor, and the further the less the engine has to do.
    pub(super) fn counter(
        &mut self,
        peer: NodeId,
        hash: &Hash,
        price: Millicredits,
    ) -> Result<Response, Refusal> {
        let busy = self.seller.running.is_some();
        let quoted = self.seller.quotes.get_mut(hash);
        let quoted = quoted.filter(|quoted| quoted.requester == peer);
        let quoted = quoted.ok_or_else(|| Refusal::new(RefusalCode::Expired))?;
        if std::mem::replace(&mut quoted.countered, true) {
            // Or a buyer could feel its way down to the floor, and talk the price down on the way.
            return Err(Refusal::new(RefusalCode::TooCheap));
        }
        let quoted = quoted.clone();
        let model = self.lending.model(quoted.proposal.model.as_ref());
        let waiting_ms = model.map_or(0, |model| {
            price::engine_ms(self.tokens_waiting(), model.tokens_per_second)
        });
        let floor = self.lending.demand.concession(busy, waiting_ms);
        self.lending.demand.price_seen(quoted.proposal.price, price);
        let lowered = quoted.proposal.factors.lowered_to(price, floor);
        let factors = lowered.ok_or_else(|| Refusal::new(RefusalCode::TooCheap))?;
        let price = factors
            .price()
            .ok_or_else(|| Refusal::new(RefusalCode::InvalidRequest))?;
        let proposal = Proposal {
            factors,
            price,
            ..quoted.proposal
        };
        self.hand_out(peer, quoted.demand, proposal, quoted.until, true)
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
        let full = self.seller.quotes.len() >= self.config.quotes_max
            || self.seller.active.len() >= self.config.agreements_max;
        if full {
            self.turn_away(&model, demand.tokens);
            return refuse(RefusalCode::Busy);
        }
        if let Err(denied) = self.admit(peer, demand.tokens) {
            self.turn_away(&model, demand.tokens);
            return Err(denied.to_refusal());
        }
        let waiting = self.tokens_waiting();
        let promised = self
            .lending
            .promised_ms(&model, demand.tokens, waiting, demand.deadline_ms);
        let Some(promised_ms) = promised else {
            return refuse(RefusalCode::Deadline);
        };
        let factors = self.lending.factors(&model, demand.tokens, waiting);
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

    /// Counts work that is wanted and cannot be taken on.
    fn turn_away(&mut self, model: &ModelInfo, tokens: u32) {
        let engine_ms = price::engine_ms(tokens, model.tokens_per_second);
        self.lending.demand.turned_away(engine_ms);
    }

    /// Tokens that are to be computed before anything new.
    pub(super) fn tokens_waiting(&self) -> u32 {
        let running = self.seller.running.as_ref();
        let running = running.map_or(0, |run| run.tokens_left(self.now));
        let waiting = u32::try_from(self.monitor.queue.cost()).unwrap_or(u32::MAX);
        let held = self.seller.held(self.now, self.config.place_ms).tokens;
        waiting.saturating_add(running).saturating_add(held)
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
                !self.monitor.policy.enabled || !matches!(self.paused(), None | Some(PauseReason::NoModel)),
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
        countered: bool,
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
            countered,
        };
        self.seller
            .make_room_for_quote(&requester, self.config.agreements_per_buyer_max);
        self.seller.quotes.insert(signed.hash::<Proposal>(), quoted);
        self.served(requester, ServeStep::Quoted { quote });
        Ok(Response::Proposal(signed))
    }
}
