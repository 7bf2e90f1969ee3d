//! The core's pairs: one ordered store, strict durability, all or none.
//!
//! IndexedDB keeps the order of transactions on one store. What was refused is the core's to ask for again: it has one
//! write under way at a time.

use std::cell::RefCell;
use std::rc::Rc;

use futures::channel::oneshot;
use gloo::events::EventListener;
use js_sys::{Array, Uint8Array};
use node_proto::io::Write;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    IdbDatabase, IdbObjectStore, IdbOpenDbRequest, IdbRequest, IdbTransaction, IdbTransactionDurability,
    IdbTransactionMode, IdbTransactionOptions,
};

use super::StoreError;
use crate::platform;

const STORE: &str = "pairs";
const VERSION: u32 = 1;

/// A pair of bytes.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Where the core's pairs are kept.
pub(crate) enum Ledger {
    /// In IndexedDB.
    Durable(IdbDatabase),
    /// In the core alone: the identity is temporary, and its ledger ends with it.
    Temporary,
}

impl Ledger {
    pub(crate) async fn open(storage: &str) -> Result<Self, StoreError> {
        let window = platform::window().map_err(|error| StoreError::Missing(error.to_string()))?;
        let factory = window
            .indexed_db()
            .map_err(|error| StoreError::from_js(&error))?
            .ok_or_else(|| StoreError::Missing("there is no IndexedDB".to_owned()))?;
        let request = factory
            .open_with_u32(&format!("{storage}/ledger"), VERSION)
            .map_err(|error| StoreError::from_js(&error))?;
        let _create = EventListener::once(&request, "upgradeneeded", {
            let request = request.clone();
            move |_| create(&request)
        });
        Ok(Self::Durable(finished(&request).await?.unchecked_into()))
    }

    /// All pairs, in the order of their keys.
    pub(crate) async fn load(&self) -> Result<Vec<Pair>, StoreError> {
        let Self::Durable(database) = self else {
            return Ok(Vec::new());
        };
        let transaction = database
            .transaction_with_str(STORE)
            .map_err(|error| StoreError::from_js(&error))?;
        let store = transaction
            .object_store(STORE)
            .map_err(|error| StoreError::from_js(&error))?;
        let keys = store
            .get_all_keys()
            .map_err(|error| StoreError::from_js(&error))?;
        let values = store.get_all().map_err(|error| StoreError::from_js(&error))?;
        // Both are asked for before the first is waited for: a transaction without requests ends.
        let keys: Array = finished(&keys).await?.unchecked_into();
        let values: Array = finished(&values).await?.unchecked_into();
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
        committed(&submit(database, writes)?).await
    }

    /// Lets another tab open it.
    pub(crate) fn close(&self) {
        if let Self::Durable(database) = self {
            database.close();
        }
    }
}

fn create(request: &IdbOpenDbRequest) {
    let database = request
        .result()
        .ok()
        .and_then(|result| result.dyn_into::<IdbDatabase>().ok());
    if let Some(database) = database {
        // A store that could not be made shows as an error of the first transaction.
        let _ = database.create_object_store(STORE);
    }
}

fn submit(database: &IdbDatabase, writes: &[Write]) -> Result<IdbTransaction, StoreError> {
    let options = IdbTransactionOptions::new();
    options.set_durability(IdbTransactionDurability::Strict);
    let transaction = database
        .transaction_with_str_and_mode_and_options(STORE, IdbTransactionMode::Readwrite, &options)
        .map_err(|error| StoreError::from_js(&error))?;
    let store = transaction
        .object_store(STORE)
        .map_err(|error| StoreError::from_js(&error))?;
    for write in writes {
        if let Err(error) = apply(&store, write) {
            // All or none: what was asked for before is taken back.
            let _ = transaction.abort();
            return Err(StoreError::from_js(&error));
        }
    }
    Ok(transaction)
}

fn apply(store: &IdbObjectStore, write: &Write) -> Result<IdbRequest, JsValue> {
    match write {
        Write::Put { key, value } => store.put_with_key(
            &Uint8Array::from(value.as_slice()),
            &Uint8Array::from(key.as_slice()),
        ),
        Write::Delete { key } => store.delete(&Uint8Array::from(key.as_slice())),
    }
}

/// Waits for a request's result.
async fn finished(request: &IdbRequest) -> Result<JsValue, StoreError> {
    first_of(request, ["success", "error", "blocked"]).await?;
    match request.error() {
        Ok(Some(error)) => Err(StoreError::from_js(&error)),
        _ => request.result().map_err(|error| StoreError::from_js(&error)),
    }
}

/// Waits until a transaction is durable: `complete`, not the success of its requests.
async fn committed(transaction: &IdbTransaction) -> Result<(), StoreError> {
    match first_of(transaction, ["complete", "abort", "error"])
        .await?
        .as_str()
    {
        "complete" => Ok(()),
        _ => Err(transaction
            .error()
            .map_or(StoreError::Closed, |error| StoreError::from_js(&error))),
    }
}

/// The first of three events that is dispatched.
async fn first_of(target: &web_sys::EventTarget, events: [&'static str; 3]) -> Result<String, StoreError> {
    let (sender, receiver) = oneshot::channel();
    let sender = Rc::new(RefCell::new(Some(sender)));
    let _listeners = events.map(|event| {
        let sender = sender.clone();
        EventListener::new(target, event, move |event| {
            if let Some(sender) = sender.borrow_mut().take() {
                let _ = sender.send(event.type_());
            }
        })
    });
    receiver.await.map_err(|_| StoreError::Closed)
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

    fn storage() -> String {
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
        let storage = storage();
        let ledger = Ledger::open(&storage).await.unwrap();
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
        let again = Ledger::open(&storage).await.unwrap();
        let pairs = [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"3".to_vec())];
        assert_eq!(again.load().await.unwrap(), pairs);
    }

    #[wasm_bindgen_test]
    async fn a_closed_database_refuses_with_a_reason() {
        let ledger = Ledger::open(&storage()).await.unwrap();
        ledger.close();
        assert_eq!(ledger.write(&[put(b"a", b"1")]).await, Err(StoreError::Closed));
    }

    #[wasm_bindgen_test]
    async fn a_transaction_that_is_aborted_leaves_nothing() {
        let ledger = Ledger::open(&storage()).await.unwrap();
        let Ledger::Durable(database) = &ledger else {
            panic!("it is durable")
        };
        let transaction = submit(database, &[put(b"a", b"1")]).unwrap();
        transaction.abort().unwrap();
        assert!(committed(&transaction).await.is_err());
        assert_eq!(ledger.load().await.unwrap(), []);
    }
}
