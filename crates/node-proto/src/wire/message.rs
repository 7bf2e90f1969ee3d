//! The messages: what one node asks of another, and the answers.

use minicbor::{Decode, Encode};

use crate::ids::{AgreementId, Hash, Millicredits, NodeId};
use crate::ledger::FraudProof;
use crate::service::Failure;
use crate::wire::{Demand, Signed, WireError, bounded};
use crate::work::{WorkInput, WorkOutput};

/// Texts of one `Execute`: a full request and the probes hidden in it.
pub(crate) const ITEMS_MAX: usize = 256;
/// Records of one `Sampled`.
pub(crate) const SAMPLE_MAX: usize = 64;
/// Blocks of one `Blocks`.
pub(crate) const BLOCKS_MAX: usize = 32;
/// Receipts of one `Blocks`: with at most 1.5 KB each they fit a relay's circuit.
pub(crate) const RECEIPTS_MAX: usize = 16;
/// Proofs of one `Gossip`.
pub(crate) const PROOFS_MAX: usize = 4;
/// Blocks of one `Gossip`.
pub(crate) const RUMOURS_MAX: usize = 64;
/// Longest explanation in a refusal, bytes.
const DETAIL_BYTES_MAX: usize = 200;

/// What is asked. Numbers are the wire format.
///
/// `tag` is the membership tag for purpose "trade" from the sender to the receiver.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// File a [`Registration`](crate::wire::Registration).
    #[n(0)]
    Register(#[n(0)] Signed),
    /// Remove the sender's own registration under a key.
    #[n(1)]
    Unregister(#[n(0)] Hash),
    /// Give some registrations under a key, picked at random.
    #[n(2)]
    Sample {
        /// The rendezvous key.
        #[n(0)]
        key: Hash,
        /// At most so many.
        #[n(1)]
        count: u32,
    },
    /// Quote for this.
    #[n(3)]
    RequestProposal {
        /// Membership tag.
        #[n(0)]
        tag: Hash,
        /// What is wanted.
        #[n(1)]
        demand: Demand,
    },
    /// Would you do it for less?
    #[n(4)]
    Counter {
        /// Membership tag.
        #[n(0)]
        tag: Hash,
        /// The quote in question.
        #[n(1)]
        proposal: Hash,
        /// What the buyer would pay.
        #[n(2)]
        price: Millicredits,
    },
    /// Sign this agreement too.
    #[n(5)]
    Agree {
        /// Membership tag.
        #[n(0)]
        tag: Hash,
        /// An [`Agreement`](crate::wire::Agreement), signed by the requester.
        #[n(1)]
        agreement: Signed,
    },
    /// Do it.
    #[n(6)]
    Execute {
        /// Which agreement.
        #[n(0)]
        agreement: AgreementId,
        /// The input.
        #[n(1)]
        input: WorkInput,
    },
    /// Here is the payer's half of the receipt.
    #[n(7)]
    Settle {
        /// The agreement with the requester's signature.
        #[n(0)]
        agreement: Signed,
        /// The provider's signature on the same agreement: it need not remember.
        #[cbor(n(1), with = "minicbor::bytes")]
        countersignature: [u8; 64],
        /// A [`Block`](crate::ledger::Block), signed by the payer.
        #[n(2)]
        block: Signed,
        /// With an agreement of which less was done than was agreed: the provider's [`Partial`](crate::wire::Partial), which it need not
        /// remember either.
        #[n(3)]
        partial: Option<Signed>,
    },
    /// The result is not accepted and not paid.
    #[n(8)]
    Reject(
        /// A [`Verdict`](crate::wire::Verdict), signed by the requester.
        #[n(0)]
        Signed,
    ),
    /// Show your chain.
    #[n(9)]
    FetchBlocks(#[n(0)] FetchBlocks),
    /// Other people's blocks and proofs of fraud, for whoever may hold a contradicting one.
    #[n(10)]
    Gossip(#[n(0)] Gossip),
    /// The result is not wanted any more. Answered by `Cancelled`, or by the `Result` when that had left already.
    #[n(11)]
    Cancel {
        /// Which agreement.
        #[n(0)]
        agreement: AgreementId,
    },
    /// Give a part of a blob that you hold.
    #[n(12)]
    FetchPart {
        /// Membership tag.
        #[n(0)]
        tag: Hash,
        /// The blob's name.
        #[n(1)]
        blob: Hash,
        /// Which chunk; nothing for the outline.
        #[n(2)]
        chunk: Option<u32>,
    },
}

/// What is passed on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Gossip {
    /// Membership tag.
    #[n(0)]
    pub tag: Hash,
    /// Proofs that a node signed two blocks for one place.
    #[cbor(n(1), decode_with = "bounded::vec::<PROOFS_MAX, _, _>")]
    pub proofs: Vec<FraudProof>,
    /// Blocks, newest last.
    #[cbor(n(2), decode_with = "bounded::vec::<RUMOURS_MAX, _, _>")]
    pub rumours: Vec<Rumour>,
}

/// A block on its way to witnesses.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rumour {
    /// A [`Block`](crate::ledger::Block), signed by its author.
    #[n(0)]
    pub block: Signed,
    /// How many more times whoever reads this is to pass it on.
    #[n(1)]
    pub hops: u8,
}

/// Which part of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FetchBlocks {
    /// Membership tag.
    #[n(0)]
    pub tag: Hash,
    /// Of which epoch.
    #[n(1)]
    pub epoch: u32,
    /// From this sequence number on.
    #[n(2)]
    pub from: u64,
    /// At most so many; 0 asks for the head alone.
    #[n(3)]
    pub count: u32,
    /// Whose blocks: nothing for the answerer's own chain, the asker for its blocks that the answerer holds.
    #[n(4)]
    pub of: Option<NodeId>,
}

/// The answers. Numbers are the wire format.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Response {
    /// No, and why.
    #[n(0)]
    Refused(#[n(0)] Refusal),
    /// Filed; lasts this long, which may be less than asked for.
    #[n(1)]
    Registered {
        /// Milliseconds from now.
        #[n(0)]
        ttl_ms: u32,
    },
    /// Noted; there is nothing more to say.
    #[n(2)]
    Noted,
    /// Registrations.
    #[n(3)]
    Sampled {
        /// How many there are under the key.
        #[n(0)]
        total: u32,
        /// Some of them.
        #[cbor(n(1), decode_with = "bounded::vec::<SAMPLE_MAX, _, _>")]
        records: Vec<SampledRecord>,
    },
    /// A [`Proposal`](crate::wire::Proposal), signed by the provider.
    #[n(4)]
    Proposal(#[n(0)] Signed),
    /// The provider's signature on the agreement.
    #[n(5)]
    Agreed {
        /// Over the same bytes as the requester's.
        #[cbor(n(0), with = "minicbor::bytes")]
        signature: [u8; 64],
    },
    /// The result.
    #[n(6)]
    Result {
        /// A [`ResultHead`](crate::wire::ResultHead), signed by the provider.
        #[n(0)]
        head: Signed,
        /// What came out.
        #[n(1)]
        output: WorkOutput,
        /// Where the output shows that less was done than was agreed: a [`Partial`](crate::wire::Partial), signed by the
        /// provider, and that part of the price is owed.
        #[n(2)]
        partial: Option<Signed>,
    },
    /// The receiver's half: a [`Block`](crate::ledger::Block), signed by the provider, that names the payer's.
    #[n(7)]
    Settled(#[n(0)] Signed),
    /// Part of a chain.
    #[n(8)]
    Blocks(#[n(0)] Blocks),
    /// Given up: a [`Partial`](crate::wire::Partial), signed by the provider.
    #[n(9)]
    Cancelled(#[n(0)] Signed),
    /// A chunk of a blob, or its outline: one chaining value of 32 bytes for each chunk, nothing for a blob of one chunk.
    #[n(10)]
    Part(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
}

/// A registration and its age.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SampledRecord {
    /// Whose it is, so that the signature can be checked first.
    #[n(0)]
    pub owner: NodeId,
    /// The [`Registration`](crate::wire::Registration).
    #[n(1)]
    pub registration: Signed,
    /// How long ago the discovery point took it, milliseconds.
    #[n(2)]
    pub age_ms: u32,
}

/// The newest block of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Head {
    /// Its epoch.
    #[n(0)]
    pub epoch: u32,
    /// Its place in the epoch.
    #[n(1)]
    pub sequence: u64,
    /// Its hash.
    #[n(2)]
    pub hash: Hash,
}

/// Part of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Blocks {
    /// `None` when the chain is empty.
    #[n(0)]
    pub head: Option<Head>,
    /// Blocks in order, signed by the sender.
    #[cbor(n(1), decode_with = "bounded::vec::<BLOCKS_MAX, _, _>")]
    pub blocks: Vec<Signed>,
    /// When the asker's own were asked for: receipts with it, in the order of its chain.
    #[cbor(n(2), decode_with = "bounded::vec_or_none::<RECEIPTS_MAX, _, _>")]
    pub receipts: Option<Vec<Receipt>>,
}

/// Both halves of a receipt and the agreement behind it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The asker's half.
    #[n(0)]
    pub own: Signed,
    /// The answerer's half.
    #[n(1)]
    pub other: Signed,
    /// The agreement with the requester's signature.
    #[n(2)]
    pub agreement: Signed,
    /// The provider's signature on it.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub countersignature: [u8; 64],
}

/// Why something is refused. A number that is not known is "refused" to its reader.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Refusal {
    /// A [`RefusalCode`].
    #[n(0)]
    pub code: u16,
    /// For people, at most 200 bytes.
    #[cbor(n(1), decode_with = "bounded::text_or_none::<DETAIL_BYTES_MAX, _>")]
    pub detail: Option<String>,
    /// With `CreditLimit`: what is left, in millicredits.
    #[n(2)]
    pub available: Option<i64>,
    /// With `CreditLimit`: what it would take.
    #[n(3)]
    pub required: Option<i64>,
}

/// The numbers of refusals; they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum RefusalCode {
    /// The frame could not be read.
    Malformed = 1,
    /// The frame or an object is of a version that is not known.
    UnknownVersion = 2,
    /// The kind of message is not known or not answered here.
    UnknownMessage = 3,
    /// A signature does not fit.
    BadSignature = 4,
    /// The sender is not in the group.
    NotAMember = 5,
    /// The service is not offered.
    UnknownService = 6,
    /// The model is not offered.
    UnknownModel = 7,
    /// Too much to do.
    Busy = 8,
    /// Lending is paused or off.
    Paused = 9,
    /// The credit line is used up.
    CreditLimit = 10,
    /// The price is below what the provider accepts.
    TooCheap = 11,
    /// It cannot be done by the deadline.
    Deadline = 12,
    /// The quote or agreement is too old or unknown.
    Expired = 13,
    /// The request breaks a rule.
    InvalidRequest = 14,
    /// The engine failed.
    Engine = 15,
    /// Storage refuses writes.
    Storage = 16,
    /// The discovery point is full.
    Full = 17,
    /// The block contradicts another one of the same author.
    Fraud = 18,
    /// The buyer gave the agreement up.
    Cancelled = 19,
    /// The blob, this part of it, or an answer to this text is not here.
    NotHeld = 20,
    /// There is no room for the blob.
    NoRoom = 21,
}

impl Refusal {
    /// A refusal without explanation.
    pub fn new(code: RefusalCode) -> Self {
        Self {
            code: code as u16,
            detail: None,
            available: None,
            required: None,
        }
    }

    /// A refusal with an explanation, cut to what may travel.
    pub fn because(code: RefusalCode, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        let end = (0..=DETAIL_BYTES_MAX.min(detail.len()))
            .rev()
            .find(|&end| detail.is_char_boundary(end));
        detail.truncate(end.unwrap_or(0));
        Self {
            detail: Some(detail),
            ..Self::new(code)
        }
    }

    /// What a buyer's person is told.
    pub fn to_failure(&self) -> Failure {
        let detail = || self.detail.clone().unwrap_or_default();
        let code = |code: RefusalCode| self.code == code as u16;
        let plain = [
            (RefusalCode::NotAMember, Failure::NotAMember),
            (RefusalCode::UnknownService, Failure::UnknownService),
            (RefusalCode::UnknownModel, Failure::UnknownModel),
            (RefusalCode::NotHeld, Failure::NotHeld),
            (RefusalCode::NoRoom, Failure::NoRoom),
            (RefusalCode::Busy, Failure::Busy),
            (RefusalCode::Full, Failure::Busy),
            (RefusalCode::Paused, Failure::Paused),
            (RefusalCode::TooCheap, Failure::TooExpensive),
            (RefusalCode::Deadline, Failure::Deadline),
            (RefusalCode::Expired, Failure::Expired),
            (RefusalCode::Storage, Failure::Storage),
            (RefusalCode::BadSignature, Failure::BadSignature),
            (RefusalCode::Cancelled, Failure::Cancelled),
        ];
        if let Some((_, failure)) = plain.into_iter().find(|(known, _)| code(*known)) {
            return failure;
        }
        if code(RefusalCode::CreditLimit) {
            return Failure::CreditLimit {
                available: self.available.unwrap_or(0),
                required: self.required.unwrap_or(0),
            };
        }
        if code(RefusalCode::InvalidRequest) {
            return Failure::InvalidRequest { what: detail() };
        }
        if code(RefusalCode::Engine) {
            return Failure::Engine { what: detail() };
        }
        Failure::Protocol {
            what: format!("refused with code {} {}", self.code, detail())
                .trim_end()
                .to_owned(),
        }
    }
}

impl From<&WireError> for Refusal {
    fn from(error: &WireError) -> Self {
        let code = match error {
            WireError::UnknownVersion(_) => RefusalCode::UnknownVersion,
            WireError::UnknownMessage => RefusalCode::UnknownMessage,
            WireError::BadSignature => RefusalCode::BadSignature,
            WireError::TooLong { .. } | WireError::Malformed(_) | WireError::NotCanonical => {
                RefusalCode::Malformed
            }
        };
        Self::because(code, error.to_string())
    }
}

impl From<&WireError> for Failure {
    fn from(error: &WireError) -> Self {
        match error {
            WireError::BadSignature => Self::BadSignature,
            other => Self::Protocol {
                what: other.to_string(),
            },
        }
    }
}
