//! Passing on what shows fraud: payments to a few, proofs to everyone.
//!
//! ```text
//! a payment comes in ─▶ witness ─▶ rumour ─every gossip_ms, gossip_rounds times─▶ one connected seller
//! two blocks disagree, or a proof comes in ─▶ see `convict` ─▶ all connected members, at once, once
//! a member connects ─▶ it gets the proofs that are held, and now and then the newest blocks
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
//! What one peer can make this node do is bounded: each rumour counts one, each proof two (its signatures), and what turns
//! out to be forged [`FORGED`] more, for whoever told of it. A peer may have `gossip_burst` counted at once and one in
//! `gossip_check_ms`; what it tells beyond that is not looked at. An honest one passes on [`RUMOURS_MAX`] in `gossip_ms` at
//! most. Coming back does not fill the budget, and rumours of others push out no payment of this node's own.
//!
//! Receipts between strangers are passed on, receipts of a private group whose line is unlimited never are: nothing is at
//! stake there and they are nobody else's business.

use std::collections::{BTreeSet, VecDeque};

use litemap::LiteMap;

use crate::config::Config;
use crate::ids::{Millicredits, NodeId, Timestamp};
use crate::io::Path;
use crate::ledger::{Block, Claim, FraudProof, Shown, Source, head_of};
use crate::node::Node;
use crate::node::network::Purpose;
use crate::service::Failure;
use crate::wire::{
    Demand, FetchBlocks, Gossip as Message, PROOFS_MAX, RUMOURS_MAX, Request, Response, Rumour, Signed,
};

/// Payments to this node that wait to be passed on, and as many rumours of others; the oldest go first.
const WAITING_MAX: usize = 128;
/// Proofs that newcomers are told of; the oldest go first.
const PROOFS_KEPT_MAX: usize = 64;
/// Blocks that a member is shown when it connects.
const GREETING_MAX: usize = 16;
/// Of payments that others report one in so many is checked, and counted as often, so that the sum is right on average and
/// a signature is not checked for each (the estimator of D. Horvitz, D. Thompson, JASA 47(260), 1952).
const WEIGHED_ONE_IN: u32 = 8;
/// What a proof counts, and a contradiction: two signatures.
const PROOF: u32 = 2;
/// What a forgery counts. It is little, since whoever passes a rumour on has not checked it either.
const FORGED: u32 = 8;

/// What waits to be passed on.
#[derive(Default)]
pub(super) struct Gossip {
    /// Payments to this node.
    own: VecDeque<Rumour>,
    /// What others told of.
    heard: VecDeque<Rumour>,
    /// Those behind convictions, the newest last.
    proofs: VecDeque<FraudProof>,
    /// Those the connected members have not been told of.
    fresh: Vec<FraudProof>,
    /// Members that were told what is held when they connected.
    greeted: BTreeSet<NodeId>,
    /// When each teller's budget is whole again, where it is not (the generic cell rate algorithm of ITU-T I.371: a token
    /// bucket that needs one number).
    tellers: LiteMap<NodeId, Timestamp>,
    /// The same for proofs against those without a standing.
    strangers: Timestamp,
    /// The same for showing the newest blocks to members that connect.
    greetings: Timestamp,
    next_at: Timestamp,
}

/// Whether a budget that is whole at a time may be used for `cost_ms` now; `None` when it is used up.
fn spend(whole_at: Timestamp, now: Timestamp, cost_ms: u64, burst_ms: u64) -> Option<Timestamp> {
    let after = whole_at.max(now).plus_ms(cost_ms);
    (after.ms_since(now) <= burst_ms).then_some(after)
}

impl Gossip {
    pub(super) fn timeout(&self) -> Option<Timestamp> {
        let waits = !(self.own.is_empty() && self.heard.is_empty());
        waits.then_some(self.next_at)
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

    /// Tells everyone of a proof.
    pub(super) fn tell(&mut self, proof: FraudProof) {
        self.fresh.push(proof);
    }

    /// Newcomers are not told of this author any more.
    pub(super) fn forget(&mut self, author: &NodeId) {
        self.proofs.retain(|proof| proof.author != *author);
    }

    /// Whether a proof against somebody without a standing may be passed on now.
    pub(super) fn may_tell_of_stranger(&self, config: &Config, now: Timestamp) -> bool {
        self.after_stranger(config, now).is_some()
    }

    /// Tells everyone of a proof against somebody without a standing, if it may.
    pub(super) fn tell_of_stranger(&mut self, config: &Config, now: Timestamp, proof: FraudProof) {
        if let Some(after) = self.after_stranger(config, now) {
            self.strangers = after;
            self.fresh.push(proof);
        }
    }

    fn after_stranger(&self, config: &Config, now: Timestamp) -> Option<Timestamp> {
        let cost_ms = u64::from(config.strange_proof_ms);
        spend(
            self.strangers,
            now,
            cost_ms,
            cost_ms * u64::from(config.strange_proofs_burst),
        )
    }

    /// Whether the newest blocks may be shown to one more member now.
    fn may_greet(&mut self, config: &Config, now: Timestamp) -> bool {
        let cost_ms = u64::from(config.greeting_ms);
        let burst_ms = cost_ms * u64::from(config.greetings_burst);
        let after = spend(self.greetings, now, cost_ms, burst_ms);
        self.greetings = after.unwrap_or(self.greetings);
        after.is_some()
    }

    /// Counts what a teller makes this node do; `false` when it may not now.
    fn spend(&mut self, config: &Config, now: Timestamp, teller: &NodeId, count: u32) -> bool {
        if self.tellers.len() >= config.peers_max && !self.tellers.contains_key(teller) {
            self.tellers.retain(|_, whole_at| *whole_at > now);
            if self.tellers.len() >= config.peers_max {
                return false;
            }
        }
        let check_ms = u64::from(config.gossip_check_ms);
        let whole_at = self.tellers.get(teller).copied().unwrap_or(now);
        let after = spend(
            whole_at,
            now,
            check_ms * u64::from(count),
            check_ms * u64::from(config.gossip_burst),
        );
        if let Some(after) = after {
            self.tellers.insert(*teller, after);
        }
        after.is_some()
    }

    /// The same of what has been done already. Nobody owes more than a whole budget.
    fn charge(&mut self, config: &Config, now: Timestamp, teller: &NodeId, count: u32) {
        let check_ms = u64::from(config.gossip_check_ms);
        let most = now.plus_ms(2 * check_ms * u64::from(config.gossip_burst));
        if let Some(whole_at) = self.tellers.get_mut(teller) {
            *whole_at = (*whole_at)
                .max(now)
                .plus_ms(check_ms * u64::from(count))
                .min(most);
        }
    }

    #[cfg(test)]
    pub(super) fn debt_ms(&self, teller: &NodeId, now: Timestamp) -> u64 {
        self.tellers
            .get(teller)
            .map_or(0, |whole_at| whole_at.ms_since(now))
    }

    fn whisper(&mut self, rumour: Rumour, is_own: bool) {
        let waiting = if is_own { &mut self.own } else { &mut self.heard };
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(rumour);
    }

    /// What is told in this round; what has rounds left after it stays.
    fn round(&mut self) -> Vec<Rumour> {
        let mut told = Vec::new();
        for waiting in [&mut self.own, &mut self.heard] {
            waiting
                .iter_mut()
                .for_each(|rumour| rumour.hops = rumour.hops.saturating_sub(1));
            told.extend(waiting.iter().cloned());
            waiting.retain(|rumour| rumour.hops > 0);
        }
        told
    }
}

impl Node {
    /// A half for an own receipt, or a block asked for in doubt, was received and checked.
    pub(super) fn witnessed(&mut self, half: &Signed, source: Source) {
        if let Shown::Fraud(proof) = self.witness.show(half, source) {
            self.convict(&proof);
        }
    }

    /// A payment to this node, which others are to know of.
    pub(super) fn witnessed_payment(&mut self, half: &Signed) {
        let hops = self.config.gossip_rounds;
        if hops > 0 && self.gossips() {
            let block = half.clone();
            self.gossip.whisper(Rumour { block, hops }, true);
        }
        self.witnessed(half, Source::Own);
    }

    /// Somebody passed something on.
    pub(super) fn hear(&mut self, teller: &NodeId, gossip: Message) -> Response {
        // While nothing can be stored nobody can be convicted, and nothing is traded.
        if self.journal.is_failing() {
            return Response::Noted;
        }
        for proof in gossip.proofs {
            if !self.wants_proof(&proof.author) {
                continue;
            }
            if !self.gossip.spend(&self.config, self.now, teller, PROOF) {
                break;
            }
            match proof.verify() {
                Ok(()) => self.proved(&proof),
                Err(_) => self.gossip.charge(&self.config, self.now, teller, FORGED),
            }
        }
        for rumour in gossip.rumours {
            if !self.gossip.spend(&self.config, self.now, teller, 1) {
                break;
            }
            self.hear_rumour(teller, rumour);
        }
        Response::Noted
    }

    fn hear_rumour(&mut self, teller: &NodeId, rumour: Rumour) {
        let Some((author, _)) = head_of(&rumour.block.body) else {
            return;
        };
        // Another device of the same person may have a chain of its own; it is not for this node to judge.
        if author == self.me || self.reputation.is_fraud(&author) {
            return;
        }
        let shown = self.witness.show(&rumour.block, Source::Told(*teller));
        match &shown {
            Shown::Replaced(forger) => self.gossip.charge(&self.config, self.now, forger, FORGED),
            Shown::Forged => self.gossip.charge(&self.config, self.now, teller, FORGED),
            Shown::Fraud(proof) => {
                self.gossip.charge(&self.config, self.now, teller, PROOF);
                self.proved(proof);
            }
            Shown::New | Shown::Known | Shown::Worthless => {}
        }
        if matches!(shown, Shown::New | Shown::Replaced(_)) {
            self.weigh(&author, &rumour.block);
            let hops = rumour.hops.min(self.config.gossip_rounds);
            if hops > 0 && self.gossips() {
                self.gossip.whisper(Rumour { hops, ..rumour }, false);
            }
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
        if !rumours.is_empty() && !self.gossip.may_greet(&self.config, self.now) {
            rumours.clear();
        }
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
        let fresh = std::mem::take(&mut self.gossip.fresh);
        if fresh.is_empty() {
            return;
        }
        for peer in self.connected_members() {
            for proofs in fresh.chunks(PROOFS_MAX) {
                self.pass_on(peer, proofs.to_vec(), Vec::new());
            }
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
        match self.witness.contradicts(peer, place, &head.hash) {
            Claim::Stands => return false,
            Claim::Slandered(forger) => {
                self.gossip.charge(&self.config, self.now, &forger, FORGED);
                return false;
            }
            Claim::Contradicted => {}
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

    /// The block that a doubtful head names, or another answer. One was asked for, so one is looked at.
    pub(super) fn shown_evidence(&mut self, peer: &NodeId, result: Result<Response, Failure>) {
        if let Ok(Response::Blocks(part)) = result
            && let Some(block) = part.blocks.first()
            && block.open::<Block>(peer).is_ok()
        {
            self.witnessed(block, Source::Checked);
        }
    }

    /// Whether receipts of this group concern others.
    fn gossips(&self) -> bool {
        self.group.is_open() || self.config.group_line.is_some()
    }
}
