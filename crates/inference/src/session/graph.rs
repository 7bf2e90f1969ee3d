//! Who computes a value and who reads it.

use std::collections::{BTreeMap, BTreeSet};

use crate::onnx::proto::NodeProto;

/// Nodes, indexed by the names of their values.
pub(super) struct Graph<'a> {
    pub(super) nodes: &'a [NodeProto],
    outputs: &'a BTreeSet<String>,
    readers: BTreeMap<&'a str, Vec<usize>>,
    producers: BTreeMap<&'a str, usize>,
}

impl<'a> Graph<'a> {
    /// `outputs` are the values that callers see.
    pub(super) fn new(nodes: &'a [NodeProto], outputs: &'a BTreeSet<String>) -> Self {
        let mut readers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut producers = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            for name in node.input.iter().filter(|name| !name.is_empty()) {
                readers.entry(name).or_default().push(index);
            }
            producers.extend(node.output.iter().map(|name| (name.as_str(), index)));
        }
        Self {
            nodes,
            outputs,
            readers,
            producers,
        }
    }

    pub(super) fn readers(&self, name: &str) -> &[usize] {
        self.readers.get(name).map_or(&[], Vec::as_slice)
    }

    /// The node that computes a value.
    pub(super) fn producer(&self, name: &str) -> Option<(usize, &'a NodeProto)> {
        let &index = self.producers.get(name)?;
        Some((index, &self.nodes[index]))
    }

    /// The only node that reads a value which nobody else needs, if it reads it once.
    pub(super) fn only_reader(&self, name: &str) -> Option<(usize, &'a NodeProto)> {
        match self.readers(name) {
            &[index] if !self.outputs.contains(name) => Some((index, &self.nodes[index])),
            _ => None,
        }
    }

    /// The node that computes a value which only one node reads.
    pub(super) fn inner(&self, name: &str) -> Option<(usize, &'a NodeProto)> {
        self.only_reader(name)?;
        self.producer(name)
    }
}

/// The operand of a node with two that is not this one.
pub(super) fn other<'a>(node: &'a NodeProto, name: &str) -> Option<&'a str> {
    match &node.input[..] {
        [one, two] if one == name => Some(two),
        [one, two] if two == name => Some(one),
        _ => None,
    }
}

/// A whole number that a node is set to.
pub(super) fn setting(node: &NodeProto, name: &str, default: i64) -> i64 {
    let found = node.attribute.iter().find(|attribute| attribute.name == name);
    found.map_or(default, |attribute| attribute.i)
}
