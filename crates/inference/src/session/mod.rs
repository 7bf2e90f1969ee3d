//! Any ONNX model on the CPU: named tensors in, named tensors out.
//!
//! A [`Session`] is made from a model that the [reader](crate::onnx::read) has bounded. It refuses what it cannot
//! compute exactly before anything runs, and names the operator. What depends on nothing but constants is computed
//! once, when the session is made.
//!
//! What a transformer spends its time in is computed by the fast kernels of [`cpu`](crate::cpu) ([`steps`]), for groups
//! of nodes that mean it ([`simplify`], [`fuse`]); every other node by its operator's kernel in [`ops`](crate::ops).
//!
//! What a run takes is foreseen from the shapes of its inputs and refused beyond a [`Budget`], so that a small file cannot
//! ask for days of work or for all memory there is.
//!
//! 16-bit floats are taken and given as 32-bit ones, rounded at the outputs to what 16 bits hold. 64-bit floats are
//! refused where a caller would see them.

mod budget;
mod fuse;
mod graph;
mod simplify;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::data::Element;
use crate::limits;
use crate::onnx::proto::{DataType, DimensionValue, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use crate::onnx::{OnnxError, value_type};
use crate::ops::forecast::Fact;
use crate::ops::{Call, Problem, kernel};
use crate::own::PortInfo;
use crate::tensor::{Data, Tensor, round_to_half};
use budget::Meter;
pub use budget::{Budget, Outlook};
use fuse::{Constants, fuse, is_restored_weight};
use graph::Graph;
use simplify::simplify;
use steps::Step;

/// A named input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its element type in the file.
    pub kind: DataType,
    /// Its dimensions, if the file gives a shape; `None` stands for one that is known at run time.
    pub dims: Option<Vec<Option<usize>>>,
}

impl Port {
    fn read(info: &ValueInfoProto) -> Result<Self, OnnxError> {
        let refuse = |problem| OnnxError::Tensor {
            name: info.name.clone(),
            problem,
        };
        let kind = value_type(info).ok_or_else(|| refuse("is not a tensor of a type that is supported"))?;
        if kind == DataType::Double {
            return Err(refuse("has 64-bit floats, which are not computed with"));
        }
        Ok(Self {
            name: info.name.clone(),
            kind,
            dims: declared_dims(info),
        })
    }

    /// The port as callers see it; `None` if its type is none that they can give.
    #[must_use]
    pub fn info(&self) -> Option<PortInfo> {
        let element = match self.seen() {
            DataType::Float => Element::Float32,
            DataType::Int64 => Element::Int64,
            DataType::Int32 => Element::Int32,
            DataType::Int8 => Element::Int8,
            DataType::Uint8 => Element::Uint8,
            DataType::Bool => Element::Bool,
            DataType::Undefined | DataType::Float16 | DataType::Double => return None,
        };
        Some(PortInfo {
            name: self.name.clone(),
            element,
            dims: self.dims.clone(),
        })
    }

    /// The type of the tensors that callers see.
    fn seen(&self) -> DataType {
        if self.kind == DataType::Float16 {
            DataType::Float
        } else {
            self.kind
        }
    }
}

fn declared_dims(info: &ValueInfoProto) -> Option<Vec<Option<usize>>> {
    let shape = info.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    let size = |value: &DimensionValue| match value {
        DimensionValue::DimValue(size) => usize::try_from(*size).ok(),
        DimensionValue::DimParam(_) => None,
    };
    Some(
        shape
            .dim
            .iter()
            .map(|dim| dim.value.as_ref().and_then(size))
            .collect(),
    )
}

/// How products with matrices that a file holds as bytes are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Products {
    /// As the file says: the matrices become floats.
    #[default]
    Exact,
    /// In integers: the matrices stay bytes, and each row that they are multiplied with is rounded to 12 bits or more.
    /// Twice as fast, a quarter of the memory, and not exactly what the file says.
    Rounded,
}

/// A model that is ready to run.
#[derive(Debug)]
pub struct Session {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    opset: i64,
    /// What is left to compute, in order.
    steps: Vec<Step>,
    /// Values that no input changes.
    constants: Constants,
    /// The last step that reads each value: after it the value is dropped.
    last_use: BTreeMap<String, usize>,
    /// What a run may take.
    budget: Budget,
}

impl Session {
    /// Prepares a model.
    ///
    /// # Errors
    /// The operator or value that is in the way.
    pub fn new(model: ModelProto) -> Result<Self, OnnxError> {
        Self::with(model, Products::Exact)
    }

    /// Prepares a model, with a choice of how it is computed.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with(model: ModelProto, products: Products) -> Result<Self, OnnxError> {
        Self::within(model, products, Budget::default())
    }

    /// Prepares a model if computing its constants takes no more than so much, which holds for each run too.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn within(model: ModelProto, products: Products, budget: Budget) -> Result<Self, OnnxError> {
        let opset = model
            .opset_import
            .iter()
            .find(|set| set.domain.is_empty())
            .map_or(1, |set| set.version);
        let mut graph = model.graph.ok_or(OnnxError::NoGraph)?;
        for node in &graph.node {
            if kernel(&node.op_type).is_none() {
                return Err(refuse(node, "it is not among the operators that are known here"));
            }
        }
        let mut constants = Constants::new();
        // Each constant's bytes go as soon as it is read.
        for proto in std::mem::take(&mut graph.initializer) {
            let tensor = Tensor::from_proto(&proto).map_err(|_| OnnxError::Tensor {
                name: proto.name.clone(),
                problem: "cannot be read",
            })?;
            constants.insert(proto.name, Arc::new(tensor));
        }
        let inputs = graph
            .input
            .iter()
            .filter(|input| !constants.contains_key(&input.name))
            .map(Port::read)
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = graph
            .output
            .iter()
            .map(Port::read)
            .collect::<Result<Vec<_>, _>>()?;
        let seen: BTreeSet<String> = outputs.iter().map(|output| output.name.clone()).collect();
        let nodes = fold(&graph, &seen, opset, &mut constants, products, budget)?;
        let nodes = simplify(nodes, &constants, &seen);
        let steps = fuse(&nodes, &mut constants, &seen, products);
        let last_use = last_uses(&steps);
        let session = Self {
            inputs,
            outputs,
            opset,
            steps,
            constants,
            last_use,
            budget,
        };
        session.check_names(&graph)?;
        Ok(session)
    }

    /// What the model reads.
    #[must_use]
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// What the model writes.
    #[must_use]
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// How many steps each run takes.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Every value that is read is an input, a constant or the output of an earlier node.
    fn check_names(&self, graph: &GraphProto) -> Result<(), OnnxError> {
        let mut known: BTreeSet<&str> = self.constants.keys().map(String::as_str).collect();
        known.extend(self.inputs.iter().map(|input| input.name.as_str()));
        for step in &self.steps {
            // What is computed inside a step is read by nobody else.
            let missing = step.needs().into_iter().find(|name| !known.contains(name));
            if let Some(name) = missing {
                return Err(OnnxError::Undefined(name.to_owned()));
            }
            known.extend(step.writes().iter().map(String::as_str));
        }
        match graph
            .output
            .iter()
            .find(|output| !known.contains(output.name.as_str()))
        {
            Some(output) => Err(OnnxError::Undefined(output.name.clone())),
            None => Ok(()),
        }
    }

    /// Runs the model within its [`Budget`].
    ///
    /// # Errors
    /// If an input is missing or of the wrong type, if it would take too much, or an operator refuses the values that reach it.
    pub fn run(&self, given: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, OnnxError> {
        self.run_within(given, self.budget)
    }

    /// Runs the model if that takes no more than so much.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_within(
        &self,
        given: BTreeMap<String, Tensor>,
        budget: Budget,
    ) -> Result<BTreeMap<String, Tensor>, OnnxError> {
        let (mut values, mut room) = (BTreeMap::<&str, Arc<Tensor>>::new(), Room::default());
        let mut given = given;
        for port in &self.inputs {
            let tensor = given
                .remove(&port.name)
                .ok_or_else(|| OnnxError::Undefined(port.name.clone()))?;
            if tensor.kind() != port.seen() {
                let name = port.name.clone();
                return Err(OnnxError::Tensor {
                    name,
                    problem: "is given with another element type",
                });
            }
            room.take(&port.name, &tensor)?;
            values.insert(&port.name, Arc::new(tensor));
        }
        let known = values
            .iter()
            .map(|(name, tensor)| ((*name).to_owned(), Fact::Value(tensor.clone())));
        let outlook = self.outlook(&known.collect(), budget)?;
        let mut meter = Meter::new(budget);
        for (place, step) in self.steps.iter().enumerate() {
            let value = |name: &str| self.value(&values, name);
            if outlook.is_partial {
                meter.step(step, self.opset, room.0, value)?;
            }
            let found = step.run(self.opset, &value)?;
            for (name, tensor) in step.writes().iter().zip(found) {
                if !name.is_empty() {
                    room.take(name, &tensor)?;
                    values.insert(name, Arc::new(tensor));
                }
            }
            let done = |name: &&str| {
                let last = self.last_use.get(*name) == Some(&place);
                last && self.outputs.iter().all(|output| output.name != **name)
            };
            for name in step.needs().into_iter().filter(done) {
                if let Some(tensor) = values.remove(name) {
                    room.give_back(&tensor);
                }
            }
        }
        let outputs = self.outputs.iter().map(|port| {
            let tensor = self
                .value(&values, &port.name)
                .ok_or_else(|| OnnxError::Undefined(port.name.clone()))?;
            Ok((port.name.clone(), finished(port, tensor)?))
        });
        outputs.collect()
    }

    fn value(&self, values: &BTreeMap<&str, Arc<Tensor>>, name: &str) -> Option<Arc<Tensor>> {
        values.get(name).or_else(|| self.constants.get(name)).cloned()
    }
}

/// An output as the file declares it.
fn finished(port: &Port, tensor: Arc<Tensor>) -> Result<Tensor, OnnxError> {
    if tensor.kind() != port.seen() {
        let name = port.name.clone();
        return Err(OnnxError::Tensor {
            name,
            problem: "is not of the type that the file declares",
        });
    }
    let tensor = Arc::unwrap_or_clone(tensor);
    match (port.kind, tensor.data()) {
        (DataType::Float16, Data::F32(values)) => {
            let rounded = values.iter().map(|&value| round_to_half(value)).collect();
            Tensor::floats(tensor.dims(), rounded).map_err(|_| OnnxError::Undefined(port.name.clone()))
        }
        _ => Ok(tensor),
    }
}

/// Computes every node whose inputs are constant and returns the others.
fn fold(
    graph: &GraphProto,
    outputs: &BTreeSet<String>,
    opset: i64,
    constants: &mut Constants,
    products: Products,
    budget: Budget,
) -> Result<Vec<NodeProto>, OnnxError> {
    let (mut left, mut room) = (Vec::new(), Room::default());
    let mut meter = Meter::new(budget);
    let index = Graph::new(&graph.node, outputs);
    for (name, tensor) in constants.iter() {
        room.take(name, tensor)?;
    }
    // Before anything is computed, what it would take: sizes that do not depend on values in between.
    let given = constants.iter().map(|(name, tensor)| (name.as_str(), tensor));
    budget::check_constants(&graph.node, opset, given.collect(), budget)?;
    for node in &graph.node {
        let constant = node
            .input
            .iter()
            .all(|name| name.is_empty() || constants.contains_key(name));
        let stays = products == Products::Rounded && is_restored_weight(node, &index, constants);
        if !constant || stays {
            left.push(node.clone());
            continue;
        }
        let value = |name: &str| constants.get(name).cloned();
        meter.node(node, opset, room.0, |name| value(name).map(Fact::Value))?;
        let found = compute(node, opset, value)?;
        for (name, tensor) in node.output.iter().zip(found) {
            if !name.is_empty() {
                room.take(name, &tensor)?;
                constants.insert(name.clone(), Arc::new(tensor));
            }
        }
    }
    Ok(left)
}

/// The bytes of the values that are there, held against [`limits::SESSION_BYTES_MAX`].
#[derive(Default)]
struct Room(usize);

impl Room {
    fn take(&mut self, name: &str, tensor: &Tensor) -> Result<(), OnnxError> {
        self.0 = self.0.saturating_add(tensor.bytes());
        if self.0 <= limits::SESSION_BYTES_MAX {
            return Ok(());
        }
        Err(OnnxError::Tensor {
            name: name.to_owned(),
            problem: "does not fit into memory with the others",
        })
    }

    fn give_back(&mut self, tensor: &Tensor) {
        self.0 = self.0.saturating_sub(tensor.bytes());
    }
}

fn last_uses(steps: &[Step]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (place, step) in steps.iter().enumerate() {
        found.extend(step.needs().into_iter().map(|name| (name.to_owned(), place)));
    }
    found
}

/// Runs one node's kernel.
fn compute(
    node: &NodeProto,
    opset: i64,
    value: impl Fn(&str) -> Option<Arc<Tensor>>,
) -> Result<Vec<Tensor>, OnnxError> {
    let inputs = node
        .input
        .iter()
        .map(|name| match value(name) {
            _ if name.is_empty() => Ok(None),
            Some(tensor) => Ok(Some(tensor)),
            None => Err(OnnxError::Undefined(name.clone())),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let kernel = kernel(&node.op_type)
        .ok_or_else(|| refuse(node, "it is not among the operators that are known here"))?;
    let call = Call::new(node, opset, inputs.iter().map(Option::as_deref).collect());
    let outputs = kernel(&call).map_err(|Problem(problem)| refuse(node, problem))?;
    debug_assert!(
        budget::agrees(node, opset, &inputs, &outputs),
        "{node:?} was foreseen otherwise"
    );
    if node
        .output
        .iter()
        .skip(outputs.len())
        .any(|name| !name.is_empty())
    {
        return Err(refuse(node, "not all of its outputs are computed here"));
    }
    Ok(outputs)
}

fn refuse(node: &NodeProto, problem: impl Into<String>) -> OnnxError {
    OnnxError::Operator {
        op: node.op_type.clone(),
        node: node.name.clone(),
        problem: problem.into(),
    }
}
