//! Passing on what shows fraud: payments to a few, proofs to everyone.
//!
//! ```text
//! a payment comes in ─▶ witness ─▶ rumour ─every gossip_ms, gossip_rounds times─▶ one connected seller
//! two blocks disagree, or a proof comes in ─▶ conviction ─▶ all connected members, at once, once
//! a member connects ─▶ it gets the proofs and the newest blocks that are held
//! ```
//!
//! Rumours spread by rumour mongering with a counter (A. Demers et al., *Epidemic Algorithms for Replicated Database
//! Maintenance*, PODC 1987). Whoever holds one passes it on once a round, and both go on with one round less, so after r
//! rounds there are `2^r` witnesses however large the network is, at the price of `2^r − 1` copies, many of them in one
//! message. Messages per trade therefore do not grow with the number of nodes.
//!
//! Only payments are passed on, since only what is spent can be spent twice, and to sellers first, since only they can be
//! cheated with it. Two contradicting blocks meet when their witnesses overlap; with w of n sellers told of each, they do so
//! with probability 1 − exp(−w²/n) (the birthday bound), and every further victim adds a chance. Proofs are rare and flood:
//! each node passes one on once.
//!
//! Receipts between strangers are passed on, receipts of a private group whose line is unlimited never are: nothing is at
//! stake there and they are nobody else's business.

use std::collections::{BTreeSet, VecDeque};

use crate::ids::{Millicredits, NodeId, Timestamp};
use crate::io::Path;
use crate::ledger::{Block, FraudProof, Shown, head_of};
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
/// Blocks that a member is shown when it connects.
const GREETING_MAX: usize = 16;
/// Of payments that others report one in so many is checked, and counted as often, so that the sum is right on average and
/// a signature is not checked for each (the estimator of D. Horvitz, D. Thompson, JASA 47(260), 1952).
const WEIGHED_ONE_IN: u32 = 8;

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
        (!self.rumours.is_empty()).then_some(self.next_at)
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

    /// What is told in this round; what has rounds left after it stays.
    fn round(&mut self) -> Vec<Rumour> {
        let told = std::mem::take(&mut self.rumours).into_iter();
        let told: Vec<Rumour> = told
            .map(|rumour| Rumour {
                hops: rumour.hops.saturating_sub(1),
                ..rumour
            })
            .collect();
        self.rumours = told.iter().filter(|rumour| rumour.hops > 0).cloned().collect();
        told
    }
}

impl Node {
    /// A half of somebody else was received and checked.
    pub(super) fn witnessed(&mut self, half: &Signed) {
        match self.witness.show(half, true) {
            Shown::Fraud(proof) => self.convict(&proof),
            Shown::New | Shown::Known | Shown::Worthless => {}
        }
    }

    /// The same of a payment to this node, which others are to know of.
    pub(super) fn witnessed_payment(&mut self, half: &Signed) {
        let hops = self.config.gossip_rounds;
        if hops > 0 && self.gossips() {
            self.gossip.whisper(Rumour {
                block: half.clone(),
                hops,
            });
        }
        self.witnessed(half);
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
        let Some((author, _)) = head_of(&rumour.block.body) else {
            return;
        };
        // Another device of the same person may have a chain of its own; it is not for this node to judge.
        if author == self.me || self.reputation.is_fraud(&author) {
            return;
        }
        match self.witness.show(&rumour.block, false) {
            Shown::New => {
                self.weigh(&author, &rumour.block);
                let hops = rumour.hops.min(self.config.gossip_rounds);
                if hops > 0 && self.gossips() {
                    self.gossip.whisper(Rumour { hops, ..rumour });
                }
            }
            Shown::Fraud(proof) => self.convict(&proof),
            Shown::Known | Shown::Worthless => {}
        }
    }

    /// A payment that counts for its receiver's merit, when the payer's word counts here and the signature is its own.
    fn weigh(&mut self, author: &NodeId, signed: &Signed) {
        let counts = self.reputation.counts_payments_of(author);
        if !counts || self.rng.below(WEIGHED_ONE_IN as usize) > 0 {
            return;
        }
        let Ok(block) = signed.open::<Block>(author) else {
            return;
        };
        let paid = block
            .delta
            .0
            .saturating_neg()
            .saturating_mul(WEIGHED_ONE_IN.into());
        if paid > 0 {
            self.reputation
                .paid(author, &block.counterparty, Millicredits(paid));
        }
    }

    /// Tells a member that connected what is held.
    pub(super) fn greet(&mut self, peer: &NodeId) {
        // Asked with nearly every message, and nearly always the answer.
        if self.gossip.greeted.contains(peer) {
            return;
        }
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
        let newest = self.witness.newest(GREETING_MAX);
        let mut rumours: Vec<Rumour> = newest
            .map(|block| Rumour {
                block: block.clone(),
                hops: 0,
            })
            .collect();
        rumours.reverse();
        if !(proofs.is_empty() && rumours.is_empty()) {
            self.pass_on(*peer, proofs, rumours);
        }
    }

    pub(super) fn gossip_due(&mut self) {
        self.tell_proofs();
        if self.gossip.timeout().is_none_or(|due| self.now < due) {
            return;
        }
        self.gossip.next_at = self.now.plus_ms(self.config.gossip_ms.into());
        let mut peers = self.connected_members();
        if peers.is_empty() {
            return;
        }
        let offers = &self.network.offers;
        if peers.iter().any(|peer| offers.sells(peer)) {
            peers.retain(|peer| offers.sells(peer));
        }
        let rumours = self.gossip.round();
        let parts: Vec<&[Rumour]> = rumours.chunks(RUMOURS_MAX).collect();
        let chosen = self.rng.sample(peers, parts.len());
        for (peer, part) in chosen.into_iter().zip(parts) {
            self.pass_on(peer, Vec::new(), part.to_vec());
        }
    }

    /// Passes on to everyone what they have not been told of.
    fn tell_proofs(&mut self) {
        let fresh = std::mem::take(&mut self.gossip.fresh_proofs);
        if fresh == 0 {
            return;
        }
        let proofs: Vec<FraudProof> = self.gossip.proofs.iter().rev().take(fresh).cloned().collect();
        for peer in self.connected_members() {
            self.pass_on(peer, proofs.clone(), Vec::new());
        }
    }

    fn connected_members(&self) -> Vec<NodeId> {
        let connections = self.network.connections.iter();
        let members = connections.filter(|(peer, connection)| {
            connection.path != Path::Server
                && (self.network.members.contains_key(*peer) || self.network.proven.contains(*peer))
        });
        members.map(|(peer, _)| *peer).collect()
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
