#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn runs(fuel: u64, inputs: &[&[u8]]) -> WorkInput {
    WorkInput::Runs {
        module: Module {
            blob: Hash([1; 32]),
            bytes: 100,
        },
        fuel,
        inputs: inputs.iter().map(|input| input.to_vec()).collect(),
    }
}

fn outcome(fuel: u64, ending: &[u8]) -> RunOutcome {
    RunOutcome {
        fuel,
        ending: ending.to_vec(),
    }
}

#[test]
fn work_is_counted_in_whole_units_for_each_run() {
    assert_eq!(runs(1, &[b"", b""]).units(), 2);
    assert_eq!(runs(FUEL_PER_UNIT, &[b""]).units(), 1);
    assert_eq!(runs(FUEL_PER_UNIT + 1, &[b"", b"", b""]).units(), 6);
    assert_eq!(runs(u64::MAX, &[b""]).units(), u32::MAX);
}

#[test]
fn whatever_differs_changes_the_name() {
    let plain = runs(5, &[b"ab", b"c"]);
    let mut others = vec![
        runs(6, &[b"ab", b"c"]),
        runs(5, &[b"a", b"bc"]),
        runs(5, &[b"ab"]),
    ];
    for change in [
        |module: &mut Module| module.bytes += 1,
        |module: &mut Module| module.blob.0[31] ^= 1,
    ] {
        let mut other = plain.clone();
        if let WorkInput::Runs { module, .. } = &mut other {
            change(module);
        }
        others.push(other);
    }
    assert!(others.iter().all(|other| other.hash() != plain.hash()));
    assert_eq!(plain.clone().hash(), plain.hash());

    let output = |outcomes: &[RunOutcome]| WorkOutput::Runs {
        outcomes: outcomes.to_vec(),
    };
    let hash = output(&[outcome(1, b"x")]).hash();
    assert_ne!(output(&[outcome(2, b"x")]).hash(), hash);
    assert_ne!(output(&[outcome(1, b"y")]).hash(), hash);
}

#[test]
fn a_request_beyond_the_bounds_is_refused_with_its_reason() {
    let long = vec![0; RUN_BYTES_MAX + 1];
    let much: Vec<&[u8]> = vec![&long[1..]; 3];
    let many: Vec<&[u8]> = vec![b""; TEXTS_MAX + 1];
    for (input, reason) in [
        (runs(1, &[]), "there is no input"),
        (runs(1, &many), "go into one request"),
        (runs(1, &[&long]), "is longer than"),
        (runs(1, &much), "bytes of inputs are more than"),
        (runs(0, &[b""]), "units of fuel"),
        (runs(FUEL_MAX + 1, &[b""]), "units of fuel"),
    ] {
        let Err(Failure::InvalidRequest { what }) = input.check() else {
            panic!("{reason}: it was taken");
        };
        assert!(what.contains(reason), "{what}");
    }
    assert_eq!(runs(FUEL_MAX, &[b""]).check(), Ok(()));
    let mut empty = runs(1, &[b""]);
    if let WorkInput::Runs { module, .. } = &mut empty {
        module.bytes = 0;
    }
    assert!(empty.check().is_err());
}

#[test]
fn an_output_of_another_shape_is_refused() {
    let output = |outcomes: Vec<RunOutcome>| WorkOutput::Runs { outcomes };
    let units = 4;
    let most = outcome(2 * FUEL_PER_UNIT, b"");
    assert_eq!(output(vec![most.clone(), most.clone()]).check(2, units), Ok(()));
    assert!(output(vec![most.clone()]).check(2, units).is_err());
    let more = outcome(2 * FUEL_PER_UNIT + 1, b"");
    assert!(output(vec![most.clone(), more]).check(2, units).is_err());
    let large = outcome(0, &vec![0; RUN_BYTES_MAX]);
    assert!(output(vec![large; 3]).check(3, 6).is_err());
    let vectors = |values: Vec<f32>| WorkOutput::Embeddings {
        dimension: 2,
        values,
        backend: String::new(),
    };
    assert_eq!(vectors(vec![1.0; 4]).check(2, 9), Ok(()));
    assert_eq!(vectors(vec![f32::NAN; 4]).check(2, 9), Err(Failure::WrongResult));
    assert!(vectors(vec![1.0; 3]).check(2, 9).is_err());
}

#[test]
fn what_was_not_used_is_not_owed() {
    let output = |fuels: &[u64]| WorkOutput::Runs {
        outcomes: fuels.iter().map(|fuel| outcome(*fuel, b"")).collect(),
    };
    assert_eq!(output(&[0, 1, FUEL_PER_UNIT + 1]).units_done(30), Some(4));
    assert_eq!(output(&[FUEL_PER_UNIT, FUEL_PER_UNIT]).units_done(2), None);
}

#[test]
fn rows_are_picked_in_the_order_asked_for() {
    let output = WorkOutput::Runs {
        outcomes: vec![outcome(1, b"a"), outcome(2, b"b")],
    };
    let swapped = output.clone().pick([Some(1), Some(0)].into_iter()).unwrap();
    assert_eq!(swapped.row(0), output.row(1));
    assert_eq!(swapped.row(1), output.row(0));
    assert_eq!(output.clone().pick([Some(2)].into_iter()), None);
    assert_eq!(output.pick([None].into_iter()), None);
}

#[test]
fn runs_are_alike_or_not() {
    let (a, b) = (outcome(1, b"a"), outcome(1, b"b"));
    let less = outcome(0, b"a");
    let alike = |a, b| likeness(ComparisonRule::Exact, Row::Run(a), Row::Run(b));
    let same = a.clone();
    assert_eq!(alike(&a, &same), 1.0);
    assert_eq!(alike(&a, &b), -1.0);
    assert_eq!(alike(&a, &less), -1.0);
    assert_eq!(
        likeness(ComparisonRule::Exact, Row::Run(&a), Row::Vector(&[1.0])),
        -1.0
    );
}
