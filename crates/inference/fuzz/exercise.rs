//! What each fuzz target does with a file. `tests/seeds.rs` does the same with every seed.

#![allow(dead_code, reason = "each target uses one of them")]

use std::collections::BTreeMap;

use bytes::Bytes;
use inference::lower::{BUCKETS, lower};
use inference::onnx::proto::{DataType, DimensionValue, ValueInfoProto};
use inference::onnx::{self, quantise};
use inference::session::{Budget, Port, Products, Session};
use inference::tensor::Tensor;

/// What one input may take, so that the fuzzer's time limit finds work that was not foreseen.
const BUDGET: Budget = Budget {
    work: 1 << 24,
    bytes: 256 << 20,
};
/// Elements of an input that is made up; larger ones only take time.
const INPUT_ELEMENTS_MAX: usize = 4096;

/// Reading, and what rewrites a model that was read.
pub(crate) fn reader(file: &[u8]) {
    if let Ok(model) = onnx::read(Bytes::copy_from_slice(file)) {
        let _ = quantise::quantise(model);
    }
}

/// Lowering to what wonnx runs.
pub(crate) fn lowering(file: &[u8]) {
    if let Ok(model) = onnx::read(Bytes::copy_from_slice(file)) {
        let _ = lower(&model, BUCKETS[0]);
    }
}

/// Constant folding and every kernel.
pub(crate) fn session(file: &[u8]) {
    let Ok(model) = onnx::read(Bytes::copy_from_slice(file)) else {
        return;
    };
    let declared: BTreeMap<String, ValueInfoProto> = model
        .graph
        .iter()
        .flat_map(|graph| &graph.input)
        .map(|input| (input.name.clone(), input.clone()))
        .collect();
    let Ok(session) = Session::within(model, Products::Exact, BUDGET) else {
        return;
    };
    let inputs = session.inputs().iter().map(|port| {
        let tensor = made_up(port, declared.get(&port.name)?)?;
        Some((port.name.clone(), tensor))
    });
    if let Some(inputs) = inputs.collect() {
        let _ = session.run_within(inputs, BUDGET);
    }
}

/// Ones in the declared shape; a dimension without a number has two rows.
fn made_up(port: &Port, info: &ValueInfoProto) -> Option<Tensor> {
    let shape = info
        .r#type
        .as_ref()?
        .tensor_type
        .as_ref()?
        .shape
        .clone()
        .unwrap_or_default();
    let size = |value: Option<DimensionValue>| match value {
        Some(DimensionValue::DimValue(size)) => usize::try_from(size).ok(),
        _ => Some(2),
    };
    let dims: Vec<usize> = shape
        .dim
        .into_iter()
        .map(|dim| size(dim.value))
        .collect::<Option<_>>()?;
    let count = dims
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size))?;
    if count > INPUT_ELEMENTS_MAX {
        return None;
    }
    match port.kind {
        DataType::Float | DataType::Float16 => Tensor::floats(&dims, vec![1.0; count]).ok(),
        kind => Tensor::wrapped(kind, &dims, vec![1; count]).ok(),
    }
}
