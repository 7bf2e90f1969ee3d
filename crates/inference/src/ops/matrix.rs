//! Products of matrices, in floats and in small integers.

use super::call::{Call, Outcome, Problem, floats, integers, one};
use super::place::{broadcast, places, stretched, strides, try_walk, walk, work};
use crate::onnx::proto::DataType;
use crate::tensor::{Tensor, elements};

/// Rows of a product of floats that are computed together.
const TILE_ROWS: usize = 4;
/// Columns of such a tile: with so many its sums fit into sixteen registers of four floats, beside one row of each operand.
const TILE_COLUMNS: usize = 8;

/// Which matrices of two stacks are multiplied, and the shape of the result (numpy's matmul).
struct Product {
    rows: usize,
    inner: usize,
    columns: usize,
    /// Pairs of offsets into the operands.
    pairs: Vec<(usize, usize)>,
    dims: Vec<usize>,
}

impl Product {
    fn new(a: &[usize], b: &[usize]) -> Result<Self, Problem> {
        let refuse = || Problem(format!("{a:?} by {b:?} cannot be multiplied"));
        // A vector is a matrix of one row on the left, of one column on the right, and that axis is dropped again.
        let left = if a.len() == 1 { vec![1, a[0]] } else { a.to_vec() };
        let right = if b.len() == 1 { vec![b[0], 1] } else { b.to_vec() };
        let (&[ref stack @ .., rows, inner], &[ref other @ .., depth, columns]) = (&left[..], &right[..])
        else {
            return Err(refuse());
        };
        if inner != depth {
            return Err(refuse());
        }
        let shared = broadcast(stack, other)?;
        let mut dims = shared.clone();
        if a.len() > 1 {
            dims.push(rows);
        }
        if b.len() > 1 {
            dims.push(columns);
        }
        elements(&dims)?;
        work(&[&dims[..], &[inner]].concat())?;
        let offsets = |stack: &[usize]| places(&shared, 0, &stretched(stack, &shared));
        let pairs = offsets(stack).into_iter().zip(offsets(other));
        Ok(Self {
            rows,
            inner,
            columns,
            pairs: pairs
                .map(|(a, b)| (a * rows * inner, b * inner * columns))
                .collect(),
            dims,
        })
    }

    fn run_floats(&self, a: &[f32], b: &[f32]) -> Vec<f32> {
        let mut result = vec![0.0; self.pairs.len() * self.rows * self.columns];
        if self.inner == 0 || self.columns == 0 || self.rows == 0 {
            return result;
        }
        // A stack of matrices by a single one is one tall matrix by it.
        if self.pairs.iter().all(|&(_, start)| start == 0)
            && a.len() / self.inner == result.len() / self.columns
        {
            tiled(a, b, self.inner, self.columns, &mut result);
            return result;
        }
        let blocks = result.chunks_exact_mut(self.rows * self.columns);
        for (&(a_start, b_start), block) in self.pairs.iter().zip(blocks) {
            let (a, b) = (
                &a[a_start..][..self.rows * self.inner],
                &b[b_start..][..self.inner * self.columns],
            );
            tiled(a, b, self.inner, self.columns, block);
        }
        result
    }

    /// Row by row, so that the innermost loop runs along memory.
    fn run<T: Copy + Default, U: Copy + Default>(
        &self,
        a: &[T],
        b: &[T],
        add: impl Fn(&mut U, T, T),
    ) -> Vec<U> {
        let mut result = vec![U::default(); self.pairs.len() * self.rows * self.columns];
        if self.columns == 0 || self.rows == 0 {
            return result;
        }
        let blocks = result.chunks_exact_mut(self.rows * self.columns);
        for (&(a_start, b_start), block) in self.pairs.iter().zip(blocks) {
            for (row, sums) in block.chunks_exact_mut(self.columns).enumerate() {
                let line = &a[a_start + row * self.inner..][..self.inner];
                for (at, &x) in line.iter().enumerate() {
                    let others = &b[b_start + at * self.columns..][..self.columns];
                    sums.iter_mut().zip(others).for_each(|(sum, &y)| add(sum, x, y));
                }
            }
        }
        result
    }
}

/// The product of two matrices of floats, in tiles whose sums stay in registers. The terms of a sum are added in the order of
/// the inner axis whatever the tile, so that the result is the same everywhere.
fn tiled(a: &[f32], b: &[f32], inner: usize, columns: usize, result: &mut [f32]) {
    let mut panel = vec![[0.0; TILE_COLUMNS]; inner];
    for start in (0..columns).step_by(TILE_COLUMNS) {
        let width = TILE_COLUMNS.min(columns - start);
        for (cells, row) in panel.iter_mut().zip(b.chunks_exact(columns)) {
            cells[..width].copy_from_slice(&row[start..start + width]);
        }
        let heights = a.chunks(TILE_ROWS * inner);
        for (lines, block) in heights.zip(result.chunks_mut(TILE_ROWS * columns)) {
            let sums = tile(lines, &panel, inner);
            for (row, sums) in block.chunks_exact_mut(columns).zip(&sums) {
                row[start..start + width].copy_from_slice(&sums[..width]);
            }
        }
    }
}

/// The sums of one tile. Where there are fewer rows than a tile has, the last one is computed again and left out.
fn tile(lines: &[f32], panel: &[[f32; TILE_COLUMNS]], inner: usize) -> [[f32; TILE_COLUMNS]; TILE_ROWS] {
    let last = lines.len() / inner - 1;
    let [one, two, three, four] = [0, 1, 2, 3].map(|row: usize| &lines[row.min(last) * inner..][..inner]);
    let mut sums = [[0.0_f32; TILE_COLUMNS]; TILE_ROWS];
    for ((((cells, x), y), z), w) in panel.iter().zip(one).zip(two).zip(three).zip(four) {
        for (row, factor) in sums.iter_mut().zip([x, y, z, w]) {
            for (sum, cell) in row.iter_mut().zip(cells) {
                *sum += factor * cell;
            }
        }
    }
    sums
}

pub(super) fn matmul(call: &Call<'_>) -> Outcome {
    let (a, b) = (call.input(0)?, call.input(1)?);
    Ok(vec![product(a, b)?])
}

fn product(a: &Tensor, b: &Tensor) -> Result<Tensor, Problem> {
    let plan = Product::new(a.dims(), b.dims())?;
    if let (Some(left), Some(right)) = (a.as_floats(), b.as_floats()) {
        let values = plan.run_floats(left, right);
        return Ok(Tensor::floats(&plan.dims, values)?);
    }
    if a.kind() != b.kind() {
        return Err("its matrices differ in type".into());
    }
    let values = plan.run(&integers(a)?, &integers(b)?, |sum: &mut i64, x: i64, y: i64| {
        *sum = sum.wrapping_add(x.wrapping_mul(y));
    });
    Ok(Tensor::wrapped(a.kind(), &plan.dims, values)?)
}

/// Gemm: α·A·B + β·C, with either matrix transposed.
pub(super) fn gemm(call: &Call<'_>) -> Outcome {
    let turned = |index: usize, name: &str| -> Result<Tensor, Problem> {
        let tensor = call.input(index)?;
        let &[rows, columns] = tensor.dims() else {
            return Err("it needs matrices".into());
        };
        if !call.flag(name, false) {
            return Ok(tensor.clone());
        }
        Ok(tensor.taken(&[columns, rows], &places(&[columns, rows], 0, &[1, columns]))?)
    };
    let result = product(&turned(0, "transA")?, &turned(1, "transB")?)?;
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    let mut values: Vec<f32> = floats(&result)?.iter().map(|x| alpha * x).collect();
    if let Some(added) = call.optional(2) {
        if broadcast(result.dims(), added.dims())? != result.dims() {
            return Err("C is larger than the product".into());
        }
        let added_values = floats(added)?;
        let from = places(result.dims(), 0, &stretched(added.dims(), result.dims()));
        values
            .iter_mut()
            .zip(from)
            .for_each(|(value, at)| *value += beta * added_values[at]);
    }
    one(Tensor::floats(result.dims(), values))
}

/// Integers minus a zero point that is one number, or one for each row (left) or column (right).
fn centred(tensor: &Tensor, zero: Option<&Tensor>, axis_from_end: usize) -> Result<Tensor, Problem> {
    let mut values = integers(tensor)?;
    if let Some(zero) = zero {
        let zeros = integers(zero)?;
        let from = match (zero.len(), tensor.rank().checked_sub(axis_from_end)) {
            (1, _) => vec![0; values.len()],
            (count, Some(axis)) if zero.rank() == 1 && tensor.dims()[axis] == count => {
                let steps: Vec<usize> = (0..tensor.rank()).map(|at| usize::from(at == axis)).collect();
                places(tensor.dims(), 0, &steps)
            }
            _ if zero.rank() == tensor.rank() => {
                if broadcast(tensor.dims(), zero.dims())? != tensor.dims() {
                    return Err("a zero point does not fit".into());
                }
                places(tensor.dims(), 0, &stretched(zero.dims(), tensor.dims()))
            }
            _ => return Err("a zero point does not fit".into()),
        };
        values
            .iter_mut()
            .zip(from)
            .for_each(|(value, at)| *value = value.wrapping_sub(zeros[at]));
    }
    Ok(Tensor::integers(tensor.dims(), values)?)
}

pub(super) fn matmul_integer(call: &Call<'_>) -> Outcome {
    let a = centred(call.input(0)?, call.optional(2), 2)?;
    let b = centred(call.input(1)?, call.optional(3), 1)?;
    let result = product(&a, &b)?;
    one(Tensor::wrapped(
        DataType::Int32,
        result.dims(),
        integers(&result)?,
    ))
}

pub(super) fn q_linear_matmul(call: &Call<'_>) -> Outcome {
    let a = centred(call.input(0)?, call.optional(2), 2)?;
    let b = centred(call.input(3)?, call.optional(5), 1)?;
    let result = product(&a, &b)?;
    let scale = |index: usize, axis_from_end: usize| -> Result<Vec<f32>, Problem> {
        let (scale, rank) = (call.input(index)?, result.rank());
        let steps = match (scale.len(), rank.checked_sub(axis_from_end)) {
            (1, _) => vec![0; rank],
            (count, Some(axis)) if scale.rank() == 1 && result.dims()[axis] == count => {
                (0..rank).map(|at| usize::from(at == axis)).collect()
            }
            _ if scale.rank() == rank && broadcast(result.dims(), scale.dims())? == result.dims() => {
                stretched(scale.dims(), result.dims())
            }
            _ => return Err("a scale does not fit".into()),
        };
        let values = floats(scale)?;
        Ok(places(result.dims(), 0, &steps)
            .into_iter()
            .map(|at| values[at])
            .collect())
    };
    let (left, right, out) = (scale(1, 2)?, scale(4, 1)?, scale(6, 1)?);
    let values: Vec<f32> = integers(&result)?
        .iter()
        .enumerate()
        .map(|(at, &sum)| sum as f32 * left[at] * right[at] / out[at])
        .collect();
    let zero = call.input(7)?;
    let shift = integers(zero)?.first().copied().unwrap_or(0) as f32;
    let overflows = |x: &f32| !(-128.0..=127.0).contains(&(x.round_ties_even() + shift));
    if zero.kind() == DataType::Int8 && values.iter().any(overflows) {
        return Err(
            "a result overflows int8: ONNX's text says that it saturates, its tests that it wraps".into(),
        );
    }
    one(super::quant::rounded(&values, result.dims(), zero))
}

/// The determinant, by elimination with the largest pivot.
pub(super) fn determinant(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let &[ref stack @ .., rows, columns] = input.dims() else {
        return Err("it needs a matrix".into());
    };
    if rows != columns {
        return Err("its matrix is not square".into());
    }
    elements(stack)?;
    work(&[stack, &[rows; 3]].concat())?;
    let mut found = Vec::new();
    for block in floats(input)?.chunks((rows * columns).max(1)) {
        let mut m: Vec<f64> = block.iter().map(|&x| f64::from(x)).collect();
        let mut product = 1.0;
        for step in 0..rows {
            let best = (step..rows)
                .max_by(|&a, &b| m[a * rows + step].abs().total_cmp(&m[b * rows + step].abs()))
                .unwrap_or(step);
            if best != step {
                (0..rows).for_each(|at| m.swap(best * rows + at, step * rows + at));
                product = -product;
            }
            let pivot = m[step * rows + step];
            product *= pivot;
            if pivot == 0.0 {
                break;
            }
            for row in step + 1..rows {
                let factor = m[row * rows + step] / pivot;
                for at in step..rows {
                    m[row * rows + at] -= factor * m[step * rows + at];
                }
            }
        }
        found.push(product as f32);
    }
    one(Tensor::floats(stack, found))
}

/// Einsum over named axes, summed one element at a time.
pub(super) fn einsum(call: &Call<'_>) -> Outcome {
    let inputs = call.all()?;
    let equation: String = call.text("equation", "").chars().filter(|c| *c != ' ').collect();
    let (terms, result) = match equation.split_once("->") {
        Some((terms, result)) => (terms.to_owned(), Some(result.to_owned())),
        None => (equation, None),
    };
    let terms: Vec<Vec<char>> = terms
        .split(',')
        .zip(&inputs)
        .map(|(term, input)| named_axes(term, input.rank()))
        .collect::<Result<_, _>>()?;
    if terms.len() != inputs.len() {
        return Err("its equation has not one term for each input".into());
    }
    let mut sizes: Vec<(char, usize)> = Vec::new();
    for (name, &size) in terms
        .iter()
        .zip(&inputs)
        .flat_map(|(term, input)| term.iter().zip(input.dims()))
    {
        match sizes.iter_mut().find(|(known, _)| known == name) {
            None => sizes.push((*name, size)),
            Some((_, known)) if *known == 1 && name.is_ascii_digit() => *known = size,
            Some((_, known)) if *known == size || (size == 1 && name.is_ascii_digit()) => {}
            Some(_) => return Err(format!("axis {name} has two sizes").into()),
        }
    }
    let wide = sizes.iter().filter(|(name, _)| name.is_ascii_digit()).count();
    let kept = match result {
        Some(result) => {
            let lettered = result.chars().filter(char::is_ascii_alphabetic).count();
            named_axes(&result, lettered + if result.contains("...") { wide } else { 0 })?
        }
        None => implied(&terms, &sizes),
    };
    let summed: Vec<char> = sizes
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !kept.contains(name))
        .collect();
    let size_of = |name: &char| {
        sizes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, size)| *size)
    };
    let lookup = |names: &[char]| -> Result<Vec<usize>, Problem> {
        names
            .iter()
            .map(|name| size_of(name).ok_or_else(|| "an unknown axis".into()))
            .collect()
    };
    let (outer, inner) = (lookup(&kept)?, lookup(&summed)?);
    elements(&outer)?;
    work(&[&outer[..], &inner[..]].concat())?;
    let steps = |names: &[char]| -> Vec<Vec<usize>> {
        let step = |term: &Vec<char>, input: &&Tensor, name: &char| -> usize {
            let own = strides(input.dims());
            let places = (0..term.len()).filter(|&at| term[at] == *name && input.dims()[at] != 1);
            places.map(|at| own[at]).sum()
        };
        terms
            .iter()
            .zip(&inputs)
            .map(|(term, input)| names.iter().map(|name| step(term, input, name)).collect())
            .collect()
    };
    let (outer_steps, inner_steps) = (steps(&kept), steps(&summed));
    let values = inputs
        .iter()
        .map(|input| floats(input))
        .collect::<Result<Vec<_>, _>>()?;
    let reach = |index: &[usize], steps: &[usize]| -> usize {
        index.iter().zip(steps).map(|(at, step)| at * step).sum()
    };
    let mut found = Vec::with_capacity(outer.iter().product());
    walk(&outer, |at| {
        let starts: Vec<usize> = outer_steps.iter().map(|steps| reach(at, steps)).collect();
        let mut sum = 0.0_f32;
        walk(&inner, |within| {
            let factors = values
                .iter()
                .enumerate()
                .map(|(i, values)| values[starts[i] + reach(within, &inner_steps[i])]);
            sum += factors.product::<f32>();
        });
        found.push(sum);
    });
    one(Tensor::floats(&outer, found))
}

/// The axes of a term; those behind an ellipsis are called by digits, counted from the last.
fn named_axes(term: &str, rank: usize) -> Result<Vec<char>, Problem> {
    let letters = term.replace("...", "");
    let valid = letters.chars().all(|c| c.is_ascii_alphabetic());
    let wide = rank.checked_sub(letters.len()).filter(|&wide| wide < 10);
    let (true, Some(wide)) = (valid, wide) else {
        return Err(format!("term {term:?} does not fit {rank} dimensions").into());
    };
    let digits: String = (0..wide)
        .rev()
        .filter_map(|at| char::from_digit(at as u32, 10))
        .collect();
    if term.contains("...") {
        Ok(term.replace("...", &digits).chars().collect())
    } else if wide == 0 {
        Ok(letters.chars().collect())
    } else {
        Err(format!("term {term:?} does not fit {rank} dimensions").into())
    }
}

/// What an equation without an arrow keeps: the axes of an ellipsis, then every letter that is there once, in order.
fn implied(terms: &[Vec<char>], sizes: &[(char, usize)]) -> Vec<char> {
    let count = |name: char| terms.iter().flatten().filter(|other| **other == name).count();
    let mut digits: Vec<char> = sizes
        .iter()
        .map(|(name, _)| *name)
        .filter(char::is_ascii_digit)
        .collect();
    digits.sort_unstable_by(|a, b| b.cmp(a));
    let mut letters: Vec<char> = sizes
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| name.is_ascii_alphabetic() && count(*name) == 1)
        .collect();
    letters.sort_unstable();
    digits.into_iter().chain(letters).collect()
}

/// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
pub(super) fn loss(call: &Call<'_>) -> Outcome {
    let (input, target) = (call.input(0)?, call.input(1)?);
    let (Some(&batch), Some(&classes)) = (input.dims().first(), input.dims().get(1)) else {
        return Err("it has no classes".into());
    };
    let dims = [&[batch], &input.dims()[2..]].concat();
    if target.dims() != dims {
        return Err("its target does not fit its input".into());
    }
    let inner: usize = input.dims()[2..].iter().product();
    let mut logs = floats(input)?.to_vec();
    let cross = call.op() == "SoftmaxCrossEntropyLoss";
    if cross {
        try_walk(&[batch, inner], |index| {
            let places: Vec<usize> = (0..classes)
                .map(|c| (index[0] * classes + c) * inner + index[1])
                .collect();
            let most = places
                .iter()
                .map(|&at| logs[at])
                .fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = places.iter().map(|&at| (logs[at] - most).exp()).sum();
            places
                .iter()
                .for_each(|&at| logs[at] = logs[at] - most - sum.ln());
            Ok(())
        })?;
    }
    let weights = call.optional(2).map(floats).transpose()?;
    if weights.is_some_and(|weights| weights.len() != classes) {
        return Err("it has not one weight for each class".into());
    }
    let ignored = call.has("ignore_index").then(|| call.int("ignore_index", 0));
    let targets = integers(target)?;
    let (mut losses, mut weight_sum) = (Vec::with_capacity(targets.len()), 0.0_f32);
    for (at, &class) in targets.iter().enumerate() {
        if Some(class) == ignored {
            losses.push(0.0);
            continue;
        }
        let class = super::call::axis(class, classes)?;
        let weight = weights.map_or(1.0, |weights| weights[class]);
        weight_sum += weight;
        losses.push(-weight * logs[(at / inner.max(1) * classes + class) * inner + at % inner.max(1)]);
    }
    let total: f32 = losses.iter().sum();
    let result = match call.text("reduction", "mean") {
        "none" => Tensor::floats(&dims, losses)?,
        "sum" => Tensor::floats(&[], vec![total])?,
        "mean" => Tensor::floats(&[], vec![total / weight_sum])?,
        other => return Err(format!("reduction {other:?}").into()),
    };
    let mut outputs = vec![result];
    if cross && call.outputs() > 1 {
        outputs.push(Tensor::floats(input.dims(), logs)?);
    }
    Ok(outputs)
}
