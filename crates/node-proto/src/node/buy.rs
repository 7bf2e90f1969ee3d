//! A request of this node, from its beginning to its end.

use std::collections::BTreeSet;

use litemap::LiteMap;

use crate::ids::{JobId, Millicredits, NodeId};
use crate::node::Node;
use crate::node::job::{End, Job, Stage};
use crate::service::{Failure, Requirements, Scope, ServiceRequest};
use crate::view::{Event, TradeStep};
use crate::work::WorkInput;

impl Node {
    pub(super) fn start_job(&mut self, id: JobId, request: ServiceRequest, requirements: Requirements) {
        let (model, input) = request.into_work();
        let refusal = if self.jobs.contains_key(&id) {
            Some(Failure::InvalidRequest {
                what: "this request is under way already".to_owned(),
            })
        } else if self.jobs.len() >= self.config.jobs_max {
            Some(Failure::Busy)
        } else if self.journal.is_failing() || !self.ledger.has_room() {
            Some(Failure::Storage)
        } else {
            check_request(&input, &requirements).err()
        };
        if let Some(failure) = refusal {
            if self.keeper.is_own(id) {
                return self.keeper_ended(End::Failed(failure), false);
            }
            return self.event(Event::Failed { job: id, failure });
        }
        let now = self.now;
        let key = self.key_of(input.service(), model.as_ref());
        let deadline = now.plus_ms(requirements.deadline_ms.into());
        let job = Job {
            id,
            input,
            model,
            requirements,
            started: now,
            deadline,
            stage: Stage::Searching,
            search_until: now.plus_ms(self.config.search_ms.into()),
            grace_until: None,
            asked: LiteMap::new(),
            quotes: LiteMap::new(),
            set_aside: LiteMap::new(),
            shortlist: Vec::new(),
            shortlist_gone: 0,
            approached: BTreeSet::new(),
            tried: BTreeSet::new(),
            refusals: 0,
            last_refusal: None,
            met_busy: false,
            busy_refusals: 0,
            wait_until: None,
            waits: 0,
            attempts: 0,
            main: None,
            is_sent: false,
            samples_asked: LiteMap::new(),
            samples: Vec::new(),
            sample_until: None,
            third: None,
            trials: 0,
            trial_until: None,
            check_price: Millicredits::ZERO,
            hedge_at: None,
            hedge_wanted: false,
            hedge: None,
            reported: (0, 0),
        };
        self.jobs.insert(id, Box::new(job));
        let points: Vec<NodeId> = self.network.points.keys().copied().collect();
        let discovery_points = u32::try_from(points.len()).unwrap_or(u32::MAX);
        self.trade(id, TradeStep::Searching { discovery_points });
        for point in points {
            self.sample_service(&point, key);
        }
        self.with_job(id, Self::step);
    }

    /// The person does not want it any more. A result that is here already is paid for, so it is handed out.
    pub(super) fn cancel_job(&mut self, id: JobId) {
        self.with_job(id, |node, job| match job.stage {
            Stage::Searching | Stage::Trying => Some(End::Failed(Failure::Cancelled)),
            Stage::Trading if !job.has_result() => Some(End::Failed(Failure::Cancelled)),
            Stage::Trading => {
                job.sample_until = Some(node.now);
                node.conclude(job)
            }
            Stage::Settling(_) => None,
        });
    }

    pub(super) fn fail_all_jobs(&mut self, failure: &Failure) {
        for id in self.jobs.keys().copied().collect::<Vec<_>>() {
            self.with_job(id, |_, _| Some(End::Failed(failure.clone())));
        }
    }

    /// Offers, connections or time changed: look at every search again.
    pub(super) fn search_again(&mut self) {
        let searching = self
            .jobs
            .iter()
            .filter(|(_, job)| matches!(job.stage, Stage::Searching));
        for id in searching.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.with_job(id, Self::step);
        }
    }

    pub(super) fn jobs_due(&mut self) {
        let due = self.jobs.iter().filter(|(_, job)| job.timeout() <= self.now);
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.with_job(id, Self::step);
        }
    }

    /// Changes a request; when it ends, says so.
    pub(super) fn with_job(&mut self, id: JobId, change: impl FnOnce(&mut Self, &mut Job) -> Option<End>) {
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        match change(self, &mut job) {
            None => {
                self.jobs.insert(id, job);
            }
            Some(end) if self.deferred.is_own(id) => {
                self.give_up_all(&mut job);
                self.deferred_ended(end);
            }
            Some(end) if self.keeper.is_own(id) => {
                self.give_up_all(&mut job);
                self.keeper_ended(end, job.is_sent);
            }
            Some(End::Finished(outcome)) => self.event(Event::Finished { job: id, outcome }),
            Some(End::Failed(failure)) => {
                self.give_up_all(&mut job);
                self.event(Event::Failed { job: id, failure });
            }
        }
    }

    fn step(&mut self, job: &mut Job) -> Option<End> {
        match &job.stage {
            Stage::Searching => self.search(job),
            Stage::Trying => self.trying(job),
            // A result that is there is not thrown away because something else was waited for.
            Stage::Trading if self.now >= job.deadline && !job.has_result() => {
                Some(End::Failed(Failure::Deadline))
            }
            Stage::Trading => {
                self.hedge(job);
                self.conclude(job)
            }
            Stage::Settling(settling) if self.now >= settling.until => Some(self.finish(job)),
            Stage::Settling(_) => None,
        }
    }

    pub(super) fn trade(&mut self, job: JobId, step: TradeStep) {
        if self.deferred.is_own(job) || self.keeper.is_own(job) {
            return;
        }
        self.event(Event::Trade {
            job,
            at: self.now,
            step,
        });
    }
}

/// What is wrong with a request, before anyone is asked.
fn check_request(input: &WorkInput, requirements: &Requirements) -> Result<(), Failure> {
    input.check()?;
    match requirements.scope {
        Scope::Group | Scope::Anyone => Ok(()),
        // Nobody else may read it, so nobody else can be asked.
        Scope::Device | Scope::Own => Err(Failure::NoProvider),
    }
}
