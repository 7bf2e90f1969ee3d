//! wonnx on WebGPU, through a module of its own that is imported when it is first needed.
//!
//! wonnx runs static shapes, so there is a session for each bucket of lengths in use, each with its own copy of the
//! weights on the GPU; at most [`SESSIONS_MAX`] are kept. The parsed model stays in memory, because a session for
//! another bucket is made from it.

use js_sys::{Float32Array, Int32Array, Promise, Uint8Array};
use prost::Message;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::{Backend, BackendError, Hidden, sibling};
use crate::lower::{bucket_for, lower};
use crate::onnx::proto::ModelProto;
use crate::protocol::BackendKind;

/// The module, beside the worker's own script.
const MODULE: &str = "wonnx_worker.js";
/// Sessions that are kept at the same time.
const SESSIONS_MAX: usize = 2;
/// The longest that one run may take. A software GPU needs 10.5 s for 32 tokens (measured with SwiftShader).
const RUN_MS_MAX: u32 = 60_000;

#[wasm_bindgen]
extern "C" {
    type Module;

    #[wasm_bindgen(method, js_name = createSession, catch)]
    fn create_session(this: &Module, onnx: Uint8Array, output: &str) -> Result<Promise, JsValue>;

    type Session;

    #[wasm_bindgen(method, catch)]
    fn run(this: &Session, ids: Int32Array, mask: Float32Array) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method)]
    fn free(this: &Session);
}

/// A model prepared for wonnx.
pub struct WonnxBackend {
    module: Module,
    model: ModelProto,
    dimension: usize,
    /// Sessions by bucket, the one used last at the end.
    sessions: Vec<(usize, Session)>,
}

impl WonnxBackend {
    /// Imports the module and prepares a session for the shortest bucket.
    ///
    /// # Errors
    /// If the module cannot be imported, the graph cannot be lowered, or the GPU refuses it.
    pub async fn prepare(model: ModelProto, dimension: usize) -> Result<Self, BackendError> {
        let module = sibling::import(MODULE).await?;
        let mut backend = Self {
            module,
            model,
            dimension,
            sessions: Vec::new(),
        };
        backend.session(crate::lower::BUCKETS[0]).await?;
        Ok(backend)
    }

    /// The session for a bucket, made if it is not there.
    async fn session(&mut self, bucket: usize) -> Result<&Session, BackendError> {
        if let Some(place) = self.sessions.iter().position(|(length, _)| *length == bucket) {
            let found = self.sessions.remove(place);
            self.sessions.push(found);
        } else {
            if self.sessions.len() >= SESSIONS_MAX {
                self.sessions.remove(0).1.free();
            }
            let session = self.create(bucket).await?;
            self.sessions.push((bucket, session));
        }
        match self.sessions.last() {
            Some((_, session)) => Ok(session),
            None => Err(BackendError::Prepare("it has no session".to_owned())),
        }
    }

    async fn create(&self, bucket: usize) -> Result<Session, BackendError> {
        let lowered = lower(&self.model, bucket).map_err(|error| BackendError::Prepare(error.to_string()))?;
        let onnx = lowered.model.encode_to_vec();
        let file = Uint8Array::from(onnx.as_slice());
        drop(onnx);
        let created = self.module.create_session(file, &lowered.output);
        sibling::prepared(created).await.map(JsCast::unchecked_into)
    }
}

impl Backend for WonnxBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Wonnx
    }

    fn padded_length(&self, tokens: usize) -> usize {
        bucket_for(tokens).unwrap_or(tokens)
    }

    async fn run(&mut self, ids: &[i64]) -> Result<Hidden, BackendError> {
        let bucket = bucket_for(ids.len())
            .ok_or_else(|| BackendError::Run(format!("{} tokens are more than it can take", ids.len())))?;
        let dimension = self.dimension;
        let (mut padded, mut mask) = (vec![0_i32; bucket], vec![0.0_f32; bucket]);
        for ((slot, kept), &id) in padded.iter_mut().zip(&mut mask).zip(ids) {
            *slot =
                i32::try_from(id).map_err(|_| BackendError::Run(format!("token {id} is out of range")))?;
            *kept = 1.0;
        }
        let session = self.session(bucket).await?;
        let running = session.run(
            Int32Array::from(padded.as_slice()),
            Float32Array::from(mask.as_slice()),
        );
        let rows = sibling::run(RUN_MS_MAX, running).await?;
        let rows = rows.unchecked_into::<Float32Array>().to_vec();
        Hidden::of(rows, bucket * dimension)
    }
}

impl Drop for WonnxBackend {
    fn drop(&mut self) {
        self.sessions.drain(..).for_each(|(_, session)| session.free());
    }
}
