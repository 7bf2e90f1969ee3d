//! The browser, as far as the page touches it directly. Failures of optional features are `None` or `false`.

use gloo::events::EventListener;
use gloo::timers::callback::Timeout;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::JsCast as _;
use web_sys::{Blob, Document, HtmlAnchorElement, HtmlDialogElement, Storage, Url, Window};

/// How long a browser is given to read what it saves.
const SAVING_MS: u32 = 60_000;

pub(crate) fn window() -> Option<Window> {
    web_sys::window()
}

pub(crate) fn document() -> Option<Document> {
    window()?.document()
}

/// Removes an element.
pub(crate) fn remove(id: &str) {
    if let Some(element) = document().and_then(|document| document.get_element_by_id(id)) {
        element.remove();
    }
}

/// Names the page in tabs and history.
pub(crate) fn set_title(title: &str) {
    if let Some(document) = document() {
        document.set_title(title);
    }
}

/// Moves the keyboard to an element.
pub(crate) fn focus(id: &str) {
    let element = document().and_then(|document| document.get_element_by_id(id));
    if let Some(element) = element.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok()) {
        // Only a detached element refuses.
        let _ = element.focus();
    }
}

/// Opens a dialog of the page above everything else.
pub(crate) fn show_dialog(id: &str) {
    if let Some(dialog) = dialog(id).filter(|dialog| !dialog.open()) {
        // Refused only if it is open already.
        let _ = dialog.show_modal();
    }
}

/// Closes it; the focus returns to where it was.
pub(crate) fn close_dialog(id: &str) {
    if let Some(dialog) = dialog(id) {
        dialog.close();
    }
}

fn dialog(id: &str) -> Option<HtmlDialogElement> {
    document()?.get_element_by_id(id)?.dyn_into().ok()
}

/// Listens for as long as the page lives.
pub(crate) fn on_window(event: &'static str, mut listener: impl FnMut() + 'static) {
    if let Some(window) = window() {
        EventListener::new(&window, event, move |_| listener()).forget();
    }
}

/// Listens on the document for as long as the page lives.
pub(crate) fn on_document(event: &'static str, mut listener: impl FnMut() + 'static) {
    if let Some(document) = document() {
        EventListener::new(&document, event, move |_| listener()).forget();
    }
}

/// Whether the page is in the background.
pub(crate) fn hidden() -> bool {
    document().is_some_and(|document| document.hidden())
}

/// Whether the browser believes in a network.
pub(crate) fn online() -> bool {
    window().is_none_or(|window| window.navigator().on_line())
}

/// Whether the browser offers what needs https.
pub(crate) fn secure() -> bool {
    window().is_some_and(|window| window.is_secure_context())
}

/// The part of the address behind `#`, with it.
pub(crate) fn fragment() -> String {
    window()
        .and_then(|window| window.location().hash().ok())
        .unwrap_or_default()
}

/// Where the page came from.
pub(crate) fn origin() -> String {
    window()
        .and_then(|window| window.location().origin().ok())
        .unwrap_or_default()
}

/// The host without its port.
pub(crate) fn host() -> String {
    window()
        .and_then(|window| window.location().hostname().ok())
        .unwrap_or_default()
}

/// Takes the fragment out of the address bar and of the history.
pub(crate) fn clear_fragment() {
    let replaced = window().and_then(|window| {
        let path = window.location().pathname().ok()?;
        window
            .history()
            .ok()?
            .replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&path))
            .ok()
    });
    debug_assert!(replaced.is_some(), "a page may always replace its own address");
}

/// Loads the page again.
pub(crate) fn reload() {
    if let Some(window) = window() {
        // Refused only while the page is being closed.
        let _ = window.location().reload();
    }
}

/// The settings store; `None` where the browser keeps nothing.
pub(crate) fn storage() -> Option<Storage> {
    window()?.local_storage().ok().flatten()
}

/// Hands bytes to the browser's downloads.
pub(crate) fn save(bytes: &Uint8Array, name: &str) -> Option<()> {
    let blob = Blob::new_with_u8_array_sequence(&Array::of1(bytes)).ok()?;
    let url = Url::create_object_url_with_blob(&blob).ok()?;
    let link: HtmlAnchorElement = document()?.create_element("a").ok()?.unchecked_into();
    link.set_href(&url);
    link.set_download(name);
    link.click();
    // What is not released goes with the page.
    Timeout::new(SAVING_MS, move || drop(Url::revoke_object_url(&url))).forget();
    Some(())
}
