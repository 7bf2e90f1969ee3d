//! What a person sees of the node: [`Event`]s as things happen, a [`Snapshot`] of the state at any time.
//!
//! Everything here is plain serialisable data, so that the page, an embedding program and a second tab all read the same
//! words. Unknown is `None`, never 0. Money is in millicredits, time in milliseconds, scores in 0..=1.

use serde::{Deserialize, Serialize};

use crate::capability::{Capability, LendPolicy, PauseReason, Tier};
use crate::ids::{AgreementId, GroupId, Hash, JobId, Millicredits, ModelId, NodeId, ReceiptId, Timestamp};
use crate::io::{Line, Path};
use crate::price::{Explained, Factors};
use crate::service::{Failure, Service};
use crate::storage::{StoredStep, StoredView};
use crate::transfer::BlobStep;
use crate::work::WorkOutput;

/// Something happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A step of a trade in which this node buys.
    Trade {
        /// The request it belongs to.
        job: JobId,
        /// When.
        at: Timestamp,
        /// What.
        step: TradeStep,
    },
    /// A trade in which this node sells moved on.
    Served {
        /// The buyer.
        requester: NodeId,
        /// When.
        at: Timestamp,
        /// What.
        step: ServeStep,
    },
    /// A request ended well.
    Finished {
        /// The request.
        job: JobId,
        /// The result, who gave it and what it cost.
        outcome: Box<Outcome>,
    },
    /// A request ended without a result. Nothing was paid beyond the receipts already signed.
    Failed {
        /// The request.
        job: JobId,
        /// Why; its serialised `code` is stable.
        failure: Failure,
    },
    /// A blob that was wanted comes along.
    Blob {
        /// Its name.
        blob: Hash,
        /// How far.
        step: BlobStep,
    },
    /// Of a blob that others keep for this node.
    Stored {
        /// Its name.
        blob: Hash,
        /// What happened.
        step: StoredStep,
    },
    /// The snapshot changed; ask for a new one when it suits.
    Changed,
}

/// The steps a buyer sees, in the order in which they usually happen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum TradeStep {
    /// Discovery points were asked for providers.
    Searching {
        /// How many were asked.
        discovery_points: u32,
    },
    /// Candidates were sampled.
    Found {
        /// How many providers offer it.
        candidates: u32,
        /// How many of them are asked for a proposal.
        asked: u32,
    },
    /// A provider answered with a quote.
    Proposal {
        /// Who.
        provider: NodeId,
        /// Price, factors and promised time.
        quote: Quote,
    },
    /// A provider refused or did not answer.
    Refused {
        /// Who.
        provider: NodeId,
        /// Why.
        reason: Failure,
    },
    /// Everyone is busy with others' work, and is asked again after this long.
    Waiting {
        /// Milliseconds.
        ms: u32,
    },
    /// The best provider was asked to do it for less, because another's quote shows that it can be had for less, or
    /// because the highest price that was set is below every quote.
    Countered {
        /// Who.
        provider: NodeId,
        /// What it was offered.
        price: Millicredits,
    },
    /// The promised time is over: another provider computes the whole as well, and the first right result is taken.
    Hedged {
        /// Who.
        provider: NodeId,
        /// At which price.
        price: Millicredits,
    },
    /// Strangers compute a text each, so that one sees who is right and how quick.
    Trying {
        /// How many.
        providers: u32,
    },
    /// The best by expected utility was taken.
    Chosen {
        /// Who.
        provider: NodeId,
        /// At which price.
        price: Millicredits,
        /// Kept in reserve.
        backup: Option<NodeId>,
        /// The time that it is expected to take, milliseconds: its promise, corrected by what this node measured of it.
        #[serde(default)]
        expected_ms: u32,
    },
    /// Both sides signed the agreement.
    Agreed {
        /// Its id.
        agreement: AgreementId,
    },
    /// The input went out.
    Sent {
        /// Texts or tensors, probes included.
        items: u32,
        /// Bytes on the wire.
        bytes: u32,
    },
    /// The result came back.
    Delivered {
        /// From sending to result.
        took_ms: u32,
    },
    /// The result was checked.
    Verified {
        /// How, and with which outcome.
        verification: Verification,
    },
    /// Both halves of the receipt are signed and durable.
    Receipted {
        /// The receipt.
        receipt: ReceiptId,
        /// What was paid.
        price: Millicredits,
    },
    /// The provider failed or lied; the next one is tried.
    Retrying {
        /// Who failed.
        provider: NodeId,
        /// Why.
        reason: Failure,
    },
}

/// The steps a provider sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ServeStep {
    /// A quote was given.
    Quoted {
        /// The quote.
        quote: Quote,
    },
    /// An agreement was signed.
    Agreed {
        /// Its id.
        agreement: AgreementId,
    },
    /// The work is done and sent.
    Delivered {
        /// Which agreement.
        agreement: AgreementId,
        /// Time in the engine.
        took_ms: u32,
    },
    /// The buyer gave it up before the result was there.
    Cancelled {
        /// Which agreement.
        agreement: AgreementId,
        /// What is owed for the part that was done.
        due: Millicredits,
    },
    /// Paid: both halves are signed and durable.
    Paid {
        /// The receipt.
        receipt: ReceiptId,
        /// What was earned.
        price: Millicredits,
    },
    /// The buyer rejected the result or went away.
    Unpaid {
        /// Why.
        reason: Failure,
    },
}

/// A provider's binding offer for one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// The price.
    pub price: Millicredits,
    /// Its four factors; their product is the price.
    pub factors: Factors,
    /// Promised time until the result.
    pub promised_ms: u32,
    /// The quote holds this long.
    pub valid_ms: u32,
}

/// How a result was checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Verification {
    /// Nothing was at hand to check it with: "not independently checked".
    Unchecked,
    /// Known-answer texts hidden in the batch came back right: "spot-checked".
    SpotChecked {
        /// How many probes were hidden.
        probes: u32,
        /// The lowest cosine seen among them.
        cosine_min: f32,
    },
    /// A second provider computed a sample alike: "two agree".
    TwoAgree {
        /// The second provider.
        second: NodeId,
        /// How many items were compared.
        compared: u32,
        /// Probes that were right as well.
        probes: u32,
        /// The lowest cosine seen.
        cosine_min: f32,
    },
    /// It was computed before, and kept: whoever signed it said so of this text and model. Two who signed the same are as good as
    /// two that agree; one alone is "not independently checked".
    Kept {
        /// Who computed it.
        signer: NodeId,
        /// When, by that device's clock.
        computed_at: Timestamp,
        /// How many signed the same.
        signers: u32,
    },
    /// Whoever keeps the blob answered questions about blocks of it that only who has them can answer.
    Proved {
        /// How many.
        questions: u32,
    },
    /// A probe or the comparison failed: the result is refused and not paid.
    Wrong {
        /// The lowest cosine seen.
        cosine_min: f32,
        /// What was required.
        required: f32,
    },
}

/// The result of a request and everything a person may want to know of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The result itself.
    pub output: WorkOutput,
    /// Who computed it.
    pub provider: NodeId,
    /// With which model.
    pub model: Option<ModelId>,
    /// The provider's word on which backend ran; not verified.
    pub backend: Option<String>,
    /// The price paid.
    pub price: Millicredits,
    /// What a second provider was paid for a sample to compare with; it has a receipt of its own.
    #[serde(default)]
    pub check_price: Millicredits,
    /// The price's four factors.
    pub factors: Factors,
    /// How it was checked.
    pub verification: Verification,
    /// The receipt of the payment.
    pub receipt: ReceiptView,
    /// From the command to this outcome.
    pub took_ms: u32,
}

/// A signed payment, as one side holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceiptView {
    /// Hash of the agreement's two half-blocks.
    pub id: ReceiptId,
    /// The other side.
    pub counterparty: NodeId,
    /// What was traded.
    pub service: Service,
    /// Signed change of this node's balance.
    pub delta: Millicredits,
    /// Units that were paid for; for inference estimated tokens.
    #[serde(default)]
    pub units: u32,
    /// The trade was given up half-way, or runs took less work than was agreed: only the units that were done are paid, at their
    /// part of the agreed price.
    #[serde(default)]
    pub partial: bool,
    /// The four factors at agreement.
    pub factors: Factors,
    /// The way from the base cost to the agreed price, with each multiplier's bounds.
    pub explained: [Explained; 3],
    /// Position in the part of this node's own chain that one run wrote, from 1.
    pub sequence: u64,
    /// Whether the counterparty's half is here too.
    pub fully_signed: bool,
    /// How the buyer checked the result.
    pub verification: Verification,
    /// When this side signed, by its own clock; informational.
    pub at: Timestamp,
}

/// The node's state, whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// This node.
    pub me: NodeId,
    /// The group it is in.
    pub group: GroupView,
    /// The tier from the measurements; `None` until measured.
    pub tier: Option<Tier>,
    /// The five measurements and what follows from them.
    pub capability: Capability,
    /// The lending switch.
    pub lending: LendingView,
    /// Credits.
    pub balance: Balance,
    /// Everyone this node is connected to or has traded with.
    pub peers: Vec<PeerView>,
    /// Offers seen in the group, this node's own included.
    pub offers: Vec<OfferView>,
    /// The newest receipts, newest first; at most 100.
    pub receipts: Vec<ReceiptView>,
    /// Discovery points that can be asked now.
    pub discovery_points: u32,
    /// Members of the group that discovery told of, this node not counted; `None` until the first answer.
    pub members_seen: Option<u32>,
    /// Blobs that others keep for this node.
    #[serde(default)]
    pub stored: Vec<StoredView>,
}

/// The group a node is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Derived from the secret; tells nothing of it.
    pub id: GroupId,
    /// The relay's open group, "everyone here".
    pub open: bool,
    /// How much a member without a line of its own may owe this node; `None` is unlimited. Strangers have other bounds.
    #[serde(default)]
    pub line: Option<Millicredits>,
}

/// The lending switch and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LendingView {
    /// What the person set.
    pub policy: LendPolicy,
    /// Why it is paused although it is on; `None` when it lends or is off.
    pub paused: Option<PauseReason>,
    /// Offers stand at discovery points now.
    pub offering: bool,
    /// Activities running now.
    pub running: u32,
    /// Activities paid for, by both halves, within the last 24 hours.
    pub sold: u32,
    /// What they came to.
    pub earned: Millicredits,
    /// Engine time since the node started.
    pub busy_ms: u64,
}

/// Credits of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Sum over fully signed receipts.
    pub settled: Millicredits,
    /// Sum over half-signed ones.
    pub pending: Millicredits,
    /// How far below zero a newcomer may go with strangers.
    pub newcomer_allowance: Millicredits,
    /// Whether trades with the present group are limited at all.
    pub unlimited_in_group: bool,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerView {
    /// Who.
    pub id: NodeId,
    /// How it is connected; `None` when it is not.
    pub path: Option<Path>,
    /// Last measured round trip.
    pub rtt_ms: Option<u32>,
    /// Whether it has proven to be in this node's group.
    pub member: bool,
    /// Its tier, as it says.
    pub tier: Option<Tier>,
    /// What this node knows of its conduct.
    pub reputation: ReputationView,
    /// What it owes and may owe; `None` outside a private group.
    #[serde(default)]
    pub credit: Option<CreditView>,
}

/// What a member of a private group owes this node, and how much it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditView {
    /// With what is agreed and not yet paid; below zero when this node owes the member.
    pub owed: Millicredits,
    /// What was set for this member alone.
    pub line: Line,
    /// What holds, its own line or everyone's; `None` is unlimited.
    pub limit: Option<Millicredits>,
}

/// Four metrics, each with its interval, and the score that ranks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReputationView {
    /// Delivered what was agreed.
    pub reliability: Metric,
    /// Answered when asked.
    pub availability: Metric,
    /// Kept the promised time.
    pub response_time: Metric,
    /// Results that were checked were right.
    pub quality: Metric,
    /// Weighted mean of the four means.
    pub score: f32,
    /// Lower bound of the score's 90 % interval; ranking uses it.
    pub lower: f32,
    /// Upper bound.
    pub upper: f32,
    /// Own receipts the score rests on.
    pub receipts: u32,
    /// What others' payments say: the part of random walks along receipts that visit the peer, 0..=1. It helps the score of
    /// a peer that this node knows little of.
    #[serde(default)]
    pub merit: f32,
    /// Whose payments the merit comes from, most important first; given where one peer is asked for, empty in lists.
    #[serde(default)]
    pub vouchers: Vec<Voucher>,
}

/// A peer whose payments speak for another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Voucher {
    /// Who paid.
    pub id: NodeId,
    /// Which part of the other's merit comes from this one's payments.
    pub part: f32,
}

/// A Beta posterior, summarised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Mean.
    pub mean: f32,
    /// 5 % quantile.
    pub lower: f32,
    /// 95 % quantile.
    pub upper: f32,
    /// Effective number of observations, forgetting included; 0 means "unknown".
    pub observations: f32,
}

/// One line of the market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferView {
    /// Who offers.
    pub provider: NodeId,
    /// This node itself.
    pub mine: bool,
    /// What.
    pub service: Service,
    /// With which model.
    pub model: Option<ModelId>,
    /// Its name, as offered.
    pub model_name: Option<String>,
    /// Price of one unit (for inference: 1,000 tokens) and its factors.
    pub unit_price: Millicredits,
    /// The four factors of the unit price.
    pub factors: Factors,
    /// Units it takes at once.
    pub capacity: u32,
    /// Claimed speed: milliseconds for one unit.
    pub unit_ms: Option<u32>,
    /// How old this knowledge is.
    pub age_ms: u64,
}
