//! Where the prose comes from: files of this machine, in random order, until there is enough of it.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::chance;
use crate::prose::{self, Passage};

/// What a Debian machine has of English prose. Python's folder has its version in its name.
const PLACES: &[&str] = &["/usr/share/doc", "/usr/share/perl", "/usr/share/perl5"];
const PYTHONS: &str = "/usr/lib";

/// Files that are looked at, folders within one another, bytes of one file.
const FILES_MAX: usize = 200_000;
const DEPTH_MAX: usize = 16;
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Sentences that are gathered for each text that is wanted, and those that must be there at least.
const SENTENCES_PER_TEXT: usize = 12;
const SENTENCES_PER_TEXT_MIN: usize = 2;
/// Passages taken from one file, so that no long manual makes up most of it.
const PASSAGES_PER_FILE_MAX: usize = 40;

/// Names of files whose texts are the same everywhere, or no prose.
const LEFT_OUT: &[&str] = &[
    "copyright",
    "copying",
    "licen",
    "changelog",
    "changes",
    "authors",
    "thanks",
    "notice",
];

/// Gathers passages for `count` texts; without places to look at, from this machine's documentation.
pub(crate) fn gather(places: &[PathBuf], count: usize) -> Result<Vec<Passage>> {
    let places = if places.is_empty() {
        defaults()
    } else {
        places.to_vec()
    };
    eprintln!("known answers: looking for prose in {}", names(&places));
    let mut files = Vec::new();
    for place in &places {
        list(place, 0, &mut files);
    }
    chance::shuffle(&mut files)?;
    let (mut passages, mut sentences) = (Vec::new(), 0);
    let mut seen = BTreeSet::new();
    for file in &files {
        let mut found = read(file);
        chance::shuffle(&mut found)?;
        for passage in found.into_iter().take(PASSAGES_PER_FILE_MAX) {
            let fresh = |sentence: &String| seen.insert(fingerprint(sentence));
            let passage: Vec<String> = passage.0.into_iter().filter(fresh).collect();
            if !passage.is_empty() {
                sentences += passage.len();
                passages.push(Passage(passage));
            }
        }
        if sentences >= count.saturating_mul(SENTENCES_PER_TEXT) {
            break;
        }
    }
    let needed = count.saturating_mul(SENTENCES_PER_TEXT_MIN);
    ensure!(
        sentences >= needed,
        "only {sentences} sentences of English prose were found, and {count} known answers need {needed}: \
         name folders with more of it with --corpus, or ask for fewer with --count"
    );
    eprintln!(
        "known answers: {sentences} sentences found in {} files",
        files.len()
    );
    Ok(passages)
}

fn defaults() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).collect();
    let pythons = fs::read_dir(PYTHONS).into_iter().flatten().flatten();
    places.extend(pythons.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("python3")
    }));
    // The sources that cargo unpacked, where this project was built.
    let cargo = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    places.extend(cargo.map(|cargo| cargo.join("registry").join("src")));
    places
}

fn names(places: &[PathBuf]) -> String {
    let names: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    names.join(", ")
}

/// Adds the files below a place, links aside. What cannot be read is not there.
fn list(place: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(metadata) = fs::symlink_metadata(place) else {
        return;
    };
    if files.len() >= FILES_MAX {
        return;
    }
    if metadata.is_dir() && depth < DEPTH_MAX {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            list(&entry.path(), depth + 1, files);
        }
    } else if metadata.is_file() && metadata.len() <= FILE_BYTES_MAX && extractor(place).is_some() {
        files.push(place.to_owned());
    }
}

fn read(path: &Path) -> Vec<Passage> {
    let text = fs::read(path)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let extractor = extractor(path);
    text.zip(extractor)
        .map_or_else(Vec::new, |(text, extractor)| prose::passages(&extractor(&text)))
}

/// What takes the prose out of a file, by its name.
fn extractor(path: &Path) -> Option<fn(&str) -> String> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    if LEFT_OUT.iter().any(|left_out| name.starts_with(left_out)) {
        return None;
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        None | Some("txt" | "md" | "rst" | "Debian") => Some(str::to_owned),
        Some("pm" | "pl" | "pod") => Some(prose::of_perl),
        Some("py") => Some(prose::of_python),
        Some("rs") => Some(prose::of_rust),
        Some(_) => None,
    }
}

fn fingerprint(sentence: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    sentence.to_lowercase().hash(&mut hasher);
    hasher.finish()
}
