//! The requests that wait for the worker's answer.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::channel::oneshot;

use crate::limits::PENDING_REQUESTS_MAX;
use crate::protocol::{EngineError, Response, ResponseBody};

/// Called for each message of one request that is not its last.
pub(super) type OnProgress = Box<dyn FnMut(ResponseBody)>;

/// The waiting end of one request.
pub(super) struct Answer {
    /// The request's number.
    pub(super) id: u64,
    /// Resolves once.
    pub(super) done: oneshot::Receiver<Result<ResponseBody, EngineError>>,
    /// Counts the progress messages so far.
    pub(super) heard: Rc<Cell<u64>>,
}

struct Waiting {
    done: oneshot::Sender<Result<ResponseBody, EngineError>>,
    heard: Rc<Cell<u64>>,
    on_progress: Option<OnProgress>,
}

/// All requests of one engine, and the error that ended it if one did.
#[derive(Default)]
pub(super) struct Pending {
    last_id: u64,
    waiting: BTreeMap<u64, Waiting>,
    dead: Option<EngineError>,
}

impl Pending {
    /// Admits a request and gives it its number.
    pub(super) fn admit(&mut self, on_progress: Option<OnProgress>) -> Result<(u64, Answer), EngineError> {
        if let Some(error) = &self.dead {
            return Err(error.clone());
        }
        self.waiting.retain(|_, waiting| !waiting.done.is_canceled());
        if self.waiting.len() >= PENDING_REQUESTS_MAX {
            return Err(EngineError::Busy);
        }
        self.last_id += 1;
        let (sender, receiver) = oneshot::channel();
        let heard = Rc::new(Cell::new(0));
        self.waiting.insert(
            self.last_id,
            Waiting {
                done: sender,
                heard: heard.clone(),
                on_progress,
            },
        );
        Ok((
            self.last_id,
            Answer {
                id: self.last_id,
                done: receiver,
                heard,
            },
        ))
    }

    /// Takes the listener of a progress message out, so that it runs while nothing is borrowed.
    pub(super) fn progress_listener(&mut self, id: u64) -> Option<OnProgress> {
        let waiting = self.waiting.get_mut(&id)?;
        waiting.heard.set(waiting.heard.get() + 1);
        waiting.on_progress.take()
    }

    /// Puts a listener back after it ran.
    pub(super) fn restore_listener(&mut self, id: u64, listener: OnProgress) {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            waiting.on_progress = Some(listener);
        }
    }

    /// Ends one request. Its caller may be gone, which is no error.
    pub(super) fn finish(&mut self, response: Response) {
        let Some(waiting) = self.waiting.remove(&response.id) else {
            return;
        };
        let result = match response.body {
            ResponseBody::Failed(error) => Err(error),
            body => Ok(body),
        };
        drop(waiting.done.send(result));
    }

    /// Gives a request up: nothing that still comes for it is heard.
    pub(super) fn forget(&mut self, id: u64) {
        self.waiting.remove(&id);
    }

    /// Ends every request; the first reason stays.
    pub(super) fn die(&mut self, error: EngineError) {
        let error = self.dead.get_or_insert(error).clone();
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            drop(waiting.done.send(Err(error.clone())));
        }
    }

    /// Whether requests are still admitted.
    pub(super) fn is_alive(&self) -> bool {
        self.dead.is_none()
    }
}
