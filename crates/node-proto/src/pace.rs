//! How long providers really take: claims checked by who bought.
//!
//! A provider promises a time with room to spare, or boasts. What counts for a buyer is the time that it will take. Every
//! promise contains a fixed part, the [`overhead_ms`](crate::Config::overhead_ms) of messages and copying; what is left of it,
//! less the slack that the protocol adds, is the engine time that the provider **claims**, the queue before it included. What a
//! claim is worth is learnt in two steps. The line through all trades of this node says what such a claim usually means; a
//! provider's own trades say how many times longer it takes than that, its **pace**:
//!
//! ```text
//! claimed  = (promised − overhead) / slack
//! usual    = a + b × claimed                                  least squares over all trades
//! taken    = Σ (took − a)      usually = Σ b × claimed        over a provider's trades
//! prior    = PRIOR_MS × min(1, PRIOR_MS / (taken − usually))
//! pace     = (prior + taken) / (prior + usually)
//! expected = a + b × claimed × pace
//! ```
//!
//! A ratio of sums and not a mean of ratios (the ratio estimator of survey sampling: W. Cochran, *Sampling Techniques*, 1977,
//! chapter 6): a large trade says more of a speed than a small one, most of which is waiting. The way there and back, `a`, is
//! the same for everyone and is taken off first, so that even a sample of one text shows whose engine is ten times slower than
//! it says. Whatever is measured is off by some jitter, so a provider is taken to be like the others for as long as that:
//! [`PRIOR_MS`] shrinks a small sample towards the rest (empirical Bayes: B. Efron, C. Morris, *Stein's Paradox in Statistics*,
//! Scientific American 236(5), 1977). What jitter does not explain is not shrunk away: beyond [`PRIOR_MS`] the prior gives way
//! (limited translation: B. Efron, C. Morris, *Limiting the Risk of Bayes and Empirical Bayes Estimators – Part II*, JASA
//! 67(337), 1972), so that one sample that took ten times its claim counts nearly in full. The line itself begins from two
//! trades that keep to the protocol, whose weight is that of any other. Older trades fade geometrically, so that the pace follows a device that becomes slower, and a trade without a
//! result counts as [`PACE_MAX`].
//!
//! Bounds: one entry per provider, at most as many as peers are remembered; the one without a trade for the longest time goes
//! first. Paces are not stored: a restart begins from the promises again.

use litemap::LiteMap;

use crate::ids::{NodeId, Timestamp};

/// Measured times are off by about so much, milliseconds.
const PRIOR_MS: f64 = 400.0;
/// The trades that the line begins with: nothing claimed, and so much, milliseconds.
const PRIOR_CLAIM_MS: f64 = 1_000.0;
/// What is usual takes no trade for longer than so many times what was usual before.
const OUTLIER: f64 = 2.0;
/// What a trade keeps of its weight with each later one.
const FADING: f64 = 0.9;
/// The same for what is usual, which follows many providers.
const COMMON_FADING: f64 = 0.98;
/// Whoever keeps to the protocol promises this many times what it needs; without any experience that is taken off.
pub(crate) const PROMISE_SLACK: u32 = 2;
/// A pace beyond this says no more than that the promise is worth nothing.
pub(crate) const PACE_MAX: f64 = 20.0;

/// One provider's trades: how many, and the sums over them.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    trades: f64,
    claimed_ms: f64,
    taken_ms: f64,
    at: Timestamp,
}

/// All trades, as the sums of least squares: how many, claimed, taken, claimed², claimed × taken.
#[derive(Clone, Copy, Debug, Default)]
struct Usual {
    trades: f64,
    claimed: f64,
    taken: f64,
    squares: f64,
    products: f64,
}

/// What a claim usually means: the way there and back, and the time for each millisecond claimed.
#[derive(Clone, Copy, Debug)]
struct Line {
    start_ms: f64,
    slope: f64,
}

impl Usual {
    fn add(&mut self, claimed_ms: f64, taken_ms: f64) {
        let kept = COMMON_FADING;
        self.trades = self.trades * kept + 1.0;
        self.claimed = self.claimed * kept + claimed_ms;
        self.taken = self.taken * kept + taken_ms;
        self.squares = self.squares * kept + claimed_ms * claimed_ms;
        self.products = self.products * kept + claimed_ms * taken_ms;
    }

    /// The line through all of them, and through two trades that took what a promise without its slack says.
    fn line(&self, overhead_ms: f64) -> Line {
        let start_ms = overhead_ms / f64::from(PROMISE_SLACK);
        let mut all = *self;
        for claimed_ms in [0.0, PRIOR_CLAIM_MS] {
            all.trades += 1.0;
            all.claimed += claimed_ms;
            all.taken += start_ms + claimed_ms;
            all.squares += claimed_ms * claimed_ms;
            all.products += claimed_ms * (start_ms + claimed_ms);
        }
        let (claimed, taken) = (all.claimed / all.trades, all.taken / all.trades);
        let variance = all.squares / all.trades - claimed * claimed;
        let slope = (all.products / all.trades - claimed * taken) / variance;
        // A line that falls, or begins below zero, is none: then in proportion. Neither divisor is zero, by the trade that
        // claims something and the one that claims nothing.
        match slope > 0.0 && taken >= slope * claimed {
            true => Line {
                start_ms: taken - slope * claimed,
                slope,
            },
            false => Line {
                start_ms: 0.0,
                slope: taken / claimed,
            },
        }
    }
}

/// The paces of the providers that this node bought from.
pub(crate) struct Paces {
    max: usize,
    overhead_ms: f64,
    usual: Usual,
    by_provider: LiteMap<NodeId, Pace>,
}

impl Paces {
    /// Remembers `max` providers; a promise contains `overhead_ms` besides what the engine needs.
    pub(crate) fn new(max: usize, overhead_ms: u32) -> Self {
        Self {
            max,
            overhead_ms: overhead_ms.into(),
            usual: Usual::default(),
            by_provider: LiteMap::new(),
        }
    }

    /// Counts how long a trade took; `None` when no result came at all.
    pub(crate) fn took(&mut self, now: Timestamp, provider: &NodeId, took_ms: Option<u64>, promised_ms: u32) {
        let claimed_ms = self.claimed_ms(promised_ms);
        let most_ms = f64::from(promised_ms.max(1)) * PACE_MAX;
        let taken_ms = took_ms.map_or(most_ms, |took_ms| (took_ms as f64).min(most_ms));
        if !self.by_provider.contains_key(provider) && self.by_provider.len() >= self.max {
            let oldest = self.by_provider.iter().min_by_key(|(_, pace)| pace.at);
            if let Some(oldest) = oldest.map(|(provider, _)| *provider) {
                self.by_provider.remove(&oldest);
            }
        }
        let entry = self.by_provider.entry(*provider).or_default();
        entry.trades = entry.trades * FADING + 1.0;
        entry.claimed_ms = entry.claimed_ms * FADING + claimed_ms;
        entry.taken_ms = entry.taken_ms * FADING + taken_ms;
        entry.at = now;
        // One that fails says nothing about the others, and one that is far off says little.
        if took_ms.is_some() {
            let line = self.usual.line(self.overhead_ms);
            let usual_ms = line.start_ms + line.slope * claimed_ms;
            self.usual.add(claimed_ms, taken_ms.min(usual_ms * OUTLIER));
        }
    }

    /// Whether anything was bought from a provider lately.
    pub(crate) fn knows(&self, provider: &NodeId) -> bool {
        self.by_provider.contains_key(provider)
    }

    /// The time to expect of a promise, milliseconds.
    pub(crate) fn expected_ms(&self, provider: &NodeId, promised_ms: u32) -> u32 {
        let line = self.usual.line(self.overhead_ms);
        let own = self.by_provider.get(provider).copied().unwrap_or_default();
        let taken_ms = (own.taken_ms - own.trades * line.start_ms).max(0.0);
        let usual_ms = line.slope * own.claimed_ms;
        let prior_ms = PRIOR_MS * (PRIOR_MS / (taken_ms - usual_ms).max(PRIOR_MS));
        let pace = (prior_ms + taken_ms) / (prior_ms + usual_ms);
        let engine_ms = line.slope * self.claimed_ms(promised_ms) * pace.min(PACE_MAX);
        // Saturates at the ends of `u32`.
        libm::round(line.start_ms + engine_ms) as u32
    }

    /// The time that such a promise usually means, milliseconds, whoever gives it.
    pub(crate) fn usual_ms(&self, promised_ms: u32) -> u32 {
        let line = self.usual.line(self.overhead_ms);
        // Saturates at the ends of `u32`.
        libm::round(line.start_ms + line.slope * self.claimed_ms(promised_ms)) as u32
    }

    /// The engine time that a promise claims.
    fn claimed_ms(&self, promised_ms: u32) -> f64 {
        (f64::from(promised_ms) - self.overhead_ms).max(0.0) / f64::from(PROMISE_SLACK)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const HONEST: NodeId = NodeId([1; 32]);
    const BOASTER: NodeId = NodeId([2; 32]);
    const NEW: NodeId = NodeId([3; 32]);

    const OVERHEAD_MS: u32 = 500;

    fn paces(max: usize) -> Paces {
        Paces::new(max, OVERHEAD_MS)
    }

    /// The promise of somebody who needs so much engine time.
    fn promise(engine_ms: u32) -> u32 {
        engine_ms * PROMISE_SLACK + OVERHEAD_MS
    }

    #[test]
    fn a_promise_is_taken_less_its_slack_until_there_is_experience() {
        let mut paces = paces(10);
        assert_eq!(paces.expected_ms(&NEW, promise(1_000)), 1_250);
        assert_eq!(paces.expected_ms(&NEW, 0), 250);
        for engine_ms in [200, 800, 1_400].repeat(60) {
            // Faster there and back, and a little slower in between.
            paces.took(
                Timestamp(0),
                &HONEST,
                Some(100 + u64::from(engine_ms) * 11 / 10),
                promise(engine_ms),
            );
        }
        for provider in [&HONEST, &NEW] {
            let expected = paces.expected_ms(provider, promise(1_000));
            assert!((1_180..1_220).contains(&expected), "{expected}");
        }
    }

    /// Thirty results of one provider, each 200 ms on the way.
    fn experienced() -> Paces {
        let mut paces = paces(10);
        for engine_ms in [100, 500, 900].repeat(10) {
            paces.took(
                Timestamp(0),
                &HONEST,
                Some(200 + u64::from(engine_ms)),
                promise(engine_ms),
            );
        }
        paces
    }

    #[test]
    fn a_boast_is_seen_through_by_a_sample() {
        let mut paces = experienced();
        // A text and two probes that should take 90 ms.
        paces.took(Timestamp(0), &BOASTER, Some(1_100), promise(90));
        let honest = paces.expected_ms(&HONEST, promise(500));
        assert!(paces.expected_ms(&BOASTER, promise(500)) > 5 * honest / 2);
        for _ in 0..10 {
            paces.took(Timestamp(0), &BOASTER, Some(5_200), promise(500));
        }
        assert!(paces.expected_ms(&BOASTER, promise(500)) > 4_000);
        // It hardly colours what is thought of others.
        assert!(paces.expected_ms(&HONEST, promise(500)) < 1_200);
    }

    #[test]
    fn a_device_that_changes_is_followed_and_no_result_is_the_slowest() {
        let mut paces = paces(10);
        for _ in 0..50 {
            paces.took(Timestamp(0), &HONEST, Some(1_200), promise(1_000));
        }
        for _ in 0..22 {
            paces.took(Timestamp(0), &HONEST, Some(3_200), promise(1_000));
        }
        assert!(paces.expected_ms(&HONEST, promise(1_000)) > 2_700);
        paces.took(Timestamp(0), &BOASTER, None, promise(1_000));
        assert!(paces.expected_ms(&BOASTER, promise(1_000)) > 10_000);
        assert_eq!(paces.expected_ms(&BOASTER, u32::MAX), u32::MAX);
    }

    #[test]
    fn jitter_says_little_of_a_speed() {
        let mut paces = experienced();
        paces.took(Timestamp(0), &NEW, Some(390), promise(90));
        let (honest, new) = (
            paces.expected_ms(&HONEST, promise(900)),
            paces.expected_ms(&NEW, promise(900)),
        );
        assert!(new > honest && new < honest * 5 / 4, "{honest} {new}");
    }

    #[test]
    fn the_longest_unused_makes_room() {
        let mut paces = paces(2);
        paces.took(Timestamp(1), &HONEST, Some(500), 1_000);
        paces.took(Timestamp(2), &BOASTER, Some(5_000), 1_000);
        paces.took(Timestamp(3), &NEW, Some(1_000), 1_000);
        assert!(paces.by_provider.len() == 2 && !paces.by_provider.contains_key(&HONEST));
    }
}
