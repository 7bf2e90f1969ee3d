//! Resize: an image at another size, axis by axis.

use super::call::{Call, Outcome, Problem, axes, floats, integers, one, size, sizes};
use super::place::{strides, walk, work};
use crate::tensor::{Tensor, elements};

/// What is read for one row of the output: places along the axis and their weights.
type Taps = Vec<(i64, f32)>;

/// One axis: how the output's rows read the input's.
struct Axis {
    rows: Vec<Option<Taps>>,
    size: usize,
}

/// Rows of the output along one axis: what is read for each is listed.
const AXIS_ROWS_MAX: usize = 1 << 20;
/// Entries of such a list for an axis that is made smaller, where each row reads many others.
const AXIS_TAPS_MAX: usize = 1 << 22;

/// The settings that say where a row of the output lies in the input.
struct Settings<'a> {
    transform: &'a str,
    mode: &'a str,
    nearest: &'a str,
    cubic: f32,
    exclude_outside: bool,
    antialias: bool,
}

pub(super) fn resize(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let rank = input.rank();
    let settings = Settings {
        transform: call.text("coordinate_transformation_mode", "half_pixel"),
        mode: call.text("mode", "nearest"),
        nearest: call.text("nearest_mode", "round_prefer_floor"),
        cubic: call.float("cubic_coeff_a", -0.75),
        exclude_outside: call.flag("exclude_outside", false),
        antialias: call.flag("antialias", false),
    };
    let named = match call.ints("axes") {
        Some(named) => axes(named, rank)?,
        None => (0..rank).collect(),
    };
    let (dims, scales) = target(call, input.dims(), &named)?;
    elements(&dims)?;
    let roi = match call.optional(1) {
        Some(roi) if settings.transform == "tf_crop_and_resize" => floats(roi)?.to_vec(),
        _ => Vec::new(),
    };
    let lines = (0..rank).map(|at| {
        let region = match named.iter().position(|&axis| axis == at) {
            Some(place) if !roi.is_empty() => {
                let (start, end) = (roi.get(place), roi.get(place + named.len()));
                let (Some(start), Some(end)) = (start, end) else {
                    return Err(Problem("its region has not two numbers for each axis".to_owned()));
                };
                (*start, *end)
            }
            _ => (0.0, 1.0),
        };
        line(&settings, input.dims()[at], dims[at], scales[at], region)
    });
    let lines = lines.collect::<Result<Vec<Axis>, _>>()?;
    let outside = call.float("extrapolation_value", 0.0);
    if input.as_floats().is_none() {
        if settings.mode != "nearest" {
            return Err("only its mode nearest is defined for integers".into());
        }
        return one(nearest_places(input, &dims, &lines));
    }
    // Axis after axis, so that each needs only its own taps.
    let (mut values, mut shape) = (floats(input)?.to_vec(), input.dims().to_vec());
    let mut beyond = vec![false; dims.iter().product()];
    let steps = strides(&dims);
    for (at, axis) in lines.iter().enumerate() {
        for (row, _) in axis.rows.iter().enumerate().filter(|(_, taps)| taps.is_none()) {
            mark(&mut beyond, &dims, steps[at], at, row);
        }
        if axis.rows.len() == axis.size
            && axis
                .rows
                .iter()
                .enumerate()
                .all(|(row, taps)| still(row, taps.as_ref()))
        {
            continue;
        }
        let widest = axis.rows.iter().flatten().map(Vec::len).max().unwrap_or(0);
        let others: usize = shape
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .map(|(_, size)| size)
            .product();
        elements(&[others, axis.rows.len()])?;
        work(&[others, axis.rows.len(), widest])?;
        values = apply(&values, &shape, at, axis);
        shape[at] = axis.rows.len();
    }
    values
        .iter_mut()
        .zip(beyond)
        .filter(|(_, beyond)| *beyond)
        .for_each(|(value, _)| *value = outside);
    one(Tensor::floats(&dims, values))
}

/// Whether a row is copied from its own place.
fn still(row: usize, taps: Option<&Taps>) -> bool {
    taps.is_some_and(|taps| taps.len() == 1 && taps[0] == (row as i64, 1.0))
}

/// Marks every element whose index along an axis is `row`.
fn mark(beyond: &mut [bool], dims: &[usize], step: usize, axis: usize, row: usize) {
    beyond
        .iter_mut()
        .enumerate()
        .filter(|(place, _)| place / step % dims[axis] == row)
        .for_each(|(_, beyond)| *beyond = true);
}

fn apply(values: &[f32], shape: &[usize], axis: usize, line: &Axis) -> Vec<f32> {
    let along = super::place::Along::new(shape, axis);
    let mut result = Vec::with_capacity(along.outer * line.rows.len() * along.inner);
    for block in 0..along.outer {
        for taps in &line.rows {
            for behind in 0..along.inner {
                let sum = taps.iter().flatten().map(|&(row, weight)| {
                    let row = row.clamp(0, along.size as i64 - 1) as usize;
                    f64::from(values[along.place(block, row, behind)]) * f64::from(weight)
                });
                result.push(sum.sum::<f64>() as f32);
            }
        }
    }
    result
}

fn nearest_places(
    input: &Tensor,
    dims: &[usize],
    lines: &[Axis],
) -> Result<Tensor, crate::tensor::TensorError> {
    let own = strides(input.dims());
    let mut from = Vec::new();
    walk(dims, |index| {
        let place = index.iter().enumerate().map(|(at, &row)| {
            let tap = lines[at].rows[row]
                .as_ref()
                .and_then(|taps| taps.first())
                .map_or(0, |tap| tap.0);
            tap.clamp(0, lines[at].size as i64 - 1) as usize * own[at]
        });
        from.push(place.sum());
    });
    input.taken(dims, &from)
}

/// The output's shape, and the scale of each axis.
pub(super) fn target(
    call: &Call<'_>,
    from: &[usize],
    named: &[usize],
) -> Result<(Vec<usize>, Vec<f32>), Problem> {
    let (mut dims, mut scales) = (from.to_vec(), vec![1.0_f32; from.len()]);
    // Operator set 10 has the scales as its second input; later ones have a region there.
    let old = call.opset() < 11;
    let given_scales = call
        .optional(if old { 1 } else { 2 })
        .filter(|tensor| !tensor.is_empty());
    let given_sizes = if old {
        None
    } else {
        call.optional(3).filter(|tensor| !tensor.is_empty())
    };
    match (given_scales, given_sizes) {
        (Some(tensor), None) => {
            let given = floats(tensor)?;
            if given.len() != named.len() || given.iter().any(|scale| scale.is_nan() || *scale <= 0.0) {
                return Err("its scales do not fit".into());
            }
            for (&axis, &scale) in named.iter().zip(given) {
                dims[axis] = size((from[axis] as f32 * scale).floor() as i64)?;
                scales[axis] = scale;
            }
        }
        (None, Some(tensor)) => {
            let given = sizes(integers(tensor)?)?;
            if given.len() != named.len() {
                return Err("its sizes do not fit".into());
            }
            let ratio = |at: usize| given[at] as f32 / from[named[at]].max(1) as f32;
            let ratios = (0..given.len()).map(ratio);
            let policy = call.text("keep_aspect_ratio_policy", "stretch");
            let common = match policy {
                "stretch" => None,
                "not_larger" => ratios.reduce(f32::min),
                "not_smaller" => ratios.reduce(f32::max),
                other => return Err(format!("policy {other:?}").into()),
            };
            for (at, &axis) in named.iter().enumerate() {
                scales[axis] = common.unwrap_or_else(|| ratio(at));
                dims[axis] = match common {
                    Some(scale) => size((scale * from[axis] as f32).round() as i64)?,
                    None => given[at],
                };
            }
        }
        _ => return Err("it needs either scales or sizes".into()),
    }
    if from.contains(&0) {
        return Err("its image is empty".into());
    }
    Ok((dims, scales))
}

fn line(
    settings: &Settings<'_>,
    from: usize,
    to: usize,
    scale: f32,
    region: (f32, f32),
) -> Result<Axis, Problem> {
    if to > AXIS_ROWS_MAX {
        return Err(format!("{to} rows of an image are too many").into());
    }
    if settings.antialias && scale < 1.0 {
        // Each row reads so many others that a scale near 0 would need more memory than there is.
        let taps = to.checked_mul((4.0 / scale) as usize);
        if taps.is_none_or(|taps| taps > AXIS_TAPS_MAX) {
            return Err(format!("a scale of {scale} for {to} rows").into());
        }
    }
    let mut rows = Vec::with_capacity(to);
    for row in 0..to {
        // ONNX's formulas mean the size before it is rounded down to whole rows.
        let (old, new, x) = (from as f32, from as f32 * scale, row as f32);
        let place = match settings.transform {
            _ if from == to && scale == 1.0 && settings.transform != "tf_crop_and_resize" => x,
            "half_pixel" => (x + 0.5) / scale - 0.5,
            "half_pixel_symmetric" => {
                let adjusted = to as f32 / new;
                old / 2.0 * (1.0 - adjusted) + (x + 0.5) / scale - 0.5
            }
            "pytorch_half_pixel" => {
                if to > 1 {
                    (x + 0.5) / scale - 0.5
                } else {
                    0.0
                }
            }
            "align_corners" => {
                if to > 1 {
                    x * (old - 1.0) / (new - 1.0)
                } else {
                    0.0
                }
            }
            "asymmetric" => x / scale,
            "tf_crop_and_resize" => {
                let (start, end) = region;
                if to > 1 {
                    start * (old - 1.0) + x * (end - start) * (old - 1.0) / (new - 1.0)
                } else {
                    0.5 * (start + end) * (old - 1.0)
                }
            }
            other => return Err(format!("coordinate_transformation_mode {other:?}").into()),
        };
        let outside = settings.transform == "tf_crop_and_resize" && (place < 0.0 || place > old - 1.0);
        rows.push(if outside {
            None
        } else {
            Some(taps(settings, place, scale, from)?)
        });
    }
    Ok(Axis { rows, size: from })
}

fn taps(settings: &Settings<'_>, place: f32, scale: f32, size: usize) -> Result<Taps, Problem> {
    let whole = place.floor();
    let fraction = place - whole;
    let first = whole as i64;
    let taps: Taps = match settings.mode {
        "nearest" => {
            let row = match settings.nearest {
                "round_prefer_floor" => {
                    if fraction == 0.5 {
                        whole
                    } else {
                        place.round()
                    }
                }
                "round_prefer_ceil" => (place + 0.5).floor(),
                "floor" => whole,
                "ceil" => place.ceil(),
                other => return Err(format!("nearest_mode {other:?}").into()),
            };
            return Ok(vec![(row as i64, 1.0)]);
        }
        "linear" if settings.antialias && scale < 1.0 => {
            spread(place, scale, 1.0, |x| (1.0 - x.abs()).max(0.0))
        }
        "cubic" if settings.antialias && scale < 1.0 => {
            spread(place, scale, 2.0, |x| cubic(x, settings.cubic))
        }
        "linear" => vec![(first, 1.0 - fraction), (first + 1, fraction)],
        "cubic" => (-1..=2)
            .map(|at| (first + at, cubic(fraction - at as f32, settings.cubic)))
            .collect(),
        other => return Err(format!("mode {other:?}").into()),
    };
    if !settings.exclude_outside {
        return Ok(taps);
    }
    let inside: Taps = taps
        .into_iter()
        .filter(|(row, _)| (0..size as i64).contains(row))
        .collect();
    let sum: f32 = inside.iter().map(|(_, weight)| weight).sum();
    Ok(inside
        .into_iter()
        .map(|(row, weight)| (row, weight / sum))
        .collect())
}

/// A filter widened by the scale of a smaller image, with weights that sum to 1.
fn spread(place: f32, scale: f32, reach: f32, filter: impl Fn(f32) -> f32) -> Taps {
    let width = reach / scale;
    let (first, last) = (
        (place - width).floor() as i64 + 1,
        (place + width).ceil() as i64 - 1,
    );
    let taps: Taps = (first..=last)
        .map(|row| (row, filter((row as f32 - place) * scale)))
        .collect();
    let sum: f32 = taps.iter().map(|(_, weight)| weight).sum();
    taps.into_iter()
        .map(|(row, weight)| (row, weight / sum))
        .collect()
}

/// Keys' cubic convolution kernel (1981).
pub(super) fn cubic(x: f32, a: f32) -> f32 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        a * (((x - 5.0) * x + 8.0) * x - 4.0)
    } else {
        0.0
    }
}
