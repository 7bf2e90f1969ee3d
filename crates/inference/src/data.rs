//! Elements of tensors, as models compute with them and as they travel between page and worker.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Elements of one type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// Unsigned bytes.
    U8(Vec<u8>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// An element type, by the name that ONNX's JavaScript APIs give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// 32-bit floats; what a file declares as 16-bit ones is given as these too.
    Float32,
    /// 64-bit integers.
    Int64,
    /// 32-bit integers.
    Int32,
    /// Signed bytes.
    Int8,
    /// Unsigned bytes.
    Uint8,
    /// Truth values.
    Bool,
}

impl Data {
    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::Bool(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their type.
    #[must_use]
    pub fn element(&self) -> Element {
        match self {
            Self::F32(_) => Element::Float32,
            Self::I64(_) => Element::Int64,
            Self::I32(_) => Element::Int32,
            Self::I8(_) => Element::Int8,
            Self::U8(_) => Element::Uint8,
            Self::Bool(_) => Element::Bool,
        }
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len().saturating_mul(self.element().bytes())
    }
}

impl Element {
    /// Bytes of one element.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Int64 => 8,
            Self::Float32 | Self::Int32 => 4,
            Self::Int8 | Self::Uint8 | Self::Bool => 1,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float32 => "float32",
            Self::Int64 => "int64",
            Self::Int32 => "int32",
            Self::Int8 => "int8",
            Self::Uint8 => "uint8",
            Self::Bool => "bool",
        })
    }
}
