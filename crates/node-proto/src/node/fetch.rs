//! Blobs on their way here: from the web server behind this page, and from peers that hold them.
//!
//! Whoever offers a model has its files, so the holders of a model's files are found as its providers are. They are asked
//! over direct connections only: a relay's circuit is not for bulk.

use blob::OutlineError;

use crate::ids::{Hash, ModelId, NodeId, Timestamp};
use crate::io::{Output, Path};
use crate::node::Node;
use crate::node::network::Purpose;
use crate::reputation::Aspect;
use crate::service::{Failure, Service};
use crate::transfer::{Ask, BlobInput, BlobOutput, BlobStep, From, HeldBy, Part, Taken, Transfer};
use crate::view::Event;
use crate::wire::{Request, Response};

/// Peers of which one transfer hears at a time.
const HOLDERS_MAX: usize = 16;
/// Holders that are dialled while nobody who has it is connected.
const DIALLED_MAX: usize = 2;

impl Node {
    pub(super) fn blob_input(&mut self, input: BlobInput) {
        match input {
            BlobInput::Want {
                blob,
                bytes,
                held_by,
                outline,
                kept,
                has_origin,
            } => {
                let transfer = Transfer::new(blob.0, bytes, held_by, (outline, kept), has_origin);
                self.want(blob, transfer);
            }
            BlobInput::Forget { blob } => {
                self.transfers.remove(&blob);
            }
            BlobInput::Fetched { blob, part, bytes } => self.part_came(&blob, From::Origin, part, bytes),
            BlobInput::FetchEnded { blob, part, result } => {
                if let Some(transfer) = self.transfers.get_mut(&blob) {
                    transfer.fetch_ended(self.now, part, result);
                }
            }
            BlobInput::Kept { blob, part } => {
                if let Some(transfer) = self.transfers.get_mut(&blob) {
                    transfer.kept(part);
                    let step = BlobStep::Progress(transfer.progress());
                    self.event(Event::Blob { blob, step });
                }
            }
            BlobInput::Held(blobs) => self.holding.set(blobs),
            BlobInput::Read { exchange, bytes } => self.part_read(exchange, bytes),
        }
    }

    fn want(&mut self, blob: Hash, transfer: Result<Transfer, OutlineError>) {
        let failed = |reason: String| BlobStep::Failed { reason };
        let step = match transfer {
            Err(error) => failed(error.to_string()),
            Ok(_) if self.transfers.len() >= self.config.transfers_max => {
                failed("too many downloads at a time".to_owned())
            }
            Ok(transfer) => {
                self.transfers.insert(blob, transfer);
                return;
            }
        };
        self.event(Event::Blob { blob, step });
    }

    /// Asks for what is missing, and says what is whole or hopeless.
    pub(super) fn transfers_due(&mut self) {
        for blob in self.transfers.keys().copied().collect::<Vec<_>>() {
            let holders = self.holders(&blob);
            let Some(transfer) = self.transfers.get_mut(&blob) else {
                continue;
            };
            if transfer.is_whole() {
                let step = BlobStep::Whole(transfer.progress());
                self.transfers.remove(&blob);
                self.event(Event::Blob { blob, step });
                continue;
            }
            let asks = transfer.asks(self.now, &holders);
            if let Some(reason) = transfer.hopeless(self.now) {
                self.transfers.remove(&blob);
                let step = BlobStep::Failed { reason };
                self.event(Event::Blob { blob, step });
                continue;
            }
            for ask in asks {
                self.ask_for(blob, ask);
            }
        }
    }

    pub(super) fn transfers_timeout(&self) -> Option<Timestamp> {
        self.transfers.values().filter_map(Transfer::timeout).min()
    }

    fn ask_for(&mut self, blob: Hash, ask: Ask) {
        match ask {
            Ask::Origin { part, count } => {
                let fetch = BlobOutput::Fetch { blob, part, count };
                self.outputs.push_back(Output::Blob(fetch));
            }
            Ask::Peer { peer, part } => {
                let chunk = match part {
                    Part::Outline => None,
                    Part::Chunk(index) => Some(index),
                };
                let tag = self.tag(&peer);
                let request = Request::FetchPart { tag, blob, chunk };
                let purpose = Purpose::FetchPart { blob, part };
                self.request(peer, &request, purpose, self.config.part_timeout_ms);
            }
        }
    }

    /// A peer answered.
    pub(super) fn fetched_part(
        &mut self,
        blob: &Hash,
        part: Part,
        peer: &NodeId,
        result: Result<Response, Failure>,
    ) {
        let is_busy = result == Err(Failure::Busy);
        match result {
            Ok(Response::Part(bytes)) => self.part_came(blob, From::Peer(*peer), part, bytes),
            _ => {
                if let Some(transfer) = self.transfers.get_mut(blob) {
                    transfer.refused(self.now, peer, part, is_busy);
                }
            }
        }
    }

    fn part_came(&mut self, blob: &Hash, from: From, part: Part, bytes: Vec<u8>) {
        let Some(transfer) = self.transfers.get_mut(blob) else {
            return;
        };
        match (transfer.arrived(self.now, from, part, bytes), from) {
            (Taken::Keep(bytes), _) => {
                let keep = BlobOutput::Keep {
                    blob: *blob,
                    part,
                    bytes,
                };
                self.outputs.push_back(Output::Blob(keep));
            }
            (Taken::Wrong, From::Peer(peer)) => self.observe(&peer, Aspect::Quality, false, 1.0),
            (Taken::Wrong, From::Origin) | (Taken::Spare, _) => {}
        }
    }

    /// Who has it and can be asked now. While nobody can, some of those who have it are dialled.
    fn holders(&mut self, blob: &Hash) -> Vec<NodeId> {
        let model = match self.transfers.get(blob).map(|transfer| transfer.held_by) {
            None | Some(HeldBy::Nobody) => return Vec::new(),
            Some(HeldBy::Peer(peer)) => {
                let is_there = self.network.path(&peer) == Some(Path::Direct);
                return Vec::from_iter(is_there.then_some(peer));
            }
            Some(HeldBy::ProvidersOf(model)) => model,
        };
        let key = |peer: NodeId| (peer, Service::Inference as u8, Some(model));
        let connections = self.network.connections.iter();
        let holders: Vec<NodeId> = connections
            .filter(|(peer, connection)| {
                connection.path == Path::Direct
                    && !self.reputation.is_fraud(peer)
                    && self.network.offers.get(&key(**peer)).is_some()
            })
            .map(|(peer, _)| *peer)
            .take(HOLDERS_MAX)
            .collect();
        if holders.is_empty() {
            self.dial_holders(model);
        }
        holders
    }

    fn dial_holders(&mut self, model: ModelId) {
        let service = Service::Inference as u8;
        let drawn = self
            .network
            .offers
            .draw(&mut self.rng, service, Some(model), DIALLED_MAX);
        for peer in drawn {
            if !self.network.connections.contains_key(&peer) {
                self.dial(&peer);
            }
        }
    }
}
