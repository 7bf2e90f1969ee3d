//! Who may have how many signalling sessions under way.
//!
//! A session costs a peer connection of the browser, and a page has few of those. There is one account for the dials and
//! one for the answers. Each is bounded as a whole and for each peer, so that a peer that opens sessions and lets them run
//! into their timeouts takes some places and leaves the others to everybody else.

use std::sync::{Arc, Weak};

use libp2p_identity::PeerId;

/// A place among the sessions; free again when dropped.
pub(crate) type Permit = Arc<()>;

/// The sessions of one direction.
#[derive(Debug)]
pub(crate) struct Sessions {
    running: Vec<(PeerId, Weak<()>)>,
    sessions_max: usize,
    sessions_per_peer_max: usize,
}

impl Sessions {
    pub(crate) fn new(sessions_max: usize, sessions_per_peer_max: usize) -> Self {
        Self {
            running: Vec::new(),
            sessions_max,
            sessions_per_peer_max,
        }
    }

    /// A place for one more session with this peer, if there is one.
    pub(crate) fn admit(&mut self, peer: PeerId) -> Option<Permit> {
        self.running.retain(|(_, session)| session.strong_count() > 0);
        let with_peer = self.running.iter().filter(|(other, _)| *other == peer).count();
        if self.running.len() >= self.sessions_max || with_peer >= self.sessions_per_peer_max {
            return None;
        }
        let permit = Permit::default();
        self.running.push((peer, Arc::downgrade(&permit)));
        Some(permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId::from_bytes(&[0, 1, number]).unwrap()
    }

    #[test]
    fn one_peer_leaves_places_to_others() {
        let mut sessions = Sessions::new(3, 2);
        let (greedy, other, late) = (peer(1), peer(2), peer(3));
        let first = sessions.admit(greedy).unwrap();
        let _second = sessions.admit(greedy).unwrap();
        assert!(sessions.admit(greedy).is_none());
        let _third = sessions.admit(other).unwrap();
        assert!(sessions.admit(late).is_none());
        drop(first);
        assert!(sessions.admit(late).is_some());
    }

    #[test]
    fn a_flood_leaves_nothing_behind() {
        let mut sessions = Sessions::new(3, 2);
        for number in 0..=u8::MAX {
            drop(sessions.admit(peer(number)));
        }
        assert!(sessions.running.len() <= 3);
    }
}
