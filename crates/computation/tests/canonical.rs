//! Canonical bytes are compared by those who do not know what an outcome is: they must say what `agrees_with` says.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use computation::{Ending, Failure, Outcome, Trap};
use proptest::prelude::*;

/// Outcomes of which many agree, since there is little to choose from.
fn outcomes() -> impl Strategy<Value = Outcome> {
    let words = || prop::sample::select(vec!["", "a", "b"]).prop_map(str::to_owned);
    let trap = prop::sample::select(vec![
        Trap::Unreachable,
        Trap::OutOfBounds,
        Trap::DivisionByZero,
        Trap::IntegerOverflow,
        Trap::IndirectCall,
        Trap::Other,
    ]);
    let failure = prop_oneof![
        words().prop_map(Failure::BadModule),
        words().prop_map(Failure::Refused),
        words().prop_map(Failure::Machine),
        trap.prop_map(Failure::Trap),
        prop::sample::select(vec![
            Failure::InputTooLong,
            Failure::OutOfFuel,
            Failure::MemoryLimit,
            Failure::CallDepth,
            Failure::BadPlace,
            Failure::OutputTooLong,
        ]),
    ];
    let ending = prop_oneof![
        1 => prop::collection::vec(0..2_u8, 0..3).prop_map(Ending::Output),
        4 => failure.prop_map(Ending::Failed),
    ];
    let fuel = prop::sample::select(vec![0, 1, u64::MAX]);
    (fuel, ending).prop_map(|(fuel_used, ending)| Outcome { fuel_used, ending })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn canonical_bytes_are_the_same_exactly_where_outcomes_agree(one in outcomes(), other in outcomes()) {
        let (ours, theirs) = (one.ending.to_canonical_bytes(), other.ending.to_canonical_bytes());
        let same = ours.is_some() && ours == theirs && one.fuel_used == other.fuel_used;
        prop_assert_eq!(one.agrees_with(&other), same);
        prop_assert_eq!(one.agrees_with(&one), ours.is_some());
    }

    #[test]
    fn canonical_bytes_are_an_ending_that_agrees(outcome in outcomes()) {
        let machine = matches!(outcome.ending, Ending::Failed(Failure::Machine(_)));
        let canonical = outcome.ending.to_canonical_bytes();
        prop_assert_eq!(machine, canonical.is_none());
        if let Some(canonical) = canonical {
            let ending = Ending::from_bytes(&canonical).unwrap();
            prop_assert_eq!(ending.to_canonical_bytes(), Some(canonical));
            let fuel_used = outcome.fuel_used;
            let read = Outcome { fuel_used, ending };
            prop_assert!(outcome.agrees_with(&read));
        }
    }
}

#[test]
fn canonical_bytes_stay_what_they_are() {
    // Devices with different builds of the page are compared by them: written out by hand from RFC 8949.
    let output = Ending::Output(b"hi".to_vec());
    let bytes = [0x82, 0x00, 0x81, 0x42, b'h', b'i'];
    assert_eq!(output.to_canonical_bytes().unwrap(), bytes);
    let trapped = Ending::Failed(Failure::Trap(Trap::OutOfBounds));
    let bytes = [0x82, 0x01, 0x81, 0x82, 0x05, 0x81, 0x82, 0x05, 0x80];
    assert_eq!(trapped.to_canonical_bytes().unwrap(), bytes);
    let refused = Ending::Failed(Failure::BadModule("it imports env.now".into()));
    let bytes = [0x82, 0x01, 0x81, 0x82, 0x00, 0x81, 0x60];
    assert_eq!(refused.to_canonical_bytes().unwrap(), bytes);
}
