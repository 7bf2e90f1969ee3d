#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

static FILE: [u8; 40_000] = [7; 40_000];
const BLOB: Hash = Hash([9; 32]);
const ANN: NodeId = NodeId([1; 32]);
const BEN: NodeId = NodeId([2; 32]);
const START: Timestamp = Timestamp(1_000_000);

fn keep(copies: u32, questions: usize) -> Keep {
    Keep {
        blob: BLOB,
        bytes: FILE.len() as u32,
        copies,
        slice_hours: 4,
        until: START.plus_ms(24 * HOUR_MS),
        scope: Scope::Group,
        price_max: None,
        questions: Questions::prepare(3, &ANN, &FILE, questions),
    }
}

fn kept(copies: u32, questions: usize) -> Keeper {
    let mut keeper = Keeper::default();
    keeper.keep(keep(copies, questions)).unwrap();
    keeper
}

/// Whom the next request names.
fn asked(keeper: &mut Keeper, now: Timestamp) -> Option<Option<NodeId>> {
    match keeper.next(now)? {
        (Next::Ask(_, requirements), _) => Some(requirements.provider),
        (Next::Tell(..), _) => panic!("a request was expected"),
    }
}

fn placed(keeper: &mut Keeper, now: Timestamp, peer: NodeId) {
    assert_eq!(asked(keeper, now), Some(None));
    keeper.ended(now, Ok((peer, Millicredits(5))), true);
}

#[test]
fn it_is_placed_as_often_as_wanted_and_never_twice_at_the_same() {
    let mut keeper = kept(2, 9);
    placed(&mut keeper, START, ANN);
    assert_eq!(asked(&mut keeper, START), Some(None));
    assert!(keeper.is_own(OWN) && keeper.excludes(OWN, &ANN) && !keeper.excludes(OWN, &BEN));
    assert_eq!(asked(&mut keeper, START), None, "one trade at a time");
    keeper.ended(START, Ok((BEN, Millicredits(5))), true);
    assert_eq!(asked(&mut keeper, START), None);
    assert_eq!(keeper.timeout(), Some(START.plus_ms(3 * HOUR_MS)));
}

#[test]
fn it_is_paid_slice_by_slice_to_its_end() {
    let mut keeper = kept(1, 9);
    placed(&mut keeper, START, ANN);
    for slice in 1..6 {
        let now = keeper.timeout().unwrap();
        assert_eq!(now, START.plus_ms((4 * slice - 1) * HOUR_MS));
        assert_eq!(asked(&mut keeper, now), Some(Some(ANN)));
        let (steps, _) = keeper.ended(now, Ok((ANN, Millicredits(5))), true);
        let paid_until = START.plus_ms(4 * (slice + 1) * HOUR_MS);
        let holder = Holder {
            peer: ANN,
            paid_until,
            price: Millicredits(5),
        };
        assert_eq!(steps, [(BLOB, StoredStep::Prolonged { holder })]);
    }
    let end = keeper.timeout().unwrap();
    assert_eq!(end, START.plus_ms(24 * HOUR_MS));
    assert!(matches!(
        keeper.next(end),
        Some((Next::Tell(_, StoredStep::Ended), _))
    ));
    assert!(keeper.views().is_empty() && keeper.timeout().is_none());
}

#[test]
fn whoever_lost_it_is_replaced_at_once() {
    let mut keeper = kept(1, 9);
    placed(&mut keeper, START, ANN);
    let now = START.plus_ms(3 * HOUR_MS);
    assert_eq!(asked(&mut keeper, now), Some(Some(ANN)));
    let (steps, _) = keeper.ended(now, Err(Failure::WrongResult), true);
    assert_eq!(
        steps,
        [(
            BLOB,
            StoredStep::Lost {
                peer: ANN,
                reason: Failure::WrongResult
            }
        )]
    );
    assert_eq!(asked(&mut keeper, now), Some(None));
    assert!(keeper.excludes(OWN, &ANN) && !keeper.excludes(OWN, &BEN));
    // Where there is nobody else it may have it again.
    keeper.ended(now, Err(Failure::NoProvider), false);
    let again = keeper.timeout().unwrap();
    assert!(again > now);
    assert_eq!(asked(&mut keeper, again), Some(None));
    assert!(!keeper.excludes(OWN, &ANN));
    keeper.ended(again, Ok((BEN, Millicredits(5))), true);
    assert_eq!(keeper.views()[0].holders.len(), 1);
}

#[test]
fn whoever_cannot_be_asked_is_asked_until_its_time_is_over() {
    let mut keeper = kept(1, 99);
    placed(&mut keeper, START, ANN);
    let mut asked_at = Vec::new();
    let lost = loop {
        let now = keeper.timeout().unwrap();
        assert_eq!(asked(&mut keeper, now), Some(Some(ANN)));
        asked_at.push(now.ms_since(START));
        let (steps, _) = keeper.ended(now, Err(Failure::NoProvider), false);
        assert_eq!(keeper.views()[0].failure, Some(Failure::NoProvider));
        if matches!(steps[0].1, StoredStep::Lost { .. }) {
            break now;
        }
    };
    assert_eq!(asked_at.first(), Some(&(3 * HOUR_MS)));
    assert!(
        asked_at.len() >= 6 && lost <= START.plus_ms(4 * HOUR_MS),
        "{asked_at:?}"
    );
    assert_eq!(keeper.views()[0].questions, 98, "nobody heard them");
    placed(&mut keeper, lost, BEN);
}

#[test]
fn a_question_that_may_have_been_heard_is_not_asked_again() {
    let mut keeper = kept(1, 2);
    for left in [1, 0] {
        let now = keeper.timeout().unwrap().max(START);
        assert_eq!(asked(&mut keeper, now), Some(None));
        keeper.ended(now, Err(Failure::Disconnected), true);
        assert_eq!(keeper.views()[0].questions, left);
    }
    assert_eq!(
        keeper.timeout(),
        Some(START.plus_ms(24 * HOUR_MS)),
        "no question is left"
    );
    keeper.keep(keep(1, 5)).unwrap();
    assert_eq!(asked(&mut keeper, START), Some(None));
}

#[test]
fn what_was_written_is_taken_back() {
    let mut keeper = kept(2, 9);
    placed(&mut keeper, START, ANN);
    let writes = keeper.write(&BLOB);
    let mut restored = Keeper::default();
    for write in &writes {
        let Write::Put { key, value } = write else {
            panic!()
        };
        restored.restore(key, value).unwrap();
    }
    assert_eq!(restored.views(), keeper.views());
    assert_eq!(asked(&mut restored, START), Some(None));
    let Write::Put { key, value } = &writes[0] else {
        panic!()
    };
    assert!(restored.restore(&key[1..], value).is_err() && restored.restore(key, &value[1..]).is_err());
    assert!(matches!(&keeper.release(&BLOB)[..], [Write::Delete { key: gone }] if gone == key));
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let refused = [
        Keep {
            bytes: 0,
            ..keep(1, 1)
        },
        Keep {
            bytes: STORED_BYTES_MAX + 1,
            ..keep(1, 1)
        },
        keep(0, 1),
        keep(COPIES_MAX + 1, 1),
        Keep {
            slice_hours: 0,
            ..keep(1, 1)
        },
        Keep {
            scope: Scope::Own,
            ..keep(1, 1)
        },
    ];
    for keep in refused {
        assert!(matches!(
            Keeper::default().keep(keep),
            Err(Failure::InvalidRequest { .. })
        ));
    }
    let mut keeper = Keeper::default();
    for name in 0..=STORED_MAX {
        let blob = Hash([name as u8; 32]);
        assert_eq!(
            keeper.keep(Keep { blob, ..keep(1, 1) }).is_ok(),
            name < STORED_MAX
        );
    }
}

#[test]
fn everyone_can_be_asked_at_once() {
    let mut keeper = kept(2, 9);
    placed(&mut keeper, START, ANN);
    placed(&mut keeper, START, BEN);
    assert_eq!(asked(&mut keeper, START), None);
    keeper.prolong(&BLOB);
    for peer in [ANN, BEN] {
        assert_eq!(asked(&mut keeper, START), Some(Some(peer)));
        keeper.ended(START, Ok((peer, Millicredits(5))), true);
    }
    assert_eq!(asked(&mut keeper, START), None);
    assert_eq!(keeper.timeout(), Some(START.plus_ms(7 * HOUR_MS)));
    // Who cannot be asked now is asked again when it is due.
    keeper.prolong(&BLOB);
    assert_eq!(asked(&mut keeper, START), Some(Some(ANN)));
    keeper.ended(START, Err(Failure::Disconnected), true);
    assert_eq!(keeper.views()[0].holders.len(), 2);
}

#[test]
fn a_holder_cannot_ask_whatever_it_likes_for_the_next_slice() {
    let mut keeper = kept(1, 9);
    let price_max = |keeper: &mut Keeper, now| match keeper.next(now) {
        Some((Next::Ask(_, requirements), _)) => requirements.price_max,
        _ => panic!("a request was expected"),
    };
    assert_eq!(price_max(&mut keeper, START), None);
    keeper.ended(START, Ok((ANN, Millicredits(5))), true);
    let now = keeper.timeout().unwrap();
    assert_eq!(price_max(&mut keeper, now), Some(Millicredits(20)));
    keeper.ended(now, Err(Failure::TooExpensive), false);
    // What the owner allows counts where it is less.
    let limit = Some(Millicredits(7));
    keeper
        .keep(Keep {
            price_max: limit,
            ..keep(1, 9)
        })
        .unwrap();
    assert_eq!(price_max(&mut keeper, now), limit);
}

#[test]
fn while_no_request_can_be_made_it_is_looked_again_later() {
    let mut keeper = kept(1, 9);
    assert!(keeper.timeout().unwrap() <= START);
    keeper.wait(START);
    assert_eq!(keeper.timeout(), Some(START.plus_ms(BUSY_MS)));
}

#[test]
fn of_fewer_copies_those_stay_that_are_paid_for_longest() {
    let mut keeper = kept(2, 9);
    placed(&mut keeper, START, ANN);
    placed(&mut keeper, START.plus_ms(1), BEN);
    keeper.keep(keep(1, 9)).unwrap();
    assert!(keeper.is_at(&BLOB, &BEN) && !keeper.is_at(&BLOB, &ANN));
}
