//! The edge to the browser: peer connections, data channels, and the session that sets a connection up.
//!
//! Architecture invariant: nothing here decides what bytes mean; that is the pure modules' job. And no Rust closure
//! is dropped while the browser can still call it: every owner of closures clears the `on…` handlers first.

mod channel;
pub(crate) mod connection;
mod outgoing;
mod peer_connection;
pub mod session;
pub(crate) mod stream;

use wasm_bindgen::{JsCast as _, JsValue};

use crate::error::Error;

/// Turns a browser's exception into an error that says what was asked of it.
fn browser_error(operation: &'static str) -> impl FnOnce(JsValue) -> Error {
    move |exception| {
        let reason = match exception.dyn_ref::<js_sys::Error>() {
            Some(error) => String::from(error.message()),
            None => format!("{exception:?}"),
        };
        Error::Browser { operation, reason }
    }
}
