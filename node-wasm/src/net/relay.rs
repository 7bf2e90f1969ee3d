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
        self.discovery_point(relay, false);
        if let Some(listener) = self.relay.listener.take() {
            self.swarm.remove_listener(listener);
        }
        let action = self.relay.link.disconnected(reason, platform::dice());
        self.follow(action);
    }

    pub(super) fn discovery_point(&mut self, relay: &PeerId, available: bool) {
        if let Some(peer) = node_id(relay) {
            self.input(Input::DiscoveryPoint { peer, available });
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
