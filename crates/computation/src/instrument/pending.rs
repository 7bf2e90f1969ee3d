//! Which float results need their NaNs made canonical: those that anything but float arithmetic might see.
//!
//! In `a * b + c` the sum is made canonical and the product is not: whatever NaN it is, the sum is a NaN. So a
//! result waits here, by its place on the operand stack, for the instruction that takes it. Arithmetic and comparisons of the
//! same kind release it; for anything else, and for whatever is not plain to follow, it is made canonical.

use wasmparser::Operator;

use crate::floats::{self, Float};
use crate::weights;

/// Results on the operand stack that have not been taken yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Lowest place first.
    waiting: Vec<Waiting>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    place: usize,
    /// The instruction, counted from 0.
    made_by: usize,
    kind: Float,
}

impl Pending {
    /// Follows an instruction, after which there are `height` operands, and notes whose NaNs are seen.
    pub(super) fn see(
        &mut self,
        index: usize,
        op: &Operator<'_>,
        height: usize,
        seen: &mut Vec<(usize, Float)>,
    ) {
        let (kept, taken_as) = match floats::operands(op) {
            // Every such instruction leaves one result in the place of its first operand.
            Some(kind) => (height.saturating_sub(1), Some(kind)),
            None => (untouched(op, height), None),
        };
        while let Some(it) = self.waiting.pop_if(|it| it.place >= kept) {
            if taken_as != Some(it.kind) {
                seen.push((it.made_by, it.kind));
            }
        }
        if let Some(kind) = floats::result(op) {
            self.waiting.push(Waiting {
                place: height.saturating_sub(1),
                made_by: index,
                kind,
            });
        }
    }
}

/// How many of the lowest operands an instruction surely leaves alone.
fn untouched(op: &Operator<'_>, height: usize) -> usize {
    use Operator as O;
    match op {
        O::LocalGet { .. } | O::GlobalGet { .. } => height.saturating_sub(1),
        O::I32Const { .. } | O::I64Const { .. } | O::F32Const { .. } | O::F64Const { .. } => {
            height.saturating_sub(1)
        }
        O::V128Const { .. } => height.saturating_sub(1),
        O::I32Load { .. }
        | O::I64Load { .. }
        | O::F32Load { .. }
        | O::F64Load { .. }
        | O::V128Load { .. } => height.saturating_sub(1),
        O::LocalSet { .. } => height,
        O::LocalTee { .. } => height.saturating_sub(1),
        op if weights::is_integer_pair(op) => height.saturating_sub(1),
        _ => 0,
    }
}
