//! Models of one's own, from their files to what they answer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

use inference::data::Data;
use inference::onnx::build::{self, GraphBuilder, int};
use inference::onnx::proto::DataType;
use inference::own::{
    Ending, GenerateRequest, GeneratedText, NamedTensor, OwnTask, Piece, Program, Prompt, Sampling,
};
use inference::protocol::EngineError;
use prost::Message;

/// The vocabulary of the small tokenizer; the last but one ends a text.
const WORDS: [&str; 7] = ["[UNK]", "the", "cat", "sat", "down", "</s>", "again"];

fn file(graph: GraphBuilder) -> bytes::Bytes {
    graph.finish("test", "").encode_to_vec().into()
}

/// y = relu(x · w + b), by hand.
fn perceptron() -> GraphBuilder {
    let mut graph = GraphBuilder::new("perceptron");
    graph.input("x", DataType::Float, &["batch".into(), 2.into()]);
    graph.constant(build::f32_tensor("w", &[2, 3], &[1.0, 2.0, 3.0, -1.0, 0.5, 4.0]));
    graph.constant(build::f32_tensor("b", &[3], &[0.0, 1.0, -20.0]));
    graph.node("MatMul", &["x", "w"], "product", vec![]);
    graph.node("Add", &["product", "b"], "sum", vec![]);
    graph.node("Relu", &["sum"], "y", vec![]);
    graph.output("y", DataType::Float, &["batch".into(), 3.into()]);
    graph
}

fn x(dims: &[usize], values: &[f32]) -> NamedTensor {
    NamedTensor {
        name: "x".into(),
        dims: dims.to_vec(),
        data: Data::F32(values.to_vec()),
    }
}

/// A tokenizer of whole words, as `tokenizer.json` describes one.
fn tokenizer() -> Vec<u8> {
    let vocabulary: serde_json::Map<String, serde_json::Value> = WORDS
        .iter()
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), id.into()))
        .collect();
    let json = serde_json::json!({
        "version": "1.0",
        "added_tokens": [{
            "id": 5, "content": "</s>", "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        }],
        "normalizer": null,
        "pre_tokenizer": { "type": "Whitespace" },
        "post_processor": null,
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" },
    });
    json.to_string().into_bytes()
}

/// Each word is followed by the next one of the vocabulary, and the last by "the".
fn bigrams() -> GraphBuilder {
    let mut graph = GraphBuilder::new("bigrams");
    let count = WORDS.len();
    graph.input("input_ids", DataType::Int64, &["batch".into(), "sequence".into()]);
    let cache = |length: &'static str| -> [build::Dim<'static>; 4] {
        ["batch".into(), 1.into(), length.into(), 1.into()]
    };
    graph.input("past_key_values.0.key", DataType::Float, &cache("past"));
    let table: Vec<f32> = (0..count * count)
        .map(|place| {
            let next = if place / count == count - 1 {
                1
            } else {
                place / count + 1
            };
            if place % count == next { 9.0 } else { 0.0 }
        })
        .collect();
    graph.constant(build::f32_tensor("table", &[count as i64, count as i64], &table));
    graph.constant(build::i64_tensor("axes", &[2], &[1, 3]));
    graph.node("Gather", &["table", "input_ids"], "logits", vec![int("axis", 0)]);
    graph.node("Unsqueeze", &["input_ids", "axes"], "wide", vec![]);
    graph.node("Cast", &["wide"], "new", vec![int("to", 1)]);
    let both = ["past_key_values.0.key", "new"];
    graph.node("Concat", &both, "present.0.key", vec![int("axis", 2)]);
    graph.output(
        "logits",
        DataType::Float,
        &["batch".into(), "sequence".into(), 7.into()],
    );
    graph.output("present.0.key", DataType::Float, &cache("total"));
    graph
}

/// A text is the average of its words, each of which speaks for one of two labels.
fn classifier() -> GraphBuilder {
    let mut graph = GraphBuilder::new("classifier");
    let dims: [build::Dim<'_>; 2] = ["batch".into(), "sequence".into()];
    graph.input("input_ids", DataType::Int64, &dims);
    graph.input("attention_mask", DataType::Int64, &dims);
    let words: Vec<f32> = (0..WORDS.len()).flat_map(|word| [0.0, word as f32]).collect();
    graph.constant(build::f32_tensor("words", &[WORDS.len() as i64, 2], &words));
    graph.node("Gather", &["words", "input_ids"], "each", vec![int("axis", 0)]);
    let settings = vec![build::ints("axes", &[1]), int("keepdims", 0)];
    graph.node("ReduceMean", &["each"], "logits", settings);
    graph.output("logits", DataType::Float, &["batch".into(), 2.into()]);
    graph
}

fn generate(
    program: &Program,
    request: &GenerateRequest,
) -> Result<(Vec<Piece>, GeneratedText), EngineError> {
    let request = program.generate(request)?;
    let mut speaking = request.begin()?;
    let mut pieces = Vec::new();
    loop {
        match speaking.next_piece()? {
            Ok(piece) => pieces.push(piece),
            Err(ending) => return Ok((pieces, speaking.finish(ending, 0.0)?)),
        }
    }
}

fn request(prompt: Prompt, tokens_max: usize, stop: &[&str]) -> GenerateRequest {
    GenerateRequest {
        prompt,
        tokens_max,
        stop: stop.iter().map(|&stop| stop.to_owned()).collect(),
        sampling: Sampling::default(),
    }
}

fn said(result: Result<impl std::fmt::Debug, EngineError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn tensors_go_in_and_the_right_ones_come_out() {
    let program = Program::open(file(perceptron()), None, None).unwrap();
    assert_eq!(program.tasks(), []);
    let found = program.run(vec![x(&[2, 2], &[1.0, 2.0, 3.0, -4.0])]).unwrap();
    let expected = NamedTensor {
        name: "y".into(),
        dims: vec![2, 3],
        data: Data::F32(vec![0.0, 4.0, 0.0, 7.0, 5.0, 0.0]),
    };
    assert_eq!(found, [expected]);
    assert!(program.measure(|| 0.0).unwrap().is_some());
}

#[test]
fn tensors_that_do_not_fit_are_refused_and_the_model_goes_on() {
    let program = Program::open(file(perceptron()), None, None).unwrap();
    let run = |inputs: Vec<NamedTensor>| said(program.run(inputs));
    assert!(run(vec![]).contains("input \"x\" is missing: it takes float32 of [?, 2]"));
    assert!(run(vec![x(&[1, 3], &[0.0; 3])]).contains("it takes float32 of [?, 2]"));
    assert!(run(vec![x(&[2], &[0.0; 2])]).contains("it takes float32 of [?, 2]"));
    assert!(run(vec![x(&[3, 2], &[0.0; 2])]).contains("does not hold 2 elements"));
    assert!(run(vec![x(&[usize::MAX, 2], &[])]).contains("beyond the limits"));
    assert!(run(vec![x(&[1, 2], &[0.0; 2]), x(&[1, 2], &[0.0; 2])]).contains("twice"));
    let other = NamedTensor {
        name: "z".into(),
        ..x(&[1, 2], &[0.0; 2])
    };
    assert!(run(vec![other]).contains("no input \"z\": it reads x"));
    let integers = NamedTensor {
        data: Data::I64(vec![0; 2]),
        ..x(&[1, 2], &[])
    };
    assert!(run(vec![integers]).contains("is given as int64"));
    assert!(program.run(vec![x(&[1, 2], &[1.0, 1.0])]).is_ok());
}

#[test]
fn what_needs_more_than_the_device_has_is_refused_and_less_goes_on() {
    let program = Program::within(file(perceptron()), None, None, 10_000).unwrap();
    let rows = |count: usize| program.run(vec![x(&[count, 2], &vec![1.0; 2 * count])]);
    assert!(rows(10).is_ok());
    let reason = said(rows(10_000));
    assert!(reason.contains("10000"), "{reason}");
    assert!(rows(10).is_ok());
}

#[test]
fn a_refusal_names_the_operator() {
    let mut graph = perceptron();
    graph.node("Teleport", &["y"], "z", vec![]);
    graph.output("z", DataType::Float, &["batch".into(), 3.into()]);
    let reason = said(Program::open(file(graph), None, None));
    assert!(
        reason.contains("operator Teleport (node \"z/Teleport\") is in the way"),
        "{reason}"
    );
    assert!(
        said(Program::open(
            bytes::Bytes::from_static(b"not a model"),
            None,
            None
        ))
        .contains("not an ONNX file")
    );
    let reason = said(Program::open(file(perceptron()), Some(b"{}"), None));
    assert!(reason.contains("tokenizer"), "{reason}");
}

#[test]
fn a_model_that_runs_with_nothing_is_refused_by_its_first_run() {
    let mut graph = GraphBuilder::new("impossible");
    graph.input("x", DataType::Float, &["batch".into(), 2.into()]);
    graph.constant(build::f32_tensor("w", &[3, 3], &[0.0; 9]));
    graph.node("MatMul", &["x", "w"], "y", vec![]);
    graph.output("y", DataType::Float, &["batch".into(), 3.into()]);
    let program = Program::open(file(graph), None, None).unwrap();
    let reason = said(program.measure(|| 0.0));
    assert!(reason.contains("operator MatMul"), "{reason}");
}

#[test]
fn a_model_of_open_sizes_is_measured_at_one_that_it_likes() {
    let mut graph = GraphBuilder::new("square");
    graph.input(
        "x",
        DataType::Float,
        &["batch".into(), "side".into(), "side".into()],
    );
    graph.constant(build::f32_tensor("w", &[64, 1], &[0.0; 64]));
    graph.node("MatMul", &["x", "w"], "y", vec![]);
    graph.output("y", DataType::Float, &["batch".into(), "side".into(), 1.into()]);
    let program = Program::open(file(graph), None, None).unwrap();
    assert!(
        program.measure(|| 0.0).unwrap().is_some(),
        "64 is among what is tried"
    );
}

#[test]
fn texts_get_the_labels_of_the_configuration() {
    let config = br#"{"id2label":{"0":"quiet","1":"loud"}}"#;
    let program = Program::open(file(classifier()), Some(&tokenizer()), Some(config)).unwrap();
    assert_eq!(program.tasks(), [OwnTask::Classify]);
    assert!(
        program
            .measure(|| 0.0)
            .unwrap()
            .is_some_and(|speed| speed.tokens == 16)
    );
    let texts = ["the cat".to_owned(), "again".to_owned()];
    let found = program.classify(&texts).unwrap();
    // Words 1 and 2 average to logits 0 and 1.5, word 6 is 0 and 6.
    for (scores, logit) in found.iter().zip([1.5_f32, 6.0]) {
        let loud = logit.exp() / (1.0 + logit.exp());
        assert_eq!(
            (scores[0].label.as_str(), scores[1].label.as_str()),
            ("loud", "quiet")
        );
        assert!((scores[0].score - loud).abs() < 1e-6 && (scores[1].score - (1.0 - loud)).abs() < 1e-6);
    }
    let independent = br#"{"problem_type":"multi_label_classification"}"#;
    let program = Program::open(file(classifier()), Some(&tokenizer()), Some(independent)).unwrap();
    let scores = &program.classify(&texts[1..]).unwrap()[0];
    assert_eq!(scores[1].label, "LABEL_0");
    assert!((scores[1].score - 0.5).abs() < 1e-6, "each label by itself");
}

#[test]
fn what_is_no_classifier_says_so() {
    let without = Program::open(file(classifier()), None, None).unwrap();
    assert!(said(without.classify(&["the".to_owned()])).contains("tokenizer"));
    let perceptron = Program::open(file(perceptron()), Some(&tokenizer()), None).unwrap();
    assert!(matches!(
        perceptron.classify(&["the".to_owned()]),
        Err(EngineError::Input(_))
    ));
    let many = vec![String::new(); 1000];
    assert!(matches!(
        without.classify(&many),
        Err(EngineError::TooManyTexts { .. })
    ));
}

#[test]
fn a_prompt_goes_on_until_the_models_own_end() {
    let program = Program::open(file(bigrams()), Some(&tokenizer()), None).unwrap();
    assert_eq!(program.tasks(), [OwnTask::Generate]);
    assert!(
        program
            .measure(|| 0.0)
            .unwrap()
            .is_some_and(|speed| speed.tokens == 1)
    );
    let (pieces, whole) = generate(&program, &request(Prompt::Text("the cat".into()), 20, &[])).unwrap();
    let streamed: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!(streamed, "sat down");
    assert_eq!(
        whole,
        GeneratedText {
            text: "sat down".into(),
            tokens: vec![3, 4],
            ending: Ending::Stop,
            prompt_tokens: 2,
            took_ms: 0.0
        }
    );
}

#[test]
fn a_text_ends_by_length_or_before_a_stop_text() {
    let program = Program::open(file(bigrams()), Some(&tokenizer()), None).unwrap();
    let (_, whole) = generate(&program, &request(Prompt::Text("again".into()), 3, &[])).unwrap();
    assert_eq!(
        (whole.text.as_str(), whole.ending),
        ("the cat sat", Ending::Length)
    );
    let (pieces, whole) = generate(&program, &request(Prompt::Text("again".into()), 20, &[" sat"])).unwrap();
    assert_eq!((whole.text.as_str(), whole.ending), ("the cat", Ending::Stop));
    assert!(pieces.iter().all(|piece| !piece.text.contains("sat")));
}

#[test]
fn without_a_tokenizer_tokens_go_in_and_out() {
    let program = Program::open(file(bigrams()), None, None).unwrap();
    let (pieces, whole) = generate(&program, &request(Prompt::Tokens(vec![1]), 5, &[])).unwrap();
    assert_eq!(whole.tokens, [2, 3, 4, 5, 6]);
    assert_eq!(pieces.len(), 5);
    assert!(said(generate(&program, &request(Prompt::Text("the".into()), 5, &[]))).contains("tokenizer"));
    assert!(said(generate(&program, &request(Prompt::Tokens(vec![1]), 5, &["x"]))).contains("tokenizer"));
    assert!(said(generate(&program, &request(Prompt::Tokens(vec![99]), 5, &[]))).contains("Gather"));
    assert!(said(generate(&program, &request(Prompt::Tokens(vec![]), 5, &[]))).contains("empty"));
    assert!(said(generate(&program, &request(Prompt::Tokens(vec![1]), 9_999, &[]))).contains("too many"));
    let perceptron = Program::open(file(perceptron()), None, None).unwrap();
    assert!(
        said(generate(&perceptron, &request(Prompt::Tokens(vec![1]), 5, &[]))).contains("past_key_values")
    );
}
