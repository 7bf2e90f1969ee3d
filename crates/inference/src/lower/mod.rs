//! Turning a standard graph into one that a backend on WebGPU computes correctly.
//!
//! Such a backend takes static shapes. [`lower_for`] fixes them ([`InputShape`]: so many texts of so many tokens,
//! usually a bucket of [`BUCKETS`]), computes what no longer depends on the input, names every node and declares the
//! shape of every value. How much is decomposed depends on the [`Target`]:
//!
//! - wonnx knows neither LayerNormalization nor Erf nor Slice, gets Softmax wrong, and multiplies a stack of matrices
//!   only by a stack of the same size. For it everything is written in the operators that it computes correctly; what
//!   comes out is plain ONNX of opset 12: tract runs it too, which is how the tests compare it with the original. An
//!   input of one zero is added; [`barrier`](Lowering::barrier) says why.
//! - The project's own kernels compute those operators themselves, so they stay whole and can be fused.
//!
//! For both, two inputs change: `attention_mask` becomes float, and `token_type_ids` is gone, since one text has type 0
//! throughout.

pub(crate) mod decompose;
mod literal;
mod ops;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use crate::onnx::OnnxError;
use crate::onnx::build::{Dim, GraphBuilder};
use crate::onnx::proto::{AttributeProto, DataType, ModelProto, NodeProto};
use literal::Literal;

/// Sequence lengths for which graphs are made; a text is padded to the next one.
pub const BUCKETS: [usize; 4] = [32, 64, 128, 256];

/// Name of the input that is always one zero.
pub const ZERO_INPUT: &str = "zero";

/// The smallest bucket that holds a text.
#[must_use]
pub fn bucket_for(tokens: usize) -> Option<usize> {
    BUCKETS.into_iter().find(|&bucket| tokens <= bucket)
}

/// What a graph is lowered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// wonnx 0.5.1.
    Wonnx,
    /// The project's own kernels.
    Kernels,
}

/// The shape that the inputs are fixed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputShape {
    /// Texts.
    pub texts: usize,
    /// Tokens of each, padding included.
    pub tokens: usize,
}

/// A lowered graph and what one must know to run it.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// The graph.
    pub model: ModelProto,
    /// The name of its only output.
    pub output: String,
}

/// A value of the original graph during lowering.
#[derive(Debug, Clone)]
enum Value {
    /// Known now.
    Literal(Literal),
    /// Computed at run time: always float, except the token ids.
    Computed(Computed),
}

#[derive(Debug, Clone)]
struct Computed {
    name: String,
    dims: Vec<usize>,
}

struct Lowering {
    target: Target,
    out: GraphBuilder,
    values: BTreeMap<String, Value>,
    /// Names of the constants that are in `out`.
    emitted: BTreeSet<String>,
    /// Values at the end of a chain of nodes with one computed input each that contains a matrix multiplication.
    behind_product: BTreeSet<String>,
    /// How often each value of the original graph is read.
    readers: BTreeMap<String, usize>,
    /// Bytes of the constants that were made, all of which are kept.
    made_bytes: usize,
}

/// Lowers a model from token ids to hidden states, for wonnx and one text of `tokens` tokens.
///
/// # Errors
/// The operator that is in the way, if one is.
pub fn lower(model: &ModelProto, tokens: usize) -> Result<Lowered, OnnxError> {
    lower_for(model, InputShape { texts: 1, tokens }, Target::Wonnx)
}

/// Lowers a model from token ids to hidden states.
///
/// # Errors
/// The operator that is in the way, if one is.
pub fn lower_for(model: &ModelProto, shape: InputShape, target: Target) -> Result<Lowered, OnnxError> {
    let graph = model.graph.as_ref().ok_or(OnnxError::NoGraph)?;
    let mut lowering = Lowering::new(graph, shape, target)?;
    for node in &graph.node {
        lowering.node(node)?;
    }
    let result = &graph.output.first().ok_or(OnnxError::NoGraph)?.name;
    let result = match lowering.values.remove(result) {
        Some(Value::Computed(result)) => result,
        _ => return Err(OnnxError::Undefined(result.clone())),
    };
    lowering
        .out
        .output(&result.name, DataType::Float, &fixed(&result.dims));
    let model = lowering
        .out
        .finish_for_opset("inference", "lowered for WebGPU", target.opset());
    Ok(Lowered {
        model,
        output: result.name,
    })
}

impl Target {
    /// The operator set of lowered graphs: for wonnx the last in which ReduceSum takes its axes as an attribute, as
    /// wonnx does; for the kernels the first with LayerNormalization.
    fn opset(self) -> i64 {
        match self {
            Self::Wonnx => 12,
            Self::Kernels => 17,
        }
    }
}

impl Lowering {
    fn new(
        graph: &crate::onnx::proto::GraphProto,
        shape: InputShape,
        target: Target,
    ) -> Result<Self, OnnxError> {
        let mut readers = BTreeMap::new();
        for input in graph.node.iter().flat_map(|node| &node.input) {
            *readers.entry(input.clone()).or_insert(0) += 1;
        }
        let mut lowering = Self {
            target,
            out: GraphBuilder::new("lowered"),
            values: BTreeMap::new(),
            emitted: BTreeSet::new(),
            behind_product: BTreeSet::new(),
            readers,
            made_bytes: 0,
        };
        for tensor in &graph.initializer {
            lowering
                .values
                .insert(tensor.name.clone(), Value::Literal(Literal::read(tensor)?));
        }
        if target == Target::Wonnx {
            lowering.out.input(ZERO_INPUT, DataType::Float, &fixed(&[1]));
        }
        for input in graph
            .input
            .iter()
            .filter(|input| !lowering.values.contains_key(&input.name))
            .collect::<Vec<_>>()
        {
            let dims = vec![shape.texts, shape.tokens];
            let value = match input.name.as_str() {
                "token_type_ids" => Value::Literal(Literal::zeros_i64(&dims)),
                "input_ids" | "attention_mask" => {
                    let kind = if input.name == "input_ids" {
                        DataType::Int64
                    } else {
                        DataType::Float
                    };
                    lowering.out.input(&input.name, kind, &fixed(&dims));
                    Value::Computed(Computed {
                        name: input.name.clone(),
                        dims,
                    })
                }
                _ => return Err(OnnxError::Undefined(input.name.clone())),
            };
            lowering.values.insert(input.name.clone(), value);
        }
        Ok(lowering)
    }

    /// The values that a node reads, up to the first optional input that is left out.
    fn inputs(&self, node: &NodeProto) -> Result<Vec<Value>, OnnxError> {
        let named = node.input.iter().take_while(|name| !name.is_empty());
        named
            .map(|name| {
                self.values
                    .get(name)
                    .cloned()
                    .ok_or_else(|| OnnxError::Undefined(name.clone()))
            })
            .collect()
    }

    /// Adds a node whose output has the given name and shape.
    fn emit(
        &mut self,
        op: &str,
        inputs: &[&str],
        name: &str,
        dims: &[usize],
        with: Vec<AttributeProto>,
    ) -> Computed {
        self.out.node(op, inputs, name, with);
        self.out.value(name, DataType::Float, &fixed(dims));
        let computed: Vec<_> = inputs
            .iter()
            .filter(|input| !self.emitted.contains(**input))
            .collect();
        if let [only] = computed[..]
            && (op == "MatMul" || self.behind_product.contains(*only))
        {
            self.behind_product.insert(name.to_owned());
        }
        Computed {
            name: name.to_owned(),
            dims: dims.to_vec(),
        }
    }

    /// Makes sure that a constant is in the graph, and returns its name there.
    fn constant(&mut self, name: &str, literal: &Literal) -> String {
        if self.emitted.insert(name.to_owned()) {
            self.out.constant(literal.to_tensor(name));
        }
        name.to_owned()
    }

    /// A constant of one float, shared by all that need it.
    fn scalar(&mut self, value: f32) -> String {
        let name = format!("constant.{value:e}");
        self.constant(&name, &Literal::floats(&[1], &[value]))
    }

    /// Shields a product that several nodes read.
    ///
    /// wonnx's optimiser follows chains of nodes with one computed input back to the last node with two, and copies
    /// the chain for every reader, matrix multiplications included. Adding an input that is always zero gives the
    /// value a second computed input, so that the chain ends there and the product is computed once.
    fn barrier(&mut self, value: Computed, original: &str) -> Computed {
        let shared = self.readers.get(original).is_some_and(|&readers| readers > 1);
        if self.target != Target::Wonnx || !shared || !self.behind_product.contains(&value.name) {
            return value;
        }
        let name = format!("{}.once", value.name);
        self.emit("Add", &[&value.name, ZERO_INPUT], &name, &value.dims, vec![])
    }
}

fn fixed(dims: &[usize]) -> Vec<Dim<'static>> {
    dims.iter().map(|&size| Dim::Fixed(size as i64)).collect()
}
