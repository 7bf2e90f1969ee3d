//! What a node will give and cost, before it is computed.
//!
//! [`forecast`] knows the inputs as far as anybody can: a [`Fact`] is a value, a shape or nothing. From them it finds the
//! shapes of the outputs ([`shapes`]), the steps that the kernel will take ([`work`]) and the memory that it needs beside
//! its outputs. Short lists of numbers are computed, since shapes are made of them. Where the elements of an input
//! decide a shape (NonZero, Compress, …) and are not known, the outputs stay unknown: who runs the node asks again
//! when they are.
//!
//! Nothing here reserves more than a few hundred numbers, whatever a model asks for.

mod shapes;
mod work;

use std::sync::Arc;

use super::call::{Call, Problem};
use super::kernel;
use super::place::count;
use crate::limits;
use crate::onnx::proto::NodeProto;
use crate::tensor::{Tensor, TensorError};

/// Values of at most so many elements are computed: shapes, and what they are made of.
const KNOWN_ELEMENTS_MAX: usize = 64;

/// What is known of a value.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// The value itself.
    Value(Arc<Tensor>),
    /// Its shape.
    Shape(Shape),
    /// Nothing.
    Nothing,
}

/// A shape, and how large the elements are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) dims: Vec<usize>,
    /// Bytes of one element.
    pub(crate) each: usize,
}

/// What a node gives and costs.
#[derive(Debug, Clone)]
pub(crate) struct Forecast {
    /// One for each output that the node names.
    pub(crate) outputs: Vec<Fact>,
    /// Steps, about as long as a multiplication; `None` if they depend on values that are not known.
    pub(crate) work: Option<u64>,
    /// Bytes that the kernel needs beside its outputs.
    pub(crate) scratch: u64,
}

impl Fact {
    /// The dimensions, if they are known.
    pub(crate) fn dims(&self) -> Option<&[usize]> {
        match self {
            Self::Value(tensor) => Some(tensor.dims()),
            Self::Shape(shape) => Some(&shape.dims),
            Self::Nothing => None,
        }
    }

    fn each(&self) -> Option<usize> {
        match self {
            Self::Value(tensor) => Some(tensor.data().element().bytes()),
            Self::Shape(shape) => Some(shape.each),
            Self::Nothing => None,
        }
    }

    /// Bytes of the elements, if the shape is known.
    pub(crate) fn bytes(&self) -> Option<u64> {
        Some(count(self.dims()?).saturating_mul(self.each()? as u64))
    }
}

/// A node with what is known of its inputs; `None` stands for an optional one that is left out.
struct Asked<'a> {
    /// With the values that are known, as if the others were left out.
    call: Call<'a>,
    facts: &'a [Option<Fact>],
}

impl<'a> Asked<'a> {
    fn fact(&self, index: usize) -> Option<&'a Fact> {
        self.facts.get(index)?.as_ref()
    }

    fn dims(&self, index: usize) -> Option<&'a [usize]> {
        self.fact(index)?.dims()
    }

    fn each(&self, index: usize) -> Option<usize> {
        self.fact(index)?.each()
    }

    /// Whether an input is left out, or its value is known.
    fn is_clear(&self, index: usize) -> bool {
        matches!(self.facts.get(index), None | Some(None | Some(Fact::Value(_))))
    }

    /// A list that is an input or a setting; `None` if it is missing or not known.
    fn list(&self, name: &str, index: usize) -> Option<Vec<i64>> {
        self.is_clear(index).then(|| self.call.list(name, index).ok()?)?
    }
}

/// Foresees one node.
///
/// # Errors
/// If an output would be larger than a kernel may make it.
pub(crate) fn forecast(node: &NodeProto, opset: i64, facts: &[Option<Fact>]) -> Result<Forecast, Problem> {
    let values = facts.iter().map(|fact| match fact {
        Some(Fact::Value(tensor)) => Some(&**tensor),
        _ => None,
    });
    let asked = Asked {
        call: Call::new(node, opset, values.collect()),
        facts,
    };
    let shapes = shapes::shapes(&asked);
    let given = facts.iter().flatten().map(|fact| fact.dims().map_or(0, count));
    let (read, widest) = given.fold((0_u64, 0), |(sum, most), size| {
        (sum.saturating_add(size), most.max(size))
    });
    // What is given may be larger than what a kernel makes, and keep its size.
    let most = widest.max(limits::COMPUTED_ELEMENTS_MAX as u64);
    if let Some(shape) = shapes.iter().flatten().find(|shape| count(&shape.dims) > most) {
        return Err(TensorError::TooLarge(shape.dims.clone()).into());
    }
    let made = shapes.iter().flatten().map(|shape| count(&shape.dims));
    let made = made.fold(0_u64, u64::saturating_add);
    let known = shapes.is_some() && facts.iter().flatten().all(|fact| fact.dims().is_some());
    let inner = work::inner(&asked, shapes.as_deref());
    let work = inner
        .filter(|_| known)
        .map(|inner| inner.saturating_add(read).saturating_add(made));
    let scratch = work::scratch(&asked, widest.max(made));
    let named = node.output.len();
    let outputs = computed(&asked, facts, shapes.as_deref()).unwrap_or_else(|| {
        let mut outputs: Vec<Fact> = shapes.into_iter().flatten().map(Fact::Shape).collect();
        outputs.resize(named, Fact::Nothing);
        outputs
    });
    Ok(Forecast {
        outputs,
        work,
        scratch,
    })
}

/// The outputs themselves, if they are few numbers made of few.
fn computed(asked: &Asked<'_>, facts: &[Option<Fact>], shapes: Option<&[Shape]>) -> Option<Vec<Fact>> {
    let few = |dims: &[usize]| count(dims) <= KNOWN_ELEMENTS_MAX as u64;
    // What Shape and Size read need not be known.
    let reads = !matches!(asked.call.op(), "Shape" | "Size");
    let mut inputs = facts.iter().flatten();
    if !shapes?.iter().all(|shape| few(&shape.dims)) {
        return None;
    }
    if !reads {
        return shapes::numbers_of(asked).map(|tensor| vec![Fact::Value(Arc::new(tensor))]);
    }
    if !inputs.all(|fact| matches!(fact, Fact::Value(tensor) if few(tensor.dims()))) {
        return None;
    }
    let outputs = kernel(asked.call.op())?(&asked.call).ok()?;
    let mut outputs: Vec<Fact> = outputs
        .into_iter()
        .map(|tensor| Fact::Value(Arc::new(tensor)))
        .collect();
    outputs.resize(asked.call.outputs().max(outputs.len()), Fact::Nothing);
    Some(outputs)
}
