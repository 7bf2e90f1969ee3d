//! Element-wise programs: what happens to each element between a kernel's own work and the store.
//!
//! A chain of element-wise operators needs no buffers in between: it runs on the value that a kernel holds in
//! registers. A matrix product with bias and Gelu, a sum of three embeddings or a residual connection is one kernel.

use super::view::View;

/// What most chains stay below; a longer one is cut, which costs a buffer and nothing else.
pub(crate) const OPERATIONS_MAX: usize = 48;
/// WebGPU promises eight storage buffers to a shader; the largest kernel uses four of its own.
pub(crate) const LOADS_MAX: usize = 4;

/// A function of one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Abs,
    Erf,
    Exp,
    Neg,
    Reciprocal,
    Sign,
    Sqrt,
    Tanh,
}

/// A function of two elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
}

/// What an operation reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Term {
    /// What the kernel itself computed.
    Root,
    /// An element of [`Program::loads`].
    Loaded(usize),
    /// The result of an earlier operation.
    Computed(usize),
    /// A number that is known now.
    Number(f32),
}

/// One step of a program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Operation {
    Unary(Unary, Term),
    Binary(Binary, Term, Term),
}

/// Where an element comes from; views have the shape of the kernel's output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Load {
    /// The element at the same place.
    Plain(View),
    /// Of the row of a table that an id names; `ids` has stride 0 on the last axis.
    Row { table: View, ids: View },
}

/// Loads, and operations in order. The result is the last operation's, or [`Program::start`] if there is none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    pub(crate) start: Term,
    pub(crate) loads: Vec<Load>,
    pub(crate) operations: Vec<Operation>,
}

impl Program {
    /// Stores what the kernel computed, or what was loaded, as it is.
    pub(crate) fn new(start: Term, loads: Vec<Load>) -> Self {
        Self {
            start,
            loads,
            operations: Vec::new(),
        }
    }

    pub(crate) fn result(&self) -> Term {
        match self.operations.len() {
            0 => self.start,
            count => Term::Computed(count - 1),
        }
    }

    /// Appends a step and gives its result.
    pub(crate) fn push(&mut self, operation: Operation) -> Term {
        self.operations.push(operation);
        self.result()
    }
}

impl Unary {
    pub(crate) fn from_onnx(name: &str) -> Option<Self> {
        Some(match name {
            "Abs" => Self::Abs,
            "Erf" => Self::Erf,
            "Exp" => Self::Exp,
            "Neg" => Self::Neg,
            "Reciprocal" => Self::Reciprocal,
            "Sign" => Self::Sign,
            "Sqrt" => Self::Sqrt,
            "Tanh" => Self::Tanh,
            _ => return None,
        })
    }
}

impl Binary {
    pub(crate) fn from_onnx(name: &str) -> Option<Self> {
        Some(match name {
            "Add" => Self::Add,
            "Sub" => Self::Sub,
            "Mul" => Self::Mul,
            "Div" => Self::Div,
            _ => return None,
        })
    }
}
