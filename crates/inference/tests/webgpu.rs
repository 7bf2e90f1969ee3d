//! The project's own kernels on whatever WebGPU the machine has, against the CPU's.
//!
//! It needs an adapter, and any Vulkan driver will do: `cargo xtask test --only native-release` gives it the software renderer that
//! Chromium brings.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

mod graphs;

use std::collections::BTreeMap;

use futures::executor::block_on;
use inference::backend::Backend;
use inference::backend::webgpu::{Machine, WebgpuBackend};
use inference::onnx;
use inference::onnx::build::{self, GraphBuilder, float, int, ints};
use inference::onnx::proto::{DataType, ModelProto, TensorProto};
use inference::session::Session;
use inference::tensor::Tensor;
use prost::Message;

const WIDTH: usize = 512;
const WORDS: usize = 32;

/// Numbers between −0.1 and 0.1.
fn matrix(name: &str, dims: &[usize]) -> TensorProto {
    let count = dims.iter().product::<usize>();
    let salt = name.bytes().map(usize::from).sum::<usize>();
    let values: Vec<f32> = (0..count)
        .map(|at| ((at * 37 + salt * 11) % 101) as f32 / 505.0 - 0.1)
        .collect();
    let dims: Vec<i64> = dims.iter().map(|&size| size as i64).collect();
    build::f32_tensor(name, &dims, &values)
}

/// A layer of a transformer, wide enough that for 192 tokens its widest product is cut on a software renderer.
fn layer() -> ModelProto {
    let mut graph = GraphBuilder::new("layer");
    for input in ["input_ids", "attention_mask"] {
        graph.input(input, DataType::Int64, &["batch".into(), "sequence".into()]);
    }
    graph.constant(matrix("words", &[WORDS, WIDTH]));
    for (name, dims) in [
        ("split", &[0, 0, 8, 64][..]),
        ("join", &[0, 0, 512]),
        ("axes", &[1, 2]),
    ] {
        graph.constant(build::i64_tensor(name, &[dims.len() as i64], dims));
    }
    for (name, value) in [("one", 1.0), ("hidden", -1e4), ("depth", 8.0), ("half", 0.5)] {
        graph.constant(build::f32_tensor(name, &[], &[value]));
    }
    graph.node("Gather", &["words", "input_ids"], "x", vec![int("axis", 0)]);
    graph.node("Unsqueeze", &["attention_mask", "axes"], "kept", vec![]);
    graph.node(
        "Cast",
        &["kept"],
        "kept.float",
        vec![int("to", DataType::Float as i64)],
    );
    graph.node("Sub", &["one", "kept.float"], "gone", vec![]);
    graph.node("Mul", &["gone", "hidden"], "mask", vec![]);
    graphs::attention(
        &mut graph,
        |name| matrix(name, &[WIDTH, WIDTH]),
        |name| matrix(name, &[WIDTH]),
    );
    graph.node("Add", &["attended", "x"], "sum", vec![]);
    graph.constant(matrix("scale", &[WIDTH]));
    graph.constant(matrix("bias", &[WIDTH]));
    graph.node(
        "LayerNormalization",
        &["sum", "scale", "bias"],
        "normal",
        vec![int("axis", -1), float("epsilon", 1e-5)],
    );
    // A product of what is computed by what is computed, which takes the plain kernel, and a softmax of its own.
    graph.node("Reshape", &["normal", "split"], "again", vec![]);
    graph.node("Transpose", &["again"], "rows", vec![ints("perm", &[0, 2, 1, 3])]);
    graph.node(
        "Transpose",
        &["again"],
        "columns",
        vec![ints("perm", &[0, 2, 3, 1])],
    );
    graph.node("MatMul", &["columns", "rows"], "small", vec![]);
    graph.node("MatMul", &["rows", "small"], "back", vec![]);
    graph.node(
        "Transpose",
        &["back"],
        "turned",
        vec![ints("perm", &[0, 2, 1, 3])],
    );
    graph.node("Reshape", &["turned", "join"], "flat", vec![]);
    graph.node("Mul", &["flat", "half"], "less", vec![]);
    graph.node("Softmax", &["less"], "last_hidden_state", vec![int("axis", -1)]);
    graph.output("last_hidden_state", DataType::Float, &["batch".into()]);
    graph.finish("test", "")
}

#[test]
fn steps_that_are_cut_give_what_the_cpu_gives() {
    let model = || onnx::read(layer().encode_to_vec().into()).unwrap();
    let ids: Vec<i64> = (0..192).map(|at| at * 7 % WORDS as i64).collect();
    let session = Session::new(model()).unwrap();
    let given = |values: &[i64]| Tensor::integers(&[1, values.len()], values.to_vec()).unwrap();
    for machine in [Machine::Software, Machine::Gpu] {
        let mut backend = block_on(WebgpuBackend::prepare(model(), WIDTH, Some(machine))).unwrap();
        // Lengths that are not padded: one of the products is over tokens.
        for count in [8, 192] {
            let (ids, ones) = (&ids[..count], vec![1; count]);
            let inputs = BTreeMap::from([
                ("input_ids".to_owned(), given(ids)),
                ("attention_mask".to_owned(), given(&ones)),
            ]);
            let expected = session.run(inputs).unwrap().remove("last_hidden_state").unwrap();
            let found = block_on(backend.run(ids)).unwrap().rows;
            let pairs = expected.as_floats().unwrap().iter().zip(&found);
            let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let size = expected
                .as_floats()
                .unwrap()
                .iter()
                .fold(0.0_f32, |most, x| most.max(*x));
            println!("{machine:?}, {count} tokens: off by {worst} of {size}");
            assert!(
                worst < 1e-4 * size,
                "{machine:?}, {count} tokens: off by {worst} of {size}"
            );
        }
    }
}
