//! wonnx on WebGPU behind bytes in, numbers out.
//!
//! A module of its own, with its own lock file, because wonnx 0.5.1 compiles only against web-sys 0.3.64. The
//! inference worker imports it lazily and passes it a graph that was lowered to what wonnx computes correctly.
//!
//! Invariant: a run that the GPU reported an error about is an error here. wonnx itself returns `Ok` with wrong numbers
//! when the browser rejects a shader, and it hides its device; so the device is caught when wonnx requests it
//! ([`device`]), everything runs inside its error scopes, and its loss is remembered.

mod device;

use std::borrow::Cow;
use std::collections::HashMap;

use js_sys::{Float32Array, Int32Array, Uint8Array};
use wasm_bindgen::prelude::*;
use wonnx::Session;
use wonnx::utils::{InputTensor, OutputTensor};

use device::Device;

/// Installs what catches devices and panics. Called by the module's initialisation.
#[wasm_bindgen(start)]
pub fn start() -> Result<(), JsValue> {
    std::panic::set_hook(Box::new(|panic| wasm_bindgen::throw_str(&panic.to_string())));
    device::catch_devices()
}

/// A lowered graph on the GPU.
#[wasm_bindgen]
pub struct WonnxSession {
    session: Session,
    device: Device,
    output: String,
}

/// Prepares a lowered graph: uploads its weights and compiles its shaders.
///
/// # Errors
/// If wonnx refuses the graph, or the browser a shader or a buffer.
#[wasm_bindgen(js_name = createSession)]
pub async fn create_session(onnx: Uint8Array, output: String) -> Result<WonnxSession, JsError> {
    let created = Session::from_bytes(&onnx.to_vec()).await;
    let device = device::take_caught().ok_or_else(|| JsError::new("the browser gave no WebGPU device"))?;
    device.finish_scopes().await?;
    let session = created.map_err(|error| JsError::new(&error.to_string()))?;
    Ok(WonnxSession {
        session,
        device,
        output,
    })
}

#[wasm_bindgen]
impl WonnxSession {
    /// Runs the graph on token ids and an attention mask, both padded to the graph's length.
    ///
    /// # Errors
    /// If wonnx fails, the browser reports an error, or the device is lost.
    pub async fn run(&self, ids: Int32Array, mask: Float32Array) -> Result<Float32Array, JsError> {
        self.device.check()?;
        self.device.push_scopes();
        let (ids, mask) = (ids.to_vec(), mask.to_vec());
        let inputs = HashMap::from([
            ("input_ids".to_owned(), InputTensor::I32(Cow::Owned(ids))),
            ("attention_mask".to_owned(), InputTensor::F32(Cow::Owned(mask))),
            ("zero".to_owned(), InputTensor::F32(Cow::Owned(vec![0.0]))),
        ]);
        let result = self.session.run(&inputs).await;
        self.device.finish_scopes().await?;
        let mut outputs = result.map_err(|error| JsError::new(&error.to_string()))?;
        match outputs.remove(&self.output) {
            Some(OutputTensor::F32(values)) => Ok(Float32Array::from(values.as_slice())),
            _ => Err(JsError::new("wonnx gave no output of floats")),
        }
    }
}
