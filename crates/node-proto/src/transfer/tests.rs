//! Any mix of sources that work, fail, lie and fall silent: a transfer stays within its window, keeps nothing twice and, where
//! one source is honest, ends.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use ::blob::CHUNK_BYTES;

use super::*;
use crate::rng::Rng;

/// How often of eight times a source gives what it was asked for; else it fails, and a liar lies.
#[derive(Clone, Copy, Debug)]
struct Conduct {
    gives: usize,
    lies: bool,
    silent: bool,
}

const HONEST: Conduct = Conduct {
    gives: 8,
    lies: false,
    silent: false,
};

fn content(chunks: usize) -> Vec<u8> {
    let bytes = chunks * CHUNK_BYTES - 3;
    (0..bytes).map(|place| (place / 1_000) as u8).collect()
}

struct Run {
    content: Vec<u8>,
    outline: Vec<u8>,
    transfer: Transfer,
    rng: Rng,
    now: Timestamp,
    kept: Vec<Part>,
}

impl Run {
    fn new(seed: u64, chunks: usize, has_origin: bool) -> Self {
        let content = content(chunks);
        let outline = Outline::of(&content).unwrap();
        let bytes = content.len() as u64;
        let transfer = Transfer::new(
            *outline.name(),
            bytes,
            HeldBy::Nobody,
            (None, Vec::new()),
            has_origin,
        )
        .unwrap();
        Self {
            outline: outline.to_bytes(),
            content,
            transfer,
            rng: Rng::new(seed, &NodeId([0; 32])),
            now: Timestamp(1),
            kept: Vec::new(),
        }
    }

    fn part(&self, part: Part) -> Vec<u8> {
        match part {
            Part::Outline => self.outline.clone(),
            Part::Chunk(index) => self
                .content
                .chunks(CHUNK_BYTES)
                .nth(index as usize)
                .unwrap()
                .to_vec(),
        }
    }

    fn comes(&mut self, from: From, part: Part, lies: bool) {
        let mut bytes = self.part(part);
        if lies {
            bytes[0] ^= 1;
        }
        match self.transfer.arrived(self.now, from, part, bytes) {
            Taken::Keep(bytes) => {
                assert!(!lies, "a lie was believed");
                assert_eq!(bytes, self.part(part));
                assert!(!self.kept.contains(&part), "{part:?} is kept twice");
                self.kept.push(part);
                self.transfer.kept(part);
            }
            Taken::Spare => {}
            Taken::Wrong => assert!(lies, "the truth was not believed"),
        }
    }

    /// Runs to the end; whether it is whole.
    fn end(&mut self, origin: Conduct, peers: &[(NodeId, Conduct)]) -> bool {
        let here: Vec<NodeId> = peers.iter().map(|(peer, _)| *peer).collect();
        let mut open: Vec<Ask> = Vec::new();
        for _ in 0..100_000 {
            if self.transfer.is_whole() {
                return true;
            }
            open.extend(self.transfer.asks(self.now, &here));
            let asked: usize = open
                .iter()
                .map(|ask| match ask {
                    Ask::Origin { count, .. } => *count as usize,
                    Ask::Peer { .. } => 1,
                })
                .sum();
            // Each chunk may be asked for twice at the end.
            assert!(asked <= 2 * WINDOW_CHUNKS, "{asked} chunks are asked for");
            if self.transfer.hopeless(self.now).is_some() {
                return false;
            }
            if open.is_empty() {
                let at = self.transfer.timeout().expect("it waits for something");
                assert!(at > self.now, "a time that never passes");
                self.now = at;
                continue;
            }
            let ask = open.swap_remove(self.rng.below(open.len()));
            self.now = self.now.plus_ms(1 + self.rng.below(50) as u64);
            self.answer(ask, origin, peers);
        }
        panic!("it never ends");
    }

    fn answer(&mut self, ask: Ask, origin: Conduct, peers: &[(NodeId, Conduct)]) {
        match ask {
            Ask::Origin { .. } if origin.silent => {}
            Ask::Origin { part, count } => {
                let parts = match part {
                    Part::Outline => vec![part],
                    Part::Chunk(first) => (first..first + count).map(Part::Chunk).collect(),
                };
                for part in parts {
                    if self.rng.below(8) >= origin.gives {
                        break;
                    }
                    self.comes(From::Origin, part, origin.lies);
                }
                let result = match self.rng.below(8) < origin.gives {
                    true => Ok(()),
                    false => Err("it broke off".to_owned()),
                };
                self.transfer.fetch_ended(self.now, part, result);
            }
            Ask::Peer { peer, part } => {
                let (_, conduct) = peers.iter().find(|(other, _)| *other == peer).unwrap();
                if conduct.silent || self.rng.below(8) >= conduct.gives {
                    // The core's exchanges run out by themselves.
                    let is_busy = self.rng.below(3) == 0;
                    self.transfer.refused(self.now, &peer, part, is_busy);
                } else {
                    self.comes(From::Peer(peer), part, conduct.lies);
                }
            }
        }
    }
}

#[test]
fn one_honest_source_is_enough() {
    for seed in 0..48 {
        let mut rng = Rng::new(seed, &NodeId([9; 32]));
        let mut any = || Conduct {
            gives: rng.below(9),
            lies: rng.below(2) == 0,
            silent: rng.below(4) == 0,
        };
        let (origin, one, other) = (any(), any(), any());
        let mut peers = vec![(NodeId([1; 32]), one), (NodeId([2; 32]), other)];
        let has_origin = seed % 3 > 0;
        let honest_origin = seed % 3 == 1;
        if !honest_origin {
            peers.push((NodeId([3; 32]), HONEST));
        }
        let origin = if honest_origin { HONEST } else { origin };
        let chunks = 1 + (seed as usize * 7) % 25 + 60 * usize::from(seed == 40);
        let mut run = Run::new(seed, chunks, has_origin);
        assert!(run.end(origin, &peers), "seed {seed}");
        let progress = run.transfer.progress();
        assert_eq!(progress.bytes, progress.total);
        assert_eq!(progress.from_origin + progress.from_peers, progress.total);
    }
}

#[test]
fn without_an_honest_source_it_is_given_up() {
    let liar = Conduct { lies: true, ..HONEST };
    let none = Conduct { gives: 0, ..HONEST };
    let silent = Conduct {
        silent: true,
        ..HONEST
    };
    for conduct in [liar, none, silent] {
        let mut run = Run::new(1, 5, true);
        assert!(!run.end(conduct, &[(NodeId([1; 32]), conduct)]), "{conduct:?}");
        assert!(run.kept.is_empty());
    }
}

#[test]
fn the_origin_begins_at_the_front_and_peers_at_the_back() {
    let mut run = Run::new(1, 100, true);
    let outline = run.transfer.asks(run.now, &[]);
    assert_eq!(
        outline,
        [Ask::Origin {
            part: Part::Outline,
            count: 1
        }]
    );
    run.answer(outline[0].clone(), HONEST, &[]);
    let peer = NodeId([1; 32]);
    let asks = run.transfer.asks(run.now, &[peer]);
    let of_peer = |index| Ask::Peer {
        peer,
        part: Part::Chunk(index),
    };
    let of_origin = |first, count| Ask::Origin {
        part: Part::Chunk(first),
        count,
    };
    assert_eq!(
        asks,
        [of_peer(99), of_peer(98), of_origin(0, 32), of_origin(32, 30)]
    );
    assert_eq!(run.transfer.asks(run.now, &[peer]), [], "the window is full");
}

#[test]
fn an_outline_that_was_kept_and_is_not_the_blobs_counts_for_nothing() {
    let content = content(3);
    let outline = Outline::of(&content).unwrap();
    let mut bytes = outline.to_bytes();
    let size = content.len() as u64;
    let whole = Transfer::new(
        *outline.name(),
        size,
        HeldBy::Nobody,
        (Some(bytes.clone()), vec![0, 1, 2, 7]),
        false,
    );
    assert!(whole.unwrap().is_whole());
    bytes[5] ^= 1;
    let damaged = Transfer::new(
        *outline.name(),
        size,
        HeldBy::Nobody,
        (Some(bytes), vec![0, 1, 2]),
        false,
    )
    .unwrap();
    assert_eq!(damaged.progress().bytes, 0);
}
