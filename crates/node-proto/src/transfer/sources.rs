//! The two kinds of source, and what was asked of each.

use litemap::LiteMap;

use super::{ORIGIN_FAILURES_MAX, PAUSE_MS, PEER_CHUNKS_MAX, PEER_FAILURES_MAX, Part, RUNS_MAX, SILENCE_MS};
use crate::ids::{NodeId, Timestamp};

/// Doublings of the origin's pause.
const DOUBLINGS_MAX: u32 = 4;

/// What was asked in one go and has not come yet.
struct Run {
    part: Part,
    left: Vec<u32>,
}

/// The web server.
pub(super) struct Origin {
    usable: bool,
    runs: Vec<Run>,
    /// When the shell last said something, or was last asked.
    heard_at: Timestamp,
    failures: u32,
    last_failure: Option<String>,
    resting_until: Option<Timestamp>,
}

impl Origin {
    pub(super) fn new(usable: bool) -> Self {
        Self {
            usable,
            runs: Vec::new(),
            heard_at: Timestamp::default(),
            failures: 0,
            last_failure: None,
            resting_until: None,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.usable && self.runs.len() < RUNS_MAX && self.resting_until.is_none()
    }

    pub(super) fn is_asked(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Whether its pause goes on.
    pub(super) fn rest(&mut self, now: Timestamp) {
        self.resting_until = self.resting_until.filter(|until| *until > now);
    }

    /// When it will be asked again, if a failure is behind it.
    pub(super) fn pause_ends(&self) -> Option<Timestamp> {
        self.resting_until.filter(|_| self.usable)
    }

    pub(super) fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    pub(super) fn timeout(&self) -> Option<Timestamp> {
        match self.is_asked() {
            true => Some(self.heard_at.plus_ms(SILENCE_MS)),
            false => self.pause_ends(),
        }
    }

    pub(super) fn ask(&mut self, now: Timestamp, part: Part, count: u32) {
        let left = match part {
            Part::Outline => Vec::new(),
            Part::Chunk(first) => (first..first.saturating_add(count)).collect(),
        };
        self.runs.push(Run { part, left });
        self.heard_at = now;
    }

    /// It gave something; whether that was asked for.
    pub(super) fn gave(&mut self, now: Timestamp, part: Part) -> bool {
        self.heard_at = now;
        let Part::Chunk(index) = part else { return false };
        self.runs.iter_mut().any(|run| {
            let place = run.left.iter().position(|left| *left == index);
            place.map(|place| run.left.remove(place)).is_some()
        })
    }

    pub(super) fn did_well(&mut self) {
        self.failures = 0;
        self.resting_until = None;
    }

    /// One run is over; what is left of it.
    pub(super) fn ended(&mut self, now: Timestamp, part: Part, result: Result<(), String>) -> Vec<u32> {
        let Some(place) = self.runs.iter().position(|run| run.part == part) else {
            return Vec::new();
        };
        let run = self.runs.remove(place);
        self.heard_at = now;
        match result {
            Err(reason) => self.fail(now, reason),
            Ok(()) if !run.left.is_empty() => self.fail(now, "it ended too early".to_owned()),
            Ok(()) => {}
        }
        run.left
    }

    /// The shell has forgotten it; what was asked for.
    pub(super) fn fall_silent(&mut self, now: Timestamp) -> Vec<u32> {
        if !self.is_asked() || now < self.heard_at.plus_ms(SILENCE_MS) {
            return Vec::new();
        }
        self.fail(now, "it fell silent".to_owned());
        self.drop_runs()
    }

    /// It is asked no more; what was asked for.
    pub(super) fn exclude(&mut self, reason: &str) -> Vec<u32> {
        self.usable = false;
        self.last_failure = Some(reason.to_owned());
        self.drop_runs()
    }

    fn drop_runs(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.runs)
            .into_iter()
            .flat_map(|run| run.left)
            .collect()
    }

    fn fail(&mut self, now: Timestamp, reason: String) {
        let pause_ms = PAUSE_MS << self.failures.min(DOUBLINGS_MAX);
        self.failures += 1;
        self.usable &= self.failures < ORIGIN_FAILURES_MAX;
        self.last_failure = Some(reason);
        self.resting_until = Some(now.plus_ms(pause_ms));
    }
}

/// A peer that holds the blob.
#[derive(Default)]
struct Holder {
    asked: Vec<Part>,
    failures: u32,
    resting_until: Option<Timestamp>,
    /// It can be asked now.
    is_here: bool,
}

/// All of them.
#[derive(Default)]
pub(super) struct Holders {
    peers: LiteMap<NodeId, Holder>,
}

impl Holders {
    /// These can be asked now, and no others.
    pub(super) fn meet(&mut self, now: Timestamp, here: &[NodeId]) {
        for (peer, holder) in self.peers.iter_mut() {
            holder.is_here = here.contains(peer);
            holder.resting_until = holder.resting_until.filter(|until| *until > now);
        }
        for peer in here {
            if !self.peers.contains_key(peer) {
                let holder = Holder {
                    is_here: true,
                    ..Holder::default()
                };
                self.peers.insert(*peer, holder);
            }
        }
    }

    /// Those that may be asked for more.
    pub(super) fn ready(&self) -> impl Iterator<Item = NodeId> + '_ {
        let ready = self.peers.iter().filter(|(_, holder)| {
            holder.is_here && holder.failures < PEER_FAILURES_MAX && holder.resting_until.is_none()
        });
        ready.map(|(peer, _)| *peer)
    }

    pub(super) fn has_room(&self, peer: &NodeId) -> bool {
        self.peers
            .get(peer)
            .is_some_and(|holder| holder.asked.len() < PEER_CHUNKS_MAX)
    }

    pub(super) fn is_asked_for(&self, peer: &NodeId, part: Part) -> bool {
        self.peers
            .get(peer)
            .is_some_and(|holder| holder.asked.contains(&part))
    }

    pub(super) fn are_asked(&self) -> bool {
        self.peers.values().any(|holder| !holder.asked.is_empty())
    }

    pub(super) fn pause_ends(&self) -> Option<Timestamp> {
        let resting = self
            .peers
            .values()
            .filter(|holder| holder.is_here && holder.failures < PEER_FAILURES_MAX);
        resting.filter_map(|holder| holder.resting_until).min()
    }

    pub(super) fn ask(&mut self, peer: NodeId, part: Part) {
        if let Some(holder) = self.peers.get_mut(&peer) {
            holder.asked.push(part);
        }
    }

    /// It answered; whether it had been asked.
    pub(super) fn gave(&mut self, peer: &NodeId, part: Part) -> bool {
        let Some(holder) = self.peers.get_mut(peer) else {
            return false;
        };
        let place = holder.asked.iter().position(|asked| *asked == part);
        place.map(|place| holder.asked.remove(place)).is_some()
    }

    /// It did not give what it was asked for. What else it was asked for is answered, or runs out, by itself.
    pub(super) fn failed(&mut self, now: Timestamp, peer: &NodeId, is_busy: bool) {
        if let Some(holder) = self.peers.get_mut(peer) {
            holder.failures += u32::from(!is_busy);
            holder.resting_until = Some(now.plus_ms(PAUSE_MS));
        }
    }

    /// It is asked no more; what it was asked for.
    pub(super) fn exclude(&mut self, peer: &NodeId) -> Vec<u32> {
        let Some(holder) = self.peers.get_mut(peer) else {
            return Vec::new();
        };
        holder.failures = PEER_FAILURES_MAX;
        let asked = std::mem::take(&mut holder.asked);
        let chunk = |part| match part {
            Part::Chunk(index) => Some(index),
            Part::Outline => None,
        };
        asked.into_iter().filter_map(chunk).collect()
    }
}
