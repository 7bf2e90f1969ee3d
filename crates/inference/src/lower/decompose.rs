//! Operators that wonnx lacks or gets wrong, written in those that it computes correctly.

use super::ops::Case;
use super::{Computed, Lowering, Value};
use crate::onnx::OnnxError;
use crate::onnx::build::{int, ints};

/// Coefficients of the approximation 7.1.26 in Abramowitz and Stegun, Handbook of Mathematical Functions (1964):
/// erf(x) = 1 − (a₁t + … + a₅t⁵)·exp(−x²) with t = 1/(1 + px) for x ≥ 0; its error is at most 1.5e-7.
pub(crate) const ERF_A: [f32; 5] = [0.254_829_6, -0.284_496_74, 1.421_413_8, -1.453_152, 1.061_405_4];
/// The approximation's p.
pub(crate) const ERF_P: f32 = 0.327_591_1;

impl Lowering {
    /// LayerNormalization or Softmax as it is, for a backend that has it for the last axis.
    pub(super) fn row_wise(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let x = case.computed(0)?.clone();
        self.last_axis_only(case, &x)?;
        let operands = (0..case.inputs.len())
            .map(|index| self.operand(case, index))
            .collect::<Result<Vec<_>, _>>()?;
        let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
        let settings = case.node.attribute.clone();
        Ok(Value::Computed(self.emit(
            &case.node.op_type,
            &operands,
            case.output(),
            &x.dims,
            settings,
        )))
    }

    /// (x − mean) / √(variance + ε) · scale + bias over the last axis.
    pub(super) fn layer_norm(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let x = case.computed(0)?.clone();
        self.last_axis_only(case, &x)?;
        let epsilon = case
            .node
            .attribute
            .iter()
            .find(|found| found.name == "epsilon")
            .map_or(1e-5, |found| found.f);
        let epsilon = self.scalar(epsilon);
        let name = case.output().to_owned();
        let mean = self.reduce("ReduceMean", &x, &format!("{name}.mean"));
        let centred = self.binary("Sub", &x, &mean.name, &format!("{name}.centred"));
        let squared = self.binary("Mul", &centred, &centred.name.clone(), &format!("{name}.squared"));
        let variance = self.reduce("ReduceMean", &squared, &format!("{name}.variance"));
        let padded = self.binary("Add", &variance, &epsilon, &format!("{name}.padded"));
        let deviation = self.unary("Sqrt", &padded, &format!("{name}.deviation"));
        let normal = self.binary("Div", &centred, &deviation.name, &format!("{name}.normal"));
        let scale = self.operand(case, 1)?;
        let has_bias = case.inputs.len() > 2;
        let scaled_name = if has_bias {
            format!("{name}.scaled")
        } else {
            name.clone()
        };
        let scaled = self.binary("Mul", &normal, &scale, &scaled_name);
        if !has_bias {
            return Ok(Value::Computed(scaled));
        }
        let bias = self.operand(case, 2)?;
        Ok(Value::Computed(self.binary("Add", &scaled, &bias, &name)))
    }

    /// exp(x − max) / Σ exp(x − max) over the last axis.
    pub(super) fn softmax(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let x = case.computed(0)?.clone();
        self.last_axis_only(case, &x)?;
        let name = case.output().to_owned();
        let most = self.reduce("ReduceMax", &x, &format!("{name}.max"));
        let shifted = self.binary("Sub", &x, &most.name, &format!("{name}.shifted"));
        let powers = self.unary("Exp", &shifted, &format!("{name}.exp"));
        let sum = self.reduce("ReduceSum", &powers, &format!("{name}.sum"));
        Ok(Value::Computed(self.binary("Div", &powers, &sum.name, &name)))
    }

    pub(super) fn erf(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let x = case.computed(0)?.clone();
        let name = case.output().to_owned();
        let (p, one) = (self.scalar(ERF_P), self.scalar(1.0));
        let sign = self.unary("Sign", &x, &format!("{name}.sign"));
        let size = self.unary("Abs", &x, &format!("{name}.abs"));
        let scaled = self.binary("Mul", &size, &p, &format!("{name}.px"));
        let shifted = self.binary("Add", &scaled, &one, &format!("{name}.px1"));
        let t = self.unary("Reciprocal", &shifted, &format!("{name}.t"));
        // Horner's scheme, from a₅ to a₁.
        let last = self.scalar(ERF_A[4]);
        let mut sum = self.binary("Mul", &t, &last, &format!("{name}.t5"));
        for (index, coefficient) in ERF_A[..4].iter().enumerate().rev() {
            let coefficient = self.scalar(*coefficient);
            let step = self.binary("Add", &sum, &coefficient, &format!("{name}.a{}", index + 1));
            sum = self.binary("Mul", &step, &t.name, &format!("{name}.t{}", index + 1));
        }
        let square = self.binary("Mul", &x, &x.name.clone(), &format!("{name}.square"));
        let negative = self.unary("Neg", &square, &format!("{name}.negative"));
        let decay = self.unary("Exp", &negative, &format!("{name}.decay"));
        let rest = self.binary("Mul", &sum, &decay.name, &format!("{name}.rest"));
        let complement = self.unary("Neg", &rest, &format!("{name}.complement"));
        let positive = self.binary("Add", &complement, &one, &format!("{name}.positive"));
        Ok(Value::Computed(self.binary("Mul", &positive, &sign.name, &name)))
    }

    fn last_axis_only(&self, case: &Case<'_>, x: &Computed) -> Result<(), OnnxError> {
        let rank = x.dims.len();
        if case.axis(-1, rank)? + 1 == rank {
            Ok(())
        } else {
            Err(case.refuse("only its last axis can be lowered"))
        }
    }

    fn unary(&mut self, op: &str, x: &Computed, name: &str) -> Computed {
        self.emit(op, &[&x.name], name, &x.dims, vec![])
    }

    /// An operation whose second operand broadcasts into the first.
    fn binary(&mut self, op: &str, x: &Computed, y: &str, name: &str) -> Computed {
        self.emit(op, &[&x.name, y], name, &x.dims, vec![])
    }

    fn reduce(&mut self, op: &str, x: &Computed, name: &str) -> Computed {
        let last = x.dims.len() - 1;
        let mut dims = x.dims.clone();
        dims[last] = 1;
        let settings = vec![ints("axes", &[last as i64]), int("keepdims", 1)];
        self.emit(op, &[&x.name], name, &dims, settings)
    }
}
