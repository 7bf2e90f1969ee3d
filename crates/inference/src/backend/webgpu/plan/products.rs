//! Matrix products, and those that become one.
//!
//! Attention multiplies the same rows by three weights. As one product of the weights side by side it loads the rows
//! once and gives the GPU three times the work at a time; each result is then a view of some columns.

use bytes::{Bytes, BytesMut};

use super::program::{Binary, Load, Operation, Program, Term};
use super::view::View;
use super::{Buffer, Planner, floats};
use crate::backend::webgpu::kernels;
use crate::onnx::OnnxError;
use crate::onnx::proto::NodeProto;

/// Products that become one: three in attention, a few more where several layers read the same rows.
const SIBLINGS_MAX: usize = 16;

/// A product with constant weight and bias.
struct Linear<'a> {
    nodes: [usize; 2],
    weight: &'a str,
    bias: &'a str,
    columns: usize,
    result: &'a str,
}

impl<'a> Planner<'a> {
    /// A product of rows by a matrix, or of two stacks of matrices.
    pub(super) fn product(&mut self, index: usize, node: &'a NodeProto) -> Result<(), OnnxError> {
        let siblings = self.siblings(node)?;
        if siblings.len() > 1 {
            return self.merged(node, &siblings);
        }
        let output = node.output[0].as_str();
        let dims = self.graph.dims(output)?.to_vec();
        let (left, right) = (self.view(&node.input[0])?, self.view(&node.input[1])?);
        let chain = self.chain(output, Program::new(Term::Root, Vec::new()))?;
        let out = self.fresh(&dims);
        self.done.insert(index);
        let step = kernels::product(self.machine, &left, &right, &chain.program, &out);
        self.emit(step, &chain, out)
    }

    /// All products with constant weight and bias of what this node multiplies, if it is one of them.
    fn siblings(&self, node: &'a NodeProto) -> Result<Vec<Linear<'a>>, OnnxError> {
        let left = node.input[0].as_str();
        let found: Vec<Linear<'a>> = self
            .graph
            .readers(left)
            .iter()
            .filter(|index| !self.done.contains(index))
            .filter_map(|&index| self.linear(index, left))
            .take(SIBLINGS_MAX)
            .collect();
        let own = |linear: &Linear<'a>| linear.weight == node.input[1];
        Ok(if found.iter().any(own) { found } else { Vec::new() })
    }

    fn linear(&self, index: usize, left: &str) -> Option<Linear<'a>> {
        let node = &self.graph.nodes[index];
        let [rows, weight] = &node.input[..] else {
            return None;
        };
        if node.op_type != "MatMul" || rows != left {
            return None;
        }
        self.graph.constant(weight)?;
        let &[_, columns] = self.graph.dims(weight).ok()? else {
            return None;
        };
        let (adding, add) = self.graph.only_reader(&node.output[0])?;
        let [one, other] = &add.input[..] else {
            return None;
        };
        let bias = if *one == node.output[0] { other } else { one };
        self.graph.constant(bias)?;
        let is_bias = add.op_type == "Add" && self.graph.dims(bias).ok()? == [columns];
        (is_bias && columns.is_multiple_of(4) && !self.done.contains(&adding)).then(|| Linear {
            nodes: [index, adding],
            weight,
            bias,
            columns,
            result: &add.output[0],
        })
    }

    fn merged(&mut self, node: &'a NodeProto, siblings: &[Linear<'a>]) -> Result<(), OnnxError> {
        let left = self.view(&node.input[0])?;
        let depth = left.dims.last().copied().unwrap_or(1);
        let columns: usize = siblings.iter().map(|linear| linear.columns).sum();
        let names: Vec<&str> = siblings.iter().map(|linear| linear.weight).collect();
        let weights = self.side_by_side(&names, depth)?;
        let names: Vec<&str> = siblings.iter().map(|linear| linear.bias).collect();
        let biases = self.side_by_side(&names, 1)?;
        let mut dims = left.dims.clone();
        if let Some(last) = dims.last_mut() {
            *last = columns;
        }
        let out = self.fresh(&dims);
        let bias = View::contiguous(biases, &[columns]).broadcast(&dims);
        let mut program = Program::new(Term::Root, bias.map(Load::Plain).into_iter().collect());
        program.push(Operation::Binary(Binary::Add, Term::Root, Term::Loaded(0)));
        let weights = View::contiguous(weights, &[depth, columns]);
        let step = kernels::product(self.machine, &left, &weights, &program, &out);
        self.steps.push(step.labelled(siblings[0].result));
        let mut start = 0;
        for linear in siblings {
            self.views
                .insert(linear.result, out.columns(start, linear.columns));
            self.done.extend(linear.nodes);
            start += linear.columns;
        }
        Ok(())
    }

    /// Matrices of as many rows as one, each row of it their rows one after the other.
    fn side_by_side(&mut self, names: &[&'a str], rows: usize) -> Result<Buffer, OnnxError> {
        let tensors = names
            .iter()
            .map(|name| {
                self.graph
                    .constant(name)
                    .ok_or_else(|| OnnxError::Undefined((*name).to_owned()))
            })
            .map(|tensor| tensor.and_then(floats))
            .collect::<Result<Vec<Bytes>, _>>()?;
        self.weight(format!("{} in {rows} rows", names.join(" | ")), || {
            let mut joined = BytesMut::with_capacity(tensors.iter().map(Bytes::len).sum());
            for row in 0..rows {
                for bytes in &tensors {
                    let length = bytes.len() / rows;
                    joined.extend_from_slice(&bytes[row * length..(row + 1) * length]);
                }
            }
            Ok(joined.freeze())
        })
    }
}
