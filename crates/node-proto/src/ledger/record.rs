//! One of the own blocks and what belongs to it.

use crate::ids::{Hash, ReceiptId};
use crate::ledger::totals::Entry;
use crate::ledger::{Block, FraudProof, LedgerError};
use crate::service::Service;
use crate::view::{ReceiptView, Verification};
use crate::wire::{Signed, to_cbor};

/// An own block, the other half, and the agreement. A node that trades holds thousands of these.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) block: Block,
    pub(super) hash: Hash,
    own: Half,
    pub(super) other: Option<Signed>,
    pub(super) agreement: Signed,
    pub(super) countersignature: [u8; 64],
    pub(super) partial: Option<Signed>,
    pub(super) in_group: bool,
    /// Given back by the counterparty; kept beside the chain.
    pub(super) found: bool,
}

/// What makes a block that is here in plain the block that was signed.
#[derive(Clone, Debug)]
struct Half {
    signature: [u8; 64],
    /// The bytes that were signed, where encoding the block gives others: a later version's, which had more in it.
    body: Option<Vec<u8>>,
}

impl Record {
    /// A record of an own block and what it was signed as. Nothing is checked.
    pub(super) fn new(
        block: Block,
        own: Signed,
        other: Option<Signed>,
        agreement: Signed,
        countersignature: [u8; 64],
    ) -> Self {
        let hash = own.hash::<Block>();
        let body = (to_cbor(&block) != own.body).then_some(own.body);
        Self {
            block,
            hash,
            own: Half {
                signature: own.signature,
                body,
            },
            other,
            agreement,
            countersignature,
            partial: None,
            in_group: true,
            found: false,
        }
    }

    /// The own block as it was signed.
    pub(super) fn own(&self) -> Signed {
        Signed {
            body: self.own.body.clone().unwrap_or_else(|| to_cbor(&self.block)),
            signature: self.own.signature,
        }
    }

    pub(super) fn entry(&self) -> Entry {
        Entry {
            counterparty: self.block.counterparty,
            delta: self.block.delta.0,
            paid: self.block.delta.0.min(0),
            complete: self.other.is_some(),
            in_group: self.in_group,
        }
    }

    pub(super) fn view(&self) -> ReceiptView {
        let block = &self.block;
        ReceiptView {
            id: ReceiptId(block.link.unwrap_or(self.hash).0),
            counterparty: block.counterparty,
            service: Service::from_code(block.service).unwrap_or(Service::Inference),
            delta: block.delta,
            units: block.units,
            partial: self.partial.is_some(),
            factors: block.factors,
            explained: block.factors.explain(),
            sequence: block.sequence,
            fully_signed: self.other.is_some(),
            verification: Verification::from(&block.check),
            at: block.at(),
        }
    }

    /// The counterparty signed another block than the one that is held.
    pub(super) fn contradicted_by(&self, second: &Signed) -> LedgerError {
        LedgerError::Fraud(Box::new(FraudProof {
            author: self.block.counterparty,
            first: self.other.clone().unwrap_or_else(|| self.own()),
            second: second.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::ids::NodeId;
    use crate::made_up;

    #[test]
    fn what_was_signed_comes_back_byte_for_byte() {
        let block = made_up::block(NodeId([1; 32]), 1, 2);
        let plain = to_cbor(&block);
        // A later version may sign more than this one reads.
        let longer = [plain.as_slice(), &[0xf6]].concat();
        for (body, kept) in [(plain, false), (longer, true)] {
            let own = Signed {
                body,
                signature: [7; 64],
            };
            let record = Record::new(block.clone(), own.clone(), None, own.clone(), [0; 64]);
            assert_eq!((record.own(), record.own.body.is_some()), (own.clone(), kept));
            assert_eq!(record.hash, own.hash::<Block>());
        }
    }
}
