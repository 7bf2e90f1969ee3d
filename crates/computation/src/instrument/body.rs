//! Rewrites one function after its plan.

use std::collections::BTreeMap;

use wasm_encoder::{BlockType, Encode, Ieee32, Ieee64, InstructionSink, ValType};
use wasmparser::{FuncType, FunctionBody, Operator};

use crate::floats::Float;
use crate::refusal::Refusal;
use crate::survey::Body;

use super::meters::{self, Meters};
use super::plan::Plan;

/// The bits of the one NaN ([spec], "canonical NaN", positive).
///
/// [spec]: https://webassembly.github.io/spec/core/syntax/values.html#floating-point
const NAN_F32: u32 = 0x7fc0_0000;
const NAN_F64: u64 = 0x7ff8_0000_0000_0000;
const NAN_F32X4: u128 = 0x7fc00000_7fc00000_7fc00000_7fc00000;
const NAN_F64X2: u128 = 0x7ff80000_00000000_7ff80000_00000000;

/// Types of the blocks around functions with several results.
pub(super) struct Wrappers {
    first: u32,
    /// By the types of the functions.
    indices: BTreeMap<u32, u32>,
    types: Vec<Vec<u8>>,
}

impl Wrappers {
    pub(super) fn new(first: u32) -> Self {
        Self {
            first,
            indices: BTreeMap::new(),
            types: Vec::new(),
        }
    }

    pub(super) fn into_types(self) -> impl Iterator<Item = Vec<u8>> {
        self.types.into_iter()
    }

    fn of(&mut self, function: &Signature<'_>) -> BlockType {
        match function.kind.results() {
            [] => BlockType::Empty,
            [result] => BlockType::Result(kind(*result)),
            results => {
                let index = *self.indices.entry(function.index).or_insert_with(|| {
                    let results: Vec<ValType> = results.iter().copied().map(kind).collect();
                    self.types.push(meters::signature(&[], &results));
                    self.first + self.types.len() as u32 - 1
                });
                BlockType::FunctionType(index)
            }
        }
    }
}

/// The type of a function.
#[derive(Clone, Copy)]
pub(super) struct Signature<'a> {
    index: u32,
    kind: &'a FuncType,
}

/// The signature of a function, which the validator has checked.
pub(super) fn signature<'a>(signatures: &'a [FuncType], body: &Body<'_>) -> Option<Signature<'a>> {
    let index = body.validator.ty;
    let kind = signatures.get(index as usize)?;
    Some(Signature { index, kind })
}

/// Appends the function to the code section.
pub(super) fn rewrite(
    body: &FunctionBody<'_>,
    plan: &Plan,
    signature: Option<Signature<'_>>,
    meters: &Meters,
    wrappers: &mut Wrappers,
    section: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut code = Vec::with_capacity(body.as_bytes().len() * 2);
    let scratch = Scratch::declare(body, plan, &mut code)?;
    let mut writer = Writer {
        meters,
        scratch,
        // Only what calls can be deep in calls.
        wrapper: signature.filter(|_| plan.calls).map(|it| wrappers.of(&it)),
        slots: i32::try_from(plan.slots).unwrap_or(i32::MAX),
        nesting: 0,
        code,
    };
    writer.enter();
    let bytes = body.as_bytes();
    let start = body.range().start;
    let mut operators = body.get_operators_reader()?;
    let mut charges = plan.charges.iter().peekable();
    let mut floats = plan.floats.iter().peekable();
    let mut index = 0;
    while !operators.eof() {
        if let Some(charge) = charges.next_if(|it| it.before == index) {
            let mut sink = InstructionSink::new(&mut writer.code);
            meters.charge(charge.units, charge.check, &mut sink);
        }
        let from = (operators.original_position() - start) as usize;
        let op = operators.read()?;
        let to = (operators.original_position() - start) as usize;
        writer.instruction(&op, bytes.get(from..to).unwrap_or_default());
        if let Some((_, kind)) = floats.next_if(|(made_by, _)| *made_by == index) {
            writer.canonicalise(*kind);
        }
        index += 1;
    }
    writer.code.as_slice().encode(section);
    Ok(())
}

/// Locals that NaN checks use.
#[derive(Default)]
struct Scratch {
    locals: [u32; 4],
}

impl Scratch {
    const KINDS: [(Float, ValType); 4] = [
        (Float::F32, ValType::F32),
        (Float::F64, ValType::F64),
        (Float::F32x4, ValType::V128),
        (Float::F64x2, ValType::V128),
    ];

    /// Writes the function's declarations of locals and those of the checks that it has.
    fn declare(body: &FunctionBody<'_>, plan: &Plan, code: &mut Vec<u8>) -> Result<Self, Refusal> {
        let mut reader = body.get_locals_reader()?;
        let groups = reader.get_count();
        let from = (reader.original_position() - body.range().start) as usize;
        for _ in 0..groups {
            reader.read()?;
        }
        let to = (reader.original_position() - body.range().start) as usize;
        let mut scratch = Self::default();
        let mut added = Vec::new();
        for (place, (float, kind)) in scratch.locals.iter_mut().zip(Self::KINDS) {
            if plan.floats.iter().any(|(_, used)| *used == float) {
                *place = plan.locals + added.len() as u32;
                added.push(kind);
            }
        }
        (groups + added.len() as u32).encode(code);
        code.extend_from_slice(body.as_bytes().get(from..to).unwrap_or_default());
        for kind in added {
            1_u32.encode(code);
            kind.encode(code);
        }
        Ok(scratch)
    }
}

struct Writer<'a> {
    meters: &'a Meters,
    scratch: Scratch,
    /// The block around the whole function, so that there is one way out of it.
    wrapper: Option<BlockType>,
    slots: i32,
    /// Blocks that are open, without the wrapper.
    nesting: u32,
    code: Vec<u8>,
}

impl Writer<'_> {
    fn enter(&mut self) {
        let Some(wrapper) = self.wrapper else { return };
        let slots = self.meters.slots;
        InstructionSink::new(&mut self.code)
            .global_get(slots)
            .i32_const(self.slots)
            .i32_sub()
            .global_set(slots)
            .global_get(slots)
            .i32_const(0)
            .i32_lt_s()
            .if_(BlockType::Empty)
            .call(self.meters.too_deep())
            .end()
            .block(wrapper);
    }

    fn instruction(&mut self, op: &Operator<'_>, bytes: &[u8]) {
        let meters = self.meters;
        let mut sink = InstructionSink::new(&mut self.code);
        match op {
            Operator::Return if self.wrapper.is_some() => {
                sink.br(self.nesting);
                return;
            }
            Operator::MemoryGrow { .. } => {
                sink.call(meters.grow());
                return;
            }
            Operator::End if self.nesting == 0 && self.wrapper.is_some() => {
                sink.end()
                    .global_get(meters.slots)
                    .i32_const(self.slots)
                    .i32_add()
                    .global_set(meters.slots);
            }
            Operator::Unreachable => {
                sink.call(meters.gave_up());
            }
            Operator::MemoryFill { .. } | Operator::MemoryCopy { .. } | Operator::MemoryInit { .. } => {
                sink.call(meters.pay_bytes());
            }
            Operator::TableCopy { .. } | Operator::TableInit { .. } => {
                sink.call(meters.pay_elements());
            }
            _ => {}
        }
        match op {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => self.nesting += 1,
            Operator::End => self.nesting = self.nesting.saturating_sub(1),
            _ => {}
        }
        self.code.extend_from_slice(bytes);
    }

    /// Leaves a number as it is, and makes any NaN the one NaN.
    fn canonicalise(&mut self, kind: Float) {
        let [f32, f64, f32x4, f64x2] = self.scratch.locals;
        let mut sink = InstructionSink::new(&mut self.code);
        // A NaN is what does not equal itself.
        match kind {
            Float::F32 => sink
                .local_tee(f32)
                .f32_const(Ieee32::new(NAN_F32))
                .local_get(f32)
                .local_get(f32)
                .f32_eq()
                .select(),
            Float::F64 => sink
                .local_tee(f64)
                .f64_const(Ieee64::new(NAN_F64))
                .local_get(f64)
                .local_get(f64)
                .f64_eq()
                .select(),
            Float::F32x4 => sink
                .local_tee(f32x4)
                .v128_const(NAN_F32X4.cast_signed())
                .local_get(f32x4)
                .local_get(f32x4)
                .f32x4_eq()
                .v128_bitselect(),
            Float::F64x2 => sink
                .local_tee(f64x2)
                .v128_const(NAN_F64X2.cast_signed())
                .local_get(f64x2)
                .local_get(f64x2)
                .f64x2_eq()
                .v128_bitselect(),
        };
    }
}

/// No other types are valid without references.
fn kind(value: wasmparser::ValType) -> ValType {
    match value {
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::I32 | wasmparser::ValType::Ref(_) => ValType::I32,
    }
}
