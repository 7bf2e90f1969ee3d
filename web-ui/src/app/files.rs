//! Reads text files that were chosen or dropped.

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, FileList};

use super::state::App;
use crate::passages::{AddError, KNOWLEDGE_BYTES_MAX, Source};
use crate::{format, text};

/// Files taken at once.
const FILES_MAX: u32 = 50;

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
    if file.size() > KNOWLEDGE_BYTES_MAX as f64 {
        return Err(text::ask::too_large(&format::bytes(KNOWLEDGE_BYTES_MAX as u64)));
    }
    let content = JsFuture::from(file.text())
        .await
        .ok()
        .and_then(|value| value.as_string());
    let content = content.ok_or_else(|| text::ask::UNREADABLE.to_owned())?;
    let mut result = Ok(());
    app.learn(|knowledge| {
        result = knowledge.add(Source {
            name: file.name(),
            text: content,
        })
    });
    result.map_err(|error| reason(&error))
}

fn reason(error: &AddError) -> String {
    match error {
        AddError::Full { room } => text::ask::full(&format::bytes(*room as u64)),
        AddError::NotText => text::ask::NOT_TEXT.to_owned(),
        AddError::Empty => text::ask::EMPTY_FILE.to_owned(),
    }
}
