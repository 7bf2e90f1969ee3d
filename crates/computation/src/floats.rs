//! Which instructions leave the bits of a NaN open, and which do not look at them.
//!
//! WebAssembly fixes every result of float arithmetic except the sign and payload of a NaN ([spec], "NaN Propagation").
//! `neg`, `abs`, `copysign`, `pmin`, `pmax`, loads, stores and moves are defined bit by bit, and conversions from integers
//! never give a NaN.
//!
//! [spec]: https://webassembly.github.io/spec/core/exec/numerics.html#nan-propagation

use wasmparser::Operator;

/// What a float instruction computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Float {
    F32,
    F64,
    F32x4,
    F64x2,
}

impl Float {
    pub(crate) fn is_vector(self) -> bool {
        matches!(self, Self::F32x4 | Self::F64x2)
    }
}

/// The kind of float that an instruction makes, where the bits of a NaN are up to the engine.
#[rustfmt::skip]
pub(crate) fn result(op: &Operator<'_>) -> Option<Float> {
    use Operator as O;
    Some(match op {
        O::F32Add | O::F32Sub | O::F32Mul | O::F32Div | O::F32Min | O::F32Max | O::F32Sqrt
        | O::F32Ceil | O::F32Floor | O::F32Trunc | O::F32Nearest | O::F32DemoteF64 => Float::F32,
        O::F64Add | O::F64Sub | O::F64Mul | O::F64Div | O::F64Min | O::F64Max | O::F64Sqrt
        | O::F64Ceil | O::F64Floor | O::F64Trunc | O::F64Nearest | O::F64PromoteF32 => Float::F64,
        O::F32x4Add | O::F32x4Sub | O::F32x4Mul | O::F32x4Div | O::F32x4Min | O::F32x4Max | O::F32x4Sqrt
        | O::F32x4Ceil | O::F32x4Floor | O::F32x4Trunc | O::F32x4Nearest | O::F32x4DemoteF64x2Zero => Float::F32x4,
        O::F64x2Add | O::F64x2Sub | O::F64x2Mul | O::F64x2Div | O::F64x2Min | O::F64x2Max | O::F64x2Sqrt
        | O::F64x2Ceil | O::F64x2Floor | O::F64x2Trunc | O::F64x2Nearest | O::F64x2PromoteLowF32x4 => Float::F64x2,
        _ => return None,
    })
}

/// The kind of floats that an instruction takes, where what it gives is the same for every NaN: arithmetic whose own
/// NaN is made canonical, comparisons, and conversions to integers.
#[rustfmt::skip]
pub(crate) fn operands(op: &Operator<'_>) -> Option<Float> {
    use Operator as O;
    Some(match op {
        O::F32Add | O::F32Sub | O::F32Mul | O::F32Div | O::F32Min | O::F32Max
        | O::F32Eq | O::F32Ne | O::F32Lt | O::F32Gt | O::F32Le | O::F32Ge => Float::F32,
        O::F32Sqrt | O::F32Ceil | O::F32Floor | O::F32Trunc | O::F32Nearest | O::F64PromoteF32
        | O::I32TruncF32S | O::I32TruncF32U | O::I64TruncF32S | O::I64TruncF32U
        | O::I32TruncSatF32S | O::I32TruncSatF32U | O::I64TruncSatF32S | O::I64TruncSatF32U => Float::F32,
        O::F64Add | O::F64Sub | O::F64Mul | O::F64Div | O::F64Min | O::F64Max
        | O::F64Eq | O::F64Ne | O::F64Lt | O::F64Gt | O::F64Le | O::F64Ge => Float::F64,
        O::F64Sqrt | O::F64Ceil | O::F64Floor | O::F64Trunc | O::F64Nearest | O::F32DemoteF64
        | O::I32TruncF64S | O::I32TruncF64U | O::I64TruncF64S | O::I64TruncF64U
        | O::I32TruncSatF64S | O::I32TruncSatF64U | O::I64TruncSatF64S | O::I64TruncSatF64U => Float::F64,
        O::F32x4Add | O::F32x4Sub | O::F32x4Mul | O::F32x4Div | O::F32x4Min | O::F32x4Max
        | O::F32x4Eq | O::F32x4Ne | O::F32x4Lt | O::F32x4Gt | O::F32x4Le | O::F32x4Ge => Float::F32x4,
        O::F32x4Sqrt | O::F32x4Ceil | O::F32x4Floor | O::F32x4Trunc | O::F32x4Nearest | O::F64x2PromoteLowF32x4
        | O::I32x4TruncSatF32x4S | O::I32x4TruncSatF32x4U => Float::F32x4,
        O::F64x2Add | O::F64x2Sub | O::F64x2Mul | O::F64x2Div | O::F64x2Min | O::F64x2Max
        | O::F64x2Eq | O::F64x2Ne | O::F64x2Lt | O::F64x2Gt | O::F64x2Le | O::F64x2Ge => Float::F64x2,
        O::F64x2Sqrt | O::F64x2Ceil | O::F64x2Floor | O::F64x2Trunc | O::F64x2Nearest | O::F32x4DemoteF64x2Zero
        | O::I32x4TruncSatF64x2SZero | O::I32x4TruncSatF64x2UZero => Float::F64x2,
        _ => return None,
    })
}
