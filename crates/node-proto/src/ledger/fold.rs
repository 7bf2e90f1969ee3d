//! Compaction: old receipts become sums, so that years of use fit a small device.
//!
//! ```text
//! newest `whole_max` complete receipts        whole: both halves, agreement, signatures     ≈ 1.3 KB each
//! older ones of the present group             folded: one sum per group and counterparty    ≈ 0.1 KB per counterparty
//!                                             and eight bytes of each agreement's id        ≈ 0.01 KB per receipt
//! pending ones, and those of another group    whole, however old
//! ```
//!
//! The eight bytes keep a receipt that was folded from being counted again: a payment for an agreement whose print is
//! held is refused. A chance collision refuses an honest payment once in 2^64 / receipts; making one on purpose costs 2^64
//! hashes and gains the maker a refusal of its own payment.
//!
//! **Arithmetic** for a year of a hundred receipts a day with a thousand counterparties, as the tests measure it:
//! 4,096 × 1.4 KB + 32,404 × 10 B + 1,000 × 120 B ≈ 6.2 MB of the 50 MB that a Basic node may use.
//!
//! What is given up: a receipt that was folded cannot be shown whole any more, and a payer that never got its answer and
//! comes back after this node's next `whole_max` receipts is refused.
//!
//! Folding a batch is one atomic write: sums, prints and the place up to which the chain was folded go in, the whole
//! records go out.

use std::collections::BTreeSet;

use litemap::LiteMap;

use minicbor::{Decode, Encode};

use crate::ids::{AgreementId, GroupId, Hash, NodeId};
use crate::io::Write;
use crate::ledger::totals::Entry;
use crate::ledger::{Ledger, LedgerError, Place, store};
use crate::wire::{Head, WireError, from_cbor, to_cbor};

/// First byte of the key of a [`Fold`]; group and counterparty follow.
pub(super) const FOLD_PREFIX: u8 = b't';
/// First byte of the key of a page of prints; its number follows.
pub(super) const PRINTS_PREFIX: u8 = b'x';
/// Receipts that are folded at once, and the prints of one page.
const BATCH: usize = 256;
const PRINT_BYTES: usize = 8;

/// Eight bytes of an agreement's id.
type Print = [u8; PRINT_BYTES];

/// What many receipts with one counterparty add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Fold {
    /// Change of the own balance.
    #[n(0)]
    delta: i64,
    /// The part of it that paid the counterparty: zero or negative.
    #[n(1)]
    paid: i64,
    /// How many receipts.
    #[n(2)]
    receipts: u64,
}

/// Everything that was folded.
#[derive(Default)]
pub(super) struct Folded {
    sums: LiteMap<(GroupId, NodeId), Fold>,
    prints: BTreeSet<Print>,
    pages: u32,
    /// The newest block that was folded.
    pub(super) cut: Option<Head>,
}

impl Folded {
    /// Whether this agreement's receipt was folded.
    pub(super) fn contains(&self, agreement: &AgreementId) -> bool {
        self.prints.contains(&print(agreement))
    }

    /// Takes one stored pair back.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), LedgerError> {
        let malformed = || LedgerError::from(WireError::Malformed("a folded record".to_owned()));
        let (prefix, rest) = key.split_first().ok_or_else(malformed)?;
        if *prefix == FOLD_PREFIX {
            let (group, peer) = rest.split_at_checked(32).ok_or_else(malformed)?;
            let group = GroupId(group.try_into().map_err(|_| malformed())?);
            let peer = NodeId(peer.try_into().map_err(|_| malformed())?);
            self.sums.insert((group, peer), from_cbor(value)?);
            return Ok(());
        }
        let number = u32::from_be_bytes(rest.try_into().map_err(|_| malformed())?);
        let (prints, rest) = value.as_chunks::<PRINT_BYTES>();
        if !rest.is_empty() {
            return Err(malformed());
        }
        self.prints.extend(prints);
        self.pages = self.pages.max(number.saturating_add(1));
        Ok(())
    }

    /// What the sums add, seen from a group.
    pub(super) fn entries(&self, present: GroupId) -> impl Iterator<Item = Entry> {
        self.sums.iter().map(move |((group, counterparty), fold)| Entry {
            counterparty: *counterparty,
            delta: fold.delta,
            paid: fold.paid,
            complete: true,
            in_group: *group == present,
        })
    }
}

/// Whether `one`, stored under `key`, is a sum over more receipts than `other`.
pub(crate) fn folds_more(key: &[u8], one: &[u8], other: &[u8]) -> bool {
    let receipts = |value: &[u8]| from_cbor::<Fold>(value).map_or(0, |fold| fold.receipts);
    key.first() == Some(&FOLD_PREFIX) && receipts(one) > receipts(other)
}

impl Ledger {
    /// Folds the oldest receipts when more than `whole_max` and a batch are whole.
    pub(crate) fn fold(&mut self, whole_max: usize) -> Vec<Write> {
        if self.records.len() < whole_max.saturating_add(BATCH) {
            return Vec::new();
        }
        let ripe = self.records.iter().take(self.records.len() - whole_max);
        let ripe: Vec<Place> = ripe
            .filter(|(_, record)| record.other.is_some() && record.in_group)
            .map(|(place, _)| *place)
            .take(BATCH)
            .collect();
        if ripe.len() < BATCH {
            return Vec::new();
        }
        let group = self.group.id();
        let (mut writes, mut touched, mut page) = (Vec::new(), BTreeSet::new(), Vec::new());
        for place in ripe {
            let Some(record) = self.records.remove(&place) else {
                continue;
            };
            writes.push(store::delete(&record));
            self.by_agreement.remove(&record.block.agreement);
            if let Some(theirs) = record.other.as_ref().and_then(store::place_of) {
                self.seen.remove(&theirs);
            }
            let print = print(&record.block.agreement);
            page.extend_from_slice(&print);
            self.folded.prints.insert(print);
            let entry = record.entry();
            touched.insert(entry.counterparty);
            let fold = self.folded.sums.entry((group, entry.counterparty)).or_default();
            fold.delta = fold.delta.saturating_add(entry.delta);
            fold.paid = fold.paid.saturating_add(entry.paid);
            fold.receipts = fold.receipts.saturating_add(1);
            if !record.found {
                self.folded.cut = Some(record.block.head(record.hash));
            }
        }
        for peer in touched {
            if let Some(fold) = self.folded.sums.get(&(group, peer)) {
                let key = [&[FOLD_PREFIX][..], group.as_bytes(), peer.as_bytes()].concat();
                writes.push(Write::Put {
                    key,
                    value: to_cbor(fold),
                });
            }
        }
        let key = [&[PRINTS_PREFIX][..], &self.folded.pages.to_be_bytes()].concat();
        writes.push(Write::Put { key, value: page });
        self.folded.pages = self.folded.pages.saturating_add(1);
        writes.push(self.put_meta());
        writes
    }

    /// Where the chain goes on after what was folded, and the hash that its next block names.
    pub(super) fn after_cut(&self) -> (Place, Hash) {
        self.folded.cut.map_or(((0, 0), Hash([0; 32])), |cut| {
            ((cut.epoch, cut.sequence), cut.hash)
        })
    }
}

fn print(agreement: &AgreementId) -> Print {
    let [a, b, c, d, e, f, g, h, ..] = agreement.0;
    [a, b, c, d, e, f, g, h]
}
