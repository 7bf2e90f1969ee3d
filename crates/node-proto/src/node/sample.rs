//! Samples: what strangers compute before they are given more, and what somebody else computes for comparison.
//!
//! # Trying strangers out
//!
//! Names are cheap, so nothing speaks for one that nothing is known of (E. Friedman, P. Resnick, *The Social Cost of Cheap
//! Pseudonyms*, Journal of Economics & Management Strategy 10(2), 2001: newcomers have to earn what others have). When the
//! best quote for a request of [`TRIAL_ITEMS_MIN`] texts or more is a stranger's, the whole is not given away yet. The
//! strangers with the best quotes, [`trials_max`](crate::Config::trials_max) of them, compute one text and some probes each,
//! all at the same time. The first one that is right, and there when it was promised, ends the trial, and the choice is made
//! again with what was learnt:
//!
//! ```text
//! choose ── the best is a stranger, and not the only one ──▶ Trying ── one is right, all failed, or time is over ──▶ choose
//! ```
//!
//! So a liar spoils a sample and not a request, a boast is measured before it is believed, and a crowd of fresh names wins
//! samples and not jobs. Where nobody keeps to that, others are asked before any of these gets the whole. A stranger is
//! a provider of fewer than two right results, payments of others that speak for it counted. Whoever has a record needs no
//! trial, and a small request is a trial itself.
//!
//! # Comparing
//!
//! While there is a short record to go by, and now and then afterwards, one text of a request is bought from a second provider
//! as well; the samples of a trial do as well. See [`verification`](crate::verification).
//!
//! While engines are scarce nobody is tried out, and comparing waits: see [`deferred`](super::deferred).

use crate::ids::{JobId, ModelId, NodeId};
use crate::market::Candidate;
use crate::node::Node;
use crate::node::job::{End, Job, Leg, LegStage, Quoted, Stage, Which};
use crate::node::network::Purpose;
use crate::service::Failure;
use crate::verification::compare_chance_ppm;
use crate::view::TradeStep;
use crate::wire::{Request, Response};

/// A request of fewer texts is hardly larger than a trial.
const TRIAL_ITEMS_MIN: usize = 8;
/// Right results in a row that make a provider more than a stranger: a sample, and whatever came after it. Others' payments
/// may stand for them.
const RECORD_MIN: u32 = 2;
/// Trials of one request: when all strangers fail, others are tried.
const TRIALS_MAX: u32 = 2;
/// Others have so long to quote then, milliseconds.
const SET_ASIDE_MS: u64 = 1_000;
/// Samples of one request at the same time, and the bound of [`trials_max`](crate::Config::trials_max).
pub(crate) const SAMPLES_MAX: usize = 4;

impl Node {
    /// Whom to try out before the whole is given away; nobody where that is not needed, or not worth the time.
    pub(super) fn to_try(&self, job: &Job, order: &[(NodeId, Candidate)]) -> Vec<NodeId> {
        let elapsed_ms = self.now.ms_since(job.started);
        let hurries = elapsed_ms > job.deadline.ms_since(self.now);
        let first = order.first().is_some_and(|(peer, _)| self.is_stranger(job, peer));
        if !first
            || hurries
            || self.scarcity.is_felt(self.now)
            || job.trials >= TRIALS_MAX
            || job.input.len() < TRIAL_ITEMS_MIN
        {
            return Vec::new();
        }
        let strangers = order.iter().map(|(peer, _)| *peer);
        let strangers: Vec<NodeId> = strangers
            .filter(|peer| self.is_stranger(job, peer))
            // One sample of each is enough, however long it takes.
            .filter(|peer| !job.samples.iter().any(|leg| leg.provider == *peer))
            .take(self.config.trials_max.min(SAMPLES_MAX))
            .collect();
        match strangers.len() {
            // Nothing to choose between: the first request is the trial.
            1 if order.len() == 1 => Vec::new(),
            _ => strangers,
        }
    }

    /// Only strangers have quoted: somebody to compare them with is worth a moment.
    pub(super) fn is_all_strangers(&self, job: &Job) -> bool {
        job.quotes.keys().all(|peer| self.is_stranger(job, peer))
    }

    /// Nothing speaks for a provider that can be checked.
    fn is_stranger(&self, job: &Job, peer: &NodeId) -> bool {
        if job.input.shows_itself() {
            return false;
        }
        let model = job.quotes.get(peer).and_then(|quoted| quoted.proposal.model);
        let checkable = model.is_some_and(|model| self.probes.contains_key(&model));
        checkable && self.reputation.credited_streak(peer) < RECORD_MIN
    }

    /// Has strangers compute a sample each.
    pub(super) fn try_out(&mut self, job: &mut Job, strangers: &[NodeId]) -> Option<End> {
        job.stage = Stage::Trying;
        job.trials += 1;
        job.trial_until = Some(self.now.plus_ms(self.config.trial_ms.into()));
        let providers = u32::try_from(strangers.len()).unwrap_or(u32::MAX);
        self.trade(job.id, TradeStep::Trying { providers });
        for peer in strangers {
            let model = job.quotes.get(peer).and_then(|quoted| quoted.proposal.model);
            self.ask_for_sample(job, *peer, model, self.config.probes_max);
        }
        None
    }

    /// Looks whether a trial is over, and chooses then.
    pub(super) fn trying(&mut self, job: &mut Job) -> Option<End> {
        let is_passed = job.samples.iter().any(|leg| leg.is_paid && !leg.is_late);
        let is_pending =
            !job.samples_asked.is_empty() || job.samples.iter().any(|leg| leg.stage != LegStage::Delivered);
        let is_over = job.trial_until.is_none_or(|until| self.now >= until);
        if !is_passed && is_pending && !is_over {
            return None;
        }
        if !is_passed && job.trials < TRIALS_MAX {
            self.set_aside(job);
        }
        job.trial_until = None;
        job.stage = Stage::Searching;
        // Those that are left have been waited for; if nobody is, the first that answers begins another wait.
        job.grace_until = (!job.quotes.is_empty()).then_some(self.now);
        self.search(job)
    }

    /// Nobody delivered a sample in time: others are asked, if there are any, and for a moment these are not considered.
    fn set_aside(&mut self, job: &mut Job) {
        if !self.has_others(job) {
            return;
        }
        let is_late = |leg: &&Leg| leg.is_late || leg.stage != LegStage::Delivered;
        let late = job.samples.iter().filter(is_late);
        for provider in late.map(|leg| leg.provider).collect::<Vec<_>>() {
            let quoted = job.quotes.remove(&provider);
            job.set_aside.extend(quoted.map(|quoted| (provider, quoted)));
        }
        job.search_until = self.now.plus_ms(SET_ASIDE_MS);
    }

    /// Without those whose trial is under way, if there are others: what one is worth is known when its sample is there.
    pub(super) fn tested(&self, job: &Job, order: Vec<(NodeId, Candidate)>) -> Vec<(NodeId, Candidate)> {
        let is_under_way = |peer: &NodeId| {
            let mut samples = job.samples.iter();
            self.is_stranger(job, peer)
                && samples.any(|leg| leg.provider == *peer && leg.stage != LegStage::Delivered)
        };
        let (open, tested): (Vec<_>, Vec<_>) = order.into_iter().partition(|(peer, _)| is_under_way(peer));
        if tested.is_empty() { open } else { tested }
    }

    /// While engines are scarce, those with a record: there is no room for trials.
    pub(super) fn known_first(&self, job: &Job, order: Vec<(NodeId, Candidate)>) -> Vec<(NodeId, Candidate)> {
        if !self.scarcity.is_felt(self.now) {
            return order;
        }
        let (strangers, mut known): (Vec<_>, Vec<_>) = order
            .into_iter()
            .partition(|(peer, _)| self.is_stranger(job, peer));
        known.extend(strangers);
        known
    }

    /// A stranger's sample is there: a right one is paid at once, a wrong one ends the matter with its provider.
    pub(super) fn judge_trial(&mut self, job: &mut Job, provider: NodeId) -> Option<End> {
        let which = Which::Sample(provider);
        let mut leg = job.take(which)?;
        match leg.check_probes() {
            Ok(verification) => {
                if self.pay_leg(&leg, &verification).is_ok() {
                    leg.is_paid = true;
                    job.add_check(leg.due());
                }
                job.put(which, leg);
            }
            Err((cosine_min, required)) => {
                self.reject(&leg, cosine_min, required);
                self.failed_trial(job, provider);
            }
        }
        self.trying(job)
    }

    /// A stranger that was tried out and failed is not considered any more.
    pub(super) fn failed_trial(&mut self, job: &mut Job, provider: NodeId) {
        job.tried.insert(provider);
        job.quotes.remove(&provider);
    }

    /// Sometimes a second provider computes a sample, always while there is a short record to go by. It is the one of which
    /// least is known, and nothing bad: a sample is a small risk, and whoever passes has a record of its own from then on.
    pub(super) fn ask_second(
        &mut self,
        job: &mut Job,
        main: &NodeId,
        others: &[(NodeId, Candidate)],
        quoted: &Quoted,
    ) {
        let chance = compare_chance_ppm(self.record_of(main), self.config.trust_after);
        let is_sampled = job.samples.iter().any(|leg| leg.provider != *main);
        // A comparison is not compared, and what goes without known answers is compared later.
        let is_later = self.deferred.is_own(job.id) || self.is_put_off(&quoted.batch);
        let is_kept = job.input.shows_itself();
        if is_sampled || is_later || is_kept || self.config.compare_max == 0 || !self.rng.chance_ppm(chance) {
            return;
        }
        let same_model = |peer: &NodeId| {
            job.quotes.get(peer).is_some_and(|other| {
                other.proposal.model == quoted.proposal.model
                    && other.proposal.precision == quoted.proposal.precision
            })
        };
        let unknown = self.reputation.success_of_unknown();
        let fair = others
            .iter()
            .filter(|(_, candidate)| candidate.success >= unknown);
        let others = fair.map(|(peer, _)| *peer).filter(same_model);
        if let Some(second) = others.min_by_key(|peer| self.reputation.credited_streak(peer)) {
            // What it says is compared with another's: one known answer shows whether it computes at all.
            self.ask_for_sample(job, second, quoted.proposal.model, self.config.probes_max.min(1));
        }
    }

    fn ask_for_sample(&mut self, job: &mut Job, peer: NodeId, model: Option<ModelId>, probes_max: usize) {
        let all = (0..job.input.len()).collect();
        let mut items = self.rng.sample(all, self.config.compare_max.max(1));
        items.sort_unstable();
        self.ask_for_items(job, peer, model, items, probes_max);
    }

    /// Asks for a quote for some of the texts.
    pub(super) fn ask_for_items(
        &mut self,
        job: &mut Job,
        peer: NodeId,
        model: Option<ModelId>,
        items: Vec<usize>,
        probes_max: usize,
    ) {
        let asked = self.demand(job, &peer, model, items, probes_max);
        let request = Request::RequestProposal {
            tag: self.tag(&peer),
            demand: asked.demand.clone(),
        };
        let purpose = Purpose::ProposeSample { job: job.id };
        self.request(peer, &request, purpose, self.config.exchange_timeout_ms);
        job.samples_asked.insert(peer, asked);
    }

    /// A provider quoted for a sample.
    pub(super) fn proposed_sample(&mut self, id: JobId, peer: &NodeId, result: Result<Response, Failure>) {
        self.with_job(id, |node, job| {
            let asked = job.samples_asked.remove(peer)?;
            match node.read_proposal(peer, asked, result) {
                Ok(quoted) if quoted.is_genuine() && node.objection(job, &quoted.proposal).is_none() => {
                    node.start_leg(job, Which::Sample(*peer), *peer, quoted);
                }
                _ => {}
            }
            node.sampled(job)
        });
    }

    /// Something about a sample has changed: look whether it was waited for.
    pub(super) fn sampled(&mut self, job: &mut Job) -> Option<End> {
        match job.stage {
            Stage::Trying => self.trying(job),
            _ => self.conclude(job),
        }
    }
}
