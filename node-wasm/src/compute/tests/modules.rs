//! What modules do, and what becomes of it.

use std::cell::Cell;
use std::rc::Rc;

use computation::{Ending, Failure, Limits, Outcome, Trap};
use gloo::events::EventListener;
use gloo::timers::future::TimeoutFuture;
use wasm_bindgen_test::wasm_bindgen_test as test;
use web_sys::BroadcastChannel;

use super::*;
use crate::platform;

#[test]
async fn modules_run_and_one_takes_the_place_of_another() {
    let computer = computer(60_000);
    assert!(!computer.is_running());
    echoes(&computer).await;
    let trapped = run(&computer, TRAPS, &[b""], FUEL, LONG).await.unwrap();
    assert_eq!(*failure(&trapped), Failure::Trap(Trap::DivisionByZero));
    echoes(&computer).await;
    echoes(&computer).await;
    assert!(computer.is_running());
    assert_eq!(run(&computer, ECHO, &[], FUEL, LONG).await, Ok(Vec::new()));
}

#[test]
async fn an_endless_module_is_ended_by_its_fuel() {
    let computer = computer(60_000);
    let ended = run(&computer, ENDLESS, &[b"", b""], FUEL / 8, LONG)
        .await
        .unwrap();
    let expected = Outcome {
        fuel_used: FUEL / 8,
        ending: Ending::Failed(Failure::OutOfFuel),
    };
    assert_eq!(ended, [expected.clone(), expected]);
    echoes(&computer).await;
}

#[test]
async fn a_module_that_may_not_run_is_refused_for_each_input() {
    let computer = computer(60_000);
    for _ in 0..2 {
        let refused = run(&computer, IMPORTS, &[b"", b""], FUEL, LONG).await.unwrap();
        assert_eq!(refused.len(), 2);
        for outcome in refused {
            assert_eq!(outcome.fuel_used, 0);
            let Ending::Failed(Failure::BadModule(reason)) = outcome.ending else {
                panic!("{outcome:?}");
            };
            assert!(reason.contains("env.now"), "{reason}");
        }
    }
    echoes(&computer).await;
}

#[test]
async fn what_is_too_long_is_not_sent() {
    let computer = computer(60_000);
    let limits = Limits::default();
    let long = vec![0; limits.module_bytes_max + 1];
    let work = Work {
        name: blob::name_of(&long),
        module: &long,
        inputs: vec![Vec::new()],
        fuel: FUEL,
        deadline: LONG,
    };
    let refused = computer.run(work).await.unwrap();
    assert!(matches!(failure(&refused), Failure::BadModule(_)));
    assert!(!computer.is_running());
    let long = vec![0; limits.input_bytes_max + 1];
    let outcomes = run(&computer, ECHO, &[&long, b"x"], FUEL, LONG).await.unwrap();
    assert_eq!(outcomes[0], Outcome::unused(Failure::InputTooLong));
    assert_eq!(outcomes[1].ending, Ending::Output(b"x".into()));
}

#[test]
async fn memory_is_bounded_in_one_run_and_given_back_after_it() {
    let name = format!("freed-{}", platform::dice());
    // The worker tells when the browser has freed the memory of a module.
    let computer = computer_with(
        60_000,
        &format!(
            "const freed = new BroadcastChannel({name:?});\n\
             const watched = new FinalizationRegistry(() => freed.postMessage(0));\n\
             const {{ Instance }} = WebAssembly;\n\
             WebAssembly.Instance = function (...given) {{\n\
                 const instance = new Instance(...given);\n\
                 watched.register(instance.exports.memory);\n\
                 return instance;\n\
             }};\n"
        ),
    );
    let freed = Rc::new(Cell::new(0));
    let (channel, counting) = (BroadcastChannel::new(&name).unwrap(), freed.clone());
    let _listener = EventListener::new(&channel, "message", move |_| counting.set(counting.get() + 1));

    let pages = Limits::default().memory_pages_max;
    let greedy = run(&computer, &glutton(pages), &[b""], FUEL, LONG).await.unwrap();
    assert_eq!(*failure(&greedy), Failure::MemoryLimit);
    // 2 GiB in all.
    let nothing: &[u8] = b"";
    let full = run(&computer, &glutton(pages - 1), &[nothing; 32], FUEL, LONG).await;
    let empty = Ending::Output(Vec::new());
    assert!(full.unwrap().iter().all(|outcome| outcome.ending == empty));
    // When a browser collects garbage is its own affair, but with so much of it, it does.
    for _ in 0..100 {
        if freed.get() >= 16 {
            return;
        }
        TimeoutFuture::new(100).await;
    }
    panic!("the memory of {} runs was freed", freed.get());
}

/// A worker for which the site has one module: `ECHO`, with the sample `sample`, and what is said of it.
fn computer_of_site(rules: u32, output: &[u8], fuel: u64, content: &str) -> Computer {
    let module = wat::parse_str(ECHO).unwrap();
    let (cid, output) = (
        blob::to_cid(&blob::name_of(&module)),
        blob::to_cid(&blob::name_of(output)),
    );
    let list = format!(
        r#"{{ "rules": {rules}, "modules": [{{
            "name": "echo", "title": "", "about": "", "license": "MIT", "bytes": {},
            "cid": "{cid}", "sample": {{ "text": "sample" }},
            "answer": {{ "output_bytes": 6, "output_cid": "{output}", "fuel": {fuel} }}
        }}] }}"#,
        module.len()
    );
    let content = wat::parse_str(content).unwrap();
    computer_with(
        60_000,
        &format!(
            "const files = {{ '/modules/modules.json': {list:?}, '/modules/echo.wasm': Uint8Array.from({content:?}) }};\n\
             const {{ fetch }} = self;\n\
             self.fetch = async (url) => files[url] ? new Response(files[url]) : fetch(url);\n"
        ),
    )
}

#[test]
async fn samples_measure_the_device_and_another_answer_is_noticed() {
    let run = run(&computer(60_000), ECHO, &[b"sample"], FUEL, LONG)
        .await
        .unwrap();
    let fuel = run[0].fuel_used;
    let right = computer_of_site(1, b"sample", fuel, ECHO);
    assert!(right.measure().await.unwrap() > 0);
    echoes(&right).await;

    let wrong = Err(ComputeError::WrongAnswer {
        module: "echo".into(),
    });
    for (output, fuel) in [(&b"else"[..], fuel), (b"sample", fuel + 1), (b"sample", fuel - 1)] {
        assert_eq!(computer_of_site(1, output, fuel, ECHO).measure().await, wrong);
    }
    for computer in [
        computer_of_site(2, b"sample", fuel, ECHO),
        computer_of_site(1, b"sample", fuel, TRAPS),
        // The test's server has no modules.
        computer(60_000),
    ] {
        let measured = computer.measure().await;
        assert!(matches!(measured, Err(ComputeError::NoSample(_))), "{measured:?}");
    }
}
