//! Checks that are put off while engines are scarce.
//!
//! Known answers and second opinions take a tenth of all engine time, and in a crowd they take it from requests that then are not
//! served (`tests/sim`, scenario `flash-crowd`). But nobody has to know within seconds that a provider with a record lied: what it
//! delivered does not go away. So while [engines are scarce](super::scarcity), a provider that has given right results is sent
//! no known answers and its result is compared with nobody's. Instead one of the texts is kept with the row that it gave for it,
//! and when engines are free again the same text is bought from somebody else:
//!
//! ```text
//! paid, unchecked ─▶ kept ── engines are free ─▶ second asked ── alike ─▶ credited, as if it had been checked at once
//!                                                     └── not ─▶ third asked ─▶ whoever the third contradicts is thought less of
//! ```
//!
//! Where the quotes themselves show that engines are scarce, and were asked for with known answers, new ones are asked for without.
//! Strangers are not tried out meanwhile, as a trial of four takes as much as a request; those with a record are preferred, and where
//! only strangers quote the request is the trial, with one known answer in it.
//!
//! A provider does not see whether its results are kept, so a crowd is no better time to lie in. Two things differ from a check at
//! once: the person has used the result, and it is paid for. What a liar may gain by that is bounded: no more results of a provider
//! wait at a time than it has given right ones in a row, and no more than [`PROVIDER_ROWS_MAX`]; of all no more than [`ROWS_MAX`].
//! Beyond that everything is checked at once, as in calm times. A second opinion is not a known answer, so whoever recognises those
//! is found by it, too.
//!
//! **Bounds.** Rows are kept in memory: what was not checked when the node ends never is. A check waits for free engines no longer
//! than [`WAIT_MS_MAX`] and is then bought whatever the time is. One that finds no provider is tried [`FAILURES_MAX`] times; then it
//! is dropped, and nothing is learnt of it. One check runs at a time, as a request of the node itself that no event tells of;
//! it costs no more than [`PRICE_FACTOR_MAX`] times what was paid for the same texts. A result that came after it was given up is
//! paid for, but not used, and not kept either.

use crate::ids::{JobId, Millicredits, ModelId, NodeId, Timestamp};
use crate::node::Node;
use crate::node::job::{Batch, End, Job, Leg};
use crate::node::judge::WRONG_WEIGHT;
use crate::price;
use crate::reputation::Aspect;
use crate::service::{Requirements, ServiceRequest};
use crate::verification::required;
use crate::view::Outcome;
use crate::wire::ComparisonRule;
use crate::work::{Row, WorkInput, likeness};

/// Rows that wait to be checked.
pub(super) const ROWS_MAX: usize = 64;
/// Checks are put off while there is room for what is under way besides.
const ROWS_PUT_OFF_MAX: usize = 48;
/// Rows of one provider that wait to be checked: fewer than a request of which strangers are tried out first.
const PROVIDER_ROWS_MAX: usize = 6;
/// Requests with longer texts are checked at once: so much of each is kept at most, bytes.
const TEXT_BYTES_MAX: usize = 4 * 1024;
/// Whether engines are free is looked at this often, and up to twice that, so that not all nodes begin at once, milliseconds.
const PAUSE_MS: usize = 5_000;
/// Between two checks is so long, and up to twice that, milliseconds.
const GAP_MS: usize = 1_000;
/// A check is put off no longer than this, milliseconds.
const WAIT_MS_MAX: u64 = 300_000;
/// A check has so long, milliseconds.
const DEADLINE_MS: u32 = 60_000;
/// A check that failed is tried again after this long, milliseconds.
const RETRY_MS: u64 = 30_000;
/// A check that failed so often is dropped.
const FAILURES_MAX: u32 = 3;
/// A check costs so many times what was paid for its texts at most: known answers come with it, and a small order costs more.
const PRICE_FACTOR_MAX: i64 = 4;
/// The name of the request under way. A shell that uses it too is told that it is under way already.
const OWN: JobId = JobId(u64::MAX);

/// A text of one result, and what its provider gave for it.
struct Kept {
    since: Timestamp,
    provider: NodeId,
    model: Option<ModelId>,
    requirements: Requirements,
    rule: ComparisonRule,
    cosine_min_ppm: i32,
    price: Millicredits,
    text: String,
    row: Vec<f32>,
}

impl Kept {
    fn is_like(&self, row: &[f32], other: &[f32]) -> bool {
        // False for a NaN, too.
        likeness(self.rule, Row::Vector(row), Row::Vector(other)) >= required(self.rule, self.cosine_min_ppm)
    }

    /// Whether both can be asked for in one request.
    fn goes_with(&self, other: &Self) -> bool {
        let (a, b) = (&self.requirements, &other.requirements);
        self.provider == other.provider
            && self.model == other.model
            && (a.scope, a.precision) == (b.scope, b.precision)
    }
}

/// Rows of one provider on their way to being checked.
struct Comparison {
    first: NodeId,
    rows: Vec<Kept>,
    /// Who contradicted them, and its rows.
    second: Option<(NodeId, Vec<Vec<f32>>)>,
    is_asked: bool,
    failures: u32,
}

/// What is put off, and the check under way.
#[derive(Default)]
pub(super) struct Deferred {
    /// The oldest first.
    kept: Vec<Kept>,
    comparison: Option<Comparison>,
    next_at: Option<Timestamp>,
}

impl Deferred {
    /// Rows that wait, those of the check under way included.
    pub(super) fn rows(&self) -> usize {
        let checked = self.comparison.as_ref().map_or(0, |check| check.rows.len());
        self.kept.len() + checked
    }

    pub(super) fn timeout(&self) -> Option<Timestamp> {
        self.next_at
    }

    /// Whether a request is a check of this node.
    pub(super) fn is_own(&self, job: JobId) -> bool {
        job == OWN && self.comparison.as_ref().is_some_and(|check| check.is_asked)
    }

    /// Whether somebody must not compute this, because it is its own result that is checked.
    pub(super) fn excludes(&self, job: JobId, peer: &NodeId) -> bool {
        let check = self.comparison.as_ref().filter(|_| self.is_own(job));
        check.is_some_and(|check| {
            check.first == *peer || check.second.as_ref().is_some_and(|(second, _)| second == peer)
        })
    }

    /// Whether one more row of a provider may wait that has given so many right results in a row.
    fn has_room_for(&self, peer: &NodeId, streak: u32) -> bool {
        let checked = self.comparison.iter().flat_map(|check| &check.rows);
        let theirs = self
            .kept
            .iter()
            .chain(checked)
            .filter(|kept| kept.provider == *peer);
        self.rows() < ROWS_PUT_OFF_MAX && theirs.count() < PROVIDER_ROWS_MAX.min(streak as usize)
    }

    /// The oldest row, and all that can be asked for with it.
    fn take(&mut self) -> Option<Comparison> {
        let first = self.kept.first()?.provider;
        let (rows, others) = std::mem::take(&mut self.kept).into_iter().fold(
            (Vec::<Kept>::new(), Vec::new()),
            |(mut rows, mut others), kept| {
                match rows.first().is_none_or(|oldest| kept.goes_with(oldest)) {
                    true => rows.push(kept),
                    false => others.push(kept),
                }
                (rows, others)
            },
        );
        self.kept = others;
        Some(Comparison {
            first,
            rows,
            second: None,
            is_asked: false,
            failures: 0,
        })
    }
}

impl Node {
    /// How many known answers go into what a provider is asked for as a whole.
    pub(super) fn probes_for(&self, job: &Job, peer: &NodeId) -> usize {
        if self.puts_off(job, peer) {
            return 0;
        }
        // One shows whether it computes at all, and what a check says is compared with another's.
        match self.scarcity.is_felt(self.now) || self.deferred.is_own(job.id) {
            true => self.config.probes_max.min(1),
            false => self.config.probes_max,
        }
    }

    /// Whether a provider's result is to be checked later.
    pub(super) fn puts_off(&self, job: &Job, peer: &NodeId) -> bool {
        self.scarcity.is_felt(self.now)
            && !self.deferred.is_own(job.id)
            && job.requirements.provider.is_none()
            && self
                .deferred
                .has_room_for(peer, self.reputation.credited_streak(peer))
            && match &job.input {
                WorkInput::Texts { texts } => texts.iter().all(|text| text.len() <= TEXT_BYTES_MAX),
                // Without known answers a second run is the only check that there is.
                WorkInput::Runs { .. } | WorkInput::Cached { .. } | WorkInput::Keep { .. } => false,
            }
    }

    /// Whether a batch goes without the known answers that it could have had: then it is checked later.
    pub(super) fn is_put_off(&self, batch: &Batch) -> bool {
        let known = batch.model.and_then(|model| self.probes.get(&model));
        self.config.probes_max > 0 && batch.probes.is_empty() && known.is_some_and(|known| !known.is_empty())
    }

    /// Keeps a row of a result that was paid for without the checks that it could have had.
    pub(super) fn keep_for_later(&mut self, job: &Job, leg: &Leg) {
        if self.deferred.is_own(job.id) || !self.is_put_off(&leg.batch) || self.deferred.rows() >= ROWS_MAX {
            return;
        }
        let places = self.rng.sample(leg.batch.rows().into_iter().collect(), 1);
        let Some((item, place)) = places.first() else {
            return;
        };
        let delivery = leg.delivery.as_ref();
        let delivered = delivery.and_then(|delivery| delivery.output.row(*place));
        let text = match &job.input {
            WorkInput::Texts { texts } => texts.get(*item),
            WorkInput::Runs { .. } | WorkInput::Cached { .. } | WorkInput::Keep { .. } => None,
        };
        let (Some(text), Some(Row::Vector(row))) = (text, delivered) else {
            return;
        };
        let row = row.to_vec();
        self.deferred.kept.push(Kept {
            since: self.now,
            provider: leg.provider,
            model: leg.terms.model,
            requirements: Requirements {
                precision: leg.terms.precision,
                ..job.requirements.clone()
            },
            rule: leg.terms.rule,
            cosine_min_ppm: leg.terms.cosine_min_ppm,
            price: price::pro_rata(leg.terms.price, price::tokens(&[text]), leg.terms.tokens),
            text: text.clone(),
            row,
        });
        self.look_after(PAUSE_MS);
    }

    /// Has the next check made when it is due and engines are free.
    pub(super) fn deferred_due(&mut self) {
        if self.deferred.next_at.is_none_or(|at| self.now < at) {
            return;
        }
        self.deferred.next_at = None;
        let check = match self.deferred.comparison.take() {
            None => self.deferred.take(),
            check => check,
        };
        let Some(mut check) = check else { return };
        let since = check.rows.first().map_or(self.now, |kept| kept.since);
        let is_calm = !self.scarcity.is_felt(self.now) || self.now.ms_since(since) >= WAIT_MS_MAX;
        let has_room = self.jobs.len() < self.config.jobs_max.div_ceil(2)
            && !self.jobs.contains_key(&OWN)
            && !self.journal.is_failing()
            && self.ledger.has_room();
        if !is_calm || !has_room {
            self.deferred.comparison = Some(check);
            return self.look_after(PAUSE_MS);
        }
        let paid = check.rows.iter().map(|kept| kept.price.0);
        let paid = paid.fold(0, i64::saturating_add);
        let Some(oldest) = check.rows.first() else { return };
        let requirements = Requirements {
            deadline_ms: DEADLINE_MS,
            price_max: Some(Millicredits(paid.saturating_mul(PRICE_FACTOR_MAX))),
            provider: None,
            ..oldest.requirements.clone()
        };
        let request = ServiceRequest::Inference {
            model: oldest.model,
            texts: check.rows.iter().map(|kept| kept.text.clone()).collect(),
        };
        check.is_asked = true;
        self.deferred.comparison = Some(check);
        self.start_job(OWN, request, requirements);
    }

    /// A check of this node ended.
    pub(super) fn deferred_ended(&mut self, end: End) {
        let Some(mut check) = self.deferred.comparison.take() else {
            return;
        };
        check.is_asked = false;
        let said = match end {
            End::Finished(outcome) => {
                rows_of(&outcome, check.rows.len()).map(|rows| (outcome.provider, rows))
            }
            End::Failed(_) => None,
        };
        match (said, check.second.take()) {
            (Some((second, rows)), None) => self.second_said(check, second, rows),
            (Some((_, rows)), Some((second, theirs))) => self.third_said(&check, second, &theirs, &rows),
            (None, second) => self.check_failed(Comparison { second, ..check }),
        }
        if self.deferred.rows() > 0 {
            self.look_after(GAP_MS);
        }
    }

    /// Somebody else computed the same texts.
    fn second_said(&mut self, mut check: Comparison, second: NodeId, theirs: Vec<Vec<f32>>) {
        let (same, differs): (Vec<_>, Vec<_>) = std::mem::take(&mut check.rows)
            .into_iter()
            .zip(theirs)
            .partition(|(kept, row)| kept.is_like(&kept.row, row));
        for _ in same {
            self.observe(&check.first, Aspect::Quality, true, 1.0);
            self.passed = self.passed.saturating_add(1);
        }
        if differs.is_empty() {
            return;
        }
        self.passed = 0;
        let (rows, theirs) = differs.into_iter().unzip();
        (check.rows, check.second) = (rows, Some((second, theirs)));
        self.deferred.comparison = Some(check);
    }

    /// A third one computed what the two contradict each other in: as in [`dispute`](super::dispute), the majority is right.
    fn third_said(&mut self, check: &Comparison, second: NodeId, theirs: &[Vec<f32>], rows: &[Vec<f32>]) {
        let rows = || check.rows.iter().zip(theirs.iter().zip(rows));
        let first_right = rows().all(|(kept, (_, third))| kept.is_like(&kept.row, third));
        let second_right = rows().all(|(kept, (second, third))| kept.is_like(second, third));
        if !first_right {
            self.was_wrong(check);
        }
        if !second_right {
            self.observe(&second, Aspect::Quality, false, WRONG_WEIGHT);
        }
    }

    /// Nobody computed it, or nobody decided.
    fn check_failed(&mut self, mut check: Comparison) {
        check.failures += 1;
        if check.failures < FAILURES_MAX {
            self.deferred.comparison = Some(check);
            self.deferred.next_at = Some(self.now.plus_ms(RETRY_MS));
        } else if let Some((second, _)) = check.second {
            self.was_wrong(&check);
            self.observe(&second, Aspect::Quality, false, WRONG_WEIGHT);
        }
    }

    /// Results that were used and paid for were wrong, so far as can be told.
    fn was_wrong(&mut self, check: &Comparison) {
        for _ in &check.rows {
            self.observe(&check.first, Aspect::Quality, false, WRONG_WEIGHT);
        }
    }

    fn look_after(&mut self, least_ms: usize) {
        let pause_ms = least_ms + self.rng.below(least_ms);
        self.deferred
            .next_at
            .get_or_insert(self.now.plus_ms(pause_ms as u64));
    }
}

/// One vector for each of the texts; `None` where there are not so many.
fn rows_of(outcome: &Outcome, texts: usize) -> Option<Vec<Vec<f32>>> {
    let vector = |row| match outcome.output.row(row) {
        Some(Row::Vector(vector)) => Some(vector.to_vec()),
        _ => None,
    };
    (0..texts).map(vector).collect()
}
