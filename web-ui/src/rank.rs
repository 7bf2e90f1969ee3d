//! Ranking by meaning: how close each passage's embedding is to the question's.

use node_proto::order;

/// A passage's place in the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Index of the passage.
    pub index: usize,
    /// Cosine similarity with the question.
    pub score: f32,
}

/// Why embeddings cannot be ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rows} vectors of {dimension} numbers were expected, {values} numbers came")]
pub struct ShapeError {
    /// Vectors expected.
    pub rows: usize,
    /// Length of each.
    pub dimension: usize,
    /// Numbers that came.
    pub values: usize,
}

/// Ranks `passages` rows against the question, which is the first row. Best first; equal scores keep their order.
///
/// # Errors
/// If the numbers do not make `1 + passages` rows of `dimension`.
pub fn rank(values: &[f32], dimension: usize, passages: usize) -> Result<Vec<Ranked>, ShapeError> {
    let rows = passages + 1;
    if dimension == 0 || rows.checked_mul(dimension) != Some(values.len()) {
        return Err(ShapeError {
            rows,
            dimension,
            values: values.len(),
        });
    }
    let (question, rest) = values.split_at(dimension);
    let score = |row: &[f32]| cosine(question, row);
    let ranked: Vec<_> = rest
        .chunks_exact(dimension)
        .enumerate()
        .map(|(index, row)| Ranked {
            index,
            score: score(row),
        })
        .collect();
    Ok(order::sorted(&ranked, |a, b| b.score.total_cmp(&a.score)))
}

/// 0 where a vector has no length, so that it ranks as unrelated.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    let cosine = dot(a, b) / length;
    if cosine.is_finite() { cosine } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_comes_first() {
        let values = [
            1.0, 0.0, /**/ 0.0, 1.0, /**/ 3.0, 0.0, /**/ 1.0, 1.0,
        ];
        let order: Vec<_> = rank(&values, 2, 3).unwrap().iter().map(|r| r.index).collect();
        assert_eq!(order, [1, 2, 0]);
    }

    #[test]
    fn a_vector_of_nothing_is_unrelated() {
        let ranked = rank(&[1.0, 0.0, 0.0, 0.0, f32::NAN, 1.0], 2, 2).unwrap();
        assert!(ranked.iter().all(|r| r.score == 0.0));
    }

    #[test]
    fn a_wrong_shape_is_refused() {
        assert!(rank(&[1.0; 5], 2, 2).is_err());
        assert!(rank(&[], 0, 0).is_err());
        assert!(rank(&[1.0; 4], 2, usize::MAX - 1).is_err());
    }
}
