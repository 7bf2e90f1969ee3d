//! A lowered graph with what the planner asks of it: who reads a value, what shape it has, whether it is a number.

use std::collections::BTreeMap;

use crate::onnx::OnnxError;
use crate::onnx::proto::{DataType, DimensionValue, GraphProto, NodeProto, TensorProto, ValueInfoProto};

/// A lowered graph, indexed by value names.
pub(super) struct Graph<'a> {
    pub(super) nodes: &'a [NodeProto],
    pub(super) output: &'a str,
    dims: BTreeMap<&'a str, Vec<usize>>,
    constants: BTreeMap<&'a str, &'a TensorProto>,
    readers: BTreeMap<&'a str, Vec<usize>>,
    producers: BTreeMap<&'a str, usize>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(graph: &'a GraphProto) -> Result<Self, OnnxError> {
        let output = &graph.output.first().ok_or(OnnxError::NoGraph)?.name;
        let mut dims: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for value in graph.input.iter().chain(&graph.value_info) {
            let shape = fixed_dims(value).ok_or_else(|| OnnxError::Undefined(value.name.clone()))?;
            dims.insert(&value.name, shape);
        }
        let mut constants = BTreeMap::new();
        for tensor in &graph.initializer {
            let shape = tensor.dims.iter().map(|&size| size as usize).collect();
            dims.insert(&tensor.name, shape);
            constants.insert(tensor.name.as_str(), tensor);
        }
        let (mut readers, mut producers) = (BTreeMap::<_, Vec<usize>>::new(), BTreeMap::new());
        for (index, node) in graph.node.iter().enumerate() {
            for input in &node.input {
                readers.entry(input.as_str()).or_default().push(index);
            }
            producers.insert(node.output[0].as_str(), index);
        }
        Ok(Self {
            nodes: &graph.node,
            output,
            dims,
            constants,
            readers,
            producers,
        })
    }

    pub(super) fn dims(&self, name: &str) -> Result<&[usize], OnnxError> {
        self.dims
            .get(name)
            .map(Vec::as_slice)
            .ok_or_else(|| OnnxError::Undefined(name.to_owned()))
    }

    pub(super) fn constant(&self, name: &str) -> Option<&'a TensorProto> {
        self.constants.get(name).copied()
    }

    /// A constant of one float that a shader's text can spell.
    pub(super) fn number(&self, name: &str) -> Option<f32> {
        let tensor = self.constant(name)?;
        let bytes = tensor.raw_data.as_ref().try_into().ok()?;
        let value = f32::from_le_bytes(bytes);
        (tensor.data_type == DataType::Float as i32 && value.is_finite()).then_some(value)
    }

    pub(super) fn readers(&self, name: &str) -> &[usize] {
        self.readers.get(name).map_or(&[], Vec::as_slice)
    }

    /// The node that computes a value.
    pub(super) fn producer(&self, name: &str) -> Option<(usize, &'a NodeProto)> {
        let &index = self.producers.get(name)?;
        Some((index, &self.nodes[index]))
    }

    /// The only node that reads a value which nothing else needs.
    pub(super) fn only_reader(&self, name: &str) -> Option<(usize, &'a NodeProto)> {
        match self.readers(name) {
            &[index] if name != self.output => Some((index, &self.nodes[index])),
            _ => None,
        }
    }
}

/// A setting of several integers.
pub(super) fn integers<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [i64]> {
    let found = node.attribute.iter().find(|attribute| attribute.name == name)?;
    Some(&found.ints)
}

/// A setting with a fraction.
pub(super) fn fraction(node: &NodeProto, name: &str, default: f32) -> f32 {
    let found = node.attribute.iter().find(|attribute| attribute.name == name);
    found.map_or(default, |attribute| attribute.f)
}

/// Why a node cannot be planned.
pub(super) fn refuse(node: &NodeProto, problem: impl Into<String>) -> OnnxError {
    OnnxError::Operator {
        op: node.op_type.clone(),
        node: node.name.clone(),
        problem: problem.into(),
    }
}

fn fixed_dims(value: &ValueInfoProto) -> Option<Vec<usize>> {
    let shape = value.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    let size = |value: &Option<DimensionValue>| match value {
        Some(DimensionValue::DimValue(size)) => usize::try_from(*size).ok().filter(|&size| size > 0),
        _ => None,
    };
    shape.dim.iter().map(|dim| size(&dim.value)).collect()
}
