//! Engine time that may be used: a token bucket (J. Turner, *New Directions in Communications*, IEEE Communications
//! Magazine 24(10), 1986). It fills with the lent share of real time, up to a burst; an activity is never cut short, so the
//! level may fall below zero, and then the next one waits until it is back.

use crate::ids::Timestamp;

/// The bucket, in thousandths of a millisecond.
pub(crate) struct Allowance {
    level: i64,
    at: Timestamp,
    burst: i64,
}

impl Allowance {
    /// Full.
    pub(crate) fn new(burst_ms: u32, now: Timestamp) -> Self {
        let burst = i64::from(burst_ms) * 1_000;
        Self {
            level: burst,
            at: now,
            burst,
        }
    }

    /// What may be used now. `share` is in thousandths.
    pub(crate) fn level(&self, now: Timestamp, share: u32) -> i64 {
        let waited = i64::try_from(now.ms_since(self.at)).unwrap_or(i64::MAX);
        let gained = waited.saturating_mul(share.into());
        self.level.saturating_add(gained).min(self.burst)
    }

    /// Takes what an activity used.
    pub(crate) fn spend(&mut self, now: Timestamp, ms: u32, share: u32) {
        self.level = self.level(now, share) - i64::from(ms) * 1_000;
        self.at = now;
    }

    /// When the level is above zero again; `None` when it is now.
    pub(crate) fn rested_at(&self, now: Timestamp, share: u32) -> Option<Timestamp> {
        let missing = -self.level(now, share);
        (missing >= 0).then(|| now.plus_ms((missing / i64::from(share.max(1)) + 1).unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_share_holds_after_a_burst() {
        let mut allowance = Allowance::new(1_000, Timestamp(0));
        assert_eq!(allowance.rested_at(Timestamp(0), 500), None);
        allowance.spend(Timestamp(0), 3_000, 500);
        assert_eq!(allowance.rested_at(Timestamp(0), 500), Some(Timestamp(4_001)));
        assert_eq!(allowance.rested_at(Timestamp(4_001), 500), None);
        allowance.spend(Timestamp(1_000_000), 500, 500);
        assert_eq!(allowance.rested_at(Timestamp(1_000_000), 500), None);
    }
}
