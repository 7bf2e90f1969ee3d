//! Smaller files: the large matrices of a model as signed bytes.
//!
//! Two uses of a constant matrix are rewritten, which together hold nearly all weights of a transformer:
//!
//! - the right side of a `MatMul` becomes bytes with one scale for each column and a `DequantizeLinear` before the
//!   product;
//! - the table of a `Gather` along its rows becomes bytes with one scale for each row: rows of bytes and their scales are
//!   gathered and multiplied, so that the table is never in memory as floats.
//!
//! A scale is the largest size in its column or row divided by 127, so that no value is cut, and each one moves by half
//! a scale at most. Everything else stays as it is, and the result is standard ONNX of the same operator set.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{f32_tensor, int, raw_tensor};
use super::proto::{DataType, ModelProto, NodeProto, TensorProto};
use super::{OnnxError, element_count};

/// Smaller matrices gain nothing worth the extra nodes.
const ELEMENTS_MIN: usize = 4096;
/// The largest size that a quantised value has; −128 is left out, so that the grid is symmetric.
const STEPS: f32 = 127.0;

/// How all uses of a matrix see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The right side of products.
    Columns,
    /// A table of rows.
    Rows,
}

/// Rewrites the large matrices of a model as signed bytes.
///
/// # Errors
/// If the model has no graph, or a matrix contradicts its shape.
pub fn quantise(mut model: ModelProto) -> Result<ModelProto, OnnxError> {
    let graph = model.graph.as_mut().ok_or(OnnxError::NoGraph)?;
    let mut uses = uses(&graph.node);
    for output in &graph.output {
        uses.remove(&output.name);
    }
    let (mut constants, mut nodes, mut tables) = (Vec::new(), Vec::new(), BTreeSet::new());
    for tensor in std::mem::take(&mut graph.initializer) {
        let chosen = uses.get(&tensor.name).copied().flatten();
        match chosen.zip(matrix(&tensor)?) {
            Some((Use::Columns, matrix)) => {
                let (values, scales) = matrix.columns();
                nodes.push(restored(&tensor.name));
                constants.extend(matrix.tensors(&tensor.name, values, &scales, &[scales.len()]));
            }
            Some((Use::Rows, matrix)) => {
                let (values, scales) = matrix.rows();
                constants.extend(matrix.tensors(&tensor.name, values, &scales, &[scales.len(), 1]));
                tables.insert(tensor.name);
            }
            None => constants.push(tensor),
        }
    }
    graph.initializer = constants;
    for node in std::mem::take(&mut graph.node) {
        match node.input.first().filter(|name| tables.contains(*name)) {
            Some(table) => nodes.extend(gathered(table, &node)),
            None => nodes.push(node),
        }
    }
    graph.node = nodes;
    Ok(model)
}

/// How each value is read, or `None` if its readers want different things.
fn uses(nodes: &[NodeProto]) -> BTreeMap<String, Option<Use>> {
    let mut found: BTreeMap<String, Option<Use>> = BTreeMap::new();
    for node in nodes {
        for (place, name) in node.input.iter().enumerate() {
            let by_rows = || {
                node.attribute
                    .iter()
                    .all(|found| found.name != "axis" || found.i == 0)
            };
            let this = match (node.op_type.as_str(), place) {
                ("MatMul", 1) => Some(Use::Columns),
                ("Gather", 0) if by_rows() => Some(Use::Rows),
                _ => None,
            };
            let entry = found.entry(name.clone()).or_insert(this);
            if *entry != this {
                *entry = None;
            }
        }
    }
    found
}

/// A matrix of floats that is large enough.
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

fn matrix(tensor: &TensorProto) -> Result<Option<Matrix>, OnnxError> {
    let &[rows, columns] = &tensor.dims[..] else {
        return Ok(None);
    };
    let count = element_count(&tensor.dims);
    if tensor.data_type != DataType::Float as i32 || count.is_none_or(|count| count < ELEMENTS_MIN) {
        return Ok(None);
    }
    let values = if tensor.raw_data.is_empty() {
        tensor.float_data.clone()
    } else {
        let (floats, _) = tensor.raw_data.as_chunks::<4>();
        floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    // `element_count` has shown that neither is negative.
    let (rows, columns) = (rows as usize, columns as usize);
    if Some(values.len()) != count || values.iter().any(|value| !value.is_finite()) {
        let name = tensor.name.clone();
        return Err(OnnxError::Tensor {
            name,
            problem: "cannot be quantised",
        });
    }
    Ok(Some(Matrix {
        rows,
        columns,
        values,
    }))
}

impl Matrix {
    /// Bytes and a scale for each column.
    fn columns(&self) -> (Vec<i8>, Vec<f32>) {
        let mut largest = vec![0.0_f32; self.columns];
        for row in self.values.chunks_exact(self.columns) {
            largest
                .iter_mut()
                .zip(row)
                .for_each(|(most, value)| *most = most.max(value.abs()));
        }
        let scales: Vec<f32> = largest.into_iter().map(scale).collect();
        let rows = self.values.chunks_exact(self.columns);
        let cells = rows.flat_map(|row| row.iter().zip(&scales).map(|(value, scale)| cell(*value, *scale)));
        (cells.collect(), scales)
    }

    /// Bytes and a scale for each row.
    fn rows(&self) -> (Vec<i8>, Vec<f32>) {
        let rows = self.values.chunks_exact(self.columns);
        let scales: Vec<f32> = rows
            .map(|row| scale(row.iter().fold(0.0_f32, |most, value| most.max(value.abs()))))
            .collect();
        let rows = self.values.chunks_exact(self.columns).zip(&scales);
        let cells = rows.flat_map(|(row, scale)| row.iter().map(|value| cell(*value, *scale)));
        (cells.collect(), scales)
    }

    fn tensors(&self, name: &str, values: Vec<i8>, scales: &[f32], scale_dims: &[usize]) -> [TensorProto; 2] {
        let dims = [self.rows as i64, self.columns as i64];
        let bytes: Vec<u8> = values.into_iter().map(i8::cast_unsigned).collect();
        let scale_dims: Vec<i64> = scale_dims.iter().map(|&size| size as i64).collect();
        [
            raw_tensor(&format!("{name}.int8"), DataType::Int8, &dims, bytes.into()),
            f32_tensor(&format!("{name}.scale"), &scale_dims, scales),
        ]
    }
}

/// A column or row of zeros has any scale but 0.
fn scale(most: f32) -> f32 {
    if most > 0.0 { most / STEPS } else { 1.0 }
}

fn cell(value: f32, scale: f32) -> i8 {
    (value / scale).round_ties_even().clamp(-STEPS, STEPS) as i8
}

/// Gives a matrix back under its old name.
fn restored(name: &str) -> NodeProto {
    NodeProto {
        input: vec![format!("{name}.int8"), format!("{name}.scale")],
        output: vec![name.to_owned()],
        name: format!("{name}/DequantizeLinear"),
        op_type: "DequantizeLinear".to_owned(),
        attribute: vec![int("axis", 1)],
        domain: String::new(),
    }
}

/// Rows of bytes times their scales, in the place of a Gather of floats.
fn gathered(table: &str, node: &NodeProto) -> Vec<NodeProto> {
    let indices = node.input.get(1).cloned().unwrap_or_default();
    let output = node.output.first().cloned().unwrap_or_default();
    let make = |op: &str, input: Vec<String>, name: String, with| NodeProto {
        input,
        output: vec![name.clone()],
        name: format!("{name}/{op}"),
        op_type: op.to_owned(),
        attribute: with,
        domain: String::new(),
    };
    let part = |name: &str| format!("{output}.{name}");
    vec![
        make(
            "Gather",
            vec![format!("{table}.int8"), indices.clone()],
            part("int8"),
            vec![int("axis", 0)],
        ),
        make(
            "Gather",
            vec![format!("{table}.scale"), indices],
            part("scale"),
            vec![int("axis", 0)],
        ),
        make(
            "Cast",
            vec![part("int8")],
            part("steps"),
            vec![int("to", DataType::Float as i64)],
        ),
        make("Mul", vec![part("steps"), part("scale")], output.clone(), vec![]),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message;

    use super::*;
    use crate::onnx::build::GraphBuilder;
    use crate::session::Session;
    use crate::tensor::Tensor;

    /// A table of rows, looked up and multiplied.
    fn model() -> ModelProto {
        let values = |count: usize, scale: f32| -> Vec<f32> {
            (0..count)
                .map(|at| ((at * 37 % 101) as f32 / 101.0 - 0.5) * scale)
                .collect()
        };
        let mut graph = GraphBuilder::new("small");
        graph.input("ids", DataType::Int64, &[3.into()]);
        graph.constant(f32_tensor("table", &[100, 64], &values(6400, 1.0)));
        graph.constant(f32_tensor("weight", &[64, 80], &values(5120, 0.3)));
        graph.node("Gather", &["table", "ids"], "rows", vec![int("axis", 0)]);
        graph.node("MatMul", &["rows", "weight"], "y", vec![]);
        graph.output("y", DataType::Float, &[3.into(), 80.into()]);
        graph.finish("test", "")
    }

    fn run(model: ModelProto) -> Vec<f32> {
        let session = Session::new(crate::onnx::read(model.encode_to_vec().into()).unwrap()).unwrap();
        let ids = Tensor::integers(&[3], vec![5, 99, 0]).unwrap();
        let found = session.run(BTreeMap::from([("ids".to_owned(), ids)])).unwrap();
        found["y"].as_floats().unwrap().to_vec()
    }

    #[test]
    fn a_quarter_of_the_bytes_gives_nearly_the_same_numbers() {
        let (before, after) = (model(), quantise(model()).unwrap());
        assert!(after.encoded_len() * 3 < before.encoded_len());
        let (exact, near) = (run(before), run(after));
        let size = exact.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let worst = exact
            .iter()
            .zip(&near)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst > 0.0 && worst < 0.02 * size, "off by {worst} of {size}");
    }

    #[test]
    fn a_matrix_with_two_kinds_of_readers_stays() {
        let mut two = model();
        let graph = two.graph.as_mut().unwrap();
        let mut sum = graph.node[1].clone();
        (sum.op_type, sum.input, sum.output) = (
            "Add".into(),
            vec!["weight".into(), "weight".into()],
            vec!["sum".into()],
        );
        graph.node.push(sum);
        let after = quantise(two).unwrap().graph.unwrap();
        assert!(
            after
                .initializer
                .iter()
                .any(|tensor| tensor.name == "weight" && tensor.data_type == 1)
        );
    }
}
