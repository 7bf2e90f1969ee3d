//! The operator's files, read again when they change.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use inference::{KnownAnswers, ModelId, limits};

use super::POOLS_MAX;
use crate::Error;

/// Names that are looked at, whatever else lies there.
const ENTRIES_MAX: usize = 1024;

/// A folder and what its files were like when they were last read.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    seen: BTreeMap<ModelId, Stamp>,
}

/// Length and time of a file's last change.
type Stamp = (u64, Option<SystemTime>);

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            seen: BTreeMap::new(),
        }
    }

    /// The same folder, of which nothing was read yet.
    pub(super) fn emptied(&self) -> Self {
        Self::new(&self.path)
    }

    /// Hands over every file that is new or has changed, and `None` for each that is gone. One that cannot be used is told of in
    /// the log, once, and leaves those in use that were read before.
    pub(super) fn reload(&mut self, mut put: impl FnMut(ModelId, Option<KnownAnswers>)) {
        let found = self.list();
        for (model, stamp) in &found {
            if self.seen.get(model) == Some(stamp) {
                continue;
            }
            match read(&self.file(model)) {
                Ok(answers) => {
                    tracing::info!(%model, answers = answers.len(), "known answers were read");
                    put(*model, Some(answers));
                }
                Err(error) => tracing::warn!(%error, "these known answers are not used"),
            }
        }
        for model in self.seen.keys().filter(|model| !found.contains_key(*model)) {
            tracing::info!(%model, "known answers are gone");
            put(*model, None);
        }
        self.seen = found;
    }

    fn list(&self) -> BTreeMap<ModelId, Stamp> {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut found = BTreeMap::new();
        for entry in entries.take(ENTRIES_MAX) {
            let name = entry.file_name();
            let model = name
                .to_str()
                .and_then(|name| name.strip_suffix(".json")?.parse().ok());
            let metadata = std::fs::metadata(entry.path());
            if let (Some(model), Ok(metadata)) = (model, metadata) {
                found.insert(model, (metadata.len(), metadata.modified().ok()));
            }
        }
        if found.len() > POOLS_MAX {
            tracing::warn!(
                folder = %self.path.display(),
                "there are known answers for more than {POOLS_MAX} models: the rest is not read"
            );
        }
        found.into_iter().take(POOLS_MAX).collect()
    }

    fn file(&self, model: &ModelId) -> PathBuf {
        self.path.join(format!("{model}.json"))
    }
}

fn read(path: &Path) -> Result<KnownAnswers, Error> {
    let broken = |source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let bad = |reason: String| Error::BadFile {
        path: path.to_owned(),
        reason,
    };
    let file = File::open(path).map_err(broken)?;
    if !file.metadata().map_err(broken)?.is_file() {
        return Err(bad("it is not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    // One byte more than there may be, so that a longer one is seen as such.
    file.take(limits::POOL_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(broken)?;
    KnownAnswers::from_json(&bytes).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn pool(text: &str) -> String {
        let answers = KnownAnswers::new(vec![(text.to_owned(), vec![1.0])]).unwrap();
        answers.to_json().unwrap()
    }

    /// What a reload handed over: the number of answers, or that they are gone.
    fn reload(folder: &mut Folder) -> Vec<(ModelId, Option<usize>)> {
        let mut told = Vec::new();
        folder.reload(|model, answers| told.push((model, answers.map(|answers| answers.len()))));
        told
    }

    #[test]
    fn files_are_read_when_they_change_and_only_then() {
        let place = tempfile::tempdir().unwrap();
        let [one, two, three] = [1, 2, 3].map(|byte| inference::ContentHash([byte; 32]));
        let file = |model: ModelId| place.path().join(format!("{model}.json"));
        let mut folder = Folder::new(place.path());
        assert_eq!(reload(&mut folder), []);
        fs::write(file(one), pool("a")).unwrap();
        fs::write(place.path().join("readme.json"), pool("no model")).unwrap();
        fs::write(place.path().join(format!("{two}.partial")), pool("half made")).unwrap();
        fs::create_dir(file(three)).unwrap();
        assert_eq!(reload(&mut folder), [(one, Some(1))]);
        assert_eq!(reload(&mut folder), []);
        fs::write(file(one), "damaged").unwrap();
        fs::write(file(two), pool("b")).unwrap();
        assert_eq!(
            reload(&mut folder),
            [(two, Some(1))],
            "the damaged one stays as it was"
        );
        fs::remove_file(file(two)).unwrap();
        assert_eq!(reload(&mut folder), [(two, None)]);
        let missing = Folder::new(&place.path().join("missing"));
        assert_eq!(reload(&mut { missing }), []);
    }

    #[test]
    fn a_file_that_is_too_long_is_refused_before_it_is_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("long.json");
        // It takes no room on the disk.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("more than 33554432 bytes"), "{error}");
    }

    #[test]
    fn there_is_a_limit_to_models() {
        let place = tempfile::tempdir().unwrap();
        for byte in 0..=POOLS_MAX as u8 {
            let model = inference::ContentHash([byte; 32]);
            fs::write(place.path().join(format!("{model}.json")), pool("a")).unwrap();
        }
        assert_eq!(reload(&mut Folder::new(place.path())).len(), POOLS_MAX);
    }
}
