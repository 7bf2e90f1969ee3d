//! What the library makes of a real manual: passages to a document, and what rounding vectors to bytes costs.
//!
//! ```sh
//! corpus() { cargo run --release -p library --example corpus -- "$@"; }
//! corpus passages /usr/share/doc/postgresql-doc-15/html > passages.jsonl
//! corpus questions /usr/share/doc/postgresql-doc-15/html > questions.jsonl
//! python crates/library/reference/embed.py MODEL < passages.jsonl > passages.f32      # and questions
//! corpus recall passages.f32 questions.f32
//! corpus overlay passages.f32 questions.f32
//! ```
//!
//! The questions are titles of sections. Both searches are among the same vectors, those of sentence-transformers; the exact one
//! is in floats. What differs is the rounding alone.
//!
//! The last command spreads the passages over 100 nodes in the order of the manual's pages, a fifth of them at random, and
//! asks those whose summaries are nearest to a question: how much of what the exact search finds do they have?

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use library::cut::{self, cut};
use library::overlay::choose;
use library::{Kind, Library, Limits, ModelId, Name, NewDocument, PassageId, Provenance, Scope, TextError};

const MODEL: ModelId = [1; 32];
const DIMENSION: usize = 384;
/// Of the titles so many are asked for at most, from all over the manual.
const QUESTIONS_MAX: usize = 1000;
const PLACES: usize = 10;
const NODES: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["passages", folder] => passages(Path::new(folder)),
        ["questions", folder] => questions(Path::new(folder)),
        ["recall", passages, questions] => recall(Path::new(passages), Path::new(questions)),
        ["overlay", passages, questions] => overlay(Path::new(passages), Path::new(questions)),
        _ => Err("passages DIR | questions DIR | recall PASSAGES.f32 QUESTIONS.f32 | overlay …".into()),
    }
}

/// What every passage gives a model to embed, one JSON string a line, and how long they are on the standard error.
fn passages(folder: &Path) -> Result<(), Box<dyn Error>> {
    let (mut counts, mut lengths, mut empty) = (Vec::new(), Vec::new(), 0);
    for text in texts(folder)? {
        let cut = match cut(Kind::Html, &text, &Limits::default()) {
            Ok(cut) => cut,
            Err(TextError::Empty) => {
                empty += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        counts.push(cut.passages.len());
        for span in &cut.passages {
            let words = &cut.text[span.range.clone()];
            lengths.push(words.len());
            let context = span.context.map_or("", |place| cut.contexts[place].as_str());
            let whole = [context, "\n", words].concat();
            println!("{}", serde_json::to_string(whole.trim_start())?);
        }
    }
    let (documents, passages) = (counts.len(), lengths.len());
    eprintln!("{documents} documents ({empty} more have no text), {passages} passages");
    eprintln!("passages of a document: {}", spread(&mut counts));
    eprintln!("bytes of a passage: {}", spread(&mut lengths));
    Ok(())
}

fn spread(numbers: &mut [usize]) -> String {
    numbers.sort_unstable();
    let at = |percent: usize| {
        numbers
            .get((numbers.len() - 1) * percent / 100)
            .copied()
            .unwrap_or(0)
    };
    let mean = numbers.iter().sum::<usize>() as f64 / numbers.len() as f64;
    format!(
        "mean {mean:.1}, 5 % {}, median {}, 95 % {}, most {}",
        at(5),
        at(50),
        at(95),
        at(100)
    )
}

/// The titles of sections, each once.
fn questions(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut titles = BTreeSet::new();
    for text in texts(folder)? {
        if let Ok(cut) = cut(Kind::Html, &text, &Limits::default()) {
            let inner = |context: &String| context.rsplit(" › ").next().unwrap_or_default().to_owned();
            titles.extend(cut.contexts.iter().map(inner));
        }
    }
    let every = titles.len().div_ceil(QUESTIONS_MAX).max(1);
    for title in titles.iter().step_by(every) {
        println!("{}", serde_json::to_string(title)?);
    }
    Ok(())
}

/// How many of the ten nearest in floats are among the ten that the library finds.
fn recall(passages: &Path, questions: &Path) -> Result<(), Box<dyn Error>> {
    let (passages, questions) = (vectors(passages)?, vectors(questions)?);
    let mut library = Library::new(Limits::default())?;
    library.open_model(MODEL, DIMENSION)?;
    // Documents stand in for those whose passages they are: only the vectors count here.
    let mut places: BTreeMap<PassageId, usize> = BTreeMap::new();
    for (place, vector) in passages.iter().enumerate() {
        let name = add(&mut library, &place.to_string())?;
        let passage = PassageId {
            document: name,
            passage: 0,
        };
        library.put_vector(&MODEL, passage, vector)?;
        places.insert(passage, place);
    }
    let (mut kept, mut first, mut error) = (0, 0, 0.0_f32);
    for question in &questions {
        let exact = nearest(&passages, question);
        let hits = library.search(&MODEL, question, PLACES, Scope::Device)?;
        let found: Vec<usize> = hits.iter().map(|hit| places[&hit.passage]).collect();
        for (hit, place) in hits.iter().zip(&found) {
            error = error.max((hit.cosine - dot(&passages[*place], question)).abs());
        }
        kept += exact.iter().filter(|place| found.contains(place)).count();
        first += usize::from(exact.first() == found.first());
    }
    let asked = questions.len();
    let report = serde_json::json!({
        "passages": passages.len(),
        "questions": asked,
        "recall_at_10": kept as f64 / (asked * PLACES) as f64,
        "same_first": first as f64 / asked as f64,
        "largest_error_of_a_cosine": error,
    });
    println!("{report}");
    Ok(())
}

/// What the nodes have that summaries choose.
fn overlay(passages: &Path, questions: &Path) -> Result<(), Box<dyn Error>> {
    let (passages, questions) = (vectors(passages)?, vectors(questions)?);
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let mut library = Library::new(Limits::default())?;
        library.open_model(MODEL, DIMENSION)?;
        nodes.push(library);
    }
    let mut homes = Vec::new();
    for (place, vector) in passages.iter().enumerate() {
        // A fifth, by a multiplicative hash (Knuth).
        let drawn = place.wrapping_mul(2_654_435_761) >> 8;
        let home = match drawn % 5 {
            0 => drawn / 5 % NODES,
            _ => place * NODES / passages.len(),
        };
        let document = add(&mut nodes[home], &place.to_string())?;
        let passage = PassageId { document, passage: 0 };
        nodes[home].put_vector(&MODEL, passage, vector)?;
        homes.push(home);
    }
    for clusters in [1, 4, 8, 16, 32] {
        let mut summaries = Vec::new();
        for node in &nodes {
            summaries.extend(node.summary(&MODEL, Scope::Group, clusters, 1)?);
        }
        let bytes = summaries.iter().map(|summary| summary.to_bytes().len()).max();
        let mut kept = [0; 3];
        for question in &questions {
            let exact = nearest(&passages, question);
            let chosen = choose(&MODEL, question, &summaries, 10)?;
            let mut best = vec![0; NODES];
            exact.iter().for_each(|place| best[homes[*place]] += 1);
            for (kept, asked) in kept.iter_mut().zip([5, 10]) {
                *kept += chosen.iter().take(asked).map(|node| best[*node]).sum::<usize>();
            }
            // No choice of five does better.
            best.sort_unstable();
            kept[2] += best.iter().rev().take(5).sum::<usize>();
        }
        let share = kept.map(|kept| kept as f64 / (questions.len() * PLACES) as f64);
        let report = serde_json::json!({
            "nodes": NODES,
            "clusters": clusters,
            "summary_bytes_max": bytes,
            "recall_at_10_of_5": share[0],
            "recall_at_10_of_10": share[1],
            "best_5_could_have": share[2],
        });
        println!("{report}");
    }
    Ok(())
}

/// The nearest passages in floats, best first.
fn nearest(passages: &[Vec<f32>], question: &[f32]) -> Vec<usize> {
    let cosines: Vec<f32> = passages.iter().map(|passage| dot(passage, question)).collect();
    let mut places: Vec<usize> = (0..passages.len()).collect();
    places.sort_by(|a, b| cosines[*b].total_cmp(&cosines[*a]));
    places.truncate(PLACES);
    places
}

fn add(library: &mut Library, text: &str) -> Result<Name, Box<dyn Error>> {
    let provenance = Provenance::default();
    let new = NewDocument {
        kind: Kind::Plain,
        text,
        provenance,
    };
    Ok(library.add(new)?.name)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn vectors(path: &Path) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let (numbers, _) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = numbers.iter().copied().map(f32::from_le_bytes).collect();
    Ok(numbers.chunks_exact(DIMENSION).map(<[f32]>::to_vec).collect())
}

/// All HTML files below a folder, in the order of their names.
fn texts(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut paths = Vec::new();
    list(folder, &mut paths)?;
    paths.sort();
    let limits = Limits::default();
    paths
        .iter()
        .map(|path| Ok(cut::read(&fs::read(path)?, &limits)?.to_owned()))
        .collect()
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "html") {
            paths.push(path);
        }
    }
    Ok(())
}
