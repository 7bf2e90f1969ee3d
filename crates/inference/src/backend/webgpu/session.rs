//! A model on a device: weights uploaded once, plans for the shapes in use, one submission for each run.

use std::collections::BTreeMap;

use wgpu::BufferUsages;

use super::device::Gpu;
use super::plan::{Buffer, Piece, Plan, Step, plan};
use crate::backend::BackendError;
use crate::lower::{InputShape, Target, lower_for};
use crate::onnx::proto::ModelProto;

/// Plans that are kept at the same time, the one used last at the end.
const PLANS_MAX: usize = 8;

/// Of buffers that shaders read and this process writes.
const GIVEN: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_DST);

/// A model's weights and plans.
pub(super) struct Session {
    gpu: Gpu,
    model: ModelProto,
    /// By the keys that plans give them.
    weights: BTreeMap<String, wgpu::Buffer>,
    plans: Vec<Ready>,
}

/// A plan with everything that a run needs.
struct Ready {
    plan: Plan,
    ids: wgpu::Buffer,
    mask: wgpu::Buffer,
    hidden: Readback,
    pooled: Readback,
    passes: Vec<Pass>,
}

/// A result on the GPU and room to read it from.
struct Readback {
    result: wgpu::Buffer,
    staging: wgpu::Buffer,
    bytes: u64,
}

struct Pass {
    pipeline: wgpu::ComputePipeline,
    /// Bindings and workgroups of each piece.
    pieces: Vec<(wgpu::BindGroup, [u32; 3])>,
}

/// Which result of a run is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Texts × tokens × dimension.
    Hidden,
    /// Texts × dimension: the average over each text's tokens.
    Pooled,
}

impl Session {
    pub(super) fn new(gpu: Gpu, model: ModelProto) -> Self {
        Self {
            gpu,
            model,
            weights: BTreeMap::new(),
            plans: Vec::new(),
        }
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Makes sure that there is a plan for a shape: plans, uploads what is new, compiles what is new.
    pub(super) async fn prepare(&mut self, shape: InputShape) -> Result<(), BackendError> {
        if let Some(place) = self.plans.iter().position(|ready| ready.plan.shape == shape) {
            let found = self.plans.remove(place);
            self.plans.push(found);
            return Ok(());
        }
        let mut plan = self.plan(shape)?;
        if self.plans.len() >= PLANS_MAX {
            self.plans.remove(0);
        }
        let (gpu, weights) = (&self.gpu, &mut self.weights);
        let ready = gpu.scoped(|| {
            upload(gpu, weights, &mut plan);
            Ready::new(gpu, weights, plan)
        });
        self.plans.push(ready.await.map_err(BackendError::Prepare)?);
        Ok(())
    }

    /// Plans for a shape and uploads the weights, and compiles nothing: which shapes will be used is not known yet, and shaders
    /// are compiled for each.
    pub(super) async fn upload(&mut self, shape: InputShape) -> Result<(), BackendError> {
        let mut plan = self.plan(shape)?;
        let (gpu, weights) = (&self.gpu, &mut self.weights);
        let uploaded = gpu.scoped(|| upload(gpu, weights, &mut plan)).await;
        uploaded.map_err(BackendError::Prepare)
    }

    fn plan(&self, shape: InputShape) -> Result<Plan, BackendError> {
        let refuse = |error: &dyn std::fmt::Display| BackendError::Prepare(error.to_string());
        let lowered = lower_for(&self.model, shape, Target::Kernels).map_err(|error| refuse(&error))?;
        plan(&lowered, shape, self.gpu.machine).map_err(|error| refuse(&error))
    }

    /// Runs texts of at most `shape.tokens` tokens, as many as `shape.texts`.
    pub(super) async fn run(
        &mut self,
        texts: &[&[i64]],
        shape: InputShape,
        wanted: Wanted,
    ) -> Result<Vec<f32>, BackendError> {
        self.prepare(shape).await?;
        let Some(ready) = self.plans.last() else {
            return Err(BackendError::Prepare("it has no plan".to_owned()));
        };
        let (ids, mask) = padded(texts, shape, ready.plan.vocabulary)?;
        let gpu = &self.gpu;
        gpu.scoped(|| ready.submit(gpu, &ids, &mask, wanted))
            .await
            .map_err(BackendError::Run)?;
        let readback = ready.readback(wanted);
        let numbers = gpu.read(&readback.staging).await.map_err(BackendError::Run)?;
        Ok(numbers)
    }
}

impl Ready {
    fn new(gpu: &Gpu, weights: &BTreeMap<String, wgpu::Buffer>, plan: Plan) -> Self {
        let buffer = |bytes, usage| buffer(gpu, bytes, usage);
        let tokens = 4 * plan.shape.texts * plan.shape.tokens;
        let (ids, mask) = (buffer(tokens, GIVEN), buffer(tokens, GIVEN));
        let slots: Vec<wgpu::Buffer> = (plan.slots.sizes.iter())
            .map(|elements| buffer(4 * elements, BufferUsages::STORAGE | BufferUsages::COPY_SRC))
            .collect();
        let at = |place: Buffer| match place {
            Buffer::Ids => &ids,
            Buffer::Mask => &mask,
            Buffer::Weight(weight) => &weights[&plan.weights[weight].key],
            Buffer::Temp(value) => &slots[plan.slots.of_value[value]],
        };
        let passes = plan.steps.iter().map(|step| Pass::new(gpu, step, &at)).collect();
        let readback = |place: Buffer, elements: usize| Readback {
            result: at(place).clone(),
            staging: buffer(4 * elements, BufferUsages::MAP_READ | BufferUsages::COPY_DST),
            bytes: 4 * elements as u64,
        };
        let InputShape { texts, tokens } = plan.shape;
        let hidden = readback(plan.hidden, texts * tokens * plan.dimension);
        let pooled = readback(plan.pooled, texts * plan.dimension);
        Self {
            ids: ids.clone(),
            mask: mask.clone(),
            hidden,
            pooled,
            passes,
            plan,
        }
    }

    fn readback(&self, wanted: Wanted) -> &Readback {
        match wanted {
            Wanted::Hidden => &self.hidden,
            Wanted::Pooled => &self.pooled,
        }
    }

    fn submit(&self, gpu: &Gpu, ids: &[i32], mask: &[f32], wanted: Wanted) {
        let bytes_of_ids: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let bytes_of_mask: Vec<u8> = mask.iter().flat_map(|kept| kept.to_le_bytes()).collect();
        gpu.queue.write_buffer(&self.ids, 0, &bytes_of_ids);
        gpu.queue.write_buffer(&self.mask, 0, &bytes_of_mask);
        let mut encoder = gpu
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut compute = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for pass in &self.passes {
            compute.set_pipeline(&pass.pipeline);
            for (bindings, [x, y, z]) in &pass.pieces {
                compute.set_bind_group(0, bindings, &[]);
                compute.dispatch_workgroups(*x, *y, *z);
            }
        }
        drop(compute);
        let Readback {
            result,
            staging,
            bytes,
        } = self.readback(wanted);
        encoder.copy_buffer_to_buffer(result, 0, staging, 0, *bytes);
        gpu.queue.submit([encoder.finish()]);
    }
}

impl Pass {
    fn new<'b>(gpu: &Gpu, step: &Step, at: &impl Fn(Buffer) -> &'b wgpu::Buffer) -> Self {
        let pipeline = gpu.pipeline(step);
        let layout = pipeline.get_bind_group_layout(0);
        let is_cut = step.pieces.len() > 1;
        let pieces = step.pieces.iter().map(|piece| {
            let first = is_cut.then(|| first(gpu, piece));
            let bound = step.bindings.iter().map(|&place| at(place)).chain(&first);
            let entries: Vec<wgpu::BindGroupEntry<'_>> = bound
                .zip(0..)
                .map(|(buffer, binding)| wgpu::BindGroupEntry {
                    binding,
                    resource: buffer.as_entire_binding(),
                })
                .collect();
            let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&step.label),
                layout: &layout,
                entries: &entries,
            });
            (bindings, piece.groups)
        });
        let pieces = pieces.collect();
        Self { pipeline, pieces }
    }
}

/// A uniform with the first workgroup of a piece.
fn first(gpu: &Gpu, piece: &Piece) -> wgpu::Buffer {
    let [x, y, z] = piece.first;
    let bytes: Vec<u8> = [x, y, z, 0]
        .iter()
        .flat_map(|count| count.to_le_bytes())
        .collect();
    let uniform = buffer(gpu, bytes.len(), BufferUsages::UNIFORM | BufferUsages::COPY_DST);
    gpu.queue.write_buffer(&uniform, 0, &bytes);
    uniform
}

/// Uploads the weights of a plan that are not on the GPU yet.
fn upload(gpu: &Gpu, weights: &mut BTreeMap<String, wgpu::Buffer>, plan: &mut Plan) {
    for weight in &mut plan.weights {
        // What was uploaded need not stay in this process's memory.
        let bytes = std::mem::take(&mut weight.bytes);
        weights.entry(weight.key.clone()).or_insert_with(|| {
            let uploaded = buffer(gpu, bytes.len(), GIVEN);
            gpu.queue.write_buffer(&uploaded, 0, &bytes);
            uploaded
        });
    }
}

fn buffer(gpu: &Gpu, bytes: usize, usage: BufferUsages) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: bytes as u64,
        usage,
        mapped_at_creation: false,
    })
}

/// Ids and mask of all texts, each padded to the shape. An id beyond the vocabulary is refused here, because a shader
/// would read some other row.
fn padded(
    texts: &[&[i64]],
    shape: InputShape,
    vocabulary: usize,
) -> Result<(Vec<i32>, Vec<f32>), BackendError> {
    let mut ids = vec![0; shape.texts * shape.tokens];
    let mut mask = vec![0.0; shape.texts * shape.tokens];
    for (text, place) in texts.iter().zip((0..).step_by(shape.tokens)) {
        for (at, &id) in text.iter().enumerate() {
            let known = usize::try_from(id).is_ok_and(|id| id < vocabulary);
            let id = i32::try_from(id).ok().filter(|_| known);
            ids[place + at] =
                id.ok_or_else(|| BackendError::Run("a token is not in the vocabulary".to_owned()))?;
            mask[place + at] = 1.0;
        }
    }
    Ok((ids, mask))
}
