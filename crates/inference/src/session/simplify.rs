//! Rewriting groups of nodes as one operator that means the same.
//!
//! Exporters write Gelu as x · (1 + erf(x / √2)) / 2, with the half at one of several places, since ONNX has it as an
//! operator only from set 20 on.

use std::collections::{BTreeMap, BTreeSet};
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::sync::Arc;

use super::graph::{Graph, other};
use crate::onnx::proto::NodeProto;
use crate::tensor::Tensor;

/// How far a constant may be from the number that it stands for: exporters round to 7 digits, or to 16 bits.
const CONSTANT_OFF_MAX: f32 = 1e-3;

/// Writes every spelled-out Gelu as one node.
pub(super) fn simplify(
    nodes: Vec<NodeProto>,
    constants: &BTreeMap<String, Arc<Tensor>>,
    outputs: &BTreeSet<String>,
) -> Vec<NodeProto> {
    let graph = Graph::new(&nodes, outputs);
    let mut replaced: BTreeMap<usize, Option<NodeProto>> = BTreeMap::new();
    for erf in (0..nodes.len()).filter(|&index| nodes[index].op_type == "Erf") {
        if let Some(found) = gelu(&graph, constants, erf) {
            let last = found.nodes.last().copied();
            replaced.extend(found.nodes.iter().map(|&index| (index, None)));
            replaced.extend(last.map(|last| (last, Some(found.node))));
        }
    }
    let keep = nodes.iter().enumerate();
    keep.filter_map(|(index, node)| match replaced.remove(&index) {
        Some(replacement) => replacement,
        None => Some(node.clone()),
    })
    .collect()
}

struct Found {
    node: NodeProto,
    /// What it replaces, in order.
    nodes: Vec<usize>,
}

fn gelu(graph: &Graph<'_>, constants: &BTreeMap<String, Arc<Tensor>>, erf: usize) -> Option<Found> {
    let number = |name: &str| match constants.get(name)?.as_floats()? {
        &[number] => Some(number),
        _ => None,
    };
    let is = |name: &str, wanted: f32| {
        number(name).is_some_and(|number| (number / wanted - 1.0).abs() < CONSTANT_OFF_MAX)
    };
    let node = &graph.nodes[erf];
    let (scaling, scaled) = graph.inner(node.input.first()?)?;
    let x = match (&scaled.op_type[..], &scaled.input[..]) {
        ("Div", [x, divisor]) if is(divisor, SQRT_2) => x,
        ("Mul", [x, factor]) if is(factor, FRAC_1_SQRT_2) => x,
        ("Mul", [factor, x]) if is(factor, FRAC_1_SQRT_2) => x,
        _ => return None,
    };
    let mut nodes = vec![scaling, erf];
    let (adding, gate) = graph.only_reader(&node.output[0])?;
    if gate.op_type != "Add" || !is(other(gate, &node.output[0])?, 1.0) {
        return None;
    }
    nodes.push(adding);
    // What is left is the product of x, the gate and a half, in some order.
    let (mut x_is_due, mut half_is_due) = (true, true);
    let mut value = gate.output[0].as_str();
    while x_is_due || half_is_due {
        let (index, product) = graph.only_reader(value)?;
        if product.op_type != "Mul" {
            return None;
        }
        let factor = other(product, value)?;
        if half_is_due && is(factor, 0.5) {
            half_is_due = false;
        } else if x_is_due && factor == x {
            x_is_due = false;
        } else if x_is_due && half_is_due {
            let (halving, half) = graph.inner(factor)?;
            if half.op_type != "Mul" || !is(other(half, x)?, 0.5) {
                return None;
            }
            (x_is_due, half_is_due) = (false, false);
            nodes.push(halving);
        } else {
            return None;
        }
        nodes.push(index);
        value = &product.output[0];
    }
    nodes.sort_unstable();
    let node = NodeProto {
        input: vec![x.clone()],
        output: vec![value.to_owned()],
        name: node.name.clone(),
        op_type: "Gelu".to_owned(),
        attribute: Vec::new(),
        domain: String::new(),
    };
    Some(Found { node, nodes })
}
