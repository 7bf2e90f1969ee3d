//! Arithmetic on static shapes.

use crate::limits::{TENSOR_ELEMENTS_MAX, TENSOR_RANK_MAX};

/// Elements of a shape, if they are within the limits.
pub(super) fn bounded(dims: &[usize]) -> Option<usize> {
    if dims.len() > TENSOR_RANK_MAX {
        return None;
    }
    let product = dims
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size.max(1)))?;
    (product <= TENSOR_ELEMENTS_MAX).then(|| dims.iter().product())
}

/// The shape of an element-wise operation on two shapes (numpy's rule).
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |at| dims[at]);
    let dims: Vec<usize> = (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect::<Option<_>>()?;
    bounded(&dims).map(|_| dims)
}

/// What ONNX's Reshape makes of a shape: 0 copies a dimension, -1 takes what is left.
pub(super) fn reshape(from: &[usize], to: &[i64]) -> Option<Vec<usize>> {
    let total = bounded(from)?;
    let mut dims = Vec::with_capacity(to.len());
    let mut open = None;
    for (axis, &size) in to.iter().enumerate() {
        dims.push(match size {
            0 => *from.get(axis)?,
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            size => usize::try_from(size).ok()?,
        });
    }
    let known = bounded(&dims)?;
    match open {
        Some(axis) if known > 0 && total % known == 0 => dims[axis] = total / known,
        None if known == total => {}
        _ => return None,
    }
    Some(dims)
}

/// An axis that may count from the end.
pub(super) fn axis(value: i64, rank: usize) -> Option<usize> {
    let rank_signed = i64::try_from(rank).ok()?;
    let value = if value < 0 {
        value.checked_add(rank_signed)?
    } else {
        value
    };
    usize::try_from(value).ok().filter(|&axis| axis < rank)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shapes_follow_onnx() {
        assert_eq!(broadcast(&[1, 12, 8, 8], &[1, 1, 1, 8]), Some(vec![1, 12, 8, 8]));
        assert_eq!(broadcast(&[3], &[2, 1]), Some(vec![2, 3]));
        assert_eq!(broadcast(&[3], &[2]), None);
        assert_eq!(reshape(&[1, 8, 384], &[0, 0, 12, -1]), Some(vec![1, 8, 12, 32]));
        assert_eq!(reshape(&[6], &[4]), None);
        assert_eq!(axis(-1, 3), Some(2));
        assert_eq!(axis(3, 3), None);
    }

    proptest! {
        #[test]
        fn no_shape_overflows(a in proptest::collection::vec(any::<usize>(), 0..9), b in proptest::collection::vec(any::<i64>(), 0..9)) {
            drop(broadcast(&a, &a));
            drop(reshape(&a, &b));
            prop_assert!(b.first().and_then(|&value| axis(value, a.len())).is_none_or(|found| found < a.len()));
        }
    }
}
