//! Operators that slide a window over an image of any number of dimensions: convolutions and pools.

use super::call::{Call, Outcome, Problem, floats, integers, one, size};
use super::place::{strides, walk, work};
use crate::onnx::proto::DataType;
use crate::tensor::{Tensor, elements};

/// Where a window may stand, axis by axis.
pub(super) struct Window {
    kernel: Vec<usize>,
    stride: Vec<usize>,
    dilation: Vec<usize>,
    /// Rows added before the first and after the last.
    before: Vec<i64>,
    after: Vec<i64>,
    /// Positions of the window.
    out: Vec<usize>,
}

fn sizes(call: &Call<'_>, name: &str, count: usize, default: i64, least: i64) -> Result<Vec<usize>, Problem> {
    let values = call
        .ints(name)
        .map_or_else(|| vec![default; count], <[i64]>::to_vec);
    if values.len() != count || values.iter().any(|&value| value < least) {
        return Err(format!("{name} are {values:?} for {count} axes").into());
    }
    values.into_iter().map(size).collect()
}

impl Window {
    /// Reads the settings that convolutions and pools share.
    pub(super) fn new(call: &Call<'_>, spatial: &[usize], kernel: &[usize]) -> Result<Self, Problem> {
        let count = spatial.len();
        if kernel.len() != count || kernel.contains(&0) {
            return Err(format!("a window {kernel:?} for {count} axes").into());
        }
        let stride = sizes(call, "strides", count, 1, 1)?;
        let dilation = sizes(call, "dilations", count, 1, 1)?;
        let (mut before, mut after) = (vec![0; count], vec![0; count]);
        let reach: Vec<i64> = (0..count)
            .map(|at| ((kernel[at] - 1).saturating_mul(dilation[at])) as i64 + 1)
            .collect();
        match call.text("auto_pad", "NOTSET") {
            "NOTSET" => {
                if let Some(pads) = call.ints("pads") {
                    if pads.len() != 2 * count {
                        return Err("it has not two pads for each axis".into());
                    }
                    for pad in pads {
                        size(*pad)?;
                    }
                    before = pads[..count].to_vec();
                    after = pads[count..].to_vec();
                }
            }
            "VALID" => {}
            same @ ("SAME_UPPER" | "SAME_LOWER") => {
                for at in 0..count {
                    let steps = spatial[at].div_ceil(stride[at]) as i64;
                    let need = ((steps - 1) * stride[at] as i64 + reach[at] - spatial[at] as i64).max(0);
                    let small = need / 2;
                    (before[at], after[at]) = if same == "SAME_UPPER" {
                        (small, need - small)
                    } else {
                        (need - small, small)
                    };
                }
            }
            other => return Err(format!("auto_pad {other:?}").into()),
        }
        let ceil = call.flag("ceil_mode", false);
        let mut out = Vec::with_capacity(count);
        for at in 0..count {
            let room = (spatial[at] as i64)
                .saturating_add(before[at])
                .saturating_add(after[at]);
            let free = room - reach[at];
            if free < 0 {
                return Err("its window is larger than its input".into());
            }
            let step = stride[at] as i64;
            let mut steps = free / step + 1;
            if ceil && free % step != 0 && steps * step < spatial[at] as i64 + before[at] {
                // A window that would start in the padding behind the input is left out.
                steps += 1;
            }
            out.push(size(steps)?);
        }
        Ok(Self {
            kernel: kernel.to_vec(),
            stride,
            dilation,
            before,
            after,
            out,
        })
    }

    /// How many positions there are along each axis.
    pub(super) fn positions(&self) -> &[usize] {
        &self.out
    }

    /// The row of the input under row `tap` of a window that stands at `position`.
    fn row(&self, axis: usize, position: usize, tap: usize) -> i64 {
        (position * self.stride[axis] + tap * self.dilation[axis]) as i64 - self.before[axis]
    }

    /// The place under a tap, if it is inside the input.
    fn place(&self, spatial: &[usize], own: &[usize], position: &[usize], tap: &[usize]) -> Option<usize> {
        (0..spatial.len()).try_fold(0, |place, at| {
            let row = usize::try_from(self.row(at, position[at], tap[at])).ok()?;
            (row < spatial[at]).then_some(place + row * own[at])
        })
    }
}

/// Batch, channels and the rest of a shape.
fn image(dims: &[usize]) -> Result<(usize, usize, &[usize]), Problem> {
    match dims {
        [batch, channels, spatial @ ..] if !spatial.is_empty() => Ok((*batch, *channels, spatial)),
        _ => Err(format!("{dims:?} is not an image with channels").into()),
    }
}

pub(super) fn conv(call: &Call<'_>) -> Outcome {
    let (input, weight) = (call.input(0)?, call.input(1)?);
    let (dims, values) = convolve(
        call,
        input.dims(),
        floats(input)?,
        weight.dims(),
        floats(weight)?,
        &|sum, x, w| sum + x * w,
    )?;
    one(Tensor::floats(&dims, with_bias(&dims, values, call.optional(2))?))
}

/// The shape and sums of a convolution of any numbers.
fn convolve<T: Copy, U: Copy + Default>(
    call: &Call<'_>,
    dims: &[usize],
    values: &[T],
    weight_dims: &[usize],
    weights: &[T],
    add: &dyn Fn(U, T, T) -> U,
) -> Result<(Vec<usize>, Vec<U>), Problem> {
    let (batch, channels, spatial) = image(dims)?;
    let (filters, depth, kernel) = image(weight_dims)?;
    let groups = size(call.int("group", 1))?;
    let fits = groups > 0 && channels == depth.saturating_mul(groups) && filters % groups == 0;
    if !fits {
        return Err(format!("{channels} channels, {filters} filters of {depth}, {groups} groups").into());
    }
    let window = Window::new(call, spatial, kernel)?;
    let out_dims = [&[batch, filters], &window.out[..]].concat();
    let own = strides(spatial);
    let (area, taps): (usize, usize) = (spatial.iter().product(), kernel.iter().product());
    work(&[&out_dims[..], &[depth], kernel].concat())?;
    let mut sums = vec![U::default(); elements(&out_dims)?];
    let positions: usize = window.out.iter().product();
    let mut position_number = 0;
    walk(&window.out, |position| {
        // The taps inside the input are the same for every filter and channel.
        let mut inside = Vec::with_capacity(taps);
        let mut tap_number = 0;
        walk(kernel, |tap| {
            if let Some(place) = window.place(spatial, &own, position, tap) {
                inside.push((tap_number, place));
            }
            tap_number += 1;
        });
        for image in 0..batch {
            for filter in 0..filters {
                let group = filter / (filters / groups);
                let mut sum = U::default();
                for channel in 0..depth {
                    let start = (image * channels + group * depth + channel) * area;
                    let own_weights = &weights[(filter * depth + channel) * taps..][..taps];
                    for &(tap, place) in &inside {
                        sum = add(sum, values[start + place], own_weights[tap]);
                    }
                }
                sums[(image * filters + filter) * positions + position_number] = sum;
            }
        }
        position_number += 1;
    });
    Ok((out_dims, sums))
}

fn with_bias(dims: &[usize], mut values: Vec<f32>, bias: Option<&Tensor>) -> Result<Vec<f32>, Problem> {
    let Some(bias) = bias else { return Ok(values) };
    let bias = floats(bias)?;
    if bias.len() != dims[1] {
        return Err("it has not one bias for each filter".into());
    }
    let area: usize = dims[2..].iter().product();
    for (at, block) in values.chunks_mut(area.max(1)).enumerate() {
        block.iter_mut().for_each(|value| *value += bias[at % dims[1]]);
    }
    Ok(values)
}

/// Integers minus a zero point that is one number, or one for each slice of axis 0.
fn centred(tensor: &Tensor, zero: Option<&Tensor>) -> Result<Vec<i64>, Problem> {
    let mut values = integers(tensor)?;
    if let Some(zero) = zero {
        let zeros = integers(zero)?;
        let each = match zeros.len() {
            1 => values.len(),
            count if Some(&count) == tensor.dims().first() => values.len() / count.max(1),
            _ => return Err("a zero point does not fit".into()),
        };
        for (block, zero) in values.chunks_mut(each.max(1)).zip(zeros) {
            block
                .iter_mut()
                .for_each(|value| *value = value.wrapping_sub(zero));
        }
    }
    Ok(values)
}

/// Convolves bytes by the places of their operands: each tensor, and its zero point.
fn convolve_bytes(
    call: &Call<'_>,
    input: [usize; 2],
    weight: [usize; 2],
) -> Result<(Vec<usize>, Vec<i64>), Problem> {
    let (values, weights) = (call.input(input[0])?, call.input(weight[0])?);
    convolve(
        call,
        values.dims(),
        &centred(values, call.optional(input[1]))?,
        weights.dims(),
        &centred(weights, call.optional(weight[1]))?,
        &|sum: i64, x: i64, w: i64| sum.wrapping_add(x.wrapping_mul(w)),
    )
}

pub(super) fn conv_integer(call: &Call<'_>) -> Outcome {
    let (dims, sums) = convolve_bytes(call, [0, 2], [1, 3])?;
    one(Tensor::wrapped(DataType::Int32, &dims, sums))
}

pub(super) fn q_linear_conv(call: &Call<'_>) -> Outcome {
    let (dims, mut sums) = convolve_bytes(call, [0, 2], [3, 5])?;
    let area: usize = dims[2..].iter().product();
    if let Some(bias) = call.optional(8) {
        let bias = integers(bias)?;
        if bias.len() != dims[1] {
            return Err("it has not one bias for each filter".into());
        }
        let blocks = sums.chunks_mut(area.max(1)).enumerate();
        blocks.for_each(|(at, block)| {
            block
                .iter_mut()
                .for_each(|sum| *sum = sum.wrapping_add(bias[at % dims[1]]))
        });
    }
    let (x_scale, w_scale, y_scale) = (call.floats(1)?, call.floats(4)?, call.floats(6)?);
    if x_scale.len() != 1 || y_scale.len() != 1 || !(w_scale.len() == 1 || w_scale.len() == dims[1]) {
        return Err("a scale does not fit".into());
    }
    let scaled: Vec<f32> = sums
        .iter()
        .enumerate()
        .map(|(at, &sum)| {
            let filter = at / area.max(1) % dims[1];
            sum as f32 * x_scale[0] * w_scale[filter % w_scale.len()] / y_scale[0]
        })
        .collect();
    one(super::quant::rounded(&scaled, &dims, call.input(7)?))
}

/// ConvTranspose: each input element adds a scaled copy of the kernel to the output.
pub(super) fn conv_transpose(call: &Call<'_>) -> Outcome {
    let (input, weight) = (call.input(0)?, call.input(1)?);
    let (batch, channels, spatial) = image(input.dims())?;
    let (depth, per_group, kernel) = image(weight.dims())?;
    let groups = size(call.int("group", 1))?;
    if groups == 0 || depth != channels || channels % groups != 0 || kernel.len() != spatial.len() {
        return Err("its weights do not fit its input".into());
    }
    let count = spatial.len();
    let stride = sizes(call, "strides", count, 1, 1)?;
    let dilation = sizes(call, "dilations", count, 1, 1)?;
    let extra = sizes(call, "output_padding", count, 0, 0)?;
    let full: Vec<i64> = (0..count)
        .map(|at| {
            let reach = (kernel[at] as i64 - 1).saturating_mul(dilation[at] as i64) + 1;
            (spatial[at] as i64 - 1)
                .saturating_mul(stride[at] as i64)
                .saturating_add(reach)
                + extra[at] as i64
        })
        .collect();
    let (mut before, mut out) = (vec![0_i64; count], Vec::with_capacity(count));
    let auto = call.text("auto_pad", "NOTSET");
    let wanted = call.ints("output_shape");
    for at in 0..count {
        let target = match (wanted, auto) {
            (Some(wanted), _) => Some(
                *wanted
                    .get(wanted.len().wrapping_sub(count) + at)
                    .ok_or("its output shape is short")?,
            ),
            (None, "SAME_UPPER" | "SAME_LOWER") => Some(spatial[at] as i64 * stride[at] as i64),
            _ => None,
        };
        let cut = match target {
            Some(target) => {
                let cut = full[at].saturating_sub(target).max(0);
                before[at] = if auto == "SAME_UPPER" || auto == "NOTSET" && wanted.is_some() {
                    cut / 2
                } else {
                    cut - cut / 2
                };
                full[at].saturating_sub(target)
            }
            None => {
                let pads = call.ints("pads").unwrap_or(&[]);
                before[at] = pads.get(at).copied().unwrap_or(0);
                before[at].saturating_add(pads.get(count + at).copied().unwrap_or(0))
            }
        };
        out.push(size(full[at].saturating_sub(cut))?);
    }
    let filters = per_group.saturating_mul(groups);
    let out_dims = [&[batch, filters], &out[..]].concat();
    work(&[input.dims(), kernel, &[per_group]].concat())?;
    let mut sums = vec![0.0_f32; elements(&out_dims)?];
    let (values, weights) = (floats(input)?, floats(weight)?);
    let (own, target) = (strides(spatial), strides(&out));
    let (area, taps, out_area): (usize, usize, usize) = (
        spatial.iter().product(),
        kernel.iter().product(),
        out.iter().product(),
    );
    walk(spatial, |position| {
        let place: usize = position.iter().zip(&own).map(|(at, step)| at * step).sum();
        let mut tap_number = 0;
        walk(kernel, |tap| {
            let number = tap_number;
            tap_number += 1;
            let to = (0..count).try_fold(0, |to, at| {
                let row = position[at] as i64 * stride[at] as i64 + tap[at] as i64 * dilation[at] as i64;
                let row = usize::try_from(row.saturating_sub(before[at])).ok()?;
                (row < out[at]).then_some(to + row * target[at])
            });
            let Some(to) = to else { return };
            for image in 0..batch {
                for channel in 0..channels {
                    let group = channel / (channels / groups);
                    let x = values[(image * channels + channel) * area + place];
                    for filter in 0..per_group {
                        let w = weights[(channel * per_group + filter) * taps + number];
                        sums[(image * filters + group * per_group + filter) * out_area + to] += x * w;
                    }
                }
            }
        });
    });
    one(Tensor::floats(
        &out_dims,
        with_bias(&out_dims, sums, call.optional(2))?,
    ))
}

/// MaxPool, AveragePool and LpPool.
pub(super) fn pool(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let (batch, channels, spatial) = image(input.dims())?;
    let kernel = sizes(call, "kernel_shape", spatial.len(), 0, 1)?;
    let window = Window::new(call, spatial, &kernel)?;
    let dims = [&[batch, channels], &window.out[..]].concat();
    let count = elements(&dims)?;
    work(&[&dims[..], &kernel].concat())?;
    if call.op() == "MaxPool" {
        return max_pool(call, input, &window, &dims);
    }
    let values = floats(input)?;
    let power = call.int("p", 2);
    let average = call.op() == "AveragePool";
    let include = call.flag("count_include_pad", false);
    if include && call.flag("ceil_mode", false) && window.dilation.iter().any(|&step| step > 1) {
        return Err("ONNX's releases disagree about ceil_mode with count_include_pad and dilations".into());
    }
    let (own, area): (_, usize) = (strides(spatial), spatial.iter().product());
    let mut result = Vec::with_capacity(count);
    for block in 0..batch * channels {
        walk(&window.out, |position| {
            let (mut sum, mut seen) = (0.0_f64, 0_usize);
            walk(&window.kernel, |tap| {
                match window.place(spatial, &own, position, tap) {
                    Some(place) => {
                        let x = f64::from(values[block * area + place]);
                        sum += if average {
                            x
                        } else {
                            x.abs().powi(power.clamp(1, 64) as i32)
                        };
                        seen += 1;
                    }
                    // The padding counts, but not what a rounded-up last window reaches beyond it.
                    None if include => {
                        let inside = (0..spatial.len()).all(|at| {
                            window.row(at, position[at], tap[at]) < spatial[at] as i64 + window.after[at]
                        });
                        seen += usize::from(inside);
                    }
                    None => {}
                }
            });
            result.push(if average {
                sum / seen as f64
            } else {
                sum.powf(1.0 / power as f64)
            } as f32);
        });
    }
    one(Tensor::floats(&dims, result))
}

fn max_pool(call: &Call<'_>, input: &Tensor, window: &Window, dims: &[usize]) -> Outcome {
    let (batch, channels, spatial) = image(input.dims())?;
    let (own, area): (_, usize) = (strides(spatial), spatial.iter().product());
    let column_major = call.flag("storage_order", false);
    let (mut from, mut indices) = (Vec::new(), Vec::new());
    let values: Vec<f64> = match input.as_floats() {
        Some(values) => values.iter().map(|&x| f64::from(x)).collect(),
        None => integers(input)?.into_iter().map(|x| x as f64).collect(),
    };
    let mut empty = false;
    for block in 0..batch * channels {
        walk(&window.out, |position| {
            let mut best: Option<usize> = None;
            walk(&window.kernel, |tap| {
                if let Some(place) = window.place(spatial, &own, position, tap)
                    && best.is_none_or(|best| values[block * area + place] > values[block * area + best])
                {
                    best = Some(place);
                }
            });
            let Some(best) = best else {
                empty = true;
                return;
            };
            from.push(block * area + best);
            let flat = if column_major {
                let mut step = 1;
                let mut place = 0;
                for at in 0..spatial.len() {
                    place += best / own[at] % spatial[at] * step;
                    step *= spatial[at];
                }
                place
            } else {
                best
            };
            indices.push((block * area + flat) as i64);
        });
    }
    if empty {
        return Err("a window lies in the padding alone".into());
    }
    let mut outputs = vec![input.taken(dims, &from)?];
    if call.outputs() > 1 {
        outputs.push(Tensor::integers(dims, indices)?);
    }
    Ok(outputs)
}

/// GlobalAveragePool, GlobalMaxPool and GlobalLpPool.
pub(super) fn global_pool(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let (batch, channels, spatial) = image(input.dims())?;
    let area: usize = spatial.iter().product();
    if area == 0 {
        return Err("its image is empty".into());
    }
    let power = call.int("p", 2).clamp(1, 64);
    let results = floats(input)?.chunks(area).map(|block| match call.op() {
        "GlobalMaxPool" => block.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        "GlobalAveragePool" => (block.iter().map(|&x| f64::from(x)).sum::<f64>() / area as f64) as f32,
        _ => block
            .iter()
            .map(|x| f64::from(x.abs()).powi(power as i32))
            .sum::<f64>()
            .powf(1.0 / power as f64) as f32,
    });
    let mut dims = vec![batch, channels];
    dims.resize(input.rank(), 1);
    one(Tensor::floats(&dims, results.collect()))
}

/// MaxUnpool: puts values back where MaxPool found them.
pub(super) fn max_unpool(call: &Call<'_>) -> Outcome {
    let (input, indices) = (call.input(0)?, call.input(1)?);
    let (batch, channels, spatial) = image(input.dims())?;
    let kernel = sizes(call, "kernel_shape", spatial.len(), 0, 1)?;
    let stride = sizes(call, "strides", spatial.len(), 1, 1)?;
    let pads = call
        .ints("pads")
        .map_or_else(|| vec![0; 2 * spatial.len()], <[i64]>::to_vec);
    if pads.len() != 2 * spatial.len() || indices.dims() != input.dims() {
        return Err("its indices or pads do not fit".into());
    }
    let mut natural = vec![batch, channels];
    for at in 0..spatial.len() {
        let rows = (spatial[at] as i64 - 1).saturating_mul(stride[at] as i64) + kernel[at] as i64;
        natural.push(size(
            rows.saturating_sub(pads[at])
                .saturating_sub(pads[spatial.len() + at]),
        )?);
    }
    let dims = match call.optional(2) {
        Some(wanted) => integers(wanted)?
            .into_iter()
            .map(size)
            .collect::<Result<Vec<_>, _>>()?,
        None => natural.clone(),
    };
    // Indices count in the shape that the pool had; a larger shape is filled from its corner.
    if dims.len() != natural.len() || dims.iter().zip(&natural).any(|(wanted, own)| wanted < own) {
        return Err("its output shape does not fit".into());
    }
    let mut values = vec![0.0; elements(&dims)?];
    let (old, new) = (strides(&natural), strides(&dims));
    let count: usize = natural.iter().product();
    for (&x, index) in floats(input)?.iter().zip(integers(indices)?) {
        let place = usize::try_from(index)
            .ok()
            .filter(|&place| place < count)
            .ok_or("an index is out of range")?;
        let to: usize = (0..dims.len())
            .map(|at| place / old[at] % natural[at] * new[at])
            .sum();
        values[to] = x;
    }
    one(Tensor::floats(&dims, values))
}

/// Col2Im: adds blocks of columns to the places that they were taken from.
pub(super) fn col2im(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let lists = [call.integers(1)?, call.integers(2)?];
    let [spatial, kernel] = lists.map(|list| list.into_iter().map(size).collect::<Result<Vec<_>, _>>());
    let (spatial, kernel) = (spatial?, kernel?);
    elements(&spatial)?;
    let taps = elements(&kernel)?;
    let window = Window::new(call, &spatial, &kernel)?;
    let positions: usize = window.out.iter().product();
    let &[batch, rows, columns] = input.dims() else {
        return Err("it needs three dimensions".into());
    };
    if taps == 0 || rows % taps != 0 || columns != positions {
        return Err("its columns do not fit its blocks".into());
    }
    let channels = rows / taps;
    let dims = [&[batch, channels], &spatial[..]].concat();
    work(&[batch, channels, taps, positions])?;
    let mut values = vec![0.0; elements(&dims)?];
    let (own, area): (_, usize) = (strides(&spatial), spatial.iter().product());
    let source = floats(input)?;
    for block in 0..batch * channels {
        let mut tap_number = 0;
        walk(&kernel, |tap| {
            let mut position_number = 0;
            walk(&window.out, |position| {
                if let Some(place) = window.place(&spatial, &own, position, tap) {
                    values[block * area + place] +=
                        source[(block * taps + tap_number) * positions + position_number];
                }
                position_number += 1;
            });
            tap_number += 1;
        });
    }
    one(Tensor::floats(&dims, values))
}
