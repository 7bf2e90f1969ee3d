//! The worker's hand on the [`shelf`](crate::shelf), through rexie.

use bytes::Bytes;
use js_sys::Uint8Array;
use rexie::{ObjectStore, Rexie, Transaction, TransactionMode};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};

use crate::chunks::Chunks;
use crate::manifest::{ContentHash, FileRef};
use crate::shelf::{self, DATABASE, PIECE_BYTES_MAX, PIECES, RECORDS, VERSION};

/// What the record of a whole file says.
#[derive(Serialize, Deserialize)]
struct Record {
    bytes: f64,
    pieces: u32,
}

/// The open database.
pub(super) struct Store {
    database: Rexie,
}

/// Why the cache did not work, for people. It never stops a load.
pub(super) struct StoreError(pub(super) String);

impl From<rexie::Error> for StoreError {
    fn from(error: rexie::Error) -> Self {
        Self(match error {
            rexie::Error::IdbError(inner) => inner.to_string(),
            other => other.to_string(),
        })
    }
}

impl Store {
    pub(super) async fn open() -> Result<Self, StoreError> {
        let database = Rexie::builder(DATABASE)
            .version(VERSION)
            .add_object_store(ObjectStore::new(RECORDS))
            .add_object_store(ObjectStore::new(PIECES))
            .build()
            .await?;
        Ok(Self { database })
    }

    /// The whole file, if it is there and its content is what its name says.
    pub(super) async fn read(&self, file: FileRef) -> Result<Option<Chunks>, StoreError> {
        let transaction = self
            .database
            .transaction(&[RECORDS, PIECES], TransactionMode::ReadOnly)?;
        let Some(record) = transaction.store(RECORDS)?.get(record_key(file.blake3)).await? else {
            return Ok(None);
        };
        let Ok(record) = serde_wasm_bindgen::from_value::<Record>(record) else {
            return Ok(None);
        };
        if record.bytes != file.bytes as f64 || u64::from(record.pieces) > file.bytes {
            return Ok(None);
        }
        let pieces = transaction.store(PIECES)?;
        let (mut chunks, mut hasher) = (Chunks::default(), blake3::Hasher::new());
        for index in 0..record.pieces {
            let Some(piece) = pieces.get(piece_key(file.blake3, index)).await? else {
                return Ok(None);
            };
            let Ok(piece) = piece.dyn_into::<Uint8Array>() else {
                return Ok(None);
            };
            if piece.length() as usize > PIECE_BYTES_MAX {
                return Ok(None);
            }
            let piece = Bytes::from(piece.to_vec());
            hasher.update(&piece);
            chunks.push(piece);
        }
        Ok((hasher.finalize().as_bytes() == &file.blake3.0).then_some(chunks))
    }

    pub(super) async fn write_piece(
        &self,
        hash: ContentHash,
        index: u32,
        piece: &[u8],
    ) -> Result<(), StoreError> {
        let transaction = self.database.transaction(&[PIECES], TransactionMode::ReadWrite)?;
        let value = Uint8Array::from(piece);
        transaction
            .store(PIECES)?
            .put(&value, Some(&piece_key(hash, index)))
            .await?;
        committed(transaction).await
    }

    /// Says that all pieces of a file are there.
    pub(super) async fn finish(&self, file: FileRef, pieces: u32) -> Result<(), StoreError> {
        let record = serde_wasm_bindgen::to_value(&Record {
            bytes: file.bytes as f64,
            pieces,
        })
        .map_err(|error| StoreError(error.to_string()))?;
        let transaction = self
            .database
            .transaction(&[RECORDS], TransactionMode::ReadWrite)?;
        transaction
            .store(RECORDS)?
            .put(&record, Some(&record_key(file.blake3)))
            .await?;
        committed(transaction).await
    }

    /// Removes what there is of a file.
    pub(super) async fn remove(&self, hash: ContentHash, pieces: u32) -> Result<(), StoreError> {
        let transaction = self
            .database
            .transaction(&[RECORDS, PIECES], TransactionMode::ReadWrite)?;
        transaction.store(RECORDS)?.delete(record_key(hash)).await?;
        let store = transaction.store(PIECES)?;
        for index in 0..pieces {
            store.delete(piece_key(hash, index)).await?;
        }
        committed(transaction).await
    }
}

/// Waits for a transaction's end. A full disk shows only here: every request in it succeeded before.
async fn committed(transaction: Transaction) -> Result<(), StoreError> {
    if transaction.done().await?.is_committed() {
        Ok(())
    } else {
        Err(StoreError(
            "the disk, or this site's quota of it, is full".to_owned(),
        ))
    }
}

fn record_key(hash: ContentHash) -> JsValue {
    JsValue::from(shelf::record_key(hash))
}

fn piece_key(hash: ContentHash, index: u32) -> JsValue {
    JsValue::from(shelf::piece_key(hash, index))
}
