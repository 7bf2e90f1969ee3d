//! The project's own kernels on WebGPU, through wgpu: in a browser's worker, or natively on Vulkan or Metal.
//!
//! ```text
//! ONNX ─lower─▶ static graph ─plan─▶ steps ─compile, upload─▶ session ─one submission─▶ hidden states or vectors
//! ```
//! [`plan`] and [`kernels`] are pure: from a graph and a shape they make WGSL and a schedule. [`device`] and
//! [`session`] own everything that touches a GPU. A text is padded to the next of [`BUCKETS`]; texts of one bucket run
//! together, at most [`rows_max`] rows at a time.
//!
//! Invariants: a run about which WebGPU reported any error is an error; a token that is not in the vocabulary never
//! reaches a shader; every loop of a shader has a constant bound; no dispatch is longer than a tenth of a second on a slow
//! machine of its kind.

mod device;
mod kernels;
mod plan;
mod session;

use super::{Backend, BackendError, Hidden};
use crate::embed::mean_pool;
use crate::lower::InputShape;
use crate::onnx::proto::ModelProto;
use crate::protocol::BackendKind;
use device::Gpu;
pub use kernels::Machine;
use session::{Session, Wanted};

/// Lengths that texts are padded to. Steps are small because padding costs as much as tokens do; each is a multiple
/// of the rows that a kernel takes at a time.
pub const BUCKETS: [usize; 12] = [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];

/// Rows that run together on a GPU: enough to fill one, and 25 MB for the widest value of MiniLM.
const GPU_ROWS_MAX: usize = 4096;
/// Rows that run together on a software renderer, so that no dispatch takes longer than about 100 ms: MiniLM's widest
/// product is 1.2 MFLOP a row, and SwiftShader does 2 to 3 GFLOP/s on two cores.
const SOFTWARE_ROWS_MAX: usize = 192;

/// A model prepared for the project's own kernels.
pub struct WebgpuBackend {
    session: Session,
    dimension: usize,
}

impl WebgpuBackend {
    /// Requests a device and uploads the weights; shaders are compiled when a length is first met. `machine` overrides what the
    /// adapter says about itself, which is nothing in browsers.
    ///
    /// # Errors
    /// If there is no device, an operator is in the way, or WebGPU reports an error.
    pub async fn prepare(
        model: ModelProto,
        dimension: usize,
        machine: Option<Machine>,
    ) -> Result<Self, BackendError> {
        let gpu = Gpu::request(machine).await.map_err(BackendError::Prepare)?;
        let mut session = Session::new(gpu, model);
        session
            .upload(InputShape {
                texts: 1,
                tokens: BUCKETS[0],
            })
            .await?;
        Ok(Self { session, dimension })
    }

    /// The average of each text's hidden states, computed with as few runs as the limits allow.
    ///
    /// # Errors
    /// If any run fails.
    pub async fn pooled(&mut self, texts: &[&[i64]]) -> Result<Vec<Vec<f32>>, BackendError> {
        let mut pooled = vec![Vec::new(); texts.len()];
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        for (shape, members) in batches(&lengths, rows_max(self.session.gpu().machine))? {
            let chosen: Vec<&[i64]> = members.iter().map(|&text| texts[text]).collect();
            let vectors = self.session.run(&chosen, shape, Wanted::Pooled).await?;
            expect(vectors.len(), members.len() * self.dimension)?;
            for (&text, vector) in members.iter().zip(vectors.chunks_exact(self.dimension)) {
                pooled[text] = vector.to_vec();
            }
        }
        Ok(pooled)
    }
}

impl Backend for WebgpuBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Webgpu
    }

    fn padded_length(&self, tokens: usize) -> usize {
        bucket_for(tokens).unwrap_or(tokens)
    }

    async fn run(&mut self, ids: &[i64]) -> Result<Hidden, BackendError> {
        let tokens = bucket(ids.len())?;
        let shape = InputShape { texts: 1, tokens };
        let rows = self.session.run(&[ids], shape, Wanted::Hidden).await?;
        expect(rows.len(), tokens * self.dimension)?;
        Ok(Hidden { rows })
    }

    async fn embed(&mut self, texts: &[&[i64]], dimension: usize) -> Result<Vec<Vec<f32>>, BackendError> {
        expect(self.dimension, dimension)?;
        let pooled = self.pooled(texts).await?;
        Ok(pooled
            .iter()
            .map(|average| mean_pool(average, &[1], dimension))
            .collect())
    }
}

fn expect(actual: usize, expected: usize) -> Result<(), BackendError> {
    if actual == expected {
        Ok(())
    } else {
        Err(BackendError::Shape { expected, actual })
    }
}

fn rows_max(machine: Machine) -> usize {
    match machine {
        Machine::Gpu => GPU_ROWS_MAX,
        Machine::Software => SOFTWARE_ROWS_MAX,
    }
}

/// The smallest bucket that holds a text.
#[must_use]
pub fn bucket_for(tokens: usize) -> Option<usize> {
    BUCKETS.into_iter().find(|&bucket| tokens <= bucket)
}

fn bucket(tokens: usize) -> Result<usize, BackendError> {
    bucket_for(tokens).ok_or_else(|| BackendError::Run(format!("{tokens} tokens are more than it can take")))
}

/// Texts of the same bucket together, in groups whose size is a power of two, so that few shapes ever occur.
fn batches(lengths: &[usize], rows_max: usize) -> Result<Vec<(InputShape, Vec<usize>)>, BackendError> {
    let mut by_bucket: Vec<(usize, Vec<usize>)> = BUCKETS.map(|bucket| (bucket, Vec::new())).to_vec();
    for (text, &length) in lengths.iter().enumerate() {
        let tokens = bucket(length)?;
        if let Some((_, members)) = by_bucket.iter_mut().find(|(bucket, _)| *bucket == tokens) {
            members.push(text);
        }
    }
    let mut batches = Vec::new();
    for (tokens, members) in by_bucket {
        let mut rest = &members[..];
        while !rest.is_empty() {
            let most = rest.len().min(rows_max / tokens).max(1);
            let texts = 1 << most.ilog2();
            let (group, left) = rest.split_at(texts);
            batches.push((InputShape { texts, tokens }, group.to_vec()));
            rest = left;
        }
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_one_batch_that_holds_it() {
        let lengths: Vec<usize> = (1..=256).collect();
        for rows_max in [SOFTWARE_ROWS_MAX, GPU_ROWS_MAX] {
            let batches = batches(&lengths, rows_max).unwrap();
            let mut seen: Vec<usize> = batches.iter().flat_map(|(_, members)| members.clone()).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..256).collect::<Vec<_>>());
            for (shape, members) in &batches {
                assert_eq!(shape.texts, members.len());
                assert!(members.iter().all(|&text| lengths[text] <= shape.tokens));
                assert!(shape.texts == 1 || shape.texts * shape.tokens <= rows_max);
            }
        }
        assert!(batches(&[513], GPU_ROWS_MAX).is_err());
    }
}
