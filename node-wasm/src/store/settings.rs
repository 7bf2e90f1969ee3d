//! Identity and choices, by name.

use rexie::{ObjectStore, Rexie, TransactionMode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;

use super::StoreError;

const STORE: &str = "settings";

/// The database of settings.
pub(crate) struct Settings {
    database: Rexie,
}

impl Settings {
    pub(crate) async fn open(storage: &str) -> Result<Self, StoreError> {
        let database = Rexie::builder(&format!("{storage}/settings"))
            .version(1)
            .add_object_store(ObjectStore::new(STORE))
            .build()
            .await
            .map_err(|error| StoreError::Missing(error.to_string()))?;
        Ok(Self { database })
    }

    /// A value as the browser keeps it. Some, like keys that cannot be read, exist in no other form.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<JsValue>, StoreError> {
        let transaction = self
            .database
            .transaction(&[STORE], TransactionMode::ReadOnly)
            .map_err(failed)?;
        let store = transaction.store(STORE).map_err(failed)?;
        let value = store.get(JsValue::from_str(name)).await.map_err(failed)?;
        transaction.done().await.map_err(failed)?;
        Ok(value)
    }

    /// Sets all of them or none.
    pub(crate) async fn put_all(&self, values: &[(&str, &JsValue)]) -> Result<(), StoreError> {
        let transaction = self
            .database
            .transaction(&[STORE], TransactionMode::ReadWrite)
            .map_err(failed)?;
        let store = transaction.store(STORE).map_err(failed)?;
        for (name, value) in values {
            store
                .put(value, Some(&JsValue::from_str(name)))
                .await
                .map_err(failed)?;
        }
        transaction.done().await.map_err(failed)?;
        Ok(())
    }

    /// A choice; one that cannot be read any more counts as none.
    pub(crate) async fn choice<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let json = self.get(name).await.ok().flatten()?.as_string()?;
        serde_json::from_str(&json).ok()
    }

    /// Keeps a choice.
    pub(crate) async fn keep<T: Serialize>(&self, name: &str, choice: &T) -> Result<(), StoreError> {
        let json = serde_json::to_string(choice).map_err(|error| StoreError::Damaged(error.to_string()))?;
        self.put_all(&[(name, &JsValue::from_str(&json))]).await
    }
}

fn failed(error: rexie::Error) -> StoreError {
    StoreError::Browser(match &error {
        rexie::Error::IdbError(inner) => inner.to_string(),
        other => other.to_string(),
    })
}
