//! Products keyed by what they are made of, so that a step whose inputs are unchanged finds its result instead of making it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::command::fresh_dir;
use crate::error::{Context, Error};
use crate::workspace::Workspace;

/// Products of one kind that are kept, the most recently used first: enough to switch between a few branches.
const KEPT_PER_KIND: usize = 4;

/// The identity of a product: a hash over everything that it is made of.
pub(crate) struct Key(blake3::Hasher);

impl Key {
    /// A key that differs from every key of another recipe.
    pub(crate) fn new(recipe: &str) -> Self {
        Self(blake3::Hasher::new()).text(recipe)
    }

    /// Adds a parameter.
    pub(crate) fn text(mut self, text: &str) -> Self {
        // The length keeps ("ab", "c") apart from ("a", "bc").
        self.0
            .update(&(text.len() as u64).to_le_bytes())
            .update(text.as_bytes());
        self
    }

    /// Adds the content of a file.
    pub(crate) fn file(self, path: &Path) -> Result<Self, Error> {
        let hash = hash_file(path)?;
        Ok(self.text(&hash))
    }

    /// The key as a name.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().to_hex()[..32].to_owned()
    }
}

/// The BLAKE3 hash of a file's content, in hexadecimal.
pub(crate) fn hash_file(path: &Path) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let mut file = fs::File::open(path).context("read", path)?;
    std::io::copy(&mut file, &mut hasher).context("read", path)?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
/// The BLAKE3 hash of bytes, in hexadecimal.
pub(crate) fn hash_bytes(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// A directory in the cache.
pub(crate) struct Product {
    /// Where it is.
    pub(crate) dir: PathBuf,
    /// Whether it was made just now.
    pub(crate) fresh: bool,
}

/// Finds the product of this key or makes it in an empty directory; a half-made one is never found again.
pub(crate) fn produce(
    workspace: &Workspace,
    kind: &str,
    key: Key,
    make: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<Product, Error> {
    let shelf = workspace.cache().join(kind);
    let dir = shelf.join(key.finish());
    let fresh = !dir.exists();
    if fresh {
        let draft = shelf.join("draft");
        fresh_dir(&draft)?;
        make(&draft)?;
        fs::rename(&draft, &dir).context("create", &dir)?;
    }
    let used = dir.join(".used");
    fs::write(&used, "").context("write", &used)?;
    forget_old(&shelf)?;
    Ok(Product { dir, fresh })
}

fn forget_old(shelf: &Path) -> Result<(), Error> {
    let mut products: Vec<(SystemTime, PathBuf)> = Vec::new();
    for path in list(shelf)? {
        let used = fs::metadata(path.join(".used")).and_then(|meta| meta.modified());
        products.push((used.unwrap_or(SystemTime::UNIX_EPOCH), path));
    }
    products.sort();
    let surplus = products.len().saturating_sub(KEPT_PER_KIND);
    for (_, path) in &products[..surplus] {
        fs::remove_dir_all(path).context("remove", path)?;
    }
    Ok(())
}

/// What is in a directory, sorted by name.
pub(crate) fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).context("list", dir)?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .context("list", dir)?;
    paths.sort();
    Ok(paths)
}

/// Every file below a directory, sorted, except hidden ones.
pub(crate) fn files_below(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for path in list(dir)? {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        match (hidden, path.is_dir()) {
            (true, _) => {}
            (false, true) => files.extend(files_below(&path)?),
            (false, false) => files.push(path),
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_depend_on_where_one_parameter_ends() {
        let one = Key::new("test").text("ab").text("c").finish();
        let other = Key::new("test").text("a").text("bc").finish();
        assert_ne!(one, other);
    }

    #[test]
    fn a_product_is_made_once_and_a_failed_one_not_at_all() {
        let target = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(target.path(), target.path()).unwrap();
        let make =
            |text: &'static str| move |dir: &Path| fs::write(dir.join("file"), text).context("write", dir);

        let failed = produce(&workspace, "kind", Key::new("a"), |_| {
            Err(Error::PortBusy { port: 1 })
        });
        assert!(failed.is_err());
        let made = produce(&workspace, "kind", Key::new("a"), make("first")).unwrap();
        assert!(made.fresh);
        let found = produce(&workspace, "kind", Key::new("a"), make("second")).unwrap();
        assert!(!found.fresh);
        assert_eq!(fs::read_to_string(found.dir.join("file")).unwrap(), "first");
    }

    #[test]
    fn old_products_are_forgotten() {
        let target = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(target.path(), target.path()).unwrap();
        for index in 0..2 * KEPT_PER_KIND {
            produce(&workspace, "kind", Key::new(&index.to_string()), |_| Ok(())).unwrap();
        }
        assert_eq!(
            list(&workspace.cache().join("kind")).unwrap().len(),
            KEPT_PER_KIND
        );
    }
}
