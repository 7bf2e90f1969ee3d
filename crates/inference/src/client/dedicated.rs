//! A dedicated worker of one ES module: starting it wherever its script lies, and noticing its end.
//!
//! A worker that hangs ends only through `Worker.terminate()`, and one that traps says so only to its `error` event.

use std::rc::Rc;

use gloo::events::EventListener;
use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, ErrorEvent, Event, Url, Worker, WorkerOptions, WorkerType};

/// A running worker. It ends when this is dropped.
#[derive(Debug)]
pub struct ModuleWorker {
    worker: Worker,
    loader_url: String,
    _listeners: [EventListener; 2],
}

impl ModuleWorker {
    /// Starts a worker from its script, given by an absolute URL or one relative to the page, which may be of another origin that
    /// allows it (CORS). `name` is for people who look for it in the browser's tools.
    ///
    /// Returns before the script has loaded. When it cannot be loaded, or fails in any other way later, the worker ends, and
    /// `on_failure` hears why in words.
    ///
    /// A message that is posted before the script listens is lost: it has to say that it does.
    ///
    /// # Errors
    /// In words, if the browser refuses, for example by its content security policy.
    pub fn start(script_url: &str, name: &str, on_failure: Rc<dyn Fn(String)>) -> Result<Self, String> {
        let script_url = absolute_url(script_url)?;
        let loader_url = loader(&script_url).map_err(|error| text_of(&error))?;
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        options.set_name(name);
        let worker = Worker::new_with_options(&loader_url, &options).map_err(|error| text_of(&error))?;
        let listeners = ["error", "messageerror"].map(|event| {
            let (on_failure, watched) = (on_failure.clone(), worker.clone());
            EventListener::new(&worker, event, move |event| {
                watched.terminate();
                on_failure(reason_of(event));
            })
        });
        Ok(Self {
            worker,
            loader_url,
            _listeners: listeners,
        })
    }

    /// The worker, to post messages to and to hear them from.
    #[must_use]
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Ends it at once, whatever it computes.
    pub fn terminate(&self) {
        self.worker.terminate();
    }

    /// What the worker was started from.
    pub(super) fn loader_url(&self) -> &str {
        &self.loader_url
    }
}

impl Drop for ModuleWorker {
    fn drop(&mut self) {
        self.terminate();
        drop(Url::revoke_object_url(&self.loader_url));
    }
}

/// Resolves a URL against the page's own.
fn absolute_url(url: &str) -> Result<String, String> {
    let page = web_sys::window().and_then(|window| window.location().href().ok());
    let resolved = match page {
        Some(base) if !base.starts_with("about:") => Url::new_with_base(url, &base),
        _ => Url::new(url),
    };
    resolved
        .map(|url| url.href())
        .map_err(|_| format!("{url:?} is not a URL"))
}

/// A module that starts the worker's script wherever that lies: the constructor itself takes no script of another
/// origin, an import does. It also gives the worker what wasm alone lacks: import of a module that lies beside the script, and rejections that count
/// as errors, so that the page hears of them.
fn loader(script_url: &str) -> Result<String, JsValue> {
    let script = serde_json::Value::from(script_url);
    let source = format!(
        "import init from {script};\n\
         self.importSibling = (name) => import(new URL(name, {script}).href);\n\
         self.onunhandledrejection = (event) => setTimeout(() => {{ throw event.reason; }});\n\
         await init();\n"
    );
    let properties = BlobPropertyBag::new();
    properties.set_type("text/javascript");
    let blob = Blob::new_with_str_sequence_and_options(&Array::of1(&JsValue::from(source)), &properties)?;
    Url::create_object_url_with_blob(&blob)
}

fn reason_of(event: &Event) -> String {
    match event.dyn_ref::<ErrorEvent>() {
        Some(error) if !error.message().is_empty() => error.message(),
        _ if event.type_() == "messageerror" => "it sent a message that cannot be read".to_owned(),
        _ => "its script could not be loaded or run".to_owned(),
    }
}

pub(super) fn text_of(error: &JsValue) -> String {
    error
        .as_string()
        .unwrap_or_else(|| js_sys::Object::from(error.clone()).to_string().into())
}
