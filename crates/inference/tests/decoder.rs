//! A small decoder with generated weights against onnxruntime: prompt, cache, sampling, stopping.
//!
//! The model is described here and its bytes are named by their hash in `reference/decoder.json`, so that the reference
//! is surely of this model. `DECODER_OUT=FILE` writes it for `reference/decoder.py`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

use std::ops::ControlFlow;

use inference::generate::{Decoder, Ending, GenerateError, GenerateOptions, Generated, Sampling};
use inference::onnx;
use inference::onnx::build::{self, Dim, GraphBuilder, float, int, ints};
use inference::onnx::proto::DataType;
use inference::session::Session;
use prost::Message;
use serde::Deserialize;

const VOCABULARY: i64 = 96;
const WIDTH: i64 = 32;
const HEADS: i64 = 4;
const LAYERS: usize = 2;
const POSITIONS: i64 = 64;
/// The largest distance from onnxruntime's logits.
const LOGIT_MAX: f32 = 1e-3;

#[derive(Deserialize)]
struct Reference {
    blake3: String,
    prompt: Vec<i64>,
    /// Tokens that greedy choice adds.
    tokens: Vec<i64>,
    /// Logits behind the prompt and behind each of the tokens but the last.
    logits: Vec<Vec<f32>>,
}

/// A decoder in the form that exporters give it, in one graph for the prompt and for every token after it.
struct Writer {
    graph: GraphBuilder,
    seed: u64,
}

impl Writer {
    /// Weights from a linear congruence (Knuth, MMIX), between −0.5 and 0.5 times `scale`.
    fn weight(&mut self, name: &str, dims: &[i64], scale: f32) {
        let count: i64 = dims.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|_| {
                self.seed = self
                    .seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                ((self.seed >> 40) as f32 / (1_u32 << 24) as f32 - 0.5) * scale
            })
            .collect();
        self.graph.constant(build::f32_tensor(name, dims, &values));
    }

    fn node(&mut self, op: &str, inputs: &[&str], output: &str) -> String {
        self.graph.node(op, inputs, output, vec![])
    }

    fn linear(&mut self, input: &str, name: &str, from: i64, to: i64) -> String {
        self.weight(&format!("{name}.weight"), &[from, to], 0.6);
        self.node("MatMul", &[input, &format!("{name}.weight")], name)
    }

    fn norm(&mut self, input: &str, name: &str) -> String {
        let (scale, bias) = (format!("{name}.scale"), format!("{name}.bias"));
        self.graph
            .constant(build::f32_tensor(&scale, &[WIDTH], &[1.0; WIDTH as usize]));
        self.weight(&bias, &[WIDTH], 0.1);
        let settings = vec![int("axis", -1), float("epsilon", 1e-5)];
        self.graph
            .node("LayerNormalization", &[input, &scale, &bias], name, settings)
    }

    /// Positions of the tokens, and which of them see which.
    fn positions(&mut self) {
        let graph = &mut self.graph;
        for (name, dims, values) in [
            ("zero", &[][..], &[0][..]),
            ("one", &[], &[1]),
            ("two", &[], &[2]),
            ("axis0", &[1], &[0]),
            ("axis1", &[1], &[1]),
            ("split", &[4], &[0, 0, HEADS, WIDTH / HEADS]),
            ("join", &[3], &[0, 0, WIDTH]),
        ] {
            graph.constant(build::i64_tensor(name, dims, values));
        }
        graph.constant(build::f32_tensor("seen", &[], &[0.0]));
        graph.constant(build::f32_tensor("hidden", &[], &[-1e9]));
        graph.constant(build::f32_tensor("root", &[], &[((WIDTH / HEADS) as f32).sqrt()]));
        let axis = || vec![int("axis", 0)];
        graph.node("Shape", &["past_key_values.0.key"], "past.shape", vec![]);
        graph.node("Gather", &["past.shape", "two"], "past", axis());
        graph.node("Shape", &["input_ids"], "ids.shape", vec![]);
        graph.node("Gather", &["ids.shape", "one"], "new", axis());
        graph.node("Add", &["past", "new"], "total", vec![]);
        graph.node("Range", &["past", "total", "one"], "rows", vec![]);
        graph.node("Range", &["zero", "total", "one"], "columns", vec![]);
        graph.node("Unsqueeze", &["rows", "axis1"], "rows.wide", vec![]);
        graph.node("Unsqueeze", &["columns", "axis0"], "columns.wide", vec![]);
        graph.node("LessOrEqual", &["columns.wide", "rows.wide"], "visible", vec![]);
        graph.node("Where", &["visible", "seen", "hidden"], "bias", vec![]);
    }

    fn attention(&mut self, layer: usize, input: &str) -> String {
        let own = |part: &str| format!("layer{layer}.{part}");
        let mut heads = Vec::new();
        for part in ["query", "key", "value"] {
            let flat = self.linear(input, &own(part), WIDTH, WIDTH);
            let split = self.node("Reshape", &[&flat, "split"], &own(&format!("{part}.split")));
            let order = vec![ints("perm", &[0, 2, 1, 3])];
            heads.push(
                self.graph
                    .node("Transpose", &[&split], &own(&format!("{part}.heads")), order),
            );
        }
        for (at, part) in [(1, "key"), (2, "value")] {
            let past = format!("past_key_values.{layer}.{part}");
            let present = format!("present.{layer}.{part}");
            let both = self
                .graph
                .node("Concat", &[&past, &heads[at]], &present, vec![int("axis", 2)]);
            heads[at] = both;
        }
        let order = vec![ints("perm", &[0, 1, 3, 2])];
        let keys = self
            .graph
            .node("Transpose", &[&heads[1]], &own("key.turned"), order);
        let raw = self.node("MatMul", &[&heads[0], &keys], &own("scores.raw"));
        let scaled = self.node("Div", &[&raw, "root"], &own("scores.scaled"));
        let masked = self.node("Add", &[&scaled, "bias"], &own("scores"));
        let weights = self
            .graph
            .node("Softmax", &[&masked], &own("weights"), vec![int("axis", -1)]);
        let mixed = self.node("MatMul", &[&weights, &heads[2]], &own("mixed"));
        let order = vec![ints("perm", &[0, 2, 1, 3])];
        let turned = self.graph.node("Transpose", &[&mixed], &own("together"), order);
        let joined = self.node("Reshape", &[&turned, "join"], &own("joined"));
        self.linear(&joined, &own("attended"), WIDTH, WIDTH)
    }

    fn layer(&mut self, layer: usize, state: &str) -> String {
        let own = |part: &str| format!("layer{layer}.{part}");
        let first = self.norm(state, &own("norm1"));
        let attended = self.attention(layer, &first);
        let middle = self.node("Add", &[state, &attended], &own("residual1"));
        let second = self.norm(&middle, &own("norm2"));
        let wide = self.linear(&second, &own("wide"), WIDTH, 4 * WIDTH);
        let active = self.node("Tanh", &[&wide], &own("active"));
        let narrow = self.linear(&active, &own("narrow"), 4 * WIDTH, WIDTH);
        self.node("Add", &[&middle, &narrow], &own("residual2"))
    }
}

fn model() -> Vec<u8> {
    let mut writer = Writer {
        graph: GraphBuilder::new("decoder"),
        seed: 1,
    };
    let ids: [Dim<'_>; 2] = ["batch".into(), "sequence".into()];
    writer.graph.input("input_ids", DataType::Int64, &ids);
    for layer in 0..LAYERS {
        for part in ["key", "value"] {
            let dims = |length: &'static str| -> [Dim<'static>; 4] {
                [
                    "batch".into(),
                    HEADS.into(),
                    length.into(),
                    (WIDTH / HEADS).into(),
                ]
            };
            let name = format!("{layer}.{part}");
            let (past, present) = (format!("past_key_values.{name}"), format!("present.{name}"));
            writer.graph.input(&past, DataType::Float, &dims("past"));
            writer.graph.output(&present, DataType::Float, &dims("total"));
        }
    }
    writer.positions();
    writer.weight("words", &[VOCABULARY, WIDTH], 2.0);
    writer.weight("places", &[POSITIONS, WIDTH], 0.5);
    let axis = || vec![int("axis", 0)];
    writer
        .graph
        .node("Gather", &["words", "input_ids"], "word", axis());
    writer.graph.node("Gather", &["places", "rows"], "place", axis());
    let mut state = writer.node("Add", &["word", "place"], "embedded");
    for layer in 0..LAYERS {
        state = writer.layer(layer, &state);
    }
    let last = writer.norm(&state, "norm");
    writer.linear(&last, "logits", WIDTH, VOCABULARY);
    let dims: [Dim<'_>; 3] = ["batch".into(), "sequence".into(), VOCABULARY.into()];
    writer.graph.output("logits", DataType::Float, &dims);
    writer
        .graph
        .finish("test", "a decoder with generated weights")
        .encode_to_vec()
}

fn decoder() -> Decoder {
    let session = Session::new(onnx::read(model().into()).unwrap()).unwrap();
    Decoder::new(session).unwrap()
}

fn reference() -> Reference {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/decoder.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn generate(decoder: &Decoder, prompt: &[i64], options: &GenerateOptions) -> Generated {
    decoder
        .generate(prompt, options, |_| ControlFlow::Continue(()))
        .unwrap()
}

#[test]
fn logits_agree_with_onnxruntime_at_every_step() {
    if let Some(file) = std::env::var_os("DECODER_OUT") {
        std::fs::write(file, model()).unwrap();
    }
    let (decoder, reference) = (decoder(), reference());
    assert_eq!(
        blake3::hash(&model()).to_string(),
        reference.blake3,
        "the reference is of another model: run reference/decoder.py"
    );
    let mut state = decoder.start().unwrap();
    let inputs = std::iter::once(reference.prompt.clone()).chain(reference.tokens.iter().map(|&t| vec![t]));
    for (step, (input, known)) in inputs.zip(&reference.logits).enumerate() {
        let logits = decoder.read(&mut state, &input).unwrap();
        let worst = logits
            .iter()
            .zip(known)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(
            logits.len() == known.len() && worst <= LOGIT_MAX,
            "step {step}: off by {worst}"
        );
    }
}

#[test]
fn the_cache_changes_no_logits() {
    let (decoder, reference) = (decoder(), reference());
    let tokens = [&reference.prompt[..], &reference.tokens[..]].concat();
    let mut whole = decoder.start().unwrap();
    let at_once = decoder.read(&mut whole, &tokens).unwrap();
    let mut steps = decoder.start().unwrap();
    let mut one_by_one = Vec::new();
    for &token in &tokens {
        one_by_one = decoder.read(&mut steps, &[token]).unwrap();
    }
    let worst = at_once
        .iter()
        .zip(&one_by_one)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst < 1e-4, "off by {worst}");
}

#[test]
fn tokens_stream_and_stop() {
    let (decoder, reference) = (decoder(), reference());
    let mut options = GenerateOptions {
        tokens_max: reference.tokens.len(),
        ..GenerateOptions::default()
    };
    let mut streamed = Vec::new();
    let whole = decoder.generate(&reference.prompt, &options, |token| {
        streamed.push(token);
        ControlFlow::Continue(())
    });
    let whole = whole.unwrap();
    assert_eq!((&whole.tokens, whole.ending), (&reference.tokens, Ending::Length));
    assert_eq!(streamed, reference.tokens);

    let cut = decoder.generate(&reference.prompt, &options, |_| ControlFlow::Break(()));
    assert_eq!(
        cut.unwrap(),
        Generated {
            tokens: reference.tokens[..1].to_vec(),
            ending: Ending::Interrupted
        }
    );

    options.stop = vec![reference.tokens[2..4].to_vec()];
    let stopped = generate(&decoder, &reference.prompt, &options);
    assert_eq!(stopped.ending, Ending::Stop);
    assert!(stopped.tokens.len() <= 2 && reference.tokens.starts_with(&stopped.tokens));
}

#[test]
fn a_seed_names_a_text() {
    let (decoder, reference) = (decoder(), reference());
    let with = |seed| {
        let sampling = Sampling {
            temperature: 2.0,
            seed,
            ..Sampling::default()
        };
        let options = GenerateOptions {
            tokens_max: 12,
            sampling,
            ..GenerateOptions::default()
        };
        generate(&decoder, &reference.prompt, &options).tokens
    };
    assert_eq!(with(7), with(7));
    assert_ne!(with(7), with(8));
}

#[test]
fn requests_out_of_bounds_are_refused() {
    let decoder = decoder();
    let ask = |prompt: &[i64], tokens_max| {
        let options = GenerateOptions {
            tokens_max,
            ..GenerateOptions::default()
        };
        decoder.generate(prompt, &options, |_| ControlFlow::Continue(()))
    };
    assert_eq!(ask(&[], 1), Err(GenerateError::EmptyPrompt));
    assert!(matches!(ask(&[1], usize::MAX), Err(GenerateError::TooLong(_))));
    // Beyond the table of words, and beyond the positions that the model knows.
    assert!(matches!(ask(&[VOCABULARY], 1), Err(GenerateError::Model(_))));
    assert!(matches!(
        ask(&vec![1; POSITIONS as usize + 1], 1),
        Err(GenerateError::Model(_))
    ));
}
