//! The core's pairs: one ordered store, all or none.
//!
//! What was refused is the core's to ask for again: it has one write under way at a time.

use js_sys::Uint8Array;
use node_proto::io::Write;
use wasm_bindgen::{JsCast, JsValue};

use super::StoreError;
use super::database::{Change, Database};

const STORE: &str = "pairs";

/// A pair of bytes.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Where the core's pairs are kept.
pub(crate) enum Ledger {
    /// In IndexedDB.
    Durable(Database),
    /// In the core alone: the identity is temporary, and its ledger ends with it.
    Temporary,
}

impl Ledger {
    pub(crate) async fn open(name: &str) -> Result<Self, StoreError> {
        Database::open(name, STORE).await.map(Self::Durable)
    }

    /// All pairs, in the order of their keys.
    pub(crate) async fn load(&self) -> Result<Vec<Pair>, StoreError> {
        let Self::Durable(database) = self else {
            return Ok(Vec::new());
        };
        let (keys, values) = database.all().await?;
        keys.iter()
            .zip(values.iter())
            .map(|(key, value)| Ok((bytes(&key)?, bytes(&value)?)))
            .collect()
    }

    /// Makes the writes durable, all or none.
    pub(crate) async fn write(&self, writes: &[Write]) -> Result<(), StoreError> {
        let Self::Durable(database) = self else {
            return Ok(());
        };
        let changes: Vec<Change> = writes
            .iter()
            .map(|write| match write {
                Write::Put { key, value } => Change::Put(array(key), array(value)),
                Write::Delete { key } => Change::Delete(array(key)),
            })
            .collect();
        database.change(&changes).await
    }

    /// Lets another tab open it.
    pub(crate) fn close(&self) {
        if let Self::Durable(database) = self {
            database.close();
        }
    }
}

fn array(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

fn bytes(value: &JsValue) -> Result<Vec<u8>, StoreError> {
    // Keys come back as ArrayBuffer, values as they were put.
    if value.is_instance_of::<js_sys::ArrayBuffer>() || value.is_instance_of::<Uint8Array>() {
        Ok(Uint8Array::new(value).to_vec())
    } else {
        Err(StoreError::Damaged("it is not made of bytes".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::platform;

    fn name() -> String {
        format!("test-{:x}", platform::dice())
    }

    fn put(key: &[u8], value: &[u8]) -> Write {
        Write::Put {
            key: key.to_vec(),
            value: value.to_vec(),
        }
    }

    #[wasm_bindgen_test]
    async fn what_was_written_is_there_when_it_is_opened_again() {
        let name = name();
        let ledger = Ledger::open(&name).await.unwrap();
        assert_eq!(ledger.load().await.unwrap(), []);
        ledger
            .write(&[put(b"b", b"2"), put(b"a", b"1"), put(b"c", b"")])
            .await
            .unwrap();
        ledger
            .write(&[put(b"b", b"3"), Write::Delete { key: b"c".to_vec() }])
            .await
            .unwrap();
        ledger.close();
        let again = Ledger::open(&name).await.unwrap();
        let pairs = [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"3".to_vec())];
        assert_eq!(again.load().await.unwrap(), pairs);
    }

    #[wasm_bindgen_test]
    async fn a_closed_database_refuses_with_a_reason() {
        let ledger = Ledger::open(&name()).await.unwrap();
        ledger.close();
        assert_eq!(ledger.write(&[put(b"a", b"1")]).await, Err(StoreError::Closed));
    }
}
