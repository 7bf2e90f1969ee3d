//! Blobs that this node holds, given to others: free of charge, while lending, over direct connections, a few parts at a time.

use std::collections::BTreeSet;

use litemap::LiteMap;

use crate::ids::{ExchangeId, Hash, ModelId, NodeId, Timestamp};
use crate::io::{Output, Path};
use crate::node::Node;
use crate::service::Service;
use crate::transfer::{BlobOutput, Part};
use crate::wire::{Refusal, RefusalCode, Response};

/// Parts that are read at a time, for all peers together.
const READS_MAX: usize = 8;
/// For one peer.
const READS_PER_PEER_MAX: usize = 4;
/// A reading of which the shell says nothing is forgotten after this.
const READ_MS_MAX: u64 = 30_000;

/// What is held, and what is being read of it.
#[derive(Default)]
pub(super) struct Holding {
    blobs: BTreeSet<Hash>,
    reads: LiteMap<ExchangeId, (NodeId, Timestamp)>,
}

impl Holding {
    pub(super) fn has(&self, blob: &Hash) -> bool {
        self.blobs.contains(blob)
    }

    pub(super) fn set(&mut self, blobs: Vec<Hash>) {
        self.blobs = blobs.into_iter().collect();
    }
}

impl Node {
    /// Has a part read for a peer; the answer follows when it is.
    pub(super) fn give_part(
        &mut self,
        exchange: ExchangeId,
        peer: &NodeId,
        blob: Hash,
        chunk: Option<u32>,
    ) -> Result<(), Refusal> {
        // A module goes to whoever runs it for this node and a blob to whoever is to keep it, whether this node lends or not.
        if !self.buys_with(&blob, peer) {
            if !self.monitor.policy.enabled || self.paused().is_some() {
                return Err(Refusal::new(RefusalCode::Paused));
            }
            if !self.holding.blobs.contains(&blob) {
                return Err(Refusal::new(RefusalCode::NotHeld));
            }
        }
        if self.network.path(peer) != Some(Path::Direct) {
            let reason = "blobs are given over direct connections only";
            return Err(Refusal::because(RefusalCode::InvalidRequest, reason));
        }
        let now = self.now;
        let reads = &mut self.holding.reads;
        reads.retain(|_, (_, since)| now.ms_since(*since) < READ_MS_MAX);
        let theirs = reads.values().filter(|(reader, _)| reader == peer).count();
        if reads.len() >= READS_MAX || theirs >= READS_PER_PEER_MAX {
            return Err(Refusal::new(RefusalCode::Busy));
        }
        reads.insert(exchange, (*peer, now));
        let part = chunk.map_or(Part::Outline, Part::Chunk);
        let read = BlobOutput::Read { exchange, blob, part };
        self.outputs.push_back(Output::Blob(read));
        Ok(())
    }

    /// Whether a peer has agreed to run this module, or to keep this blob. Who has it already is asked whether it still has, and must not
    /// get it for the answer.
    fn buys_with(&self, blob: &Hash, peer: &NodeId) -> bool {
        let mut legs = self.jobs.values().flat_map(|job| job.legs());
        legs.any(|leg| {
            leg.provider == *peer
                && leg.terms.model == Some(ModelId(blob.0))
                && (leg.terms.service == Service::Computation as u8
                    || leg.terms.service == Service::Storage as u8 && !self.keeper.is_at(blob, peer))
        })
    }

    pub(super) fn part_read(&mut self, exchange: ExchangeId, bytes: Option<Vec<u8>>) {
        if self.holding.reads.remove(&exchange).is_none() {
            return;
        }
        match bytes {
            Some(bytes) => self.respond(exchange, &Response::Part(bytes)),
            None => self.refuse(exchange, &Refusal::new(RefusalCode::NotHeld)),
        }
    }
}
