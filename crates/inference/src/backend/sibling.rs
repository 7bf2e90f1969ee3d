//! Modules that lie beside the worker's own script and are imported when they are first needed.

use std::future::Future;

use futures::future::{Either, select};
use gloo::timers::future::TimeoutFuture;
use js_sys::Promise;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::BackendError;

/// The longest that importing a module, or uploading and compiling in it, may take.
pub(super) const PREPARE_MS_MAX: u32 = 60_000;

#[wasm_bindgen]
extern "C" {
    /// Given by the client's loader, since wasm has no dynamic import of its own.
    #[wasm_bindgen(js_name = importSibling, catch)]
    fn import_sibling(name: &str) -> Result<Promise, JsValue>;

    type Initialised;

    #[wasm_bindgen(method, js_name = default, catch)]
    fn init(this: &Initialised) -> Result<Promise, JsValue>;
}

/// Imports a module that wasm-bindgen made, and initialises it.
///
/// # Errors
/// If the script or its wasm cannot be fetched or compiled.
pub(super) async fn import<T: JsCast>(name: &str) -> Result<T, BackendError> {
    let module = prepared(import_sibling(name)).await?;
    prepared(module.unchecked_ref::<Initialised>().init()).await?;
    Ok(module.unchecked_into())
}

/// What a preparing call resolves to.
pub(super) async fn prepared(called: Result<Promise, JsValue>) -> Result<JsValue, BackendError> {
    let promise = called.map_err(|error| BackendError::Prepare(text_of(&error)))?;
    within(PREPARE_MS_MAX, JsFuture::from(promise))
        .await
        .map_err(BackendError::Prepare)
}

/// What a run resolves to, if it does so in time.
pub(super) async fn run(limit_ms: u32, called: Result<Promise, JsValue>) -> Result<JsValue, BackendError> {
    let promise = called.map_err(|error| BackendError::Run(text_of(&error)))?;
    within(limit_ms, JsFuture::from(promise))
        .await
        .map_err(BackendError::Run)
}

async fn within(
    limit_ms: u32,
    promise: impl Future<Output = Result<JsValue, JsValue>> + Unpin,
) -> Result<JsValue, String> {
    match select(promise, TimeoutFuture::new(limit_ms)).await {
        Either::Left((result, _)) => result.map_err(|error| text_of(&error)),
        Either::Right(_) => Err(format!("no answer within {} s", limit_ms / 1000)),
    }
}

fn text_of(error: &JsValue) -> String {
    error
        .as_string()
        .unwrap_or_else(|| js_sys::Object::from(error.clone()).to_string().into())
}
