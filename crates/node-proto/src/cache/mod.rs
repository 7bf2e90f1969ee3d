//! Answers that were computed once and are sold again: who computed them, when, with which model, and how many say the same.
//!
//! A provider signs each result ([`ResultHead`]). Where it keeps answers the head says more ([`Origin`]): the model, the time, and the root
//! of a hash tree over the rows (see [`tree`]). So one row can be shown to somebody who never traded with its provider, without a word of
//! the other rows: the head, the row's place, and the hashes beside the way up. What is kept and asked for goes by the hash of
//! the text; the text itself is not kept.
//!
//! Both sides of a trade keep its rows, [`cache_rows_max`](crate::Config::cache_rows_max) texts of them; the ones that were not
//! asked for longest go first. They last in the node's storage, under `k` ‖ group ‖ model ‖ text's name; a device that is in another
//! group from then on forgets them, and no backup has them. Of one text up to [`ANSWERS_MAX`] rows of different signers are kept, and all of them are sold
//! together, so that a buyer sees for itself how many agree. Only what was computed for a group, or for anyone, is kept,
//! and it is sold inside the group it was computed in.
//!
//! What this proves is who said it. Whether a stranger's word is worth anything is for its record to say; a result that nobody
//! else signed counts as not independently checked.

mod tree;

use litemap::LiteMap;
use minicbor::{Decode, Encode};

use crate::ids::{GroupId, Hash, ModelId, NodeId, Timestamp};
use crate::io::Write;
use crate::service::{Precision, Scope};
use crate::verification::cosine;
use crate::wire::{Origin, ResultHead, Signed, bounded, from_cbor, to_cbor};

/// First byte of the key of what is kept of a text.
pub(crate) const CACHE_PREFIX: u8 = b'k';
/// Rows of one text, each of another signer.
pub(crate) const ANSWERS_MAX: usize = 3;
/// What a row takes on its way beside its vector: the signed head, the way up, names and places.
pub(crate) const PROOF_BYTES: usize = 600;
/// The longest way up a tree: 2^8 rows are as many as go into one request.
pub(crate) const PATH_MAX: usize = 8;
/// Clocks may differ by so much, milliseconds.
const SKEW_MS: u64 = 2 * 3_600_000;

/// One signer's answer to one text, with what shows that it is.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct CachedRow {
    /// Who computed it.
    #[n(0)]
    pub signer: NodeId,
    /// A [`ResultHead`] with an [`Origin`].
    #[n(1)]
    pub head: Signed,
    /// Which row of that result.
    #[n(2)]
    pub place: u32,
    /// The hashes beside the way up, from the row on.
    #[cbor(n(3), decode_with = "bounded::vec::<PATH_MAX, _, _>")]
    pub path: Vec<Hash>,
    /// The vector; on the wire 32-bit floats, little-endian.
    #[cbor(n(4), encode_with = "bounded::encode_floats", decode_with = "bounded::floats")]
    pub values: Vec<f32>,
}

/// What is kept of one text.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct CachedAnswer {
    /// At least one, each of another signer.
    #[cbor(n(0), decode_with = "bounded::vec::<ANSWERS_MAX, _, _>")]
    pub rows: Vec<CachedRow>,
}

/// What an answer is looked for by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) key: Hash,
    pub(crate) model: ModelId,
    /// The coarsest that will do.
    pub(crate) precision: Precision,
    /// The least cosine of two that say the same.
    pub(crate) cosine_min: f32,
}

/// Where an answer comes from, as far as it was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Provenance {
    pub(crate) signer: NodeId,
    pub(crate) computed_at: Timestamp,
    /// How many signed the same, that one included.
    pub(crate) signers: u32,
}

/// Names a text: BLAKE3 over a mark and its bytes.
pub fn key_of(text: &str) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"knowledge/1/text\0").update(text.as_bytes());
    Hash(*hasher.finalize().as_bytes())
}

/// Names a whole result by its rows; `None` where texts and rows do not match.
pub fn root(keys: &[Hash], dimension: u32, values: &[f32]) -> Option<Hash> {
    let leaves = leaves(keys, dimension, values)?;
    Some(tree::root(leaves))
}

/// Each row of a result with its way up, by the name of its text; nothing where texts and rows do not match.
pub fn rows(
    signer: NodeId,
    head: &Signed,
    keys: &[Hash],
    dimension: u32,
    values: &[f32],
) -> Vec<(Hash, CachedRow)> {
    let Some(leaves) = leaves(keys, dimension, values) else {
        return Vec::new();
    };
    let rows = keys.iter().zip(values.chunks_exact(dimension.max(1) as usize));
    rows.enumerate()
        .map(|(place, (key, values))| {
            let row = CachedRow {
                signer,
                head: head.clone(),
                place: u32::try_from(place).unwrap_or(u32::MAX),
                path: tree::path(&leaves, place),
                values: values.to_vec(),
            };
            (*key, row)
        })
        .collect()
}

fn leaves(keys: &[Hash], dimension: u32, values: &[f32]) -> Option<Vec<Hash>> {
    let length = dimension as usize;
    let fits = length > 0 && !keys.is_empty() && values.len() == keys.len().checked_mul(length)?;
    let rows = fits.then(|| keys.iter().zip(values.chunks_exact(length)))?;
    Some(rows.map(|(key, values)| leaf(key, values)).collect())
}

fn leaf(key: &Hash, values: &[f32]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"knowledge/1/row\0").update(&key.0);
    hasher.update(&bounded::float_bytes(values));
    Hash(*hasher.finalize().as_bytes())
}

impl CachedRow {
    /// What its signer said of the result that it is of, if this row is of it.
    pub(crate) fn origin(&self, key: &Hash) -> Option<Origin> {
        let head: ResultHead = self.head.open(&self.signer).ok()?;
        let origin = head.origin?;
        let root = tree::climb(leaf(key, &self.values), self.place, origin.count, &self.path)?;
        (root == origin.rows).then_some(origin)
    }
}

impl CachedAnswer {
    /// Proves an answer: every row is of its signer's own result, of this text and model, not older than `age_ms_max`, and no signer is
    /// there twice. `None` where anything of it is not so: whoever gave it could have seen that.
    pub(crate) fn prove(&self, wanted: &Wanted, now: Timestamp, age_ms_max: u64) -> Option<Provenance> {
        let first = self.rows.first()?;
        let mut signers: Vec<NodeId> = Vec::new();
        let mut agree = 0;
        let mut computed_at = Timestamp(0);
        for row in &self.rows {
            let origin = row.origin(&wanted.key)?;
            let at = Timestamp(origin.computed_at);
            let is_meant = origin.model == wanted.model
                && origin.precision <= wanted.precision
                && row.values.len() == first.values.len();
            let is_fresh = at <= now.plus_ms(SKEW_MS) && now.ms_since(at) <= age_ms_max;
            if !is_meant || !is_fresh || signers.contains(&row.signer) {
                return None;
            }
            if signers.is_empty() {
                computed_at = at;
            }
            signers.push(row.signer);
            agree += u32::from(cosine(&first.values, &row.values) >= wanted.cosine_min);
        }
        Some(Provenance {
            signer: first.signer,
            computed_at,
            signers: agree,
        })
    }
}

/// A row and what its signer said of it.
#[derive(Encode, Decode)]
struct Kept {
    /// By its signer's clock, milliseconds since the Unix epoch.
    #[n(0)]
    computed_at: u64,
    #[n(1)]
    precision: Precision,
    #[n(2)]
    row: CachedRow,
}

impl Kept {
    fn at(&self) -> Timestamp {
        Timestamp(self.computed_at)
    }
}

#[derive(Default, Encode, Decode)]
struct Entry {
    /// The newest first.
    #[cbor(n(0), decode_with = "bounded::vec::<ANSWERS_MAX, _, _>")]
    rows: Vec<Kept>,
    /// Counts uses; the lowest goes first.
    #[cbor(skip)]
    used: u64,
}

type Place = (ModelId, Hash);

/// The answers that are kept.
pub(crate) struct Cache {
    group: GroupId,
    entries: LiteMap<Place, Entry>,
    rows_max: usize,
    age_ms_max: u64,
    uses: u64,
    /// Counts how often the models of which something is kept changed.
    version: u64,
}

impl Cache {
    pub(crate) fn new(group: GroupId, rows_max: usize, age_ms_max: u64) -> Self {
        Self {
            group,
            entries: LiteMap::new(),
            rows_max,
            age_ms_max,
            uses: 0,
            version: 0,
        }
    }

    /// Whether anything may be kept.
    pub(crate) fn is_on(&self) -> bool {
        self.rows_max > 0
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The models of which something is kept, each with the coarsest precision of that.
    pub(crate) fn models(&self) -> LiteMap<ModelId, Precision> {
        let mut models: LiteMap<ModelId, Precision> = LiteMap::new();
        for ((model, _), entry) in &self.entries {
            for kept in &entry.rows {
                let coarsest = models.entry(*model).or_insert(kept.precision);
                *coarsest = (*coarsest).max(kept.precision);
            }
        }
        models
    }

    /// Takes back what [`keep`](Self::keep) wrote, and returns what is to be deleted of it: what is of another group, too old, too
    /// much, or cannot be read. It can be computed again.
    pub(crate) fn restore(&mut self, now: Timestamp, stored: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<Write> {
        let mut read: Vec<(Timestamp, Place, Entry)> = Vec::new();
        let mut writes = Vec::new();
        for (key, value) in stored {
            let entry: Option<Entry> = from_cbor(&value).ok();
            let newest = entry.as_ref().and_then(|entry| entry.rows.first().map(Kept::at));
            let is_fresh = newest.is_some_and(|at| now.ms_since(at) <= self.age_ms_max);
            match (self.place_of(&key), entry, newest) {
                (Some(place), Some(entry), Some(at)) if is_fresh => read.push((at, place, entry)),
                _ => writes.push(Write::Delete { key }),
            }
        }
        // When each was used last is not stored.
        read.sort_by_key(|(at, ..)| *at);
        for (_, place, entry) in read {
            self.uses += 1;
            self.entries.insert(
                place,
                Entry {
                    used: self.uses,
                    ..entry
                },
            );
        }
        writes.extend(self.make_room());
        writes
    }

    fn key_of(&self, (model, text): &Place) -> Vec<u8> {
        let parts: [&[u8]; 4] = [&[CACHE_PREFIX], self.group.as_bytes(), model.as_bytes(), &text.0];
        parts.concat()
    }

    fn place_of(&self, key: &[u8]) -> Option<Place> {
        let rest = key.get(1..)?.strip_prefix(self.group.as_bytes().as_slice())?;
        let (model, text) = rest.split_first_chunk()?;
        Some((ModelId(*model), Hash(text.try_into().ok()?)))
    }

    /// Lets those go that were not used for longest, until the others fit.
    fn make_room(&mut self) -> Vec<Write> {
        let mut writes = Vec::new();
        while self.entries.len() > self.rows_max {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(place) = oldest.map(|(place, _)| *place) else {
                break;
            };
            self.entries.remove(&place);
            writes.push(Write::Delete {
                key: self.key_of(&place),
            });
        }
        writes
    }

    /// Keeps rows that were proved, or are of this node's own result, and returns what is to be written. A signer's newer row takes the
    /// place of its older one.
    #[must_use = "what is not written is lost, or stays for ever"]
    pub(crate) fn keep(&mut self, origin: &Origin, scope: Scope, rows: Vec<(Hash, CachedRow)>) -> Vec<Write> {
        if !self.is_on() || !matches!(scope, Scope::Group | Scope::Anyone) {
            return Vec::new();
        }
        let before = self.models();
        let mut places: Vec<Place> = Vec::new();
        for (key, row) in rows {
            self.uses += 1;
            places.push((origin.model, key));
            let entry = self.entries.entry((origin.model, key)).or_default();
            entry.used = self.uses;
            entry.rows.retain(|kept| kept.row.signer != row.signer);
            let kept = Kept {
                computed_at: origin.computed_at,
                precision: origin.precision,
                row,
            };
            entry.rows.insert(0, kept);
            entry.rows.truncate(ANSWERS_MAX);
        }
        let mut writes = self.make_room();
        for place in places {
            // More rows than there is room for push each other out.
            if let Some(entry) = self.entries.get(&place) {
                writes.push(Write::Put {
                    key: self.key_of(&place),
                    value: to_cbor(entry),
                });
            }
        }
        self.version += u64::from(self.models() != before);
        writes
    }

    /// About how many bytes all of these texts' answers take on their way; `None` where one is not kept. Counts as a use, so that what
    /// was quoted for is not what goes next.
    pub(crate) fn holds(&mut self, model: &ModelId, keys: &[Hash], now: Timestamp) -> Option<u64> {
        let bytes = keys.iter().map(|key| {
            let kept = self.fresh(model, key, now)?;
            let bytes = kept.iter().map(|kept| PROOF_BYTES + 4 * kept.row.values.len());
            Some(bytes.sum::<usize>() as u64)
        });
        bytes.sum()
    }

    /// What is kept of these texts, all of them.
    pub(crate) fn answers(
        &mut self,
        model: &ModelId,
        keys: &[Hash],
        now: Timestamp,
    ) -> Option<Vec<CachedAnswer>> {
        let answers = keys.iter().map(|key| {
            let kept = self.fresh(model, key, now)?;
            Some(CachedAnswer {
                rows: kept.iter().map(|kept| kept.row.clone()).collect(),
            })
        });
        answers.collect()
    }

    /// What is kept of a text, at least one row. What has become too old is forgotten: a buyer would refuse the whole for it.
    fn fresh(&mut self, model: &ModelId, key: &Hash, now: Timestamp) -> Option<&[Kept]> {
        let age_ms_max = self.age_ms_max;
        self.uses += 1;
        let entry = self.entries.get_mut(&(*model, *key))?;
        entry.used = self.uses;
        entry.rows.retain(|kept| now.ms_since(kept.at()) <= age_ms_max);
        (!entry.rows.is_empty()).then_some(entry.rows.as_slice())
    }
}

#[cfg(test)]
mod tests;
