//! How long providers really take: claims checked by who bought.
//!
//! A provider promises a time with room to spare, or boasts. What counts for a buyer is the time that it will take. What a
//! promise is worth is learnt in two steps. The line through all trades of this node says what such a promise usually means;
//! a provider's own trades say how many times longer it takes than that, its **pace**:
//!
//! ```text
//! usual(promised) = a + b × promised                  least squares over all trades
//! expected = usual(promised) × (PRIOR_TRADES × typical + Σ taken) / (PRIOR_TRADES × typical + Σ usual)
//! ```
//!
//! A line, because a promise contains time that never passes (slack for the engine) and misses some that does (the way there
//! and back). A ratio of sums and not a mean of ratios (the ratio estimator of survey sampling: W. Cochran, *Sampling
//! Techniques*, 1977, chapter 6): a large trade says more of a speed than a small one, most of which is waiting.
//!
//! A provider without a record is taken to be like the others of this node's experience, over a trade of `typical` length,
//! which shrinks a small sample towards the rest (empirical Bayes: B. Efron, C. Morris, *Stein's
//! Paradox in Statistics*, Scientific American 236(5), 1977). Whoever boasts ten times its speed is thus believed once. Older
//! trades fade geometrically, so that the pace follows a device that becomes slower, and a trade without a result counts as
//! [`PACE_MAX`].
//!
//! Bounds: one entry per provider, at most as many as peers are remembered; the one without a trade for the longest time goes
//! first. Paces are not stored: a restart begins from the promises again.

use litemap::LiteMap;

use crate::ids::{NodeId, Timestamp};

/// What is usual weighs as much as this many trades.
const PRIOR_TRADES: f64 = 1.0;
/// What a trade keeps of its weight with each later one.
const FADING: f64 = 0.9;
/// The same for what is usual, which follows many providers.
const COMMON_FADING: f64 = 0.98;
/// Whoever keeps to the protocol promises this many times what it needs; without any experience that is taken off.
pub(crate) const PROMISE_SLACK: u32 = 2;
/// A pace beyond this says no more than that the promise is worth nothing.
pub(crate) const PACE_MAX: f64 = 20.0;

/// One provider's trades.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    trades: f64,
    promised_ms: f64,
    taken_ms: f64,
    at: Timestamp,
}

impl Pace {
    /// What all its promises together would usually have meant, by what is known now.
    fn usual_ms(&self, usual: &Usual) -> f64 {
        match self.trades > 0.0 {
            true => self.trades * usual.of(self.promised_ms / self.trades),
            false => 0.0,
        }
    }
}

/// All trades, as the sums of least squares: how many, promised, taken, promised², promised × taken.
#[derive(Clone, Copy, Debug, Default)]
struct Usual {
    trades: f64,
    promised: f64,
    taken: f64,
    squares: f64,
    products: f64,
}

impl Usual {
    fn add(&mut self, promised_ms: f64, taken_ms: f64) {
        self.trades = self.trades * COMMON_FADING + 1.0;
        self.promised = self.promised * COMMON_FADING + promised_ms;
        self.taken = self.taken * COMMON_FADING + taken_ms;
        self.squares = self.squares * COMMON_FADING + promised_ms * promised_ms;
        self.products = self.products * COMMON_FADING + promised_ms * taken_ms;
    }

    /// What a promise usually means. A line that falls, or begins below zero, is none: then in proportion.
    fn of(&self, promised_ms: f64) -> f64 {
        if self.trades <= 0.0 {
            return promised_ms / f64::from(PROMISE_SLACK);
        }
        let (promised, taken) = (self.promised / self.trades, self.taken / self.trades);
        let variance = self.squares / self.trades - promised * promised;
        let covariance = self.products / self.trades - promised * taken;
        // Promises that hardly differ say nothing of a slope.
        let slope = if variance > promised * promised * 1e-3 {
            covariance / variance
        } else {
            taken / promised
        };
        let start = taken - slope * promised;
        if slope > 0.0 && start >= 0.0 {
            start + slope * promised_ms
        } else {
            promised_ms * taken / promised
        }
    }

    /// The length of a trade.
    fn typical(&self) -> Option<f64> {
        (self.trades > 0.0).then(|| self.taken / self.trades)
    }
}

/// The paces of the providers that this node bought from.
pub(crate) struct Paces {
    max: usize,
    usual: Usual,
    by_provider: LiteMap<NodeId, Pace>,
}

impl Paces {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            usual: Usual::default(),
            by_provider: LiteMap::new(),
        }
    }

    /// Counts how long a trade took; `None` when no result came at all.
    pub(crate) fn took(&mut self, now: Timestamp, provider: &NodeId, took_ms: Option<u64>, promised_ms: u32) {
        let promised_ms = f64::from(promised_ms.max(1));
        let most_ms = promised_ms * PACE_MAX;
        let taken_ms = took_ms.map_or(most_ms, |took_ms| (took_ms as f64).min(most_ms));
        if !self.by_provider.contains_key(provider) && self.by_provider.len() >= self.max {
            let oldest = self.by_provider.iter().min_by_key(|(_, pace)| pace.at);
            if let Some(oldest) = oldest.map(|(provider, _)| *provider) {
                self.by_provider.remove(&oldest);
            }
        }
        let entry = self.by_provider.entry(*provider).or_default();
        entry.trades = entry.trades * FADING + 1.0;
        entry.promised_ms = entry.promised_ms * FADING + promised_ms;
        entry.taken_ms = entry.taken_ms * FADING + taken_ms;
        entry.at = now;
        // One that fails says nothing about the others.
        if took_ms.is_some() {
            self.usual.add(promised_ms, taken_ms);
        }
    }

    /// Whether anything was bought from a provider lately.
    pub(crate) fn knows(&self, provider: &NodeId) -> bool {
        self.by_provider.contains_key(provider)
    }

    /// The time to expect of a promise, milliseconds.
    pub(crate) fn expected_ms(&self, provider: &NodeId, promised_ms: u32) -> u32 {
        let usual_ms = self.usual.of(f64::from(promised_ms.max(1)));
        let prior_ms = PRIOR_TRADES * self.usual.typical().unwrap_or(usual_ms);
        let own = self.by_provider.get(provider).copied().unwrap_or_default();
        let pace = (prior_ms + own.taken_ms) / (prior_ms + own.usual_ms(&self.usual));
        // Saturates at the ends of `u32`.
        libm::round(usual_ms * pace) as u32
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

    #[test]
    fn a_promise_is_taken_less_its_slack_until_there_is_experience() {
        let mut paces = Paces::new(10);
        assert_eq!(paces.expected_ms(&NEW, 1_000), 500);
        for _ in 0..60 {
            paces.took(Timestamp(0), &HONEST, Some(700), 1_000);
        }
        assert_eq!(paces.expected_ms(&HONEST, 1_000), 700);
        assert_eq!(paces.expected_ms(&NEW, 1_000), 700);
    }

    #[test]
    fn a_boast_is_believed_once() {
        let mut paces = Paces::new(10);
        for _ in 0..30 {
            paces.took(Timestamp(0), &HONEST, Some(500), 1_000);
        }
        paces.took(Timestamp(0), &BOASTER, Some(5_000), 1_000);
        assert!(paces.expected_ms(&BOASTER, 1_000) > 2_500);
        for _ in 0..10 {
            paces.took(Timestamp(0), &BOASTER, Some(5_000), 1_000);
        }
        assert!(paces.expected_ms(&BOASTER, 1_000) > 4_000);
        // It hardly colours what is thought of others.
        assert!(paces.expected_ms(&HONEST, 1_000) < 800);
    }

    #[test]
    fn a_device_that_changes_is_followed_and_no_result_is_the_slowest() {
        let mut paces = Paces::new(10);
        for _ in 0..50 {
            paces.took(Timestamp(0), &HONEST, Some(500), 1_000);
        }
        for _ in 0..22 {
            paces.took(Timestamp(0), &HONEST, Some(1_500), 1_000);
        }
        assert!(paces.expected_ms(&HONEST, 1_000) > 1_300);
        paces.took(Timestamp(0), &BOASTER, None, 1_000);
        assert!(paces.expected_ms(&BOASTER, 1_000) > 10_000);
        assert_eq!(paces.expected_ms(&BOASTER, u32::MAX), u32::MAX);
    }

    #[test]
    fn a_small_sample_says_little_of_a_large_trade() {
        let mut paces = Paces::new(10);
        for _ in 0..30 {
            paces.took(Timestamp(0), &HONEST, Some(2_000), 4_000);
        }
        // Most of a small trade is waiting, in which everyone is as fast.
        for _ in 0..3 {
            paces.took(Timestamp(0), &BOASTER, Some(200), 600);
        }
        paces.took(Timestamp(0), &BOASTER, Some(20_000), 4_000);
        assert!(paces.expected_ms(&BOASTER, 4_000) > 8_000);
    }

    #[test]
    fn the_longest_unused_makes_room() {
        let mut paces = Paces::new(2);
        paces.took(Timestamp(1), &HONEST, Some(500), 1_000);
        paces.took(Timestamp(2), &BOASTER, Some(5_000), 1_000);
        paces.took(Timestamp(3), &NEW, Some(1_000), 1_000);
        assert!(paces.by_provider.len() == 2 && !paces.by_provider.contains_key(&HONEST));
    }
}
