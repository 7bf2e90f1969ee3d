//! Constants during lowering, and the few operations that exporters perform on constants and shapes.

use std::sync::Arc;

use bytes::Bytes;

use super::shape;
use crate::limits;
use crate::onnx::build;
use crate::onnx::proto::{DataType, TensorProto};
use crate::onnx::{OnnxError, element_count};

/// A tensor whose elements are known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Literal {
    pub(super) dims: Vec<usize>,
    elements: Elements,
}

#[derive(Debug, Clone, PartialEq)]
enum Elements {
    /// Little-endian floats, sharing the model file's memory where they can.
    Floats(Bytes),
    Integers(Arc<Vec<i64>>),
}

impl Literal {
    /// Takes a constant of the graph, whose shape the reader has checked.
    pub(super) fn read(tensor: &TensorProto) -> Result<Self, OnnxError> {
        let refuse = |problem| OnnxError::Tensor {
            name: tensor.name.clone(),
            problem,
        };
        element_count(&tensor.dims).ok_or_else(|| refuse("has an impossible or too large shape"))?;
        let dims = tensor.dims.iter().map(|&size| size as usize).collect();
        let elements = match DataType::try_from(tensor.data_type) {
            Ok(DataType::Float) if tensor.raw_data.is_empty() => {
                Elements::Floats(float_bytes(&tensor.float_data))
            }
            Ok(DataType::Float) => Elements::Floats(tensor.raw_data.clone()),
            Ok(DataType::Int64) if tensor.raw_data.is_empty() => {
                Elements::Integers(Arc::new(tensor.int64_data.clone()))
            }
            Ok(DataType::Int64) => {
                let (numbers, _) = tensor.raw_data.as_chunks::<8>();
                let numbers = numbers.iter().map(|bytes| i64::from_le_bytes(*bytes));
                Elements::Integers(Arc::new(numbers.collect()))
            }
            _ => return Err(refuse("has an element type that cannot be lowered")),
        };
        Ok(Self { dims, elements })
    }

    pub(super) fn floats(dims: &[usize], values: &[f32]) -> Self {
        Self {
            dims: dims.to_vec(),
            elements: Elements::Floats(float_bytes(values)),
        }
    }

    pub(super) fn integers(dims: &[usize], values: Vec<i64>) -> Self {
        Self {
            dims: dims.to_vec(),
            elements: Elements::Integers(Arc::new(values)),
        }
    }

    pub(super) fn zeros_i64(dims: &[usize]) -> Self {
        Self::integers(dims, vec![0; dims.iter().product()])
    }

    pub(super) fn to_tensor(&self, name: &str) -> TensorProto {
        // wonnx has no tensors of rank 0; one element broadcasts the same way.
        let dims: Vec<i64> = if self.dims.is_empty() {
            vec![1]
        } else {
            self.dims.iter().map(|&d| d as i64).collect()
        };
        match &self.elements {
            Elements::Floats(bytes) => build::raw_tensor(name, DataType::Float, &dims, bytes.clone()),
            Elements::Integers(values) => build::i64_tensor(name, &dims, values),
        }
    }

    pub(super) fn as_integers(&self) -> Option<&[i64]> {
        match &self.elements {
            Elements::Integers(values) => Some(values),
            Elements::Floats(_) => None,
        }
    }

    /// Bytes of the elements.
    pub(super) fn bytes(&self) -> usize {
        match &self.elements {
            Elements::Integers(values) => 8 * values.len(),
            Elements::Floats(bytes) => bytes.len(),
        }
    }

    /// Rows `start..end` of an axis.
    pub(super) fn slice(&self, axis: usize, start: usize, end: usize) -> Option<Self> {
        let &size = self.dims.get(axis)?;
        let indices: Vec<usize> = (start.min(size)..end.min(size)).collect();
        let mut dims = self.dims.clone();
        dims[axis] = indices.len();
        self.pick(axis, &indices, dims)
    }

    /// ONNX's Gather.
    pub(super) fn gather(&self, axis: usize, indices: &Self) -> Option<Self> {
        let &size = self.dims.get(axis)?;
        let places = indices.as_integers()?.iter().map(|&index| {
            let index = if index < 0 {
                index.checked_add(i64::try_from(size).ok()?)?
            } else {
                index
            };
            usize::try_from(index).ok().filter(|&index| index < size)
        });
        let mut dims = self.dims[..axis].to_vec();
        dims.extend(&indices.dims);
        dims.extend(&self.dims[axis + 1..]);
        self.pick(axis, &places.collect::<Option<Vec<_>>>()?, dims)
    }

    fn pick(&self, axis: usize, indices: &[usize], dims: Vec<usize>) -> Option<Self> {
        shape::bounded(&dims).filter(|&count| count <= limits::COMPUTED_ELEMENTS_MAX)?;
        let inner: usize = self.dims[axis + 1..].iter().product();
        let outer: usize = self.dims[..axis].iter().product();
        let row = |block: usize, index: usize| (block * self.dims[axis] + index) * inner;
        let rows = (0..outer).flat_map(|block| indices.iter().map(move |&index| (block, index)));
        let elements = match &self.elements {
            Elements::Integers(values) => {
                let mut picked = Vec::with_capacity(dims.iter().product());
                rows.for_each(|(b, i)| picked.extend_from_slice(&values[row(b, i)..row(b, i) + inner]));
                Elements::Integers(Arc::new(picked))
            }
            Elements::Floats(bytes) => {
                let mut picked = Vec::with_capacity(4 * dims.iter().product::<usize>());
                rows.for_each(|(b, i)| {
                    picked.extend_from_slice(&bytes[4 * row(b, i)..4 * (row(b, i) + inner)])
                });
                Elements::Floats(picked.into())
            }
        };
        Some(Self { dims, elements })
    }
}

fn float_bytes(values: &[f32]) -> Bytes {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect::<Vec<u8>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gather_and_slice_pick_rows() {
        let table = Literal::integers(&[3, 2], vec![0, 1, 10, 11, 20, 21]);
        let picked = table.gather(0, &Literal::integers(&[2], vec![2, -3])).unwrap();
        assert_eq!(picked, Literal::integers(&[2, 2], vec![20, 21, 0, 1]));
        assert_eq!(
            table.slice(1, 1, 99).unwrap(),
            Literal::integers(&[3, 1], vec![1, 11, 21])
        );
        assert!(table.gather(0, &Literal::integers(&[1], vec![3])).is_none());
    }
}
