//! The twelve services of the network, what a request for one carries, and every way in which one can fail.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::cache;
use crate::ids::{Hash, Millicredits, ModelId, NodeId};
use crate::verification::storage::Prepared;
use crate::work::{Module, WorkInput};

/// The twelve services of the source document. The numbers are the wire format and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Service {
    /// Run a model that fits one node.
    Inference = 0,
    /// Look up a kept answer.
    CacheQuery = 1,
    /// Keep a small blob.
    Storage = 2,
    /// Run a WebAssembly module.
    Computation = 3,
    /// Train a model together.
    ModelTraining = 4,
    /// Run a model that no single node can hold.
    ComplexInference = 5,
    /// Keep an erasure-coded file.
    LargeStorage = 6,
    /// Run a WGSL kernel.
    SpecialisedProcessing = 7,
    /// Relay signalling.
    Coordination = 8,
    /// Hand out receipts and proofs.
    Reputation = 9,
    /// Price index and depth.
    MarketFacilitation = 10,
    /// Tell who has what.
    ResourceDiscovery = 11,
}

impl Service {
    /// All twelve, by number.
    pub const ALL: [Self; 12] = [
        Self::Inference,
        Self::CacheQuery,
        Self::Storage,
        Self::Computation,
        Self::ModelTraining,
        Self::ComplexInference,
        Self::LargeStorage,
        Self::SpecialisedProcessing,
        Self::Coordination,
        Self::Reputation,
        Self::MarketFacilitation,
        Self::ResourceDiscovery,
    ];

    /// Its name in the embedding API and in what is serialised.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::CacheQuery => "cache_query",
            Self::Storage => "storage",
            Self::Computation => "computation",
            Self::ModelTraining => "model_training",
            Self::ComplexInference => "complex_inference",
            Self::LargeStorage => "large_storage",
            Self::SpecialisedProcessing => "specialised_processing",
            Self::Coordination => "coordination",
            Self::Reputation => "reputation",
            Self::MarketFacilitation => "market_facilitation",
            Self::ResourceDiscovery => "resource_discovery",
        }
    }

    /// The service with this number on the wire.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// A model this node can run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// BLAKE3 of the ONNX file.
    pub id: ModelId,
    /// Its name for people.
    pub name: String,
    /// Length of an embedding.
    pub dimension: u32,
    /// Which backend was chosen ("cpu", "webgpu").
    pub backend: String,
    /// Measured speed on this device.
    pub tokens_per_second: f32,
    /// The precision it computes in.
    #[serde(default)]
    pub precision: Precision,
    /// What it takes to be brought back into memory before it computes, milliseconds; 0 while it is there.
    #[serde(default)]
    pub wake_ms: u32,
}

/// The engine for modules on this device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComputerInfo {
    /// Measured speed, in units of work a second, see [`FUEL_PER_UNIT`](crate::work::FUEL_PER_UNIT).
    pub units_per_second: f32,
}

/// Room for others' blobs on this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreInfo {
    /// What is left of it, bytes.
    pub free_bytes: u64,
}

/// The precision that a model is computed in, so that like is compared with like. The numbers are the wire format.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[repr(u8)]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    #[n(0)]
    F32 = 0,
    /// 16-bit floating point.
    #[n(1)]
    F16 = 1,
    /// Eight-bit integers.
    #[n(2)]
    Int8 = 2,
}

/// A text with the embedding that the reference gives, to be hidden among real work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The text.
    pub text: String,
    /// Its normalised embedding.
    pub embedding: Vec<f32>,
}

/// What a buyer wants done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "service", rename_all = "snake_case")]
pub enum ServiceRequest {
    /// Embed texts with a model.
    Inference {
        /// `None`: any model for which this node has probes.
        model: Option<ModelId>,
        /// The texts, at most [`TEXTS_MAX`] of at most [`TEXT_BYTES_MAX`] bytes.
        texts: Vec<String>,
    },
    /// Look up what was computed of texts before.
    CacheQuery {
        /// With which model.
        model: ModelId,
        /// The texts, at most [`TEXTS_MAX`] of at most [`TEXT_BYTES_MAX`] bytes. Only their hashes leave the device.
        texts: Vec<String>,
    },
    /// Run a module on inputs.
    Computation {
        /// The module. The shell holds its bytes and gives them to whoever is to run it.
        module: Module,
        /// What each run may use, at most [`FUEL_MAX`](crate::work::FUEL_MAX).
        fuel: u64,
        /// One run for each, at most [`TEXTS_MAX`].
        inputs: Vec<Vec<u8>>,
    },
    /// Keep a blob for some time. The shell holds its bytes and gives them to whoever is to keep it.
    Storage {
        /// BLAKE3 of its bytes.
        blob: Hash,
        /// How many, at most [`STORED_BYTES_MAX`](crate::work::STORED_BYTES_MAX).
        bytes: u32,
        /// For how long, at most [`STORED_HOURS_MAX`](crate::work::STORED_HOURS_MAX).
        hours: u32,
        /// What is asked to see that it is there, at least one question.
        questions: Vec<Prepared>,
    },
}

impl ServiceRequest {
    /// What is to be computed, and with which model where that was said.
    pub(crate) fn into_work(self) -> (Option<ModelId>, WorkInput) {
        match self {
            Self::Inference { model, texts } => (model, WorkInput::Texts { texts }),
            Self::CacheQuery { model, texts } => {
                let keys = texts.iter().map(|text| cache::key_of(text)).collect();
                (Some(model), WorkInput::Cached { keys })
            }
            Self::Computation { module, fuel, inputs } => {
                let input = WorkInput::Runs { module, fuel, inputs };
                (input.names(), input)
            }
            Self::Storage {
                blob,
                bytes,
                hours,
                questions,
            } => {
                let input = WorkInput::Keep {
                    blob,
                    bytes,
                    hours,
                    answers: questions.iter().map(|prepared| prepared.answer).collect(),
                    questions: questions.iter().map(|prepared| prepared.question).collect(),
                };
                (input.names(), input)
            }
        }
    }
}

/// Most texts, or inputs, in one request, probes not counted.
pub const TEXTS_MAX: usize = 192;
/// Most bytes of one text.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Who may read and compute a request.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Scope {
    /// This device only.
    #[n(0)]
    Device = 0,
    /// The person's own devices.
    #[n(1)]
    Own = 1,
    /// Members of the group.
    #[default]
    #[n(2)]
    Group = 2,
    /// Anyone.
    #[n(3)]
    Anyone = 3,
}

/// The conditions of a request; every field has a sensible default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requirements {
    /// Time until the result, milliseconds.
    pub deadline_ms: u32,
    /// Highest price; `None` is no limit but the credit line.
    pub price_max: Option<Millicredits>,
    /// Least lower bound of the provider's reputation score.
    pub reputation_min: f32,
    /// Who may read it.
    pub scope: Scope,
    /// Ask this provider only.
    pub provider: Option<NodeId>,
    /// The coarsest precision that will do.
    pub precision: Precision,
}

impl Default for Requirements {
    fn default() -> Self {
        Self {
            deadline_ms: 30_000,
            price_max: None,
            reputation_min: 0.0,
            scope: Scope::Group,
            provider: None,
            precision: Precision::Int8,
        }
    }
}

/// Every way in which a request, or a part of one, can fail. The serialised `code` is stable API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Failure {
    /// No discovery point can be reached.
    #[error("no relay can be reached, so nobody can be found")]
    NoDiscovery,
    /// Nobody in the scope offers the service.
    #[error("nobody here offers this yet")]
    NoProvider,
    /// Providers are there, none was acceptable.
    #[error("{count} providers answered, none fits the conditions")]
    NoProposal {
        /// How many were asked.
        count: u32,
    },
    /// The provider has too much to do.
    #[error("the provider is busy")]
    Busy,
    /// The provider has paused lending.
    #[error("the provider has paused lending")]
    Paused,
    /// The provider does not have the model.
    #[error("the provider does not have this model")]
    UnknownModel,
    /// The provider has not kept what was asked for.
    #[error("nobody asked has kept an answer to this")]
    NotHeld,
    /// The provider has no room left.
    #[error("the provider has no room left for it")]
    NoRoom,
    /// The service is not offered or not known.
    #[error("this service is not offered")]
    UnknownService,
    /// The requester is outside the scope.
    #[error("this is for members of a group only")]
    NotAMember,
    /// The credit line is used up.
    #[error("the credit line is used up: {available} millicredits are left, {required} are needed")]
    CreditLimit {
        /// What is left.
        available: i64,
        /// What it would take.
        required: i64,
    },
    /// Over the price the buyer set.
    #[error("the price is above the limit that was set")]
    TooExpensive,
    /// The deadline passed.
    #[error("it took longer than the limit that was set")]
    Deadline,
    /// The peer is gone.
    #[error("the connection to the other side was lost")]
    Disconnected,
    /// The result was checked and is wrong.
    #[error("the result was checked and is wrong")]
    WrongResult,
    /// A message could not be read, or broke the protocol.
    #[error("the other side sent something invalid: {what}")]
    Protocol {
        /// What was wrong.
        what: String,
    },
    /// A signature does not fit.
    #[error("a signature does not fit")]
    BadSignature,
    /// A quote or agreement is too old.
    #[error("the quote has expired")]
    Expired,
    /// The request itself is out of bounds.
    #[error("the request is not valid: {what}")]
    InvalidRequest {
        /// What was wrong.
        what: String,
    },
    /// The engine failed.
    #[error("the engine failed: {what}")]
    Engine {
        /// What it said.
        what: String,
    },
    /// Storage refused a write.
    #[error("this device cannot store the receipt, so the trade was stopped")]
    Storage,
    /// Cancelled by the person.
    #[error("cancelled")]
    Cancelled,
}

impl Failure {
    /// Its stable name, the `code` of what is serialised.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoDiscovery => "no_discovery",
            Self::NoProvider => "no_provider",
            Self::NoProposal { .. } => "no_proposal",
            Self::Busy => "busy",
            Self::Paused => "paused",
            Self::UnknownModel => "unknown_model",
            Self::NotHeld => "not_held",
            Self::NoRoom => "no_room",
            Self::UnknownService => "unknown_service",
            Self::NotAMember => "not_a_member",
            Self::CreditLimit { .. } => "credit_limit",
            Self::TooExpensive => "too_expensive",
            Self::Deadline => "deadline",
            Self::Disconnected => "disconnected",
            Self::WrongResult => "wrong_result",
            Self::Protocol { .. } => "protocol",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::InvalidRequest { .. } => "invalid_request",
            Self::Engine { .. } => "engine",
            Self::Storage => "storage",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn names_are_those_of_what_is_serialised() {
        for service in Service::ALL {
            assert_eq!(serde_json::to_value(service).unwrap(), service.name());
        }
        let what = String::new;
        for failure in [
            Failure::NoDiscovery,
            Failure::NoProvider,
            Failure::NoProposal { count: 1 },
            Failure::Busy,
            Failure::Paused,
            Failure::UnknownModel,
            Failure::NotHeld,
            Failure::NoRoom,
            Failure::UnknownService,
            Failure::NotAMember,
            Failure::CreditLimit {
                available: 1,
                required: 2,
            },
            Failure::TooExpensive,
            Failure::Deadline,
            Failure::Disconnected,
            Failure::WrongResult,
            Failure::Protocol { what: what() },
            Failure::BadSignature,
            Failure::Expired,
            Failure::InvalidRequest { what: what() },
            Failure::Engine { what: what() },
            Failure::Storage,
            Failure::Cancelled,
        ] {
            assert_eq!(serde_json::to_value(&failure).unwrap()["code"], failure.code());
        }
    }
}
