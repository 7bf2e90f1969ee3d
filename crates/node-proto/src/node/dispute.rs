//! Two providers gave different results for one text, and the known answers of both are right: who is wrong?
//!
//! Nothing that either signed shows it, so the text is bought from a third one, which cannot know what it is bought for, with
//! known answers of its own. Whoever agrees with the third is right, the other one is rejected and loses reputation: the majority
//! of three, as volunteer computing has decided since its beginnings (D. Anderson, *BOINC: A System for Public-Resource Computing
//! and Storage*, GRID 2004, section on redundant computing).
//!
//! ```text
//! contradiction ── somebody else has quoted, and there is time ──▶ third asked ──▶ agrees with the main one: it is used
//!       │                                                              ├─────▶ agrees with the sample: the main one is rejected
//!       └──────────────────────── nobody to ask ───────────────────────┴─────▶ no answer, or another one: neither is used
//! ```
//!
//! Where nobody decides, neither result is used and both providers are rejected: nothing says which is right.

use crate::ids::NodeId;
use crate::node::Node;
use crate::node::job::{End, Job, Leg, LegStage, Which};
use crate::node::judge::{compare_rows, two_agree};
use crate::view::Verification;

impl Node {
    /// A sample contradicts the main result.
    pub(super) fn disagree(&mut self, job: &mut Job, cosine_min: f32, required: f32) -> Option<End> {
        if self.asks_third(job) {
            return None;
        }
        for sample in std::mem::take(&mut job.samples) {
            self.reject(&sample, cosine_min, required);
            job.tried.insert(sample.provider);
        }
        self.wrong(job, cosine_min, required)
    }

    /// Asks somebody else for the text in question, whoever is known best.
    fn asks_third(&mut self, job: &mut Job) -> bool {
        let (Some(main), Some(sample)) = (&job.main, job.samples.first()) else {
            return false;
        };
        let time_ms = u64::from(
            self.config
                .exchange_timeout_ms
                .min(2 * self.config.second_grace_ms),
        );
        let hurries = self.now.plus_ms(time_ms) >= job.deadline;
        let (model, items) = (main.terms.model, sample.batch.items().to_vec());
        let others = job.quotes.iter().filter(|(peer, quoted)| {
            ![main.provider, sample.provider].contains(peer)
                && !job.tried.contains(peer)
                && quoted.proposal.model == model
        });
        let third = others
            .map(|(peer, _)| *peer)
            .max_by_key(|peer| self.reputation.credited_streak(peer));
        let Some(third) = third.filter(|_| !hurries && job.third.is_none()) else {
            return false;
        };
        job.third = Some(third);
        job.sample_until = None;
        self.ask_for_items(job, third, model, items, self.config.probes_max);
        true
    }

    /// The third result is there, or will not come.
    pub(super) fn decide(
        &mut self,
        job: &mut Job,
        third: NodeId,
        alone: Verification,
        required: f32,
    ) -> Option<End> {
        let third = job.take(Which::Sample(third));
        let third = third.filter(|leg| leg.stage == LegStage::Delivered && leg.check_probes().is_ok());
        let Some(contested) = job.samples.pop() else {
            return self.settle_legs(job, alone);
        };
        let main = job.main.as_ref()?;
        let seen = |leg: &Leg| third.as_ref().and_then(|third| compare_rows(leg, third));
        let agrees = |leg: &Leg| seen(leg).filter(|(_, seen)| *seen >= required);
        let (ours, theirs) = (agrees(main), agrees(&contested));
        let lowest = compare_rows(main, &contested).map_or(-1.0, |(_, seen)| seen);
        let Some(third) = third else {
            job.samples.push(contested);
            return self.disagree(job, lowest, required);
        };
        match (ours, theirs) {
            (Some((compared, seen)), None) => {
                self.reject(&contested, lowest, required);
                job.tried.insert(contested.provider);
                let verification = two_agree(alone, third.provider, compared, seen);
                job.samples.push(third);
                self.settle_legs(job, verification)
            }
            (None, Some(_)) => {
                for right in [contested, third] {
                    let paid = self.give_up(right);
                    job.add_check(paid);
                }
                self.wrong(job, lowest, required)
            }
            _ => {
                let paid = self.give_up(third);
                job.add_check(paid);
                job.samples.push(contested);
                self.disagree(job, lowest, required)
            }
        }
    }
}
