//! The names that gloo's worker gives to the two ends of [`protocol`](crate::protocol).
//!
//! gloo types a worker by one trait on both sides, but only the message types have to agree between two binaries.
//! [`Channel`] is the page's half: it names them and has no behaviour, so that the page does not link the worker's.

use gloo_worker::{HandlerId, Worker, WorkerScope};

use crate::protocol::{Request, Response};

/// The page's view of the inference worker.
#[derive(Debug)]
pub(crate) struct Channel;

impl Worker for Channel {
    type Message = ();
    type Input = Request;
    type Output = Response;

    fn create(_scope: &WorkerScope<Self>) -> Self {
        Self
    }

    fn update(&mut self, _scope: &WorkerScope<Self>, _message: ()) {}

    fn received(&mut self, _scope: &WorkerScope<Self>, _request: Request, _id: HandlerId) {}
}
