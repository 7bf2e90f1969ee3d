//! Models that a person brought: taken in, opened, run.

use std::collections::BTreeMap;

use gloo::timers::future::TimeoutFuture;

use super::files::Files;
use super::now_ms;
use super::store::Store;
use crate::chunks::{CHUNK_BYTES, Chunks};
use crate::limits;
use crate::manifest::{FileRef, ModelId};
use crate::own::{
    Ending, GenerateRequest, GeneratedText, LabelScore, NamedTensor, OwnModel, Piece, Program, name_of,
};
use crate::protocol::{AddRequest, Added, BackendKind, EngineError, GivenFile, LoadProgress, OpenRequest};

/// How long a generation keeps the thread before it listens for a cancellation.
const TURN_MS: f64 = 10.0;

/// The models that are open.
#[derive(Default)]
pub(super) struct OwnModels {
    open: BTreeMap<ModelId, Program>,
}

/// A file that was read into memory.
struct Taken {
    file: FileRef,
    url: String,
    content: Chunks,
}

impl OwnModels {
    /// Checks and measures a model before any of it is kept: what is refused leaves nothing behind.
    pub(super) async fn add(
        &mut self,
        request: AddRequest,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<Added, EngineError> {
        let AddRequest {
            name,
            onnx,
            tokenizer,
            config,
        } = request;
        let given = [Some(&onnx), tokenizer.as_ref(), config.as_ref()];
        let bytes: u64 = given.into_iter().flatten().map(|given| given.bytes).sum();
        // Each file is read twice: to be checked, and to be kept.
        let mut files = Files::new(2 * bytes, progress).await;
        let onnx = take(&mut files, "model", &onnx, limits::MODEL_BYTES_MAX).await?;
        let tokenizer = match &tokenizer {
            Some(given) => Some(take(&mut files, "tokenizer", given, limits::TOKENIZER_BYTES_MAX).await?),
            None => None,
        };
        let config = match &config {
            Some(given) => Some(take(&mut files, "config.json", given, limits::CONFIG_BYTES_MAX).await?),
            None => None,
        };
        progress(LoadProgress::Preparing(BackendKind::Cpu));
        let refs = [&tokenizer, &config].map(|taken| taken.as_ref().map(|taken| taken.file));
        let (model_file, urls) = (
            onnx.file,
            urls([Some(&onnx), tokenizer.as_ref(), config.as_ref()]),
        );
        let program = program(
            onnx.content,
            tokenizer.map(|taken| taken.content),
            config.map(|taken| taken.content),
        )?;
        progress(LoadProgress::Checking(BackendKind::Cpu));
        let speed = program.measure(now_ms)?;
        let [tokenizer, config] = refs;
        let model = OwnModel {
            name: name_of(&name),
            onnx: model_file,
            tokenizer,
            config,
            tasks: program.tasks(),
            inputs: program.inputs().to_vec(),
            outputs: program.outputs().to_vec(),
            speed,
        };
        for (file, url) in urls {
            files.keep(file, url).await?;
        }
        self.open.insert(model.id(), program);
        let not_kept = files.why_not_kept();
        Ok(Added { model, not_kept })
    }

    /// Makes a model ready, unless it is.
    pub(super) async fn open(
        &mut self,
        request: OpenRequest,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<(), EngineError> {
        let OpenRequest { model, held } = request;
        model
            .validate()
            .map_err(|error| EngineError::Manifest(error.to_string()))?;
        if self.open.contains_key(&model.id()) {
            return Ok(());
        }
        let mut files = Files::new(model.files().map(|file| file.bytes).sum(), progress).await;
        let url_of = |file: FileRef| {
            let held = held.iter().find(|(hash, _)| *hash == file.blake3);
            held.map(|(_, url)| url.clone())
        };
        let onnx = files.obtain(model.onnx, url_of(model.onnx)).await?;
        let tokenizer = match model.tokenizer {
            Some(file) => Some(files.obtain(file, url_of(file)).await?),
            None => None,
        };
        let config = match model.config {
            Some(file) => Some(files.obtain(file, url_of(file)).await?),
            None => None,
        };
        progress(LoadProgress::Preparing(BackendKind::Cpu));
        self.open.insert(model.id(), program(onnx, tokenizer, config)?);
        Ok(())
    }

    pub(super) fn close(&mut self, model: ModelId) {
        self.open.remove(&model);
    }

    pub(super) fn run(
        &self,
        model: ModelId,
        inputs: Vec<NamedTensor>,
    ) -> Result<Vec<NamedTensor>, EngineError> {
        self.program(model)?.run(inputs)
    }

    pub(super) fn classify(
        &self,
        model: ModelId,
        texts: &[String],
    ) -> Result<Vec<Vec<LabelScore>>, EngineError> {
        self.program(model)?.classify(texts)
    }

    /// Tells each token as it comes. The thread is given back now and then, so that a cancellation is heard.
    pub(super) async fn generate(
        &self,
        model: ModelId,
        request: &GenerateRequest,
        tell: &dyn Fn(Piece),
        is_cancelled: impl Fn() -> bool,
    ) -> Result<GeneratedText, EngineError> {
        let start = now_ms();
        let answering = self.program(model)?.generate(request)?;
        // One that was cancelled while it waited reads no prompt.
        TimeoutFuture::new(0).await;
        if is_cancelled() {
            return Err(EngineError::Input("it was cancelled".to_owned()));
        }
        let mut speaking = answering.begin()?;
        let mut turn = now_ms();
        let ending = loop {
            match speaking.next_piece()? {
                Ok(piece) => tell(piece),
                Err(ending) => break ending,
            }
            if now_ms() - turn > TURN_MS {
                TimeoutFuture::new(0).await;
                turn = now_ms();
            }
            if is_cancelled() {
                break Ending::Interrupted;
            }
        };
        speaking.finish(ending, now_ms() - start)
    }

    fn program(&self, model: ModelId) -> Result<&Program, EngineError> {
        self.open.get(&model).ok_or(EngineError::NotLoaded(model))
    }
}

/// Removes files from the cache.
pub(super) async fn forget(files: &[FileRef]) -> Result<(), EngineError> {
    let gone = async {
        let store = Store::open().await?;
        for file in files {
            let pieces = file.bytes.div_ceil(CHUNK_BYTES as u64);
            // The limit on a file's bytes keeps it small.
            store
                .remove(file.blake3, u32::try_from(pieces).unwrap_or(u32::MAX))
                .await?;
        }
        Ok(())
    };
    let gone: Result<(), super::store::StoreError> = gone.await;
    gone.map_err(|error| EngineError::Input(format!("its files could not be removed: {}", error.0)))
}

async fn take(
    files: &mut Files<'_>,
    what: &str,
    given: &GivenFile,
    bytes_max: u64,
) -> Result<Taken, EngineError> {
    if given.bytes == 0 || given.bytes > bytes_max {
        let bytes = given.bytes;
        return Err(EngineError::Model(format!(
            "the {what} has {bytes} bytes: between 1 and {bytes_max} are allowed"
        )));
    }
    let (file, content) = files.take_in(given).await?;
    let url = given.url.clone();
    Ok(Taken { file, url, content })
}

fn urls(taken: [Option<&Taken>; 3]) -> Vec<(FileRef, String)> {
    let named = |taken: &Taken| (taken.file, taken.url.clone());
    taken.into_iter().flatten().map(named).collect()
}

fn program(onnx: Chunks, tokenizer: Option<Chunks>, config: Option<Chunks>) -> Result<Program, EngineError> {
    let [tokenizer, config] = [tokenizer, config].map(|content| content.map(Chunks::into_bytes));
    Program::open(onnx.into_bytes(), tokenizer.as_deref(), config.as_deref())
}
