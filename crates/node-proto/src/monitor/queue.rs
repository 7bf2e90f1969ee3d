//! The order of work: deficit round robin over requesters (M. Shreedhar, G. Varghese, *Efficient Fair Queuing Using Deficit
//! Round Robin*, SIGCOMM 1995).
//!
//! Every requester has a lane, first in first out. Lanes take turns; a lane whose turn is over is given a quantum of tokens
//! to spend in its next one, and runs what it can pay for. So each gets the same engine time, however large its requests
//! are or however many it sends, and a small request does not wait for all of another's large ones. Taking the next item
//! costs a constant number of steps as long as items cost about a quantum.

use std::collections::VecDeque;

use litemap::LiteMap;

use crate::ids::NodeId;

struct Lane<T> {
    items: VecDeque<(T, u32)>,
    deficit: u64,
}

/// What waits, by requester. Its bounds are its user's: see [`Monitor::admit`](super::Monitor::admit).
pub(crate) struct FairQueue<T> {
    quantum: u32,
    lanes: LiteMap<NodeId, Lane<T>>,
    /// Whose turn it is, and who comes after: exactly the lanes that are there.
    turns: VecDeque<NodeId>,
    len: usize,
    cost: u64,
}

impl<T: PartialEq> FairQueue<T> {
    pub(crate) fn new(quantum: u32) -> Self {
        Self {
            quantum: quantum.max(1),
            lanes: LiteMap::new(),
            turns: VecDeque::new(),
            len: 0,
            cost: 0,
        }
    }

    /// Items that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The cost of everything that waits.
    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    /// Items of one requester.
    pub(crate) fn of(&self, requester: &NodeId) -> usize {
        self.lanes.get(requester).map_or(0, |lane| lane.items.len())
    }

    /// Other requesters that wait.
    pub(crate) fn others(&self, requester: &NodeId) -> usize {
        self.lanes.len() - usize::from(self.lanes.contains_key(requester))
    }

    pub(crate) fn push(&mut self, requester: NodeId, item: T, cost: u32) {
        let lane = self.lanes.entry(requester).or_insert_with(|| {
            self.turns.push_back(requester);
            Lane {
                items: VecDeque::new(),
                deficit: self.quantum.into(),
            }
        });
        lane.items.push_back((item, cost));
        self.len += 1;
        self.cost += u64::from(cost);
    }

    /// The next item in fair order.
    pub(crate) fn pop(&mut self) -> Option<T> {
        loop {
            let requester = *self.turns.front()?;
            let lane = self.lanes.get_mut(&requester)?;
            let cost = lane.items.front().map_or(0, |(_, cost)| *cost);
            if u64::from(cost) > lane.deficit {
                lane.deficit += u64::from(self.quantum);
                self.turns.rotate_left(1);
                continue;
            }
            lane.deficit -= u64::from(cost);
            let (item, _) = lane.items.pop_front()?;
            self.took(&requester, cost);
            return Some(item);
        }
    }

    /// Takes an item out of turn.
    pub(crate) fn remove(&mut self, requester: &NodeId, item: &T) {
        let Some(lane) = self.lanes.get_mut(requester) else {
            return;
        };
        let place = lane.items.iter().position(|(waiting, _)| waiting == item);
        if let Some((_, cost)) = place.and_then(|place| lane.items.remove(place)) {
            self.took(requester, cost);
        }
    }

    /// An item is gone. A lane that is empty keeps no claim on a later turn.
    fn took(&mut self, requester: &NodeId, cost: u32) {
        self.len -= 1;
        self.cost -= u64::from(cost);
        if self.of(requester) == 0 {
            self.lanes.remove(requester);
            self.turns.retain(|waiting| waiting != requester);
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const MANY: NodeId = NodeId([1; 32]);
    const FEW: NodeId = NodeId([2; 32]);

    #[test]
    fn a_small_request_does_not_wait_for_all_of_anothers_large_ones() {
        let mut queue = FairQueue::new(100);
        for number in 0..5 {
            queue.push(MANY, number, 100);
        }
        queue.push(FEW, 99, 10);
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [0, 99, 1, 2, 3, 4]);
        assert!(queue.is_empty() && queue.cost() == 0 && queue.others(&MANY) == 0);
    }

    #[test]
    fn everyone_gets_the_same_work_whatever_its_size() {
        let mut queue = FairQueue::new(64);
        for number in 0..400 {
            queue.push(MANY, (MANY, 10_u32), 10);
            if number < 40 {
                queue.push(FEW, (FEW, 100), 100);
            }
        }
        let (mut many, mut few) = (0, 0);
        for _ in 0..200 {
            match queue.pop() {
                Some((MANY, cost)) => many += cost,
                Some((_, cost)) => few += cost,
                None => unreachable!("the queue is not empty yet"),
            }
        }
        let ratio = f64::from(many) / f64::from(few);
        assert!((0.85..1.15).contains(&ratio), "{many} {few}");
    }

    #[test]
    fn what_is_taken_out_of_turn_leaves_no_trace() {
        let mut queue = FairQueue::new(10);
        queue.push(MANY, 1, 5);
        queue.push(FEW, 2, 50);
        queue.remove(&FEW, &3);
        queue.remove(&MANY, &1);
        queue.remove(&MANY, &1);
        assert_eq!((queue.len(), queue.cost(), queue.of(&MANY)), (1, 50, 0));
        assert_eq!(queue.pop(), Some(2));
        assert_eq!(queue.pop(), None);
    }
}
