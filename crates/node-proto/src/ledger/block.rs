//! A half-block: one side's signed word on one payment.

use minicbor::{Decode, Encode};

use crate::ids::{AgreementId, Hash, Millicredits, ModelId, NodeId, Timestamp};
use crate::price::Factors;
use crate::service::Scope;
use crate::sign::Domain;
use crate::verification::{from_ppm, to_ppm};
use crate::view::Verification;
use crate::wire::{Head, OBJECT_VERSION, Object};

/// One side's half of a receipt, linked into its author's chain. Version 1; it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Block {
    /// [`OBJECT_VERSION`].
    #[n(0)]
    pub version: u8,
    /// Whose chain it is in; the signature is theirs.
    #[n(1)]
    pub author: NodeId,
    /// A chain restored from a backup goes on in a new epoch. Epochs begin at 1.
    #[n(2)]
    pub epoch: u32,
    /// Place in the epoch, from 1.
    #[n(3)]
    pub sequence: u64,
    /// Hash of the author's block before this one, of whatever epoch; zeros in the very first.
    #[n(4)]
    pub previous: Hash,
    /// The other side.
    #[n(5)]
    pub counterparty: NodeId,
    /// What both promised.
    #[n(6)]
    pub agreement: AgreementId,
    /// Change of the author's balance: negative for the payer.
    #[n(7)]
    pub delta: Millicredits,
    /// Number of the service.
    #[n(8)]
    pub service: u8,
    /// With which model.
    #[n(9)]
    pub model: Option<ModelId>,
    /// Estimated tokens of the work, or the service's own unit.
    #[n(10)]
    pub units: u32,
    /// The price's factors; their product is the payer's loss.
    #[n(11)]
    pub factors: Factors,
    /// Who may have read the input.
    #[n(12)]
    pub scope: Scope,
    /// Keyed hash of the agreement with the group's member key: members see that it is of their group, others nothing.
    #[n(13)]
    pub mark: Hash,
    /// How the payer checked the result.
    #[n(14)]
    pub check: Check,
    /// In the receiver's half: hash of the payer's.
    #[n(15)]
    pub link: Option<Hash>,
    /// The author's clock, Unix milliseconds. Informational: nothing is decided by it.
    #[n(16)]
    pub at_ms: u64,
}

/// A block is no longer than this, bytes: every field has a bound, and all at theirs take 370.
pub(crate) const BLOCK_BYTES_MAX: usize = 384;

impl Object for Block {
    const DOMAIN: Domain = Domain::Block;
}

impl Block {
    /// Where it is in its author's chain.
    pub fn head(&self, hash: Hash) -> Head {
        Head {
            epoch: self.epoch,
            sequence: self.sequence,
            hash,
        }
    }

    /// The author's clock.
    pub fn at(&self) -> Timestamp {
        Timestamp(self.at_ms)
    }

    /// Whether this is the receiver's answer to `payer`, whose hash is `hash`.
    pub fn answers(&self, payer: &Self, hash: &Hash) -> bool {
        self.link.as_ref() == Some(hash)
            && payer.link.is_none()
            && self.author == payer.counterparty
            && self.counterparty == payer.author
            && self.agreement == payer.agreement
            && payer.delta < Millicredits::ZERO
            && payer.delta.checked_neg() == Some(self.delta)
            && self.service == payer.service
            && self.model == payer.model
            && self.units == payer.units
            && self.factors == payer.factors
            && self.scope == payer.scope
            && self.mark == payer.mark
            && self.check == payer.check
    }

    /// Whether author, counterparty, version and place make sense at all.
    pub fn is_sound(&self) -> bool {
        self.version == OBJECT_VERSION
            && self.author != self.counterparty
            && self.epoch >= 1
            && self.sequence >= 1
            && self.delta.checked_neg().is_some()
    }
}

/// How a payer checked a result, in integers. A wrong result has no receipt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Check {
    /// 0 unchecked, 1 spot-checked, 2 two agree, 3 questions about a blob were answered.
    #[n(0)]
    pub method: u8,
    /// Probes, or answers, that were right.
    #[n(1)]
    pub probes: u32,
    /// Items that a second provider computed alike.
    #[n(2)]
    pub compared: u32,
    /// The lowest cosine seen, in millionths.
    #[n(3)]
    pub cosine_ppm: i32,
    /// The second provider.
    #[n(4)]
    pub second: Option<NodeId>,
}

impl From<&Verification> for Check {
    fn from(verification: &Verification) -> Self {
        let none = Self {
            method: 0,
            probes: 0,
            compared: 0,
            cosine_ppm: 0,
            second: None,
        };
        match verification {
            Verification::Unchecked | Verification::Kept { .. } | Verification::Wrong { .. } => none,
            Verification::Proved { questions } => Self {
                method: 3,
                probes: *questions,
                ..none
            },
            Verification::SpotChecked { probes, cosine_min } => Self {
                method: 1,
                probes: *probes,
                cosine_ppm: to_ppm(*cosine_min),
                ..none
            },
            Verification::TwoAgree {
                second,
                compared,
                probes,
                cosine_min,
            } => Self {
                method: 2,
                probes: *probes,
                compared: *compared,
                cosine_ppm: to_ppm(*cosine_min),
                second: Some(*second),
            },
        }
    }
}

impl From<&Check> for Verification {
    fn from(check: &Check) -> Self {
        let cosine_min = from_ppm(check.cosine_ppm);
        match (check.method, check.second) {
            (1, _) => Self::SpotChecked {
                probes: check.probes,
                cosine_min,
            },
            (3, _) => Self::Proved {
                questions: check.probes,
            },
            (2, Some(second)) => Self::TwoAgree {
                second,
                compared: check.compared,
                probes: check.probes,
                cosine_min,
            },
            _ => Self::Unchecked,
        }
    }
}
