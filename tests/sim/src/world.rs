//! The world: hosts and relays in virtual time, on as many threads as there are.
//!
//! A conservative parallel simulation (K. M. Chandy, J. Misra, *Distributed Simulation*, IEEE TSE 1979; here with the
//! synchronous windows of D. Nicol's YAWNS, 1993): nothing reaches another actor sooner than the least latency, so all that happens
//! within a window of that width can be worked off actor by actor. Actors are dealt out to threads; after each window the
//! threads meet and exchange what they caused for one another. What happens to an actor, and in which order, is the same
//! for any number of threads, and so is the trace.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};

use node_proto::{Ed25519Signer, Group, NodeId, Registry, RegistryLimits, Signer, Timestamp};

use crate::agenda::Agenda;
use crate::event::{Act, Event, What};
use crate::host::{Host, START_MS};
use crate::network::{Links, Millis};
use crate::rng::{Rng, mix};
use crate::spec::{HostSpec, WorldSpec};

/// Whoever renames itself has so many names at most.
const NAMES_MAX: u32 = 64;
/// Hosts begin within this time, so that they do not move in step, milliseconds.
const START_SPREAD_MS: u64 = 5_000;

/// What all actors know and none changes.
pub struct Shared {
    pub(crate) seed: u64,
    pub(crate) group: Group,
    pub(crate) links: Links,
    pub(crate) asking: std::ops::Range<Millis>,
    surge: Option<(std::ops::Range<Millis>, u64)>,
    pub(crate) watched: Vec<u32>,
    hosts: u32,
    relays: u32,
    /// Each host's names in the order in which it takes them.
    names: Vec<Vec<NodeId>>,
    relay_names: Vec<NodeId>,
    actors: BTreeMap<NodeId, u32>,
}

impl Shared {
    fn new(spec: &WorldSpec) -> Self {
        let (hosts, relays) = (spec.hosts.len() as u32, spec.relays.max(1));
        let mut shared = Self {
            seed: spec.seed,
            group: spec.group.clone(),
            links: spec.links.clone(),
            asking: spec.asking.clone(),
            surge: spec.surge.clone(),
            watched: spec.watched.clone(),
            hosts,
            relays,
            names: Vec::new(),
            relay_names: Vec::new(),
            actors: BTreeMap::new(),
        };
        let name = |actor, rename| Ed25519Signer::from_secret(&shared.secret(actor, rename)).id();
        let renames = |host: &HostSpec| host.conduct.renames_after.map_or(1, |_| NAMES_MAX);
        let names = (0..).zip(&spec.hosts).map(|(index, host)| {
            let names = 0..renames(host);
            names.map(|rename| name(index, rename)).collect()
        });
        let names: Vec<Vec<NodeId>> = names.collect();
        let relay_names: Vec<NodeId> = (hosts..hosts + relays).map(|relay| name(relay, 0)).collect();
        for (index, names) in (0..).zip(&names) {
            shared.actors.extend(names.iter().map(|name| (*name, index)));
        }
        shared.actors.extend(relay_names.iter().copied().zip(hosts..));
        (shared.names, shared.relay_names) = (names, relay_names);
        shared
    }

    pub(crate) fn secret(&self, actor: u32, rename: u32) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("knowledge/1 simulated key");
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(&actor.to_le_bytes()).update(&rename.to_le_bytes());
        *hasher.finalize().as_bytes()
    }

    /// The name that a host has after so many renames.
    pub fn name(&self, host: u32, renames: u32) -> NodeId {
        let names = &self.names[host as usize];
        names[(renames as usize).min(names.len() - 1)]
    }

    pub(crate) fn renames_max(&self) -> u32 {
        NAMES_MAX - 1
    }

    /// Whose name it is or was; `None` for relays and names of nobody.
    pub fn host_of(&self, name: &NodeId) -> Option<u32> {
        self.actors.get(name).copied().filter(|actor| *actor < self.hosts)
    }

    pub(crate) fn relay_of(&self, host: u32) -> u32 {
        self.hosts + self.relay(host)
    }

    pub(crate) fn relay_name(&self, host: u32) -> NodeId {
        self.relay_names[self.relay(host) as usize]
    }

    /// By chance: whoever lends is chosen by its number, too, and every relay is to have its share of them.
    fn relay(&self, host: u32) -> u32 {
        (mix(host.into()) % u64::from(self.relays)) as u32
    }

    pub(crate) fn relay_named(&self, name: &NodeId) -> Option<u32> {
        self.actors
            .get(name)
            .copied()
            .filter(|actor| self.is_relay(*actor))
    }

    pub(crate) fn is_relay(&self, actor: u32) -> bool {
        actor >= self.hosts
    }

    /// Whether it is the second half of the time in which requests are made.
    pub(crate) fn is_late(&self, at: Millis) -> bool {
        at >= self.asking.start.midpoint(self.asking.end)
    }

    /// When a request comes that in ordinary times would come `gap_ms` later.
    pub(crate) fn after(&self, at: Millis, gap_ms: u64) -> Millis {
        match &self.surge {
            Some((during, factor)) => hurried(at, gap_ms, during, *factor),
            None => at + gap_ms,
        }
    }
}

/// In a surge everyone's time runs so many times faster from its first moment on (the time change that makes an
/// inhomogeneous Poisson process of a homogeneous one: E. Çinlar, *Introduction to Stochastic Processes*, 1975).
fn hurried(at: Millis, gap_ms: u64, during: &std::ops::Range<Millis>, factor: u64) -> Millis {
    let calm = during.start.saturating_sub(at);
    if gap_ms <= calm || at >= during.end {
        return at + gap_ms;
    }
    let (from, left) = (at.max(during.start), gap_ms - calm);
    let fast = (during.end - from) * factor;
    match left <= fast {
        true => from + left / factor.max(1),
        false => during.end + (left - fast),
    }
}

/// A relay: the discovery point that real relays run, too.
struct Relay {
    index: u32,
    registry: Registry,
    rng: Rng,
    caused: u64,
}

impl Relay {
    fn handle(&mut self, event: Event, shared: &Shared) -> Option<Event> {
        match event.what {
            What::Frame {
                name, asker, frame, ..
            } => {
                let now = Timestamp(START_MS + event.at);
                let answer = self.registry.handle_frame(now, name, &frame);
                self.caused += 1;
                Some(Event {
                    at: event.at + shared.links.latency_ms(&mut self.rng, self.index, event.from),
                    to: event.from,
                    from: self.index,
                    count: self.caused,
                    what: What::Answer {
                        asker,
                        frame: Some(answer),
                    },
                })
            }
            What::Closed { name } => {
                self.registry.forget(&name);
                None
            }
            _ => None,
        }
    }
}

enum Actor {
    Host(Box<Host>),
    Relay(Box<Relay>),
}

/// The actors of one thread and what is going to happen to them.
struct Shard {
    actors: Vec<Actor>,
    events: Agenda,
}

/// A world that runs.
pub struct World {
    shared: Shared,
    shards: Vec<Shard>,
    now: Millis,
}

impl World {
    /// Makes the world of a description, for so many threads.
    pub fn new(spec: WorldSpec, threads: usize) -> Self {
        let shared = Shared::new(&spec);
        let threads = threads.max(1);
        let mut shards: Vec<Shard> = Vec::new();
        shards.resize_with(threads, || Shard {
            actors: Vec::new(),
            events: Agenda::default(),
        });
        let mut begin = Rng::new(spec.seed, "beginnings", 0);
        let mut acts: Vec<(Millis, u32, Act)> = Vec::new();
        for (index, host) in (0..).zip(&spec.hosts) {
            acts.push((begin.below(START_SPREAD_MS), index, Act::Start));
            if let Some(wants) = host.wants {
                acts.push((spec.asking.start + begin.below(wants.gap_ms), index, Act::Ask));
            }
        }
        for partition in &spec.links.partitions {
            acts.extend((0..shared.hosts).map(|host| (partition.from, host, Act::Part)));
        }
        acts.extend(spec.acts);
        for (count, (at, host, act)) in (0..).zip(acts) {
            // Nobody's number, so that these come after what hosts cause at the same time.
            let from = u32::MAX;
            let what = What::Act(act);
            shards[host as usize % threads].events.push(Event {
                at,
                to: host,
                from,
                count,
                what,
            });
        }
        let hosts = (0..)
            .zip(spec.hosts)
            .map(|(index, host)| Actor::Host(Box::new(Host::new(index, host, &shared))));
        let relays = (shared.hosts..shared.hosts + shared.relays).map(|index| {
            Actor::Relay(Box::new(Relay {
                index,
                registry: Registry::new(limits(), spec.seed ^ u64::from(index)),
                rng: Rng::new(spec.seed, "relay", index.into()),
                caused: 0,
            }))
        });
        for (index, actor) in hosts.chain(relays).enumerate() {
            shards[index % threads].actors.push(actor);
        }
        Self {
            shared,
            shards,
            now: 0,
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// What all hosts know.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// A host by its number.
    pub fn host(&self, index: u32) -> Option<&Host> {
        let shard = self.shards.get(index as usize % self.shards.len())?;
        match shard.actors.get(index as usize / self.shards.len())? {
            Actor::Host(host) => Some(host),
            Actor::Relay(_) => None,
        }
    }

    /// All hosts in the order of their numbers.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        (0..self.shared.hosts).filter_map(|index| self.host(index))
    }

    /// What happened to every host, in 32 bytes.
    pub fn trace(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        self.hosts().for_each(|host| {
            hasher.update(&host.trace);
        });
        *hasher.finalize().as_bytes()
    }

    /// Lets everything happen that is due by `until`.
    pub fn run(&mut self, until: Millis) {
        let threads = self.shards.len();
        let meeting = Meeting {
            barrier: Barrier::new(threads),
            next: (0..threads).map(|_| AtomicU64::new(u64::MAX)).collect(),
            mail: (0..threads).map(|_| Mutex::new(Vec::new())).collect(),
            width_ms: self.shared.links.latency_ms_min.max(1),
            until,
        };
        let shared = &self.shared;
        if let [shard] = self.shards.as_mut_slice() {
            shard.run(0, shared, &meeting);
        } else {
            std::thread::scope(|scope| {
                for (number, shard) in self.shards.iter_mut().enumerate() {
                    let meeting = &meeting;
                    scope.spawn(move || {
                        let _guard = AbortOnPanic;
                        shard.run(number, shared, meeting);
                    });
                }
            });
        }
        self.now = until;
    }

    /// Lets the next thing happen that is due by `until` and returns to whom; for worlds on one thread, whose state is
    /// looked at after each step.
    pub fn step(&mut self, until: Millis) -> Option<u32> {
        let [shard] = self.shards.as_mut_slice() else {
            return None;
        };
        if shard.events.next_at().is_none_or(|at| at > until) {
            self.now = until;
            return None;
        }
        let event = shard.events.pop()?;
        self.now = event.at;
        let to = event.to;
        let caused = shard.actors.get_mut(to as usize)?.handle(event, &self.shared);
        shard.events.extend(caused);
        Some(to)
    }
}

/// Room for every host of a large world under one key.
fn limits() -> RegistryLimits {
    RegistryLimits {
        per_key_max: 1 << 20,
        total_max: 1 << 22,
        ..RegistryLimits::default()
    }
}

/// Where the threads meet between windows.
struct Meeting {
    barrier: Barrier,
    /// The next thing to happen in each shard.
    next: Vec<AtomicU64>,
    /// What others caused for each shard.
    mail: Vec<Mutex<Vec<Event>>>,
    width_ms: u64,
    until: Millis,
}

impl Shard {
    fn run(&mut self, number: usize, shared: &Shared, meeting: &Meeting) {
        let threads = meeting.next.len();
        let mut outboxes: Vec<Vec<Event>> = Vec::new();
        outboxes.resize_with(threads, Vec::new);
        loop {
            let next = self.events.next_at().unwrap_or(u64::MAX);
            meeting.next[number].store(next, Ordering::SeqCst);
            meeting.barrier.wait();
            let start = meeting.next.iter().map(|next| next.load(Ordering::SeqCst)).min();
            let Some(start) = start.filter(|start| *start <= meeting.until) else {
                return;
            };
            let end = start.saturating_add(meeting.width_ms).min(meeting.until + 1);
            while self.events.next_at().is_some_and(|at| at < end) {
                let Some(event) = self.events.pop() else { break };
                let actor = event.to as usize / threads;
                let Some(actor) = self.actors.get_mut(actor) else {
                    continue;
                };
                for caused in actor.handle(event, shared) {
                    match caused.to as usize % threads {
                        own if own == number => self.events.push(caused),
                        other => outboxes[other].push(caused),
                    }
                }
            }
            for (other, outbox) in outboxes.iter_mut().enumerate() {
                lock(&meeting.mail[other]).append(outbox);
            }
            meeting.barrier.wait();
            self.events.extend(lock(&meeting.mail[number]).drain(..));
        }
    }
}

impl Actor {
    fn handle(&mut self, event: Event, shared: &Shared) -> Vec<Event> {
        match self {
            Self::Host(host) => host.handle(event, shared),
            Self::Relay(relay) => relay.handle(event, shared).into_iter().collect(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that panics aborts the process: the others would wait for it for ever.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surge_hurries_those_who_wait_from_its_first_moment_on() {
        let after = |at, gap_ms| hurried(at, gap_ms, &(100..200), 20);
        assert_eq!((after(0, 100), after(200, 50)), (100, 250), "before and after");
        // Half of the gap is over when it begins, and the other half takes a twentieth.
        assert_eq!(after(50, 90), 102);
        assert_eq!(after(100, 2_000), 200);
        assert_eq!(after(100, 2_010), 210);
        assert_eq!(after(150, 1_000 + 7), 207);
    }
}
