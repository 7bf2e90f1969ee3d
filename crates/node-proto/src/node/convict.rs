//! Convictions: whose proofs of fraud this node takes, how many it keeps, and what they end.
//!
//! ```text
//! a proof that holds ─▶ of somebody this node has to do with ─▶ kept, told to all connected members, trades end
//!                    ─▶ of a stranger ─▶ put aside, told as well ─the author connects─▶ kept
//! ```
//!
//! Making a key and signing two blocks with it costs nothing, so a proof is worth something only against somebody that this
//! node has to do with: it has a record of it, has traded with it, holds checked blocks of it, knows its offer or is connected
//! to it. Of these, some have a *standing*, which cost somebody credits: they traded with this node, or those that it trusts paid
//! them. Proofs against them are always passed on.
//!
//! They need not link everyone: of 10,000 nodes each knows one in twenty, and of 16 connections less than one leads on. So
//! proofs against all others are passed on, too, up to `strange_proofs_burst` at once and one in `strange_proof_ms`. While
//! nobody floods, a proof reaches everyone; while somebody does, it reaches whoever is linked to its author by those with whom
//! the author has a standing, and the flood costs each node that much and no more.
//!
//! `convictions_max` are kept, in memory and stored under `f`. Of more, those without a standing go first, then those whom
//! others paid, then those that this node traded with, and which of the first goes is drawn: keys that were made up push out
//! only each other, no faster than they may be passed on, and nobody can aim at one. A cheat without dealings that is forgotten
//! is as any new key is then.
//!
//! A conviction ends what has not begun: quotes, agreements, and what waits for the engine. What runs is finished and what was
//! delivered stays delivered, since it is owed; payments are taken as ever.

use std::collections::VecDeque;

use crate::ids::{AgreementId, NodeId};
use crate::io::Write;
use crate::ledger::{FraudProof, delete_fraud, put_fraud};
use crate::node::Node;
use crate::node::seller::State;
use crate::service::Failure;
use crate::wire::{RefusalCode, Request};

/// Proofs against strangers that are held in case one connects; the oldest go first.
const ASIDE_MAX: usize = 32;

/// Proofs against those with whom this node has nothing to do.
#[derive(Default)]
pub(super) struct Aside(VecDeque<FraudProof>);

impl Aside {
    fn holds(&self, author: &NodeId) -> bool {
        self.0.iter().any(|proof| proof.author == *author)
    }

    fn put(&mut self, proof: FraudProof) {
        if self.0.len() >= ASIDE_MAX {
            self.0.pop_front();
        }
        self.0.push_back(proof);
    }

    fn take(&mut self, author: &NodeId) -> Option<FraudProof> {
        let place = self.0.iter().position(|proof| proof.author == *author)?;
        self.0.remove(place)
    }
}

impl Node {
    /// Whether somebody's proof against `author` is worth the checking of its signatures.
    pub(super) fn wants_proof(&self, author: &NodeId) -> bool {
        *author != self.me
            && !self.reputation.is_fraud(author)
            && (self.concerns(author) || self.is_worth_passing_on(author))
    }

    /// A proof holds: its author is convicted, or the proof passed on to whom it may concern.
    pub(super) fn proved(&mut self, proof: &FraudProof) {
        if self.concerns(&proof.author) {
            self.convict(proof);
        } else {
            self.put_aside(proof);
        }
    }

    /// Keeps the proof, tells others and trades with its author no more.
    pub(super) fn convict(&mut self, proof: &FraudProof) {
        let author = proof.author;
        if self.reputation.is_fraud(&author) {
            return;
        }
        let standing = self.standing(&author);
        let mut writes = Vec::new();
        if self.reputation.convicted().len() >= self.config.convictions_max {
            let may_push_out = standing > 0 || self.gossip.may_tell_of_stranger(&self.config, self.now);
            match may_push_out.then(|| self.least_founded(standing)).flatten() {
                Some(least) => writes.push(self.forget_conviction(&least)),
                None => return self.put_aside(proof),
            }
        }
        self.reputation.convict(author);
        writes.push(put_fraud(proof));
        self.journal.commit(writes, []);
        self.gossip.keep(proof.clone());
        if standing > 0 {
            self.gossip.tell(proof.clone());
        } else {
            self.gossip
                .tell_of_stranger(&self.config, self.now, proof.clone());
        }
        self.end_trades_of(&author);
        self.changed = true;
    }

    /// Takes back what was kept before a restart, as far as there is room for it.
    pub(super) fn restore_convictions(&mut self, proofs: Vec<FraudProof>) {
        for proof in proofs {
            self.reputation.convict(proof.author);
            self.gossip.keep(proof);
        }
        let excess = self
            .reputation
            .convicted()
            .len()
            .saturating_sub(self.config.convictions_max);
        for _ in 0..excess {
            if let Some(least) = self.least_founded(u8::MAX) {
                let write = self.forget_conviction(&least);
                self.journal.commit(vec![write], []);
            }
        }
    }

    /// A peer connected of which there may be a proof.
    pub(super) fn turned_up(&mut self, peer: &NodeId) {
        if let Some(proof) = self.aside.take(peer) {
            self.convict(&proof);
        }
    }

    /// Whether nothing of this kind is taken from the peer, as it is convicted.
    pub(super) fn shuns(&self, peer: &NodeId, request: &Request) -> bool {
        self.reputation.is_fraud(peer)
            && match request {
                Request::Settle { .. } | Request::Cancel { .. } => false,
                Request::Register(_) | Request::Unregister(_) | Request::Sample { .. } => false,
                // What runs or was delivered before is owed, and still there to be paid for.
                Request::Execute { agreement, .. } => {
                    let active = self.seller.active.get(agreement);
                    active.is_none_or(|active| active.terms.requester != *peer)
                }
                _ => true,
            }
    }

    fn is_worth_passing_on(&self, author: &NodeId) -> bool {
        !self.aside.holds(author) && self.gossip.may_tell_of_stranger(&self.config, self.now)
    }

    fn put_aside(&mut self, proof: &FraudProof) {
        if self.is_worth_passing_on(&proof.author) {
            self.gossip
                .tell_of_stranger(&self.config, self.now, proof.clone());
            self.aside.put(proof.clone());
        }
    }

    /// Whether this node has anything to do with somebody.
    fn concerns(&self, author: &NodeId) -> bool {
        self.standing(author) > 0
            || self.reputation.knows(author)
            || self.witness.has_checked(author)
            || self.network.offers.sells(author)
            || self.network.connections.contains_key(author)
    }

    /// How much it cost to be known here: 2 for who traded with this node, 1 for whom those paid that it trusts, 0 for nothing.
    fn standing(&self, author: &NodeId) -> u8 {
        let traded = self.ledger.has_dealt_with(author)
            || self.reputation.receipts(author) > 0
            || self.seller.active_of(author).next().is_some();
        if traded {
            return 2;
        }
        u8::from(self.reputation.counts_payments_of(author))
    }

    /// One of the convicted of the least standing, if that is no more than `standing`.
    fn least_founded(&mut self, standing: u8) -> Option<NodeId> {
        let convicted = self.reputation.convicted().iter();
        let standings: Vec<(u8, NodeId)> = convicted.map(|peer| (self.standing(peer), *peer)).collect();
        let least = standings.iter().map(|(standing, _)| *standing).min()?;
        if least > standing {
            return None;
        }
        let equal = standings.into_iter().filter(|(standing, _)| *standing == least);
        let equal: Vec<NodeId> = equal.map(|(_, peer)| peer).collect();
        let drawn = self.rng.below(equal.len());
        equal.get(drawn).copied()
    }

    fn forget_conviction(&mut self, author: &NodeId) -> Write {
        self.reputation.forget_conviction(author);
        self.gossip.forget(author);
        delete_fraud(author)
    }

    /// Nothing more is agreed with or computed for a buyer: what has not begun is given back.
    fn end_trades_of(&mut self, buyer: &NodeId) {
        self.seller.quotes.retain(|_, quoted| quoted.requester != *buyer);
        let theirs = self.seller.active.iter().filter(|(_, active)| {
            active.terms.requester == *buyer && matches!(active.state, State::Agreed | State::Queued { .. })
        });
        let theirs: Vec<AgreementId> = theirs.map(|(id, _)| *id).collect();
        for id in theirs {
            self.monitor.queue.remove(buyer, &id);
            let reason = Failure::Protocol {
                what: "the buyer signed two blocks for one place".to_owned(),
            };
            self.shed(&id, RefusalCode::Fraud, reason);
        }
    }
}
