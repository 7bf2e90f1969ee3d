//! Strangers' modules on this device: the client of the computation worker.
//!
//! A [`Computer`] owns one dedicated worker, which runs one module at a time, on one input after the other. Whoever asks while it
//! computes waits for a turn.
//!
//! ```text
//! none ─work─▶ starting ─▶ preparing ─▶ running ─▶ idle ─nobody asks─▶ none
//!   ▲             │            │ ▲         │        │
//!   │             │            │ └─────────┼─work───┘  (the same module needs no preparing)
//!   └──deadline, crash, or the caller went away
//! ```
//!
//! While a module computes its worker reads nothing, so the page keeps the deadline and terminates the worker. Wasm gives memory
//! back in no other way either, so a worker that nobody uses is ended after a while.
//!
//! Bounds: [`WAITING_MAX`] callers wait; what a module or a worker may say, take and give is bounded by [`Limits`], and compared
//! with them before memory is reserved for it; the time that a caller waits counts to its deadline.

mod turns;
mod worker;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

pub use computation::Ending;
use computation::protocol::Reply;
use computation::{Failure, Limits, Outcome};
use gloo::timers::callback::Timeout;

pub use turns::WAITING_MAX;

use crate::error::ComputeError;
use crate::platform;
use turns::Turns;
use worker::Running;

/// Time to load the worker and the site's modules and to compute their samples twice, for which fast machines need a quarter of a
/// second.
const MEASURE_DEADLINE: Duration = Duration::from_secs(120);

/// What is to be computed.
pub struct Work<'a> {
    /// The module's BLAKE3 hash, by which a worker knows it again. Whoever got the bytes has compared it.
    pub name: blob::Name,
    /// The module.
    pub module: &'a [u8],
    /// Each is computed on its own, in memory of its own.
    pub inputs: Vec<Vec<u8>>,
    /// Units of fuel that each input may use.
    pub fuel: u64,
    /// For all of it, the wait for others included.
    pub deadline: Duration,
}

/// The device's engine for modules.
pub struct Computer {
    origin: String,
    worker_url: String,
    limits: Limits,
    idle_ms_max: u32,
    turns: Rc<Turns>,
    worker: Rc<RefCell<Option<Rc<Running>>>>,
    /// Ends the worker unless it is used before.
    idle: RefCell<Option<Timeout>>,
}

impl Computer {
    /// With the worker and the modules of a site. The worker is started when it is first needed, and ended after so many
    /// milliseconds without use.
    #[must_use]
    pub fn new(origin: &str, idle_ms_max: u32) -> Self {
        Self::with_script(
            origin,
            &format!("{origin}/worker/computation_worker.js"),
            idle_ms_max,
        )
    }

    fn with_script(origin: &str, worker_url: &str, idle_ms_max: u32) -> Self {
        Self {
            origin: origin.to_owned(),
            worker_url: worker_url.to_owned(),
            limits: Limits::default(),
            idle_ms_max,
            turns: Rc::default(),
            worker: Rc::default(),
            idle: RefCell::default(),
        }
    }

    /// Computes a module on each input, in order. A module that is refused has that outcome for each of them.
    ///
    /// Dropping the future ends the worker, if it was at work for this caller.
    ///
    /// # Errors
    /// If this device did not come to an outcome.
    pub async fn run(&self, work: Work<'_>) -> Result<Vec<Outcome>, ComputeError> {
        // What is too long never reaches the worker, which would say the same.
        if work.module.len() > self.limits.module_bytes_max {
            let refused = Outcome::unused(Failure::BadModule("it is too long".to_owned()));
            return Ok(vec![refused; work.inputs.len()]);
        }
        let until = after(work.deadline);
        let _turn = self.turns.take(until).await?;
        let mut session = self.begin()?;
        let outcomes = session.worker.compute(work, until, &self.limits).await?;
        // A machine that fails has no memory left, as a rule, and a new worker has.
        session.keep = outcomes.iter().all(|outcome| machine_failure(outcome).is_none());
        Ok(outcomes)
    }

    /// Checks this browser's engine by the samples of the site's modules, and measures it: units of fuel per second.
    ///
    /// # Errors
    /// [`ComputeError::WrongAnswer`] if it must not sell computation; others if it cannot be said.
    pub async fn measure(&self) -> Result<u64, ComputeError> {
        let until = after(MEASURE_DEADLINE);
        let _turn = self.turns.take(until).await?;
        let mut session = self.begin()?;
        let reply = session.worker.measure(&self.origin, until).await?;
        session.keep = true;
        match reply {
            Reply::Measured { units_per_second } => Ok(units_per_second),
            Reply::Miscomputed { module } => Err(ComputeError::WrongAnswer { module }),
            Reply::Unmeasured { reason } => Err(ComputeError::NoSample(reason)),
            _ => Err(worker::confused()),
        }
    }

    /// Ends the worker. Whatever it computes comes to nothing.
    pub fn end(&self) {
        drop(self.idle.take());
        if let Some(worker) = self.worker.take() {
            worker.end(ComputeError::Terminated);
        }
    }

    /// Whether there is a worker, at work or idle.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.worker.borrow().is_some()
    }

    /// The worker, started if there is none.
    fn begin(&self) -> Result<Session<'_>, ComputeError> {
        drop(self.idle.take());
        let present = self.worker.borrow().clone().filter(|worker| worker.is_alive());
        let worker = match present {
            Some(worker) => worker,
            None => {
                let worker = Rc::new(Running::start(&self.worker_url, &self.limits)?);
                self.worker.replace(Some(worker.clone()));
                worker
            }
        };
        Ok(Session {
            computer: self,
            worker,
            keep: false,
        })
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The worker in use. Unless it is to be kept when this ends, the worker ends too: it may compute on, for nobody.
struct Session<'a> {
    computer: &'a Computer,
    worker: Rc<Running>,
    keep: bool,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let Computer {
            worker,
            idle,
            idle_ms_max,
            ..
        } = self.computer;
        if !self.keep {
            self.worker.end(ComputeError::Terminated);
            let ours = |present: &Rc<Running>| Rc::ptr_eq(present, &self.worker);
            if worker.borrow().as_ref().is_some_and(ours) {
                worker.take();
            }
            return;
        }
        let place = Rc::downgrade(worker);
        let rest = Timeout::new(*idle_ms_max, move || {
            if let Some(place) = place.upgrade() {
                place.take();
            }
        });
        idle.replace(Some(rest));
    }
}

/// A moment of the page's monotone clock.
fn after(time: Duration) -> f64 {
    platform::monotone_ms() + time.as_secs_f64() * 1_000.0
}

/// What the machine lacked, if that is why there is no output.
fn machine_failure(outcome: &Outcome) -> Option<&Failure> {
    match &outcome.ending {
        Ending::Failed(failure) if !failure.is_deterministic() => Some(failure),
        Ending::Failed(_) | Ending::Output(_) => None,
    }
}
