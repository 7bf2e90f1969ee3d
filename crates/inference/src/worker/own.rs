//! Models that a person brought: taken in, opened, run.

use std::collections::BTreeMap;

use gloo::timers::future::TimeoutFuture;

use super::files::Files;
use super::now_ms;
use super::store::{Store, StoreError};
use crate::chunks::Chunks;
use crate::limits;
use crate::manifest::{FileRef, ModelId};
use crate::own::{
    Answer, Ending, GenerateRequest, GeneratedText, OwnModel, Program, Question, name_of, pack, unpack,
};
use crate::protocol::{AddRequest, Added, BackendKind, EngineError, GivenFile, LoadProgress, OpenRequest};
use crate::shelf::CHUNK_BYTES;

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
            memory_bytes_max,
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
            memory_bytes_max,
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
        Ok(Added {
            record: model
                .to_record()
                .map_err(|error| EngineError::Manifest(error.to_string()))?,
            not_kept: files.why_not_kept(),
        })
    }

    /// Makes a model ready, unless it is.
    pub(super) async fn open(
        &mut self,
        request: OpenRequest,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<(), EngineError> {
        let model = read(&request.record)?;
        if self.open.contains_key(&model.id()) {
            return Ok(());
        }
        let mut files = Files::new(model.files().map(|file| file.bytes).sum(), progress).await;
        let mut held = request.held.into_iter();
        let onnx = files.obtain(model.onnx, held.next()).await?;
        let tokenizer = match model.tokenizer {
            Some(file) => Some(files.obtain(file, held.next()).await?),
            None => None,
        };
        let config = match model.config {
            Some(file) => Some(files.obtain(file, held.next()).await?),
            None => None,
        };
        progress(LoadProgress::Preparing(BackendKind::Cpu));
        let program = program(onnx, tokenizer, config, request.memory_bytes_max)?;
        self.open.insert(model.id(), program);
        Ok(())
    }

    pub(super) fn close(&mut self, model: ModelId) {
        self.open.remove(&model);
    }

    /// Answers a question. `tell` hears each token of a text as it comes.
    pub(super) async fn ask(
        &self,
        model: ModelId,
        question: &[u8],
        tell: &dyn Fn(Vec<u8>),
        is_cancelled: impl Fn() -> bool,
    ) -> Result<Vec<u8>, EngineError> {
        let program = self.open.get(&model).ok_or(EngineError::NotLoaded(model))?;
        let answer = match unpack(question)? {
            Question::Run(inputs) => Answer::Ran(program.run(inputs)?),
            Question::Classify(texts) => Answer::Classified(program.classify(&texts)?),
            Question::Generate(request) => {
                Answer::Generated(generate(program, &request, tell, is_cancelled).await?)
            }
        };
        pack(&answer)
    }
}

/// The thread is given back now and then, so that a cancellation is heard.
async fn generate(
    program: &Program,
    request: &GenerateRequest,
    tell: &dyn Fn(Vec<u8>),
    is_cancelled: impl Fn() -> bool,
) -> Result<GeneratedText, EngineError> {
    let start = now_ms();
    let request = program.generate(request)?;
    // One that was cancelled while it waited reads no prompt.
    TimeoutFuture::new(0).await;
    if is_cancelled() {
        return Err(EngineError::Input("it was cancelled".to_owned()));
    }
    let mut speaking = request.begin()?;
    let mut turn = now_ms();
    let ending = loop {
        match speaking.next_piece()? {
            Ok(piece) => tell(pack(&piece)?),
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

/// Removes those files of a model from the cache that no other one needs.
pub(super) async fn forget(record: &str, others: &[String]) -> Result<(), EngineError> {
    let model = read(record)?;
    let others: Vec<OwnModel> = others.iter().filter_map(|record| read(record).ok()).collect();
    let is_needed = |file: &FileRef| {
        let mut all = others.iter().flat_map(OwnModel::files);
        all.any(|other| other.blake3 == file.blake3)
    };
    let gone = async {
        let store = Store::open().await?;
        for file in model.files().filter(|file| !is_needed(file)) {
            let pieces = file.bytes.div_ceil(CHUNK_BYTES as u64);
            // The limit on a file's bytes keeps it small.
            let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
            store.remove(file.blake3, pieces).await?;
        }
        Ok(())
    };
    let gone: Result<(), StoreError> = gone.await;
    gone.map_err(|error| EngineError::Input(format!("its files could not be removed: {}", error.0)))
}

fn read(record: &str) -> Result<OwnModel, EngineError> {
    OwnModel::from_record(record).map_err(|error| EngineError::Manifest(error.to_string()))
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

fn program(
    onnx: Chunks,
    tokenizer: Option<Chunks>,
    config: Option<Chunks>,
    memory_bytes_max: u64,
) -> Result<Program, EngineError> {
    let [tokenizer, config] = [tokenizer, config].map(|content| content.map(Chunks::into_bytes));
    Program::within(
        onnx.into_bytes(),
        tokenizer.as_deref(),
        config.as_deref(),
        memory_bytes_max,
    )
}
