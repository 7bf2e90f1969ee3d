//! The engine in the node's service: models are loaded when lending is switched on, taken out of memory while nobody uses
//! them (see [`waking`](super::waking)), and forgotten when nothing wants them.

use std::collections::BTreeSet;

use futures::future::FutureExt as _;
use inference::{EngineError, ModelIndex};
use node_proto::capability::{LendPolicy, Measurements};
use node_proto::ids::ModelId;
use node_proto::io::Command;

use super::Driver;
use super::files::Load;
use super::tasks::Done;
use super::waking::Waiting;
use crate::error::CommandError;
use crate::measure;
use crate::order::Reply;
use crate::platform;
use crate::recovery::Deaths;
use crate::status::{Backend, LoadReport};

/// Under this name the policy is kept.
pub(super) const LEND: &str = "lend";
/// Under this name the chosen backend is kept.
pub(super) const PIN: &str = "pin";

/// What is wanted of the engine.
pub(super) struct Lending {
    /// Models leave the memory after so long without use.
    pub(super) idle_ms_max: f64,
    /// When the engine was last used, in the page's monotone milliseconds.
    pub(super) used_at: f64,
    /// Work for models that are being woken.
    pub(super) waiting: Vec<Waiting>,
    /// The switch.
    enabled: bool,
    /// Models that were asked for by name.
    asked: BTreeSet<ModelId>,
    /// Loads under way.
    pub(super) loading: BTreeSet<ModelId>,
    /// Models that could not be made ready; they are not tried again until somebody asks.
    refused: BTreeSet<ModelId>,
    /// Work under way.
    pub(super) running: u32,
    pub(super) deaths: Deaths,
    /// The backend that was chosen last, maybe on a former visit.
    pin: Option<Backend>,
}

impl Lending {
    pub(super) fn new(idle_ms: u32) -> Self {
        Self {
            idle_ms_max: idle_ms.into(),
            used_at: 0.0,
            waiting: Vec::new(),
            enabled: false,
            asked: BTreeSet::new(),
            loading: BTreeSet::new(),
            refused: BTreeSet::new(),
            running: 0,
            deaths: Deaths::default(),
            pin: None,
        }
    }
}

impl Driver {
    /// The lending switch was set; the core hears of it too.
    pub(super) fn lend(&mut self, policy: LendPolicy) {
        if policy.enabled && !self.lending.enabled {
            self.lending.refused.clear();
        }
        self.lending.enabled = policy.enabled;
        if policy.enabled {
            measure::ask_to_persist();
        }
        self.keep(LEND, policy);
        self.settle_models();
    }

    /// The choices of a former visit, unless new ones were made meanwhile.
    pub(super) fn on_kept_policy(&mut self, policy: Option<LendPolicy>, pin: Option<Backend>) {
        if self.lending.asked.is_empty() {
            self.lending.pin = pin;
        }
        let Some(policy) = policy.filter(|_| self.shared.ordered_policy().is_none()) else {
            return;
        };
        self.lending.enabled = policy.enabled;
        self.command(Command::Lend(policy));
        self.settle_models();
    }

    /// Fetches the list of models unless it is there.
    pub(super) fn need_index(&mut self) {
        if self.models.has_index() || self.fetching_index {
            return;
        }
        self.fetching_index = true;
        let fetch = self.models.fetch_index();
        self.tasks
            .push(async move { Done::Index(fetch.await) }.boxed_local());
    }

    pub(super) fn on_index(&mut self, answer: Result<ModelIndex, String>) {
        self.fetching_index = false;
        self.models.set_index(answer);
        for (model, probes) in self.models.probes() {
            self.command(Command::Probes { model, probes });
        }
        self.need_known_answers();
        // Without a list there is nothing to settle; asking again at once would never end.
        if self.models.has_index() {
            self.settle_models();
        }
    }

    /// Loads what is wanted and missing, forgets what nothing wants.
    pub(super) fn settle_models(&mut self) {
        if self.lending.enabled {
            self.lend_what_fits();
        } else if self.lending.asked.is_empty() && self.lending.running == 0 {
            self.models.end_engine();
            self.offer();
        }
    }

    /// Loads what is to be lent: of the relay's models the first that fits what the person and the tier allow.
    pub(super) fn lend_what_fits(&mut self) {
        if !self.lending.enabled || !self.lending.loading.is_empty() {
            return;
        }
        if !self.models.has_index() {
            return self.need_index();
        }
        let snapshot = self.shared.handle().snapshot();
        // Until the device is measured nobody knows what fits it.
        if snapshot.tier.is_none() {
            return;
        }
        // Who chose a GPU chose it for the relay's first model: weights of one byte are for processors.
        let bytes_max = match self.lending.pin.is_some_and(Backend::is_gpu) {
            true => u64::MAX,
            false => snapshot.capability.storage_bytes_max,
        };
        if let Some(model) = self.models.preferred(bytes_max) {
            self.load_once(model);
        }
    }

    fn load_once(&mut self, model: ModelId) {
        let tried = self.lending.loading.contains(&model) || self.lending.refused.contains(&model);
        if !self.models.is_ready(&model) && !tried {
            self.load(model, self.models.pin(&model).or(self.lending.pin), None);
        }
    }

    pub(super) fn load(&mut self, model: ModelId, pin: Option<Backend>, reply: Option<Reply<LoadReport>>) {
        if reply.is_some() {
            self.lending.asked.insert(model);
            self.lending.pin = pin;
            self.keep(PIN, pin);
        }
        let load = Load { model, pin, reply };
        let Some(files) = self.models.files(&model) else {
            if let Some(reply) = load.reply {
                let _ = reply.send(Err(CommandError::UnknownModel));
            }
            return;
        };
        self.lending.loading.insert(model);
        self.models.forget(model);
        self.offer();
        self.gather(load, files.to_vec());
    }

    pub(super) fn on_loaded(
        &mut self,
        model: ModelId,
        mut result: Result<LoadReport, EngineError>,
        mut reply: Option<Reply<LoadReport>>,
    ) {
        if result == Err(EngineError::Missing) {
            let pin = self.models.pin(&model);
            match self.mend(model, Load { model, pin, reply }) {
                Some(load) => reply = load.reply,
                None => return,
            }
        }
        if let Err(error) = &result
            && reply.is_none()
            && self.models.sleeps_on(model, error)
        {
            self.lending.loading.remove(&model);
            return self.wake_again(vec![model]);
        }
        let not_kept = match &mut result {
            Ok(report) => self.complete_report(report, &model),
            Err(_) => None,
        };
        self.lending.loading.remove(&model);
        match &result {
            Ok(_) => self.lending.refused.remove(&model),
            Err(_) => self.lending.refused.insert(model),
        };
        self.models.loaded(model, &result, not_kept);
        if let Some(tokens_per_s) = self.models.tokens_per_s() {
            let reading = measure::measured(tokens_per_s, self.shared.clock.now());
            self.command(Command::Measured(Measurements {
                processing_tokens_per_s: Some(reading),
                ..Measurements::default()
            }));
        }
        self.lending.used_at = platform::monotone_ms();
        self.offer();
        self.revive();
        if let Some(reply) = reply {
            // Whoever asked may have gone.
            let _ = reply.send(result.map_err(|error| CommandError::Model(error.to_string())));
        }
        self.work_that_waited(model);
        self.settle_models();
        self.measure_computer();
    }

    pub(super) fn unload(&mut self, model: ModelId) {
        self.lending.asked.remove(&model);
        if !self.stop_gathering(model) {
            self.models.unload(model);
            self.offer();
        }
    }

    /// Tells the core what can be offered now.
    pub(super) fn offer(&mut self) {
        let models = self.models.infos();
        self.command(Command::Models { models });
        self.tell_held();
    }
}
