//! Models that a person brought, from JavaScript.

use std::pin::pin;

use futures::channel::oneshot;
use futures::future::{Either, select};
use gloo::events::EventListener;
use inference::limits;
use inference::own::{GenerateRequest, OwnModel, OwnTask, Piece, PortInfo, Prompt, Sampling, check_generate};
use inference::protocol::check_texts;
use js_sys::{Array, ArrayBuffer, Function, Object};
use node_proto::ids::ModelId;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortSignal, Blob};

use super::convert::{error, set, to_js};
use super::input::{self, INVALID};
use super::{KnowledgeNode, tensor};
use crate::error::ModelError;
use crate::handle::NodeHandle;
use crate::own::BroughtModel;
use crate::platform::property;
use crate::status::{Backend, ModelState, ModelStatus};

/// Tokens of a text, unless another number is asked for.
const TOKENS_DEFAULT: usize = 64;

/// The plain part of `generate`'s third argument.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    max_tokens: Option<usize>,
    #[serde(default)]
    stop: Vec<String>,
    temperature: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f32>,
    seed: Option<u64>,
}

#[wasm_bindgen]
impl KnowledgeNode {
    /// Brings a model to this device.
    #[wasm_bindgen(js_name = addModel, skip_typescript)]
    pub async fn add_model(&self, files: JsValue) -> Result<JsValue, JsValue> {
        let handle = self.handle()?;
        let files = brought(&files)?;
        let id = handle.add_model(files).await.map_err(model_error)?;
        let added = models(&handle).into_iter().find(|model| model.id == id);
        added.as_ref().map_or(Ok(JsValue::UNDEFINED), to_js)
    }

    /// The models that were brought to this device.
    #[wasm_bindgen(skip_typescript)]
    pub fn models(&self) -> Result<JsValue, JsValue> {
        to_js(&models(&self.handle()?))
    }

    /// Tensors for tensors.
    #[wasm_bindgen(skip_typescript)]
    pub async fn run(&self, model: String, inputs: JsValue) -> Result<JsValue, JsValue> {
        let handle = self.handle()?;
        let model = input::model(&model)?;
        let inputs = tensor::read_all(&inputs)?;
        let outputs = handle.run(model, inputs).await.map_err(model_error)?;
        Ok(tensor::write_all(outputs))
    }

    /// Labelled scores for texts.
    #[wasm_bindgen(skip_typescript)]
    pub async fn classify(&self, model: String, texts: JsValue) -> Result<JsValue, JsValue> {
        let handle = self.handle()?;
        let model = input::model(&model)?;
        let texts: Vec<String> =
            serde_wasm_bindgen::from_value(texts).map_err(|reason| error(INVALID, &reason))?;
        check_texts(&texts).map_err(|reason| error(INVALID, &reason))?;
        let scores = handle.classify(model, texts).await.map_err(model_error)?;
        to_js(&scores)
    }

    /// A text that goes on.
    #[wasm_bindgen(skip_typescript)]
    pub async fn generate(
        &self,
        model: String,
        prompt: JsValue,
        options: JsValue,
    ) -> Result<JsValue, JsValue> {
        let handle = self.handle()?;
        let model: ModelId = input::model(&model)?;
        let options = Given::of(options)?;
        let request = options.request(prompt)?;
        check_generate(&request).map_err(|reason| error(INVALID, &reason))?;
        let (cancel, cancelled) = oneshot::channel::<()>();
        // Without a signal it lives, unused, as long as the text.
        let mut cancel = Some(cancel);
        let _listener = match &options.signal {
            Some(signal) if signal.aborted() => return Err(model_error(ModelError::Cancelled)),
            Some(signal) => cancel.take().map(|cancel| {
                EventListener::once(signal, "abort", move |_| {
                    // Nobody listens once the text has ended.
                    let _ = cancel.send(());
                })
            }),
            None => None,
        };
        let on_token = options.on_token;
        let tell = move |piece: Piece| {
            let Some(on_token) = &on_token else { return };
            let detail = Object::new();
            // Tokens are places in a vocabulary, far below 2^53.
            set(&detail, "token", &JsValue::from_f64(piece.token as f64));
            set(&detail, "text", &JsValue::from_str(&piece.text));
            if let Err(thrown) = on_token.call1(&JsValue::UNDEFINED, &detail) {
                // Shows in the console as any unhandled error does.
                let _ = js_sys::Promise::reject(&thrown);
            }
        };
        let text = pin!(handle.generate(model, request, tell));
        match select(text, cancelled).await {
            Either::Left((Ok(text), _)) => to_js(&text),
            Either::Left((Err(reason), _)) => Err(model_error(reason)),
            Either::Right(_) => Err(model_error(ModelError::Cancelled)),
        }
    }

    /// Forgets a model.
    #[wasm_bindgen(js_name = removeModel, skip_typescript)]
    pub async fn remove_model(&self, model: String) -> Result<(), JsValue> {
        let handle = self.handle()?;
        let model = input::model(&model)?;
        handle.remove_model(model).await.map_err(model_error)
    }
}

/// A model as `models` tells of it.
#[derive(Serialize)]
struct Model {
    id: ModelId,
    name: String,
    bytes: u64,
    has_tokenizer: bool,
    tasks: Vec<OwnTask>,
    inputs: Vec<PortInfo>,
    outputs: Vec<PortInfo>,
    backend: Backend,
    ms_per_run: Option<f64>,
    tokens_per_second: Option<f64>,
    not_kept: Option<String>,
}

/// The list and what is remembered of each, put together.
fn models(handle: &NodeHandle) -> Vec<Model> {
    let records = handle.own_records();
    let known = handle.status().own_models.into_iter().zip(records);
    let model = |(status, record): (ModelStatus, String)| {
        let ModelState::Own {
            backend,
            ms_per_run,
            tokens_per_second,
            not_kept,
        } = status.state
        else {
            return None;
        };
        let model = OwnModel::from_record(&record).ok()?;
        Some(Model {
            id: status.id,
            name: status.name,
            bytes: status.bytes,
            has_tokenizer: model.tokenizer.is_some(),
            tasks: model.tasks,
            inputs: model.inputs,
            outputs: model.outputs,
            backend,
            ms_per_run,
            tokens_per_second,
            not_kept,
        })
    };
    known.filter_map(model).collect()
}

/// `generate`'s third argument, its callback and signal apart from what is plain.
struct Given {
    plain: Options,
    on_token: Option<Function>,
    signal: Option<AbortSignal>,
}

impl Given {
    fn of(options: JsValue) -> Result<Self, JsValue> {
        let invalid = |problem: &'static str| error(INVALID, &problem);
        let plain = Object::assign(&Object::new(), options.unchecked_ref());
        let on_token = property(&plain, "onToken");
        let on_token = on_token.map(|callback| {
            callback
                .dyn_into()
                .map_err(|_| invalid("onToken must be a function"))
        });
        let signal = property(&plain, "signal");
        let signal = signal.map(|signal| {
            signal
                .dyn_into()
                .map_err(|_| invalid("signal must be an AbortSignal"))
        });
        for taken in ["onToken", "signal"] {
            // A property of an own plain object can be deleted.
            let _ = js_sys::Reflect::delete_property(&plain, &JsValue::from_str(taken));
        }
        Ok(Self {
            plain: input::read(plain.into(), INVALID)?,
            on_token: on_token.transpose()?,
            signal: signal.transpose()?,
        })
    }

    fn request(&self, prompt: JsValue) -> Result<GenerateRequest, JsValue> {
        let Options {
            max_tokens,
            ref stop,
            temperature,
            top_k,
            top_p,
            seed,
        } = self.plain;
        let default = Sampling::default();
        Ok(GenerateRequest {
            prompt: prompt_of(prompt)?,
            tokens_max: max_tokens.unwrap_or(TOKENS_DEFAULT),
            stop: stop.clone(),
            sampling: Sampling {
                temperature: temperature.unwrap_or(default.temperature),
                top_k: top_k.unwrap_or(default.top_k),
                top_p: top_p.unwrap_or(default.top_p),
                seed: seed.unwrap_or(default.seed),
            },
        })
    }
}

fn prompt_of(prompt: JsValue) -> Result<Prompt, JsValue> {
    if let Some(text) = prompt.as_string() {
        return Ok(Prompt::Text(text));
    }
    let refuse = || {
        error(
            INVALID,
            &"the prompt must be a text, or an array of whole numbers",
        )
    };
    let tokens = prompt.dyn_ref::<Array>().ok_or_else(refuse)?;
    if tokens.length() as usize > limits::TOKENS_MAX {
        return Err(error(INVALID, &"the prompt has too many tokens"));
    }
    let token = |token: JsValue| {
        let token = token.as_f64().filter(|token| token.fract() == 0.0)?;
        Some(token as i64)
    };
    let tokens: Option<Vec<i64>> = tokens.iter().map(token).collect();
    tokens.map(Prompt::Tokens).ok_or_else(refuse)
}

fn brought(files: &JsValue) -> Result<BroughtModel, JsValue> {
    let file = |what: &str| {
        let content = property(files, what);
        content.map(|content| {
            blob(&content).ok_or_else(|| error(INVALID, &format!("{what} must be a Blob or bytes")))
        })
    };
    let onnx = file("onnx").ok_or_else(|| error(INVALID, &"a model needs its onnx file"))??;
    let named = property(files, "name").or_else(|| property(&onnx, "name"));
    Ok(BroughtModel {
        name: named.and_then(|name| name.as_string()).unwrap_or_default(),
        tokenizer: file("tokenizer").transpose()?,
        config: file("config").transpose()?,
        onnx,
    })
}

fn blob(content: &JsValue) -> Option<Blob> {
    if let Some(blob) = content.dyn_ref::<Blob>() {
        return Some(blob.clone());
    }
    let is_bytes = content.is_instance_of::<ArrayBuffer>() || ArrayBuffer::is_view(content);
    let parts = Array::of1(content);
    is_bytes.then(|| Blob::new_with_buffer_source_sequence(&parts).ok())?
}

fn model_error(reason: ModelError) -> JsValue {
    error(reason.code(), &reason)
}
