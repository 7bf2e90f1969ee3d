//! What takes time: fetching, storing, computing, measuring.

use std::pin::pin;
use std::rc::Rc;

use futures::future::{Either, FutureExt as _, select};
use gloo::timers::future::TimeoutFuture;
use inference::{EngineError, ModelIndex};
use libp2p::PeerId;
use node_proto::capability::{Environment, LendPolicy, Measurements};
use node_proto::ids::{ExchangeId, Hash, ModelId, WorkId};
use node_proto::io::{Command, Input, Write};
use node_proto::service::{Failure, Probe};
use node_proto::storage::Keep;
use node_proto::transfer::{BlobInput, Part};
use node_proto::work::{WorkInput, WorkOutput};

use super::Driver;
use super::files::{Held, Load, Looked};
use super::lending::{LEND, PIN};
use super::storing::KeptBlob;
use crate::bootstrap::{self, Bootstrap};
use crate::error::ComputeError;
use crate::measure::{self, Watch};
use crate::order::{Reply, StorageReply};
use crate::platform;
use crate::status::{Backend, LoadReport, StorageStatus};
use crate::store::StoreError;
use crate::store::blobs::{Blobs, Fact};

/// The device is measured this long after the start.
const MEASURE_AFTER_MS: u32 = 1_500;

/// A relay that says nothing is given up after this long. With the longest wait between two attempts it is ten seconds, in
/// which a network that came back without the browser's notice is used again.
const FETCH_MS_MAX: u32 = 6_000;

/// The last `/bootstrap.json` under this name in the settings, with the origin that it came from.
const BOOTSTRAP: &str = "bootstrap";

/// A finished task.
pub(super) enum Done {
    Bootstrap {
        answer: Result<(Bootstrap, String), String>,
        kept: Option<Bootstrap>,
    },
    RetryRelay(Option<PeerId>),
    Index(Result<ModelIndex, String>),
    Computer(Result<u64, ComputeError>),
    KnownAnswers {
        model: ModelId,
        probes: Option<Vec<Probe>>,
    },
    Loaded {
        model: ModelId,
        result: Result<LoadReport, EngineError>,
        reply: Option<Reply<LoadReport>>,
    },
    Worked {
        work: WorkId,
        result: Result<WorkOutput, Failure>,
        took_ms: u32,
    },
    Persisted {
        seq: u64,
        result: Result<(), StoreError>,
    },
    Measured(Measurements),
    Environment(Environment),
    Watching(Watch),
    Storage(StorageStatus),
    Policy(Option<LendPolicy>, Option<Backend>),
    LoadAgain(ModelId),
    Overdue(WorkId),
    Looked(Looked),
    Whole {
        blob: Hash,
        result: Result<Option<Held>, String>,
    },
    NotKept {
        blob: Hash,
        part: Part,
        bytes: Vec<u8>,
        reason: String,
    },
    Cleared {
        load: Load,
    },
    Blob(BlobInput),
    Blobs(Option<(Rc<Blobs>, Vec<Fact>)>),
    KeptBlob(KeptBlob),
    ReadBlob(ExchangeId, Hash, Part, Option<Rc<[u8]>>),
    OwnBlob(Fact, Box<Keep>, StorageReply<()>, Result<(), StoreError>),
    Kept,
}

impl Driver {
    pub(super) fn first_tasks(&mut self) {
        let watching = self.watching.clone();
        self.tasks
            .push(async { Done::Environment(measure::environment().await) }.boxed_local());
        self.tasks
            .push(async { Done::Watching(Watch::start(watching).await) }.boxed_local());
        self.measure_storage();
        self.open_blobs();
        // Later than the first paint: the micro-benchmark takes a frame.
        self.measure_device(MEASURE_AFTER_MS);
        if let Some(settings) = self.settings.clone() {
            self.tasks.push(
                async move {
                    let pin: Option<Option<Backend>> = settings.choice(PIN).await;
                    Done::Policy(settings.choice(LEND).await, pin.flatten())
                }
                .boxed_local(),
            );
        }
    }

    pub(super) fn on_done(&mut self, done: Done) {
        match done {
            Done::Bootstrap { answer, kept } => self.on_bootstrap(answer, kept),
            Done::RetryRelay(relay) => self.network.retry_relay(relay.as_ref()),
            Done::Index(answer) => self.on_index(answer),
            Done::Computer(measured) => self.on_computer(measured),
            Done::KnownAnswers { model, probes } => self.on_known_answers(model, probes),
            Done::Loaded { model, result, reply } => self.on_loaded(model, result, reply),
            Done::Worked {
                work,
                result,
                took_ms,
            } => self.on_worked(work, result, took_ms),
            Done::Persisted { seq, result } => self.on_persisted(seq, result),
            Done::Measured(mut measurements) => {
                // What the engine measured beats an estimate.
                if self.models.tokens_per_s().is_some() {
                    measurements.processing_tokens_per_s = None;
                }
                self.command(Command::Measured(measurements));
                self.lend_what_fits();
            }
            Done::Environment(environment) => self.command(Command::Environment(environment)),
            Done::Watching(watch) => self.watch = Some(watch),
            Done::Storage(storage) => self.shared.update(|status| {
                let ledger_error = status.storage.ledger_error.take();
                status.storage = StorageStatus {
                    ledger_error,
                    ..storage
                };
            }),
            Done::Policy(policy, pin) => self.on_kept_policy(policy, pin),
            Done::LoadAgain(model) => self.on_load_again(model),
            Done::Overdue(work) => self.on_overdue(work),
            Done::Looked(looked) => self.on_looked(looked),
            Done::Whole { blob, result } => self.on_whole(blob, result),
            Done::NotKept {
                blob,
                part,
                bytes,
                reason,
            } => self.on_not_kept(blob, part, &bytes, reason),
            Done::Cleared { load } => self.load(load.model, load.pin, load.reply),
            Done::Blob(input) => self.input(Input::Blob(input)),
            Done::Blobs(opened) => self.on_blobs(opened),
            Done::KeptBlob(kept) => self.on_kept_blob(kept),
            Done::ReadBlob(exchange, blob, part, content) => {
                self.on_read_blob(exchange, blob, part, content);
            }
            Done::OwnBlob(fact, keep, reply, written) => self.on_own_blob(fact, *keep, reply, written),
            Done::Kept => {}
        }
    }

    pub(super) fn fetch_bootstrap(&mut self) {
        let (url, settings) = (format!("{}/bootstrap.json", self.origin), self.settings.clone());
        let read = |json: String| match Bootstrap::from_json(&json) {
            Ok(bootstrap) => Ok((bootstrap, json)),
            Err(error) => Err(error.to_string()),
        };
        let origin = self.origin.clone();
        self.tasks.push(
            async move {
                let fetch = pin!(platform::fetch_text(&url, bootstrap::BYTES_MAX));
                let json = match select(fetch, TimeoutFuture::new(FETCH_MS_MAX)).await {
                    Either::Left((json, _)) => json,
                    Either::Right(_) => Err(format!("{url} does not answer in time")),
                };
                let answer = json.and_then(read);
                let kept = match settings.filter(|_| answer.is_err()) {
                    Some(settings) => settings.choice::<(String, String)>(BOOTSTRAP).await,
                    None => None,
                };
                let kept = kept.filter(|(of, _)| *of == origin);
                let kept = kept.and_then(|(_, json)| Bootstrap::from_json(&json).ok());
                Done::Bootstrap { answer, kept }
            }
            .boxed_local(),
        );
    }

    /// What the relay told is kept, so that the next visit finds the other relays without this one.
    fn on_bootstrap(&mut self, answer: Result<(Bootstrap, String), String>, kept: Option<Bootstrap>) {
        let answer = answer.map(|(bootstrap, json)| {
            if self.bootstrap.as_ref() != Some(&json) {
                self.keep(BOOTSTRAP, (self.origin.clone(), json.clone()));
                self.bootstrap = Some(json);
            }
            bootstrap
        });
        self.network.bootstrapped(answer, kept);
    }

    pub(super) fn measure_device(&mut self, after_ms: u32) {
        let clock = self.shared.clock;
        self.tasks.push(
            async move {
                TimeoutFuture::new(after_ms).await;
                Done::Measured(measure::device(clock).await)
            }
            .boxed_local(),
        );
    }

    pub(super) fn measure_storage(&mut self) {
        self.tasks
            .push(async { Done::Storage(measure::storage().await) }.boxed_local());
    }

    pub(super) fn persist(&mut self, seq: u64, writes: Vec<Write>) {
        let ledger = self.ledger.clone();
        self.writing += 1;
        self.tasks.push(
            async move {
                Done::Persisted {
                    seq,
                    result: ledger.write(&writes).await,
                }
            }
            .boxed_local(),
        );
    }

    fn on_persisted(&mut self, seq: u64, result: Result<(), StoreError>) {
        self.writing = self.writing.saturating_sub(1);
        let error = result.as_ref().err().map(ToString::to_string);
        self.shared.update(|status| status.storage.ledger_error = error);
        self.input(match result {
            Ok(()) => Input::Persisted { seq },
            Err(_) => Input::PersistFailed { seq },
        });
    }

    pub(super) fn run_work(&mut self, work: WorkId, model: Option<ModelId>, input: WorkInput, limit_ms: u32) {
        let started = platform::monotone_ms();
        let running = self.models.work(model, input, limit_ms);
        self.tasks.push(
            async move {
                let result = match running {
                    Ok(running) => running.await,
                    Err(failure) => Err(failure),
                };
                // Durations of a page's life fit.
                let took_ms = (platform::monotone_ms() - started) as u32;
                Done::Worked {
                    work,
                    result,
                    took_ms,
                }
            }
            .boxed_local(),
        );
    }

    /// Keeps a choice for the next visit.
    pub(super) fn keep(&mut self, name: &'static str, choice: impl serde::Serialize + 'static) {
        let Some(settings) = self.settings.clone() else {
            return;
        };
        self.tasks.push(
            async move {
                // A choice that cannot be kept holds until the tab is closed.
                let _ = settings.keep(name, &choice).await;
                Done::Kept
            }
            .boxed_local(),
        );
    }
}
