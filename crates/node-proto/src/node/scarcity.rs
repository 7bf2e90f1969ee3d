//! Whether engines are scarce at the moment, as far as this node's own questions tell.
//!
//! Every answer to a demand says something of it. A quote whose demand factor is at least twice that of the provider's
//! offer, which is the price where nobody waits, says yes, and so does a refusal because of others' work; any other quote says no. The
//! answers are averaged, the newest weighing a quarter. Engines begin to count as scarce when more than half of at least three answers
//! say so: as many as a request gets in a crowd, and more than a single one that only says so. They count as scarce until no more than
//! a quarter do: in a crowd's market prices keep some engine free at any moment, and one free engine is not the end of the crowd.

use crate::ids::Timestamp;
use crate::price::{Factors, PPM};
use crate::service::Failure;

/// A demand factor so many times that of the offer says that engines are scarce: three seconds of work wait, see
/// [`demand`](crate::price::demand). With one and a half times so many checks are put off in ordinary times that colluders get more
/// jobs than are checked.
const SCARCE_FACTOR: u32 = 2;
/// So many answers at least show it.
const ANSWERS_MIN: u32 = 3;
/// The newest answer weighs one part in so many.
const NEWEST_DIVISOR: u32 = 4;
/// What was heard so long ago says nothing any more, milliseconds.
const HEARD_MS: u64 = 30_000;

/// The average of what answers said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scarcity {
    /// Parts per million of them that said yes.
    level: u32,
    /// Parts per million that they weigh together: less than a million after few.
    weight: u32,
    /// How many, as far as it matters.
    answers: u32,
    is_scarce: bool,
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
        self.is_scarce && now.ms_since(self.heard_at) < HEARD_MS
    }

    fn heard(&mut self, now: Timestamp, scarce: bool) {
        if now.ms_since(self.heard_at) >= HEARD_MS {
            *self = Self::default();
        }
        let newest = |average: u32, value: u32| average - average / NEWEST_DIVISOR + value / NEWEST_DIVISOR;
        self.level = newest(self.level, if scarce { PPM } else { 0 });
        self.weight = newest(self.weight, PPM);
        self.answers = (self.answers + 1).min(ANSWERS_MIN);
        self.is_scarce = match self.is_scarce {
            true => self.level > self.weight / 4,
            false => self.answers == ANSWERS_MIN && self.level > self.weight / 2,
        };
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
        // Nor does one in three keep it up.
        (0..100).for_each(|_| lied_to.heard(now, true));
        (0..30).for_each(|answer| lied_to.heard(now, answer % 3 == 0));
        assert!(!lied_to.is_felt(now));
    }

    #[test]
    fn a_few_answers_show_it_although_one_of_them_says_no() {
        let now = Timestamp(1_000);
        let mut scarcity = Scarcity::default();
        for (answer, is_felt) in [(true, false), (true, false), (false, true), (true, true)] {
            scarcity.heard(now, answer);
            assert_eq!(scarcity.is_felt(now), is_felt);
        }
    }

    #[test]
    fn it_passes_with_the_answers() {
        let now = Timestamp(1_000);
        let mut scarcity = Scarcity::default();
        (0..100).for_each(|_| scarcity.heard(now, true));
        (0..4).for_each(|_| scarcity.heard(now, false));
        assert!(scarcity.is_felt(now), "one free engine in four is not the end");
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
        assert!(is_felt(2 * PPM, None) && !is_felt(2 * PPM - 1, None) && is_felt(4 * PPM, Some(4 * PPM)));
    }
}
