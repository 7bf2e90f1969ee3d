//! From nodes to steps: which groups of nodes the fast kernels take over.
//!
//! - A `MatMul` or `Gemm` with a constant matrix becomes a [`Linear`], with the `Add` of a constant vector and the `Gelu`
//!   behind it. The matrix is packed here, once, and forgotten as a constant.
//! - Two products with a softmax between them become an [`Attention`], with the transpositions around it.
//!
//! A group is taken only if nothing else reads what is inside it. It is computed where its last node stood, so that all
//! its inputs are there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Products;
use super::graph::{Graph, other, setting};
use super::steps::{Attention, Linear, Operand, Step, Weight};
use crate::cpu::bytes::{DEPTH_MAX, PackedBytes};
use crate::cpu::gemm::{Matrix, Packed};
use crate::limits;
use crate::onnx::proto::NodeProto;
use crate::tensor::{Data, Tensor};

/// Constants by name.
pub(super) type Constants = BTreeMap<String, Arc<Tensor>>;

/// Narrower matrices are mostly padding when they are packed.
const COLUMNS_MIN: usize = 4;

/// Turns nodes into steps, and drops constants that no step reads any more.
pub(super) fn fuse(
    nodes: &[NodeProto],
    constants: &mut Constants,
    outputs: &BTreeSet<String>,
    products: Products,
) -> Vec<Step> {
    let mut fusing = Fusing {
        graph: Graph::new(nodes, outputs),
        constants,
        products,
        done: BTreeSet::new(),
        packed: BTreeMap::new(),
        packed_bytes: 0,
    };
    let mut steps: BTreeMap<usize, Step> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        let step = match node.op_type.as_str() {
            "Softmax" => fusing.attention(index),
            "MatMul" | "Gemm" => fusing.linear(index),
            "LayerNormalization" => Some((index, Step::LayerNorm(node.clone()))),
            _ => None,
        };
        steps.extend(step);
    }
    let done = fusing.done;
    for (index, node) in nodes.iter().enumerate() {
        if !done.contains(&index) {
            steps.entry(index).or_insert_with(|| Step::Node(node.clone()));
        }
    }
    let steps: Vec<Step> = steps.into_values().collect();
    let read: BTreeSet<&str> = steps.iter().flat_map(Step::needs).collect();
    constants.retain(|name, _| read.contains(name.as_str()) || outputs.contains(name));
    steps
}

/// Whether a node that restores a matrix of bytes is better left for [`fuse`] than folded.
pub(super) fn is_restored_weight(node: &NodeProto, graph: &Graph<'_>, constants: &Constants) -> bool {
    let readers = graph.readers(&node.output[0]);
    let is_right = |&reader: &usize| {
        let product = &graph.nodes[reader];
        product.op_type == "MatMul"
            && product.input.get(1) == node.output.first()
            && product.input.first() != node.output.first()
    };
    !readers.is_empty() && readers.iter().all(is_right) && bytes_of(node, constants).is_some()
}

/// A matrix of signed bytes around 0 with a scale for each column.
fn bytes_of<'a>(node: &NodeProto, constants: &'a Constants) -> Option<(&'a [i8], [usize; 2], Vec<f32>)> {
    let [values, scale, zero @ ..] = &node.input[..] else {
        return None;
    };
    if node.op_type != "DequantizeLinear" || setting(node, "block_size", 0) != 0 {
        return None;
    }
    if let [zero] = zero
        && !zero.is_empty()
        && constants.get(zero)?.to_integers()?.iter().any(|&zero| zero != 0)
    {
        return None;
    }
    let (tensor, scale) = (constants.get(values)?, constants.get(scale)?);
    let (&[depth, columns], Data::I8(values)) = (tensor.dims(), tensor.data()) else {
        return None;
    };
    let scales = match (scale.as_floats()?, scale.rank()) {
        (&[one], 0 | 1) => vec![one; columns],
        (scales, 1) if scales.len() == columns && matches!(setting(node, "axis", 1), 1 | -1) => {
            scales.to_vec()
        }
        _ => return None,
    };
    (depth <= DEPTH_MAX && columns >= COLUMNS_MIN).then_some((values, [depth, columns], scales))
}

struct Fusing<'a, 'c> {
    graph: Graph<'a>,
    constants: &'c mut Constants,
    products: Products,
    /// Nodes that some step has taken over.
    done: BTreeSet<usize>,
    /// Packed matrices by name, and whether they were turned.
    packed: BTreeMap<(String, bool), Weight>,
    packed_bytes: usize,
}

impl Fusing<'_, '_> {
    /// A product with what follows it, and the place of its last node.
    fn linear(&mut self, index: usize) -> Option<(usize, Step)> {
        let node = &self.graph.nodes[index];
        let [input, weight, added @ ..] = &node.input[..] else {
            return None;
        };
        let is_gemm = node.op_type == "Gemm";
        let mut bias = None;
        if is_gemm {
            let fraction = |name: &str| {
                let found = node.attribute.iter().find(|found| found.name == name);
                found.map_or(1.0, |found| found.f)
            };
            if setting(node, "transA", 0) != 0 || fraction("alpha") != 1.0 || fraction("beta") != 1.0 {
                return None;
            }
            if let Some(added) = added.first().filter(|name| !name.is_empty()) {
                bias = Some(self.vector(added)?);
            }
        }
        let weight = self.weight(weight, is_gemm && setting(node, "transB", 0) != 0)?;
        let columns = match &weight {
            Weight::Floats(packed) => packed.columns(),
            Weight::Bytes(packed) => packed.columns(),
        };
        if bias.as_ref().is_some_and(|bias: &Vec<f32>| bias.len() != columns) {
            return None;
        }
        let (mut last, mut output) = (index, node.output.first()?.as_str());
        self.done.insert(index);
        if bias.is_none()
            && let Some((adding, add)) = self.graph.only_reader(output)
            && add.op_type == "Add"
            && let Some(found) = other(add, output).and_then(|name| self.vector(name))
            && found.len() == columns
        {
            bias = Some(found);
            (last, output) = (adding, &add.output[0]);
            self.done.insert(adding);
        }
        let mut is_gelu = false;
        if let Some((activating, gelu)) = self.graph.only_reader(output)
            && gelu.op_type == "Gelu"
            && gelu
                .attribute
                .iter()
                .all(|set| set.s.is_empty() || set.s[..] == b"none"[..])
        {
            is_gelu = true;
            (last, output) = (activating, &gelu.output[0]);
            self.done.insert(activating);
        }
        let step = Linear {
            input: input.clone(),
            weight,
            bias,
            is_gelu,
            output: output.to_owned(),
            node: node.name.clone(),
        };
        Some((last, Step::Linear(step)))
    }

    /// A constant vector of floats.
    fn vector(&self, name: &str) -> Option<Vec<f32>> {
        let tensor = self.constants.get(name).filter(|tensor| tensor.rank() == 1)?;
        tensor.as_floats().map(<[f32]>::to_vec)
    }

    /// A constant matrix, packed.
    fn weight(&mut self, name: &str, is_turned: bool) -> Option<Weight> {
        let key = (name.to_owned(), is_turned);
        if let Some(known) = self.packed.get(&key) {
            return Some(known.clone());
        }
        let restored = self
            .graph
            .producer(name)
            .filter(|_| self.products == Products::Rounded && !is_turned);
        let packed = match restored {
            Some((restoring, node)) => {
                let (values, [depth, _], scales) = bytes_of(node, self.constants)?;
                let packed = PackedBytes::new(values, depth, &scales)?;
                self.packed_bytes += packed.bytes();
                self.done.insert(restoring);
                Weight::Bytes(Arc::new(packed))
            }
            None => {
                let tensor = self.constants.get(name)?;
                let (&[rows, columns], Some(values)) = (tensor.dims(), tensor.as_floats()) else {
                    return None;
                };
                let matrix = Matrix::dense(values, rows, columns);
                let matrix = if is_turned { matrix.turned() } else { matrix };
                // Padding can double what is small, and panels count as constants do.
                let room = limits::SESSION_BYTES_MAX.saturating_sub(self.packed_bytes);
                if matrix.dims[1] < COLUMNS_MIN || tensor.bytes().saturating_mul(2) > room {
                    return None;
                }
                let packed = Packed::new(&matrix);
                self.packed_bytes += packed.bytes();
                Weight::Floats(Arc::new(packed))
            }
        };
        self.packed.insert(key, packed.clone());
        if self.graph.readers(name).len() == 1 {
            self.constants.remove(name);
        }
        Some(packed)
    }

    /// The attention around a softmax, and the place of its last node.
    fn attention(&mut self, index: usize) -> Option<(usize, Step)> {
        let found = self.around(index)?;
        let last = found.0.last().copied()?;
        self.done.extend(&found.0);
        self.done.remove(&last);
        Some((last, Step::Attention(found.1)))
    }

    fn around(&self, softmax: usize) -> Option<(Vec<usize>, Attention)> {
        let graph = &self.graph;
        let node = &graph.nodes[softmax];
        if !matches!(setting(node, "axis", -1), -1 | 3) {
            return None;
        }
        let mut nodes = vec![softmax];
        let (mut mask, scores) = (None, node.input.first()?.as_str());
        let (adding, add) = graph.inner(scores)?;
        let (scale, product) = if add.op_type == "Add" {
            let [left, right] = &add.input[..] else {
                return None;
            };
            nodes.push(adding);
            let (found, added) = match self.scores(left, &mut nodes) {
                Some(found) => (found, right),
                None => (self.scores(right, &mut nodes)?, left),
            };
            mask = Some(added.clone());
            found
        } else {
            self.scores(scores, &mut nodes)?
        };
        let weights = node.output.first()?;
        let (mixing, mixed) = graph.only_reader(weights)?;
        let [query, key] = &product.input[..] else {
            return None;
        };
        if mixed.op_type != "MatMul" || mixed.input.first() != Some(weights) {
            return None;
        }
        nodes.push(mixing);
        let value = mixed.input.get(1)?;
        let swap = graph
            .only_reader(&mixed.output[0])
            .filter(|(_, node)| order_of(node).as_deref() == Some(&[0, 2, 1, 3]));
        nodes.extend(swap.iter().map(|(index, _)| *index));
        let [query, key, value] = [query, key, value].map(|name| self.operand(name, &mut nodes));
        let found = Attention {
            query,
            key: Operand {
                is_turned: true,
                ..key
            },
            value,
            scale,
            mask,
            is_swapped: swap.is_some(),
            nodes: Vec::new(),
        };
        nodes.sort_unstable();
        let copies = nodes.iter().map(|&index| graph.nodes[index].clone()).collect();
        Some((
            nodes,
            Attention {
                nodes: copies,
                ..found
            },
        ))
    }

    /// The product of queries and keys behind some scaling by numbers, and their product.
    fn scores<'s>(&'s self, name: &str, nodes: &mut Vec<usize>) -> Option<(f32, &'s NodeProto)> {
        let (mut scale, mut found) = (1.0, Vec::new());
        let mut at = self.graph.inner(name)?;
        loop {
            found.push(at.0);
            let node = at.1;
            let (operand, number) = match (node.op_type.as_str(), &node.input[..]) {
                ("MatMul", [_, _]) => {
                    nodes.extend(found);
                    return Some((scale, node));
                }
                ("Div", [operand, number]) => (operand, self.number(number)?.recip()),
                ("Mul", [one, two]) => match (self.number(one), self.number(two)) {
                    (None, Some(number)) => (one, number),
                    (Some(number), None) => (two, number),
                    _ => return None,
                },
                _ => return None,
            };
            scale *= number;
            at = self.graph.inner(operand)?;
        }
    }

    /// A constant of one number; not one that would add an axis.
    fn number(&self, name: &str) -> Option<f32> {
        let tensor = self.constants.get(name).filter(|tensor| tensor.rank() <= 1)?;
        match tensor.as_floats()? {
            &[number] => Some(number),
            _ => None,
        }
    }

    /// What an operand is before it is transposed, if nobody else needs the transposed.
    fn operand(&self, name: &str, nodes: &mut Vec<usize>) -> Operand {
        if let Some((index, node)) = self.graph.inner(name)
            && let Some(order) = order_of(node)
        {
            nodes.push(index);
            return Operand {
                name: node.input[0].clone(),
                order: Some(order),
                is_turned: false,
            };
        }
        Operand {
            name: name.to_owned(),
            order: None,
            is_turned: false,
        }
    }
}

/// The order that a Transpose of four axes gives them.
fn order_of(node: &NodeProto) -> Option<Vec<usize>> {
    let order = node.attribute.iter().find(|set| set.name == "perm")?;
    let order: Vec<usize> = order
        .ints
        .iter()
        .map(|&axis| usize::try_from(axis))
        .collect::<Result<_, _>>()
        .ok()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    (node.op_type == "Transpose" && sorted == [0, 1, 2, 3]).then_some(order)
}
