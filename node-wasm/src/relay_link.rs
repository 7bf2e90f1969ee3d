//! The way to the relay and back to it, as a state machine without clock, network or randomness.
//!
//! ```text
//!            ┌──────────────── wait ◀── failed ───────────────┐
//!            ▼                                                │
//!  fetch /bootstrap.json ─▶ dial WebSocket ─▶ dial webrtc-direct
//!                                 └──────┬────────┘
//!                                   connected ─▶ listen ─▶ reserved
//! ```
//!
//! Each call reports what happened and returns what to do next. A connection that breaks, or a reservation that is
//! refused, leads back to the start after a wait that doubles with each failure in a row.

use libp2p::{Multiaddr, PeerId};

use crate::address::transport_of;
use crate::backoff::Backoff;
use crate::bootstrap::{Bootstrap, Place};
use crate::status::{RelayState, TransportKind};

/// WebSocket addresses of one relay that are tried, all at once.
const SOCKETS_MAX: usize = 4;
/// Other addresses that are tried, one after another.
const OTHERS_MAX: usize = 3;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Fetch `/bootstrap.json`, then report [`RelayLink::fetched`].
    Fetch,
    /// Dial these, the first that answers counts; then report [`RelayLink::connected`] or [`RelayLink::failed`].
    Dial { peer: PeerId, addresses: Vec<Multiaddr> },
    /// Ask for a reservation; then report [`RelayLink::reserved`] or [`RelayLink::failed`].
    Listen { relay: Multiaddr },
    /// Report [`RelayLink::due`] after this long.
    Wait { ms: u32 },
    /// Nothing until the next report.
    Nothing,
}

/// The state.
#[derive(Clone, Debug)]
pub(crate) struct RelayLink {
    phase: Phase,
    peer: Option<PeerId>,
    /// Groups of addresses that are still to be tried in this attempt.
    untried: Vec<Vec<Multiaddr>>,
    backoff: Backoff,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Fetching,
    Dialling,
    Connected {
        address: Multiaddr,
        reserved: bool,
    },
    Waiting {
        ms: u32,
        reason: String,
        connected: Option<Multiaddr>,
    },
}

impl RelayLink {
    /// The first thing to do is [`Action::Fetch`].
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Fetching,
            peer: None,
            untried: Vec::new(),
            backoff: Backoff::default(),
        }
    }

    /// The relay, once it has said who it is.
    pub(crate) fn peer(&self) -> Option<PeerId> {
        self.peer
    }

    /// For people.
    pub(crate) fn state(&self) -> RelayState {
        match &self.phase {
            Phase::Fetching | Phase::Dialling => RelayState::Connecting {
                attempt: self.backoff.attempt(),
            },
            Phase::Connected {
                address,
                reserved: false,
            } => RelayState::Connected {
                transport: transport_of(address),
            },
            Phase::Connected {
                address,
                reserved: true,
            } => RelayState::Reserved {
                transport: transport_of(address),
            },
            Phase::Waiting { ms, reason, .. } => RelayState::Waiting {
                attempt: self.backoff.attempt().saturating_sub(1),
                retry_in_ms: *ms,
                reason: reason.clone(),
            },
        }
    }

    /// `/bootstrap.json` came, or did not.
    pub(crate) fn fetched(
        &mut self,
        answer: Result<Bootstrap, String>,
        place: &Place<'_>,
        dice: u32,
    ) -> Action {
        if self.phase != Phase::Fetching {
            return Action::Nothing;
        }
        match answer {
            Ok(bootstrap) => {
                self.peer = Some(bootstrap.peer);
                self.untried = groups(bootstrap.candidates(place));
                self.dial_next("the relay names no address that this browser can use", dice)
            }
            Err(reason) => self.wait(reason, None, dice),
        }
    }

    /// A connection to the relay stands.
    pub(crate) fn connected(&mut self, address: Multiaddr) -> Action {
        if matches!(self.phase, Phase::Connected { .. }) {
            return Action::Nothing;
        }
        self.untried.clear();
        self.phase = Phase::Connected {
            address: address.clone(),
            reserved: false,
        };
        Action::Listen { relay: address }
    }

    /// The relay holds a place for this node.
    pub(crate) fn reserved(&mut self) {
        if let Phase::Connected { reserved, .. } = &mut self.phase {
            *reserved = true;
            self.backoff.succeeded();
        }
    }

    /// A dial failed, or the reservation was refused or lost.
    pub(crate) fn failed(&mut self, reason: &str, dice: u32) -> Action {
        match &self.phase {
            Phase::Dialling => self.dial_next(reason, dice),
            Phase::Connected { address, .. } => {
                let address = address.clone();
                self.wait(reason.to_owned(), Some(address), dice)
            }
            Phase::Fetching | Phase::Waiting { .. } => Action::Nothing,
        }
    }

    /// The last connection to the relay is gone.
    pub(crate) fn disconnected(&mut self, reason: &str, dice: u32) -> Action {
        match &mut self.phase {
            Phase::Connected { .. } => self.wait(reason.to_owned(), None, dice),
            Phase::Waiting { connected, .. } => {
                *connected = None;
                Action::Nothing
            }
            Phase::Fetching | Phase::Dialling => Action::Nothing,
        }
    }

    /// The wait is over, or cut short because something changed.
    pub(crate) fn due(&mut self) -> Action {
        match &mut self.phase {
            Phase::Waiting { connected, .. } => match connected.take() {
                Some(address) => {
                    self.phase = Phase::Connected {
                        address: address.clone(),
                        reserved: false,
                    };
                    Action::Listen { relay: address }
                }
                None => {
                    self.phase = Phase::Fetching;
                    Action::Fetch
                }
            },
            _ => Action::Nothing,
        }
    }

    fn dial_next(&mut self, reason: &str, dice: u32) -> Action {
        match (self.peer, self.untried.pop()) {
            (Some(peer), Some(addresses)) => {
                self.phase = Phase::Dialling;
                Action::Dial { peer, addresses }
            }
            _ => self.wait(reason.to_owned(), None, dice),
        }
    }

    fn wait(&mut self, reason: String, connected: Option<Multiaddr>, dice: u32) -> Action {
        let ms = self.backoff.failed(dice);
        self.phase = Phase::Waiting {
            ms,
            reason,
            connected,
        };
        Action::Wait { ms }
    }
}

/// What is dialled together, the best last. Sockets are cheap and race; each WebRTC dial builds a whole connection, so
/// those go one by one.
fn groups(candidates: Vec<Multiaddr>) -> Vec<Vec<Multiaddr>> {
    let (mut sockets, mut others): (Vec<_>, Vec<_>) = candidates
        .into_iter()
        .partition(|address| transport_of(address) == TransportKind::Websocket);
    sockets.truncate(SOCKETS_MAX);
    others.truncate(OTHERS_MAX);
    let mut groups: Vec<Vec<Multiaddr>> = others.into_iter().rev().map(|address| vec![address]).collect();
    groups.extend((!sockets.is_empty()).then_some(sockets));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Transports;

    const PEER: &str = "12D3KooWCRwPxBsGK4NYBUPz6UzsqyE8DmcUu8tGqRWGYd37S5JM";
    const DIRECT: &str =
        "/ip4/10.0.0.1/udp/9/webrtc-direct/certhash/uEiDikp5KVUgkLta1EjUN-IKbHk-dUBg8VzKgf5nXxLK46w";

    fn bootstrap() -> Bootstrap {
        let file = serde_json::json!({ "peer_id": PEER, "addresses": [DIRECT, "/ip4/10.0.0.1/tcp/80/ws"] });
        Bootstrap::from_json(&file.to_string()).unwrap()
    }

    fn place() -> Place<'static> {
        Place {
            https: false,
            host: "10.0.0.1",
            transports: Transports::default(),
        }
    }

    fn dialled(action: Action) -> Vec<Multiaddr> {
        let Action::Dial { addresses, .. } = action else {
            panic!("{action:?} is no dial")
        };
        addresses
    }

    fn with_relay(address: &str) -> Multiaddr {
        format!("{address}/p2p/{PEER}").parse().unwrap()
    }

    #[test]
    fn webrtc_is_tried_when_the_socket_fails_and_then_all_over_again() {
        let mut link = RelayLink::new();
        let first = dialled(link.fetched(Ok(bootstrap()), &place(), 0));
        assert_eq!(first, [with_relay("/ip4/10.0.0.1/tcp/80/ws")]);
        assert_eq!(dialled(link.failed("refused", 0)), [with_relay(DIRECT)]);
        assert!(matches!(link.failed("refused", 0), Action::Wait { .. }));
        assert!(
            matches!(link.state(), RelayState::Waiting { attempt: 1, reason, .. } if reason == "refused")
        );
        assert_eq!(link.due(), Action::Fetch);
        assert_eq!(link.state(), RelayState::Connecting { attempt: 2 });
    }

    #[test]
    fn sockets_race_and_webrtc_goes_one_by_one() {
        let others = [DIRECT.to_owned(), DIRECT.replace("10.0.0.1", "10.0.0.2")];
        let sockets = ["/ip4/10.0.0.1/tcp/80/ws", "/ip4/10.0.0.2/tcp/80/ws"].map(str::to_owned);
        let all = others
            .iter()
            .chain(&sockets)
            .map(|address| with_relay(address))
            .collect();
        let groups = groups(all);
        let expected = [
            vec![with_relay(&others[1])],
            vec![with_relay(&others[0])],
            sockets.map(|address| with_relay(&address)).to_vec(),
        ];
        assert_eq!(groups, expected);
    }

    #[test]
    fn a_connection_is_listened_on_and_a_broken_one_is_made_again() {
        let mut link = RelayLink::new();
        let address = dialled(link.fetched(Ok(bootstrap()), &place(), 0)).remove(0);
        assert_eq!(
            link.connected(address.clone()),
            Action::Listen {
                relay: address.clone()
            }
        );
        assert_eq!(
            link.state(),
            RelayState::Connected {
                transport: TransportKind::Websocket
            }
        );
        link.reserved();
        assert_eq!(
            link.state(),
            RelayState::Reserved {
                transport: TransportKind::Websocket
            }
        );
        assert!(matches!(link.disconnected("gone", 0), Action::Wait { .. }));
        assert_eq!(link.due(), Action::Fetch);
    }

    #[test]
    fn a_refused_reservation_is_asked_for_again_on_the_same_connection() {
        let mut link = RelayLink::new();
        let address = dialled(link.fetched(Ok(bootstrap()), &place(), 0)).remove(0);
        link.connected(address.clone());
        assert!(matches!(link.failed("full", 0), Action::Wait { .. }));
        assert_eq!(
            link.due(),
            Action::Listen {
                relay: address.clone()
            }
        );
        assert!(matches!(link.failed("full", 0), Action::Wait { .. }));
        assert_eq!(link.disconnected("gone", 0), Action::Nothing);
        assert_eq!(link.due(), Action::Fetch);
    }

    #[test]
    fn reports_that_come_late_change_nothing() {
        let mut link = RelayLink::new();
        assert!(matches!(
            link.fetched(Err("no answer".into()), &place(), 0),
            Action::Wait { .. }
        ));
        assert_eq!(link.fetched(Ok(bootstrap()), &place(), 0), Action::Nothing);
        assert_eq!(link.failed("late", 0), Action::Nothing);
        link.reserved();
        assert!(matches!(link.state(), RelayState::Waiting { .. }));
    }
}
