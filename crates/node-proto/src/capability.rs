//! What a device can do: five measurements, the tier that follows, and the limits its owner sets.
//!
//! The tier is decided by measured processing; memory, storage, battery and network can only lower it, and only when they
//! are known. A reading loses confidence with its age, and a hint of the browser never has much
//! ([`Reading::confidence`]); one that is not trusted any more counts as unknown.
//!
//! A device that sits on a threshold must not flip between tiers with every measurement, since its offers, budgets and
//! roles follow. Two things hold it, as in a thermostat: a band (leaving a tier takes a tenth more or less than entering it
//! did, [`tier`]) and a time (another tier must be measured for [`TIER_DWELL_MS`] on end, [`Tiering`]).
//!
//! ```text
//! unknown ──first measurement──▶ tier ──another one indicated──▶ leaving ──still, after the dwell──▶ the other tier
//!                                  ▲                                │
//!                                  └──────── the former again ──────┘
//! ```

use std::cmp::Reverse;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;
use crate::order;
use crate::service::Service;

/// The three classes of device in the source document.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Tier {
    /// Phone level: consumes; 50 MB on disk, 200 MB of memory.
    #[n(0)]
    Basic = 0,
    /// Mid-range: stores and serves; 200 MB on disk, 1 GB of memory.
    #[n(1)]
    Standard = 1,
    /// Laptop and up: primary provider; 500 MB on disk.
    #[n(2)]
    Power = 2,
}

/// One reading and its age. Unknown is `None` at the place of use, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// In the unit that the field names.
    pub value: f64,
    /// When it was taken.
    pub at: Timestamp,
    /// Measured here, or only a hint from the browser.
    pub measured: bool,
}

/// What the shell measured. A `None` field leaves the former reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measurements {
    /// Tokens a second of the reference model on the best backend; before a model is loaded, of the micro-benchmark scaled.
    pub processing_tokens_per_s: Option<Reading>,
    /// Memory the tab may use, bytes.
    pub memory_bytes: Option<Reading>,
    /// Charge, 0..=1; a device without battery reports nothing.
    pub battery_level: Option<Reading>,
    /// Round trip to the nearest discovery point, milliseconds.
    pub network_rtt_ms: Option<Reading>,
    /// Free storage quota, bytes.
    pub storage_bytes: Option<Reading>,
}

/// What changes by the minute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// On mains; `None` when the browser does not say.
    pub charging: Option<bool>,
    /// A metered connection; `None` when the browser does not say.
    pub metered: Option<bool>,
    /// The page is in the background.
    pub hidden: bool,
    /// A phone or tablet (lending in the background is for desktops).
    pub mobile: bool,
}

/// The lending switch and its limits, as the person set them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LendPolicy {
    /// The switch.
    pub enabled: bool,
    /// Share of processor and graphics time, 0..=1.
    pub compute_share: f32,
    /// Memory for engines, bytes.
    pub memory_bytes: u64,
    /// Storage for models and others' data, bytes.
    pub storage_bytes: u64,
    /// Pause on battery.
    pub only_charging: bool,
    /// Pause on a metered connection.
    pub only_unmetered: bool,
    /// Whether this device helps others to meet when no relay is left; unset, a Power node does.
    pub coordinate: Option<bool>,
}

impl Default for LendPolicy {
    fn default() -> Self {
        Self {
            enabled: false,
            compute_share: 0.5,
            memory_bytes: 1 << 30,
            storage_bytes: 500_000_000,
            only_charging: true,
            only_unmetered: true,
            coordinate: None,
        }
    }
}

/// Why lending is paused although it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// Running on battery.
    Battery,
    /// On a metered connection.
    Metered,
    /// A phone's page is in the background.
    Hidden,
    /// No model is loaded yet.
    NoModel,
    /// No discovery point can be reached.
    Offline,
    /// The compute share is used up for the moment.
    LimitReached,
    /// Storage refuses writes, so no receipt could be kept.
    Storage,
    /// The tier is too low to provide anything.
    TierTooLow,
}

/// How far each of the five readings can be relied on, 0..=1; `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// Of the speed.
    pub processing: Option<f32>,
    /// Of the memory.
    pub memory: Option<f32>,
    /// Of the charge.
    pub battery: Option<f32>,
    /// Of the round trip.
    pub network: Option<f32>,
    /// Of the storage.
    pub storage: Option<f32>,
}

/// Measurements and what follows from them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capability {
    /// The readings.
    pub measurements: Measurements,
    /// How far they can be relied on now.
    #[serde(default)]
    pub confidence: Confidence,
    /// Memory that engines may use: what the person set, within the tier's budget, bytes.
    #[serde(default)]
    pub memory_bytes_max: u64,
    /// Storage that models and others' data may use, likewise.
    #[serde(default)]
    pub storage_bytes_max: u64,
    /// What this device can provide (`determine_serviceable_tasks` of the source document).
    pub can_provide: Vec<Service>,
    /// What it needs from others (`determine_needed_services`).
    pub need_provider: Vec<Service>,
    /// The roles that suit it best (`calculate_optimal_roles`), best first.
    pub optimal_roles: Vec<Service>,
}

/// What a tier may use, and what it takes to be in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// The tier.
    pub tier: Tier,
    /// Files of the application and its models, bytes (the source document's "footprint").
    pub footprint_bytes_max: u64,
    /// Memory of the engine, bytes (the source document's "memory usage").
    pub memory_bytes_max: u64,
    /// Measured tokens a second of the reference model at least.
    pub processing_tokens_per_s_min: f64,
    /// Memory at least, where known, bytes.
    pub memory_bytes_min: f64,
    /// Free storage at least, where known, bytes.
    pub storage_bytes_min: f64,
}

/// The three tiers. Footprint and memory are the source document's; the speeds are set so that MiniLM in a laptop's
/// browser (some 500 tokens a second on one core) is Power and a phone's fraction of it Standard.
pub const BUDGETS: [Budget; 3] = [
    Budget {
        tier: Tier::Basic,
        footprint_bytes_max: 50_000_000,
        memory_bytes_max: 200_000_000,
        processing_tokens_per_s_min: 0.0,
        memory_bytes_min: 0.0,
        storage_bytes_min: 0.0,
    },
    Budget {
        tier: Tier::Standard,
        footprint_bytes_max: 200_000_000,
        memory_bytes_max: 1_000_000_000,
        processing_tokens_per_s_min: 80.0,
        memory_bytes_min: 500_000_000.0,
        storage_bytes_min: 200_000_000.0,
    },
    Budget {
        tier: Tier::Power,
        footprint_bytes_max: 500_000_000,
        memory_bytes_max: 4_000_000_000,
        processing_tokens_per_s_min: 320.0,
        memory_bytes_min: 1_000_000_000.0,
        storage_bytes_min: 500_000_000.0,
    },
];

impl Tier {
    /// What a device of this tier may spend, and what makes it one.
    pub fn budget(self) -> &'static Budget {
        let [basic, standard, power] = &BUDGETS;
        match self {
            Self::Basic => basic,
            Self::Standard => standard,
            Self::Power => power,
        }
    }
}

/// Below this charge a device is not a Power node, whatever its processor.
const BATTERY_LEVEL_MIN: f64 = 0.2;
/// Above this round trip a device is not a Power node, milliseconds.
const RTT_MS_MAX: f64 = 1_000.0;
/// A reading's confidence is halved with every day.
pub const CONFIDENCE_HALF_LIFE_MS: u64 = 86_400_000;
/// The confidence of a fresh hint.
const HINT_CONFIDENCE: f64 = 0.5;
/// A reading below this counts as unknown: a measurement after three days, a hint after two.
const CONFIDENCE_MIN: f32 = 0.125;
/// Another tier must be indicated for so long before it is taken, milliseconds.
pub const TIER_DWELL_MS: u64 = 60_000;
/// How far beyond a threshold a reading must be to leave the former tier.
const HYSTERESIS: f64 = 0.1;
/// Slower than this a model is not offered: nobody would wait.
pub const LENDING_TOKENS_PER_S_MIN: f32 = 1.0;

impl Reading {
    /// How far the reading can be relied on at `now`, 0..=1: a measurement is halved with every
    /// [`CONFIDENCE_HALF_LIFE_MS`], a hint begins at a half.
    pub fn confidence(&self, now: Timestamp) -> f32 {
        let fresh = if self.measured { 1.0 } else { HINT_CONFIDENCE };
        let age = now.ms_since(self.at) as f64 / CONFIDENCE_HALF_LIFE_MS as f64;
        (fresh * libm::exp2(-age)) as f32
    }
}

impl Measurements {
    /// The readings as [`Confidence`].
    pub fn confidence(&self, now: Timestamp) -> Confidence {
        let of = |reading: Option<Reading>| reading.map(|reading| reading.confidence(now));
        Confidence {
            processing: of(self.processing_tokens_per_s),
            memory: of(self.memory_bytes),
            battery: of(self.battery_level),
            network: of(self.network_rtt_ms),
            storage: of(self.storage_bytes),
        }
    }

    /// Takes over every reading that `newer` has.
    pub fn update(&mut self, newer: &Self) {
        let pairs = [
            (&mut self.processing_tokens_per_s, newer.processing_tokens_per_s),
            (&mut self.memory_bytes, newer.memory_bytes),
            (&mut self.battery_level, newer.battery_level),
            (&mut self.network_rtt_ms, newer.network_rtt_ms),
            (&mut self.storage_bytes, newer.storage_bytes),
        ];
        for (kept, reading) in pairs {
            if reading.is_some_and(|reading| reading.value.is_finite()) {
                *kept = reading;
            }
        }
    }
}

/// The tier of a device over time; see the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tiering {
    tier: Option<Tier>,
    /// What is indicated instead, and since when.
    leaving: Option<(Tier, Timestamp)>,
}

impl Tiering {
    /// The tier; `None` until processing was measured.
    pub fn tier(&self) -> Option<Tier> {
        self.tier
    }

    /// Takes in what the measurements say now; returns whether the tier changed.
    pub fn measured(&mut self, now: Timestamp, measurements: &Measurements) -> bool {
        let indicated = tier(measurements, self.tier, now);
        let Some(other) = indicated.filter(|_| indicated != self.tier) else {
            self.leaving = None;
            return false;
        };
        let since = match self.leaving {
            Some((tier, since)) if tier == other => since,
            _ => now,
        };
        let settled = self.tier.is_none() || now.ms_since(since) >= TIER_DWELL_MS;
        (self.tier, self.leaving) = match settled {
            true => (Some(other), None),
            false => (self.tier, Some((other, since))),
        };
        settled
    }
}

/// The tier that the measurements give at `now`; `None` until processing was measured.
pub fn tier(measurements: &Measurements, former: Option<Tier>, now: Timestamp) -> Option<Tier> {
    // However old, the speed of this device is not guessed: it stays until it is measured anew.
    let speed = measurements.processing_tokens_per_s?.value;
    let trusted =
        |reading: Option<Reading>| reading.filter(|reading| reading.confidence(now) >= CONFIDENCE_MIN);
    let fits = |budget: &Budget| {
        let scale = match former {
            Some(former) if former >= budget.tier => 1.0 - HYSTERESIS,
            Some(_) => 1.0 + HYSTERESIS,
            None => 1.0,
        };
        let at_least =
            |reading: Option<Reading>, least: f64| trusted(reading).is_none_or(|r| r.value >= least * scale);
        let power = budget.tier == Tier::Power;
        speed >= budget.processing_tokens_per_s_min * scale
            && at_least(measurements.memory_bytes, budget.memory_bytes_min)
            && at_least(measurements.storage_bytes, budget.storage_bytes_min)
            && !(power
                && trusted(measurements.battery_level)
                    .is_some_and(|r| r.value * scale.recip() < BATTERY_LEVEL_MIN))
            && !(power && trusted(measurements.network_rtt_ms).is_some_and(|r| r.value * scale > RTT_MS_MAX))
    };
    BUDGETS
        .iter()
        .rev()
        .find(|budget| fits(budget))
        .map(|budget| budget.tier)
}

/// What a device of this tier can do for others (`determine_serviceable_tasks`). A Basic one with a running model answers
/// with that, and what runs a model runs modules, whose limits are made for Basic ones.
pub fn can_provide(tier: Tier, runs_a_model: bool) -> Vec<Service> {
    Service::ALL
        .into_iter()
        .filter(|service| match least_tier(*service) {
            Tier::Basic => true,
            _ if matches!(service, Service::Inference | Service::Computation) && runs_a_model => true,
            least => least <= tier,
        })
        .collect()
}

/// What it needs others for (`determine_needed_services`): everything that it cannot provide itself.
pub fn need_provider(tier: Tier, runs_a_model: bool) -> Vec<Service> {
    let own = can_provide(tier, runs_a_model);
    Service::ALL
        .into_iter()
        .filter(|service| !own.contains(service))
        .collect()
}

/// The roles that suit it best (`calculate_optimal_roles`), the scarcest first: what only few others could do.
pub fn optimal_roles(tier: Tier, runs_a_model: bool) -> Vec<Service> {
    let rank = |service: &Service| {
        let is_model = runs_a_model && *service == Service::Inference;
        (!is_model, Reverse(least_tier(*service)), *service)
    };
    let mut roles = order::sorted(&can_provide(tier, runs_a_model), |a, b| rank(a).cmp(&rank(b)));
    roles.truncate(3);
    roles
}

/// The tier from which on a service can be provided, by the source document's node classes.
fn least_tier(service: Service) -> Tier {
    match service {
        Service::CacheQuery | Service::Reputation => Tier::Basic,
        Service::Inference | Service::Storage | Service::Computation | Service::ResourceDiscovery => {
            Tier::Standard
        }
        Service::ModelTraining
        | Service::ComplexInference
        | Service::LargeStorage
        | Service::SpecialisedProcessing
        | Service::Coordination
        | Service::MarketFacilitation => Tier::Power,
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const NOW: Timestamp = Timestamp(0);

    fn reading(value: f64) -> Option<Reading> {
        Some(Reading {
            value,
            at: Timestamp(0),
            measured: true,
        })
    }

    fn speed(value: f64) -> Measurements {
        Measurements {
            processing_tokens_per_s: reading(value),
            ..Measurements::default()
        }
    }

    #[test]
    fn speed_decides_and_the_rest_only_lowers() {
        assert_eq!(tier(&Measurements::default(), None, NOW), None);
        assert_eq!(tier(&speed(10.0), None, NOW), Some(Tier::Basic));
        assert_eq!(tier(&speed(80.0), None, NOW), Some(Tier::Standard));
        assert_eq!(tier(&speed(500.0), None, NOW), Some(Tier::Power));
        let small = Measurements {
            memory_bytes: reading(6e8),
            ..speed(500.0)
        };
        assert_eq!(tier(&small, None, NOW), Some(Tier::Standard));
        let empty = Measurements {
            battery_level: reading(0.1),
            ..speed(500.0)
        };
        assert_eq!(tier(&empty, None, NOW), Some(Tier::Standard));
    }

    #[test]
    fn a_tier_is_not_left_for_a_trifle() {
        for former in [Tier::Standard, Tier::Power] {
            assert_eq!(tier(&speed(320.0), Some(former), NOW), Some(former));
        }
        assert_eq!(tier(&speed(280.0), Some(Tier::Power), NOW), Some(Tier::Standard));
        assert_eq!(tier(&speed(360.0), Some(Tier::Standard), NOW), Some(Tier::Power));
    }

    #[test]
    fn a_tier_is_not_left_for_a_moment() {
        let mut tiering = Tiering::default();
        assert!(tiering.measured(NOW, &speed(500.0)));
        // A device that is busy now and then: each slow reading is followed by a fast one before the dwell is over.
        for minute in 1..=100 {
            assert!(!tiering.measured(
                Timestamp(minute * 50_000),
                &speed(if minute % 2 == 0 { 500.0 } else { 100.0 })
            ));
        }
        let later = 10_000_000;
        assert!(!tiering.measured(Timestamp(later), &speed(100.0)));
        assert!(!tiering.measured(Timestamp(later + TIER_DWELL_MS - 1), &speed(100.0)));
        assert_eq!(tiering.tier(), Some(Tier::Power));
        assert!(tiering.measured(Timestamp(later + TIER_DWELL_MS), &speed(100.0)));
        assert_eq!(tiering.tier(), Some(Tier::Standard));
        // Two other tiers in turn are not one for long enough.
        assert!(!tiering.measured(Timestamp(later + 70_000), &speed(10.0)));
        assert!(!tiering.measured(Timestamp(later + 110_000), &speed(500.0)));
        assert!(!tiering.measured(Timestamp(later + 150_000), &speed(10.0)));
        assert_eq!(tiering.tier(), Some(Tier::Standard));
    }

    #[test]
    fn old_readings_are_not_trusted_and_hints_less_than_measurements() {
        let day = CONFIDENCE_HALF_LIFE_MS;
        let measured = reading(0.1).unwrap();
        let hint = Reading {
            measured: false,
            ..measured
        };
        assert_eq!([measured, hint].map(|r| r.confidence(NOW)), [1.0, 0.5]);
        assert!((measured.confidence(Timestamp(day)) - 0.5).abs() < 1e-6);
        let flat = Measurements {
            battery_level: Some(measured),
            ..speed(500.0)
        };
        assert_eq!(tier(&flat, None, Timestamp(day)), Some(Tier::Standard));
        assert_eq!(tier(&flat, None, Timestamp(4 * day)), Some(Tier::Power));
        let confidence = flat.confidence(Timestamp(day));
        assert!(confidence.memory.is_none() && confidence.battery == confidence.processing);
    }

    #[test]
    fn unknown_and_senseless_readings_leave_the_former() {
        let mut kept = speed(100.0);
        kept.update(&Measurements {
            memory_bytes: reading(1.0),
            ..Measurements::default()
        });
        kept.update(&speed(f64::NAN));
        assert_eq!(kept.processing_tokens_per_s, reading(100.0));
        assert_eq!(kept.memory_bytes, reading(1.0));
    }

    #[test]
    fn services_are_split_between_own_and_others() {
        for tier in [Tier::Basic, Tier::Standard, Tier::Power] {
            let (own, others) = (can_provide(tier, false), need_provider(tier, false));
            assert_eq!(own.len() + others.len(), Service::ALL.len());
        }
        assert!(need_provider(Tier::Basic, false).contains(&Service::Inference));
        assert!(can_provide(Tier::Basic, true).contains(&Service::Inference));
        assert_eq!(optimal_roles(Tier::Power, true)[0], Service::Inference);
    }
}
