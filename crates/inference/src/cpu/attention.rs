//! `softmax(q·kᵀ · scale + mask) · v`, one head after the other.

use super::gemm::{Matrix, Packed, product};
use super::maths::softmax;

/// Rows of all heads of all texts, wherever they lie: texts × heads × rows × depth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads<'a> {
    /// What holds the elements.
    pub(crate) values: &'a [f32],
    /// Sizes.
    pub(crate) dims: [usize; 4],
    /// Distances between neighbours along each of them.
    pub(crate) steps: [usize; 4],
}

impl<'a> Heads<'a> {
    /// One head's rows.
    fn head(&self, text: usize, head: usize) -> Matrix<'a> {
        Matrix {
            values: self.values,
            start: text * self.steps[0] + head * self.steps[1],
            dims: [self.dims[2], self.dims[3]],
            steps: [self.steps[2], self.steps[3]],
        }
    }
}

/// What is added to the scores: texts × heads × rows × columns, where a step of 0 stretches an axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mask<'a> {
    /// What holds the elements.
    pub(crate) values: &'a [f32],
    /// Distances between neighbours along each axis.
    pub(crate) steps: [usize; 4],
}

/// Where the result goes: distances between texts, heads and rows; a row lies without gaps.
pub(crate) type OutSteps = [usize; 3];

/// Attention of `query` to `key` and `value`, which agree in texts, heads and, pairwise, in rows and depth.
pub(crate) fn attention(
    [query, key, value]: [&Heads<'_>; 3],
    scale: f32,
    mask: Option<&Mask<'_>>,
    out: &mut [f32],
    steps: OutSteps,
) {
    let [texts, heads, rows, _] = query.dims;
    let columns = key.dims[2];
    let mut scores = vec![0.0; rows * columns];
    for (text, head) in (0..texts).flat_map(|text| (0..heads).map(move |head| (text, head))) {
        let keys = key.head(text, head).turned();
        product(
            &query.head(text, head),
            &Packed::new(&keys),
            None,
            &mut scores,
            columns,
        );
        for (row, line) in scores.chunks_exact_mut(columns.max(1)).enumerate() {
            line.iter_mut().for_each(|score| *score *= scale);
            if let Some(Mask { values, steps }) = mask {
                let start = text * steps[0] + head * steps[1] + row * steps[2];
                for (column, score) in line.iter_mut().enumerate() {
                    *score += values[start + column * steps[3]];
                }
            }
            softmax(line);
        }
        let values = Packed::new(&value.head(text, head));
        let out = &mut out[text * steps[0] + head * steps[1]..];
        product(
            &Matrix::dense(&scores, rows, columns),
            &values,
            None,
            out,
            steps[2],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_is_its_definition() {
        let dims = [2, 3, 5, 4];
        let steps = [60, 20, 4, 1];
        let numbers = |seed: usize| -> Vec<f32> {
            (0..120)
                .map(|at| ((at * 37 + seed) % 101) as f32 / 50.0 - 1.0)
                .collect()
        };
        let (q, k, v, mask) = (numbers(1), numbers(2), numbers(3), numbers(4));
        let heads = |values| Heads { values, dims, steps };
        // The mask has a row for each text and column, and the result has its heads side by side.
        let given = Mask {
            values: &mask,
            steps: [5, 0, 0, 1],
        };
        let mut out = vec![0.0; 120];
        let all = [&heads(&q), &heads(&k), &heads(&v)];
        attention(all, 0.5, Some(&given), &mut out, [60, 4, 12]);
        for (text, head, row) in [(0, 0, 0), (1, 2, 4), (1, 0, 3)] {
            let start = text * 60 + head * 20;
            let dot = |column: usize| -> f32 {
                (0..4)
                    .map(|at| q[start + row * 4 + at] * k[start + column * 4 + at])
                    .sum()
            };
            let weights: Vec<f32> = (0..5)
                .map(|column| (dot(column) * 0.5 + mask[text * 5 + column]).exp())
                .collect();
            let total: f32 = weights.iter().sum();
            for at in 0..4 {
                let exact: f32 = (0..5)
                    .map(|column| weights[column] / total * v[start + column * 4 + at])
                    .sum();
                let found = out[text * 60 + row * 12 + head * 4 + at];
                assert!((exact - found).abs() < 1e-5, "{exact} {found}");
            }
        }
    }
}
