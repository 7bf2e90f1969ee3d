//! Where a host keeps blobs, and the web server that they come from.

use std::collections::BTreeMap;

use blob::{CHUNK_BYTES, Outline};
use node_proto::{BlobInput, BlobOutput, BlobStep, Event, Hash, HeldBy, Input, Part, WorkId, WorkInput};

use super::{Arrival, World};

/// How long the web server takes for one part.
const ORIGIN_MS: u64 = 40;
const DISK_MS: u64 = 2;

/// What a web server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    #[default]
    Gives,
    /// What it gives has one wrong bit.
    Forges,
    /// It cannot be reached.
    Fails,
    /// It gives so many parts of each run and then breaks off.
    BreaksOffAfter(u32),
    /// It has never been heard of.
    None,
}

/// What a host has of blobs.
#[derive(Default)]
pub struct Shelf {
    /// Whole ones.
    pub whole: BTreeMap<Hash, Vec<u8>>,
    /// Parts that came.
    pub parts: BTreeMap<(Hash, Part), Vec<u8>>,
    /// What it gives to others has one wrong bit.
    pub forges: bool,
    /// Work that waits for a blob.
    pub waits: Option<(WorkId, WorkInput)>,
    /// Parts that others read.
    pub reads: usize,
}

impl World {
    /// Puts a blob at the web server, and tells its name.
    pub fn publish(&mut self, content: &[u8]) -> Hash {
        let blob = Hash(*blake3::hash(content).as_bytes());
        self.web.insert(blob, content.to_vec());
        blob
    }

    /// Puts a blob on a host, which gives it to others while it lends.
    pub fn hold(&mut self, host: usize, content: &[u8]) -> Hash {
        let blob = Hash(*blake3::hash(content).as_bytes());
        self.hosts[host].shelf.whole.insert(blob, content.to_vec());
        let held = self.hosts[host].shelf.whole.keys().copied().collect();
        self.input(host, Input::Blob(BlobInput::Held(held)));
        blob
    }

    /// Wants a blob of a host, beyond the parts that it has.
    pub fn want(&mut self, host: usize, blob: Hash, bytes: u64) {
        let parts = &self.hosts[host].shelf.parts;
        let outline = parts.get(&(blob, Part::Outline)).cloned();
        let kept = parts.keys().filter_map(|(of, part)| match part {
            Part::Chunk(index) if *of == blob => Some(*index),
            _ => None,
        });
        let want = BlobInput::Want {
            blob,
            bytes,
            held_by: HeldBy::ProvidersOf(super::MODEL),
            outline,
            kept: kept.collect(),
            has_origin: self.origin != Origin::None,
        };
        self.input(host, Input::Blob(want));
    }

    /// Runs until the blob is whole or given up.
    pub fn fetch(&mut self, host: usize, blob: Hash, bytes: u64) -> BlobStep {
        let before = self.hosts[host].events.len();
        self.want(host, blob, bytes);
        let limit = self.now + 600_000;
        loop {
            let ended = self.hosts[host].events[before..]
                .iter()
                .find_map(|event| match event {
                    Event::Blob { blob: of, step }
                        if *of == blob && !matches!(step, BlobStep::Progress(_)) =>
                    {
                        Some(step.clone())
                    }
                    _ => None,
                });
            if let Some(step) = ended {
                return step;
            }
            assert!(self.now < limit, "it never ends");
            self.run(1_000);
        }
    }

    /// The content, put together from what came.
    pub fn content(&self, host: usize, blob: Hash) -> Vec<u8> {
        let parts = self.hosts[host].shelf.parts.iter();
        let chunks = parts.filter(|((of, part), _)| *of == blob && *part != Part::Outline);
        chunks.flat_map(|(_, bytes)| bytes.iter().copied()).collect()
    }

    pub(super) fn carry_out_blob(&mut self, host: usize, output: BlobOutput) {
        match output {
            BlobOutput::Fetch { blob, part, count } => self.serve(host, blob, part, count),
            BlobOutput::Keep { blob, part, bytes } => {
                let former = self.hosts[host].shelf.parts.insert((blob, part), bytes);
                assert!(former.is_none(), "{part:?} is kept twice");
                self.tell(host, DISK_MS, BlobInput::Kept { blob, part });
            }
            BlobOutput::Read { exchange, blob, part } => {
                let shelf = &mut self.hosts[host].shelf;
                shelf.reads += 1;
                let content = shelf.whole.get(&blob);
                let bytes = content
                    .and_then(|content| part_of(content, part))
                    .map(|mut bytes| {
                        if shelf.forges
                            && let Some(last) = bytes.last_mut()
                        {
                            *last ^= 1;
                        }
                        bytes
                    });
                self.tell(host, DISK_MS, BlobInput::Read { exchange, bytes });
            }
        }
    }

    fn serve(&mut self, host: usize, blob: Hash, first: Part, count: u32) {
        let parts: Vec<Part> = match first {
            Part::Outline => vec![Part::Outline],
            Part::Chunk(index) => (index..index + count).map(Part::Chunk).collect(),
        };
        let (given, result) = match self.origin {
            Origin::Gives | Origin::Forges => (count, Ok(())),
            Origin::BreaksOffAfter(given) if given < count => (given, Err("it broke off".to_owned())),
            Origin::BreaksOffAfter(_) => (count, Ok(())),
            Origin::Fails | Origin::None => (0, Err("it cannot be reached".to_owned())),
        };
        let mut after = ORIGIN_MS;
        for part in parts.into_iter().take(given as usize) {
            let content = &self.web[&blob];
            let mut bytes = part_of(content, part).unwrap();
            if self.origin == Origin::Forges
                && let Some(last) = bytes.last_mut()
            {
                *last ^= 1;
            }
            self.tell(host, after, BlobInput::Fetched { blob, part, bytes });
            after += ORIGIN_MS;
        }
        let part = first;
        self.tell(host, after, BlobInput::FetchEnded { blob, part, result });
    }

    fn tell(&mut self, host: usize, after: u64, input: BlobInput) {
        self.later(after, Arrival::Input(host, Box::new(Input::Blob(input))));
    }
}

/// What stands at a place of a content.
pub fn part_of(content: &[u8], part: Part) -> Option<Vec<u8>> {
    match part {
        Part::Outline => Some(Outline::of(content).ok()?.to_bytes()),
        Part::Chunk(index) => content
            .chunks(CHUNK_BYTES)
            .nth(index as usize)
            .map(<[u8]>::to_vec),
    }
}
