//! What must be durable before it is said.
//!
//! A change of the ledger is written first; whatever acknowledges it waits here until the shell reports the write done.
//! One write is under way at a time and later ones gather behind it into the next, so order is kept and a burst of trades
//! costs few writes. When storage refuses, the writes stay, first in line, and are tried again; the node takes on no new
//! trades meanwhile, so what gathers is bounded by what had begun, and a key that is written again takes one place.
//!
//! ```text
//! gathering ──poll──▶ under way ──persisted──▶ what waited is done
//!     ▲                 │   └──persist_ms over──▶ overdue: nothing new is begun until storage answers after all
//!     └─failed, a pause─┘
//! ```
//!
//! This is the one wait that no deadline ends. What is not known to be durable must never be said, and a write that may be
//! on its way must not be handed out again, since the shell would queue one copy more each time. So a storage that fell
//! silent holds its acknowledgements for ever, and everything else (requests, agreements, exchanges) ends by its own
//! deadline.

use crate::ids::Timestamp;
use crate::io::{Output, Write};

/// Writes and what waits for them.
struct Batch<After> {
    writes: Vec<Write>,
    afters: Vec<After>,
}

impl<After> Batch<After> {
    fn new() -> Self {
        Self {
            writes: Vec::new(),
            afters: Vec::new(),
        }
    }
}

pub(super) struct Journal<After> {
    persist_ms: u32,
    retry_ms: u32,
    last_seq: u64,
    under_way: Option<Batch<After>>,
    gathering: Batch<After>,
    /// Writes that nothing waits for.
    along: Vec<Write>,
    retry_at: Option<Timestamp>,
    /// When the write under way was handed out.
    since: Timestamp,
    overdue: bool,
}

impl<After> Journal<After> {
    pub(super) fn new(persist_ms: u32, retry_ms: u32) -> Self {
        Self {
            persist_ms,
            retry_ms,
            last_seq: 0,
            under_way: None,
            gathering: Batch::new(),
            along: Vec::new(),
            retry_at: None,
            since: Timestamp(0),
            overdue: false,
        }
    }

    /// Writes, then does what `afters` say.
    pub(super) fn commit(&mut self, writes: Vec<Write>, afters: impl IntoIterator<Item = After>) {
        gather(&mut self.gathering.writes, writes);
        self.gathering.afters.extend(afters);
    }

    /// Writes these beside whatever is written next: neither do they hold up what others wait for, nor do they take it along when
    /// storage has no room for both. Then they are not written.
    pub(super) fn commit_along(&mut self, writes: Vec<Write>) {
        gather(&mut self.along, writes);
    }

    /// The next thing to do: a write to hand out, or what waited for nothing.
    pub(super) fn poll(&mut self, now: Timestamp) -> Option<Step<After>> {
        if self.under_way.is_some() || self.retry_at.is_some_and(|at| now < at) {
            return None;
        }
        let batch = std::mem::replace(&mut self.gathering, Batch::new());
        if batch.writes.is_empty() {
            return (!batch.afters.is_empty()).then_some(Step::Do(batch.afters));
        }
        self.last_seq += 1;
        let mut writes = batch.writes.clone();
        writes.append(&mut self.along);
        let output = Output::Persist {
            seq: self.last_seq,
            writes,
        };
        self.under_way = Some(batch);
        self.since = now;
        Some(Step::Persist(output))
    }

    /// The write is durable: returns what waited for it.
    pub(super) fn persisted(&mut self, seq: u64) -> Vec<After> {
        if seq < self.last_seq {
            return Vec::new();
        }
        let Some(batch) = self.under_way.take() else {
            return Vec::new();
        };
        (self.retry_at, self.overdue) = (None, false);
        batch.afters
    }

    /// The write was refused: it goes back to the front.
    pub(super) fn failed(&mut self, now: Timestamp, seq: u64) {
        if seq != self.last_seq {
            return;
        }
        let Some(batch) = self.under_way.take() else {
            return;
        };
        let later = std::mem::replace(&mut self.gathering, batch);
        self.commit(later.writes, later.afters);
        self.overdue = false;
        self.retry_at = Some(now.plus_ms(self.retry_ms.into()));
    }

    /// How much waits for a write.
    pub(super) fn waiting(&self) -> usize {
        self.gathering.afters.len()
    }

    /// Writes that wait behind the one under way.
    pub(super) fn writes(&self) -> usize {
        self.gathering.writes.len()
    }

    /// Storage refused the last write, or is silent about it, and none has succeeded since.
    pub(super) fn is_failing(&self) -> bool {
        self.retry_at.is_some() || self.overdue
    }

    /// Whether the write under way has just become overdue.
    pub(super) fn falls_silent(&mut self, now: Timestamp) -> bool {
        let falls = !self.overdue && self.overdue_at().is_some_and(|at| at <= now);
        self.overdue |= falls;
        falls
    }

    pub(super) fn timeout(&self) -> Option<Timestamp> {
        match self.under_way {
            Some(_) => self.overdue_at().filter(|_| !self.overdue),
            None => self.retry_at,
        }
    }

    fn overdue_at(&self) -> Option<Timestamp> {
        let since = self.under_way.as_ref().map(|_| self.since);
        since.map(|since| since.plus_ms(self.persist_ms.into()))
    }
}

pub(super) enum Step<After> {
    Persist(Output),
    Do(Vec<After>),
}

/// All of a batch is durable or nothing, so only the last value of a key matters.
fn gather(gathered: &mut Vec<Write>, writes: Vec<Write>) {
    for write in writes {
        gathered.retain(|former| former.key() != write.key());
        gathered.push(write);
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn put(number: u8) -> Write {
        Write::Put {
            key: vec![number],
            value: vec![number],
        }
    }

    fn writes(step: Option<Step<u8>>) -> Option<(u64, usize)> {
        match step {
            Some(Step::Persist(Output::Persist { seq, writes })) => Some((seq, writes.len())),
            _ => None,
        }
    }

    #[test]
    fn nothing_is_said_before_it_is_durable() {
        let mut journal = Journal::new(9_000, 1_000);
        let now = Timestamp(0);
        journal.commit(vec![put(1)], [1]);
        assert_eq!(writes(journal.poll(now)), Some((1, 1)));
        journal.commit(vec![put(2)], [2]);
        journal.commit(vec![put(3)], [3]);
        assert!(journal.poll(now).is_none());
        assert_eq!(journal.persisted(1), [1]);
        assert_eq!(writes(journal.poll(now)), Some((2, 2)));
        assert_eq!(journal.persisted(2), [2, 3]);
        journal.commit(vec![], [4]);
        assert!(matches!(journal.poll(now), Some(Step::Do(afters)) if afters == [4]));
    }

    #[test]
    fn what_goes_along_waits_for_others_and_is_left_when_storage_refuses() {
        let mut journal: Journal<u8> = Journal::new(9_000, 1_000);
        journal.commit_along(vec![put(7), put(8)]);
        assert!(journal.poll(Timestamp(0)).is_none());
        journal.commit(vec![put(1)], [1]);
        assert_eq!(writes(journal.poll(Timestamp(0))), Some((1, 3)));
        journal.failed(Timestamp(0), 1);
        assert_eq!(writes(journal.poll(Timestamp(1_000))), Some((2, 1)));
    }

    #[test]
    fn a_refused_write_is_tried_again_in_order() {
        let mut journal = Journal::new(9_000, 1_000);
        journal.commit(vec![put(1)], [1]);
        journal.poll(Timestamp(0));
        journal.commit(vec![put(2)], [2]);
        journal.failed(Timestamp(0), 1);
        assert!(journal.is_failing() && journal.poll(Timestamp(999)).is_none());
        assert_eq!(journal.timeout(), Some(Timestamp(1_000)));
        assert_eq!(writes(journal.poll(Timestamp(1_000))), Some((2, 2)));
        assert!(journal.persisted(1).is_empty());
        assert_eq!(journal.persisted(2), [1, 2]);
        assert!(!journal.is_failing());
    }

    #[test]
    fn silent_storage_counts_as_failing_until_it_answers() {
        let mut journal = Journal::new(9_000, 1_000);
        journal.commit(vec![put(1)], [1]);
        journal.poll(Timestamp(5));
        assert_eq!(journal.timeout(), Some(Timestamp(9_005)));
        assert!(!journal.falls_silent(Timestamp(9_004)) && !journal.is_failing());
        assert!(journal.falls_silent(Timestamp(9_005)) && journal.is_failing());
        assert!(!journal.falls_silent(Timestamp(9_006)));
        assert_eq!(journal.timeout(), None);
        // Handed out once only, however long it takes.
        assert!(journal.poll(Timestamp(99_000)).is_none());
        assert_eq!(journal.persisted(1), [1]);
        assert!(!journal.is_failing());
    }

    #[test]
    fn a_key_that_is_written_again_takes_one_place() {
        let mut journal = Journal::new(9_000, 1_000);
        let other = |value| Write::Put {
            key: vec![1],
            value: vec![value],
        };
        journal.commit(vec![put(1), put(2)], [1]);
        assert_eq!(writes(journal.poll(Timestamp(0))), Some((1, 2)));
        for value in 0..100 {
            journal.commit(vec![other(value)], []);
        }
        journal.failed(Timestamp(0), 1);
        let Some(Step::Persist(Output::Persist { writes, .. })) = journal.poll(Timestamp(1_000)) else {
            panic!("not tried again")
        };
        assert_eq!(writes, [put(2), other(99)]);
    }
}
