//! Starting, watching and stopping the worker.
//!
//! gloo speaks the protocol, but it keeps the `Worker` that it makes to itself, starts classic scripts only, and
//! panics when the browser refuses. So the `Worker` is made here ([`ModuleWorker`]) and handed to gloo at the moment when gloo calls
//! the constructor ([`with_constructor_returning`]).

use std::cell::RefCell;
use std::rc::Rc;

use gloo_worker::{Spawnable, WorkerBridge};
use js_sys::{Function, Object, Proxy, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Worker;

use super::channel::Channel;
use super::dedicated::{ModuleWorker, text_of};
use super::pending::OnProgress;
use super::{Answer, Pending};
use crate::protocol::{EngineError, Request, RequestBody, Response, ResponseBody};

/// One running worker and the requests that wait for it.
pub(super) struct Handle {
    worker: ModuleWorker,
    pending: Rc<RefCell<Pending>>,
    bridge: WorkerBridge<Channel>,
}

impl Handle {
    pub(super) fn spawn(worker_url: &str) -> Result<Self, EngineError> {
        let pending = Rc::new(RefCell::new(Pending::default()));
        let failing = pending.clone();
        let on_failure = Rc::new(move |reason| failing.borrow_mut().die(EngineError::Crashed(reason)));
        let worker = ModuleWorker::start(worker_url, "inference", on_failure).map_err(EngineError::Spawn)?;
        let answers = pending.clone();
        let bridge = with_constructor_returning(worker.worker(), || {
            Channel::spawner()
                .callback(move |response| deliver(&answers, response))
                .spawn_with_loader(worker.loader_url())
        })?;
        Ok(Self {
            worker,
            pending,
            bridge,
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
    }
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
