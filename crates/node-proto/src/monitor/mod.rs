//! The resource monitor: what this device gives to others, who gets it, and why not more.
//!
//! A person who lends a machine stays in charge, and the tab must not suffer. So one object owns every budget:
//!
//! | budget | bound | kept by |
//! | --- | --- | --- |
//! | engine time | the share of the [`LendPolicy`], with a burst | [`Allowance`], a token bucket |
//! | memory of waiting inputs | a sixteenth of what policy and tier allow engines | [`Monitor::admit`] |
//! | places in the queue | [`queue_max`](crate::Config::queue_max), shared out among the requesters | [`Monitor::admit`] |
//! | the order of work | the earliest promise first, and promises as fair as turns are | [`Queue`] |
//!
//! Work passes three gates, each of which may stop it with a reason:
//!
//! ```text
//! demand ──admit──▶ agreed ──admit──▶ queued ──next──▶ running
//!    └ Denied          └ Denied          └ shed: lending is paused, or nobody waits for the result any more
//! ```
//!
//! **Policies.** Lending pauses on battery, on a metered connection and, on phones, in the background, as the person chose;
//! and when storage fails, no model runs or nobody can be reached. What has begun is finished, what only waits is shed when
//! the reason is one that lasts ([`Monitor::sheds`]): its buyer has a backup, and the battery has not.

mod allowance;
mod queue;

use crate::capability::{Environment, LendPolicy, PauseReason, Tier};
use crate::config::Config;
use crate::ids::{AgreementId, NodeId, Timestamp};
use crate::wire::{Refusal, RefusalCode};

pub(crate) use allowance::Allowance;
pub(crate) use queue::{Engine, Fitting, Queue};

/// Inputs that wait may use this part of the memory that engines may use.
const INPUT_MEMORY_DIVISOR: u64 = 16;
/// Bytes of text that an estimated token stands for, see [`price::tokens`](crate::price::tokens).
const BYTES_PER_TOKEN: u64 = 4;

/// Whether the models can serve anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engines {
    /// No model is loaded.
    None,
    /// Models run, each slower than anyone would wait for.
    TooSlow,
    /// At least one is fast enough.
    Ready,
}

/// Agreed work whose input is on its way: it has its place in the queue already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// How many activities.
    pub(crate) places: usize,
    /// Their tokens.
    pub(crate) tokens: u32,
}

/// What the monitor cannot know by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Circumstances {
    pub(crate) storage_fails: bool,
    pub(crate) online: bool,
    pub(crate) engines: Engines,
}

/// Why work is not taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("lending is paused")]
    Paused,
    #[error("{waiting} activities wait already")]
    QueueFull { waiting: usize },
    #[error("others wait too: each requester has {share} places in the queue")]
    ShareUsed { share: usize },
    #[error("the waiting inputs use up the memory that is lent")]
    MemoryFull,
}

impl Denied {
    /// As it is told to the requester.
    pub(crate) fn to_refusal(self) -> Refusal {
        let code = match self {
            Self::Paused => RefusalCode::Paused,
            Self::QueueFull { .. } | Self::ShareUsed { .. } | Self::MemoryFull => RefusalCode::Busy,
        };
        Refusal::because(code, self.to_string())
    }
}

/// Owns the budgets. See the module's documentation.
pub(crate) struct Monitor {
    pub(crate) policy: LendPolicy,
    pub(crate) environment: Environment,
    pub(crate) queue: Queue<AgreementId>,
    allowance: Allowance,
    queue_max: usize,
}

impl Monitor {
    pub(crate) fn new(config: &Config, now: Timestamp) -> Self {
        Self {
            policy: LendPolicy::default(),
            environment: Environment::default(),
            queue: Queue::new(),
            allowance: Allowance::new(config.compute_burst_ms, now),
            queue_max: config.queue_max,
        }
    }

    /// Why lending is paused although it is on; the lasting reasons first.
    pub(crate) fn pause(&self, now: Timestamp, circumstances: &Circumstances) -> Option<PauseReason> {
        let (policy, environment) = (&self.policy, &self.environment);
        let reasons = [
            (circumstances.storage_fails, PauseReason::Storage),
            (
                policy.only_charging && environment.charging == Some(false),
                PauseReason::Battery,
            ),
            (
                policy.only_unmetered && environment.metered == Some(true),
                PauseReason::Metered,
            ),
            (environment.hidden && environment.mobile, PauseReason::Hidden),
            (circumstances.engines == Engines::None, PauseReason::NoModel),
            (circumstances.engines == Engines::TooSlow, PauseReason::TierTooLow),
            (!circumstances.online, PauseReason::Offline),
            (
                self.allowance.level(now, self.share()) <= 0,
                PauseReason::LimitReached,
            ),
        ];
        reasons
            .into_iter()
            .find(|(holds, _)| *holds)
            .map(|(_, reason)| reason)
    }

    /// Whether what waits is given back: lending was switched off, or is paused for a reason that lasts.
    pub(crate) fn sheds(&self, paused: Option<PauseReason>) -> bool {
        let lasts = matches!(
            paused,
            Some(PauseReason::Storage | PauseReason::Battery | PauseReason::Metered | PauseReason::Hidden)
        );
        !self.policy.enabled || lasts
    }

    /// Whether `requester` may add work of so many tokens to what waits and what holds a place.
    ///
    /// A requester that is alone may fill three quarters of the queue, so that there is room for a second one; among
    /// several each has an equal part.
    pub(crate) fn admit(
        &self,
        requester: &NodeId,
        tokens: u32,
        tier: Option<Tier>,
        held: Held,
    ) -> Result<(), Denied> {
        if !self.policy.enabled {
            return Err(Denied::Paused);
        }
        let waiting = self.queue.len() + held.places;
        if waiting >= self.queue_max {
            return Err(Denied::QueueFull { waiting });
        }
        let share = match self.queue.others(requester) {
            0 => self.queue_max * 3 / 4,
            others => self.queue_max / (others + 1),
        };
        let share = share.max(1);
        if self.queue.of(requester) >= share {
            return Err(Denied::ShareUsed { share });
        }
        let tokens = self.queue.cost() + u64::from(held.tokens) + u64::from(tokens);
        if tokens.saturating_mul(BYTES_PER_TOKEN) > self.memory_bytes(tier) / INPUT_MEMORY_DIVISOR {
            return Err(Denied::MemoryFull);
        }
        Ok(())
    }

    /// The next activity to run, when the compute share allows one.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<AgreementId> {
        match self.rested_at(now) {
            None => self.queue.pop(),
            Some(_) => None,
        }
    }

    /// Memory that engines may use: what the person set, within the tier's budget.
    pub(crate) fn memory_bytes(&self, tier: Option<Tier>) -> u64 {
        let tier_max = tier.map_or(u64::MAX, |tier| tier.budget().memory_bytes_max);
        self.policy.memory_bytes.min(tier_max)
    }

    /// Storage that others' data and models may use, likewise.
    pub(crate) fn storage_bytes(&self, tier: Option<Tier>) -> u64 {
        let tier_max = tier.map_or(u64::MAX, |tier| tier.budget().footprint_bytes_max);
        self.policy.storage_bytes.min(tier_max)
    }

    /// Counts engine time against the compute share.
    pub(crate) fn worked(&mut self, now: Timestamp, ms: u32) {
        let share = self.share();
        self.allowance.spend(now, ms, share);
    }

    /// When the compute share allows work again; `None` when it does now.
    pub(crate) fn rested_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.allowance.rested_at(now, self.share())
    }

    /// The share of the engine that is lent, in thousandths; at least one hundredth, so that every wait ends.
    pub(crate) fn share(&self) -> u32 {
        let share = self.policy.compute_share;
        let share = if share.is_finite() { share } else { 0.0 };
        (share.clamp(0.01, 1.0) * 1_000.0) as u32
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const READY: Circumstances = Circumstances {
        storage_fails: false,
        online: true,
        engines: Engines::Ready,
    };

    fn monitor() -> Monitor {
        let config = Config {
            queue_max: 8,
            ..Config::default()
        };
        let mut monitor = Monitor::new(&config, Timestamp(0));
        monitor.policy.enabled = true;
        monitor
    }

    fn work(number: u8) -> AgreementId {
        AgreementId([number; 32])
    }

    #[test]
    fn lending_pauses_as_the_person_chose() {
        let mut monitor = monitor();
        let pause = |monitor: &Monitor, circumstances| monitor.pause(Timestamp(0), &circumstances);
        assert_eq!(pause(&monitor, READY), None);
        monitor.environment = Environment {
            charging: Some(false),
            metered: Some(true),
            hidden: true,
            mobile: true,
        };
        assert_eq!(pause(&monitor, READY), Some(PauseReason::Battery));
        monitor.policy.only_charging = false;
        assert_eq!(pause(&monitor, READY), Some(PauseReason::Metered));
        monitor.policy.only_unmetered = false;
        assert_eq!(pause(&monitor, READY), Some(PauseReason::Hidden));
        monitor.environment.mobile = false;
        assert_eq!(
            pause(&monitor, READY),
            None,
            "a desktop goes on in the background"
        );
        let fails = Circumstances {
            storage_fails: true,
            ..READY
        };
        assert_eq!(pause(&monitor, fails), Some(PauseReason::Storage));
        let offline = Circumstances {
            online: false,
            ..READY
        };
        assert_eq!(pause(&monitor, offline), Some(PauseReason::Offline));
        monitor.worked(Timestamp(0), 70_000);
        assert_eq!(pause(&monitor, READY), Some(PauseReason::LimitReached));
    }

    #[test]
    fn only_reasons_that_last_shed_what_waits() {
        let mut monitor = monitor();
        for reason in [PauseReason::Battery, PauseReason::Metered, PauseReason::Hidden] {
            assert!(monitor.sheds(Some(reason)));
        }
        for reason in [
            PauseReason::LimitReached,
            PauseReason::Offline,
            PauseReason::NoModel,
        ] {
            assert!(!monitor.sheds(Some(reason)));
        }
        monitor.policy.enabled = false;
        assert!(monitor.sheds(None));
    }

    #[test]
    fn admission_says_why_not() {
        let (first, second) = (NodeId([1; 32]), NodeId([2; 32]));
        let mut monitor = monitor();
        for number in 0..6 {
            assert_eq!(monitor.admit(&first, 10, None, Held::default()), Ok(()));
            monitor.queue.push(first, work(number), 10, Timestamp(0));
        }
        assert_eq!(
            monitor.admit(&first, 10, None, Held::default()),
            Err(Denied::ShareUsed { share: 6 })
        );
        assert_eq!(monitor.admit(&second, 10, None, Held::default()), Ok(()));
        monitor.queue.push(second, work(6), 10, Timestamp(0));
        monitor.queue.push(second, work(7), 10, Timestamp(0));
        assert_eq!(
            monitor.admit(&second, 10, None, Held::default()),
            Err(Denied::QueueFull { waiting: 8 })
        );
        monitor.queue.pop();
        monitor.queue.pop();
        let held = Held {
            places: 2,
            tokens: 20,
        };
        assert_eq!(
            monitor.admit(&second, 10, None, held),
            Err(Denied::QueueFull { waiting: 8 }),
            "a place that is held is taken"
        );
        assert_eq!(
            monitor.admit(&second, 4_000_000, Some(Tier::Basic), Held::default()),
            Err(Denied::MemoryFull)
        );
        assert_eq!(
            monitor.admit(&second, 3_000_000, Some(Tier::Basic), Held::default()),
            Ok(()),
            "a sixteenth of 200 MB is 3.1 million tokens"
        );
        monitor.policy.enabled = false;
        let refusal = monitor
            .admit(&second, 1, None, Held::default())
            .unwrap_err()
            .to_refusal();
        assert_eq!(refusal.code, RefusalCode::Paused as u16);
    }

    #[test]
    fn the_tier_caps_what_the_person_set() {
        let monitor = monitor();
        assert_eq!(monitor.memory_bytes(Some(Tier::Basic)), 200_000_000);
        assert_eq!(monitor.memory_bytes(Some(Tier::Power)), 1 << 30);
        assert_eq!(monitor.storage_bytes(Some(Tier::Standard)), 200_000_000);
        assert_eq!(monitor.memory_bytes(None), 1 << 30);
    }
}
