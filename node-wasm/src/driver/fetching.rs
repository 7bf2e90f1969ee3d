//! Blobs that come from peers into this page's memory: modules to run, files to keep, files that come back.

use std::collections::BTreeMap;
use std::rc::Rc;

use node_proto::ids::{Hash, NodeId};
use node_proto::io::Input;
use node_proto::service::Failure;
use node_proto::transfer::{BlobInput, BlobStep, HeldBy, Part};

use super::Driver;
use super::computing::Runs;
use super::storing::Keeping;
use crate::error::StorageError;
use crate::order::StorageReply;

/// A blob on its way, and what waits for it.
pub(super) struct Coming {
    chunks: BTreeMap<u32, Vec<u8>>,
    bytes: u32,
    /// Others who have it, if this one fails.
    others: Vec<NodeId>,
    waiting: Vec<Wanted>,
}

/// What a blob is wanted for.
pub(super) enum Wanted {
    /// It is a module that is to run.
    Runs(Runs),
    /// It is to be kept.
    Keeping(Keeping),
    /// It comes back to whoever gave it away.
    Reply(StorageReply<Vec<u8>>),
}

impl Driver {
    /// Fetches a blob from the last of those who have it, or the others; one that is on its way already comes once.
    pub(super) fn fetch_blob(&mut self, blob: Hash, bytes: u32, from: Vec<NodeId>, wanted: Wanted) {
        match self.coming.get_mut(&blob) {
            Some(coming) => coming.waiting.push(wanted),
            None => self.fetch_from(blob, bytes, from, vec![wanted]),
        }
    }

    fn fetch_from(&mut self, blob: Hash, bytes: u32, mut from: Vec<NodeId>, waiting: Vec<Wanted>) {
        let Some(holder) = from.pop() else {
            return self.not_come(waiting, "nobody is known to have it");
        };
        let coming = Coming {
            chunks: BTreeMap::new(),
            bytes,
            others: from,
            waiting,
        };
        self.coming.insert(blob, coming);
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
    pub(super) fn keep_coming_part(&mut self, blob: Hash, part: Part, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let Some(coming) = self.coming.get_mut(&blob) else {
            return Some(bytes);
        };
        if let Part::Chunk(index) = part {
            coming.chunks.insert(index, bytes);
        }
        self.input(Input::Blob(BlobInput::Kept { blob, part }));
        None
    }

    /// A blob is here, or will not come. Returns whether it was one of these.
    pub(super) fn on_coming(&mut self, blob: Hash, step: &BlobStep) -> bool {
        if matches!(step, BlobStep::Progress(_)) {
            return self.coming.contains_key(&blob);
        }
        let Some(coming) = self.coming.remove(&blob) else {
            return false;
        };
        match step {
            BlobStep::Failed { .. } if !coming.others.is_empty() => {
                self.fetch_from(blob, coming.bytes, coming.others, coming.waiting);
            }
            BlobStep::Failed { reason } => self.not_come(coming.waiting, reason),
            BlobStep::Whole(_) | BlobStep::Progress(_) => {
                let content: Vec<u8> = coming.chunks.into_values().flatten().collect();
                self.came(&content.into(), coming.waiting);
            }
        }
        true
    }

    fn came(&mut self, content: &Rc<[u8]>, waiting: Vec<Wanted>) {
        for wanted in waiting {
            match wanted {
                Wanted::Runs(runs) => {
                    self.shared.modules.borrow_mut().hold(content);
                    self.run_module(runs, content.clone());
                }
                Wanted::Keeping(keeping) => self.answer_questions(keeping, Some(content.clone())),
                // Nobody may wait for it any more.
                Wanted::Reply(reply) => drop(reply.send(Ok(content.to_vec()))),
            }
        }
    }

    fn not_come(&mut self, waiting: Vec<Wanted>, reason: &str) {
        for wanted in waiting {
            match wanted {
                Wanted::Runs(runs) => {
                    let what = format!("the module did not come: {reason}");
                    self.on_worked(runs.work, Err(Failure::Engine { what }), 0);
                }
                Wanted::Keeping(keeping) => self.on_worked(keeping.work, Err(Failure::NotHeld), 0),
                Wanted::Reply(reply) => {
                    drop(reply.send(Err(StorageError::NotThere(reason.to_owned()))));
                }
            }
        }
    }
}
