//! The little linear algebra that distilling needs, in `f64` and in a fixed order, so that a model comes out the same on
//! every machine.

use anyhow::{Result, ensure};

/// A matrix, row by row.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    pub(crate) columns: usize,
    pub(crate) values: Vec<f64>,
}

impl Matrix {
    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        Self {
            columns,
            values: vec![0.0; rows * columns],
        }
    }

    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.columns)
    }

    /// Its rows scaled to length 1.
    pub(crate) fn unit_rows(mut self) -> Self {
        for row in self.values.chunks_exact_mut(self.columns) {
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
            row.iter_mut().for_each(|x| *x /= length);
        }
        self
    }

    /// This matrix by another.
    pub(crate) fn times(&self, other: &Self) -> Self {
        let mut product = Self::zeros(self.values.len() / self.columns, other.columns);
        for (row, sums) in self.rows().zip(product.values.chunks_exact_mut(other.columns)) {
            for (x, line) in row.iter().zip(other.rows()) {
                sums.iter_mut().zip(line).for_each(|(sum, y)| *sum += x * y);
            }
        }
        product
    }

    /// This matrix with its axes swapped, by another of as many rows.
    pub(crate) fn transposed_times(&self, other: &Self) -> Self {
        let mut product = Self::zeros(self.columns, other.columns);
        for (row, line) in self.rows().zip(other.rows()) {
            for (x, sums) in row.iter().zip(product.values.chunks_exact_mut(other.columns)) {
                sums.iter_mut().zip(line).for_each(|(sum, y)| *sum += x * y);
            }
        }
        product
    }
}

/// The `count` eigenvectors of a symmetric matrix with the largest eigenvalues, as columns (Jacobi's method; Golub and Van
/// Loan, "Matrix Computations", 4th edition, section 8.5).
pub(crate) fn principal(mut symmetric: Matrix, count: usize) -> Matrix {
    const SWEEPS_MAX: usize = 30;
    let size = symmetric.columns;
    // Eigenvectors lie in rows here, so that a rotation runs along memory.
    let mut vectors = Matrix::zeros(size, size);
    (0..size).for_each(|at| vectors.values[at * size + at] = 1.0);
    let m = &mut symmetric.values;
    let whole: f64 = m.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS_MAX {
        let mut rest = 0.0;
        for p in 0..size {
            for q in p + 1..size {
                let off = m[p * size + q];
                rest += off * off;
                if off * off <= 1e-30 * whole {
                    continue;
                }
                let theta = (m[q * size + q] - m[p * size + p]) / (2.0 * off);
                let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
                let sine = tangent * cosine;
                for row in m.chunks_exact_mut(size) {
                    let (x, y) = (row[p], row[q]);
                    (row[p], row[q]) = (cosine * x - sine * y, sine * x + cosine * y);
                }
                rotate(m, size, [p, q], cosine, sine);
                rotate(&mut vectors.values, size, [p, q], cosine, sine);
            }
        }
        if rest <= 1e-24 * whole {
            break;
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&a, &b| m[b * size + b].total_cmp(&m[a * size + a]));
    let mut found = Matrix::zeros(size, count);
    for (column, &from) in order.iter().take(count).enumerate() {
        for at in 0..size {
            found.values[at * count + column] = vectors.values[from * size + at];
        }
    }
    found
}

/// Turns two rows of a square matrix.
fn rotate(m: &mut [f64], size: usize, [p, q]: [usize; 2], cosine: f64, sine: f64) {
    let (before, from_q) = m.split_at_mut(q * size);
    let (row_p, row_q) = (&mut before[p * size..][..size], &mut from_q[..size]);
    for (x, y) in row_p.iter_mut().zip(row_q) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

/// The matrix X that minimises |inputs·X − targets|² + λ|X|², with λ the given share of the inputs' mean variance (ridge
/// regression, by Cholesky's decomposition).
pub(crate) fn ridge(inputs: &Matrix, targets: &Matrix, share: f64) -> Result<Matrix> {
    let size = inputs.columns;
    let mut normal = inputs.transposed_times(inputs);
    let trace: f64 = (0..size).map(|at| normal.values[at * size + at]).sum();
    (0..size).for_each(|at| normal.values[at * size + at] += share * trace / size as f64);
    let mut solution = inputs.transposed_times(targets);
    let (m, width) = (&mut normal.values, targets.columns);
    for row in 0..size {
        for column in 0..=row {
            let known: f64 = (0..column)
                .map(|k| m[row * size + k] * m[column * size + k])
                .sum();
            let left = m[row * size + column] - known;
            m[row * size + column] = if row == column {
                ensure!(left > 0.0, "the inputs do not determine a solution");
                left.sqrt()
            } else {
                left / m[column * size + column]
            };
        }
    }
    // Forwards with the triangle, then backwards with the same one turned over.
    let x = &mut solution.values;
    for row in 0..size {
        for k in 0..row {
            subtract(x, width, row, k, m[row * size + k]);
        }
        x[row * width..][..width]
            .iter_mut()
            .for_each(|x| *x /= m[row * size + row]);
    }
    for row in (0..size).rev() {
        for k in row + 1..size {
            subtract(x, width, row, k, m[k * size + row]);
        }
        x[row * width..][..width]
            .iter_mut()
            .for_each(|x| *x /= m[row * size + row]);
    }
    Ok(solution)
}

/// Takes `factor` times one row from another.
fn subtract(m: &mut [f64], width: usize, row: usize, other: usize, factor: f64) {
    for at in 0..width {
        m[row * width + at] -= factor * m[other * width + at];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn random(rows: usize, columns: usize, seed: u64) -> Matrix {
        let mut numbers = Random::new(seed);
        Matrix {
            columns,
            values: (0..rows * columns).map(|_| numbers.unit() - 0.5).collect(),
        }
    }

    fn most(a: &Matrix, b: &Matrix) -> f64 {
        let differences = a.values.iter().zip(&b.values).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f64::max)
    }

    #[test]
    fn principal_vectors_are_orthonormal_and_ordered() {
        let data = random(40, 12, 1);
        let symmetric = data.transposed_times(&data);
        let found = principal(symmetric.clone(), 12);
        let turned = found.transposed_times(&symmetric.times(&found));
        let identity = principal(Matrix::zeros(12, 12), 12);
        assert!(most(&found.transposed_times(&found), &identity) < 1e-12);
        let size = turned.columns;
        let values: Vec<f64> = (0..size).map(|at| turned.values[at * size + at]).collect();
        assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
        for (at, value) in turned.values.iter().enumerate() {
            assert!(
                at % (size + 1) == 0 || value.abs() < 1e-9,
                "{value} beside the diagonal"
            );
        }
    }

    #[test]
    fn ridge_finds_the_map_that_made_the_targets() {
        let (inputs, map) = (random(60, 9, 2), random(9, 4, 3));
        let targets = inputs.times(&map);
        assert!(most(&ridge(&inputs, &targets, 1e-12).unwrap(), &map) < 1e-8);
        assert!(ridge(&Matrix::zeros(5, 3), &Matrix::zeros(5, 2), 0.0).is_err());
    }
}
