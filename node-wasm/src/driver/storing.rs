//! Storage in the node's service: others' blobs that this device keeps, and its own on their way to others and back.
//!
//! Others' blobs take a quarter of what the person lends of the disk, and no more than a quarter of what the device's class is meant to
//! use. One whose time is over stays a day longer, for a buyer that comes late, and goes then.

use std::collections::BTreeMap;
use std::rc::Rc;

use blob::{CHUNK_BYTES, Outline};
use futures::future::FutureExt as _;
use litemap::LiteMap;
use node_proto::capability::{PauseReason, can_provide};
use node_proto::ids::{ExchangeId, Hash, NodeId, WorkId};
use node_proto::io::{Command, Input};
use node_proto::service::{Failure, Service, StoreInfo};
use node_proto::storage::{Keep, StoredStep};
use node_proto::transfer::{BlobInput, BlobStep, HeldBy, Part};
use node_proto::verification::storage::{Question, answer};
use node_proto::work::WorkOutput;

use super::Driver;
use super::tasks::Done;
use crate::error::StorageError;
use crate::order::StorageReply;
use crate::platform;
use crate::store::StoreError;
use crate::store::blobs::{Blobs, Fact};

/// The part of the lent disk, and of the class's, that others' blobs may take: one in so many.
const QUOTA_DIVISOR: u64 = 4;
/// What is not paid for any more is kept so much longer.
const GRACE_MS: u64 = 24 * HOUR_MS;
const HOUR_MS: u64 = 3_600_000;

/// Blobs that are here, and on their way here.
#[derive(Default)]
pub(super) struct Storing {
    /// `None` until it was opened, and where the browser keeps nothing.
    blobs: Option<Rc<Blobs>>,
    facts: LiteMap<Hash, Fact>,
    coming: LiteMap<Hash, Coming>,
    /// What the core was told last.
    told: Option<StoreInfo>,
}

/// A blob on its way here.
struct Coming {
    chunks: BTreeMap<u32, Vec<u8>>,
    bytes: u32,
    /// Others who have it, if this one fails.
    others: Vec<NodeId>,
    keepings: Vec<Keeping>,
    replies: Vec<StorageReply<Vec<u8>>>,
}

/// A blob that was agreed to be kept.
pub(super) struct Keeping {
    pub(super) work: WorkId,
    /// It has the blob.
    pub(super) requester: NodeId,
    pub(super) blob: Hash,
    pub(super) bytes: u32,
    pub(super) hours: u32,
    pub(super) questions: Vec<Question>,
}

/// What became of a blob that was to be kept.
pub(super) struct KeptBlob {
    pub(super) work: WorkId,
    pub(super) blob: Hash,
    pub(super) result: Result<(Fact, Vec<Hash>), Failure>,
    pub(super) took_ms: u32,
}

impl Driver {
    /// Opens what is kept.
    pub(super) fn open_blobs(&mut self) {
        let Some(settings) = self.settings.clone() else {
            return;
        };
        self.tasks.push(
            async move {
                let opened = async {
                    let blobs = Blobs::open(settings.storage()).await?;
                    let facts = blobs.facts().await?;
                    Ok::<_, StoreError>((Rc::new(blobs), facts))
                };
                Done::Blobs(opened.await.ok())
            }
            .boxed_local(),
        );
    }

    pub(super) fn on_blobs(&mut self, opened: Option<(Rc<Blobs>, Vec<Fact>)>) {
        let Some((blobs, facts)) = opened else { return };
        self.storing.blobs = Some(blobs);
        self.storing.facts = facts.into_iter().map(|fact| (fact.blob, fact)).collect();
        self.tidy_blobs();
        self.tell_held();
    }

    /// Lets go of what nobody pays for any more, and tells the core what room is left.
    pub(super) fn tidy_blobs(&mut self) {
        if self.storing.blobs.is_none() {
            return;
        }
        let now = self.shared.clock.now();
        let is_over = |fact: &Fact| fact.until.plus_ms(GRACE_MS) <= now;
        let over: Vec<Hash> = self
            .storing
            .facts
            .values()
            .filter(|fact| is_over(fact))
            .map(|fact| fact.blob)
            .collect();
        for blob in over {
            self.remove_blob(blob);
        }
        let store = self.room().map(|free_bytes| StoreInfo { free_bytes });
        if store != self.storing.told {
            self.storing.told = store;
            self.command(Command::Store { store });
        }
    }

    /// What is left of the room for others' blobs; `None` where none is lent.
    fn room(&self) -> Option<u64> {
        let snapshot = self.shared.handle().snapshot();
        let policy = &snapshot.lending.policy;
        let tier = snapshot.tier.filter(|_| policy.enabled)?;
        // Whoever lends nothing that computes is told why, and lends no room alone.
        let computes_nothing = matches!(
            snapshot.lending.paused,
            Some(PauseReason::NoModel | PauseReason::TierTooLow)
        );
        if computes_nothing || !can_provide(tier, true).contains(&Service::Storage) {
            return None;
        }
        let budget = tier.budget();
        let quota = policy.storage_bytes.min(budget.footprint_bytes_max) / QUOTA_DIVISOR;
        let others = self.storing.facts.values().filter(|fact| !fact.own);
        let used: u64 = others.map(|fact| u64::from(fact.bytes)).sum();
        Some(quota.saturating_sub(used))
    }

    /// Others' blobs that are here, which whoever knows their name may have.
    pub(super) fn held_blobs(&self) -> impl Iterator<Item = Hash> + '_ {
        let others = self.storing.facts.values().filter(|fact| !fact.own);
        others.map(|fact| fact.blob)
    }

    /// Keeps a blob, which is fetched first where it is not here, and answers questions about it.
    pub(super) fn keep_for_another(&mut self, keeping: Keeping) {
        let (blob, bytes, requester) = (keeping.blob, keeping.bytes, keeping.requester);
        let is_here = self.storing.facts.get(&blob).is_some_and(|fact| !fact.own);
        if is_here {
            return self.answer_questions(keeping, None);
        }
        if self.storing.blobs.is_none() || self.room().is_none_or(|room| room < u64::from(bytes)) {
            return self.on_worked(keeping.work, Err(Failure::NoRoom), 0);
        }
        if let Some(coming) = self.storing.coming.get_mut(&blob) {
            return coming.keepings.push(keeping);
        }
        self.fetch_blob(blob, bytes, vec![requester], vec![keeping], Vec::new());
    }

    fn fetch_blob(
        &mut self,
        blob: Hash,
        bytes: u32,
        mut from: Vec<NodeId>,
        keepings: Vec<Keeping>,
        replies: Vec<StorageReply<Vec<u8>>>,
    ) {
        let Some(holder) = from.pop() else { return };
        let coming = Coming {
            chunks: BTreeMap::new(),
            bytes,
            others: from,
            keepings,
            replies,
        };
        self.storing.coming.insert(blob, coming);
        self.input(Input::Blob(BlobInput::Want {
            blob,
            bytes: bytes.into(),
            held_by: HeldBy::Peer(holder),
            outline: None,
            kept: Vec::new(),
            has_origin: false,
        }));
    }

    /// Takes a part of a blob that is on its way; gives it back if it is of anything else.
    pub(super) fn keep_blob_part(&mut self, blob: Hash, part: Part, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let Some(coming) = self.storing.coming.get_mut(&blob) else {
            return Some(bytes);
        };
        if let Part::Chunk(index) = part {
            coming.chunks.insert(index, bytes);
        }
        self.input(Input::Blob(BlobInput::Kept { blob, part }));
        None
    }

    /// A blob is here, or will not come. Returns whether it was one.
    pub(super) fn on_stored_blob(&mut self, blob: Hash, step: &BlobStep) -> bool {
        if !self.storing.coming.contains_key(&blob) {
            return false;
        }
        if matches!(step, BlobStep::Progress(_)) {
            return true;
        }
        let Some(coming) = self.storing.coming.remove(&blob) else {
            return true;
        };
        let Coming {
            chunks,
            bytes,
            others,
            keepings,
            replies,
        } = coming;
        if let BlobStep::Failed { reason } = step {
            if !others.is_empty() {
                self.fetch_blob(blob, bytes, others, keepings, replies);
                return true;
            }
            for keeping in keepings {
                self.on_worked(keeping.work, Err(Failure::NotHeld), 0);
            }
            for reply in replies {
                let _ = reply.send(Err(StorageError::NotThere(reason.clone())));
            }
            return true;
        }
        let content: Vec<u8> = chunks.into_values().flatten().collect();
        for reply in replies {
            let _ = reply.send(Ok(content.clone()));
        }
        let content: Rc<[u8]> = content.into();
        for keeping in keepings {
            self.answer_questions(keeping, Some(content.clone()));
        }
        true
    }

    /// Answers, once what is new is durable.
    fn answer_questions(&mut self, keeping: Keeping, new: Option<Rc<[u8]>>) {
        let Some(blobs) = self.storing.blobs.clone() else {
            return self.on_worked(keeping.work, Err(Failure::NoRoom), 0);
        };
        let now = self.shared.clock.now();
        let former = self.storing.facts.get(&keeping.blob).map(|fact| fact.until);
        let from = former.map_or(now, |until| until.max(now));
        let fact = Fact {
            blob: keeping.blob,
            bytes: keeping.bytes,
            until: from.plus_ms(u64::from(keeping.hours) * HOUR_MS),
            own: false,
        };
        self.tasks.push(
            async move {
                let started = platform::monotone_ms();
                let kept = async {
                    match new {
                        Some(content) => {
                            let answers = answers(&keeping.questions, &content)?;
                            blobs.put(&fact, &content).await.map_err(|_| Failure::NoRoom)?;
                            Ok((fact, answers))
                        }
                        None => {
                            let content = blobs.content(&keeping.blob).await.ok().flatten();
                            let content = content.ok_or(Failure::NotHeld)?;
                            let answers = answers(&keeping.questions, &content)?;
                            blobs.know(&fact).await.map_err(|_| Failure::NoRoom)?;
                            Ok((fact, answers))
                        }
                    }
                };
                Done::KeptBlob(KeptBlob {
                    work: keeping.work,
                    blob: keeping.blob,
                    result: kept.await,
                    took_ms: (platform::monotone_ms() - started) as u32,
                })
            }
            .boxed_local(),
        );
    }

    pub(super) fn on_kept_blob(&mut self, kept: KeptBlob) {
        if kept.result == Err(Failure::NotHeld) {
            // The disk lost it: there is nothing to be paid for, and somebody else keeps it from now on.
            self.remove_blob(kept.blob);
        }
        let result = kept.result.map(|(fact, answers)| {
            self.storing.facts.insert(fact.blob, fact);
            WorkOutput::Held { answers }
        });
        self.on_worked(kept.work, result, kept.took_ms);
        self.tidy_blobs();
        self.tell_held();
    }

    /// Reads a part of a blob that is here for whoever is to have it. Returns whether it is one.
    pub(super) fn read_blob_part(&mut self, exchange: ExchangeId, blob: Hash, part: Part) -> bool {
        let here = self
            .storing
            .blobs
            .clone()
            .filter(|_| self.storing.facts.contains_key(&blob));
        let Some(blobs) = here else { return false };
        self.tasks.push(
            async move {
                let content = blobs.content(&blob).await.ok().flatten();
                let bytes = content.and_then(|content| match part {
                    Part::Outline => Some(Outline::of(&content).ok()?.to_bytes()),
                    Part::Chunk(index) => {
                        let chunk = content.chunks(CHUNK_BYTES).nth(index as usize)?;
                        Some(chunk.to_vec())
                    }
                });
                Done::Blob(BlobInput::Read { exchange, bytes })
            }
            .boxed_local(),
        );
        true
    }

    /// Has an own blob kept by others; this device keeps it too, to give it to whoever is to have it.
    pub(super) fn keep_elsewhere(&mut self, keep: Keep, content: Vec<u8>, reply: StorageReply<()>) {
        let Some(blobs) = self.storing.blobs.clone() else {
            let _ = reply.send(Err(StorageError::Unsupported));
            return;
        };
        let fact = Fact {
            blob: keep.blob,
            bytes: keep.bytes,
            until: keep.until,
            own: true,
        };
        self.tasks.push(
            async move {
                let written = blobs.put(&fact, &content).await;
                Done::OwnBlob(fact, Box::new(keep), reply, written)
            }
            .boxed_local(),
        );
    }

    pub(super) fn on_own_blob(
        &mut self,
        fact: Fact,
        keep: Keep,
        reply: StorageReply<()>,
        written: Result<(), StoreError>,
    ) {
        let result = match written {
            Ok(()) => {
                self.storing.facts.insert(fact.blob, fact);
                self.command(Command::Keep(keep));
                Ok(())
            }
            Err(error) => Err(StorageError::Disk(error.to_string())),
        };
        let _ = reply.send(result);
    }

    /// An own blob is not kept by others any more: neither is it here.
    pub(super) fn forget_own(&mut self, blob: Hash) {
        if self.storing.facts.get(&blob).is_some_and(|fact| fact.own) {
            self.remove_blob(blob);
        }
    }

    fn remove_blob(&mut self, blob: Hash) {
        self.storing.facts.remove(&blob);
        let Some(blobs) = self.storing.blobs.clone() else {
            return;
        };
        self.tasks.push(
            async move {
                // What could not be removed is found at the next start.
                let _ = blobs.remove(&blob).await;
                Done::Kept
            }
            .boxed_local(),
        );
    }

    pub(super) fn on_stored_step(&mut self, blob: Hash, step: &StoredStep) {
        if *step == StoredStep::Ended {
            self.forget_own(blob);
        }
    }

    /// Brings a blob back from whoever keeps it: from those that are named, or that this node knows of, or from here.
    pub(super) fn retrieve(
        &mut self,
        blob: Hash,
        bytes: u32,
        from: Option<NodeId>,
        reply: StorageReply<Vec<u8>>,
    ) {
        if let Some(coming) = self.storing.coming.get_mut(&blob) {
            return coming.replies.push(reply);
        }
        let stored = self.shared.handle().snapshot().stored;
        let known = stored.iter().filter(|stored| stored.blob == blob);
        let known = known.flat_map(|stored| &stored.holders).map(|holder| holder.peer);
        let from: Vec<NodeId> = from.map_or_else(|| known.collect(), |peer| vec![peer]);
        if !from.is_empty() {
            return self.fetch_blob(blob, bytes, from, Vec::new(), vec![reply]);
        }
        let blobs = self.storing.blobs.clone();
        self.tasks.push(
            async move {
                let content = match blobs {
                    Some(blobs) => blobs.content(&blob).await.ok().flatten(),
                    None => None,
                };
                let nobody = || StorageError::NotThere("nobody is known to keep it".to_owned());
                let _ = reply.send(content.ok_or_else(nobody));
                Done::Kept
            }
            .boxed_local(),
        );
    }
}

fn answers(questions: &[Question], content: &[u8]) -> Result<Vec<Hash>, Failure> {
    let answers: Option<Vec<Hash>> = questions
        .iter()
        .map(|question| answer(question, content))
        .collect();
    answers.ok_or(Failure::NotHeld)
}
