//! How many steps a kernel takes, and how much memory beside its outputs.

use std::collections::BTreeMap;

use super::super::call::size;
use super::super::place::count;
use super::{Asked, Shape};

/// Steps of a function of one element, an exponential for example.
const FUNCTION: u64 = 8;
/// Bytes of a float.
const FLOAT: usize = 4;

/// Steps beyond one for each element that is read or made; `None` if they are not known.
pub(super) fn inner(asked: &Asked<'_>, outputs: Option<&[Shape]>) -> Option<u64> {
    let call = &asked.call;
    let made = || outputs?.first().map(|shape| count(&shape.dims));
    let read = |index: usize| asked.dims(index).map(count);
    let times = |a: u64, b: u64| a.saturating_mul(b);
    Some(match call.op() {
        "MatMul" | "MatMulInteger" | "Gemm" => {
            let left = asked.dims(0)?;
            let depth = if call.flag("transA", false) {
                left.first()?
            } else {
                left.last()?
            };
            times(made()?, *depth as u64)
        }
        "QLinearMatMul" => times(made()?, *asked.dims(0)?.last()? as u64),
        "Conv" | "ConvInteger" => times(made()?, filter(asked.dims(1)?)),
        "QLinearConv" => times(made()?, filter(asked.dims(3)?)),
        "ConvTranspose" => times(read(0)?, filter(asked.dims(1)?)),
        "MaxPool" | "AveragePool" | "LpPool" => {
            let kernel = call.ints("kernel_shape")?.iter().map(|&side| size(side).ok());
            times(made()?, count(&kernel.collect::<Option<Vec<_>>>()?))
        }
        "Det" => times(read(0)?, *asked.dims(0)?.last()? as u64),
        "Einsum" => einsum(asked)?,
        "Resize" => resize(asked, &outputs?.first()?.dims)?,
        "GridSample" => {
            let axes = asked.dims(0)?.len().saturating_sub(2) as u32;
            times(made()?, 4_u64.saturating_pow(axes).saturating_mul(FUNCTION))
        }
        "RoiAlign" => times(made()?, points(asked)?),
        "RNN" | "GRU" | "LSTM" => {
            let (&[first, second, input], &[directions, rows, hidden]) = (asked.dims(0)?, asked.dims(2)?)
            else {
                return None;
            };
            count(&[first, second, directions, rows, input.saturating_add(hidden)])
        }
        "LRN" => {
            let channels = *asked.dims(0)?.get(1)?;
            times(read(0)?, size(call.int("size", 1)).ok()?.min(channels) as u64)
        }
        "NonMaxSuppression" => times(read(1)?, *asked.dims(0)?.get(1)? as u64),
        // Sorting; as many comparisons as the logarithm of the longest line that there may be.
        "TopK" | "Unique" => times(read(0)?, 32),
        // These read two inputs of one shape in turn.
        "Add" | "Sub" | "Mul" | "Div" | "Sum" | "Mean" | "Max" | "Min" => {
            times(made()?, asked.facts.len() as u64)
        }
        _ => times(read(0).unwrap_or(0), FUNCTION),
    })
}

/// Multiplications for each element of a convolution.
fn filter(weight: &[usize]) -> u64 {
    count(weight.get(1..).unwrap_or(&[]))
}

/// The product of the sizes of all axes that an equation names.
fn einsum(asked: &Asked<'_>) -> Option<u64> {
    let equation: String = asked
        .call
        .text("equation", "")
        .chars()
        .filter(|c| *c != ' ')
        .collect();
    let terms = equation
        .split_once("->")
        .map_or(&equation[..], |(terms, _)| terms);
    let (mut sizes, mut wide) = (BTreeMap::<char, usize>::new(), 1);
    for (index, term) in terms.split(',').enumerate() {
        let dims = asked.dims(index)?;
        let letters: Vec<char> = term.chars().filter(char::is_ascii_alphabetic).collect();
        let hidden = dims.len().checked_sub(letters.len())?;
        let before = term
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .count()
            .min(letters.len());
        wide = wide.max(count(&dims[before..before + hidden]));
        let named = dims[..before].iter().chain(&dims[before + hidden..]);
        for (letter, &size) in letters.into_iter().zip(named) {
            let known = sizes.entry(letter).or_insert(1);
            *known = (*known).max(size);
        }
    }
    let named = count(&sizes.into_values().collect::<Vec<_>>());
    Some(
        named
            .saturating_mul(wide)
            .saturating_mul(asked.facts.len() as u64),
    )
}

/// Axis after axis, each of which reads up to four rows for one, and more if it makes the image smaller.
fn resize(asked: &Asked<'_>, to: &[usize]) -> Option<u64> {
    let from = asked.dims(0)?;
    let largest: Vec<usize> = from.iter().zip(to).map(|(&old, &new)| old.max(new)).collect();
    let spread = asked.call.flag("antialias", false);
    let taps = from.iter().zip(to).map(|(&old, &new)| {
        let ratio = if spread { old as u64 / new.max(1) as u64 } else { 0 };
        4 * (ratio + 1)
    });
    Some(count(&largest).saturating_mul(taps.fold(0_u64, u64::saturating_add)))
}

/// Points that each cell of a region reads.
fn points(asked: &Asked<'_>) -> Option<u64> {
    let call = &asked.call;
    let ratio = size(call.int("sampling_ratio", 0)).ok()? as u64;
    if ratio > 0 {
        return Some(ratio.saturating_mul(ratio));
    }
    let (rows, columns) = (
        call.int("output_height", 1).max(1),
        call.int("output_width", 1).max(1),
    );
    let regions = call.optional(1)?.as_floats()?;
    let scale = call.float("spatial_scale", 1.0);
    let most = regions.as_chunks::<4>().0.iter().map(|&[x, y, right, bottom]| {
        let grid = |length: f32, cells: i64| {
            f64::from((length * scale).abs() / cells as f32 + 1.0).clamp(1.0, 1024.0)
        };
        (grid(right - x, columns) * grid(bottom - y, rows)) as u64
    });
    Some(most.max().unwrap_or(1))
}

/// Bytes beside the outputs for kernels of so many elements: lists of places, and wider copies of the elements.
pub(super) fn scratch(asked: &Asked<'_>, elements: u64) -> u64 {
    let places = size_of::<usize>() as u64;
    // Floats of one shape need no places, and no copies.
    let is_even = || {
        let first = asked.dims(0);
        let same = (1..asked.facts.len()).all(|index| asked.dims(index) == first);
        first.is_some() && same && asked.each(0) == Some(FLOAT)
    };
    let each = match asked.call.op() {
        "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" if is_even() => 0,
        "MatMul" | "Reshape" | "Identity" | "Flatten" | "Squeeze" | "Unsqueeze" | "Constant"
        | "ConstantOfShape" | "Conv" | "ConvTranspose" | "Shape" | "Size" | "Softmax"
        | "LayerNormalization" | "Gelu" | "Relu" | "Sigmoid" | "Tanh" | "Erf" => 0,
        // Places of both sides, or of the element and what it is folded into.
        _ => 2 * places + 8,
    };
    elements.saturating_mul(each)
}
