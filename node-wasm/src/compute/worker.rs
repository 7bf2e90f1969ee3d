//! One computation worker: what it was asked, what it has prepared, and how it ended.

use std::cell::RefCell;
use std::rc::Rc;

use computation::protocol::{Reply, Request};
use computation::{Failure, Limits, Outcome};
use futures::channel::oneshot;
use futures::future::{Either, select};
use gloo::events::EventListener;
use gloo::timers::future::TimeoutFuture;
use inference::client::dedicated::ModuleWorker;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::JsCast;
use web_sys::MessageEvent;

use super::Work;
use crate::error::ComputeError;
use crate::platform;

/// What a reply has around an output or a message.
const FRAME_BYTES_MAX: usize = 4 * 1024;

/// A worker. It ends when this is dropped.
pub(super) struct Running {
    worker: ModuleWorker,
    line: Rc<RefCell<Line>>,
    /// The module that the worker has, and why it was refused, if it was. None while it prepares one.
    prepared: RefCell<Option<(blob::Name, Option<Failure>)>>,
    /// Comes once.
    ready: RefCell<Option<oneshot::Receiver<()>>>,
    _listener: EventListener,
}

/// What the page expects of the worker: at most one reply at a time.
enum Line {
    Quiet,
    Waiting(oneshot::Sender<()>),
    Heard(Reply),
    Dead(ComputeError),
}

impl Line {
    /// Takes what came. None if nothing was expected.
    fn hear(&mut self, reply: Reply) -> Option<()> {
        match self {
            Self::Waiting(_) => {}
            Self::Dead(_) => return Some(()),
            Self::Quiet | Self::Heard(_) => return None,
        }
        if let Self::Waiting(sender) = std::mem::replace(self, Self::Heard(reply)) {
            // Its caller may be gone, which is no error.
            let _ = sender.send(());
        }
        Some(())
    }

    /// Ends it; the first reason stays.
    fn die(&mut self, error: ComputeError) {
        if !matches!(self, Self::Dead(_)) {
            *self = Self::Dead(error);
        }
    }
}

impl Running {
    pub(super) fn start(script_url: &str, limits: &Limits) -> Result<Self, ComputeError> {
        let (sender, ready) = oneshot::channel();
        let line = Rc::new(RefCell::new(Line::Waiting(sender)));
        let failing = line.clone();
        let on_failure = Rc::new(move |reason| failing.borrow_mut().die(ComputeError::Crashed(reason)));
        let worker =
            ModuleWorker::start(script_url, "computation", on_failure).map_err(ComputeError::Spawn)?;
        let (hearing, watched) = (line.clone(), worker.worker().clone());
        let reply_bytes_max = limits.output_bytes_max + FRAME_BYTES_MAX;
        let listener = EventListener::new(worker.worker(), "message", move |event| {
            let reply = event.dyn_ref().and_then(|event| read(event, reply_bytes_max));
            let expected = reply.and_then(|reply| hearing.borrow_mut().hear(reply));
            if expected.is_none() {
                watched.terminate();
                let reason = "it said what nobody expected".to_owned();
                hearing.borrow_mut().die(ComputeError::Crashed(reason));
            }
        });
        Ok(Self {
            worker,
            line,
            prepared: RefCell::default(),
            ready: RefCell::new(Some(ready)),
            _listener: listener,
        })
    }

    /// Runs a module on each input.
    pub(super) async fn compute(
        &self,
        work: Work<'_>,
        until: f64,
        limits: &Limits,
    ) -> Result<Vec<Outcome>, ComputeError> {
        if let Some(failure) = self.prepare(work.name, work.module, until).await? {
            return Ok(vec![Outcome::unused(failure); work.inputs.len()]);
        }
        let mut outcomes = Vec::with_capacity(work.inputs.len());
        for (id, input) in (0..).zip(work.inputs) {
            if input.len() > limits.input_bytes_max {
                outcomes.push(Outcome::unused(Failure::InputTooLong));
                continue;
            }
            let fuel = work.fuel;
            let request = Request::Run { id, input, fuel };
            match self.ask(&request, until).await? {
                Reply::Ended { id: of, outcome } if of == id => outcomes.push(outcome),
                _ => return Err(confused()),
            }
        }
        Ok(outcomes)
    }

    /// Gives the worker the module, unless it has it. Says why it was refused, if it was.
    async fn prepare(
        &self,
        name: blob::Name,
        module: &[u8],
        until: f64,
    ) -> Result<Option<Failure>, ComputeError> {
        if let Some((_, failure)) = self.prepared.borrow().as_ref().filter(|(of, _)| *of == name) {
            return Ok(failure.clone());
        }
        self.prepared.take();
        let module = module.to_vec();
        let failure = match self.ask(&Request::Prepare { module }, until).await? {
            Reply::Prepared { .. } => None,
            Reply::Unprepared { failure } => Some(failure),
            _ => return Err(confused()),
        };
        self.prepared.replace(Some((name, failure.clone())));
        Ok(failure)
    }

    /// Has the worker compute the samples of a site.
    pub(super) async fn measure(&self, site: &str, until: f64) -> Result<Reply, ComputeError> {
        let site = site.to_owned();
        self.ask(&Request::Measure { site }, until).await
    }

    async fn ask(&self, request: &Request, until: f64) -> Result<Reply, ComputeError> {
        let ready = self.ready.take();
        if let Some(ready) = ready {
            match self.reply(ready, until).await? {
                Reply::Ready => {}
                _ => return Err(confused()),
            }
        }
        let (sender, receiver) = oneshot::channel();
        {
            let mut line = self.line.borrow_mut();
            if let Line::Dead(error) = &*line {
                return Err(error.clone());
            }
            *line = Line::Waiting(sender);
        }
        let message = Uint8Array::from(request.to_bytes().as_slice());
        self.worker
            .worker()
            .post_message_with_transfer(&message, &Array::of1(&message.buffer()))
            .map_err(|error| ComputeError::Crashed(platform::text_of(&error)))?;
        self.reply(receiver, until).await
    }

    async fn reply(&self, mut heard: oneshot::Receiver<()>, until: f64) -> Result<Reply, ComputeError> {
        within(&mut heard, until).await?;
        let mut line = self.line.borrow_mut();
        match std::mem::replace(&mut *line, Line::Quiet) {
            Line::Heard(reply) => Ok(reply),
            Line::Dead(error) => {
                *line = Line::Dead(error.clone());
                Err(error)
            }
            Line::Quiet | Line::Waiting(_) => Err(confused()),
        }
    }

    /// Ends the worker at once.
    pub(super) fn end(&self, error: ComputeError) {
        self.worker.terminate();
        self.line.borrow_mut().die(error);
    }

    /// Whether it can still answer.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(&*self.line.borrow(), Line::Dead(_))
    }
}

/// What a message says, if it is short enough to be looked at and says anything.
fn read(event: &MessageEvent, bytes_max: usize) -> Option<Reply> {
    let message: Uint8Array = event.data().dyn_into().ok()?;
    if message.length() as usize > bytes_max {
        return None;
    }
    Reply::from_bytes(&message.to_vec()).ok()
}

/// An answer that is none to what was asked.
pub(super) fn confused() -> ComputeError {
    ComputeError::Crashed("it answered another question".to_owned())
}

/// Waits until a moment of the page's monotone clock. False if the sender is gone.
pub(super) async fn within(heard: &mut oneshot::Receiver<()>, until: f64) -> Result<bool, ComputeError> {
    let left_ms = (until - platform::monotone_ms()).ceil();
    // A browser takes delays of 31 bits.
    let timeout = TimeoutFuture::new(left_ms.clamp(0.0, f64::from(i32::MAX)) as u32);
    match select(heard, timeout).await {
        Either::Left((result, _)) => Ok(result.is_ok()),
        Either::Right(((), _)) => Err(ComputeError::Timeout),
    }
}
