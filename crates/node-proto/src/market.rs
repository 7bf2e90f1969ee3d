//! The market: which of the quotes is the best, and the hashes that bind a trade together.
//!
//! A buyer does not take the cheapest quote but the one with the highest **expected utility**: what a right result is
//! worth, times how likely it is to come, less the price and the time. The value of a result is not known, so it is set in
//! proportion to the dearest quote at hand: a provider that is half as likely to deliver must then be much cheaper to be
//! taken.
//!
//! Whoever picks the best of several claims picks the boldest liar among them: the maximum of noisy estimates is biased
//! upwards, and the cure is to shrink what is not known towards the rest (J. Smith, R. Winkler, *The Optimizer's Curse*,
//! Management Science 52(3), 2006). So a time that was only claimed and never measured counts as no better than the middle
//! one of the candidates, and where the price is a claim as well, in offers, so does that. A crowd of fresh names that all
//! boast alike is thus asked as often as it is large, and not before everyone else.

use crate::ids::{Hash, Millicredits};
use crate::order;
use crate::wire::Agreement;

/// A result is worth this many times the dearest quote.
const VALUE_OVER_DEAREST: f64 = 4.0;
/// A second of waiting weighs as much as this part of the dearest quote.
const SECOND_OVER_DEAREST: f64 = 0.1;

/// A counter-offer is granted about every other time.
const COUNTER_CHANCE: f64 = 0.5;

/// What is known of a quote when it is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The quote's price.
    pub price: Millicredits,
    /// The time that it is expected to take, milliseconds: its promise, corrected by what was measured of the provider.
    pub expected_ms: u32,
    /// Whether anything was measured of the provider.
    pub measured: bool,
    /// How likely a right result is to come in time, 0..=1.
    pub success: f32,
}

/// The places of candidates whose prices are offers and bind nobody yet, the best first; equal ones stay in the order in
/// which they came.
pub fn rank_offers(candidates: &[Candidate]) -> Vec<usize> {
    let middle = middle(candidates.iter().map(|candidate| candidate.price).collect());
    let shrunk = candidates.iter().map(|candidate| match candidate.measured {
        true => *candidate,
        false => Candidate {
            price: candidate.price.max(middle.unwrap_or_default()),
            ..*candidate
        },
    });
    rank(&shrunk.collect::<Vec<_>>())
}

/// The candidates' places, the best first; equal ones stay in the order in which they came.
pub fn rank(candidates: &[Candidate]) -> Vec<usize> {
    let dearest = candidates
        .iter()
        .map(|candidate| candidate.price.0)
        .max()
        .unwrap_or(0)
        .max(1) as f64;
    let times = candidates
        .iter()
        .map(|candidate| Millicredits(candidate.expected_ms.into()));
    let middle_ms = middle(times.collect()).map_or(0, |middle| u32::try_from(middle.0).unwrap_or(u32::MAX));
    let utility = |candidate: &Candidate| {
        let expected_ms = match candidate.measured {
            true => candidate.expected_ms,
            false => candidate.expected_ms.max(middle_ms),
        };
        let seconds = f64::from(expected_ms) / 1_000.0;
        let value = f64::from(candidate.success) * VALUE_OVER_DEAREST * dearest;
        value - candidate.price.0 as f64 - seconds * SECOND_OVER_DEAREST * dearest
    };
    order::places(candidates.len(), &|a, b| {
        utility(&candidates[b]).total_cmp(&utility(&candidates[a]))
    })
}

/// The middle one of the values; the upper one of two.
fn middle(mut values: Vec<Millicredits>) -> Option<Millicredits> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// What to offer the best candidate instead of taking its quote; `None` where asking does not pay.
///
/// Another quote shows for how little the same can be had. Asking the best one to meet it costs one more round trip and
/// succeeds now and then, so it pays when the expected saving is more than that wait is worth.
pub fn worth_offering(best: &Candidate, others: &[Candidate], round_trip_ms: u32) -> Option<Millicredits> {
    let lowest = others.iter().map(|other| other.price).min()?;
    let saving = best.price.0.checked_sub(lowest.0)? as f64;
    let seconds = f64::from(round_trip_ms) / 1_000.0;
    let wait = seconds * SECOND_OVER_DEAREST * best.price.0 as f64;
    (saving * COUNTER_CHANCE > wait).then_some(lowest)
}

/// How many of the agreed tokens count as done when the engine has run so long: the same part of them as of the promised
/// time. Both sides can compute it, see `node::hedge`.
pub fn units_done(terms: &Agreement, engine_ms: u64) -> u32 {
    let promised_ms = u64::from(terms.promised_ms.max(1));
    let units = u64::from(terms.tokens) * engine_ms.min(promised_ms) / promised_ms;
    u32::try_from(units).unwrap_or(terms.tokens)
}

/// Names an input: BLAKE3 over each text's length (eight bytes, little-endian) and bytes.
pub fn input_hash<T: AsRef<str>>(texts: &[T]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        let text = text.as_ref();
        hasher
            .update(&(text.len() as u64).to_le_bytes())
            .update(text.as_bytes());
    }
    Hash(*hasher.finalize().as_bytes())
}

/// Names an output: BLAKE3 over the dimension (four bytes, little-endian) and the values as they travel.
pub fn output_hash(dimension: u32, values: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&dimension.to_le_bytes()).update(values);
    Hash(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn candidate(price: i64, expected_ms: u32, success: f32) -> Candidate {
        Candidate {
            price: Millicredits(price),
            expected_ms,
            measured: true,
            success,
        }
    }

    #[test]
    fn the_best_is_not_the_cheapest() {
        let known = candidate(400, 1_000, 0.9);
        let unknown = candidate(300, 1_000, 0.3);
        assert_eq!(rank(&[unknown, known]), [1, 0]);
        assert_eq!(
            rank(&[candidate(400, 1_000, 0.5), candidate(300, 1_000, 0.5)]),
            [1, 0]
        );
        assert_eq!(
            rank(&[candidate(300, 9_000, 0.5), candidate(300, 1_000, 0.5)]),
            [1, 0]
        );
        assert_eq!(rank(&[known, known]), [0, 1]);
        assert!(rank(&[]).is_empty());
    }

    #[test]
    fn a_claim_counts_as_no_better_than_the_middle() {
        let honest = candidate(300, 1_000, 0.5);
        let boast = Candidate {
            measured: false,
            ..candidate(310, 100, 0.5)
        };
        let slow = candidate(330, 3_000, 0.5);
        assert_eq!(rank(&[boast, honest, slow]), [1, 0, 2]);
        let measured = Candidate {
            measured: true,
            ..boast
        };
        assert_eq!(rank(&[measured, honest, slow]), [0, 1, 2]);
    }

    #[test]
    fn the_price_of_an_offer_is_a_claim_too() {
        let honest = candidate(300, 1_000, 0.5);
        let bait = Candidate {
            measured: false,
            ..candidate(10, 100, 0.5)
        };
        let dear = candidate(330, 3_000, 0.5);
        assert_eq!(rank_offers(&[honest, bait, dear]), [0, 1, 2]);
        assert_eq!(rank(&[honest, bait, dear]), [1, 0, 2]);
    }

    #[test]
    fn a_counter_offer_is_made_when_it_pays() {
        let best = candidate(400, 1_000, 0.9);
        let offer =
            |price, round_trip_ms| worth_offering(&best, &[candidate(price, 1_000, 0.3)], round_trip_ms);
        assert_eq!(offer(300, 200), Some(Millicredits(300)));
        // Half of 10 is not worth the fiftieth part of 400.
        assert_eq!(offer(390, 200), None);
        assert_eq!(offer(300, 10_000), None);
        assert_eq!(offer(500, 0), None);
        assert_eq!(worth_offering(&best, &[], 0), None);
    }

    #[test]
    fn inputs_are_named_by_their_texts_and_borders() {
        assert_ne!(input_hash(&["ab", "c"]), input_hash(&["a", "bc"]));
        assert_ne!(output_hash(1, &[0; 8]), output_hash(2, &[0; 8]));
    }
}
