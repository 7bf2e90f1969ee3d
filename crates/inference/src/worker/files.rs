//! A model's files: from the cache if they are whole there, else from where the page holds them, verified either way.

use super::fetch::Download;
use super::store::{Store, StoreError};
use crate::chunks::Chunks;
use crate::manifest::{ContentHash, FileRef};
use crate::protocol::{EngineError, GivenFile, LoadProgress};

/// Obtains files and remembers, for the report, where they came from.
pub(super) struct Files<'a> {
    store: Option<Store>,
    progress: &'a dyn Fn(LoadProgress),
    total: u64,
    arrived: u64,
    downloaded: bool,
    not_kept: Option<String>,
}

impl<'a> Files<'a> {
    /// For files of `total` bytes together.
    pub(super) async fn new(total: u64, progress: &'a dyn Fn(LoadProgress)) -> Self {
        let mut files = Self {
            store: None,
            progress,
            total,
            arrived: 0,
            downloaded: false,
            not_kept: None,
        };
        match Store::open().await {
            Ok(store) => files.store = Some(store),
            Err(error) => files.give_up_caching(error),
        }
        files
    }

    /// Whether nothing had to be downloaded.
    pub(super) fn came_from_cache(&self) -> bool {
        !self.downloaded
    }

    /// Why files could not be cached.
    pub(super) fn why_not_kept(self) -> Option<String> {
        self.not_kept
    }

    /// The content of a file, equal to what its name says. What the cache lacks is read from where the page holds it, and not
    /// cached: the page held it because there was no room.
    pub(super) async fn obtain(
        &mut self,
        file: FileRef,
        held: Option<String>,
    ) -> Result<Chunks, EngineError> {
        if let Some(chunks) = self.cached(file).await {
            return Ok(chunks);
        }
        let url = held.ok_or(EngineError::Missing)?;
        self.downloaded = true;
        let bytes = file.bytes;
        let (found, chunks) = self.take_in(&GivenFile { url, bytes }).await?;
        same(file, found.blake3)?;
        Ok(chunks)
    }

    /// Sees to it that the cache has a file, without holding it in memory.
    pub(super) async fn keep(&mut self, file: FileRef, url: String) -> Result<(), EngineError> {
        if self.cached(file).await.is_some() {
            return Ok(());
        }
        let mut download = Download::start(url, file.bytes).await?;
        let (mut hasher, mut pieces) = (blake3::Hasher::new(), 0_u32);
        while let Some(piece) = download.next().await? {
            hasher.update(&piece);
            self.arrive(piece.len());
            if let Some(store) = &self.store
                && let Err(error) = store.write_piece(file.blake3, pieces, &piece).await
            {
                self.forget(file, pieces).await;
                self.give_up_caching(error);
            }
            pieces += 1;
        }
        if let Err(error) = same(file, ContentHash(*hasher.finalize().as_bytes())) {
            self.forget(file, pieces).await;
            return Err(error);
        }
        if let Some(store) = &self.store
            && let Err(error) = store.finish(file, pieces).await
        {
            self.give_up_caching(error);
        }
        Ok(())
    }

    /// The content of a file whose name is not known yet, and its name. Nothing is cached.
    pub(super) async fn take_in(&mut self, given: &GivenFile) -> Result<(FileRef, Chunks), EngineError> {
        let mut download = Download::start(given.url.clone(), given.bytes).await?;
        let (mut hasher, mut chunks) = (blake3::Hasher::new(), Chunks::default());
        while let Some(piece) = download.next().await? {
            hasher.update(&piece);
            self.arrive(piece.len());
            chunks.push(piece);
        }
        let blake3 = ContentHash(*hasher.finalize().as_bytes());
        let bytes = given.bytes;
        Ok((FileRef { blake3, bytes }, chunks))
    }

    fn arrive(&mut self, bytes: usize) {
        self.arrived += bytes as u64;
        (self.progress)(LoadProgress::Downloading {
            bytes: self.arrived.min(self.total),
            total: self.total,
        });
    }

    async fn cached(&mut self, file: FileRef) -> Option<Chunks> {
        match self.store.as_ref()?.read(file).await {
            Ok(found) => found,
            Err(error) => {
                self.give_up_caching(error);
                None
            }
        }
    }

    /// Frees the space of a file that is not whole; if that fails too, the next write replaces it.
    async fn forget(&self, file: FileRef, pieces: u32) {
        if let Some(store) = &self.store {
            drop(store.remove(file.blake3, pieces).await);
        }
    }

    fn give_up_caching(&mut self, StoreError(reason): StoreError) {
        self.store = None;
        self.not_kept.get_or_insert_with(|| reason.clone());
        (self.progress)(LoadProgress::NotCached { reason });
    }
}

/// A file is what its name says, or it is not used.
fn same(file: FileRef, actual: ContentHash) -> Result<(), EngineError> {
    if actual == file.blake3 {
        return Ok(());
    }
    let expected = file.blake3;
    Err(EngineError::WrongHash { expected, actual })
}
