//! Functions of many floats, in arithmetic that compilers make vectors of: no branches, no calls, no tables.

use super::lanes::LANES;

/// eˣ within 2 units in the last place of an `f32`; 0 below −87.3 and largest above 88.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // 1.5 · 2²³: a sum with it has no room for a fraction, so that its low bits are the nearest integer.
    const NO_FRACTION: f32 = 12_582_912.0;
    // ln 2 in two parts, of which the first has few bits, so that its multiples are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let low = x < -87.3;
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + NO_FRACTION;
    let whole = shifted - NO_FRACTION;
    let r = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    // Taylor's series: |r| is at most 0.35, and the next term below 6e-9.
    let series = 1.0
        + r * (1.0
            + r * (1.0 / 2.0
                + r * (1.0 / 6.0
                    + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0)))))));
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if low { 0.0 } else { series * power }
}

/// x · Φ(x) of every element (Hendrycks and Gimpel 2016), within 4e-7 of the exact value.
///
/// With formula 7.1.26 of Abramowitz and Stegun, Handbook of Mathematical Functions (1964), whose error is below 1.5e-7:
/// 1 − erf(z) = (a₁t + … + a₅t⁵) · e^(−z²), t = 1 / (1 + p·z), z ≥ 0.
pub(crate) fn gelu(values: &mut [f32]) {
    for x in values {
        let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.327_591_1 * z);
        let series =
            t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
        // Half of what is left beyond |x|, on either side.
        let tail = 0.5 * series * exp(-z * z);
        *x *= if *x < 0.0 { tail } else { 1.0 - tail };
    }
}

/// Turns scores into weights that add up to 1.
pub(crate) fn softmax(line: &mut [f32]) {
    let most = fold(
        line,
        f32::NEG_INFINITY,
        |x| x,
        |most, x| if x > most { x } else { most },
    );
    for x in line.iter_mut() {
        *x = exp(*x - most);
    }
    let inverse = sum(line, |x| x).recip();
    line.iter_mut().for_each(|x| *x *= inverse);
}

/// (x − mean) / √(variance + ε) · scale + bias.
pub(crate) fn layer_norm(line: &mut [f32], epsilon: f32, scale: &[f32], bias: Option<&[f32]>) {
    let count = line.len().max(1) as f32;
    let mean = sum(line, |x| x) / count;
    line.iter_mut().for_each(|x| *x -= mean);
    let variance = sum(line, |x| x * x) / count;
    let inverse = (variance + epsilon).sqrt().recip();
    match bias {
        Some(bias) => {
            for ((x, scale), bias) in line.iter_mut().zip(scale).zip(bias) {
                *x = *x * inverse * scale + bias;
            }
        }
        None => {
            for (x, scale) in line.iter_mut().zip(scale) {
                *x = *x * inverse * scale;
            }
        }
    }
}

/// Combines what `map` makes of each number: eight interleaved parts of the line, then these. `start` changes nothing that
/// it is combined with.
#[inline(always)]
fn fold(line: &[f32], start: f32, map: impl Fn(f32) -> f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut parts = [start; LANES];
    let (chunks, rest) = line.as_chunks::<LANES>();
    for chunk in chunks {
        for (part, &x) in parts.iter_mut().zip(chunk) {
            *part = combine(*part, map(x));
        }
    }
    let rest = rest.iter().fold(start, |part, &x| combine(part, map(x)));
    parts.into_iter().fold(rest, combine)
}

fn sum(line: &[f32], map: impl Fn(f32) -> f32) -> f32 {
    fold(line, 0.0, map, |sum, x| sum + x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        for at in -8_800_i16..8_800 {
            let x = f32::from(at) / 100.0;
            let (found, exact) = (exp(x), f64::from(x).exp());
            let off = (f64::from(found) / exact - 1.0).abs();
            assert!(
                off < 2.5e-7 || (x < -87.2 && found < 1e-37),
                "exp({x}) = {found}, off by {off}"
            );
        }
        assert_eq!((exp(0.0), exp(-1000.0), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn gelu_is_that_of_the_reference() {
        let mut values: Vec<f32> = (-1000_i16..1000).map(|at| f32::from(at) / 100.0).collect();
        let given = values.clone();
        gelu(&mut values);
        for (x, found) in given.into_iter().zip(values) {
            let exact = crate::ops::gelu(x);
            assert!(
                (found - exact).abs() < 5e-7,
                "gelu({x}) = {found}, {exact} is right"
            );
        }
    }

    #[test]
    fn weights_add_up_to_one() {
        let mut line: Vec<f32> = (0_u8..19).map(|at| f32::from(at % 7) - 80.0).collect();
        line[3] = f32::NEG_INFINITY;
        softmax(&mut line);
        assert!((line.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(line[3], 0.0);
        assert!((line[1] / line[0] - 1.0_f32.exp()).abs() < 1e-6);
        // As the definition has it: 0/0.
        let mut nowhere = [f32::NEG_INFINITY; 3];
        softmax(&mut nowhere);
        assert!(nowhere.iter().all(|x| x.is_nan()));
    }

    #[test]
    fn a_normal_line_has_mean_and_variance() {
        let mut line: Vec<f32> = (0_u8..21)
            .map(|at| 1000.0 + f32::from(u16::from(at) * u16::from(at) % 13))
            .collect();
        layer_norm(&mut line, 0.0, &[2.0; 21], Some(&[3.0; 21]));
        let mean = line.iter().sum::<f32>() / 21.0;
        let variance = line.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 21.0;
        assert!(
            (mean - 3.0).abs() < 1e-5 && (variance - 4.0).abs() < 1e-4,
            "{mean} {variance}"
        );
    }
}
