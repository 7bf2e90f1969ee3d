//! What this device lends: its models, limits and prices, and why it does not lend just now.

use std::collections::BTreeMap;

use crate::capability::{self, Environment, LendPolicy, Measurements, PauseReason, Tier};
use crate::config::Config;
use crate::ids::{Millicredits, ModelId, Timestamp};
use crate::price::{self, DemandController, Factors};
use crate::service::{ModelInfo, Service};
use crate::wire::Offer;

/// A promise allows for an engine at half its measured speed.
const PROMISE_SLACK: u64 = 2;

pub(super) struct Lending {
    pub(super) policy: LendPolicy,
    pub(super) environment: Environment,
    pub(super) measurements: Measurements,
    pub(super) tier: Option<Tier>,
    pub(super) models: BTreeMap<ModelId, ModelInfo>,
    pub(super) demand: DemandController,
    pub(super) served: u32,
    pub(super) earned: Millicredits,
    pub(super) busy_ms: u64,
    /// Engine time that may be used now, in thousandths of a millisecond; below zero after a long activity.
    allowance: i64,
    allowance_at: Timestamp,
    burst: i64,
    engine_second_price: Millicredits,
    models_max: usize,
    overhead_ms: u32,
    /// Follows the verdicts of buyers, see [`price::reputation_factor`].
    pub(super) reputation_factor: u32,
}

impl Lending {
    pub(super) fn new(config: &Config, now: Timestamp) -> Self {
        let burst = i64::from(config.compute_burst_ms) * 1_000;
        Self {
            policy: LendPolicy::default(),
            environment: Environment::default(),
            measurements: Measurements::default(),
            tier: None,
            models: BTreeMap::new(),
            demand: DemandController::new(now),
            served: 0,
            earned: Millicredits::ZERO,
            busy_ms: 0,
            allowance: burst,
            allowance_at: now,
            burst,
            engine_second_price: config.engine_second_price,
            models_max: config.models_max,
            overhead_ms: config.overhead_ms,
            reputation_factor: price::reputation_factor(0.0),
        }
    }

    pub(super) fn measured(&mut self, newer: &Measurements) {
        self.measurements.update(newer);
        self.tier = capability::tier(&self.measurements, self.tier);
    }

    pub(super) fn set_models(&mut self, models: Vec<ModelInfo>) {
        self.models = models
            .into_iter()
            .take(self.models_max)
            .map(|model| (model.id, model))
            .collect();
    }

    /// Why lending is paused although it is on; the lasting reasons first.
    pub(super) fn pause(&self, now: Timestamp, storage_fails: bool, online: bool) -> Option<PauseReason> {
        let (policy, environment) = (&self.policy, &self.environment);
        let too_slow = |model: &ModelInfo| {
            !matches!(
                model
                    .tokens_per_second
                    .partial_cmp(&capability::LENDING_TOKENS_PER_S_MIN),
                Some(std::cmp::Ordering::Greater | std::cmp::Ordering::Equal)
            )
        };
        let reasons = [
            (storage_fails, PauseReason::Storage),
            (
                policy.only_charging && environment.charging == Some(false),
                PauseReason::Battery,
            ),
            (
                policy.only_unmetered && environment.metered == Some(true),
                PauseReason::Metered,
            ),
            (environment.hidden && environment.mobile, PauseReason::Hidden),
            (self.models.is_empty(), PauseReason::NoModel),
            (self.models.values().all(too_slow), PauseReason::TierTooLow),
            (!online, PauseReason::Offline),
            (self.engine_time(now) <= 0, PauseReason::LimitReached),
        ];
        reasons
            .into_iter()
            .find(|(holds, _)| *holds)
            .map(|(_, reason)| reason)
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

    /// The factors for so many tokens with a model.
    pub(super) fn factors(&self, model: &ModelInfo, tokens: u32) -> Factors {
        let rate = price::unit_rate(self.engine_second_price, model.tokens_per_second);
        Factors {
            base_cost: price::base_cost(rate, tokens),
            quality_multiplier: price::quality_multiplier(model.precision, model.tokens_per_second),
            market_demand: self.demand.multiplier(),
            reputation_factor: self.reputation_factor,
        }
    }

    /// The time to promise for so many tokens behind so many others: with slack where the deadline leaves it; `None` when
    /// even the measured speed is too slow for it.
    pub(super) fn promised_ms(
        &self,
        model: &ModelInfo,
        tokens: u32,
        tokens_before: u32,
        deadline_ms: u32,
    ) -> Option<u32> {
        let rate_ms = f64::from(tokens.saturating_add(tokens_before)) * 1_000.0;
        let engine_ms = libm::ceil(rate_ms / f64::from(model.tokens_per_second.max(0.001))) as u64;
        let least = engine_ms.saturating_add(self.overhead_ms.into());
        let with_slack = engine_ms
            .saturating_mul(PROMISE_SLACK)
            .saturating_add(self.overhead_ms.into());
        (least <= deadline_ms.into()).then(|| u32::try_from(with_slack).unwrap_or(u32::MAX).min(deadline_ms))
    }

    /// What is filed for others to find.
    pub(super) fn offer(&self, model: &ModelInfo, queue_max: usize) -> Offer {
        let factors = self.factors(model, 1_000);
        let unit_ms = libm::ceil(1e6 / f64::from(model.tokens_per_second.max(0.001)));
        let mut name = model.name.clone();
        let end = (0..=crate::wire::NAME_BYTES_MAX.min(name.len()))
            .rev()
            .find(|at| name.is_char_boundary(*at));
        name.truncate(end.unwrap_or(0));
        Offer {
            service: Service::Inference as u8,
            model: Some(model.id),
            model_name: Some(name),
            unit_price: factors.price().unwrap_or(Millicredits(i64::MAX)),
            factors,
            capacity: u32::try_from(queue_max).unwrap_or(u32::MAX),
            unit_ms: Some(unit_ms.min(f64::from(u32::MAX)) as u32),
            precision: model.precision,
        }
    }

    /// Counts engine time against the compute share.
    pub(super) fn worked(&mut self, now: Timestamp, ms: u32) {
        self.allowance = self.engine_time(now) - i64::from(ms) * 1_000;
        self.allowance_at = now;
        self.busy_ms = self.busy_ms.saturating_add(ms.into());
        self.demand.worked(ms);
    }

    /// When the compute share allows work again; `None` when it does now.
    pub(super) fn rested_at(&self, now: Timestamp) -> Option<Timestamp> {
        let missing = -self.engine_time(now);
        (missing >= 0).then(|| now.plus_ms((missing / self.share_per_ms() + 1).unsigned_abs()))
    }

    fn engine_time(&self, now: Timestamp) -> i64 {
        let waited = i64::try_from(now.ms_since(self.allowance_at)).unwrap_or(i64::MAX);
        let gained = waited.saturating_mul(self.share_per_ms());
        self.allowance.saturating_add(gained).min(self.burst)
    }

    /// Thousandths of a millisecond of engine time per millisecond.
    fn share_per_ms(&self) -> i64 {
        let share = self.policy.compute_share;
        let share = if share.is_finite() {
            share.clamp(0.01, 1.0)
        } else {
            0.01
        };
        (share * 1_000.0) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compute_share_holds_after_a_burst() {
        let config = Config {
            compute_burst_ms: 1_000,
            ..Config::default()
        };
        let mut lending = Lending::new(&config, Timestamp(0));
        lending.policy.compute_share = 0.5;
        assert_eq!(lending.rested_at(Timestamp(0)), None);
        lending.worked(Timestamp(0), 3_000);
        assert_eq!(lending.rested_at(Timestamp(0)), Some(Timestamp(4_001)));
        assert_eq!(lending.rested_at(Timestamp(4_001)), None);
        lending.worked(Timestamp(1_000_000), 500);
        assert_eq!(lending.rested_at(Timestamp(1_000_000)), None);
    }
}
