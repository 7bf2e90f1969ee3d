//! ONNX files: the schema, a reader that trusts nothing, and small constructors for writing graphs.
//!
//! [`read`] bounds what a file can make this crate allocate: what decoding it takes (weighed before it is decoded), the
//! number of nodes, of the edges between them and of tensors, the elements of each tensor (by checked multiplication) and
//! the agreement of each tensor's shape with the bytes that are there. A file that points to other files, or that
//! contains subgraphs, is refused.

pub mod build;
pub mod proto;
pub mod quantise;
mod weigh;

use bytes::Bytes;
use prost::Message;
use thiserror::Error;

use crate::limits;
use proto::{AttributeType, DataType, GraphProto, ModelProto, TensorProto, ValueInfoProto};

/// Oldest and newest version of ONNX's operator set that is read. Exporters write 11 and up; older ones are read as
/// far as their operators are the same.
pub const OPSETS: std::ops::RangeInclusive<i64> = 7..=22;

/// Why an ONNX file is refused. All cases are final.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OnnxError {
    /// Larger than [`limits::MODEL_BYTES_MAX`].
    #[error("the model has {0} bytes: at most {max} are allowed", max = limits::MODEL_BYTES_MAX)]
    TooLarge(u64),
    /// A file whose parts take much more memory than the file itself.
    #[error("the model's {what} would take {bytes} bytes of memory: at most {max} are allowed")]
    Heavy {
        /// Which parts.
        what: &'static str,
        /// What they would take.
        bytes: u64,
        /// How much is allowed.
        max: u64,
    },
    /// Not a protobuf message of this schema.
    #[error("not an ONNX file: {0}")]
    Malformed(String),
    /// A model without a graph.
    #[error("the model has no graph")]
    NoGraph,
    /// An operator set that this crate does not know.
    #[error("operator set {domain:?} version {version} is not supported")]
    Opset {
        /// The set.
        domain: String,
        /// Its version.
        version: i64,
    },
    /// More of something than allowed.
    #[error("the graph has {count} {what}: at most {max} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A constant that contradicts itself.
    #[error("tensor {name:?} {problem}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An operator, or a use of it, that is not supported.
    #[error("operator {op} (node {node:?}) is in the way: {problem}")]
    Operator {
        /// The operator.
        op: String,
        /// The node's name.
        node: String,
        /// What is in the way.
        problem: String,
    },
    /// A run, or the folding of constants, that would take too long or too much memory.
    #[error("up to {node:?} the model takes {needed} {what}: at most {max} are allowed")]
    Budget {
        /// The node, or the value, with which it becomes too much.
        node: String,
        /// Work or memory, with its unit.
        what: &'static str,
        /// How much it would take.
        needed: u64,
        /// How much is allowed.
        max: u64,
    },
    /// A value that nothing defines.
    #[error("value {0:?} is used but never defined")]
    Undefined(String),
}

/// Reads and checks a model. The weights share `file`'s memory.
///
/// # Errors
/// The first limit or rule that the file breaks.
pub fn read(file: Bytes) -> Result<ModelProto, OnnxError> {
    if file.len() as u64 > limits::MODEL_BYTES_MAX {
        return Err(OnnxError::TooLarge(file.len() as u64));
    }
    let weight =
        weigh::weigh(&file).ok_or_else(|| OnnxError::Malformed("its fields do not add up".into()))?;
    within("nodes and names", weight.parts, limits::MODEL_PARTS_BYTES_MAX)?;
    within("listed numbers", weight.numbers, limits::MODEL_NUMBERS_BYTES_MAX)?;
    let model = ModelProto::decode(file).map_err(|error| OnnxError::Malformed(error.to_string()))?;
    for opset in &model.opset_import {
        if !opset.domain.is_empty() || !OPSETS.contains(&opset.version) {
            return Err(OnnxError::Opset {
                domain: opset.domain.clone(),
                version: opset.version,
            });
        }
    }
    check_graph(model.graph.as_ref().ok_or(OnnxError::NoGraph)?)?;
    Ok(model)
}

fn check_graph(graph: &GraphProto) -> Result<(), OnnxError> {
    at_most("nodes", graph.node.len(), limits::GRAPH_NODES_MAX)?;
    at_most("tensors", graph.initializer.len(), limits::GRAPH_TENSORS_MAX)?;
    for values in [&graph.value_info, &graph.input, &graph.output] {
        at_most("declared values", values.len(), limits::GRAPH_NODES_MAX)?;
    }
    let edges = graph.node.iter().map(|node| node.input.len() + node.output.len());
    at_most("edges", edges.sum(), limits::GRAPH_EDGES_MAX)?;
    graph.initializer.iter().try_for_each(check_tensor)?;
    for node in &graph.node {
        let refuse = |problem: &str| OnnxError::Operator {
            op: node.op_type.clone(),
            node: node.name.clone(),
            problem: problem.to_owned(),
        };
        if !node.domain.is_empty() {
            return Err(refuse("it is not one of ONNX's own operators"));
        }
        if node.output.is_empty() {
            return Err(refuse("it has no output"));
        }
        if node.attribute.len() > limits::NODE_ATTRIBUTES_MAX {
            return Err(refuse("it has too many settings"));
        }
        for attribute in &node.attribute {
            if attribute.r#type == AttributeType::Graph as i32 {
                return Err(refuse("it contains a graph of its own"));
            }
            attribute.t.as_ref().map_or(Ok(()), check_tensor)?;
        }
    }
    Ok(())
}

/// Checks a constant and leaves its elements where they are.
fn check_tensor(tensor: &TensorProto) -> Result<(), OnnxError> {
    let refuse = |problem| OnnxError::Tensor {
        name: tensor.name.clone(),
        problem,
    };
    if tensor.data_location != 0 || !tensor.external_data.is_empty() {
        return Err(refuse("keeps its elements in another file"));
    }
    let elements =
        element_count(&tensor.dims).ok_or_else(|| refuse("has an impossible or too large shape"))?;
    let (size, listed) = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => (4, tensor.float_data.len()),
        Ok(DataType::Int32) => (4, tensor.int32_data.len()),
        Ok(DataType::Int64) => (8, tensor.int64_data.len()),
        Ok(DataType::Double) => (8, tensor.double_data.len()),
        Ok(DataType::Float16) => (2, tensor.int32_data.len()),
        Ok(DataType::Bool | DataType::Uint8 | DataType::Int8) => (1, tensor.int32_data.len()),
        _ => return Err(refuse("has an element type that is not supported")),
    };
    let given = if tensor.raw_data.is_empty() {
        listed
    } else {
        tensor.raw_data.len() / size
    };
    if given != elements || (!tensor.raw_data.is_empty() && !tensor.raw_data.len().is_multiple_of(size)) {
        return Err(refuse("has not as many elements as its shape says"));
    }
    Ok(())
}

/// The element type that a declared value has, if it is a tensor of a type that this crate knows.
#[must_use]
pub fn value_type(info: &ValueInfoProto) -> Option<DataType> {
    let code = info.r#type.as_ref()?.tensor_type.as_ref()?.elem_type;
    DataType::try_from(code)
        .ok()
        .filter(|&kind| kind != DataType::Undefined)
}

/// Elements of a shape, or `None` if it is negative, has too many dimensions or too many elements. Sizes beside a 0 count.
#[must_use]
pub fn element_count(dims: &[i64]) -> Option<usize> {
    if dims.len() > limits::TENSOR_RANK_MAX {
        return None;
    }
    let sizes = dims
        .iter()
        .map(|&dim| usize::try_from(dim).ok())
        .collect::<Option<Vec<_>>>()?;
    let product = sizes
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size.max(1)))?;
    (product <= limits::TENSOR_ELEMENTS_MAX).then(|| sizes.iter().product())
}

fn at_most(what: &'static str, count: usize, max: usize) -> Result<(), OnnxError> {
    if count > max {
        Err(OnnxError::TooMany { what, count, max })
    } else {
        Ok(())
    }
}

fn within(what: &'static str, bytes: u64, max: u64) -> Result<(), OnnxError> {
    if bytes > max {
        Err(OnnxError::Heavy { what, bytes, max })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::onnx::build::{self, GraphBuilder};

    fn small_model() -> ModelProto {
        let mut graph = GraphBuilder::new("small");
        graph.input("x", DataType::Float, &["n".into(), 2.into()]);
        graph.constant(build::f32_tensor("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0]));
        graph.node("MatMul", &["x", "w"], "y", vec![]);
        graph.output("y", DataType::Float, &["n".into(), 2.into()]);
        graph.finish("test", "")
    }

    fn refused(change: impl FnOnce(&mut GraphProto)) -> OnnxError {
        let mut model = small_model();
        change(model.graph.as_mut().unwrap());
        read(model.encode_to_vec().into()).unwrap_err()
    }

    #[test]
    fn what_was_written_is_read() {
        let model = small_model();
        assert_eq!(read(model.encode_to_vec().into()).unwrap(), model);
    }

    #[test]
    fn a_tensor_that_contradicts_itself_is_refused() {
        assert!(matches!(
            refused(|g| g.initializer[0].dims = vec![2, 3]),
            OnnxError::Tensor { .. }
        ));
        assert!(matches!(
            refused(|g| g.initializer[0].dims = vec![-2, -2]),
            OnnxError::Tensor { .. }
        ));
        assert!(matches!(
            refused(|g| g.initializer[0].dims = vec![i64::MAX; 4]),
            OnnxError::Tensor { .. }
        ));
        assert!(matches!(
            refused(|g| g.initializer[0].dims = vec![1; 9]),
            OnnxError::Tensor { .. }
        ));
        assert!(matches!(
            refused(|g| g.initializer[0].data_location = 1),
            OnnxError::Tensor { .. }
        ));
        assert!(matches!(
            refused(|g| g.initializer[0].data_type = 8),
            OnnxError::Tensor { .. }
        ));
    }

    #[test]
    fn a_foreign_operator_is_named() {
        let error = refused(|g| g.node[0].domain = "com.example".into());
        assert!(error.to_string().contains("MatMul"), "{error}");
    }

    #[test]
    fn too_many_nodes_are_refused() {
        let error = refused(|g| g.node = vec![g.node[0].clone(); limits::GRAPH_NODES_MAX + 1]);
        assert!(matches!(error, OnnxError::TooMany { what: "nodes", .. }));
    }

    #[test]
    fn a_file_that_unfolds_is_refused_before_it_does() {
        // Empty nodes: 2 MB of file, 150 MB of structures.
        let nodes = 1 << 20;
        let length = 2 * nodes as u64;
        let mut file = vec![0x3a];
        prost::encoding::encode_varint(length, &mut file);
        file.extend([0x0a, 0].repeat(nodes));
        assert!(matches!(read(file.into()), Err(OnnxError::Heavy { .. })));
    }

    #[test]
    fn too_many_edges_or_settings_are_refused() {
        let error = refused(|g| g.node[0].input = vec![String::new(); limits::GRAPH_EDGES_MAX]);
        assert!(matches!(error, OnnxError::TooMany { what: "edges", .. }));
        let error =
            refused(|g| g.node[0].attribute = vec![build::int("axis", 0); limits::NODE_ATTRIBUTES_MAX + 1]);
        assert!(matches!(error, OnnxError::Operator { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            drop(read(bytes.into()));
        }

        #[test]
        fn a_damaged_file_never_panics(position in any::<prop::sample::Index>(), value in any::<u8>()) {
            let mut bytes = small_model().encode_to_vec();
            let at = position.index(bytes.len());
            bytes[at] = value;
            drop(read(bytes.into()));
        }

        #[test]
        fn a_truncated_file_never_panics(length in any::<prop::sample::Index>()) {
            let mut bytes = small_model().encode_to_vec();
            bytes.truncate(length.index(bytes.len()));
            drop(read(bytes.into()));
        }
    }
}
