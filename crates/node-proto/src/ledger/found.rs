//! Receipts that this node lost and a counterparty still holds.
//!
//! Whoever goes on from an old backup asks those it trades with for its own blocks. What they show counts only if this
//! node's own signature is on it, the other half answers it, and both signed the agreement: a counterparty can give back
//! what was, and nothing else. It is kept beside the chain, under `l` ‖ epoch ‖ sequence, since whatever else was signed
//! in that epoch may still be missing.

use crate::ids::NodeId;
use crate::io::Write;
use crate::ledger::{Block, Contract, Ledger, LedgerError, Place, Record, store};
use crate::sign::Domain;
use crate::wire::{Agreement, Receipt, Signed};

impl Ledger {
    /// Receipts with `author`, from a place in its chain on, as it would have stored them.
    pub(crate) fn held_of(&self, author: &NodeId, from: Place, count: usize) -> Vec<Receipt> {
        let held = self.seen.range((*author, from)..=(*author, (u32::MAX, u64::MAX)));
        let records = held.filter_map(|(_, place)| self.records.get(place));
        let receipts = records.filter_map(|record| {
            Some(Receipt {
                own: record.other.clone()?,
                other: record.own(),
                agreement: record.agreement.clone(),
                countersignature: record.countersignature,
            })
        });
        receipts.take(count).collect()
    }

    /// The place after the newest complete receipt with a counterparty.
    pub(crate) fn newest_with(&self, peer: &NodeId) -> Place {
        let newest = self.records.iter().rev();
        let newest = newest
            .filter(|(_, record)| record.other.is_some() && record.block.counterparty == *peer)
            .map(|(place, _)| *place)
            .next();
        newest.map_or((0, 0), |(epoch, sequence)| (epoch, sequence.saturating_add(1)))
    }

    /// The pending payment that a half is, if it is one.
    pub(crate) fn pending_half(&self, half: &Signed) -> Option<Place> {
        let (_, place) = store::place_of(half)?;
        let record = self.records.get(&place)?;
        (record.other.is_none() && record.own() == *half).then_some(place)
    }

    /// Takes a receipt back that was shown by its counterparty. One that is here already changes nothing.
    pub(crate) fn take_back(&mut self, shown: &Receipt) -> Result<(Place, Vec<Write>), LedgerError> {
        let block: Block = shown.own.open(&self.me)?;
        if !block.is_sound() {
            return Err(LedgerError::Mismatch);
        }
        let place = (block.epoch, block.sequence);
        let here = self.records.contains_key(&place)
            || self.by_agreement.contains_key(&block.agreement)
            || self.folded.contains(&block.agreement);
        if here {
            return Ok((place, Vec::new()));
        }
        if self.records.len() >= self.blocks_max {
            return Err(LedgerError::Full);
        }
        let other: Block = shown.other.open(&block.counterparty)?;
        let (own_hash, other_hash) = (shown.own.hash::<Block>(), shown.other.hash::<Block>());
        let pair =
            other.is_sound() && (other.answers(&block, &own_hash) || block.answers(&other, &other_hash));
        let contract = contract_of(&shown.agreement, &shown.countersignature)?;
        if !pair || contract.id != block.agreement {
            return Err(LedgerError::Mismatch);
        }
        let in_group = block.mark.0 == self.group.receipt_mark(block.agreement.as_bytes());
        let (own, other) = (shown.own.clone(), Some(shown.other.clone()));
        // No partial delivery: the halves tell the amount, and the provider's word was for the payer's first message.
        let mut record = Record::new(block, own, other, contract.signed, contract.countersignature);
        (record.in_group, record.found) = (in_group, true);
        let write = store::put(&record);
        self.insert(place, record)?;
        Ok((place, vec![write]))
    }
}

/// An agreement with both signatures, checked.
fn contract_of(signed: &Signed, countersignature: &[u8; 64]) -> Result<Contract, LedgerError> {
    let terms: Agreement = crate::wire::open_body(&signed.body)?;
    signed.open::<Agreement>(&terms.requester)?;
    if !Domain::Agreement.verify(&terms.provider, &signed.body, countersignature) {
        return Err(LedgerError::Mismatch);
    }
    Ok(Contract {
        id: crate::ids::AgreementId(signed.hash::<Agreement>().0),
        terms,
        signed: signed.clone(),
        countersignature: *countersignature,
        partial: None,
    })
}
