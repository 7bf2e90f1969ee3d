//! A node's durable state as one file, and the way back.
//!
//! ```text
//! file = CBOR [1, owner, [[key, value], …]] ‖ derive_key("knowledge/1 backup", CBOR)
//! ```
//!
//! The pairs are those that the node's [`Write`]s stored. The file holds no key: it goes back to the same identity only,
//! so it cannot make a second device of somebody. It is not encrypted either; a shell that hands it out may do that.
//!
//! A node that starts from a file begins a new epoch, and before it signs anything it asks the counterparties that it
//! reaches for receipts that are newer than the file; see `node::recover`.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::cache::CACHE_PREFIX;
use crate::ids::NodeId;
use crate::io::Write;
use crate::ledger::{BLOCK_PREFIX, LedgerError, META_PREFIX, folds_more, restored_meta};
use crate::storage::STORED_PREFIX;
use crate::wire::{from_canonical, to_cbor};

/// The format that is written.
const FORMAT: u32 = 1;
/// Largest file that is read, bytes: several times what a full ledger takes.
pub const BACKUP_BYTES_MAX: usize = 256 * 1024 * 1024;
const CHECKSUM_BYTES: usize = 32;

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// Not a backup, cut short, or changed.
    #[error("this is not a whole backup")]
    Damaged,
    /// Of another key.
    #[error("this backup belongs to another identity")]
    OtherIdentity,
    /// Written by a newer version of this software.
    #[error("this backup is of format {0}, which is not known here")]
    UnknownFormat(u32),
}

#[derive(Encode, Decode)]
struct File {
    #[n(0)]
    format: u32,
    #[n(1)]
    owner: NodeId,
    #[n(2)]
    pairs: Vec<Pair>,
}

#[derive(Encode, Decode)]
struct Pair {
    #[cbor(n(0), with = "minicbor::bytes")]
    key: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    value: Vec<u8>,
}

/// Writes what is stored into a file, but for answers that are kept to be sold, which can be computed again, and for what others keep:
/// a question about it must not be asked a second time.
pub fn export(owner: NodeId, stored: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    let pairs = stored
        .into_iter()
        .filter(|(key, _)| !matches!(key.first(), Some(&CACHE_PREFIX | &STORED_PREFIX)))
        .map(|(key, value)| Pair { key, value })
        .collect();
    let mut file = to_cbor(&File {
        format: FORMAT,
        owner,
        pairs,
    });
    let checksum = checksum(&file);
    file.extend_from_slice(&checksum);
    file
}

/// Reads a file for the node `me`. The result is to be written over `present`, what is stored now (nothing, on a new
/// device), before the node is started: nothing present is lost, a block that is there both whole and half stays whole, and
/// of two sums of old receipts the one over more of them stays.
pub fn import(
    me: NodeId,
    file: &[u8],
    present: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<Vec<Write>, BackupError> {
    let body_bytes = file
        .len()
        .checked_sub(CHECKSUM_BYTES)
        .ok_or(BackupError::Damaged)?;
    let (body, sum) = file.split_at(body_bytes);
    if file.len() > BACKUP_BYTES_MAX || checksum(body).as_slice() != sum {
        return Err(BackupError::Damaged);
    }
    let file: File = from_canonical(body).map_err(|_| BackupError::Damaged)?;
    if file.format != FORMAT {
        return Err(BackupError::UnknownFormat(file.format));
    }
    if file.owner != me {
        return Err(BackupError::OtherIdentity);
    }
    let meta = |pair: &Pair| pair.key.first() == Some(&META_PREFIX);
    let metas = file
        .pairs
        .iter()
        .filter(|pair| meta(pair))
        .map(|pair| pair.value.as_slice());
    let metas: Vec<&[u8]> = metas
        .chain(present.get([META_PREFIX].as_slice()).map(Vec::as_slice))
        .collect();
    let restored = restored_meta(me, &metas).map_err(|error| match error {
        LedgerError::UnknownFormat(format) => BackupError::UnknownFormat(format),
        _ => BackupError::Damaged,
    })?;
    let wanted = file
        .pairs
        .iter()
        .filter(|pair| !meta(pair))
        .filter(|pair| match present.get(&pair.key) {
            None => true,
            // The longer one has the other half.
            Some(value) if pair.key.first() == Some(&BLOCK_PREFIX) => pair.value.len() > value.len(),
            Some(value) => folds_more(&pair.key, &pair.value, value),
        });
    let writes = wanted.map(|pair| Write::Put {
        key: pair.key.clone(),
        value: pair.value.clone(),
    });
    Ok(writes.chain([restored]).collect())
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    blake3::derive_key("knowledge/1 backup", body)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const ME: NodeId = NodeId([1; 32]);

    fn pairs() -> Vec<(Vec<u8>, Vec<u8>)> {
        vec![(vec![BLOCK_PREFIX, 1], vec![1, 2]), (vec![b'r', 1], vec![3])]
    }

    #[test]
    fn a_file_goes_back_to_its_owner_whole_or_not_at_all() {
        let file = export(ME, pairs());
        let writes = import(ME, &file, &BTreeMap::new()).unwrap();
        assert_eq!(writes.len(), 3);
        assert_eq!(
            import(NodeId([2; 32]), &file, &BTreeMap::new()),
            Err(BackupError::OtherIdentity)
        );
        for place in [0, 5, file.len() - 1] {
            let mut damaged = file.clone();
            damaged[place] ^= 1;
            assert_eq!(import(ME, &damaged, &BTreeMap::new()), Err(BackupError::Damaged));
        }
        assert_eq!(
            import(ME, &file[..file.len() - 1], &BTreeMap::new()),
            Err(BackupError::Damaged)
        );
        assert_eq!(import(ME, &[], &BTreeMap::new()), Err(BackupError::Damaged));
    }

    #[test]
    fn what_is_there_already_stays() {
        let file = export(ME, pairs());
        let mut present = BTreeMap::from([(vec![BLOCK_PREFIX, 1], vec![1, 2, 3]), (vec![b'r', 1], vec![4])]);
        assert_eq!(import(ME, &file, &present).unwrap().len(), 1);
        present.insert(vec![BLOCK_PREFIX, 1], vec![1]);
        assert_eq!(import(ME, &file, &present).unwrap().len(), 2);
    }
}
