//! What the chain adds up to: over everything, within the present group, and with each counterparty there.

use litemap::LiteMap;

use crate::ids::NodeId;
use crate::ledger::credit::Exposure;

/// Complete receipts and halves that wait for an answer, kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) settled: i64,
    pub(super) pending: i64,
}

impl Sums {
    pub(super) fn total(self) -> i64 {
        self.settled.saturating_add(self.pending)
    }

    fn add(&mut self, entry: Entry) {
        let sum = if entry.complete {
            &mut self.settled
        } else {
            &mut self.pending
        };
        *sum = sum.saturating_add(entry.delta);
    }
}

/// What one half-block, or many folded ones, add.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) counterparty: NodeId,
    /// Of the own balance.
    pub(super) delta: i64,
    /// The part of it that paid the counterparty for its work: zero or negative.
    pub(super) paid: i64,
    /// Both halves are there.
    pub(super) complete: bool,
    /// Of the present group.
    pub(super) in_group: bool,
}

impl Entry {
    /// The entry that takes this one out again.
    pub(super) fn undone(self) -> Self {
        Self {
            delta: self.delta.saturating_neg(),
            paid: self.paid.saturating_neg(),
            ..self
        }
    }
}

/// Every sum that decisions are made with.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) all: Sums,
    pub(super) in_group: Sums,
    pub(super) pairs: LiteMap<NodeId, Exposure>,
}

impl Totals {
    pub(super) fn add(&mut self, entry: Entry) {
        self.all.add(entry);
        if !entry.in_group {
            return;
        }
        self.in_group.add(entry);
        let pair = self.pairs.entry(entry.counterparty).or_default();
        pair.owed = pair.owed.saturating_add(entry.delta);
        if entry.complete {
            pair.given = pair.given.saturating_sub(entry.paid);
        }
    }
}
