//! Catching the GPU device that wonnx keeps to itself.
//!
//! `GPUAdapter.prototype.requestDevice` is replaced by a proxy that calls it and remembers what it gives. A caught
//! device is put into error scopes at once, before wonnx uses it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, Function, Object, Promise, Proxy, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

/// The kinds of errors that WebGPU distinguishes.
const SCOPES: [&str; 3] = ["validation", "out-of-memory", "internal"];

#[wasm_bindgen]
extern "C" {
    type GpuDevice;

    #[wasm_bindgen(method, js_name = pushErrorScope)]
    fn push_error_scope(this: &GpuDevice, filter: &str);

    #[wasm_bindgen(method, js_name = popErrorScope)]
    fn pop_error_scope(this: &GpuDevice) -> Promise;

    #[wasm_bindgen(method, getter)]
    fn lost(this: &GpuDevice) -> Promise;

    type GpuError;

    #[wasm_bindgen(method, getter)]
    fn message(this: &GpuError) -> String;
}

/// A device that wonnx uses.
pub(crate) struct Device {
    device: GpuDevice,
    lost: Rc<RefCell<Option<String>>>,
}

thread_local! {
    static CAUGHT: Cell<Option<Device>> = const { Cell::new(None) };
}

/// Replaces `requestDevice`. A browser without WebGPU is left as it is.
pub(crate) fn catch_devices() -> Result<(), JsValue> {
    let adapter = Reflect::get(&js_sys::global(), &"GPUAdapter".into())?;
    if adapter.is_undefined() {
        return Ok(());
    }
    let prototype = Reflect::get(&adapter, &"prototype".into())?;
    let real: Function = Reflect::get(&prototype, &"requestDevice".into())?.unchecked_into();
    let apply = Closure::<dyn Fn(Function, JsValue, Array) -> Promise>::new(
        |request: Function, adapter: JsValue, arguments: Array| {
            future_to_promise(async move {
                let requested: Promise = Reflect::apply(&request, &adapter, &arguments)?.unchecked_into();
                let device = JsFuture::from(requested).await?;
                CAUGHT.set(Some(Device::watch(device.clone().unchecked_into())));
                Ok(device)
            })
        },
    );
    let traps = Object::new();
    Reflect::set(&traps, &"apply".into(), &apply.into_js_value())?;
    Reflect::set(&prototype, &"requestDevice".into(), &Proxy::new(&real, &traps))?;
    Ok(())
}

/// The device that was requested last, if it was not taken yet.
pub(crate) fn take_caught() -> Option<Device> {
    CAUGHT.take()
}

impl Device {
    fn watch(device: GpuDevice) -> Self {
        let lost = Rc::new(RefCell::new(None));
        let (promise, note) = (device.lost(), lost.clone());
        wasm_bindgen_futures::spawn_local(async move {
            let reason = match JsFuture::from(promise).await {
                Ok(info) => info.unchecked_into::<GpuError>().message(),
                Err(_) => String::new(),
            };
            *note.borrow_mut() = Some(reason);
        });
        let caught = Self { device, lost };
        caught.push_scopes();
        caught
    }

    /// Collects the errors of what follows.
    pub(crate) fn push_scopes(&self) {
        SCOPES
            .iter()
            .for_each(|filter| self.device.push_error_scope(filter));
    }

    /// Ends the scopes and gives the first error that they collected.
    pub(crate) async fn finish_scopes(&self) -> Result<(), JsError> {
        // All are popped before any is awaited, so that an early error leaves none behind.
        let popped: Vec<Promise> = SCOPES.iter().map(|_| self.device.pop_error_scope()).collect();
        for promise in popped {
            let error = JsFuture::from(promise)
                .await
                .map_err(|_| JsError::new("the GPU device was lost"))?;
            if !error.is_null() && !error.is_undefined() {
                return Err(JsError::new(&error.unchecked_into::<GpuError>().message()));
            }
        }
        self.check()
    }

    /// Whether the device still exists.
    pub(crate) fn check(&self) -> Result<(), JsError> {
        match &*self.lost.borrow() {
            Some(reason) => Err(JsError::new(&format!("the GPU device was lost: {reason}"))),
            None => Ok(()),
        }
    }
}
