//! Circuits from tab to tab: relaying them for others, and keeping places at tabs that do.
//!
//! When no relay is left, two tabs that are both connected to a third one can still signal through it. While the core
//! wants this node to coordinate, it offers circuit relay v2 on its direct connections, in a tab's limits. Other tabs
//! see from identify that a neighbour offers it, ask for a place, and then are reached at
//! `/webrtc/p2p/<neighbour>/p2p-circuit/webrtc/p2p/<self>` by everyone else who is connected to that neighbour. The
//! neighbour is a discovery point for as long as the place holds.
//!
//! # Bounds
//!
//! Places are kept at [`COORDINATORS_MAX`] tabs. A tab relays for as many as it has connections, and each circuit only
//! for as long and as much as signalling takes.

use std::collections::BTreeSet;
use std::time::Duration;

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{FromSwarm, NetworkBehaviour as _, behaviour::ExternalAddrConfirmed};
use libp2p::{Multiaddr, PeerId, identify, relay};
use litemap::LiteMap;

use super::unrelayed::Unrelayed;
use super::{CONNECTIONS_MAX, Network};

/// Tabs at which places are kept: one may be closed at any time.
const COORDINATORS_MAX: usize = 2;
/// A place that was refused is asked for again after so many calls of [`Network::keep_places`].
const PATIENCE: u8 = 6;
/// What one circuit may carry, and for how long: session descriptions and candidates, with room for a second attempt.
const CIRCUIT_BYTES_MAX: u64 = 128 * 1024;
const CIRCUIT_TIME_MAX: Duration = Duration::from_secs(60);
const CIRCUITS_MAX: usize = 32;
const CIRCUITS_PER_PEER_MAX: usize = 8;
const RESERVATION_TIME: Duration = Duration::from_secs(600);

/// The relay's side, switched off.
pub(super) fn behaviour(me: PeerId) -> Unrelayed<relay::Behaviour> {
    let config = relay::Config {
        // Everybody who is connected fits, so nobody's renewal is ever refused.
        max_reservations: CONNECTIONS_MAX as usize,
        max_reservations_per_peer: 1,
        reservation_duration: RESERVATION_TIME,
        max_circuits: CIRCUITS_MAX,
        max_circuits_per_peer: CIRCUITS_PER_PEER_MAX,
        max_circuit_duration: CIRCUIT_TIME_MAX,
        max_circuit_bytes: CIRCUIT_BYTES_MAX,
        ..relay::Config::default()
    };
    let mut behaviour = relay::Behaviour::new(me, config);
    behaviour.set_status(Some(relay::Status::Disable));
    // What its reservations carry. Only those who are connected already can use it, and only they have one.
    let addr = &Multiaddr::from(Protocol::WebRTC).with(Protocol::P2p(me));
    behaviour.on_swarm_event(FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr }));
    Unrelayed(behaviour)
}

/// The client's side: who relays, and where this node has a place.
#[derive(Default)]
pub(super) struct Coordinators {
    able: BTreeSet<PeerId>,
    places: LiteMap<PeerId, Place>,
}

/// A place at another tab, from the moment it was asked for.
enum Place {
    Held { listener: ListenerId, granted: bool },
    Refused { wait: u8 },
}

impl Network {
    /// Starts or stops to relay circuits for those who are connected.
    pub(crate) fn coordinate(&mut self, wanted: bool) {
        if self.coordinating != wanted {
            self.coordinating = wanted;
            let status = if wanted {
                relay::Status::Enable
            } else {
                relay::Status::Disable
            };
            self.swarm.behaviour_mut().coordinator.0.set_status(Some(status));
        }
    }

    /// Asks tabs that relay for places, until there are enough.
    pub(crate) fn keep_places(&mut self) {
        let places = &mut self.coordinators.places;
        for (_, place) in places.iter_mut() {
            if let Place::Refused { wait } = place {
                *wait = wait.saturating_sub(1);
            }
        }
        places.retain(|_, place| !matches!(place, Place::Refused { wait: 0 }));
        let free = COORDINATORS_MAX.saturating_sub(self.coordinators.places.len());
        let candidates = self
            .coordinators
            .able
            .iter()
            .filter(|peer| !self.coordinators.places.contains_key(peer) && self.wires.is_direct(peer));
        for peer in candidates.take(free).copied().collect::<Vec<_>>() {
            let circuit = Multiaddr::from(Protocol::WebRTC)
                .with(Protocol::P2p(peer))
                .with(Protocol::P2pCircuit)
                .with(Protocol::WebRTC);
            let place = match self.swarm.listen_on(circuit) {
                Ok(listener) => Place::Held {
                    listener,
                    granted: false,
                },
                Err(_) => Place::Refused { wait: PATIENCE },
            };
            self.coordinators.places.insert(peer, place);
        }
    }

    pub(super) fn on_identified(&mut self, event: &identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else {
            return;
        };
        // Relays offer it too, on their own terms.
        if self.ways.relays.has(peer_id) {
            return;
        }
        if info.protocols.contains(&relay::HOP_PROTOCOL_NAME) {
            self.coordinators.able.insert(*peer_id);
            self.keep_places();
        } else if self.coordinators.able.remove(peer_id) {
            self.leave_coordinator(peer_id);
        }
    }

    pub(super) fn on_place_granted(&mut self, peer: &PeerId) {
        if let Some(Place::Held { granted, .. }) = self.coordinators.places.get_mut(peer)
            && !std::mem::replace(granted, true)
        {
            self.tell_discovery_point(peer, true);
        }
    }

    /// A listener ended: was it a place at a tab?
    pub(super) fn on_place_lost(&mut self, ended: ListenerId) {
        let place = self
            .coordinators
            .places
            .iter_mut()
            .find_map(|(peer, place)| match place {
                Place::Held { listener, granted } if *listener == ended => {
                    let granted = *granted;
                    *place = Place::Refused { wait: PATIENCE };
                    Some((*peer, granted))
                }
                _ => None,
            });
        if let Some((peer, true)) = place {
            self.tell_discovery_point(&peer, false);
        }
    }

    /// The tab is gone, or relays no more.
    pub(super) fn leave_coordinator(&mut self, peer: &PeerId) {
        let place = self.coordinators.places.remove(peer);
        if let Some(Place::Held { listener, granted }) = place {
            self.swarm.remove_listener(listener);
            if granted {
                self.tell_discovery_point(peer, false);
            }
        }
    }

    pub(super) fn on_neighbour_gone(&mut self, peer: &PeerId) {
        self.coordinators.able.remove(peer);
        self.leave_coordinator(peer);
    }
}
