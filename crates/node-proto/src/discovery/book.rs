//! The offers that a node knows of: a bounded, expiring book that answers "some providers of this" without reading it whole.
//!
//! Offers are found by their key (provider, service, model), drawn at random by kind (service, model) and dropped when they
//! run out. Nobody checks the signature of an offer: whoever is asked is connected under its own name and answers with a
//! quote of its own, so a discovery point that invents offers gains no more than by keeping real ones back. Addresses are
//! another matter: the registration that told of them is checked before anyone is dialled, see `node::discover`.
//!
//! Cost, with n offers: learning, forgetting and finding O(log n); drawing k of a kind O(k log k).

use std::collections::{BTreeMap, BTreeSet};

use litemap::LiteMap;

use crate::discovery::pool::Pool;
use crate::ids::{Hash, ModelId, NodeId, Timestamp};
use crate::rng::Rng;
use crate::wire::Offer;

/// Who offers what.
pub(crate) type OfferKey = (NodeId, u8, Option<ModelId>);
/// What is offered.
type Kind = (u8, Option<ModelId>);

/// An offer, as its registration tells.
pub(crate) struct KnownOffer {
    pub(crate) offer: Offer,
    /// BLAKE3 of the registration, so that the same one is not read twice.
    pub(crate) print: Hash,
    /// The discovery point that told of it last.
    pub(crate) source: NodeId,
    /// The rendezvous key it was found under.
    pub(crate) key: Hash,
    pub(crate) taken: Timestamp,
    pub(crate) expires: Timestamp,
}

/// Everything that is known to be offered by others.
#[derive(Default)]
pub(crate) struct OfferBook {
    /// Boxed, since a third of a map's nodes is empty.
    offers: BTreeMap<OfferKey, Box<KnownOffer>>,
    kinds: LiteMap<Kind, Pool<NodeId>>,
    expiries: BTreeSet<(Timestamp, OfferKey)>,
    gone: u64,
}

impl OfferBook {
    pub(crate) fn len(&self) -> usize {
        self.offers.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.offers.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OfferKey, &KnownOffer)> {
        self.offers.iter().map(|(key, known)| (key, known.as_ref()))
    }

    pub(crate) fn get(&self, key: &OfferKey) -> Option<&KnownOffer> {
        self.offers.get(key).map(Box::as_ref)
    }

    /// Counts the offers that were dropped: while it stays, whatever was in the book still is.
    pub(crate) fn gone(&self) -> u64 {
        self.gone
    }

    /// All offers of one provider.
    pub(crate) fn of(&self, provider: &NodeId) -> impl Iterator<Item = (&OfferKey, &KnownOffer)> {
        let provider = *provider;
        let from = (provider, 0, None);
        self.offers
            .range(from..)
            .take_while(move |((owner, _, _), _)| *owner == provider)
            .map(|(key, known)| (key, known.as_ref()))
    }

    /// Whether a peer offers anything.
    pub(crate) fn sells(&self, peer: &NodeId) -> bool {
        self.of(peer).next().is_some()
    }

    /// The book mentions this very registration already: notes who told of it last.
    pub(crate) fn mentioned(&mut self, provider: &NodeId, print: &Hash, source: NodeId) -> bool {
        let found = self.of(provider).find(|(_, known)| known.print == *print);
        let Some(key) = found.map(|(key, _)| *key) else {
            return false;
        };
        if let Some(known) = self.offers.get_mut(&key) {
            known.source = source;
        }
        true
    }

    /// Takes an offer in, in place of a former one under its key.
    pub(crate) fn insert(&mut self, key: OfferKey, known: KnownOffer) {
        self.take_out(&key);
        self.expiries.insert((known.expires, key));
        self.kinds.entry((key.1, key.2)).or_default().insert(key.0);
        self.offers.insert(key, Box::new(known));
    }

    pub(crate) fn remove(&mut self, key: &OfferKey) {
        self.gone += 1;
        self.take_out(key);
    }

    fn take_out(&mut self, key: &OfferKey) {
        let Some(known) = self.offers.remove(key) else {
            return;
        };
        self.expiries.remove(&(known.expires, *key));
        let kind = (key.1, key.2);
        if let Some(pool) = self.kinds.get_mut(&kind) {
            pool.remove(&key.0);
            if pool.is_empty() {
                self.kinds.remove(&kind);
            }
        }
    }

    /// Drops every offer that is not to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&OfferKey, &KnownOffer) -> bool) {
        let gone = self.offers.iter().filter(|(key, known)| !keep(key, known));
        for key in gone.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.remove(&key);
        }
    }

    /// Drops what has run out; returns whether something has.
    pub(crate) fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.offers.len();
        while let Some((_, key)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            self.remove(&key);
        }
        self.offers.len() != before
    }

    /// When the next offer runs out.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// The models with which a service is offered.
    pub(crate) fn models(&self, service: u8) -> impl Iterator<Item = Option<ModelId>> + '_ {
        let kinds = self.kinds.keys().filter(move |(offered, _)| *offered == service);
        kinds.map(|(_, model)| *model)
    }

    /// Some providers of a service with a model, in random order.
    pub(crate) fn draw(
        &self,
        rng: &mut Rng,
        service: u8,
        model: Option<ModelId>,
        count: usize,
    ) -> Vec<NodeId> {
        self.kinds
            .get(&(service, model))
            .map(|pool| pool.draw(rng, count))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::ids::Millicredits;
    use crate::price::Factors;
    use crate::service::Precision;

    const MODEL: ModelId = ModelId([1; 32]);

    fn known(expires: u64) -> KnownOffer {
        let factors = Factors {
            base_cost: 100,
            quality_multiplier: 1_000_000,
            market_demand: 1_000_000,
            reputation_factor: 1_000_000,
        };
        let offer = Offer {
            service: 0,
            model: Some(MODEL),
            model_name: None,
            unit_price: Millicredits(100),
            factors,
            capacity: 8,
            unit_ms: Some(2_000),
            precision: Precision::F32,
        };
        KnownOffer {
            offer,
            print: Hash([expires as u8; 32]),
            source: NodeId([0; 32]),
            key: Hash([0; 32]),
            taken: Timestamp(0),
            expires: Timestamp(expires),
        }
    }

    fn key(number: u8) -> OfferKey {
        (NodeId([number; 32]), 0, Some(MODEL))
    }

    #[test]
    fn offers_are_drawn_until_they_run_out() {
        let mut book = OfferBook::default();
        for number in 1..=9 {
            book.insert(key(number), known(number.into()));
        }
        book.insert(key(1), known(20));
        let mut rng = Rng::new(1, &NodeId([0; 32]));
        assert_eq!(book.draw(&mut rng, 0, Some(MODEL), 99).len(), 9);
        assert_eq!(book.draw(&mut rng, 0, None, 99), []);
        assert_eq!(book.models(0).collect::<Vec<_>>(), [Some(MODEL)]);
        assert!(book.mentioned(&NodeId([1; 32]), &Hash([20; 32]), NodeId([7; 32])));
        assert!(!book.mentioned(&NodeId([1; 32]), &Hash([1; 32]), NodeId([7; 32])));
        assert_eq!(book.next_expiry(), Some(Timestamp(2)));
        assert!(book.expire(Timestamp(8)) && !book.expire(Timestamp(8)));
        assert_eq!(book.len(), 2);
        book.retain(|(owner, _, _), _| *owner != NodeId([9; 32]));
        assert_eq!(book.draw(&mut rng, 0, Some(MODEL), 99), [NodeId([1; 32])]);
        assert!(book.expire(Timestamp(20)) && book.is_empty());
        assert_eq!(book.models(0).count(), 0);
    }
}
