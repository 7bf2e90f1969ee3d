//! Blobs: those that this device keeps for others, and its own that others keep.

use js_sys::Uint8Array;
use node_proto::ids::{Hash, Timestamp};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::IdbTransactionDurability;

use super::StoreError;
use super::database::{Change, Database};

const FACTS: &str = "facts";
const BYTES: &str = "bytes";

/// What is known of a blob that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fact {
    pub(crate) blob: Hash,
    pub(crate) bytes: u32,
    /// Until when it is paid for; of an own one, until when others are to keep it.
    pub(crate) until: Timestamp,
    /// It is this device's own.
    pub(crate) own: bool,
}

/// The blobs of one node.
pub(crate) struct Blobs {
    facts: Database,
    bytes: Database,
}

impl Blobs {
    /// Those of the node whose storage has this name.
    pub(crate) async fn open(storage: &str) -> Result<Self, StoreError> {
        let name = format!("{storage}/blobs");
        // Somebody is paid for what is written here.
        let durability = IdbTransactionDurability::Strict;
        let [facts, bytes] = Database::open_stores(&name, [FACTS, BYTES], durability).await?;
        Ok(Self { facts, bytes })
    }

    /// What is here. A fact that cannot be read is not here.
    pub(crate) async fn facts(&self) -> Result<Vec<Fact>, StoreError> {
        let (_, values) = self.facts.all().await?;
        let facts = values.iter().filter_map(|value| value.as_string());
        Ok(facts
            .filter_map(|json| serde_json::from_str(&json).ok())
            .collect())
    }

    /// Takes a blob in: its bytes first, so that what is known to be here is.
    pub(crate) async fn put(&self, fact: &Fact, content: &[u8]) -> Result<(), StoreError> {
        let value = Uint8Array::from(content).into();
        self.bytes
            .change(&[Change::Put(key_of(&fact.blob), value)])
            .await?;
        self.know(fact).await
    }

    /// Changes what is known of a blob that is here.
    pub(crate) async fn know(&self, fact: &Fact) -> Result<(), StoreError> {
        let json = serde_json::to_string(fact).map_err(|error| StoreError::Damaged(error.to_string()))?;
        let put = Change::Put(key_of(&fact.blob), JsValue::from_str(&json));
        self.facts.change(&[put]).await
    }

    /// The bytes; `None` where they are not here, or not what their name says.
    pub(crate) async fn content(&self, blob: &Hash) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.bytes.get(&key_of(blob)).await?;
        let content = value.and_then(|value| value.dyn_into::<Uint8Array>().ok());
        let content = content.map(|content| content.to_vec());
        Ok(content.filter(|content| blob::name_of(content) == blob.0))
    }

    /// Forgets a blob.
    pub(crate) async fn remove(&self, blob: &Hash) -> Result<(), StoreError> {
        self.facts.change(&[Change::Delete(key_of(blob))]).await?;
        self.bytes.change(&[Change::Delete(key_of(blob))]).await
    }
}

fn key_of(blob: &Hash) -> JsValue {
    blob.to_string().into()
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::platform;

    #[wasm_bindgen_test]
    async fn a_blob_comes_lasts_longer_and_goes() {
        let blobs = Blobs::open(&format!("test-{:x}", platform::dice()))
            .await
            .unwrap();
        let content = [7; 1_000];
        let fact = Fact {
            blob: Hash(blob::name_of(&content)),
            bytes: 1_000,
            until: Timestamp(5),
            own: false,
        };
        assert_eq!(blobs.content(&fact.blob).await.unwrap(), None);
        blobs.put(&fact, &content).await.unwrap();
        assert_eq!(blobs.content(&fact.blob).await.unwrap().unwrap(), content);
        let longer = Fact {
            until: Timestamp(9),
            ..fact
        };
        blobs.know(&longer).await.unwrap();
        assert_eq!(blobs.facts().await.unwrap(), [longer]);
        blobs.remove(&fact.blob).await.unwrap();
        assert!(blobs.facts().await.unwrap().is_empty());
        assert_eq!(blobs.content(&fact.blob).await.unwrap(), None);
    }

    #[wasm_bindgen_test]
    async fn what_is_not_what_its_name_says_is_not_there() {
        let blobs = Blobs::open(&format!("test-{:x}", platform::dice()))
            .await
            .unwrap();
        let fact = Fact {
            blob: Hash([1; 32]),
            bytes: 3,
            until: Timestamp(5),
            own: false,
        };
        blobs.put(&fact, &[1, 2, 3]).await.unwrap();
        assert_eq!(blobs.content(&fact.blob).await.unwrap(), None);
    }
}
