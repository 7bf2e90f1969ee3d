//! The fuzz targets on their seeds: quick, native, in every test run.
//!
//! The seeds are models that this file describes, so that nobody has to guess what is in them: with `UPDATE_SEEDS=1` the
//! test writes them, without it compares. A file that a fuzzer found is committed beside them and is replayed too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

#[path = "../fuzz/exercise.rs"]
mod exercise;

use std::fs;
use std::path::{Path, PathBuf};

use inference::onnx::build::{self, GraphBuilder, int, ints};
use inference::onnx::proto::DataType;
use prost::Message;

/// What a fuzz target does with its input.
type Exercise = fn(&[u8]);

const TARGETS: [(&str, Exercise); 3] = [
    ("reader", exercise::reader),
    ("lowering", exercise::lowering),
    ("session", exercise::session),
];

/// Tokens to hidden states, with what exporters write around it.
fn encoder() -> GraphBuilder {
    let mut graph = GraphBuilder::new("encoder");
    for input in ["input_ids", "attention_mask"] {
        graph.input(input, DataType::Int64, &["batch".into(), "sequence".into()]);
    }
    let values = |count: usize| -> Vec<f32> { (0..count).map(|at| (at % 7) as f32 / 7.0 - 0.4).collect() };
    graph.constant(build::f32_tensor("words", &[8, 4], &values(32)));
    graph.constant(build::f32_tensor("weight", &[4, 4], &values(16)));
    graph.constant(build::f32_tensor("scale", &[4], &[1.0; 4]));
    graph.constant(build::f32_tensor("bias", &[4], &[0.0; 4]));
    graph.constant(build::i64_tensor("heads", &[4], &[0, 0, 2, 2]));
    graph.node("Gather", &["words", "input_ids"], "embed", vec![int("axis", 0)]);
    graph.node("MatMul", &["embed", "weight"], "product", vec![]);
    graph.node(
        "LayerNormalization",
        &["product", "scale", "bias"],
        "norm",
        vec![int("axis", -1)],
    );
    graph.node("Reshape", &["norm", "heads"], "split", vec![]);
    graph.node(
        "Transpose",
        &["split"],
        "turned",
        vec![ints("perm", &[0, 2, 1, 3])],
    );
    graph.node("Softmax", &["turned"], "last_hidden_state", vec![int("axis", -1)]);
    graph.output("last_hidden_state", DataType::Float, &["batch".into()]);
    graph
}

/// An image through a convolution, a pool and a resize whose sizes are computed.
fn picture() -> GraphBuilder {
    let mut graph = GraphBuilder::new("picture");
    graph.input("x", DataType::Float, &[1.into(), 2.into(), 6.into(), 6.into()]);
    graph.constant(build::f32_tensor("filters", &[3, 2, 3, 3], &[0.1; 54]));
    graph.constant(build::f32_tensor("scales", &[4], &[1.0, 1.0, 2.0, 0.5]));
    let pads = || ints("pads", &[1, 1, 1, 1]);
    graph.node(
        "Conv",
        &["x", "filters"],
        "c",
        vec![pads(), ints("strides", &[2, 1])],
    );
    graph.node("MaxPool", &["c"], "p", vec![ints("kernel_shape", &[2, 2])]);
    graph.node("Resize", &["p", "", "scales"], "r", vec![]);
    graph.node("Shape", &["r"], "s", vec![]);
    graph.node("ReduceProd", &["s"], "n", vec![int("keepdims", 1)]);
    graph.node("Reshape", &["r", "n"], "y", vec![]);
    graph.output("y", DataType::Float, &["n".into()]);
    graph
}

/// Shapes that an input decides, and integers that lead astray.
fn shapes() -> GraphBuilder {
    let mut graph = GraphBuilder::new("shapes");
    graph.input("n", DataType::Int64, &[2.into()]);
    graph.constant(build::i64_tensor("start", &[1], &[-1]));
    graph.constant(build::i64_tensor("end", &[1], &[i64::MIN]));
    graph.constant(build::i64_tensor("axes", &[1], &[0]));
    graph.constant(build::i64_tensor("step", &[1], &[-1]));
    graph.node("ConstantOfShape", &["n"], "zeros", vec![]);
    graph.node(
        "Slice",
        &["zeros", "start", "end", "axes", "step"],
        "back",
        vec![],
    );
    graph.node("NonZero", &["back"], "where", vec![]);
    graph.node("Tile", &["back", "n"], "tiled", vec![]);
    graph.node("Expand", &["tiled", "n"], "y", vec![]);
    graph.output("y", DataType::Float, &["a".into(), "b".into()]);
    graph.output("where", DataType::Int64, &["rank".into(), "count".into()]);
    graph
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target)
}

#[test]
fn every_seed_is_what_this_file_says() {
    let models = [
        ("encoder", encoder()),
        ("picture", picture()),
        ("shapes", shapes()),
    ];
    for (name, graph) in models {
        let bytes = graph.finish("seeds", name).encode_to_vec();
        for (target, _) in TARGETS {
            let file = folder(target).join(name);
            if std::env::var_os("UPDATE_SEEDS").is_some() {
                fs::create_dir_all(folder(target)).unwrap();
                fs::write(&file, &bytes).unwrap();
            }
            let message = format!("{} is old: run with UPDATE_SEEDS=1", file.display());
            assert!(fs::read(&file).is_ok_and(|found| found == bytes), "{message}");
        }
    }
}

#[test]
fn no_target_fails_on_a_seed_or_on_a_damaged_one() {
    for (target, exercise) in TARGETS {
        for entry in fs::read_dir(folder(target)).unwrap() {
            let seed = fs::read(entry.unwrap().path()).unwrap();
            exercise(&seed);
            // Every byte once, so that each length, tag and number is wrong in turn.
            for at in 0..seed.len() {
                let mut damaged = seed.clone();
                damaged[at] ^= 1 << (at % 8);
                exercise(&damaged);
                exercise(&seed[..at]);
            }
        }
    }
}
