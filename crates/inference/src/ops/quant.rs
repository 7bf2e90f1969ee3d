//! Small integers that stand for floats: `(q − zero point) · scale`.

use super::call::{Call, Outcome, Problem, floats, integers, one};
use super::place::{places, walk};
use crate::onnx::proto::DataType;
use crate::tensor::{Tensor, TensorError};

/// Values on a grid around a zero point, rounded to even and cut to the zero point's type.
pub(super) fn rounded(values: &[f32], dims: &[usize], zero: &Tensor) -> Result<Tensor, TensorError> {
    let (least, most) = match zero.kind() {
        DataType::Uint8 => (0.0, 255.0),
        DataType::Int8 => (-128.0, 127.0),
        other => return Err(TensorError::Type(other as i32)),
    };
    let zeros = zero.to_integers().unwrap_or_default();
    let at = |index: usize| {
        zeros
            .get(if zeros.len() == 1 { 0 } else { index })
            .copied()
            .unwrap_or(0) as f32
    };
    let cells = values
        .iter()
        .enumerate()
        .map(|(index, x)| (x.round_ties_even() + at(index)).clamp(least, most) as i64);
    Tensor::wrapped(zero.kind(), dims, cells.collect())
}

/// For each element, which of the scales it uses: one for all, one per slice of an axis, or one per block of it.
fn scale_places(call: &Call<'_>, input: &Tensor, scale: &Tensor) -> Result<Vec<usize>, Problem> {
    if scale.len() == 1 && scale.rank() <= 1 {
        return Ok(vec![0; input.len()]);
    }
    let axis = super::call::axis(call.int("axis", 1), input.rank())?;
    if scale.rank() == 1 && scale.len() == input.dims()[axis] {
        let steps: Vec<usize> = (0..input.rank()).map(|at| usize::from(at == axis)).collect();
        return Ok(places(input.dims(), 0, &steps));
    }
    let block = super::call::size(call.int("block_size", 0))?;
    let fits = block > 0
        && scale.rank() == input.rank()
        && (0..input.rank()).all(|at| {
            let wanted = if at == axis {
                input.dims()[at].div_ceil(block)
            } else {
                input.dims()[at]
            };
            scale.dims()[at] == wanted
        });
    if !fits {
        return Err(format!("scales of shape {:?} do not fit {:?}", scale.dims(), input.dims()).into());
    }
    let own = super::place::strides(scale.dims());
    let mut found = Vec::with_capacity(input.len());
    walk(input.dims(), |index| {
        let part = |at: usize| if at == axis { index[at] / block } else { index[at] };
        found.push((0..index.len()).map(|at| part(at) * own[at]).sum());
    });
    Ok(found)
}

pub(super) fn quantize(call: &Call<'_>) -> Outcome {
    let (input, scale) = (call.input(0)?, call.input(1)?);
    let from = scale_places(call, input, scale)?;
    let scales = floats(scale)?;
    let none = match call.int("output_dtype", 0) {
        0 => Tensor::wrapped(DataType::Uint8, &[], vec![0])?,
        code if code == DataType::Uint8 as i64 => Tensor::wrapped(DataType::Uint8, &[], vec![0])?,
        code if code == DataType::Int8 as i64 => Tensor::wrapped(DataType::Int8, &[], vec![0])?,
        code => return Err(format!("element type {code} is not supported").into()),
    };
    let zero = call.optional(2).unwrap_or(&none);
    if zero.len() != 1 && zero.dims() != scale.dims() {
        return Err("its scales and zero points differ in number".into());
    }
    let spread = if zero.len() == 1 {
        zero.reshaped(&[1])?
    } else {
        zero.taken(&[from.len()], &from)?
    };
    let values: Vec<f32> = floats(input)?
        .iter()
        .zip(&from)
        .map(|(x, &at)| x / scales[at])
        .collect();
    one(rounded(&values, input.dims(), &spread))
}

pub(super) fn dequantize(call: &Call<'_>) -> Outcome {
    let (input, scale) = (call.input(0)?, call.input(1)?);
    let from = scale_places(call, input, scale)?;
    let scales = floats(scale)?;
    let zeros = match call.optional(2) {
        Some(zero) if zero.dims() == scale.dims() || zero.len() == scale.len() => integers(zero)?,
        Some(_) => return Err("its scales and zero points differ in number".into()),
        None => vec![0; scale.len()],
    };
    let values = integers(input)?;
    let result = values
        .iter()
        .zip(&from)
        .map(|(&q, &at)| q.wrapping_sub(zeros[at]) as f32 * scales[at]);
    one(Tensor::floats(input.dims(), result.collect()))
}

/// DynamicQuantizeLinear: a grid of 256 steps over the values' own range, which includes 0.
pub(super) fn dynamic_quantize(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let values = floats(input)?;
    let least = values.iter().copied().fold(0.0_f32, f32::min);
    let most = values.iter().copied().fold(0.0_f32, f32::max);
    let scale = (most - least) / 255.0;
    let zero = if scale == 0.0 {
        0.0
    } else {
        (-least / scale).round_ties_even().clamp(0.0, 255.0)
    };
    let zero = Tensor::wrapped(DataType::Uint8, &[], vec![zero as i64])?;
    let cells: Vec<f32> = values
        .iter()
        .map(|x| if scale == 0.0 { 0.0 } else { x / scale })
        .collect();
    Ok(vec![
        rounded(&cells, input.dims(), &zero)?,
        Tensor::floats(&[], vec![scale])?,
        zero,
    ])
}
