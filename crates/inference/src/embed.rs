//! From a model's hidden states to one unit vector per text, and how close two such vectors are.

/// Averages the rows of `hidden` (tokens × `dimension`) where `mask` is not zero, and scales to length 1.
///
/// This is sentence-transformers' mean pooling followed by its normalisation. Rows are added in `f64`, so that the
/// result does not depend on how a backend orders its sums. `hidden` may have rows beyond the mask, which are padding.
#[must_use]
pub fn mean_pool(hidden: &[f32], mask: &[i64], dimension: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f64; dimension];
    for (row, _) in hidden
        .chunks_exact(dimension)
        .zip(mask)
        .filter(|(_, kept)| **kept != 0)
    {
        for (total, value) in sum.iter_mut().zip(row) {
            *total += f64::from(*value);
        }
    }
    // The number of rows is left out of the average, because the next step divides by the length anyway.
    let length = sum
        .iter()
        .map(|total| total * total)
        .sum::<f64>()
        .sqrt()
        .max(1e-12);
    sum.iter().map(|total| (total / length) as f32).collect()
}

/// The cosine between two vectors; NaN in either gives NaN, a zero vector or different lengths give 0.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    let dot = |x: &[f32], y: &[f32]| {
        x.iter()
            .zip(y)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum::<f64>()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 {
        0.0
    } else {
        (dot(a, b) / lengths) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_ignores_what_the_mask_hides() {
        let pooled = mean_pool(&[3.0, 0.0, 0.0, 4.0, 100.0, 100.0], &[1, 1, 0], 2);
        assert!(
            (pooled[0] - 0.6).abs() < 1e-6 && (pooled[1] - 0.8).abs() < 1e-6,
            "{pooled:?}"
        );
    }

    #[test]
    fn cosine_sees_nan_and_wrong_lengths() {
        assert!((cosine(&[1.0, 2.0], &[2.0, 4.0]) - 1.0).abs() < 1e-6);
        assert!(cosine(&[f32::NAN, 1.0], &[1.0, 1.0]).is_nan());
        assert_eq!(cosine(&[1.0], &[1.0, 1.0]), 0.0);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
    }
}
