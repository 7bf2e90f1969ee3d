//! Which element-wise nodes a kernel takes along.
//!
//! Starting from a kernel's value, nodes that read it, or what was computed from it, are absorbed while everything
//! else that they read is there before the kernel starts. The chain may branch (Gelu reads its input twice) but must
//! end in one value: what is kept is the longest prefix after which only the last value is read from outside.

use std::collections::{BTreeMap, BTreeSet};

use super::Planner;
use super::graph::refuse;
use super::program::{Binary, LOADS_MAX, Load, OPERATIONS_MAX, Operation, Program, Term, Unary};
use crate::onnx::OnnxError;
use crate::onnx::proto::NodeProto;

/// A program, the value that it ends in, and the nodes that it makes unnecessary.
pub(super) struct Chain<'a> {
    pub(super) program: Program,
    pub(super) result: &'a str,
    nodes: Vec<usize>,
}

/// A chain that grows.
struct Growing<'a> {
    program: Program,
    terms: BTreeMap<&'a str, Term>,
    nodes: Vec<usize>,
}

impl<'a> Planner<'a> {
    /// The longest chain behind `root`, which the kernel computes or loads as `start`.
    pub(super) fn chain(&mut self, root: &'a str, start: Program) -> Result<Chain<'a>, OnnxError> {
        let term = start.result();
        let growing = Growing {
            program: start,
            terms: BTreeMap::from([(root, term)]),
            nodes: Vec::new(),
        };
        self.grow(root, growing)
    }

    /// The longest chain that starts with an element-wise node.
    pub(super) fn chain_from(&mut self, index: usize, node: &'a NodeProto) -> Result<Chain<'a>, OnnxError> {
        let mut growing = Growing {
            program: Program::new(Term::Number(0.0), Vec::new()),
            terms: BTreeMap::new(),
            nodes: Vec::new(),
        };
        let root = node.output[0].as_str();
        if !self.absorb(
            index,
            node,
            self.graph.dims(root)?.to_vec().as_slice(),
            &mut growing,
        )? {
            return Err(refuse(node, "its operands cannot be read"));
        }
        self.grow(root, growing)
    }

    /// Marks a chain's nodes as computed.
    pub(super) fn take(&mut self, chain: &Chain<'a>) {
        self.done.extend(&chain.nodes);
    }

    fn grow(&mut self, root: &'a str, mut growing: Growing<'a>) -> Result<Chain<'a>, OnnxError> {
        let dims = self.graph.dims(root)?.to_vec();
        let snapshot = |growing: &Growing<'a>, result: &'a str| Chain {
            program: growing.program.clone(),
            result,
            nodes: growing.nodes.clone(),
        };
        let mut best = snapshot(&growing, root);
        let mut waiting: BTreeSet<usize> = self.graph.readers(root).iter().copied().collect();
        while let Some(index) = waiting.pop_first() {
            let node = &self.graph.nodes[index];
            if growing.program.operations.len() >= OPERATIONS_MAX {
                break;
            }
            if self.done.contains(&index) || !self.absorb(index, node, &dims, &mut growing)? {
                continue;
            }
            let result = node.output[0].as_str();
            waiting.extend(self.graph.readers(result));
            if self.ends_in(result, &growing) {
                best = snapshot(&growing, result);
            }
        }
        Ok(best)
    }

    /// Whether nothing but `result` is read by nodes outside the chain.
    fn ends_in(&self, result: &str, growing: &Growing<'a>) -> bool {
        growing.terms.keys().filter(|name| **name != result).all(|name| {
            let inside = |reader| growing.nodes.contains(reader);
            *name != self.graph.output && self.graph.readers(name).iter().all(inside)
        })
    }

    /// Adds a node, if it is element-wise on this shape and everything that it reads is there.
    fn absorb(
        &mut self,
        index: usize,
        node: &'a NodeProto,
        dims: &[usize],
        growing: &mut Growing<'a>,
    ) -> Result<bool, OnnxError> {
        let output = node.output[0].as_str();
        let (unary, binary) = (Unary::from_onnx(&node.op_type), Binary::from_onnx(&node.op_type));
        let arity = if binary.is_some() { 2 } else { 1 };
        if (unary.is_none() && binary.is_none())
            || self.graph.dims(output)? != dims
            || node.input.len() != arity
        {
            return Ok(false);
        }
        let mut loads = growing.program.loads.clone();
        let mut terms = Vec::with_capacity(arity);
        for name in &node.input {
            match self.term(name, dims, growing, &mut loads)? {
                Some(term) => terms.push(term),
                None => return Ok(false),
            }
        }
        let operation = match (unary, binary, &terms[..]) {
            (Some(function), _, &[x]) => Operation::Unary(function, x),
            (_, Some(function), &[x, y]) => Operation::Binary(function, x, y),
            _ => return Ok(false),
        };
        growing.program.loads = loads;
        let term = growing.program.push(operation);
        growing.terms.insert(output, term);
        growing.nodes.push(index);
        Ok(true)
    }

    fn term(
        &mut self,
        name: &str,
        dims: &[usize],
        growing: &Growing<'a>,
        loads: &mut Vec<Load>,
    ) -> Result<Option<Term>, OnnxError> {
        if let Some(&term) = growing.terms.get(name) {
            return Ok(Some(term));
        }
        if let Some(number) = self.graph.number(name) {
            return Ok(Some(Term::Number(number)));
        }
        let Some(view) = self.view_if_there(name)?.and_then(|view| view.broadcast(dims)) else {
            return Ok(None);
        };
        let load = Load::Plain(view);
        let place = loads
            .iter()
            .position(|known| *known == load)
            .unwrap_or(loads.len());
        if place == loads.len() {
            if place >= LOADS_MAX {
                return Ok(None);
            }
            loads.push(load);
        }
        Ok(Some(Term::Loaded(place)))
    }
}
