//! Every bound on a module and on a run of it, in one place.
//!
//! Limits are part of the rules that two machines must share to get the same outcome: a module may watch where its memory ends or
//! how deep its calls reach. So a trade names [`RULES_VERSION`](crate::RULES_VERSION), and both sides take [`Limits::default`].

use thiserror::Error;

/// WebAssembly's page: 64 KiB ([spec], "Memory Instances").
///
/// [spec]: https://webassembly.github.io/spec/core/exec/runtime.html#memory-instances
pub const PAGE_BYTES: u64 = 65_536;

/// The most pages that a limit may allow: half of what 32 bits reach, so that no address of a result has the top bit, which marks
/// a message (see the crate's calling convention).
const PAGES_CEILING: u32 = 32_767;

/// The most fuel that a limit may allow. Half of what 63 bits hold, so that no single charge can wrap.
const FUEL_CEILING: u64 = 1 << 62;

/// What a module and one run of it may take. Each is checked before the memory that it guards is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the module as it is sold.
    pub module_bytes_max: usize,
    /// Bytes of the module with its meters.
    pub instrumented_bytes_max: usize,
    /// Function types.
    pub types_max: u32,
    /// Parameters, or results, of one function type.
    pub arity_max: usize,
    /// Functions.
    pub functions_max: u32,
    /// Global variables.
    pub globals_max: u32,
    /// Exports, whether this crate looks at them or not.
    pub exports_max: u32,
    /// Entries of the table that indirect calls go through.
    pub table_elements_max: u64,
    /// Data segments and, counted on their own, element segments.
    pub segments_max: u32,
    /// Bytes of one function's code.
    pub body_bytes_max: usize,
    /// Blocks within blocks of one function.
    pub nesting_max: u32,
    /// Stack slots of one call: its parameters, locals and operands, and [`FRAME_SLOTS`](crate::weights::FRAME_SLOTS).
    pub frame_slots_max: u32,
    /// Stack slots of all calls that are under way.
    pub stack_slots_max: u32,
    /// Pages of memory, at the start and ever.
    pub memory_pages_max: u32,
    /// Bytes of one input.
    pub input_bytes_max: usize,
    /// Bytes of one output.
    pub output_bytes_max: usize,
    /// Bytes of a module's message when it refuses an input.
    pub message_bytes_max: usize,
    /// The most fuel that one run may be given.
    pub fuel_max: u64,
}

impl Default for Limits {
    /// What fits a Basic node: 64 MiB of memory, and all the fuel in 7 to 20 seconds of one core where a browser computes the examples.
    fn default() -> Self {
        Self {
            module_bytes_max: 2 * 1024 * 1024,
            instrumented_bytes_max: 16 * 1024 * 1024,
            types_max: 4_096,
            arity_max: 32,
            functions_max: 16_384,
            globals_max: 4_096,
            exports_max: 4_096,
            table_elements_max: 65_536,
            segments_max: 4_096,
            body_bytes_max: 256 * 1024,
            nesting_max: 1_024,
            // 16 KiB where an engine gives each slot eight bytes.
            frame_slots_max: 2_048,
            // 256 KiB: the browsers' stacks are 512 KiB and up, and their frames are at most twice the slots.
            stack_slots_max: 32_768,
            memory_pages_max: 1_024,
            input_bytes_max: 16 * 1024 * 1024,
            output_bytes_max: 16 * 1024 * 1024,
            message_bytes_max: 1_024,
            fuel_max: 1 << 36,
        }
    }
}

impl Limits {
    /// Checks that the limits agree with one another and with what the counters hold.
    ///
    /// # Errors
    /// Names the limit that cannot be kept.
    pub fn validate(&self) -> Result<(), LimitsError> {
        let memory_bytes = u64::from(self.memory_pages_max) * PAGE_BYTES;
        let fits = |bytes: usize| bytes as u64 <= memory_bytes;
        let rules = [
            (self.memory_pages_max <= PAGES_CEILING, "memory_pages_max"),
            (self.fuel_max <= FUEL_CEILING, "fuel_max"),
            (fits(self.input_bytes_max), "input_bytes_max"),
            (fits(self.output_bytes_max), "output_bytes_max"),
            (
                self.message_bytes_max <= self.output_bytes_max,
                "message_bytes_max",
            ),
            (
                self.module_bytes_max <= self.instrumented_bytes_max,
                "module_bytes_max",
            ),
            // Section lengths and indices are 32-bit; the meters' own functions, types and globals come on top.
            (self.instrumented_bytes_max <= 1 << 30, "instrumented_bytes_max"),
            (self.body_bytes_max <= self.module_bytes_max, "body_bytes_max"),
            (
                self.frame_slots_max <= self.stack_slots_max && self.stack_slots_max <= 1 << 24,
                "stack_slots_max",
            ),
            (self.functions_max <= 1 << 20, "functions_max"),
            (self.types_max <= 1 << 18, "types_max"),
            (self.globals_max <= 1 << 18, "globals_max"),
            (self.nesting_max <= 1 << 16, "nesting_max"),
            (self.arity_max <= 1_000, "arity_max"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, limit)) => Err(LimitsError { limit }),
        }
    }
}

/// A limit that contradicts another one, or what a counter can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the limit {limit} cannot be kept beside the others")]
pub struct LimitsError {
    /// The field of [`Limits`].
    pub limit: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_agree_with_one_another() {
        assert_eq!(Limits::default().validate(), Ok(()));
    }

    #[test]
    fn limits_that_contradict_are_named() {
        let limits = Limits {
            memory_pages_max: 40_000,
            ..Limits::default()
        };
        assert_eq!(limits.validate().unwrap_err().limit, "memory_pages_max");
        let limits = Limits {
            memory_pages_max: 1,
            ..Limits::default()
        };
        assert_eq!(limits.validate().unwrap_err().limit, "input_bytes_max");
    }
}
