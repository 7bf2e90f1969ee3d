//! Where elements are: strides, walking through indices, broadcasting.

use super::call::Problem;
use crate::limits;
use crate::tensor::elements;

/// Holds the steps of a kernel, as a product of counts, against [`limits::KERNEL_WORK_MAX`].
pub(crate) fn work(counts: &[usize]) -> Result<(), Problem> {
    if count(counts) <= limits::KERNEL_WORK_MAX {
        Ok(())
    } else {
        Err(format!("{counts:?} steps are too much work for one operator").into())
    }
}

/// The product of sizes, none of which counts as less than 1: a size of 0 must not hide loops that run for nothing.
pub(crate) fn count(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1, |product: u64, &size| {
        product.saturating_mul(size.max(1) as u64)
    })
}

/// Distance between neighbours along each axis, in elements.
pub(crate) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    strides
}

/// Calls `visit` with every index of a shape, in row-major order.
pub(super) fn walk(dims: &[usize], mut visit: impl FnMut(&[usize])) {
    let count: usize = dims.iter().product();
    let mut index = vec![0; dims.len()];
    for _ in 0..count {
        visit(&index);
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            if index[axis] < dims[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// The same for kernels that can fail at an index.
pub(super) fn try_walk(
    dims: &[usize],
    mut visit: impl FnMut(&[usize]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut outcome = Ok(());
    walk(dims, |index| {
        if outcome.is_ok() {
            outcome = visit(index);
        }
    });
    outcome
}

/// For every index of `dims`, the place that `steps` and `offset` lead to.
pub(super) fn places(dims: &[usize], offset: usize, steps: &[usize]) -> Vec<usize> {
    let mut found = Vec::with_capacity(dims.iter().product());
    walk(dims, |index| {
        found.push(offset + index.iter().zip(steps).map(|(at, step)| at * step).sum::<usize>());
    });
    found
}

/// The shape of an element-wise operation on two shapes (numpy's rule).
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Problem> {
    let rank = a.len().max(b.len());
    let size = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |at| dims[at]);
    let dims: Vec<usize> = (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(Problem(format!("{a:?} and {b:?} do not fit"))),
        })
        .collect::<Result<_, _>>()?;
    elements(&dims)?;
    Ok(dims)
}

/// Steps through a tensor of shape `from` that is stretched to `to`; axes of size 1 stand still.
pub(crate) fn stretched(from: &[usize], to: &[usize]) -> Vec<usize> {
    let lacking = to.len() - from.len();
    let own = strides(from);
    (0..to.len())
        .map(|axis| match axis.checked_sub(lacking) {
            Some(at) if from[at] != 1 => own[at],
            _ => 0,
        })
        .collect()
}

/// How a tensor is seen from one axis: blocks before it, its size, elements behind it.
pub(super) struct Along {
    pub(super) outer: usize,
    pub(super) size: usize,
    pub(super) inner: usize,
}

impl Along {
    pub(super) fn new(dims: &[usize], axis: usize) -> Self {
        Self {
            outer: dims[..axis].iter().product(),
            size: dims[axis],
            inner: dims[axis + 1..].iter().product(),
        }
    }

    pub(super) fn place(&self, block: usize, at: usize, behind: usize) -> usize {
        (block * self.size + at) * self.inner + behind
    }
}
