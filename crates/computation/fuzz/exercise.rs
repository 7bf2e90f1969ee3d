//! What every fuzz target does with its bytes: whatever they are, nothing panics, and what runs ends within its fuel.

#![allow(dead_code, reason = "each target uses one of these")]

use arbitrary::Unstructured;
use computation::protocol::{Reply, Request};
use computation::{Desk, Ending, Failure, Instrumented, Limits, Outcome, Prepared};

/// What every module of the generator exports.
const CONVENTION: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 0))
    (func (export "run") (param i32 i32) (result i64) (i64.const 0)))"#;
/// Beyond what the start takes.
const FUEL: u64 = 100_000;

/// The bytes as a module.
pub fn module(data: &[u8]) {
    holds(data, b"input");
}

/// A valid module made from the bytes. It has everything that modules may have, so that now and then one is refused.
pub fn generated(data: &[u8]) {
    let config = wasm_smith::Config {
        exports: wat::parse_str(CONVENTION).ok(),
        allow_start_export: false,
        exceptions_enabled: false,
        gc_enabled: false,
        max_imports: 0,
        max_memories: 1,
        max_memory32_bytes: 64 * 65_536,
        memory64_enabled: false,
        reference_types_enabled: false,
        relaxed_simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        ..wasm_smith::Config::default()
    };
    if let Ok(module) = wasm_smith::Module::new(config, &mut Unstructured::new(data)) {
        holds(&module.to_bytes(), b"input");
    }
}

/// The bytes as a message to a worker, and as an outcome.
pub fn message(data: &[u8]) {
    let limits = Limits::default();
    let mut desk = Desk::new(limits);
    let _ = Reply::from_bytes(data);
    // What a request asks for may take as much as fuel allows; here only whether it is understood counts.
    if !matches!(Request::from_bytes(data), Ok(Request::Run { .. })) {
        desk.answer(data);
    }
    if let Ok(outcome) = Outcome::from_bytes(data, &limits) {
        assert_eq!(Outcome::from_bytes(&outcome.to_bytes(), &limits), Ok(outcome));
    }
}

fn holds(module: &[u8], input: &[u8]) {
    let limits = Limits::default();
    let Ok(metered) = Instrumented::new(module, &limits) else { return };
    assert_eq!(Ok(&metered), Instrumented::new(module, &limits).as_ref());
    wasmparser::validate(metered.wasm()).expect("what was metered is valid");
    let fuel = metered.start_units() + FUEL;
    let prepared = Prepared::new(module, limits).unwrap_or_else(|failure| panic!("{failure}"));
    let outcome = prepared.run(input, fuel);
    assert!(outcome.fuel_used <= fuel);
    if let Ending::Failed(failure) = &outcome.ending {
        assert!(failure.is_deterministic(), "{failure}");
    }
    assert_eq!(outcome, prepared.run(input, fuel));
    if outcome.ending != Ending::Failed(Failure::OutOfFuel) {
        assert_eq!(outcome, prepared.run(input, outcome.fuel_used));
    }
}
