//! The shapes of what a node gives, operator by operator; the kernels' own rules wherever they are functions of shapes.

use super::super::call::{axes, axis, integers, size, sizes};
use super::super::place::broadcast;
use super::super::window::Window;
use super::super::{indexing, movement, resize};
use super::{Asked, Shape};
use crate::limits::TENSOR_RANK_MAX;
use crate::onnx::proto::DataType;
use crate::tensor::Tensor;

/// Bytes of an index.
const INDEX: usize = 8;
/// Bytes of a float.
const FLOAT: usize = 4;

/// A shape for each output that is computed, or `None` if they are not known or the kernel will refuse.
pub(super) fn shapes(asked: &Asked<'_>) -> Option<Vec<Shape>> {
    let call = &asked.call;
    let (dims, each) = (|| asked.dims(0), || asked.each(0));
    let same = || Some(vec![shape(dims()?, each()?)]);
    let floats = |dims: &[usize]| Some(vec![shape(dims, FLOAT)]);
    match call.op() {
        "Shape" | "Size" => numbers_of(asked).map(|numbers| vec![shape(numbers.dims(), INDEX)]),
        "Dropout" => Some(vec![shape(dims()?, each()?), shape(dims()?, 1)]),
        "Cast" => Some(vec![shape(dims()?, bytes_of(call.int("to", 0))?)]),
        "CastLike" => Some(vec![shape(dims()?, asked.each(1)?)]),
        "Not" | "IsInf" | "IsNaN" => Some(vec![shape(dims()?, 1)]),
        "DequantizeLinear" => floats(dims()?),
        "QuantizeLinear" => Some(vec![shape(dims()?, 1)]),
        "DynamicQuantizeLinear" => Some(vec![shape(dims()?, 1), shape(&[], FLOAT), shape(&[], 1)]),
        "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "Sum" | "Mean" | "Pow" | "Mod" | "PRelu"
        | "BitShift" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" => {
            Some(vec![shape(&together(asked)?, each()?)])
        }
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor" => {
            Some(vec![shape(&together(asked)?, 1)])
        }
        "Where" => Some(vec![shape(&together(asked)?, asked.each(1)?)]),
        "MatMul" => floats_or(asked, &product(dims()?, asked.dims(1)?)?),
        "MatMulInteger" => Some(vec![shape(&product(dims()?, asked.dims(1)?)?, 4)]),
        "QLinearMatMul" => Some(vec![shape(&product(dims()?, asked.dims(3)?)?, 1)]),
        "Gemm" => floats(&gemm(asked)?),
        "Conv" => floats(&convolved(asked, 1)?),
        "ConvInteger" => Some(vec![shape(&convolved(asked, 1)?, 4)]),
        "QLinearConv" => Some(vec![shape(&convolved(asked, 3)?, 1)]),
        "MaxPool" | "AveragePool" | "LpPool" => pooled(asked),
        "GlobalMaxPool" | "GlobalAveragePool" | "GlobalLpPool" => {
            let mut dims = dims()?.to_vec();
            dims.iter_mut().skip(2).for_each(|size| *size = 1);
            floats(&dims)
        }
        "LayerNormalization" => {
            let mut kept = dims()?.to_vec();
            let at = call.axis(-1, kept.len()).ok()?;
            kept[at..].fill(1);
            Some(vec![
                shape(dims()?, FLOAT),
                shape(&kept, FLOAT),
                shape(&kept, FLOAT),
            ])
        }
        "ArgMax" | "ArgMin" => {
            let at = call.axis(0, dims()?.len()).ok()?;
            Some(vec![shape(
                &without(dims()?, &[at], call.flag("keepdims", true)),
                INDEX,
            )])
        }
        "TopK" => {
            let k = match call.optional(1) {
                Some(_) => indexing::scalar(call, 1).ok()?,
                None if asked.is_clear(1) => call.int("k", 0),
                None => return None,
            };
            let mut kept = dims()?.to_vec();
            let at = call.axis(-1, kept.len()).ok()?;
            kept[at] = size(k).ok()?;
            Some(vec![shape(&kept, each()?), shape(&kept, INDEX)])
        }
        "OneHot" => {
            let depth = size(indexing::scalar(call, 1).ok()?).ok()?;
            let mut wide = dims()?.to_vec();
            let at = axis(call.int("axis", -1), wide.len() + 1).ok()?;
            wide.insert(at, depth);
            Some(vec![shape(&wide, asked.each(2)?)])
        }
        "ConstantOfShape" => {
            let value = call.tensor("value").ok()?;
            let each = value.map_or(FLOAT, |value| value.data().element().bytes());
            Some(vec![shape(&sizes(call.integers(0).ok()?).ok()?, each)])
        }
        "Range" => Some(vec![shape(&[indexing::range_count(call).ok()?], each()?)]),
        "Resize" => {
            // Its region does not change its size.
            let known =
                (2..4).all(|index| asked.is_clear(index)) && (call.opset() >= 11 || asked.is_clear(1));
            let named = call.ints("axes").map_or_else(
                || Some((0..dims()?.len()).collect()),
                |named| axes(named, dims()?.len()).ok(),
            )?;
            let (dims, _) = known.then(|| resize::target(call, dims()?, &named).ok())??;
            Some(vec![shape(&dims, each()?)])
        }
        "RNN" | "GRU" | "LSTM" => recurrent(asked),
        "HannWindow" | "HammingWindow" | "BlackmanWindow" => {
            floats(&[size(*call.integers(0).ok()?.first()?).ok()?])
        }
        "Split" => parts(asked),
        "Einsum"
        | "Compress"
        | "NonZero"
        | "Unique"
        | "NonMaxSuppression"
        | "Constant"
        | "ConvTranspose"
        | "MaxUnpool"
        | "Col2Im"
        | "Det"
        | "NegativeLogLikelihoodLoss"
        | "SoftmaxCrossEntropyLoss"
        | "AffineGrid"
        | "GridSample"
        | "RoiAlign" => None,
        "EyeLike" => Some(vec![shape(dims()?, INDEX)]),
        op if op.starts_with("Reduce") => {
            let rank = dims()?.len();
            let named = asked.is_clear(1).then(|| call.list("axes", 1).ok())??;
            let gone = match named {
                Some(named) if !named.is_empty() => axes(&named, rank).ok()?,
                _ if call.flag("noop_with_empty_axes", false) => return same(),
                _ => (0..rank).collect(),
            };
            Some(vec![shape(
                &without(dims()?, &gone, call.flag("keepdims", true)),
                each()?,
            )])
        }
        _ => match moved(asked) {
            Moved::To(dims) => Some(vec![shape(&dims, each()?)]),
            Moved::Unknown => None,
            Moved::Stays => same(),
        },
    }
}

/// What Shape and Size give, which is known as soon as a shape is.
pub(super) fn numbers_of(asked: &Asked<'_>) -> Option<Tensor> {
    let dims = asked.dims(0)?;
    if asked.call.op() == "Size" {
        let count: usize = dims.iter().product();
        return Tensor::integers(&[], vec![count as i64]).ok();
    }
    let part = indexing::shape_part(&asked.call, dims);
    Tensor::integers(&[part.len()], part.iter().map(|&size| size as i64).collect()).ok()
}

/// What an operator that moves elements does to a shape.
enum Moved {
    To(Vec<usize>),
    Unknown,
    Stays,
}

fn moved(asked: &Asked<'_>) -> Moved {
    let call = &asked.call;
    let found = match call.op() {
        "Reshape" => reshape(asked),
        "Flatten" => flatten(asked),
        "Squeeze" => squeeze(asked),
        "Unsqueeze" => unsqueeze(asked),
        "Transpose" => transpose(asked),
        "Expand" => expand(asked),
        "Tile" => tile(asked),
        "Concat" => concat(asked),
        "Slice" => sliced(asked),
        "Pad" => pad(asked),
        "DepthToSpace" | "SpaceToDepth" => blocks(asked),
        "CenterCropPad" => cropped(asked),
        "Upsample" => upsample(asked),
        "Gather" => gather(asked),
        "GatherElements" => asked.dims(1).map(<[usize]>::to_vec),
        "GatherND" => None,
        _ => return Moved::Stays,
    };
    found.map_or(Moved::Unknown, Moved::To)
}

fn shape(dims: &[usize], each: usize) -> Shape {
    let dims = dims.to_vec();
    Shape { dims, each }
}

fn bytes_of(code: i64) -> Option<usize> {
    Some(match DataType::try_from(i32::try_from(code).ok()?).ok()? {
        DataType::Float | DataType::Float16 | DataType::Double | DataType::Int32 => 4,
        DataType::Int64 => 8,
        DataType::Int8 | DataType::Uint8 | DataType::Bool => 1,
        DataType::Undefined => return None,
    })
}

fn floats_or(asked: &Asked<'_>, dims: &[usize]) -> Option<Vec<Shape>> {
    Some(vec![shape(dims, asked.each(0)?)])
}

/// All inputs broadcast to one shape.
fn together(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let mut dims = asked.dims(0)?.to_vec();
    for index in 1..asked.facts.len() {
        dims = stretch(&dims, asked.dims(index)?)?;
    }
    Some(dims)
}

/// Broadcasting, without the bound on the result, which the caller holds against its own.
fn stretch(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    if let Ok(dims) = broadcast(a, b) {
        return Some(dims);
    }
    let rank = a.len().max(b.len());
    let size = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |at| dims[at]);
    let stretched = (0..rank).map(|axis| match (size(a, axis), size(b, axis)) {
        (x, y) if x == y || y == 1 => Some(x),
        (1, y) => Some(y),
        _ => None,
    });
    stretched.collect()
}

fn product(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let (stack, rows) = match a {
        [_] => (&[][..], None),
        [stack @ .., rows, _] => (stack, Some(*rows)),
        [] => return None,
    };
    let (other, columns) = match b {
        [_] => (&[][..], None),
        [other @ .., _, columns] => (other, Some(*columns)),
        [] => return None,
    };
    let mut dims = stretch(stack, other)?;
    dims.extend(rows.into_iter().chain(columns));
    Some(dims)
}

fn gemm(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let side = |index: usize, name: &str, place: usize| {
        let turned = asked.call.flag(name, false);
        asked
            .dims(index)?
            .get(if turned { 1 - place } else { place })
            .copied()
    };
    Some(vec![side(0, "transA", 0)?, side(1, "transB", 1)?])
}

fn convolved(asked: &Asked<'_>, weight: usize) -> Option<Vec<usize>> {
    let (&[batch, _, ref spatial @ ..], &[filters, _, ref kernel @ ..]) =
        (asked.dims(0)?, asked.dims(weight)?)
    else {
        return None;
    };
    let window = Window::new(&asked.call, spatial, kernel).ok()?;
    Some([&[batch, filters], window.positions()].concat())
}

fn pooled(asked: &Asked<'_>) -> Option<Vec<Shape>> {
    let &[batch, channels, ref spatial @ ..] = asked.dims(0)? else {
        return None;
    };
    let kernel = sizes(asked.call.ints("kernel_shape")?.to_vec()).ok()?;
    let window = Window::new(&asked.call, spatial, &kernel).ok()?;
    let dims = [&[batch, channels], window.positions()].concat();
    let mut found = vec![shape(&dims, asked.each(0)?)];
    if asked.call.op() == "MaxPool" && asked.call.outputs() > 1 {
        found.push(shape(&dims, INDEX));
    }
    Some(found)
}

fn without(dims: &[usize], gone: &[usize], keep: bool) -> Vec<usize> {
    let sizes = dims
        .iter()
        .enumerate()
        .filter(|(at, _)| keep || !gone.contains(at));
    sizes
        .map(|(at, &size)| if gone.contains(&at) { 1 } else { size })
        .collect()
}

fn recurrent(asked: &Asked<'_>) -> Option<Vec<Shape>> {
    let (&[first, second, _], &[directions, _, hidden]) = (asked.dims(0)?, asked.dims(2)?) else {
        return None;
    };
    let (all, last) = if asked.call.flag("layout", false) {
        (
            vec![first, second, directions, hidden],
            [first, directions, hidden],
        )
    } else {
        (
            vec![first, directions, second, hidden],
            [directions, second, hidden],
        )
    };
    let count = if asked.call.op() == "LSTM" { 3 } else { 2 };
    let all = [shape(&all, FLOAT), shape(&last, FLOAT), shape(&last, FLOAT)];
    Some(all[..count].to_vec())
}

fn parts(asked: &Asked<'_>) -> Option<Vec<Shape>> {
    let (dims, call) = (asked.dims(0)?, &asked.call);
    let at = call.axis(0, dims.len()).ok()?;
    let lengths = match asked.is_clear(1).then(|| call.list("split", 1).ok())?? {
        Some(lengths) if lengths.len() == call.outputs() => sizes(lengths).ok()?,
        Some(_) => return None,
        None => {
            let count = call.outputs().max(1);
            let each = dims[at].div_ceil(count);
            (0..count)
                .map(|part| each.min(dims[at].saturating_sub(part * each)))
                .collect()
        }
    };
    let each = asked.each(0)?;
    let part = |length: usize| {
        let mut dims = dims.to_vec();
        dims[at] = length;
        shape(&dims, each)
    };
    Some(lengths.into_iter().map(part).collect())
}

fn reshape(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let wanted = asked.list("shape", 1)?;
    movement::reshaped(asked.dims(0)?, &wanted, asked.call.flag("allowzero", false)).ok()
}

fn flatten(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let dims = asked.dims(0)?;
    let at = asked.call.int("axis", 1);
    let at = if at == dims.len() as i64 {
        dims.len()
    } else {
        axis(at, dims.len()).ok()?
    };
    let (before, behind) = dims.split_at(at);
    Some(vec![before.iter().product(), behind.iter().product()])
}

fn squeeze(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let dims = asked.dims(0)?;
    let named = asked.is_clear(1).then(|| asked.call.list("axes", 1).ok())??;
    let gone = match named {
        Some(named) => axes(&named, dims.len()).ok()?,
        None => (0..dims.len()).filter(|&at| dims[at] == 1).collect(),
    };
    Some(without(dims, &gone, false))
}

fn unsqueeze(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let (dims, named) = (asked.dims(0)?, asked.list("axes", 1)?);
    let rank = Some(dims.len() + named.len()).filter(|&rank| rank <= TENSOR_RANK_MAX)?;
    let added = axes(&named, rank).ok()?;
    let mut left = dims.iter().copied();
    let size = |at| if added.contains(&at) { Some(1) } else { left.next() };
    (0..rank).map(size).collect()
}

fn transpose(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let dims = asked.dims(0)?;
    let order = match asked.call.ints("perm") {
        Some(order) => axes(order, dims.len()).ok()?,
        None => (0..dims.len()).rev().collect(),
    };
    Some(order.into_iter().map(|at| dims[at]).collect())
}

fn expand(asked: &Asked<'_>) -> Option<Vec<usize>> {
    stretch(asked.dims(0)?, &sizes(asked.call.integers(1).ok()?).ok()?)
}

fn tile(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let repeats = sizes(asked.call.integers(1).ok()?).ok()?;
    let pairs = asked.dims(0)?.iter().zip(repeats);
    Some(pairs.map(|(&size, count)| size.saturating_mul(count)).collect())
}

fn concat(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let mut dims = asked.dims(0)?.to_vec();
    let at = if asked.call.has("axis") {
        asked.call.int("axis", 0)
    } else {
        1
    };
    let at = axis(at, dims.len()).ok()?;
    for index in 1..asked.facts.len() {
        dims[at] = dims[at].saturating_add(*asked.dims(index)?.get(at)?);
    }
    Some(dims)
}

fn sliced(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let known = (1..5).all(|index| asked.is_clear(index));
    known.then(|| movement::sliced(&asked.call, asked.dims(0)?).ok())?
}

fn pad(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let (mut dims, pads) = (asked.dims(0)?.to_vec(), asked.list("pads", 1)?);
    let named = match (asked.is_clear(3), asked.call.optional(3)) {
        (true, Some(named)) => axes(&integers(named).ok()?, dims.len()).ok()?,
        (true, None) => (0..dims.len()).collect(),
        (false, _) => return None,
    };
    for (at, &axis) in named.iter().enumerate() {
        let (front, back) = (*pads.get(at)?, *pads.get(named.len() + at)?);
        dims[axis] = size((dims[axis] as i64).saturating_add(front).saturating_add(back)).ok()?;
    }
    Some(dims)
}

fn blocks(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let (&[n, c, h, w], block) = (asked.dims(0)?, size(asked.call.int("blocksize", 0)).ok()?) else {
        return None;
    };
    let square = block.checked_mul(block).filter(|&square| square > 0)?;
    let times = usize::saturating_mul;
    Some(if asked.call.op() == "DepthToSpace" {
        vec![n, c / square, times(h, block), times(w, block)]
    } else {
        vec![n, times(c, square), h / block, w / block]
    })
}

fn cropped(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let (mut dims, wanted) = (asked.dims(0)?.to_vec(), asked.call.integers(1).ok()?);
    let named = match asked.call.ints("axes") {
        Some(named) => axes(named, dims.len()).ok()?,
        None => (0..dims.len()).collect(),
    };
    for (axis, wanted) in named.into_iter().zip(wanted) {
        dims[axis] = size(wanted).ok()?;
    }
    Some(dims)
}

fn upsample(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let scales = match asked.call.optional(1) {
        Some(scales) => scales.as_floats()?,
        None if asked.is_clear(1) => asked.call.float_list("scales")?,
        None => return None,
    };
    let pairs = asked.dims(0)?.iter().zip(scales);
    Some(
        pairs
            .map(|(&size, &scale)| (size as f32 * scale) as usize)
            .collect(),
    )
}

fn gather(asked: &Asked<'_>) -> Option<Vec<usize>> {
    let (table, indices) = (asked.dims(0)?, asked.dims(1)?);
    let at = asked.call.axis(0, table.len()).ok()?;
    Some([&table[..at], indices, &table[at + 1..]].concat())
}
