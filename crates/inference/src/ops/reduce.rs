//! Operators that fold axes away, and those that normalise along them.

use super::call::{Call, Outcome, Problem, axes, floats, integers, one};
use super::place::{Along, strides, walk, work};
use crate::tensor::Tensor;

/// The axes of a reduction, or `None` if there are none and that means "nothing is reduced".
fn reduced_axes(call: &Call<'_>, rank: usize) -> Result<Option<Vec<usize>>, Problem> {
    match call.list("axes", 1)? {
        Some(named) if !named.is_empty() => axes(&named, rank).map(Some),
        _ if call.flag("noop_with_empty_axes", false) => Ok(None),
        _ => Ok(Some((0..rank).collect())),
    }
}

/// Adds an element to what there is of its group.
type Step = fn(f64, f64) -> f64;
/// Makes the result of a group from its sum and its size.
type End = fn(f64, usize) -> f64;

/// How the elements of a group become one number.
struct Fold {
    start: f64,
    step: Step,
    end: End,
}

fn fold_of(op: &str) -> Result<Fold, Problem> {
    let (start, step, end): (f64, Step, End) = match op {
        "ReduceSum" | "ReduceLogSumExp" => (0.0, |sum, x| sum + x, |sum, _| sum),
        "ReduceMean" => (0.0, |sum, x| sum + x, |sum, count| sum / count as f64),
        "ReduceProd" => (1.0, |product, x| product * x, |product, _| product),
        "ReduceMax" => (
            f64::NEG_INFINITY,
            |most, x| if x > most || x.is_nan() { x } else { most },
            |x, _| x,
        ),
        "ReduceMin" => (
            f64::INFINITY,
            |least, x| if x < least || x.is_nan() { x } else { least },
            |x, _| x,
        ),
        "ReduceL1" => (0.0, |sum, x| sum + x.abs(), |sum, _| sum),
        "ReduceL2" => (0.0, |sum, x| sum + x * x, |sum, _| sum.sqrt()),
        "ReduceSumSquare" => (0.0, |sum, x| sum + x * x, |sum, _| sum),
        "ReduceLogSum" => (0.0, |sum, x| sum + x, |sum, _| sum.ln()),
        _ => return Err("it does not reduce".into()),
    };
    Ok(Fold { start, step, end })
}

/// ReduceSum and its relatives. Sums are kept in `f64`; integers are exact up to 2⁵³ and refused beyond.
pub(super) fn reduce(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let Some(gone) = reduced_axes(call, input.rank())? else {
        return Ok(vec![input.clone()]);
    };
    let groups = Groups::new(input.dims(), &gone);
    let fold = fold_of(call.op())?;
    let values: Vec<f64> = match input.as_floats() {
        Some(values) => values.iter().map(|&x| f64::from(x)).collect(),
        None => integers(input)?.into_iter().map(|x| x as f64).collect(),
    };
    let shift = if call.op() == "ReduceLogSumExp" {
        // e^x of large x would overflow, so the largest is taken out first.
        let most = fold_of("ReduceMax")?;
        Some(groups.fold(&values, &most))
    } else {
        None
    };
    let results = match &shift {
        None => groups.fold(&values, &fold),
        Some(most) => {
            let finite = |group: usize| if most[group].is_finite() { most[group] } else { 0.0 };
            let powers: Vec<f64> = values
                .iter()
                .zip(&groups.member_of)
                .map(|(x, &group)| (x - finite(group)).exp())
                .collect();
            let sums = groups.fold(&powers, &fold);
            sums.iter()
                .enumerate()
                .map(|(group, sum)| sum.ln() + finite(group))
                .collect()
        }
    };
    let dims = groups.dims(input.dims(), &gone, call.flag("keepdims", true));
    if input.as_floats().is_some() {
        return one(Tensor::floats(
            &dims,
            results.into_iter().map(|x| x as f32).collect(),
        ));
    }
    if groups.size == 0 && matches!(call.op(), "ReduceMax" | "ReduceMin") {
        return Err("nothing is the largest of no integers".into());
    }
    if results.iter().any(|x| x.abs() > 2_f64.powi(53)) {
        return Err("its integers are too large".into());
    }
    let whole = results.into_iter().map(|x| x as i64).collect();
    one(Tensor::wrapped(input.kind(), &dims, whole))
}

/// Which elements are folded together.
struct Groups {
    /// The group of each element.
    member_of: Vec<usize>,
    count: usize,
    /// Elements in each group.
    size: usize,
}

impl Groups {
    fn new(dims: &[usize], gone: &[usize]) -> Self {
        let kept: Vec<usize> = (0..dims.len())
            .map(|at| if gone.contains(&at) { 1 } else { dims[at] })
            .collect();
        let steps: Vec<usize> = strides(&kept)
            .into_iter()
            .enumerate()
            .map(|(at, step)| if gone.contains(&at) { 0 } else { step })
            .collect();
        let mut member_of = Vec::with_capacity(dims.iter().product());
        walk(dims, |index| {
            member_of.push(index.iter().zip(&steps).map(|(at, step)| at * step).sum())
        });
        Self {
            member_of,
            count: kept.iter().product(),
            size: gone.iter().map(|&at| dims[at]).product(),
        }
    }

    fn fold(&self, values: &[f64], fold: &Fold) -> Vec<f64> {
        let mut results = vec![fold.start; self.count];
        for (&group, &x) in self.member_of.iter().zip(values) {
            results[group] = (fold.step)(results[group], x);
        }
        results.into_iter().map(|x| (fold.end)(x, self.size)).collect()
    }

    fn dims(&self, dims: &[usize], gone: &[usize], keep: bool) -> Vec<usize> {
        let sizes = dims.iter().enumerate();
        sizes
            .filter(|(at, _)| keep || !gone.contains(at))
            .map(|(at, &size)| if gone.contains(&at) { 1 } else { size })
            .collect()
    }
}

/// Replaces each line along an axis.
fn along_axis(input: &Tensor, along: &Along, mut change: impl FnMut(&mut [f32])) -> Result<Tensor, Problem> {
    let mut values = floats(input)?.to_vec();
    let mut line = vec![0.0; along.size];
    for block in 0..along.outer {
        for behind in 0..along.inner {
            for (at, slot) in line.iter_mut().enumerate() {
                *slot = values[along.place(block, at, behind)];
            }
            change(&mut line);
            for (at, &value) in line.iter().enumerate() {
                values[along.place(block, at, behind)] = value;
            }
        }
    }
    Ok(Tensor::floats(input.dims(), values)?)
}

/// Softmax, LogSoftmax and Hardmax; before operator set 13 they see a matrix that is split at the axis.
pub(super) fn softmax(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let flat = call.opset() < 13;
    let axis = call.axis(if flat { 1 } else { -1 }, input.rank())?;
    let along = if flat {
        let (before, behind) = input.dims().split_at(axis);
        Along {
            outer: before.iter().product(),
            size: behind.iter().product(),
            inner: 1,
        }
    } else {
        Along::new(input.dims(), axis)
    };
    let change: fn(&mut [f32]) = match call.op() {
        "Softmax" => |line| {
            let most = line.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            line.iter_mut().for_each(|x| *x = (*x - most).exp());
            let sum: f32 = line.iter().sum();
            line.iter_mut().for_each(|x| *x /= sum);
        },
        "LogSoftmax" => |line| {
            let most = line.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = line.iter().map(|x| (x - most).exp()).sum();
            let log = sum.ln();
            line.iter_mut().for_each(|x| *x = *x - most - log);
        },
        _ => |line| {
            let mut best = 0;
            for at in 1..line.len() {
                if line[at] > line[best] {
                    best = at;
                }
            }
            line.iter_mut()
                .enumerate()
                .for_each(|(at, x)| *x = f32::from(u8::from(at == best)));
        },
    };
    Ok(vec![along_axis(input, &along, change)?])
}

pub(super) fn cum_sum(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let named = call.integers(1)?;
    let axis = super::call::axis(*named.first().ok_or("an empty axis")?, input.rank())?;
    let along = Along::new(input.dims(), axis);
    let (exclusive, reverse) = (call.flag("exclusive", false), call.flag("reverse", false));
    if input.as_floats().is_none() {
        return Err("it is not defined for integers here".into());
    }
    let result = along_axis(input, &along, |line| {
        if reverse {
            line.reverse();
        }
        let mut sum = 0.0_f32;
        for x in line.iter_mut() {
            let next = sum + *x;
            *x = if exclusive { sum } else { next };
            sum = next;
        }
        if reverse {
            line.reverse();
        }
    })?;
    Ok(vec![result])
}

pub(super) fn lp_normalization(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let axis = call.axis(-1, input.rank())?;
    let power = call.int("p", 2);
    if !matches!(power, 1 | 2) {
        return Err(format!("p = {power}").into());
    }
    let result = along_axis(input, &Along::new(input.dims(), axis), |line| {
        let norm = if power == 1 {
            line.iter().map(|x| x.abs()).sum::<f32>()
        } else {
            line.iter().map(|x| x * x).sum::<f32>().sqrt()
        };
        line.iter_mut()
            .for_each(|x| *x = if norm == 0.0 { 0.0 } else { *x / norm });
    })?;
    Ok(vec![result])
}

/// Takes the mean from each group of `size` neighbours and divides by the deviation.
fn standardise(values: &mut [f32], size: usize, epsilon: f32) -> Vec<(f32, f32)> {
    let mut found = Vec::with_capacity(values.len() / size.max(1));
    for group in values.chunks_mut(size.max(1)) {
        let count = group.len() as f64;
        let mean = group.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let variance = group.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        let scale = 1.0 / (variance + f64::from(epsilon)).sqrt();
        group
            .iter_mut()
            .for_each(|x| *x = ((f64::from(*x) - mean) * scale) as f32);
        found.push((mean as f32, scale as f32));
    }
    found
}

pub(super) fn layer_norm(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let axis = call.axis(-1, input.rank())?;
    let (before, behind) = input.dims().split_at(axis);
    let size: usize = behind.iter().product();
    let mut values = floats(input)?.to_vec();
    let found = standardise(&mut values, size, call.float("epsilon", 1e-5));
    let normal = Tensor::floats(input.dims(), values)?;
    let scale = call.input(1)?;
    let bias = call.optional(2);
    let mut result = stretch_pairs(&normal, scale, |x, s| x * s)?;
    if let Some(bias) = bias {
        result = stretch_pairs(&result, bias, |x, b| x + b)?;
    }
    let mut dims = before.to_vec();
    dims.resize(input.rank(), 1);
    let means = found.iter().map(|(mean, _)| *mean).collect();
    let scales = found.iter().map(|(_, scale)| *scale).collect();
    Ok(vec![
        result,
        Tensor::floats(&dims, means)?,
        Tensor::floats(&dims, scales)?,
    ])
}

/// Combines a tensor with a smaller one that is stretched over it.
fn stretch_pairs(x: &Tensor, small: &Tensor, f: impl Fn(f32, f32) -> f32) -> Result<Tensor, Problem> {
    if super::place::broadcast(x.dims(), small.dims())? != x.dims() {
        return Err("its scale or bias is larger than its input".into());
    }
    let steps = super::place::stretched(small.dims(), x.dims());
    let (values, others) = (floats(x)?, floats(small)?);
    let places = super::place::places(x.dims(), 0, &steps);
    let result = values.iter().zip(&places).map(|(&x, &at)| f(x, others[at]));
    Ok(Tensor::floats(x.dims(), result.collect())?)
}

/// Applies one number per channel (axis 1) twice: `x · scale + bias`.
fn per_channel(dims: &[usize], values: &mut [f32], scale: &[f32], bias: &[f32]) -> Result<(), Problem> {
    let channels = *dims.get(1).ok_or("it has no channels")?;
    if scale.len() != channels || bias.len() != channels {
        return Err("it has not one scale and bias for each channel".into());
    }
    let inner: usize = dims[2..].iter().product();
    for (at, block) in values.chunks_mut(inner.max(1)).enumerate() {
        let channel = at % channels.max(1);
        block
            .iter_mut()
            .for_each(|x| *x = *x * scale[channel] + bias[channel]);
    }
    Ok(())
}

/// InstanceNormalization and GroupNormalization, which differ in how many channels share a mean.
pub(super) fn group_norm(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let (scale, bias) = (call.floats(1)?, call.floats(2)?);
    let dims = input.dims();
    let channels = *dims.get(1).ok_or("it has no channels")?;
    let groups = if call.op() == "GroupNormalization" {
        super::call::size(call.int("num_groups", 0))?
    } else {
        channels
    };
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(format!("{channels} channels do not divide into {groups} groups").into());
    }
    let inner: usize = dims[2..].iter().product();
    let mut values = floats(input)?.to_vec();
    standardise(
        &mut values,
        channels / groups * inner,
        call.float("epsilon", 1e-5),
    );
    // Until operator set 21 GroupNormalization had one scale for each group.
    let each = channels / groups;
    let spread = |values: &[f32]| -> Vec<f32> {
        if values.len() == groups && groups != channels {
            values
                .iter()
                .flat_map(|&value| std::iter::repeat_n(value, each))
                .collect()
        } else {
            values.to_vec()
        }
    };
    per_channel(dims, &mut values, &spread(scale), &spread(bias))?;
    one(Tensor::floats(dims, values))
}

pub(super) fn batch_norm(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let training = call.flag("training_mode", false);
    let [scale, bias, mean, variance] = [call.floats(1)?, call.floats(2)?, call.floats(3)?, call.floats(4)?];
    let epsilon = call.float("epsilon", 1e-5);
    if training {
        return Err("training_mode is for training".into());
    }
    if [bias.len(), mean.len(), variance.len()] != [scale.len(); 3] {
        return Err("its statistics differ in number".into());
    }
    let factors: Vec<f32> = scale
        .iter()
        .zip(variance)
        .map(|(s, v)| s / (v + epsilon).sqrt())
        .collect();
    let shifts: Vec<f32> = (0..bias.len())
        .map(|at| bias[at] - mean[at] * factors[at])
        .collect();
    let mut values = floats(input)?.to_vec();
    per_channel(input.dims(), &mut values, &factors, &shifts)?;
    one(Tensor::floats(input.dims(), values))
}

/// MeanVarianceNormalization: standardises over the named axes.
pub(super) fn mean_variance(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let named = call.ints("axes").unwrap_or(&[0, 2, 3]);
    let groups = Groups::new(input.dims(), &axes(named, input.rank())?);
    let values: Vec<f64> = floats(input)?.iter().map(|&x| f64::from(x)).collect();
    let mean = fold_of("ReduceMean")?;
    let means = groups.fold(&values, &mean);
    let squares: Vec<f64> = values
        .iter()
        .zip(&groups.member_of)
        .map(|(x, &group)| (x - means[group]).powi(2))
        .collect();
    let variances = groups.fold(&squares, &mean);
    let result = values
        .iter()
        .zip(&groups.member_of)
        .map(|(x, &group)| ((x - means[group]) / (variances[group].sqrt() + 1e-9)) as f32);
    one(Tensor::floats(input.dims(), result.collect()))
}

/// LRN: divides by a power of the squares in neighbouring channels.
pub(super) fn local_response(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    if input.rank() < 2 {
        return Err("it has no channels".into());
    }
    let width = super::call::size(call.int("size", 1))?.max(1);
    let (alpha, beta, bias) = (
        call.float("alpha", 1e-4),
        call.float("beta", 0.75),
        call.float("bias", 1.0),
    );
    let along = Along::new(input.dims(), 1);
    work(&[input.len(), width.min(along.size)])?;
    let result = along_axis(input, &along, |line| {
        let squares: Vec<f32> = line.iter().map(|x| x * x).collect();
        for (at, x) in line.iter_mut().enumerate() {
            let first = at.saturating_sub((width - 1) / 2);
            let last = (at + width / 2).min(squares.len() - 1);
            let sum: f32 = squares[first..=last].iter().sum();
            *x /= (bias + alpha / width as f32 * sum).powf(beta);
        }
    })?;
    Ok(vec![result])
}
