//! One caller at a time, the others in the order in which they came.

use std::cell::{Cell, RefCell};
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
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
}

/// A turn. The next caller has it when this is dropped.
pub(super) struct Turn(Rc<Turns>);

impl Turns {
    /// Waits for a turn, until a moment of the page's monotone clock.
    pub(super) async fn take(self: &Rc<Self>, until: f64) -> Result<Turn, ComputeError> {
        if !self.taken.replace(true) {
            return Ok(Turn(self.clone()));
        }
        let (sender, called) = oneshot::channel();
        {
            let mut waiting = self.waiting.borrow_mut();
            waiting.retain(|sender| !sender.is_canceled());
            if waiting.len() >= WAITING_MAX {
                return Err(ComputeError::Busy);
            }
            waiting.push(sender);
        }
        let mut place = Place { turns: self, called };
        if within(&mut place.called, until).await? {
            Ok(Turn(self.clone()))
        } else {
            Err(ComputeError::Terminated)
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.borrow_mut();
        while !waiting.is_empty() {
            if waiting.remove(0).send(()).is_ok() {
                return;
            }
        }
        self.0.taken.set(false);
    }
}

/// A place among those who wait.
struct Place<'a> {
    turns: &'a Rc<Turns>,
    called: oneshot::Receiver<()>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Who is called and does not come passes the turn on.
        if let Ok(Some(())) = self.called.try_recv() {
            drop(Turn(self.turns.clone()));
        }
    }
}
