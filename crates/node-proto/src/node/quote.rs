//! The provider's side up to the agreement: what is quoted for, at what price, and what a counter-offer gets.

use crate::capability::PauseReason;
use crate::ids::{Hash, Millicredits, NodeId, Timestamp};
use crate::io::Path;
use crate::monitor::{Engine, Fitting};
use crate::node::Node;
use crate::node::lending::Ability;
use crate::node::seller::Quoted;
use crate::price::{self, Factors};
use crate::service::{Scope, Service};
use crate::view::{Quote, ServeStep};
use crate::wire::{Demand, OBJECT_VERSION, Proposal, Refusal, RefusalCode, Response, Signed};

impl Node {
    /// Answers a demand with a binding quote, or says why not.
    pub(super) fn quote(&mut self, peer: NodeId, demand: Demand) -> Result<Response, Refusal> {
        let proposal = self.propose(&peer, &demand)?;
        let quoted = Quoted {
            requester: peer,
            until: self.now.plus_ms(proposal.valid_ms.into()),
            deadline: self.now.plus_ms(demand.deadline_ms.into()),
            demand,
            proposal,
            countered: false,
        };
        self.hand_out(quoted)
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
        let names = quoted.proposal.model.as_ref();
        let ability = self.lending.ability(quoted.demand.service, names);
        let waiting_ms = ability.map_or(0, |ability| {
            price::engine_ms(self.tokens_waiting(), ability.units_per_s)
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
        self.hand_out(Quoted { proposal, ..quoted })
    }

    fn propose(&mut self, peer: &NodeId, demand: &Demand) -> Result<Proposal, Refusal> {
        let refuse = |code| Err(Refusal::new(code));
        self.check_demand(demand)?;
        if demand.service == Service::CacheQuery as u8 {
            return self.propose_kept(peer, demand);
        }
        let Some(ability) = self.lending.ability(demand.service, demand.model.as_ref()) else {
            return refuse(self.lending.lacks(demand.service));
        };
        self.check_room(demand)?;
        let answer_bytes = u64::from(demand.items) * u64::from(ability.row_bytes);
        self.check_path(peer, answer_bytes)?;
        let full = self.seller.quotes.len() >= self.config.quotes_max
            || self.seller.active.len() >= self.config.agreements_max;
        if full {
            self.turn_away(&ability, demand.tokens);
            return refuse(RefusalCode::Busy);
        }
        if let Err(denied) = self.admit(peer, demand.tokens) {
            self.turn_away(&ability, demand.tokens);
            return Err(denied.to_refusal());
        }
        let Some(promised_ms) = self.promise(peer, &ability, demand) else {
            return refuse(RefusalCode::Deadline);
        };
        let waiting = self.tokens_waiting();
        let factors = self.lending.factors(&ability, demand.tokens, waiting);
        let Some(price) = factors.price() else {
            return refuse(RefusalCode::InvalidRequest);
        };
        self.credit_of(peer, price)?;
        Ok(self.proposal(peer, demand, &ability, (price, factors), promised_ms))
    }

    /// Whether a blob that is to be kept finds room, or is here already.
    fn check_room(&self, demand: &Demand) -> Result<(), Refusal> {
        if demand.service != Service::Storage as u8 {
            return Ok(());
        }
        let (Some(blob), Some(bytes)) = (demand.model, demand.bytes) else {
            return Err(Refusal::new(RefusalCode::InvalidRequest));
        };
        match self.holding.has(&Hash(blob.0)) || self.lending.has_room(bytes.into()) {
            true => Ok(()),
            false => Err(Refusal::new(RefusalCode::NoRoom)),
        }
    }

    /// Whether so large a result gets there.
    fn check_path(&self, peer: &NodeId, answer_bytes: u64) -> Result<(), Refusal> {
        let answer_bytes_max = match self.network.path(peer) {
            Some(Path::Relayed) => self.config.relayed_bytes_max,
            _ => crate::wire::FRAME_BYTES_MAX / 2,
        };
        match answer_bytes > answer_bytes_max as u64 {
            true => Err(Refusal::because(
                RefusalCode::InvalidRequest,
                "the result is too large for this path",
            )),
            false => Ok(()),
        }
    }

    /// A quote for answers that are kept, all that were asked for. No engine has to be waited for.
    fn propose_kept(&mut self, peer: &NodeId, demand: &Demand) -> Result<Proposal, Refusal> {
        let refuse = |code| Err(Refusal::new(code));
        let (Some(model), Some(keys)) = (&demand.model, &demand.keys) else {
            return refuse(RefusalCode::InvalidRequest);
        };
        if keys.len() != demand.items as usize || demand.tokens != demand.items {
            return refuse(RefusalCode::InvalidRequest);
        }
        let precision = self.cache.models().get(model).copied();
        let held = self.cache.holds(model, keys, self.now);
        let (Some(precision), Some(answer_bytes)) = (precision, held) else {
            return refuse(RefusalCode::NotHeld);
        };
        self.check_path(peer, answer_bytes)?;
        if self.seller.quotes.len() >= self.config.quotes_max {
            return refuse(RefusalCode::Busy);
        }
        let ability = Ability::of_cache(*model, precision);
        let promised_ms = self
            .lending
            .promised_ms(&ability, demand.tokens, 0, demand.deadline_ms);
        let Some(promised_ms) = promised_ms else {
            return refuse(RefusalCode::Deadline);
        };
        let factors = self.lending.factors(&ability, demand.tokens, 0);
        let Some(price) = factors.price() else {
            return refuse(RefusalCode::InvalidRequest);
        };
        self.credit_of(peer, price)?;
        Ok(self.proposal(peer, demand, &ability, (price, factors), promised_ms))
    }

    fn proposal(
        &self,
        peer: &NodeId,
        demand: &Demand,
        ability: &Ability,
        (price, factors): (Millicredits, Factors),
        promised_ms: u32,
    ) -> Proposal {
        Proposal {
            version: OBJECT_VERSION,
            provider: self.me,
            requester: *peer,
            demand: demand.hash(),
            model: ability.names,
            precision: ability.precision,
            price,
            factors,
            promised_ms,
            valid_ms: self.config.quote_valid_ms,
        }
    }

    /// Counts work that is wanted and cannot be taken on.
    fn turn_away(&mut self, ability: &Ability, tokens: u32) {
        let engine_ms = price::engine_ms(tokens, ability.units_per_s);
        self.lending.demand.turned_away(engine_ms);
    }

    /// The time to promise, milliseconds: in the fair order where that breaks no other promise, or else at the end of the
    /// queue; `None` when that is too late for the buyer.
    fn promise(&self, peer: &NodeId, ability: &Ability, demand: &Demand) -> Option<u32> {
        let queue = &self.monitor.queue;
        let promised_ms = |before: u64| {
            let before = u32::try_from(before).unwrap_or(u32::MAX);
            let before = before.saturating_add(self.tokens_first());
            self.lending
                .promised_ms(ability, demand.tokens, before, demand.deadline_ms)
        };
        let fair = promised_ms(queue.fair_before(peer, demand.tokens));
        let deadline = self.now.plus_ms(demand.deadline_ms.into());
        fair.filter(|promised_ms| self.can_keep(ability, demand.tokens, *promised_ms, deadline))
            .or_else(|| promised_ms(queue.cost()))
    }

    /// Whether so many tokens can be computed in that time, and everything that they delay still as it was promised.
    pub(super) fn can_keep(
        &self,
        ability: &Ability,
        tokens: u32,
        promised_ms: u32,
        deadline: Timestamp,
    ) -> bool {
        let engine = Engine {
            now: self.now.plus_ms(ability.wake_ms.into()),
            tokens_first: self.tokens_first(),
            tokens_per_s: ability.units_per_s,
        };
        let due = self.engine_due(self.now, promised_ms, deadline);
        self.monitor.queue.fits(engine, Fitting { tokens, due })
    }

    /// When the engine must be done, so that a result that was promised then is there in time, and before the buyer's deadline.
    pub(super) fn engine_due(&self, from: Timestamp, promised_ms: u32, deadline: Timestamp) -> Timestamp {
        let there = from.plus_ms(promised_ms.into()).min(deadline);
        Timestamp(there.0.saturating_sub(self.config.overhead_ms.into()))
    }

    /// Tokens that are computed before anything that waits, or take a place in it: what runs, and what is agreed and on its way.
    fn tokens_first(&self) -> u32 {
        let running = self.seller.running.as_ref();
        let running = running.map_or(0, |run| run.tokens_left(self.now));
        let held = self.seller.held(self.now, self.config.place_ms).tokens;
        running.saturating_add(held)
    }

    /// Tokens that are computed before anything that comes at the end.
    pub(super) fn tokens_waiting(&self) -> u32 {
        let waiting = u32::try_from(self.monitor.queue.cost()).unwrap_or(u32::MAX);
        waiting.saturating_add(self.tokens_first())
    }

    /// Whether demands like this one are served at all at the moment.
    fn check_demand(&self, demand: &Demand) -> Result<(), Refusal> {
        let items_max = u32::try_from(crate::wire::ITEMS_MAX).unwrap_or(u32::MAX);
        let objections = [
            (
                !matches!(
                    Service::from_code(demand.service),
                    Some(Service::Inference | Service::CacheQuery | Service::Storage | Service::Computation)
                ),
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

    fn hand_out(&mut self, quoted: Quoted) -> Result<Response, Refusal> {
        let (requester, proposal) = (quoted.requester, &quoted.proposal);
        let signed = Signed::seal(self.signer.as_ref(), proposal);
        let quote = Quote {
            price: proposal.price,
            factors: proposal.factors,
            promised_ms: proposal.promised_ms,
            valid_ms: proposal.valid_ms,
        };
        self.seller
            .make_room_for_quote(&requester, self.config.agreements_per_buyer_max);
        self.seller.quotes.insert(signed.hash::<Proposal>(), quoted);
        self.served(requester, ServeStep::Quoted { quote });
        Ok(Response::Proposal(signed))
    }
}
