//! Whether engines are scarce at the moment, as far as this node's own questions tell.
//!
//! Every answer to a demand says something of it. A quote whose demand factor is at least twice that of the provider's offer, which is
//! the price where nobody waits, says yes, and so does a refusal because of others' work; any other quote says no. The answers are
//! averaged, the newest weighing a quarter, and engines count as scarce while the average is more than half: three answers in a row
//! show it, as many as a request gets in a crowd. A request asks several providers, so a single one that only says so shows nothing.

use crate::ids::Timestamp;
use crate::price::{Factors, PPM};
use crate::service::Failure;

/// A demand factor so many times that of the offer says that engines are scarce: three seconds of work wait, see
/// [`demand`](crate::price::demand).
const SCARCE_FACTOR: u32 = 2;
/// The newest answer weighs one part in so many.
const NEWEST_DIVISOR: u32 = 4;
/// What was heard so long ago says nothing any more, milliseconds.
const HEARD_MS: u64 = 30_000;

/// The average of what answers said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scarcity {
    /// Parts per million of them that said yes.
    level: u32,
    heard_at: Timestamp,
}

impl Scarcity {
    /// A provider quoted; its offer, where there is one, says what it asks in calm times, and is not believed to be more than usual.
    pub(super) fn quoted(&mut self, now: Timestamp, quoted: &Factors, offered: Option<&Factors>) {
        let calm = offered.map_or(PPM, |offered| offered.market_demand.min(PPM));
        self.heard(now, quoted.market_demand >= calm.saturating_mul(SCARCE_FACTOR));
    }

    /// A provider refused; most reasons say nothing of others' work.
    pub(super) fn refused(&mut self, now: Timestamp, reason: &Failure) {
        if matches!(reason, Failure::Busy | Failure::Deadline) {
            self.heard(now, true);
        }
    }

    /// Whether engines are scarce.
    pub(super) fn is_felt(&self, now: Timestamp) -> bool {
        self.level > PPM / 2 && now.ms_since(self.heard_at) < HEARD_MS
    }

    fn heard(&mut self, now: Timestamp, scarce: bool) {
        let said = if scarce { PPM } else { 0 };
        if now.ms_since(self.heard_at) >= HEARD_MS {
            self.level = 0;
        }
        self.level = self.level - self.level / NEWEST_DIVISOR + said / NEWEST_DIVISOR;
        self.heard_at = now;
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn three_answers_show_scarcity_and_one_liar_does_not() {
        let now = Timestamp(1_000);
        let mut scarcity = Scarcity::default();
        for reason in [Failure::Busy, Failure::Deadline] {
            scarcity.refused(now, &reason);
        }
        assert!(!scarcity.is_felt(now));
        scarcity.refused(now, &Failure::Busy);
        assert!(scarcity.is_felt(now) && !scarcity.is_felt(now.plus_ms(HEARD_MS)));
        let mut lied_to = Scarcity::default();
        for answer in 0..400 {
            lied_to.heard(now, answer % 4 == 0);
            lied_to.refused(now, &Failure::TooExpensive);
            assert!(!lied_to.is_felt(now));
        }
    }

    #[test]
    fn it_passes_with_the_answers() {
        let now = Timestamp(1_000);
        let mut scarcity = Scarcity::default();
        (0..100).for_each(|_| scarcity.heard(now, true));
        (0..2).for_each(|_| scarcity.heard(now, false));
        assert!(scarcity.is_felt(now));
        scarcity.heard(now, false);
        assert!(!scarcity.is_felt(now));
        (0..100).for_each(|_| scarcity.heard(now, true));
        scarcity.heard(now.plus_ms(HEARD_MS), true);
        assert!(!scarcity.is_felt(now.plus_ms(HEARD_MS)));
    }

    #[test]
    fn a_quote_is_held_against_its_offer() {
        let now = Timestamp(1_000);
        let factors = |market_demand| Factors {
            base_cost: 1,
            quality_multiplier: PPM,
            market_demand,
            reputation_factor: PPM,
        };
        let is_felt = |quoted, offered: Option<u32>| {
            let mut scarcity = Scarcity::default();
            let offered = offered.map(factors);
            (0..9).for_each(|_| scarcity.quoted(now, &factors(quoted), offered.as_ref()));
            scarcity.is_felt(now)
        };
        assert!(is_felt(PPM, Some(PPM / 2)) && !is_felt(PPM, Some(PPM)) && !is_felt(PPM, None));
        assert!(is_felt(2 * PPM, None) && is_felt(4 * PPM, Some(4 * PPM)));
    }
}
