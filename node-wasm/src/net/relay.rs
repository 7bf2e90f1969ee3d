//! Carries out what [`RelayLink`] wants done.

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use node_proto::io::Input;

use super::{Dial, NetEvent, Network};
use crate::address::node_id;
use crate::bootstrap::{Bootstrap, Place};
use crate::options::Transports;
use crate::platform;
use crate::relay_link::{Action, RelayLink};

/// The way to the relay and where it leads from.
pub(super) struct Relay {
    pub(super) link: RelayLink,
    pub(super) listener: Option<ListenerId>,
    /// The core was told that the relay can be asked.
    announced: bool,
    https: bool,
    host: String,
    transports: Transports,
}

impl Relay {
    pub(super) fn new(origin: &str, transports: Transports) -> Self {
        let https = web_sys::window().and_then(|window| window.location().protocol().ok());
        let host = web_sys::Url::new(origin)
            .map(|url| url.hostname())
            .unwrap_or_default();
        Self {
            link: RelayLink::new(),
            listener: None,
            announced: false,
            https: https.as_deref() == Some("https:"),
            host,
            transports,
        }
    }

    pub(super) fn is(&self, peer: &PeerId) -> bool {
        self.link.peer().as_ref() == Some(peer)
    }

    pub(super) fn fetched(&mut self, answer: Result<Bootstrap, String>) -> Action {
        let place = Place {
            https: self.https,
            host: &self.host,
            transports: self.transports,
        };
        self.link.fetched(answer, &place, platform::dice())
    }

    pub(super) fn failed(&mut self, reason: &str) -> Action {
        self.link.failed(reason, platform::dice())
    }
}

impl Network {
    pub(super) fn follow(&mut self, action: Action) {
        match action {
            Action::Fetch => self.ready.push_back(NetEvent::FetchBootstrap),
            Action::Dial { peer, addresses } => {
                let options = DialOpts::peer_id(peer)
                    .condition(PeerCondition::Always)
                    .addresses(addresses)
                    .build();
                self.dial(options, Dial::Relay);
            }
            Action::Listen { relay } => self.listen(relay),
            Action::Wait { ms } => self.ready.push_back(NetEvent::RetryRelay { ms }),
            Action::Nothing => {}
        }
        self.ready.push_back(NetEvent::Changed);
    }

    pub(super) fn on_relay_gone(&mut self, relay: &PeerId, reason: &str) {
        if let Some(peer) = node_id(relay).filter(|_| std::mem::take(&mut self.relay.announced)) {
            self.input(Input::DiscoveryPoint {
                peer,
                available: false,
            });
        }
        if let Some(listener) = self.relay.listener.take() {
            self.swarm.remove_listener(listener);
        }
        let action = self.relay.link.disconnected(reason, platform::dice());
        self.follow(action);
    }

    /// Tells the core that the relay can be asked, once for each connection.
    pub(super) fn announce_relay(&mut self) {
        let relay = self.relay.link.peer().filter(|peer| self.wires.has(peer));
        if let Some(peer) = relay.as_ref().and_then(node_id).filter(|_| !self.relay.announced) {
            self.relay.announced = true;
            self.input(Input::DiscoveryPoint {
                peer,
                available: true,
            });
        }
    }

    fn listen(&mut self, relay: Multiaddr) {
        match self
            .swarm
            .listen_on(relay.with(Protocol::P2pCircuit).with(Protocol::WebRTC))
        {
            Ok(listener) => self.relay.listener = Some(listener),
            Err(error) => {
                let action = self.relay.failed(&error.to_string());
                self.follow(action);
            }
        }
    }
}
