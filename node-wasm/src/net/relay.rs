//! Carries out what [`Relays`] wants done.

use std::collections::BTreeSet;

use libp2p::PeerId;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use litemap::LiteMap;
use node_proto::io::Input;

use super::{Dial, NetEvent, Network};
use crate::address::node_id;
use crate::bootstrap::{Bootstrap, Place};
use crate::options::Transports;
use crate::platform;
use crate::relays::{Relays, Task};

/// The ways to the relays and where they lead from.
pub(super) struct Ways {
    pub(super) relays: Relays,
    pub(super) listeners: LiteMap<PeerId, ListenerId>,
    /// The core was told that these can be asked.
    announced: BTreeSet<PeerId>,
    https: bool,
    host: String,
    transports: Transports,
}

impl Ways {
    pub(super) fn new(origin: &str, transports: Transports) -> Self {
        let https = web_sys::window().and_then(|window| window.location().protocol().ok());
        let host = web_sys::Url::new(origin)
            .map(|url| url.hostname())
            .unwrap_or_default();
        Self {
            relays: Relays::new(),
            listeners: LiteMap::new(),
            announced: BTreeSet::new(),
            https: https.as_deref() == Some("https:"),
            host,
            transports,
        }
    }

    /// Whose listener it is; it is forgotten.
    pub(super) fn lost(&mut self, listener: ListenerId) -> Option<PeerId> {
        let mut relays = self.listeners.iter();
        let (relay, _) = relays.find(|(_, known)| **known == listener)?;
        let relay = *relay;
        self.listeners.remove(&relay);
        Some(relay)
    }

    /// The machine, and what may be dialled from its page.
    fn split(&mut self) -> (&mut Relays, Place<'_>) {
        let place = Place {
            https: self.https,
            host: &self.host,
            transports: self.transports,
        };
        (&mut self.relays, place)
    }
}

impl Network {
    /// `/bootstrap.json` came, or did not; `kept` is what an earlier visit had of it.
    pub(crate) fn bootstrapped(&mut self, answer: Result<Bootstrap, String>, kept: Option<Bootstrap>) {
        if let Some(bootstrap) = answer.as_ref().ok().or(kept.as_ref()) {
            self.use_ice_servers(&bootstrap.ice_servers);
        }
        let (relays, place) = self.ways.split();
        let tasks = relays.fetched(answer, kept, &place, platform::dice);
        self.follow(tasks);
    }

    /// Tries a relay again whose wait is over; without one, `/bootstrap.json`.
    pub(crate) fn retry_relay(&mut self, relay: Option<&PeerId>) {
        let (relays, place) = self.ways.split();
        let tasks = relays.due(relay, &place, platform::dice);
        self.follow(tasks);
    }

    /// Tries everything again that waits.
    pub(crate) fn hurry(&mut self) {
        let (relays, place) = self.ways.split();
        let tasks = relays.hurry(&place, platform::dice);
        self.follow(tasks);
        self.attempts.hurry(self.clock.now());
    }

    pub(super) fn follow(&mut self, tasks: impl IntoIterator<Item = Task>) {
        for task in tasks {
            match task {
                Task::Fetch => self.ready.push_back(NetEvent::FetchBootstrap),
                Task::Dial { relay, addresses } => {
                    let options = DialOpts::peer_id(relay)
                        .condition(PeerCondition::Always)
                        .addresses(addresses)
                        .build();
                    self.dial(options, Dial::Relay(relay));
                }
                Task::Listen { relay, address } => {
                    let circuit = address.with(Protocol::P2pCircuit).with(Protocol::WebRTC);
                    match self.swarm.listen_on(circuit) {
                        Ok(listener) => {
                            self.ways.listeners.insert(relay, listener);
                        }
                        Err(error) => self.on_relay_failed(&relay, &error.to_string()),
                    }
                }
                Task::Wait { relay, ms } => self.ready.push_back(NetEvent::RetryRelay { relay, ms }),
            }
        }
        self.ready.push_back(NetEvent::Changed);
    }

    pub(super) fn on_relay_failed(&mut self, relay: &PeerId, reason: &str) {
        let task = self.ways.relays.failed(relay, reason, platform::dice());
        self.follow(task);
    }

    pub(super) fn on_relay_gone(&mut self, relay: &PeerId, reason: &str) {
        if self.ways.announced.remove(relay) {
            self.tell_discovery_point(relay, false);
        }
        if let Some(listener) = self.ways.listeners.remove(relay) {
            self.swarm.remove_listener(listener);
        }
        let task = self.ways.relays.disconnected(relay, reason, platform::dice());
        self.follow(task);
    }

    /// Tells the core that the connected relays can be asked, once for each connection.
    pub(super) fn announce_relays(&mut self) {
        let connected = self.swarm.connected_peers();
        let relays = connected.filter(|peer| self.ways.relays.has(peer));
        for relay in relays.copied().collect::<Vec<_>>() {
            if self.ways.announced.insert(relay) {
                self.tell_discovery_point(&relay, true);
            }
        }
    }

    pub(super) fn tell_discovery_point(&mut self, peer: &PeerId, available: bool) {
        if let Some(peer) = node_id(peer) {
            self.input(Input::DiscoveryPoint { peer, available });
        }
    }
}
