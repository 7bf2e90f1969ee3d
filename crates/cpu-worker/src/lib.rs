//! A text encoder on the CPU behind bytes in, numbers out: on the project's own kernels, or (feature `tract`) on tract.
//!
//! A module of its own, because it is compiled three times: for wasm's fixed vectors, which every browser has; for relaxed
//! ones with fused multiply-add; and with tract, which is large and seldom needed. The inference worker imports the one that its
//! browser runs. Everything it does is in `inference::backend`; here it only meets JavaScript, with the methods that
//! `wgpu-worker`'s session has.

#![cfg(target_arch = "wasm32")]

use bytes::Bytes;
use inference::backend::Backend;
#[cfg(not(feature = "tract"))]
use inference::backend::cpu::CpuBackend as Engine;
#[cfg(feature = "tract")]
use inference::backend::tract::TractBackend as Engine;
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
    engine: Engine,
    dimension: usize,
}

/// Prepares an ONNX file: folds its constants and packs its matrices. A promise, as of every module that prepares.
///
/// # Errors
/// If the file is refused, or an operator is in the way.
#[wasm_bindgen(js_name = createSession)]
pub async fn create_session(file: Uint8Array, dimension: usize) -> Result<CpuSession, JsError> {
    let bytes = Bytes::from(file.to_vec());
    // The caller's copy is not kept alive by this call.
    drop(file);
    let engine = Engine::prepare(bytes, dimension)?;
    Ok(CpuSession { engine, dimension })
}

#[wasm_bindgen]
impl CpuSession {
    /// How many tokens are computed for a text of so many: as many.
    #[wasm_bindgen(js_name = paddedLength)]
    pub fn padded_length(&self, tokens: usize) -> usize {
        self.engine.padded_length(tokens)
    }

    /// Hidden states of one text.
    ///
    /// # Errors
    /// If the model refuses the tokens.
    pub async fn run(&mut self, ids: Int32Array) -> Result<Float32Array, JsError> {
        let hidden = self.engine.run(&wide(&ids)).await?;
        Ok(Float32Array::from(hidden.rows.as_slice()))
    }

    /// The average of the hidden states of each text, scaled to length 1. `ids` holds all texts one after the other, `lengths` says how
    /// long each is.
    ///
    /// # Errors
    /// As for a single run, or if the lengths do not add up.
    pub async fn pooled(&mut self, ids: Int32Array, lengths: Uint32Array) -> Result<Float32Array, JsError> {
        let ids = wide(&ids);
        let (mut rest, mut texts) = (&ids[..], Vec::new());
        for length in lengths.to_vec() {
            let (text, left) = rest
                .split_at_checked(length as usize)
                .ok_or_else(|| JsError::new("the lengths of the texts are more than their tokens"))?;
            texts.push(text);
            rest = left;
        }
        let vectors = self.engine.embed(&texts, self.dimension).await?;
        Ok(Float32Array::from(vectors.concat().as_slice()))
    }
}

fn wide(ids: &Int32Array) -> Vec<i64> {
    ids.to_vec().into_iter().map(i64::from).collect()
}
