//! What is computed: the input of an activity and its output, for each service that has something to compute.
//!
//! | service | input | a row of the output | unit of work | compared |
//! | --- | --- | --- | --- | --- |
//! | inference | texts | a vector | an estimated token, see [`price::tokens`] | by cosine |
//! | computation | a module and its inputs | how one run ended | [`FUEL_PER_UNIT`] of fuel | byte for byte |
//! | cache query | names of texts | vectors with who signed them | a text | not: each shows where it comes from |
//! | storage | a blob and questions about it | an answer | a KiB kept for an hour | not: the buyer knows the answers |
//!
//! The core reads neither vectors' meaning nor modules: it counts, hashes, and compares row by row. One row belongs to one
//! item of the input, so a part of the items can be bought from somebody else and compared.

mod output;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::{Hash, ModelId};
use crate::price;
use crate::service::{Failure, Service, TEXT_BYTES_MAX, TEXTS_MAX};
use crate::verification::storage::{BLOCK_BYTES, Question};
use crate::wire::{ComparisonRule, FRAME_BYTES_MAX, ITEMS_MAX, bounded};

pub(crate) use output::{Row, likeness};
pub use output::{RunOutcome, WorkOutput};

/// Units of fuel that one unit of work stands for: about as long for an engine as a token is.
pub const FUEL_PER_UNIT: u64 = 1 << 20;
/// The most fuel that one run may be given.
pub const FUEL_MAX: u64 = 1 << 36;
/// The most bytes of one input, and of one ending.
pub const RUN_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes of a module.
pub const MODULE_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// The most bytes of a blob that one node keeps for another.
pub const STORED_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// The longest time that is paid for at once, hours.
pub const STORED_HOURS_MAX: u32 = 24 * 30;
/// What one unit of storage is, bytes for an hour.
const STORED_UNIT_BYTES: u32 = 1024;
/// The most bytes of all inputs of one request, and of all endings: with what is around them they fit a frame.
const RUNS_BYTES_MAX: usize = FRAME_BYTES_MAX / 2;

/// Names a module: a blob that its buyer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Module {
    /// BLAKE3 of its bytes.
    #[n(0)]
    pub blob: Hash,
    /// How many.
    #[n(1)]
    pub bytes: u32,
}

/// What is to be computed, as an engine is given it and as it travels. The numbers are the wire format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorkInput {
    /// Texts to embed.
    #[n(0)]
    Texts {
        /// In order.
        #[cbor(n(0), decode_with = "bounded::texts::<ITEMS_MAX, TEXT_BYTES_MAX, _>")]
        texts: Vec<String>,
    },
    /// Runs of a module.
    #[n(1)]
    Runs {
        /// The module.
        #[n(0)]
        module: Module,
        /// What each run may use.
        #[n(1)]
        fuel: u64,
        /// One run for each, in order.
        #[cbor(
            n(2),
            encode_with = "bounded::encode_blobs",
            decode_with = "bounded::blobs::<ITEMS_MAX, RUN_BYTES_MAX, _>"
        )]
        inputs: Vec<Vec<u8>>,
    },
    /// Texts whose answers may have been kept, by their names.
    #[n(2)]
    Cached {
        /// BLAKE3 of each text, see [`cache`](crate::cache).
        #[cbor(n(0), decode_with = "bounded::vec::<ITEMS_MAX, _, _>")]
        keys: Vec<Hash>,
    },
    /// A blob to keep, and questions that only who has it can answer. Who does not have it yet gets it from the buyer.
    #[n(3)]
    Keep {
        /// BLAKE3 of its bytes.
        #[n(0)]
        blob: Hash,
        /// How many.
        #[n(1)]
        bytes: u32,
        /// Until so many hours after what was paid for before, or after now.
        #[n(2)]
        hours: u32,
        /// About its blocks.
        #[cbor(n(3), decode_with = "bounded::vec::<ITEMS_MAX, _, _>")]
        questions: Vec<Question>,
        /// The right answers. They stay with whoever asks: neither wires nor engines carry them.
        #[cbor(skip)]
        #[serde(skip)]
        answers: Vec<Hash>,
    },
}

impl WorkInput {
    /// Which service computes it.
    pub fn service(&self) -> Service {
        match self {
            Self::Texts { .. } => Service::Inference,
            Self::Runs { .. } => Service::Computation,
            Self::Cached { .. } => Service::CacheQuery,
            Self::Keep { .. } => Service::Storage,
        }
    }

    /// Whether a result shows by itself that it is what was asked for. Then nobody is tried out, compared or hedged.
    pub(crate) fn shows_itself(&self) -> bool {
        matches!(self, Self::Cached { .. } | Self::Keep { .. })
    }

    /// How many items there are, each of which gets a row of the output.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts { texts } => texts.len(),
            Self::Runs { inputs, .. } => inputs.len(),
            Self::Cached { keys } => keys.len(),
            Self::Keep { questions, .. } => questions.len(),
        }
    }

    /// Whether there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How results are compared.
    pub fn rule(&self) -> ComparisonRule {
        match self {
            Self::Texts { .. } => ComparisonRule::Cosine,
            Self::Runs { .. } | Self::Cached { .. } | Self::Keep { .. } => ComparisonRule::Exact,
        }
    }

    /// What demands name beside the service; a model that the buyer leaves open is not known here.
    pub fn names(&self) -> Option<ModelId> {
        match self {
            Self::Texts { .. } | Self::Cached { .. } => None,
            Self::Runs { module, .. } => Some(ModelId(module.blob.0)),
            Self::Keep { blob, .. } => Some(ModelId(blob.0)),
        }
    }

    /// The most work that it can be, in the service's unit. Both sides compute it.
    pub fn units(&self) -> u32 {
        match self {
            Self::Texts { texts } => price::tokens(texts),
            Self::Runs { fuel, inputs, .. } => run_units(*fuel, inputs.len()),
            Self::Cached { keys } => u32::try_from(keys.len()).unwrap_or(u32::MAX),
            Self::Keep {
                bytes,
                hours,
                questions,
                ..
            } => stored_units(*bytes, *hours, questions.len()),
        }
    }

    /// Names it, so that an agreement can. Texts: BLAKE3 over each one's length (eight bytes, little-endian) and bytes. Runs:
    /// the same over a mark, the module's name, its length and the fuel (eight bytes, little-endian), and the inputs. Names of texts: over
    /// a mark and the names. A blob: over a mark, its name, its length and the hours (eight bytes each, little-endian), and each
    /// question's block (four bytes) and nonce.
    pub fn hash(&self) -> Hash {
        match self {
            Self::Texts { texts } => crate::market::input_hash(texts),
            Self::Runs { module, fuel, inputs } => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(b"knowledge/1/runs\0").update(&module.blob.0);
                hasher.update(&u64::from(module.bytes).to_le_bytes());
                hasher.update(&fuel.to_le_bytes());
                for input in inputs {
                    hasher.update(&(input.len() as u64).to_le_bytes()).update(input);
                }
                Hash(*hasher.finalize().as_bytes())
            }
            Self::Cached { keys } => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(b"knowledge/1/keys\0");
                for key in keys {
                    hasher.update(&key.0);
                }
                Hash(*hasher.finalize().as_bytes())
            }
            Self::Keep {
                blob,
                bytes,
                hours,
                questions,
                ..
            } => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(b"knowledge/1/blob\0").update(&blob.0);
                hasher.update(&u64::from(*bytes).to_le_bytes());
                hasher.update(&u64::from(*hours).to_le_bytes());
                for question in questions {
                    hasher
                        .update(&question.block.to_le_bytes())
                        .update(&question.nonce);
                }
                Hash(*hasher.finalize().as_bytes())
            }
        }
    }

    /// What is wrong with it, before anyone is asked.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let invalid = |what: String| Err(Failure::InvalidRequest { what });
        let (items, name) = match self {
            Self::Texts { .. } | Self::Cached { .. } => ("text", "texts"),
            Self::Runs { .. } => ("input", "inputs"),
            Self::Keep { .. } => ("question", "questions"),
        };
        if self.is_empty() {
            return invalid(format!("there is no {items}"));
        }
        if self.len() > TEXTS_MAX {
            let count = self.len();
            return invalid(format!(
                "{count} {name} are more than the {TEXTS_MAX} that go into one request"
            ));
        }
        let (longest, bytes_max) = match self {
            Self::Texts { texts } => (texts.iter().map(String::len).max(), TEXT_BYTES_MAX),
            Self::Runs { inputs, .. } => (inputs.iter().map(Vec::len).max(), RUN_BYTES_MAX),
            Self::Cached { .. } | Self::Keep { .. } => (None, TEXT_BYTES_MAX),
        };
        if let Some(longest) = longest.filter(|longest| *longest > bytes_max) {
            let article = if items == "text" { "a" } else { "an" };
            return invalid(format!(
                "{article} {items} of {longest} bytes is longer than {bytes_max}"
            ));
        }
        self.check_sent()
    }

    /// What is wrong with it that decoding did not find. Probes may be among the items.
    pub(crate) fn check_sent(&self) -> Result<(), Failure> {
        let (module, fuel, inputs) = match self {
            Self::Texts { .. } | Self::Cached { .. } => return Ok(()),
            Self::Keep {
                bytes,
                hours,
                questions,
                ..
            } => return check_stored(*bytes, *hours, questions),
            Self::Runs { module, fuel, inputs } => (module, fuel, inputs),
        };
        let bytes: usize = inputs.iter().map(Vec::len).sum();
        let what = match () {
            () if bytes > RUNS_BYTES_MAX => {
                format!("{bytes} bytes of inputs are more than the {RUNS_BYTES_MAX} that go into one request")
            }
            () if module.bytes == 0 || module.bytes > MODULE_BYTES_MAX => {
                format!("a module has between 1 and {MODULE_BYTES_MAX} bytes")
            }
            () if *fuel == 0 || *fuel > FUEL_MAX => {
                format!("a run has between 1 and {FUEL_MAX} units of fuel")
            }
            () if self.units() == u32::MAX => "that is too much work for one request".to_owned(),
            () => return Ok(()),
        };
        Err(Failure::InvalidRequest { what })
    }
}

fn check_stored(bytes: u32, hours: u32, questions: &[Question]) -> Result<(), Failure> {
    let blocks = (bytes as usize).div_ceil(BLOCK_BYTES);
    let what = match () {
        () if bytes == 0 || bytes > STORED_BYTES_MAX => {
            format!("what is kept has between 1 and {STORED_BYTES_MAX} bytes")
        }
        () if hours == 0 || hours > STORED_HOURS_MAX => {
            format!("between 1 and {STORED_HOURS_MAX} hours are paid for at a time")
        }
        () if questions.iter().any(|question| question.block as usize >= blocks) => {
            "a question is about a block that is not there".to_owned()
        }
        () => return Ok(()),
    };
    Err(Failure::InvalidRequest { what })
}

/// Units of work of keeping so much for so long; never fewer than questions.
fn stored_units(bytes: u32, hours: u32, questions: usize) -> u32 {
    let units = bytes.div_ceil(STORED_UNIT_BYTES).saturating_mul(hours);
    units.max(u32::try_from(questions).unwrap_or(u32::MAX))
}

/// The most work that so many runs of so much fuel each can be.
pub(crate) fn run_units(fuel: u64, runs: usize) -> u32 {
    let units = units_of(fuel).saturating_mul(runs as u64);
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// Whole units of work for so much fuel, at least one: a run that fails at once is work too.
fn units_of(fuel: u64) -> u64 {
    fuel.div_ceil(FUEL_PER_UNIT).max(1)
}

#[cfg(test)]
mod tests;
