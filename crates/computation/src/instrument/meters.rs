//! The globals and functions that the meters consist of.

use wasm_encoder::{BlockType, Encode, Function, InstructionSink, ValType};

use super::stop;
use crate::limits::Limits;
use crate::survey::Survey;
use crate::weights;

/// Types that the meters add: of `end`, and of what looks at a length.
pub(super) const TYPES: u32 = 2;
/// Functions that the meters add.
pub(super) const FUNCTIONS: u32 = 6;

/// Where everything is.
pub(super) struct Meters {
    /// The first type of their own.
    types: u32,
    /// The first function of their own.
    functions: u32,
    /// Fuel that is left, 64 bits.
    pub(super) fuel: u32,
    /// Why the run ended, 32 bits.
    pub(super) stop: u32,
    /// Whether more memory was wanted than the limit allows.
    refused: u32,
    /// Stack slots that are left.
    pub(super) slots: u32,
    pages_max: u64,
    slots_max: u32,
}

impl Meters {
    pub(super) fn of(survey: &Survey<'_>, limits: &Limits) -> Self {
        let globals = survey.globals.count;
        Self {
            types: survey.types.count,
            functions: survey.functions.count,
            fuel: globals,
            stop: globals + 1,
            refused: globals + 2,
            slots: globals + 3,
            pages_max: survey.memory.maximum,
            slots_max: limits.stack_slots_max,
        }
    }

    /// Ends the run, because the fuel is used up.
    pub(super) fn out_of_fuel(&self) -> u32 {
        self.functions
    }

    /// Ends the run, because calls are too deep.
    pub(super) fn too_deep(&self) -> u32 {
        self.functions + 1
    }

    /// Ends the run, because the module says so.
    pub(super) fn gave_up(&self) -> u32 {
        self.functions + 2
    }

    /// In the place of `memory.grow`.
    pub(super) fn grow(&self) -> u32 {
        self.functions + 3
    }

    /// Charges for bytes, and gives back how many.
    pub(super) fn pay_bytes(&self) -> u32 {
        self.functions + 4
    }

    /// Charges for entries of a table, and gives back how many.
    pub(super) fn pay_elements(&self) -> u32 {
        self.functions + 5
    }

    pub(super) fn types(&self) -> impl Iterator<Item = Vec<u8>> {
        [signature(&[], &[]), signature(&[ValType::I32], &[ValType::I32])].into_iter()
    }

    pub(super) fn signatures(&self) -> impl Iterator<Item = Vec<u8>> {
        let (end, length) = (self.types, self.types + 1);
        [end, end, end, length, length, length].into_iter().map(encoded)
    }

    pub(super) fn globals(&self) -> impl Iterator<Item = Vec<u8>> {
        let slots = i32::try_from(self.slots_max).unwrap_or(i32::MAX);
        [
            // The runner fills the tank.
            global(ValType::I64, |code| {
                code.i64_const(0);
            }),
            global(ValType::I32, |code| {
                code.i32_const(stop::NONE);
            }),
            global(ValType::I32, |code| {
                code.i32_const(0);
            }),
            global(ValType::I32, |code| {
                code.i32_const(slots);
            }),
        ]
        .into_iter()
    }

    /// Takes fuel, and ends the run if there is too little.
    pub(super) fn charge(&self, units: u64, check: bool, code: &mut InstructionSink<'_>) {
        // The weights of a function within the limits are far from 63 bits.
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        code.global_get(self.fuel)
            .i64_const(units)
            .i64_sub()
            .global_set(self.fuel);
        if check {
            self.check_fuel(code);
        }
    }

    fn check_fuel(&self, code: &mut InstructionSink<'_>) {
        code.global_get(self.fuel)
            .i64_const(0)
            .i64_lt_s()
            .if_(BlockType::Empty)
            .call(self.out_of_fuel())
            .end();
    }

    /// Writes the functions behind the module's own.
    pub(super) fn write_functions(&self, code: &mut Vec<u8>) {
        for reason in [stop::FUEL, stop::DEPTH] {
            function(code, 0, |code| {
                code.i32_const(reason).global_set(self.stop).unreachable();
            });
        }
        // Most languages give up when they get no memory: then the limit is why, and not the module.
        function(code, 0, |code| {
            code.global_get(self.refused)
                .i32_const(stop::GAVE_UP)
                .i32_add()
                .global_set(self.stop)
                .unreachable();
        });
        function(code, 1, |code| self.write_grow(code));
        function(code, 0, |code| {
            self.write_payment(code, |code| {
                // (bytes + 15) / 16
                let round = weights::BYTES_PER_UNIT.cast_signed() - 1;
                let shift = i64::from(weights::BYTES_PER_UNIT.trailing_zeros());
                code.i64_const(round).i64_add().i64_const(shift).i64_shr_u();
            });
        });
        function(code, 0, |code| {
            self.write_payment(code, |code| {
                code.i64_const(weights::TABLE_ELEMENT.cast_signed()).i64_mul();
            });
        });
    }

    /// The engine may fail below the limit, for reasons of its own: that must not look like the limit.
    fn write_grow(&self, code: &mut InstructionSink<'_>) {
        const PAGES: u32 = 0;
        const BEFORE: u32 = 1;
        code.memory_size(0)
            .i64_extend_i32_u()
            .local_get(PAGES)
            .i64_extend_i32_u()
            .i64_add()
            .i64_const(self.pages_max.cast_signed())
            .i64_gt_u()
            .if_(BlockType::Empty)
            .i32_const(1)
            .global_set(self.refused)
            .i32_const(-1)
            .return_()
            .end()
            .global_get(self.fuel)
            .local_get(PAGES)
            .i64_extend_i32_u()
            .i64_const(weights::PAGE.cast_signed())
            .i64_mul()
            .i64_sub()
            .global_set(self.fuel);
        self.check_fuel(code);
        code.local_get(PAGES)
            .memory_grow(0)
            .local_tee(BEFORE)
            .i32_const(-1)
            .i32_eq()
            .if_(BlockType::Empty)
            .i32_const(stop::HOST_MEMORY)
            .global_set(self.stop)
            .unreachable()
            .end()
            .local_get(BEFORE);
    }

    fn write_payment(&self, code: &mut InstructionSink<'_>, units: impl Fn(&mut InstructionSink<'_>)) {
        code.global_get(self.fuel).local_get(0).i64_extend_i32_u();
        units(code);
        code.i64_sub().global_set(self.fuel);
        self.check_fuel(code);
        code.local_get(0);
    }
}

/// The bytes of a function type.
pub(super) fn signature(params: &[ValType], results: &[ValType]) -> Vec<u8> {
    let mut bytes = vec![0x60];
    params.encode(&mut bytes);
    results.encode(&mut bytes);
    bytes
}

fn encoded(value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

fn global(kind: ValType, value: impl Fn(&mut InstructionSink<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    kind.encode(&mut bytes);
    bytes.push(1); // mutable
    value(&mut InstructionSink::new(&mut bytes));
    bytes.push(0x0b); // end
    bytes
}

/// Appends a function with so many locals of 32 bits.
fn function(section: &mut Vec<u8>, locals: u32, write: impl Fn(&mut InstructionSink<'_>)) {
    let mut function = Function::new((locals > 0).then_some((locals, ValType::I32)));
    let mut code = function.instructions();
    write(&mut code);
    code.end();
    function.encode(section);
}
