//! Products with weights of one byte.
//!
//! A matrix of signed bytes has one scale for each column. What it is multiplied with is rounded, row by row, to as many
//! steps as keep every sum within 32 bits: 13 bits and a sign for 1,536 columns, so that next to the weights' own
//! rounding nothing is lost. wasm's `i32x4.dot_i16x8` multiplies eight pairs where floats multiply four. Sums of integers
//! are the same on every machine, in any order.

use super::gemm::{Matrix, ROWS};
use super::lanes::{Integers, LANES, Pairs};

/// The largest size of a weight.
const WEIGHT_MAX: i64 = 128;
/// Deeper matrices leave fewer than 8 bits for what they are multiplied with.
pub(crate) const DEPTH_MAX: usize = (i32::MAX as i64 / WEIGHT_MAX / 255) as usize;

/// The right side of products: panels of eight columns, each by pairs of depths.
#[derive(Debug, Clone)]
pub(crate) struct PackedBytes {
    depth: usize,
    scales: Vec<f32>,
    panels: Vec<[i8; 2 * LANES]>,
}

impl PackedBytes {
    /// Packs a matrix of `scales.len()` columns whose rows lie one after the other. `None` if it is deeper than
    /// [`DEPTH_MAX`] or has another number of elements.
    pub(crate) fn new(values: &[i8], depth: usize, scales: &[f32]) -> Option<Self> {
        let columns = scales.len();
        if depth > DEPTH_MAX || values.len() != depth * columns {
            return None;
        }
        let mut panels = Vec::with_capacity(columns.div_ceil(LANES) * depth.div_ceil(2));
        for first in (0..columns).step_by(LANES) {
            panels.extend((0..depth).step_by(2).map(|at| {
                std::array::from_fn(|place| {
                    let (at, column) = (at + place % 2, first + place / 2);
                    if at < depth && column < columns {
                        values[at * columns + column]
                    } else {
                        0
                    }
                })
            }));
        }
        Some(Self {
            depth,
            scales: scales.to_vec(),
            panels,
        })
    }

    /// Rows of the matrix.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix.
    pub(crate) fn columns(&self) -> usize {
        self.scales.len()
    }

    /// Bytes that the panels and scales take.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.panels[..]) + size_of_val(&self.scales[..])
    }

    /// The largest size that what is multiplied is rounded to.
    fn steps(&self) -> f32 {
        let most = i64::from(i32::MAX) / WEIGHT_MAX / (self.depth.max(1) as i64);
        // At most 32,767, which a float holds.
        most.min(i64::from(i16::MAX)) as f32
    }
}

/// `a · b + bias` into `out`, as [`gemm::product`](super::gemm::product) does.
pub(crate) fn product(a: &Matrix<'_>, b: &PackedBytes, bias: Option<&[f32]>, out: &mut [f32], step: usize) {
    let (rows, pairs) = (a.dims[0], b.depth.div_ceil(2));
    let (tiles, row_scales) = round_rows(a, b.steps());
    for at in 0..b.columns().div_ceil(LANES) {
        let columns = at * LANES..b.columns().min((at + 1) * LANES);
        let panel = &b.panels[at * pairs..][..pairs];
        for (tile, start) in (0..rows).step_by(ROWS).enumerate() {
            let tile = &tiles[tile * pairs..][..pairs];
            let left = rows - start;
            let sums = match left {
                1 => widened(sum::<1>(tile, panel)),
                2 => widened(sum::<2>(tile, panel)),
                3 => widened(sum::<3>(tile, panel)),
                _ => widened(sum::<ROWS>(tile, panel)),
            };
            for (row, sums) in sums.iter().take(left).enumerate() {
                let place = &mut out[(start + row) * step..][columns.clone()];
                let scales = b.scales[columns.clone()].iter();
                for ((place, sum), scale) in place.iter_mut().zip(sums).zip(scales) {
                    *place = *sum as f32 * (row_scales[start + row] * scale);
                }
                if let Some(bias) = bias {
                    let bias = &bias[columns.clone()];
                    place.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
                }
            }
        }
    }
}

/// Rows of A as integers, four side by side by pairs of columns, and each row's scale. A row that is not finite has a
/// scale of NaN, and so has all that comes of it.
fn round_rows(a: &Matrix<'_>, steps: f32) -> (Vec<[[i16; 2]; ROWS]>, Vec<f32>) {
    let [rows, depth] = a.dims;
    let pairs = depth.div_ceil(2);
    let mut tiles = vec![[[0; 2]; ROWS]; rows.div_ceil(ROWS) * pairs];
    let (mut line, mut scales) = (vec![0.0; 2 * pairs], Vec::with_capacity(rows));
    for row in 0..rows {
        let start = a.start + row * a.steps[0];
        if a.steps[1] == 1 {
            line[..depth].copy_from_slice(&a.values[start..][..depth]);
        } else {
            (0..depth).for_each(|at| line[at] = a.values[start + at * a.steps[1]]);
        }
        let scale = largest(&line) / steps;
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        let tile = &mut tiles[row / ROWS * pairs..][..pairs];
        for (column, pair) in tile.iter_mut().zip(line.as_chunks::<2>().0) {
            column[row % ROWS] = pair.map(|x| nearest(x * inverse));
        }
        scales.push(if scale.is_finite() { scale } else { f32::NAN });
    }
    (tiles, scales)
}

/// The largest size; infinite if one is NaN.
fn largest(line: &[f32]) -> f32 {
    let mut most = [0.0_f32; LANES];
    let (chunks, rest) = line.as_chunks::<LANES>();
    let mut tail = [0.0; LANES];
    tail[..rest.len()].copy_from_slice(rest);
    for chunk in chunks.iter().chain([&tail]) {
        for (most, x) in most.iter_mut().zip(chunk) {
            let size = x.abs();
            // A NaN is not larger, and must not be passed over.
            *most = if size > *most || size.is_nan() {
                size
            } else {
                *most
            };
        }
    }
    let most = most
        .into_iter()
        .fold(0.0_f32, |most, x| if x > most || x.is_nan() { x } else { most });
    if most.is_nan() { f32::INFINITY } else { most }
}

/// The nearest integer, ties to even, of a number whose size is at most 2¹⁵: the sum has no room for a fraction.
#[inline(always)]
fn nearest(x: f32) -> i16 {
    const NO_FRACTION: f32 = 12_582_912.0; // 1.5 · 2²³
    ((x + NO_FRACTION).to_bits() & 0xffff) as u16 as i16
}

#[inline(never)]
fn sum<const R: usize>(tile: &[[[i16; 2]; ROWS]], panel: &[[i8; 2 * LANES]]) -> [Integers; R] {
    let mut sums = [Integers::ZERO; R];
    for (column, row) in tile.iter().zip(panel) {
        let row = Pairs::load(row);
        for (sum, &pair) in sums.iter_mut().zip(column) {
            *sum = sum.add_product(pair, row);
        }
    }
    sums
}

fn widened<const R: usize>(sums: [Integers; R]) -> [[i32; LANES]; ROWS] {
    let mut wide = [[0; LANES]; ROWS];
    wide.iter_mut()
        .zip(sums)
        .for_each(|(wide, sums)| *wide = sums.store());
    wide
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn products_are_nearly_those_of_floats(rows in 0_usize..11, depth in 1_usize..70, columns in 0_usize..20, seed in 0_i64..99) {
            let number = |at: usize, most: i64| (at as i64 * 37 + seed * 11) % (2 * most + 1) - most;
            let a: Vec<f32> = (0..rows * depth).map(|at| number(at, 1000) as f32 / 300.0).collect();
            let b: Vec<i8> = (0..depth * columns).map(|at| number(at, 127) as i8).collect();
            let scales: Vec<f32> = (0..columns).map(|at| (at + 1) as f32 / 100.0).collect();
            let bias = vec![0.5; columns];
            let packed = PackedBytes::new(&b, depth, &scales).unwrap();
            let mut out = vec![0.0; rows * columns];
            product(&Matrix::dense(&a, rows, depth), &packed, Some(&bias), &mut out, columns);
            for (at, &found) in out.iter().enumerate() {
                let (row, column) = (at / columns, at % columns);
                let exact: f32 = (0..depth).map(|k| a[row * depth + k] * f32::from(b[k * columns + column])).sum();
                let size: f32 = (0..depth).map(|k| f32::from(b[k * columns + column]).abs()).sum();
                let expected = exact * scales[column] + 0.5;
                prop_assert!((found - expected).abs() < 1e-4 * size * scales[column] + 1e-4, "{found} {expected}");
            }
        }
    }

    #[test]
    fn the_largest_sums_fit() {
        for depth in [1, 2, 1536, DEPTH_MAX] {
            for sign in [1.0, -1.0] {
                let packed = PackedBytes::new(&vec![-128; depth], depth, &[1.0]).unwrap();
                let (a, mut out) = (vec![sign * 3.0; depth], [0.0]);
                product(&Matrix::dense(&a, 1, depth), &packed, None, &mut out, 1);
                let exact = -384.0 * sign * depth as f32;
                assert!((out[0] / exact - 1.0).abs() < 1e-5, "{} {exact}", out[0]);
            }
        }
        assert!(PackedBytes::new(&vec![1; DEPTH_MAX + 1], DEPTH_MAX + 1, &[1.0]).is_none());
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let packed = PackedBytes::new(&[1, 2, 3], 3, &[1.0]).unwrap();
        for hole in [f32::NAN, f32::INFINITY] {
            let mut out = [0.0; 2];
            product(
                &Matrix::dense(&[1.0, hole, 1.0, 1.0, 1.0, 1.0], 2, 3),
                &packed,
                None,
                &mut out,
                1,
            );
            assert!(out[0].is_nan() && (out[1] - 6.0).abs() < 1e-3, "{out:?}");
        }
    }
}
