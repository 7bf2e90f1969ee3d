//! Passing on what shows fraud: blocks to a few, proofs to everyone.
//!
//! ```text
//! a half comes in ─▶ witness ─▶ rumour, `gossip_hops` hops ─every gossip_ms─▶ `gossip_fanout` connected members
//! two halves disagree, or a proof comes in ─▶ conviction ─▶ all connected members, once
//! a member connects ─▶ it gets the proofs and the newest blocks that are held
//! ```
//!
//! A rumour reaches at most `fanout + fanout² + … + fanout^hops` witnesses however large the network is, many of them in
//! one message, so messages per trade do not grow with the number of nodes. Two contradicting blocks meet when their
//! witnesses overlap; with w of n nodes told of each, they do so with probability 1 − exp(−w²/n) (the birthday bound), and
//! every further victim adds a chance. Proofs are rare and flood: each node passes one on once.
//!
//! Receipts between strangers are passed on, receipts of a private group whose line is unlimited never are: nothing is at
//! stake there and they are nobody else's business.

use std::collections::{BTreeSet, VecDeque};

use crate::ids::{Millicredits, NodeId, Timestamp};
use crate::io::Path;
use crate::ledger::{Block, FraudProof, Shown};
use crate::node::Node;
use crate::node::network::Purpose;
use crate::service::Failure;
use crate::wire::{
    Demand, FetchBlocks, Gossip as Message, PROOFS_MAX, RUMOURS_MAX, Request, Response, Rumour, Signed,
};

/// Rumours that wait to be passed on; the oldest go first.
const WAITING_MAX: usize = 256;
/// Proofs that newcomers are told of; the oldest go first.
const PROOFS_KEPT_MAX: usize = 64;

/// What waits to be passed on.
#[derive(Default)]
pub(super) struct Gossip {
    rumours: VecDeque<Rumour>,
    /// All that are kept, the newest last.
    proofs: VecDeque<FraudProof>,
    /// How many of them, from the end, the connected members have not been told of.
    fresh_proofs: usize,
    /// Members that were told what is held when they connected.
    greeted: BTreeSet<NodeId>,
    next_at: Timestamp,
}

impl Gossip {
    pub(super) fn timeout(&self) -> Option<Timestamp> {
        (!self.rumours.is_empty() || self.fresh_proofs > 0).then_some(self.next_at)
    }

    pub(super) fn disconnected(&mut self, peer: &NodeId) {
        self.greeted.remove(peer);
    }

    /// Keeps a proof for newcomers.
    pub(super) fn keep(&mut self, proof: FraudProof) {
        if self.proofs.len() >= PROOFS_KEPT_MAX {
            self.proofs.pop_front();
        }
        self.proofs.push_back(proof);
    }

    /// Keeps a proof and tells everyone of it.
    pub(super) fn spread(&mut self, proof: FraudProof) {
        self.keep(proof);
        self.fresh_proofs = (self.fresh_proofs + 1).min(PROOFS_MAX);
    }

    fn whisper(&mut self, rumour: Rumour) {
        if self.rumours.len() >= WAITING_MAX {
            self.rumours.pop_front();
        }
        self.rumours.push_back(rumour);
    }
}

impl Node {
    /// A half of somebody else was received and checked.
    pub(super) fn witnessed(&mut self, half: &Signed) {
        match self.witness.show(half, true) {
            Shown::New if self.gossips() => self.gossip.whisper(Rumour {
                block: half.clone(),
                hops: self.config.gossip_hops,
            }),
            Shown::Fraud(proof) => self.convict(&proof),
            Shown::New | Shown::Known | Shown::Worthless => {}
        }
    }

    /// Somebody passed something on.
    pub(super) fn hear(&mut self, gossip: Message) -> Response {
        for proof in gossip.proofs {
            if proof.author != self.me && !self.reputation.is_fraud(&proof.author) && proof.verify().is_ok() {
                self.convict(&proof);
            }
        }
        for rumour in gossip.rumours {
            self.hear_rumour(rumour);
        }
        Response::Noted
    }

    fn hear_rumour(&mut self, rumour: Rumour) {
        let Ok(block) = crate::wire::open_body::<Block>(&rumour.block.body) else {
            return;
        };
        // Another device of the same person may have a chain of its own; it is not for this node to judge.
        if block.author == self.me || self.reputation.is_fraud(&block.author) {
            return;
        }
        match self.witness.show(&rumour.block, false) {
            Shown::New => {
                self.weigh(&block, &rumour.block);
                let hops = rumour.hops.min(self.config.gossip_hops);
                if let Some(hops) = hops.checked_sub(1).filter(|hops| *hops > 0 && self.gossips()) {
                    self.gossip.whisper(Rumour { hops, ..rumour });
                }
            }
            Shown::Fraud(proof) => self.convict(&proof),
            Shown::Known | Shown::Worthless => {}
        }
    }

    /// A payment that counts for its receiver's merit, when the payer's word counts here and the signature is its own.
    fn weigh(&mut self, block: &Block, signed: &Signed) {
        let Some(paid) = block
            .delta
            .checked_neg()
            .filter(|paid| *paid > Millicredits::ZERO)
        else {
            return;
        };
        let counts = self.reputation.counts_payments_of(&block.author);
        if counts && signed.open::<Block>(&block.author).is_ok() {
            self.reputation.paid(&block.author, &block.counterparty, paid);
        }
    }

    /// Tells a member that connected what is held.
    pub(super) fn greet(&mut self, peer: &NodeId) {
        let member = self.network.members.contains_key(peer) || self.network.proven.contains(peer);
        let connected = matches!(self.network.path(peer), Some(Path::Direct | Path::Relayed));
        if !(self.gossips() && member && connected && self.gossip.greeted.insert(*peer)) {
            return;
        }
        let proofs: Vec<FraudProof> = self
            .gossip
            .proofs
            .iter()
            .rev()
            .take(PROOFS_MAX)
            .cloned()
            .collect();
        let newest = self.witness.newest(RUMOURS_MAX);
        let mut rumours: Vec<Rumour> = newest
            .map(|block| Rumour {
                block: block.clone(),
                hops: 1,
            })
            .collect();
        rumours.reverse();
        if !(proofs.is_empty() && rumours.is_empty()) {
            self.pass_on(*peer, proofs, rumours);
        }
    }

    pub(super) fn gossip_due(&mut self) {
        if self.gossip.timeout().is_none_or(|due| self.now < due) {
            return;
        }
        self.gossip.next_at = self.now.plus_ms(self.config.gossip_ms.into());
        let connections = self.network.connections.iter();
        let peers: Vec<NodeId> = connections
            .filter(|(peer, connection)| {
                connection.path != Path::Server
                    && (self.network.members.contains_key(*peer) || self.network.proven.contains(*peer))
            })
            .map(|(peer, _)| *peer)
            .collect();
        if peers.is_empty() {
            return;
        }
        let fresh = std::mem::take(&mut self.gossip.fresh_proofs);
        let proofs: Vec<FraudProof> = self.gossip.proofs.iter().rev().take(fresh).cloned().collect();
        let count = self.gossip.rumours.len().min(RUMOURS_MAX);
        let rumours: Vec<Rumour> = self.gossip.rumours.drain(..count).collect();
        let everyone = !proofs.is_empty();
        let fanout = if everyone {
            peers.len()
        } else {
            self.config.gossip_fanout
        };
        for peer in self.rng.sample(peers, fanout) {
            self.pass_on(peer, proofs.clone(), rumours.clone());
        }
    }

    fn pass_on(&mut self, peer: NodeId, proofs: Vec<FraudProof>, rumours: Vec<Rumour>) {
        let tag = self.tag(&peer);
        let request = Request::Gossip(Message { tag, proofs, rumours });
        self.request(peer, &request, Purpose::Gossip, self.config.exchange_timeout_ms);
    }

    /// A buyer showed a head that is not the block held for that place: it is asked for the block, and refused meanwhile.
    pub(super) fn doubts(&mut self, peer: &NodeId, demand: &Demand) -> bool {
        let Some(head) = demand.head else { return false };
        let place = (head.epoch, head.sequence);
        if self.witness.agrees(peer, place, &head.hash) != Some(false) {
            return false;
        }
        let fetch = FetchBlocks {
            tag: self.tag(peer),
            epoch: head.epoch,
            from: head.sequence,
            count: 1,
            of: None,
        };
        self.request(
            *peer,
            &Request::FetchBlocks(fetch),
            Purpose::Evidence,
            self.config.exchange_timeout_ms,
        );
        true
    }

    /// The block that a doubtful head names, or another answer.
    pub(super) fn shown_evidence(&mut self, peer: &NodeId, result: Result<Response, Failure>) {
        let Ok(Response::Blocks(part)) = result else {
            return;
        };
        for block in part
            .blocks
            .iter()
            .filter(|block| block.open::<Block>(peer).is_ok())
        {
            self.witnessed(block);
        }
    }

    /// Whether receipts of this group concern others.
    fn gossips(&self) -> bool {
        self.group.is_open() || self.config.group_line.is_some()
    }
}
