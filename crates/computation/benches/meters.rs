//! What the meters cost: each example module as it is and with its meters, turn by turn, on the interpreter and on V8.
//!
//! `cargo bench -p computation`. Prints medians in milliseconds, and how fast fuel is used.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[cfg(not(target_arch = "wasm32"))]
#[path = "../tests/common/mod.rs"]
mod common;

fn main() {
    #[cfg(not(target_arch = "wasm32"))]
    native::main();
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::fs;
    use std::path::Path;
    use std::process::Command;
    use std::time::Instant;

    use computation::{Ending, Instrumented, Limits, Prepared};
    use wasmi::{Engine, Global, Linker, Memory, Module, Store, TypedFunc, Val};

    use crate::common;

    const ROUNDS: usize = 9;
    const FUEL: i64 = 1 << 36;

    pub(super) fn main() {
        println!("module   engine  plain ms  metered ms  ratio  million units  units/ns  bytes  metered");
        for (name, input) in [("words", text()), ("shrink", picture()), ("factors", range())] {
            let plain = common::module(name);
            let started = Instant::now();
            let metered = Instrumented::new(&plain, &Limits::default()).unwrap();
            let metering = started.elapsed();
            let prepared = Prepared::new(&plain, Limits::default()).unwrap();
            let outcome = prepared.run(&input, FUEL as u64);
            assert!(matches!(outcome.ending, Ending::Output(_)), "{outcome:?}");
            let units = outcome.fuel_used - metered.start_units();
            let interpreted = medians(|wasm| interpret(wasm, &input), &plain, metered.wasm());
            let compiled = v8(&plain, metered.wasm(), &input);
            for (engine, (without, with)) in [("wasmi", interpreted), ("V8", compiled)] {
                println!(
                    "{name:8} {engine:6} {without:9.2} {with:11.2} {:6.2} {:14.2} {:9.2} {:6} {:8}",
                    with / without,
                    units as f64 / 1e6,
                    units as f64 / (with * 1e6),
                    plain.len(),
                    metered.wasm().len(),
                );
            }
            println!("{name:8} metered in {:.2} ms", metering.as_secs_f64() * 1e3);
        }
    }

    /// Milliseconds of the middle run of each, taken in turns.
    fn medians(mut run: impl FnMut(&[u8]) -> f64, plain: &[u8], metered: &[u8]) -> (f64, f64) {
        let (mut without, mut with): (Vec<f64>, Vec<f64>) =
            (0..ROUNDS).map(|_| (run(plain), run(metered))).unzip();
        without.sort_by(f64::total_cmp);
        with.sort_by(f64::total_cmp);
        (without[ROUNDS / 2], with[ROUNDS / 2])
    }

    fn interpret(wasm: &[u8], input: &[u8]) -> f64 {
        let engine = Engine::default();
        let module = Module::new(&engine, wasm).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::<()>::new(&engine)
            .instantiate_and_start(&mut store, &module)
            .unwrap();
        let fuel: Option<Global> = instance.get_global(&store, "fuel");
        if let Some(fuel) = fuel {
            fuel.set(&mut store, Val::I64(FUEL)).unwrap();
        }
        let memory: Memory = instance.get_memory(&store, "memory").unwrap();
        let alloc: TypedFunc<u32, u32> = instance.get_typed_func(&store, "alloc").unwrap();
        let run: TypedFunc<(u32, u32), i64> = instance.get_typed_func(&store, "run").unwrap();
        let length = u32::try_from(input.len()).unwrap();
        let place = alloc.call(&mut store, length).unwrap();
        memory.write(&mut store, place as usize, input).unwrap();
        let started = Instant::now();
        run.call(&mut store, (place, length)).unwrap();
        started.elapsed().as_secs_f64() * 1e3
    }

    fn v8(plain: &[u8], metered: &[u8], input: &[u8]) -> (f64, f64) {
        let dir = tempfile::tempdir().unwrap();
        let files = ["plain.wasm", "metered.wasm", "input"].map(|file| dir.path().join(file));
        for (file, bytes) in files.iter().zip([plain, metered, input]) {
            fs::write(file, bytes).unwrap();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("benches")
            .join("v8.mjs");
        let run = Command::new("node").arg(script).args(&files).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let line = String::from_utf8(run.stdout).unwrap();
        let (without, with) = line.trim().split_once(' ').unwrap();
        (without.parse().unwrap(), with.parse().unwrap())
    }

    /// A linear congruential generator (Knuth's MMIX).
    fn noise() -> impl Iterator<Item = u64> {
        std::iter::successors(Some(1_u64), |x| {
            Some(
                x.wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407),
            )
        })
        .map(|x| x >> 33)
    }

    /// 20,000 words of 2,000, in sentences.
    fn text() -> Vec<u8> {
        let word = |it: u64| {
            format!(
                "{}{}",
                if it.is_multiple_of(11) { ". Word" } else { " word" },
                it * it % 2_000
            )
        };
        noise().take(20_000).map(word).collect::<String>().into_bytes()
    }

    /// 512 × 512 pixels to 100 × 75.
    fn picture() -> Vec<u8> {
        let size = [512_u32, 512, 100, 75].map(u32::to_le_bytes).concat();
        size.into_iter()
            .chain(noise().map(|it| it as u8).take(512 * 512 * 4))
            .collect()
    }

    fn range() -> Vec<u8> {
        [1_000_000_000_000_u64.to_le_bytes(), 100_u64.to_le_bytes()].concat()
    }
}
