//! Operators that move elements and compute none.

use super::call::{Call, Outcome, Problem, axes, axis, floats, integers, one, size, sizes};
use super::place::{Along, broadcast, places, stretched, strides, walk};
use crate::limits::TENSOR_RANK_MAX;
use crate::tensor::{Tensor, elements};

/// Identity and what an inference does not do.
pub(super) fn identity(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    if call.op() == "Dropout"
        && call
            .optional(2)
            .is_some_and(|mode| mode.to_integers() == Some(vec![1]))
    {
        return Err("training_mode is random".into());
    }
    let mut outputs = vec![input.clone()];
    if call.outputs() > 1 {
        outputs.push(Tensor::wrapped(
            crate::onnx::proto::DataType::Bool,
            input.dims(),
            vec![1; input.len()],
        )?);
    }
    Ok(outputs)
}

pub(super) fn reshape(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let wanted = call.list("shape", 1)?.ok_or("it has no shape")?;
    let dims = reshaped(input.dims(), &wanted, call.flag("allowzero", false))?;
    one(input.reshaped(&dims))
}

/// What ONNX's Reshape makes of a shape: 0 copies a dimension, -1 takes what is left.
pub(super) fn reshaped(from: &[usize], to: &[i64], zero_is_zero: bool) -> Result<Vec<usize>, Problem> {
    let refuse = || Problem(format!("{from:?} cannot become {to:?}"));
    let total = elements(from)?;
    let (mut dims, mut open) = (Vec::with_capacity(to.len()), None);
    for (at, &wanted) in to.iter().enumerate() {
        dims.push(match wanted {
            0 if !zero_is_zero => *from.get(at).ok_or_else(refuse)?,
            -1 if open.is_none() => {
                open = Some(at);
                1
            }
            wanted => size(wanted)?,
        });
    }
    let known = elements(&dims)?;
    match open {
        Some(at) if known > 0 && total % known == 0 => dims[at] = total / known,
        None if known == total => {}
        _ => return Err(refuse()),
    }
    Ok(dims)
}

pub(super) fn flatten(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let rank = input.rank();
    let at = call.int("axis", 1);
    let at = if at == rank as i64 { rank } else { axis(at, rank)? };
    let (before, behind) = input.dims().split_at(at);
    one(input.reshaped(&[before.iter().product(), behind.iter().product()]))
}

pub(super) fn squeeze(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let dims = input.dims();
    let dropped = match call.list("axes", 1)? {
        Some(named) => axes(&named, dims.len())?,
        None => (0..dims.len()).filter(|&at| dims[at] == 1).collect(),
    };
    if dropped.iter().any(|&at| dims[at] != 1) {
        return Err("an axis is not of size 1".into());
    }
    let kept: Vec<usize> = (0..dims.len())
        .filter(|at| !dropped.contains(at))
        .map(|at| dims[at])
        .collect();
    one(input.reshaped(&kept))
}

pub(super) fn unsqueeze(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let named = call.list("axes", 1)?.ok_or("it has no axes")?;
    let rank = input.rank() + named.len();
    if rank > TENSOR_RANK_MAX {
        return Err(format!("{rank} dimensions").into());
    }
    let added = axes(&named, rank)?;
    let mut left = input.dims().iter().copied();
    let dims: Vec<usize> = (0..rank)
        .map(|at| {
            if added.contains(&at) {
                1
            } else {
                left.next().unwrap_or(1)
            }
        })
        .collect();
    one(input.reshaped(&dims))
}

pub(super) fn transpose(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let rank = input.rank();
    let order = match call.ints("perm") {
        Some(order) => axes(order, rank)?,
        None => (0..rank).rev().collect(),
    };
    if order.len() != rank {
        return Err("its order does not name every axis".into());
    }
    let own = strides(input.dims());
    let dims: Vec<usize> = order.iter().map(|&at| input.dims()[at]).collect();
    let steps: Vec<usize> = order.iter().map(|&at| own[at]).collect();
    one(input.taken(&dims, &places(&dims, 0, &steps)))
}

pub(super) fn expand(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let wanted = sizes(call.integers(1)?)?;
    let dims = broadcast(input.dims(), &wanted)?;
    one(input.taken(&dims, &places(&dims, 0, &stretched(input.dims(), &dims))))
}

pub(super) fn tile(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let repeats = sizes(call.integers(1)?)?;
    if repeats.len() != input.rank() {
        return Err("it has not one count for each axis".into());
    }
    let dims: Vec<usize> = input
        .dims()
        .iter()
        .zip(&repeats)
        .map(|(&d, &r)| d.saturating_mul(r))
        .collect();
    along_axes(input, &dims, |axis, at| at % input.dims()[axis])
}

/// A result of these sizes, each of whose axes reads its own axis of the input at a place of its own.
fn along_axes(input: &Tensor, dims: &[usize], place: impl Fn(usize, usize) -> usize) -> Outcome {
    let mut from = Vec::with_capacity(elements(dims)?);
    let own = strides(input.dims());
    walk(dims, |index| {
        from.push(
            index
                .iter()
                .enumerate()
                .map(|(axis, &at)| place(axis, at) * own[axis])
                .sum(),
        );
    });
    one(input.taken(dims, &from))
}

pub(super) fn concat(call: &Call<'_>) -> Outcome {
    let inputs = call.all()?;
    let axis = axis(
        if call.has("axis") { call.int("axis", 0) } else { 1 },
        inputs[0].rank(),
    )?;
    joined(&inputs, axis).map(|tensor| vec![tensor])
}

/// Tensors one behind the other along an axis.
pub(super) fn joined(inputs: &[&Tensor], axis: usize) -> Result<Tensor, Problem> {
    let first = inputs.first().ok_or("it has no inputs")?;
    let mut dims = first.dims().to_vec();
    dims[axis] = 0;
    for input in inputs {
        let fits = input.rank() == dims.len()
            && input.kind() == first.kind()
            && (0..dims.len()).all(|at| at == axis || input.dims()[at] == dims[at]);
        if !fits {
            return Err(format!("{:?} and {:?} do not fit", first.dims(), input.dims()).into());
        }
        dims[axis] = dims[axis].saturating_add(input.dims()[axis]);
    }
    elements(&dims)?;
    let outer: usize = dims[..axis].iter().product();
    macro_rules! join {
        ($kind:ident) => {{
            let mut values = Vec::with_capacity(dims.iter().product());
            for block in 0..outer {
                for input in inputs {
                    if let crate::tensor::Data::$kind(own) = input.data() {
                        let length = own.len() / outer;
                        values.extend_from_slice(&own[block * length..(block + 1) * length]);
                    }
                }
            }
            crate::tensor::Data::$kind(values)
        }};
    }
    let data = match first.data() {
        crate::tensor::Data::F32(_) => join!(F32),
        crate::tensor::Data::I64(_) => join!(I64),
        crate::tensor::Data::I32(_) => join!(I32),
        crate::tensor::Data::I8(_) => join!(I8),
        crate::tensor::Data::U8(_) => join!(U8),
        crate::tensor::Data::Bool(_) => join!(Bool),
    };
    Ok(Tensor::new(&dims, data)?)
}

/// Part `range` of an axis.
pub(super) fn part(input: &Tensor, axis: usize, range: std::ops::Range<usize>) -> Result<Tensor, Problem> {
    let along = Along::new(input.dims(), axis);
    let mut dims = input.dims().to_vec();
    dims[axis] = range.len();
    let mut from = Vec::with_capacity(dims.iter().product());
    for block in 0..along.outer {
        for at in range.clone() {
            from.extend((0..along.inner).map(|behind| along.place(block, at, behind)));
        }
    }
    Ok(input.taken(&dims, &from)?)
}

pub(super) fn split(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let axis = call.axis(0, input.rank())?;
    let whole = input.dims()[axis];
    let sizes = match call.list("split", 1)? {
        Some(parts) => sizes(parts)?,
        None => {
            let parts = call.outputs().max(1);
            if call.int("num_outputs", parts as i64) != parts as i64 {
                return Err("it has not as many outputs as it says".into());
            }
            let each = whole.div_ceil(parts);
            (0..parts)
                .map(|part| each.min(whole.saturating_sub(part * each)))
                .collect()
        }
    };
    if sizes.iter().sum::<usize>() != whole || sizes.len() != call.outputs() {
        return Err(format!("{whole} rows cannot be split into {sizes:?}").into());
    }
    let mut start = 0;
    let parts = sizes.into_iter().map(|length| {
        start += length;
        part(input, axis, start - length..start)
    });
    parts.collect()
}

/// One axis of a Slice, with numpy's rules for bounds that lie outside.
struct Cut {
    start: i64,
    step: i64,
    length: usize,
}

impl Cut {
    fn new(size: usize, start: i64, end: i64, step: i64) -> Result<Self, Problem> {
        let size = size as i64;
        let (least, most) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let bound = |value: i64| {
            let value = if value < 0 {
                value.saturating_add(size)
            } else {
                value
            };
            value.clamp(least, most.max(least))
        };
        let (start, end) = (bound(start), bound(end));
        let length = match step {
            0 => return Err("a step of 0".into()),
            // Steps beyond the axis' size reach one element, as the size itself does.
            1.. => (end - start + step.min(size.max(1)) - 1) / step.min(size.max(1)),
            _ => {
                let back = step.saturating_neg().min(size.max(1));
                (start - end + back - 1) / back
            }
        };
        Ok(Self {
            start,
            step: step.clamp(-size.max(1), size.max(1)),
            length: length.max(0) as usize,
        })
    }
}

pub(super) fn slice(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let cuts = cuts(call, input.dims())?;
    let dims: Vec<usize> = cuts.iter().map(|cut| cut.length).collect();
    along_axes(input, &dims, |axis, at| {
        (cuts[axis].start + at as i64 * cuts[axis].step) as usize
    })
}

/// The shape that a Slice leaves of one.
pub(super) fn sliced(call: &Call<'_>, dims: &[usize]) -> Result<Vec<usize>, Problem> {
    Ok(cuts(call, dims)?.iter().map(|cut| cut.length).collect())
}

fn cuts(call: &Call<'_>, dims: &[usize]) -> Result<Vec<Cut>, Problem> {
    let rank = dims.len();
    let starts = call.list("starts", 1)?.ok_or("it has no starts")?;
    let ends = call.list("ends", 2)?.ok_or("it has no ends")?;
    let named = match call.list("axes", 3)? {
        Some(named) => axes(&named, rank)?,
        None => (0..starts.len()).collect(),
    };
    let steps = match call.optional(4) {
        Some(steps) => integers(steps)?,
        None => vec![1; starts.len()],
    };
    if [ends.len(), named.len(), steps.len()] != [starts.len(); 3] || starts.len() > rank {
        return Err("its bounds disagree in number".into());
    }
    let mut cuts = dims
        .iter()
        .map(|&size| Cut::new(size, 0, i64::MAX, 1))
        .collect::<Result<Vec<_>, _>>()?;
    for (at, &axis) in named.iter().enumerate() {
        cuts[axis] = Cut::new(dims[axis], starts[at], ends[at], steps[at])?;
    }
    Ok(cuts)
}

/// Where a padded index reads, or `None` for the fill value.
fn mirrored(mode: &str, at: i64, size: usize) -> Result<Option<usize>, Problem> {
    let length = size as i64;
    if (0..length).contains(&at) {
        return Ok(Some(at as usize));
    }
    if mode == "constant" {
        return Ok(None);
    }
    if size == 0 {
        return Err("nothing can be repeated of an empty axis".into());
    }
    let place = match mode {
        "edge" => at.clamp(0, length - 1),
        "wrap" => at.rem_euclid(length),
        "reflect" if size == 1 => 0,
        "reflect" => {
            let round = at.rem_euclid(2 * (length - 1));
            round.min(2 * (length - 1) - round)
        }
        other => return Err(format!("mode {other:?}").into()),
    };
    Ok(Some(place as usize))
}

pub(super) fn pad(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let rank = input.rank();
    let pads = call.list("pads", 1)?.ok_or("it has no pads")?;
    let named = match call.optional(3) {
        Some(named) => axes(&integers(named)?, rank)?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * named.len() {
        return Err("it has not two pads for each axis".into());
    }
    let (mut before, mut dims) = (vec![0_i64; rank], input.dims().to_vec());
    for (at, &axis) in named.iter().enumerate() {
        let (front, back) = (pads[at], pads[named.len() + at]);
        before[axis] = front;
        dims[axis] = size((dims[axis] as i64).saturating_add(front).saturating_add(back))?;
    }
    let fill = match call.optional(2) {
        Some(value) => value.clone(),
        None if input.as_floats().is_some() => Tensor::floats(&[], vec![call.float("value", 0.0)])?,
        None => Tensor::wrapped(input.kind(), &[], vec![0])?,
    };
    let mut source = Fill::new(input, &fill, &dims)?;
    let (own, mode) = (strides(input.dims()), call.text("mode", "constant"));
    super::place::try_walk(&dims, |index| {
        let mut place = Some(0);
        for at in 0..rank {
            let found = mirrored(mode, index[at] as i64 - before[at], input.dims()[at])?;
            place = place.zip(found).map(|(place, found)| place + found * own[at]);
        }
        source.push(place);
        Ok(())
    })?;
    source.finish()
}

/// Elements taken from a tensor, with one value where there is nothing to take.
pub(super) struct Fill {
    joined: Tensor,
    fill_place: usize,
    dims: Vec<usize>,
    from: Vec<usize>,
}

impl Fill {
    pub(super) fn new(input: &Tensor, fill: &Tensor, dims: &[usize]) -> Result<Self, Problem> {
        let count = elements(dims)?;
        let flat = input.reshaped(&[input.len()])?;
        let fill = fill.splat(&[1])?;
        Ok(Self {
            joined: joined(&[&flat, &fill], 0)?,
            fill_place: input.len(),
            dims: dims.to_vec(),
            from: Vec::with_capacity(count),
        })
    }

    pub(super) fn push(&mut self, place: Option<usize>) {
        self.from.push(place.unwrap_or(self.fill_place));
    }

    pub(super) fn finish(self) -> Outcome {
        one(self.joined.taken(&self.dims, &self.from))
    }
}

pub(super) fn depth_to_space(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let block = size(call.int("blocksize", 0))?;
    let &[n, c, h, w] = input.dims() else {
        return Err("it needs four dimensions".into());
    };
    let to_space = call.op() == "DepthToSpace";
    let square = block.saturating_mul(block);
    if block == 0 || (to_space && c % square != 0) || (!to_space && (h % block != 0 || w % block != 0)) {
        return Err(format!("{:?} does not divide into blocks of {block}", input.dims()).into());
    }
    // Both are a split into six axes, a reordering and a join; only the order differs.
    let (split, order, dims) = if to_space {
        let depth = c / square;
        let (split, order) = match call.text("mode", "DCR") {
            "DCR" => ([n, block, block, depth, h, w], [0, 3, 4, 1, 5, 2]),
            "CRD" => ([n, depth, block, block, h, w], [0, 1, 4, 2, 5, 3]),
            other => return Err(format!("mode {other:?}").into()),
        };
        (split, order, [n, depth, h * block, w * block])
    } else {
        let (rows, columns) = (h / block, w / block);
        (
            [n, c, rows, block, columns, block],
            [0, 3, 5, 1, 2, 4],
            [n, c * square, rows, columns],
        )
    };
    elements(&dims)?;
    let own = strides(&split);
    let moved: Vec<usize> = order.iter().map(|&at| split[at]).collect();
    let steps: Vec<usize> = order.iter().map(|&at| own[at]).collect();
    one(input.taken(&dims, &places(&moved, 0, &steps)))
}

pub(super) fn reverse_sequence(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let lengths = call.integers(1)?;
    let (batch, time) = (
        axis(call.int("batch_axis", 1), input.rank())?,
        axis(call.int("time_axis", 0), input.rank())?,
    );
    let limit = input.dims()[time] as i64;
    let fits =
        lengths.len() == input.dims()[batch] && lengths.iter().all(|length| (0..=limit).contains(length));
    if batch == time || !fits {
        return Err("its lengths do not fit the batch".into());
    }
    let own = strides(input.dims());
    let mut from = Vec::with_capacity(input.len());
    walk(input.dims(), |index| {
        let (at, length) = (index[time] as i64, lengths[index[batch]]);
        let place: usize = index.iter().zip(&own).map(|(at, step)| at * step).sum();
        let source = if at < length { length - 1 - at } else { at };
        from.push((place as i64 + (source - at) * own[time] as i64) as usize);
    });
    one(input.taken(input.dims(), &from))
}

pub(super) fn trilu(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let rank = input.rank();
    if rank < 2 {
        return Err("it needs a matrix".into());
    }
    let shift = match call.optional(1) {
        Some(shift) => *integers(shift)?.first().ok_or("an empty diagonal")?,
        None => 0,
    };
    let upper = call.flag("upper", true);
    let zero = if input.as_floats().is_some() {
        Tensor::floats(&[], vec![0.0])?
    } else {
        Tensor::wrapped(input.kind(), &[], vec![0])?
    };
    let mut source = Fill::new(input, &zero, input.dims())?;
    let mut place = 0;
    walk(input.dims(), |index| {
        let diagonal = (index[rank - 1] as i64).saturating_sub(index[rank - 2] as i64);
        let kept = if upper {
            diagonal >= shift
        } else {
            diagonal <= shift
        };
        source.push(kept.then_some(place));
        place += 1;
    });
    source.finish()
}

/// CenterCropPad: cuts what is too much from both ends, pads what is missing.
pub(super) fn center_crop_pad(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let rank = input.rank();
    let wanted = call.integers(1)?;
    let named = match call.ints("axes") {
        Some(named) => axes(named, rank)?,
        None => (0..rank).collect(),
    };
    if wanted.len() != named.len() {
        return Err("its shape has not one size for each axis".into());
    }
    let (mut dims, mut shift) = (input.dims().to_vec(), vec![0_i64; rank]);
    for (&axis, &wanted) in named.iter().zip(&wanted) {
        let (old, new) = (dims[axis] as i64, size(wanted)? as i64);
        // Of an odd difference the smaller half is at the front.
        shift[axis] = if new < old {
            (old - new) / 2
        } else {
            -((new - old) / 2)
        };
        dims[axis] = new as usize;
    }
    let zero = if input.as_floats().is_some() {
        Tensor::floats(&[], vec![0.0])?
    } else {
        Tensor::wrapped(input.kind(), &[], vec![0])?
    };
    let mut source = Fill::new(input, &zero, &dims)?;
    let own = strides(input.dims());
    walk(&dims, |index| {
        let place = (0..rank).try_fold(0, |place, at| {
            let from = usize::try_from(index[at] as i64 + shift[at]).ok()?;
            (from < input.dims()[at]).then_some(place + from * own[at])
        });
        source.push(place);
    });
    source.finish()
}

/// Upsample, which newer sets call Resize: whole or fractional copies of the nearest element.
pub(super) fn upsample(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    if call.text("mode", "nearest") != "nearest" {
        return Err("only its mode nearest is known".into());
    }
    let scales = match call.optional(1) {
        Some(scales) => floats(scales)?,
        None => call.float_list("scales").ok_or("it has no scales")?,
    };
    if scales.len() != input.rank() || scales.iter().any(|scale| scale.is_nan() || *scale < 1.0) {
        return Err("its scales do not fit".into());
    }
    let dims: Vec<usize> = input
        .dims()
        .iter()
        .zip(scales)
        .map(|(&size, &scale)| (size as f32 * scale) as usize)
        .collect();
    along_axes(input, &dims, |axis, at| {
        ((at as f32 / scales[axis]) as usize).min(input.dims()[axis] - 1)
    })
}
