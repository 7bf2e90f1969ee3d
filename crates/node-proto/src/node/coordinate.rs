//! A strong tab as a discovery point, so that those who are connected to it find each other when no relay is left.
//!
//! ```text
//!  idle ── lending is on, the tier is Power, the owner's conditions hold ──▶ coordinating ── any of it ends ──▶ idle
//! ```
//!
//! Instead of the tier the owner may decide: an old laptop that is always on serves a household well.
//!
//! While it coordinates, the node answers registrations and samples with the very table that relays run
//! ([`Registry`]), of a tab's size ([`limits`]), and the shell relays circuits for the same peers, over which they signal
//! their direct connections. The node is its own discovery point too: requests to itself never leave it, and what it
//! offers stands in its table beside what others offer.
//!
//! An entry is void once its owner is gone, and all are when the node stops coordinating.

use std::collections::VecDeque;

use crate::capability::Tier;
use crate::discovery::{Registry, RegistryLimits};
use crate::ids::{ExchangeId, NodeId};
use crate::node::Node;

/// Requests to itself that wait; a node sends a few of them every sampling interval.
const OWN_MAX: usize = 64;

/// A tab knows 64 peers at most, each of which files one entry for itself and one or two for each model.
fn limits() -> RegistryLimits {
    RegistryLimits {
        per_node_max: 16,
        per_key_max: 128,
        total_max: 1_024,
        ..RegistryLimits::default()
    }
}

/// The discovery point's table, while there is one.
#[derive(Default)]
pub(super) struct Coordination {
    registry: Option<Registry>,
    own: VecDeque<(ExchangeId, Vec<u8>)>,
}

impl Node {
    /// Whether this node helps those who are connected to it to find each other. While it does, its shell relays
    /// circuits for them.
    pub fn coordinates(&self) -> bool {
        self.coordination.registry.is_some()
    }

    /// Answers a request to a discovery point; `None` when this node is none.
    pub(super) fn coordinate(&mut self, from: NodeId, frame: &[u8]) -> Option<Vec<u8>> {
        let now = self.now;
        let registry = self.coordination.registry.as_mut()?;
        Some(registry.handle_frame(now, from, frame))
    }

    /// Keeps a request to itself for [`coordinate_due`](Self::coordinate_due); beyond the limit it times out.
    pub(super) fn ask_itself(&mut self, exchange: ExchangeId, frame: Vec<u8>) {
        if self.coordination.own.len() < OWN_MAX {
            self.coordination.own.push_back((exchange, frame));
        }
    }

    /// Whether a peer is listed here.
    pub(super) fn registers(&self, peer: &NodeId) -> bool {
        let registry = self.coordination.registry.as_ref();
        registry.is_some_and(|registry| registry.lists(peer))
    }

    pub(super) fn forget_registrations(&mut self, peer: &NodeId) {
        if let Some(registry) = &mut self.coordination.registry {
            registry.forget(peer);
        }
    }

    /// Takes the role up or lays it down, and answers what this node asked itself.
    pub(super) fn coordinate_due(&mut self) {
        let strong = self.lending.tier() == Some(Tier::Power);
        let wanted = self.monitor.policy.coordinate.unwrap_or(strong);
        // What makes this node give work back makes it leave the role too.
        let able = wanted && !self.monitor.sheds(self.paused());
        if able != self.coordinates() {
            let seed = self.rng.next_u64();
            debug_assert_eq!(limits().validate(), Ok(()), "constants that a test holds to");
            self.coordination.registry = able.then(|| Registry::new(limits(), seed));
            self.set_discovery_point(self.me, able);
        }
        // What the answers cause is asked next time.
        for (exchange, frame) in std::mem::take(&mut self.coordination.own) {
            if let Some(answer) = self.coordinate(self.me, &frame) {
                self.answered(exchange, Ok(answer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::capability::{Environment, LendPolicy, Measurements, Reading};
    use crate::group::Group;
    use crate::ids::{Hash, Timestamp};
    use crate::io::{Command, Input, Output};
    use crate::sign::{Ed25519Signer, Signer as _};
    use crate::wire::{Request, Response, decode_frame, encode_frame};

    fn node() -> Node {
        let signer = Box::new(Ed25519Signer::from_secret(&[1; 32]));
        let mut node = Node::new(
            crate::Config::default(),
            signer,
            Group::open(),
            1,
            Timestamp(0),
            [],
        )
        .unwrap();
        let reading = |value| {
            Some(Reading {
                value,
                at: Timestamp(0),
                measured: true,
            })
        };
        let measurements = Measurements {
            processing_tokens_per_s: reading(5_000.0),
            memory_bytes: reading(4e9),
            ..Measurements::default()
        };
        command(&mut node, Command::Measured(measurements));
        node
    }

    fn command(node: &mut Node, command: Command) {
        node.handle_input(Timestamp(1), Input::Command(command));
    }

    fn lend(node: &mut Node, enabled: bool) {
        let policy = LendPolicy {
            enabled,
            ..LendPolicy::default()
        };
        command(node, Command::Lend(policy));
    }

    fn answer(node: &mut Node, request: &Request) -> Response {
        while node.poll_output().is_some() {}
        let (exchange, frame) = (ExchangeId(7), encode_frame(request));
        let peer = Ed25519Signer::from_secret(&[2; 32]).id();
        node.handle_input(
            Timestamp(2),
            Input::Request {
                exchange,
                peer,
                frame,
            },
        );
        std::iter::from_fn(|| node.poll_output())
            .find_map(|output| match output {
                Output::Respond { frame, .. } => Some(decode_frame(&frame).unwrap()),
                _ => None,
            })
            .unwrap()
    }

    #[test]
    fn a_tabs_table_is_within_the_bounds_of_all_tables() {
        assert_eq!(limits().validate(), Ok(()));
    }

    #[test]
    fn a_strong_tab_that_lends_answers_discovery_and_no_other_does() {
        let mut node = node();
        let sample = Request::Sample {
            key: Hash([3; 32]),
            count: 1,
        };
        assert!(matches!(answer(&mut node, &sample), Response::Refused(_)));
        lend(&mut node, true);
        assert!(node.coordinates());
        assert!(matches!(
            answer(&mut node, &sample),
            Response::Sampled { total: 0, .. }
        ));
        let on_battery = Environment {
            charging: Some(false),
            ..Environment::default()
        };
        command(&mut node, Command::Environment(on_battery));
        assert!(!node.coordinates(), "the owner's conditions come first");
        command(&mut node, Command::Environment(Environment::default()));
        assert!(node.coordinates());
        lend(&mut node, false);
        assert!(matches!(answer(&mut node, &sample), Response::Refused(_)));
    }

    #[test]
    fn a_coordinator_stands_in_its_own_table() {
        let mut node = node();
        lend(&mut node, true);
        node.handle_timeout(Timestamp(10));
        let presence = Request::Sample {
            key: Hash(Group::open().presence_key()),
            count: 10,
        };
        let Response::Sampled { total, records } = answer(&mut node, &presence) else {
            panic!("a sample")
        };
        assert_eq!((total, records[0].owner), (1, node.id()));
    }
}
