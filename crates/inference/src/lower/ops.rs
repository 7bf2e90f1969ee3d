//! Operator by operator: what a node of the standard graph becomes.

use super::literal::Literal;
use super::{Computed, Lowering, Target, Value, shape};
use crate::limits;
use crate::onnx::OnnxError;
use crate::onnx::build::{int, ints};
use crate::onnx::proto::{DataType, NodeProto};

/// A node under lowering, with the values that it reads.
pub(super) struct Case<'a> {
    pub(super) node: &'a NodeProto,
    pub(super) inputs: Vec<Value>,
}

impl Case<'_> {
    pub(super) fn refuse(&self, problem: impl Into<String>) -> OnnxError {
        OnnxError::Operator {
            op: self.node.op_type.clone(),
            node: self.node.name.clone(),
            problem: problem.into(),
        }
    }

    pub(super) fn output(&self) -> &str {
        &self.node.output[0]
    }

    pub(super) fn input(&self, index: usize) -> Result<&Value, OnnxError> {
        self.inputs
            .get(index)
            .ok_or_else(|| self.refuse(format!("input {index} is missing")))
    }

    pub(super) fn computed(&self, index: usize) -> Result<&Computed, OnnxError> {
        match self.input(index)? {
            Value::Computed(value) => Ok(value),
            Value::Literal(_) => Err(self.refuse(format!("input {index} is constant"))),
        }
    }

    pub(super) fn literal(&self, index: usize) -> Result<&Literal, OnnxError> {
        match self.input(index)? {
            Value::Literal(literal) => Ok(literal),
            Value::Computed(_) => Err(self.refuse(format!("input {index} is not constant"))),
        }
    }

    pub(super) fn integers(&self, index: usize) -> Result<&[i64], OnnxError> {
        self.literal(index)?
            .as_integers()
            .ok_or_else(|| self.refuse(format!("input {index} is not of integers")))
    }

    pub(super) fn attribute(&self, name: &str, default: i64) -> i64 {
        self.node
            .attribute
            .iter()
            .find(|attribute| attribute.name == name)
            .map_or(default, |found| found.i)
    }

    pub(super) fn axis(&self, default: i64, rank: usize) -> Result<usize, OnnxError> {
        let axis = self.attribute("axis", default);
        shape::axis(axis, rank).ok_or_else(|| self.refuse(format!("axis {axis} of {rank}")))
    }
}

impl Value {
    pub(super) fn dims(&self) -> &[usize] {
        match self {
            Self::Literal(literal) => &literal.dims,
            Self::Computed(value) => &value.dims,
        }
    }
}

impl Lowering {
    /// Lowers one node and remembers what its output became.
    pub(super) fn node(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let case = Case {
            node,
            inputs: self.inputs(node)?,
        };
        if node
            .output
            .iter()
            .skip(1)
            .any(|output| self.readers.contains_key(output))
        {
            return Err(case.refuse("more than its first output is used"));
        }
        let value = match node.op_type.as_str() {
            "Identity" | "Dropout" => case.input(0)?.clone(),
            "Cast" => self.cast(&case)?,
            "Shape" => self.shape_of(&case),
            "Gather" => self.gather(&case)?,
            "Slice" => self.slice(&case)?,
            "Reshape" => self.reshape(&case)?,
            "Unsqueeze" => self.unsqueeze(&case)?,
            "Transpose" => self.transpose(&case)?,
            "MatMul" => self.product(&case)?,
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(&case)?,
            "Sqrt" | "Exp" | "Tanh" | "Neg" => self.map(&case)?,
            "LayerNormalization" | "Softmax" if self.target == Target::Kernels => self.row_wise(&case)?,
            "Erf" if self.target == Target::Kernels => self.map(&case)?,
            "LayerNormalization" => self.layer_norm(&case)?,
            "Softmax" => self.softmax(&case)?,
            "Erf" => self.erf(&case)?,
            _ => return Err(case.refuse("it is not among the operators that can be lowered")),
        };
        let value = match value {
            Value::Computed(computed) => Value::Computed(self.barrier(computed, case.output())),
            literal => literal,
        };
        self.values.insert(node.output[0].clone(), value);
        Ok(())
    }

    /// The graph's name for an input of a node, putting constants there first.
    pub(super) fn operand(&mut self, case: &Case<'_>, index: usize) -> Result<String, OnnxError> {
        Ok(match case.input(index)? {
            Value::Computed(value) => value.name.clone(),
            Value::Literal(literal) => self.constant(&case.node.input[index], literal),
        })
    }

    /// Run-time values are float already, so only a cast of them to float means nothing.
    fn cast(&self, case: &Case<'_>) -> Result<Value, OnnxError> {
        if case.attribute("to", 0) == DataType::Float as i64 {
            case.computed(0).cloned().map(Value::Computed)
        } else {
            Err(case.refuse("only casts to float can be lowered"))
        }
    }

    fn shape_of(&self, case: &Case<'_>) -> Value {
        let dims: Vec<i64> = case
            .inputs
            .first()
            .map_or(&[][..], Value::dims)
            .iter()
            .map(|&size| size as i64)
            .collect();
        Value::Literal(Literal::integers(&[dims.len()], dims))
    }

    fn gather(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let table = case.literal(0)?;
        let axis = case.axis(0, table.dims.len())?;
        match case.input(1)? {
            Value::Literal(indices) => {
                let picked = table
                    .gather(axis, indices)
                    .ok_or_else(|| case.refuse("an index is out of range"))?;
                self.made(case, picked)
            }
            Value::Computed(indices) if axis == 0 && table.dims.len() == 2 => {
                let dims: Vec<usize> = indices.dims.iter().copied().chain([table.dims[1]]).collect();
                let (table, indices) = (self.operand(case, 0)?, indices.name.clone());
                Ok(Value::Computed(self.emit(
                    "Gather",
                    &[&table, &indices],
                    case.output(),
                    &dims,
                    vec![int("axis", 0)],
                )))
            }
            Value::Computed(_) => Err(case.refuse("only rows of a matrix can be gathered at run time")),
        }
    }

    /// A constant that was picked out of another.
    fn made(&mut self, case: &Case<'_>, literal: Literal) -> Result<Value, OnnxError> {
        self.made_bytes = self.made_bytes.saturating_add(literal.bytes());
        if self.made_bytes > limits::SESSION_BYTES_MAX {
            return Err(case.refuse("its constants do not fit into memory with the others"));
        }
        Ok(Value::Literal(literal))
    }

    fn slice(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let table = case.literal(0)?;
        let (&[start], &[end]) = (case.integers(1)?, case.integers(2)?) else {
            return Err(case.refuse("only one axis can be sliced"));
        };
        let axis = if case.inputs.len() > 3 {
            case.integers(3)?.first().copied().unwrap_or(0)
        } else {
            0
        };
        if case.inputs.len() > 4 && case.integers(4)? != [1] {
            return Err(case.refuse("only slices of step 1 can be lowered"));
        }
        let axis =
            shape::axis(axis, table.dims.len()).ok_or_else(|| case.refuse("its axis is out of range"))?;
        let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else {
            return Err(case.refuse("only bounds that count from the start can be lowered"));
        };
        let sliced = table
            .slice(axis, start, end)
            .ok_or_else(|| case.refuse("its axis is out of range"))?;
        self.made(case, sliced)
    }

    fn reshape(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let value = case.computed(0)?;
        let wanted = self.wanted_shape(case, &value.dims)?;
        Ok(Value::Computed(self.reshaped(value, case.output(), &wanted)))
    }

    fn wanted_shape(&self, case: &Case<'_>, from: &[usize]) -> Result<Vec<usize>, OnnxError> {
        let to = case.integers(1)?;
        shape::reshape(from, to).ok_or_else(|| case.refuse(format!("{from:?} cannot become {to:?}")))
    }

    fn unsqueeze(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let value = case.computed(0)?;
        let rank = value.dims.len() + case.integers(1)?.len();
        if rank > limits::TENSOR_RANK_MAX {
            return Err(case.refuse(format!("{rank} dimensions")));
        }
        let axes = case
            .integers(1)?
            .iter()
            .map(|&axis| shape::axis(axis, rank))
            .collect::<Option<Vec<_>>>();
        let axes = axes.ok_or_else(|| case.refuse("an axis is out of range"))?;
        let mut left = value.dims.iter().copied();
        let dims: Vec<usize> = (0..rank)
            .map(|axis| {
                if axes.contains(&axis) {
                    1
                } else {
                    left.next().unwrap_or(1)
                }
            })
            .collect();
        Ok(Value::Computed(self.reshaped(value, case.output(), &dims)))
    }

    fn transpose(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let value = case.computed(0)?.clone();
        let given = case
            .node
            .attribute
            .iter()
            .find(|attribute| attribute.name == "perm");
        let order = given.map_or_else(
            || (0..value.dims.len() as i64).rev().collect(),
            |found| found.ints.clone(),
        );
        let dims = order
            .iter()
            .map(|&axis| value.dims.get(usize::try_from(axis).ok()?).copied())
            .collect();
        let Some(dims): Option<Vec<usize>> = dims else {
            return Err(case.refuse("an axis is out of range"));
        };
        let is_twice = |at: usize| order[..at].contains(&order[at]);
        if dims.len() != value.dims.len() || (0..order.len()).any(is_twice) {
            return Err(case.refuse("its order does not name every axis"));
        }
        Ok(Value::Computed(self.emit(
            "Transpose",
            &[&value.name],
            case.output(),
            &dims,
            vec![ints("perm", &order)],
        )))
    }

    /// A product becomes one of two matrices, or of two stacks of equally many matrices; the kernels take a stack by
    /// one matrix as it is.
    fn product(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let (left, right) = (case.computed(0)?.clone(), case.input(1)?.dims().to_vec());
        let unfit = || case.refuse(format!("{:?} by {right:?} cannot be lowered", left.dims));
        let (&[ref stack @ .., rows, inner], &[ref other @ .., depth, columns]) =
            (&left.dims[..], &right[..])
        else {
            return Err(unfit());
        };
        if inner != depth {
            return Err(unfit());
        }
        let count: usize = stack.iter().product();
        let (left_dims, right_dims, dims) = if other.is_empty() {
            (
                vec![count * rows, inner],
                vec![depth, columns],
                vec![count * rows, columns],
            )
        } else if other == stack {
            (
                vec![count, rows, inner],
                vec![count, depth, columns],
                vec![count, rows, columns],
            )
        } else {
            return Err(unfit());
        };
        let final_dims: Vec<usize> = stack.iter().copied().chain([rows, columns]).collect();
        shape::bounded(&final_dims).ok_or_else(unfit)?;
        let name = case.output();
        if self.target == Target::Kernels {
            let right = self.operand(case, 1)?;
            return Ok(Value::Computed(self.emit(
                "MatMul",
                &[&left.name, &right],
                name,
                &final_dims,
                vec![],
            )));
        }
        let left = self.reshaped(&left, &format!("{name}.left"), &left_dims);
        let right = match case.input(1)? {
            Value::Computed(value) => {
                self.reshaped(&value.clone(), &format!("{name}.right"), &right_dims)
                    .name
            }
            Value::Literal(_) => self.operand(case, 1)?,
        };
        let flat = if dims == final_dims {
            name.to_owned()
        } else {
            format!("{name}.flat")
        };
        let product = self.emit("MatMul", &[&left.name, &right], &flat, &dims, vec![]);
        Ok(Value::Computed(self.reshaped(&product, name, &final_dims)))
    }

    fn arithmetic(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let (a, b) = (case.input(0)?.dims(), case.input(1)?.dims());
        let dims =
            shape::broadcast(a, b).ok_or_else(|| case.refuse(format!("{a:?} and {b:?} do not fit")))?;
        let (a, b) = (self.operand(case, 0)?, self.operand(case, 1)?);
        Ok(Value::Computed(self.emit(
            &case.node.op_type,
            &[&a, &b],
            case.output(),
            &dims,
            vec![],
        )))
    }

    fn map(&mut self, case: &Case<'_>) -> Result<Value, OnnxError> {
        let value = case.computed(0)?.clone();
        Ok(Value::Computed(self.emit(
            &case.node.op_type,
            &[&value.name],
            case.output(),
            &value.dims,
            vec![],
        )))
    }

    /// The same elements in another shape, which costs nothing at run time.
    pub(super) fn reshaped(&mut self, value: &Computed, name: &str, dims: &[usize]) -> Computed {
        if value.dims == dims {
            return value.clone();
        }
        let wanted: Vec<i64> = dims.iter().map(|&size| size as i64).collect();
        let text: Vec<String> = wanted.iter().map(i64::to_string).collect();
        let target = self.constant(
            &format!("shape.{}", text.join("x")),
            &Literal::integers(&[wanted.len()], wanted),
        );
        self.emit("Reshape", &[&value.name, &target], name, dims, vec![])
    }
}
