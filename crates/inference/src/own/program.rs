//! A model of one's own at work.
//!
//! [`Program::open`] refuses what cannot be computed exactly, naming what stands in the way; after that every method
//! checks what it is given and leaves the program usable, whatever comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::config::Config;
use super::text::GrowingText;
use super::{
    Ending, GenerateRequest, GeneratedText, LabelScore, NamedTensor, OwnTask, Piece, PortInfo, Prompt, Speed,
    check_generate, check_tensors, trial,
};
use crate::generate::{Decoder, GenerateError, GenerateOptions, Generation, Step};
use crate::limits;
use crate::onnx::{self, OnnxError};
use crate::protocol::{EngineError, check_texts};
use crate::session::{Budget, Port, Products, Session};
use crate::tensor::Tensor;
use crate::tokens::TextTokenizer;

/// What a classifier of texts may read.
const TEXT_INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// A model with its tokenizer and configuration, ready to run.
#[derive(Debug)]
pub struct Program {
    session: Arc<Session>,
    inputs: Vec<PortInfo>,
    outputs: Vec<PortInfo>,
    decoder: Option<Decoder>,
    tokenizer: Option<TextTokenizer>,
    config: Config,
}

impl Program {
    /// Checks a model's files and prepares them.
    ///
    /// # Errors
    /// [`EngineError::Model`], naming the operator, value or file that stands in the way.
    pub fn open(onnx: Bytes, tokenizer: Option<&[u8]>, config: Option<&[u8]>) -> Result<Self, EngineError> {
        Self::within(onnx, tokenizer, config, u64::MAX)
    }

    /// The same where preparing and running it may take so many bytes, if that is less than any device has for it.
    ///
    /// # Errors
    /// As of [`open`](Self::open), and if that is too little.
    pub fn within(
        onnx: Bytes,
        tokenizer: Option<&[u8]>,
        config: Option<&[u8]>,
        bytes_max: u64,
    ) -> Result<Self, EngineError> {
        let mut budget = Budget::default();
        budget.bytes = budget.bytes.min(bytes_max);
        let prepare = |model| Session::within(model, Products::Exact, budget);
        let session = Arc::new(onnx::read(onnx).and_then(prepare).map_err(refuse)?);
        let config = config.map(Config::from_json).transpose()?.unwrap_or_default();
        let (inputs, outputs) = (infos(session.inputs())?, infos(session.outputs())?);
        let decoder = Decoder::new(session.clone()).ok();
        let tokenizer = tokenizer.map(|json| match decoder {
            Some(_) => TextTokenizer::uncut(json),
            None => TextTokenizer::from_json(json, config.tokens_max()),
        });
        Ok(Self {
            session,
            inputs,
            outputs,
            decoder,
            tokenizer: tokenizer.transpose()?,
            config,
        })
    }

    /// What it reads.
    #[must_use]
    pub fn inputs(&self) -> &[PortInfo] {
        &self.inputs
    }

    /// What it writes.
    #[must_use]
    pub fn outputs(&self) -> &[PortInfo] {
        &self.outputs
    }

    /// What can be asked of it besides tensors for tensors.
    #[must_use]
    pub fn tasks(&self) -> Vec<OwnTask> {
        let has_logits = self.outputs.iter().any(|port| port.name == "logits");
        if self.decoder.is_some() {
            vec![OwnTask::Generate]
        } else if self.tokenizer.is_some() && has_logits && self.reads_text() {
            vec![OwnTask::Classify]
        } else {
            Vec::new()
        }
    }

    /// Runs the model once with made-up inputs. `now_ms` is a clock of any origin.
    ///
    /// # Errors
    /// [`EngineError::Model`] if it runs with no inputs at all, naming the operator that stands in the way. `None` if it says
    /// too little about its inputs to try.
    pub fn measure(&self, now_ms: impl Fn() -> f64) -> Result<Option<Speed>, EngineError> {
        match &self.decoder {
            Some(decoder) => trial::decoder(decoder, now_ms)
                .map(Some)
                .map_err(|error| match error {
                    GenerateError::Model(error) => refuse(error),
                    other => EngineError::Model(other.to_string()),
                }),
            None => trial::graph(&self.session, &self.inputs, self.reads_text(), now_ms).map_err(refuse),
        }
    }

    /// Tensors for tensors.
    ///
    /// # Errors
    /// [`EngineError::Input`] if an input is missing, unknown, of another type or shape, or too large, or if an operator
    /// refuses the values that reach it.
    pub fn run(&self, inputs: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, EngineError> {
        check_tensors(&inputs)?;
        let mut given = BTreeMap::new();
        for input in inputs {
            let port = self.inputs.iter().find(|port| port.name == input.name);
            let port = port.ok_or_else(|| {
                let names: Vec<&str> = self.inputs.iter().map(|port| port.name.as_str()).collect();
                let known = names.join(", ");
                EngineError::Input(format!(
                    "the model has no input {:?}: it reads {known}",
                    input.name
                ))
            })?;
            fits(port, &input)?;
            let tensor = Tensor::new(&input.dims, input.data);
            let tensor =
                tensor.map_err(|error| EngineError::Input(format!("input {:?}: {error}", input.name)))?;
            if given.insert(input.name.clone(), tensor).is_some() {
                return Err(EngineError::Input(format!(
                    "input {:?} is given twice",
                    input.name
                )));
            }
        }
        if let Some(port) = self.inputs.iter().find(|port| !given.contains_key(&port.name)) {
            return Err(EngineError::Input(format!(
                "input {:?} is missing: {}",
                port.name,
                described(port)
            )));
        }
        let found = self.session.run(given).map_err(refuse_input)?;
        let outputs: Vec<NamedTensor> = found
            .into_iter()
            .map(|(name, tensor)| NamedTensor {
                name,
                dims: tensor.dims().to_vec(),
                data: tensor.into_data(),
            })
            .collect();
        check_tensors(&outputs)?;
        Ok(outputs)
    }

    /// Labelled scores for each text, the likeliest label first.
    ///
    /// # Errors
    /// [`EngineError::Input`] if the model is no classifier of texts, or the limits on texts.
    pub fn classify(&self, texts: &[String]) -> Result<Vec<Vec<LabelScore>>, EngineError> {
        check_texts(texts)?;
        let tokenizer = self
            .tokenizer
            .as_ref()
            .filter(|_| self.tasks().contains(&OwnTask::Classify));
        let tokenizer = tokenizer.ok_or_else(|| {
            EngineError::Input(
                "the model classifies no texts: that takes a tokenizer, input_ids and logits".to_owned(),
            )
        })?;
        texts
            .iter()
            .map(|text| self.scores(&tokenizer.encode(text)?.ids))
            .collect()
    }

    /// Begins a text.
    ///
    /// # Errors
    /// [`EngineError::Input`] if the model is no decoder, a text is given to a model without tokenizer, or the limits.
    pub fn generate<'a>(&'a self, request: &'a GenerateRequest) -> Result<Request<'a>, EngineError> {
        check_generate(request)?;
        let decoder = self.decoder.as_ref().ok_or_else(|| {
            EngineError::Input(
                "the model generates no text: that takes input_ids, past_key_values and logits".to_owned(),
            )
        })?;
        let tokenizer = self.tokenizer.as_ref();
        let prompt = match (&request.prompt, tokenizer) {
            (Prompt::Tokens(tokens), _) => tokens.clone(),
            (Prompt::Text(text), Some(tokenizer)) => tokenizer.encode(text)?.ids,
            (Prompt::Text(_), None) => return Err(needs_tokenizer("a prompt of text")),
        };
        if tokenizer.is_none() && !request.stop.is_empty() {
            return Err(needs_tokenizer("a stop text"));
        }
        let ends = tokenizer.map(TextTokenizer::end_tokens).unwrap_or_default();
        Ok(Request {
            decoder,
            tokenizer,
            options: GenerateOptions {
                tokens_max: request.tokens_max,
                stop: ends.into_iter().map(|token| vec![token]).collect(),
                sampling: request.sampling,
            },
            prompt,
            stop: &request.stop,
        })
    }

    fn reads_text(&self) -> bool {
        let known = |port: &PortInfo| TEXT_INPUTS.contains(&port.name.as_str());
        self.inputs.iter().all(known) && self.inputs.iter().any(|port| port.name == "input_ids")
    }

    fn scores(&self, ids: &[i64]) -> Result<Vec<LabelScore>, EngineError> {
        let inputs = self.inputs.iter().map(|port| {
            let values = match port.name.as_str() {
                "input_ids" => ids.to_vec(),
                "attention_mask" => vec![1; ids.len()],
                _ => vec![0; ids.len()],
            };
            let tensor = Tensor::integers(&[1, ids.len()], values);
            let tensor = tensor.map_err(|error| EngineError::Input(error.to_string()))?;
            Ok((port.name.clone(), tensor))
        });
        let inputs = inputs.collect::<Result<BTreeMap<_, _>, EngineError>>()?;
        let mut found = self.session.run(inputs).map_err(refuse_input)?;
        let logits = found.remove("logits");
        let refuse = || EngineError::Model("its logits are not one row of labels for a text".to_owned());
        let row = logits
            .as_ref()
            .filter(
                |logits| matches!(logits.dims(), &[1, labels] if (1..=limits::LABELS_MAX).contains(&labels)),
            )
            .and_then(Tensor::as_floats)
            .filter(|row| row.iter().all(|logit| !logit.is_nan()))
            .ok_or_else(refuse)?;
        let likely = if self.config.is_independent(row.len()) {
            row.iter().map(|&logit| sigmoid(logit)).collect()
        } else {
            softmax(row)
        };
        let mut scores: Vec<LabelScore> = likely
            .into_iter()
            .enumerate()
            .map(|(place, score)| LabelScore {
                label: self.config.label(place),
                score,
            })
            .collect();
        scores.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(scores)
    }
}

/// A request to a decoder, checked and tokenized.
#[derive(Debug)]
pub struct Request<'a> {
    decoder: &'a Decoder,
    tokenizer: Option<&'a TextTokenizer>,
    options: GenerateOptions,
    prompt: Vec<i64>,
    stop: &'a [String],
}

/// A text under way.
#[derive(Debug)]
pub struct Speaking<'a> {
    tokenizer: Option<&'a TextTokenizer>,
    generation: Generation<'a>,
    growing: GrowingText<'a>,
    prompt_tokens: usize,
    /// Where a stop text ended it.
    stopped: Option<String>,
}

impl Request<'_> {
    /// Reads the prompt.
    ///
    /// # Errors
    /// [`EngineError::Input`] if it is empty, too long, or refused by an operator.
    pub fn begin(&self) -> Result<Speaking<'_>, EngineError> {
        let generation = self.decoder.begin(&self.prompt, &self.options);
        Ok(Speaking {
            tokenizer: self.tokenizer,
            generation: generation.map_err(refuse_generation)?,
            growing: GrowingText::new(self.stop),
            prompt_tokens: self.prompt.len(),
            stopped: None,
        })
    }
}

impl Speaking<'_> {
    /// Makes one token; the ending if there are no more.
    ///
    /// # Errors
    /// [`EngineError::Input`] if the model fails.
    pub fn next_piece(&mut self) -> Result<Result<Piece, Ending>, EngineError> {
        if self.stopped.is_some() {
            return Ok(Err(Ending::Stop));
        }
        let token = match self.generation.step().map_err(refuse_generation)? {
            Step::Token(token) => token,
            Step::Ended(ending) => return Ok(Err(ending)),
        };
        let text = match self.tokenizer {
            Some(tokenizer) => {
                let (text, stopped) = self.growing.grow(&tokenizer.decode(self.generation.tokens())?);
                self.stopped = stopped;
                text
            }
            None => String::new(),
        };
        Ok(Ok(Piece { token, text }))
    }

    /// The whole of it.
    ///
    /// # Errors
    /// If the tokens cannot be made text.
    pub fn finish(self, ending: Ending, took_ms: f64) -> Result<GeneratedText, EngineError> {
        let tokens = self.generation.tokens().to_vec();
        let text = match (self.stopped, self.tokenizer) {
            (Some(text), _) => text,
            (None, Some(tokenizer)) => tokenizer.decode(&tokens)?,
            (None, None) => String::new(),
        };
        Ok(GeneratedText {
            text,
            tokens,
            ending,
            prompt_tokens: self.prompt_tokens,
            took_ms,
        })
    }
}

fn infos(ports: &[Port]) -> Result<Vec<PortInfo>, EngineError> {
    if ports.len() > limits::PORTS_MAX {
        let count = ports.len();
        return Err(EngineError::Model(format!("it has {count} inputs or outputs")));
    }
    let info = |port: &Port| {
        port.info().ok_or_else(|| {
            EngineError::Model(format!(
                "{:?} is of an element type that cannot be given",
                port.name
            ))
        })
    };
    ports.iter().map(info).collect()
}

/// Whether a tensor has the type, and the sizes as far as they are fixed, that the model declares.
fn fits(port: &PortInfo, tensor: &NamedTensor) -> Result<(), EngineError> {
    let shape = port.dims.as_ref().is_none_or(|dims| {
        let fixed = |(declared, given): (&Option<usize>, &usize)| declared.is_none_or(|size| size == *given);
        dims.len() == tensor.dims.len() && dims.iter().zip(&tensor.dims).all(fixed)
    });
    if shape && port.element == tensor.data.element() {
        return Ok(());
    }
    Err(EngineError::Input(format!(
        "input {:?} is given as {} of {:?}: {}",
        port.name,
        tensor.data.element(),
        tensor.dims,
        described(port)
    )))
}

/// "it takes float32 of [?, 4]".
fn described(port: &PortInfo) -> String {
    let size = |dim: &Option<usize>| dim.map_or_else(|| "?".to_owned(), |size| size.to_string());
    match &port.dims {
        Some(dims) => {
            let sizes: Vec<String> = dims.iter().map(size).collect();
            format!("it takes {} of [{}]", port.element, sizes.join(", "))
        }
        None => format!("it takes {}", port.element),
    }
}

fn softmax(row: &[f32]) -> Vec<f32> {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = row.iter().map(|&logit| f64::from(logit - most).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / total) as f32).collect()
}

fn sigmoid(logit: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32
}

fn refuse(error: OnnxError) -> EngineError {
    EngineError::Model(error.to_string())
}

fn refuse_input(error: OnnxError) -> EngineError {
    EngineError::Input(error.to_string())
}

fn refuse_generation(error: GenerateError) -> EngineError {
    EngineError::Input(error.to_string())
}

fn needs_tokenizer(what: &str) -> EngineError {
    EngineError::Input(format!(
        "{what} needs the model's tokenizer, which was not brought with it"
    ))
}
