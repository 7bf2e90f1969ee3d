//! Strided views: how Reshape and Transpose cost nothing.
//!
//! A view reads the element at `(i, j, …)` of a tensor from `offset + i·strides[0] + j·strides[1] + …` of a buffer. A
//! transposed view permutes its strides, a broadcast axis has stride 0, and most reshapes only regroup axes.

use super::Buffer;

/// A tensor as a window on a buffer. Offsets and strides count elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) buffer: Buffer,
    pub(crate) dims: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    pub(crate) offset: usize,
}

impl View {
    /// A whole buffer, last axis innermost.
    pub(crate) fn contiguous(buffer: Buffer, dims: &[usize]) -> Self {
        Self {
            buffer,
            dims: dims.to_vec(),
            strides: contiguous_strides(dims),
            offset: 0,
        }
    }

    pub(crate) fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether the elements lie one after the other from the start of the buffer.
    pub(crate) fn is_plain(&self) -> bool {
        let mut expected = 1;
        let innermost_first = self.dims.iter().zip(&self.strides).rev();
        self.offset == 0
            && innermost_first
                .filter(|(size, _)| **size != 1)
                .all(|(&size, &stride)| {
                    let matches = stride == expected;
                    expected *= size;
                    matches
                })
    }

    /// The axes in another order; `order` must name each once.
    pub(crate) fn transposed(&self, order: &[usize]) -> Self {
        Self {
            dims: order.iter().map(|&axis| self.dims[axis]).collect(),
            strides: order.iter().map(|&axis| self.strides[axis]).collect(),
            ..*self
        }
    }

    /// Part of the last axis.
    pub(crate) fn columns(&self, start: usize, count: usize) -> Self {
        let mut view = self.clone();
        if let (Some(size), Some(stride)) = (view.dims.last_mut(), view.strides.last()) {
            *size = count;
            view.offset += start * stride;
        }
        view
    }

    /// The same elements in another shape, unless that needs a copy.
    pub(crate) fn reshaped(&self, dims: &[usize]) -> Option<Self> {
        let mut strides = [self.strides.clone()];
        let sizes = collapse(&self.dims, &mut strides);
        let [old] = strides;
        let mut groups = sizes.into_iter().zip(old).rev();
        let mut fresh = vec![0; dims.len()];
        let (mut left, mut stride) = (1, 1);
        for (axis, &size) in dims.iter().enumerate().rev().filter(|(_, size)| **size != 1) {
            if left == 1 {
                (left, stride) = groups.next()?;
            }
            if left % size != 0 {
                return None;
            }
            fresh[axis] = stride;
            stride *= size;
            left /= size;
        }
        (left == 1 && groups.all(|(size, _)| size == 1)).then(|| Self {
            dims: dims.to_vec(),
            strides: fresh,
            ..*self
        })
    }

    /// The view repeated to a larger shape by numpy's rule.
    pub(crate) fn broadcast(&self, dims: &[usize]) -> Option<Self> {
        let missing = dims.len().checked_sub(self.dims.len())?;
        let mut strides = vec![0; dims.len()];
        for (axis, (&size, &stride)) in self.dims.iter().zip(&self.strides).enumerate() {
            match size {
                size if size == dims[missing + axis] => strides[missing + axis] = stride,
                1 => {}
                _ => return None,
            }
        }
        Some(Self {
            dims: dims.to_vec(),
            strides,
            ..*self
        })
    }

    /// Whether four neighbours on the last axis can be loaded at once.
    pub(crate) fn is_vector(&self) -> bool {
        let Some((&last, outer)) = self.strides.split_last() else {
            return false;
        };
        last == 1
            && self.dims.last().is_some_and(|size| size.is_multiple_of(4))
            && self.offset.is_multiple_of(4)
            && outer.iter().all(|stride| stride.is_multiple_of(4))
    }
}

/// Strides of a tensor without gaps, last axis innermost.
pub(crate) fn contiguous_strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    strides
}

/// Joins neighbouring axes that every one of the given strides walks without a gap, and drops axes of one element.
///
/// What is left needs the fewest divisions to get from an element's number to its coordinates; often one axis is
/// left, and then none. There is always at least one.
pub(crate) fn collapse<const N: usize>(dims: &[usize], strides: &mut [Vec<usize>; N]) -> Vec<usize> {
    collapse_all(dims, strides)
}

/// [`collapse`] for any number of strides.
pub(crate) fn collapse_all(dims: &[usize], strides: &mut [Vec<usize>]) -> Vec<usize> {
    let mut sizes: Vec<usize> = Vec::with_capacity(dims.len());
    let mut kept: Vec<Vec<usize>> = vec![Vec::with_capacity(dims.len()); strides.len()];
    for (axis, &size) in dims.iter().enumerate().filter(|(_, size)| **size != 1) {
        let joins = kept
            .iter()
            .zip(strides.iter())
            .all(|(kept, all)| kept.last().is_some_and(|&outer| outer == all[axis] * size));
        match sizes.last_mut() {
            Some(outer) if joins => {
                *outer *= size;
                kept.iter_mut().zip(strides.iter()).for_each(|(kept, all)| {
                    if let Some(last) = kept.last_mut() {
                        *last = all[axis];
                    }
                });
            }
            _ => {
                sizes.push(size);
                kept.iter_mut()
                    .zip(strides.iter())
                    .for_each(|(kept, all)| kept.push(all[axis]));
            }
        }
    }
    if sizes.is_empty() {
        sizes.push(1);
        kept.iter_mut().for_each(|kept| kept.push(0));
    }
    strides.iter_mut().zip(kept).for_each(|(all, kept)| *all = kept);
    sizes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn view(dims: &[usize]) -> View {
        View::contiguous(Buffer::Ids, dims)
    }

    /// The places of all elements, in order.
    fn places(view: &View) -> Vec<usize> {
        let mut places = vec![view.offset];
        for (&size, &stride) in view.dims.iter().zip(&view.strides) {
            places = places
                .iter()
                .flat_map(|place| (0..size).map(move |index| place + index * stride))
                .collect();
        }
        places
    }

    #[test]
    fn heads_are_split_without_a_copy() {
        let heads = view(&[2, 8, 384])
            .reshaped(&[2, 8, 12, 32])
            .unwrap()
            .transposed(&[0, 2, 1, 3]);
        assert_eq!(heads.strides, [8 * 384, 32, 384, 1]);
        assert!(heads.is_vector() && !heads.is_plain());
        assert!(
            heads.reshaped(&[2, 12, 256]).is_none(),
            "joining what is not adjacent needs a copy"
        );
    }

    #[test]
    fn a_broadcast_axis_stays_in_place() {
        let mask = view(&[2, 1, 1, 8]).broadcast(&[2, 12, 8, 8]).unwrap();
        assert_eq!(mask.strides, [8, 0, 0, 1]);
        assert!(view(&[3]).broadcast(&[2]).is_none());
    }

    proptest! {
        #[test]
        fn a_reshape_keeps_the_order(sizes in proptest::collection::vec(1_usize..5, 1..5), swap in any::<(prop::sample::Index, prop::sample::Index)>(), cut in any::<prop::sample::Index>()) {
            let mut order: Vec<usize> = (0..sizes.len()).collect();
            order.swap(swap.0.index(sizes.len()), swap.1.index(sizes.len()));
            let view = view(&sizes).transposed(&order);
            let cut = cut.index(sizes.len());
            let joined: Vec<usize> = [view.dims[..cut].iter().product(), view.dims[cut..].iter().product()].to_vec();
            if let Some(reshaped) = view.reshaped(&joined) {
                prop_assert_eq!(places(&reshaped), places(&view));
            }
            let plain = View::contiguous(Buffer::Ids, &view.dims).reshaped(&joined);
            prop_assert!(plain.is_some());
        }

        #[test]
        fn collapsing_keeps_the_order(sizes in proptest::collection::vec(1_usize..5, 1..5)) {
            let mut strides = [contiguous_strides(&sizes)];
            let collapsed = collapse(&sizes, &mut strides);
            prop_assert_eq!(collapsed.len(), 1);
            prop_assert_eq!(collapsed[0], sizes.iter().product::<usize>());
        }
    }
}
