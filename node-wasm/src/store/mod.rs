//! What survives the tab.
//!
//! Four databases: [`blobs`] keeps what this device keeps for others, and its own that others keep; [`settings`] keeps the identity and a person's choices, [`ledger`] the core's pairs, [`files`] the models'
//! files. The first two ask for `durability: "strict"`, which crates for IndexedDB do not: a receipt that was acknowledged must
//! survive a power cut, and so must the key that signed it.

pub(crate) mod blobs;
mod database;
pub(crate) mod files;
pub(crate) mod ledger;
pub(crate) mod settings;

pub(crate) use database::Database;

/// Why storage refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// The browser has no IndexedDB here, as in some private modes.
    #[error("this browser keeps nothing here: {0}")]
    Missing(String),
    /// No room.
    #[error("the disk, or this site's share of it, is full")]
    Quota,
    /// The browser closed the database, or a newer tab wants another format.
    #[error("the browser closed the database")]
    Closed,
    /// What is stored has another shape.
    #[error("a stored record is damaged: {0}")]
    Damaged(String),
    /// Anything else.
    #[error("the browser's database failed: {0}")]
    Browser(String),
}

impl StoreError {
    /// By the name of the exception.
    pub(crate) fn from_js(error: &wasm_bindgen::JsValue) -> Self {
        use wasm_bindgen::JsCast as _;
        match error
            .dyn_ref::<web_sys::DomException>()
            .map(web_sys::DomException::name)
            .as_deref()
        {
            Some("QuotaExceededError") => Self::Quota,
            Some("InvalidStateError") => Self::Closed,
            _ => Self::Browser(crate::platform::text_of(error)),
        }
    }
}
