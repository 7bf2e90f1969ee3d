//! Products of float matrices.

use super::lanes::{Floats, LANES};

/// Rows of a tile.
pub(super) const ROWS: usize = 4;
/// Depth that is summed up at a time: a panel of so many rows (16 KB) stays in the first cache while all rows of A
/// pass by, and so many columns of 128 rows of A in the second.
const DEPTH: usize = 512;

/// A matrix of floats wherever they lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    /// What holds the elements.
    pub(crate) values: &'a [f32],
    /// Where the first one is.
    pub(crate) start: usize,
    /// Rows and columns.
    pub(crate) dims: [usize; 2],
    /// Distance between neighbouring rows and between neighbouring columns.
    pub(crate) steps: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Rows one after the other.
    pub(crate) fn dense(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self {
            values,
            start: 0,
            dims: [rows, columns],
            steps: [columns, 1],
        }
    }

    /// Rows and columns swapped.
    pub(crate) fn turned(self) -> Self {
        let ([rows, columns], [row, column]) = (self.dims, self.steps);
        Self {
            dims: [columns, rows],
            steps: [column, row],
            ..self
        }
    }

    #[inline(always)]
    fn at(&self, row: usize, column: usize) -> f32 {
        self.values[self.start + row * self.steps[0] + column * self.steps[1]]
    }
}

/// The right side of products: panels of eight columns, each depth by depth.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    depth: usize,
    columns: usize,
    panels: Vec<Row>,
}

/// Eight neighbours of one row, aligned so that no load crosses a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
struct Row([f32; LANES]);

impl Packed {
    /// Packs a matrix; columns that are missing from the last panel are 0.
    pub(crate) fn new(matrix: &Matrix<'_>) -> Self {
        let [depth, columns] = matrix.dims;
        let mut panels = Vec::with_capacity(columns.div_ceil(LANES) * depth);
        for first in (0..columns).step_by(LANES) {
            let width = LANES.min(columns - first);
            panels.extend((0..depth).map(|at| {
                let lane = |lane| {
                    if lane < width {
                        matrix.at(at, first + lane)
                    } else {
                        0.0
                    }
                };
                Row(std::array::from_fn(lane))
            }));
        }
        Self {
            depth,
            columns,
            panels,
        }
    }

    /// Rows of the matrix.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes that the panels take.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.panels[..])
    }
}

/// `a · b + bias` into `out`, whose rows begin every `step` elements. `a` has as many columns as `b` is deep, `bias` as
/// many numbers as `b` has columns.
pub(crate) fn product(a: &Matrix<'_>, b: &Packed, bias: Option<&[f32]>, out: &mut [f32], step: usize) {
    let rows = a.dims[0];
    let mut tiles = Vec::new();
    // A depth of 0 still leaves the bias.
    for first in (0..b.depth.max(1)).step_by(DEPTH) {
        let depth = DEPTH.min(b.depth - first);
        pack_rows(a, first, depth, &mut tiles);
        for at in 0..b.columns.div_ceil(LANES) {
            let columns = at * LANES..b.columns.min((at + 1) * LANES);
            let panel = &b.panels[at * b.depth + first..][..depth];
            let begin = begin(bias.filter(|_| first == 0), columns.start);
            for (tile, start) in (0..rows).step_by(ROWS).enumerate() {
                let tile = &tiles[tile * depth..][..depth];
                let left = rows - start;
                let begin = |row: usize| {
                    if first == 0 {
                        return begin;
                    }
                    let mut sums = [0.0; LANES];
                    let so_far = &out[(start + row) * step..][columns.clone()];
                    sums[..so_far.len()].copy_from_slice(so_far);
                    Floats::load(&sums)
                };
                let sums = match left {
                    1 => widened(sum(std::array::from_fn::<_, 1, _>(begin), tile, panel)),
                    2 => widened(sum(std::array::from_fn::<_, 2, _>(begin), tile, panel)),
                    3 => widened(sum(std::array::from_fn::<_, 3, _>(begin), tile, panel)),
                    _ => widened(sum(std::array::from_fn::<_, ROWS, _>(begin), tile, panel)),
                };
                for (row, sums) in sums.iter().take(left).enumerate() {
                    let place = &mut out[(start + row) * step..][columns.clone()];
                    place.copy_from_slice(&sums[..place.len()]);
                }
            }
        }
    }
}

/// What the sums of a panel begin with.
fn begin(bias: Option<&[f32]>, first: usize) -> Floats {
    let mut begin = [0.0; LANES];
    if let Some(bias) = bias {
        begin
            .iter_mut()
            .zip(&bias[first..])
            .for_each(|(sum, bias)| *sum = *bias);
    }
    Floats::load(&begin)
}

/// Four rows of A side by side, depth by depth; rows that are missing from the last tile are 0.
fn pack_rows(a: &Matrix<'_>, first: usize, depth: usize, tiles: &mut Vec<[f32; ROWS]>) {
    tiles.clear();
    let rows = a.dims[0];
    for start in (0..rows).step_by(ROWS) {
        let height = ROWS.min(rows - start);
        if height == ROWS && a.steps[1] == 1 {
            let row = |row: usize| &a.values[a.start + (start + row) * a.steps[0] + first..][..depth];
            let (one, two, three, four) = (row(0), row(1), row(2), row(3));
            tiles.extend((0..depth).map(|at| [one[at], two[at], three[at], four[at]]));
        } else {
            tiles.extend((first..first + depth).map(|at| {
                let value = |row| if row < height { a.at(start + row, at) } else { 0.0 };
                std::array::from_fn(value)
            }));
        }
    }
}

/// The innermost loop: every element of a tile's column with every one of a panel's row.
#[inline(never)]
fn sum<const R: usize>(mut sums: [Floats; R], tile: &[[f32; ROWS]], panel: &[Row]) -> [Floats; R] {
    for (column, row) in tile.iter().zip(panel) {
        let row = Floats::load(&row.0);
        for (sum, &x) in sums.iter_mut().zip(column) {
            *sum = sum.add_product(x, row);
        }
    }
    sums
}

fn widened<const R: usize>(sums: [Floats; R]) -> [[f32; LANES]; ROWS] {
    let mut wide = [[0.0; LANES]; ROWS];
    wide.iter_mut()
        .zip(sums)
        .for_each(|(wide, sums)| *wide = sums.store());
    wide
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count)
            .map(|at| ((at * 37 + seed * 11) % 101) as f32 / 101.0 - 0.5)
            .collect()
    }

    proptest! {
        #[test]
        fn products_are_sums_of_products(rows in 0_usize..11, depth in 0_usize..40, columns in 0_usize..20, seed in 0_usize..9, long in any::<bool>()) {
            // Long ones cross the border between two depths.
            let depth = if long { depth + DEPTH - 20 } else { depth };
            let (a, b, bias) = (numbers(rows * depth, seed), numbers(depth * columns, seed + 1), numbers(columns, 3));
            let packed = Packed::new(&Matrix::dense(&b, depth, columns));
            let step = columns + 3;
            let mut out = vec![7.0; rows * step];
            product(&Matrix::dense(&a, rows, depth), &packed, Some(&bias), &mut out, step);
            for row in 0..rows {
                for column in 0..columns {
                    let exact: f64 = (0..depth).map(|at| f64::from(a[row * depth + at]) * f64::from(b[at * columns + column])).sum();
                    let found = f64::from(out[row * step + column]) - f64::from(bias[column]);
                    prop_assert!((exact - found).abs() < 1e-4, "{exact} {found}");
                }
                // What lies between the rows is left alone.
                prop_assert!(out[row * step + columns..(row + 1) * step].iter().all(|&x| x == 7.0));
            }
        }

        #[test]
        fn a_matrix_may_lie_on_its_side(rows in 1_usize..9, depth in 1_usize..9, columns in 1_usize..19) {
            let (a, b) = (numbers(rows * depth, 1), numbers(depth * columns, 2));
            let plain = |a: &Matrix<'_>, b: &Matrix<'_>| {
                let mut out = vec![0.0; rows * columns];
                product(a, &Packed::new(b), None, &mut out, columns);
                out
            };
            let turned = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(|at| values[at % rows * columns + at / rows]).collect()
            };
            let (at, bt) = (turned(&a, rows, depth), turned(&b, depth, columns));
            let on_side = |values, rows, columns| Matrix { values, start: 0, dims: [rows, columns], steps: [1, rows] };
            prop_assert_eq!(
                plain(&Matrix::dense(&a, rows, depth), &Matrix::dense(&b, depth, columns)),
                plain(&on_side(&at, rows, depth), &on_side(&bt, depth, columns))
            );
        }
    }
}
