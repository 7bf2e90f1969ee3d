//! Whole models on the project's own kernels.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

mod support;

use std::collections::BTreeMap;

use futures::executor::block_on;
use inference::backend::Backend;
use inference::onnx::build::{self, GraphBuilder, int};
use inference::onnx::proto::{DataType, ModelProto};
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
