#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::group::Group;
use crate::ids::AgreementId;
use crate::sign::{Ed25519Signer, Signer};
use crate::wire::OBJECT_VERSION;

const MODEL: ModelId = ModelId([7; 32]);
const NOW: Timestamp = Timestamp(1_000_000_000);
const AGE_MS: u64 = 1_000_000;
const WANTED: Wanted = Wanted {
    key: Hash([0; 32]),
    model: MODEL,
    precision: Precision::Int8,
    cosine_min: 0.99,
};

fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::from_secret(&[seed; 32])
}

fn keys(texts: &[&str]) -> Vec<Hash> {
    texts.iter().map(|text| key_of(text)).collect()
}

/// A result of one signer: vectors of two numbers.
fn result(
    seed: u8,
    texts: &[&str],
    values: &[f32],
    computed_at: Timestamp,
) -> (Origin, Vec<(Hash, CachedRow)>) {
    let (keys, signer) = (keys(texts), signer(seed));
    let origin = Origin {
        model: MODEL,
        precision: Precision::Int8,
        computed_at: computed_at.0,
        rows: root(&keys, 2, values).unwrap(),
        count: u32::try_from(texts.len()).unwrap(),
    };
    let head = ResultHead {
        version: OBJECT_VERSION,
        agreement: AgreementId([1; 32]),
        output: Hash([2; 32]),
        took_ms: 3,
        origin: Some(origin),
    };
    let head = Signed::seal(&signer, &head);
    (origin, rows(signer.id(), &head, &keys, 2, values))
}

fn cache(rows_max: usize) -> Cache {
    Cache::new(Group::open().id(), rows_max, AGE_MS)
}

fn wanted(text: &str) -> Wanted {
    Wanted {
        key: key_of(text),
        ..WANTED
    }
}

#[test]
fn a_row_shows_where_it_comes_from_without_the_others() {
    let (origin, rows) = result(1, &["a", "b", "c"], &[1.0, 0.0, 0.0, 1.0, 0.6, 0.8], NOW);
    let mut cache = cache(10);
    let _ = cache.keep(&origin, Scope::Group, rows);
    let answers = cache.answers(&MODEL, &keys(&["b"]), NOW).unwrap();
    let proved = answers[0].prove(&wanted("b"), NOW, AGE_MS).unwrap();
    assert_eq!(
        proved,
        Provenance {
            signer: signer(1).id(),
            computed_at: NOW,
            signers: 1
        }
    );
    assert_eq!(answers[0].rows[0].values, [0.0, 1.0]);
    assert!(cache.answers(&MODEL, &keys(&["b", "d"]), NOW).is_none());
    assert!(cache.answers(&ModelId([8; 32]), &keys(&["b"]), NOW).is_none());
}

#[test]
fn what_was_changed_proves_nothing() {
    let (_, rows) = result(1, &["a", "b", "c"], &[1.0, 0.0, 0.0, 1.0, 0.6, 0.8], NOW);
    let row = rows[1].1.clone();
    let prove = |row: &CachedRow, wanted: &Wanted, now: Timestamp| {
        let answer = CachedAnswer {
            rows: vec![row.clone()],
        };
        answer.prove(wanted, now, AGE_MS)
    };
    let b = wanted("b");
    assert!(prove(&row, &b, NOW).is_some());
    let changed: [fn(&mut CachedRow); 7] = [
        |row| row.values[0] = 0.5,
        |row| row.place = 0,
        |row| row.place = 3,
        |row| row.path[0].0[0] ^= 1,
        |row| row.path.clear(),
        |row| row.signer = signer(2).id(),
        |row| row.head.body[3] ^= 1,
    ];
    for change in changed {
        let mut row = row.clone();
        change(&mut row);
        assert_eq!(prove(&row, &b, NOW), None);
    }
    assert_eq!(prove(&row, &wanted("a"), NOW), None, "another text's");
    let other = Wanted {
        model: ModelId([8; 32]),
        ..b
    };
    assert_eq!(prove(&row, &other, NOW), None, "another model's");
    let finer = Wanted {
        precision: Precision::F32,
        ..b
    };
    assert_eq!(prove(&row, &finer, NOW), None, "coarser than was agreed");
    assert_eq!(prove(&row, &b, NOW.plus_ms(AGE_MS + 1)), None, "too old");
    assert_eq!(
        prove(&row, &b, Timestamp(NOW.0 - SKEW_MS - 1)),
        None,
        "from the future"
    );
    assert_eq!(CachedAnswer { rows: Vec::new() }.prove(&b, NOW, AGE_MS), None);
}

#[test]
fn who_signed_the_same_is_counted_once() {
    let mut cache = cache(10);
    for (seed, values) in [
        (1, [1.0, 0.0]),
        (2, [0.999, 0.01]),
        (3, [0.0, 1.0]),
        (1, [1.0, 0.001]),
    ] {
        let (origin, rows) = result(seed, &["a"], &values, NOW);
        let _ = cache.keep(&origin, Scope::Group, rows);
    }
    let answers = cache.answers(&MODEL, &keys(&["a"]), NOW).unwrap();
    assert_eq!(answers[0].rows.len(), 3);
    let proved = answers[0].prove(&wanted("a"), NOW, AGE_MS).unwrap();
    assert_eq!((proved.signer, proved.signers), (signer(1).id(), 2));

    let mut twice = answers[0].clone();
    twice.rows[1] = twice.rows[0].clone();
    assert_eq!(twice.prove(&wanted("a"), NOW, AGE_MS), None);
}

#[test]
fn it_keeps_to_its_bounds() {
    let mut cache = cache(2);
    for text in ["a", "b"] {
        let (origin, rows) = result(1, &[text], &[1.0, 0.0], NOW);
        let _ = cache.keep(&origin, Scope::Group, rows);
    }
    // What was asked for last stays.
    assert!(cache.holds(&MODEL, &keys(&["a"]), NOW).is_some());
    let (origin, rows) = result(1, &["c"], &[1.0, 0.0], NOW);
    let _ = cache.keep(&origin, Scope::Group, rows);
    assert!(cache.holds(&MODEL, &keys(&["b"]), NOW).is_none());
    assert!(cache.holds(&MODEL, &keys(&["a", "c"]), NOW).is_some());
    assert!(
        cache
            .holds(&MODEL, &keys(&["a"]), NOW.plus_ms(AGE_MS + 1))
            .is_none(),
        "too old"
    );
    for seed in 1..=5 {
        let (origin, rows) = result(seed, &["c"], &[1.0, 0.0], NOW);
        let _ = cache.keep(&origin, Scope::Group, rows);
    }
    assert_eq!(
        cache.answers(&MODEL, &keys(&["c"]), NOW).unwrap()[0].rows.len(),
        ANSWERS_MAX
    );
}

#[test]
fn what_was_for_one_persons_devices_is_not_kept() {
    for scope in [Scope::Device, Scope::Own] {
        let mut cache = cache(10);
        let (origin, rows) = result(1, &["a"], &[1.0, 0.0], NOW);
        let _ = cache.keep(&origin, scope, rows);
        assert!(cache.models().is_empty());
    }
    let mut off = cache(0);
    let (origin, rows) = result(1, &["a"], &[1.0, 0.0], NOW);
    let _ = off.keep(&origin, Scope::Group, rows);
    assert!(off.models().is_empty());
}

/// What a cache writes, as its storage has it.
fn stored(writes: Vec<Write>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let put = |write| match write {
        Write::Put { key, value } => (key, value),
        Write::Delete { key } => panic!("{key:?} was deleted"),
    };
    writes.into_iter().map(put).collect()
}

#[test]
fn it_lasts() {
    let mut first = cache(10);
    let (origin, rows) = result(1, &["a", "b"], &[1.0, 0.0, 0.0, 1.0], NOW);
    let pairs = stored(first.keep(&origin, Scope::Group, rows));
    let mut second = cache(10);
    assert_eq!(second.restore(NOW, pairs.clone()), []);
    let texts = keys(&["a", "b"]);
    assert_eq!(
        second.answers(&MODEL, &texts, NOW),
        first.answers(&MODEL, &texts, NOW)
    );
    assert_eq!(second.models(), first.models());

    let deletes = |mut cache: Cache, now: Timestamp, pairs: &[(Vec<u8>, Vec<u8>)]| {
        let writes = cache.restore(now, pairs.to_vec());
        assert!(writes.iter().all(|write| matches!(write, Write::Delete { .. })));
        (writes.len(), cache.models().len())
    };
    let other = Group::private(&crate::GroupSecret::from_bytes([1; 32])).id();
    assert_eq!(
        deletes(Cache::new(other, 10, AGE_MS), NOW, &pairs),
        (2, 0),
        "another group's"
    );
    assert_eq!(
        deletes(cache(10), NOW.plus_ms(AGE_MS + 1), &pairs),
        (2, 0),
        "too old"
    );
    assert_eq!(deletes(cache(1), NOW, &pairs), (1, 1), "too much");
    let mut damaged = pairs;
    damaged[0].1.truncate(9);
    damaged[1].0.truncate(40);
    assert_eq!(deletes(cache(10), NOW, &damaged), (2, 0), "not to be read");
}
