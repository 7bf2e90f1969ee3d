//! One GPU device: its pipelines, and a guarantee that no error stays silent.
//!
//! WebGPU reports most errors apart from the call that caused them. Everything that could fail therefore runs inside
//! error scopes ([`Gpu::scoped`]) whose verdict is awaited before a result counts, and the loss of the device is
//! remembered, so that nothing is asked of a device that is gone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{Device, ErrorFilter, Queue};

use super::kernels::Machine;
use super::plan::Step;

/// All kinds of errors that WebGPU distinguishes.
const SCOPES: [ErrorFilter; 3] = [
    ErrorFilter::Validation,
    ErrorFilter::OutOfMemory,
    ErrorFilter::Internal,
];

/// Storage buffers of one shader: attention with a mask binds five, the largest kernel with all loads eight.
const STORAGE_BUFFERS: u32 = 8;

/// A device and what was compiled for it.
pub(super) struct Gpu {
    pub(super) device: Device,
    pub(super) queue: Queue,
    pub(super) machine: Machine,
    /// The first thing that went wrong outside every scope, or the reason for the device's loss.
    broken: Arc<Mutex<Option<String>>>,
    /// Compiled shaders by their text.
    pipelines: RefCell<BTreeMap<String, wgpu::ComputePipeline>>,
}

impl Gpu {
    /// Asks for the adapter that the platform prefers. `machine` overrides what the adapter says about itself, which
    /// is nothing in browsers.
    pub(super) async fn request(machine: Option<Machine>) -> Result<Self, String> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = instance
            .request_adapter(&wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::HighPerformance,
                ..Default::default()
            })
            .await
            .map_err(|error| error.to_string())?;
        let offered = adapter.limits();
        let limits = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            // What WebGPU promises. A browser gives it unasked; elsewhere the lower defaults would stand.
            max_storage_buffers_per_shader_stage: STORAGE_BUFFERS,
            ..wgpu::Limits::downlevel_defaults()
        };
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("inference"),
                required_limits: limits,
                ..Default::default()
            })
            .await
            .map_err(|error| error.to_string())?;
        let measured = match adapter.get_info().device_type {
            wgpu::DeviceType::Cpu => Machine::Software,
            _ => Machine::Gpu,
        };
        let broken = Arc::new(Mutex::new(None));
        let note = |broken: &Arc<Mutex<Option<String>>>| {
            let broken = broken.clone();
            move |reason: String| {
                broken
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(reason);
            }
        };
        let (lost, uncaught) = (note(&broken), note(&broken));
        device.set_device_lost_callback(move |_, reason| lost(format!("the GPU device was lost: {reason}")));
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| uncaught(error.to_string())));
        Ok(Self {
            device,
            queue,
            machine: machine.unwrap_or(measured),
            broken,
            pipelines: RefCell::default(),
        })
    }

    /// Does something, and fails if WebGPU reported any error about it.
    pub(super) async fn scoped<T>(&self, work: impl FnOnce() -> T) -> Result<T, String> {
        self.check()?;
        let scopes = SCOPES.map(|filter| self.device.push_error_scope(filter));
        let done = work();
        // All are popped, innermost first, before any is awaited: nothing that others do falls into them.
        let errors: Vec<_> = scopes.into_iter().rev().map(wgpu::ErrorScopeGuard::pop).collect();
        for error in errors {
            if let Some(error) = error.await {
                return Err(error.to_string());
            }
        }
        self.check()?;
        Ok(done)
    }

    /// Whether the device still works.
    pub(super) fn check(&self) -> Result<(), String> {
        match &*self.broken.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    /// The compiled shader of a step. Call it inside [`Gpu::scoped`].
    pub(super) fn pipeline(&self, step: &Step) -> wgpu::ComputePipeline {
        let mut pipelines = self.pipelines.borrow_mut();
        if let Some(known) = pipelines.get(&step.source) {
            return known.clone();
        }
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&step.label),
            source: wgpu::ShaderSource::Wgsl(step.source.as_str().into()),
        });
        let pipeline = self
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&step.label),
                layout: None,
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
        pipelines.insert(step.source.clone(), pipeline.clone());
        pipeline
    }

    /// Copies a mapped buffer's floats, once the GPU has written them.
    pub(super) async fn read(&self, buffer: &wgpu::Buffer) -> Result<Vec<f32>, String> {
        let (sender, mapped) = futures::channel::oneshot::channel();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
        // A browser polls by itself; elsewhere this waits for everything that was submitted.
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|error| error.to_string())?;
        match mapped.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("the GPU never answered".to_owned()),
        }
        let view = buffer.get_mapped_range(..);
        let (numbers, _) = view.as_chunks::<4>();
        let numbers = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        drop(view);
        buffer.unmap();
        self.check()?;
        Ok(numbers)
    }
}
