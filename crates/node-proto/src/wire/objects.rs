//! The objects that are signed, in the order in which a trade makes them. A block of the ledger is in
//! [`ledger`](crate::ledger).

use minicbor::{Decode, Encode};

use crate::capability::Tier;
use crate::ids::{AgreementId, Hash, Millicredits, ModelId, NodeId};
use crate::price::Factors;
use crate::service::{Precision, Scope};
use crate::sign::Domain;
use crate::wire::{Head, ITEMS_MAX, Object, bounded};

/// Longest multiaddr of a registration, bytes of text.
pub(crate) const ADDRESS_BYTES_MAX: usize = 512;
/// Most addresses of a registration.
pub(crate) const ADDRESSES_MAX: usize = 8;
/// Longest name of a model, bytes.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// "I am here", with what else is to be known, as filed at a discovery point under one rendezvous key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Registration {
    /// [`OBJECT_VERSION`](crate::wire::OBJECT_VERSION).
    #[n(0)]
    pub version: u8,
    /// Who registers; the signature is theirs.
    #[n(1)]
    pub owner: NodeId,
    /// Rises with every registration of this owner, so that an old one cannot be put back in a newer one's place.
    #[n(2)]
    pub sequence: u64,
    /// The rendezvous key.
    #[n(3)]
    pub key: Hash,
    /// How long it lasts from when the discovery point took it, milliseconds.
    #[n(4)]
    pub ttl_ms: u32,
    /// Membership tag from owner to owner: shows members that the owner is one.
    #[n(5)]
    pub tag: Hash,
    /// Multiaddr texts.
    #[cbor(n(6), decode_with = "bounded::texts::<ADDRESSES_MAX, ADDRESS_BYTES_MAX, _>")]
    pub addresses: Vec<String>,
    /// With presence: what the owner says of itself.
    #[n(7)]
    pub presence: Option<Presence>,
    /// With a service: what is offered.
    #[n(8)]
    pub offer: Option<Offer>,
}

impl Object for Registration {
    const DOMAIN: Domain = Domain::Registration;
}

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Presence {
    /// `None` until measured. A claim; nothing is decided by it.
    #[n(0)]
    pub tier: Option<Tier>,
}

/// What a provider sells. Not binding; a [`Proposal`] is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Offer {
    /// Number of the service.
    #[n(0)]
    pub service: u8,
    /// With which model.
    #[n(1)]
    pub model: Option<ModelId>,
    /// The model's name.
    #[cbor(n(2), decode_with = "bounded::text_or_none::<NAME_BYTES_MAX, _>")]
    pub model_name: Option<String>,
    /// Price of one unit; for inference 1,000 tokens.
    #[n(3)]
    pub unit_price: Millicredits,
    /// Its factors.
    #[n(4)]
    pub factors: Factors,
    /// Units it takes at once.
    #[n(5)]
    pub capacity: u32,
    /// Claimed milliseconds for one unit.
    #[n(6)]
    pub unit_ms: Option<u32>,
    /// The precision it computes in.
    #[n(7)]
    pub precision: Precision,
}

/// What a buyer asks providers to quote for. Not signed: the agreement repeats what counts. Proposals name it by the hash
/// of its encoding, so its places are as fixed as those of a signed object.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Demand {
    /// Random; tells two equal demands apart.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub nonce: [u8; 16],
    /// Who may read the input.
    #[n(1)]
    pub scope: Scope,
    /// Number of the service.
    #[n(2)]
    pub service: u8,
    /// With which model.
    #[n(3)]
    pub model: Option<ModelId>,
    /// Texts, probes included.
    #[n(4)]
    pub items: u32,
    /// Their estimated tokens, see [`price::tokens`](crate::price::tokens).
    #[n(5)]
    pub tokens: u32,
    /// By when the result is wanted, milliseconds from now.
    #[n(6)]
    pub deadline_ms: u32,
    /// The newest block of the buyer's chain; whoever is shown two different ones for one place holds a proof of fraud.
    #[n(7)]
    pub head: Option<Head>,
    /// Of a cache query: the names of the texts, so that only who holds all of them quotes.
    #[cbor(n(8), decode_with = "bounded::vec_or_none::<ITEMS_MAX, _, _>")]
    pub keys: Option<Vec<Hash>>,
    /// Of a blob that is to be kept: its bytes, so that only who has room quotes.
    #[n(9)]
    pub bytes: Option<u32>,
}

impl Demand {
    /// What a proposal refers to.
    pub fn hash(&self) -> Hash {
        Hash(*blake3::hash(&super::to_cbor(self)).as_bytes())
    }
}

/// A provider's binding quote.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Proposal {
    /// [`OBJECT_VERSION`](crate::wire::OBJECT_VERSION).
    #[n(0)]
    pub version: u8,
    /// Who quotes; the signature is theirs.
    #[n(1)]
    pub provider: NodeId,
    /// To whom.
    #[n(2)]
    pub requester: NodeId,
    /// For which demand.
    #[n(3)]
    pub demand: Hash,
    /// With which model.
    #[n(4)]
    pub model: Option<ModelId>,
    /// The precision it computes in.
    #[n(5)]
    pub precision: Precision,
    /// The price of the whole.
    #[n(6)]
    pub price: Millicredits,
    /// Its factors; their product is the price.
    #[n(7)]
    pub factors: Factors,
    /// Time until the result, milliseconds from the sending of the input.
    #[n(8)]
    pub promised_ms: u32,
    /// The quote holds this long from its arrival, milliseconds.
    #[n(9)]
    pub valid_ms: u32,
}

impl Object for Proposal {
    const DOMAIN: Domain = Domain::Proposal;
}

/// How a result is compared with a reference. The numbers are the wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ComparisonRule {
    /// Every vector's cosine with the reference is at least the agreed one.
    #[n(0)]
    Cosine,
    /// Byte for byte.
    #[n(1)]
    Exact,
}

/// What both sides promise; both sign the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Agreement {
    /// [`OBJECT_VERSION`](crate::wire::OBJECT_VERSION).
    #[n(0)]
    pub version: u8,
    /// Who buys.
    #[n(1)]
    pub requester: NodeId,
    /// Who sells.
    #[n(2)]
    pub provider: NodeId,
    /// The proposal that is accepted.
    #[n(3)]
    pub proposal: Hash,
    /// Who may read the input.
    #[n(4)]
    pub scope: Scope,
    /// Number of the service.
    #[n(5)]
    pub service: u8,
    /// With which model.
    #[n(6)]
    pub model: Option<ModelId>,
    /// In which precision.
    #[n(7)]
    pub precision: Precision,
    /// How the result is judged.
    #[n(8)]
    pub rule: ComparisonRule,
    /// The least cosine, in millionths; 0 where the rule needs none.
    #[n(9)]
    pub cosine_min_ppm: i32,
    /// Texts, probes included.
    #[n(10)]
    pub items: u32,
    /// Their estimated tokens.
    #[n(11)]
    pub tokens: u32,
    /// BLAKE3 of the input, see [`market::input_hash`](crate::market::input_hash).
    #[n(12)]
    pub input: Hash,
    /// The price of the whole.
    #[n(13)]
    pub price: Millicredits,
    /// Its factors.
    #[n(14)]
    pub factors: Factors,
    /// Time until the result, milliseconds from the sending of the input.
    #[n(15)]
    pub promised_ms: u32,
}

impl Object for Agreement {
    const DOMAIN: Domain = Domain::Agreement;
}

/// A provider's word that this is its result, so that a wrong one can be shown to others.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResultHead {
    /// [`OBJECT_VERSION`](crate::wire::OBJECT_VERSION).
    #[n(0)]
    pub version: u8,
    /// For which agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// BLAKE3 of the output's bytes.
    #[n(2)]
    pub output: Hash,
    /// Time in the engine, milliseconds.
    #[n(3)]
    pub took_ms: u32,
    /// From who keeps answers: what each row can be sold again with, see [`cache`](crate::cache).
    #[n(4)]
    pub origin: Option<Origin>,
}

impl Object for ResultHead {
    const DOMAIN: Domain = Domain::Result;
}

/// What a result says of itself apart from its trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Origin {
    /// With which model.
    #[n(0)]
    pub model: ModelId,
    /// In which precision.
    #[n(1)]
    pub precision: Precision,
    /// When, by the provider's clock, milliseconds since the Unix epoch.
    #[n(2)]
    pub computed_at: u64,
    /// The root of the hash tree over its rows, and the texts' names.
    #[n(3)]
    pub rows: Hash,
    /// How many rows.
    #[n(4)]
    pub count: u32,
}

/// A buyer's word on why it does not pay.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Verdict {
    /// [`OBJECT_VERSION`](crate::wire::OBJECT_VERSION).
    #[n(0)]
    pub version: u8,
    /// Which agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// BLAKE3 of the output that was refused; `None` when none came.
    #[n(2)]
    pub output: Option<Hash>,
    /// The lowest cosine seen, in millionths.
    #[n(3)]
    pub cosine_ppm: i32,
    /// What was required, in millionths.
    #[n(4)]
    pub required_ppm: i32,
}

impl Object for Verdict {
    const DOMAIN: Domain = Domain::Verdict;
}

/// A provider's word on how much of an agreement it had done when the buyer gave it up, after which nothing is delivered any more,
/// or on how little of the agreed work the runs took that it delivers. What is owed is the agreed price in the same proportion, see [`price::pro_rata`](crate::price::pro_rata).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Partial {
    /// [`OBJECT_VERSION`](crate::wire::OBJECT_VERSION).
    #[n(0)]
    pub version: u8,
    /// Which agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// How many of the agreed tokens count as done.
    #[n(2)]
    pub units: u32,
}

impl Object for Partial {
    const DOMAIN: Domain = Domain::Partial;
}
