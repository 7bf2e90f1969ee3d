//! Proof of fraud: two blocks of one author on one place in its chain. Anyone can check it without trusting who shows it.

use minicbor::{Decode, Encode};

use crate::ids::NodeId;
use crate::ledger::Block;
use crate::wire::{Signed, WireError};

/// Two contradicting blocks, each with its author's signature.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FraudProof {
    /// Who signed both.
    #[n(0)]
    pub author: NodeId,
    /// One of them.
    #[n(1)]
    pub first: Signed,
    /// The other.
    #[n(2)]
    pub second: Signed,
}

impl FraudProof {
    /// `Ok` when the proof holds.
    pub fn verify(&self) -> Result<(), WireError> {
        let first: Block = self.first.open(&self.author)?;
        let second: Block = self.second.open(&self.author)?;
        let place = |block: &Block| (block.author, block.epoch, block.sequence);
        let same_place = place(&first) == place(&second) && first.author == self.author;
        if same_place && self.first.body != self.second.body {
            Ok(())
        } else {
            Err(WireError::Malformed(
                "the two blocks do not contradict each other".to_owned(),
            ))
        }
    }
}
