//! Tensors with named element types: what goes into a model and what comes out of it.
//!
//! Elements lie in row-major order. 16-bit and 64-bit floats are read as 32-bit ones, which is how this crate computes;
//! every other type that is not listed in [`Data`] is refused where a file is read. A tensor is made only through
//! constructors that compare the shape with the number of elements and with [`limits`](crate::limits).

use thiserror::Error;

pub use crate::data::Data;
use crate::limits;
use crate::onnx::proto::{DataType, TensorProto};

/// Why a tensor cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TensorError {
    /// Too many dimensions or elements.
    #[error("the shape {0:?} is beyond the limits")]
    TooLarge(Vec<usize>),
    /// The shape and the elements disagree.
    #[error("the shape {dims:?} does not hold {elements} elements")]
    Mismatch {
        /// The shape.
        dims: Vec<usize>,
        /// How many elements there are.
        elements: usize,
    },
    /// An element type that this crate does not compute with.
    #[error("element type {0} is not supported")]
    Type(i32),
}

/// Runs the same expression for whichever element type there is, and makes elements of that type of it.
macro_rules! map_each {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            $crate::tensor::Data::F32($values) => $crate::tensor::Data::F32($body),
            $crate::tensor::Data::I64($values) => $crate::tensor::Data::I64($body),
            $crate::tensor::Data::I32($values) => $crate::tensor::Data::I32($body),
            $crate::tensor::Data::I8($values) => $crate::tensor::Data::I8($body),
            $crate::tensor::Data::U8($values) => $crate::tensor::Data::U8($body),
            $crate::tensor::Data::Bool($values) => $crate::tensor::Data::Bool($body),
        }
    };
}

/// An array of any rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    dims: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// A tensor of the given shape.
    ///
    /// # Errors
    /// If shape and elements disagree, or the shape is beyond the limits.
    pub fn new(dims: &[usize], data: Data) -> Result<Self, TensorError> {
        let elements = counted(dims, limits::TENSOR_ELEMENTS_MAX)?;
        if elements != data.len() {
            let (dims, elements) = (dims.to_vec(), data.len());
            return Err(TensorError::Mismatch { dims, elements });
        }
        let dims = dims.to_vec();
        Ok(Self { dims, data })
    }

    /// A tensor of floats.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn floats(dims: &[usize], values: Vec<f32>) -> Result<Self, TensorError> {
        Self::new(dims, Data::F32(values))
    }

    /// A tensor of 64-bit integers.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn integers(dims: &[usize], values: Vec<i64>) -> Result<Self, TensorError> {
        Self::new(dims, Data::I64(values))
    }

    /// A tensor of an integer or truth type; values are cut to that type's bits, as casts in C do.
    ///
    /// # Errors
    /// As [`Tensor::new`], and if the type is not one of integers.
    pub fn wrapped(kind: DataType, dims: &[usize], values: Vec<i64>) -> Result<Self, TensorError> {
        let data = match kind {
            DataType::Int64 => Data::I64(values),
            DataType::Int32 => Data::I32(values.into_iter().map(|value| value as i32).collect()),
            DataType::Int8 => Data::I8(values.into_iter().map(|value| value as i8).collect()),
            DataType::Uint8 => Data::U8(values.into_iter().map(|value| value as u8).collect()),
            DataType::Bool => Data::Bool(values.into_iter().map(|value| value != 0).collect()),
            other => return Err(TensorError::Type(other as i32)),
        };
        Self::new(dims, data)
    }

    /// Reads a constant, whose size a reader has already held against the limits.
    ///
    /// # Errors
    /// If its element type is not supported, or it contradicts itself.
    pub fn from_proto(proto: &TensorProto) -> Result<Self, TensorError> {
        let unknown = || TensorError::Type(proto.data_type);
        let dims: Vec<usize> = proto
            .dims
            .iter()
            .map(|&size| usize::try_from(size).map_err(|_| TensorError::TooLarge(Vec::new())))
            .collect::<Result<_, _>>()?;
        counted(&dims, limits::TENSOR_ELEMENTS_MAX)?;
        let kind = DataType::try_from(proto.data_type).map_err(|_| unknown())?;
        let raw = &proto.raw_data[..];
        let data = if raw.is_empty() {
            listed(proto, kind).ok_or_else(unknown)?
        } else {
            unpack(raw, kind).ok_or_else(unknown)?
        };
        Self::new(&dims, data)
    }

    /// The shape.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The number of dimensions.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the elements take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.bytes()
    }

    /// The elements.
    #[must_use]
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements alone.
    #[must_use]
    pub fn into_data(self) -> Data {
        self.data
    }

    /// The element type.
    #[must_use]
    pub fn kind(&self) -> DataType {
        match self.data {
            Data::F32(_) => DataType::Float,
            Data::I64(_) => DataType::Int64,
            Data::I32(_) => DataType::Int32,
            Data::I8(_) => DataType::Int8,
            Data::U8(_) => DataType::Uint8,
            Data::Bool(_) => DataType::Bool,
        }
    }

    /// The elements, if they are floats.
    #[must_use]
    pub fn as_floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(values) => Some(values),
            _ => None,
        }
    }

    /// The elements, if they are floats, without a copy.
    #[must_use]
    pub fn into_floats(self) -> Option<Vec<f32>> {
        match self.data {
            Data::F32(values) => Some(values),
            _ => None,
        }
    }

    /// The elements as wide integers, if they are integers or truth values.
    #[must_use]
    pub fn to_integers(&self) -> Option<Vec<i64>> {
        Some(match &self.data {
            Data::F32(_) => return None,
            Data::I64(values) => values.clone(),
            Data::I32(values) => values.iter().copied().map(i64::from).collect(),
            Data::I8(values) => values.iter().copied().map(i64::from).collect(),
            Data::U8(values) => values.iter().copied().map(i64::from).collect(),
            Data::Bool(values) => values.iter().copied().map(i64::from).collect(),
        })
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// If the shape does not hold them.
    pub fn reshaped(&self, dims: &[usize]) -> Result<Self, TensorError> {
        Self::new(dims, self.data.clone())
    }

    /// A tensor whose elements come from these places of this one.
    ///
    /// # Errors
    /// As [`Tensor::new`]; places out of range give no element, so that the count disagrees with the shape.
    pub(crate) fn taken(&self, dims: &[usize], places: &[usize]) -> Result<Self, TensorError> {
        let data = map_each!(&self.data, values => places.iter().filter_map(|&place| values.get(place).copied()).collect());
        Self::new(dims, data)
    }

    /// A tensor of the given shape with this one's first element everywhere, or zeros if it has none.
    ///
    /// # Errors
    /// If the shape is beyond the limits.
    pub(crate) fn splat(&self, dims: &[usize]) -> Result<Self, TensorError> {
        let count = elements(dims)?;
        let data = map_each!(&self.data, values => vec![values.first().copied().unwrap_or_default(); count]);
        Self::new(dims, data)
    }
}

/// Elements of a shape that a kernel may compute.
pub(crate) fn elements(dims: &[usize]) -> Result<usize, TensorError> {
    counted(dims, limits::COMPUTED_ELEMENTS_MAX)
}

fn counted(dims: &[usize], max: usize) -> Result<usize, TensorError> {
    let refuse = || TensorError::TooLarge(dims.to_vec());
    if dims.len() > limits::TENSOR_RANK_MAX {
        return Err(refuse());
    }
    // A size of 0 must not hide others: kernels loop over some axes and multiply the sizes of some.
    let product = dims
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size.max(1)));
    product.filter(|&product| product <= max).ok_or_else(refuse)?;
    Ok(dims.iter().product())
}

/// Elements that the protobuf message lists one by one.
fn listed(proto: &TensorProto, kind: DataType) -> Option<Data> {
    let small = &proto.int32_data;
    Some(match kind {
        DataType::Float => Data::F32(proto.float_data.clone()),
        DataType::Double => Data::F32(proto.double_data.iter().map(|&value| value as f32).collect()),
        DataType::Float16 => Data::F32(small.iter().map(|&bits| from_half(bits as u16)).collect()),
        DataType::Int64 => Data::I64(proto.int64_data.clone()),
        DataType::Int32 => Data::I32(small.clone()),
        DataType::Int8 => Data::I8(small.iter().map(|&value| value as i8).collect()),
        DataType::Uint8 => Data::U8(small.iter().map(|&value| value as u8).collect()),
        DataType::Bool => Data::Bool(small.iter().map(|&value| value != 0).collect()),
        DataType::Undefined => return None,
    })
}

/// Elements from little-endian bytes; a rest that is no whole element is left out.
fn unpack(raw: &[u8], kind: DataType) -> Option<Data> {
    fn each<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks::<N>().0.iter().map(|&bytes| read(bytes)).collect()
    }
    Some(match kind {
        DataType::Float => Data::F32(each(raw, f32::from_le_bytes)),
        DataType::Double => Data::F32(each(raw, |bytes| f64::from_le_bytes(bytes) as f32)),
        DataType::Float16 => Data::F32(each(raw, |bytes| from_half(u16::from_le_bytes(bytes)))),
        DataType::Int64 => Data::I64(each(raw, i64::from_le_bytes)),
        DataType::Int32 => Data::I32(each(raw, i32::from_le_bytes)),
        DataType::Int8 => Data::I8(each(raw, i8::from_le_bytes)),
        DataType::Uint8 => Data::U8(raw.to_vec()),
        DataType::Bool => Data::Bool(raw.iter().map(|&byte| byte != 0).collect()),
        DataType::Undefined => return None,
    })
}

/// IEEE 754 binary16 to binary32, which holds every such value.
pub(crate) fn from_half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10) & 31, u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        // A subnormal is its fraction in units of 2⁻²⁴.
        0 => (fraction as f32 * f32::from_bits(0x3380_0000)).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// The binary16 value nearest to a float, ties to even, as a float again.
pub(crate) fn round_to_half(value: f32) -> f32 {
    let size = value.abs();
    if !size.is_finite() || size == 0.0 {
        return value;
    }
    // 11 significant bits, and no step below 2⁻²⁴.
    let exponent = ((size.to_bits() >> 23) as i32 - 127).max(-14);
    let step = f32::from_bits(((exponent - 10 + 127) as u32) << 23);
    let rounded = (size / step).round_ties_even() * step;
    let rounded = if rounded > 65504.0 { f32::INFINITY } else { rounded };
    rounded.copysign(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_agrees_with_its_shape() {
        assert!(Tensor::floats(&[2, 2], vec![0.0; 4]).is_ok());
        assert!(matches!(
            Tensor::floats(&[2, 2], vec![0.0; 3]),
            Err(TensorError::Mismatch { .. })
        ));
        assert!(matches!(
            Tensor::floats(&[usize::MAX, 2], vec![]),
            Err(TensorError::TooLarge(_))
        ));
        assert_eq!(Tensor::floats(&[], vec![1.0]).unwrap().len(), 1);
    }

    #[test]
    fn halves_become_the_same_floats() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x0400, 6.103_515_6e-5),
            (0x7c00, f32::INFINITY),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(from_half(bits), value);
            assert_eq!(round_to_half(value), value);
        }
        assert!(from_half(0x7e00).is_nan());
        assert_eq!(round_to_half(1.0 / 3.0), 0.333_251_95);
        assert_eq!(round_to_half(65520.0), f32::INFINITY);
    }
}
