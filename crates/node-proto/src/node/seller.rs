//! What a provider has open: quotes, agreements, the queue.

use litemap::LiteMap;

use crate::ids::{AgreementId, ExchangeId, Hash, Millicredits, NodeId, Timestamp, WorkId};
use crate::monitor::Held;
use crate::node::credit::OpenPrices;
use crate::service::Service;
use crate::wire::{Agreement, ComparisonRule, Demand, Proposal, Signed};
use crate::work::WorkInput;

/// A quote that was given.
#[derive(Clone)]
pub(super) struct Quoted {
    pub(super) requester: NodeId,
    pub(super) demand: Demand,
    pub(super) proposal: Proposal,
    pub(super) until: Timestamp,
    /// After this the buyer has no use for a result.
    pub(super) deadline: Timestamp,
    /// It was asked for less once.
    pub(super) countered: bool,
}

/// How far an agreement is.
pub(super) enum State {
    Agreed,
    Queued {
        exchanges: Vec<ExchangeId>,
        input: WorkInput,
    },
    Running {
        exchanges: Vec<ExchangeId>,
        started: Timestamp,
        /// The names of the texts, where answers are kept.
        keys: Vec<Hash>,
    },
    /// `due` is what it comes to: less than the price where less was done.
    Delivered {
        frame: Vec<u8>,
        due: Millicredits,
    },
    /// The buyer gave it up; `frame` says what is owed.
    Cancelled {
        frame: Vec<u8>,
        due: Millicredits,
    },
}

/// An agreement that is not settled yet.
pub(super) struct Active {
    pub(super) terms: Agreement,
    /// With the buyer's signature, which was checked.
    pub(super) signed: Signed,
    /// This node's signature.
    pub(super) countersignature: [u8; 64],
    pub(super) state: State,
    /// When the input came: the promise counts from here. Until then, when it was agreed.
    pub(super) promised_from: Timestamp,
    /// After this the buyer has no use for a result.
    pub(super) deadline: Timestamp,
    pub(super) until: Timestamp,
}

impl Active {
    /// Whether a place in the queue is kept for its input. Not for long: an agreement costs its buyer nothing yet.
    pub(super) fn holds_place(&self, now: Timestamp, place_ms: u32) -> bool {
        matches!(self.state, State::Agreed) && now < self.promised_from.plus_ms(place_ms.into())
    }
}

/// What the engine is doing. It goes on when the agreement is given up: only the engine's report, or its limit, ends it.
pub(super) struct Run {
    pub(super) work: WorkId,
    pub(super) agreement: AgreementId,
    pub(super) tokens: u32,
    pub(super) tokens_per_s: f32,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

impl Run {
    /// Tokens that are still to be computed, at the measured speed.
    pub(super) fn tokens_left(&self, now: Timestamp) -> u32 {
        let done = now.ms_since(self.since) as f64 * f64::from(self.tokens_per_s) / 1_000.0;
        // Saturates at the ends of `u32`.
        self.tokens.saturating_sub(done as u32)
    }
}

/// Everything a provider has open.
#[derive(Default)]
pub(super) struct Seller {
    pub(super) quotes: LiteMap<Hash, Quoted>,
    pub(super) active: LiteMap<AgreementId, Active>,
    pub(super) running: Option<Run>,
    pub(super) last_work: u64,
}

impl Seller {
    pub(super) fn running(&self) -> u32 {
        u32::from(self.running.is_some())
    }

    pub(super) fn open_prices(&self) -> OpenPrices {
        let mut open = OpenPrices::new();
        for active in self.active.values() {
            let sum = open.entry(active.terms.requester).or_default();
            let price = match active.state {
                State::Delivered { due, .. } | State::Cancelled { due, .. } => due,
                _ => active.terms.price,
            };
            *sum = sum.saturating_add(price.0);
        }
        open
    }

    /// The places of agreements whose input is still on its way.
    pub(super) fn held(&self, now: Timestamp, place_ms: u32) -> Held {
        let coming = self
            .active
            .values()
            .filter(|active| active.holds_place(now, place_ms));
        coming.fold(Held::default(), |held, active| Held {
            places: held.places + 1,
            tokens: held.tokens.saturating_add(active.terms.tokens),
        })
    }

    pub(super) fn active_of(&self, peer: &NodeId) -> impl Iterator<Item = &Active> {
        self.active
            .values()
            .filter(move |active| active.terms.requester == *peer)
    }

    /// A buyer's newest quotes stand; beyond its share the one that runs out first goes.
    pub(super) fn make_room_for_quote(&mut self, peer: &NodeId, quotes_max: usize) {
        let theirs = self.quotes.iter().filter(|(_, quoted)| quoted.requester == *peer);
        let mut theirs: Vec<(Timestamp, Hash)> = theirs.map(|(hash, quoted)| (quoted.until, *hash)).collect();
        theirs.sort_unstable();
        let excess = (theirs.len() + 1).saturating_sub(quotes_max.max(1));
        for (_, hash) in theirs.into_iter().take(excess) {
            self.quotes.remove(&hash);
        }
    }
}

impl Quoted {
    /// The agreement repeats the quote.
    pub(super) fn covers(&self, peer: &NodeId, terms: &Agreement, me: &NodeId) -> bool {
        let (proposal, demand) = (&self.proposal, &self.demand);
        self.requester == *peer
            && terms.requester == *peer
            && terms.provider == *me
            && terms.scope == demand.scope
            && terms.service == demand.service
            && terms.model == proposal.model
            && terms.precision == proposal.precision
            && is_rule_of(terms)
            && terms.items == demand.items
            && terms.tokens == demand.tokens
            && terms.price == proposal.price
            && terms.factors == proposal.factors
            && terms.promised_ms == proposal.promised_ms
    }
}

/// Results are to be compared as results of the service are.
fn is_rule_of(terms: &Agreement) -> bool {
    match (Service::from_code(terms.service), terms.rule) {
        (Some(Service::Inference), ComparisonRule::Cosine) => (0..=1_000_000).contains(&terms.cosine_min_ppm),
        (Some(Service::Computation | Service::CacheQuery | Service::Storage), ComparisonRule::Exact) => {
            terms.cosine_min_ppm == 0
        }
        _ => false,
    }
}
