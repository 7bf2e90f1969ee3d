//! Modules that mean no good, by hand. Every test runs on the interpreter and, as WebAssembly, on the browser's engine, and
//! fuel is compared with numbers: a bound is the same everywhere or it is none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use computation::{Ending, Failure, Limits, Outcome, Prepared, Trap, compute};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

const FUEL: u64 = 1_000_000;

/// A module whose `run` is this body, with an input of 16 bytes at 1024 unless it says otherwise.
fn module(fields: &str, run: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) (i32.const 1024))
            {fields}
            (func (export "run") (param i32 i32) (result i64) {run}))"#
    );
    wat::parse_str(text).unwrap()
}

fn run(fields: &str, body: &str) -> Outcome {
    compute(&module(fields, body), &[7; 16], FUEL, Limits::default())
}

fn failed(fuel_used: u64, failure: Failure) -> Outcome {
    Outcome {
        fuel_used,
        ending: Ending::Failed(failure),
    }
}

/// The output, from which everything else follows.
fn output(outcome: Outcome) -> Vec<u8> {
    match outcome.ending {
        Ending::Output(bytes) => bytes,
        Ending::Failed(failure) => panic!("{failure}"),
    }
}

/// Why the module is refused.
fn refused(text: &str) -> String {
    let module = wat::parse_str(text).unwrap();
    match Prepared::new(&module, Limits::default()) {
        Err(Failure::BadModule(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

/// `run`'s result for so many bytes at a place.
fn result(place: u32, length: u32) -> String {
    format!("(i64.const {})", (u64::from(place) << 32) | u64::from(length))
}

#[test]
fn an_output_comes_back_with_what_it_took() {
    let body = format!("(i32.store8 (local.get 0) (i32.const 1)) {}", result(1024, 16));
    let outcome = run("", &body);
    assert_eq!(output(outcome), [&[1][..], &[7; 15]].concat());
}

#[test]
fn an_endless_loop_ends_with_the_fuel() {
    let outcome = run("", "(loop (br 0)) (unreachable)");
    assert_eq!(outcome, failed(FUEL, Failure::OutOfFuel));
}

#[test]
fn a_loop_around_nothing_ends_too() {
    let outcome = run("", "(loop $again (br_if $again (i32.const 1))) (i64.const 0)");
    assert_eq!(outcome, failed(FUEL, Failure::OutOfFuel));
}

#[test]
fn recursion_ends_at_the_same_depth_everywhere() {
    let fields = "(global $depth (mut i32) (i32.const 0))
        (func $down (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
            (i32.store (i32.const 0) (global.get $depth)) (call $down))";
    let outcome = run(fields, "(call $down) (i64.const 0)");
    // The start takes one page and 32 units a byte; each of the 2,338 calls that fit takes 14 slots, and 17 units.
    assert_eq!(outcome, failed(RECURSION_FUEL, Failure::CallDepth));
}

/// What the recursion above takes until it is stopped.
const RECURSION_FUEL: u64 = 52_744;

#[test]
fn wide_frames_end_before_an_engine_does() {
    let locals = format!(
        "(func $down (local {}) (local.set 0 (i64.add (local.get 0) (i64.const 1))) (call $down))",
        "i64 ".repeat(1_900)
    );
    let vectors = "(func $next (param v128 v128 v128 v128)
            (call $next (i32x4.neg (local.get 3)) (local.get 2) (local.get 1) (local.get 0)))
        (func $down (call $next (v128.const i64x2 1 2) (v128.const i64x2 3 4) (v128.const i64x2 5 6) (v128.const i64x2 7 8)))";
    let indirect = "(type $none (func)) (table 1 funcref) (elem (i32.const 0) $down)
        (func $down (call_indirect (type $none) (i32.const 0)))";
    for fields in [&locals, vectors, indirect] {
        let outcome = run(fields, "(call $down) (i64.const 0)");
        assert_eq!(outcome.ending, Ending::Failed(Failure::CallDepth), "{fields}");
    }
}

#[test]
fn calls_that_return_give_their_slots_back() {
    let fields = "(func $leaf (param i32) (result i32) (local.get 0))
        (func $inner (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 5))))
            (block $out (br_if $out (i32.and (local.get 0) (i32.const 1))) (return (call $leaf (i32.const 6))))
            (call $leaf (i32.const 7)))";
    let body = "(local $i i32) (local $sum i32)
        (loop $again
            (local.set $sum (i32.add (local.get $sum) (call $inner (local.get $i))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const 10000))))
        (i32.store (i32.const 0) (local.get $sum))
        (i64.const 4)";
    let sum = u32::from_le_bytes(output(run(fields, body)).try_into().unwrap());
    assert_eq!(sum, 5 + 4_999 * 6 + 5_000 * 7);
}

#[test]
fn exponential_recursion_ends_with_the_fuel() {
    let fields = "(func $twice (param i32)
        (if (local.get 0) (then
            (call $twice (i32.sub (local.get 0) (i32.const 1)))
            (call $twice (i32.sub (local.get 0) (i32.const 1))))))";
    let outcome = run(fields, "(call $twice (i32.const 100)) (i64.const 0)");
    assert_eq!(outcome, failed(FUEL, Failure::OutOfFuel));
}

#[test]
fn memory_grows_to_the_limit_and_no_further() {
    let limits = Limits {
        memory_pages_max: 300,
        ..Limits::default()
    };
    let limits = Limits {
        input_bytes_max: 1024,
        output_bytes_max: 1024,
        ..limits
    };
    let body = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 7)) (i32.const -1))))
        (i32.store (i32.const 0) (memory.size))
        (i64.const 4)";
    let outcome = compute(&module("", body), &[], 2_000_000, limits);
    let pages = u32::from_le_bytes(output(outcome).try_into().unwrap());
    assert_eq!(pages, 1 + 7 * 42);
}

#[test]
fn a_memory_bomb_pays_for_each_page_before_it_gets_it() {
    let body = "(loop $again (drop (memory.grow (i32.const 64))) (br $again)) (unreachable)";
    let outcome = run("", body);
    assert_eq!(outcome, failed(FUEL, Failure::OutOfFuel));
}

#[test]
fn giving_up_for_want_of_memory_is_told_from_giving_up() {
    let hungry =
        "(if (i32.eq (memory.grow (i32.const 60000)) (i32.const -1)) (then (unreachable))) (i64.const 0)";
    assert!(matches!(
        run("", hungry).ending,
        Ending::Failed(Failure::MemoryLimit)
    ));
    let other = "(unreachable)";
    let Ending::Failed(failure) = run("", other).ending else {
        panic!()
    };
    assert_eq!(failure, Failure::Trap(Trap::Unreachable));
}

#[test]
fn filling_memory_costs_its_length_before_it_is_done() {
    let fill =
        "(loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $again)) (unreachable)";
    assert_eq!(run("", fill), failed(FUEL, Failure::OutOfFuel));
    let few = |times: u32| {
        let body = format!(
            "(local $i i32)
            (loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const {times}))))
            (i64.const 0)"
        );
        run("", &body).fuel_used
    };
    let each = few(11) - few(10);
    assert!((4_096..4_200).contains(&each), "{each} units for 64 KiB");
    // A length that does not fit is charged for as well: the fuel ends first, or it traps.
    let absurd = "(memory.fill (i32.const 0) (i32.const 1) (i32.const -1)) (i64.const 0)";
    assert_eq!(run("", absurd), failed(FUEL, Failure::OutOfFuel));
}

#[test]
fn traps_are_told_apart_and_cost_what_was_used() {
    let cases = [
        (
            "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
            Trap::DivisionByZero,
        ),
        (
            "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
            Trap::IntegerOverflow,
        ),
        ("(drop (i32.trunc_f32_s (f32.const nan)))", Trap::IntegerOverflow),
        ("(drop (i32.load (i32.const 65536)))", Trap::OutOfBounds),
        ("(call_indirect (type $none) (i32.const 0))", Trap::IndirectCall),
        ("(call_indirect (type $none) (i32.const 1))", Trap::IndirectCall),
        ("(call_indirect (type $none) (i32.const 9))", Trap::OutOfBounds),
        (
            "(memory.copy (i32.const 65535) (i32.const 0) (i32.const 2))",
            Trap::OutOfBounds,
        ),
    ];
    let fields = "(type $none (func)) (table 2 funcref) (elem (i32.const 1) $other)
        (func $other (param i32))";
    for (body, trap) in cases {
        let outcome = run(fields, &format!("{body} (i64.const 0)"));
        let Ending::Failed(failure) = outcome.ending else {
            panic!("{body}")
        };
        assert_eq!(failure, Failure::Trap(trap), "{body}");
        assert!(
            (40..FUEL).contains(&outcome.fuel_used),
            "{body} used {}",
            outcome.fuel_used
        );
    }
}

#[test]
fn outputs_that_grow_too_long_or_lie_elsewhere_are_refused() {
    let limits = Limits {
        output_bytes_max: 10,
        message_bytes_max: 5,
        ..Limits::default()
    };
    let ending = |body: &str| compute(&module("", body), &[], FUEL, limits).ending;
    assert_eq!(ending(&result(0, 11)), Ending::Failed(Failure::OutputTooLong));
    assert_eq!(
        ending(&result(0, u32::MAX)),
        Ending::Failed(Failure::OutputTooLong)
    );
    assert_eq!(ending(&result(65_530, 10)), Ending::Failed(Failure::BadPlace));
    assert_eq!(ending(&result(0x7fff_ffff, 1)), Ending::Failed(Failure::BadPlace));
    assert_eq!(
        ending(&result(0x8000_0000, 6)),
        Ending::Failed(Failure::OutputTooLong)
    );
    assert_eq!(ending(&result(65_526, 10)), Ending::Output(vec![0; 10]));
}

#[test]
fn a_module_may_say_what_is_wrong_with_an_input() {
    let outcome = run("(data (i32.const 8) \"too blue\")", &result(0x8000_0008, 8));
    assert_eq!(
        outcome.ending,
        Ending::Failed(Failure::Refused("too blue".into()))
    );
}

#[test]
fn an_alloc_that_names_no_place_is_refused() {
    let text = r#"(module (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const -1))
        (func (export "run") (param i32 i32) (result i64) (i64.const 0)))"#;
    let outcome = compute(&wat::parse_str(text).unwrap(), &[1], FUEL, Limits::default());
    assert_eq!(outcome.ending, Ending::Failed(Failure::BadPlace));
}

#[test]
fn the_bits_of_a_nan_are_the_same_whatever_it_was_made_of() {
    // A NaN with a payload and the sign bit, from memory, through one operation, and back into memory.
    let narrow = ["f32.add", "f32.sub", "f32.mul", "f32.div", "f32.min", "f32.max"];
    for op in narrow {
        let body = format!(
            "(i32.store (i32.const 0) (i32.const 0xffc12345))
            (f32.store (i32.const 4) ({op} (f32.load (i32.const 0)) (f32.const 1)))
            (i64.const 8)"
        );
        let bytes = output(run("", &body));
        assert_eq!(bytes[4..], 0x7fc0_0000_u32.to_le_bytes(), "{op}");
    }
    let single = ["f64.sqrt", "f64.ceil", "f64.floor", "f64.trunc", "f64.nearest"];
    for op in single {
        let body = format!(
            "(i64.store (i32.const 0) (i64.const 0xfff8000000012345))
            (i64.store (i32.const 8) (i64.reinterpret_f64 ({op} (f64.load (i32.const 0)))))
            (i64.const 16)"
        );
        let bytes = output(run("", &body));
        assert_eq!(bytes[8..], 0x7ff8_0000_0000_0000_u64.to_le_bytes(), "{op}");
    }
    let body = "(i32.store (i32.const 0) (i32.const 0xffc12345))
        (f64.store (i32.const 8) (f64.promote_f32 (f32.load (i32.const 0))))
        (f32.store (i32.const 4) (f32.demote_f64 (f64.div (f64.const 0) (f64.const 0))))
        (i64.const 16)";
    let bytes = output(run("", body));
    assert_eq!(bytes[8..], 0x7ff8_0000_0000_0000_u64.to_le_bytes());
    assert_eq!(bytes[4..8], 0x7fc0_0000_u32.to_le_bytes());
}

#[test]
fn the_bits_of_a_nan_in_a_vector_are_the_same_too() {
    for (op, lane) in [
        ("f32x4.mul", 0x7fc0_0000_7fc0_0000_u64),
        ("f64x2.mul", 0x7ff8_0000_0000_0000),
    ] {
        let body = format!(
            "(v128.store (i32.const 0) (v128.const i32x4 0xffc12345 0xfff80001 0xffc12345 0xfff80001))
            (v128.store (i32.const 16) ({op} (v128.load (i32.const 0)) (v128.load (i32.const 0))))
            (i64.const 32)"
        );
        let bytes = output(run("", &body));
        assert_eq!(
            bytes[16..],
            [lane.to_le_bytes(), lane.to_le_bytes()].concat(),
            "{op}"
        );
    }
}

#[test]
fn a_nan_that_is_moved_or_turned_keeps_its_bits() {
    let body = "(i64.store (i32.const 0) (i64.const 0x7ff4000000012345))
        (f64.store (i32.const 8) (f64.load (i32.const 0)))
        (f64.store (i32.const 16) (f64.neg (f64.load (i32.const 0))))
        (i64.const 24)";
    let bytes = output(run("", body));
    assert_eq!(bytes[8..16], 0x7ff4_0000_0001_2345_u64.to_le_bytes());
    assert_eq!(bytes[16..], 0xfff4_0000_0001_2345_u64.to_le_bytes());
}

#[test]
fn a_nan_within_a_formula_is_canonical_where_it_leaves_it() {
    // The product waits below an address and another product, and is stored in the end by way of `neg`, which is not arithmetic.
    let body = "(local $x f64)
        (i64.store (i32.const 0) (i64.const 0xfff8000000012345))
        (local.set $x (f64.load (i32.const 0)))
        (f64.store (i32.const 8) (f64.add (f64.mul (local.get $x) (f64.const 2)) (f64.mul (local.get $x) (local.get $x))))
        (f64.store (i32.const 16) (f64.neg (f64.mul (local.get $x) (f64.const 2))))
        (f64.store (i32.const 24) (f64.copysign (f64.const 1) (f64.mul (local.get $x) (f64.const 2))))
        (i64.const 32)";
    let bytes = output(run("", body));
    assert_eq!(bytes[8..16], 0x7ff8_0000_0000_0000_u64.to_le_bytes());
    assert_eq!(bytes[16..24], 0xfff8_0000_0000_0000_u64.to_le_bytes());
    assert_eq!(bytes[24..], 1_f64.to_le_bytes());
}

#[test]
fn a_vector_of_one_kind_of_float_is_not_taken_for_the_other() {
    // As numbers of 64 bits, the canonical NaNs of 32 bits are one NaN more: only if they are canonical is the sum of halves.
    let body = "(v128.store (i32.const 0) (v128.const i32x4 0xffc12345 0x3f800000 0xffc54321 0x3f800000))
        (v128.store (i32.const 16) (f64x2.add
            (f32x4.add (v128.load (i32.const 0)) (v128.const f32x4 0 0 0 0)) (v128.const f64x2 0 0)))
        (i64.const 32)";
    let bytes = output(run("", body));
    let expected = f64::from_bits(0x3f80_0000_7fc0_0000).to_le_bytes();
    assert_eq!(bytes[16..], [expected, expected].concat());
}

#[test]
fn what_may_not_run_is_refused_in_words() {
    let convention = r#"(memory (export "memory") 1)
        (func $a (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "run") (param i32 i32) (result i64) (i64.const 0))"#;
    let cases = [
        ("(import \"env\" \"now\" (func))".into(), "it imports env.now"),
        (format!("{convention} (func $s) (start $s)"), "start function"),
        (
            "(memory (export \"memory\") 1)".into(),
            "it must export alloc(i32) -> i32",
        ),
        (
            convention.replace("(result i64) (i64.const 0)", ""),
            "it must export run(i32, i32) -> i64",
        ),
        (
            convention.replace("(export \"memory\")", ""),
            "it must export memory",
        ),
        (
            convention.replace("1)", "1025)"),
            "pages of memory at the start: 1025",
        ),
        (
            format!("{convention} (data (i32.const 65535) \"ab\")"),
            "data segments: one lies outside",
        ),
        (
            format!("{convention} (data (i32.const -1) \"ab\")"),
            "data segments: one lies outside",
        ),
        (
            format!("{convention} (table 1 funcref) (elem (i32.const 1) $a)"),
            "element segments: one lies outside",
        ),
        (
            format!("{convention} (table 65537 funcref)"),
            "entries of the table: 65537",
        ),
        (
            format!(
                "{convention} (func (result v128) (v128.const i64x2 0 0) (v128.const i64x2 0 0) (v128.const i64x2 0 0) (f32x4.relaxed_madd))"
            ),
            "relaxed",
        ),
        (
            format!("{convention} (func (return_call $a (i32.const 1)) drop)"),
            "tail calls",
        ),
        (format!("{convention} (memory 1)"), "multiple memories"),
        (
            format!("{convention} (func (param externref))"),
            "reference types",
        ),
        (
            convention.replace("(export \"memory\") 1", "(export \"memory\") i64 1"),
            "memory64",
        ),
        (
            convention.replace("(export \"memory\") 1", "(export \"memory\") 1 1 shared"),
            "threads",
        ),
    ];
    for (fields, why) in cases {
        let said = refused(&format!("(module {fields})"));
        assert!(said.contains(why), "{said:?} is not {why:?}");
    }
}

#[test]
fn bombs_are_refused_before_they_cost_anything() {
    let convention = r#"(memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "run") (param i32 i32) (result i64) (i64.const 0))"#;
    let cases = [
        (
            format!("(func (local {}))", "i64 ".repeat(5_000)),
            "stack slots of one function: 5000",
        ),
        (
            format!(
                "(func {} {})",
                "(i32.const 0) ".repeat(3_000),
                "drop ".repeat(3_000)
            ),
            "stack slots of one function",
        ),
        (
            format!("(func {} {})", "block ".repeat(2_000), "end ".repeat(2_000)),
            "blocks within blocks: 1025",
        ),
        (
            format!(
                "(func (param i32) block (br_table {} (local.get 0)) end)",
                "0 ".repeat(300_000)
            ),
            "bytes of one function",
        ),
        (
            format!("(func (result {}) unreachable)", "i32 ".repeat(33)),
            "parameters or results of one function: 33",
        ),
        ("(func) ".repeat(20_000), "functions: 20002"),
        (
            "(global i32 (i32.const 0)) ".repeat(5_000),
            "global variables: 5000",
        ),
        ("(data \"\") ".repeat(5_000), "data segments: 5000"),
        (
            (0..5_000)
                .map(|i| format!("(export \"e{i}\" (func 0))"))
                .collect(),
            "exports: 5003",
        ),
        (
            (0..5_000)
                .map(|i| format!("(type (func (param {})))", "i32 ".repeat(i % 30)))
                .collect(),
            "function types: 50",
        ),
    ];
    for (fields, why) in cases {
        let said = refused(&format!("(module {convention} {fields})"));
        assert!(said.contains(why), "{said:?} is not {why:?}");
    }
}

#[test]
fn locals_declared_by_the_billion_are_refused() {
    // By hand: the text format has no counts.
    let convention = r#"(module (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "run") (param i32 i32) (result i64) (i64.const 0)))"#;
    let whole = wat::parse_str(convention).unwrap();
    // The code section is the last one: two bodies of four bytes each. The second gets the locals.
    let code = whole.iter().rposition(|&byte| byte == 10).unwrap();
    assert_eq!(whole[code..code + 3], [10, 11, 2]);
    let mut bomb = whole[..code].to_vec();
    bomb.extend([
        10, 17, 2, 4, 0, 0x41, 0, 0x0b, 10, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x42, 0, 0x0b,
    ]);
    let outcome = compute(&bomb, &[], FUEL, Limits::default());
    let Ending::Failed(Failure::BadModule(why)) = outcome.ending else {
        panic!("{outcome:?}")
    };
    assert!(why.contains("stack slots of one function: 4294967295"), "{why}");
}

#[test]
fn a_branch_table_costs_what_it_does() {
    let arms = "0 1 2 3 ".repeat(10_000);
    let body = format!(
        "(loop $again block block block (br_table {arms} 0 (i32.const 3)) end end end (br $again)) (unreachable)"
    );
    assert_eq!(run("", &body), failed(FUEL, Failure::OutOfFuel));
}

#[test]
fn too_little_fuel_fails_at_the_same_point() {
    let body = "(local $i i32)
        (loop $again
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const 1000))))
        (i64.const 0)";
    let module = module("", body);
    let prepared = Prepared::new(&module, Limits::default()).unwrap();
    let whole = prepared.run(&[], FUEL);
    assert_eq!(whole.ending, Ending::Output(Vec::new()));
    assert_eq!(prepared.run(&[], whole.fuel_used), whole);
    let short = prepared.run(&[], whole.fuel_used - 1);
    assert_eq!(short, failed(whole.fuel_used - 1, Failure::OutOfFuel));
    assert_eq!(prepared.run(&[], 3), failed(3, Failure::OutOfFuel));
}

#[test]
fn no_run_sees_another() {
    let body = "(i32.store8 (i32.const 5) (i32.add (i32.load8_u (i32.const 5)) (i32.const 1)))
        (i64.const 0x0000000500000001)";
    let prepared = Prepared::new(&module("", body), Limits::default()).unwrap();
    for _ in 0..3 {
        assert_eq!(output(prepared.run(&[1; 100], FUEL)), [1]);
    }
}

#[test]
fn an_input_beyond_the_limit_is_refused() {
    let limits = Limits {
        input_bytes_max: 8,
        ..Limits::default()
    };
    let outcome = compute(&module("", "(i64.const 0)"), &[0; 9], FUEL, limits);
    assert_eq!(outcome, failed(0, Failure::InputTooLong));
}
