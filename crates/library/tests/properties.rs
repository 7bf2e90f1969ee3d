//! What holds whatever comes: nothing panics, no text is lost, and what is kept is what was there.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use library::cut::{Cut, cut, read};
use library::{
    Kind, Library, LibraryError, Limits, Loader, ModelId, Name, NewDocument, PassageId, Provenance, Scope,
    Write,
};
use proptest::prelude::*;

const MODEL: ModelId = [1; 32];
const DIMENSION: usize = 32;

/// Text in which everything that a cutter looks for is frequent.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,12}",
        "[ \t\r\n]{1,3}",
        Just("\n\n".to_owned()),
        "[.!?]\"? ",
        "\\PC{1,4}",
        "[#=`~<>&;/-]{1,4}",
        "(e\u{301}|👨\u{200d}👩|水。|🇫🇷){1,30}",
        "[x]{60,90}",
        Just("&amp;&#x41;&nbsp;".to_owned()),
        "</?(p|h1|li|pre|td|tr|svg|script|title|br/)( a=['\"]?x>?['\"]?)?>",
        Just("<!-- > -->".to_owned()),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Plain), Just(Kind::Markdown), Just(Kind::Html)]
}

fn limits() -> impl Strategy<Value = Limits> {
    (64_usize..200, 16_usize..64).prop_map(|(passage_bytes_max, context_bytes_max)| Limits {
        passage_bytes_max,
        context_bytes_max,
        ..Limits::default()
    })
}

/// What every cut keeps to.
fn check(cut: &Cut<'_>, limits: &Limits) {
    let mut end = 0;
    for span in &cut.passages {
        let passage = &cut.text[span.range.clone()];
        assert!(span.range.start >= end && !passage.is_empty());
        assert!(
            passage.len() <= limits.passage_bytes_max,
            "{} bytes",
            passage.len()
        );
        assert_eq!(passage.trim(), passage);
        assert!(span.context.is_none_or(|place| place < cut.contexts.len()));
        end = span.range.end;
    }
    for context in &cut.contexts {
        assert!(context.len() <= limits.context_bytes_max && !context.is_empty());
    }
    assert!(cut.contexts.windows(2).all(|pair| pair[0] != pair[1]));
}

fn without_space(text: &str) -> String {
    text.split_whitespace().collect()
}

fn passages(cut: &Cut<'_>) -> String {
    cut.passages
        .iter()
        .map(|span| without_space(&cut.text[span.range.clone()]))
        .collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

proptest! {
    #[test]
    fn every_text_is_cut_within_the_limits(kind in kind(), text in text(), limits in limits()) {
        match cut(kind, &text, &limits) {
            Ok(cut) => check(&cut, &limits),
            Err(error) => prop_assert_eq!(error, library::TextError::Empty),
        }
    }

    #[test]
    fn every_letter_of_plain_text_is_in_a_passage(text in text(), limits in limits()) {
        let found = cut(Kind::Plain, &text, &limits).map(|cut| passages(&cut)).unwrap_or_default();
        prop_assert_eq!(found, without_space(&text));
    }

    /// Of Markdown all prose and code is in passages, in order, and every heading is in a context or a passage.
    #[test]
    fn markdown_loses_nothing(
        blocks in prop::collection::vec((0_usize..9, prop::collection::vec("[a-zé水.]{1,9}", 1..30)), 1..30),
        limits in limits(),
    ) {
        // Three headings of these lengths fit: of more a context keeps the inner ones.
        let limits = Limits { context_bytes_max: limits.context_bytes_max.max(24), ..limits };
        let (mut text, mut prose, mut headings) = (String::new(), String::new(), Vec::new());
        for (place, (level, words)) in blocks.iter().enumerate() {
            let words = words.join(" ");
            match level {
                1..=3 => {
                    // Short and unlike any other.
                    text += &format!("{} h{place}h\n", "#".repeat(*level));
                    headings.push(format!("h{place}h"));
                }
                4 => {
                    text += &format!("~~~\n{words}\n# {words}\n~~~\n");
                    prose += &format!("~~~{words}#{words}~~~");
                }
                _ => {
                    text += &format!("{words}\n\n");
                    prose += &words;
                }
            }
        }
        let cut = cut(Kind::Markdown, &text, &limits).unwrap();
        check(&cut, &limits);
        let mut found = passages(&cut);
        for heading in headings {
            let is_passage = found.contains(&heading);
            let is_context = cut.contexts.iter().any(|context| context.split(" › ").any(|part| part == heading));
            prop_assert!(is_passage != is_context, "{} in {:?}", heading, text);
            found = found.replace(&heading, "");
        }
        prop_assert_eq!(found, without_space(&prose));
    }

    /// A paragraph of HTML comes through, except that what would be markup gets a backslash.
    #[test]
    fn paragraphs_of_pages_come_through(texts in prop::collection::vec(text(), 1..4), limits in limits()) {
        let html: String = texts.iter().map(|text| format!("<p>{}</p>", escaped(text))).collect();
        let cut = cut(Kind::Html, &html, &limits);
        let found = cut.as_ref().map(passages).unwrap_or_default();
        let expected = without_space(&texts.concat());
        prop_assert_eq!(found.replace('\\', ""), expected.replace('\\', ""));
        if let Ok(cut) = cut {
            prop_assert!(cut.contexts.is_empty(), "a heading out of {:?}", html);
            check(&cut, &limits);
        }
    }

    #[test]
    fn bytes_are_text_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in kind()) {
        let limits = Limits::default();
        match read(&bytes, &limits) {
            Ok(text) => drop(cut(kind, text, &limits)),
            Err(_) => prop_assert!(std::str::from_utf8(&bytes).is_err()),
        }
    }

    #[test]
    fn a_loader_takes_any_bytes(
        pieces in prop::collection::vec((
            prop_oneof![Just(b'd'), Just(b'v'), Just(b't'), any::<u8>()],
            0_usize..40,
            prop::collection::vec(any::<u8>(), 0..80),
        ), 0..20),
    ) {
        let mut loader = Loader::new(Limits::default()).unwrap();
        for (prefix, length, value) in pieces {
            let key = [&[prefix], &vec![0; length][..]].concat();
            let _ = loader.take(&key, &value);
        }
        prop_assert_eq!(loader.finish().documents().count(), 0);
    }

    /// A library that was kept with one bit turned loads without a panic, and has nothing that was not there.
    #[test]
    fn a_turned_bit_is_found_or_harmless(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut disk = BTreeMap::new();
        let mut kept = library();
        for text in ["one", "two\n\nthree", "four"] {
            kept.add(new(text, Scope::Group)).unwrap();
        }
        embed(&mut kept);
        keep(&mut kept, &mut disk);
        let sizes: usize = disk.values().map(Vec::len).sum();
        let mut place = at.index(sizes);
        for value in disk.values_mut() {
            match value.get_mut(place) {
                Some(byte) => {
                    *byte ^= 1 << bit;
                    break;
                }
                None => place -= value.len(),
            }
        }
        let mut loaded = load(&disk);
        for document in loaded.documents() {
            prop_assert!(kept.document(&document.name).is_some());
        }
        embed(&mut loaded);
        keep(&mut loaded, &mut disk);
        prop_assert_eq!(state(&load(&disk)), state(&loaded));
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done in whatever order, the library is what a list of texts would be, and so is what it keeps.
    #[test]
    fn it_is_what_a_list_of_texts_would_be(steps in prop::collection::vec(step(), 1..40)) {
        let mut disk = BTreeMap::new();
        let mut library = library();
        let mut list = List::default();
        for (now_ms, step) in (1..).zip(steps) {
            apply(&mut library, &mut list, &step, now_ms);
            if step.reloads {
                // Wherever the writes are cut off, every document that is there has its text, and what is there before
                // and after is there in between.
                let (before, mut torn) = (load(&disk), disk.clone());
                for write in library.clone().take_writes() {
                    put(write, &mut torn);
                    let loaded = load(&torn);
                    for document in loaded.documents() {
                        let keys = loaded.text_keys(&document.name);
                        prop_assert!(keys.iter().all(|key| torn.contains_key(key)), "a text is missing");
                    }
                    for document in before.documents() {
                        let is_kept = library.document(&document.name).is_some();
                        prop_assert!(!is_kept || loaded.document(&document.name).is_some(), "a document is missing");
                    }
                }
                keep(&mut library, &mut disk);
                library = load(&disk);
                library.open_model(MODEL, DIMENSION).unwrap();
            }
            let live: Vec<(Name, Scope)> =
                library.documents().map(|document| (document.name, document.provenance.scope)).collect();
            let expected: BTreeMap<Name, Scope> = list.live.iter().map(|(text, scope)| (name(text), *scope)).collect();
            prop_assert_eq!(live, expected.into_iter().collect::<Vec<_>>());
            if step.embeds {
                embed(&mut library);
                let hits = library.search(&MODEL, &[1.0; DIMENSION], 1000, Scope::Group).unwrap();
                let passages = list.live.iter().filter(|(_, scope)| **scope >= Scope::Group);
                prop_assert_eq!(hits.len(), passages.map(|(text, _)| paragraphs(text)).sum::<usize>());
                for hit in hits {
                    let expected = cosine(&vector(&library, &disk, hit.passage), &[1.0; DIMENSION]);
                    prop_assert!((hit.cosine - expected).abs() < 0.02, "{} for {}", hit.cosine, expected);
                }
            }
        }
    }
}

/// One thing that a person does to one of a few texts.
#[derive(Clone, Debug)]
struct Step {
    verb: u8,
    text: usize,
    other: usize,
    scope: Scope,
    embeds: bool,
    reloads: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let scope = prop_oneof![Just(Scope::Device), Just(Scope::Group), Just(Scope::Anyone)];
    let step = (
        0_u8..6,
        0_usize..5,
        0_usize..5,
        scope,
        any::<bool>(),
        any::<bool>(),
    );
    step.prop_map(|(verb, text, other, scope, embeds, reloads)| Step {
        verb,
        text,
        other,
        scope,
        embeds,
        reloads,
    })
}

/// Texts of one to five passages; neighbours have some in common.
fn words(text: usize) -> String {
    let paragraph = |number: usize| format!("Paragraph {number} {}", "is long ".repeat(70));
    (text..=text * 2).map(paragraph).collect::<Vec<_>>().join("\n\n")
}

fn paragraphs(text: &usize) -> usize {
    text + 1
}

fn name(text: &usize) -> Name {
    *blob::Outline::of(words(*text).as_bytes()).unwrap().name()
}

/// What a library has to be.
#[derive(Default)]
struct List {
    live: BTreeMap<usize, Scope>,
    hidden: BTreeMap<usize, Scope>,
    forgotten: Vec<usize>,
    replaced: Vec<usize>,
}

fn apply(library: &mut Library, list: &mut List, step: &Step, now_ms: u64) {
    let Step {
        text, other, scope, ..
    } = *step;
    let is_forgotten = |list: &List, text| list.hidden.contains_key(&text) || list.forgotten.contains(&text);
    match step.verb {
        0 | 1 => {
            let added = library.add(new(&words(text), scope));
            if is_forgotten(list, text) {
                assert!(matches!(added, Err(LibraryError::Forgotten { .. })), "{added:?}");
            } else if list.replaced.contains(&text) {
                assert!(matches!(added, Err(LibraryError::Replaced { .. })), "{added:?}");
            } else {
                let is_new = !list.live.contains_key(&text);
                assert_eq!(added.unwrap().is_new, is_new);
                list.live.entry(text).or_insert(scope);
            }
        }
        2 => {
            let edited = library.edit(&name(&text), new(&words(other), scope));
            if !list.live.contains_key(&text) {
                assert_eq!(edited, Err(LibraryError::Unknown));
            } else if is_forgotten(list, other) {
                assert!(
                    matches!(edited, Err(LibraryError::Forgotten { .. })),
                    "{edited:?}"
                );
            } else {
                assert_eq!(edited.unwrap().is_new, !list.live.contains_key(&other));
                if text == other {
                    list.live.insert(text, scope);
                } else {
                    list.live.remove(&text);
                    list.live.entry(other).or_insert(scope);
                    list.replaced.retain(|replaced| *replaced != other);
                    list.replaced.push(text);
                }
            }
        }
        3 => {
            let forgotten = library.forget(&name(&text), now_ms);
            let scope = list.live.remove(&text);
            assert_eq!(forgotten.is_ok(), scope.is_some());
            list.hidden.extend(scope.map(|scope| (text, scope)));
        }
        4 => {
            let undone = library.undo_forget(&name(&text)).ok();
            let scope = list.hidden.remove(&text);
            list.live.extend(scope.map(|scope| (text, scope)));
            let gone = list.forgotten.len() + list.replaced.len();
            list.forgotten.retain(|forgotten| *forgotten != text);
            list.replaced.retain(|replaced| *replaced != text);
            let was_gone = list.forgotten.len() + list.replaced.len() < gone;
            assert_eq!(undone, scope.map(|_| true).or(was_gone.then_some(false)));
        }
        _ => {
            let erased = library.erase(&name(&text)).is_ok();
            assert_eq!(erased, list.hidden.remove(&text).is_some());
            if erased {
                list.forgotten.push(text);
            }
        }
    }
}

fn library() -> Library {
    let mut library = Library::new(Limits::default()).unwrap();
    library.open_model(MODEL, DIMENSION).unwrap();
    library
}

fn new(text: &str, scope: Scope) -> NewDocument<'_> {
    let provenance = Provenance {
        scope,
        ..Provenance::default()
    };
    NewDocument {
        kind: Kind::Plain,
        text,
        provenance,
    }
}

/// A direction that depends on the words alone, as a model's would.
fn direction(words: &str) -> [f32; DIMENSION] {
    blob::Outline::of(words.as_bytes())
        .unwrap()
        .name()
        .map(|byte| f32::from(byte) - 127.5)
}

/// The direction of a passage, by the words that its text has.
fn vector(library: &Library, disk: &BTreeMap<Vec<u8>, Vec<u8>>, passage: PassageId) -> [f32; DIMENSION] {
    let place = library.locate(passage).unwrap();
    match disk.get(&place.key) {
        Some(value) => direction(&place.read(value).unwrap().text),
        None => direction(&by_name(passage)),
    }
}

/// The words of a passage of one of the few texts; what was not kept yet cannot be read.
fn by_name(passage: PassageId) -> String {
    let texts = (0..5)
        .map(words)
        .chain(["one", "two\n\nthree", "four"].map(str::to_owned));
    let text = texts
        .into_iter()
        .find(|text| *blob::Outline::of(text.as_bytes()).unwrap().name() == passage.document);
    let text = text.unwrap();
    let cut = cut(Kind::Plain, &text, &Limits::default()).unwrap();
    text[cut.passages[passage.passage as usize].range.clone()].to_owned()
}

fn embed(library: &mut Library) {
    for passage in library.waiting(&MODEL, None, usize::MAX) {
        let vector = direction(&by_name(passage));
        assert_eq!(library.put_vector(&MODEL, passage, &vector), Ok(true));
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn keep(library: &mut Library, disk: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    for write in library.take_writes() {
        put(write, disk);
    }
}

fn put(write: Write, disk: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    match write {
        Write::Put { key, value } => disk.insert(key, value),
        Write::Delete { key } => disk.remove(&key),
    };
}

fn load(disk: &BTreeMap<Vec<u8>, Vec<u8>>) -> Library {
    let mut loader = Loader::new(Limits::default()).unwrap();
    for (key, value) in disk.iter().filter(|(key, _)| Loader::PREFIXES.contains(&key[0])) {
        let _ = loader.take(key, value);
    }
    loader.finish()
}

/// All that a library shows.
fn state(library: &Library) -> (Vec<Name>, Vec<(PassageId, u32)>) {
    let names = library.documents().map(|document| document.name).collect();
    let hits = library.search(&MODEL, &[1.0; DIMENSION], 1000, Scope::Device);
    let mut hits: Vec<_> = hits
        .into_iter()
        .flatten()
        .map(|hit| (hit.passage, hit.cosine.to_bits()))
        .collect();
    hits.sort();
    (names, hits)
}
