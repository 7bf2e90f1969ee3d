//! Reads text files that were chosen or dropped.

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, FileList};

use super::library;
use super::state::App;
use crate::{format, text};

/// Files taken at once.
const FILES_MAX: u32 = 50;
/// Longest file; the library takes no longer text.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads the files one after the other and adds them to what this device knows.
pub(crate) fn add(app: App, files: Option<FileList>) {
    let Some(files) = files else { return };
    let files: Vec<File> = (0..files.length().min(FILES_MAX))
        .filter_map(|index| files.get(index))
        .collect();
    spawn_local(async move {
        for file in files {
            if let Err(reason) = add_one(app, &file).await {
                app.error.set(Some(text::ask::not_added(&file.name(), &reason)));
            }
        }
    });
}

async fn add_one(app: App, file: &File) -> Result<(), String> {
    // Refused by its size before it is read into memory.
    if file.size() > FILE_BYTES_MAX as f64 {
        return Err(text::ask::too_large(&format::bytes(FILE_BYTES_MAX)));
    }
    let content = JsFuture::from(file.text())
        .await
        .ok()
        .and_then(|value| value.as_string());
    let content = content.ok_or_else(|| text::ask::UNREADABLE.to_owned())?;
    // Browsers put this letter where bytes are none of a text.
    if content.contains(['\0', '\u{fffd}']) {
        return Err(text::ask::NOT_TEXT.to_owned());
    }
    library::add(app, &file.name(), &content).await
}
