//! The project's own kernels on WebGPU behind bytes in, numbers out.
//!
//! A module of its own, so that a browser without WebGPU never downloads it. The inference worker imports it lazily.
//! Everything it does is in `inference::backend::webgpu`; here it only meets JavaScript.

#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;

use inference::backend::Backend as _;
use inference::backend::webgpu::{Machine, WebgpuBackend, bucket_for};
use inference::onnx;
use js_sys::{Float32Array, Int32Array, Uint8Array, Uint32Array};
use wasm_bindgen::prelude::*;

/// Installs what turns panics into JavaScript errors. Called by the module's initialisation.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| wasm_bindgen::throw_str(&panic.to_string())));
}

/// A model on the GPU.
#[wasm_bindgen]
pub struct WebgpuSession {
    /// Taken while a run is under way: a second run at the same time is refused.
    backend: RefCell<Option<WebgpuBackend>>,
    dimension: usize,
}

/// Prepares an ONNX file: plans it and uploads its weights. `is_software` says that the adapter
/// computes on the CPU, which browsers do not tell a module.
///
/// # Errors
/// If the file is refused, an operator is in the way, there is no device, or WebGPU reports an error.
#[wasm_bindgen(js_name = createSession)]
pub async fn create_session(
    file: Uint8Array,
    dimension: usize,
    is_software: bool,
) -> Result<WebgpuSession, JsError> {
    let model = onnx::read(bytes::Bytes::from(file.to_vec()))?;
    let machine = if is_software {
        Machine::Software
    } else {
        Machine::Gpu
    };
    let backend = WebgpuBackend::prepare(model, dimension, Some(machine)).await?;
    Ok(WebgpuSession {
        backend: RefCell::new(Some(backend)),
        dimension,
    })
}

#[wasm_bindgen]
impl WebgpuSession {
    /// How many tokens are computed for a text of so many.
    #[wasm_bindgen(js_name = paddedLength)]
    pub fn padded_length(&self, tokens: usize) -> usize {
        bucket_for(tokens).unwrap_or(tokens)
    }

    /// Hidden states of one text, padding included.
    ///
    /// # Errors
    /// If WebGPU reports an error, the device is lost, or another run is under way.
    pub async fn run(&self, ids: Int32Array) -> Result<Float32Array, JsError> {
        let ids: Vec<i64> = ids.to_vec().into_iter().map(i64::from).collect();
        let mut backend = self.take()?;
        let result = backend.run(&ids).await;
        self.backend.replace(Some(backend));
        Ok(Float32Array::from(result?.rows.as_slice()))
    }

    /// The average of the hidden states of each text. `ids` holds all texts one after the other, `lengths` says how
    /// long each is.
    ///
    /// # Errors
    /// As for a single run, or if the lengths do not add up.
    pub async fn pooled(&self, ids: Int32Array, lengths: Uint32Array) -> Result<Float32Array, JsError> {
        let ids: Vec<i64> = ids.to_vec().into_iter().map(i64::from).collect();
        let mut rest = &ids[..];
        let mut texts = Vec::new();
        for length in lengths.to_vec() {
            let (text, left) = rest
                .split_at_checked(length as usize)
                .ok_or_else(|| JsError::new("the lengths of the texts are more than their tokens"))?;
            texts.push(text);
            rest = left;
        }
        let mut backend = self.take()?;
        let result = backend.pooled(&texts).await;
        self.backend.replace(Some(backend));
        let vectors = result?;
        let mut flat = Vec::with_capacity(vectors.len() * self.dimension);
        vectors.iter().for_each(|vector| flat.extend_from_slice(vector));
        Ok(Float32Array::from(flat.as_slice()))
    }

    fn take(&self) -> Result<WebgpuBackend, JsError> {
        self.backend
            .take()
            .ok_or_else(|| JsError::new("a run is under way already"))
    }
}
