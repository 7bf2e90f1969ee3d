//! What this device lends: its models and its engine for modules, speeds and prices. How much of it, to whom and when is the
//! [`monitor`](crate::monitor)'s.

use litemap::LiteMap;

use crate::capability::{self, Measurements, Tier, Tiering};
use crate::config::Config;
use crate::ids::{Millicredits, ModelId, Timestamp};
use crate::monitor::Engines;
use crate::pace::PROMISE_SLACK;
use crate::price::{self, DemandController, Factors};
use crate::service::{ComputerInfo, ModelInfo, Precision, Service, StoreInfo};
use crate::wire::{Offer, RefusalCode};

/// What starting an engine for modules and fetching one are taken for, milliseconds; seldom more, and less where it runs already.
const COMPUTER_WAKE_MS: u32 = 500;

/// Kept answers that a device is taken to give in a second, signatures and sending included.
const CACHED_ROWS_PER_S: f32 = 1_000.0;

/// Units of storage that are as dear as a second of the engine: 16 MiB for an hour. It also stands for how fast a blob comes from its
/// buyer, so that a megabyte for a day is promised within seconds.
const STORED_UNITS_PER_S: f32 = 16_384.0;
/// What fetching a small blob and asking the disk are taken for, milliseconds.
const STORE_WAKE_MS: u32 = 1_000;

/// What computes, as quotes and the queue see it: a model, or the engine for modules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ability {
    service: Service,
    /// What proposals name: the model, or the module that is to run.
    pub(super) names: Option<ModelId>,
    pub(super) precision: Precision,
    /// Measured speed, in the service's units of work.
    pub(super) units_per_s: f32,
    /// Before it begins.
    pub(super) wake_ms: u32,
    /// Bytes of one row of the output, where the service fixes it.
    pub(super) row_bytes: u32,
}

impl Ability {
    fn of_model(model: &ModelInfo) -> Self {
        Self {
            service: Service::Inference,
            names: Some(model.id),
            precision: model.precision,
            units_per_s: model.tokens_per_second,
            wake_ms: model.wake_ms,
            row_bytes: model.dimension.saturating_mul(4),
        }
    }

    fn of_computer(computer: ComputerInfo, module: Option<ModelId>) -> Self {
        Self {
            service: Service::Computation,
            names: module,
            precision: Precision::F32,
            units_per_s: computer.units_per_second,
            wake_ms: COMPUTER_WAKE_MS,
            row_bytes: 0,
        }
    }

    /// Answers that are kept: what looking them up takes is little beside the way there, and set, not measured.
    pub(super) fn of_cache(model: ModelId, precision: Precision) -> Self {
        Self {
            service: Service::CacheQuery,
            names: Some(model),
            precision,
            units_per_s: CACHED_ROWS_PER_S,
            wake_ms: 0,
            row_bytes: 0,
        }
    }

    /// Room on the disk.
    fn of_store(blob: Option<ModelId>) -> Self {
        Self {
            service: Service::Storage,
            names: blob,
            precision: Precision::F32,
            units_per_s: STORED_UNITS_PER_S,
            wake_ms: STORE_WAKE_MS,
            row_bytes: 32,
        }
    }

    /// What a module gives is the same wherever it runs, so no machine's is better.
    fn quality_multiplier(&self) -> u32 {
        match self.service {
            Service::Inference => price::quality_multiplier(self.precision, self.units_per_s),
            _ => price::PPM,
        }
    }
}

pub(super) struct Lending {
    pub(super) measurements: Measurements,
    tiering: Tiering,
    pub(super) models: LiteMap<ModelId, ModelInfo>,
    /// The engine for modules.
    computer: Option<ComputerInfo>,
    /// Room for others' blobs.
    store: Option<StoreInfo>,
    /// Counts how often models, engine or room changed.
    pub(super) models_version: u64,
    pub(super) demand: DemandController,
    pub(super) busy_ms: u64,
    engine_second_price: Millicredits,
    models_max: usize,
    overhead_ms: u32,
    /// Follows the verdicts of buyers, see [`price::reputation_factor`].
    pub(super) reputation_factor: u32,
}

impl Lending {
    pub(super) fn new(config: &Config, now: Timestamp) -> Self {
        Self {
            measurements: Measurements::default(),
            tiering: Tiering::default(),
            models: LiteMap::new(),
            computer: None,
            store: None,
            models_version: 0,
            demand: DemandController::new(now),
            busy_ms: 0,
            engine_second_price: config.engine_second_price,
            models_max: config.models_max,
            overhead_ms: config.overhead_ms,
            reputation_factor: price::reputation_factor(0.0),
        }
    }

    /// The class of this device; `None` until it was measured.
    pub(super) fn tier(&self) -> Option<Tier> {
        self.tiering.tier()
    }

    pub(super) fn measured(&mut self, now: Timestamp, newer: &Measurements) {
        self.measurements.update(newer);
        self.tiering.measured(now, &self.measurements);
    }

    /// Time went by: a tier that was indicated for long enough is taken.
    pub(super) fn measure_again(&mut self, now: Timestamp) -> bool {
        self.tiering.measured(now, &self.measurements)
    }

    pub(super) fn set_models(&mut self, models: Vec<ModelInfo>) {
        self.models_version += 1;
        self.models = models
            .into_iter()
            .take(self.models_max)
            .map(|model| (model.id, model))
            .collect();
    }

    pub(super) fn set_computer(&mut self, computer: Option<ComputerInfo>) {
        self.models_version += 1;
        self.computer = computer.filter(|computer| computer.units_per_second > 0.0);
    }

    /// Offers tell only whether there is room, so that they are not filed anew for every blob.
    pub(super) fn set_store(&mut self, store: Option<StoreInfo>) {
        self.models_version += u64::from(self.store.is_some() != store.is_some());
        self.store = store;
    }

    /// Room for others' blobs, where the device's class lends it.
    fn store(&self) -> Option<StoreInfo> {
        let runs_a_model = !self.models.is_empty();
        let may = |tier| capability::can_provide(tier, runs_a_model).contains(&Service::Storage);
        self.store.filter(|_| self.tier().is_some_and(may))
    }

    /// Whether so many bytes more find room.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.store().is_some_and(|store| bytes <= store.free_bytes)
    }

    /// The engine for modules, where the device's class lends one.
    fn computer(&self) -> Option<ComputerInfo> {
        let runs_a_model = !self.models.is_empty();
        let may = |tier| capability::can_provide(tier, runs_a_model).contains(&Service::Computation);
        self.computer.filter(|_| self.tier().is_some_and(may))
    }

    /// What computes a demand; `None` where nothing here can.
    pub(super) fn ability(&self, service: u8, names: Option<&ModelId>) -> Option<Ability> {
        match Service::from_code(service)? {
            Service::Inference => self.model(names).map(Ability::of_model),
            Service::Computation => self
                .computer()
                .map(|computer| Ability::of_computer(computer, names.copied())),
            Service::Storage => self.store().map(|_| Ability::of_store(names.copied())),
            _ => None,
        }
    }

    /// Why nothing here computes it.
    pub(super) fn lacks(&self, service: u8) -> RefusalCode {
        match Service::from_code(service) {
            Some(Service::Inference) => RefusalCode::UnknownModel,
            _ => RefusalCode::UnknownService,
        }
    }

    /// Whether models, or the engine for modules, can serve anyone.
    pub(super) fn engines(&self) -> Engines {
        let fast_enough = |model: &ModelInfo| model.tokens_per_second >= capability::LENDING_TOKENS_PER_S_MIN;
        match () {
            () if self.computer().is_some() || self.store().is_some() => Engines::Ready,
            () if self.models.is_empty() => Engines::None,
            () if self.models.values().any(fast_enough) => Engines::Ready,
            () => Engines::TooSlow,
        }
    }

    /// The model to use: the named one, or the fastest.
    pub(super) fn model(&self, id: Option<&ModelId>) -> Option<&ModelInfo> {
        match id {
            Some(id) => self.models.get(id),
            None => self
                .models
                .values()
                .max_by(|a, b| a.tokens_per_second.total_cmp(&b.tokens_per_second)),
        }
    }

    /// The factors for so many units of work, behind so many others that wait.
    pub(super) fn factors(&self, ability: &Ability, tokens: u32, tokens_before: u32) -> Factors {
        let waiting_ms = price::engine_ms(tokens_before, ability.units_per_s);
        let rate = price::unit_rate(self.engine_second_price, ability.units_per_s);
        Factors {
            base_cost: price::base_cost(rate, tokens),
            quality_multiplier: ability.quality_multiplier(),
            market_demand: self.demand.multiplier_behind(waiting_ms),
            reputation_factor: self.reputation_factor,
        }
    }

    /// The time to promise for so many units of work behind so many others: for an engine at half its measured speed, even where that
    /// is later than the deadline, so that the buyer sees how near to it this would come; `None` when even the measured speed
    /// is too slow.
    pub(super) fn promised_ms(
        &self,
        ability: &Ability,
        tokens: u32,
        tokens_before: u32,
        deadline_ms: u32,
    ) -> Option<u32> {
        let least_ms = self.least_ms(ability, tokens, tokens_before);
        let overhead_ms = u64::from(self.overhead_ms);
        let with_slack = (least_ms - overhead_ms) * u64::from(PROMISE_SLACK) + overhead_ms;
        (least_ms <= deadline_ms.into()).then(|| u32::try_from(with_slack).unwrap_or(u32::MAX))
    }

    /// The time that so many tokens behind so many others take at the measured speed, once the model is in memory.
    pub(super) fn least_ms(&self, ability: &Ability, tokens: u32, tokens_before: u32) -> u64 {
        let engine_ms = price::engine_ms(tokens.saturating_add(tokens_before), ability.units_per_s);
        engine_ms + u64::from(ability.wake_ms) + u64::from(self.overhead_ms)
    }

    /// What is filed for others to find: the price where nobody waits, since queues change faster than notices.
    pub(super) fn offer(&self, model: &ModelInfo, queue_max: usize) -> Offer {
        let mut name = model.name.clone();
        let end = (0..=crate::wire::NAME_BYTES_MAX.min(name.len()))
            .rev()
            .find(|at| name.is_char_boundary(*at));
        name.truncate(end.unwrap_or(0));
        Offer {
            model_name: Some(name),
            ..self.offer_of(&Ability::of_model(model), queue_max)
        }
    }

    /// The same for the engine for modules.
    pub(super) fn computer_offer(&self, queue_max: usize) -> Option<Offer> {
        let ability = Ability::of_computer(self.computer()?, None);
        Some(self.offer_of(&ability, queue_max))
    }

    /// The same for room.
    pub(super) fn store_offer(&self, queue_max: usize) -> Option<Offer> {
        self.store()?;
        Some(self.offer_of(&Ability::of_store(None), queue_max))
    }

    /// The same for answers that are kept.
    pub(super) fn cache_offer(&self, model: ModelId, precision: Precision, queue_max: usize) -> Offer {
        self.offer_of(&Ability::of_cache(model, precision), queue_max)
    }

    fn offer_of(&self, ability: &Ability, queue_max: usize) -> Offer {
        let factors = self.factors(ability, 1_000, 0);
        let unit_ms = libm::ceil(1e6 / f64::from(ability.units_per_s.max(0.001)));
        Offer {
            service: ability.service as u8,
            model: ability.names,
            model_name: None,
            unit_price: factors.price().unwrap_or(Millicredits(i64::MAX)),
            factors,
            capacity: u32::try_from(queue_max).unwrap_or(u32::MAX),
            unit_ms: Some(unit_ms.min(f64::from(u32::MAX)) as u32),
            precision: ability.precision,
        }
    }

    /// Counts engine time.
    pub(super) fn worked(&mut self, ms: u32) {
        self.busy_ms = self.busy_ms.saturating_add(ms.into());
        self.demand.worked(ms);
    }
}
