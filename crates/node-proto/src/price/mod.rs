//! The price of a service: `base_cost × quality_multiplier × market_demand × reputation_factor`.
//!
//! - **base_cost**: millicredits for the measured work. A second of a device's engine has one price; its measured speed
//!   turns that into a rate per 1,000 tokens, and the rate into the cost of a request.
//! - **quality_multiplier**: precision and speed. 1 for f32 at [`REFERENCE_TOKENS_PER_S`], a quarter more or less for each
//!   doubling or halving, 0.8 of that for int8; within 0.5..=2.
//! - **market_demand**: a controller of EIP-1559's shape on the provider's own use and the prices it sees, which moves by
//!   at most an eighth per step of [`DEMAND_STEP_MS`], times a toll on joining the queue, which follows at once; within
//!   0.5..=16.
//! - **reputation_factor**: `0.8 + 0.4 × lower bound` of the provider's quality, as its buyers' verdicts show it,
//!   in whole hundredths.
//!
//! Floats only lead *to* the factors. From there on everything is integer: the three multipliers are parts per million,
//! and the price is the exact product, divided by 10^18 once and rounded up, at least one millicredit. Anyone with a
//! calculator gets the same number. A factor beyond its bounds makes a quote invalid, whoever signed it, so no provider can
//! hide a surcharge in one; [`Factors::explain`] says how each multiplier lies within its bounds.

mod demand;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::Millicredits;
use crate::service::Precision;

pub use demand::{DEMAND_STEP_MS, DemandController};

/// The four factors of a price, as the source document's `calculate_service_value` names them. The last three are
/// dimensionless and in parts per million, so that everyone recomputes the same integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Factors {
    /// Millicredits for the measured work.
    #[n(0)]
    pub base_cost: i64,
    /// Precision and speed promised, parts per million.
    #[n(1)]
    pub quality_multiplier: u32,
    /// The provider's utilisation and the demand it sees, parts per million.
    #[n(2)]
    pub market_demand: u32,
    /// The provider's standing, parts per million.
    #[n(3)]
    pub reputation_factor: u32,
}

pub(crate) const PPM: u32 = 1_000_000;
/// Speed at which the quality multiplier is 1. MiniLM on one core of a laptop, in a browser, does about this.
pub const REFERENCE_TOKENS_PER_S: f32 = 500.0;
/// Bounds of the quality multiplier.
pub const QUALITY_BOUNDS: Bounds = Bounds {
    min: PPM / 2,
    max: 2 * PPM,
};
/// Bounds of the demand factor.
pub const DEMAND_BOUNDS: Bounds = Bounds {
    min: PPM / 2,
    max: 16 * PPM,
};
/// Bounds of the reputation factor.
pub const REPUTATION_BOUNDS: Bounds = Bounds {
    min: PPM / 5 * 4,
    max: PPM / 5 * 6,
};
const UNIT_RATE_MAX: i64 = 1_000_000;

/// Within what a multiplier may lie, parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
}

impl Bounds {
    fn hold(&self, value: u32) -> bool {
        (self.min..=self.max).contains(&value)
    }
}

/// Which of the multipliers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Multiplier {
    /// Precision and speed: above 1 it is faster than the reference, below 1 slower or coarser.
    Quality,
    /// Demand: above 1 others wait already, or the provider has hardly any time left; below 1 it was idle.
    Demand,
    /// Reputation: from 0.8 for one without a record to 1.2 for one whose results were always right.
    Reputation,
}

/// What a person is told about one multiplier of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Which.
    pub multiplier: Multiplier,
    /// Its value, parts per million.
    pub value: u32,
    /// Within what it must lie; at one of the two it was clamped.
    pub bounds: Bounds,
    /// The price when this multiplier is taken in, after base cost and the ones before it, rounded up: the steps that a
    /// person can follow from the base cost to the price.
    pub price_so_far: Millicredits,
}

impl Factors {
    /// Whether every factor is one that the rules can give.
    pub fn are_within_bounds(&self) -> bool {
        self.base_cost >= 0
            && QUALITY_BOUNDS.hold(self.quality_multiplier)
            && DEMAND_BOUNDS.hold(self.market_demand)
            && REPUTATION_BOUNDS.hold(self.reputation_factor)
    }

    /// The same when nobody else wants anything: demand is at most 1.
    pub(crate) fn without_scarcity(&self) -> Self {
        Self {
            market_demand: self.market_demand.min(PPM),
            ..*self
        }
    }

    /// The way from the base cost to the price, step by step; the last step's price is the price.
    pub fn explain(&self) -> [Explained; 3] {
        let steps = [
            (Multiplier::Quality, self.quality_multiplier, QUALITY_BOUNDS),
            (Multiplier::Demand, self.market_demand, DEMAND_BOUNDS),
            (Multiplier::Reputation, self.reputation_factor, REPUTATION_BOUNDS),
        ];
        let mut so_far = Self {
            quality_multiplier: PPM,
            market_demand: PPM,
            reputation_factor: PPM,
            ..*self
        };
        steps.map(|(multiplier, value, bounds)| {
            match multiplier {
                Multiplier::Quality => so_far.quality_multiplier = value,
                Multiplier::Demand => so_far.market_demand = value,
                Multiplier::Reputation => so_far.reputation_factor = value,
            }
            Explained {
                multiplier,
                value,
                bounds,
                price_so_far: so_far.price().unwrap_or(Millicredits(i64::MAX)),
            }
        })
    }

    /// The price that the factors give; `None` when it is more than money can express or a factor is negative.
    pub fn price(&self) -> Option<Millicredits> {
        let base = u128::try_from(self.base_cost).ok()?;
        let product = base
            .checked_mul(self.quality_multiplier.into())?
            .checked_mul(self.market_demand.into())?
            .checked_mul(self.reputation_factor.into())?;
        let price = product.div_ceil(u128::from(PPM).pow(3)).max(1);
        i64::try_from(price).ok().map(Millicredits)
    }

    /// The same with as little demand as it takes to come down to `price`; `None` when that would take less demand than
    /// `demand_floor`.
    pub fn lowered_to(&self, price: Millicredits, demand_floor: u32) -> Option<Self> {
        let lowest = Self {
            market_demand: demand_floor.min(self.market_demand),
            ..*self
        };
        if lowest.price()? > price {
            return None;
        }
        let (mut fits, mut exceeds) = (lowest.market_demand, self.market_demand.saturating_add(1));
        while exceeds - fits > 1 {
            let middle = fits + (exceeds - fits) / 2;
            match (Self {
                market_demand: middle,
                ..*self
            })
            .price()
            {
                Some(candidate) if candidate <= price => fits = middle,
                _ => exceeds = middle,
            }
        }
        Some(Self {
            market_demand: fits,
            ..*self
        })
    }
}

/// Estimated tokens of texts: a quarter of each text's bytes, rounded up, at least one. Both sides compute it from the
/// texts, so neither needs the other's tokenizer to agree on the amount of work.
pub fn tokens<T: AsRef<str>>(texts: &[T]) -> u32 {
    let sum: usize = texts
        .iter()
        .map(|text| text.as_ref().len().div_ceil(4).max(1))
        .sum();
    u32::try_from(sum).unwrap_or(u32::MAX)
}

/// Engine time for so many tokens at a measured speed, milliseconds.
pub fn engine_ms(tokens: u32, tokens_per_s: f32) -> u64 {
    libm::ceil(f64::from(tokens) * 1_000.0 / f64::from(tokens_per_s.max(0.001))) as u64
}

/// Millicredits for 1,000 tokens at a measured speed, when a second of the engine costs `engine_second`.
pub fn unit_rate(engine_second: Millicredits, tokens_per_s: f32) -> i64 {
    let speed = f64::from(tokens_per_s);
    if !speed.is_finite() || speed <= 0.0 {
        return UNIT_RATE_MAX;
    }
    (libm::ceil(engine_second.0 as f64 * 1_000.0 / speed) as i64).clamp(1, UNIT_RATE_MAX)
}

/// The cost of so many tokens at a rate per 1,000, rounded up.
pub fn base_cost(unit_rate: i64, tokens: u32) -> i64 {
    let cost = i128::from(unit_rate.max(0)) * i128::from(tokens);
    i64::try_from((cost + 999) / 1_000).unwrap_or(i64::MAX).max(1)
}

/// What is owed for `done` of `units` at a price for all of them, rounded up; the whole price from `units` on.
pub fn pro_rata(price: Millicredits, done: u32, units: u32) -> Millicredits {
    if done >= units {
        return price;
    }
    let due = (i128::from(price.0.max(0)) * i128::from(done) + i128::from(units) - 1) / i128::from(units);
    Millicredits(i64::try_from(due).unwrap_or(price.0))
}

/// The quality multiplier of a model on a device, parts per million.
pub fn quality_multiplier(precision: Precision, tokens_per_s: f32) -> u32 {
    let ratio = (f64::from(tokens_per_s) / f64::from(REFERENCE_TOKENS_PER_S)).clamp(0.001, 1_000.0);
    let speed = 1.0 + 0.25 * libm::log2(ratio);
    let precision = match precision {
        Precision::F32 | Precision::F16 => 1.0,
        Precision::Int8 => 0.8,
    };
    let ppm = libm::round((speed * precision).clamp(0.5, 2.0) * f64::from(PPM)) as u32;
    ppm.clamp(QUALITY_BOUNDS.min, QUALITY_BOUNDS.max)
}

/// The factor of a provider's standing, from the lower bound of its quality; in whole hundredths, so that an offer does not
/// change with every moment in which observations fade.
pub fn reputation_factor(lower: f32) -> u32 {
    let lower = if lower.is_finite() {
        f64::from(lower).clamp(0.0, 1.0)
    } else {
        0.0
    };
    libm::round(80.0 + 40.0 * lower) as u32 * (PPM / 100)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn factors(base_cost: i64, demand: u32) -> Factors {
        Factors {
            base_cost,
            quality_multiplier: 1_100_000,
            market_demand: demand,
            reputation_factor: 950_000,
        }
    }

    #[test]
    fn the_price_is_the_product_rounded_up() {
        // 200 × 1.1 × 1.25 × 0.95 = 261.25
        assert_eq!(factors(200, 1_250_000).price(), Some(Millicredits(262)));
        assert_eq!(factors(0, PPM).price(), Some(Millicredits(1)));
        assert_eq!(factors(-1, PPM).price(), None);
        assert_eq!(factors(i64::MAX, u32::MAX).price(), None);
    }

    #[test]
    fn every_step_to_the_price_is_shown_with_its_bounds() {
        let factors = factors(200, 1_250_000);
        assert!(factors.are_within_bounds());
        let steps = factors.explain();
        assert_eq!(steps.map(|step| step.price_so_far.0), [220, 275, 262]);
        assert_eq!(
            steps.map(|step| step.multiplier),
            [Multiplier::Quality, Multiplier::Demand, Multiplier::Reputation]
        );
        assert_eq!(steps[2].price_so_far, factors.price().unwrap());
        let beyond = [
            Factors {
                quality_multiplier: 499_999,
                ..factors
            },
            Factors {
                market_demand: 16_000_001,
                ..factors
            },
            Factors {
                reputation_factor: 1_200_001,
                ..factors
            },
            Factors {
                base_cost: -1,
                ..factors
            },
        ];
        assert!(beyond.iter().all(|factors| !factors.are_within_bounds()));
        assert!((0..=10).all(|tenth| REPUTATION_BOUNDS.hold(reputation_factor(tenth as f32 / 10.0))));
    }

    #[test]
    fn a_counter_offer_lowers_demand_and_nothing_else() {
        let asked = factors(200, 1_250_000);
        let lowered = asked.lowered_to(Millicredits(200), DEMAND_BOUNDS.min).unwrap();
        assert_eq!(lowered.price(), Some(Millicredits(200)));
        assert_eq!(
            Factors {
                market_demand: asked.market_demand,
                ..lowered
            },
            asked
        );
        assert_eq!(asked.lowered_to(Millicredits(200), PPM), None);
        assert_eq!(asked.lowered_to(Millicredits(100), DEMAND_BOUNDS.min), None);
        assert_eq!(asked.lowered_to(Millicredits(1_000), PPM), Some(asked));
    }

    #[test]
    fn work_is_measured_alike_on_both_sides() {
        assert_eq!(tokens(&["", "abc", "abcde"]), 1 + 1 + 2);
        assert_eq!(unit_rate(Millicredits(100), 500.0), 200);
        assert_eq!(unit_rate(Millicredits(100), 0.0), UNIT_RATE_MAX);
        assert_eq!(base_cost(200, 1_001), 201);
    }

    #[test]
    fn part_of_the_work_costs_the_same_part_of_the_price() {
        let due = |done| pro_rata(Millicredits(10), done, 3);
        assert_eq!([0, 1, 2, 3, 9].map(due), [0, 4, 7, 10, 10].map(Millicredits));
        assert_eq!(
            pro_rata(Millicredits(i64::MAX), u32::MAX - 1, u32::MAX).0,
            9_223_372_034_707_292_159
        );
        assert_eq!(pro_rata(Millicredits(10), 0, 0), Millicredits(10));
    }

    #[test]
    fn quality_and_standing_are_clamped() {
        assert_eq!(quality_multiplier(Precision::F32, REFERENCE_TOKENS_PER_S), PPM);
        assert_eq!(quality_multiplier(Precision::F32, 1_000.0), 1_250_000);
        assert_eq!(quality_multiplier(Precision::Int8, f32::INFINITY), 2_000_000);
        assert_eq!(quality_multiplier(Precision::F32, 0.0), 500_000);
        assert_eq!(reputation_factor(0.5), PPM);
        assert_eq!(reputation_factor(f32::NAN), 800_000);
    }
}
