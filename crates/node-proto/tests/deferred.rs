//! Checks that are put off while engines are scarce, and made afterwards.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod world;

use node_proto::{Command, Event, LendPolicy, Outcome, Precision, Requirements, Verification, WorkOutput};
use world::{Engine, World, embedding, private};

const TEXTS: [&str; 3] = ["the first passage", "another one", "what is asked"];
/// Longer than any check waits.
const CALM_MS: u64 = 400_000;

struct Crowd {
    world: World,
    providers: Vec<usize>,
    buyer: usize,
    /// The buyer's next request.
    job: u64,
}

impl Crowd {
    /// Slow engines that the buyer has a record of.
    fn new(providers: usize) -> Self {
        let mut world = World::new();
        let join = |_| {
            let host = world.join(private(1));
            world.lend_at(host, 30.0, Precision::F32);
            host
        };
        let providers: Vec<usize> = (0..providers).map(join).collect();
        let buyer = world.join_buyer(private(1));
        world.run(10_000);
        let mut crowd = Self {
            world,
            providers,
            buyer,
            job: 0,
        };
        for _ in 0..12 {
            crowd.ask();
            crowd.world.run(3_000);
        }
        crowd
    }

    fn ask(&mut self) -> Outcome {
        self.job += 1;
        let texts = TEXTS.map(|text| format!("{text} of {}", self.job));
        self.world.ask_with(
            self.buyer,
            self.job,
            &texts.each_ref().map(String::as_str),
            Requirements {
                deadline_ms: 120_000,
                ..Requirements::default()
            },
        );
        let outcome = self.world.finish(self.buyer, self.job).unwrap();
        let WorkOutput::Embeddings { values, .. } = &outcome.output else {
            panic!("embeddings were asked for");
        };
        let right: Vec<f32> = texts.iter().flat_map(|text| embedding(text)).collect();
        let is_right = *values == right;
        let host = self.host_of(&outcome);
        assert_eq!(is_right, self.world.hosts[host].engine != Engine::Lies);
        outcome
    }

    fn host_of(&self, outcome: &Outcome) -> usize {
        let hosts = &self.world.hosts;
        hosts.iter().position(|host| host.id == outcome.provider).unwrap()
    }

    /// Others come and give every engine a minute of work; returns once a result was not checked.
    fn comes(&mut self) {
        let crowd: Vec<usize> = (0..4).map(|_| self.world.join_buyer(private(1))).collect();
        self.world.run(10_000);
        for host in &self.providers {
            self.world.hosts[*host].engine = Engine::Slow(2_000);
        }
        let long = "many words that take an engine its time ".repeat(6);
        for (job, host) in crowd.iter().flat_map(|host| (0..10).map(move |job| (job, *host))) {
            let patient = Requirements {
                deadline_ms: 120_000,
                ..Requirements::default()
            };
            self.world.ask_with(host, job, &[long.as_str(); 2], patient);
        }
        self.world.run(2_000);
        let mut outcomes = (0..20).map(|_| self.ask());
        assert!(outcomes.any(|outcome| outcome.verification == Verification::Unchecked));
    }

    fn all_compute(&mut self, engine: Engine) {
        for host in &self.providers {
            self.world.hosts[*host].engine = engine;
        }
    }

    fn lends(&mut self, host: usize, enabled: bool) {
        let policy = LendPolicy {
            enabled,
            ..LendPolicy::default()
        };
        self.world.command(host, Command::Lend(policy));
    }

    /// Results of a provider whose rightness the buyer knows.
    fn checked(&self, host: usize) -> f32 {
        let provider = self.world.hosts[host].id;
        let quality = self.world.node(self.buyer).reputation(&provider).quality;
        quality.observations
    }

    fn quality(&self, host: usize) -> f32 {
        let provider = self.world.hosts[host].id;
        self.world.node(self.buyer).reputation(&provider).quality.mean
    }

    fn put_off(&self) -> usize {
        let node = self.world.node(self.buyer);
        assert_eq!(node.excess(), None);
        node.audit().put_off
    }

    /// No event tells of what the node asked for itself, and every payment is signed by both.
    fn is_sound(&self) {
        let jobs = self.world.hosts[self.buyer]
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Trade { job, .. } | Event::Finished { job, .. } | Event::Failed { job, .. } => {
                    Some(job.0)
                }
                _ => None,
            });
        assert!(jobs.max().unwrap() <= self.job);
        let balances = (0..self.world.hosts.len()).map(|host| self.world.balance(host));
        let sums = balances.fold((0, 0), |sums, balance| (sums.0 + balance.0, sums.1 + balance.1));
        assert_eq!(sums, (0, 0));
    }
}

#[test]
fn what_is_not_checked_in_a_crowd_is_checked_afterwards() {
    let mut crowd = Crowd::new(4);
    let before: f32 = crowd.providers.iter().map(|host| crowd.checked(*host)).sum();
    crowd.comes();
    let put_off = crowd.put_off();
    assert!(put_off > 0);
    crowd.all_compute(Engine::Honest);
    crowd.world.run(CALM_MS);
    assert_eq!(crowd.put_off(), 0);
    let after: f32 = crowd.providers.iter().map(|host| crowd.checked(*host)).sum();
    assert!(
        after > before + put_off as f32 - 0.1,
        "{before} {put_off} {after}"
    );
    assert!(crowd.providers.iter().all(|host| crowd.quality(*host) > 0.7));
    crowd.is_sound();
}

#[test]
fn who_lies_in_a_crowd_is_found_afterwards() {
    let mut crowd = Crowd::new(4);
    crowd.comes();
    crowd.all_compute(Engine::Lies);
    let lied = crowd.ask();
    assert_eq!(lied.verification, Verification::Unchecked);
    let liar = crowd.host_of(&lied);
    let hosts = crowd.providers.clone();
    let before: Vec<f32> = hosts.iter().map(|host| crowd.quality(*host)).collect();
    // From now on it is as honest as the others.
    crowd.all_compute(Engine::Honest);
    crowd.world.run(CALM_MS);
    assert_eq!(crowd.put_off(), 0);
    // How far one lie takes it depends on the rightness that was seen of it; of the others only more is seen.
    for (host, before) in hosts.into_iter().zip(before) {
        let fell = before - crowd.quality(host);
        assert_eq!(fell > 0.1, host == liar, "{host}: {before} fell by {fell}");
    }
    crowd.is_sound();
}

#[test]
fn whoever_contradicts_an_honest_provider_afterwards_is_found_by_a_third() {
    let mut crowd = Crowd::new(3);
    crowd.comes();
    let outcome = crowd.ask();
    assert_eq!(outcome.verification, Verification::Unchecked);
    let first = crowd.host_of(&outcome);
    let others: Vec<usize> = crowd
        .providers
        .iter()
        .copied()
        .filter(|host| *host != first)
        .collect();
    crowd.all_compute(Engine::Honest);
    // It recognises the known answer that comes with the text, and nobody else is there.
    crowd.world.hosts[others[0]].engine = Engine::Cunning;
    crowd.lends(others[1], false);
    crowd.world.run(60_000);
    crowd.lends(others[1], true);
    crowd.world.run(CALM_MS);
    assert_eq!(crowd.put_off(), 0);
    assert!(crowd.quality(others[0]) < 0.7 && crowd.quality(first) > 0.7);
    crowd.is_sound();
}
