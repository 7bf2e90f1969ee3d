//! A tiny model for machines that cannot download one.
//!
//! Its tokenizer cuts words into pieces of up to three letters; every piece has a fixed pseudo-random vector, and a
//! projection mixes them. Texts that share words are close, texts that only share meaning are not: it keeps the whole
//! network testable and is named so that nobody mistakes it for a language model.

use std::collections::BTreeMap;

use anyhow::Result;
use inference::KnownAnswer;
use inference::embed::mean_pool;
use inference::manifest::ModelTier;
use inference::onnx::build::{self, GraphBuilder, int};
use inference::onnx::proto::DataType;
use prost::Message;
use serde_json::{Map, Value, json};

use crate::output::{COSINE_MIN, Files, Recipe};
use crate::random::Random;

const BUILDER_VERSION: u32 = 2;
/// Components of a piece's own vector.
const HIDDEN: usize = 32;
/// Components of an embedding.
const DIMENSION: usize = 64;
const SPECIAL: [&str; 3] = ["[PAD]", "[UNK]", "[CLS]"];

/// Words of small letters only, which anyone can cut into pieces by hand.
const KNOWN: [&str; 8] = [
    "rainbows form when light bends",
    "bread needs flour and water",
    "the library closes at six",
    "cats purr when they are content",
    "my bicycle chain keeps slipping",
    "which planet has the most moons",
    "glaciers carve valleys slowly",
    "prices rise when more people buy",
];

/// How to make the fallback model.
pub(crate) fn recipe() -> Recipe {
    Recipe {
        name: "made-here-tiny-embedder",
        license: "MIT OR Apache-2.0",
        tier: ModelTier::Basic,
        precision: "f32",
        dimension: DIMENSION,
        max_tokens: 256,
        source: format!(
            "made by prepare-model {BUILDER_VERSION} without any training: it knows spelling, not meaning"
        ),
        make: Box::new(|| {
            let pieces = pieces();
            let weights = Weights::new(pieces.len());
            Ok(Files {
                onnx: graph(&weights)?,
                tokenizer: tokenizer(&pieces)?,
                known_answer: known_answer(&pieces, &weights),
            })
        }),
    }
}

/// All pieces of one to three letters, at the start of a word and inside it, and single digits.
fn pieces() -> Vec<String> {
    let letters: Vec<String> = ('a'..='z').map(String::from).collect();
    let longer = |shorter: &[String]| -> Vec<String> {
        shorter
            .iter()
            .flat_map(|piece| letters.iter().map(move |letter| format!("{piece}{letter}")))
            .collect()
    };
    let pairs = longer(&letters);
    let triples = longer(&pairs);
    let digits = ('0'..='9').map(String::from);
    let starts: Vec<String> = letters
        .iter()
        .cloned()
        .chain(digits)
        .chain(pairs)
        .chain(triples)
        .collect();
    let insides: Vec<String> = starts.iter().map(|piece| format!("##{piece}")).collect();
    SPECIAL
        .iter()
        .map(|&name| name.to_owned())
        .chain(starts)
        .chain(insides)
        .collect()
}

/// The model's numbers.
struct Weights {
    /// A row of [`HIDDEN`] for each piece.
    table: Vec<f32>,
    /// [`HIDDEN`] rows of [`DIMENSION`].
    projection: Vec<f32>,
}

impl Weights {
    fn new(pieces: usize) -> Self {
        let mut random = Random::new(0x6b6e_6f77_6c65_6467);
        let mut table: Vec<f32> = (0..pieces * HIDDEN).map(|_| random.signed()).collect();
        // The mark at the start is in every text and says nothing: its vector is small.
        table[..SPECIAL.len() * HIDDEN]
            .iter_mut()
            .for_each(|value| *value *= 0.01);
        let projection = (0..HIDDEN * DIMENSION).map(|_| random.signed()).collect();
        Self { table, projection }
    }

    /// What the graph computes for one piece.
    fn hidden(&self, piece: usize) -> Vec<f32> {
        let row = &self.table[piece * HIDDEN..(piece + 1) * HIDDEN];
        let column = |at: usize| {
            row.iter()
                .enumerate()
                .map(|(i, x)| x * self.projection[i * DIMENSION + at])
                .sum()
        };
        (0..DIMENSION).map(column).collect()
    }
}

fn graph(weights: &Weights) -> Result<Vec<u8>> {
    let mut graph = GraphBuilder::new("made-here-tiny-embedder");
    for input in ["input_ids", "attention_mask"] {
        graph.input(input, DataType::Int64, &["batch".into(), "sequence".into()]);
    }
    let (hidden, dimension) = (HIDDEN as i64, DIMENSION as i64);
    let rows = i64::try_from(weights.table.len() / HIDDEN)?;
    graph.constant(build::f32_tensor("pieces", &[rows, hidden], &weights.table));
    graph.constant(build::f32_tensor(
        "projection",
        &[hidden, dimension],
        &weights.projection,
    ));
    graph.node("Gather", &["pieces", "input_ids"], "embed", vec![int("axis", 0)]);
    graph.node("MatMul", &["embed", "projection"], "last_hidden_state", vec![]);
    graph.output(
        "last_hidden_state",
        DataType::Float,
        &["batch".into(), "sequence".into(), dimension.into()],
    );
    Ok(graph
        .finish("prepare-model", "made-here-tiny-embedder")
        .encode_to_vec())
}

/// Computed without the engine, so that it checks the engine.
fn known_answer(pieces: &[String], weights: &Weights) -> KnownAnswer {
    let ids: BTreeMap<&str, usize> = pieces
        .iter()
        .enumerate()
        .map(|(id, piece)| (piece.as_str(), id))
        .collect();
    let embed = |text: &str| {
        let mut tokens = vec![ids["[CLS]"]];
        for word in text.split(' ') {
            let letters: Vec<char> = word.chars().collect();
            for (place, piece) in letters.chunks(3).enumerate() {
                let mark = if place == 0 { "" } else { "##" };
                tokens.push(ids[format!("{mark}{}", piece.iter().collect::<String>()).as_str()]);
            }
        }
        let hidden: Vec<f32> = tokens.iter().flat_map(|&token| weights.hidden(token)).collect();
        mean_pool(&hidden, &vec![1; tokens.len()], DIMENSION)
    };
    KnownAnswer {
        texts: KNOWN.map(str::to_owned).to_vec(),
        embeddings: KNOWN.iter().map(|text| embed(text)).collect(),
        cosine_min: COSINE_MIN,
    }
}

fn tokenizer(pieces: &[String]) -> Result<Vec<u8>> {
    let vocabulary: Map<String, Value> = pieces
        .iter()
        .enumerate()
        .map(|(id, piece)| (piece.clone(), Value::from(id)))
        .collect();
    let special = SPECIAL.iter().enumerate().map(|(id, content)| {
        json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false})
    });
    Ok(serde_json::to_vec(&json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": special.collect::<Vec<_>>(),
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}}
        },
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary}
    }))?)
}
