//! The order of work: whatever is promised earliest comes first.
//!
//! Earliest deadline first keeps every promise that any order can keep (M. Dertouzos, *Control Robotics: The Procedural Control
//! of Physical Processes*, IFIP Congress 1974). It is fair only as far as the promises are, so **fairness lies in the promise**.
//! Under generalised processor sharing (A. Parekh, R. Gallager, *A Generalized Processor Sharing Approach to Flow Control in
//! Integrated Services Networks: The Single-Node Case*, IEEE/ACM Transactions on Networking 1(3), 1993) a requester that has
//! `x` tokens served has waited for no more than `x` of each other one:
//!
//! ```text
//! before(requester, tokens) = own + Σ over others of min(theirs, own + tokens)          [`fair_before`](Queue::fair_before)
//! ```
//!
//! Whoever has nothing here yet is thus promised to be served before another's many, and whoever has much waits for everyone.
//! Such a promise overtakes work that was promised later; it is given only where that leaves every other promise kept
//! ([`fits`](Queue::fits)): promises contain slack, and where it is used up newcomers are promised the end of the queue. Round
//! robin over requesters, which was here before, breaks promises when many have much waiting: each new request overtakes some
//! that stand, and in a crowd a tenth of all engine time went into results that came too late.

use std::collections::BTreeMap;

use litemap::LiteMap;

use crate::ids::{NodeId, Timestamp};

/// What waits.
struct Waiting<T> {
    requester: NodeId,
    item: T,
    cost: u32,
}

/// What one requester has waiting.
#[derive(Clone, Copy, Default)]
struct Share {
    items: usize,
    cost: u64,
}

/// Work that is to be fitted in: its tokens, and when it is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fitting {
    pub(crate) tokens: u32,
    pub(crate) due: Timestamp,
}

/// When the engine begins with what waits, and how fast it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Engine {
    pub(crate) now: Timestamp,
    /// Tokens that are computed before anything that waits.
    pub(crate) tokens_first: u32,
    pub(crate) tokens_per_s: f32,
}

impl Engine {
    /// When so many tokens of what waits are computed, in milliseconds.
    fn done_at(&self, tokens: u64) -> f64 {
        let tokens = tokens.saturating_add(self.tokens_first.into());
        self.now.0 as f64 + tokens as f64 * 1_000.0 / f64::from(self.tokens_per_s.max(0.001))
    }
}

/// What waits, in the order in which it is promised. Its bounds are its user's: see [`Monitor::admit`](super::Monitor::admit).
pub(crate) struct Queue<T> {
    /// By the end of the promise, and by arrival.
    waiting: BTreeMap<(Timestamp, u64), Waiting<T>>,
    shares: LiteMap<NodeId, Share>,
    arrivals: u64,
    cost: u64,
}

impl<T: PartialEq> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            shares: LiteMap::new(),
            arrivals: 0,
            cost: 0,
        }
    }

    /// Items that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The cost of everything that waits.
    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    /// Items of one requester.
    pub(crate) fn of(&self, requester: &NodeId) -> usize {
        self.share(requester).items
    }

    /// Other requesters that wait.
    pub(crate) fn others(&self, requester: &NodeId) -> usize {
        self.shares.len() - usize::from(self.shares.contains_key(requester))
    }

    fn share(&self, requester: &NodeId) -> Share {
        self.shares.get(requester).copied().unwrap_or_default()
    }

    /// What a requester's next tokens fairly wait for: its own, and as much of each other's at most.
    pub(crate) fn fair_before(&self, requester: &NodeId, tokens: u32) -> u64 {
        let own = self.share(requester).cost;
        let most = own.saturating_add(tokens.into());
        let others = self.shares.iter().filter(|(other, _)| *other != requester);
        let others = others.map(|(_, share)| share.cost.min(most));
        others.fold(own, u64::saturating_add)
    }

    /// Whether more work is done when it is due, and everything that it delays still is. What is late anyhow does not count.
    pub(crate) fn fits(&self, engine: Engine, fitting: Fitting) -> bool {
        let is_before = |due: &Timestamp| *due <= fitting.due;
        let before = self.waiting.iter().take_while(|((due, _), _)| is_before(due));
        let mut sum: u64 = before.map(|(_, waiting)| u64::from(waiting.cost)).sum();
        let own = u64::from(fitting.tokens);
        if engine.done_at(sum + own) > fitting.due.0 as f64 {
            return false;
        }
        let delayed = self.waiting.iter().skip_while(|((due, _), _)| is_before(due));
        delayed.into_iter().all(|((due, _), waiting)| {
            sum += u64::from(waiting.cost);
            let due = due.0 as f64;
            engine.done_at(sum + own) <= due || engine.done_at(sum) > due
        })
    }

    pub(crate) fn push(&mut self, requester: NodeId, item: T, cost: u32, due: Timestamp) {
        self.arrivals += 1;
        let waiting = Waiting {
            requester,
            item,
            cost,
        };
        self.waiting.insert((due, self.arrivals), waiting);
        let share = self.shares.entry(requester).or_default();
        share.items += 1;
        share.cost += u64::from(cost);
        self.cost += u64::from(cost);
    }

    /// What is promised earliest.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let place = *self.waiting.first_key_value()?.0;
        self.take(&place)
    }

    /// Takes an item out of turn.
    pub(crate) fn remove(&mut self, requester: &NodeId, item: &T) {
        let meant = |waiting: &Waiting<T>| waiting.requester == *requester && waiting.item == *item;
        let place = self.waiting.iter().find(|(_, waiting)| meant(waiting));
        if let Some(place) = place.map(|(place, _)| *place) {
            self.take(&place);
        }
    }

    fn take(&mut self, place: &(Timestamp, u64)) -> Option<T> {
        let Waiting {
            requester,
            item,
            cost,
        } = self.waiting.remove(place)?;
        self.cost -= u64::from(cost);
        if let Some(share) = self.shares.get_mut(&requester) {
            share.items -= 1;
            share.cost -= u64::from(cost);
            if share.items == 0 {
                self.shares.remove(&requester);
            }
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const MANY: NodeId = NodeId([1; 32]);
    const FEW: NodeId = NodeId([2; 32]);
    const OTHER: NodeId = NodeId([3; 32]);

    /// A token takes a millisecond.
    const ENGINE: Engine = Engine {
        now: Timestamp(0),
        tokens_first: 0,
        tokens_per_s: 1_000.0,
    };

    /// Promises twice the time that is needed in the fair order where that fits, or at the end; returns it.
    fn promise(queue: &mut Queue<u32>, requester: NodeId, item: u32, tokens: u32) -> u64 {
        let due = |before: u64| Timestamp(2 * (before + u64::from(tokens)));
        let fair = Fitting {
            tokens,
            due: due(queue.fair_before(&requester, tokens)),
        };
        let due = if queue.fits(ENGINE, fair) {
            fair.due
        } else {
            due(queue.cost())
        };
        queue.push(requester, item, tokens, due);
        due.0
    }

    fn order(queue: &mut Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn a_small_request_does_not_wait_for_all_of_anothers_large_ones() {
        let mut queue = Queue::new();
        for number in 0..5 {
            assert_eq!(
                promise(&mut queue, MANY, number, 100),
                200 * u64::from(number + 1)
            );
        }
        assert_eq!(
            promise(&mut queue, FEW, 99, 10),
            40,
            "ten of the others', and its own"
        );
        assert_eq!(order(&mut queue), [99, 0, 1, 2, 3, 4]);
        assert!(queue.is_empty() && queue.cost() == 0 && queue.others(&MANY) == 0);
    }

    #[test]
    fn whoever_has_more_waiting_waits_longer() {
        let mut queue = Queue::new();
        for number in 0..10 {
            promise(&mut queue, MANY, number, 100);
        }
        // Each after as much of the other as it has itself, what was promised first before it.
        for number in 10..13 {
            promise(&mut queue, FEW, number, 100);
        }
        assert_eq!(order(&mut queue)[..6], [0, 1, 10, 2, 3, 11]);
    }

    #[test]
    fn nobody_overtakes_what_could_then_not_be_kept() {
        let mut queue = Queue::new();
        // No slack is left in these.
        for number in 0..4 {
            queue.push(MANY, number, 100, Timestamp(100 * u64::from(number + 1)));
        }
        let fitting = |due| Fitting {
            tokens: 10,
            due: Timestamp(due),
        };
        assert!(!queue.fits(ENGINE, fitting(40)));
        assert!(queue.fits(ENGINE, fitting(410)));
        assert!(!queue.fits(ENGINE, fitting(409)));
        assert_eq!(promise(&mut queue, FEW, 99, 10), 820);
        assert_eq!(order(&mut queue), [0, 1, 2, 3, 99]);
        // What is late anyhow is no reason to refuse others.
        queue.push(MANY, 0, 100, Timestamp(50));
        assert!(queue.fits(ENGINE, fitting(200)));
        assert!(queue.fits(ENGINE, fitting(20)));
    }

    #[test]
    fn every_promise_is_kept_whoever_asks() {
        let mut queue = Queue::new();
        let mut rng = crate::rng::Rng::new(1, &MANY);
        let mut dues = Vec::new();
        for number in 0..200 {
            let requester = [MANY, MANY, MANY, FEW, OTHER][rng.below(5)];
            let tokens = 1 + rng.below(100) as u32;
            dues.push((promise(&mut queue, requester, number, tokens), tokens));
        }
        let mut now = 0;
        for item in order(&mut queue) {
            let (due, tokens) = dues[item as usize];
            now += u64::from(tokens);
            assert!(now <= due, "{item}");
        }
    }

    #[test]
    fn what_is_taken_out_of_turn_leaves_no_trace() {
        let mut queue = Queue::new();
        queue.push(MANY, 1, 5, Timestamp(10));
        queue.push(FEW, 2, 50, Timestamp(10));
        queue.remove(&FEW, &3);
        queue.remove(&MANY, &1);
        queue.remove(&MANY, &1);
        assert_eq!((queue.len(), queue.cost(), queue.of(&MANY)), (1, 50, 0));
        assert_eq!(queue.pop(), Some(2));
        assert_eq!(queue.pop(), None);
    }
}
