//! How long providers really take: claims checked by who bought.
//!
//! A provider promises a time with room to spare, or boasts. What counts for a buyer is the time that it will take, so the
//! promise is multiplied with this provider's **pace**, the mean of *taken / promised* over its trades with this node:
//!
//! ```text
//! expected = promised × (PRIOR_TRADES × common + Σ paces) / (PRIOR_TRADES + trades)
//! ```
//!
//! A provider without a record is taken to be like the others of this node's experience (`common`), which shrinks a small
//! sample towards the rest (empirical Bayes: B. Efron, C. Morris, *Stein's Paradox in Statistics*, Scientific American
//! 236(5), 1977). Whoever boasts ten times its speed is thus believed once. Older trades fade geometrically, so that the
//! mean follows a device that becomes slower, and a trade without a result counts as [`PACE_MAX`].
//!
//! Bounds: one entry per provider, at most as many as peers are remembered; the one without a trade for the longest time goes
//! first. Paces are not stored: a restart begins from the promises again.

use litemap::LiteMap;

use crate::ids::{NodeId, Timestamp};

/// The common pace weighs as much as this many trades.
const PRIOR_TRADES: f64 = 1.0;
/// What a trade keeps of its weight with each later one.
const FADING: f64 = 0.9;
/// The same for the common pace, which follows many providers.
const COMMON_FADING: f64 = 0.98;
/// A pace beyond this says no more than that the promise is worth nothing.
pub(crate) const PACE_MAX: f64 = 20.0;

#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    sum: f64,
    trades: f64,
    at: Timestamp,
}

impl Pace {
    fn add(&mut self, pace: f64, fading: f64) {
        self.sum = self.sum * fading + pace;
        self.trades = self.trades * fading + 1.0;
    }
}

/// The paces of the providers that this node bought from.
pub(crate) struct Paces {
    max: usize,
    common: Pace,
    by_provider: LiteMap<NodeId, Pace>,
}

impl Paces {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            common: Pace::default(),
            by_provider: LiteMap::new(),
        }
    }

    /// Counts how long a trade took; `None` when no result came at all.
    pub(crate) fn took(&mut self, now: Timestamp, provider: &NodeId, took_ms: Option<u64>, promised_ms: u32) {
        let pace = match took_ms {
            Some(took_ms) => (took_ms as f64 / f64::from(promised_ms.max(1))).min(PACE_MAX),
            None => PACE_MAX,
        };
        if !self.by_provider.contains_key(provider) && self.by_provider.len() >= self.max {
            let oldest = self.by_provider.iter().min_by_key(|(_, pace)| pace.at);
            if let Some(oldest) = oldest.map(|(provider, _)| *provider) {
                self.by_provider.remove(&oldest);
            }
        }
        let entry = self.by_provider.entry(*provider).or_default();
        entry.add(pace, FADING);
        entry.at = now;
        // One that fails says nothing about the others.
        if took_ms.is_some() {
            self.common.add(pace, COMMON_FADING);
        }
    }

    /// Whether anything was bought from a provider lately.
    pub(crate) fn knows(&self, provider: &NodeId) -> bool {
        self.by_provider.contains_key(provider)
    }

    /// The time to expect of a promise, milliseconds.
    pub(crate) fn expected_ms(&self, provider: &NodeId, promised_ms: u32) -> u32 {
        let common = match self.common.trades > 0.0 {
            true => self.common.sum / self.common.trades,
            false => 1.0,
        };
        let own = self.by_provider.get(provider).copied().unwrap_or_default();
        let pace = (PRIOR_TRADES * common + own.sum) / (PRIOR_TRADES + own.trades);
        // Saturates at the ends of `u32`.
        libm::ceil(f64::from(promised_ms) * pace) as u32
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
    fn a_promise_is_taken_at_its_word_until_there_is_experience() {
        let mut paces = Paces::new(10);
        assert_eq!(paces.expected_ms(&NEW, 1_000), 1_000);
        for _ in 0..30 {
            paces.took(Timestamp(0), &HONEST, Some(500), 1_000);
        }
        assert_eq!(paces.expected_ms(&HONEST, 1_000), 500);
        assert_eq!(paces.expected_ms(&NEW, 1_000), 500);
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
    fn the_longest_unused_makes_room() {
        let mut paces = Paces::new(2);
        paces.took(Timestamp(1), &HONEST, Some(500), 1_000);
        paces.took(Timestamp(2), &BOASTER, Some(5_000), 1_000);
        paces.took(Timestamp(3), &NEW, Some(1_000), 1_000);
        assert!(paces.by_provider.len() == 2 && !paces.by_provider.contains_key(&HONEST));
    }
}
