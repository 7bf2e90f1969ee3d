//! A node from what was stored: every pair goes to whoever wrote it.

use crate::cache::CACHE_PREFIX;
use crate::config::ConfigError;
use crate::ledger::{FRAUD_PREFIX, FraudProof, LedgerError, StoredLedger};
use crate::node::lines::{CreditLines, LINE_PREFIX};
use crate::reputation::{self, Reputation};
use crate::storage::{Keeper, STORED_PREFIX};
use crate::wire::{WireError, from_cbor};

/// Why a node could not be made from what was stored. The stored pairs are left as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A parameter is out of bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A record cannot be read.
    #[error("a stored record cannot be read: {what}")]
    Corrupt {
        /// Which.
        what: String,
    },
    /// The stored ledger is another key's.
    #[error("the stored ledger belongs to another identity")]
    OtherIdentity,
    /// Written by a newer version of this software.
    #[error("the stored ledger is of format {0}, which is not known here")]
    UnknownVersion(u32),
}

/// The stored pairs by who reads them. Reputation has taken its own already.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) ledger: StoredLedger,
    pub(super) proofs: Vec<FraudProof>,
    pub(super) lines: CreditLines,
    pub(super) cache: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) keeper: Keeper,
}

impl Stored {
    pub(super) fn sort(
        stored: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
        reputation: &mut Reputation,
    ) -> Result<Self, RestoreError> {
        let mut sorted = Self::default();
        for (key, value) in stored {
            match key.first() {
                Some(&reputation::KEY_PREFIX) => reputation.restore(&key, &value)?,
                Some(&LINE_PREFIX) => sorted.lines.restore(&key, &value)?,
                Some(&CACHE_PREFIX) => sorted.cache.push((key, value)),
                Some(&STORED_PREFIX) => sorted.keeper.restore(&key, &value)?,
                Some(&FRAUD_PREFIX) => sorted.proofs.push(from_cbor(&value)?),
                _ => sorted.ledger.take(key, value)?,
            }
        }
        Ok(sorted)
    }
}

impl From<WireError> for RestoreError {
    fn from(error: WireError) -> Self {
        Self::Corrupt {
            what: error.to_string(),
        }
    }
}

impl From<LedgerError> for RestoreError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::OtherIdentity => Self::OtherIdentity,
            LedgerError::UnknownFormat(format) => Self::UnknownVersion(format),
            other => Self::Corrupt {
                what: other.to_string(),
            },
        }
    }
}
