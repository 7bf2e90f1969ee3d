#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::group::GroupSecret;
use crate::price::Factors;
use crate::service::{Precision, Scope};
use crate::sign::Ed25519Signer;
use crate::wire::ComparisonRule;

struct Side {
    number: u8,
    signer: Ed25519Signer,
    ledger: Ledger,
    stored: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn group() -> Group {
    Group::private(&GroupSecret::from_bytes([7; 32]))
}

impl Side {
    fn new(number: u8) -> Self {
        let signer = Ed25519Signer::from_secret(&[number; 32]);
        let ledger = Ledger::new(signer.id(), group(), 100);
        Self {
            number,
            signer,
            ledger,
            stored: BTreeMap::new(),
        }
    }

    fn with_room(number: u8) -> Self {
        let mut side = Self::new(number);
        side.ledger.blocks_max = 1_000;
        side
    }

    fn keep(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Put { key, value } => self.stored.insert(key, value),
                Write::Delete { key } => self.stored.remove(&key),
            };
        }
    }

    fn pay(&mut self, contract: &Contract) -> Place {
        let verification = Verification::SpotChecked {
            probes: 2,
            cosine_min: 0.999_9,
        };
        let (place, writes) = self
            .ledger
            .pay(&self.signer, Timestamp(1), contract, &verification)
            .unwrap();
        self.keep(writes);
        place
    }

    fn receive(&mut self, contract: &Contract, payers: &Signed) -> Signed {
        let (place, writes) = self
            .ledger
            .receive(&self.signer, Timestamp(2), contract, payers)
            .unwrap();
        self.keep(writes);
        self.ledger.own(place).unwrap().clone()
    }

    fn complete(&mut self, place: Place, answer: &Signed) {
        let writes = self.ledger.complete(place, answer).unwrap();
        self.keep(writes);
    }

    fn restored(&self, me: NodeId) -> Result<Ledger, LedgerError> {
        let mut stored = StoredLedger::default();
        for (key, value) in &self.stored {
            stored.take(key.clone(), value.clone())?;
        }
        Ledger::restore(me, group(), 100, stored)
    }
}

fn contract(payer: &Side, receiver: &Side, price: i64, number: u8) -> Contract {
    let factors = Factors {
        base_cost: price,
        quality_multiplier: 1_000_000,
        market_demand: 1_000_000,
        reputation_factor: 1_000_000,
    };
    let terms = Agreement {
        version: OBJECT_VERSION,
        requester: payer.signer.id(),
        provider: receiver.signer.id(),
        proposal: Hash([number; 32]),
        scope: Scope::Group,
        service: 0,
        model: None,
        precision: Precision::F32,
        rule: ComparisonRule::Cosine,
        cosine_min_ppm: 990_000,
        items: 1,
        tokens: 10,
        input: Hash([number; 32]),
        price: Millicredits(price),
        factors,
        promised_ms: 1_000,
    };
    let signed = Signed::seal(&payer.signer, &terms);
    let id = AgreementId(signed.hash::<Agreement>().0);
    let countersignature = crate::sign::Domain::Agreement.sign(&receiver.signer, &signed.body);
    Contract {
        id,
        terms,
        signed,
        countersignature,
        partial: None,
    }
}

#[test]
fn what_one_loses_the_other_gains() {
    let (mut payer, mut receiver) = (Side::new(1), Side::new(2));
    for number in 1..=3 {
        let contract = contract(&payer, &receiver, 100 * i64::from(number), number);
        let place = payer.pay(&contract);
        assert_eq!(payer.ledger.balance().1, Millicredits(-100 * i64::from(number)));
        let half = payer.ledger.own(place).unwrap().clone();
        let answer = receiver.receive(&contract, &half);
        payer.complete(place, &answer);
    }
    assert_eq!(payer.ledger.balance(), (Millicredits(-600), Millicredits::ZERO));
    assert_eq!(receiver.ledger.balance(), (Millicredits(600), Millicredits::ZERO));
    assert_eq!(payer.ledger.exposure(&receiver.signer.id()).owed, -600);
    assert_eq!(
        receiver.ledger.exposure(&payer.signer.id()),
        Exposure {
            owed: 600,
            ..Exposure::default()
        }
    );
    assert_eq!(receiver.ledger.earned_since(Timestamp(2)), (3, Millicredits(600)));
    assert_eq!(
        receiver.ledger.earned_since(Timestamp(3)),
        (0, Millicredits::ZERO)
    );
    assert_eq!(payer.ledger.earned_since(Timestamp(0)), (0, Millicredits::ZERO));
    let (paid, earned) = (payer.ledger.receipts(9), receiver.ledger.receipts(9));
    assert_eq!(paid[0].id, earned[0].id);
    assert!(paid.iter().chain(&earned).all(|receipt| receipt.fully_signed));
}

#[test]
fn work_given_up_is_paid_in_proportion_and_on_the_providers_word_alone() {
    let (mut payer, mut receiver) = (Side::new(1), Side::new(2));
    let whole = contract(&payer, &receiver, 101, 1);
    let word = |id, units| {
        let partial = Partial {
            version: OBJECT_VERSION,
            agreement: id,
            units,
        };
        Signed::seal(&receiver.signer, &partial)
    };
    let opened = |signed: &Signed, id: &AgreementId| PartialDelivery::open(signed, &receiver.signer.id(), id);
    let signed = word(whole.id, 3);
    assert_eq!(opened(&signed, &AgreementId([9; 32])), Err(LedgerError::Mismatch));
    let mut forged = signed.clone();
    forged.signature[1] ^= 1;
    assert!(opened(&forged, &whole.id).is_err());
    let given_up = Contract {
        partial: Some(opened(&signed, &whole.id).unwrap()),
        ..whole.clone()
    };
    // 101 × 3 / 10, rounded up.
    assert_eq!(given_up.due(), Millicredits(31));
    let place = payer.pay(&given_up);
    let half = payer.ledger.own(place).unwrap().clone();
    let unheard = receiver
        .ledger
        .receive(&receiver.signer, Timestamp(1), &whole, &half);
    assert_eq!(unheard, Err(LedgerError::Mismatch));
    let answer = receiver.receive(&given_up, &half);
    let restored = payer.restored(payer.signer.id()).unwrap();
    assert_eq!(restored.pending_at(place).unwrap().partial, Some(signed));
    payer.complete(place, &answer);
    assert_eq!(payer.ledger.balance().0, Millicredits(-31));
    assert_eq!(receiver.ledger.balance().0, Millicredits(31));
    let receipt = receiver.ledger.receipts(1).remove(0);
    assert!(receipt.partial && receipt.units == 3);
}

#[test]
fn a_repeated_half_changes_nothing() {
    let (mut payer, mut receiver) = (Side::new(1), Side::new(2));
    let contract = contract(&payer, &receiver, 100, 1);
    let place = payer.pay(&contract);
    let half = payer.ledger.own(place).unwrap().clone();
    let answer = receiver.receive(&contract, &half);
    assert_eq!(receiver.receive(&contract, &half), answer);
    payer.complete(place, &answer);
    payer.complete(place, &answer);
    assert_eq!(receiver.ledger.balance().0, Millicredits(100));
    assert_eq!(payer.ledger.balance(), (Millicredits(-100), Millicredits::ZERO));
}

#[test]
fn a_chain_survives_and_a_tampered_one_is_refused() {
    let (mut payer, mut receiver) = (Side::new(1), Side::new(2));
    for number in 1..=3 {
        let contract = contract(&payer, &receiver, 100, number);
        let place = payer.pay(&contract);
        let half = payer.ledger.own(place).unwrap().clone();
        let answer = receiver.receive(&contract, &half);
        if number < 3 {
            payer.complete(place, &answer);
        }
    }
    let me = payer.signer.id();
    let restored = payer.restored(me).unwrap();
    assert_eq!(restored.balance(), (Millicredits(-200), Millicredits(-100)));
    assert_eq!(restored.head(), payer.ledger.head());
    assert_eq!(restored.pending().count(), 1);
    assert_eq!(restored.blocks(1, 2, 9).len(), 2);
    assert!(matches!(
        payer.restored(NodeId([9; 32])),
        Err(LedgerError::OtherIdentity)
    ));
    let second = payer
        .stored
        .keys()
        .find(|key| key.ends_with(&[2]))
        .unwrap()
        .clone();
    let intact = payer.stored.remove(&second).unwrap();
    assert!(matches!(payer.restored(me), Err(LedgerError::Broken)));
    payer.stored.insert(second, intact[..20].to_vec());
    assert!(matches!(payer.restored(me), Err(LedgerError::Wire(_))));
}

#[test]
fn two_blocks_on_one_place_are_a_proof() {
    let (mut payer, mut receiver) = (Side::new(1), Side::new(2));
    let first = contract(&payer, &receiver, 100, 1);
    let place = payer.pay(&first);
    let half = payer.ledger.own(place).unwrap().clone();
    receiver.receive(&first, &half);
    let mut forked = Side::new(1);
    let second = contract(&forked, &receiver, 50, 2);
    let place = forked.pay(&second);
    let other = forked.ledger.own(place).unwrap().clone();
    let refused = receiver
        .ledger
        .receive(&receiver.signer, Timestamp(3), &second, &other);
    let Err(LedgerError::Fraud(proof)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(proof.verify(), Ok(()));
    let harmless = FraudProof {
        second: proof.first.clone(),
        ..*proof.clone()
    };
    assert!(harmless.verify().is_err());
    let framed = FraudProof {
        author: receiver.signer.id(),
        ..*proof
    };
    assert_eq!(framed.verify(), Err(WireError::BadSignature));
    assert_eq!(receiver.ledger.balance().0, Millicredits(100));
}

#[test]
fn a_half_that_differs_from_the_agreement_is_refused() {
    let (mut payer, mut receiver) = (Side::new(1), Side::new(2));
    let cheap = contract(&payer, &receiver, 10, 1);
    let dear = contract(&payer, &receiver, 100, 2);
    let place = payer.pay(&cheap);
    let half = payer.ledger.own(place).unwrap().clone();
    let refused = receiver
        .ledger
        .receive(&receiver.signer, Timestamp(3), &dear, &half);
    assert!(matches!(refused, Err(LedgerError::Mismatch)));
    let mut forged = half.clone();
    forged.signature[0] ^= 1;
    let refused = receiver
        .ledger
        .receive(&receiver.signer, Timestamp(3), &cheap, &forged);
    assert!(matches!(refused, Err(LedgerError::Wire(WireError::BadSignature))));
    let answer = receiver.receive(&cheap, &half);
    let place_of_dear = payer.pay(&dear);
    assert!(matches!(
        payer.ledger.complete(place_of_dear, &answer),
        Err(LedgerError::Mismatch)
    ));
}

/// A trade between the two, from the payer's half to both being complete.
fn trade(payer: &mut Side, receiver: &mut Side, number: u8) {
    let contract = contract(payer, receiver, 100, number);
    let place = payer.pay(&contract);
    let half = payer.ledger.own(place).unwrap().clone();
    let answer = receiver.receive(&contract, &half);
    payer.complete(place, &answer);
}

impl Side {
    /// Another run of the same key from what is stored now.
    fn run_again(&self, jump: u16) -> Self {
        let mut ledger = self.restored(self.signer.id()).unwrap();
        ledger.begin_epoch(jump);
        let stored = self.stored.clone();
        Self {
            ledger,
            stored,
            ..Self::new(self.number)
        }
    }
}

#[test]
fn two_tabs_with_one_key_never_contradict_each_other() {
    let (mut first, mut shop) = (Side::new(1), Side::new(2));
    trade(&mut first, &mut shop, 1);
    // Both begin from the same stored state and go on at the same time.
    let (mut left, mut right) = (first.run_again(700), first.run_again(9));
    for number in (2..=6).step_by(2) {
        trade(&mut left, &mut shop, number);
        trade(&mut right, &mut shop, number + 1);
    }
    assert_eq!(shop.ledger.balance().0, Millicredits(700));
    // They wrote into one store, which still makes one chain with everything in it.
    left.stored.extend(right.stored.clone());
    let whole = left.restored(first.signer.id()).unwrap();
    assert_eq!(whole.balance(), (Millicredits(-700), Millicredits::ZERO));
}

#[test]
fn two_devices_with_one_key_never_contradict_each_other_either() {
    // Nothing is stored yet on either.
    let (phone, laptop) = (Side::new(1), Side::new(1));
    let (mut phone, mut laptop) = (phone.run_again(1), laptop.run_again(2));
    let mut shop = Side::new(2);
    trade(&mut phone, &mut shop, 1);
    trade(&mut laptop, &mut shop, 2);
    trade(&mut phone, &mut shop, 3);
    assert_eq!(shop.ledger.balance().0, Millicredits(300));
}

#[test]
fn an_old_backup_goes_on_beside_what_was_lost() {
    let (mut person, mut shop) = (Side::new(1), Side::new(2));
    trade(&mut person, &mut shop, 1);
    let backup = person.stored.clone();
    trade(&mut person, &mut shop, 2);
    person.stored = backup;
    for number in 3..=4 {
        // Restored twice from the same one.
        let mut restored = person.run_again(u16::from(number));
        trade(&mut restored, &mut shop, number);
    }
    assert_eq!(shop.ledger.balance().0, Millicredits(400));
}

/// A payment between two whose chains are kept, `count` times.
fn trades(payer: &mut Side, receiver: &mut Side, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mut contract = contract(payer, receiver, 100, 0);
        contract.terms.input = Hash(*blake3::hash(&number.to_le_bytes()).as_bytes());
        contract.signed = Signed::seal(&payer.signer, &contract.terms);
        contract.id = AgreementId(contract.signed.hash::<Agreement>().0);
        contract.countersignature =
            crate::sign::Domain::Agreement.sign(&receiver.signer, &contract.signed.body);
        let place = payer.pay(&contract);
        let half = payer.ledger.own(place).unwrap().clone();
        let answer = receiver.receive(&contract, &half);
        payer.complete(place, &answer);
    }
}

#[test]
fn old_receipts_become_sums_and_a_year_fits_a_small_device() {
    const WHOLE_MAX: usize = 8;
    let (mut payer, mut receiver) = (Side::with_room(1), Side::with_room(2));
    let forgotten = contract(&payer, &receiver, 7, 9);
    let unanswered = payer.pay(&forgotten);
    trades(&mut payer, &mut receiver, 0..300);
    let before = (
        payer.ledger.balance(),
        payer.ledger.exposure(&receiver.signer.id()),
        payer.ledger.head(),
    );
    let bytes = |side: &Side| {
        side.stored
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum::<usize>()
    };
    let whole = bytes(&payer) / 301;
    let writes = payer.ledger.fold(WHOLE_MAX);
    payer.keep(writes);
    assert!(payer.ledger.fold(WHOLE_MAX).is_empty());
    let after = |ledger: &Ledger| {
        (
            ledger.balance(),
            ledger.exposure(&receiver.signer.id()),
            ledger.head(),
        )
    };
    assert_eq!(after(&payer.ledger), before);
    let restored = payer.restored(payer.signer.id()).unwrap();
    assert_eq!(after(&restored), before);
    // What waits for an answer stays whole, however old.
    assert_eq!(
        restored.pending().map(|(place, _)| place).collect::<Vec<_>>(),
        [unanswered]
    );
    // The arithmetic of the module's documentation, with what was measured.
    let prefix = |wanted: u8| payer.stored.iter().filter(move |(key, _)| key[0] == wanted);
    let prints: usize = prefix(b'x').map(|(key, value)| key.len() + value.len()).sum();
    let sums: usize = prefix(b't').map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!(prefix(b't').count(), 1);
    let (newest, year, counterparties) = (4_096, 36_500, 1_000);
    let total = newest * whole + (year - newest) * prints.div_ceil(256) + counterparties * sums;
    assert!(
        whole < 1_500 && prints.div_ceil(256) <= 9 && sums < 120,
        "{whole} {prints} {sums}"
    );
    assert!(total < 7_000_000, "{total} bytes");
}

#[test]
fn a_folded_receipt_is_not_counted_again() {
    let (mut payer, mut receiver) = (Side::with_room(1), Side::with_room(2));
    let first = contract(&payer, &receiver, 50, 1);
    let place = payer.pay(&first);
    let half = payer.ledger.own(place).unwrap().clone();
    receiver.receive(&first, &half);
    trades(&mut payer, &mut receiver, 0..300);
    let balance = receiver.ledger.balance();
    let writes = receiver.ledger.fold(8);
    receiver.keep(writes);
    for ledger in [
        &mut receiver.restored(receiver.signer.id()).unwrap(),
        &mut receiver.ledger,
    ] {
        let again = ledger.receive(&receiver.signer, Timestamp(9), &first, &half);
        assert!(matches!(again, Err(LedgerError::Mismatch)));
        assert_eq!(ledger.balance(), balance);
    }
}

#[test]
fn a_backup_from_before_or_after_folding_counts_nothing_twice() {
    let (mut payer, mut receiver) = (Side::with_room(1), Side::with_room(2));
    trades(&mut payer, &mut receiver, 0..300);
    let me = payer.signer.id();
    let (balance, whole) = (payer.ledger.balance(), payer.stored.clone());
    let writes = payer.ledger.fold(8);
    payer.keep(writes);
    let folded = payer.stored.clone();
    for (file, present) in [(&whole, &folded), (&folded, &whole)] {
        let file = crate::backup::export(me, file.clone());
        let mut merged = Side::with_room(1);
        merged.stored.clone_from(present);
        merged.keep(crate::backup::import(me, &file, present).unwrap());
        assert_eq!(merged.restored(me).unwrap().balance(), balance);
    }
}

#[test]
fn what_was_lost_comes_back_from_who_holds_it() {
    let (mut person, mut shop) = (Side::new(1), Side::new(2));
    trade(&mut person, &mut shop, 1);
    let backup = person.stored.clone();
    // A purchase, a sale, and a payment whose answer never arrives.
    trade(&mut person, &mut shop, 2);
    trade(&mut shop, &mut person, 3);
    let open = contract(&person, &shop, 100, 4);
    let place = person.pay(&open);
    let half = person.ledger.own(place).unwrap().clone();
    shop.receive(&open, &half);
    let lost = shop.ledger.balance().0;
    person.stored = backup;
    let mut restored = person.run_again(5);
    let from = restored.ledger.newest_with(&shop.signer.id());
    let held = shop.ledger.held_of(&person.signer.id(), from, 16);
    assert_eq!(held.len(), 3);
    for receipt in held.iter().chain(&held) {
        let (_, writes) = restored.ledger.take_back(receipt).unwrap();
        restored.keep(writes);
    }
    assert_eq!(
        restored.ledger.balance(),
        (lost.checked_neg().unwrap(), Millicredits::ZERO)
    );
    let again = restored.restored(person.signer.id()).unwrap();
    assert_eq!(again.balance(), restored.ledger.balance());
    // Only what this key signed and the other side answered is taken.
    let mut forged = held[0].clone();
    forged.own.signature[0] ^= 1;
    assert!(restored.run_again(1).ledger.take_back(&forged).is_err());
    let mut mixed = held[0].clone();
    mixed.other = held[1].other.clone();
    let mut empty = Side::new(1);
    assert!(matches!(
        empty.ledger.take_back(&mixed),
        Err(LedgerError::Mismatch)
    ));
}
