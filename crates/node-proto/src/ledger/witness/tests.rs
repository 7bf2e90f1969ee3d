//! What a witness keeps, and what it lets go.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::ids::{AgreementId, Millicredits};
use crate::ledger::Check;
use crate::made_up;
use crate::price::Factors;
use crate::service::Scope;
use crate::sign::{Ed25519Signer, Signer as _};
use crate::wire::OBJECT_VERSION;

fn half(author: u8, sequence: u64, agreement: u8) -> Signed {
    let signer = Ed25519Signer::from_secret(&[author; 32]);
    Signed::seal(&signer, &made_up::block(signer.id(), sequence, agreement))
}

fn forged(mut signed: Signed) -> Signed {
    signed.signature[0] ^= 1;
    signed
}

const OWN: Source = Source::Own;
const ANN: Source = Source::Told(NodeId([101; 32]));
const BEN: Source = Source::Told(NodeId([102; 32]));

fn author(number: u8) -> NodeId {
    Ed25519Signer::from_secret(&[number; 32]).id()
}

fn holds(witness: &Witness, block: &Signed) -> bool {
    let key = head_of(&block.body).unwrap();
    witness.seen.get(&key).is_some_and(|seen| seen.signed == *block)
}

/// A block that nobody signed, by an author that does not exist.
fn junk(like: &Signed, number: u16) -> Signed {
    let mut block = like.clone();
    // The author follows one byte for the array, one for the version and two for its own length.
    block.body[4..6].copy_from_slice(&number.to_be_bytes());
    block
}

#[test]
fn no_block_is_longer_than_the_bound() {
    let signer = Ed25519Signer::from_secret(&[1; 32]);
    let widest = Block {
        version: OBJECT_VERSION,
        author: signer.id(),
        epoch: u32::MAX,
        sequence: u64::MAX,
        previous: Hash([255; 32]),
        counterparty: NodeId([255; 32]),
        agreement: AgreementId([255; 32]),
        delta: Millicredits(i64::MIN + 1),
        service: 255,
        model: Some(crate::ids::ModelId([255; 32])),
        units: u32::MAX,
        factors: Factors {
            base_cost: i64::MAX,
            quality_multiplier: u32::MAX,
            market_demand: u32::MAX,
            reputation_factor: u32::MAX,
        },
        scope: Scope::Anyone,
        mark: Hash([255; 32]),
        check: Check {
            method: 255,
            probes: u32::MAX,
            compared: u32::MAX,
            cosine_ppm: i32::MIN,
            second: Some(NodeId([255; 32])),
        },
        link: Some(Hash([255; 32])),
        at_ms: u64::MAX,
    };
    let mut widest = Signed::seal(&signer, &widest);
    assert!(widest.body.len() <= BLOCK_BYTES_MAX, "{}", widest.body.len());
    assert_eq!(Witness::new(10, 5).show(&widest, ANN), Shown::New);
    widest.body.resize(BLOCK_BYTES_MAX + 1, 0);
    assert_eq!(Witness::new(10, 5).show(&widest, ANN), Shown::Worthless);
}

#[test]
fn two_blocks_on_one_place_are_fraud_whoever_showed_them() {
    let mut witness = Witness::new(10, 5);
    assert_eq!(witness.show(&half(1, 1, 1), ANN), Shown::New);
    assert_eq!(witness.show(&half(1, 1, 1), ANN), Shown::Known);
    assert_eq!(witness.show(&half(1, 2, 2), ANN), Shown::New);
    let Shown::Fraud(proof) = witness.show(&half(1, 1, 3), BEN) else {
        panic!("not noticed")
    };
    assert_eq!(proof.verify(), Ok(()));
    let Shown::Fraud(_) = witness.show(&half(1, 2, 3), OWN) else {
        panic!("not noticed")
    };
}

#[test]
fn a_forgery_accuses_nobody_and_displaces_nothing() {
    let mut witness = Witness::new(10, 5);
    let (good, bad) = (half(1, 1, 1), forged(half(1, 1, 2)));
    assert_eq!(witness.show(&good, OWN), Shown::New);
    assert_eq!(witness.show(&bad, ANN), Shown::Forged);
    // The other way round: the forgery came first, makes room for the real one, and its teller is known.
    let mut witness = Witness::new(10, 5);
    assert_eq!(witness.show(&bad, ANN), Shown::New);
    assert_eq!(witness.show(&good, BEN), Shown::Replaced(NodeId([101; 32])));
    assert_eq!(
        witness.show(&half(1, 1, 3), BEN),
        Shown::Fraud(Box::new(FraudProof {
            author: author(1),
            first: good.clone(),
            second: half(1, 1, 3),
        }))
    );
    // The real body under a false signature does not hide the real one either.
    let mut witness = Witness::new(10, 5);
    assert_eq!(witness.show(&forged(good.clone()), ANN), Shown::New);
    assert_eq!(witness.show(&good, BEN), Shown::Replaced(NodeId([101; 32])));
    assert_eq!(witness.show(&forged(good), BEN), Shown::Known);
    assert!(matches!(witness.show(&half(1, 1, 3), BEN), Shown::Fraud(_)));
    let nonsense = Signed {
        body: vec![1],
        signature: [0; 64],
    };
    assert_eq!(witness.show(&nonsense, ANN), Shown::Worthless);
}

#[test]
fn only_what_was_signed_casts_doubt() {
    let mut witness = Witness::new(10, 5);
    let (mine, other) = (half(1, 1, 1), half(1, 1, 2));
    let (hash, ann) = (mine.hash::<Block>(), NodeId([101; 32]));
    assert_eq!(witness.contradicts(&author(1), (1, 1), &hash), Claim::Stands);
    witness.show(&forged(other.clone()), ANN);
    assert_eq!(
        witness.contradicts(&author(1), (1, 1), &hash),
        Claim::Slandered(ann)
    );
    assert_eq!(witness.contradicts(&author(1), (1, 1), &hash), Claim::Stands);
    witness.show(&other, ANN);
    assert!(!witness.has_checked(&author(1)));
    assert_eq!(
        witness.contradicts(&author(1), (1, 1), &hash),
        Claim::Contradicted
    );
    assert!(witness.has_checked(&author(1)));
    let claimed = other.hash::<Block>();
    assert_eq!(witness.contradicts(&author(1), (1, 1), &claimed), Claim::Stands);
}

#[test]
fn the_oldest_make_room_and_a_flood_pushes_out_its_own() {
    let mut witness = Witness::new(75, 5);
    witness.show(&half(1, 1, 1), OWN);
    for sequence in 1..=100 {
        witness.show(&half(2, sequence, 1), OWN);
    }
    assert_eq!(witness.checked.len(), 1 + PER_AUTHOR_MAX);
    assert!(holds(&witness, &half(1, 1, 1)));
    for number in 3..=20 {
        witness.show(&half(number, 1, 1), OWN);
    }
    assert_eq!((witness.checked.len(), witness.seen.len()), (70, 70));
    assert!(!holds(&witness, &half(1, 1, 1)));
    assert_eq!(witness.newest(2).count(), 2);
}

#[test]
fn what_is_unchecked_pushes_out_nothing_that_is_checked() {
    let mut witness = Witness::new(100, 40);
    let own: Vec<Signed> = (1..=60).map(|number| half(number, 1, 1)).collect();
    own.iter().for_each(|block| drop(witness.show(block, OWN)));
    let like = half(1, 1, 1);
    // Junk by many authors, then by one whose own half is held.
    (0..4_096).for_each(|number| drop(witness.show(&junk(&like, number), ANN)));
    (2..=100).for_each(|sequence| drop(witness.show(&forged(half(1, sequence, 1)), ANN)));
    assert!(own.iter().all(|block| holds(&witness, block)));
    assert_eq!((witness.checked.len(), witness.told.len()), (60, 40));
    assert_eq!(witness.seen.len(), 100);
    // What was checked without being of an own receipt pushes out none of those either.
    assert_eq!(witness.show(&half(61, 1, 1), Source::Checked), Shown::New);
    assert!(own.iter().all(|block| holds(&witness, block)));
    // The newest own receipt finds room.
    witness.show(&half(62, 1, 1), OWN);
    assert!(holds(&witness, &half(62, 1, 1)));
    assert_eq!(witness.checked.len(), 60);
}

#[test]
fn a_teller_keeps_its_share_whatever_others_tell() {
    let mut witness = Witness::new(100, 40);
    let like = half(1, 1, 1);
    let told: Vec<Signed> = (1..=20).map(|number| half(number, 1, 1)).collect();
    told.iter().for_each(|block| drop(witness.show(block, BEN)));
    (0..4_096).for_each(|number| drop(witness.show(&junk(&like, number), ANN)));
    assert!(told.iter().all(|block| holds(&witness, block)));
}

#[test]
fn junk_in_the_name_of_an_author_pushes_out_none_of_what_others_told_of_it() {
    let mut witness = Witness::new(100, 90);
    let theirs: Vec<Signed> = (1..=10).map(|sequence| half(1, sequence, 1)).collect();
    theirs.iter().for_each(|block| drop(witness.show(block, BEN)));
    (11..=90).for_each(|sequence| drop(witness.show(&forged(half(1, sequence, 1)), ANN)));
    assert!(theirs.iter().all(|block| holds(&witness, block)));
    assert_eq!(witness.told.len(), TOLD_PER_AUTHOR_MAX);
}

#[test]
fn what_a_flooder_was_first_to_tell_belongs_to_whoever_tells_it_as_well() {
    let mut witness = Witness::new(100, 40);
    let (both, like) = (half(30, 1, 1), half(1, 1, 1));
    for number in 0..39 {
        witness.show(&junk(&like, number), ANN);
    }
    assert_eq!(witness.show(&both, ANN), Shown::New);
    assert_eq!(witness.show(&both, BEN), Shown::Known);
    (100..4_096).for_each(|number| drop(witness.show(&junk(&like, number), ANN)));
    assert!(holds(&witness, &both));
}

#[test]
fn names_that_come_and_go_share_one_part_of_the_room() {
    let mut witness = Witness::new(100, 40);
    let like = half(1, 1, 1);
    let told: Vec<Signed> = (1..=20).map(|number| half(number, 1, 1)).collect();
    told.iter().for_each(|block| drop(witness.show(block, BEN)));
    for number in 200..=255 {
        let peer = NodeId([number; 32]);
        witness.show(&junk(&like, 5_000 + u16::from(number)), Source::Told(peer));
        witness.left(&peer);
    }
    assert_eq!((witness.told.len(), witness.tellers.len()), (40, 2));
    assert_eq!(witness.tellers.values().map(BTreeSet::len).sum::<usize>(), 40);
    // At half of the room it had more than a third, its share of three.
    let kept = told.iter().filter(|block| holds(&witness, block)).count();
    assert_eq!(kept, 19);
}
