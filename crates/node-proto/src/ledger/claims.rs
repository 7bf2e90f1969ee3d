//! Work that was delivered and never paid, by buyer.
//!
//! It is not part of the chain: nobody but this node vouches for it, and no balance moves. It only shortens the credit of
//! whoever took it, see [`credit`](super::credit). A late payment takes it out again. Stored under `u` ‖ buyer.

use crate::ids::NodeId;
use crate::io::Write;
use crate::ledger::{Ledger, LedgerError};
use crate::wire::{WireError, from_cbor, to_cbor};

/// First byte of the key of an unpaid sum.
pub(super) const CLAIM_PREFIX: u8 = b'u';

impl Ledger {
    /// Counts work that is not paid; a negative amount when it is paid after all.
    pub(crate) fn claim(&mut self, buyer: &NodeId, amount: i64) -> Vec<Write> {
        let exposure = self.totals.pairs.entry(*buyer).or_default();
        let unpaid = exposure.unpaid.saturating_add(amount).max(0);
        if unpaid == exposure.unpaid {
            return Vec::new();
        }
        exposure.unpaid = unpaid;
        let key = [&[CLAIM_PREFIX], buyer.as_bytes().as_slice()].concat();
        vec![match unpaid {
            0 => Write::Delete { key },
            _ => Write::Put {
                key,
                value: to_cbor(&unpaid),
            },
        }]
    }

    /// Takes a stored sum back.
    pub(super) fn restore_claim(&mut self, key: &[u8], value: &[u8]) -> Result<(), LedgerError> {
        let buyer = key.get(1..).and_then(|key| key.try_into().ok());
        let buyer = buyer.ok_or_else(|| WireError::Malformed("the key of an unpaid sum".to_owned()))?;
        let unpaid: i64 = from_cbor(value)?;
        self.totals.pairs.entry(NodeId(buyer)).or_default().unpaid = unpaid.max(0);
        Ok(())
    }
}
