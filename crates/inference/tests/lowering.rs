//! A lowered graph computes what the original does.
//!
//! Both run on tract. The model is the one that `KNOWLEDGE_MODELS_DIR` holds (see `minilm.rs`), whatever it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

mod support;

use futures::executor::block_on;
use inference::backend::Backend;
use inference::lower::{Lowered, ZERO_INPUT, bucket_for, lower};
use inference::onnx::{self, OnnxError};
use prost::Message;
use support::Model;
use tract_onnx::prelude::*;

fn model() -> Model {
    Model::find(|_| true)
}

fn run_lowered(lowered: &Lowered, ids: &[i64], bucket: usize) -> Vec<f32> {
    let bytes = lowered.model.encode_to_vec();
    let model = tract_onnx::onnx().model_for_read(&mut &bytes[..]).unwrap();
    let plan = model.into_optimized().unwrap().into_runnable().unwrap();
    let graph = lowered.model.graph.as_ref().unwrap();
    let padded = |value: i64, rest: i64| {
        let mut row = vec![value; ids.len()];
        row.resize(bucket, rest);
        row
    };
    let inputs = graph.input.iter().map(|input| -> TValue {
        let tensor = match input.name.as_str() {
            ZERO_INPUT => Tensor::from_shape(&[1], &[0.0_f32]),
            "input_ids" => {
                let mut row = ids.to_vec();
                row.resize(bucket, 0);
                Tensor::from_shape(&[1, bucket], &row)
            }
            "attention_mask" => {
                let mask: Vec<f32> = padded(1, 0).into_iter().map(|kept| kept as f32).collect();
                Tensor::from_shape(&[1, bucket], &mask)
            }
            other => panic!("unknown input {other}"),
        };
        tensor.unwrap().into()
    });
    let outputs = plan.run(inputs.collect()).unwrap();
    outputs[0]
        .try_as_plain_ram()
        .unwrap()
        .as_slice::<f32>()
        .unwrap()
        .to_vec()
}

#[test]
fn lowering_keeps_the_numbers() {
    let model = model();
    let graph = onnx::read(model.onnx().into()).unwrap();
    let (tokenizer, mut original) = (model.tokenizer(), model.tract());
    let short = "Glaciers carve valleys as they slowly move downhill.".to_owned();
    let long = vec![short.clone(); 5].join(" ");
    for text in [short, long] {
        let ids = tokenizer.encode(&text).unwrap().ids;
        let bucket = bucket_for(ids.len()).unwrap();
        let lowered = lower(&graph, bucket).unwrap();
        let expected = block_on(original.run(&ids)).unwrap().rows;
        let actual = run_lowered(&lowered, &ids, bucket);
        assert_eq!(actual.len(), bucket * model.manifest.dimension);
        let worst = expected
            .iter()
            .zip(&actual)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 1e-4, "{} tokens in {bucket}: off by {worst}", ids.len());
    }
}

#[test]
fn every_value_has_a_shape_and_every_node_a_name() {
    let graph = onnx::read(model().onnx().into()).unwrap();
    let lowered = lower(&graph, 32).unwrap().model.graph.unwrap();
    let shaped: Vec<&str> = lowered
        .value_info
        .iter()
        .map(|value| value.name.as_str())
        .collect();
    for node in &lowered.node {
        assert!(!node.name.is_empty());
        assert!(
            shaped.contains(&node.output[0].as_str()),
            "{} has no shape",
            node.output[0]
        );
        let known = [
            "Gather",
            "MatMul",
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Sqrt",
            "Exp",
            "Neg",
            "Abs",
            "Sign",
            "Reciprocal",
        ];
        let moving = ["Reshape", "Transpose", "ReduceMean", "ReduceMax", "ReduceSum"];
        assert!(
            known.iter().chain(&moving).any(|op| *op == node.op_type),
            "{} is left",
            node.op_type
        );
    }
}

#[test]
fn what_cannot_be_lowered_is_named() {
    let mut graph = onnx::read(model().onnx().into()).unwrap();
    let node = &mut graph.graph.as_mut().unwrap().node;
    let last = node.len() - 1;
    node[last].op_type = "Einsum".into();
    let error = lower(&graph, 32).unwrap_err();
    assert!(
        matches!(&error, OnnxError::Operator { op, .. } if op == "Einsum"),
        "{error}"
    );
}
