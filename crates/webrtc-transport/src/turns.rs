//! Whose turn it is when two peers dial each other at once.
//!
//! Both connections are allowed, but browsers hide addresses behind mDNS names and answer for each name about once a second,
//! so that of two sessions at the same time one may never learn of an address and fail. Sessions with one peer therefore
//! take turns: a dial waits for answers under way, and of two offers that crossed the greater one goes first, which both
//! sides can tell because both know both.
//!
//! A turn is a courtesy, not a lock: nobody waits longer than a connection may take, and a peer that keeps no turns, such
//! as js-libp2p, is served all the same.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{
    FutureExt as _,
    channel::oneshot,
    future::{Shared, join_all},
};
use libp2p_identity::PeerId;

/// The sessions under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<Vec<Running>>>);

#[derive(Debug)]
struct Running {
    peer: PeerId,
    /// What this side offered; none where it answers.
    offer: Option<String>,
    ended: Shared<oneshot::Receiver<()>>,
}

/// A session that takes its turn until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _ended: oneshot::Sender<()>,
}

impl Turns {
    /// Waits for the answers that are under way with this peer.
    pub(crate) async fn before_offer(&self, peer: PeerId) {
        self.wait(peer, |running| running.offer.is_none()).await;
    }

    /// An offer goes out.
    pub(crate) fn offered(&self, peer: PeerId, offer: &str) -> Turn {
        self.start(peer, Some(offer.to_owned()))
    }

    /// Waits until this offer of the peer's may be answered, and begins to.
    pub(crate) async fn answering(&self, peer: PeerId, offer: &str) -> Turn {
        self.wait(peer, |running| {
            running.offer.as_deref().is_some_and(|own| own > offer)
        })
        .await;
        self.start(peer, None)
    }

    fn start(&self, peer: PeerId, offer: Option<String>) -> Turn {
        let (sender, ended) = oneshot::channel();
        let mut running = self.running();
        running.retain(|session| session.ended.clone().now_or_never().is_none());
        running.push(Running {
            peer,
            offer,
            ended: ended.shared(),
        });
        Turn { _ended: sender }
    }

    async fn wait(&self, peer: PeerId, goes_first: impl Fn(&Running) -> bool) {
        let ahead: Vec<_> = {
            let running = self.running();
            let with_peer = running.iter().filter(|running| running.peer == peer);
            with_peer
                .filter(|running| goes_first(running))
                .map(|running| running.ended.clone())
                .collect()
        };
        join_all(ahead).await;
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        // A list is as good after a panic elsewhere as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId::from_bytes(&[0, 1, number]).unwrap()
    }

    #[test]
    fn of_two_offers_that_crossed_the_greater_goes_first() {
        let (one, other) = (Turns::default(), Turns::default());
        let first = one.offered(peer(2), "b");
        let _second = other.offered(peer(1), "a");
        assert!(other.answering(peer(1), "b").now_or_never().is_some());
        assert!(one.answering(peer(2), "a").now_or_never().is_none());
        drop(first);
        assert!(one.answering(peer(2), "a").now_or_never().is_some());
    }

    #[test]
    fn an_offer_waits_for_answers_to_the_same_peer_alone() {
        let turns = Turns::default();
        let answer = turns.answering(peer(1), "a").now_or_never().unwrap();
        assert!(turns.before_offer(peer(2)).now_or_never().is_some());
        assert!(turns.before_offer(peer(1)).now_or_never().is_none());
        drop(answer);
        assert!(turns.before_offer(peer(1)).now_or_never().is_some());
    }

    #[test]
    fn what_ended_is_forgotten() {
        let turns = Turns::default();
        for _ in 0..100 {
            drop(turns.offered(peer(1), "a"));
        }
        assert!(turns.running().len() <= 1);
    }
}
