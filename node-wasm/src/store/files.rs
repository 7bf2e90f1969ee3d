//! The page's hand on the models' files: parts of them as they come, and as others ask for them.

use inference::shelf::{self, DATABASE, PIECES, RECORDS};
use inference::{ContentHash, FileRef};
use js_sys::{Object, Reflect, Uint8Array};
use node_proto::ids::Hash;
use node_proto::transfer::Part;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::IdbTransactionDurability;

use super::StoreError;
use super::database::{Change, Database};
use crate::platform;

/// The shelf.
pub(crate) struct Files {
    records: Database,
    pieces: Database,
}

/// What there is of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// All of it.
    Whole,
    /// Some chunks, and the outline if it is known.
    Some {
        /// The outline's bytes.
        outline: Option<Vec<u8>>,
        /// Places of the chunks.
        chunks: Vec<u32>,
    },
}

impl Found {
    pub(crate) fn nothing() -> Self {
        Self::Some {
            outline: None,
            chunks: Vec::new(),
        }
    }
}

impl Files {
    pub(crate) async fn open() -> Result<Self, StoreError> {
        Self::open_as(DATABASE).await
    }

    async fn open_as(name: &str) -> Result<Self, StoreError> {
        let durability = IdbTransactionDurability::Relaxed;
        let [records, pieces] = Database::open_stores(name, [RECORDS, PIECES], durability).await?;
        Ok(Self { records, pieces })
    }

    /// What there is of a file. Whether it is what its name says is found out when it is read.
    pub(crate) async fn look(&self, file: FileRef) -> Result<Found, StoreError> {
        let record = self.records.get(&record_key(file.blake3)).await?;
        let bytes = record.and_then(|record| platform::property(&record, "bytes")?.as_f64());
        // A file has less than 2^53 bytes.
        if bytes == Some(file.bytes as f64) {
            return Ok(Found::Whole);
        }
        let (from, to) = shelf::key_range(file.blake3);
        let keys = self.pieces.keys(&from, &to).await?;
        let keys = keys.iter().filter_map(|key| key.as_string());
        let chunks = keys.filter_map(|key| shelf::piece_of(&key)).collect();
        let outline = self.read(hash_of(file.blake3), Part::Outline).await?;
        Ok(Found::Some { outline, chunks })
    }

    /// Keeps a part.
    pub(crate) async fn write(&self, blob: Hash, part: Part, bytes: &[u8]) -> Result<(), StoreError> {
        let value = Uint8Array::from(bytes).into();
        self.pieces
            .change(&[Change::Put(part_key(blob, part), value)])
            .await
    }

    /// A part, if it is there.
    pub(crate) async fn read(&self, blob: Hash, part: Part) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.pieces.get(&part_key(blob, part)).await?;
        let bytes = value.and_then(|value| value.dyn_into::<Uint8Array>().ok());
        Ok(bytes.map(|bytes| bytes.to_vec()))
    }

    /// Says that all of a file is there.
    pub(crate) async fn finish(&self, file: FileRef) -> Result<(), StoreError> {
        let record = Object::new();
        let pieces = blob::chunk_count(file.bytes);
        for (name, value) in [("bytes", file.bytes), ("pieces", pieces)] {
            // A file has less than 2^53 bytes; a plain object takes every property.
            let _ = Reflect::set(&record, &name.into(), &JsValue::from_f64(value as f64));
        }
        let put = Change::Put(record_key(file.blake3), record.into());
        self.records.change(&[put]).await
    }

    /// Removes what there is of a file.
    pub(crate) async fn remove(&self, file: ContentHash) -> Result<(), StoreError> {
        self.records.change(&[Change::Delete(record_key(file))]).await?;
        let (from, to) = shelf::key_range(file);
        let keys = self.pieces.keys(&from, &to).await?;
        let deletes: Vec<Change> = keys.iter().map(Change::Delete).collect();
        self.pieces.change(&deletes).await
    }
}

pub(crate) fn hash_of(file: ContentHash) -> Hash {
    Hash(file.0)
}

fn record_key(file: ContentHash) -> JsValue {
    shelf::record_key(file).into()
}

fn part_key(blob: Hash, part: Part) -> JsValue {
    let file = ContentHash(blob.0);
    match part {
        Part::Outline => shelf::outline_key(file).into(),
        Part::Chunk(index) => shelf::piece_key(file, index).into(),
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    async fn a_file_grows_is_whole_and_goes() {
        let files = Files::open_as(&format!("test-{:x}", platform::dice()))
            .await
            .unwrap();
        let file = FileRef {
            blake3: ContentHash([7; 32]),
            bytes: 300_000,
        };
        let blob = hash_of(file.blake3);
        assert_eq!(files.look(file).await.unwrap(), Found::nothing());
        files.write(blob, Part::Chunk(1), &[1, 2]).await.unwrap();
        files.write(blob, Part::Outline, &[3]).await.unwrap();
        let some = Found::Some {
            outline: Some(vec![3]),
            chunks: vec![1],
        };
        assert_eq!(files.look(file).await.unwrap(), some);
        assert_eq!(files.read(blob, Part::Chunk(1)).await.unwrap(), Some(vec![1, 2]));
        assert_eq!(files.read(blob, Part::Chunk(0)).await.unwrap(), None);
        files.finish(file).await.unwrap();
        assert_eq!(files.look(file).await.unwrap(), Found::Whole);
        let longer = FileRef {
            bytes: 300_001,
            ..file
        };
        assert_ne!(files.look(longer).await.unwrap(), Found::Whole);
        files.remove(file.blake3).await.unwrap();
        assert_eq!(files.look(file).await.unwrap(), Found::nothing());
    }
}
