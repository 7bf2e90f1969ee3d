//! Modules that nobody wrote: whatever they are, metering them gives a valid module, the same one each time, that ends within its
//! fuel, and in the same way on a second run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(not(target_arch = "wasm32"))]

mod common;

use arbitrary::Unstructured;
use computation::protocol::{Reply, Request};
use computation::{Desk, Ending, Failure, Instrumented, Limits, Outcome, Prepared, compute};
use proptest::prelude::*;

/// What every module of a generator exports. wasm-smith takes names and types from it, and makes up the rest.
const CONVENTION: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 0))
    (func (export "run") (param i32 i32) (result i64) (i64.const 0)))"#;
const FUEL: u64 = 300_000;

fn config() -> wasm_smith::Config {
    wasm_smith::Config {
        exports: Some(wat::parse_str(CONVENTION).unwrap()),
        allow_start_export: false,
        bulk_memory_enabled: true,
        disallow_traps: false,
        exceptions_enabled: false,
        extended_const_enabled: false,
        gc_enabled: false,
        custom_page_sizes_enabled: false,
        max_imports: 0,
        max_memories: 1,
        max_tables: 1,
        max_table_elements: 1_000,
        max_memory32_bytes: 64 * 65_536,
        max_funcs: 20,
        max_instructions: 400,
        memory64_enabled: false,
        memory_max_size_required: false,
        multi_value_enabled: true,
        reference_types_enabled: false,
        relaxed_simd_enabled: false,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        simd_enabled: true,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        ..wasm_smith::Config::default()
    }
}

/// A module from random bytes, if they suffice for one.
fn generate(seed: &[u8]) -> Option<Vec<u8>> {
    let module = wasm_smith::Module::new(config(), &mut Unstructured::new(seed)).ok()?;
    Some(module.to_bytes())
}

fn is_valid(wasm: &[u8]) -> bool {
    // The interpreter's parser is another version, and its validator another instance, of the one that let the module pass.
    wasmi::Module::new(&wasmi::Engine::default(), wasm).is_ok()
}

fn holds(module: &[u8], input: &[u8]) -> Result<Option<Outcome>, TestCaseError> {
    let limits = Limits::default();
    let Ok(metered) = Instrumented::new(module, &limits) else {
        return Ok(None);
    };
    prop_assert_eq!(&metered, &Instrumented::new(module, &limits).unwrap());
    prop_assert!(is_valid(metered.wasm()));
    let fuel = metered.start_units() + FUEL;
    let prepared = Prepared::new(module, limits).unwrap();
    let outcome = prepared.run(input, fuel);
    prop_assert!(outcome.fuel_used <= fuel);
    if let Ending::Failed(failure) = &outcome.ending {
        prop_assert!(failure.is_deterministic(), "{}", failure);
    }
    prop_assert_eq!(&outcome, &prepared.run(input, fuel));
    // With exactly what it took it ends alike, and with one unit less it does not.
    if outcome.ending != Ending::Failed(Failure::OutOfFuel) {
        prop_assert_eq!(&outcome, &prepared.run(input, outcome.fuel_used));
        let short = prepared.run(input, outcome.fuel_used - 1);
        prop_assert_eq!(short.ending, Ending::Failed(Failure::OutOfFuel));
    }
    Ok(Some(outcome))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn modules_of_a_generator_end_within_their_fuel(
        seed in proptest::collection::vec(any::<u8>(), 500..4_000),
        input in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        if let Some(module) = generate(&seed) {
            holds(&module, &input)?;
        }
    }

    #[test]
    fn modules_with_a_wrong_byte_are_refused_or_end_within_their_fuel(
        seed in proptest::collection::vec(any::<u8>(), 500..2_000),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        if let Some(mut module) = generate(&seed) {
            let place = place.index(module.len());
            module[place] = byte;
            holds(&module, &[])?;
        }
    }

    #[test]
    fn bytes_that_are_no_module_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let outcome = compute(&bytes, &[], FUEL, Limits::default());
        prop_assert!(matches!(outcome.ending, Ending::Failed(Failure::BadModule(_))));
    }

    #[test]
    fn bytes_that_are_no_message_are_misunderstood(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut desk = Desk::new(Limits::default());
        let reply = desk.answer(&bytes);
        prop_assert!(Request::from_bytes(&bytes).is_ok() || reply == Reply::Misunderstood);
    }
}

/// Modules from seeds, those that are taken.
fn modules(count: u64, config: impl Fn() -> wasm_smith::Config) -> impl Iterator<Item = Vec<u8>> {
    (0..count).filter_map(move |seed| {
        let bytes: Vec<u8> = noise(seed).take(4_000).collect();
        let module = wasm_smith::Module::new(config(), &mut Unstructured::new(&bytes))
            .ok()?
            .to_bytes();
        Instrumented::new(&module, &Limits::default())
            .is_ok()
            .then_some(module)
    })
}

/// Without traps more of them come to an end.
fn calm() -> wasm_smith::Config {
    wasm_smith::Config {
        disallow_traps: true,
        ..config()
    }
}

#[test]
fn an_interpreter_and_a_compiler_end_alike() {
    let (mut outputs, mut failures) = (0, 0);
    for module in modules(40, config).chain(modules(40, calm)) {
        let prepared = Prepared::new(&module, Limits::default()).unwrap();
        let fuel = prepared.start_units() + FUEL;
        let here = prepared.run(&[1, 2, 3], fuel);
        let there = common::in_v8(&module, &[1, 2, 3], &[fuel]);
        assert!(here.agrees_with(&there[0]), "{here:?} here and {there:?} there");
        match here.ending {
            Ending::Output(_) => outputs += 1,
            Ending::Failed(_) => failures += 1,
        }
    }
    println!("{outputs} outputs, {failures} failures");
    assert!(
        outputs >= 2 && failures >= 10,
        "{outputs} outputs, {failures} failures"
    );
}

/// The meters take fuel, and nothing else: without floats, whose NaNs they change, a module computes what it did without them.
#[test]
fn meters_change_nothing_else() {
    let plain = || wasm_smith::Config {
        allow_floats: false,
        ..calm()
    };
    let mut compared = 0;
    for module in modules(80, plain) {
        let outcome = compute(&module, &[9; 8], 20_000_000, Limits::default());
        if matches!(
            outcome.ending,
            Ending::Failed(Failure::OutOfFuel | Failure::CallDepth)
        ) {
            continue;
        }
        compared += 1;
        assert_eq!(outcome.ending, without_meters(&module, &[9; 8]));
    }
    println!("{compared} compared");
    assert!(compared >= 10, "{compared} compared");
}

/// What a module computes as it is, by the calling convention.
fn without_meters(module: &[u8], input: &[u8]) -> Ending {
    let mut config = wasmi::Config::default();
    config
        .consume_fuel(true)
        .set_max_stack_height(1 << 22)
        .set_max_recursion_depth(1 << 16);
    let engine = wasmi::Engine::new(&config);
    let module = wasmi::Module::new(&engine, module).unwrap();
    let mut store = wasmi::Store::new(&engine, ());
    // Far more than any run needs that the meters let end.
    store.set_fuel(10_000_000_000).unwrap();
    let instance = wasmi::Linker::<()>::new(&engine)
        .instantiate_and_start(&mut store, &module)
        .unwrap();
    let memory = instance.get_memory(&store, "memory").unwrap();
    let alloc = instance.get_typed_func::<u32, u32>(&store, "alloc").unwrap();
    let run = instance.get_typed_func::<(u32, u32), u64>(&store, "run").unwrap();
    let place = alloc.call(&mut store, input.len() as u32).unwrap();
    if memory.write(&mut store, place as usize, input).is_err() {
        return Ending::Failed(Failure::BadPlace);
    }
    let result = run.call(&mut store, (place, input.len() as u32)).unwrap();
    let (from, length) = (
        (result >> 32) as usize & 0x7fff_ffff,
        (result & 0xffff_ffff) as usize,
    );
    let limits = Limits::default();
    let message = result >> 63 == 1;
    if length
        > if message {
            limits.message_bytes_max
        } else {
            limits.output_bytes_max
        }
    {
        return Ending::Failed(Failure::OutputTooLong);
    }
    match memory.data(&store).get(from..from + length) {
        None => Ending::Failed(Failure::BadPlace),
        Some(bytes) if message => Ending::Failed(Failure::Refused(String::from_utf8_lossy(bytes).into())),
        Some(bytes) => Ending::Output(bytes.to_vec()),
    }
}

/// A linear congruential generator (Knuth's MMIX).
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    std::iter::successors(Some(seed), |x| {
        Some(
            x.wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407),
        )
    })
    .map(|x| (x >> 56) as u8)
}

#[test]
fn a_desk_prepares_and_runs() {
    let mut desk = Desk::new(Limits::default());
    let run = |id| {
        Request::Run {
            id,
            input: vec![1],
            fuel: 1_000_000,
        }
        .to_bytes()
    };
    assert_eq!(desk.answer(&run(1)), Reply::Misunderstood);
    let module = wat::parse_str(CONVENTION).unwrap();
    let Reply::Prepared { start_units } = desk.answer(&Request::Prepare { module }.to_bytes()) else {
        panic!()
    };
    let Reply::Ended { id, outcome } = desk.answer(&run(7)) else {
        panic!()
    };
    assert_eq!((id, &outcome.ending), (7, &Ending::Output(Vec::new())));
    assert!(outcome.fuel_used > start_units);
    let reply = Reply::Ended { id, outcome };
    assert_eq!(Reply::from_bytes(&reply.to_bytes()), Ok(reply));
    let bad = Request::Prepare {
        module: b"no module".to_vec(),
    };
    assert!(matches!(
        desk.answer(&bad.to_bytes()),
        Reply::Unprepared {
            failure: Failure::BadModule(_)
        }
    ));
    assert_eq!(desk.answer(&run(8)), Reply::Misunderstood);
}
