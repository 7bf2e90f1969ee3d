//! The project's own kernels, through a module of their own that is imported when it is first needed.
//!
//! The module (`crates/wgpu-worker`) holds the device, the weights and the plans. Here each text's tokens go in and
//! vectors come out, with a deadline: a shader that hangs must not hang the worker's other models with it.

use bytes::Buf;
use js_sys::{Float32Array, Int32Array, Promise, Uint8Array, Uint32Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::{Backend, BackendError, Hidden, sibling};
use crate::chunks::Chunks;
use crate::embed::mean_pool;
use crate::protocol::BackendKind;

/// The module, beside the worker's own script.
const MODULE: &str = "wgpu_worker.js";
/// The longest that a text may take on a GPU. The slowest GPUs need a tenth of it; what takes longer hangs.
const GPU_RUN_MS_MAX: u32 = 4_000;
/// The longest that it may take on a software renderer, which shares its processor with everything else.
const SOFTWARE_RUN_MS_MAX: u32 = 30_000;

#[wasm_bindgen]
extern "C" {
    type Module;

    #[wasm_bindgen(method, js_name = createSession, catch)]
    fn create_session(
        this: &Module,
        onnx: Uint8Array,
        dimension: usize,
        is_software: bool,
    ) -> Result<Promise, JsValue>;

    type Session;

    #[wasm_bindgen(method, js_name = paddedLength)]
    fn padded_length(this: &Session, tokens: usize) -> usize;

    #[wasm_bindgen(method, catch)]
    fn run(this: &Session, ids: Int32Array) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn pooled(this: &Session, ids: Int32Array, lengths: Uint32Array) -> Result<Promise, JsValue>;

    /// Refuses while a run is under way.
    #[wasm_bindgen(method, catch)]
    fn free(this: &Session) -> Result<(), JsValue>;
}

/// A model prepared by the module.
pub struct WebgpuModule {
    session: Session,
    dimension: usize,
    run_ms_max: u32,
}

impl WebgpuModule {
    /// Imports the module and hands it the model's file.
    ///
    /// # Errors
    /// If the module cannot be imported, an operator is in the way, or the GPU refuses something.
    pub async fn prepare(onnx: Chunks, dimension: usize, is_software: bool) -> Result<Self, BackendError> {
        let module: Module = sibling::import(MODULE).await?;
        let created = module.create_session(array(onnx), dimension, is_software);
        let session = sibling::prepared(created).await?.unchecked_into();
        let run_ms_max = if is_software {
            SOFTWARE_RUN_MS_MAX
        } else {
            GPU_RUN_MS_MAX
        };
        Ok(Self {
            session,
            dimension,
            run_ms_max,
        })
    }
}

impl Backend for WebgpuModule {
    fn kind(&self) -> BackendKind {
        BackendKind::Webgpu
    }

    fn padded_length(&self, tokens: usize) -> usize {
        self.session.padded_length(tokens)
    }

    async fn run(&mut self, ids: &[i64]) -> Result<Hidden, BackendError> {
        let running = self.session.run(integers(ids)?);
        let rows = sibling::run(self.run_ms_max, running).await?;
        let rows = rows.unchecked_into::<Float32Array>().to_vec();
        Ok(Hidden { rows })
    }

    async fn embed(&mut self, texts: &[&[i64]], dimension: usize) -> Result<Vec<Vec<f32>>, BackendError> {
        let lengths: Vec<u32> = texts.iter().map(|text| text.len() as u32).collect();
        let ids = integers(&texts.concat())?;
        let running = self.session.pooled(ids, Uint32Array::from(lengths.as_slice()));
        let limit_ms = self
            .run_ms_max
            .saturating_mul(u32::try_from(texts.len()).unwrap_or(u32::MAX).max(1));
        let flat = sibling::run(limit_ms, running).await?;
        let flat = flat.unchecked_into::<Float32Array>().to_vec();
        let expected = texts.len() * self.dimension;
        if flat.len() != expected || dimension != self.dimension {
            return Err(BackendError::Shape {
                expected,
                actual: flat.len(),
            });
        }
        Ok(flat
            .chunks_exact(dimension)
            .map(|average| mean_pool(average, &[1], dimension))
            .collect())
    }
}

impl Drop for WebgpuModule {
    fn drop(&mut self) {
        // A run that hangs still holds it; then the owner ends the worker, and the memory with it.
        drop(self.session.free());
    }
}

/// A file for JavaScript, piece by piece, so that it is in this module's memory only once.
fn array(mut file: Chunks) -> Uint8Array {
    // A file is at most `MODEL_BYTES_MAX` long, which fits.
    let array = Uint8Array::new_with_length(file.remaining() as u32);
    let mut start = 0;
    while file.has_remaining() {
        let length = file.chunk().len();
        let end = start + length as u32;
        array.subarray(start, end).copy_from(file.chunk());
        file.advance(length);
        start = end;
    }
    array
}

fn integers(ids: &[i64]) -> Result<Int32Array, BackendError> {
    let narrow =
        |&id| i32::try_from(id).map_err(|_| BackendError::Run(format!("token {id} is out of range")));
    let ids = ids.iter().map(narrow).collect::<Result<Vec<_>, _>>()?;
    Ok(Int32Array::from(ids.as_slice()))
}
