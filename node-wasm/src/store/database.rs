//! Object stores of IndexedDB databases, their keys given by the caller.
//!
//! A write counts as done only after `complete`. Every write of what cannot be had again asks for `durability: "strict"`: what
//! was acknowledged survives a power cut. IndexedDB keeps the order of transactions on one store.

use std::cell::RefCell;
use std::rc::Rc;

use futures::channel::oneshot;
use gloo::events::EventListener;
use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    IdbDatabase, IdbFactory, IdbKeyRange, IdbObjectStore, IdbOpenDbRequest, IdbRequest, IdbTransaction,
    IdbTransactionDurability, IdbTransactionMode, IdbTransactionOptions,
};

use super::StoreError;
use crate::platform;

/// Of every database of this crate: none has changed its shape yet.
const VERSION: u32 = 1;

/// One store of an open database.
pub(crate) struct Database {
    database: IdbDatabase,
    store: &'static str,
    durability: IdbTransactionDurability,
}

/// One change of a store.
pub(crate) enum Change {
    /// Sets a key to a value.
    Put(JsValue, JsValue),
    /// Removes a key.
    Delete(JsValue),
}

impl Database {
    /// Opens one of a single store; the first time it is made.
    pub(crate) async fn open(name: &str, store: &'static str) -> Result<Self, StoreError> {
        let durability = IdbTransactionDurability::Strict;
        let [database] = Self::open_stores(name, [store], durability).await?;
        Ok(database)
    }

    /// Opens one of several stores, which are closed together.
    pub(crate) async fn open_stores<const N: usize>(
        name: &str,
        stores: [&'static str; N],
        durability: IdbTransactionDurability,
    ) -> Result<[Self; N], StoreError> {
        let request = factory()?.open_with_u32(name, VERSION).map_err(failed)?;
        let _create = EventListener::once(&request, "upgradeneeded", {
            let request = request.clone();
            move |_| create(&request, &stores)
        });
        let database: IdbDatabase = finished(&request).await?.unchecked_into();
        Ok(stores.map(|store| Self {
            database: database.clone(),
            store,
            durability,
        }))
    }

    /// Removes a database that nobody has open.
    pub(crate) async fn remove(name: &str) -> Result<(), StoreError> {
        let request = factory()?.delete_database(name).map_err(failed)?;
        finished(&request).await.map(drop)
    }

    /// The value of a key. Some, like keys that cannot be read, exist in no other form.
    pub(crate) async fn get(&self, key: &JsValue) -> Result<Option<JsValue>, StoreError> {
        let transaction = self.database.transaction_with_str(self.store).map_err(failed)?;
        let store = transaction.object_store(self.store).map_err(failed)?;
        let value = finished(&store.get(key).map_err(failed)?).await?;
        Ok((!value.is_undefined()).then_some(value))
    }

    /// All keys and all values, in the order of the keys.
    pub(crate) async fn all(&self) -> Result<(Array, Array), StoreError> {
        let transaction = self.database.transaction_with_str(self.store).map_err(failed)?;
        let store = transaction.object_store(self.store).map_err(failed)?;
        let keys = store.get_all_keys().map_err(failed)?;
        let values = store.get_all().map_err(failed)?;
        // Both are asked for before the first is waited for: a transaction without requests ends.
        let keys = finished(&keys).await?.unchecked_into();
        Ok((keys, finished(&values).await?.unchecked_into()))
    }

    /// The keys from one text on and before another, in their order.
    pub(crate) async fn keys(&self, from: &str, to: &str) -> Result<Array, StoreError> {
        let range = IdbKeyRange::bound_with_lower_open_and_upper_open(&from.into(), &to.into(), false, true)
            .map_err(failed)?;
        let transaction = self.database.transaction_with_str(self.store).map_err(failed)?;
        let store = transaction.object_store(self.store).map_err(failed)?;
        let keys = store.get_all_keys_with_key(&range).map_err(failed)?;
        Ok(finished(&keys).await?.unchecked_into())
    }

    /// Makes the changes durable, all or none.
    pub(crate) async fn change(&self, changes: &[Change]) -> Result<(), StoreError> {
        committed(&self.submit(changes)?).await
    }

    /// Lets go of it.
    pub(crate) fn close(&self) {
        self.database.close();
    }

    fn submit(&self, changes: &[Change]) -> Result<IdbTransaction, StoreError> {
        let options = IdbTransactionOptions::new();
        options.set_durability(self.durability);
        let transaction = self
            .database
            .transaction_with_str_and_mode_and_options(self.store, IdbTransactionMode::Readwrite, &options)
            .map_err(failed)?;
        let store = transaction.object_store(self.store).map_err(failed)?;
        for change in changes {
            if let Err(error) = apply(&store, change) {
                // All or none: what was asked for before is taken back.
                let _ = transaction.abort();
                return Err(failed(error));
            }
        }
        Ok(transaction)
    }
}

fn factory() -> Result<IdbFactory, StoreError> {
    let window = platform::window().map_err(|error| StoreError::Missing(error.to_string()))?;
    let factory = window.indexed_db().map_err(failed)?;
    factory.ok_or_else(|| StoreError::Missing("there is no IndexedDB".to_owned()))
}

fn create(request: &IdbOpenDbRequest, stores: &[&str]) {
    let database = request
        .result()
        .ok()
        .and_then(|result| result.dyn_into::<IdbDatabase>().ok());
    if let Some(database) = database {
        // A store that could not be made shows as an error of the first transaction.
        for store in stores {
            let _ = database.create_object_store(store);
        }
    }
}

fn apply(store: &IdbObjectStore, change: &Change) -> Result<IdbRequest, JsValue> {
    match change {
        Change::Put(key, value) => store.put_with_key(value, key),
        Change::Delete(key) => store.delete(key),
    }
}

/// Waits for a request's result.
async fn finished(request: &IdbRequest) -> Result<JsValue, StoreError> {
    first_of(request, ["success", "error", "blocked"]).await?;
    match request.error() {
        Ok(Some(error)) => Err(failed(error.into())),
        _ => request.result().map_err(failed),
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
            .map_or(StoreError::Closed, |error| failed(error.into()))),
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

fn failed(error: JsValue) -> StoreError {
    StoreError::from_js(&error)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn name() -> String {
        format!("test-{:x}", platform::dice())
    }

    fn put(key: &str, value: &str) -> Change {
        Change::Put(key.into(), value.into())
    }

    #[wasm_bindgen_test]
    async fn a_transaction_that_is_aborted_leaves_nothing() {
        let database = Database::open(&name(), "store").await.unwrap();
        let transaction = database.submit(&[put("a", "1")]).unwrap();
        transaction.abort().unwrap();
        assert!(committed(&transaction).await.is_err());
        assert_eq!(database.all().await.unwrap().0.length(), 0);
    }

    #[wasm_bindgen_test]
    async fn all_changes_are_made_or_none() {
        let database = Database::open(&name(), "store").await.unwrap();
        database.change(&[put("a", "1"), put("b", "2")]).await.unwrap();
        // A boolean is no key.
        let refused = [Change::Delete("a".into()), Change::Put(JsValue::TRUE, "3".into())];
        assert!(database.change(&refused).await.is_err());
        assert_eq!(database.get(&"a".into()).await.unwrap(), Some("1".into()));
        assert_eq!(database.get(&"c".into()).await.unwrap(), None);
    }

    #[wasm_bindgen_test]
    async fn a_database_that_is_removed_begins_empty() {
        let name = name();
        let database = Database::open(&name, "store").await.unwrap();
        database.change(&[put("a", "1")]).await.unwrap();
        database.close();
        Database::remove(&name).await.unwrap();
        let again = Database::open(&name, "store").await.unwrap();
        assert_eq!(again.get(&"a".into()).await.unwrap(), None);
    }
}
