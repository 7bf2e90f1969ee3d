//! Who holds a reservation, and whether one more may.
//!
//! libp2p-relay counts a renewal as one more reservation, so that a full relay turns away those whom it already has.
//! Here a place is a node's: whoever holds one keeps it by renewing, and only newcomers are refused when all are taken.
//! libp2p-relay asks an [`Admission`] before it grants anything; the relay's loop gives places back.
//!
//! # Bounds
//!
//! As many nodes as the limit says, and only connected ones.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use libp2p::{Multiaddr, PeerId, relay::RateLimiter};

/// The places. Clones are the same.
#[derive(Debug, Clone)]
pub struct Places {
    holders: Arc<Mutex<BTreeSet<PeerId>>>,
    max: usize,
}

impl Places {
    /// All free.
    pub fn new(max: usize) -> Self {
        Self {
            holders: Arc::default(),
            max,
        }
    }

    /// What libp2p-relay asks.
    pub fn admission(&self) -> Box<dyn RateLimiter> {
        Box::new(Admission(self.clone()))
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        self.holders().len()
    }

    /// The node's reservation has ended, or it is gone.
    pub fn give_back(&self, peer: &PeerId) {
        self.holders().remove(peer);
    }

    fn take(&self, peer: PeerId) -> bool {
        let mut holders = self.holders();
        if holders.len() >= self.max && !holders.contains(&peer) {
            return false;
        }
        holders.insert(peer);
        true
    }

    fn holders(&self) -> std::sync::MutexGuard<'_, BTreeSet<PeerId>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Admission(Places);

impl RateLimiter for Admission {
    fn try_next(&mut self, peer: PeerId, _: &Multiaddr, _: Instant) -> bool {
        self.0.take(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_hold_a_place_keep_it_when_all_are_taken() {
        let places = Places::new(2);
        let [a, b, c] = [PeerId::random(), PeerId::random(), PeerId::random()];
        assert!(places.take(a) && places.take(b));
        assert!(!places.take(c), "full");
        assert!(places.take(a) && places.take(b), "a renewal is no newcomer");
        places.give_back(&a);
        assert!(places.take(c));
        assert!(!places.take(a));
        assert_eq!(places.taken(), 2);
    }
}
