//! Storage in the node's service: others' blobs that this device keeps, and its own on their way to others and back.
//!
//! Others' blobs take a quarter of what the person lends of the disk, and no more than a quarter of what the device's class is meant to
//! use. One whose time is over stays a day longer, for a buyer that comes late, and goes then.

use std::rc::Rc;

use futures::future::FutureExt as _;
use litemap::LiteMap;
use node_proto::capability::{PauseReason, can_provide};
use node_proto::ids::{ExchangeId, Hash, NodeId, WorkId};
use node_proto::io::{Command, Input};
use node_proto::service::{Failure, Service, StoreInfo};
use node_proto::storage::{Keep, StoredStep};
use node_proto::transfer::{BlobInput, Part};
use node_proto::verification::storage::{Question, answer};
use node_proto::work::WorkOutput;

use super::Driver;
use super::fetching::Wanted;
use super::tasks::Done;
use crate::error::StorageError;
use crate::modules::part_of;
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
    /// The one that was read last, until the next look at what is here.
    read: Option<(Hash, Rc<[u8]>)>,
    /// What the core was told last.
    told: Option<StoreInfo>,
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
        self.storing.read = None;
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
        self.fetch_blob(blob, bytes, vec![requester], Wanted::Keeping(keeping));
    }

    /// Answers, once what is new is durable.
    pub(super) fn answer_questions(&mut self, keeping: Keeping, new: Option<Rc<[u8]>>) {
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
                    let content = match &new {
                        Some(content) => content.clone(),
                        None => {
                            let content = blobs.content(&keeping.blob).await.ok().flatten();
                            content.ok_or(Failure::NotHeld)?.into()
                        }
                    };
                    let answers = answers(&keeping.questions, &content)?;
                    let written = match new {
                        Some(_) => blobs.put(&fact, &content).await,
                        None => blobs.know(&fact).await,
                    };
                    written.map_err(|_| Failure::NoRoom)?;
                    Ok((fact, answers))
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
        let is_here = self.storing.facts.contains_key(&blob);
        let Some(blobs) = self.storing.blobs.clone().filter(|_| is_here) else {
            return false;
        };
        if let Some((read, content)) = &self.storing.read
            && *read == blob
        {
            let bytes = part_of(content, part);
            self.input(Input::Blob(BlobInput::Read { exchange, bytes }));
            return true;
        }
        self.tasks.push(
            async move {
                let content = blobs.content(&blob).await.ok().flatten();
                Done::ReadBlob(exchange, blob, part, content.map(Rc::from))
            }
            .boxed_local(),
        );
        true
    }

    /// A blob was read. Whoever has one part of it wants the next ones, so it stays in memory for a moment.
    pub(super) fn on_read_blob(
        &mut self,
        exchange: ExchangeId,
        blob: Hash,
        part: Part,
        content: Option<Rc<[u8]>>,
    ) {
        let bytes = content.as_deref().and_then(|content| part_of(content, part));
        self.storing.read = content.map(|content| (blob, content));
        self.input(Input::Blob(BlobInput::Read { exchange, bytes }));
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
        let stored = self.shared.handle().snapshot().stored;
        let known = stored.iter().filter(|stored| stored.blob == blob);
        let known = known.flat_map(|stored| &stored.holders).map(|holder| holder.peer);
        let from: Vec<NodeId> = from.map_or_else(|| known.collect(), |peer| vec![peer]);
        if !from.is_empty() {
            return self.fetch_blob(blob, bytes, from, Wanted::Reply(reply));
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
