//! Blobs on their way here: which chunk is asked of whom, and what is believed.
//!
//! A blob ([`blob`]) may come from its *origin*, the web server that this page came from, and from peers that hold it. The
//! origin gives the chunks in order, in runs, from the front; peers give single ones from the back, so that the two meet and
//! nothing comes twice. When all that is missing has been asked for, whoever is idle is asked for the same again, so that
//! the last chunks do not wait for the slowest.
//!
//! Nothing is kept unless the blob's outline, which its name proves, accepts it. A peer that gives anything else is asked no
//! more; so is one that fails [`PEER_FAILURES_MAX`] times. The origin is tried again after growing pauses.
//!
//! The shell does what [`BlobOutput`] says and reports by [`BlobInput`]; chunks from peers come as frames like everything else.

mod sources;

use ::blob::{Name, Outline, chunk_count};

use crate::ids::{ExchangeId, Hash, ModelId, NodeId, Timestamp};
use sources::{Holders, Origin};

/// Chunks that are asked for, or here and not yet kept: 16 MiB.
pub(crate) const WINDOW_CHUNKS: usize = 64;
/// Chunks of one run of the origin: 8 MiB, so that small files come in one piece, which a server may have compressed.
pub(crate) const RUN_CHUNKS: u32 = 32;
/// Runs that the origin is asked for at a time.
const RUNS_MAX: usize = 2;
/// Chunks that one peer is asked for at a time.
const PEER_CHUNKS_MAX: usize = 2;
/// Peers that are asked at a time.
const PEERS_MAX: usize = 4;
/// Failures after which a peer is asked no more.
const PEER_FAILURES_MAX: u32 = 3;
/// Failures in a row after which the origin is asked no more.
const ORIGIN_FAILURES_MAX: u32 = 5;
/// How long a peer that said "busy" is left alone, and the origin's first pause.
const PAUSE_MS: u64 = 1_000;
/// How long the shell may be silent about the origin.
const SILENCE_MS: u64 = 60_000;
/// How long peers are waited for when there is nobody to ask.
const NOBODY_MS: u64 = 20_000;

/// A piece of what a blob's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The values of its chunks.
    Outline,
    /// One chunk.
    Chunk(u32),
}

/// Which peers have a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// None that is known.
    Nobody,
    /// Whoever offers this model.
    ProvidersOf(ModelId),
    /// This one.
    Peer(NodeId),
}

/// What the shell tells of blobs.
#[derive(Clone, Debug)]
pub enum BlobInput {
    /// A blob is to be fetched.
    Want {
        /// Its name.
        blob: Hash,
        /// Its exact length.
        bytes: u64,
        /// Which peers have it.
        held_by: HeldBy,
        /// Its outline, if it was kept.
        outline: Option<Vec<u8>>,
        /// Chunks that were kept.
        kept: Vec<u32>,
        /// Whether there is a web server to ask.
        has_origin: bool,
    },
    /// It is not wanted any more.
    Forget {
        /// Its name.
        blob: Hash,
    },
    /// The origin gave something.
    Fetched {
        /// Of which blob.
        blob: Hash,
        /// Which part.
        part: Part,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The origin has given all that it will give of one [`BlobOutput::Fetch`].
    FetchEnded {
        /// Of which blob.
        blob: Hash,
        /// The first part that was asked for.
        part: Part,
        /// Why it was not all, if it was not.
        result: Result<(), String>,
    },
    /// A part is where the shell keeps it.
    Kept {
        /// Of which blob.
        blob: Hash,
        /// Which one.
        part: Part,
    },
    /// Blobs that this device has and may give to others; replaces the former list.
    Held(Vec<Hash>),
    /// The answer to [`BlobOutput::Read`].
    Read {
        /// The exchange that waits for it.
        exchange: ExchangeId,
        /// The bytes; `None` if they are not there.
        bytes: Option<Vec<u8>>,
    },
}

/// What is to be done about blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobOutput {
    /// Ask the origin, then report each part with [`BlobInput::Fetched`] and the end with [`BlobInput::FetchEnded`].
    Fetch {
        /// Of which blob.
        blob: Hash,
        /// Which part, or the first of several chunks.
        part: Part,
        /// How many chunks.
        count: u32,
    },
    /// Keep a part, then report [`BlobInput::Kept`].
    Keep {
        /// Of which blob.
        blob: Hash,
        /// Which one.
        part: Part,
        /// What it is. It was checked.
        bytes: Vec<u8>,
    },
    /// Read a part for somebody, then report [`BlobInput::Read`].
    Read {
        /// Who waits for it.
        exchange: ExchangeId,
        /// Of which blob.
        blob: Hash,
        /// Which one.
        part: Part,
    },
}

/// How a blob comes along.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum BlobStep {
    /// More of it is here.
    Progress(Progress),
    /// All of it is kept.
    Whole(Progress),
    /// It cannot be had now. What was kept is not asked for again.
    Failed {
        /// For people.
        reason: String,
    },
}

/// How much of a blob is here, and whence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Bytes that are kept.
    pub bytes: u64,
    /// Its length.
    pub total: u64,
    /// Bytes that the origin gave since the blob was asked for.
    pub from_origin: u64,
    /// Bytes that peers gave.
    pub from_peers: u64,
}

/// Whom to ask for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Origin { part: Part, count: u32 },
    Peer { peer: NodeId, part: Part },
}

/// Who gave something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Origin,
    Peer(NodeId),
}

/// What became of something that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is to be kept.
    Keep(Vec<u8>),
    /// It was here already, or nobody asked for it.
    Spare,
    /// It is not what it should be.
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// Asked for so many times at this moment.
    Missing(u8),
    Unkept,
    Kept,
}

/// One blob on its way.
pub(crate) struct Transfer {
    name: Name,
    bytes: u64,
    pub(crate) held_by: HeldBy,
    outline: Option<Outline>,
    chunks: Vec<Chunk>,
    /// Chunks that are not kept.
    left: usize,
    origin: Origin,
    holders: Holders,
    from_origin: u64,
    from_peers: u64,
    /// When to give up, while there is nobody to ask.
    given_up_at: Option<Timestamp>,
}

impl Transfer {
    /// What was kept of the blob need not come again. An outline that is not the blob's counts as none, and then what was
    /// kept without it counts as nothing.
    pub(crate) fn new(
        name: Name,
        bytes: u64,
        held_by: HeldBy,
        kept: (Option<Vec<u8>>, Vec<u32>),
        has_origin: bool,
    ) -> Result<Self, ::blob::OutlineError> {
        let (outline, kept) = kept;
        let read = outline.and_then(|outline| Outline::verify(name, bytes, &outline).ok());
        // One chunk needs no outline, and tells whether the length can be one at all.
        let outline = match Outline::verify(name, bytes, &[]) {
            Ok(outline) => Some(outline),
            Err(::blob::OutlineError::Length { .. }) => read,
            Err(error) => return Err(error),
        };
        let count = usize::try_from(chunk_count(bytes)).unwrap_or_default();
        let mut chunks = vec![Chunk::Missing(0); count];
        if outline.is_some() {
            for index in kept {
                if let Some(chunk) = chunks.get_mut(index as usize) {
                    *chunk = Chunk::Kept;
                }
            }
        }
        let left = chunks.iter().filter(|chunk| **chunk != Chunk::Kept).count();
        Ok(Self {
            name,
            bytes,
            held_by,
            outline,
            chunks,
            left,
            origin: Origin::new(has_origin),
            holders: Holders::default(),
            from_origin: 0,
            from_peers: 0,
            given_up_at: None,
        })
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.left == 0 && self.outline.is_some()
    }

    pub(crate) fn progress(&self) -> Progress {
        let kept = (0..)
            .zip(&self.chunks)
            .filter(|(_, chunk)| **chunk == Chunk::Kept);
        let bytes = kept.map(|(index, _)| self.length(index)).sum();
        Progress {
            bytes,
            total: self.bytes,
            from_origin: self.from_origin,
            from_peers: self.from_peers,
        }
    }

    /// Whom to ask now. `peers` hold the blob and can be asked.
    pub(crate) fn asks(&mut self, now: Timestamp, peers: &[NodeId]) -> Vec<Ask> {
        let lost = self.origin.fall_silent(now);
        self.lose(lost);
        self.origin.rest(now);
        self.holders.meet(now, peers);
        let asks = match self.outline {
            None => self.ask_for_outline(now).into_iter().collect(),
            Some(_) => self.ask_for_chunks(now),
        };
        let waits =
            !asks.is_empty() || self.origin.is_asked() || self.holders.are_asked() || self.unkept() > 0;
        let hopes = waits || self.origin.pause_ends().or(self.holders.pause_ends()).is_some();
        self.given_up_at = match hopes {
            true => None,
            false => self.given_up_at.or(Some(now.plus_ms(NOBODY_MS))),
        };
        asks
    }

    /// Why nothing more can be hoped for.
    pub(crate) fn hopeless(&self, now: Timestamp) -> Option<String> {
        let given_up = self.given_up_at.is_some_and(|at| at <= now);
        given_up.then(|| match self.origin.last_failure() {
            Some(reason) => {
                format!("the relay did not give it ({reason}), and no peer that has it can be reached")
            }
            None => "no peer that has it can be reached".to_owned(),
        })
    }

    /// When [`asks`](Self::asks) and [`hopeless`](Self::hopeless) may have something new to say.
    pub(crate) fn timeout(&self) -> Option<Timestamp> {
        let times = [self.origin.timeout(), self.holders.pause_ends(), self.given_up_at];
        times.into_iter().flatten().min()
    }

    /// Somebody gave something.
    pub(crate) fn arrived(&mut self, now: Timestamp, from: From, part: Part, bytes: Vec<u8>) -> Taken {
        self.answered(now, from, part);
        let taken = match part {
            Part::Outline => self.take_outline(bytes),
            Part::Chunk(index) => self.take_chunk(from, index, bytes),
        };
        match (&taken, from) {
            (Taken::Wrong, From::Origin) => {
                let lost = self.origin.exclude("what it gave is damaged or forged");
                self.lose(lost);
            }
            (Taken::Wrong, From::Peer(peer)) => {
                let lost = self.holders.exclude(&peer);
                self.lose(lost);
            }
            (Taken::Keep(_) | Taken::Spare, From::Origin) => self.origin.did_well(),
            (Taken::Keep(_) | Taken::Spare, From::Peer(_)) => {}
        }
        taken
    }

    /// The origin has given what it will give from this part on.
    pub(crate) fn fetch_ended(&mut self, now: Timestamp, part: Part, result: Result<(), String>) {
        let lost = self.origin.ended(now, part, result);
        self.lose(lost);
    }

    /// A peer did not give a part. `is_busy` says that it will later.
    pub(crate) fn refused(&mut self, now: Timestamp, peer: &NodeId, part: Part, is_busy: bool) {
        self.answered(now, From::Peer(*peer), part);
        self.holders.failed(now, peer, is_busy);
    }

    /// The shell keeps it.
    pub(crate) fn kept(&mut self, part: Part) {
        let Part::Chunk(index) = part else { return };
        if let Some(chunk) = self.chunks.get_mut(index as usize)
            && *chunk == Chunk::Unkept
        {
            *chunk = Chunk::Kept;
            self.left -= 1;
        }
    }

    fn take_outline(&mut self, bytes: Vec<u8>) -> Taken {
        if self.outline.is_some() {
            return Taken::Spare;
        }
        match Outline::verify(self.name, self.bytes, &bytes) {
            Ok(outline) => {
                self.outline = Some(outline);
                Taken::Keep(bytes)
            }
            Err(_) => Taken::Wrong,
        }
    }

    fn take_chunk(&mut self, from: From, index: u32, bytes: Vec<u8>) -> Taken {
        let (Some(outline), Some(chunk)) = (&self.outline, self.chunks.get_mut(index as usize)) else {
            return Taken::Spare;
        };
        if !matches!(chunk, Chunk::Missing(_)) {
            return Taken::Spare;
        }
        if !outline.accepts(index, &bytes) {
            return Taken::Wrong;
        }
        *chunk = Chunk::Unkept;
        let length = bytes.len() as u64;
        match from {
            From::Origin => self.from_origin += length,
            From::Peer(_) => self.from_peers += length,
        }
        Taken::Keep(bytes)
    }

    /// One question less is open.
    fn answered(&mut self, now: Timestamp, from: From, part: Part) {
        let was_asked = match from {
            From::Origin => self.origin.gave(now, part),
            From::Peer(peer) => self.holders.gave(&peer, part),
        };
        if let (true, Part::Chunk(index)) = (was_asked, part) {
            self.lose([index]);
        }
    }

    /// Questions for these chunks will not be answered any more.
    fn lose(&mut self, indices: impl IntoIterator<Item = u32>) {
        for index in indices {
            if let Some(Chunk::Missing(asked)) = self.chunks.get_mut(index as usize) {
                *asked = asked.saturating_sub(1);
            }
        }
    }

    fn ask_for_outline(&mut self, now: Timestamp) -> Option<Ask> {
        if self.origin.is_asked() || self.holders.are_asked() {
            return None;
        }
        let part = Part::Outline;
        if self.origin.is_ready() {
            self.origin.ask(now, part, 1);
            return Some(Ask::Origin { part, count: 1 });
        }
        let peer = self.holders.ready().next()?;
        self.holders.ask(peer, part);
        Some(Ask::Peer { peer, part })
    }

    fn ask_for_chunks(&mut self, now: Timestamp) -> Vec<Ask> {
        let mut asks = Vec::new();
        let asked = |chunk: &&Chunk| matches!(chunk, Chunk::Missing(1..) | Chunk::Unkept);
        let mut room = WINDOW_CHUNKS.saturating_sub(self.chunks.iter().filter(asked).count());
        let peers: Vec<NodeId> = self.holders.ready().take(PEERS_MAX).collect();
        for peer in peers {
            while room > 0 && self.holders.has_room(&peer) {
                let Some(index) = self.chunk_for(&peer) else { break };
                let part = Part::Chunk(index);
                self.holders.ask(peer, part);
                self.note_asked(index, 1);
                asks.push(Ask::Peer { peer, part });
                room -= 1;
            }
        }
        while room > 0 && self.origin.is_ready() {
            let Some((first, count)) = self.run(room) else {
                break;
            };
            let part = Part::Chunk(first);
            self.origin.ask(now, part, count);
            self.note_asked(first, count);
            asks.push(Ask::Origin { part, count });
            room = room.saturating_sub(count as usize);
        }
        asks
    }

    /// The last chunk that nobody was asked for; if there is none, the last that one other was asked for.
    fn chunk_for(&self, peer: &NodeId) -> Option<u32> {
        let last = |asked: u8| {
            let mut places = (0..self.chunks.len()).rev();
            let place = places.find(|place| {
                let index = u32::try_from(*place).unwrap_or(u32::MAX);
                self.chunks[*place] == Chunk::Missing(asked)
                    && !self.holders.is_asked_for(peer, Part::Chunk(index))
            });
            place.and_then(|place| u32::try_from(place).ok())
        };
        last(0).or_else(|| last(1))
    }

    /// The next run of the origin: from the first chunk that nobody was asked for. When there is none, and it is idle, the
    /// first that a peer was asked for.
    fn run(&self, room: usize) -> Option<(u32, u32)> {
        let position = |wanted: Chunk| self.chunks.iter().position(|chunk| *chunk == wanted);
        let (first, longest) = match position(Chunk::Missing(0)) {
            Some(first) => (first, room.min(RUN_CHUNKS as usize)),
            None if !self.origin.is_asked() => (position(Chunk::Missing(1))?, 1),
            None => return None,
        };
        let wanted = self.chunks[first];
        let run = self.chunks[first..].iter().take(longest);
        let count = run.take_while(|chunk| **chunk == wanted).count();
        // At most 4,096 chunks.
        Some((u32::try_from(first).ok()?, u32::try_from(count).ok()?))
    }

    fn note_asked(&mut self, first: u32, count: u32) {
        for index in first..first.saturating_add(count) {
            if let Some(Chunk::Missing(asked)) = self.chunks.get_mut(index as usize) {
                *asked = asked.saturating_add(1);
            }
        }
    }

    fn unkept(&self) -> usize {
        self.chunks
            .iter()
            .filter(|chunk| **chunk == Chunk::Unkept)
            .count()
    }

    fn length(&self, index: u32) -> u64 {
        ::blob::chunk_length(self.bytes, index) as u64
    }
}

#[cfg(test)]
mod tests;
