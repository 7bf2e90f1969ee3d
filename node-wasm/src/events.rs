//! What a node tells whoever listens: the core's events and the shell's changes, to any number of listeners.
//!
//! Each listener has a queue of its own with [`QUEUE_MAX`] places. A listener that does not keep up loses the oldest
//! entries and is told so by [`NodeEvent::Missed`]: state is never lost with them, since a
//! [`Snapshot`](node_proto::view::Snapshot) can be asked for at any time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use futures::Stream;
use node_proto::view::Event;
use serde::{Deserialize, Serialize};

use crate::status::TabStatus;

/// Entries that wait for one listener.
pub const QUEUE_MAX: usize = 256;

/// Something happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NodeEvent {
    /// In the core.
    Core(Event),
    /// In the shell.
    Shell(ShellEvent),
}

/// Something happened in the shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ShellEvent {
    /// The [`ShellStatus`](crate::status::ShellStatus) changed; ask for a new one when it suits.
    Status,
    /// This listener was too slow.
    Missed {
        /// So many entries are lost.
        count: u64,
    },
    /// The node ended; nothing comes after this.
    Stopped {
        /// Why.
        tab: TabStatus,
    },
}

/// The sending side; ends all streams when it is dropped.
#[derive(Default)]
pub struct Broadcast {
    listeners: RefCell<Vec<Weak<RefCell<Queue>>>>,
}

/// The receiving side.
pub struct Events {
    queue: Rc<RefCell<Queue>>,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<NodeEvent>,
    missed: u64,
    closed: bool,
    waker: Option<Waker>,
}

impl Broadcast {
    /// A new listener, from now on.
    pub fn subscribe(&self) -> Events {
        let queue = Rc::new(RefCell::new(Queue::default()));
        self.listeners.borrow_mut().push(Rc::downgrade(&queue));
        Events { queue }
    }

    /// Tells every listener and forgets those that are gone.
    pub fn send(&self, event: &NodeEvent) {
        let mut wakers = Vec::new();
        self.listeners.borrow_mut().retain(|listener| {
            let Some(queue) = listener.upgrade() else {
                return false;
            };
            let mut queue = queue.borrow_mut();
            queue.push(event.clone());
            wakers.extend(queue.waker.take());
            true
        });
        // Woken last: a waker may run code that subscribes.
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends every stream, after what it still holds.
    pub fn close(&self) {
        for queue in self.listeners.take().iter().filter_map(Weak::upgrade) {
            let waker = {
                let mut queue = queue.borrow_mut();
                queue.closed = true;
                queue.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn push(&mut self, event: NodeEvent) {
        if self.entries.len() == QUEUE_MAX {
            self.entries.pop_front();
            self.missed += 1;
        }
        self.entries.push_back(event);
    }

    fn pop(&mut self) -> Option<NodeEvent> {
        if self.missed > 0 {
            let count = std::mem::take(&mut self.missed);
            return Some(NodeEvent::Shell(ShellEvent::Missed { count }));
        }
        self.entries.pop_front()
    }
}

impl Stream for Events {
    type Item = NodeEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<NodeEvent>> {
        let mut queue = self.queue.borrow_mut();
        match queue.pop() {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.closed => Poll::Ready(None),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    fn changed() -> NodeEvent {
        NodeEvent::Core(Event::Changed)
    }

    #[test]
    fn every_listener_hears_what_comes_after_it() {
        let broadcast = Broadcast::default();
        let mut early = broadcast.subscribe();
        broadcast.send(&changed());
        let mut late = broadcast.subscribe();
        broadcast.send(&changed());
        drop(broadcast);
        assert_eq!(early.by_ref().count().now_or_never(), Some(2));
        assert_eq!(late.by_ref().count().now_or_never(), Some(1));
    }

    #[test]
    fn a_slow_listener_keeps_the_newest_and_knows_what_it_missed() {
        let broadcast = Broadcast::default();
        let mut slow = broadcast.subscribe();
        for _ in 0..QUEUE_MAX + 3 {
            broadcast.send(&changed());
        }
        let first = slow.next().now_or_never().flatten();
        assert!(matches!(
            first,
            Some(NodeEvent::Shell(ShellEvent::Missed { count: 3 }))
        ));
        broadcast.close();
        assert_eq!(slow.count().now_or_never(), Some(QUEUE_MAX));
    }

    #[test]
    fn a_listener_that_is_gone_is_forgotten() {
        let broadcast = Broadcast::default();
        drop(broadcast.subscribe());
        broadcast.send(&changed());
        assert!(broadcast.listeners.borrow().is_empty());
    }
}
