//! Verification: is the result right?
//!
//! Two checks. **Probes**: texts whose embeddings are known go into the batch at random places, so that a provider that invents
//! vectors is caught by one of them. **Comparison**: a few of the real texts are bought from a second provider as well, more
//! often for a short record (BOINC's adaptive replication: always until so many valid results in a row, then with a probability
//! that falls as the record grows).
//!
//! What the provider does not see: which texts are probes, as long as it does not know them, and whether a second one computes
//! some of the same. A probe hides by three things: its place is random, its length is like that of the texts around it, and the
//! shell hands over known answers that few others have ([`Command::Probes`](crate::io::Command::Probes)). A browser gets its own few from a relay's
//! pool. Answers that everybody has hide nothing: who knows them answers those rightly and the rest as it likes. What
//! remains to a cheat is to collect the pool, to remember texts that come again, or to tell texts that were drawn from elsewhere
//! by their style or subject from those of a person; then only comparison finds it. What that is worth to a coalition stands in the
//! simulator's table of cheats.
//!
//! A **record** is of two parts. One is the provider's own right results in a row. The other is all results that this buyer
//! checked since a comparison last contradicted the probes, whoever computed them: a comparison is there to find what probes
//! miss, and a provider that little is known of is taken to be like the rest (empirical Bayes, as in [`pace`](crate::pace)).
//! Whoever buys here and there from many thus has a record to go by, too. A wrong result ends the first part, a comparison
//! that contradicts the probes the second. With a record one probe remains in every batch: it finds whoever begins to cheat
//! late. While engines are scarce none does, and a text of each such result is compared when they are free again (`node::deferred`).
//!
//! Results are compared by the rule that the agreement names. Vectors by cosine against the least cosine agreed on: floating
//! point differs a little between machines, a wrong model differs a lot. Deterministic work bit by bit. Model hash and
//! precision are part of the agreement too, so an honest int8 provider is never judged by an f32 reference.
//!
//! A record makes comparisons rarer: D. Anderson, *BOINC: A Platform for Volunteer Computing*, Journal of Grid Computing 18,
//! 2020, section on adaptive replication.
//!
//! [`judge`] is for third parties: it decides a dispute from signed evidence. [`storage`] checks that somebody still keeps
//! what it was given.

pub mod judge;
pub mod storage;

use crate::rng::Rng;
use crate::service::Probe;
use crate::wire::ComparisonRule;
use crate::work::{Row, WorkOutput, likeness};

/// Where a text of a batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The buyer's item of this index.
    Item(usize),
    /// The probe of this index.
    Probe(usize),
}

/// Items and probes in the order in which they are sent: items keep their order, probes fall between them anywhere.
pub(crate) fn hide_probes(rng: &mut Rng, items: usize, probes: usize) -> Vec<Slot> {
    let mut slots: Vec<Slot> = (0..items).map(Slot::Item).collect();
    for probe in 0..probes {
        let place = rng.below(slots.len() + 1);
        slots.insert(place, Slot::Probe(probe));
    }
    slots
}

/// How alike two results must be under an agreement.
pub(crate) fn required(rule: ComparisonRule, cosine_min_ppm: i32) -> f32 {
    match rule {
        ComparisonRule::Cosine => from_ppm(cosine_min_ppm),
        ComparisonRule::Exact => 1.0,
    }
}

/// The cosine of two vectors; −1 when they cannot be compared, so that nonsense never passes.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return -1.0;
    }
    let (mut dot, mut norm_a, mut norm_b) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(*x), f64::from(*y));
        dot += x * y;
        norm_a += x * x;
        norm_b += y * y;
    }
    let cosine = dot / libm::sqrt(norm_a * norm_b);
    if cosine.is_finite() {
        cosine.clamp(-1.0, 1.0) as f32
    } else {
        -1.0
    }
}

/// The lowest likeness between the batch's probes and their references; `None` without probes.
pub(crate) fn probes_likeness(
    rule: ComparisonRule,
    slots: &[Slot],
    output: &WorkOutput,
    probes: &[Probe],
) -> Option<f32> {
    let seen = slots.iter().enumerate().filter_map(|(row, slot)| match slot {
        Slot::Probe(index) => Some(match (output.row(row), probes.get(*index)) {
            (Some(seen), Some(probe)) => likeness(rule, seen, Row::Vector(&probe.embedding)),
            _ => -1.0,
        }),
        Slot::Item(_) => None,
    });
    seen.reduce(f32::min)
}

/// In how many of a million cases a provider's result is compared with a second one's.
pub(crate) fn compare_chance_ppm(record: u32, trust_after: u32) -> u32 {
    if record < trust_after {
        return 1_000_000;
    }
    // After `n` valid results in a row the chance is `(trust_after / n)² / 2`: one half at first, rarer with the record.
    let (trusted, record) = (u128::from(trust_after), u128::from(record.max(1)));
    let chance = trusted * trusted * 500_000 / (record * record);
    u32::try_from(chance).unwrap_or(1_000_000)
}

/// How many probes go into a batch.
pub(crate) fn probes_wanted(record: u32, trust_after: u32, probes_max: usize) -> usize {
    match record < trust_after {
        true => probes_max,
        false => probes_max.min(1),
    }
}

/// So many known answers at least must be about as long as a batch's texts for the others to be left out: few would come again and
/// again.
const ALIKE_MIN: usize = 4;

/// The known answers that may be hidden among texts of these lengths in bytes: those at least half and at most twice as long as the
/// texts' median, so that length alone does not tell them apart. All, where those are too few or there are no texts.
pub(crate) fn alike_in_length(known: &[Probe], mut lengths: Vec<usize>) -> Vec<&Probe> {
    let middle = lengths.len() / 2;
    let alike = match lengths.get(middle) {
        Some(_) => {
            let (_, median, _) = lengths.select_nth_unstable(middle);
            let alike =
                |length: usize| length.saturating_mul(2) >= *median && length <= median.saturating_mul(2);
            known.iter().filter(|probe| alike(probe.text.len())).collect()
        }
        None => Vec::new(),
    };
    if alike.len() < ALIKE_MIN {
        return known.iter().collect();
    }
    alike
}

/// A cosine as signed objects carry it.
pub(crate) fn to_ppm(cosine: f32) -> i32 {
    libm::round(f64::from(cosine) * 1e6) as i32
}

/// A cosine from a signed object.
pub(crate) fn from_ppm(ppm: i32) -> f32 {
    (f64::from(ppm) / 1e6) as f32
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::ids::NodeId;

    fn vectors(values: &[f32]) -> WorkOutput {
        WorkOutput::Embeddings {
            dimension: 2,
            values: values.to_vec(),
            backend: String::new(),
        }
    }

    #[test]
    fn probes_lie_anywhere_and_items_keep_their_order() {
        let mut rng = Rng::new(1, &NodeId([0; 32]));
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let slots = hide_probes(&mut rng, 3, 1);
            let items: Vec<_> = slots
                .iter()
                .filter(|slot| matches!(slot, Slot::Item(_)))
                .collect();
            assert_eq!(items, [&Slot::Item(0), &Slot::Item(1), &Slot::Item(2)]);
            places.insert(slots.iter().position(|slot| matches!(slot, Slot::Probe(_))));
        }
        assert_eq!(places.len(), 4);
    }

    #[test]
    fn nonsense_is_never_alike() {
        assert!((cosine(&[1.0, 2.0], &[2.0, 4.0]) - 1.0).abs() < 1e-6);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 1.0]), 0.0);
        for bad in [
            vec![],
            vec![0.0, 0.0],
            vec![f32::NAN, 1.0],
            vec![f32::INFINITY, 1.0],
        ] {
            assert_eq!(cosine(&bad, &[1.0, 1.0]), -1.0);
        }
        let probes = [Probe {
            text: String::new(),
            embedding: vec![1.0, 0.0],
        }];
        let slots = [Slot::Item(0), Slot::Probe(0)];
        assert_eq!(
            probes_likeness(
                ComparisonRule::Cosine,
                &slots,
                &vectors(&[0.0, 1.0, 1.0, 0.0]),
                &probes
            ),
            Some(1.0)
        );
        assert_eq!(
            probes_likeness(ComparisonRule::Cosine, &slots, &vectors(&[0.0, 1.0]), &probes),
            Some(-1.0)
        );
        assert_eq!(
            probes_likeness(
                ComparisonRule::Cosine,
                &slots[..1],
                &vectors(&[0.0, 1.0]),
                &probes
            ),
            None
        );
    }

    #[test]
    fn exact_is_bit_by_bit() {
        let exact = |a: &[f32], b: &[f32]| likeness(ComparisonRule::Exact, Row::Vector(a), Row::Vector(b));
        assert_eq!(exact(&[1.0, 2.0], &[1.0, 2.0]), 1.0);
        assert_eq!(exact(&[1.0], &[1.0 + f32::EPSILON]), -1.0);
        assert_eq!(exact(&[0.0], &[-0.0]), -1.0);
        assert_eq!(exact(&[], &[1.0]), -1.0);
        assert_eq!(required(ComparisonRule::Exact, 0), 1.0);
        assert_eq!(required(ComparisonRule::Cosine, 990_000), 0.99);
    }

    #[test]
    fn known_answers_are_about_as_long_as_the_texts_they_hide_among() {
        let known: Vec<Probe> = [5, 24, 25, 50, 99, 100, 101, 700]
            .map(|length| Probe {
                text: "x".repeat(length),
                embedding: vec![1.0],
            })
            .into();
        let lengths = |texts: &[usize]| -> Vec<usize> {
            let alike = alike_in_length(&known, texts.to_vec());
            alike.iter().map(|probe| probe.text.len()).collect()
        };
        assert_eq!(lengths(&[9_000, 50, 1]), [25, 50, 99, 100]);
        assert_eq!(lengths(&[50; 3]), [25, 50, 99, 100]);
        let all: Vec<usize> = known.iter().map(|probe| probe.text.len()).collect();
        assert_eq!(lengths(&[5]), all, "one alone would always be the one");
        assert_eq!(lengths(&[usize::MAX]), all);
        assert_eq!(lengths(&[0]), all);
        assert_eq!(lengths(&[]), all);
    }

    #[test]
    fn a_record_makes_checks_rarer() {
        assert_eq!(compare_chance_ppm(9, 10), 1_000_000);
        assert_eq!(compare_chance_ppm(10, 10), 500_000);
        assert_eq!(compare_chance_ppm(100, 10), 5_000);
        assert_eq!(compare_chance_ppm(u32::MAX, u32::MAX), 500_000);
        assert_eq!((probes_wanted(9, 10, 2), probes_wanted(10, 10, 2)), (2, 1));
        assert_eq!(probes_wanted(99, 10, 0), 0);
        assert_eq!(to_ppm(from_ppm(990_000)), 990_000);
    }
}
