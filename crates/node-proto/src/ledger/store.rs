//! How the ledger is kept: records as canonical CBOR under sorted keys, and the way back.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::group::Group;
use crate::ids::{Hash, NodeId};
use crate::io::Write;
use crate::ledger::claims::CLAIM_PREFIX;
use crate::ledger::fold::{FOLD_PREFIX, Folded, PRINTS_PREFIX};
use crate::ledger::{Block, FIRST_EPOCH, FraudProof, Ledger, LedgerError, Place, Record};
use crate::wire::{Head, Signed, WireError, from_cbor, open_body, to_cbor};

/// First byte of the key of a block.
pub(crate) const BLOCK_PREFIX: u8 = b'b';
/// First byte of the key of a fraud proof.
pub(crate) const FRAUD_PREFIX: u8 = b'f';
/// First byte of the key of a block that a counterparty gave back.
const FOUND_PREFIX: u8 = b'l';
/// The key of [`Meta`].
pub(crate) const META_PREFIX: u8 = b'm';
/// The format of everything that is stored.
const FORMAT: u32 = 1;

/// What the store is of.
#[derive(Encode, Decode)]
struct Meta {
    #[n(0)]
    format: u32,
    #[n(1)]
    owner: NodeId,
    /// Of the run that wrote last.
    #[n(2)]
    epoch: u32,
    /// The newest block that was folded.
    #[n(3)]
    cut: Option<Head>,
    /// 1: a backup was put in place, and nothing has been signed since.
    #[n(4)]
    restored: Option<u8>,
}

/// An own block and what belongs to it.
#[derive(Encode, Decode)]
struct StoredBlock {
    #[n(0)]
    own: Signed,
    /// The counterparty's half, once it is there.
    #[n(1)]
    other: Option<Signed>,
    /// The agreement with the requester's signature.
    #[n(2)]
    agreement: Signed,
    /// The provider's signature on it.
    #[cbor(n(3), with = "minicbor::bytes")]
    countersignature: [u8; 64],
    /// The provider's word on how much was done, where the agreement was given up.
    #[n(4)]
    partial: Option<Signed>,
}

/// The ledger's part of what was stored.
#[derive(Default)]
pub(crate) struct StoredLedger {
    meta: Option<Vec<u8>>,
    blocks: Vec<Vec<u8>>,
    found: Vec<Vec<u8>>,
    claims: Vec<(Vec<u8>, Vec<u8>)>,
    folded: Folded,
}

impl StoredLedger {
    /// Takes one pair.
    pub(crate) fn take(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), LedgerError> {
        match key.first() {
            Some(&META_PREFIX) => self.meta = Some(value),
            Some(&BLOCK_PREFIX) => self.blocks.push(value),
            Some(&FOUND_PREFIX) => self.found.push(value),
            Some(&CLAIM_PREFIX) => self.claims.push((key, value)),
            Some(&FOLD_PREFIX | &PRINTS_PREFIX) => self.folded.take(&key, &value)?,
            _ => return Err(WireError::Malformed("an unknown kind of key".to_owned()).into()),
        }
        Ok(())
    }
}

/// What is stored of a backup in place of the metas that it and the device have.
pub(crate) fn restored_meta(owner: NodeId, metas: &[&[u8]]) -> Result<Write, LedgerError> {
    let mut restored = Meta {
        format: FORMAT,
        owner,
        epoch: FIRST_EPOCH,
        cut: None,
        restored: Some(1),
    };
    for meta in metas {
        let meta = read_meta(owner, meta)?;
        restored.epoch = restored.epoch.max(meta.epoch);
        let place = |cut: &Head| (cut.epoch, cut.sequence);
        restored.cut = restored.cut.into_iter().chain(meta.cut).max_by_key(place);
    }
    Ok(restored.write())
}

fn read_meta(owner: NodeId, meta: &[u8]) -> Result<Meta, LedgerError> {
    let meta: Meta = from_cbor(meta)?;
    if meta.format != FORMAT {
        return Err(LedgerError::UnknownFormat(meta.format));
    }
    if meta.owner != owner {
        return Err(LedgerError::OtherIdentity);
    }
    Ok(meta)
}

impl Meta {
    fn write(&self) -> Write {
        Write::Put {
            key: vec![META_PREFIX],
            value: to_cbor(self),
        }
    }
}

fn key(record: &Record) -> Vec<u8> {
    let prefix = if record.found { FOUND_PREFIX } else { BLOCK_PREFIX };
    let key = [
        &[prefix][..],
        &record.block.epoch.to_be_bytes(),
        &record.block.sequence.to_be_bytes(),
    ];
    key.concat()
}

pub(super) fn delete(record: &Record) -> Write {
    Write::Delete { key: key(record) }
}

/// Author and place of somebody's block.
pub(super) fn place_of(block: &Signed) -> Option<(NodeId, Place)> {
    let block: Block = open_body(&block.body).ok()?;
    Some((block.author, (block.epoch, block.sequence)))
}

pub(super) fn put(record: &Record) -> Write {
    let stored = StoredBlock {
        own: record.own(),
        other: record.other.clone(),
        agreement: record.agreement.clone(),
        countersignature: record.countersignature,
        partial: record.partial.clone(),
    };
    Write::Put {
        key: key(record),
        value: to_cbor(&stored),
    }
}

/// Keeps a proof: the conviction lasts as long as it does.
pub(crate) fn put_fraud(proof: &FraudProof) -> Write {
    Write::Put {
        key: fraud_key(&proof.author),
        value: to_cbor(proof),
    }
}

/// Drops the proof against an author.
pub(crate) fn delete_fraud(author: &NodeId) -> Write {
    Write::Delete {
        key: fraud_key(author),
    }
}

fn fraud_key(author: &NodeId) -> Vec<u8> {
    [&[FRAUD_PREFIX], author.as_bytes().as_slice()].concat()
}

impl Ledger {
    /// Rebuilds the chain from what was stored, in any order of keys. Links are checked throughout each epoch and the
    /// newest own signature as well: the store is this device's own, and a broken byte breaks a link.
    pub(crate) fn restore(
        me: NodeId,
        group: Group,
        blocks_max: usize,
        stored: StoredLedger,
    ) -> Result<Self, LedgerError> {
        let mut ledger = Self::new(me, group, blocks_max);
        ledger.folded = stored.folded;
        if let Some(meta) = &stored.meta {
            let meta = read_meta(me, meta)?;
            ledger.epoch = meta.epoch;
            ledger.closed = meta.restored.is_some();
            ledger.folded.cut = meta.cut;
        }
        let mut records = BTreeMap::new();
        for value in stored.blocks {
            let record = ledger.read(&value, false)?;
            // A backup brought it back whole that is in the sums already: it counts once.
            if !ledger.folded.contains(&record.block.agreement) {
                records.insert((record.block.epoch, record.block.sequence), record);
            }
        }
        ledger.link(records)?;
        for value in stored.found {
            let record = ledger.read(&value, true)?;
            let place = (record.block.epoch, record.block.sequence);
            if !ledger.records.contains_key(&place) && !ledger.folded.contains(&record.block.agreement) {
                ledger.insert(place, record)?;
            }
        }
        for (key, value) in &stored.claims {
            ledger.restore_claim(key, value)?;
        }
        let present = ledger.group.id();
        for entry in ledger.folded.entries(present) {
            ledger.totals.add(entry);
        }
        if let Some((_, newest)) = ledger.records.last_key_value() {
            newest.own().open::<Block>(&me)?;
        }
        Ok(ledger)
    }

    /// Takes the chain's own blocks, each of which must follow the one before it.
    fn link(&mut self, records: BTreeMap<Place, Record>) -> Result<(), LedgerError> {
        let (cut, hash) = self.after_cut();
        let (mut before, mut previous) = (cut, hash);
        for (place, record) in records {
            // Where an epoch begins, another run may have been under way: only within one the chain is without a gap.
            // Below the cut stand alone what was pending, or another group's, when the rest was folded.
            let continues = place == (before.0, before.1 + 1) && record.block.previous == previous;
            let begins = place.0 > before.0 && place.1 == 1;
            if place > cut {
                if !(continues || begins) {
                    return Err(LedgerError::Broken);
                }
                (before, previous) = (place, record.hash);
            }
            self.insert(place, record)?;
        }
        Ok(())
    }

    pub(super) fn put_meta(&self) -> Write {
        let meta = Meta {
            format: FORMAT,
            owner: self.me,
            epoch: self.epoch,
            cut: self.folded.cut,
            restored: self.closed.then_some(1),
        };
        meta.write()
    }

    fn read(&self, value: &[u8], found: bool) -> Result<Record, LedgerError> {
        let stored: StoredBlock = from_cbor(value)?;
        let block: Block = open_body(&stored.own.body)?;
        if block.author != self.me {
            return Err(LedgerError::OtherIdentity);
        }
        if !block.is_sound() {
            return Err(WireError::Malformed("a block".to_owned()).into());
        }
        let in_group = block.mark == Hash(self.group.receipt_mark(block.agreement.as_bytes()));
        let (agreement, countersignature) = (stored.agreement, stored.countersignature);
        let mut record = Record::new(block, stored.own, stored.other, agreement, countersignature);
        (record.partial, record.in_group, record.found) = (stored.partial, in_group, found);
        Ok(record)
    }
}
