//! A request of this node on its way: what was asked, who was asked, what was quoted, what came back.
//!
//! ```text
//! Searching ──quotes──▶ Trading ──result right──▶ Settling ──receipt──▶ done
//!     ▲                    │
//!     └──── provider failed or lied, another is tried ────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{AgreementId, Hash, JobId, ModelId, NodeId, Timestamp};
use crate::ledger::{Contract, Place};
use crate::rng::Rng;
use crate::service::{Failure, Probe, Requirements};
use crate::verification::{Slot, hide_probes};
use crate::view::Verification;
use crate::wire::{Agreement, Demand, Proposal, Signed};

/// Which of the two providers of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Computes everything.
    Main,
    /// Computes a sample for comparison.
    Second,
}

/// What one provider is sent: some of the texts, with probes among them.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) model: Option<ModelId>,
    /// Which of the request's texts.
    items: Vec<usize>,
    pub(super) probes: Vec<Probe>,
    pub(super) slots: Vec<Slot>,
}

impl Batch {
    pub(super) fn new(rng: &mut Rng, model: Option<ModelId>, items: Vec<usize>, probes: Vec<Probe>) -> Self {
        let slots = hide_probes(rng, items.len(), probes.len());
        Self {
            model,
            items,
            probes,
            slots,
        }
    }

    pub(super) fn texts(&self, request: &[String]) -> Vec<String> {
        let text = |slot: &Slot| match slot {
            Slot::Item(index) => self
                .items
                .get(*index)
                .and_then(|item| request.get(*item))
                .cloned(),
            Slot::Probe(index) => self.probes.get(*index).map(|probe| probe.text.clone()),
        };
        self.slots.iter().filter_map(text).collect()
    }

    /// Row of the result for each of the request's texts that is in the batch.
    pub(super) fn rows(&self) -> BTreeMap<usize, usize> {
        let items = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(row, slot)| match slot {
                Slot::Item(index) => self.items.get(*index).map(|item| (*item, row)),
                Slot::Probe(_) => None,
            });
        items.collect()
    }
}

/// A provider that was asked for a quote and has not answered yet.
pub(super) struct Asked {
    pub(super) batch: Batch,
    pub(super) demand: Demand,
}

/// A quote that can be accepted.
pub(super) struct Quoted {
    pub(super) batch: Batch,
    pub(super) demand: Demand,
    pub(super) proposal: Proposal,
    pub(super) hash: Hash,
    pub(super) until: Timestamp,
    pub(super) countered: bool,
}

/// How far one provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LegStage {
    Agreeing,
    Executing,
    Delivered,
}

/// A result as it came.
pub(super) struct Delivery {
    pub(super) dimension: u32,
    pub(super) values: Vec<f32>,
    pub(super) backend: String,
    pub(super) output: Hash,
}

/// The trade with one provider.
pub(super) struct Leg {
    pub(super) provider: NodeId,
    pub(super) batch: Batch,
    pub(super) terms: Agreement,
    pub(super) signed: Signed,
    pub(super) id: AgreementId,
    pub(super) contract: Option<Contract>,
    pub(super) stage: LegStage,
    pub(super) sent_at: Timestamp,
    pub(super) delivery: Option<Delivery>,
}

/// Payment is under way; the result is right and kept.
pub(super) struct Settling {
    pub(super) leg: Leg,
    pub(super) verification: Verification,
    pub(super) place: Place,
    /// After this the outcome is given with a half-signed receipt.
    pub(super) until: Timestamp,
    /// What the second provider was paid.
    pub(super) check_price: i64,
}

/// Where the request stands.
pub(super) enum Stage {
    Searching,
    Trading,
    Settling(Box<Settling>),
}

/// A request of this node.
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) texts: Vec<String>,
    pub(super) model: Option<ModelId>,
    pub(super) requirements: Requirements,
    pub(super) started: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) stage: Stage,
    pub(super) search_until: Timestamp,
    /// Quotes are waited for until then once there is one.
    pub(super) grace_until: Option<Timestamp>,
    pub(super) asked: BTreeMap<NodeId, Asked>,
    pub(super) quotes: BTreeMap<NodeId, Quoted>,
    /// Everyone that was asked in this search.
    pub(super) approached: BTreeSet<NodeId>,
    /// Providers that failed; not asked again.
    pub(super) tried: BTreeSet<NodeId>,
    pub(super) refusals: u32,
    pub(super) last_refusal: Option<Failure>,
    pub(super) attempts: usize,
    pub(super) main: Option<Leg>,
    pub(super) second_asked: Option<(NodeId, Asked)>,
    pub(super) second: Option<Leg>,
    /// The second provider's result is waited for until then.
    pub(super) second_until: Option<Timestamp>,
    /// What the search reported last, so that it is not repeated.
    pub(super) reported: (u32, u32),
}

impl Job {
    /// Prices agreed to or about to be, not yet in the ledger.
    pub(super) fn committed(&self) -> i64 {
        let price = |leg: &Option<Leg>| leg.as_ref().map_or(0, |leg| leg.terms.price.0);
        price(&self.main).saturating_add(price(&self.second))
    }

    pub(super) fn leg(&mut self, which: Which) -> Option<&mut Leg> {
        match which {
            Which::Main => self.main.as_mut(),
            Which::Second => self.second.as_mut(),
        }
    }

    /// When something has to be decided at the latest.
    pub(super) fn timeout(&self) -> Timestamp {
        match &self.stage {
            Stage::Searching => {
                // Without a quote there is nothing to choose when the grace is over.
                let grace = self.grace_until.filter(|_| !self.quotes.is_empty());
                grace
                    .unwrap_or(self.search_until)
                    .min(self.search_until)
                    .min(self.deadline)
            }
            Stage::Trading => self.second_until.unwrap_or(self.deadline).min(self.deadline),
            Stage::Settling(settling) => settling.until,
        }
    }
}

/// How a request ended.
pub(super) enum End {
    Finished(Box<crate::view::Outcome>),
    Failed(Failure),
}
