//! After an old backup: what counterparties still hold is fetched before anything is signed.
//!
//! ```text
//! start from a backup ─▶ closed: no agreement is signed, no payment made or taken
//!      first member connects ─▶ each is asked for receipts with this node that are not here
//!      all that were asked have answered, or recover_ms have passed ─▶ a new epoch above all that was found ─▶ open
//! start from what was there ─▶ open; counterparties are asked all the same, once in each run
//! ```
//!
//! Until the first member connects nothing ends the wait, and nothing needs to: without a member there is nobody to sign for,
//! and a time that passes alone tells nothing about what was lost. Whoever could trade proves membership first, which is
//! when it is asked; from then on `recover_ms` bounds the wait.
//!
//! The second line is for a copy that nobody declared (a profile that a device's own backup brought back): its run signs
//! in an epoch of its own from the start, and finds what it lost on the way.
//!
//! Whoever does not answer is asked again a while later when it is met again, from the same place on, whatever was traded
//! with it meanwhile.

use std::collections::BTreeSet;

use litemap::LiteMap;

use crate::ids::{NodeId, Timestamp};
use crate::io::Path;
use crate::ledger::Place;
use crate::node::Node;
use crate::node::network::Purpose;
use crate::service::Failure;
use crate::wire::{FetchBlocks, RECEIPTS_MAX, Request, Response};

/// Pages that one counterparty is asked for in one run: a year's receipts, and a bound on what a liar can cost.
const PAGES_MAX: u32 = 4_096;

/// Whoever did not answer is asked again after this long, milliseconds.
const ASK_AGAIN_MS: u64 = 30_000;

/// Who was asked for lost receipts.
#[derive(Default)]
pub(super) struct Recovery {
    /// Counterparties of former runs, as far as this node remembers.
    traded_before: BTreeSet<NodeId>,
    asked: BTreeSet<NodeId>,
    /// Whose answer is waited for.
    waiting: LiteMap<NodeId, Question>,
    /// Who did not answer, and when it may be asked again.
    silent: LiteMap<NodeId, (Question, Timestamp)>,
    /// While the ledger is closed: when it opens at the latest. Set by the first connection.
    opens_at: Option<Timestamp>,
}

/// What a counterparty is asked for.
#[derive(Clone, Copy)]
struct Question {
    from: Place,
    /// How many pages came.
    pages: u32,
}

impl Recovery {
    pub(super) fn new(traded_before: impl Iterator<Item = NodeId>) -> Self {
        Self {
            traded_before: traded_before.collect(),
            ..Self::default()
        }
    }
}

impl Node {
    pub(super) fn recovery_timeout(&self) -> Option<Timestamp> {
        self.recovery.opens_at
    }

    pub(super) fn recovery_due(&mut self) {
        let over = self.recovery.opens_at.is_some_and(|at| at <= self.now);
        if over {
            self.open_ledger();
        }
    }

    /// A member is there: ask it for what it holds of this node's, once.
    pub(super) fn ask_back(&mut self, peer: &NodeId) {
        // Asked with nearly every message, and seldom the case.
        let silent = self.recovery.silent.get(peer).copied();
        let concerns = self.ledger.is_closed() || self.recovery.traded_before.contains(peer);
        if !(concerns || silent.is_some()) || silent.is_some_and(|(_, again_at)| self.now < again_at) {
            return;
        }
        let member = self.network.members.contains_key(peer) || self.network.proven.contains(peer);
        let connected = matches!(self.network.path(peer), Some(Path::Direct | Path::Relayed));
        if !(member && connected && self.recovery.asked.insert(*peer)) {
            return;
        }
        if self.ledger.is_closed() && self.recovery.opens_at.is_none() {
            self.recovery.opens_at = Some(self.now.plus_ms(self.config.recover_ms.into()));
        }
        let question = silent.map(|(question, _)| question).unwrap_or(Question {
            from: self.ledger.newest_with(peer),
            pages: 0,
        });
        self.fetch_own(*peer, question);
    }

    fn fetch_own(&mut self, peer: NodeId, question: Question) {
        self.recovery.waiting.insert(peer, question);
        let (epoch, from) = question.from;
        let fetch = FetchBlocks {
            tag: self.tag(&peer),
            epoch,
            from,
            count: RECEIPTS_MAX as u32,
            of: Some(self.me),
        };
        self.request(
            peer,
            &Request::FetchBlocks(fetch),
            Purpose::Recover,
            self.config.exchange_timeout_ms,
        );
    }

    /// A counterparty showed what it holds, or did not.
    pub(super) fn recovered(&mut self, peer: &NodeId, result: Result<Response, Failure>) {
        let question = self.recovery.waiting.remove(peer);
        let receipts = match result {
            Ok(Response::Blocks(part)) => {
                self.recovery.silent.remove(peer);
                part.receipts.unwrap_or_default()
            }
            _ => {
                self.ask_later(peer, question);
                Vec::new()
            }
        };
        let mut newest = None;
        for receipt in &receipts {
            if let Some(place) = self.ledger.pending_half(&receipt.own) {
                self.settled(place, Ok(Response::Settled(receipt.other.clone())));
                newest = newest.max(Some(place));
                continue;
            }
            let Ok((place, writes)) = self.ledger.take_back(receipt) else {
                // It shows what is not this node's: no more of it.
                newest = None;
                break;
            };
            newest = newest.max(Some(place));
            self.journal.commit(writes, []);
            self.changed = true;
        }
        let pages = question.map_or(PAGES_MAX, |question| question.pages);
        let next = newest.filter(|_| receipts.len() >= RECEIPTS_MAX && pages < PAGES_MAX);
        if let Some((epoch, sequence)) = next {
            let question = Question {
                from: (epoch, sequence.saturating_add(1)),
                pages: pages + 1,
            };
            return self.fetch_own(*peer, question);
        }
        if self.ledger.is_closed() && self.recovery.waiting.is_empty() {
            self.open_ledger();
        } else if self.ledger.is_overtaken() {
            // Another run of this key signed beyond this one's epoch; no later number may be used twice.
            let jump = u16::from_le_bytes(self.rng.bytes());
            self.ledger.begin_epoch(jump);
        }
    }

    /// What was traded with it meanwhile would hide what is missing, so the question stays what it was.
    fn ask_later(&mut self, peer: &NodeId, question: Option<Question>) {
        self.recovery.asked.remove(peer);
        let again_at = self.now.plus_ms(ASK_AGAIN_MS);
        let known = self.recovery.silent.contains_key(peer);
        if let Some(question) = question
            && (known || self.recovery.silent.len() < self.config.peers_max)
        {
            self.recovery.silent.insert(*peer, (question, again_at));
        }
    }

    fn open_ledger(&mut self) {
        self.recovery.opens_at = None;
        let jump = u16::from_le_bytes(self.rng.bytes());
        self.ledger.begin_epoch(jump);
        self.ledger.open();
        self.changed = true;
    }
}
