//! Models' files: what is missing is fetched, what came is kept, what others ask for is read.
//!
//! The core says which part comes from whom and what may be kept; here are the web server, the shelf in IndexedDB and, where the
//! browser keeps nothing or no more, the page's memory. A load waits until all files of its model are whole.

use std::collections::BTreeSet;
use std::pin::pin;
use std::rc::Rc;

use blob::CHUNK_BYTES;
use futures::SinkExt as _;
use futures::channel::mpsc;
use futures::future::{Either, FutureExt as _, select};
use gloo::timers::future::TimeoutFuture;
use inference::pieces::Pieces;
use inference::protocol::HeldFiles;
use inference::{EngineError, FileRef};
use js_sys::{Array, Uint8Array};
use litemap::LiteMap;
use node_proto::ids::{Hash, ModelId};
use node_proto::io::Input;
use node_proto::transfer::{BlobInput, BlobOutput, BlobStep, HeldBy, Part, Progress};
use web_sys::{Blob, Url};

use super::Driver;
use super::tasks::Done;
use crate::measure;
use crate::order::Reply;
use crate::platform;
use crate::status::{Backend, LoadReport, ModelState};
use crate::store::StoreError;
use crate::store::files::{Files, Found, hash_of};

/// Parts from the web server that wait for the core.
const ARRIVALS_MAX: usize = 4;
/// A server that says nothing for so long is given up.
const SILENCE_MS_MAX: u32 = 20_000;
/// Room that is left for the ledger and everything else, bytes.
const RESERVE_BYTES: u64 = 8_000_000;

/// A load that waits for files.
pub(super) struct Load {
    pub(super) model: ModelId,
    pub(super) pin: Option<Backend>,
    pub(super) reply: Option<Reply<LoadReport>>,
}

/// What there is of a load's files.
pub(super) struct Looked {
    load: Load,
    /// `None` where the browser keeps nothing.
    shelf: Option<Rc<Files>>,
    found: Vec<(FileRef, Found)>,
    /// Bytes that this site may still keep.
    room: u64,
}

/// What is wanted, and where it is kept.
pub(super) struct Shelf {
    /// `None` until the first look, and where the browser keeps nothing.
    files: Option<Rc<Files>>,
    /// Files on their way.
    coming: LiteMap<Hash, Coming>,
    /// Files that the browser did not keep.
    held: LiteMap<Hash, Rc<Held>>,
    /// Files that are whole on the shelf.
    whole: BTreeSet<Hash>,
    waiting: Vec<(Load, BTreeSet<Hash>)>,
    /// Models whose files were fetched in this visit, and not found here.
    fetched: BTreeSet<ModelId>,
    /// Models whose files were fetched anew because they were damaged.
    mended: BTreeSet<ModelId>,
    arriving: mpsc::Sender<BlobInput>,
}

/// A file on its way.
struct Coming {
    file: FileRef,
    progress: Progress,
    /// Chunks that the browser did not keep.
    in_memory: LiteMap<u32, Blob>,
    not_kept: Option<String>,
    /// Fetches of it go on as long as this exists.
    wanted: Rc<()>,
}

/// A file in the page's memory, released when it is dropped.
pub(super) struct Held {
    url: String,
    reason: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(Url::revoke_object_url(&self.url));
    }
}

impl Shelf {
    /// And what comes from the web server.
    pub(super) fn new() -> (Self, mpsc::Receiver<BlobInput>) {
        let (arriving, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let shelf = Self {
            files: None,
            coming: LiteMap::new(),
            held: LiteMap::new(),
            whole: BTreeSet::new(),
            waiting: Vec::new(),
            fetched: BTreeSet::new(),
            mended: BTreeSet::new(),
            arriving,
        };
        (shelf, arrivals)
    }
}

impl Driver {
    /// Looks what there is of a model's files; the load goes on in [`on_looked`](Self::on_looked).
    pub(super) fn gather(&mut self, load: Load, files: Vec<FileRef>) {
        let opened = self.shelf.files.clone();
        self.tasks.push(
            async move {
                let shelf = match opened {
                    Some(shelf) => Some(shelf),
                    // Where the browser keeps nothing the page's memory is left.
                    None => Files::open().await.ok().map(Rc::new),
                };
                let mut found = Vec::new();
                for file in files {
                    let there = match &shelf {
                        Some(shelf) => shelf.look(file).await.unwrap_or(Found::nothing()),
                        None => Found::nothing(),
                    };
                    found.push((file, there));
                }
                let room = measure::storage().await.room();
                Done::Looked(Looked {
                    load,
                    shelf,
                    found,
                    room,
                })
            }
            .boxed_local(),
        );
    }

    pub(super) fn on_looked(&mut self, looked: Looked) {
        let Looked {
            load,
            shelf,
            found,
            mut room,
        } = looked;
        self.shelf.files = shelf;
        let mut missing = BTreeSet::new();
        for (file, there) in found {
            let blob = hash_of(file.blake3);
            match there {
                _ if self.shelf.held.contains_key(&blob) => {}
                Found::Whole => {
                    self.shelf.whole.insert(blob);
                }
                Found::Some { outline, chunks } => {
                    missing.insert(blob);
                    if self.shelf.coming.contains_key(&blob) {
                        continue;
                    }
                    let bytes = file.bytes.saturating_sub((chunks.len() * CHUNK_BYTES) as u64);
                    let fits = bytes.saturating_add(RESERVE_BYTES) <= room;
                    room = room.saturating_sub(bytes);
                    // What fills the disk would leave none for receipts.
                    let not_kept = (!fits).then(|| StoreError::Quota.to_string());
                    self.want(file, load.model, not_kept, outline, chunks);
                }
            }
        }
        if missing.is_empty() {
            return self.run_load(load);
        }
        self.shelf.fetched.insert(load.model);
        self.shelf.waiting.push((load, missing));
        self.show_downloads();
    }

    fn want(
        &mut self,
        file: FileRef,
        model: ModelId,
        not_kept: Option<String>,
        outline: Option<Vec<u8>>,
        kept: Vec<u32>,
    ) {
        let blob = hash_of(file.blake3);
        let progress = Progress {
            total: file.bytes,
            ..Progress::default()
        };
        let coming = Coming {
            file,
            progress,
            in_memory: LiteMap::new(),
            not_kept,
            wanted: Rc::new(()),
        };
        self.shelf.coming.insert(blob, coming);
        self.input(Input::Blob(BlobInput::Want {
            blob,
            bytes: file.bytes,
            held_by: HeldBy::ProvidersOf(model),
            outline,
            kept,
            has_origin: true,
        }));
    }

    /// All files are there: the engine's turn.
    fn run_load(&mut self, load: Load) {
        let Load { model, pin, reply } = load;
        let held = self.models.files(&model).map(|files| {
            let url = |file: FileRef| {
                self.shelf
                    .held
                    .get(&hash_of(file.blake3))
                    .map(|held| held.url.clone())
            };
            let [onnx, tokenizer] = files.map(url);
            HeldFiles { onnx, tokenizer }
        });
        match self.models.load(model, pin, held.unwrap_or_default()) {
            Ok(running) => self.tasks.push(
                async move {
                    let result = running.await;
                    Done::Loaded { model, result, reply }
                }
                .boxed_local(),
            ),
            Err(error) => self.on_loaded(model, Err(error), reply),
        }
    }

    /// The core tells of a file on its way.
    pub(super) fn on_blob(&mut self, blob: Hash, step: BlobStep) {
        if self.on_coming(blob, &step) {
            return;
        }
        match step {
            BlobStep::Progress(progress) => {
                if let Some(coming) = self.shelf.coming.get_mut(&blob) {
                    coming.progress = progress;
                    self.show_downloads();
                }
            }
            BlobStep::Whole(_) => self.finish(blob),
            BlobStep::Failed { reason } => {
                self.shelf.coming.remove(&blob);
                let waiting = std::mem::take(&mut self.shelf.waiting);
                let (failed, others) = waiting
                    .into_iter()
                    .partition(|(_, missing)| missing.contains(&blob));
                self.shelf.waiting = others;
                for (Load { model, reply, .. }, _) in failed {
                    self.on_loaded(model, Err(EngineError::Download(reason.clone())), reply);
                }
            }
        }
    }

    /// Gives up a model's files that nothing else waits for. What came of them is kept.
    pub(super) fn stop_gathering(&mut self, model: ModelId) -> bool {
        let waiting = std::mem::take(&mut self.shelf.waiting);
        let (stopped, others): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(load, _)| load.model == model);
        self.shelf.waiting = others;
        let is_stopped = !stopped.is_empty();
        for (Load { model, reply, .. }, missing) in stopped {
            for blob in missing {
                let is_wanted = self
                    .shelf
                    .waiting
                    .iter()
                    .any(|(_, others)| others.contains(&blob));
                if !is_wanted && self.shelf.coming.remove(&blob).is_some() {
                    self.input(Input::Blob(BlobInput::Forget { blob }));
                }
            }
            self.on_loaded(model, Err(EngineError::Stopped), reply);
        }
        is_stopped
    }

    /// Says that a file is whole, or puts it together in memory.
    fn finish(&mut self, blob: Hash) {
        let Some(coming) = self.shelf.coming.remove(&blob) else {
            return;
        };
        let files = self.shelf.files.clone();
        self.tasks.push(
            async move {
                let result = match files {
                    Some(files) if coming.in_memory.is_empty() => match files.finish(coming.file).await {
                        Ok(()) => Ok(None),
                        Err(error) => put_together(Some(&files), coming, error.to_string())
                            .await
                            .map(Some),
                    },
                    files => {
                        let reason = coming.not_kept.clone().unwrap_or_default();
                        put_together(files.as_deref(), coming, reason).await.map(Some)
                    }
                };
                Done::Whole { blob, result }
            }
            .boxed_local(),
        );
    }

    pub(super) fn on_whole(&mut self, blob: Hash, result: Result<Option<Held>, String>) {
        match result {
            Ok(None) => {
                self.shelf.whole.insert(blob);
            }
            Ok(Some(held)) => {
                self.shelf.held.insert(blob, Rc::new(held));
            }
            Err(reason) => return self.on_blob(blob, BlobStep::Failed { reason }),
        }
        let waiting = std::mem::take(&mut self.shelf.waiting);
        for (load, mut missing) in waiting {
            missing.remove(&blob);
            match missing.is_empty() {
                true => self.run_load(load),
                false => self.shelf.waiting.push((load, missing)),
            }
        }
    }

    /// Does what the core wants done about blobs.
    pub(super) fn carry_out_blob(&mut self, output: BlobOutput) {
        match output {
            BlobOutput::Fetch { blob, part, count } => self.fetch(blob, part, count),
            BlobOutput::Keep { blob, part, bytes } => {
                if let Some(bytes) = self.keep_coming_part(blob, part, bytes) {
                    self.keep_part(blob, part, bytes);
                }
            }
            BlobOutput::Read { exchange, blob, part } => {
                let module_part = self.shared.modules.borrow_mut().part(&blob, part);
                if module_part.is_some() {
                    let bytes = module_part;
                    return self.input(Input::Blob(BlobInput::Read { exchange, bytes }));
                }
                if self.read_blob_part(exchange, blob, part) {
                    return;
                }
                let files = self.shelf.files.clone();
                let read = async move {
                    let read = match files {
                        Some(files) => files.read(blob, part).await,
                        None => Ok(None),
                    };
                    // A shorter frame than the transport's largest; what cannot be read is not there.
                    let bytes = read.ok().flatten().filter(|bytes| bytes.len() <= CHUNK_BYTES);
                    Done::Blob(BlobInput::Read { exchange, bytes })
                };
                self.tasks.push(read.boxed_local());
            }
        }
    }

    fn keep_part(&mut self, blob: Hash, part: Part, bytes: Vec<u8>) {
        let files = self.shelf.files.clone();
        let in_memory = self
            .shelf
            .coming
            .get(&blob)
            .is_some_and(|coming| coming.not_kept.is_some());
        self.tasks.push(
            async move {
                let written = match files.filter(|_| !in_memory) {
                    Some(files) => files
                        .write(blob, part, &bytes)
                        .await
                        .map_err(|error| error.to_string()),
                    None => Err("this browser keeps nothing here".to_owned()),
                };
                match written {
                    Ok(()) => Done::Blob(BlobInput::Kept { blob, part }),
                    Err(reason) => Done::NotKept {
                        blob,
                        part,
                        bytes,
                        reason,
                    },
                }
            }
            .boxed_local(),
        );
    }

    /// The shelf did not take a part: from now on the page's memory holds what comes of this file.
    pub(super) fn on_not_kept(&mut self, blob: Hash, part: Part, bytes: &[u8], reason: String) {
        let Some(coming) = self.shelf.coming.get_mut(&blob) else {
            return;
        };
        coming.not_kept.get_or_insert(reason);
        if let Part::Chunk(index) = part {
            match blob_of(&Array::of1(&Uint8Array::from(bytes))) {
                Ok(chunk) => coming.in_memory.insert(index, chunk),
                Err(reason) => {
                    self.input(Input::Blob(BlobInput::Forget { blob }));
                    return self.on_blob(blob, BlobStep::Failed { reason });
                }
            };
        }
        self.input(Input::Blob(BlobInput::Kept { blob, part }));
    }

    /// Asks the web server. Its parts reach the core one by one; a full queue slows the connection down.
    fn fetch(&mut self, blob: Hash, part: Part, count: u32) {
        let Some(coming) = self.shelf.coming.get(&blob) else {
            return;
        };
        let (file, wanted) = (coming.file, Rc::downgrade(&coming.wanted));
        let url = format!("{}/models/{}", self.origin, file.blake3);
        let mut arriving = self.shelf.arriving.clone();
        self.tasks.push(
            async move {
                let is_wanted = || wanted.strong_count() > 0;
                let result =
                    fetch_parts(&url, blob, file.bytes, (part, count), is_wanted, &mut arriving).await;
                // In the same queue, so that it is heard after the parts.
                let _ = arriving.send(BlobInput::FetchEnded { blob, part, result }).await;
                Done::Kept
            }
            .boxed_local(),
        );
    }

    /// Files that others may have of this device: those of models that are ready.
    pub(super) fn tell_held(&mut self) {
        let files = self
            .models
            .ready_files()
            .into_iter()
            .map(|file| hash_of(file.blake3));
        let held = files.filter(|blob| self.shelf.whole.contains(blob));
        let held = held.chain(self.held_blobs()).collect();
        self.input(Input::Blob(BlobInput::Held(held)));
    }

    /// How a load from files went: whether they were here before, and why some were not kept.
    pub(super) fn complete_report(&self, report: &mut LoadReport, model: &ModelId) -> Option<String> {
        report.from_cache = !self.shelf.fetched.contains(model);
        let files = self.models.files(model)?.map(|file| hash_of(file.blake3));
        files
            .iter()
            .find_map(|blob| Some(self.shelf.held.get(blob)?.reason.clone()))
    }

    /// Whether a model whose files are damaged is to be fetched anew: once in a visit.
    pub(super) fn mend(&mut self, model: ModelId, load: Load) -> Option<Load> {
        let Some(files) = self
            .models
            .files(&model)
            .filter(|_| self.shelf.mended.insert(model))
        else {
            return Some(load);
        };
        for file in files {
            self.shelf.whole.remove(&hash_of(file.blake3));
            self.shelf.held.remove(&hash_of(file.blake3));
        }
        let shelf = self.shelf.files.clone();
        self.tasks.push(
            async move {
                for file in files {
                    if let Some(shelf) = &shelf {
                        // What stays is found damaged again, and then that is said.
                        let _ = shelf.remove(file.blake3).await;
                    }
                }
                Done::Cleared { load }
            }
            .boxed_local(),
        );
        None
    }

    /// Brings the status of models whose files are on their way up to date.
    fn show_downloads(&self) {
        for (load, _) in &self.shelf.waiting {
            let Some(files) = self.models.files(&load.model) else {
                continue;
            };
            let progress = files.map(|file| match self.shelf.coming.get(&hash_of(file.blake3)) {
                Some(coming) => coming.progress,
                None => Progress {
                    bytes: file.bytes,
                    total: file.bytes,
                    ..Progress::default()
                },
            });
            let sum = |of: fn(&Progress) -> u64| progress.iter().map(of).sum();
            let state = ModelState::Downloading {
                bytes: sum(|progress| progress.bytes),
                total: sum(|progress| progress.total),
                from_peers: sum(|progress| progress.from_peers),
            };
            self.models.show(load.model, state);
        }
    }
}

/// Asks for an outline, or for some chunks in a row; a server that knows no ranges gives all, of which the rest is skipped.
async fn fetch_parts(
    url: &str,
    blob: Hash,
    total: u64,
    (part, count): (Part, u32),
    is_wanted: impl Fn() -> bool,
    arriving: &mut mpsc::Sender<BlobInput>,
) -> Result<(), String> {
    let mut tell = async |part, bytes| {
        // A node that has ended hears nothing more.
        let _ = arriving.send(BlobInput::Fetched { blob, part, bytes }).await;
    };
    let Part::Chunk(first) = part else {
        let bytes = within_patience(platform::fetch_bytes(&format!("{url}.outline"), CHUNK_BYTES)).await?;
        tell(part, bytes).await;
        return Ok(());
    };
    let start = u64::from(first) * CHUNK_BYTES as u64;
    let end = total.min(start + u64::from(count) * CHUNK_BYTES as u64);
    // A whole file is asked for as such, because it may be there in compressed form.
    let range = (start > 0 || end < total).then(|| format!("bytes={start}-{}", end - 1));
    let response = within_patience(platform::fetch_range(url, range.as_deref())).await?;
    let skip = if response.status() == 206 { 0 } else { start };
    let mut pieces = Pieces::of(&response, skip, end - start)?;
    for index in first..first.saturating_add(count) {
        let Some(piece) = within_patience(pieces.next()).await? else {
            break;
        };
        if !is_wanted() {
            break;
        }
        tell(Part::Chunk(index), piece).await;
    }
    Ok(())
}

async fn within_patience<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    match select(pin!(work), TimeoutFuture::new(SILENCE_MS_MAX)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err("it does not answer in time".to_owned()),
    }
}

/// Makes one file of the chunks in memory and those on the shelf, which are not needed there any more.
async fn put_together(files: Option<&Files>, coming: Coming, reason: String) -> Result<Held, String> {
    let blob = hash_of(coming.file.blake3);
    let parts = Array::new();
    let chunks = u32::try_from(blob::chunk_count(coming.file.bytes)).unwrap_or(u32::MAX);
    for index in 0..chunks {
        match (coming.in_memory.get(&index), files) {
            (Some(chunk), _) => drop(parts.push(chunk)),
            (None, Some(files)) => {
                let bytes = files.read(blob, Part::Chunk(index)).await;
                let bytes = bytes.map_err(|error| error.to_string())?;
                let bytes = bytes.ok_or("the browser has lost a part of it")?;
                parts.push(&blob_of(&Array::of1(&Uint8Array::from(bytes.as_slice())))?.into());
            }
            (None, None) => return Err("a part of it is missing".to_owned()),
        }
    }
    let whole = blob_of(&parts)?;
    let url = Url::create_object_url_with_blob(&whole).map_err(|error| platform::text_of(&error))?;
    if let Some(files) = files {
        // Frees the room; if it does not, the parts are found at the next visit.
        let _ = files.remove(coming.file.blake3).await;
    }
    Ok(Held { url, reason })
}

fn blob_of(parts: &Array) -> Result<Blob, String> {
    Blob::new_with_u8_array_sequence(parts).map_err(|error| platform::text_of(&error))
}
