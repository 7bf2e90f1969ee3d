//! The market_demand factor: how much more, or less, than its cost a provider's time is worth at the moment.
//!
//! ```text
//! market_demand = clamp(m × toll)                slow × quick
//! ```
//!
//! **m** is a bounded controller of EIP-1559's shape (V. Buterin, E. Conner, R. Dudley, M. Slipper, I. Norden, A. Bakhta,
//! *EIP-1559: Fee market change for ETH 1.0 chain*, 2019), on what one provider sees itself. Once per [`DEMAND_STEP_MS`] it
//! moves by at most an eighth:
//!
//! ```text
//! m ← clamp(m × (1 + signal / 8))           signal = clamp(use + prices / 4, −1, 1); a sixteenth where m rises above 1
//!
//! use    = (engine time used + engine time asked for in vain) / engine time lent, as a distance from the target,
//!          in parts of what lies between the target and the end
//! prices = mean over the prices seen of (price − own) / own, each within ±1
//! ```
//!
//! The target is one half while m is below 1, so that whoever is idle comes down and whoever has enough to do asks what it
//! costs; and seven eighths while m is above 1, so that scarcity is paid for only as long as there is scarcity: an engine
//! that is kept half empty by its own price serves nobody.
//!
//! *Asked for in vain* is the work of demands that had to be turned away. *Prices seen* are the middle one of others' offers
//! for the same model, and what counter-offers named. Use decides: prices weigh a quarter of it, so whoever is idle comes
//! down, only slower where others are dearer.
//!
//! **The toll** is for joining the queue. Whoever joins makes everyone wait longer who comes after, and does not feel it: left
//! to themselves queues grow beyond what is good for all (P. Naor, *The Regulation of Queue Size by Levying Tolls*,
//! Econometrica 37(1), 1969). With `w` the engine time that waits already, it is `1 + (w / T)²`, T being [`TOLL_MS`]: next to
//! nothing while the wait is short, so that a crowd that fits is served, and dear where only those who need it most should
//! join. It makes room within seconds, while m takes minutes to find the price of a lasting rush.
//!
//! The factor stays within ½ and 16 whatever is seen.

use crate::ids::{Millicredits, Timestamp};
use crate::price::{DEMAND_BOUNDS, PPM};

/// One step of the controller, milliseconds.
pub const DEMAND_STEP_MS: u64 = 10_000;
/// The most that a step changes: one part in so many.
const STEP_DIVISOR: i64 = 8;
/// The same where scarcity makes it dearer. The toll has answered a crowd long before; a quicker rise overshoots what those
/// who are left can pay.
const SCARCE_STEP_DIVISOR: i64 = 16;
/// Prices weigh one part in so many of what use does.
const PRICES_DIVISOR: i64 = 4;
/// An idle engine's target, and a scarce one's, parts per million of the engine time lent.
const TARGETS: (i64, i64) = (ONE / 2, ONE / 8 * 7);
/// So much engine time in the queue doubles the price, milliseconds.
const TOLL_MS: u64 = 3_000;
/// Steps without work move the factor towards its minimum; after so many it is there.
const STEPS_MAX: u64 = 64;
const ONE: i64 = PPM as i64;

/// Follows how much of the lent engine is used, how much is asked for in vain, and what others ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemandController {
    multiplier: u32,
    step_began: Timestamp,
    busy_ms: u64,
    missed_ms: u64,
    /// Sum of how far prices seen are from the own one, parts per million, and how many they are.
    prices: (i64, i64),
}

impl DemandController {
    /// Starts at 1.
    pub fn new(now: Timestamp) -> Self {
        Self {
            multiplier: PPM,
            step_began: now,
            busy_ms: 0,
            missed_ms: 0,
            prices: (0, 0),
        }
    }

    /// The slow part of the factor, parts per million: what the factor is where nobody waits.
    pub fn multiplier(&self) -> u32 {
        self.multiplier
    }

    /// The factor for work that comes after `waiting_ms` of others' engine time, parts per million.
    pub fn multiplier_behind(&self, waiting_ms: u64) -> u32 {
        tolled(self.multiplier, waiting_ms)
    }

    /// Counts engine time that was used.
    pub fn worked(&mut self, ms: u32) {
        self.busy_ms = self.busy_ms.saturating_add(ms.into());
    }

    /// Counts engine time that was asked for and could not be given.
    pub fn turned_away(&mut self, ms: u64) {
        self.missed_ms = self.missed_ms.saturating_add(ms);
    }

    /// Counts a price that was seen for something that costs `own` here.
    pub fn price_seen(&mut self, own: Millicredits, price: Millicredits) {
        let (own, price) = (i128::from(own.0.max(1)), i128::from(price.0.max(0)));
        let one = i128::from(ONE);
        let distance = ((price - own) * one / own).clamp(-one, one);
        // Within ±ONE by the clamp.
        let distance = i64::try_from(distance).unwrap_or(0);
        self.prices = (
            self.prices.0.saturating_add(distance),
            self.prices.1.saturating_add(1),
        );
    }

    /// The least demand factor that a counter-offer gets behind so much waiting engine time: a busy engine concedes nothing,
    /// one that has been idle for the whole step up to half.
    pub fn concession(&self, busy: bool, waiting_ms: u64) -> u32 {
        let target_ms = DEMAND_STEP_MS / 2;
        let idle_ms = match busy {
            true => 0,
            false => target_ms.saturating_sub(self.busy_ms.saturating_add(self.missed_ms)),
        };
        let conceded = u64::from(self.multiplier / 2) * idle_ms / target_ms;
        let floor = u64::from(self.multiplier) - conceded;
        tolled(u32::try_from(floor).unwrap_or(self.multiplier), waiting_ms)
    }

    /// When the current step ends.
    pub fn step_ends(&self) -> Timestamp {
        self.step_began.plus_ms(DEMAND_STEP_MS)
    }

    /// Ends every step that is over. `share` is the part of the engine that is lent, in thousandths. Returns whether the
    /// factor moved.
    pub fn advance(&mut self, now: Timestamp, share: u32) -> bool {
        let former = self.multiplier;
        let steps = (now.ms_since(self.step_began) / DEMAND_STEP_MS).min(STEPS_MAX);
        for _ in 0..steps {
            let signal = (self.use_signal(share) + self.prices_signal() / PRICES_DIVISOR).clamp(-ONE, ONE);
            let divisor = match signal > 0 && self.multiplier >= PPM {
                true => SCARCE_STEP_DIVISOR,
                false => STEP_DIVISOR,
            };
            let change = i64::from(self.multiplier) * signal / ONE / divisor;
            let next = i64::from(self.multiplier) + change;
            let (min, max) = (i64::from(DEMAND_BOUNDS.min), i64::from(DEMAND_BOUNDS.max));
            self.multiplier = u32::try_from(next.clamp(min, max)).unwrap_or(PPM);
            (self.busy_ms, self.missed_ms, self.prices) = (0, 0, (0, 0));
        }
        if steps > 0 {
            self.step_began = now;
        }
        self.multiplier != former
    }

    /// How far the use of what is lent is from the target, as a part of what lies beyond it on that side, parts per million.
    fn use_signal(&self, share: u32) -> i64 {
        let lent_ms = (DEMAND_STEP_MS * u64::from(share.clamp(10, 1_000)) / 1_000).max(1);
        let asked_ms = self.busy_ms.saturating_add(self.missed_ms).min(lent_ms);
        let used = i64::try_from(asked_ms * u64::from(PPM) / lent_ms).unwrap_or(ONE);
        let target = match self.multiplier > PPM {
            true => TARGETS.1,
            false => TARGETS.0,
        };
        match used >= target {
            true => (used - target) * ONE / (ONE - target),
            false => (used - target) * ONE / target,
        }
    }

    fn prices_signal(&self) -> i64 {
        match self.prices {
            (_, 0) => 0,
            (sum, count) => sum / count,
        }
    }
}

/// A multiplier with the toll on so much waiting engine time.
fn tolled(multiplier: u32, waiting_ms: u64) -> u32 {
    let waiting = u128::from(waiting_ms.min(TOLL_MS * 16));
    let square = u128::from(TOLL_MS).pow(2);
    let tolled = u128::from(multiplier) * (square + waiting.pow(2)) / square;
    u32::try_from(tolled)
        .unwrap_or(u32::MAX)
        .clamp(DEMAND_BOUNDS.min, DEMAND_BOUNDS.max)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn stepped(change: impl Fn(&mut DemandController)) -> u32 {
        let mut demand = DemandController::new(Timestamp(0));
        change(&mut demand);
        demand.advance(Timestamp(DEMAND_STEP_MS), 1_000);
        demand.multiplier()
    }

    #[test]
    fn demand_follows_use_within_bounds() {
        assert_eq!(stepped(|demand| demand.worked(10_000)), 1_062_500);
        assert_eq!(stepped(|demand| demand.worked(5_000)), PPM);
        assert_eq!(stepped(|_| {}), 875_000);
        assert_eq!(stepped(|demand| demand.turned_away(10_000)), 1_062_500);
        let mut demand = DemandController::new(Timestamp(0));
        for step in 1..60 {
            demand.turned_away(u64::MAX);
            demand.advance(Timestamp(step * DEMAND_STEP_MS), 500);
        }
        assert_eq!(demand.multiplier(), DEMAND_BOUNDS.max);
        demand.advance(Timestamp(100_000_000), 500);
        assert_eq!(demand.multiplier(), DEMAND_BOUNDS.min);
    }

    #[test]
    fn prices_seen_weigh_a_quarter_and_never_turn_the_step() {
        let seen = |price| {
            move |demand: &mut DemandController| demand.price_seen(Millicredits(100), Millicredits(price))
        };
        // Idle: down by an eighth; others at double: three quarters of that; others at half: no further than an eighth.
        assert_eq!(stepped(seen(200)), 906_250);
        assert_eq!(stepped(seen(1_000_000)), 906_250);
        assert_eq!(stepped(seen(50)), 875_000);
        let half_used = |price| {
            stepped(move |demand| {
                demand.worked(5_000);
                demand.price_seen(Millicredits(100), Millicredits(price));
            })
        };
        assert_eq!(
            [half_used(0), half_used(100), half_used(200)],
            [968_750, PPM, 1_015_625]
        );
        assert_eq!(
            stepped(|demand| demand.price_seen(Millicredits(0), Millicredits(i64::MAX))),
            906_250
        );
    }

    #[test]
    fn the_toll_follows_the_queue_at_once() {
        let demand = DemandController::new(Timestamp(0));
        let behind = |waiting_ms| demand.multiplier_behind(waiting_ms);
        assert_eq!(
            (behind(0), behind(TOLL_MS), behind(3 * TOLL_MS)),
            (PPM, 2 * PPM, 10 * PPM)
        );
        assert!(behind(TOLL_MS / 4) < PPM * 11 / 10);
        assert_eq!(behind(u64::MAX), DEMAND_BOUNDS.max);
        // A counter-offer does not get past the queue either.
        assert_eq!(demand.concession(true, TOLL_MS), 2 * PPM);
    }

    #[test]
    fn scarcity_is_paid_for_only_while_there_is_scarcity() {
        let mut demand = DemandController::new(Timestamp(0));
        let mut now = 0;
        let mut step = |used: u32| {
            now += DEMAND_STEP_MS;
            demand.worked(used);
            demand.advance(Timestamp(now), 1_000);
            demand.multiplier()
        };
        let rush = (0..10).fold(0, |_, _| step(10_000));
        // Three quarters used: nobody is turned away, so there is no reason to ask so much.
        let after = step(7_500);
        assert!(after < rush, "{after} {rush}");
        let later = (0..60).fold(0, |_, _| step(7_500));
        assert!(later.abs_diff(PPM) < PPM / 8, "{later}");
    }

    #[test]
    fn an_idle_engine_concedes_and_a_busy_one_does_not() {
        let mut demand = DemandController::new(Timestamp(0));
        assert_eq!(demand.concession(false, 0), PPM / 2);
        assert_eq!(demand.concession(true, 0), PPM);
        demand.worked(2_500);
        assert_eq!(demand.concession(false, 0), PPM * 3 / 4);
        demand.turned_away(10_000);
        assert_eq!(demand.concession(false, 0), PPM);
    }

    #[test]
    fn a_crowd_that_leaves_takes_the_price_with_it() {
        let mut demand = DemandController::new(Timestamp(0));
        let mut now = 0;
        let mut step = |demand: &mut DemandController, used: u32| {
            now += DEMAND_STEP_MS;
            demand.worked(used);
            demand.advance(Timestamp(now), 1_000);
            demand.multiplier()
        };
        let quiet = (0..20).fold(0, |_, _| step(&mut demand, 5_000));
        let crowd = (0..48).fold(0, |_, _| step(&mut demand, 10_000));
        let after = (0..20).fold(0, |_, _| step(&mut demand, 4_000));
        assert_eq!((quiet, crowd), (PPM, DEMAND_BOUNDS.max));
        assert!(after < 4 * PPM, "{after}");
        // 6.8 % a step at less than half of the target of those who are scarce: back at 1 within ten minutes.
        let later = (0..60).fold(0, |_, _| step(&mut demand, 4_000));
        assert!(later < PPM);
    }
}
