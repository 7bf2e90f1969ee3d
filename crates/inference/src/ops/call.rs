//! What a kernel is given: the node's settings, the operator set and the inputs.

use crate::onnx::proto::{AttributeProto, NodeProto};
use crate::tensor::{Tensor, TensorError};

/// Why a kernel did not compute, for people. The caller adds the operator and the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub String);

impl From<&str> for Problem {
    fn from(problem: &str) -> Self {
        Self(problem.to_owned())
    }
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self(problem)
    }
}

impl From<TensorError> for Problem {
    fn from(error: TensorError) -> Self {
        Self(error.to_string())
    }
}

/// What a kernel gives: a tensor for each output, in order.
pub type Outcome = Result<Vec<Tensor>, Problem>;

/// One use of an operator.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    node: &'a NodeProto,
    opset: i64,
    inputs: Vec<Option<&'a Tensor>>,
}

impl<'a> Call<'a> {
    /// A node with its inputs; `None` stands for an optional one that is left out.
    #[must_use]
    pub fn new(node: &'a NodeProto, opset: i64, inputs: Vec<Option<&'a Tensor>>) -> Self {
        Self { node, opset, inputs }
    }

    pub(super) fn op(&self) -> &'a str {
        &self.node.op_type
    }

    pub(super) fn opset(&self) -> i64 {
        self.opset
    }

    pub(super) fn outputs(&self) -> usize {
        self.node.output.len()
    }

    pub(super) fn optional(&self, index: usize) -> Option<&'a Tensor> {
        self.inputs.get(index).copied().flatten()
    }

    pub(super) fn input(&self, index: usize) -> Result<&'a Tensor, Problem> {
        self.optional(index)
            .ok_or_else(|| format!("input {index} is missing").into())
    }

    /// Every input, none of which may be left out.
    pub(super) fn all(&self) -> Result<Vec<&'a Tensor>, Problem> {
        if self.inputs.is_empty() {
            return Err("it has no inputs".into());
        }
        (0..self.inputs.len()).map(|index| self.input(index)).collect()
    }

    pub(super) fn floats(&self, index: usize) -> Result<&'a [f32], Problem> {
        floats(self.input(index)?)
    }

    pub(super) fn integers(&self, index: usize) -> Result<Vec<i64>, Problem> {
        integers(self.input(index)?)
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.node.attribute.iter().find(|found| found.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |found| found.i)
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.int(name, i64::from(default)) != 0
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |found| found.f)
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> &'a str {
        self.attribute(name)
            .map_or(default, |found| std::str::from_utf8(&found.s).unwrap_or("?"))
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|found| &found.ints[..])
    }

    pub(super) fn float_list(&self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name).map(|found| &found.floats[..])
    }

    pub(super) fn texts(&self, name: &str) -> Option<Vec<&'a str>> {
        self.attribute(name).map(|found| {
            let texts = found.strings.iter();
            texts
                .map(|text| std::str::from_utf8(text).unwrap_or("?"))
                .collect()
        })
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<Tensor>, Problem> {
        let found = self.attribute(name).and_then(|found| found.t.as_ref());
        Ok(found.map(Tensor::from_proto).transpose()?)
    }

    /// A list that newer operator sets take as an input and older ones as a setting.
    pub(super) fn list(&self, name: &str, index: usize) -> Result<Option<Vec<i64>>, Problem> {
        match self.optional(index) {
            Some(tensor) => integers(tensor).map(Some),
            None => Ok(self.ints(name).map(<[i64]>::to_vec)),
        }
    }

    /// The setting `axis` as an index into `rank` dimensions.
    pub(crate) fn axis(&self, default: i64, rank: usize) -> Result<usize, Problem> {
        axis(self.int("axis", default), rank)
    }
}

/// The elements, which must be floats.
pub(super) fn floats(tensor: &Tensor) -> Result<&[f32], Problem> {
    tensor
        .as_floats()
        .ok_or_else(|| format!("{:?} where floats are needed", tensor.kind()).into())
}

/// The elements, which must be integers.
pub(super) fn integers(tensor: &Tensor) -> Result<Vec<i64>, Problem> {
    tensor
        .to_integers()
        .ok_or_else(|| "floats where integers are needed".into())
}

/// An axis that may count from the end.
pub(super) fn axis(value: i64, rank: usize) -> Result<usize, Problem> {
    let place = if value < 0 {
        value.saturating_add(rank as i64)
    } else {
        value
    };
    match usize::try_from(place) {
        Ok(place) if place < rank => Ok(place),
        _ => Err(format!("axis {value} of {rank} dimensions").into()),
    }
}

/// Several axes, each at most once.
pub(super) fn axes(values: &[i64], rank: usize) -> Result<Vec<usize>, Problem> {
    let mut found = Vec::with_capacity(values.len().min(rank));
    for &value in values {
        let place = axis(value, rank)?;
        if found.contains(&place) {
            return Err(format!("axis {place} is named twice").into());
        }
        found.push(place);
    }
    Ok(found)
}

/// A size from a file: not negative, and no larger than a tensor may be.
pub(super) fn size(value: i64) -> Result<usize, Problem> {
    usize::try_from(value)
        .ok()
        .filter(|&size| size <= crate::limits::TENSOR_ELEMENTS_MAX)
        .ok_or_else(|| format!("a size of {value}").into())
}

/// The same for each of several.
pub(super) fn sizes(values: Vec<i64>) -> Result<Vec<usize>, Problem> {
    values.into_iter().map(size).collect()
}

/// A single output.
pub(super) fn one(tensor: Result<Tensor, TensorError>) -> Outcome {
    Ok(vec![tensor?])
}
