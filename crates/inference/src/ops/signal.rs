//! Windows for the Fourier transform.

use super::call::{Call, Outcome, one, size};
use crate::tensor::{Tensor, elements};

/// HannWindow, HammingWindow and BlackmanWindow: sums of cosines.
pub(super) fn window(call: &Call<'_>) -> Outcome {
    let length = size(*call.integers(0)?.first().ok_or("an empty length")?)?;
    elements(&[length])?;
    if call.int("output_datatype", 1) != 1 {
        return Err("only float windows are known".into());
    }
    let factors: &[f64] = match call.op() {
        "HannWindow" => &[0.5, -0.5],
        "HammingWindow" => &[25.0 / 46.0, -21.0 / 46.0],
        _ => &[0.42, -0.5, 0.08],
    };
    let period = if call.flag("periodic", true) {
        length
    } else {
        length.saturating_sub(1)
    };
    let values = (0..length).map(|at| {
        let angle = 2.0 * std::f64::consts::PI * at as f64 / period.max(1) as f64;
        let terms = factors
            .iter()
            .enumerate()
            .map(|(order, factor)| factor * (order as f64 * angle).cos());
        terms.sum::<f64>() as f32
    });
    one(Tensor::floats(&[length], values.collect()))
}
