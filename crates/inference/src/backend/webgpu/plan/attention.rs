//! Finding attention in a graph: two products with a softmax between them.
//!
//! Exporters write `softmax(q·kᵀ · scale + mask)·v` node by node. As one kernel it never stores the scores, which
//! grow with the square of the length.

use super::graph::{Graph, integers};
use crate::onnx::proto::NodeProto;

/// Attention that was found.
pub(super) struct Attention<'a> {
    /// Queries: texts × heads × rows × depth.
    pub(super) query: &'a str,
    /// Keys, transposed: texts × heads × depth × columns.
    pub(super) key: &'a str,
    /// Values: texts × heads × columns × depth.
    pub(super) value: &'a str,
    /// What the scores are multiplied by.
    pub(super) scale: f32,
    /// What is added to them.
    pub(super) mask: Option<&'a str>,
    /// The nodes that it replaces; the last computes the result.
    pub(super) nodes: Vec<usize>,
    /// Whether the last node swaps heads and rows of the result.
    pub(super) is_swapped: bool,
}

/// The attention around a Softmax, if it is all there and nothing else reads what is in between.
pub(super) fn around<'a>(graph: &Graph<'a>, softmax: usize) -> Option<Attention<'a>> {
    let node = &graph.nodes[softmax];
    let (mut scale, mut mask) = (1.0, None);
    let mut nodes = vec![softmax];
    let mut scores = inner(graph, &node.input[0], &mut nodes)?;
    if scores.op_type == "Add" {
        let [left, right] = &scores.input[..] else {
            return None;
        };
        let computed = |name: &str| {
            graph
                .producer(name)
                .is_some_and(|(_, node)| matches!(node.op_type.as_str(), "MatMul" | "Mul" | "Div"))
                && graph.only_reader(name).is_some()
                && graph.dims(name).ok() == graph.dims(&scores.output[0]).ok()
        };
        let (chain, added) = if computed(left) {
            (left, right)
        } else {
            (right, left)
        };
        mask = Some(added.as_str());
        scores = inner(graph, chain, &mut nodes)?;
    }
    while let "Mul" | "Div" = scores.op_type.as_str() {
        let [left, right] = &scores.input[..] else {
            return None;
        };
        let (chain, number) = match (graph.number(left), graph.number(right)) {
            (None, Some(number)) if scores.op_type == "Div" => (left, 1.0 / number),
            (None, Some(number)) => (left, number),
            (Some(number), None) if scores.op_type == "Mul" => (right, number),
            _ => return None,
        };
        scale *= number;
        scores = inner(graph, chain, &mut nodes)?;
    }
    let [query, key] = &scores.input[..] else {
        return None;
    };
    let (mixing, mixed) = graph.only_reader(&node.output[0])?;
    let [weights, value] = &mixed.input[..] else {
        return None;
    };
    if scores.op_type != "MatMul" || mixed.op_type != "MatMul" || *weights != node.output[0] {
        return None;
    }
    let stacks = [query, key, value].map(|name| graph.dims(name).ok());
    let &[
        Some(&[texts, heads, _, depth]),
        Some(&[.., columns]),
        Some(values),
    ] = &stacks
    else {
        return None;
    };
    if graph.dims(key).ok()? != [texts, heads, depth, columns] || values != [texts, heads, columns, depth] {
        return None;
    }
    nodes.push(mixing);
    let swap = graph
        .only_reader(&mixed.output[0])
        .filter(|(_, node)| node.op_type == "Transpose" && integers(node, "perm") == Some(&[0, 2, 1, 3]));
    nodes.extend(swap.iter().map(|(index, _)| *index));
    Some(Attention {
        query,
        key,
        value,
        scale,
        mask,
        nodes,
        is_swapped: swap.is_some(),
    })
}

/// The node that computes a value which only the attention reads.
fn inner<'a>(graph: &Graph<'a>, name: &str, nodes: &mut Vec<usize>) -> Option<&'a NodeProto> {
    graph.only_reader(name)?;
    let (index, node) = graph.producer(name)?;
    nodes.insert(0, index);
    Some(node)
}
