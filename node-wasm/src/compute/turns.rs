//! One caller at a time, the others in the order in which they came.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use futures::channel::oneshot;

use super::worker::within;
use crate::error::ComputeError;

/// Callers that wait.
pub const WAITING_MAX: usize = 16;

/// Whose turn it is, and who waits.
#[derive(Default)]
pub(super) struct Turns {
    taken: Cell<bool>,
    waiting: RefCell<VecDeque<oneshot::Sender<Turn>>>,
}

/// A turn. The next caller has it when this is dropped.
pub(super) struct Turn(Rc<Turns>);

impl Turns {
    /// Waits for a turn, until a moment of the page's monotone clock.
    pub(super) async fn take(self: &Rc<Self>, until: f64) -> Result<Turn, ComputeError> {
        if !self.taken.replace(true) {
            return Ok(Turn(self.clone()));
        }
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting.borrow_mut();
            waiting.retain(|sender| !sender.is_canceled());
            if waiting.len() >= WAITING_MAX {
                return Err(ComputeError::Busy);
            }
            waiting.push_back(sender);
        }
        within(receiver, until).await?.ok_or(ComputeError::Terminated)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.0.waiting.borrow_mut().pop_front();
        match next {
            // A caller that went away drops what it is sent, and so passes it on.
            Some(next) => drop(next.send(Turn(self.0.clone()))),
            None => self.0.taken.set(false),
        }
    }
}
