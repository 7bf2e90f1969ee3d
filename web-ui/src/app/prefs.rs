//! What sticks on this device besides the node's own state: the group, choices, and the texts.
//!
//! Kept as JSON in the browser's settings store, which is synchronous: the group must be known before the node starts.

use node_proto::service::Scope;
use node_wasm::status::Backend;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::platform;
use crate::passages::Knowledge;

const PREFS_KEY: &str = "knowledge.prefs";
const KNOWLEDGE_KEY: &str = "knowledge.texts";

/// Choices that stick. Unknown fields of a newer version are ignored, missing ones have defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Prefs {
    /// The secret of the group this device is in; `None` is the relay's open group.
    pub(crate) group: Option<String>,
    /// The group before, so that leaving can be undone.
    pub(crate) former_group: Option<String>,
    /// Who may compute a question.
    pub(crate) scope: Scope,
    /// The pinned backend.
    pub(crate) pin: Option<Backend>,
}

impl Prefs {
    pub(crate) fn load() -> Self {
        read(PREFS_KEY)
    }

    /// Whether it was kept.
    pub(crate) fn save(&self) -> bool {
        write(PREFS_KEY, self)
    }
}

pub(crate) fn knowledge() -> Knowledge {
    read(KNOWLEDGE_KEY)
}

/// Whether it was kept.
pub(crate) fn keep_knowledge(knowledge: &Knowledge) -> bool {
    write(KNOWLEDGE_KEY, knowledge)
}

fn read<T: DeserializeOwned + Default>(key: &str) -> T {
    let kept = platform::storage().and_then(|storage| storage.get_item(key).ok().flatten());
    kept.and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default()
}

fn write<T: Serialize>(key: &str, value: &T) -> bool {
    let kept = || {
        platform::storage()?
            .set_item(key, &serde_json::to_string(value).ok()?)
            .ok()
    };
    kept().is_some()
}
