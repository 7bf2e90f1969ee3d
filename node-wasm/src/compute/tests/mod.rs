//! The client with real workers in a real browser. Their script is this test's own module, which has the worker's code in it.

mod modules;
mod workers;

use std::time::Duration;

use computation::{Ending, Failure, Outcome};
use js_sys::Array;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, BlobPropertyBag, Url};

use super::{Computer, Work};
use crate::error::ComputeError;

const FUEL: u64 = 1 << 30;
/// For what ends by itself. A worker loads this whole test, which is large.
const LONG: Duration = Duration::from_secs(60);

const ECHO: &str = r#"(module (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i64)
        (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#;
const ENDLESS: &str = r#"(module (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i64) (loop (br 0)) (unreachable)))"#;
const TRAPS: &str = r#"(module (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i64) (i64.div_u (i64.const 1) (i64.const 0))))"#;
const IMPORTS: &str = r#"(module (import "env" "now" (func)) (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i64) (i64.const 0)))"#;

/// Takes so many pages more, fills them all, and has no output. Without them it gives up.
fn glutton(pages: u32) -> String {
    format!(
        r#"(module (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "run") (param i32 i32) (result i64)
            (if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then (unreachable)))
            (memory.fill (i32.const 0) (i32.const 7) (i32.mul (memory.size) (i32.const 65536)))
            (i64.const 0)))"#
    )
}

/// What the worker of these tests begins with.
#[wasm_bindgen(js_name = startComputationWorker)]
#[allow(
    unreachable_pub,
    reason = "JavaScript calls it, and wasm-bindgen takes public functions only"
)]
pub fn start_computation_worker() -> Result<(), JsValue> {
    computation_worker::start()
}

/// A script like the site's `computation_worker.js`.
fn script(body: &str) -> String {
    let properties = BlobPropertyBag::new();
    properties.set_type("text/javascript");
    let parts = Array::of1(&JsValue::from(body));
    let blob = Blob::new_with_str_sequence_and_options(&parts, &properties).unwrap();
    Url::create_object_url_with_blob(&blob).unwrap()
}

fn computer(idle_ms_max: u32) -> Computer {
    computer_with(idle_ms_max, "")
}

/// With a worker that does something more first.
fn computer_with(idle_ms_max: u32, first: &str) -> Computer {
    let page = web_sys::window().unwrap().location().href().unwrap();
    let beside = |file| Url::new_with_base(file, &page).unwrap().href();
    let (module, wasm) = (
        beside("wasm-bindgen-test.js"),
        beside("wasm-bindgen-test_bg.wasm"),
    );
    let source = format!(
        "import init, {{ startComputationWorker }} from {module:?};\n{first}\
         export default async () => {{ await init({wasm:?}); startComputationWorker(); }};"
    );
    Computer::with_script("", &script(&source), idle_ms_max)
}

/// Runs a module in WebAssembly's text format.
async fn run(
    computer: &Computer,
    module: &str,
    inputs: &[&[u8]],
    fuel: u64,
    deadline: Duration,
) -> Result<Vec<Outcome>, ComputeError> {
    let module = wat::parse_str(module).unwrap();
    let work = Work {
        name: blob::name_of(&module),
        module: &module,
        inputs: inputs.iter().map(|input| input.to_vec()).collect(),
        fuel,
        deadline,
    };
    computer.run(work).await
}

async fn echoes(computer: &Computer) {
    let outcomes = run(computer, ECHO, &[b"one", b"two"], FUEL, LONG).await.unwrap();
    let outputs: Vec<_> = outcomes.iter().map(|outcome| outcome.ending.clone()).collect();
    assert_eq!(
        outputs,
        [Ending::Output(b"one".into()), Ending::Output(b"two".into())]
    );
    assert!(outcomes[0].fuel_used > 0 && outcomes[0].fuel_used == outcomes[1].fuel_used);
}

fn failure(outcomes: &[Outcome]) -> &Failure {
    match outcomes {
        [
            Outcome {
                ending: Ending::Failed(failure),
                ..
            },
        ] => failure,
        other => panic!("{other:?}"),
    }
}
