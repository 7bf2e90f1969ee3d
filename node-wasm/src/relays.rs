//! All relays that this node uses, as a state machine without clock, network or randomness.
//!
//! `/bootstrap.json` of the page's relay names them, itself among them. The node keeps a place at each, so that one may
//! vanish without anybody noticing. The file is fetched again before a lost relay is dialled, because a relay that comes
//! back may have other addresses. While it cannot be fetched, its own relay is not dialled, and the others are at the
//! addresses that are known, in the first place those that an earlier visit kept.
//!
//! # Bounds
//!
//! At most [`RELAYS_MAX`](crate::bootstrap::RELAYS_MAX) links: the file has no more.

use libp2p::{Multiaddr, PeerId};

use crate::backoff::Backoff;
use crate::bootstrap::{Bootstrap, Place, Relay};
use crate::relay_link::{Action, RelayLink};
use crate::status::RelayState;

/// What to do next, and for which relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Fetch `/bootstrap.json`, then report [`Relays::fetched`].
    Fetch,
    /// Dial these, the first that answers counts; then report [`Relays::connected`] or [`Relays::failed`].
    Dial {
        relay: PeerId,
        addresses: Vec<Multiaddr>,
    },
    /// Ask for a reservation; then report [`Relays::reserved`] or [`Relays::failed`].
    Listen { relay: PeerId, address: Multiaddr },
    /// Report [`Relays::due`] after this long; no relay means the file.
    Wait { relay: Option<PeerId>, ms: u32 },
}

/// The state.
#[derive(Clone, Debug)]
pub(crate) struct Relays {
    fetch: Fetch,
    backoff: Backoff,
    /// The page's own relay, which serves the file.
    home: Option<PeerId>,
    links: Vec<(Relay, RelayLink)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fetch {
    Running,
    Done,
    Waiting { ms: u32, reason: String },
}

impl Relays {
    /// The first thing to do is [`Task::Fetch`].
    pub(crate) fn new() -> Self {
        Self {
            fetch: Fetch::Running,
            backoff: Backoff::default(),
            home: None,
            links: Vec::new(),
        }
    }

    /// Whether this is one of them.
    pub(crate) fn has(&self, peer: &PeerId) -> bool {
        self.links.iter().any(|(relay, _)| relay.peer == *peer)
    }

    /// For people: the relay with the best connection, and what it does.
    pub(crate) fn best(&self) -> (Option<PeerId>, RelayState) {
        let rank = |state: &RelayState| match state {
            RelayState::Reserved { .. } => 0,
            RelayState::Connected { .. } => 1,
            RelayState::Connecting { .. } => 2,
            RelayState::Waiting { .. } => 3,
        };
        let links = self
            .links
            .iter()
            .map(|(relay, link)| (Some(relay.peer), link.state()));
        links
            .min_by_key(|(_, state)| rank(state))
            .unwrap_or_else(|| (None, self.fetch_state()))
    }

    /// `/bootstrap.json` came, or did not; `kept` is what an earlier visit had of it.
    pub(crate) fn fetched(
        &mut self,
        answer: Result<Bootstrap, String>,
        kept: Option<Bootstrap>,
        place: &Place<'_>,
        mut dice: impl FnMut() -> u32,
    ) -> Vec<Task> {
        if self.fetch != Fetch::Running {
            return Vec::new();
        }
        self.fetch = Fetch::Done;
        let mut tasks = Vec::new();
        let silence = answer.as_ref().err().cloned();
        match (answer, kept) {
            (Ok(bootstrap), _) => {
                self.backoff.succeeded();
                self.learn(bootstrap.relays);
            }
            (Err(_), _) if !self.links.is_empty() => {}
            (Err(_), Some(kept)) => self.learn(kept.relays),
            (Err(reason), None) => {
                let ms = self.backoff.failed(dice());
                self.fetch = Fetch::Waiting { ms, reason };
                return vec![Task::Wait { relay: None, ms }];
            }
        }
        // A browser does not say that a WebSocket was refused, so the dial would take until its time is up; the same
        // server's answer over HTTP tells at once. Without it there is no hurry to find another way either.
        if let (Some(silence), Some(home)) = (&silence, self.home) {
            tasks.extend(self.report(&home, |link| link.unreachable(silence, dice())));
        }
        tasks.extend(self.start_idle(silence.is_none(), place, dice));
        tasks
    }

    /// A connection to a relay stands.
    pub(crate) fn connected(&mut self, relay: &PeerId, address: Multiaddr) -> Option<Task> {
        self.report(relay, |link| link.connected(address))
    }

    /// A relay holds a place for this node.
    pub(crate) fn reserved(&mut self, relay: &PeerId) {
        self.report(relay, |link| {
            link.reserved();
            Action::Nothing
        });
    }

    /// A dial failed, or the reservation was refused or lost.
    pub(crate) fn failed(&mut self, relay: &PeerId, reason: &str, dice: u32) -> Option<Task> {
        self.report(relay, |link| link.failed(reason, dice))
    }

    /// The last connection to a relay is gone.
    pub(crate) fn disconnected(&mut self, relay: &PeerId, reason: &str, dice: u32) -> Option<Task> {
        self.report(relay, |link| link.disconnected(reason, dice))
    }

    /// The wait for a relay, or for the file, is over.
    pub(crate) fn due(
        &mut self,
        relay: Option<&PeerId>,
        place: &Place<'_>,
        dice: impl FnMut() -> u32,
    ) -> Vec<Task> {
        let Some(relay) = relay else {
            return self.fetch_again().into_iter().collect();
        };
        let listen = self.report(relay, RelayLink::due);
        if listen.is_some() {
            return listen.into_iter().collect();
        }
        // Its addresses are as old as the last fetch, which matters little while another relay makes up for it. The
        // page's own relay is asked in any case, since that tells whether it is back.
        let made_up_for = self.links.iter().any(|(_, link)| link.is_reserved());
        if made_up_for && self.home.as_ref() != Some(relay) {
            self.start_idle(true, place, dice)
        } else if self.links.iter().any(|(_, link)| link.is_idle()) {
            self.fetch_again().into_iter().collect()
        } else {
            Vec::new()
        }
    }

    /// Something changed, such as the network: no wait is worth it any more.
    pub(crate) fn hurry(&mut self, place: &Place<'_>, mut dice: impl FnMut() -> u32) -> Vec<Task> {
        let peers: Vec<PeerId> = self.links.iter().map(|(relay, _)| relay.peer).collect();
        let mut tasks: Vec<Task> = peers
            .iter()
            .flat_map(|peer| self.due(Some(peer), place, &mut dice))
            .collect();
        if matches!(self.fetch, Fetch::Waiting { .. }) {
            tasks.extend(self.fetch_again());
        }
        tasks
    }

    fn learn(&mut self, relays: Vec<Relay>) {
        self.home = relays.first().map(|relay| relay.peer);
        self.links
            .retain(|(known, link)| !link.is_away() || relays.iter().any(|relay| relay.peer == known.peer));
        for relay in relays {
            match self.links.iter_mut().find(|(known, _)| known.peer == relay.peer) {
                Some((known, _)) => *known = relay,
                None => self.links.push((relay, RelayLink::new())),
            }
        }
    }

    fn start_idle(&mut self, thorough: bool, place: &Place<'_>, mut dice: impl FnMut() -> u32) -> Vec<Task> {
        let idle = self.links.iter_mut().filter(|(_, link)| link.is_idle());
        idle.filter_map(|(relay, link)| {
            let action = link.start(relay.candidates(place), thorough, dice());
            task(relay.peer, action)
        })
        .collect()
    }

    fn fetch_again(&mut self) -> Option<Task> {
        if self.fetch == Fetch::Running {
            return None;
        }
        self.fetch = Fetch::Running;
        Some(Task::Fetch)
    }

    fn report(&mut self, peer: &PeerId, report: impl FnOnce(&mut RelayLink) -> Action) -> Option<Task> {
        let (relay, link) = self.links.iter_mut().find(|(relay, _)| relay.peer == *peer)?;
        task(relay.peer, report(link))
    }

    fn fetch_state(&self) -> RelayState {
        match &self.fetch {
            Fetch::Running | Fetch::Done => RelayState::Connecting {
                attempt: self.backoff.attempt(),
            },
            Fetch::Waiting { ms, reason } => RelayState::Waiting {
                attempt: self.backoff.attempt().saturating_sub(1),
                retry_in_ms: *ms,
                reason: reason.clone(),
            },
        }
    }
}

fn task(relay: PeerId, action: Action) -> Option<Task> {
    match action {
        Action::Dial { addresses } => Some(Task::Dial { relay, addresses }),
        Action::Listen { relay: address } => Some(Task::Listen { relay, address }),
        Action::Wait { ms } => Some(Task::Wait {
            relay: Some(relay),
            ms,
        }),
        // Whoever reports a wait's end starts what is idle.
        Action::Start | Action::Nothing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Transports;

    fn place() -> Place<'static> {
        Place {
            https: false,
            host: "10.0.0.1",
            transports: Transports::default(),
        }
    }

    fn relay(last: u8) -> Relay {
        let peer = PeerId::random();
        Relay {
            peer,
            addresses: vec![
                format!("/ip4/10.0.0.{last}/tcp/80/ws/p2p/{peer}")
                    .parse()
                    .unwrap(),
            ],
        }
    }

    fn two() -> Bootstrap {
        Bootstrap {
            relays: vec![relay(1), relay(2)],
            ice_servers: Vec::new(),
        }
    }

    fn dice() -> u32 {
        0
    }

    #[test]
    fn every_relay_is_dialled_and_one_that_fails_holds_up_no_other() {
        let mut relays = Relays::new();
        let bootstrap = two();
        let [a, b] = [&bootstrap.relays[0], &bootstrap.relays[1]];
        let tasks = relays.fetched(Ok(bootstrap.clone()), None, &place(), dice);
        assert_eq!(tasks.len(), 2);
        assert!(matches!(
            relays.failed(&a.peer, "refused", 0),
            Some(Task::Wait { .. })
        ));
        let address = b.addresses[0].clone();
        assert!(matches!(
            relays.connected(&b.peer, address),
            Some(Task::Listen { .. })
        ));
        relays.reserved(&b.peer);
        assert_eq!(relays.best().0, Some(b.peer));
        assert!(matches!(relays.best().1, RelayState::Reserved { .. }));
        assert_eq!(
            relays.due(Some(&a.peer), &place(), dice),
            [Task::Fetch],
            "its page tells first"
        );
        // The page's relay is there, so the known addresses of another one will do.
        relays.fetched(Ok(bootstrap.clone()), None, &place(), dice);
        relays.connected(&a.peer, a.addresses[0].clone());
        relays.reserved(&a.peer);
        relays.disconnected(&b.peer, "gone", 0);
        let tasks = relays.due(Some(&b.peer), &place(), dice);
        assert!(matches!(&tasks[..], [Task::Dial { relay, .. }] if *relay == b.peer));
    }

    #[test]
    fn the_last_relay_that_is_lost_is_dialled_once_its_page_answers() {
        let mut relays = Relays::new();
        let bootstrap = Bootstrap {
            relays: vec![relay(1)],
            ..two()
        };
        let a = bootstrap.relays[0].clone();
        relays.fetched(Ok(bootstrap.clone()), None, &place(), dice);
        relays.connected(&a.peer, a.addresses[0].clone());
        relays.reserved(&a.peer);
        assert!(matches!(
            relays.disconnected(&a.peer, "gone", 0),
            Some(Task::Wait { .. })
        ));
        assert_eq!(relays.due(Some(&a.peer), &place(), dice), [Task::Fetch]);
        let tasks = relays.fetched(Err("no answer".into()), None, &place(), dice);
        assert!(
            matches!(&tasks[..], [Task::Wait { relay: Some(_), .. }]),
            "{tasks:?}"
        );
        assert!(matches!(relays.best().1, RelayState::Waiting { reason, .. } if reason == "no answer"));
        assert_eq!(relays.due(Some(&a.peer), &place(), dice), [Task::Fetch]);
        let tasks = relays.fetched(Ok(bootstrap), None, &place(), dice);
        assert!(matches!(&tasks[..], [Task::Dial { .. }]));
    }

    #[test]
    fn without_any_file_it_is_fetched_until_it_comes() {
        let mut relays = Relays::new();
        let tasks = relays.fetched(Err("no answer".into()), None, &place(), dice);
        assert!(matches!(&tasks[..], [Task::Wait { relay: None, .. }]));
        assert!(matches!(
            relays.best(),
            (None, RelayState::Waiting { attempt: 1, .. })
        ));
        assert_eq!(relays.hurry(&place(), dice), [Task::Fetch]);
        assert_eq!(relays.due(None, &place(), dice), [], "it is being fetched");
        let tasks = relays.fetched(Err("no answer".into()), Some(two()), &place(), dice);
        assert!(
            matches!(&tasks[..], [Task::Wait { .. }, Task::Dial { .. }]),
            "an earlier visit knew another one"
        );
    }

    #[test]
    fn a_relay_that_is_no_longer_named_is_forgotten_once_it_is_away() {
        let mut relays = Relays::new();
        let bootstrap = two();
        let [a, b] = [bootstrap.relays[0].clone(), bootstrap.relays[1].clone()];
        relays.fetched(Ok(bootstrap), None, &place(), dice);
        relays.connected(&b.peer, b.addresses[0].clone());
        relays.failed(&a.peer, "refused", 0);
        relays.due(Some(&a.peer), &place(), dice);
        let only = Bootstrap {
            relays: vec![relay(3)],
            ..two()
        };
        assert_eq!(relays.fetched(Ok(only), None, &place(), dice).len(), 1);
        assert!(!relays.has(&a.peer) && relays.has(&b.peer));
    }
}
