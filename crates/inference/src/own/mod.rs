//! Models that a person brought to this device: an ONNX file, and the tokenizer and configuration that belong to it.
//!
//! The relay vouches for the models of its list with known answers, and every backend has to reproduce them. Nobody
//! vouches for a model of one's own. So it runs only on the project's own kernels ([`crate::session`], feature `onnx`),
//! which refuse what they do not compute exactly, and it is told apart from the others everywhere.
//!
//! [`OwnModel`] is what a device remembers of one. The types here and in [`protocol`](crate::protocol) are all that a page
//! links; `Program` (feature `engine`) is the model at work.

#[cfg(feature = "engine")]
mod config;
#[cfg(any(feature = "client", feature = "worker"))]
mod packed;
#[cfg(feature = "engine")]
mod program;
#[cfg(feature = "engine")]
mod text;
#[cfg(feature = "engine")]
mod trial;

use serde::{Deserialize, Serialize};

use crate::data::{Data, Element};
use crate::limits;
use crate::manifest::{FileRef, ManifestError, ModelId, within};
use crate::protocol::EngineError;

#[cfg(any(feature = "client", feature = "worker"))]
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(unused_imports, reason = "only a browser has workers")
)]
pub(crate) use packed::{pack, unpack};
#[cfg(feature = "engine")]
pub use program::{Program, Request, Speaking};

/// What can be asked of a model besides tensors for tensors, which any model gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnTask {
    /// Labelled scores for texts.
    Classify,
    /// A text that goes on.
    Generate,
}

/// A named input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortInfo {
    /// Its name.
    pub name: String,
    /// The type of the tensors that callers see.
    pub element: Element,
    /// Its dimensions, if the file gives a shape; `None` stands for one that is known at run time.
    pub dims: Option<Vec<Option<usize>>>,
}

/// What a short benchmark found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Milliseconds of one run.
    pub ms_per_run: f64,
    /// Tokens that the run computed, for models of text; 0 for others.
    pub tokens: usize,
}

/// What a device remembers of a model that a person brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnModel {
    /// As the person calls it.
    pub name: String,
    /// The graph and its weights.
    pub onnx: FileRef,
    /// In the format of Hugging Face's `tokenizer.json`.
    pub tokenizer: Option<FileRef>,
    /// Hugging Face's `config.json`: the labels of a classifier and how long its texts may be.
    pub config: Option<FileRef>,
    /// What can be asked of it.
    pub tasks: Vec<OwnTask>,
    /// What it reads.
    pub inputs: Vec<PortInfo>,
    /// What it writes.
    pub outputs: Vec<PortInfo>,
    /// `None` if no run was possible without knowing which shapes it likes.
    pub speed: Option<Speed>,
}

/// What a model is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// Tensors for tensors: one for each of its inputs.
    Run(Vec<NamedTensor>),
    /// Labelled scores for texts; bounds as for embedding.
    Classify(Vec<String>),
    /// A text that goes on.
    Generate(GenerateRequest),
}

/// What a model says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Its outputs.
    Ran(Vec<NamedTensor>),
    /// For each text its labels, the likeliest first.
    Classified(Vec<Vec<LabelScore>>),
    /// A text that ended.
    Generated(GeneratedText),
}

/// A tensor with its name, on its way to or from a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedTensor {
    /// The input or output.
    pub name: String,
    /// Its shape.
    pub dims: Vec<usize>,
    /// Its elements in row-major order.
    pub data: Data,
}

/// How likely a label is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelScore {
    /// The label, as `config.json` has it; without one "LABEL_" and its place.
    pub label: String,
    /// Between 0 and 1.
    pub score: f32,
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 takes the most likely token; larger values flatten the distribution.
    pub temperature: f32,
    /// Only this many of the most likely tokens are eligible; 0 for all.
    pub top_k: usize,
    /// Only the most likely tokens that together reach this probability are eligible.
    pub top_p: f32,
    /// Equal seeds give equal texts.
    pub seed: u64,
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// A stop sequence, or the model's own token for the end of a text, came.
    Stop,
    /// As many tokens as asked for.
    Length,
    /// The caller had enough.
    Interrupted,
}

/// What a text goes on from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Prompt {
    /// A text, for the model's own tokenizer.
    Text(String),
    /// Tokens as they are.
    Tokens(Vec<i64>),
}

/// What a generation is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// What to go on from.
    pub prompt: Prompt,
    /// Tokens to make at most.
    pub tokens_max: usize,
    /// Texts after which it ends; they are not part of it. They need a tokenizer.
    pub stop: Vec<String>,
    /// How tokens are chosen.
    pub sampling: Sampling,
}

/// One token of a text under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The token.
    pub token: i64,
    /// The text that is certain since the piece before; empty without a tokenizer, and where a character or a stop sequence is
    /// not complete yet.
    pub text: String,
}

/// A text that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratedText {
    /// The whole text after the prompt; empty without a tokenizer.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<i64>,
    /// Why there are no more.
    pub ending: Ending,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Milliseconds in the worker.
    pub took_ms: f64,
}

impl OwnModel {
    /// The model's identity.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.onnx.blake3
    }

    /// Every file of it.
    pub fn files(&self) -> impl Iterator<Item = FileRef> {
        [Some(self.onnx), self.tokenizer, self.config]
            .into_iter()
            .flatten()
    }

    /// What a device keeps of it.
    ///
    /// # Errors
    /// Never for a model that was read from files.
    pub fn to_record(&self) -> Result<String, ManifestError> {
        serde_json::to_string(self).map_err(|error| ManifestError::Json(error.to_string()))
    }

    /// Reads what a device kept.
    ///
    /// # Errors
    /// If it is not a model, or out of bounds.
    pub fn from_record(record: &str) -> Result<Self, ManifestError> {
        let model: Self =
            serde_json::from_str(record).map_err(|error| ManifestError::Json(error.to_string()))?;
        model.validate()?;
        Ok(model)
    }

    /// Checks what was remembered against the limits.
    ///
    /// # Errors
    /// The first thing that is out of bounds.
    pub fn validate(&self) -> Result<(), ManifestError> {
        within("name", self.name.len() as u64, limits::NAME_BYTES_MAX as u64)?;
        within("onnx.bytes", self.onnx.bytes, limits::MODEL_BYTES_MAX)?;
        if let Some(tokenizer) = self.tokenizer {
            within("tokenizer.bytes", tokenizer.bytes, limits::TOKENIZER_BYTES_MAX)?;
        }
        if let Some(config) = self.config {
            within("config.bytes", config.bytes, limits::CONFIG_BYTES_MAX)?;
        }
        within(
            "inputs",
            self.inputs.len() as u64 + 1,
            limits::PORTS_MAX as u64 + 1,
        )?;
        within("outputs", self.outputs.len() as u64, limits::PORTS_MAX as u64)
    }
}

impl Speed {
    /// Tokens in a second, for models of text.
    #[must_use]
    pub fn tokens_per_second(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.tokens as f64 * 1000.0 / self.ms_per_run.max(0.001))
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            seed: 0,
        }
    }
}

/// Cuts a name to what is kept of it: no control characters, at most [`limits::NAME_BYTES_MAX`] bytes, never empty.
#[must_use]
pub fn name_of(given: &str) -> String {
    let mut name = String::new();
    for letter in given.trim().chars().filter(|letter| !letter.is_control()) {
        if name.len() + letter.len_utf8() > limits::NAME_BYTES_MAX {
            break;
        }
        name.push(letter);
    }
    if name.is_empty() { "model".to_owned() } else { name }
}

/// Checks the tensors of a run against the limits, on either side of the channel. Whether the model likes them is the
/// worker's business.
///
/// # Errors
/// The first limit that is exceeded.
pub fn check_tensors(tensors: &[NamedTensor]) -> Result<(), EngineError> {
    let bytes = tensors
        .iter()
        .fold(0_usize, |sum, tensor| sum.saturating_add(tensor.data.bytes()));
    if tensors.len() > limits::PORTS_MAX {
        let count = tensors.len();
        return Err(EngineError::Input(format!(
            "{count} tensors are too many: at most {} are allowed",
            limits::PORTS_MAX
        )));
    }
    if bytes > limits::RUN_BYTES_MAX {
        return Err(EngineError::Input(format!(
            "the tensors have {bytes} bytes together: at most {} are allowed",
            limits::RUN_BYTES_MAX
        )));
    }
    Ok(())
}

/// Checks what a generation is asked for against the limits, on either side of the channel.
///
/// # Errors
/// The first limit that is exceeded.
pub fn check_generate(request: &GenerateRequest) -> Result<(), EngineError> {
    let refuse = |problem: String| Err(EngineError::Input(problem));
    match &request.prompt {
        Prompt::Text(text) if text.len() > limits::TEXT_BYTES_MAX => {
            return Err(EngineError::TextTooLong {
                index: 0,
                bytes: text.len(),
            });
        }
        Prompt::Tokens(tokens) if tokens.len() > limits::TOKENS_MAX => {
            return refuse(format!(
                "the prompt has {} tokens: at most {} are allowed",
                tokens.len(),
                limits::TOKENS_MAX
            ));
        }
        Prompt::Text(_) | Prompt::Tokens(_) => {}
    }
    if request.stop.len() > limits::STOPS_MAX {
        return refuse(format!("at most {} stop texts are allowed", limits::STOPS_MAX));
    }
    let too_long = |stop: &String| stop.is_empty() || stop.len() > limits::STOP_BYTES_MAX;
    if request.stop.iter().any(too_long) {
        return refuse(format!("a stop text has 1 to {} bytes", limits::STOP_BYTES_MAX));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(prompt: Prompt) -> GenerateRequest {
        GenerateRequest {
            prompt,
            tokens_max: 1,
            stop: Vec::new(),
            sampling: Sampling::default(),
        }
    }

    #[test]
    fn a_name_is_short_and_visible() {
        assert_eq!(name_of("  my\u{7}model "), "mymodel");
        assert_eq!(name_of("\n"), "model");
        let long = name_of(&"é".repeat(200));
        assert!(long.len() <= limits::NAME_BYTES_MAX && long.starts_with('é'));
    }

    #[test]
    fn tensors_of_a_run_are_bounded_in_number_and_size() {
        let tensor = |count| NamedTensor {
            name: "x".into(),
            dims: vec![count],
            data: Data::I64(vec![0; count]),
        };
        assert!(check_tensors(&[tensor(8)]).is_ok());
        let refused = |tensors: &[NamedTensor]| matches!(check_tensors(tensors), Err(EngineError::Input(_)));
        assert!(refused(&vec![tensor(0); limits::PORTS_MAX + 1]));
        assert!(refused(&[tensor(limits::RUN_BYTES_MAX / 8 + 1)]));
    }

    #[test]
    fn prompts_and_stops_are_bounded() {
        assert!(check_generate(&request(Prompt::Text("hello".into()))).is_ok());
        let long = "x".repeat(limits::TEXT_BYTES_MAX + 1);
        assert!(check_generate(&request(Prompt::Text(long))).is_err());
        let tokens = vec![0; limits::TOKENS_MAX + 1];
        assert!(check_generate(&request(Prompt::Tokens(tokens))).is_err());
        for stop in [vec![String::new()], vec!["x".repeat(300)], vec!["x".into(); 9]] {
            let mut wrong = request(Prompt::Text("hello".into()));
            wrong.stop = stop;
            assert!(check_generate(&wrong).is_err());
        }
    }

    #[test]
    fn what_is_remembered_survives_json_and_is_bounded() {
        let file = FileRef {
            blake3: crate::manifest::ContentHash([7; 32]),
            bytes: 9,
        };
        let mut model = OwnModel {
            name: "mine".into(),
            onnx: file,
            tokenizer: None,
            config: Some(file),
            tasks: vec![OwnTask::Generate],
            inputs: vec![PortInfo {
                name: "x".into(),
                element: Element::Float32,
                dims: Some(vec![None, Some(2)]),
            }],
            outputs: vec![PortInfo {
                name: "y".into(),
                element: Element::Bool,
                dims: None,
            }],
            speed: Some(Speed {
                ms_per_run: 1.5,
                tokens: 1,
            }),
        };
        let record = model.to_record().unwrap();
        assert_eq!(OwnModel::from_record(&record).unwrap(), model);
        assert!(OwnModel::from_record(&record[1..]).is_err());
        model.onnx.bytes = u64::MAX;
        assert!(OwnModel::from_record(&model.to_record().unwrap()).is_err());
    }
}
