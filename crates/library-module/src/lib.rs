//! The library of one device, for a page: text in, passages out.
//!
//! A module of its own, so that a first visit loads without it. What is decided is decided in `library`; here it meets
//! JavaScript and IndexedDB. Beside it stands what else the page does without until then: QR codes.
//!
//! ```text
//! add ─▶ kept at once, searchable once a model has embedded it
//!
//! question ─▶ next(model) ─▶ texts that still wait ─┐
//!    └─────────────────────────────────────────────┴─▶ a provider ─▶ answer(model, vectors) ─▶ passages
//! ```
//!
//! [`next`](DeviceLibrary::next) begins a turn and [`answer`](DeviceLibrary::answer) ends it; a few may be open at the same time.
//! Where the browser keeps nothing the library lasts as long as the page, and [`unkept`](DeviceLibrary::unkept) says why.

#![cfg(target_arch = "wasm32")]

pub mod qr;
mod question;
mod store;
mod view;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use js_sys::{Array, Float32Array};
use library::{Kind, Library, LibraryError, Limits, Loader, NewDocument, PassageId, Provenance, Scope};
use wasm_bindgen::prelude::*;

use question::Question;
use store::Store;
use view::{DocumentView, json};

/// Installs what turns panics into JavaScript errors. Called by the module's initialisation.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| wasm_bindgen::throw_str(&panic.to_string())));
}

/// What this device knows.
#[wasm_bindgen]
pub struct DeviceLibrary {
    library: RefCell<Library>,
    store: Store,
    /// Turn by turn, the passages whose vectors come with its answer, in order.
    asked: RefCell<BTreeMap<u32, Vec<PassageId>>>,
    last_turn: Cell<u32>,
}

/// Turns that are open at the same time; beyond, the oldest is over.
const TURNS_MAX: usize = 4;

/// Opens what a former visit kept. Pieces that are damaged are left out.
///
/// # Errors
/// Never for want of storage: then the library lasts as long as the page.
#[wasm_bindgen(js_name = openLibrary)]
pub async fn open_library() -> Result<DeviceLibrary, JsError> {
    let store = Store::open().await;
    let mut loader = Loader::new(Limits::default())?;
    for prefix in Loader::PREFIXES {
        for (key, value) in store.below(prefix).await {
            // What is damaged costs what is in it and nothing else.
            let _ = loader.take(&key, &value);
        }
    }
    let mut library = loader.finish();
    // What was forgotten on a former visit cannot be brought back any more.
    let forgotten: Vec<_> = library.forgotten().map(|document| document.name).collect();
    for name in forgotten {
        library.erase(&name)?;
    }
    store.write(library.take_writes()).await?;
    Ok(DeviceLibrary {
        library: RefCell::new(library),
        store,
        asked: RefCell::default(),
        last_turn: Cell::default(),
    })
}

#[wasm_bindgen]
impl DeviceLibrary {
    /// The documents as JSON, in the order in which they were added.
    #[must_use]
    pub fn documents(&self) -> String {
        let library = self.library.borrow();
        let mut documents: Vec<_> = library.documents().collect();
        documents.sort_by_key(|document| document.provenance.added_at_ms);
        json(documents.into_iter().map(DocumentView::of).collect::<Vec<_>>())
    }

    /// How many passages no model in use has embedded yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let library = self.library.borrow();
        let waiting = best_model(&library).map(|(_, _, waiting)| waiting);
        waiting.unwrap_or_else(|| library.documents().map(library::Document::passage_count).sum())
    }

    /// Why it lasts only as long as this page; nothing if the browser keeps it.
    #[must_use]
    pub fn unkept(&self) -> Option<String> {
        self.store.unkept()
    }

    /// Keeps a text and tells its name. `title` is a file's name, by which its kind is known, or empty for notes, whose paragraphs
    /// are passages of their own. A text that was removed comes back.
    ///
    /// # Errors
    /// Why it cannot be kept, for people. Nothing has changed then.
    pub async fn add(&self, title: String, text: String, now_ms: f64) -> Result<String, JsError> {
        let kind = match title.is_empty() {
            true => Kind::Notes,
            // What has another ending than a text's may be one all the same.
            false => Kind::of_file(&title).unwrap_or(Kind::Plain),
        };
        let (name, writes) = {
            let mut library = self.library.borrow_mut();
            let name = add(&mut library, kind, &title, &text, now_ms)?;
            (name, library.take_writes())
        };
        if let Err(error) = self.store.write(writes).await {
            // What is not written down must not look as if it were kept.
            let mut library = self.library.borrow_mut();
            library.forget(&name, milliseconds(now_ms))?;
            library.erase(&name)?;
            library.take_writes();
            return Err(error);
        }
        Ok(view::hex(&name))
    }

    /// Removes a document. It can be brought back until the page closes.
    ///
    /// # Errors
    /// If there is no such document, or the browser does not write that down.
    pub async fn remove(&self, name: &str, now_ms: f64) -> Result<(), JsError> {
        self.library
            .borrow_mut()
            .forget(&view::name(name)?, milliseconds(now_ms))?;
        self.keep().await
    }

    /// Brings back what was removed.
    ///
    /// # Errors
    /// If there is nothing of the name to bring back, or the browser does not write that down.
    #[wasm_bindgen(js_name = bringBack)]
    pub async fn bring_back(&self, name: &str) -> Result<(), JsError> {
        self.library.borrow_mut().undo_forget(&view::name(name)?)?;
        self.keep().await
    }

    /// The model that most passages have vectors of: a question has to be embedded by the same.
    #[must_use]
    pub fn model(&self) -> Option<Vec<u8>> {
        best_model(&self.library.borrow()).map(|(id, ..)| id.to_vec())
    }

    /// The number of a turn, and behind it the texts that are to be embedded before all can be searched, at most `count` of them.
    /// Their vectors come with the answer.
    ///
    /// # Errors
    /// If the browser cannot read them.
    pub async fn next(&self, model: Option<Vec<u8>>, count: usize) -> Result<Array, JsError> {
        let model = model.map(|id| view::model(&id)).transpose()?;
        let waiting = question::waiting(&self.library.borrow(), model.as_ref(), count);
        let turn = self.last_turn.get().wrapping_add(1);
        self.last_turn.set(turn);
        let mut asked = Vec::new();
        let texts = Array::of1(&turn.into());
        for passage in waiting {
            // A piece that is damaged is passed by.
            if let Some(text) = self.read(passage).await? {
                asked.push(passage);
                texts.push(&text.for_embedding().into());
            }
        }
        let mut turns = self.asked.borrow_mut();
        turns.insert(turn, asked);
        if turns.len() > TURNS_MAX {
            turns.pop_first();
        }
        Ok(texts)
    }

    /// Takes the vectors of a question and of the texts that [`next`](Self::next) gave in this turn, in this order, and tells the
    /// `count` nearest passages as JSON, best first. `keeps` says that somebody checked the vectors: others serve this question alone.
    ///
    /// # Errors
    /// If the turn is over, or the numbers are not so many vectors or cannot be used. Nothing is kept then.
    pub async fn answer(
        &self,
        turn: u32,
        model: &[u8],
        values: &Float32Array,
        keeps: bool,
        count: usize,
    ) -> Result<String, JsError> {
        let asked = self.asked.borrow_mut().remove(&turn);
        let asked =
            asked.ok_or_else(|| JsError::new("others were asked since, and this question is over"))?;
        let question = Question::new(view::model(model)?, values.to_vec(), asked)?;
        let hits = question.answer(&mut self.library.borrow_mut(), keeps, count)?;
        if keeps {
            // Vectors can be computed again: what is not written down costs no more than that.
            let _ = self.keep().await;
        }
        let mut passages = Vec::new();
        for hit in hits {
            if let Some(text) = self.read(hit.passage).await? {
                let library = self.library.borrow();
                passages.push(view::PassageView::of(&library, &hit, text));
            }
        }
        Ok(json(passages))
    }
}

impl DeviceLibrary {
    async fn keep(&self) -> Result<(), JsError> {
        let writes = self.library.borrow_mut().take_writes();
        self.store.write(writes).await
    }

    /// A passage in words; `None` if its piece is gone or damaged.
    async fn read(&self, passage: PassageId) -> Result<Option<library::PassageText>, JsError> {
        let Some(place) = self.library.borrow().locate(passage) else {
            return Ok(None);
        };
        let value = self.store.get(&place.key).await?;
        Ok(value.and_then(|value| place.read(&value).ok()))
    }
}

/// Takes a text, also one that was removed: whoever adds it again wants it again.
fn add(
    library: &mut Library,
    kind: Kind,
    title: &str,
    text: &str,
    now_ms: f64,
) -> Result<blob::Name, LibraryError> {
    let new = || NewDocument {
        kind,
        text,
        provenance: Provenance {
            title: title.to_owned(),
            added_at_ms: milliseconds(now_ms),
            scope: Scope::Device,
            ..Provenance::default()
        },
    };
    let refused = match library.add(new()) {
        Err(error @ (LibraryError::Forgotten { .. } | LibraryError::Replaced { .. })) => error,
        added => return added.map(|added| added.name),
    };
    let cut = library::cut::cut(kind, text, &Limits::default())?;
    let Ok(outline) = blob::Outline::of(cut.text.as_bytes()) else {
        return Err(refused);
    };
    match library.undo_forget(outline.name())? {
        true => Ok(*outline.name()),
        false => library.add(new()).map(|added| added.name),
    }
}

/// The model with most vectors, how many these are, and how many passages wait for one of it.
fn best_model(library: &Library) -> Option<(library::ModelId, usize, usize)> {
    let models = library
        .models()
        .map(|(id, _, vectors, waiting)| (*id, vectors, waiting));
    models
        .filter(|(_, vectors, _)| *vectors > 0)
        .max_by_key(|(_, vectors, _)| *vectors)
}

/// JavaScript's times are whole numbers below 2^53.
fn milliseconds(now_ms: f64) -> u64 {
    now_ms as u64
}
