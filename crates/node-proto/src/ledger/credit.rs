//! How much a stranger may owe.
//!
//! Credit between strangers is bounded twice, by numbers that one side alone can check: its own receipts.
//!
//! ```text
//! secured(p)   = min(growth × given(p), line)          what p may owe because it worked for this node
//! unsecured(p) = max(0, owed(p) − secured(p))          what p owes on nothing but trust
//!
//! owed(p)             ≤ min(newcomer + secured(p), line)     the pair's cap; it grows with standing
//! Σ over p unsecured(p) ≤ pool                               everyone without standing draws on one pool
//! ```
//!
//! `given(p)` is what this node paid p over fully signed receipts. So a peer can earn a longer line only by doing work that
//! this node accepted, a new key is worth nothing, and **all** free riders, whitewashers and newcomers together never owe
//! a provider more than its pool, however many keys they use: a debt that is left behind stays in the sum. What a
//! defector takes in the end is at most the newcomer's line and what it has itself given (times the growth): the bound of
//! pairwise reciprocity that BitTorrent's tit-for-tat and Ripple's trust lines also rest on.
//!
//! Agreements that are signed but not yet paid count as owed, so that opening many at once gains nothing. So does work that
//! was delivered and then rejected or left unpaid, across restarts: taking results and calling them wrong draws on the same
//! line and the same pool, and ends when they are used up. An honest buyer loses that much credit at a provider whose work
//! it refuses; it is served elsewhere.

use crate::ids::Millicredits;

/// The limits, from the node's configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreditTerms {
    /// What a stranger may owe that has given nothing.
    pub(crate) newcomer: Millicredits,
    /// What all together may owe beyond what their own work covers.
    pub(crate) pool: Millicredits,
    /// Parts per million of what a peer gave that it may owe on top.
    pub(crate) growth_ppm: u32,
    /// What nobody may owe more than.
    pub(crate) line: Millicredits,
}

/// Where this node stands with one counterparty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exposure {
    /// What the counterparty owes; negative when this node does.
    pub(crate) owed: i64,
    /// What the counterparty was paid for its work, over fully signed receipts.
    pub(crate) given: i64,
    /// What was delivered to it and never paid.
    pub(crate) unpaid: i64,
}

impl Exposure {
    /// With an agreement that is not paid yet.
    pub(crate) fn with_open(self, price: i64) -> Self {
        Self {
            unpaid: self.unpaid.saturating_add(price),
            ..self
        }
    }

    /// What it owes beyond what its own work covers.
    pub(crate) fn unsecured(&self, terms: &CreditTerms) -> i64 {
        self.drawn().saturating_sub(self.secured(terms)).max(0)
    }

    /// How much more it may owe, when all others together owe `unsecured_others` on trust. Negative when it owes too much
    /// already.
    pub(crate) fn available(&self, unsecured_others: i64, terms: &CreditTerms) -> i64 {
        let secured = self.secured(terms);
        let pair = terms.newcomer.0.saturating_add(secured).min(terms.line.0);
        let pool = terms
            .pool
            .0
            .saturating_sub(unsecured_others)
            .saturating_add(secured);
        pair.min(pool).saturating_sub(self.drawn())
    }

    /// What counts against its line.
    pub(crate) fn drawn(&self) -> i64 {
        self.owed.saturating_add(self.unpaid)
    }

    fn secured(&self, terms: &CreditTerms) -> i64 {
        let grown = i128::from(self.given.max(0)) * i128::from(terms.growth_ppm) / 1_000_000;
        i64::try_from(grown).unwrap_or(i64::MAX).min(terms.line.0)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const TERMS: CreditTerms = CreditTerms {
        newcomer: Millicredits(10),
        pool: Millicredits(25),
        growth_ppm: 500_000,
        line: Millicredits(100),
    };

    fn exposure(owed: i64, given: i64) -> Exposure {
        Exposure {
            owed,
            given,
            unpaid: 0,
        }
    }

    #[test]
    fn the_line_grows_with_what_was_given_up_to_its_limit() {
        assert_eq!(exposure(0, 0).available(0, &TERMS), 10);
        assert_eq!(exposure(4, 0).available(0, &TERMS), 6);
        assert_eq!(exposure(-30, 30).available(0, &TERMS), 55);
        assert_eq!(exposure(0, 1_000_000).available(0, &TERMS), 100);
        assert_eq!(exposure(12, 0).available(0, &TERMS), -2);
        assert_eq!(exposure(i64::MAX, 0).available(0, &TERMS), 10 - i64::MAX);
    }

    #[test]
    fn newcomers_share_one_pool_and_work_takes_a_peer_out_of_it() {
        let newcomers = [exposure(10, 0), exposure(10, 0), exposure(5, 0)];
        let used: i64 = newcomers.iter().map(|newcomer| newcomer.unsecured(&TERMS)).sum();
        assert_eq!(used, 25);
        assert_eq!(exposure(0, 0).available(used, &TERMS), 0);
        // One millicredit of work does not take a debt out of the pool, covering it does.
        assert_eq!(exposure(10, 2).unsecured(&TERMS), 9);
        assert_eq!(exposure(10, 20).unsecured(&TERMS), 0);
        assert_eq!(exposure(0, 20).available(used, &TERMS), 10);
    }

    #[test]
    fn what_was_never_paid_counts_like_a_debt() {
        let rejecting = exposure(4, 0).with_open(5);
        assert_eq!(
            (rejecting.available(0, &TERMS), rejecting.unsecured(&TERMS)),
            (1, 9)
        );
    }
}
