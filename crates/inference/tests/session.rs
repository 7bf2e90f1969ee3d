//! Whole models on the project's own kernels.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

mod support;

mod graphs;

use std::collections::BTreeMap;

use futures::executor::block_on;
use inference::backend::Backend;
use inference::onnx::build::{self, GraphBuilder, float, int};
use inference::onnx::proto::{DataType, ModelProto, TensorProto};
use inference::onnx::{self, OnnxError};
use inference::session::Session;
use inference::tensor::Tensor;
use prost::Message;
use support::{Model, hidden_states};

fn prepared(model: &ModelProto) -> Result<Session, OnnxError> {
    Session::new(onnx::read(model.encode_to_vec().into())?)
}

fn named<const N: usize>(tensors: [(&str, Tensor); N]) -> BTreeMap<String, Tensor> {
    tensors
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .collect()
}

#[test]
fn any_model_runs_without_tract() {
    let model = Model::find(|_| true);
    let ids = model.tokenizer().encode("Glaciers carve valleys.").unwrap().ids;
    let session = Session::new(onnx::read(model.onnx().into()).unwrap()).unwrap();
    let hidden = hidden_states(&session, &ids);
    let expected = block_on(model.tract().run(&ids)).unwrap().rows;
    assert_eq!(hidden.len(), expected.len());
    let worst = hidden
        .iter()
        .zip(&expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst < 1e-4, "off by {worst}");
}

/// A matrix of numbers between −0.5 and 0.5.
fn matrix(name: &str, rows: usize, columns: usize) -> TensorProto {
    let values: Vec<f32> = (0..rows * columns)
        .map(|at| ((at * 37 + name.len() * 11) % 101) as f32 / 101.0 - 0.5)
        .collect();
    build::f32_tensor(name, &[rows as i64, columns as i64], &values)
}

/// One layer of a transformer with two heads of eight, every value of which can be asked for. The more values a caller
/// sees, the fewer groups of nodes mean one step.
fn layer(seen: &[&str]) -> ModelProto {
    let mut graph = GraphBuilder::new("layer");
    graph.input(
        "x",
        DataType::Float,
        &["texts".into(), "tokens".into(), 16.into()],
    );
    graph.input(
        "mask",
        DataType::Float,
        &["texts".into(), 1.into(), 1.into(), "tokens".into()],
    );
    graph.constant(build::i64_tensor("split", &[4], &[0, 0, 2, 8]));
    graph.constant(build::i64_tensor("join", &[3], &[0, 0, 16]));
    for (name, value) in [
        ("depth", 8.0_f32.sqrt()),
        ("sqrt2", std::f32::consts::SQRT_2),
        ("one", 1.0),
        ("half", 0.5),
    ] {
        graph.constant(build::f32_tensor(name, &[], &[value]));
    }
    graphs::attention(
        &mut graph,
        |name| matrix(name, 16, 16),
        |name| build::f32_tensor(name, &[16], &[0.25; 16]),
    );
    graph.constant(matrix("wide.weight", 16, 24));
    graph.constant(build::f32_tensor("wide.bias", &[24], &[-0.125; 24]));
    graph.node("MatMul", &["attended", "wide.weight"], "wide.product", vec![]);
    graph.node("Add", &["wide.bias", "wide.product"], "wide", vec![]);
    graph.node("Div", &["wide", "sqrt2"], "inner", vec![]);
    graph.node("Erf", &["inner"], "erf", vec![]);
    graph.node("Add", &["erf", "one"], "gate", vec![]);
    graph.node("Mul", &["wide", "gate"], "double", vec![]);
    graph.node("Mul", &["double", "half"], "active", vec![]);
    graph.constant(build::f32_tensor("norm.scale", &[24], &[1.5; 24]));
    graph.constant(build::f32_tensor("norm.bias", &[24], &[0.5; 24]));
    let settings = vec![int("axis", -1), float("epsilon", 1e-12)];
    graph.node(
        "LayerNormalization",
        &["active", "norm.scale", "norm.bias"],
        "y",
        settings,
    );
    for name in seen.iter().chain(&["y"]) {
        graph.output(name, DataType::Float, &[]);
    }
    graph.finish("test", "")
}

#[test]
fn groups_of_nodes_give_what_the_nodes_give() {
    let every = [
        "q.product",
        "q.heads",
        "k.heads",
        "v.heads",
        "raw",
        "scaled",
        "scores",
        "weights",
        "mixed",
        "wide.product",
        "inner",
        "erf",
        "gate",
        "double",
        "active",
    ];
    let (whole, apart) = (prepared(&layer(&[])).unwrap(), prepared(&layer(&every)).unwrap());
    // Three projections and their reshapes, attention and its reshape, a product with Gelu, LayerNormalization.
    assert_eq!(whole.steps(), 10);
    assert!(apart.steps() > 22, "{} steps", apart.steps());
    for (texts, tokens) in [(1, 1), (2, 5), (1, 33)] {
        let values = (0..texts * tokens * 16).map(|at| ((at * 53) % 97) as f32 / 30.0 - 1.5);
        let x = Tensor::floats(&[texts, tokens, 16], values.collect()).unwrap();
        let hidden = (0..texts * tokens).map(|at| if at % 7 == 3 { f32::MIN } else { 0.0 });
        let mask = Tensor::floats(&[texts, 1, 1, tokens], hidden.collect()).unwrap();
        let run = |session: &Session| {
            let found = session
                .run(named([("x", x.clone()), ("mask", mask.clone())]))
                .unwrap();
            found["y"].as_floats().unwrap().to_vec()
        };
        let worst = run(&whole)
            .iter()
            .zip(run(&apart))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 2e-5, "off by {worst}");
    }
}

#[test]
fn what_depends_on_constants_alone_is_computed_once() {
    let mut graph = GraphBuilder::new("folded");
    graph.input("x", DataType::Float, &[2.into()]);
    graph.constant(build::f32_tensor("a", &[2], &[1.0, 2.0]));
    graph.node("Exp", &["a"], "b", vec![]);
    graph.node("Add", &["x", "b"], "y", vec![]);
    graph.output("y", DataType::Float, &[2.into()]);
    let session = prepared(&graph.finish("test", "")).unwrap();
    assert_eq!(session.steps(), 1);
    let x = Tensor::floats(&[2], vec![0.0, 1.0]).unwrap();
    let y = session.run(named([("x", x)])).unwrap();
    let expected = [1.0_f32.exp(), 1.0 + 2.0_f32.exp()];
    assert_eq!(y["y"].as_floats().unwrap(), expected);
}

#[test]
fn what_is_in_the_way_is_named() {
    let with = |op: &str, input: &str| {
        let mut graph = GraphBuilder::new("refused");
        graph.input("x", DataType::Float, &[2.into()]);
        graph.node(op, &[input], "y", vec![]);
        graph.output("y", DataType::Float, &[2.into()]);
        prepared(&graph.finish("test", ""))
    };
    assert!(with("Exp", "x").is_ok());
    assert!(matches!(with("Frobnicate", "x"), Err(OnnxError::Operator { op, .. }) if op == "Frobnicate"));
    assert_eq!(with("Exp", "z").unwrap_err(), OnnxError::Undefined("z".into()));
}

#[test]
fn a_result_that_is_too_large_is_refused_before_it_is_made() {
    let mut graph = GraphBuilder::new("huge");
    graph.input("n", DataType::Int64, &[2.into()]);
    graph.node("ConstantOfShape", &["n"], "zeros", vec![]);
    graph.node("Cast", &["zeros"], "y", vec![int("to", DataType::Bool as i64)]);
    graph.output("y", DataType::Bool, &["a".into(), "b".into()]);
    let session = prepared(&graph.finish("test", "")).unwrap();
    let run = |n: Vec<i64>| session.run(named([("n", Tensor::integers(&[2], n).unwrap())]));
    assert_eq!(run(vec![2, 3]).unwrap()["y"].dims(), [2, 3]);
    for n in [vec![i64::MAX, 2], vec![1 << 20, 1 << 20], vec![-1, 2]] {
        assert!(matches!(run(n).unwrap_err(), OnnxError::Operator { op, .. } if op == "ConstantOfShape"));
    }
}

#[test]
fn wrong_inputs_are_refused() {
    let mut graph = GraphBuilder::new("picky");
    graph.input("x", DataType::Float, &[2.into()]);
    graph.node("Exp", &["x"], "y", vec![]);
    graph.output("y", DataType::Float, &[2.into()]);
    let session = prepared(&graph.finish("test", "")).unwrap();
    assert_eq!(
        session.run(BTreeMap::new()).unwrap_err(),
        OnnxError::Undefined("x".into())
    );
    let integers = Tensor::integers(&[2], vec![1, 2]).unwrap();
    assert!(matches!(
        session.run(named([("x", integers)])).unwrap_err(),
        OnnxError::Tensor { .. }
    ));
}
