//! A request of this node on its way: what was asked, who was asked, what was quoted, what came back.
//!
//! ```text
//! Searching ──quotes──▶ Trading ──result right──▶ Settling ──receipt──▶ done
//!   ▲   │ all strangers   ▲  │
//!   │   └────▶ Trying ────┘  │   (see `sample`)
//!   └── provider failed or lied, another is tried ──┘
//! ```
//!
//! A trade has several **legs**, one per provider: the *main* one computes everything, *samples* a text or two to try a
//! stranger out or to compare with, and the *hedge* everything once more when the main one is late. A leg that is not needed
//! any more becomes a [`Parting`]: it outlives the request until it is settled.

use std::collections::BTreeSet;

use litemap::LiteMap;

use crate::ids::{AgreementId, Hash, JobId, Millicredits, ModelId, NodeId, Timestamp};
use crate::ledger::{Contract, PartialDelivery, Place};
use crate::market::input_hash;
use crate::price;
use crate::rng::Rng;
use crate::service::{Failure, Probe, Requirements};
use crate::verification::{Slot, hide_probes};
use crate::view::Verification;
use crate::wire::{Agreement, Demand, Origin, Proposal, Signed};
use crate::work::{WorkInput, WorkOutput, run_units};

/// What a provider does for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Computes everything.
    Main,
    /// Computes a sample.
    Sample(NodeId),
    /// Computes everything as well, because the main one is late.
    Hedge,
}

/// What one provider is sent: some of a request's items, with probes among them.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) model: Option<ModelId>,
    /// Which of the request's items.
    items: Vec<usize>,
    pub(super) probes: Vec<Probe>,
    pub(super) slots: Vec<Slot>,
    /// The names of the texts, where kept answers are asked for.
    pub(super) keys: Option<Vec<Hash>>,
    /// The right answers to the questions, where a blob is to be kept.
    pub(super) answers: Vec<Hash>,
}

impl Batch {
    pub(super) fn new(
        rng: &mut Rng,
        request: &WorkInput,
        model: Option<ModelId>,
        items: Vec<usize>,
        probes: Vec<Probe>,
    ) -> Self {
        let slots = hide_probes(rng, items.len(), probes.len());
        let keys = match request {
            WorkInput::Cached { keys } => {
                Some(items.iter().filter_map(|item| keys.get(*item)).copied().collect())
            }
            WorkInput::Texts { .. } | WorkInput::Runs { .. } | WorkInput::Keep { .. } => None,
        };
        let answers = match request {
            WorkInput::Keep { answers, .. } => answers.clone(),
            _ => Vec::new(),
        };
        Self {
            keys,
            answers,
            model,
            items,
            probes,
            slots,
        }
    }

    /// Which of the request's items it has.
    pub(super) fn items(&self) -> &[usize] {
        &self.items
    }

    /// The input that is sent: the batch's items of a request, with the probes among them.
    pub(super) fn input(&self, request: &WorkInput) -> WorkInput {
        match request {
            WorkInput::Texts { texts } => WorkInput::Texts {
                texts: self.texts(texts).into_iter().map(str::to_owned).collect(),
            },
            WorkInput::Cached { .. } => WorkInput::Cached {
                keys: self.keys.clone().unwrap_or_default(),
            },
            // Whoever is asked is asked everything.
            WorkInput::Keep { .. } => request.clone(),
            WorkInput::Runs { module, fuel, inputs } => {
                let items = self.items.iter().filter_map(|item| inputs.get(*item));
                WorkInput::Runs {
                    module: *module,
                    fuel: *fuel,
                    inputs: items.cloned().collect(),
                }
            }
        }
    }

    /// How many items are sent, and how much work they are.
    pub(super) fn amount(&self, request: &WorkInput) -> (u32, u32) {
        let units = match request {
            WorkInput::Texts { texts } => price::tokens(&self.texts(texts)),
            WorkInput::Runs { fuel, .. } => run_units(*fuel, self.slots.len()),
            WorkInput::Cached { .. } => u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
            WorkInput::Keep { .. } => request.units(),
        };
        (u32::try_from(self.slots.len()).unwrap_or(u32::MAX), units)
    }

    /// Names the input that is sent.
    pub(super) fn hash(&self, request: &WorkInput) -> Hash {
        match request {
            WorkInput::Texts { texts } => input_hash(&self.texts(texts)),
            other => self.input(other).hash(),
        }
    }

    fn texts<'a>(&'a self, request: &'a [String]) -> Vec<&'a str> {
        let text = |slot: &Slot| match slot {
            Slot::Item(index) => self
                .items
                .get(*index)
                .and_then(|item| request.get(*item))
                .map(String::as_str),
            Slot::Probe(index) => self.probes.get(*index).map(|probe| probe.text.as_str()),
        };
        self.slots.iter().filter_map(text).collect()
    }

    /// Row of the result for each of the request's items that is in the batch.
    pub(super) fn rows(&self) -> LiteMap<usize, usize> {
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
    /// The connection that the first question went over was lost.
    pub(super) again: bool,
}

/// A quote that can be accepted. Its signature is checked when it is: most quotes never are, and the connection proves
/// whose they are.
pub(super) struct Quoted {
    pub(super) batch: Batch,
    pub(super) demand: Demand,
    pub(super) proposal: Proposal,
    pub(super) signed: Signed,
    pub(super) until: Timestamp,
    pub(super) countered: bool,
}

impl Quoted {
    /// Names the quote.
    pub(super) fn hash(&self) -> Hash {
        self.signed.hash::<Proposal>()
    }

    pub(super) fn is_genuine(&self) -> bool {
        self.signed.is_by::<Proposal>(&self.proposal.provider)
    }
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
    pub(super) output: WorkOutput,
    /// The provider's word on it, by which its rows can be shown to others.
    pub(super) head: Signed,
    pub(super) origin: Option<Origin>,
    pub(super) hash: Hash,
    /// It shows that less was done than was agreed.
    pub(super) partial: Option<PartialDelivery>,
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
    /// Nobody answered the first question whether it is agreed.
    pub(super) asked_again: bool,
    /// How often the input went out again because its connection was lost.
    pub(super) sent_again: u8,
    pub(super) sent_at: Timestamp,
    pub(super) delivery: Option<Delivery>,
    /// The result came later than was promised.
    pub(super) is_late: bool,
    /// It was paid for already, before the request is over.
    pub(super) is_paid: bool,
}

/// An agreement that was given up and is not settled yet.
pub(super) struct Parting {
    pub(super) leg: Leg,
    /// When it was given up.
    pub(super) since: Timestamp,
}

/// Payment is under way; the result is right and kept.
pub(super) struct Settling {
    pub(super) leg: Leg,
    pub(super) verification: Verification,
    pub(super) place: Place,
    /// After this the outcome is given with a half-signed receipt.
    pub(super) until: Timestamp,
}

/// Where the request stands.
pub(super) enum Stage {
    Searching,
    /// Strangers compute a sample each.
    Trying,
    Trading,
    Settling(Box<Settling>),
}

/// A request of this node.
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) input: WorkInput,
    pub(super) model: Option<ModelId>,
    pub(super) requirements: Requirements,
    pub(super) started: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) stage: Stage,
    pub(super) search_until: Timestamp,
    /// Quotes are waited for until then once there is one.
    pub(super) grace_until: Option<Timestamp>,
    pub(super) asked: LiteMap<NodeId, Asked>,
    pub(super) quotes: LiteMap<NodeId, Quoted>,
    /// Quotes of those whose trial came to nothing in time: taken when nobody else has one.
    pub(super) set_aside: LiteMap<NodeId, Quoted>,
    /// Known providers in the order in which they are asked.
    pub(super) shortlist: Vec<(NodeId, Option<ModelId>)>,
    /// Somebody was sent the input.
    pub(super) is_sent: bool,
    /// How many offers had left the book when it was drawn.
    pub(super) shortlist_gone: u64,
    /// Everyone that was asked in this search.
    pub(super) approached: BTreeSet<NodeId>,
    /// Providers that failed; not asked again.
    pub(super) tried: BTreeSet<NodeId>,
    pub(super) refusals: u32,
    pub(super) last_refusal: Option<Failure>,
    /// Somebody refused because of others' work, which passes.
    pub(super) met_busy: bool,
    /// How many did since everyone was asked anew, those among them whose queue is longer than there is time.
    pub(super) busy_refusals: u32,
    /// When those that are busy are asked again, and how often that was.
    pub(super) wait_until: Option<Timestamp>,
    pub(super) waits: u32,
    pub(super) attempts: usize,
    pub(super) main: Option<Leg>,
    /// Providers that were asked for a quote for a sample, and what they compute.
    pub(super) samples_asked: LiteMap<NodeId, Asked>,
    pub(super) samples: Vec<Leg>,
    /// A sample to compare with is waited for until then.
    pub(super) sample_until: Option<Timestamp>,
    /// Who decides a contradiction between the main result and a sample.
    pub(super) third: Option<NodeId>,
    /// How often strangers were tried out, and until when that is waited for.
    pub(super) trials: u32,
    pub(super) trial_until: Option<Timestamp>,
    /// What was paid for samples so far.
    pub(super) check_price: Millicredits,
    /// When the main provider is late, and another is wanted as well.
    pub(super) hedge_at: Option<Timestamp>,
    /// It is late, and quotes for a hedge are being asked for.
    pub(super) hedge_wanted: bool,
    pub(super) hedge: Option<Leg>,
    /// What the search reported last, so that it is not repeated.
    pub(super) reported: (u32, u32),
}

impl Job {
    /// Everything that is agreed for it.
    pub(super) fn legs(&self) -> impl Iterator<Item = &Leg> {
        self.main.iter().chain(&self.hedge).chain(&self.samples)
    }

    /// Prices agreed to or about to be, not yet in the ledger.
    pub(super) fn committed(&self) -> i64 {
        let prices = self
            .legs()
            .filter(|leg| !leg.is_paid)
            .map(|leg| leg.terms.price.0);
        prices.fold(0, i64::saturating_add)
    }

    /// Whoever was asked may be asked again, and what they said counts no more.
    pub(super) fn forget_asked(&mut self) {
        self.approached.clear();
        (self.refusals, self.met_busy, self.busy_refusals) = (0, false, 0);
    }

    /// Counts what was paid for a sample.
    pub(super) fn add_check(&mut self, paid: Millicredits) {
        self.check_price = self.check_price.checked_add(paid).unwrap_or(self.check_price);
    }

    pub(super) fn leg(&mut self, which: Which) -> Option<&mut Leg> {
        match which {
            Which::Main => self.main.as_mut(),
            Which::Hedge => self.hedge.as_mut(),
            Which::Sample(provider) => self.samples.iter_mut().find(|leg| leg.provider == provider),
        }
    }

    /// Takes the leg of this role away.
    pub(super) fn take(&mut self, which: Which) -> Option<Leg> {
        match which {
            Which::Main => self.main.take(),
            Which::Hedge => self.hedge.take(),
            Which::Sample(provider) => {
                let place = self.samples.iter().position(|leg| leg.provider == provider)?;
                Some(self.samples.remove(place))
            }
        }
    }

    /// Gives a leg its role.
    pub(super) fn put(&mut self, which: Which, leg: Leg) {
        match which {
            Which::Main => self.main = Some(leg),
            Which::Hedge => self.hedge = Some(leg),
            Which::Sample(_) => self.samples.push(leg),
        }
    }

    /// The role of an agreement that `peer` is to move on from `stage`. Roles change, agreements do not, so answers are
    /// matched by the agreement that they are about.
    pub(super) fn role(&self, agreement: &AgreementId, peer: &NodeId, stage: LegStage) -> Option<Which> {
        let meant = |leg: &Leg| leg.id == *agreement && leg.provider == *peer && leg.stage == stage;
        let legs = self.main.iter().map(|leg| (Which::Main, leg));
        let legs = legs.chain(self.hedge.iter().map(|leg| (Which::Hedge, leg)));
        let samples = self.samples.iter().map(|leg| (Which::Sample(leg.provider), leg));
        let found = legs.chain(samples).find(|(_, leg)| meant(leg));
        found.map(|(which, _)| which)
    }

    /// Strangers are being tried out.
    pub(super) fn stage_is_trying(&self) -> bool {
        matches!(self.stage, Stage::Trying)
    }

    /// The main provider has delivered.
    pub(super) fn has_result(&self) -> bool {
        let stage = self.main.as_ref().map(|leg| leg.stage);
        stage == Some(LegStage::Delivered)
    }

    /// When something has to be decided at the latest.
    pub(super) fn timeout(&self) -> Timestamp {
        match &self.stage {
            Stage::Searching => {
                // Without a quote there is nothing to choose when the grace is over.
                let grace = self.grace_until.filter(|_| !self.quotes.is_empty());
                let waits = [
                    grace,
                    self.wait_until,
                    Some(self.search_until),
                    Some(self.deadline),
                ];
                waits.into_iter().flatten().min().unwrap_or(self.deadline)
            }
            Stage::Trying => self.trial_until.unwrap_or(self.deadline).min(self.deadline),
            Stage::Trading => {
                let waits = [self.sample_until, self.hedge_at, Some(self.deadline)];
                waits.into_iter().flatten().min().unwrap_or(self.deadline)
            }
            Stage::Settling(settling) => settling.until,
        }
    }
}

/// How a request ended.
pub(super) enum End {
    Finished(Box<crate::view::Outcome>),
    Failed(Failure),
}
