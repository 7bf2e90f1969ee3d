//! RNN, GRU and LSTM, step by step.

use super::call::{Call, Outcome, Problem, floats, integers, sizes};
use super::elementwise::sigmoid;
use crate::tensor::{Tensor, elements};

/// A gate's function.
type Activation = fn(f32) -> f32;

fn activation(name: &str) -> Result<Activation, Problem> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "sigmoid" => sigmoid,
        "tanh" => f32::tanh,
        "relu" => |x| x.max(0.0),
        "softsign" => |x| x / (1.0 + x.abs()),
        "softplus" => super::elementwise::softplus,
        _ => return Err(format!("activation {name:?}").into()),
    })
}

/// The sizes and settings of one call.
struct Cell<'a> {
    call: &'a Call<'a>,
    gates: usize,
    hidden: usize,
    input: usize,
    batch: usize,
    clip: f32,
}

/// One direction's weights.
struct Weights<'a> {
    w: &'a [f32],
    r: &'a [f32],
    b: Vec<f32>,
    peepholes: Option<&'a [f32]>,
    functions: Vec<Activation>,
}

/// What a sequence carries along.
struct State {
    hidden: Vec<f32>,
    cell: Vec<f32>,
}

pub(super) fn recurrent(call: &Call<'_>) -> Outcome {
    let (x, w, r) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let gates = match call.op() {
        "RNN" => 1,
        "GRU" => 3,
        _ => 4,
    };
    let by_batch = call.flag("layout", false);
    let (&[first, second, input], &[directions, rows, w_input], &[r_directions, r_rows, hidden]) =
        (x.dims(), w.dims(), r.dims())
    else {
        return Err("its input or weights have the wrong rank".into());
    };
    let (steps, batch) = if by_batch {
        (second, first)
    } else {
        (first, second)
    };
    let way = call.text("direction", "forward");
    let expected = if way == "bidirectional" { 2 } else { 1 };
    let fits = w_input == input
        && r_directions == directions
        && rows == r_rows
        && Some(rows) == hidden.checked_mul(gates)
        && directions == expected
        && call.int("hidden_size", hidden as i64) == hidden as i64;
    if !fits {
        return Err("its weights do not fit its input".into());
    }
    let cell = Cell {
        call,
        gates,
        hidden,
        input,
        batch,
        clip: call.float("clip", f32::INFINITY),
    };
    let lengths = match call.optional(4) {
        Some(lengths) => sizes(integers(lengths)?)?,
        None => vec![steps; batch],
    };
    if lengths.len() != batch || lengths.iter().any(|&length| length > steps) {
        return Err("its sequence lengths do not fit".into());
    }
    super::place::work(&[steps, directions, batch, rows, input.saturating_add(hidden)])?;
    let mut all = vec![0.0_f32; elements(&[steps, directions, batch, hidden])?];
    let (mut last, mut last_cell) = (Vec::new(), Vec::new());
    for direction in 0..directions {
        let weights = cell.weights(direction, directions)?;
        let backwards = way == "reverse" || direction == 1;
        let mut state = cell.state(direction, directions)?;
        for at in 0..steps {
            for (item, &length) in lengths.iter().enumerate() {
                if at >= length {
                    continue;
                }
                let step = if backwards { length - 1 - at } else { at };
                let place = if by_batch {
                    item * steps + step
                } else {
                    step * batch + item
                };
                let row = &floats(x)?[place * input..][..input];
                cell.step(&weights, row, item, &mut state);
                let to = ((step * directions + direction) * batch + item) * hidden;
                all[to..to + hidden].copy_from_slice(&state.hidden[item * hidden..][..hidden]);
            }
        }
        last.extend(state.hidden);
        last_cell.extend(state.cell);
    }
    outputs(
        &cell,
        by_batch,
        [steps, directions, batch, hidden],
        all,
        last,
        last_cell,
    )
}

/// All states and the last ones, in the layout that is asked for.
fn outputs(
    cell: &Cell<'_>,
    by_batch: bool,
    [steps, directions, batch, hidden]: [usize; 4],
    all: Vec<f32>,
    last: Vec<f32>,
    last_cell: Vec<f32>,
) -> Outcome {
    let all = Tensor::floats(&[steps, directions, batch, hidden], all)?;
    let end = |values| Tensor::floats(&[directions, batch, hidden], values);
    let (mut outputs, lasts) = (Vec::new(), [end(last)?, end(last_cell)?]);
    let count = if cell.call.op() == "LSTM" { 2 } else { 1 };
    if by_batch {
        let places = super::place::places(
            &[batch, steps, directions, hidden],
            0,
            &[hidden, directions * batch * hidden, batch * hidden, 1],
        );
        outputs.push(all.taken(&[batch, steps, directions, hidden], &places)?);
        let places = super::place::places(&[batch, directions, hidden], 0, &[hidden, batch * hidden, 1]);
        for tensor in &lasts[..count] {
            outputs.push(tensor.taken(&[batch, directions, hidden], &places)?);
        }
    } else {
        outputs.push(all);
        outputs.extend(lasts.into_iter().take(count));
    }
    Ok(outputs)
}

impl<'a> Cell<'a> {
    fn weights(&self, direction: usize, directions: usize) -> Result<Weights<'a>, Problem> {
        let rows = self.gates * self.hidden;
        let half = |index: usize, each: usize| -> Result<Option<&'a [f32]>, Problem> {
            let Some(tensor) = self.call.optional(index) else {
                return Ok(None);
            };
            let values = floats(tensor)?;
            if values.len() != directions * each {
                return Err(format!("input {index} has the wrong size").into());
            }
            Ok(Some(&values[direction * each..(direction + 1) * each]))
        };
        let names = match self.call.texts("activations") {
            Some(names) => names,
            None => match self.call.op() {
                "RNN" => ["Tanh"].repeat(directions),
                "GRU" => ["Sigmoid", "Tanh"].repeat(directions),
                _ => ["Sigmoid", "Tanh", "Tanh"].repeat(directions),
            },
        };
        let each = names.len() / directions;
        let functions = names[direction * each..(direction + 1) * each]
            .iter()
            .map(|name| activation(name))
            .collect::<Result<Vec<_>, _>>()?;
        let needed = match self.call.op() {
            "RNN" => 1,
            "GRU" => 2,
            _ => 3,
        };
        if functions.len() != needed || self.call.has("activation_alpha") || self.call.has("activation_beta")
        {
            return Err("its activations are not the usual ones".into());
        }
        if self.call.flag("input_forget", false) {
            return Err("input_forget is not known".into());
        }
        Ok(Weights {
            w: half(1, rows * self.input)?.ok_or("it has no weights")?,
            r: half(2, rows * self.hidden)?.ok_or("it has no recurrent weights")?,
            b: half(3, 2 * rows)?.map_or_else(|| vec![0.0; 2 * rows], <[f32]>::to_vec),
            peepholes: if self.call.op() == "LSTM" {
                half(7, 3 * self.hidden)?
            } else {
                None
            },
            functions,
        })
    }

    fn state(&self, direction: usize, directions: usize) -> Result<State, Problem> {
        let each = self.batch * self.hidden;
        let by_batch = self.call.flag("layout", false);
        let initial = |index: usize| -> Result<Vec<f32>, Problem> {
            let Some(tensor) = self.call.optional(index) else {
                return Ok(vec![0.0; each]);
            };
            let values = floats(tensor)?;
            if values.len() != directions * each {
                return Err("its initial state has the wrong size".into());
            }
            let place = |item: usize| {
                if by_batch {
                    item * directions + direction
                } else {
                    direction * self.batch + item
                }
            };
            Ok((0..self.batch)
                .flat_map(|item| values[place(item) * self.hidden..][..self.hidden].to_vec())
                .collect())
        };
        let cell = if self.call.op() == "LSTM" {
            initial(6)?
        } else {
            vec![0.0; each]
        };
        Ok(State {
            hidden: initial(5)?,
            cell,
        })
    }

    /// `W·x + R·h + b` for row `row` of a gate, in its two parts.
    fn parts(&self, weights: &Weights<'_>, row: usize, x: &[f32], h: &[f32]) -> (f32, f32) {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let rows = self.gates * self.hidden;
        let from_input = dot(&weights.w[row * self.input..][..self.input], x) + weights.b[row];
        let from_state = dot(&weights.r[row * self.hidden..][..self.hidden], h) + weights.b[rows + row];
        (from_input, from_state)
    }

    fn clipped(&self, x: f32) -> f32 {
        x.max(-self.clip).min(self.clip)
    }

    fn step(&self, weights: &Weights<'_>, x: &[f32], item: usize, state: &mut State) {
        let size = self.hidden;
        let range = item * size..(item + 1) * size;
        let h = state.hidden[range.clone()].to_vec();
        let f = &weights.functions;
        let gate = |number: usize, at: usize| {
            let (a, b) = self.parts(weights, number * size + at, x, &h);
            a + b
        };
        let fresh: Vec<f32> = match self.call.op() {
            "RNN" => (0..size).map(|at| f[0](self.clipped(gate(0, at)))).collect(),
            "GRU" => {
                let reset: Vec<f32> = (0..size).map(|at| f[0](self.clipped(gate(1, at)))).collect();
                let early = self.call.int("linear_before_reset", 0) == 0;
                let damped: Vec<f32> = h.iter().zip(&reset).map(|(h, r)| h * r).collect();
                (0..size)
                    .map(|at| {
                        let update = f[0](self.clipped(gate(0, at)));
                        let row = 2 * size + at;
                        let sum = if early {
                            let (a, b) = self.parts(weights, row, x, &damped);
                            a + b
                        } else {
                            let (a, b) = self.parts(weights, row, x, &h);
                            a + reset[at] * b
                        };
                        (1.0 - update) * f[1](self.clipped(sum)) + update * h[at]
                    })
                    .collect()
            }
            _ => (0..size)
                .map(|at| {
                    // Gates lie in the order input, output, forget, cell.
                    let peep =
                        |part: usize, c: f32| weights.peepholes.map_or(0.0, |p| p[part * size + at] * c);
                    let old = state.cell[item * size + at];
                    let enter = f[0](self.clipped(gate(0, at) + peep(0, old)));
                    let forget = f[0](self.clipped(gate(2, at) + peep(2, old)));
                    let new = forget * old + enter * f[1](self.clipped(gate(3, at)));
                    state.cell[item * size + at] = new;
                    let leave = f[0](self.clipped(gate(1, at) + peep(1, new)));
                    leave * f[2](new)
                })
                .collect(),
        };
        state.hidden[range].copy_from_slice(&fresh);
    }
}
