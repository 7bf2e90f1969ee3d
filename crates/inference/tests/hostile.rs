//! Small files that ask for too much: each is refused at once, and next to no memory is reserved for it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use inference::onnx::build::{self, GraphBuilder, int, ints};
use inference::onnx::proto::{AttributeProto, DataType, TensorProto};
use inference::onnx::{self, OnnxError};
use inference::session::Session;
use inference::tensor::Tensor;
use prost::Message;

/// A refusal takes no longer; without optimisation ten times as long.
const TOOK_MAX: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 100 });
/// A refusal reserves no more at any moment.
const BYTES_MAX: usize = 64 << 20;

/// The system's allocator, which remembers how much was held at most.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn grew(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it is.
#[allow(unsafe_code, reason = "an allocator is unsafe by definition")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One measurement at a time, since memory is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn x(dims: &[i64]) -> GraphBuilder {
    let mut graph = GraphBuilder::new("hostile");
    let dims: Vec<_> = dims.iter().map(|&size| size.into()).collect();
    graph.input("x", DataType::Float, &dims);
    graph.output("y", DataType::Float, &[]);
    graph
}

fn list(name: &str, values: &[i64]) -> TensorProto {
    build::i64_tensor(name, &[values.len() as i64], values)
}

/// One node that reads `x` and a list of integers.
fn by_list(op: &str, dims: &[i64], values: &[i64], with: Vec<AttributeProto>) -> GraphBuilder {
    let mut graph = x(dims);
    graph.constant(list("n", values));
    graph.node(op, &["x", "n"], "y", with);
    graph
}

/// The same node over and over, each with the last one's output in the place of `x`.
fn chain(
    mut graph: GraphBuilder,
    count: usize,
    op: &str,
    inputs: &[&str],
    with: &[AttributeProto],
) -> GraphBuilder {
    let mut last = "x".to_owned();
    for step in 1..=count {
        let name = if step == count {
            "y".to_owned()
        } else {
            format!("v{step}")
        };
        let inputs: Vec<&str> = inputs
            .iter()
            .map(|&input| if input == "x" { &last[..] } else { input })
            .collect();
        last = graph.node(op, &inputs, &name, with.to_vec());
    }
    graph
}

/// A tensor without elements whose other axes are long.
fn hollow(name: &str, dims: &[i64]) -> TensorProto {
    build::f32_tensor(name, dims, &[])
}

/// Every graph with the sizes of its input `x`.
fn graphs() -> Vec<(&'static str, GraphBuilder, Vec<usize>)> {
    let mut found = Vec::new();
    let mut add = |name, graph, dims: &[usize]| found.push((name, graph, dims.to_vec()));

    add(
        "Expand to 2^40",
        by_list("Expand", &[1], &[1 << 20, 1 << 20], vec![]),
        &[1],
    );
    add(
        "Expand to i64::MAX",
        by_list("Expand", &[1], &[i64::MAX, 2], vec![]),
        &[1],
    );
    add(
        "Expand to 2^26",
        by_list("Expand", &[1], &[1 << 26], vec![]),
        &[1],
    );
    add(
        "Tile by 2^40",
        by_list("Tile", &[1, 1], &[1 << 20, 1 << 20], vec![]),
        &[1, 1],
    );
    add("Pad by 2^40", by_list("Pad", &[1], &[1 << 40, 0], vec![]), &[1]);
    add("Pad by 2^26", by_list("Pad", &[1], &[1 << 26, 0], vec![]), &[1]);
    add(
        "Concat doubles",
        chain(x(&[1]), 40, "Concat", &["x", "x"], &[int("axis", 0)]),
        &[1],
    );
    add(
        "Add broadcasts",
        {
            let mut graph = x(&[1 << 14, 1]);
            graph.node("Transpose", &["x"], "turned", vec![]);
            graph.node("Add", &["x", "turned"], "y", vec![]);
            graph
        },
        &[1 << 14, 1],
    );
    add(
        "Sum of one value many times",
        {
            let mut graph = x(&[1 << 22]);
            graph.node("Sum", &["x"; 40_000], "y", vec![]);
            graph
        },
        &[1 << 22],
    );
    add(
        "ConstantOfShape",
        {
            let mut graph = x(&[1]);
            graph.constant(list("n", &[1 << 20, 1 << 20]));
            graph.node("ConstantOfShape", &["n"], "zeros", vec![]);
            graph.node("Add", &["x", "zeros"], "y", vec![]);
            graph
        },
        &[1],
    );
    add(
        "constants that fill memory",
        {
            let mut graph = x(&[1]);
            graph.constant(list("n", &[1 << 25]));
            for step in 0..100 {
                graph.node("ConstantOfShape", &["n"], &format!("zeros{step}"), vec![]);
            }
            graph.node("Add", &["x", "zeros99"], "y", vec![]);
            graph
        },
        &[1],
    );
    add(
        "Range",
        {
            let mut graph = x(&[]);
            for (name, value) in [("start", 0), ("limit", 1_i64 << 40), ("step", 1)] {
                graph.constant(build::i64_tensor(name, &[], &[value]));
            }
            graph.node("Range", &["start", "limit", "step"], "y", vec![]);
            graph
        },
        &[],
    );
    add(
        "OneHot",
        {
            let mut graph = x(&[64]);
            graph.constant(build::i64_tensor("depth", &[], &[1 << 40]));
            graph.constant(build::f32_tensor("values", &[2], &[0.0, 1.0]));
            graph.node("OneHot", &["x", "depth", "values"], "y", vec![]);
            graph
        },
        &[64],
    );
    add(
        "products all day",
        {
            let graph = x(&[1024, 1024]);
            chain(graph, 200, "MatMul", &["x", "x"], &[])
        },
        &[1024, 1024],
    );
    add(
        "one product",
        {
            let mut graph = x(&[1 << 13, 1 << 9]);
            graph.node("Transpose", &["x"], "turned", vec![]);
            graph.node("MatMul", &["x", "turned"], "y", vec![]);
            graph
        },
        &[1 << 13, 1 << 9],
    );
    add(
        "Resize by sizes",
        {
            let mut graph = x(&[1, 1, 1, 1]);
            graph.constant(list("sizes", &[1, 1, 1 << 20, 1 << 20]));
            graph.node("Resize", &["x", "", "", "sizes"], "y", vec![]);
            graph
        },
        &[1, 1, 1, 1],
    );
    add(
        "Resize along one axis",
        {
            let mut graph = x(&[1]);
            graph.constant(build::f32_tensor("scales", &[1], &[33_554_432.0]));
            graph.node("Resize", &["x", "", "scales"], "y", vec![]);
            graph
        },
        &[1],
    );
    add(
        "Upsample",
        {
            let mut graph = x(&[1, 1]);
            graph.constant(build::f32_tensor("scales", &[2], &[1e9, 1e9]));
            graph.node("Upsample", &["x", "scales"], "y", vec![]);
            graph
        },
        &[1, 1],
    );
    add(
        "Conv with a window as large as its image",
        {
            let mut graph = x(&[1, 1, 1024, 1024]);
            graph.node("Conv", &["x", "x"], "y", vec![ints("pads", &[512; 4])]);
            graph
        },
        &[1, 1, 1024, 1024],
    );
    add(
        "Conv with pads",
        {
            let mut graph = x(&[1, 1, 1]);
            graph.constant(build::f32_tensor("w", &[1, 1, 1], &[1.0]));
            graph.node("Conv", &["x", "w"], "y", vec![ints("pads", &[1 << 26, 1 << 26])]);
            graph
        },
        &[1, 1, 1],
    );
    add(
        "Conv with dilations",
        {
            let mut graph = x(&[1, 1, 1]);
            graph.constant(build::f32_tensor("w", &[1, 1, 2], &[1.0; 2]));
            let with = vec![ints("pads", &[1 << 26, 1 << 26]), ints("dilations", &[1 << 26])];
            graph.node("Conv", &["x", "w"], "y", with);
            graph
        },
        &[1, 1, 1],
    );
    add(
        "Conv of no images",
        {
            let mut graph = x(&[1]);
            graph.constant(hollow("none", &[0, 1, 1 << 20, 1 << 20]));
            graph.constant(build::f32_tensor("w", &[1, 1, 1, 1], &[1.0]));
            graph.node("Conv", &["none", "w"], "y", vec![]);
            graph
        },
        &[1],
    );
    add(
        "ConvTranspose without channels",
        {
            let mut graph = x(&[1]);
            graph.constant(hollow("none", &[1, 0, 1 << 20, 1 << 20]));
            graph.constant(hollow("w", &[0, 1, 1 << 10, 1 << 10]));
            graph.node("ConvTranspose", &["none", "w"], "y", vec![]);
            graph
        },
        &[1],
    );
    add(
        "ConvTranspose with strides",
        {
            let mut graph = x(&[1, 1, 64, 64]);
            graph.constant(build::f32_tensor("w", &[1, 1, 1, 1], &[1.0]));
            graph.node(
                "ConvTranspose",
                &["x", "w"],
                "y",
                vec![ints("strides", &[1 << 20, 1 << 20])],
            );
            graph
        },
        &[1, 1, 64, 64],
    );
    add(
        "pools with wide windows",
        {
            let with = [
                ints("kernel_shape", &[1 << 20]),
                ints("pads", &[1 << 19, 1 << 19]),
            ];
            chain(x(&[1, 1, 1 << 20]), 2, "MaxPool", &["x"], &with)
        },
        &[1, 1, 1 << 20],
    );
    add(
        "LRN over every channel",
        {
            let mut graph = x(&[1, 1 << 20]);
            graph.node("LRN", &["x"], "y", vec![int("size", 1 << 20)]);
            graph
        },
        &[1, 1 << 20],
    );
    add(
        "DepthToSpace of nothing",
        {
            let mut graph = x(&[1]);
            graph.constant(hollow("none", &[1, 0, 1 << 20, 1]));
            graph.node("DepthToSpace", &["none"], "y", vec![int("blocksize", 1 << 26)]);
            graph
        },
        &[1],
    );
    add(
        "Split into many",
        {
            let mut graph = x(&[1]);
            graph.node("Split", &["x"], "y", vec![int("num_outputs", 1 << 27)]);
            graph
        },
        &[1],
    );
    add(
        "Einsum",
        {
            let mut graph = x(&[1 << 10]);
            let equation = AttributeProto {
                name: "equation".into(),
                s: "a,b,c,d->".into(),
                ..AttributeProto::default()
            };
            graph.node("Einsum", &["x"; 4], "y", vec![equation]);
            graph
        },
        &[1 << 10],
    );
    add(
        "recurrent forever",
        {
            let mut graph = x(&[256, 64, 64]);
            graph.node("Slice", &["x", "from", "to", "axis"], "w", vec![]);
            graph.node("Slice", &["x", "from", "to", "axis"], "r", vec![]);
            graph.constant(list("from", &[0]));
            graph.constant(list("to", &[1]));
            graph.constant(list("axis", &[0]));
            let names: Vec<String> = (0..1100)
                .map(|step| {
                    if step == 1099 {
                        "y".into()
                    } else {
                        format!("v{step}")
                    }
                })
                .collect();
            let mut last = "x".to_owned();
            for name in &names {
                graph.node("RNN", &[&last, "w", "r"], &format!("{name}.all"), vec![]);
                graph.node("Squeeze", &[&format!("{name}.all"), "to"], name, vec![]);
                last.clone_from(name);
            }
            graph
        },
        &[256, 64, 64],
    );
    add(
        "Unsqueeze with a million axes",
        by_list("Unsqueeze", &[1], &(0..1 << 20).collect::<Vec<_>>(), vec![]),
        &[1],
    );
    // What decides these shapes is known only when it is computed.
    add(
        "squares of a count",
        {
            let mut graph = x(&[1 << 14]);
            graph.constant(list("axis", &[0]));
            graph.node("NonZero", &["x"], "places", vec![]);
            graph.node("Shape", &["places"], "counts", vec![]);
            graph.constant(list("which", &[1, 1, 1]));
            graph.node("Gather", &["counts", "which"], "n", vec![]);
            graph.node("Expand", &["x", "n"], "y", vec![]);
            graph
        },
        &[1 << 14],
    );
    found
}

fn ones(dims: &[usize]) -> Tensor {
    Tensor::floats(dims, vec![1.0; dims.iter().product()]).unwrap()
}

fn attempt(file: &[u8], x: Tensor) -> Result<BTreeMap<String, Tensor>, OnnxError> {
    let session = Session::new(onnx::read(file.to_vec().into())?)?;
    let inputs = session.inputs().iter().map(|port| (port.name.clone(), x.clone()));
    session.run(inputs.collect())
}

#[test]
fn what_asks_for_too_much_is_refused_at_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = Vec::new();
    for (name, graph, dims) in graphs() {
        let file = graph.finish("test", name).encode_to_vec();
        // Once to see that it is refused at all, and what it takes; the time is that of the better of two attempts.
        let given: usize = dims.iter().product::<usize>() * 4 * 2;
        let before = HELD.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let mut took = Duration::MAX;
        let mut said = String::new();
        for _ in 0..2 {
            let x = ones(&dims);
            let start = Instant::now();
            match attempt(&file, x) {
                Ok(_) => said = "was computed".into(),
                Err(error) => said = error.to_string(),
            }
            took = took.min(start.elapsed());
        }
        let most = MOST.load(Ordering::Relaxed) - before;
        let within = took < TOOK_MAX && most < BYTES_MAX + given && said != "was computed";
        println!("{name}: {took:?}, {} KiB: {said:.120}", most >> 10);
        if !within {
            wrong.push(format!("{name}: {took:?}, {} MiB: {said:.120}", most >> 20));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_part_of_a_file_unfolds_in_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // A graph of two million empty nodes, of attributes, of constants: two bytes each in the file.
    for (name, inner) in [
        ("nodes", [0x0a, 0]),
        ("tensors", [0x2a, 0]),
        ("inputs", [0x5a, 0]),
    ] {
        let content = inner.repeat(1 << 21);
        let mut file = vec![0x3a];
        prost::encoding::encode_varint(content.len() as u64, &mut file);
        file.extend(content);
        let before = HELD.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let start = Instant::now();
        assert!(onnx::read(file.into()).is_err(), "{name}");
        let most = MOST.load(Ordering::Relaxed) - before;
        assert!(
            start.elapsed() < TOOK_MAX && most < BYTES_MAX,
            "{name}: {most} bytes, {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn an_honest_model_is_not_refused() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut graph = x(&[512, 512]);
    graph.node("MatMul", &["x", "x"], "square", vec![]);
    graph.node("Relu", &["square"], "y", vec![]);
    let found = attempt(&graph.finish("test", "").encode_to_vec(), ones(&[512, 512])).unwrap();
    assert_eq!(found["y"].as_floats().unwrap()[0], 512.0);
}
