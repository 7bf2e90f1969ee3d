//! Has blobs kept by others: see [`storage`](crate::storage).

use crate::ids::Hash;
use crate::node::Node;
use crate::node::job::{End, Leg};
use crate::storage::{Keep, Next, OWN, StoredStep};
use crate::view::{Event, Verification};
use crate::work::WorkOutput;

impl Node {
    pub(super) fn keep_elsewhere(&mut self, keep: Keep) {
        let blob = keep.blob;
        match self.keeper.keep(keep) {
            Ok(writes) => self.journal.commit(writes, []),
            Err(reason) => self.event(Event::Stored {
                blob,
                step: StoredStep::Failed { reason },
            }),
        }
        self.changed = true;
    }

    pub(super) fn release(&mut self, blob: &Hash) {
        let writes = self.keeper.release(blob);
        self.journal.commit(writes, []);
        self.changed = true;
    }

    /// Places or prolongs what is due, one at a time.
    pub(super) fn keeper_due(&mut self) {
        let has_room = self.jobs.len() < self.config.jobs_max
            && !self.jobs.contains_key(&OWN)
            && !self.journal.is_failing()
            && self.ledger.has_room();
        if !has_room {
            return self.keeper.wait(self.now);
        }
        while let Some((next, writes)) = self.keeper.next(self.now) {
            // A question that was asked must not be asked again, whatever happens meanwhile.
            self.journal.commit(writes, []);
            self.changed = true;
            match next {
                Next::Ask(request, requirements) => return self.start_job(OWN, *request, *requirements),
                Next::Tell(blob, step) => self.event(Event::Stored { blob, step }),
            }
        }
    }

    /// A request of the keeper ended; `heard`: somebody was sent the question.
    pub(super) fn keeper_ended(&mut self, end: End, heard: bool) {
        let end = match end {
            End::Finished(outcome) => Ok((outcome.provider, outcome.price)),
            End::Failed(reason) => Err(reason),
        };
        let (steps, writes) = self.keeper.ended(self.now, end, heard);
        self.journal.commit(writes, []);
        for (blob, step) in steps {
            self.event(Event::Stored { blob, step });
        }
        self.changed = true;
    }

    /// Whether whoever keeps a blob answered as only a holder of its blocks can; `Ok(None)` where something else was bought.
    pub(super) fn check_held(leg: &Leg) -> Result<Option<Verification>, ()> {
        let delivery = leg.delivery.as_ref();
        let Some(WorkOutput::Held { answers }) = delivery.map(|delivery| &delivery.output) else {
            return Ok(None);
        };
        match !answers.is_empty() && *answers == leg.batch.answers {
            true => Ok(Some(Verification::Proved {
                questions: u32::try_from(answers.len()).unwrap_or(u32::MAX),
            })),
            false => Err(()),
        }
    }
}
