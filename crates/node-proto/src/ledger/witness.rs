//! What is held of other people's chains, so that two blocks on one place are noticed whoever received them.
//!
//! A cheat that signs one block for Ann and another one for Ben on the same place is caught when both blocks meet. Halves
//! that a node receives are passed on to a few others (see `node::gossip`), each of which keeps the newest that it saw:
//!
//! ```text
//! block of X on place p ──▶ nothing held for (X, p)   keep it, pass it on while it has hops left
//!                           the same block held       nothing new
//!                           another block held        check both signatures: a FraudProof, or a forgery
//! ```
//!
//! Signatures of blocks that others tell of are checked only when two disagree. That makes passing on cheap, which is what
//! lets every receipt be passed on (ConTrib checks each record on arrival: M. de Vos, J. Pouwelse, *ConTrib: Maintaining
//! Fairness in Decentralized Big Tech Alternatives by Accounting Work*, Computer Networks 192, 2021). It is enough, because
//! what is unchecked has a room of its own, convicts nobody, casts no doubt, and is dropped at the first disagreement:
//!
//! | block | its room | what it pushes out when that is full |
//! | --- | --- | --- |
//! | another half of an own receipt | `blocks_max` less `told_max`, at most [`PER_AUTHOR_MAX`] of one author | the author's oldest; else the oldest that is not of an own receipt; else the oldest |
//! | its signature was checked | the same | the same, and nothing of an own receipt |
//! | somebody told of it | `told_max`, at most [`TOLD_PER_AUTHOR_MAX`] of one author | the oldest of whoever told most: of this author, or of all |
//!
//! So a teller keeps its even share of the room whatever the others tell, and a flood pushes out its own. Tellers that have
//! left count as one, or names that come and go would be many. A block takes at most [`BLOCK_BYTES_MAX`] bytes.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Hash, NodeId};
use crate::ledger::block::BLOCK_BYTES_MAX;
use crate::ledger::{Block, FraudProof, Place};
use crate::wire::{OBJECT_VERSION, Signed};

/// Checked blocks of one author that are kept.
const PER_AUTHOR_MAX: usize = 64;
/// Unchecked blocks of one author that are kept: at the rate of one payment a second, those of half a minute.
const TOLD_PER_AUTHOR_MAX: usize = 32;
/// Stands for every teller that has left.
const GONE: NodeId = NodeId([0; 32]);

/// Why a block is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The other half of an own receipt.
    Own,
    /// Its author's signature was checked.
    Checked,
    /// It is not: this peer told of it.
    Told(NodeId),
}

/// What came of a block that somebody showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Not seen before.
    New,
    /// Held already.
    Known,
    /// Not seen before: what was held on its place is forged, and this peer had told of it.
    Replaced(NodeId),
    /// Not a block.
    Worthless,
    /// Not signed by its author.
    Forged,
    /// It contradicts another one.
    Fraud(Box<FraudProof>),
}

/// What is held says of an author's claim on which block is on a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nothing against it.
    Stands,
    /// The author signed another one.
    Contradicted,
    /// What was held against it is forged, and this peer had told of it. It is dropped.
    Slandered(NodeId),
}

struct Seen {
    signed: Signed,
    source: Source,
    serial: Serial,
}

impl Seen {
    fn is_genuine(&self, author: &NodeId) -> bool {
        !matches!(self.source, Source::Told(_)) || is_genuine(&self.signed, author)
    }
}

type Key = (NodeId, Place);
/// Numbers blocks in the order in which they came.
type Serial = u64;

/// Author and place as the body of a block names them. Nothing else is looked at: everything that follows from a block
/// opens it and checks its signature first.
pub(crate) fn head_of(body: &[u8]) -> Option<(NodeId, Place)> {
    if body.len() > BLOCK_BYTES_MAX {
        return None;
    }
    let mut decoder = minicbor::Decoder::new(body);
    decoder.array().ok()?;
    let version = decoder.u8().ok()?;
    let author = decoder.decode().ok()?;
    let place = (decoder.u32().ok()?, decoder.u64().ok()?);
    (version == OBJECT_VERSION && place.0 >= 1 && place.1 >= 1).then_some((author, place))
}

fn is_genuine(signed: &Signed, author: &NodeId) -> bool {
    signed.open::<Block>(author).is_ok_and(|block| block.is_sound())
}

/// Other people's blocks.
pub(crate) struct Witness {
    checked_max: usize,
    told_max: usize,
    /// Boxed, since a third of a map's nodes is empty.
    seen: BTreeMap<Key, Box<Seen>>,
    last: Serial,
    /// Those that are checked, in the order in which they came.
    checked: BTreeMap<Serial, Key>,
    /// Of these, those that are not of an own receipt.
    foreign: BTreeSet<Serial>,
    /// Those that are not checked, in the order in which they came.
    told: BTreeMap<Serial, Key>,
    /// Which of these each teller accounts for.
    tellers: BTreeMap<NodeId, BTreeSet<Serial>>,
}

impl Witness {
    /// For `blocks_max` blocks, of which up to `told_max` are unchecked.
    pub(crate) fn new(blocks_max: usize, told_max: usize) -> Self {
        Self {
            checked_max: blocks_max.saturating_sub(told_max),
            told_max,
            seen: BTreeMap::new(),
            last: 0,
            checked: BTreeMap::new(),
            foreign: BTreeSet::new(),
            told: BTreeMap::new(),
            tellers: BTreeMap::new(),
        }
    }

    /// Takes a block that this node received, or that somebody told of. At most two signatures are checked.
    pub(crate) fn show(&mut self, signed: &Signed, source: Source) -> Shown {
        let Some(key) = head_of(&signed.body) else {
            return Shown::Worthless;
        };
        let author = key.0;
        let Some(held) = self.seen.get(&key) else {
            self.insert(key, signed.clone(), source);
            return Shown::New;
        };
        if held.signed.body == signed.body {
            return self.show_again(key, signed, source);
        }
        if matches!(source, Source::Told(_)) && !is_genuine(signed, &author) {
            return Shown::Forged;
        }
        if held.is_genuine(&author) {
            let (first, second) = (held.signed.clone(), signed.clone());
            return Shown::Fraud(Box::new(FraudProof {
                author,
                first,
                second,
            }));
        }
        let forger = self.remove(&key);
        self.insert(key, signed.clone(), source.checked());
        forger.map_or(Shown::New, Shown::Replaced)
    }

    /// A body that is held already. It may have come before with a signature that was not one.
    fn show_again(&mut self, key: Key, signed: &Signed, source: Source) -> Shown {
        let Some(held) = self.seen.get(&key) else {
            return Shown::New;
        };
        let (same, serial) = (held.signed == *signed, held.serial);
        match (held.source, source) {
            (Source::Own, _) | (Source::Checked, Source::Checked) => Shown::Known,
            // Whoever else tells of it answers for it from now on if it tells less: what it keeps of its share does not
            // depend on who was first.
            (Source::Told(first), Source::Told(teller)) if same => {
                if self.told_by(&teller) < self.told_by(&first) {
                    self.discount(&first, serial);
                    self.tellers.entry(teller).or_default().insert(serial);
                    self.seen.entry(key).and_modify(|seen| seen.source = source);
                }
                Shown::Known
            }
            (Source::Checked, Source::Told(_)) => Shown::Known,
            (Source::Told(_), Source::Told(_)) if !is_genuine(signed, &key.0) => Shown::Forged,
            (former, _) => {
                self.remove(&key);
                self.insert(key, signed.clone(), source.checked());
                match former {
                    Source::Told(forger) if !same => Shown::Replaced(forger),
                    _ => Shown::Known,
                }
            }
        }
    }

    /// Holds an author's claim on which block is on a place against what is held. At most one signature is checked: what
    /// nobody checked casts no doubt.
    pub(crate) fn contradicts(&mut self, author: &NodeId, place: Place, hash: &Hash) -> Claim {
        let key = (*author, place);
        let Some(held) = self.seen.get(&key) else {
            return Claim::Stands;
        };
        if held.signed.hash::<Block>() == *hash {
            return Claim::Stands;
        }
        let Source::Told(teller) = held.source else {
            return Claim::Contradicted;
        };
        let signed = is_genuine(&held.signed, author).then(|| held.signed.clone());
        self.remove(&key);
        let Some(signed) = signed else {
            return Claim::Slandered(teller);
        };
        if !self.insert(key, signed.clone(), Source::Checked) {
            self.insert(key, signed, Source::Told(teller));
        }
        Claim::Contradicted
    }

    /// Whether a block of this author was checked.
    pub(crate) fn has_checked(&self, author: &NodeId) -> bool {
        self.of(author)
            .any(|(_, seen)| !matches!(seen.source, Source::Told(_)))
    }

    /// The newest blocks, newest first, and those that were checked before others.
    pub(crate) fn newest(&self, count: usize) -> impl Iterator<Item = &Signed> {
        let newest = self.checked.values().rev().chain(self.told.values().rev());
        newest
            .take(count)
            .filter_map(|key| self.seen.get(key))
            .map(|seen| &seen.signed)
    }

    /// A teller is not connected any more.
    pub(crate) fn left(&mut self, teller: &NodeId) {
        let Some(serials) = self.tellers.remove(teller) else {
            return;
        };
        for serial in &serials {
            let seen = self.told.get(serial).and_then(|key| self.seen.get_mut(key));
            if let Some(seen) = seen {
                seen.source = Source::Told(GONE);
            }
        }
        self.tellers.entry(GONE).or_default().extend(serials);
    }

    fn of(&self, author: &NodeId) -> impl Iterator<Item = (&Key, &Seen)> {
        self.seen
            .range((*author, (0, 0))..=(*author, (u32::MAX, u64::MAX)))
            .map(|(key, seen)| (key, seen.as_ref()))
    }

    fn told_by(&self, teller: &NodeId) -> usize {
        self.tellers.get(teller).map_or(0, BTreeSet::len)
    }

    /// A teller does not account for this one any more.
    fn discount(&mut self, teller: &NodeId, serial: Serial) {
        let Some(serials) = self.tellers.get_mut(teller) else {
            return;
        };
        serials.remove(&serial);
        if serials.is_empty() {
            self.tellers.remove(teller);
        }
    }

    /// Keeps a block on a place that is free, unless there is no room for it.
    fn insert(&mut self, key: Key, signed: Signed, source: Source) -> bool {
        let (goes, is_full) = match source {
            Source::Told(teller) => (self.most_told(&key.0, &teller), self.told_max == 0),
            Source::Own | Source::Checked => self.least_checked(&key.0, source),
        };
        if is_full {
            return false;
        }
        if let Some(key) = goes {
            self.remove(&key);
        }
        self.last += 1;
        let serial = self.last;
        match source {
            Source::Told(teller) => {
                self.told.insert(serial, key);
                self.tellers.entry(teller).or_default().insert(serial);
            }
            Source::Own => drop(self.checked.insert(serial, key)),
            Source::Checked => {
                self.checked.insert(serial, key);
                self.foreign.insert(serial);
            }
        }
        let seen = Seen {
            signed,
            source,
            serial,
        };
        self.seen.insert(key, Box::new(seen));
        true
    }

    /// Who had told of it, when it was not checked.
    fn remove(&mut self, key: &Key) -> Option<NodeId> {
        let Seen { source, serial, .. } = *self.seen.remove(key)?;
        let Source::Told(teller) = source else {
            self.checked.remove(&serial);
            self.foreign.remove(&serial);
            return None;
        };
        self.told.remove(&serial);
        self.discount(&teller, serial);
        Some(teller)
    }

    /// Which checked block makes room, and whether none may.
    fn least_checked(&self, author: &NodeId, source: Source) -> (Option<Key>, bool) {
        let theirs = || {
            let seen = self.of(author).map(|(_, seen)| seen);
            seen.filter(|seen| !matches!(seen.source, Source::Told(_)))
        };
        let crowded = theirs().count() >= PER_AUTHOR_MAX;
        if !crowded && self.checked.len() < self.checked_max {
            return (None, false);
        }
        let (first, foreign) = if crowded {
            let foreign = theirs().filter(|seen| seen.source != Source::Own);
            (
                theirs().map(|seen| seen.serial).min(),
                foreign.map(|seen| seen.serial).min(),
            )
        } else {
            (self.checked.keys().next().copied(), self.foreign.first().copied())
        };
        let goes = match source {
            Source::Own => foreign.or(first),
            _ => foreign,
        };
        let goes = goes.and_then(|serial| self.checked.get(&serial)).copied();
        (goes, goes.is_none())
    }

    /// Which unchecked block makes room for one more of this author that `another` tells of.
    fn most_told(&self, author: &NodeId, another: &NodeId) -> Option<Key> {
        let teller_of = |seen: &Seen| match seen.source {
            Source::Told(teller) => Some((teller, seen.serial)),
            _ => None,
        };
        let theirs = || self.of(author).filter_map(|(_, seen)| teller_of(seen));
        let crowded = theirs().count() >= TOLD_PER_AUTHOR_MAX;
        if !crowded && self.told.len() < self.told_max {
            return None;
        }
        // The one that is told of now counts, or whoever has no more than its share would lose of it.
        let one_more = |teller: &NodeId| usize::from(teller == another);
        let goes = if crowded {
            let theirs: Vec<(NodeId, Serial)> = theirs().collect();
            let told = |of: &NodeId| theirs.iter().filter(|(teller, _)| teller == of).count();
            let tellers = theirs.iter().map(|(teller, _)| teller);
            let most = tellers.max_by_key(|teller| told(teller) + one_more(teller))?;
            let told = theirs.iter().filter(|(teller, _)| teller == most);
            told.map(|(_, serial)| *serial).min()
        } else {
            let tellers = self.tellers.iter();
            let most = tellers.max_by_key(|(teller, told)| told.len() + one_more(teller));
            most.and_then(|(_, told)| told.first().copied())
        };
        self.told.get(&goes?).copied()
    }
}

impl Source {
    fn checked(self) -> Self {
        match self {
            Self::Own => Self::Own,
            Self::Checked | Self::Told(_) => Self::Checked,
        }
    }
}

#[cfg(test)]
mod tests;
