//! The way to one relay and back to it, as a state machine without clock, network or randomness.
//!
//! ```text
//!            ┌────────────── wait ◀── failed ─────────────┐
//!            ▼                                            │
//!          idle ─▶ dial WebSocket ─▶ dial webrtc-direct ──┤
//!                         └──────┬──────────┘             │
//!                            connected ─▶ listen ─▶ reserved
//! ```
//!
//! Each call reports what happened and returns what to do next. A connection that breaks, or a reservation that is
//! refused, leads back to the start after a wait that doubles with each failure in a row. [`Relays`](crate::relays)
//! keeps one for every relay and looks up their addresses.

use libp2p::Multiaddr;

use crate::address::transport_of;
use crate::backoff::Backoff;
use crate::status::{RelayState, TransportKind};

/// WebSocket addresses of one relay that are tried, all at once.
const SOCKETS_MAX: usize = 4;
/// Other addresses that are tried, one after another.
const OTHERS_MAX: usize = 3;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Look whether the relay's addresses have changed, then [`RelayLink::start`].
    Start,
    /// Dial these, the first that answers counts; then report [`RelayLink::connected`] or [`RelayLink::failed`].
    Dial { addresses: Vec<Multiaddr> },
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
    /// Groups of addresses that are still to be tried in this attempt.
    untried: Vec<Vec<Multiaddr>>,
    /// How the last connection was made.
    worked: Option<TransportKind>,
    backoff: Backoff,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
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
    /// Idle: the first thing to do is [`RelayLink::start`].
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Idle,
            untried: Vec::new(),
            worked: None,
            backoff: Backoff::default(),
        }
    }

    /// Whether it waits for [`RelayLink::start`].
    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Whether others can reach this node through the relay.
    pub(crate) fn is_reserved(&self) -> bool {
        matches!(self.phase, Phase::Connected { reserved: true, .. })
    }

    /// Whether it may be forgotten: no connection stands or is being made.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Waiting { connected: None, .. })
    }

    /// For people.
    pub(crate) fn state(&self) -> RelayState {
        match &self.phase {
            Phase::Idle | Phase::Dialling => RelayState::Connecting {
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

    /// Tries these addresses, the best first. Unless it is to be thorough, only those by whose transport it got through
    /// before: a webrtc-direct dial to a relay that is gone takes seconds, in which the relay may return.
    pub(crate) fn start(&mut self, mut candidates: Vec<Multiaddr>, thorough: bool, dice: u32) -> Action {
        if self.phase != Phase::Idle {
            return Action::Nothing;
        }
        let works = |address: &Multiaddr| Some(transport_of(address)) == self.worked;
        if !thorough && candidates.iter().any(works) {
            candidates.retain(works);
        }
        self.untried = groups(candidates);
        self.dial_next("the relay names no address that this browser can use", dice)
    }

    /// There is no use in dialling: the relay's own page does not answer.
    pub(crate) fn unreachable(&mut self, reason: &str, dice: u32) -> Action {
        if self.phase != Phase::Idle {
            return Action::Nothing;
        }
        self.wait(reason.to_owned(), None, dice)
    }

    /// A connection to the relay stands.
    pub(crate) fn connected(&mut self, address: Multiaddr) -> Action {
        if matches!(self.phase, Phase::Connected { .. }) {
            return Action::Nothing;
        }
        self.untried.clear();
        self.worked = Some(transport_of(&address));
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
            Phase::Idle | Phase::Waiting { .. } => Action::Nothing,
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
            Phase::Idle | Phase::Dialling => Action::Nothing,
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
                    self.phase = Phase::Idle;
                    Action::Start
                }
            },
            _ => Action::Nothing,
        }
    }

    fn dial_next(&mut self, reason: &str, dice: u32) -> Action {
        match self.untried.pop() {
            Some(addresses) => {
                self.phase = Phase::Dialling;
                Action::Dial { addresses }
            }
            None => self.wait(reason.to_owned(), None, dice),
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

    const PEER: &str = "12D3KooWCRwPxBsGK4NYBUPz6UzsqyE8DmcUu8tGqRWGYd37S5JM";
    const SOCKET: &str = "/ip4/10.0.0.1/tcp/80/ws";
    const DIRECT: &str =
        "/ip4/10.0.0.1/udp/9/webrtc-direct/certhash/uEiDikp5KVUgkLta1EjUN-IKbHk-dUBg8VzKgf5nXxLK46w";

    fn candidates() -> Vec<Multiaddr> {
        vec![with_relay(SOCKET), with_relay(DIRECT)]
    }

    fn dialled(action: Action) -> Vec<Multiaddr> {
        let Action::Dial { addresses } = action else {
            panic!("{action:?} is no dial")
        };
        addresses
    }

    fn with_relay(address: &str) -> Multiaddr {
        format!("{address}/p2p/{PEER}").parse().unwrap()
    }

    fn connected() -> (RelayLink, Multiaddr) {
        let mut link = RelayLink::new();
        let address = dialled(link.start(candidates(), false, 0)).remove(0);
        assert_eq!(
            link.connected(address.clone()),
            Action::Listen {
                relay: address.clone()
            }
        );
        (link, address)
    }

    #[test]
    fn webrtc_is_tried_when_the_socket_fails_and_then_all_over_again() {
        let mut link = RelayLink::new();
        assert_eq!(dialled(link.start(candidates(), false, 0)), [with_relay(SOCKET)]);
        assert_eq!(dialled(link.failed("refused", 0)), [with_relay(DIRECT)]);
        assert!(matches!(link.failed("refused", 0), Action::Wait { .. }));
        assert!(
            matches!(link.state(), RelayState::Waiting { attempt: 1, reason, .. } if reason == "refused")
        );
        assert_eq!(link.due(), Action::Start);
        assert_eq!(link.state(), RelayState::Connecting { attempt: 2 });
    }

    #[test]
    fn sockets_race_and_webrtc_goes_one_by_one() {
        let others = [DIRECT.to_owned(), DIRECT.replace("10.0.0.1", "10.0.0.2")];
        let sockets = [SOCKET, "/ip4/10.0.0.2/tcp/80/ws"].map(str::to_owned);
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
    fn a_broken_connection_is_made_again_by_the_way_that_worked() {
        let (mut link, _) = connected();
        assert!(matches!(link.state(), RelayState::Connected { .. }));
        link.reserved();
        assert!(link.is_reserved());
        assert!(matches!(link.disconnected("gone", 0), Action::Wait { .. }));
        for thorough in [false, true] {
            assert_eq!(link.due(), Action::Start);
            assert_eq!(
                dialled(link.start(candidates(), thorough, 0)),
                [with_relay(SOCKET)]
            );
            let next = link.failed("refused", 0);
            assert_eq!(matches!(next, Action::Dial { .. }), thorough, "{next:?}");
        }
    }

    #[test]
    fn a_refused_reservation_is_asked_for_again_on_the_same_connection() {
        let (mut link, address) = connected();
        assert!(matches!(link.failed("full", 0), Action::Wait { .. }));
        assert!(!link.is_away());
        assert_eq!(
            link.due(),
            Action::Listen {
                relay: address.clone()
            }
        );
        assert!(matches!(link.failed("full", 0), Action::Wait { .. }));
        assert_eq!(link.disconnected("gone", 0), Action::Nothing);
        assert!(link.is_away());
        assert_eq!(link.due(), Action::Start);
    }

    #[test]
    fn reports_that_come_late_change_nothing() {
        let mut link = RelayLink::new();
        assert!(matches!(link.start(Vec::new(), true, 0), Action::Wait { .. }));
        assert_eq!(link.start(candidates(), true, 0), Action::Nothing);
        assert_eq!(link.failed("late", 0), Action::Nothing);
        link.reserved();
        assert!(matches!(link.state(), RelayState::Waiting { .. }));
    }
}
