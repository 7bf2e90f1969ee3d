//! The node: the one mutable thing of this crate, driven by its shell.

use std::collections::VecDeque;

use crate::capability::{Capability, LendPolicy};
use crate::config::{Config, ConfigError};
use crate::group::Group;
use crate::ids::{Millicredits, NodeId, Timestamp};
use crate::io::{Input, Output};
use crate::rng::Rng;
use crate::sign::Signer;
use crate::view::{Balance, GroupView, LendingView, Metric, ReputationView, Snapshot};

/// Why a node could not be made from what was stored. The stored pairs are left as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A parameter is out of bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A record cannot be read.
    #[error("a stored record cannot be read: {what}")]
    Corrupt {
        /// Which.
        what: String,
    },
    /// The stored ledger is another key's.
    #[error("the stored ledger belongs to another identity")]
    OtherIdentity,
    /// Written by a newer version of this software.
    #[error("the stored ledger is of format {0}, which is not known here")]
    UnknownVersion(u32),
}

/// A node of the network, without its body.
pub struct Node {
    config: Config,
    signer: Box<dyn Signer>,
    group: Group,
    rng: Rng,
    now: Timestamp,
    outputs: VecDeque<Output>,
}

impl Node {
    /// A node that continues from what its [`Write`](crate::Write)s stored, in any order; from nothing, a new one.
    pub fn new(
        config: Config,
        signer: Box<dyn Signer>,
        group: Group,
        seed: u64,
        now: Timestamp,
        stored: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, RestoreError> {
        config.validate()?;
        let rng = Rng::new(seed, &signer.id());
        let _ = stored.into_iter().count();
        Ok(Self {
            config,
            signer,
            group,
            rng,
            now,
            outputs: VecDeque::new(),
        })
    }

    /// This node's name.
    pub fn id(&self) -> NodeId {
        self.signer.id()
    }

    /// Takes one input. `now` never runs backwards; an earlier one counts as the latest seen.
    pub fn handle_input(&mut self, now: Timestamp, _input: Input) {
        self.now = self.now.max(now);
    }

    /// The next thing to do; `None` until the next input or timeout.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// What this node knows of a peer's conduct.
    pub fn reputation(&self, _peer: &NodeId) -> ReputationView {
        let metric = Metric {
            mean: 0.5,
            lower: 0.05,
            upper: 0.95,
            observations: 0.0,
        };
        ReputationView {
            reliability: metric,
            availability: metric,
            response_time: metric,
            quality: metric,
            score: 0.5,
            lower: 0.25,
            upper: 0.75,
            receipts: 0,
        }
    }

    /// The state, whole.
    pub fn snapshot(&self, _now: Timestamp) -> Snapshot {
        Snapshot {
            me: self.id(),
            group: GroupView {
                id: self.group.id(),
                open: self.group.is_open(),
            },
            tier: None,
            capability: Capability::default(),
            lending: LendingView {
                policy: LendPolicy::default(),
                paused: None,
                offering: false,
                running: 0,
                served: 0,
                earned: Millicredits::ZERO,
                busy_ms: 0,
            },
            balance: Balance {
                settled: Millicredits::ZERO,
                pending: Millicredits::ZERO,
                newcomer_allowance: self.config.newcomer_allowance,
                unlimited_in_group: !self.group.is_open() && self.config.group_line.is_none(),
            },
            peers: Vec::new(),
            offers: Vec::new(),
            receipts: Vec::new(),
            discovery_points: 0,
            members_seen: None,
        }
    }
}
