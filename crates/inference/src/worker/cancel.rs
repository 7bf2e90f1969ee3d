//! Requests whose caller has had enough, noted while another one is being served.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::limits::PENDING_REQUESTS_MAX;

/// Numbers of requests that nobody waits for any more. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Cancelled(Rc<RefCell<BTreeSet<u64>>>);

impl Cancelled {
    /// No more can wait than are admitted, so that what does not fit names none of them.
    pub(super) fn note(&self, id: u64) {
        let mut ids = self.0.borrow_mut();
        if ids.len() < PENDING_REQUESTS_MAX {
            ids.insert(id);
        }
    }

    /// A request is served. Numbers grow, so that those before it are done with.
    pub(super) fn reach(&self, id: u64) {
        self.0.borrow_mut().retain(|&noted| noted >= id);
    }

    pub(super) fn has(&self, id: u64) -> bool {
        self.0.borrow().contains(&id)
    }
}
