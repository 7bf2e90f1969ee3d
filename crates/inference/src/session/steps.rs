//! Steps that a session computes with the fast kernels instead of node by node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cpu::attention::{Heads, Mask, attention};
use crate::cpu::bytes::{self, PackedBytes};
use crate::cpu::gemm::{self, Matrix, Packed};
use crate::cpu::maths;
use crate::onnx::OnnxError;
use crate::onnx::proto::NodeProto;
use crate::ops::place::{broadcast, stretched, strides, work};
use crate::ops::{Call, Problem};
use crate::tensor::{Tensor, elements};

/// One step of a run.
#[derive(Debug)]
pub(super) enum Step {
    /// A node as it is.
    Node(NodeProto),
    /// A LayerNormalization, fast where it can be.
    LayerNorm(NodeProto),
    /// A product with a constant matrix.
    Linear(Linear),
    /// Attention.
    Attention(Attention),
}

/// `activation(x · weight + bias)`.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) input: String,
    pub(super) weight: Weight,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) is_gelu: bool,
    pub(super) output: String,
    /// The product's node, for messages.
    pub(super) node: String,
}

/// A packed matrix; two steps may share one.
#[derive(Debug, Clone)]
pub(super) enum Weight {
    Floats(Arc<Packed>),
    Bytes(Arc<PackedBytes>),
}

/// A group of nodes that [`attention`] computes if their values have the shapes for it, and the nodes if not.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) query: Operand,
    /// Turned, since the first product reads keys as columns.
    pub(super) key: Operand,
    pub(super) value: Operand,
    pub(super) scale: f32,
    pub(super) mask: Option<String>,
    /// Whether heads and rows of the result are swapped.
    pub(super) is_swapped: bool,
    pub(super) nodes: Vec<NodeProto>,
}

/// A value of which an attention sees the axes in another order.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) name: String,
    /// The order, if it is not the value's own.
    pub(super) order: Option<Vec<usize>>,
    /// Whether the last two are swapped after that.
    pub(super) is_turned: bool,
}

/// Looks values up.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<Arc<Tensor>>;

impl Step {
    /// The values that it needs from elsewhere.
    pub(super) fn needs(&self) -> Vec<&str> {
        let nodes = match self {
            Self::Node(node) | Self::LayerNorm(node) => std::slice::from_ref(node),
            Self::Linear(linear) => return vec![&linear.input],
            Self::Attention(found) => &found.nodes[..],
        };
        let own: BTreeSet<&String> = nodes.iter().flat_map(|node| &node.output).collect();
        let read = nodes.iter().flat_map(|node| &node.input);
        let needed = read.filter(|name| !name.is_empty() && !own.contains(name));
        needed.map(String::as_str).collect()
    }

    /// The values that it gives.
    pub(super) fn writes(&self) -> &[String] {
        match self {
            Self::Node(node) | Self::LayerNorm(node) => &node.output,
            Self::Linear(linear) => std::slice::from_ref(&linear.output),
            Self::Attention(found) => found.nodes.last().map_or(&[], |node| &node.output),
        }
    }

    /// Computes it.
    pub(super) fn run(&self, opset: i64, value: Lookup<'_>) -> Result<Vec<Tensor>, OnnxError> {
        match self {
            Self::Node(node) => super::compute(node, opset, value),
            Self::LayerNorm(node) => match layer_norm(node, value) {
                Some(tensor) => Ok(vec![tensor]),
                None => super::compute(node, opset, value),
            },
            Self::Linear(linear) => {
                let refuse = |Problem(problem)| OnnxError::Operator {
                    op: "MatMul".to_owned(),
                    node: linear.node.clone(),
                    problem,
                };
                let x = value(&linear.input).ok_or_else(|| OnnxError::Undefined(linear.input.clone()))?;
                linear.run(&x).map(|tensor| vec![tensor]).map_err(refuse)
            }
            Self::Attention(found) => match found.run(value) {
                Some(tensor) => Ok(vec![tensor]),
                None => found.run_nodes(opset, value),
            },
        }
    }
}

impl Linear {
    /// Columns of the matrix.
    pub(super) fn columns(&self) -> usize {
        match &self.weight {
            Weight::Floats(packed) => packed.columns(),
            Weight::Bytes(packed) => packed.columns(),
        }
    }

    fn run(&self, x: &Tensor) -> Result<Tensor, Problem> {
        let (depth, columns) = match &self.weight {
            Weight::Floats(packed) => (packed.depth(), self.columns()),
            Weight::Bytes(packed) => (packed.depth(), self.columns()),
        };
        let values = x
            .as_floats()
            .ok_or_else(|| Problem(format!("{:?} where floats are needed", x.kind())))?;
        let Some((&last, before)) = x.dims().split_last().filter(|(last, _)| **last == depth) else {
            return Err(Problem(format!(
                "{:?} by {:?} cannot be multiplied",
                x.dims(),
                [depth, columns]
            )));
        };
        let dims = [before, &[columns]].concat();
        let mut out = vec![0.0; elements(&dims)?];
        let rows = elements(before)?;
        work(&[rows, last, columns])?;
        let (a, bias) = (Matrix::dense(values, rows, depth), self.bias.as_deref());
        match &self.weight {
            Weight::Floats(packed) => gemm::product(&a, packed, bias, &mut out, columns),
            Weight::Bytes(packed) => bytes::product(&a, packed, bias, &mut out, columns),
        }
        if self.is_gelu {
            maths::gelu(&mut out);
        }
        Ok(Tensor::floats(&dims, out)?)
    }
}

/// Over the last axis, with a scale and a bias for each of its places; `None` is for the reference.
fn layer_norm(node: &NodeProto, value: Lookup<'_>) -> Option<Tensor> {
    let given = |index: usize| node.input.get(index).filter(|name| !name.is_empty());
    let (x, scale) = (value(given(0)?)?, value(given(1)?)?);
    let bias = match given(2) {
        Some(name) => Some(value(name)?),
        None => None,
    };
    let size = *x.dims().last()?;
    let fits = |tensor: &Tensor| tensor.dims() == [size];
    if node.output.len() != 1 || size == 0 || !fits(&scale) || !bias.as_deref().is_none_or(fits) {
        return None;
    }
    let call = Call::new(node, 0, Vec::new());
    if call.axis(-1, x.rank()).ok()? + 1 != x.rank() {
        return None;
    }
    let (scale, epsilon) = (scale.as_floats()?, call.float("epsilon", 1e-5));
    let bias = match &bias {
        Some(bias) => Some(bias.as_floats()?),
        None => None,
    };
    let mut values = x.as_floats()?.to_vec();
    for line in values.chunks_exact_mut(size) {
        maths::layer_norm(line, epsilon, scale, bias);
    }
    Tensor::floats(x.dims(), values).ok()
}

/// Sizes and steps of four axes, the first of which may be made up.
type Axes = ([usize; 4], [usize; 4]);

impl Operand {
    /// The value's axes in this operand's order.
    fn axes(&self, tensor: &Tensor) -> Option<Axes> {
        let (dims, own) = (tensor.dims(), strides(tensor.dims()));
        let rank = dims.len();
        let missing = 4_usize.checked_sub(rank)?;
        let (mut sizes, mut steps) = ([1; 4], [0; 4]);
        for place in 0..rank {
            let axis = match &self.order {
                Some(order) if order.len() == rank => order[place],
                Some(_) => return None,
                None => place,
            };
            sizes[missing + place] = *dims.get(axis)?;
            steps[missing + place] = own[axis];
        }
        if self.is_turned {
            sizes.swap(2, 3);
            steps.swap(2, 3);
        }
        (rank >= 2).then_some((sizes, steps))
    }
}

impl Attention {
    /// The fast way; `None` is for the nodes.
    fn run(&self, value: Lookup<'_>) -> Option<Tensor> {
        let [query, key, mixed] = [&self.query, &self.key, &self.value]
            .map(|operand| value(&operand.name).map(|found| (operand, found)));
        let (query, key, mixed) = (query?, key?, mixed?);
        let heads = |(operand, tensor): &'_ (&Operand, Arc<Tensor>)| operand.axes(tensor);
        let ((q, q_steps), (k, k_steps), (v, v_steps)) = (heads(&query)?, heads(&key)?, heads(&mixed)?);
        let [texts, heads, rows, depth] = q;
        let [_, _, columns, width] = v;
        // Heads that share keys are stretched by the reference.
        if k != [texts, heads, columns, depth] || v != [texts, heads, columns, width] || columns == 0 {
            return None;
        }
        let rank = query.1.rank();
        if [key.1.rank(), mixed.1.rank()] != [rank; 2] || (self.is_swapped && rank != 4) {
            return None;
        }
        let scores = [texts, heads, rows, columns];
        let mask = match &self.mask {
            Some(name) => Some(value(name)?),
            None => None,
        };
        let mask = match &mask {
            Some(tensor) => {
                let fits = broadcast(&scores[4 - rank..], tensor.dims()).ok()? == scores[4 - rank..];
                let steps = fits.then(|| stretched(tensor.dims(), &scores))?;
                Some(Mask {
                    values: tensor.as_floats()?,
                    steps: steps.try_into().ok()?,
                })
            }
            None => None,
        };
        let (dims, steps) = if self.is_swapped {
            (
                [texts, rows, heads, width],
                [rows * heads * width, width, heads * width],
            )
        } else {
            (
                [texts, heads, rows, width],
                [heads * rows * width, rows * width, width],
            )
        };
        elements(&[rows, columns]).ok()?;
        work(&[texts, heads, rows, columns, depth.max(width)]).ok()?;
        let mut out = vec![0.0; elements(&dims).ok()?];
        let of = |values, dims, steps| Heads { values, dims, steps };
        let all = [
            &of(query.1.as_floats()?, q, q_steps),
            &of(key.1.as_floats()?, k, k_steps),
            &of(mixed.1.as_floats()?, v, v_steps),
        ];
        attention(all, self.scale, mask.as_ref(), &mut out, steps);
        Tensor::floats(&dims[4 - rank..], out).ok()
    }

    fn run_nodes(&self, opset: i64, value: Lookup<'_>) -> Result<Vec<Tensor>, OnnxError> {
        let mut inner: BTreeMap<&str, Arc<Tensor>> = BTreeMap::new();
        let mut last = Vec::new();
        for node in &self.nodes {
            last = super::compute(node, opset, |name| {
                inner.get(name).cloned().or_else(|| value(name))
            })?;
            let names = node.output.iter().map(String::as_str);
            inner.extend(names.zip(last.iter().cloned().map(Arc::new)));
        }
        Ok(last)
    }
}
