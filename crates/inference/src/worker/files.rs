//! A model's files: from the cache if they are whole there, else from the network, verified either way.

use super::fetch::Download;
use super::store::{Store, StoreError};
use crate::chunks::Chunks;
use crate::manifest::{ContentHash, FileRef, ModelManifest};
use crate::protocol::{EngineError, LoadProgress};

/// Obtains files and remembers, for the report, where they came from.
pub(super) struct Files<'a> {
    models_url: String,
    store: Option<Store>,
    progress: &'a dyn Fn(LoadProgress),
    total: u64,
    arrived: u64,
    downloaded: bool,
}

impl<'a> Files<'a> {
    pub(super) async fn new(
        manifest: &ModelManifest,
        models_url: &str,
        progress: &'a dyn Fn(LoadProgress),
    ) -> Self {
        let slash = if models_url.ends_with('/') { "" } else { "/" };
        let mut files = Self {
            models_url: format!("{models_url}{slash}"),
            store: None,
            progress,
            total: manifest.onnx.bytes + manifest.tokenizer.bytes,
            arrived: 0,
            downloaded: false,
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

    /// The content of a file, equal to what its name says.
    pub(super) async fn obtain(&mut self, file: FileRef) -> Result<Chunks, EngineError> {
        if let Some(chunks) = self.cached(file).await {
            return Ok(chunks);
        }
        self.downloaded = true;
        let mut download = Download::start(format!("{}{}", self.models_url, file.blake3), file.bytes).await?;
        let (mut chunks, mut hasher, mut pieces) = (Chunks::default(), blake3::Hasher::new(), 0_u32);
        while let Some(piece) = download.next().await? {
            hasher.update(&piece);
            self.arrived += piece.len() as u64;
            (self.progress)(LoadProgress::Downloading {
                bytes: self.arrived.min(self.total),
                total: self.total,
            });
            if let Some(store) = &self.store
                && let Err(error) = store.write_piece(file.blake3, pieces, &piece).await
            {
                self.forget(file, pieces).await;
                self.give_up_caching(error);
            }
            pieces += 1;
            chunks.push(piece);
        }
        let actual = ContentHash(*hasher.finalize().as_bytes());
        if actual != file.blake3 {
            self.forget(file, pieces).await;
            return Err(EngineError::WrongHash {
                expected: file.blake3,
                actual,
            });
        }
        if let Some(store) = &self.store
            && let Err(error) = store.finish(file, pieces).await
        {
            self.give_up_caching(error);
        }
        Ok(chunks)
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
        (self.progress)(LoadProgress::NotCached { reason });
    }
}
