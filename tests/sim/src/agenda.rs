//! What is going to happen to the actors of a shard, the earliest first.
//!
//! A heap moves what is in it at every step, and most of an event is its content: so the heap holds when it happens and in
//! which slot its content lies.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::event::{Event, Place, What};
use crate::network::Millis;

/// Events to come.
#[derive(Default)]
pub(crate) struct Agenda {
    order: BinaryHeap<Reverse<(Place, u32)>>,
    slots: Vec<Option<What>>,
    free: Vec<u32>,
}

impl Agenda {
    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<Millis> {
        self.order.peek().map(|Reverse(((at, ..), _))| *at)
    }

    pub(crate) fn push(&mut self, event: Event) {
        let place = event.place();
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(event.what);
                slot
            }
            None => {
                self.slots.push(Some(event.what));
                (self.slots.len() - 1) as u32
            }
        };
        self.order.push(Reverse((place, slot)));
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let Reverse(((at, to, from, count), slot)) = self.order.pop()?;
        let what = self.slots[slot as usize].take()?;
        self.free.push(slot);
        Some(Event {
            at,
            to,
            from,
            count,
            what,
        })
    }
}

impl Extend<Event> for Agenda {
    fn extend<I: IntoIterator<Item = Event>>(&mut self, events: I) {
        events.into_iter().for_each(|event| self.push(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_with_its_own_content() {
        let mut agenda = Agenda::default();
        let event = |at, seq| Event {
            at,
            to: 1,
            from: 1,
            count: 100 - seq,
            what: What::Written {
                life: 0,
                seq,
                writes: Vec::new(),
            },
        };
        agenda.extend([event(5, 1), event(3, 2), event(3, 3)]);
        let pop = |agenda: &mut Agenda| match agenda.pop().map(|event| (event.at, event.what)) {
            Some((at, What::Written { seq, .. })) => Some((at, seq)),
            _ => None,
        };
        assert_eq!(
            pop(&mut agenda),
            Some((3, 3)),
            "of two at one time the lower count"
        );
        agenda.push(event(1, 4));
        assert_eq!(agenda.next_at(), Some(1));
        let rest: Vec<_> = std::iter::from_fn(|| pop(&mut agenda)).collect();
        assert_eq!(rest, [(1, 4), (3, 2), (5, 1)]);
        assert_eq!(agenda.slots.len(), 3, "slots are used again");
    }
}
