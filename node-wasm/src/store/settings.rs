//! Identity and choices, by name.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;

use super::StoreError;
use super::database::{Change, Database};

const STORE: &str = "settings";

/// The database of settings.
pub(crate) struct Settings {
    database: Database,
    storage: String,
}

impl Settings {
    pub(crate) async fn open(storage: &str) -> Result<Self, StoreError> {
        let database = Database::open(&format!("{storage}/settings"), STORE)
            .await
            .map_err(|error| StoreError::Missing(error.to_string()))?;
        let storage = storage.to_owned();
        Ok(Self { database, storage })
    }

    /// The name that the page gave to this node's storage.
    pub(crate) fn storage(&self) -> &str {
        &self.storage
    }

    /// A value as the browser keeps it.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<JsValue>, StoreError> {
        self.database.get(&JsValue::from_str(name)).await
    }

    /// Sets all of them or none.
    pub(crate) async fn put_all(&self, values: &[(&str, &JsValue)]) -> Result<(), StoreError> {
        let changes: Vec<Change> = values
            .iter()
            .map(|(name, value)| Change::Put(JsValue::from_str(name), (*value).clone()))
            .collect();
        self.database.change(&changes).await
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
