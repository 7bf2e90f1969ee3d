//! What comes out of an activity, and how two outputs are compared.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::cache::CachedAnswer;
use crate::ids::Hash;
use crate::market::output_hash;
use crate::service::{Failure, Service};
use crate::verification::cosine;
use crate::wire::{ComparisonRule, ITEMS_MAX, NAME_BYTES_MAX, bounded, to_cbor};
use crate::work::{RUN_BYTES_MAX, RUNS_BYTES_MAX, units_of};

/// What stands for a backend where nothing was computed.
const CACHE: &str = "cache";

/// What an engine gives back, as it travels. The numbers are the wire format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorkOutput {
    /// One normalised vector per text, in order.
    #[n(0)]
    Embeddings {
        /// Length of each.
        #[n(0)]
        dimension: u32,
        /// `texts × dimension` numbers, row by row; on the wire 32-bit floats, little-endian.
        #[cbor(n(1), encode_with = "bounded::encode_floats", decode_with = "bounded::floats")]
        values: Vec<f32>,
        /// Which backend ran, as the provider says.
        #[cbor(n(2), decode_with = "bounded::text::<NAME_BYTES_MAX, _>")]
        backend: String,
    },
    /// One outcome per input, in order.
    #[n(1)]
    Runs {
        /// How each run ended.
        #[cbor(n(0), decode_with = "bounded::vec::<ITEMS_MAX, _, _>")]
        outcomes: Vec<RunOutcome>,
    },
    /// What was kept of each text, in order. A buyer is given the vectors, as [`Embeddings`](Self::Embeddings).
    #[n(2)]
    #[serde(skip)]
    Cached {
        /// With what shows where each comes from.
        #[cbor(n(0), decode_with = "bounded::vec::<ITEMS_MAX, _, _>")]
        answers: Vec<CachedAnswer>,
    },
    /// One answer per question, in order.
    #[n(3)]
    Held {
        /// See [`answer`](crate::verification::storage::answer).
        #[cbor(n(0), decode_with = "bounded::vec::<ITEMS_MAX, _, _>")]
        answers: Vec<Hash>,
    },
}

/// How one run of a module ended: the same on every machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct RunOutcome {
    /// The fuel that it used.
    #[n(0)]
    pub fuel: u64,
    /// What came out, or why nothing did, in an encoding of the engine's that has one form for one meaning.
    #[cbor(
        n(1),
        encode_with = "minicbor::bytes::encode",
        decode_with = "bounded::blob::<RUN_BYTES_MAX, _>"
    )]
    pub ending: Vec<u8>,
}

/// What belongs to one item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Row<'a> {
    Vector(&'a [f32]),
    Run(&'a RunOutcome),
    Answer(&'a Hash),
}

impl WorkOutput {
    /// Which service it comes from.
    pub fn service(&self) -> Service {
        match self {
            Self::Embeddings { .. } => Service::Inference,
            Self::Runs { .. } => Service::Computation,
            Self::Cached { .. } => Service::CacheQuery,
            Self::Held { .. } => Service::Storage,
        }
    }

    /// How many rows it has; `None` when it has no whole number of them.
    pub(crate) fn rows(&self) -> Option<usize> {
        match self {
            Self::Embeddings {
                dimension, values, ..
            } => {
                let dimension = *dimension as usize;
                (dimension > 0 && values.len() % dimension == 0).then(|| values.len() / dimension)
            }
            Self::Runs { outcomes } => Some(outcomes.len()),
            Self::Cached { answers } => Some(answers.len()),
            Self::Held { answers } => Some(answers.len()),
        }
    }

    pub(crate) fn row(&self, row: usize) -> Option<Row<'_>> {
        match self {
            Self::Embeddings {
                dimension, values, ..
            } => {
                let dimension = *dimension as usize;
                let start = row.checked_mul(dimension)?;
                values.get(start..start.checked_add(dimension)?).map(Row::Vector)
            }
            Self::Runs { outcomes } => outcomes.get(row).map(Row::Run),
            Self::Cached { answers } => {
                let first = answers.get(row).and_then(|answer| answer.rows.first());
                first.map(|row| Row::Vector(&row.values))
            }
            Self::Held { answers } => answers.get(row).map(Row::Answer),
        }
    }

    /// The rows of these places, in this order; `None` when one is missing.
    pub(crate) fn pick(self, places: impl Iterator<Item = Option<usize>>) -> Option<Self> {
        match self {
            Self::Embeddings {
                dimension,
                values,
                backend,
            } => {
                let length = dimension as usize;
                let mut picked = Vec::with_capacity(values.len());
                for place in places {
                    let start = place?.checked_mul(length)?;
                    picked.extend_from_slice(values.get(start..start.checked_add(length)?)?);
                }
                Some(Self::Embeddings {
                    dimension,
                    values: picked,
                    backend,
                })
            }
            Self::Runs { outcomes } => {
                let picked = places.map(|place| outcomes.get(place?).cloned());
                let outcomes = picked.collect::<Option<Vec<_>>>()?;
                Some(Self::Runs { outcomes })
            }
            Self::Held { answers } => {
                let picked = places.map(|place| answers.get(place?).copied());
                let answers = picked.collect::<Option<Vec<_>>>()?;
                Some(Self::Held { answers })
            }
            Self::Cached { answers } => {
                let (mut dimension, mut picked) = (0, Vec::new());
                for place in places {
                    let row = answers.get(place?)?.rows.first()?;
                    dimension = row.values.len();
                    picked.extend_from_slice(&row.values);
                }
                Some(Self::Embeddings {
                    dimension: u32::try_from(dimension).ok()?,
                    values: picked,
                    backend: CACHE.to_owned(),
                })
            }
        }
    }

    /// Names it, so that its provider's signature can. Vectors: see [`output_hash`]. Runs: BLAKE3 over a mark and, for each
    /// outcome, its fuel and its ending's length (eight bytes each, little-endian) and the ending. Kept answers: BLAKE3 over a mark
    /// and their encoding. Answers of who keeps a blob: BLAKE3 over a mark and them.
    pub fn hash(&self) -> Hash {
        match self {
            Self::Embeddings {
                dimension, values, ..
            } => output_hash(*dimension, &bounded::float_bytes(values)),
            Self::Runs { outcomes } => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(b"knowledge/1/outcomes\0");
                for outcome in outcomes {
                    hasher.update(&outcome.fuel.to_le_bytes());
                    hasher.update(&(outcome.ending.len() as u64).to_le_bytes());
                    hasher.update(&outcome.ending);
                }
                Hash(*hasher.finalize().as_bytes())
            }
            Self::Cached { answers } => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(b"knowledge/1/answers\0").update(&to_cbor(answers));
                Hash(*hasher.finalize().as_bytes())
            }
            Self::Held { answers } => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(b"knowledge/1/held\0");
                for answer in answers {
                    hasher.update(&answer.0);
                }
                Hash(*hasher.finalize().as_bytes())
            }
        }
    }

    /// Cuts what is for people to what may travel.
    pub(crate) fn shorten(&mut self) {
        if let Self::Embeddings { backend, .. } = self {
            let end = (0..=NAME_BYTES_MAX.min(backend.len()))
                .rev()
                .find(|at| backend.is_char_boundary(*at));
            backend.truncate(end.unwrap_or(0));
        }
    }

    /// Which backend ran, where that is said.
    pub(crate) fn backend(&self) -> Option<&String> {
        match self {
            Self::Embeddings { backend, .. } => Some(backend),
            Self::Runs { .. } | Self::Cached { .. } | Self::Held { .. } => None,
        }
    }

    /// The units of work that were done, where the output shows fewer than were agreed; `None` where all were.
    pub(crate) fn units_done(&self, agreed: u32) -> Option<u32> {
        let Self::Runs { outcomes } = self else {
            return None;
        };
        let units = outcomes.iter().map(|outcome| units_of(outcome.fuel));
        let units = units.fold(0, u64::saturating_add);
        u32::try_from(units).ok().filter(|units| *units < agreed)
    }

    /// Whether it has the shape that was agreed: so many rows, and no run that used more than its fuel.
    pub(crate) fn check(&self, items: u32, units: u32) -> Result<(), Failure> {
        let wrong = |what: &str| {
            Err(Failure::Protocol {
                what: what.to_owned(),
            })
        };
        if self.rows() != Some(items as usize) {
            return wrong("a result of the wrong shape");
        }
        match self {
            Self::Held { .. } => Ok(()),
            Self::Embeddings { values, .. } => match values.iter().all(|value| value.is_finite()) {
                true => Ok(()),
                false => Err(Failure::WrongResult),
            },
            Self::Cached { answers } => {
                let mut rows = answers.iter().flat_map(|answer| &answer.rows);
                let first = answers.iter().filter_map(|answer| answer.rows.first());
                let dimension = first.clone().map(|row| row.values.len()).next();
                let is_even = first.count() == answers.len()
                    && rows.all(|row| {
                        Some(row.values.len()) == dimension
                            && row.values.iter().all(|value| value.is_finite())
                    });
                match is_even && dimension.is_some_and(|dimension| dimension > 0) {
                    true => Ok(()),
                    false => wrong("kept answers of no or different lengths"),
                }
            }
            Self::Runs { outcomes } => {
                let each = u64::from(units / items.max(1));
                let bytes: usize = outcomes.iter().map(|outcome| outcome.ending.len()).sum();
                match () {
                    () if outcomes.iter().any(|outcome| units_of(outcome.fuel) > each) => {
                        wrong("a run of more work than was agreed")
                    }
                    () if bytes > RUNS_BYTES_MAX => wrong("more output than fits"),
                    () => Ok(()),
                }
            }
        }
    }
}

/// How alike two rows are under a rule, −1..=1. Byte for byte is all or nothing, and so is a run.
pub(crate) fn likeness(rule: ComparisonRule, a: Row<'_>, b: Row<'_>) -> f32 {
    match (rule, a, b) {
        (ComparisonRule::Cosine, Row::Vector(a), Row::Vector(b)) => cosine(a, b),
        (ComparisonRule::Exact, Row::Vector(a), Row::Vector(b)) => {
            let same = a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits());
            if same { 1.0 } else { -1.0 }
        }
        (_, Row::Run(a), Row::Run(b)) if a == b => 1.0,
        _ => -1.0,
    }
}
