//! What sticks on this device besides the node's own state: the group, choices, and the texts.
//!
//! Kept as JSON in the browser's settings store, which is synchronous: the group must be known before the node starts.

use node_proto::service::Scope;
use node_wasm::status::Backend;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::platform;

const PREFS_KEY: &str = "knowledge.prefs";
const DRAFT_KEY: &str = "knowledge.draft";
/// Where the page kept all texts before there was a library.
const FORMER_TEXTS_KEY: &str = "knowledge.texts";

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

/// Notes that are written and not yet added.
pub(crate) fn draft() -> String {
    read(DRAFT_KEY)
}

/// Whether they were kept.
pub(crate) fn keep_draft(draft: &String) -> bool {
    write(DRAFT_KEY, draft)
}

/// Removes the texts of before there was a library, which has them now.
pub(crate) fn forget_former_texts() {
    if let Some(storage) = platform::storage() {
        // What stays is taken in once more, and is the same then.
        let _ = storage.remove_item(FORMER_TEXTS_KEY);
    }
}

/// Titles and texts of before there was a library.
pub(crate) fn former_texts() -> Vec<(String, String)> {
    let former: serde_json::Value = read(FORMER_TEXTS_KEY);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let pasted = (String::new(), text(&former["pasted"]));
    let files = former["files"].as_array().into_iter().flatten();
    let files = files.map(|file| (text(&file["name"]), text(&file["text"])));
    let all = std::iter::once(pasted).chain(files);
    all.filter(|(_, text)| !text.trim().is_empty()).collect()
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
