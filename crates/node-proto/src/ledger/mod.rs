//! The ledger: who paid whom, without a blockchain.
//!
//! Each node keeps a hash-linked chain of its **own half-blocks**. A payment is two halves (TrustChain: P. Otte, M. de Vos,
//! J. Pouwelse, *TrustChain: A Sybil-resistant scalable blockchain*, Future Generation Computer Systems 107, 2020): the payer
//! signs first, the receiver answers with a half of the opposite amount that names the payer's hash.
//!
//! ```text
//! payer     … ← block 7 (−412, link: none)            state at the payer: pending → complete
//! receiver        … ← block 3 (+412, link: payer's 7)  the receiver's is complete from the start
//! ```
//!
//! A receipt counts once both halves are there; over those the payer's loss is the receiver's gain, so all balances sum to
//! zero. A half whose answer is still missing is **pending** and is sent again until it is answered; answering twice gives
//! the same half, so nothing is paid twice. Two different blocks of one author on one (epoch, sequence) are a
//! [`FraudProof`].
//!
//! **Epochs.** Each run of a node signs in an epoch of its own, drawn at random above every number that it knows of. Two
//! tabs, two devices with one key, or an old backup that goes on where it was made each have theirs, so an honest person
//! cannot sign twice on one place whatever the shell does: it takes the same seed and the same state, which is to say a
//! modified program. (Two copies that start from one state draw the same of 65,536 numbers once in as many pairs.) A fraud
//! proof therefore shows intent. Opening epochs gains nothing: credit rests on what each provider has itself received, see
//! [`credit`], never on how long a chain looks.
//!
//! Old receipts are folded into sums, see [`fold`]; receipts that were lost with a device come back from counterparties, see
//! [`found`].
//!
//! Stored under `b` ‖ epoch ‖ sequence (big-endian, so that keys sort) is everything that a payment needs after a crash:
//! both halves and the agreement with both signatures. `m` holds format, owner and epoch; `f` ‖ author a fraud proof, see `node::convict`.
//!
//! An agreement that was given up half-way is paid for in proportion: the provider signs how many of the agreed units were
//! done ([`Partial`]), the payer's half names those units and their part of the price, and the provider's own word travels
//! and is kept with it, so that neither side has to remember and neither can claim another number.
//!
//! Limits: between members of a private group the line is the owner's to set and unlimited by default. In the open group
//! everyone is a stranger: a payer stops at the newcomer allowance, a provider at the lines of [`credit`].

mod block;
mod claims;
mod credit;
mod fold;
mod found;
mod fraud;
mod record;
mod store;
mod totals;
mod witness;

use std::collections::BTreeMap;

use crate::group::Group;
use crate::ids::{AgreementId, Hash, Millicredits, NodeId, Timestamp};
use crate::io::Write;
use crate::price;
use crate::sign::Signer;
use crate::view::{ReceiptView, Verification};
use crate::wire::{Agreement, Head, OBJECT_VERSION, Partial, Signed, WireError};

use fold::Folded;
use record::Record;
use totals::Totals;

pub use block::{Block, Check};
pub(crate) use credit::{CreditTerms, Exposure};
pub(crate) use fold::folds_more;
pub use fraud::FraudProof;
pub(crate) use store::{
    BLOCK_PREFIX, FRAUD_PREFIX, META_PREFIX, StoredLedger, delete_fraud, put_fraud, restored_meta,
};
pub(crate) use witness::{Claim, Shown, Source, Witness, head_of};

/// Why the ledger refused something. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LedgerError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the block does not match the agreement")]
    Mismatch,
    #[error("the author signed another block for the same place")]
    Fraud(Box<FraudProof>),
    #[error("the chain is full")]
    Full,
    #[error("the amount is out of range")]
    Overflow,
    #[error("a stored block is not linked to the one before it")]
    Broken,
    #[error("the stored ledger is another key's")]
    OtherIdentity,
    #[error("the stored ledger is of format {0}")]
    UnknownFormat(u32),
}

/// An agreement as both sides signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contract {
    pub(crate) id: AgreementId,
    pub(crate) terms: Agreement,
    /// With the requester's signature.
    pub(crate) signed: Signed,
    /// The provider's.
    pub(crate) countersignature: [u8; 64],
    /// Where the agreement was given up, or less was done than was agreed.
    pub(crate) partial: Option<PartialDelivery>,
}

/// An agreement of which only a part was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartialDelivery {
    /// The provider's [`Partial`].
    pub(crate) signed: Signed,
    /// How many of the agreed units it names.
    pub(crate) units: u32,
}

impl PartialDelivery {
    /// The provider's word on one agreement.
    pub(crate) fn open(
        signed: &Signed,
        provider: &NodeId,
        agreement: &AgreementId,
    ) -> Result<Self, LedgerError> {
        let partial: Partial = signed.open(provider)?;
        if partial.agreement != *agreement {
            return Err(LedgerError::Mismatch);
        }
        Ok(Self {
            signed: signed.clone(),
            units: partial.units,
        })
    }
}

impl Contract {
    /// What was done of it.
    pub(crate) fn units(&self) -> u32 {
        let agreed = self.terms.tokens;
        self.partial
            .as_ref()
            .map_or(agreed, |partial| partial.units.min(agreed))
    }

    /// What is owed for that.
    pub(crate) fn due(&self) -> Millicredits {
        price::pro_rata(self.terms.price, self.units(), self.terms.tokens)
    }
}

/// A pending payment, ready to be sent again.
pub(crate) struct Pending {
    pub(crate) agreement: Signed,
    pub(crate) countersignature: [u8; 64],
    pub(crate) block: Signed,
    pub(crate) partial: Option<Signed>,
}

/// The least number of an epoch.
const FIRST_EPOCH: u32 = 1;

/// Epoch and sequence in the own chain.
pub(crate) type Place = (u32, u64);

/// The own chain.
pub(crate) struct Ledger {
    me: NodeId,
    group: Group,
    epoch: u32,
    blocks_max: usize,
    /// Boxed, since the nodes of a map that grows at its end are half empty.
    records: BTreeMap<Place, Box<Record>>,
    by_agreement: BTreeMap<AgreementId, Place>,
    /// Others' blocks held here, by author and place, to notice contradictions.
    seen: BTreeMap<(NodeId, Place), Place>,
    totals: Totals,
    folded: Folded,
    /// Restored from a backup and not yet compared with counterparties: nothing may be signed.
    closed: bool,
    /// This run has written which epoch it signs in.
    epoch_written: bool,
}

impl Ledger {
    pub(crate) fn new(me: NodeId, group: Group, blocks_max: usize) -> Self {
        Self {
            me,
            group,
            epoch: FIRST_EPOCH,
            blocks_max,
            records: BTreeMap::new(),
            by_agreement: BTreeMap::new(),
            seen: BTreeMap::new(),
            totals: Totals::default(),
            folded: Folded::default(),
            closed: false,
            epoch_written: false,
        }
    }

    /// Begins this run's epoch, `jump` above everything that is known of the own chain. Nothing that another run of this
    /// key has signed, or will, is in it; see the module's documentation.
    pub(crate) fn begin_epoch(&mut self, jump: u16) {
        let known = self.records.last_key_value().map_or(0, |(place, _)| place.0);
        self.epoch = self
            .epoch
            .max(known)
            .saturating_add(u32::from(jump))
            .saturating_add(1);
        self.epoch_written = false;
    }

    /// The newest own block: of this run, or else of the newest before it.
    pub(crate) fn head(&self) -> Option<Head> {
        let of_this_run = self
            .records
            .range((self.epoch, 0)..=(self.epoch, u64::MAX))
            .next_back();
        of_this_run
            .or_else(|| self.records.last_key_value())
            .map(|(_, record)| record.block.head(record.hash))
    }

    /// Sum over complete receipts, and over pending halves.
    pub(crate) fn balance(&self) -> (Millicredits, Millicredits) {
        (
            Millicredits(self.totals.all.settled),
            Millicredits(self.totals.all.pending),
        )
    }

    /// Settled and pending within the present group.
    pub(crate) fn balance_in_group(&self) -> i64 {
        self.totals.in_group.total()
    }

    /// Where this node stands with a counterparty of the present group.
    pub(crate) fn exposure(&self, peer: &NodeId) -> Exposure {
        self.totals.pairs.get(peer).copied().unwrap_or_default()
    }

    /// The same for all of them.
    pub(crate) fn exposures(&self) -> impl Iterator<Item = (&NodeId, &Exposure)> {
        self.totals.pairs.iter()
    }

    /// Whether there were ever receipts with a counterparty of the present group, or claims against it.
    pub(crate) fn has_dealt_with(&self, peer: &NodeId) -> bool {
        self.totals.pairs.contains_key(peer)
    }

    /// Restored from a backup: closed until [`open`](Self::open).
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What could be found is here.
    pub(crate) fn open(&mut self) {
        self.closed = false;
    }

    /// Blocks of an epoch beyond this run's turned up.
    pub(crate) fn is_overtaken(&self) -> bool {
        let newest = self.records.last_key_value();
        newest.is_some_and(|(place, record)| place.0 > self.epoch || (place.0 == self.epoch && record.found))
    }

    /// Whether there is room for another trade, and leave to sign for it.
    pub(crate) fn has_room(&self) -> bool {
        !self.closed && self.records.len() < self.blocks_max && self.epoch < u32::MAX
    }

    /// Makes, signs and appends the payer's half.
    pub(crate) fn pay(
        &mut self,
        signer: &dyn Signer,
        now: Timestamp,
        contract: &Contract,
        verification: &Verification,
    ) -> Result<(Place, Vec<Write>), LedgerError> {
        let delta = contract.due().checked_neg().ok_or(LedgerError::Overflow)?;
        let block = self.next_block(now, contract, delta, Check::from(verification), None)?;
        self.append(signer, block, None, contract)
    }

    /// Answers a payer's half with the own one. The same half again gets the same answer and no writes.
    pub(crate) fn receive(
        &mut self,
        signer: &dyn Signer,
        now: Timestamp,
        contract: &Contract,
        payers: &Signed,
    ) -> Result<(Place, Vec<Write>), LedgerError> {
        let payer: Block = payers.open(&contract.terms.requester)?;
        let hash = payers.hash::<Block>();
        if !self.matches(&payer, contract) {
            return Err(LedgerError::Mismatch);
        }
        if let Some(place) = self.seen.get(&(payer.author, (payer.epoch, payer.sequence))) {
            return self.repeated(*place, payers);
        }
        if self.by_agreement.contains_key(&contract.id) || self.folded.contains(&contract.id) {
            return Err(LedgerError::Mismatch);
        }
        let delta = contract.due();
        let block = self.next_block(now, contract, delta, payer.check, Some(hash))?;
        self.append(signer, block, Some(payers.clone()), contract)
    }

    /// Takes the receiver's half for a pending payment. The same half again changes nothing.
    pub(crate) fn complete(&mut self, place: Place, receivers: &Signed) -> Result<Vec<Write>, LedgerError> {
        let record = self.records.get(&place).ok_or(LedgerError::Mismatch)?;
        let answer: Block = receivers.open(&record.block.counterparty)?;
        if !answer.is_sound() || !answer.answers(&record.block, &record.hash) {
            return Err(LedgerError::Mismatch);
        }
        let their_place = (answer.author, (answer.epoch, answer.sequence));
        match &record.other {
            Some(other) if other == receivers => return Ok(Vec::new()),
            Some(_) => return Err(LedgerError::Mismatch),
            None => {}
        }
        if let Some(former) = self
            .seen
            .get(&their_place)
            .and_then(|place| self.records.get(place))
        {
            return Err(former.contradicted_by(receivers));
        }
        let mut record = record.clone();
        self.totals.add(record.entry().undone());
        record.other = Some(receivers.clone());
        self.totals.add(record.entry());
        let write = store::put(&record);
        self.seen.insert(their_place, place);
        self.records.insert(place, record);
        Ok(vec![write])
    }

    /// Payments whose answer is missing, oldest first, and to whom.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (Place, NodeId)> + '_ {
        let missing = self.records.iter().filter(|(_, record)| record.other.is_none());
        missing.map(|(place, record)| (*place, record.block.counterparty))
    }

    /// What is sent to settle a payment whose answer is missing.
    pub(crate) fn pending_at(&self, place: Place) -> Option<Pending> {
        let record = self.records.get(&place).filter(|record| record.other.is_none())?;
        Some(Pending {
            agreement: record.agreement.clone(),
            countersignature: record.countersignature,
            block: record.own(),
            partial: record.partial.clone(),
        })
    }

    /// The own block at a place, as signed.
    pub(crate) fn own(&self, place: Place) -> Option<Signed> {
        self.records.get(&place).map(|record| record.own())
    }

    /// The other sides' halves.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Signed> {
        self.records.values().filter_map(|record| record.other.as_ref())
    }

    /// Own blocks of one epoch in order.
    pub(crate) fn blocks(&self, epoch: u32, from: u64, count: usize) -> Vec<Signed> {
        let range = self.records.range((epoch, from)..=(epoch, u64::MAX));
        range.take(count).map(|(_, record)| record.own()).collect()
    }

    /// One receipt as this side holds it.
    pub(crate) fn receipt(&self, place: Place) -> Option<ReceiptView> {
        self.records.get(&place).map(|record| record.view())
    }

    /// The newest receipts, newest first.
    pub(crate) fn receipts(&self, count: usize) -> Vec<ReceiptView> {
        self.records
            .values()
            .rev()
            .take(count)
            .map(|record| record.view())
            .collect()
    }

    /// How many complete receipts since then paid this side, and what they came to. Epochs and sequences grow, so the walk
    /// back ends at the first older one.
    pub(crate) fn earned_since(&self, since: Timestamp) -> (u32, Millicredits) {
        let newest = self.records.values().rev();
        let recent = newest.take_while(|record| record.block.at() >= since);
        let paid = recent.filter(|record| record.other.is_some() && record.block.delta.0 > 0);
        paid.fold((0, Millicredits::ZERO), |(count, sum), record| {
            (
                count + 1,
                Millicredits(sum.0.saturating_add(record.block.delta.0)),
            )
        })
    }

    /// The newest receipts with one counterparty, newest first.
    pub(crate) fn receipts_with(&self, peer: &NodeId, count: usize) -> Vec<ReceiptView> {
        let theirs = self.records.values().rev();
        let theirs = theirs.filter(|record| record.block.counterparty == *peer);
        theirs.take(count).map(|record| record.view()).collect()
    }

    fn next_block(
        &self,
        now: Timestamp,
        contract: &Contract,
        delta: Millicredits,
        check: Check,
        link: Option<Hash>,
    ) -> Result<Block, LedgerError> {
        if !self.has_room() {
            return Err(LedgerError::Full);
        }
        let head = self.head();
        let sequence = head
            .filter(|head| head.epoch == self.epoch)
            .map_or(0, |head| head.sequence);
        let terms = &contract.terms;
        let counterparty = if terms.requester == self.me {
            terms.provider
        } else {
            terms.requester
        };
        Ok(Block {
            version: OBJECT_VERSION,
            author: self.me,
            epoch: self.epoch,
            sequence: sequence.checked_add(1).ok_or(LedgerError::Full)?,
            previous: head.map_or(Hash([0; 32]), |head| head.hash),
            counterparty,
            agreement: contract.id,
            delta,
            service: terms.service,
            model: terms.model,
            units: contract.units(),
            factors: terms.factors,
            scope: terms.scope,
            mark: Hash(self.group.receipt_mark(contract.id.as_bytes())),
            check,
            link,
            at_ms: now.0,
        })
    }

    fn append(
        &mut self,
        signer: &dyn Signer,
        block: Block,
        other: Option<Signed>,
        contract: &Contract,
    ) -> Result<(Place, Vec<Write>), LedgerError> {
        let place = (block.epoch, block.sequence);
        let all = self.totals.all;
        let sum = all
            .settled
            .checked_add(all.pending)
            .and_then(|sum| sum.checked_add(block.delta.0));
        sum.ok_or(LedgerError::Overflow)?;
        let own = Signed::seal(signer, &block);
        let (agreement, countersignature) = (contract.signed.clone(), contract.countersignature);
        let mut record = Record::new(block, own, other, agreement, countersignature);
        record.partial = contract.partial.as_ref().map(|partial| partial.signed.clone());
        let mut writes = Vec::new();
        if !self.epoch_written {
            writes.push(self.put_meta());
            self.epoch_written = true;
        }
        writes.push(store::put(&record));
        self.insert(place, record)?;
        Ok((place, writes))
    }

    fn insert(&mut self, place: Place, record: Record) -> Result<(), LedgerError> {
        if let Some(other) = &record.other {
            let theirs = store::place_of(other).ok_or(LedgerError::Broken)?;
            self.seen.insert(theirs, place);
        }
        self.by_agreement.insert(record.block.agreement, place);
        self.totals.add(record.entry());
        self.records.insert(place, Box::new(record));
        Ok(())
    }

    /// The payer's half says what the agreement says.
    fn matches(&self, payer: &Block, contract: &Contract) -> bool {
        let terms = &contract.terms;
        payer.is_sound()
            && terms.provider == self.me
            && payer.author == terms.requester
            && payer.counterparty == self.me
            && payer.agreement == contract.id
            && Some(payer.delta) == contract.due().checked_neg()
            && payer.service == terms.service
            && payer.model == terms.model
            && payer.units == contract.units()
            && payer.factors == terms.factors
            && payer.scope == terms.scope
            && payer.mark == Hash(self.group.receipt_mark(contract.id.as_bytes()))
            && payer.link.is_none()
    }

    fn repeated(&self, place: Place, payers: &Signed) -> Result<(Place, Vec<Write>), LedgerError> {
        let former = self.records.get(&place).ok_or(LedgerError::Broken)?;
        if former
            .other
            .as_ref()
            .is_some_and(|other| other.body == payers.body)
        {
            return Ok((place, Vec::new()));
        }
        Err(former.contradicted_by(payers))
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
