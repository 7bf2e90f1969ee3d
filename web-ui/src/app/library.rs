//! What this device knows, through the library's own module: loaded when the node runs, not with the page.

use js_sys::{Date, Float32Array};
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use super::prefs;
use super::state::App;
use crate::text::ask as words;

#[wasm_bindgen]
extern "C" {
    /// Set by `boot.js`: imports the module and opens what is kept.
    #[wasm_bindgen(js_name = openLibrary, catch)]
    async fn open_library() -> Result<JsValue, JsValue>;

    /// `DeviceLibrary` of `crates/library-module`.
    #[derive(Clone)]
    pub(crate) type DeviceLibrary;
    #[wasm_bindgen(method)]
    fn documents(this: &DeviceLibrary) -> String;
    #[wasm_bindgen(method)]
    pub(crate) fn waiting(this: &DeviceLibrary) -> u32;
    #[wasm_bindgen(method)]
    fn unkept(this: &DeviceLibrary) -> Option<String>;
    #[wasm_bindgen(method, catch)]
    async fn add(this: &DeviceLibrary, title: &str, text: &str, now_ms: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn remove(this: &DeviceLibrary, name: &str, now_ms: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = bringBack)]
    async fn bring_back(this: &DeviceLibrary, name: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method)]
    pub(crate) fn model(this: &DeviceLibrary) -> Option<Vec<u8>>;
    #[wasm_bindgen(method, catch)]
    async fn next(this: &DeviceLibrary, model: Option<Vec<u8>>, count: u32) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn answer(
        this: &DeviceLibrary,
        turn: f64,
        model: Vec<u8>,
        values: Float32Array,
        keeps: bool,
        count: u32,
    ) -> Result<JsValue, JsValue>;
}

/// A document in the list.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct DocumentRow {
    pub(crate) name: String,
    /// A file's name; empty for notes.
    pub(crate) title: String,
    pub(crate) bytes: u64,
    pub(crate) passages: usize,
}

/// A passage near a question.
#[derive(Clone, PartialEq, Deserialize)]
pub(crate) struct Hit {
    pub(crate) score: f32,
    pub(crate) title: String,
    pub(crate) number: u32,
    pub(crate) context: String,
    pub(crate) text: String,
}

/// What the list shows.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Known {
    pub(crate) documents: Vec<DocumentRow>,
    /// Passages that no model has embedded yet.
    pub(crate) waiting: u32,
    /// Why all of it lasts only as long as the page.
    pub(crate) unkept: Option<String>,
}

impl Known {
    pub(crate) fn passages(&self) -> usize {
        self.documents.iter().map(|document| document.passages).sum()
    }
}

/// Opens the library once. Texts that an earlier version of this page kept are taken in.
pub(crate) fn open(app: App) {
    spawn_local(async move {
        match open_library().await {
            Ok(library) => {
                app.set_library(library.unchecked_into());
                let mut are_taken = true;
                for (title, text) in prefs::former_texts() {
                    if let Err(reason) = add(app, &title, &text).await {
                        are_taken = false;
                        app.error.set(Some(words::not_added(&title, &reason)));
                    }
                }
                // What was refused stays where it was.
                if are_taken {
                    prefs::forget_former_texts();
                }
                refresh(app);
            }
            Err(error) => app.error.set(Some(words::no_library(&said(&error)))),
        }
    });
}

/// Brings the list up to date.
pub(crate) fn refresh(app: App) {
    if let Some(library) = app.library() {
        app.known.set(Some(Known {
            documents: serde_json::from_str(&library.documents()).unwrap_or_default(),
            waiting: library.waiting(),
            unkept: library.unkept(),
        }));
    }
}

/// Keeps a text; the title is a file's name, or empty for notes.
pub(crate) async fn add(app: App, title: &str, text: &str) -> Result<(), String> {
    let library = app.library().ok_or_else(|| words::NOT_OPEN.to_owned())?;
    let added = library.add(title, text, Date::now()).await;
    refresh(app);
    added.map(drop).map_err(|error| said(&error))
}

/// Takes the notes in the field in, if there are any.
pub(crate) async fn add_draft(app: App) -> Result<(), String> {
    let draft = app.draft.get_untracked();
    if draft.trim().is_empty() {
        return Ok(());
    }
    add(app, "", &draft).await?;
    // What was written meanwhile is not added yet.
    if app.draft.with_untracked(|now| *now == draft) {
        app.write(String::new());
    }
    Ok(())
}

pub(crate) fn remove(app: App, name: String, done: impl FnOnce() + 'static) {
    spawn_local(async move {
        let Some(library) = app.library() else { return };
        let removed = library.remove(&name, Date::now()).await;
        refresh(app);
        match removed {
            Ok(()) => done(),
            Err(error) => app.error.set(Some(said(&error))),
        }
    });
}

pub(crate) fn bring_back(app: App, name: String) {
    spawn_local(async move {
        let Some(library) = app.library() else { return };
        if let Err(error) = library.bring_back(&name).await {
            app.error.set(Some(said(&error)));
        }
        refresh(app);
    });
}

/// A turn, and the texts to be embedded before all can be searched.
pub(crate) async fn next(
    library: &DeviceLibrary,
    model: Option<Vec<u8>>,
    count: usize,
) -> Result<(f64, Vec<String>), String> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let all = library.next(model, count).await.map_err(|error| said(&error))?;
    let all = js_sys::Array::from(&all);
    let turn = all.shift().as_f64().unwrap_or_default();
    Ok((turn, all.iter().filter_map(|text| text.as_string()).collect()))
}

/// The passages nearest to a question, from its vector and those of the texts that [`next`] gave in this turn.
pub(crate) async fn answer(
    library: &DeviceLibrary,
    turn: f64,
    model: &[u8],
    values: &[f32],
    keeps: bool,
) -> Result<Vec<Hit>, String> {
    let values = Float32Array::from(values);
    let found = library
        .answer(turn, model.to_vec(), values, keeps, HITS_MAX)
        .await;
    let found = found.map_err(|error| said(&error))?;
    serde_json::from_str(&found.as_string().unwrap_or_default()).map_err(|error| error.to_string())
}

/// Passages of one answer.
const HITS_MAX: u32 = 20;

/// An error of the module's in its own words.
fn said(error: &JsValue) -> String {
    js_sys::Reflect::get(error, &"message".into())
        .ok()
        .and_then(|message| message.as_string())
        .unwrap_or_else(|| words::UNREADABLE.to_owned())
}
