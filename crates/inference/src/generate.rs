//! Text from a decoder, token by token, on a [`Session`].
//!
//! A decoder is a model as exporters write it for this purpose: `input_ids` and `logits`, and for each layer
//! `past_key_values.N.key` and `.value` in, `present.N.key` and `.value` out. The prompt is computed once; after it every
//! step computes one token and reads the keys and values of those before it from the cache.
//!
//! [`Sampling`] is a pure function of the logits and a seed, so that the same request gives the same text anywhere.
//! Bounds: the prompt and what is made of it together are at most [`limits::TOKENS_MAX`] tokens.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use thiserror::Error;

use crate::limits;
use crate::onnx::OnnxError;
use crate::onnx::proto::DataType;
pub use crate::own::{Ending, Sampling};
use crate::session::{Port, Session};
use crate::tensor::Tensor;

/// Why there is no text. A failed generation leaves the decoder usable.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum GenerateError {
    /// The model's inputs and outputs are not a decoder's.
    #[error("the model is not a decoder: {0}")]
    NotADecoder(String),
    /// No token to start from.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// More tokens than allowed.
    #[error("{0} tokens are too many: prompt and text together have at most {max}", max = limits::TOKENS_MAX)]
    TooLong(usize),
    /// Options that mean nothing.
    #[error("{0}")]
    Options(&'static str),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] OnnxError),
    /// The logits are no numbers to choose from.
    #[error("the model's logits are unusable")]
    Logits,
}

impl Sampling {
    fn validate(&self) -> Result<(), GenerateError> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(GenerateError::Options("temperature is a number from 0 up"));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(GenerateError::Options("top_p is more than 0 and at most 1"));
        }
        Ok(())
    }

    /// Chooses a token. `step` counts the tokens chosen before, so that each draw is another.
    fn choose(&self, logits: &[f32], step: u64) -> Result<i64, GenerateError> {
        if logits.is_empty() || logits.iter().any(|logit| logit.is_nan()) {
            return Err(GenerateError::Logits);
        }
        let mut order: Vec<usize> = (0..logits.len()).collect();
        // Equal logits keep the order of their tokens.
        order.sort_by(|&a, &b| logits[b].partial_cmp(&logits[a]).unwrap_or(Ordering::Equal));
        if self.temperature == 0.0 {
            return Ok(order[0] as i64);
        }
        if self.top_k > 0 {
            order.truncate(self.top_k);
        }
        let most = f64::from(logits[order[0]]);
        let weight = |token: usize| ((f64::from(logits[token]) - most) / f64::from(self.temperature)).exp();
        let weights: Vec<f64> = order.iter().map(|&token| weight(token)).collect();
        let total: f64 = weights.iter().sum();
        if !total.is_finite() {
            return Err(GenerateError::Logits);
        }
        let mut reached = 0.0;
        let eligible = weights.iter().take_while(|&&weight| {
            let before = reached;
            reached += weight / total;
            before < f64::from(self.top_p)
        });
        let count = eligible.count().max(1);
        let mut left = unit(self.seed, step) * weights[..count].iter().sum::<f64>();
        for (token, weight) in order[..count].iter().zip(&weights) {
            left -= weight;
            if left < 0.0 {
                return Ok(*token as i64);
            }
        }
        Ok(order[count - 1] as i64)
    }
}

/// A number in 0..1: SplitMix64 (Steele, Lea, Flood 2014) at place `step` of the stream that `seed` names.
fn unit(seed: u64, step: u64) -> f64 {
    let mut mixed = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenerateOptions {
    /// Tokens to make at most.
    pub tokens_max: usize,
    /// Sequences of tokens after which the text ends; they are not part of it.
    pub stop: Vec<Vec<i64>>,
    /// How tokens are chosen.
    pub sampling: Sampling,
}

/// A text as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The tokens after the prompt.
    pub tokens: Vec<i64>,
    /// Why there are no more.
    pub ending: Ending,
}

/// A decoder that is ready to run.
#[derive(Debug)]
pub struct Decoder {
    session: Arc<Session>,
    /// Names of each cache on the way in and out, and its shape without tokens.
    caches: Vec<(String, String, [usize; 4])>,
}

/// The tokens that a decoder has seen.
#[derive(Debug, Clone)]
pub struct State {
    caches: BTreeMap<String, Tensor>,
    length: usize,
}

impl Decoder {
    /// Recognises a decoder by the names of its inputs and outputs.
    ///
    /// # Errors
    /// If it is none, saying what is missing or unknown.
    pub fn new(session: impl Into<Arc<Session>>) -> Result<Self, GenerateError> {
        let session = session.into();
        let outputs = |name: &str| session.outputs().iter().any(|port| port.name == name);
        let mut caches = Vec::new();
        let mut reads_ids = false;
        for port in session.inputs() {
            match port.name.as_str() {
                "input_ids" => reads_ids = true,
                "attention_mask" | "position_ids" => {}
                name => caches.push(cache(port, name, &outputs)?),
            }
        }
        if !reads_ids || !outputs("logits") || caches.is_empty() {
            let missing = "it needs input_ids, logits and past_key_values";
            return Err(GenerateError::NotADecoder(missing.to_owned()));
        }
        Ok(Self { session, caches })
    }

    /// A state before the first token.
    ///
    /// # Errors
    /// If the model's caches are larger than a tensor may be.
    pub fn start(&self) -> Result<State, GenerateError> {
        let empty = |(past, _, dims): &(String, String, [usize; 4])| {
            let tensor = Tensor::floats(dims, Vec::new());
            let tensor = tensor.map_err(|error| GenerateError::NotADecoder(error.to_string()))?;
            Ok((past.clone(), tensor))
        };
        let caches = self
            .caches
            .iter()
            .map(empty)
            .collect::<Result<_, GenerateError>>()?;
        Ok(State { caches, length: 0 })
    }

    /// Reads tokens and returns the logits behind the last of them.
    ///
    /// # Errors
    /// If there are none or too many, or the model fails; the state is then as it was.
    pub fn read(&self, state: &mut State, tokens: &[i64]) -> Result<Vec<f32>, GenerateError> {
        let total = state.length.saturating_add(tokens.len());
        if tokens.is_empty() {
            return Err(GenerateError::EmptyPrompt);
        }
        if total > limits::TOKENS_MAX {
            return Err(GenerateError::TooLong(total));
        }
        let mut given = state.caches.clone();
        for port in self.session.inputs() {
            let values = match port.name.as_str() {
                "input_ids" => tokens.to_vec(),
                "attention_mask" => vec![1; total],
                "position_ids" => (state.length as i64..total as i64).collect(),
                _ => continue,
            };
            let tensor = Tensor::integers(&[1, values.len()], values);
            let tensor = tensor.map_err(|_| GenerateError::TooLong(total))?;
            given.insert(port.name.clone(), tensor);
        }
        let mut found = self.session.run(given)?;
        let logits = found.remove("logits").ok_or(GenerateError::Logits)?;
        let rows = logits.as_floats().ok_or(GenerateError::Logits)?;
        let &[1, count, vocabulary] = logits.dims() else {
            return Err(GenerateError::Logits);
        };
        if count != tokens.len() || vocabulary == 0 {
            return Err(GenerateError::Logits);
        }
        let last = rows[(count - 1) * vocabulary..].to_vec();
        let mut caches = BTreeMap::new();
        for (past, present, _) in &self.caches {
            let tensor = found.remove(present).ok_or(GenerateError::Logits)?;
            caches.insert(past.clone(), tensor);
        }
        *state = State {
            caches,
            length: total,
        };
        Ok(last)
    }

    /// Reads a prompt, for a text that is then made step by step.
    ///
    /// # Errors
    /// If the request is out of bounds or the model fails.
    pub fn begin<'a>(
        &'a self,
        prompt: &[i64],
        options: &'a GenerateOptions,
    ) -> Result<Generation<'a>, GenerateError> {
        options.sampling.validate()?;
        let wanted = prompt.len().saturating_add(options.tokens_max);
        if wanted > limits::TOKENS_MAX {
            return Err(GenerateError::TooLong(wanted));
        }
        let mut state = self.start()?;
        let logits = self.read(&mut state, prompt)?;
        Ok(Generation {
            decoder: self,
            options,
            state,
            logits,
            unread: None,
            tokens: Vec::with_capacity(options.tokens_max),
        })
    }

    /// Continues a prompt. `on_token` sees each token as it comes and may end the text.
    ///
    /// # Errors
    /// If the request is out of bounds or the model fails.
    pub fn generate(
        &self,
        prompt: &[i64],
        options: &GenerateOptions,
        mut on_token: impl FnMut(i64) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        let mut generation = self.begin(prompt, options)?;
        let ending = loop {
            match generation.step()? {
                Step::Token(token) if on_token(token).is_break() => break Ending::Interrupted,
                Step::Token(_) => {}
                Step::Ended(ending) => break ending,
            }
        };
        let tokens = generation.tokens;
        Ok(Generated { tokens, ending })
    }
}

/// A text under way.
#[derive(Debug)]
pub struct Generation<'a> {
    decoder: &'a Decoder,
    options: &'a GenerateOptions,
    state: State,
    /// Behind the last token that was read.
    logits: Vec<f32>,
    /// A token that was chosen and not read yet.
    unread: Option<i64>,
    tokens: Vec<i64>,
}

/// What came next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A token.
    Token(i64),
    /// Nothing more.
    Ended(Ending),
}

impl Generation<'_> {
    /// The tokens so far.
    #[must_use]
    pub fn tokens(&self) -> &[i64] {
        &self.tokens
    }

    /// Makes one token. After an end it ends again.
    ///
    /// # Errors
    /// If the model fails.
    pub fn step(&mut self) -> Result<Step, GenerateError> {
        if self.tokens.len() >= self.options.tokens_max {
            return Ok(Step::Ended(Ending::Length));
        }
        if let Some(token) = self.unread {
            self.logits = self.decoder.read(&mut self.state, &[token])?;
            self.unread = None;
        }
        let place = self.tokens.len() as u64;
        let token = self.options.sampling.choose(&self.logits, place)?;
        self.tokens.push(token);
        let ends = |stop: &&Vec<i64>| !stop.is_empty() && self.tokens.ends_with(stop);
        if let Some(stop) = self.options.stop.iter().find(ends) {
            self.tokens.truncate(self.tokens.len() - stop.len());
            return Ok(Step::Ended(Ending::Stop));
        }
        self.unread = Some(token);
        Ok(Step::Token(token))
    }
}

/// An input that is a cache: its name, its output's name, and its shape for no tokens.
fn cache(
    port: &Port,
    name: &str,
    outputs: &impl Fn(&str) -> bool,
) -> Result<(String, String, [usize; 4]), GenerateError> {
    let refuse = |problem: &str| GenerateError::NotADecoder(format!("input {name:?} {problem}"));
    let rest = name
        .strip_prefix("past_key_values.")
        .ok_or_else(|| refuse("is unknown"))?;
    let present = format!("present.{rest}");
    if !outputs(&present) {
        return Err(refuse("has no output that follows it"));
    }
    if port.kind != DataType::Float {
        return Err(refuse("is not of 32-bit floats"));
    }
    match port.dims.as_deref() {
        Some(&[_, Some(heads), _, Some(width)]) => Ok((name.to_owned(), present, [1, heads, 0, width])),
        _ => Err(refuse("does not say how many heads it has and how wide they are")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 4] = [0.0, 2.0, 1.0, 2.0];

    fn chosen(sampling: Sampling) -> [usize; 4] {
        let mut counts = [0; 4];
        for step in 0..1000 {
            counts[sampling.choose(&LOGITS, step).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn no_temperature_takes_the_first_of_the_most_likely() {
        assert_eq!(chosen(Sampling::default()), [0, 1000, 0, 0]);
    }

    #[test]
    fn tokens_come_as_often_as_they_are_likely() {
        let counts = chosen(Sampling {
            temperature: 1.0,
            ..Sampling::default()
        });
        let total: f32 = LOGITS.iter().map(|x| x.exp()).sum();
        for (count, logit) in counts.iter().zip(LOGITS) {
            let expected = 1000.0 * logit.exp() / total;
            assert!(
                (*count as f32 - expected).abs() < 50.0,
                "{count} where {expected} are expected"
            );
        }
    }

    #[test]
    fn unlikely_tokens_can_be_left_out() {
        let warm = Sampling {
            temperature: 1.0,
            ..Sampling::default()
        };
        assert_eq!(chosen(Sampling { top_k: 1, ..warm }), [0, 1000, 0, 0]);
        let [zero, one, two, three] = chosen(Sampling { top_p: 0.7, ..warm });
        assert!(zero == 0 && two == 0 && one > 400 && three > 400);
    }

    #[test]
    fn what_is_no_number_is_not_chosen_from() {
        let choose = |logits: &[f32]| Sampling::default().choose(logits, 0);
        assert_eq!(choose(&[]), Err(GenerateError::Logits));
        assert_eq!(choose(&[1.0, f32::NAN]), Err(GenerateError::Logits));
        let hot = Sampling {
            temperature: f32::NAN,
            ..Sampling::default()
        };
        assert!(matches!(hot.validate(), Err(GenerateError::Options(_))));
    }
}
