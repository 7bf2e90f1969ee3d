//! The project's own kernels on the CPU behind bytes in, numbers out.
//!
//! A module of its own, because it is compiled twice: for wasm's fixed vectors, which every browser has, and for relaxed
//! ones with fused multiply-add. The inference worker imports the one that its browser runs. Everything it does is in
//! `inference::backend::cpu`; here it only meets JavaScript, with the methods that `wgpu-worker`'s session has.

#![cfg(target_arch = "wasm32")]

use bytes::Bytes;
use inference::backend::cpu::CpuBackend;
use inference::embed::mean_pool;
use inference::onnx;
use js_sys::{Float32Array, Int32Array, Uint8Array, Uint32Array};
use wasm_bindgen::prelude::*;

/// Installs what turns panics into JavaScript errors. Called by the module's initialisation.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| wasm_bindgen::throw_str(&panic.to_string())));
}

/// A model on the CPU.
#[wasm_bindgen]
pub struct CpuSession {
    backend: CpuBackend,
    dimension: usize,
}

/// Prepares an ONNX file: folds its constants and packs its matrices. A promise, as of every module that prepares.
///
/// # Errors
/// If the file is refused, or an operator is in the way.
#[wasm_bindgen(js_name = createSession)]
pub async fn create_session(file: Uint8Array, dimension: usize) -> Result<CpuSession, JsError> {
    let model = onnx::read(Bytes::from(file.to_vec()))?;
    // The caller's copy is not kept alive by this call.
    drop(file);
    let backend = CpuBackend::prepare(model, dimension)?;
    Ok(CpuSession { backend, dimension })
}

#[wasm_bindgen]
impl CpuSession {
    /// How many tokens are computed for a text of so many: as many.
    #[wasm_bindgen(js_name = paddedLength)]
    pub fn padded_length(&self, tokens: usize) -> usize {
        tokens
    }

    /// Hidden states of one text.
    ///
    /// # Errors
    /// If the model refuses the tokens.
    pub async fn run(&self, ids: Int32Array) -> Result<Float32Array, JsError> {
        Ok(Float32Array::from(self.hidden(&ids.to_vec())?.as_slice()))
    }

    /// The average of the hidden states of each text, scaled to length 1. `ids` holds all texts one after the other, `lengths` says how
    /// long each is.
    ///
    /// # Errors
    /// As for a single run, or if the lengths do not add up.
    pub async fn pooled(&self, ids: Int32Array, lengths: Uint32Array) -> Result<Float32Array, JsError> {
        let ids = ids.to_vec();
        let (mut rest, mut flat) = (&ids[..], Vec::new());
        for length in lengths.to_vec() {
            let (text, left) = rest
                .split_at_checked(length as usize)
                .ok_or_else(|| JsError::new("the lengths of the texts are more than their tokens"))?;
            let hidden = self.hidden(text)?;
            flat.extend(mean_pool(&hidden, &vec![1; text.len()], self.dimension));
            rest = left;
        }
        Ok(Float32Array::from(flat.as_slice()))
    }

    fn hidden(&self, ids: &[i32]) -> Result<Vec<f32>, JsError> {
        let ids: Vec<i64> = ids.iter().copied().map(i64::from).collect();
        Ok(self.backend.hidden(&ids)?.rows)
    }
}
