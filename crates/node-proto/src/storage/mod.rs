//! Blobs that others keep for this node: who has them, until when that is paid, and when whom to ask next.
//!
//! ```text
//! wanted ─▶ placed at a provider: it fetches the blob from here, answers a question about it, and is paid for one slice of time
//!             │  near the slice's end: the next question, the next slice
//!             ├─ answers wrongly, or no longer has it ─▶ lost at once ─┐
//!             └─ cannot be asked until its slice is over ─▶ lost ──────┴▶ placed elsewhere
//! ```
//!
//! Every placing and every slice is a trade like any other, by one of the twelve services (storage); nothing is paid before a question about
//! a random block was answered (see [`verification::storage`](crate::verification::storage)). The questions are prepared by whoever has
//! the bytes, before the first is asked, and each is asked once; a provider that is asked whether it still has a blob does not get it from
//! here for the answer. What is kept should be encrypted by its owner: its name is told to everyone who is asked for a quote.
//!
//! **Bounds.** [`STORED_MAX`] blobs; [`COPIES_MAX`] providers of each; one trade at a time; a slice costs [`PRICE_FACTOR_MAX`] times the
//! holder's last one at most. Where the questions run out nothing more is
//! placed or paid, and [`StoredStep::OutOfQuestions`] says so. What is known of each blob lasts in the node's storage, under `s` ‖ name.

use std::cmp::Reverse;

use litemap::LiteMap;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::{Hash, JobId, Millicredits, NodeId, Timestamp};
use crate::io::Write;
use crate::service::{Failure, Requirements, Scope, ServiceRequest};
use crate::verification::storage::{Prepared, QUESTIONS_MAX, Questions};
use crate::wire::{WireError, bounded, from_cbor, to_cbor};
use crate::work::{STORED_BYTES_MAX, STORED_HOURS_MAX};

/// First byte of the key of what is known of a blob.
pub(crate) const STORED_PREFIX: u8 = b's';
/// Blobs that are kept by others.
pub const STORED_MAX: usize = 64;
/// Providers that keep the same blob.
pub const COPIES_MAX: u32 = 4;
/// The next slice is bought when so much of the last one is left: one part in so many.
const MARGIN_DIVISOR: u64 = 4;
/// A trade that failed is tried again after a part of the margin, one in so many, and no sooner than after [`PAUSE_MS_MIN`].
const PAUSE_DIVISOR: u64 = 8;
const PAUSE_MS_MIN: u64 = 5_000;
/// A slice costs so many times the holder's last one at most. Whoever has a blob is the only one who can prolong it, so without this it
/// could ask whatever the credit line gives; beyond it others are looked for when its slice is over.
const PRICE_FACTOR_MAX: i64 = 4;
/// While this node can make no request, it looks again after this, milliseconds.
const BUSY_MS: u64 = 1_000;
/// Who is to keep it is looked for again after this, milliseconds: somebody may come.
const PLACE_PAUSE_MS: u64 = 10_000;
/// How long a trade may take: a blob has to travel.
const DEADLINE_MS: u32 = 180_000;
const HOUR_MS: u64 = 3_600_000;

/// A blob that is to be kept by others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Keep {
    /// BLAKE3 of its bytes.
    pub blob: Hash,
    /// How many, at most [`STORED_BYTES_MAX`].
    pub bytes: u32,
    /// By how many providers, at most [`COPIES_MAX`].
    pub copies: u32,
    /// What is paid for at a time, hours, at most [`STORED_HOURS_MAX`].
    pub slice_hours: u32,
    /// Until when.
    pub until: Timestamp,
    /// Who may keep it.
    pub scope: Scope,
    /// The most that a slice may cost at one provider.
    pub price_max: Option<Millicredits>,
    /// One is asked for each slice at each provider. None keeps those that are there.
    pub questions: Questions,
}

/// A provider that keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Holder {
    /// Who.
    #[n(0)]
    pub peer: NodeId,
    /// Until when it is paid.
    #[n(1)]
    pub paid_until: Timestamp,
    /// What its last slice cost.
    #[n(2)]
    pub price: Millicredits,
}

/// What is known of a blob that others keep.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Stored {
    #[n(0)]
    bytes: u32,
    #[n(1)]
    copies: u32,
    #[n(2)]
    slice_hours: u32,
    #[n(3)]
    until: Timestamp,
    #[n(4)]
    scope: Scope,
    #[n(5)]
    price_max: Option<Millicredits>,
    #[n(6)]
    questions: Questions,
    #[cbor(n(7), decode_with = "bounded::vec::<{ COPIES_MAX as usize }, _, _>")]
    holders: Vec<Holder>,
    /// Not before this is anything tried again.
    #[n(8)]
    retry_at: Timestamp,
    #[cbor(skip)]
    failure: Option<Failure>,
    /// Who is to be asked now, whatever is paid.
    #[cbor(skip)]
    hurried: Vec<NodeId>,
    /// Who had it and lost it: others are preferred.
    #[cbor(skip)]
    lost_by: Vec<NodeId>,
}

/// One blob, for people and programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredView {
    /// Its name.
    pub blob: Hash,
    /// Its length.
    pub bytes: u32,
    /// How many providers should keep it.
    pub copies: u32,
    /// Until when.
    pub until: Timestamp,
    /// Who does, and until when that is paid.
    pub holders: Vec<Holder>,
    /// Questions that are left.
    pub questions: u32,
    /// Why the last attempt to place or prolong it failed; `None` after one that did not.
    pub failure: Option<Failure>,
}

/// What happens to a blob that others keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum StoredStep {
    /// Another provider has it.
    Placed {
        /// Who, and what its first slice cost.
        holder: Holder,
    },
    /// A provider showed that it still has it, and is paid for another slice.
    Prolonged {
        /// Who, and what the slice cost.
        holder: Holder,
    },
    /// An attempt failed; it is made again.
    Failed {
        /// Why.
        reason: Failure,
    },
    /// A provider has it no more, or cannot be asked.
    Lost {
        /// Who.
        peer: NodeId,
        /// What it did.
        reason: Failure,
    },
    /// No question is left to ask, so nothing more is placed or paid.
    OutOfQuestions,
    /// Its time is over; it is not looked after any more.
    Ended,
}

/// What the keeper is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UnderWay {
    blob: Hash,
    /// Who is asked whether it still has it; `None` while it is being placed.
    holder: Option<NodeId>,
    question: Prepared,
}

/// What is to be done next.
pub(crate) enum Next {
    /// Make this request.
    Ask(Box<ServiceRequest>, Box<Requirements>),
    /// Say this.
    Tell(Hash, StoredStep),
}

/// All blobs that others keep.
#[derive(Default)]
pub(crate) struct Keeper {
    stored: LiteMap<Hash, Stored>,
    under_way: Option<UnderWay>,
    not_before: Timestamp,
}

/// The name of the keeper's request.
pub(crate) const OWN: JobId = JobId(u64::MAX - 1);

impl Stored {
    fn has(&self, peer: &NodeId) -> bool {
        self.holders.iter().any(|holder| holder.peer == *peer)
    }

    fn slice_ms(&self) -> u64 {
        u64::from(self.slice_hours) * HOUR_MS
    }

    fn margin_ms(&self) -> u64 {
        self.slice_ms() / MARGIN_DIVISOR
    }

    fn pause_ms(&self) -> u64 {
        (self.margin_ms() / PAUSE_DIVISOR).max(PAUSE_MS_MIN)
    }

    /// Who is to be asked next: the one that is paid for the shortest time, or somebody new.
    fn due(&self) -> (Timestamp, Option<NodeId>) {
        if let Some(peer) = self.hurried.first() {
            return (Timestamp(0), Some(*peer));
        }
        if (self.holders.len() as u64) < u64::from(self.copies) {
            return (Timestamp(0), None);
        }
        let first = self.holders.iter().min_by_key(|holder| holder.paid_until);
        let ends = |holder: &Holder| holder.paid_until < self.until;
        match first.filter(|holder| ends(holder)) {
            Some(first) => (
                Timestamp(first.paid_until.0.saturating_sub(self.margin_ms())),
                Some(first.peer),
            ),
            None => (self.until, None),
        }
    }

    /// The most that the next slice may cost.
    fn price_max(&self, holder: Option<&NodeId>) -> Option<Millicredits> {
        let known = self.holders.iter().find(|known| Some(&known.peer) == holder);
        let usual = known.map(|known| Millicredits(known.price.0.max(1).saturating_mul(PRICE_FACTOR_MAX)));
        self.price_max.into_iter().chain(usual).min()
    }

    /// What an attempt that failed says of whoever keeps it. One that answers wrongly or has it no more is lost at once, so that it is
    /// replaced while others still have it; one that cannot be asked when what was paid is over.
    fn failed(&mut self, now: Timestamp, holder: Option<NodeId>, reason: Failure) -> StoredStep {
        let Some(peer) = holder else {
            return StoredStep::Failed { reason };
        };
        let has_lost_it = matches!(reason, Failure::WrongResult | Failure::NotHeld);
        let is_over = |holder: &Holder| holder.paid_until <= now.plus_ms(self.pause_ms());
        let known = self.holders.iter().find(|holder| holder.peer == peer);
        if !has_lost_it && !known.is_some_and(is_over) {
            return StoredStep::Failed { reason };
        }
        self.holders.retain(|holder| holder.peer != peer);
        self.retry_at = now;
        self.lost_by.push(peer);
        StoredStep::Lost { peer, reason }
    }

    fn next_at(&self) -> Timestamp {
        if self.questions.left() == 0 {
            return self.until;
        }
        self.due().0.max(self.retry_at).min(self.until)
    }
}

impl Keep {
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), Failure> {
        let what = match () {
            () if self.bytes == 0 || self.bytes > STORED_BYTES_MAX => {
                format!("what is kept has between 1 and {STORED_BYTES_MAX} bytes")
            }
            () if self.copies == 0 || self.copies > COPIES_MAX => {
                format!("between 1 and {COPIES_MAX} providers keep a blob")
            }
            () if self.slice_hours == 0 || self.slice_hours > STORED_HOURS_MAX => {
                format!("between 1 and {STORED_HOURS_MAX} hours are paid for at a time")
            }
            () if self.questions.left() > QUESTIONS_MAX => {
                format!("{QUESTIONS_MAX} questions are prepared for a blob at most")
            }
            () if !matches!(self.scope, Scope::Group | Scope::Anyone) => {
                "what stays on this device is kept by nobody else".to_owned()
            }
            () => return Ok(()),
        };
        Err(Failure::InvalidRequest { what })
    }
}

impl Keeper {
    /// Takes back what was written. What cannot be read is an error: somebody may be paid for it.
    pub(crate) fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), WireError> {
        let name = key.get(1..).and_then(|name| name.try_into().ok());
        let name = name.ok_or_else(|| WireError::Malformed("the key of a stored blob".to_owned()))?;
        self.stored.insert(Hash(name), from_cbor(value)?);
        Ok(())
    }

    /// Has a blob kept from now on, or differently.
    pub(crate) fn keep(&mut self, keep: Keep) -> Result<Vec<Write>, Failure> {
        keep.check()?;
        if self.stored.len() >= STORED_MAX && !self.stored.contains_key(&keep.blob) {
            return Err(Failure::InvalidRequest {
                what: format!("more than {STORED_MAX} blobs are kept by others already"),
            });
        }
        let former = self.stored.remove(&keep.blob);
        let (mut holders, former) =
            former.map_or_else(Default::default, |former| (former.holders, former.questions));
        // Of too many, those stay that are paid for longest.
        holders.sort_by_key(|holder| Reverse(holder.paid_until));
        holders.truncate(keep.copies as usize);
        let stored = Stored {
            bytes: keep.bytes,
            copies: keep.copies,
            slice_hours: keep.slice_hours,
            until: keep.until,
            scope: keep.scope,
            price_max: keep.price_max,
            questions: if keep.questions.left() > 0 {
                keep.questions
            } else {
                former
            },
            holders,
            retry_at: Timestamp(0),
            failure: None,
            hurried: Vec::new(),
            lost_by: Vec::new(),
        };
        self.stored.insert(keep.blob, stored);
        Ok(self.write(&keep.blob))
    }

    /// Has everyone who keeps a blob asked now whether they still do, and paid for one more slice.
    pub(crate) fn prolong(&mut self, blob: &Hash) {
        if let Some(stored) = self.stored.get_mut(blob) {
            stored.hurried = stored.holders.iter().map(|holder| holder.peer).collect();
            stored.retry_at = Timestamp(0);
        }
    }

    /// Forgets a blob; a trade about it that is under way ends as it will.
    pub(crate) fn release(&mut self, blob: &Hash) -> Vec<Write> {
        self.stored.remove(blob);
        vec![Write::Delete { key: key_of(blob) }]
    }

    fn write(&self, blob: &Hash) -> Vec<Write> {
        let put = |stored| Write::Put {
            key: key_of(blob),
            value: to_cbor(stored),
        };
        self.stored.get(blob).map(put).into_iter().collect()
    }

    /// Whether a request is one of these.
    pub(crate) fn is_own(&self, job: JobId) -> bool {
        job == OWN && self.under_way.is_some()
    }

    /// Whether somebody must not be given a blob, because it has it already, or has lost it and others were not asked yet.
    pub(crate) fn excludes(&self, job: JobId, peer: &NodeId) -> bool {
        let placing = self
            .under_way
            .filter(|under_way| self.is_own(job) && under_way.holder.is_none());
        let stored = placing.and_then(|placing| self.stored.get(&placing.blob));
        stored.is_some_and(|stored| stored.has(peer) || stored.lost_by.contains(peer))
    }

    /// Whether a peer has shown that it has a blob.
    pub(crate) fn is_at(&self, blob: &Hash, peer: &NodeId) -> bool {
        self.stored.get(blob).is_some_and(|stored| stored.has(peer))
    }

    /// When there is something to do.
    pub(crate) fn timeout(&self) -> Option<Timestamp> {
        Some(self.first()?.0.max(self.not_before))
    }

    /// This node can make no request at the moment.
    pub(crate) fn wait(&mut self, now: Timestamp) {
        self.not_before = now.plus_ms(BUSY_MS);
    }

    /// What is due first, and when.
    fn first(&self) -> Option<(Timestamp, Hash)> {
        let due = self.stored.iter().map(|(blob, stored)| (stored.next_at(), *blob));
        due.min().filter(|_| self.under_way.is_none())
    }

    /// The next thing that is due, with what is to be written.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<(Next, Vec<Write>)> {
        let (_, blob) = self.first().filter(|(at, _)| *at <= now)?;
        let stored = self.stored.get_mut(&blob)?;
        if now >= stored.until {
            let writes = self.release(&blob);
            return Some((Next::Tell(blob, StoredStep::Ended), writes));
        }
        let (_, holder) = stored.due();
        let question = stored.questions.take()?;
        let request = ServiceRequest::Storage {
            blob,
            bytes: stored.bytes,
            hours: stored.slice_hours,
            questions: vec![question],
        };
        let requirements = Requirements {
            deadline_ms: DEADLINE_MS,
            price_max: stored.price_max(holder.as_ref()),
            scope: stored.scope,
            provider: holder,
            ..Requirements::default()
        };
        self.under_way = Some(UnderWay {
            blob,
            holder,
            question,
        });
        let writes = self.write(&blob);
        Some((Next::Ask(Box::new(request), Box::new(requirements)), writes))
    }

    /// A request of these ended: with who answered rightly and what it cost, or without. `heard`: somebody was sent the question.
    pub(crate) fn ended(
        &mut self,
        now: Timestamp,
        end: Result<(NodeId, Millicredits), Failure>,
        heard: bool,
    ) -> (Vec<(Hash, StoredStep)>, Vec<Write>) {
        let Some(UnderWay {
            blob,
            holder,
            question,
        }) = self.under_way.take()
        else {
            return Default::default();
        };
        let Some(stored) = self.stored.get_mut(&blob) else {
            return Default::default();
        };
        stored.hurried.retain(|peer| Some(*peer) != holder);
        let mut steps = Vec::new();
        match end {
            Ok((peer, price)) => {
                let slice_ms = stored.slice_ms();
                let former = stored.holders.iter().find(|holder| holder.peer == peer);
                let from = former.map_or(now, |former| former.paid_until.max(now));
                let paid = Holder {
                    peer,
                    paid_until: from.plus_ms(slice_ms),
                    price,
                };
                let is_new = former.is_none();
                stored.holders.retain(|holder| holder.peer != peer);
                stored.holders.push(paid);
                stored.failure = None;
                steps.push(match is_new {
                    true => StoredStep::Placed { holder: paid },
                    false => StoredStep::Prolonged { holder: paid },
                });
            }
            Err(reason) => {
                if !heard {
                    stored.questions.put_back(question);
                    // There is nobody else: better one that loses things than none.
                    stored.lost_by.clear();
                }
                let pause_ms = stored.pause_ms();
                stored.retry_at = now.plus_ms(match holder {
                    Some(_) => pause_ms,
                    None => pause_ms.min(PLACE_PAUSE_MS),
                });
                stored.failure = Some(reason.clone());
                steps.push(stored.failed(now, holder, reason));
            }
        }
        if stored.questions.left() == 0 {
            steps.push(StoredStep::OutOfQuestions);
        }
        let writes = self.write(&blob);
        (steps.into_iter().map(|step| (blob, step)).collect(), writes)
    }

    /// All of them.
    pub(crate) fn views(&self) -> Vec<StoredView> {
        let view = |(blob, stored): (&Hash, &Stored)| StoredView {
            blob: *blob,
            bytes: stored.bytes,
            copies: stored.copies,
            until: stored.until,
            holders: stored.holders.clone(),
            questions: u32::try_from(stored.questions.left()).unwrap_or(u32::MAX),
            failure: stored.failure.clone(),
        };
        self.stored.iter().map(view).collect()
    }
}

fn key_of(blob: &Hash) -> Vec<u8> {
    [&[STORED_PREFIX], blob.0.as_slice()].concat()
}

#[cfg(test)]
mod tests;
