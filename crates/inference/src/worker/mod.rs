//! The inference worker: one thread that owns the models and serves one request at a time.
//!
//! Requests wait in a bounded queue and are served in order, since a computation occupies the only thread anyway. Only
//! `Cancel` is heard at once: a generation gives the thread back between tokens for it. A panic becomes a JavaScript error with the panic's message, which the page's [`client`](crate::client) sees on its
//! `Worker` and turns into a fatal error.

mod cancel;
mod fetch;
mod files;
mod gpu;
mod models;
mod own;
mod store;

use futures::StreamExt;
use futures::channel::mpsc;
use gloo_worker::{HandlerId, Registrable, Worker, WorkerScope};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::DedicatedWorkerGlobalScope;

use crate::limits::PENDING_REQUESTS_MAX;
use crate::protocol::{EngineError, Request, RequestBody, Response, ResponseBody, check_texts};
use cancel::Cancelled;
use models::Models;
use own::OwnModels;

/// Registers the worker with gloo. The binary's `main` calls this once.
pub fn start() {
    std::panic::set_hook(Box::new(|panic| wasm_bindgen::throw_str(&panic.to_string())));
    Service::registrar().register();
}

/// The worker's half of the channel whose other half is the client's.
struct Service {
    queue: mpsc::Sender<(HandlerId, Request)>,
    cancelled: Cancelled,
}

impl Worker for Service {
    type Message = ();
    type Input = Request;
    type Output = Response;

    fn create(scope: &WorkerScope<Self>) -> Self {
        let (queue, requests) = mpsc::channel(PENDING_REQUESTS_MAX);
        let cancelled = Cancelled::default();
        spawn_local(serve(scope.clone(), requests, cancelled.clone()));
        Self { queue, cancelled }
    }

    fn update(&mut self, _scope: &WorkerScope<Self>, _message: ()) {}

    fn received(&mut self, scope: &WorkerScope<Self>, request: Request, sender: HandlerId) {
        let id = request.id;
        if request.body == RequestBody::Cancel {
            self.cancelled.note(id);
        } else if self.queue.try_send((sender, request)).is_err() {
            scope.respond(
                sender,
                Response {
                    id,
                    body: ResponseBody::Failed(EngineError::Busy),
                },
            );
        }
    }
}

async fn serve(
    scope: WorkerScope<Service>,
    mut requests: mpsc::Receiver<(HandlerId, Request)>,
    cancelled: Cancelled,
) {
    let (mut models, mut own) = (Models::default(), OwnModels::default());
    while let Some((sender, Request { id, body })) = requests.next().await {
        let respond = |body| scope.respond(sender, Response { id, body });
        let progress = |progress| respond(ResponseBody::Progress(progress));
        cancelled.reach(id);
        let result = match body {
            RequestBody::Load(request) => {
                let loaded = models.load(*request, &progress).await;
                loaded.map(ResponseBody::Loaded)
            }
            RequestBody::Embed { model, texts } => match check_texts(&texts) {
                Ok(()) => models.embed(model, &texts).await.map(ResponseBody::Embedded),
                Err(error) => Err(error),
            },
            RequestBody::Unload { model } => {
                models.unload(model);
                own.close(model);
                Ok(ResponseBody::Unloaded)
            }
            RequestBody::Add(request) => own.add(*request, &progress).await.map(ResponseBody::Added),
            RequestBody::Open(request) => own.open(*request, &progress).await.map(|()| ResponseBody::Opened),
            RequestBody::Ask { model, question } => {
                let piece = |piece| respond(ResponseBody::Piece(piece));
                let answer = own.ask(model, &question, &piece, || cancelled.has(id)).await;
                answer.map(ResponseBody::Answered)
            }
            RequestBody::Forget { record, others } => own::forget(&record, &others)
                .await
                .map(|()| ResponseBody::Forgotten),
            // Heard when it came.
            RequestBody::Cancel => continue,
        };
        respond(result.unwrap_or_else(ResponseBody::Failed));
    }
}

fn global() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Milliseconds since the worker started.
fn now_ms() -> f64 {
    global()
        .performance()
        .map_or(0.0, |performance| performance.now())
}
