//! What a run may take, and whether it will, before it starts.
//!
//! A model that its kernels accept one by one can still ask for days of work, or for more memory than a tab has. So the
//! whole run is foreseen from the shapes of its inputs ([`Outlook`]) and refused if it goes beyond its [`Budget`]. What
//! depends on values that nobody knows before (how many elements are not zero, for example) is left out of it, and each
//! step of such a run is held against the rest of the budget when its inputs are there ([`Meter`]). Constants are
//! folded under the same meter.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::steps::Step;
use super::{Constants, Session};
use crate::limits;
use crate::onnx::OnnxError;
use crate::onnx::proto::NodeProto;
use crate::ops::forecast::{Fact, Forecast, Shape, forecast};
use crate::ops::place::count;
use crate::tensor::Tensor;

/// What one run may take, or the folding of a model's constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Steps, about as long as a multiplication each.
    pub work: u64,
    /// Bytes of all values that are there at the same time, with what a kernel needs beside them.
    pub bytes: u64,
}

/// What one run will take, as far as the shapes of its inputs decide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// Steps, about as long as a multiplication each.
    pub work: u64,
    /// Bytes at the moment when most are held.
    pub bytes: u64,
    /// Whether some of it depends on values that are known only when they are computed.
    pub is_partial: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            work: limits::RUN_WORK_MAX,
            bytes: limits::SESSION_BYTES_MAX as u64,
        }
    }
}

impl Budget {
    fn check(&self, step: &str, work: u64, bytes: u64) -> Result<(), OnnxError> {
        let refuse = |what, needed, max| OnnxError::Budget {
            node: step.to_owned(),
            what,
            needed,
            max,
        };
        if work > self.work {
            return Err(refuse("steps of work", work, self.work));
        }
        if bytes > self.bytes {
            return Err(refuse("bytes of memory", bytes, self.bytes));
        }
        Ok(())
    }
}

/// Counts work while it is done.
pub(super) struct Meter {
    budget: Budget,
    work: u64,
}

impl Meter {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, work: 0 }
    }

    /// Takes a step's work from the budget before it is done. `held` are the bytes of the values that are there.
    pub(super) fn step(
        &mut self,
        step: &Step,
        opset: i64,
        held: usize,
        value: impl Fn(&str) -> Option<Arc<Tensor>>,
    ) -> Result<(), OnnxError> {
        let nodes = match step {
            Step::Node(node) | Step::LayerNorm(node) => std::slice::from_ref(node),
            Step::Attention(found) => &found.nodes[..],
            Step::Linear(linear) => {
                let read = value(&linear.input).map_or(0, |x| count(x.dims()));
                self.work = self
                    .work
                    .saturating_add(read.saturating_mul(linear.columns() as u64));
                return self.budget.check(&linear.output, self.work, held as u64);
            }
        };
        let mut inner: BTreeMap<&str, Fact> = BTreeMap::new();
        for node in nodes {
            let fact = |name: &str| {
                let known = || value(name).map(Fact::Value);
                inner.get(name).cloned().or_else(known)
            };
            let outputs = self.node(node, opset, held, fact)?;
            inner.extend(node.output.iter().map(String::as_str).zip(outputs));
        }
        Ok(())
    }

    /// Takes a node's work, and gives what is known of its outputs.
    pub(super) fn node(
        &mut self,
        node: &NodeProto,
        opset: i64,
        held: usize,
        fact: impl Fn(&str) -> Option<Fact>,
    ) -> Result<Vec<Fact>, OnnxError> {
        let found = foreseen(node, opset, fact)?;
        // A kernel whose work nobody foresees reads its inputs and writes what the limits on a tensor allow.
        let work = found.work.unwrap_or(limits::COMPUTED_ELEMENTS_MAX as u64);
        self.work = self.work.saturating_add(work);
        let made = found.outputs.iter().filter_map(Fact::bytes);
        let bytes = made.fold(found.scratch.saturating_add(held as u64), u64::saturating_add);
        self.budget.check(&node.name, self.work, bytes)?;
        Ok(found.outputs)
    }
}

fn foreseen(
    node: &NodeProto,
    opset: i64,
    fact: impl Fn(&str) -> Option<Fact>,
) -> Result<Forecast, OnnxError> {
    let known = |name: &String| match name.as_str() {
        "" => None,
        name => Some(fact(name).unwrap_or(Fact::Nothing)),
    };
    let facts: Vec<Option<Fact>> = node.input.iter().map(known).collect();
    forecast(node, opset, &facts).map_err(|problem| super::refuse(node, problem.0))
}

/// Foresees the folding of constants: nodes that read nothing but the given values, or what was made of them.
pub(super) fn check_constants(
    nodes: &[NodeProto],
    opset: i64,
    given: BTreeMap<&str, &Arc<Tensor>>,
    budget: Budget,
) -> Result<(), OnnxError> {
    let held = given.values().map(|tensor| tensor.bytes() as u64);
    let (mut work, mut held) = (0_u64, held.fold(0, u64::saturating_add));
    let mut made: BTreeMap<&str, Fact> = BTreeMap::new();
    for node in nodes {
        let known = |name: &str| made.contains_key(name) || given.contains_key(name);
        if !node.input.iter().all(|name| name.is_empty() || known(name)) {
            continue;
        }
        let found = foreseen(node, opset, |name| {
            let value = || given.get(name).map(|&tensor| Fact::Value(tensor.clone()));
            made.get(name).cloned().or_else(value)
        })?;
        work = work.saturating_add(found.work.unwrap_or(0));
        let bytes = found.outputs.iter().filter_map(Fact::bytes);
        held = held.saturating_add(bytes.fold(0, u64::saturating_add));
        budget.check(&node.name, work, held.saturating_add(found.scratch))?;
        made.extend(node.output.iter().map(String::as_str).zip(found.outputs));
    }
    Ok(())
}

/// Whether the shapes that were foreseen from the inputs' shapes alone, and from the inputs themselves, came true. Tests and
/// fuzzers hold every kernel against it.
pub(super) fn agrees(
    node: &NodeProto,
    opset: i64,
    inputs: &[Option<Arc<Tensor>>],
    outputs: &[Tensor],
) -> bool {
    [false, true].into_iter().all(|is_known| {
        let fact = |tensor: &Arc<Tensor>| {
            if is_known {
                return Fact::Value(tensor.clone());
            }
            let (dims, each) = (tensor.dims().to_vec(), tensor.data().element().bytes());
            Fact::Shape(Shape { dims, each })
        };
        let facts: Vec<Option<Fact>> = inputs.iter().map(|input| input.as_ref().map(&fact)).collect();
        let Ok(found) = forecast(node, opset, &facts) else {
            return false;
        };
        let same = |(fact, tensor): (&Fact, &Tensor)| {
            fact.dims().is_none_or(|dims| dims == tensor.dims())
                && fact.bytes().is_none_or(|bytes| bytes >= tensor.bytes() as u64)
        };
        found.outputs.iter().zip(outputs).all(same)
    })
}

/// A run that is walked through without being run.
struct Walk<'a> {
    session: &'a Session,
    facts: BTreeMap<&'a str, Fact>,
    held: u64,
    outlook: Outlook,
}

impl Session {
    /// What a run on inputs of these shapes and values takes. It costs microseconds for each step, and memory for a few
    /// hundred numbers.
    ///
    /// # Errors
    /// [`OnnxError::Budget`] for the first step that goes beyond the budget, [`OnnxError::Operator`] for one whose result is
    /// larger than a tensor may be.
    pub(super) fn outlook(
        &self,
        given: &BTreeMap<String, Fact>,
        budget: Budget,
    ) -> Result<Outlook, OnnxError> {
        let mut walk = Walk {
            session: self,
            facts: BTreeMap::new(),
            held: 0,
            outlook: Outlook {
                work: 0,
                bytes: 0,
                is_partial: false,
            },
        };
        for port in &self.inputs {
            let fact = given.get(&port.name).cloned().unwrap_or(Fact::Nothing);
            walk.keep(&port.name, fact);
        }
        for (place, step) in self.steps.iter().enumerate() {
            walk.step(step)?;
            let Outlook { work, bytes, .. } = walk.outlook;
            budget.check(step.writes().first().map_or("", String::as_str), work, bytes)?;
            walk.drop_after(place, step);
        }
        Ok(walk.outlook)
    }
}

impl<'a> Walk<'a> {
    fn fact(&self, name: &str) -> Option<Fact> {
        let constants: &Constants = &self.session.constants;
        let constant = || constants.get(name).cloned().map(Fact::Value);
        self.facts.get(name).cloned().or_else(constant)
    }

    fn keep(&mut self, name: &'a str, fact: Fact) {
        self.outlook.is_partial |= fact.bytes().is_none();
        self.held = self.held.saturating_add(fact.bytes().unwrap_or(0));
        self.outlook.bytes = self.outlook.bytes.max(self.held);
        self.facts.insert(name, fact);
    }

    fn needs(&mut self, work: Option<u64>, scratch: u64) {
        self.outlook.is_partial |= work.is_none();
        self.outlook.work = self.outlook.work.saturating_add(work.unwrap_or(0));
        self.outlook.bytes = self.outlook.bytes.max(self.held.saturating_add(scratch));
    }

    fn step(&mut self, step: &'a Step) -> Result<(), OnnxError> {
        match step {
            Step::Node(node) | Step::LayerNorm(node) => self.node(node),
            Step::Attention(found) => {
                // One by one, the way that they are computed if their shapes do not allow the fast one.
                for node in &found.nodes {
                    self.node(node)?;
                }
                let (last, inner) = found.nodes.split_last().unzip();
                let last: Option<&NodeProto> = last;
                for name in inner
                    .into_iter()
                    .flatten()
                    .flat_map(|node: &NodeProto| &node.output)
                {
                    if last.is_none_or(|last| !last.output.contains(name)) {
                        self.forget(name);
                    }
                }
                Ok(())
            }
            Step::Linear(linear) => {
                let columns = linear.columns();
                let fact = self.fact(&linear.input);
                let Some((&depth, before)) = fact.as_ref().and_then(|fact| fact.dims()?.split_last()) else {
                    self.needs(None, 0);
                    self.keep(&linear.output, Fact::Nothing);
                    return Ok(());
                };
                let dims = [before, &[columns]].concat();
                self.needs(Some(count(&dims).saturating_mul(depth as u64)), 0);
                self.keep(&linear.output, Fact::Shape(Shape { dims, each: 4 }));
                Ok(())
            }
        }
    }

    fn node(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        let found = foreseen(node, self.session.opset, |name| self.fact(name))?;
        for (name, fact) in node.output.iter().zip(found.outputs) {
            if !name.is_empty() {
                self.keep(name, fact);
            }
        }
        self.needs(found.work, found.scratch);
        Ok(())
    }

    fn forget(&mut self, name: &str) {
        if let Some(fact) = self.facts.remove(name) {
            self.held = self.held.saturating_sub(fact.bytes().unwrap_or(0));
        }
    }

    fn drop_after(&mut self, place: usize, step: &Step) {
        for name in step.needs() {
            let done = self.session.last_use.get(name) == Some(&place);
            if done && self.session.outputs.iter().all(|output| output.name != name) {
                self.forget(name);
            }
        }
    }
}
