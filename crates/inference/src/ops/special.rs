//! Functions that the standard library lacks.

/// The error function, to the last bits of an `f32`.
///
/// Computed in `f64` by the series of 7.1.6 in Abramowitz and Stegun, Handbook of Mathematical Functions (1964),
/// erf(x) = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1)), whose terms are all of one sign.
pub(super) fn erf(x: f32) -> f32 {
    let x = f64::from(x);
    if x.is_nan() {
        return f32::NAN;
    }
    // Beyond 4 the distance to 1 is below 2⁻²⁵.
    if x.abs() > 4.0 {
        return 1.0_f32.copysign(x as f32);
    }
    let square = x * x;
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    // At most about 60 terms for x = 4; the bound is for the reader.
    for _ in 0..200 {
        odd += 2.0;
        term *= 2.0 * square / odd;
        sum += term;
        if term.abs() <= sum.abs() * 1e-12 {
            break;
        }
    }
    (std::f64::consts::FRAC_2_SQRT_PI * (-square).exp() * sum) as f32
}

/// x · Φ(x), with the normal distribution's Φ (Hendrycks and Gimpel 2016).
pub(crate) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The same paper's approximation with a hyperbolic tangent.
pub(super) fn gelu_tanh(x: f32) -> f32 {
    let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_has_the_tabulated_values() {
        // Table 7.1 of the handbook.
        for (x, value) in [
            (0.0, 0.0),
            (0.5, 0.520_499_9),
            (1.0, 0.842_700_8),
            (2.0, 0.995_322_3),
        ] {
            assert!(
                (erf(x) - value).abs() < 1e-7 && erf(-x) == -erf(x),
                "erf({x}) = {}",
                erf(x)
            );
        }
        assert_eq!(erf(f32::INFINITY), 1.0);
        assert!(erf(f32::NAN).is_nan());
    }
}
