use std::collections::BTreeMap;

use blob::Outline;

use super::*;
use crate::pieces::{PieceError, SEGMENT_ROWS};

const MODEL: ModelId = [7; 32];
const DIMENSION: usize = 32;

/// What a shell keeps.
#[derive(Default)]
struct Disk(BTreeMap<Vec<u8>, Vec<u8>>);

impl Disk {
    fn keep(&mut self, library: &mut Library) {
        for write in library.take_writes() {
            self.write(write);
        }
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Put { key, value } => self.0.insert(key, value),
            Write::Delete { key } => self.0.remove(&key),
        };
    }

    fn load(&self) -> (Library, Vec<PieceError>) {
        let mut loader = Loader::new(Limits::default()).unwrap();
        let wanted = self
            .0
            .iter()
            .filter(|(key, _)| Loader::PREFIXES.contains(&key[0]));
        let refused = wanted
            .filter_map(|(key, value)| loader.take(key, value).err())
            .collect();
        (loader.finish(), refused)
    }

    fn count(&self, prefix: u8) -> usize {
        self.0.keys().filter(|key| key[0] == prefix).count()
    }
}

fn library() -> Library {
    let mut library = Library::new(Limits::default()).unwrap();
    library.open_model(MODEL, DIMENSION).unwrap();
    library
}

fn plain(text: &str, scope: Scope) -> NewDocument<'_> {
    NewDocument {
        kind: Kind::Plain,
        text,
        provenance: Provenance {
            title: "A title".into(),
            added_at_ms: 1,
            scope,
            ..Provenance::default()
        },
    }
}

/// So many paragraphs of which no two fit a passage.
fn long(paragraphs: usize, word: &str) -> String {
    let paragraph = |number: usize| format!("{word} {number} {}", "and so on ".repeat(50));
    (0..paragraphs).map(paragraph).collect::<Vec<_>>().join("\n\n")
}

/// A direction of its own for each passage.
fn vector(passage: PassageId) -> [f32; DIMENSION] {
    let bytes = [&passage.document[..], &passage.passage.to_be_bytes()].concat();
    Outline::of(&bytes)
        .unwrap()
        .name()
        .map(|byte| f32::from(byte) - 127.5)
}

/// Gives all waiting passages their vectors.
fn embed(library: &mut Library) -> usize {
    let waiting = library.waiting(&MODEL, None, usize::MAX);
    for passage in &waiting {
        assert_eq!(library.put_vector(&MODEL, *passage, &vector(*passage)), Ok(true));
    }
    waiting.len()
}

fn found(library: &Library, from: Scope) -> Vec<PassageId> {
    let hits = library.search(&MODEL, &[1.0; DIMENSION], 1000, from).unwrap();
    let mut passages: Vec<PassageId> = hits.iter().map(|hit| hit.passage).collect();
    passages.sort();
    passages
}

#[test]
fn a_text_is_added_embedded_found_and_read() {
    let (mut library, mut disk) = (library(), Disk::default());
    let text = long(150, "bread");
    let added = library.add(plain(&text, Scope::Group)).unwrap();
    assert!(added.is_new);
    assert!(!library.add(plain(&text, Scope::Group)).unwrap().is_new);
    assert_eq!(library.document(&added.name).unwrap().passage_count(), 150);
    assert_eq!(embed(&mut library), 150);
    disk.keep(&mut library);
    assert_eq!((disk.count(b'd'), disk.count(b't'), disk.count(b'v')), (1, 3, 1));
    let passage = PassageId {
        document: added.name,
        passage: 77,
    };
    let hits = library
        .search(&MODEL, &vector(passage), 3, Scope::Device)
        .unwrap();
    assert_eq!(hits[0].passage, passage);
    assert!(hits[0].cosine > 0.999 && hits[0].cosine >= hits[1].cosine);
    let place = library.locate(passage).unwrap();
    let words = place.read(&disk.0[&place.key]).unwrap();
    assert!(words.text.starts_with("bread 77 and so on"), "{words:?}");
    let keys = library.text_keys(&added.name);
    let values = || keys.iter().map(|key| disk.0[key].as_slice());
    assert_eq!(library.join_text(&added.name, values()), Ok(text));
    assert!(library.join_text(&added.name, values().skip(1)).is_err());
    // Another piece in its place, and another text.
    let other = disk.0.iter().find(|(key, _)| key[0] == b't').unwrap().1;
    assert_eq!(place.read(other), Err(PieceError::OtherKey));
    let mut damaged = disk.0[&place.key].clone();
    let at = damaged.windows(9).position(|part| part == b"bread 77 ").unwrap();
    damaged[at] = b'B';
    assert_eq!(
        place.read(&damaged),
        Err(PieceError::Damaged("the text is another one"))
    );
}

#[test]
fn only_who_is_in_the_scope_finds_a_document() {
    let mut library = library();
    for (text, scope) in [
        ("one", Scope::Device),
        ("two", Scope::Own),
        ("three", Scope::Group),
        ("four", Scope::Anyone),
    ] {
        library.add(plain(text, scope)).unwrap();
    }
    embed(&mut library);
    let counts = [Scope::Device, Scope::Own, Scope::Group, Scope::Anyone];
    assert_eq!(counts.map(|from| found(&library, from).len()), [4, 3, 2, 1]);
    // The best places go to what may be seen.
    let hits = library
        .search(&MODEL, &[1.0; DIMENSION], 1, Scope::Anyone)
        .unwrap();
    assert_eq!(hits.len(), 1);
}

#[test]
fn what_is_forgotten_is_not_found_and_does_not_come_back() {
    let (mut library, mut disk) = (library(), Disk::default());
    let name = library.add(plain("a secret", Scope::Group)).unwrap().name;
    embed(&mut library);
    library.forget(&name, 5).unwrap();
    assert!(found(&library, Scope::Device).is_empty());
    let refused = LibraryError::Forgotten { at_ms: 5 };
    assert_eq!(library.add(plain("a secret", Scope::Group)), Err(refused.clone()));
    assert_eq!(library.forget(&name, 6), Err(LibraryError::Unknown));
    // Taken back, it is as it was, without a new vector.
    assert_eq!(library.undo_forget(&name), Ok(true));
    assert_eq!(embed(&mut library), 0);
    assert_eq!(found(&library, Scope::Device).len(), 1);
    assert_eq!(library.erase(&name), Err(LibraryError::Unknown));
    disk.keep(&mut library);

    library.forget(&name, 7).unwrap();
    disk.keep(&mut library);
    library.erase(&name).unwrap();
    disk.keep(&mut library);
    assert_eq!((disk.count(b'd'), disk.count(b't'), disk.count(b'v')), (1, 0, 0));
    assert!(
        !disk
            .0
            .values()
            .any(|value| value.windows(6).any(|part| part == b"secret"))
    );
    let refused = LibraryError::Forgotten { at_ms: 7 };
    let (mut library, _) = disk.load();
    assert_eq!(library.add(plain("a secret", Scope::Group)), Err(refused));
    assert_eq!(library.undo_forget(&name), Ok(false));
    assert_eq!(library.undo_forget(&name), Err(LibraryError::Unknown));
    assert!(library.add(plain("a secret", Scope::Group)).unwrap().is_new);
}

#[test]
fn an_edit_keeps_the_vectors_of_what_did_not_change() {
    let (mut library, mut disk) = (library(), Disk::default());
    let first = long(6, "bread");
    let second = first.replace("bread 2", "butter 2");
    let old = library.add(plain(&first, Scope::Group)).unwrap().name;
    embed(&mut library);
    disk.keep(&mut library);
    let new = library.edit(&old, plain(&second, Scope::Own)).unwrap().name;
    let waiting = library.waiting(&MODEL, None, 10);
    assert_eq!(
        waiting,
        [PassageId {
            document: new,
            passage: 2
        }]
    );
    let kept = library.search(
        &MODEL,
        &vector(PassageId {
            document: old,
            passage: 5,
        }),
        1,
        Scope::Device,
    );
    assert_eq!(
        kept.unwrap()[0].passage,
        PassageId {
            document: new,
            passage: 5
        }
    );
    assert_eq!(library.document(&new).unwrap().provenance.added_at_ms, 1);
    assert_eq!(library.document(&new).unwrap().edited_at_ms, Some(1));
    disk.keep(&mut library);
    assert_eq!((disk.count(b'd'), disk.count(b't'), disk.count(b'v')), (2, 1, 1));
    // The former version is refused when it comes back, but an edit may return to it.
    let refused = LibraryError::Replaced { by: new };
    assert_eq!(library.add(plain(&first, Scope::Group)), Err(refused));
    assert_eq!(library.edit(&new, plain(&first, Scope::Own)).unwrap().name, old);
    assert_eq!(
        library.tombstones().map(|stone| stone.name).collect::<Vec<_>>(),
        [new]
    );
    disk.keep(&mut library);
    let (loaded, refused) = disk.load();
    assert_eq!(refused, []);
    assert_eq!(
        loaded.documents().collect::<Vec<_>>(),
        library.documents().collect::<Vec<_>>()
    );
}

#[test]
fn an_edit_that_is_cut_off_leaves_one_version() {
    let (mut library, mut disk) = (library(), Disk::default());
    // Whatever the order of their names is.
    for number in 0..8 {
        let (first, second) = (format!("first {number}"), format!("second {number}"));
        let old = library.add(plain(&first, Scope::Group)).unwrap().name;
        embed(&mut library);
        disk.keep(&mut library);
        let new = library.edit(&old, plain(&second, Scope::Group)).unwrap().name;
        let mut torn = Disk(disk.0.clone());
        for write in library.clone().take_writes() {
            torn.write(write);
            let (loaded, refused) = torn.load();
            assert_eq!(refused, []);
            let is_whole = |name| {
                let keys = loaded.text_keys(name);
                !keys.is_empty() && keys.iter().all(|key| torn.0.contains_key(key))
            };
            assert!(is_whole(&old) || is_whole(&new));
        }
        disk.keep(&mut library);
    }
}

#[test]
fn an_edit_of_what_is_said_changes_nothing_else() {
    let (mut library, mut disk) = (library(), Disk::default());
    let name = library.add(plain("words", Scope::Group)).unwrap().name;
    embed(&mut library);
    disk.keep(&mut library);
    let edited = library.edit(&name, plain("words", Scope::Anyone)).unwrap();
    assert_eq!((edited.name, edited.is_new), (name, false));
    assert_eq!(library.take_writes().len(), 1);
    assert_eq!(found(&library, Scope::Anyone).len(), 1);
    // Read as Markdown it may be cut otherwise.
    let heading = "# One\ntwo";
    let name = library.add(plain(heading, Scope::Group)).unwrap().name;
    let markdown = NewDocument {
        kind: Kind::Markdown,
        ..plain(heading, Scope::Group)
    };
    assert_eq!(library.edit(&name, markdown).unwrap().name, name);
    disk.keep(&mut library);
    let place = library
        .locate(PassageId {
            document: name,
            passage: 0,
        })
        .unwrap();
    assert_eq!(
        place.read(&disk.0[&place.key]).unwrap().for_embedding(),
        "One\ntwo"
    );
}

#[test]
fn an_edit_to_another_documents_text_leaves_one() {
    let mut library = library();
    let one = library.add(plain("one", Scope::Group)).unwrap().name;
    let two = library.add(plain("two", Scope::Group)).unwrap().name;
    let edited = library.edit(&one, plain("two", Scope::Group)).unwrap();
    assert_eq!((edited.name, edited.is_new), (two, false));
    assert_eq!(library.documents().count(), 1);
    assert_eq!(library.passage_count(), 1);
    library.forget(&two, 3).unwrap();
    let three = library.add(plain("three", Scope::Group)).unwrap().name;
    let refused = Err(LibraryError::Forgotten { at_ms: 3 });
    assert_eq!(library.edit(&three, plain("two", Scope::Group)), refused);
    assert!(library.document(&three).is_some());
}

#[test]
fn a_full_library_says_so() {
    let limits = Limits {
        passages_max: 5,
        tombstones_max: 2,
        name_bytes_max: 8,
        ..Limits::default()
    };
    let mut library = Library::new(limits).unwrap();
    let name = library.add(plain(&long(4, "bread"), Scope::Group)).unwrap().name;
    let full = |count| LibraryError::Full {
        what: "passages",
        count,
        count_max: 5,
    };
    assert_eq!(library.add(plain(&long(2, "salt"), Scope::Group)), Err(full(6)));
    assert_eq!(
        library.edit(&name, plain(&long(6, "salt"), Scope::Group)),
        Err(full(6))
    );
    let mut last = library
        .edit(&name, plain(&long(5, "salt"), Scope::Group))
        .unwrap()
        .name;
    for number in 0..3 {
        last = library
            .edit(&last, plain(&number.to_string(), Scope::Group))
            .unwrap()
            .name;
    }
    assert_eq!(library.tombstones().count(), 2);
    let mut titled = plain("x", Scope::Group);
    titled.provenance.title = "longer than eight".into();
    assert!(matches!(
        library.add(titled),
        Err(LibraryError::TooLong { what: "title", .. })
    ));
}

#[test]
fn a_damaged_piece_costs_what_is_in_it() {
    let (mut library, mut disk) = (library(), Disk::default());
    let kept = library
        .add(plain(&long(300, "bread"), Scope::Group))
        .unwrap()
        .name;
    let lost = library.add(plain(&long(300, "salt"), Scope::Group)).unwrap().name;
    embed(&mut library);
    disk.keep(&mut library);
    assert_eq!(disk.count(b'v'), 3);
    let (loaded, refused) = disk.load();
    assert_eq!(
        (refused, found(&loaded, Scope::Device)),
        (vec![], found(&library, Scope::Device))
    );

    // The second of three segments, and one of two documents.
    let segment = Key::Segment(MODEL, 1).to_bytes();
    disk.0.insert(segment, b"nonsense".to_vec());
    disk.0.get_mut(&Key::Document(lost).to_bytes()).unwrap()[3] ^= 0x40;
    let (mut loaded, refused) = disk.load();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(loaded.document(&lost).is_none());
    assert_eq!(loaded.document(&kept).unwrap().passage_count(), 300);
    let rest = found(&loaded, Scope::Device);
    assert!(rest.iter().all(|passage| passage.document == kept));
    // Vectors are made again for what lost them, and then all is in order.
    assert_eq!(rest.len() + embed(&mut loaded), 300);
    disk.keep(&mut loaded);
    disk.0.remove(&Key::Document(lost).to_bytes());
    assert_eq!(disk.count(b'v'), 300_usize.div_ceil(SEGMENT_ROWS));
    let (mut again, refused) = disk.load();
    assert_eq!((refused, again.take_writes()), (vec![], vec![]));
    assert_eq!(found(&again, Scope::Device), found(&loaded, Scope::Device));
}

#[test]
fn models_come_and_go() {
    let (mut library, mut disk) = (library(), Disk::default());
    library.add(plain(&long(3, "bread"), Scope::Group)).unwrap();
    assert_eq!(library.open_model(MODEL, DIMENSION), Ok(()));
    let other = ModelError::Dimension {
        dimension: 5,
        expected: DIMENSION,
    };
    assert_eq!(library.open_model(MODEL, 5), Err(other));
    library.open_model([8; 32], 2).unwrap();
    assert_eq!(library.waiting(&[8; 32], None, 9).len(), 3);
    let first = library.waiting(&MODEL, None, 2);
    let rest = library.waiting(&MODEL, first.last().copied(), 9);
    assert_eq!((first.len(), rest.len()), (2, 1));
    assert!(library.put_vector(&MODEL, first[0], &[1.0; 5]).is_err());
    assert!(
        library
            .put_vector(&MODEL, first[0], &[f32::NAN; DIMENSION])
            .is_err()
    );
    assert!(library.put_vector(&[9; 32], first[0], &[1.0; DIMENSION]).is_err());
    embed(&mut library);
    library.put_vector(&[8; 32], first[0], &[1.0, 0.0]).unwrap();
    disk.keep(&mut library);
    assert_eq!(disk.count(b'v'), 2);
    let counts: Vec<_> = library
        .models()
        .map(|(_, dimension, has, waits)| (dimension, has, waits))
        .collect();
    assert_eq!(counts, [(DIMENSION, 3, 0), (2, 1, 2)]);
    library.drop_model(&[8; 32]);
    disk.keep(&mut library);
    assert_eq!(disk.count(b'v'), 1);
    let none = PassageId {
        document: [0; 32],
        passage: 0,
    };
    assert_eq!(library.put_vector(&MODEL, none, &[1.0; DIMENSION]), Ok(false));
    assert!(library.search(&[8; 32], &[1.0, 0.0], 1, Scope::Device).is_err());
}
