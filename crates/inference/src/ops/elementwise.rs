//! Operators that compute each element from the elements in its place.

use super::call::{Call, Outcome, Problem, floats, integers, one};
use super::place::{broadcast, places, stretched};
use super::special::{erf, gelu, gelu_tanh};
use crate::onnx::proto::DataType;
use crate::tensor::{Data, Tensor, round_to_half};

/// Functions of one float.
pub(super) fn unary(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    if let (None, Some(values)) = (input.as_floats(), input.to_integers()) {
        return one(Tensor::wrapped(
            input.kind(),
            input.dims(),
            integer_unary(call.op(), &values)?,
        ));
    }
    let function = float_function(call)?;
    let values = floats(input)?.iter().map(|&x| function(x)).collect();
    one(Tensor::floats(input.dims(), values))
}

fn integer_unary(op: &str, values: &[i64]) -> Result<Vec<i64>, Problem> {
    let function: fn(i64) -> i64 = match op {
        "Abs" => i64::wrapping_abs,
        "Neg" => i64::wrapping_neg,
        "Sign" => i64::signum,
        "Relu" => |x| x.max(0),
        _ => return Err("it is not defined for integers here".into()),
    };
    Ok(values.iter().map(|&x| function(x)).collect())
}

/// The function that an operator and its settings name.
fn float_function(call: &Call<'_>) -> Result<Box<dyn Fn(f32) -> f32>, Problem> {
    if let Some(function) = plain_function(call.op()) {
        return Ok(Box::new(function));
    }
    let alpha = |default| call.float("alpha", default);
    Ok(match call.op() {
        "Celu" => {
            let a = alpha(1.0);
            Box::new(move |x| x.max(0.0) + (a * ((x / a).exp() - 1.0)).min(0.0))
        }
        "Elu" => {
            let a = alpha(1.0);
            Box::new(move |x| if x < 0.0 { a * x.exp_m1() } else { x })
        }
        "LeakyRelu" => {
            let a = alpha(0.01);
            Box::new(move |x| if x < 0.0 { a * x } else { x })
        }
        "Selu" => {
            let (a, gamma) = (alpha(1.673_263_2), call.float("gamma", 1.050_701));
            Box::new(move |x| gamma * if x <= 0.0 { a * x.exp() - a } else { x })
        }
        "ThresholdedRelu" => {
            let a = alpha(1.0);
            Box::new(move |x| if x > a { x } else { 0.0 })
        }
        "HardSigmoid" => {
            let (a, b) = (alpha(0.2), call.float("beta", 0.5));
            Box::new(move |x| (a * x + b).clamp(0.0, 1.0))
        }
        "Shrink" => {
            let (bias, lambda) = (call.float("bias", 0.0), call.float("lambd", 0.5));
            Box::new(move |x| match x {
                x if x < -lambda => x + bias,
                x if x > lambda => x - bias,
                _ => 0.0,
            })
        }
        "Gelu" => match call.text("approximate", "none") {
            "none" => Box::new(gelu),
            "tanh" => Box::new(gelu_tanh),
            other => return Err(format!("approximation {other:?}").into()),
        },
        _ => return Err("it is not a function of one float".into()),
    })
}

fn plain_function(op: &str) -> Option<fn(f32) -> f32> {
    Some(match op {
        "Abs" => f32::abs,
        "Acos" => f32::acos,
        "Acosh" => f32::acosh,
        "Asin" => f32::asin,
        "Asinh" => f32::asinh,
        "Atan" => f32::atan,
        "Atanh" => f32::atanh,
        "Ceil" => f32::ceil,
        "Cos" => f32::cos,
        "Cosh" => f32::cosh,
        "Erf" => erf,
        "Exp" => f32::exp,
        "Floor" => f32::floor,
        "HardSwish" => |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        "Log" => f32::ln,
        "Mish" => |x| x * softplus(x).tanh(),
        "Neg" => |x| -x,
        "Reciprocal" => f32::recip,
        "Relu" => |x| x.max(0.0),
        "Round" => f32::round_ties_even,
        "Sigmoid" => sigmoid,
        // ONNX: the sign of 0 is 0, and NaN stays NaN.
        "Sign" => |x| if x == 0.0 { 0.0 } else { x.signum() },
        "Sin" => f32::sin,
        "Sinh" => f32::sinh,
        "Softplus" => softplus,
        "Softsign" => |x| x / (1.0 + x.abs()),
        "Sqrt" => f32::sqrt,
        "Tan" => f32::tan,
        "Tanh" => f32::tanh,
        _ => return None,
    })
}

pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// ln(1 + eˣ), written so that large x do not overflow.
pub(super) fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Applies `f` to broadcast pairs.
fn zip<T: Copy, U>(
    (a, a_dims): (&[T], &[usize]),
    (b, b_dims): (&[T], &[usize]),
    f: impl Fn(T, T) -> U,
) -> Result<(Vec<usize>, Vec<U>), Problem> {
    let dims = broadcast(a_dims, b_dims)?;
    let values = if a_dims == b_dims {
        a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
    } else if let ([b], true) = (b, a_dims == dims) {
        a.iter().map(|&a| f(a, *b)).collect()
    } else {
        let left = places(&dims, 0, &stretched(a_dims, &dims));
        let right = places(&dims, 0, &stretched(b_dims, &dims));
        left.iter().zip(&right).map(|(&l, &r)| f(a[l], b[r])).collect()
    };
    Ok((dims, values))
}

fn float_pairs(a: &Tensor, b: &Tensor, f: impl Fn(f32, f32) -> f32) -> Result<Tensor, Problem> {
    let (dims, values) = zip((floats(a)?, a.dims()), (floats(b)?, b.dims()), f)?;
    Ok(Tensor::floats(&dims, values)?)
}

fn integer_pairs(a: &Tensor, b: &Tensor, f: impl Fn(i64, i64) -> i64) -> Result<Tensor, Problem> {
    same_kind(a, b)?;
    let (left, right) = (integers(a)?, integers(b)?);
    let (dims, values) = zip((&left, a.dims()), (&right, b.dims()), f)?;
    Ok(Tensor::wrapped(a.kind(), &dims, values)?)
}

fn same_kind(a: &Tensor, b: &Tensor) -> Result<(), Problem> {
    if a.kind() == b.kind() {
        Ok(())
    } else {
        Err(format!("{:?} with {:?}", a.kind(), b.kind()).into())
    }
}

/// Add, Sub, Mul, Div, and with any number of inputs Max, Min, Sum and Mean.
pub(super) fn arithmetic(call: &Call<'_>) -> Outcome {
    let inputs = call.all()?;
    let mut result = inputs[0].clone();
    for other in &inputs[1..] {
        result = pair(call.op(), &result, other)?;
    }
    if call.op() == "Mean" {
        let count = inputs.len() as f32;
        let values = floats(&result)?.iter().map(|x| x / count).collect();
        result = Tensor::floats(result.dims(), values)?;
    }
    Ok(vec![result])
}

fn pair(op: &str, a: &Tensor, b: &Tensor) -> Result<Tensor, Problem> {
    if a.as_floats().is_some() {
        let function: fn(f32, f32) -> f32 = match op {
            "Add" | "Sum" | "Mean" => |a, b| a + b,
            "Sub" => |a, b| a - b,
            "Mul" => |a, b| a * b,
            "Div" => |a, b| a / b,
            "Max" => |a, b| if a.is_nan() || a > b { a } else { b },
            "Min" => |a, b| if a.is_nan() || a < b { a } else { b },
            _ => return Err("it is not defined for floats".into()),
        };
        return float_pairs(a, b, function);
    }
    if op == "Div" && integers(b)?.contains(&0) {
        return Err("an integer is divided by zero".into());
    }
    let function: fn(i64, i64) -> i64 = match op {
        "Add" | "Sum" => i64::wrapping_add,
        "Sub" => i64::wrapping_sub,
        "Mul" => i64::wrapping_mul,
        "Div" => i64::wrapping_div,
        "Max" => i64::max,
        "Min" => i64::min,
        _ => return Err("it is not defined for integers".into()),
    };
    integer_pairs(a, b, function)
}

pub(super) fn power(call: &Call<'_>) -> Outcome {
    let (base, exponent) = (call.input(0)?, call.input(1)?);
    let exponent = converted(exponent, DataType::Float)?;
    let result = float_pairs(&converted(base, DataType::Float)?, &exponent, f32::powf)?;
    if base.as_floats().is_some() {
        return Ok(vec![result]);
    }
    // Whole powers of integers are exact beyond what a float holds.
    let (dims, values) = zip(
        (&integers(base)?, base.dims()),
        (
            &integers(&converted(call.input(1)?, DataType::Int64)?)?,
            exponent.dims(),
        ),
        |base, exponent| u32::try_from(exponent).map_or(0, |exponent| base.wrapping_pow(exponent)),
    )?;
    one(Tensor::wrapped(base.kind(), &dims, values))
}

/// Mod: the sign of the divisor for integers, of the dividend with `fmod`.
pub(super) fn modulo(call: &Call<'_>) -> Outcome {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let truncating = call.flag("fmod", false);
    if a.as_floats().is_some() {
        if !truncating {
            return Err("floats need fmod = 1".into());
        }
        return Ok(vec![float_pairs(a, b, |a, b| a % b)?]);
    }
    if integers(b)?.contains(&0) {
        return Err("an integer is divided by zero".into());
    }
    let function: fn(i64, i64) -> i64 = if truncating {
        i64::wrapping_rem
    } else {
        |a, b| {
            let rest = a.wrapping_rem(b);
            if rest != 0 && (rest < 0) != (b < 0) {
                rest + b
            } else {
                rest
            }
        }
    };
    Ok(vec![integer_pairs(a, b, function)?])
}

/// Equal, Greater, Less and their inclusive forms.
pub(super) fn comparison(call: &Call<'_>) -> Outcome {
    let (a, b) = (call.input(0)?, call.input(1)?);
    same_kind(a, b)?;
    fn compare<T: PartialOrd>(op: &str) -> Result<fn(T, T) -> bool, Problem> {
        Ok(match op {
            "Equal" => |a, b| a == b,
            "Greater" => |a, b| a > b,
            "GreaterOrEqual" => |a, b| a >= b,
            "Less" => |a, b| a < b,
            "LessOrEqual" => |a, b| a <= b,
            _ => return Err("it does not compare".into()),
        })
    }
    let (dims, values) = if let (Some(left), Some(right)) = (a.as_floats(), b.as_floats()) {
        zip((left, a.dims()), (right, b.dims()), compare(call.op())?)?
    } else {
        zip(
            (&integers(a)?, a.dims()),
            (&integers(b)?, b.dims()),
            compare(call.op())?,
        )?
    };
    one(Tensor::new(&dims, Data::Bool(values)))
}

/// And, Or, Xor of truth values, and the operators that do so bit by bit.
pub(super) fn logic(call: &Call<'_>) -> Outcome {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let unsigned = a.kind() == DataType::Uint8;
    let function: fn(i64, i64) -> i64 = match (call.op(), call.text("direction", "")) {
        ("And" | "BitwiseAnd", _) => |a, b| a & b,
        ("Or" | "BitwiseOr", _) => |a, b| a | b,
        ("Xor" | "BitwiseXor", _) => |a, b| a ^ b,
        ("BitShift", "LEFT") if unsigned => |a, b| a.checked_shl(b as u32).unwrap_or(0),
        ("BitShift", "RIGHT") if unsigned => |a, b| a.checked_shr(b as u32).unwrap_or(0),
        _ => return Err("it is not defined for these elements".into()),
    };
    Ok(vec![integer_pairs(a, b, function)?])
}

pub(super) fn not(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    let function: fn(i64) -> i64 = if call.op() == "Not" {
        |x| i64::from(x == 0)
    } else {
        |x| !x
    };
    let values = integers(input)?.into_iter().map(function).collect();
    one(Tensor::wrapped(input.kind(), input.dims(), values))
}

pub(super) fn prelu(call: &Call<'_>) -> Outcome {
    let (x, slope) = (call.input(0)?, call.input(1)?);
    if broadcast(x.dims(), slope.dims())? != x.dims() {
        return Err("the slope is larger than the input".into());
    }
    Ok(vec![float_pairs(
        x,
        slope,
        |x, slope| if x < 0.0 { slope * x } else { x },
    )?])
}

/// Where: the condition picks from two tensors.
pub(super) fn select(call: &Call<'_>) -> Outcome {
    let (condition, yes, no) = (call.input(0)?, call.input(1)?, call.input(2)?);
    same_kind(yes, no)?;
    let dims = broadcast(condition.dims(), &broadcast(yes.dims(), no.dims())?)?;
    let places_of = |tensor: &Tensor| places(&dims, 0, &stretched(tensor.dims(), &dims));
    let picked: Vec<bool> = {
        let values = integers(condition)?;
        places_of(condition).iter().map(|&at| values[at] != 0).collect()
    };
    let (yes_places, no_places) = (places_of(yes), places_of(no));
    macro_rules! pick {
        ($kind:ident, $yes:ident, $no:ident) => {
            Data::$kind(
                (0..picked.len())
                    .map(|at| {
                        if picked[at] {
                            $yes[yes_places[at]]
                        } else {
                            $no[no_places[at]]
                        }
                    })
                    .collect(),
            )
        };
    }
    let data = match (yes.data(), no.data()) {
        (Data::F32(yes), Data::F32(no)) => pick!(F32, yes, no),
        (Data::I64(yes), Data::I64(no)) => pick!(I64, yes, no),
        (Data::I32(yes), Data::I32(no)) => pick!(I32, yes, no),
        (Data::I8(yes), Data::I8(no)) => pick!(I8, yes, no),
        (Data::U8(yes), Data::U8(no)) => pick!(U8, yes, no),
        (Data::Bool(yes), Data::Bool(no)) => pick!(Bool, yes, no),
        _ => return Err("its two tensors differ in type".into()),
    };
    one(Tensor::new(&dims, data))
}

pub(super) fn cast(call: &Call<'_>) -> Outcome {
    let kind = if call.op() == "CastLike" {
        call.input(1)?.kind()
    } else {
        let to = call.int("to", 0);
        i32::try_from(to)
            .ok()
            .and_then(|to| DataType::try_from(to).ok())
            .ok_or_else(|| Problem(format!("element type {to} is not supported")))?
    };
    Ok(vec![converted(call.input(0)?, kind)?])
}

/// The values in another element type: floats are cut towards zero, and saturate where C leaves it open.
pub(super) fn converted(tensor: &Tensor, kind: DataType) -> Result<Tensor, Problem> {
    if tensor.kind() == kind {
        return Ok(tensor.clone());
    }
    let dims = tensor.dims();
    let result = match (kind, tensor.as_floats()) {
        (DataType::Float | DataType::Double, Some(_)) => Ok(tensor.clone()),
        (DataType::Float16, Some(values)) => {
            Tensor::floats(dims, values.iter().map(|&x| round_to_half(x)).collect())
        }
        (DataType::Float | DataType::Double | DataType::Float16, None) => {
            Tensor::floats(dims, integers(tensor)?.into_iter().map(|x| x as f32).collect())
        }
        (DataType::Bool, Some(values)) => {
            Tensor::new(dims, Data::Bool(values.iter().map(|&x| x != 0.0).collect()))
        }
        (kind, Some(values)) => Tensor::wrapped(kind, dims, values.iter().map(|&x| x as i64).collect()),
        (kind, None) => Tensor::wrapped(kind, dims, integers(tensor)?),
    };
    Ok(result?)
}

pub(super) fn clip(call: &Call<'_>) -> Outcome {
    let input = call.input(0)?;
    if input.as_floats().is_some() {
        let bound = |index: usize, name: &str, default: f32| -> Result<f32, Problem> {
            match call.optional(index) {
                Some(tensor) => floats(tensor)?
                    .first()
                    .copied()
                    .ok_or_else(|| "an empty bound".into()),
                None => Ok(call.float(name, default)),
            }
        };
        let (least, most) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
        // Not `clamp`, which panics for crossed bounds; ONNX lets the upper one win.
        let values = floats(input)?
            .iter()
            .map(|&x| if x.is_nan() { x } else { x.max(least).min(most) });
        return one(Tensor::floats(input.dims(), values.collect()));
    }
    let bound = |index: usize, default: i64| -> Result<i64, Problem> {
        match call.optional(index) {
            Some(tensor) => integers(tensor)?
                .first()
                .copied()
                .ok_or_else(|| "an empty bound".into()),
            None => Ok(default),
        }
    };
    let (least, most) = (bound(1, i64::MIN)?, bound(2, i64::MAX)?);
    let values = integers(input)?.into_iter().map(|x| x.max(least).min(most));
    one(Tensor::wrapped(input.kind(), input.dims(), values.collect()))
}

/// IsInf and IsNaN.
pub(super) fn float_class(call: &Call<'_>) -> Outcome {
    let (above, below) = (
        call.flag("detect_positive", true),
        call.flag("detect_negative", true),
    );
    let values = call.floats(0)?.iter().map(|&x| match call.op() {
        "IsNaN" => x.is_nan(),
        _ => x.is_infinite() && if x > 0.0 { above } else { below },
    });
    one(Tensor::new(call.input(0)?.dims(), Data::Bool(values.collect())))
}
