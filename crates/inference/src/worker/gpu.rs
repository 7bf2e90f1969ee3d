//! What kind of GPU the browser offers, asked before anything is downloaded or compiled for it.

use futures::future::{Either, select};
use gloo::timers::future::TimeoutFuture;
use js_sys::{Promise, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// The longest that the browser may look for an adapter. Its GPU process may have to start for that, which takes a second; one
/// that hangs never answers.
const PROBE_MS_MAX: u32 = 10_000;
/// Names of software renderers, in lower case.
const SOFTWARE: [&str; 5] = ["swiftshader", "llvmpipe", "lavapipe", "software", "basic render"];

#[wasm_bindgen]
extern "C" {
    type Gpu;

    #[wasm_bindgen(method, js_name = requestAdapter, catch)]
    fn request_adapter(this: &Gpu) -> Result<Promise, JsValue>;
}

/// An answer to [`probe`].
pub(super) enum Adapter {
    /// None, and why.
    Absent(&'static str),
    /// One that computes on the CPU.
    Software,
    /// A GPU.
    Hardware,
}

impl Adapter {
    /// Whether it computes on the CPU.
    pub(super) fn is_software(&self) -> bool {
        matches!(self, Self::Software)
    }
}

/// Asks the browser for its adapter.
pub(super) async fn probe() -> Adapter {
    let property =
        |object: &JsValue, name: &str| Reflect::get(object, &JsValue::from_str(name)).unwrap_or_default();
    let gpu = property(&property(&js_sys::global(), "navigator"), "gpu");
    if gpu.is_undefined() || gpu.is_null() {
        return Adapter::Absent("this browser has no WebGPU here");
    }
    let adapter = match gpu.unchecked_into::<Gpu>().request_adapter() {
        Ok(promise) => match select(JsFuture::from(promise), TimeoutFuture::new(PROBE_MS_MAX)).await {
            Either::Left((adapter, _)) => adapter.unwrap_or_default(),
            Either::Right(_) => return Adapter::Absent("the browser says nothing of its GPU"),
        },
        Err(_) => JsValue::UNDEFINED,
    };
    if adapter.is_undefined() || adapter.is_null() {
        return Adapter::Absent("no WebGPU adapter");
    }
    let info = property(&adapter, "info");
    let names =
        ["vendor", "architecture", "device", "description"].map(|name| property(&info, name).as_string());
    let names: String = names
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase();
    let fallback = ["isFallbackAdapter"]
        .iter()
        .any(|name| property(&info, name).is_truthy() || property(&adapter, name).is_truthy());
    if fallback || SOFTWARE.iter().any(|software| names.contains(software)) {
        Adapter::Software
    } else {
        Adapter::Hardware
    }
}
