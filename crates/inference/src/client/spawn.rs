//! Starting, watching and stopping the worker.
//!
//! gloo speaks the protocol, but it keeps the `Worker` that it makes to itself, starts classic scripts only, and
//! panics when the browser refuses. A worker that hangs ends only through `Worker.terminate()`, and one that traps
//! says so only to its `error` event. So the `Worker` is made here, as a module worker, and handed to gloo at the
//! moment when gloo calls the constructor ([`with_constructor_returning`]).

use std::cell::RefCell;
use std::rc::Rc;

use gloo::events::EventListener;
use gloo_worker::{Spawnable, WorkerBridge};
use js_sys::{Array, Function, Object, Proxy, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, ErrorEvent, Event, Url, Worker, WorkerOptions, WorkerType};

use super::channel::Channel;
use super::pending::OnProgress;
use super::{Answer, Pending};
use crate::protocol::{EngineError, Request, RequestBody, Response, ResponseBody};

/// One running worker, the requests that wait for it, and the listeners that notice its end.
pub(super) struct Handle {
    worker: Worker,
    loader_url: String,
    pending: Rc<RefCell<Pending>>,
    bridge: WorkerBridge<Channel>,
    _listeners: [EventListener; 2],
}

impl Handle {
    pub(super) fn spawn(worker_url: &str) -> Result<Self, EngineError> {
        let script_url = absolute_url(worker_url).map_err(EngineError::Spawn)?;
        let loader_url = loader(&script_url).map_err(|error| EngineError::Spawn(text_of(&error)))?;
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        options.set_name("inference");
        let worker = Worker::new_with_options(&loader_url, &options)
            .map_err(|error| EngineError::Spawn(text_of(&error)))?;
        let pending = Rc::new(RefCell::new(Pending::default()));
        let answers = pending.clone();
        let bridge = with_constructor_returning(&worker, || {
            Channel::spawner()
                .callback(move |response| deliver(&answers, response))
                .spawn_with_loader(&loader_url)
        })?;
        let listeners = ["error", "messageerror"].map(|event| {
            let (pending, watched) = (pending.clone(), worker.clone());
            EventListener::new(&worker, event, move |event| {
                watched.terminate();
                pending.borrow_mut().die(EngineError::Crashed(reason_of(event)));
            })
        });
        Ok(Self {
            worker,
            loader_url,
            pending,
            bridge,
            _listeners: listeners,
        })
    }

    pub(super) fn request(
        &self,
        body: RequestBody,
        on_progress: Option<OnProgress>,
    ) -> Result<Answer, EngineError> {
        let (id, answer) = self.pending.borrow_mut().admit(on_progress)?;
        self.bridge.send(Request { id, body });
        Ok(answer)
    }

    /// Tells the worker that nobody waits for a request any more.
    pub(super) fn cancel(&self, id: u64) {
        self.pending.borrow_mut().forget(id);
        if self.is_alive() {
            let body = RequestBody::Cancel;
            self.bridge.send(Request { id, body });
        }
    }

    pub(super) fn stop(&self, error: EngineError) {
        self.worker.terminate();
        self.pending.borrow_mut().die(error);
    }

    pub(super) fn is_alive(&self) -> bool {
        self.pending.borrow().is_alive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop(EngineError::Terminated);
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

/// Passes a response on. A listener runs while nothing is borrowed, since it may send the next request.
fn deliver(pending: &Rc<RefCell<Pending>>, response: Response) {
    let Response { id, body } = response;
    if !matches!(body, ResponseBody::Progress(_) | ResponseBody::Piece(_)) {
        return pending.borrow_mut().finish(Response { id, body });
    }
    let listener = pending.borrow_mut().progress_listener(id);
    if let Some(mut listener) = listener {
        listener(body);
        pending.borrow_mut().restore_listener(id, listener);
    }
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

/// Runs `spawn` while the global `Worker` constructor returns `worker`, and puts the real one back.
///
/// Nothing else can run in between: `spawn` is synchronous.
fn with_constructor_returning<T>(worker: &Worker, spawn: impl FnOnce() -> T) -> Result<T, EngineError> {
    let refused = |error: JsValue| EngineError::Spawn(text_of(&error));
    let (global, name) = (js_sys::global(), JsValue::from_str("Worker"));
    let real: Function = Reflect::get(&global, &name).map_err(refused)?.unchecked_into();
    let given = JsValue::from(worker);
    let construct =
        Closure::<dyn Fn(JsValue, JsValue) -> JsValue>::new(move |_target, _arguments| given.clone());
    let traps = Object::new();
    Reflect::set(&traps, &JsValue::from_str("construct"), construct.as_ref()).map_err(refused)?;
    Reflect::set(&global, &name, &Proxy::new(&real, &traps)).map_err(refused)?;
    let spawned = spawn();
    Reflect::set(&global, &name, &real).map_err(refused)?;
    Ok(spawned)
}

fn reason_of(event: &Event) -> String {
    match event.dyn_ref::<ErrorEvent>() {
        Some(error) if !error.message().is_empty() => error.message(),
        _ if event.type_() == "messageerror" => "it sent a message that cannot be read".to_owned(),
        _ => "its script could not be loaded or run".to_owned(),
    }
}

fn text_of(error: &JsValue) -> String {
    error
        .as_string()
        .unwrap_or_else(|| js_sys::Object::from(error.clone()).to_string().into())
}
