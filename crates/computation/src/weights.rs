//! What each instruction costs, in units of fuel.
//!
//! A unit is about what an addition costs on a compiling engine. The weights are no measurement of any one machine: they are
//! rules, the same everywhere, and only have to be near enough that no mix of instructions gets far more time for its
//! fuel than another. The crate's documentation says what was measured.
//!
//! | instructions | units |
//! | --- | --- |
//! | `block`, `loop`, `end`, `else`, `nop`, `drop`, `unreachable` | 0 (the code that a loop begins with costs at least 1) |
//! | constants, locals, integer arithmetic and comparison, `select`, branches, conversions that make integers wider or narrower | 1 |
//! | loads, stores, globals, `br_table`, conversions between integers and floats, vector instructions on integers | 2 |
//! | scalar float arithmetic, rounding, `min`, `max`, promotion and demotion: the NaN check is in it | 4 |
//! | `call` | 4 |
//! | float arithmetic on vectors, `call_indirect` | 8 |
//! | integer division and remainder | 8 |
//! | float division and square root | 16; on vectors 32 |
//! | entering a function | 1 for every four slots of its frame |
//! | `memory.grow` | 16, and [`PAGE`] for each page that it adds |
//! | `memory.fill`, `memory.copy`, `memory.init` | 16, and 1 for each [`BYTES_PER_UNIT`] bytes or part of it |
//! | `table.copy`, `table.init` | 16, and [`TABLE_ELEMENT`] for each entry |
//! | `data.drop`, `elem.drop` | 16 |
//! | starting a module | [`PAGE`] for each page that it starts with, and [`MODULE_BYTE`] for each byte of the module |
//! | handing over the input | 1 for each [`BYTES_PER_UNIT`] bytes or part of it |

use wasmparser::Operator;

use crate::floats;

/// Units for each page of memory: its 64 KiB are cleared.
pub const PAGE: u64 = 4_096;
/// Bytes that are copied or filled for one unit.
pub const BYTES_PER_UNIT: u64 = 16;
/// Units for each entry of a table that is copied.
pub const TABLE_ELEMENT: u64 = 4;
/// Units for each byte of a module: it is checked, metered and compiled.
pub const MODULE_BYTE: u64 = 32;
/// Slots that each call takes beyond its parameters, locals and operands: the return address, saved registers, and what the meters push.
pub const FRAME_SLOTS: u32 = 12;

/// Units of an instruction, without what its length or its callee adds.
pub(crate) fn weight(op: &Operator<'_>) -> u64 {
    use Operator as O;
    match op {
        O::Block { .. } | O::Loop { .. } | O::End | O::Else | O::Nop | O::Drop | O::Unreachable => 0,
        O::If { .. } | O::Br { .. } | O::BrIf { .. } | O::Return | O::Select | O::MemorySize { .. } => 1,
        O::LocalGet { .. } | O::LocalSet { .. } | O::LocalTee { .. } => 1,
        O::I32Const { .. } | O::I64Const { .. } | O::F32Const { .. } | O::F64Const { .. } => 1,
        O::Call { .. } => 4,
        O::CallIndirect { .. } => 8,
        O::I32DivS | O::I32DivU | O::I32RemS | O::I32RemU => 8,
        O::I64DivS | O::I64DivU | O::I64RemS | O::I64RemU => 8,
        O::F32Div | O::F64Div | O::F32Sqrt | O::F64Sqrt => 16,
        O::F32x4Div | O::F64x2Div | O::F32x4Sqrt | O::F64x2Sqrt => 32,
        O::MemoryGrow { .. } | O::MemoryFill { .. } | O::MemoryCopy { .. } | O::MemoryInit { .. } => 16,
        O::TableCopy { .. } | O::TableInit { .. } | O::DataDrop { .. } | O::ElemDrop { .. } => 16,
        other => match floats::result(other) {
            Some(kind) if kind.is_vector() => 8,
            Some(_) => 4,
            None if is_plain_integer(other) => 1,
            // Loads, stores, globals, conversions, and vectors of integers.
            None => 2,
        },
    }
}

/// Whether this is a scalar instruction on integers alone, or a comparison.
fn is_plain_integer(op: &Operator<'_>) -> bool {
    use Operator as O;
    is_integer_pair(op)
        || matches!(
            op,
            O::I32Eqz
                | O::I32Clz
                | O::I32Ctz
                | O::I32Popcnt
                | O::I32Extend8S
                | O::I32Extend16S
                | O::I32WrapI64
                | O::I64Eqz
                | O::I64Clz
                | O::I64Ctz
                | O::I64Popcnt
                | O::I64Extend8S
                | O::I64Extend16S
                | O::I64Extend32S
                | O::I64ExtendI32S
                | O::I64ExtendI32U
                | O::F32Eq
                | O::F32Ne
                | O::F32Lt
                | O::F32Gt
                | O::F32Le
                | O::F32Ge
                | O::F64Eq
                | O::F64Ne
                | O::F64Lt
                | O::F64Gt
                | O::F64Le
                | O::F64Ge
        )
}

/// Whether this makes one integer of two.
#[rustfmt::skip]
pub(crate) fn is_integer_pair(op: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        op,
        O::I32Add | O::I32Sub | O::I32Mul | O::I32And | O::I32Or | O::I32Xor | O::I32Shl | O::I32ShrS | O::I32ShrU
            | O::I32Rotl | O::I32Rotr | O::I32Eq | O::I32Ne | O::I32LtS | O::I32LtU | O::I32GtS | O::I32GtU
            | O::I32LeS | O::I32LeU | O::I32GeS | O::I32GeU
            | O::I64Add | O::I64Sub | O::I64Mul | O::I64And | O::I64Or | O::I64Xor | O::I64Shl | O::I64ShrS | O::I64ShrU
            | O::I64Rotl | O::I64Rotr | O::I64Eq | O::I64Ne | O::I64LtS | O::I64LtU | O::I64GtS | O::I64GtU
            | O::I64LeS | O::I64LeU | O::I64GeS | O::I64GeU
    )
}

/// Units for moving so many bytes.
pub(crate) fn moving(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_UNIT)
}
