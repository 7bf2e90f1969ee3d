//! The project's own kernels, and tract, through modules of their own that are imported when they are first needed.
//!
//! Each module (`crates/wgpu-worker`, `crates/cpu-worker` with either engine) holds weights and plans, and they have the same methods. Here
//! each text's tokens go in and vectors come out, with a deadline: a shader that hangs must not hang the worker's other
//! models with it. On the CPU nothing can be cut short from within its own thread; the client ends a worker that hangs.

use bytes::Buf;
use js_sys::{Float32Array, Int32Array, Promise, Uint8Array, Uint32Array, WebAssembly};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::{Backend, BackendError, Hidden, sibling};
use crate::chunks::Chunks;
use crate::embed::mean_pool;
use crate::protocol::BackendKind;

/// WebGPU's module, beside the worker's own script.
const WEBGPU: &str = "wgpu_worker.js";
/// The CPU's, for wasm's fixed vectors.
const CPU: &str = "cpu_worker.js";
/// The CPU's, for relaxed vectors.
const CPU_RELAXED: &str = "cpu_relaxed_worker.js";
/// tract's.
const TRACT: &str = "tract_worker.js";
/// A module whose one function is `f32x4.relaxed_madd`: browsers that have relaxed SIMD find it valid.
const RELAXED: [u8; 37] = [
    0, b'a', b's', b'm', 1, 0, 0, 0, // WebAssembly, version 1
    1, 8, 1, 0x60, 3, 0x7b, 0x7b, 0x7b, 1, 0x7b, // a type: from three vectors to one
    3, 2, 1, 0, // a function of that type
    10, 13, 1, 11, 0, 0x20, 0, 0x20, 1, 0x20, 2, 0xfd, 0x85, 0x02,
    0x0b, // its parameters, the instruction, the end
];
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
        // Of no meaning to the CPU's.
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

/// A model prepared by a module.
pub struct ModuleBackend {
    kind: BackendKind,
    session: Session,
    dimension: usize,
    run_ms_max: u32,
}

impl ModuleBackend {
    /// Imports WebGPU's module and hands it the model's file.
    ///
    /// # Errors
    /// If the module cannot be imported, an operator is in the way, or the GPU refuses something.
    pub async fn webgpu(onnx: Chunks, dimension: usize, is_software: bool) -> Result<Self, BackendError> {
        let run_ms_max = if is_software {
            SOFTWARE_RUN_MS_MAX
        } else {
            GPU_RUN_MS_MAX
        };
        Ok(Self {
            kind: BackendKind::Webgpu,
            session: prepare(WEBGPU, onnx, dimension, is_software).await?,
            dimension,
            run_ms_max,
        })
    }

    /// Imports the CPU's module, the one with relaxed SIMD where the browser has it.
    ///
    /// # Errors
    /// If the module cannot be imported, or an operator is in the way.
    pub async fn cpu(onnx: Chunks, dimension: usize) -> Result<Self, BackendError> {
        let is_relaxed = WebAssembly::validate(&Uint8Array::from(&RELAXED[..])).unwrap_or(false);
        let module = if is_relaxed { CPU_RELAXED } else { CPU };
        Ok(Self {
            kind: BackendKind::Cpu,
            session: prepare(module, onnx, dimension, false).await?,
            dimension,
            run_ms_max: SOFTWARE_RUN_MS_MAX,
        })
    }

    /// Imports tract's module, twice as large as all else that the CPU needs and so not part of it.
    ///
    /// # Errors
    /// If the module cannot be imported, or tract refuses the graph.
    pub async fn tract(onnx: Chunks, dimension: usize) -> Result<Self, BackendError> {
        Ok(Self {
            kind: BackendKind::Tract,
            session: prepare(TRACT, onnx, dimension, false).await?,
            dimension,
            run_ms_max: SOFTWARE_RUN_MS_MAX,
        })
    }
}

async fn prepare(
    module: &str,
    onnx: Chunks,
    dimension: usize,
    is_software: bool,
) -> Result<Session, BackendError> {
    let module: Module = sibling::import(module).await?;
    let created = module.create_session(array(onnx), dimension, is_software);
    Ok(sibling::prepared(created).await?.unchecked_into())
}

impl Backend for ModuleBackend {
    fn kind(&self) -> BackendKind {
        self.kind
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

impl Drop for ModuleBackend {
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
