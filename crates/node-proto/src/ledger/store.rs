//! How the ledger is kept: records as canonical CBOR under sorted keys, and the way back.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::group::Group;
use crate::ids::{Hash, NodeId};
use crate::io::Write;
use crate::ledger::{Block, FraudProof, Ledger, LedgerError, Record};
use crate::wire::{Signed, WireError, from_cbor, open_body, to_cbor};

/// First byte of the key of a block.
const BLOCK_PREFIX: u8 = b'b';
/// First byte of the key of a fraud proof.
pub(crate) const FRAUD_PREFIX: u8 = b'f';
/// The key of [`Meta`].
const META_PREFIX: u8 = b'm';
/// The format of everything that is stored.
const FORMAT: u32 = 1;

/// What the store is of.
#[derive(Encode, Decode)]
struct Meta {
    #[n(0)]
    format: u32,
    #[n(1)]
    owner: NodeId,
    #[n(2)]
    epoch: u32,
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
}

impl StoredLedger {
    /// Takes one pair.
    pub(crate) fn take(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), LedgerError> {
        match key.first() {
            Some(&META_PREFIX) => self.meta = Some(value),
            Some(&BLOCK_PREFIX) => self.blocks.push(value),
            _ => return Err(WireError::Malformed("an unknown kind of key".to_owned()).into()),
        }
        Ok(())
    }
}

pub(super) fn put_meta(owner: NodeId, epoch: u32) -> Write {
    Write::Put {
        key: vec![META_PREFIX],
        value: to_cbor(&Meta {
            format: FORMAT,
            owner,
            epoch,
        }),
    }
}

pub(super) fn put(record: &Record) -> Write {
    let key = [
        &[BLOCK_PREFIX][..],
        &record.block.epoch.to_be_bytes(),
        &record.block.sequence.to_be_bytes(),
    ];
    let stored = StoredBlock {
        own: record.own.clone(),
        other: record.other.clone(),
        agreement: record.agreement.clone(),
        countersignature: record.countersignature,
        partial: record.partial.clone(),
    };
    Write::Put {
        key: key.concat(),
        value: to_cbor(&stored),
    }
}

/// Keeps a proof for whoever asks later.
pub(crate) fn put_fraud(proof: &FraudProof) -> Write {
    let key = [&[FRAUD_PREFIX], proof.author.as_bytes().as_slice()].concat();
    Write::Put {
        key,
        value: to_cbor(proof),
    }
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
        if let Some(meta) = &stored.meta {
            let meta: Meta = from_cbor(meta)?;
            if meta.format != FORMAT {
                return Err(LedgerError::UnknownFormat(meta.format));
            }
            if meta.owner != me {
                return Err(LedgerError::OtherIdentity);
            }
            ledger.epoch = meta.epoch;
        }
        let mut records = BTreeMap::new();
        for value in stored.blocks {
            let record = ledger.read(&value)?;
            records.insert((record.block.epoch, record.block.sequence), record);
        }
        let (mut previous, mut before) = (Hash([0; 32]), (0, 0));
        for (place, record) in records {
            // Where an epoch begins, another run may have been under way: only within one the chain is without a gap.
            let continues = place == (before.0, before.1 + 1) && record.block.previous == previous;
            let begins = place.0 > before.0 && place.1 == 1;
            if !(continues || begins) {
                return Err(LedgerError::Broken);
            }
            (previous, before) = (record.hash, place);
            ledger.insert(place, record)?;
        }
        if let Some((_, newest)) = ledger.records.last_key_value() {
            newest.own.open::<Block>(&me)?;
        }
        Ok(ledger)
    }

    fn read(&self, value: &[u8]) -> Result<Record, LedgerError> {
        let stored: StoredBlock = from_cbor(value)?;
        let block: Block = open_body(&stored.own.body)?;
        if block.author != self.me {
            return Err(LedgerError::OtherIdentity);
        }
        if !block.is_sound() {
            return Err(WireError::Malformed("a block".to_owned()).into());
        }
        let in_group = block.mark == Hash(self.group.receipt_mark(block.agreement.as_bytes()));
        Ok(Record {
            hash: stored.own.hash::<Block>(),
            block,
            own: stored.own,
            other: stored.other,
            agreement: stored.agreement,
            countersignature: stored.countersignature,
            partial: stored.partial,
            in_group,
        })
    }
}
