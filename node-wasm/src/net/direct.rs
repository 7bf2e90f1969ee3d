//! Direct connections to peers: dialled when the core asks, and again while only a circuit leads there.
//!
//! ```text
//!  asked for ─▶ dialled ──▶ direct: forgotten
//!                  ▲  └──▶ relayed ─┐
//!                  └── wait, doubled ┘
//! ```
//!
//! The circuit over which a dial signals stays when the dial fails, and carries what the core allows on it. A peer that
//! left altogether is forgotten; whether it is worth another dial is the core's to say.
//!
//! # Bounds
//!
//! [`DIALS_MAX`] peers are remembered. Each attempt builds an `RTCPeerConnection` and sends session descriptions over
//! the circuit, so the waits double up to [`RETRY_MS`]` << `[`DOUBLINGS_MAX`].

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use litemap::LiteMap;
use node_proto::ids::{NodeId, Timestamp};

use super::{DIALS_MAX, Dial, Network};
use crate::address::{self, peer_id};
use crate::status::TransportKind;
use crate::wires::Wires;

/// The first wait between two attempts.
const RETRY_MS: u64 = 30_000;
/// A network that blocks direct connections rarely changes its mind: eight minutes are the longest wait.
const DOUBLINGS_MAX: u32 = 4;

/// The peers that direct connections are wanted to.
#[derive(Default)]
pub(super) struct Attempts(LiteMap<PeerId, Attempt>);

/// How a peer was last tried to be reached.
struct Attempt {
    addresses: Vec<Multiaddr>,
    /// Each attempt takes the next address.
    count: u32,
    due: Timestamp,
}

impl Attempts {
    /// Which of the addresses to dial now: they differ in the relay alone, and each would become a connection of its own.
    fn next(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Timestamp) -> Option<Multiaddr> {
        let count = self.0.get(&peer).map_or(0, |attempt| attempt.count);
        let address = addresses.iter().cycle().nth(count as usize)?.clone();
        if self.0.len() < DIALS_MAX || self.0.contains_key(&peer) {
            let attempt = Attempt {
                addresses,
                count: count.saturating_add(1),
                due: now.plus_ms(RETRY_MS << count.min(DOUBLINGS_MAX)),
            };
            self.0.insert(peer, attempt);
        }
        Some(address)
    }

    /// Who is to be dialled again; who is gone is forgotten.
    fn due(&mut self, now: Timestamp, wires: &Wires) -> Vec<(PeerId, Vec<Multiaddr>)> {
        self.0
            .retain(|peer, attempt| attempt.due > now || wires.has(peer));
        let due = self.0.iter().filter(|(_, attempt)| attempt.due <= now);
        due.map(|(peer, attempt)| (*peer, attempt.addresses.clone()))
            .collect()
    }

    /// A direct connection to the peer stands, or none is wanted any more.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }

    /// The device may be in another network, where everything is worth a try.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        for (_, attempt) in self.0.iter_mut() {
            (attempt.count, attempt.due) = (0, now);
        }
    }
}

impl Network {
    /// Connects to a peer directly, unless that is so or under way.
    pub(crate) fn dial_peer(&mut self, node: &NodeId, addresses: &[String]) {
        let Some(peer) = peer_id(node) else { return };
        let mut addresses = address::announced(peer, addresses);
        addresses.retain(|address| self.is_in_reach(address));
        // The relays that this node is connected to come first.
        let (mut first, others): (Vec<_>, Vec<_>) = addresses
            .into_iter()
            .partition(|address| address::relay_of(address).is_some_and(|(relay, _)| self.wires.has(&relay)));
        first.extend(others);
        self.dial_direct(peer, first);
    }

    /// Tries again to reach those directly who are connected through a circuit alone.
    pub(crate) fn retry_direct(&mut self) {
        for (peer, addresses) in self.attempts.due(self.clock.now(), &self.wires) {
            self.dial_direct(peer, addresses);
        }
    }

    /// Whether a relay of this address can be asked for a circuit: a tab only by those who are connected to it.
    fn is_in_reach(&self, address: &Multiaddr) -> bool {
        address::relay_of(address)
            .is_none_or(|(relay, by)| by != TransportKind::Webrtc || self.wires.is_direct(&relay))
    }

    fn dial_direct(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if self.wires.is_direct(&peer) {
            return;
        }
        let Some(address) = self.attempts.next(peer, addresses, self.clock.now()) else {
            return;
        };
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::NotDialing)
            .addresses(vec![address])
            .build();
        self.dial(options, Dial::Peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Multiaddr {
        format!("/ip4/10.0.0.{last}/tcp/80/ws").parse().unwrap()
    }

    fn relayed() -> (Wires, PeerId) {
        let peer = libp2p::identity::Keypair::generate_ed25519()
            .public()
            .to_peer_id();
        let mut wires = Wires::default();
        let id = libp2p::swarm::ConnectionId::new_unchecked(1);
        wires.opened(id, peer, TransportKind::Relayed, String::new());
        (wires, peer)
    }

    #[test]
    fn a_relayed_peer_is_tried_by_each_of_its_addresses_with_growing_waits() {
        let (wires, peer) = relayed();
        let mut attempts = Attempts::default();
        let mut now = Timestamp(0);
        let mut addresses = vec![address(1), address(2)];
        let mut waits = Vec::new();
        for turn in 0..8 {
            let dialled = attempts.next(peer, addresses, now).unwrap();
            assert_eq!(dialled, address(1 + turn % 2));
            let until = attempts.0[&peer].due;
            waits.push(until.ms_since(now) / RETRY_MS);
            assert!(attempts.due(Timestamp(until.0 - 1), &wires).is_empty());
            now = until;
            addresses = attempts.due(now, &wires).remove(0).1;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 16, 16, 16]);
        attempts.hurry(now);
        assert_eq!(attempts.due(now, &wires).len(), 1);
        attempts.forget(&peer);
        assert!(attempts.due(now, &wires).is_empty());
    }

    #[test]
    fn who_is_gone_is_forgotten_and_an_address_is_needed() {
        let (_, peer) = relayed();
        let mut attempts = Attempts::default();
        assert_eq!(attempts.next(peer, Vec::new(), Timestamp(0)), None);
        attempts.next(peer, vec![address(1)], Timestamp(0)).unwrap();
        assert!(attempts.due(Timestamp(RETRY_MS), &Wires::default()).is_empty());
        assert!(attempts.0.is_empty());
    }
}
