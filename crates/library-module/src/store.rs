//! Where the pieces are: in IndexedDB, or in memory where the browser keeps nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;

use js_sys::Uint8Array;
use library::Write;
use rexie::{KeyRange, ObjectStore, Rexie, Transaction, TransactionMode};
use wasm_bindgen::{JsCast, JsError, JsValue};

/// The database of a library.
const DATABASE: &str = "knowledge-library";
/// It has not changed its shape yet.
const VERSION: u32 = 1;
/// Its one store: pieces under their keys.
const PIECES: &str = "pieces";

/// Keys and values.
pub(crate) enum Store {
    Disk(Rexie),
    /// And why not on the disk.
    Memory(RefCell<BTreeMap<Vec<u8>, Vec<u8>>>, String),
}

impl Store {
    pub(crate) async fn open() -> Self {
        let store = ObjectStore::new(PIECES);
        let opened = Rexie::builder(DATABASE)
            .version(VERSION)
            .add_object_store(store)
            .build()
            .await;
        opened.map_or_else(
            |error| Self::Memory(RefCell::default(), message(error)),
            Self::Disk,
        )
    }

    pub(crate) fn unkept(&self) -> Option<String> {
        match self {
            Self::Disk(_) => None,
            Self::Memory(_, reason) => Some(reason.clone()),
        }
    }

    /// All whose keys begin with this byte, in the order of the keys. What cannot be read is left out.
    pub(crate) async fn below(&self, prefix: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
        match self {
            Self::Disk(database) => read_below(database, prefix).await.unwrap_or_default(),
            Self::Memory(..) => Vec::new(),
        }
    }

    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, JsError> {
        match self {
            Self::Disk(database) => {
                let read = async {
                    let transaction = database.transaction(&[PIECES], TransactionMode::ReadOnly)?;
                    transaction.store(PIECES)?.get(bytes(key)).await
                };
                let value = read.await.map_err(unread)?;
                Ok(value.and_then(|value| bytes_of(&value)))
            }
            Self::Memory(pieces, _) => Ok(pieces.borrow().get(key).cloned()),
        }
    }

    /// Writes all or nothing.
    pub(crate) async fn write(&self, writes: Vec<Write>) -> Result<(), JsError> {
        match self {
            _ if writes.is_empty() => Ok(()),
            Self::Disk(database) => {
                let transaction = database
                    .transaction(&[PIECES], TransactionMode::ReadWrite)
                    .map_err(unwritten)?;
                put_all(&transaction, writes).await.map_err(unwritten)?;
                committed(transaction).await
            }
            Self::Memory(pieces, _) => {
                let mut pieces = pieces.borrow_mut();
                for write in writes {
                    match write {
                        Write::Put { key, value } => pieces.insert(key, value),
                        Write::Delete { key } => pieces.remove(&key),
                    };
                }
                Ok(())
            }
        }
    }
}

async fn read_below(database: &Rexie, prefix: u8) -> Result<Vec<(Vec<u8>, Vec<u8>)>, rexie::Error> {
    let transaction = database.transaction(&[PIECES], TransactionMode::ReadOnly)?;
    let range = KeyRange::bound(&bytes(&[prefix]), &bytes(&[prefix + 1]), Some(false), Some(true))?;
    let store = transaction.store(PIECES)?;
    let pairs = store.scan(Some(range), None, None, None).await?;
    let read = pairs
        .iter()
        .filter_map(|(key, value)| Some((bytes_of(key)?, bytes_of(value)?)));
    Ok(read.collect())
}

async fn put_all(transaction: &Transaction, writes: Vec<Write>) -> Result<(), rexie::Error> {
    let store = transaction.store(PIECES)?;
    for write in writes {
        match write {
            Write::Put { key, value } => drop(store.put(&bytes(&value), Some(&bytes(&key))).await?),
            Write::Delete { key } => store.delete(bytes(&key)).await?,
        }
    }
    Ok(())
}

/// Waits for a transaction's end. A full disk shows only here: every request in it succeeded before.
async fn committed(transaction: Transaction) -> Result<(), JsError> {
    match transaction.done().await.map_err(unwritten)?.is_committed() {
        true => Ok(()),
        false => Err(JsError::new("the disk, or this site's quota of it, is full")),
    }
}

fn bytes(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

/// Keys come back as buffers, values as they were put.
fn bytes_of(value: &JsValue) -> Option<Vec<u8>> {
    let is_bytes = value.is_instance_of::<Uint8Array>() || value.is_instance_of::<js_sys::ArrayBuffer>();
    is_bytes.then(|| Uint8Array::new(value).to_vec())
}

fn unread(error: rexie::Error) -> JsError {
    JsError::new(&format!(
        "the browser cannot read what it kept: {}",
        message(error)
    ))
}

fn unwritten(error: rexie::Error) -> JsError {
    JsError::new(&format!("the browser did not keep it: {}", message(error)))
}

fn message(error: rexie::Error) -> String {
    match error {
        rexie::Error::IdbError(inner) => inner.to_string(),
        other => other.to_string(),
    }
}
