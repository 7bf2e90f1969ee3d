//! Operators that read or write where integers say.

use super::call::{Call, Outcome, Problem, axis, floats, integers, one, size, sizes};
use super::place::{Along, strides, try_walk, walk, work};
use crate::onnx::proto::DataType;
use crate::tensor::{Data, Tensor, elements};

/// An index that may count from the end.
fn within(index: i64, size: usize) -> Result<usize, Problem> {
    axis(index, size).map_err(|_| format!("index {index} of {size}").into())
}

pub(super) fn gather(call: &Call<'_>) -> Outcome {
    let (table, indices) = (call.input(0)?, call.input(1)?);
    let axis = call.axis(0, table.rank())?;
    let along = Along::new(table.dims(), axis);
    let rows: Vec<usize> = integers(indices)?
        .into_iter()
        .map(|index| within(index, along.size))
        .collect::<Result<_, _>>()?;
    let dims = [&table.dims()[..axis], indices.dims(), &table.dims()[axis + 1..]].concat();
    let mut from = Vec::with_capacity(elements(&dims)?);
    for block in 0..along.outer {
        for &row in &rows {
            from.extend((0..along.inner).map(|behind| along.place(block, row, behind)));
        }
    }
    one(table.taken(&dims, &from))
}

pub(super) fn gather_elements(call: &Call<'_>) -> Outcome {
    let (table, indices) = (call.input(0)?, call.input(1)?);
    let from = element_places(call, table, indices)?;
    one(table.taken(indices.dims(), &from))
}

/// The places that GatherElements reads and ScatterElements writes.
fn element_places(call: &Call<'_>, table: &Tensor, indices: &Tensor) -> Result<Vec<usize>, Problem> {
    let axis = call.axis(0, table.rank())?;
    let fits = indices.rank() == table.rank()
        && (0..table.rank()).all(|at| at == axis || indices.dims()[at] <= table.dims()[at]);
    if !fits {
        return Err("its indices do not fit its data".into());
    }
    let own = strides(table.dims());
    let values = integers(indices)?;
    let mut found = Vec::with_capacity(values.len());
    try_walk(indices.dims(), |index| {
        let row = within(values[found.len()], table.dims()[axis])?;
        let place = |at: usize| if at == axis { row } else { index[at] };
        found.push((0..index.len()).map(|at| place(at) * own[at]).sum());
        Ok(())
    })?;
    Ok(found)
}

/// Tuples of indices for GatherND and ScatterND: where each leads, and how many elements lie there.
fn tuple_places(
    dims: &[usize],
    indices: &Tensor,
    batch: usize,
) -> Result<(Vec<usize>, Vec<usize>, usize), Problem> {
    let (Some((&depth, tuples)), true) = (indices.dims().split_last(), batch < indices.rank()) else {
        return Err("its indices have no last dimension".into());
    };
    if batch + depth > dims.len() || dims[..batch] != indices.dims()[..batch] {
        return Err("its indices do not fit its data".into());
    }
    let (own, values) = (strides(dims), integers(indices)?);
    let inner: usize = dims[batch + depth..].iter().product();
    let mut found = Vec::with_capacity(tuples.iter().product());
    try_walk(tuples, |index| {
        let tuple = &values[found.len() * depth..(found.len() + 1) * depth];
        let mut place: usize = (0..batch).map(|at| index[at] * own[at]).sum();
        for (at, &value) in tuple.iter().enumerate() {
            place += within(value, dims[batch + at])? * own[batch + at];
        }
        found.push(place);
        Ok(())
    })?;
    Ok((found, [tuples, &dims[batch + depth..]].concat(), inner))
}

pub(super) fn gather_nd(call: &Call<'_>) -> Outcome {
    let (table, indices) = (call.input(0)?, call.input(1)?);
    let batch = size(call.int("batch_dims", 0))?;
    let (places, dims, inner) = tuple_places(table.dims(), indices, batch)?;
    elements(&dims)?;
    let from: Vec<usize> = places
        .into_iter()
        .flat_map(|place| place..place + inner)
        .collect();
    one(table.taken(&dims, &from))
}

pub(super) fn scatter_elements(call: &Call<'_>) -> Outcome {
    let (table, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let to = element_places(call, table, indices)?;
    if updates.dims() != indices.dims() {
        return Err("its updates do not fit its indices".into());
    }
    scatter(call, table, updates, &to)
}

pub(super) fn scatter_nd(call: &Call<'_>) -> Outcome {
    let (table, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (places, dims, inner) = tuple_places(table.dims(), indices, 0)?;
    if updates.dims() != dims {
        return Err("its updates do not fit its indices".into());
    }
    let to: Vec<usize> = places
        .into_iter()
        .flat_map(|place| place..place + inner)
        .collect();
    scatter(call, table, updates, &to)
}

fn scatter(call: &Call<'_>, table: &Tensor, updates: &Tensor, to: &[usize]) -> Outcome {
    let how = call.text("reduction", "none");
    macro_rules! write {
        ($kind:ident, $old:ident, $new:ident, $combine:expr) => {{
            let (mut values, combine) = ($old.clone(), $combine);
            for (&place, &value) in to.iter().zip($new) {
                values[place] = combine(values[place], value);
            }
            Data::$kind(values)
        }};
    }
    let data = match (table.data(), updates.data()) {
        (Data::F32(old), Data::F32(new)) => write!(F32, old, new, combine_floats(how)?),
        (Data::I64(old), Data::I64(new)) => write!(I64, old, new, combine_integers(how)?),
        (Data::I32(old), Data::I32(new)) if how == "none" => write!(I32, old, new, |_, new| new),
        (Data::U8(old), Data::U8(new)) if how == "none" => write!(U8, old, new, |_, new| new),
        (Data::I8(old), Data::I8(new)) if how == "none" => write!(I8, old, new, |_, new| new),
        (Data::Bool(old), Data::Bool(new)) if how == "none" => write!(Bool, old, new, |_, new| new),
        _ => return Err(format!("{:?} by {:?} with {how:?}", table.kind(), updates.kind()).into()),
    };
    one(Tensor::new(table.dims(), data))
}

fn combine_floats(how: &str) -> Result<fn(f32, f32) -> f32, Problem> {
    Ok(match how {
        "none" => |_, new| new,
        "add" => |old, new| old + new,
        "mul" => |old, new| old * new,
        "max" => f32::max,
        "min" => f32::min,
        _ => return Err(format!("reduction {how:?}").into()),
    })
}

fn combine_integers(how: &str) -> Result<fn(i64, i64) -> i64, Problem> {
    Ok(match how {
        "none" => |_, new| new,
        "add" => i64::wrapping_add,
        "mul" => i64::wrapping_mul,
        "max" => i64::max,
        "min" => i64::min,
        _ => return Err(format!("reduction {how:?}").into()),
    })
}

pub(super) fn one_hot(call: &Call<'_>) -> Outcome {
    let (indices, values) = (call.input(0)?, call.input(2)?);
    let depth = scalar(call, 1)?;
    let depth = size(depth)?;
    if values.len() != 2 {
        return Err("it needs two values".into());
    }
    let axis = axis(call.int("axis", -1), indices.rank() + 1)?;
    let wanted = match indices.as_floats() {
        Some(values) => values.iter().map(|&value| value as i64).collect(),
        None => integers(indices)?,
    };
    let (before, behind) = indices.dims().split_at(axis);
    let dims = [before, &[depth], behind].concat();
    let count = elements(&dims)?;
    let inner: usize = behind.iter().product();
    let mut hot = vec![0; count];
    for (at, &index) in wanted.iter().enumerate() {
        let index = if index < 0 {
            index.saturating_add(depth as i64)
        } else {
            index
        };
        if let Some(row) = usize::try_from(index).ok().filter(|&row| row < depth) {
            hot[(at / inner * depth + row) * inner + at % inner] = 1;
        }
    }
    one(values.taken(&dims, &hot))
}

/// The only integer of an input, which some exporters write as a float.
pub(super) fn scalar(call: &Call<'_>, index: usize) -> Result<i64, Problem> {
    let tensor = call.input(index)?;
    let found = match tensor.as_floats() {
        Some(values) => values.first().map(|&value| value as i64),
        None => integers(tensor)?.first().copied(),
    };
    found.ok_or_else(|| format!("input {index} is empty").into())
}

pub(super) fn compress(call: &Call<'_>) -> Outcome {
    let (input, kept) = (call.input(0)?, call.integers(1)?);
    let (input, axis) = if call.has("axis") {
        (input.clone(), call.axis(0, input.rank())?)
    } else {
        (input.reshaped(&[input.len()])?, 0)
    };
    let along = Along::new(input.dims(), axis);
    let rows: Vec<usize> = (0..kept.len().min(along.size))
        .filter(|&at| kept[at] != 0)
        .collect();
    let mut dims = input.dims().to_vec();
    dims[axis] = rows.len();
    let mut from = Vec::new();
    for block in 0..along.outer {
        for &row in &rows {
            from.extend((0..along.inner).map(|behind| along.place(block, row, behind)));
        }
    }
    one(input.taken(&dims, &from))
}

pub(super) fn non_zero(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let set: Vec<bool> = match input.as_floats() {
        Some(values) => values.iter().map(|&value| value != 0.0).collect(),
        None => integers(input)?.into_iter().map(|value| value != 0).collect(),
    };
    let count = set.iter().filter(|&&set| set).count();
    let mut found = vec![0_i64; elements(&[input.rank(), count])?];
    let (mut at, mut column) = (0, 0);
    walk(input.dims(), |index| {
        if set[at] {
            for (axis, &place) in index.iter().enumerate() {
                found[axis * count + column] = place as i64;
            }
            column += 1;
        }
        at += 1;
    });
    one(Tensor::integers(&[input.rank(), count], found))
}

/// TopK: the k largest or smallest of each line, equal ones in order of their index.
pub(super) fn top_k(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let axis = call.axis(-1, input.rank())?;
    let along = Along::new(input.dims(), axis);
    let k = match call.optional(1) {
        Some(_) => scalar(call, 1)?,
        None => call.int("k", 0),
    };
    let k = size(k)?;
    if k > along.size {
        return Err(format!("{k} of {} are asked for", along.size).into());
    }
    let largest = call.flag("largest", true);
    let order: Box<dyn Fn(usize, usize) -> std::cmp::Ordering> = match input.as_floats() {
        Some(values) => Box::new(|a, b| values[a].total_cmp(&values[b])),
        None => {
            let values = integers(input)?;
            Box::new(move |a, b| values[a].cmp(&values[b]))
        }
    };
    let mut dims = input.dims().to_vec();
    dims[axis] = k;
    let count = elements(&dims)?;
    let (mut from, mut indices) = (vec![0; count], vec![0_i64; count]);
    for block in 0..along.outer {
        for behind in 0..along.inner {
            let mut line: Vec<usize> = (0..along.size).collect();
            line.sort_by(|&a, &b| {
                let (a, b) = (along.place(block, a, behind), along.place(block, b, behind));
                if largest { order(b, a) } else { order(a, b) }
            });
            for (rank, &at) in line[..k].iter().enumerate() {
                let to = (block * k + rank) * along.inner + behind;
                from[to] = along.place(block, at, behind);
                indices[to] = at as i64;
            }
        }
    }
    Ok(vec![
        input.taken(&dims, &from)?,
        Tensor::integers(&dims, indices)?,
    ])
}

/// Unique: values, where each is first, where each input went, how often each is there.
pub(super) fn unique(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let (input, axis) = if call.has("axis") {
        (input.clone(), call.axis(0, input.rank())?)
    } else {
        (input.reshaped(&[input.len()])?, 0)
    };
    let along = Along::new(input.dims(), axis);
    let order = |a: usize, b: usize| -> std::cmp::Ordering {
        let pairs = || {
            let places =
                (0..along.outer).flat_map(|block| (0..along.inner).map(move |behind| (block, behind)));
            places.map(|(block, behind)| (along.place(block, a, behind), along.place(block, b, behind)))
        };
        match input.data() {
            Data::F32(v) => pairs().map(|(a, b)| v[a].total_cmp(&v[b])).find(|o| o.is_ne()),
            Data::I64(v) => pairs().map(|(a, b)| v[a].cmp(&v[b])).find(|o| o.is_ne()),
            Data::I32(v) => pairs().map(|(a, b)| v[a].cmp(&v[b])).find(|o| o.is_ne()),
            Data::I8(v) => pairs().map(|(a, b)| v[a].cmp(&v[b])).find(|o| o.is_ne()),
            Data::U8(v) => pairs().map(|(a, b)| v[a].cmp(&v[b])).find(|o| o.is_ne()),
            Data::Bool(v) => pairs().map(|(a, b)| v[a].cmp(&v[b])).find(|o| o.is_ne()),
        }
        .unwrap_or(std::cmp::Ordering::Equal)
    };
    let mut sorted: Vec<usize> = (0..along.size).collect();
    sorted.sort_by(|&a, &b| order(a, b));
    // Groups of equal rows lie one after the other: where each starts. The sort is stable, so its first row is its least.
    let starts = (0..sorted.len()).filter(|&at| at == 0 || order(sorted[at - 1], sorted[at]).is_ne());
    let mut starts: Vec<usize> = starts.collect();
    let mut ends = vec![sorted.len(); sorted.len()];
    for pair in starts.windows(2) {
        ends[pair[0]] = pair[1];
    }
    if !call.flag("sorted", true) {
        starts.sort_by_key(|&start| sorted[start]);
    }
    let mut inverse = vec![0_i64; along.size];
    for (number, &start) in starts.iter().enumerate() {
        for &at in &sorted[start..ends[start]] {
            inverse[at] = number as i64;
        }
    }
    let count = starts.len();
    let mut dims = input.dims().to_vec();
    dims[axis] = count;
    let mut from = Vec::with_capacity(elements(&dims)?);
    for block in 0..along.outer {
        for &start in &starts {
            from.extend((0..along.inner).map(|behind| along.place(block, sorted[start], behind)));
        }
    }
    let each = |value: &dyn Fn(usize) -> usize| starts.iter().map(|&start| value(start) as i64).collect();
    Ok(vec![
        input.taken(&dims, &from)?,
        Tensor::integers(&[count], each(&|start| sorted[start]))?,
        Tensor::integers(&[along.size], inverse)?,
        Tensor::integers(&[count], each(&|start| ends[start] - start))?,
    ])
}

/// ArgMax and ArgMin.
pub(super) fn arg_extreme(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let axis = call.axis(0, input.rank())?;
    let along = Along::new(input.dims(), axis);
    if along.size == 0 {
        return Err("nothing is the largest of an empty axis".into());
    }
    let (most, last) = (call.op() == "ArgMax", call.flag("select_last_index", false));
    let better: Box<dyn Fn(usize, usize) -> bool> = match input.as_floats() {
        Some(v) => Box::new(move |new, old| match (most, last) {
            (true, false) => v[new] > v[old],
            (true, true) => v[new] >= v[old],
            (false, false) => v[new] < v[old],
            (false, true) => v[new] <= v[old],
        }),
        None => {
            let v = integers(input)?;
            Box::new(move |new, old| match (most, last) {
                (true, false) => v[new] > v[old],
                (true, true) => v[new] >= v[old],
                (false, false) => v[new] < v[old],
                (false, true) => v[new] <= v[old],
            })
        }
    };
    let mut found = Vec::with_capacity(along.outer * along.inner);
    for block in 0..along.outer {
        for behind in 0..along.inner {
            let mut best = 0;
            for at in 1..along.size {
                if better(along.place(block, at, behind), along.place(block, best, behind)) {
                    best = at;
                }
            }
            found.push(best as i64);
        }
    }
    let mut dims = input.dims().to_vec();
    if call.flag("keepdims", true) {
        dims[axis] = 1;
    } else {
        dims.remove(axis);
    }
    one(Tensor::integers(&dims, found))
}

pub(super) fn shape_of(call: &Call<'_>) -> Outcome {
    let part = shape_part(call, call.input(0)?.dims());
    one(Tensor::integers(
        &[part.len()],
        part.iter().map(|&size| size as i64).collect(),
    ))
}

/// The part of a shape that a Shape is asked for.
pub(super) fn shape_part<'d>(call: &Call<'_>, dims: &'d [usize]) -> &'d [usize] {
    let rank = dims.len() as i64;
    let bound = |name: &str, default: i64| {
        let value = call.int(name, default);
        let value = if value < 0 {
            value.saturating_add(rank)
        } else {
            value
        };
        value.clamp(0, rank) as usize
    };
    let (start, end) = (bound("start", 0), bound("end", rank));
    if start < end { &dims[start..end] } else { &[] }
}

pub(super) fn size_of(call: &Call<'_>) -> Outcome {
    one(Tensor::integers(&[], vec![call.input(0)?.len() as i64]))
}

pub(super) fn constant(call: &Call<'_>) -> Outcome {
    if let Some(tensor) = call.tensor("value")? {
        return Ok(vec![tensor]);
    }
    if call.has("value_float") {
        return one(Tensor::floats(&[], vec![call.float("value_float", 0.0)]));
    }
    if call.has("value_int") {
        return one(Tensor::integers(&[], vec![call.int("value_int", 0)]));
    }
    if let Some(values) = call.float_list("value_floats") {
        return one(Tensor::floats(&[values.len()], values.to_vec()));
    }
    match call.ints("value_ints") {
        Some(values) => one(Tensor::integers(&[values.len()], values.to_vec())),
        None => Err("its value is not a tensor of numbers".into()),
    }
}

pub(super) fn constant_of_shape(call: &Call<'_>) -> Outcome {
    let dims = sizes(call.integers(0)?)?;
    let value = match call.tensor("value")? {
        Some(value) => value,
        None => Tensor::floats(&[1], vec![0.0])?,
    };
    one(value.splat(&dims))
}

pub(super) fn range(call: &Call<'_>) -> Outcome {
    let (start, step) = (call.input(0)?, call.input(2)?);
    let [from, _, by] = range_bounds(call)?;
    let count = elements(&[range_count(call)?])?;
    if start.as_floats().is_some() {
        let values = (0..count).map(|at| (from + at as f64 * by) as f32);
        return one(Tensor::floats(&[count], values.collect()));
    }
    let (from, by) = (integers(start)?[0], integers(step)?[0]);
    let values = (0..count as i64).map(|at| from.wrapping_add(at.wrapping_mul(by)));
    one(Tensor::wrapped(start.kind(), &[count], values.collect()))
}

/// How many numbers a Range has.
pub(super) fn range_count(call: &Call<'_>) -> Result<usize, Problem> {
    let [from, to, by] = range_bounds(call)?;
    size(((to - from) / by).ceil().max(0.0) as i64)
}

fn range_bounds(call: &Call<'_>) -> Result<[f64; 3], Problem> {
    let (start, limit, step) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let first = |tensor: &Tensor| -> Result<f64, Problem> {
        let found = match tensor.as_floats() {
            Some(values) => values.first().map(|&value| f64::from(value)),
            None => integers(tensor)?.first().map(|&value| value as f64),
        };
        found.ok_or_else(|| "an empty bound".into())
    };
    let (from, to, by) = (first(start)?, first(limit)?, first(step)?);
    if by == 0.0 || !(from.is_finite() && to.is_finite() && by.is_finite()) {
        return Err("its bounds lead nowhere".into());
    }
    Ok([from, to, by])
}

pub(super) fn eye_like(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let &[rows, columns] = input.dims() else {
        return Err("it needs a matrix".into());
    };
    let shift = call.int("k", 0);
    let ones = (0..rows).flat_map(|row| {
        (0..columns).map(move |column| i64::from((column as i64).checked_sub(row as i64) == Some(shift)))
    });
    let ones = Tensor::integers(input.dims(), ones.collect())?;
    let kind = match call.int("dtype", 0) {
        0 => input.kind(),
        code => i32::try_from(code)
            .ok()
            .and_then(|code| DataType::try_from(code).ok())
            .ok_or_else(|| Problem(format!("element type {code} is not supported")))?,
    };
    Ok(vec![super::elementwise::converted(&ones, kind)?])
}

/// NonMaxSuppression: boxes by falling score, without those that overlap a better one too much.
pub(super) fn non_max_suppression(call: &Call<'_>) -> Outcome {
    let (boxes, scores) = (call.input(0)?, call.input(1)?);
    let (&[batches, count, 4], &[score_batches, classes, score_count]) = (boxes.dims(), scores.dims()) else {
        return Err("its boxes or scores have the wrong shape".into());
    };
    if (batches, count) != (score_batches, score_count) {
        return Err("its boxes and scores do not fit".into());
    }
    let limit = match call.optional(2) {
        Some(_) => size(scalar(call, 2)?)?,
        None => 0,
    };
    let threshold = |index: usize| -> Result<Option<f32>, Problem> {
        call.optional(index)
            .map(|tensor| {
                floats(tensor)?
                    .first()
                    .copied()
                    .ok_or_else(|| "an empty threshold".into())
            })
            .transpose()
    };
    work(&[batches, classes, count, limit.min(count)])?;
    elements(&[batches, classes, limit.min(count), 3])?;
    let (overlap_max, score_min) = (threshold(3)?.unwrap_or(0.0), threshold(4)?);
    let centred = call.flag("center_point_box", false);
    let (boxes, scores) = (floats(boxes)?, floats(scores)?);
    let corners = |batch: usize, at: usize| -> [f32; 4] {
        let found = &boxes[(batch * count + at) * 4..][..4];
        let (a, b, c, d) = (found[0], found[1], found[2], found[3]);
        if centred {
            [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0]
        } else {
            [a.min(c), b.min(d), a.max(c), b.max(d)]
        }
    };
    let mut chosen = Vec::new();
    for batch in 0..batches {
        for class in 0..classes {
            let own = &scores[(batch * classes + class) * count..][..count];
            let mut order: Vec<usize> = (0..count)
                .filter(|&at| score_min.is_none_or(|least| own[at] > least))
                .collect();
            order.sort_by(|&a, &b| own[b].total_cmp(&own[a]));
            let mut kept: Vec<usize> = Vec::new();
            for at in order {
                if kept.len() >= limit {
                    break;
                }
                let this = corners(batch, at);
                if kept
                    .iter()
                    .all(|&other| overlap(this, corners(batch, other)) <= overlap_max)
                {
                    kept.push(at);
                }
            }
            chosen.extend(
                kept.into_iter()
                    .flat_map(|at| [batch as i64, class as i64, at as i64]),
            );
        }
    }
    one(Tensor::integers(&[chosen.len() / 3, 3], chosen))
}

/// Intersection over union.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |r: [f32; 4]| (r[2] - r[0]).max(0.0) * (r[3] - r[1]).max(0.0);
    let shared = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let union = area(a) + area(b) - shared;
    if union > 0.0 { shared / union } else { 0.0 }
}
