//! From a lowered graph to the steps that a GPU runs.
//!
//! ```text
//! lowered graph ─attention, chains─▶ kernels on views ─liveness─▶ steps on buffers, one submission
//! ```
//! Planning is pure: it needs no GPU and always makes the same steps of the same graph. Reshape and Transpose become
//! views ([`view`]); element-wise nodes join the kernel before them ([`chain`]); attention becomes one kernel
//! ([`attention`]); products of one operand with several weights, as attention's three projections are, become one
//! product ([`products`]); buffers are shared by liveness ([`memory`]).
//!
//! Bounds: the graph was read and lowered within [`limits`](crate::limits), so nodes and elements are bounded; every
//! loop of a shader has a bound that is written in its text. A step that would take long is cut into pieces ([`cut`]),
//! and a graph that would take too long or too much memory altogether is refused.

mod attention;
mod chain;
mod cut;
mod graph;
mod memory;
mod products;
pub(crate) mod program;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::kernels::{self, Machine};
use crate::lower::{InputShape, Lowered};
use crate::onnx::OnnxError;
use crate::onnx::proto::{DataType, NodeProto, TensorProto};
use attention::Attention;
pub(crate) use cut::Piece;
use graph::{Graph, fraction, integers, refuse};
use memory::Slots;
use program::{Load, Program, Term};
use view::View;

/// What a shader binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Buffer {
    /// The token ids, as 32-bit integers.
    Ids,
    /// 1 where a token is and 0 where padding is.
    Mask,
    /// One of [`Plan::weights`].
    Weight(usize),
    /// A temporary value; several may share memory.
    Temp(usize),
}

/// One dispatch, or several if it is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The value that it computes, for people.
    pub(crate) label: String,
    /// WGSL. Equal sources are compiled once.
    pub(crate) source: String,
    /// Buffers in the order of their bindings. The last is written, the others are read.
    pub(crate) bindings: Vec<Buffer>,
    /// Workgroups.
    pub(crate) groups: [u32; 3],
    /// Multiplications of a workgroup at most, or what takes as long.
    pub(crate) group_work: u64,
    /// Empty once the step is cut: the same shader for pieces, whose first workgroup it reads from a uniform behind the bindings.
    pub(crate) moving: String,
    /// The pieces that are dispatched; [`Step::source`] moves if there are several.
    pub(crate) pieces: Vec<Piece>,
}

/// A constant that is uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Equal keys have equal contents, also in plans of the same model for other shapes.
    pub(crate) key: String,
    /// Little-endian floats.
    pub(crate) bytes: Bytes,
}

/// Everything needed to run a graph for one shape of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) shape: InputShape,
    pub(crate) steps: Vec<Step>,
    pub(crate) weights: Vec<Weight>,
    pub(crate) slots: Slots,
    /// Hidden states: texts × tokens × dimension.
    pub(crate) hidden: Buffer,
    /// The average of each text's hidden states: texts × dimension.
    pub(crate) pooled: Buffer,
    pub(crate) dimension: usize,
    /// Token ids must be smaller: rows of the smallest table that they are looked up in.
    pub(crate) vocabulary: usize,
}

struct Planner<'a> {
    graph: Graph<'a>,
    machine: Machine,
    /// Values that are there, or that a step emitted so far computes.
    views: BTreeMap<&'a str, View>,
    /// Nodes that some kernel took along.
    done: BTreeSet<usize>,
    steps: Vec<Step>,
    weights: Vec<Weight>,
    weight_bytes: u64,
    /// Elements of each temporary value.
    temporaries: Vec<usize>,
    vocabulary: usize,
}

/// Plans a graph that was lowered for the kernels.
///
/// # Errors
/// The operator that is in the way, if one is.
pub(crate) fn plan(lowered: &Lowered, shape: InputShape, machine: Machine) -> Result<Plan, OnnxError> {
    let graph = lowered.model.graph.as_ref().ok_or(OnnxError::NoGraph)?;
    let mut planner = Planner::new(Graph::new(graph)?, shape, machine);
    let mut attentions = planner.find_attentions();
    for index in 0..graph.node.len() {
        if let Some(found) = attentions.remove(&index) {
            planner.attention(&found)?;
        } else if !planner.done.contains(&index) {
            planner.node(index)?;
        }
    }
    planner.finish(shape)
}

impl<'a> Planner<'a> {
    fn new(graph: Graph<'a>, shape: InputShape, machine: Machine) -> Self {
        let dims = [shape.texts, shape.tokens];
        let views = BTreeMap::from([
            ("input_ids", View::contiguous(Buffer::Ids, &dims)),
            ("attention_mask", View::contiguous(Buffer::Mask, &dims)),
        ]);
        Self {
            graph,
            machine,
            views,
            done: BTreeSet::new(),
            steps: Vec::new(),
            weights: Vec::new(),
            weight_bytes: 0,
            temporaries: Vec::new(),
            vocabulary: usize::MAX,
        }
    }

    /// Attentions by the node that computes their result; their other nodes are done with.
    fn find_attentions(&mut self) -> BTreeMap<usize, Attention<'a>> {
        let mut found = BTreeMap::new();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            if node.op_type == "Softmax"
                && let Some(attention) = attention::around(&self.graph, index)
                && let Some(&last) = attention.nodes.last()
            {
                self.done.extend(&attention.nodes);
                found.insert(last, attention);
            }
        }
        found
    }

    fn node(&mut self, index: usize) -> Result<(), OnnxError> {
        let node = &self.graph.nodes[index];
        let output = node.output[0].as_str();
        match node.op_type.as_str() {
            "Reshape" => {
                let (value, dims) = (self.view(&node.input[0])?, self.graph.dims(output)?.to_vec());
                let view = match value.reshaped(&dims) {
                    Some(view) => view,
                    None => View::contiguous(self.copied(output, value)?.buffer, &dims),
                };
                self.views.insert(output, view);
                Ok(())
            }
            "Transpose" => {
                let value = self.view(&node.input[0])?;
                let order = integers(node, "perm").unwrap_or_default();
                let order: Vec<usize> = order.iter().map(|&axis| axis as usize).collect();
                if order.len() != value.dims.len() || order.iter().any(|&axis| axis >= order.len()) {
                    return Err(refuse(node, "its order does not name every axis"));
                }
                self.views.insert(output, value.transposed(&order));
                Ok(())
            }
            "Gather" => self.gather(node),
            "MatMul" => self.product(index, node),
            "LayerNormalization" => self.layer_norm(node),
            "Softmax" => {
                let x = self.view(&node.input[0])?;
                let chain = self.chain(output, Program::new(Term::Root, Vec::new()))?;
                let out = self.fresh(self.graph.dims(output)?.to_vec().as_slice());
                let step = kernels::softmax(&x, &chain.program, &out);
                self.emit(step, &chain, out)
            }
            _ => {
                let chain = self.chain_from(index, node)?;
                self.done.insert(index);
                self.map(chain)
            }
        }
    }

    /// Rows of a table, and whatever is done to them next.
    fn gather(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        let output = node.output[0].as_str();
        let (table, ids) = (self.view(&node.input[0])?, self.view(&node.input[1])?);
        if ids.buffer != Buffer::Ids || table.dims.len() != 2 {
            return Err(refuse(node, "only rows of a matrix can be gathered by token ids"));
        }
        self.vocabulary = self.vocabulary.min(table.dims[0]);
        let mut ids = ids;
        ids.dims.push(table.dims[1]);
        ids.strides.push(0);
        let start = Program::new(Term::Loaded(0), vec![Load::Row { table, ids }]);
        let chain = self.chain(output, start)?;
        self.map(chain)
    }

    fn map(&mut self, chain: chain::Chain<'a>) -> Result<(), OnnxError> {
        let out = self.fresh(self.graph.dims(chain.result)?.to_vec().as_slice());
        let step = kernels::map(&chain.program, &out);
        self.emit(step, &chain, out)
    }

    /// (x − mean) / √(variance + ε) is the kernel's; scale and bias are the start of its chain.
    fn layer_norm(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        let output = node.output[0].as_str();
        let dims = self.graph.dims(output)?.to_vec();
        let x = self.view(&node.input[0])?;
        let mut start = Program::new(Term::Root, Vec::new());
        for (place, name) in node.input[1..].iter().enumerate() {
            let operand = self.view(name)?.broadcast(&dims);
            let operand = operand.ok_or_else(|| refuse(node, "its scale or bias has another shape"))?;
            start.loads.push(Load::Plain(operand));
            let function = [program::Binary::Mul, program::Binary::Add][place.min(1)];
            let value = start.result();
            start.push(program::Operation::Binary(function, value, Term::Loaded(place)));
        }
        let chain = self.chain(output, start)?;
        let out = self.fresh(&dims);
        let step = kernels::layer_norm(&x, fraction(node, "epsilon", 1e-5), &chain.program, &out);
        self.emit(step, &chain, out)
    }

    fn attention(&mut self, found: &Attention<'a>) -> Result<(), OnnxError> {
        let Some(last) = found.nodes.last().map(|&index| &self.graph.nodes[index]) else {
            return Ok(());
        };
        let output = last.output[0].as_str();
        let (query, value) = (self.view(found.query)?, self.view(found.value)?);
        let key = self.view(found.key)?.transposed(&[0, 1, 3, 2]);
        let query = self.in_rows(output, query)?;
        let key = self.in_rows(output, key)?;
        let value = self.in_rows(output, value)?;
        let (rows, columns) = (&query.dims, key.dims[2]);
        let scores = [rows[0], rows[1], rows[2], columns];
        let mask = match found.mask {
            Some(name) => {
                let mask = self.view(name)?.broadcast(&scores);
                Some(mask.ok_or_else(|| refuse(last, "its mask has another shape"))?)
            }
            None => None,
        };
        let out = self.fresh(self.graph.dims(output)?.to_vec().as_slice());
        let by_head = if found.is_swapped {
            out.transposed(&[0, 2, 1, 3])
        } else {
            out.clone()
        };
        let step = kernels::attention(&query, &key, &value, mask.as_ref(), found.scale, &by_head);
        self.steps.push(step.labelled(output));
        self.views.insert(output, out);
        Ok(())
    }

    /// A view whose rows lie without gaps, aligned where their length allows it; copied if it is not one.
    fn in_rows(&mut self, label: &str, view: View) -> Result<View, OnnxError> {
        let is_ragged = !view.dims.last().is_some_and(|size| size.is_multiple_of(4));
        if view.is_vector() || (is_ragged && view.strides.last() == Some(&1)) {
            return Ok(view);
        }
        self.copied(label, view)
    }

    /// The same elements without gaps.
    fn copied(&mut self, label: &str, view: View) -> Result<View, OnnxError> {
        let out = self.fresh(&view.dims);
        let program = Program::new(Term::Loaded(0), vec![Load::Plain(view)]);
        self.steps.push(kernels::map(&program, &out).labelled(label));
        Ok(out)
    }

    /// Adds the step of a kernel with its chain.
    fn emit(&mut self, step: Step, chain: &chain::Chain<'a>, out: View) -> Result<(), OnnxError> {
        self.steps.push(step.labelled(chain.result));
        self.take(chain);
        self.views.insert(chain.result, out);
        Ok(())
    }

    /// Room for a new value.
    fn fresh(&mut self, dims: &[usize]) -> View {
        self.temporaries.push(dims.iter().product());
        View::contiguous(Buffer::Temp(self.temporaries.len() - 1), dims)
    }

    /// A value that must be there.
    fn view(&mut self, name: &str) -> Result<View, OnnxError> {
        self.view_if_there(name)?
            .ok_or_else(|| OnnxError::Undefined(name.to_owned()))
    }

    /// A value, if it is constant or some step emitted so far computes it.
    fn view_if_there(&mut self, name: &str) -> Result<Option<View>, OnnxError> {
        if let Some(view) = self.views.get(name) {
            return Ok(Some(view.clone()));
        }
        let Some(tensor) = self.graph.constant(name) else {
            return Ok(None);
        };
        let dims = self.graph.dims(name)?.to_vec();
        let key = format!("{name} {dims:?}");
        let buffer = self.weight(key, || floats(tensor))?;
        Ok(Some(View::contiguous(buffer, &dims)))
    }

    /// The buffer of a constant, made if it is new.
    fn weight(
        &mut self,
        key: String,
        bytes: impl FnOnce() -> Result<Bytes, OnnxError>,
    ) -> Result<Buffer, OnnxError> {
        if let Some(known) = self.weights.iter().position(|weight| weight.key == key) {
            return Ok(Buffer::Weight(known));
        }
        let bytes = bytes()?;
        self.weight_bytes += bytes.len() as u64;
        cut::check_memory(&key, &[], self.weight_bytes)?;
        self.weights.push(Weight { key, bytes });
        Ok(Buffer::Weight(self.weights.len() - 1))
    }

    fn finish(mut self, shape: InputShape) -> Result<Plan, OnnxError> {
        let mut hidden = self.view(self.graph.output)?;
        if !hidden.is_plain() || !matches!(hidden.buffer, Buffer::Temp(_)) {
            hidden = self.copied(self.graph.output, hidden)?;
        }
        let &[texts, tokens, dimension] = &hidden.dims[..] else {
            return Err(OnnxError::Undefined(self.graph.output.to_owned()));
        };
        if [texts, tokens] != [shape.texts, shape.tokens] {
            return Err(OnnxError::Undefined(self.graph.output.to_owned()));
        }
        let mask = View::contiguous(Buffer::Mask, &[texts, tokens]);
        let pooled = self.fresh(&[texts, dimension]);
        self.steps
            .push(kernels::mean_pool(&hidden, &mask, &pooled).labelled("mean pool"));
        cut::cut(&mut self.steps, self.machine)?;
        let slots = memory::assign(&self.steps, &self.temporaries, &[hidden.buffer, pooled.buffer]);
        cut::check_memory(self.graph.output, &slots.sizes, self.weight_bytes)?;
        Ok(Plan {
            shape,
            slots,
            steps: self.steps,
            weights: self.weights,
            hidden: hidden.buffer,
            pooled: pooled.buffer,
            dimension,
            vocabulary: self.vocabulary,
        })
    }
}

impl Step {
    fn labelled(self, label: &str) -> Self {
        Self {
            label: label.to_owned(),
            ..self
        }
    }
}

/// A constant's numbers as they are uploaded.
fn floats(tensor: &TensorProto) -> Result<Bytes, OnnxError> {
    if tensor.data_type == DataType::Float as i32 {
        Ok(tensor.raw_data.clone())
    } else {
        Err(OnnxError::Tensor {
            name: tensor.name.clone(),
            problem: "has an element type that the kernels do not read",
        })
    }
}
