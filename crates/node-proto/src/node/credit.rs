//! Credit on the provider's side, with what is agreed and not yet paid: to strangers by the lines of
//! [`ledger`](crate::ledger), to members of a private group as the owner sets (`lines`).

use litemap::LiteMap;

use crate::ids::{Millicredits, NodeId};
use crate::ledger::CreditTerms;
use crate::node::Node;
use crate::view::CreditView;
use crate::wire::{Refusal, RefusalCode};

/// Receipts with a buyer from which on its verdicts weigh like an ordinary trade.
const HEARD_AFTER: usize = 10;

impl Node {
    /// Whether a peer may owe this much more.
    pub(super) fn credit_of(&self, peer: &NodeId, price: Millicredits) -> Result<(), Refusal> {
        let available = match self.group.is_open() {
            true => self.credit_left(peer),
            false => match self.lines.of(&self.config, peer) {
                None => return Ok(()),
                Some(line) => line.0.saturating_sub(self.owed_with_open(peer)),
            },
        };
        if price.0 <= available {
            return Ok(());
        }
        Err(Refusal {
            available: Some(available),
            required: Some(price.0),
            ..Refusal::new(RefusalCode::CreditLimit)
        })
    }

    /// What a member owes, with what is agreed or delivered and not paid.
    fn owed_with_open(&self, peer: &NodeId) -> i64 {
        let open = self.seller.open_prices().remove(peer).unwrap_or(0);
        self.ledger.exposure(peer).with_open(open).drawn()
    }

    /// Where a member of a private group stands, for its owner to see.
    pub(super) fn credit_view(&self, peer: &NodeId) -> CreditView {
        CreditView {
            owed: Millicredits(self.owed_with_open(peer)),
            line: self.lines.own(peer),
            limit: self.lines.of(&self.config, peer),
        }
    }

    /// How much more a stranger may owe.
    fn credit_left(&self, peer: &NodeId) -> i64 {
        let terms = self.credit_terms();
        let mut open = self.seller.open_prices();
        let theirs = self
            .ledger
            .exposure(peer)
            .with_open(open.remove(peer).unwrap_or(0));
        let owing = self.ledger.exposures().filter(|(other, _)| *other != peer);
        let on_trust = owing.map(|(other, exposure)| {
            let open = open.remove(other).unwrap_or(0);
            exposure.with_open(open).unsecured(&terms)
        });
        let known: i64 = on_trust.fold(0, i64::saturating_add);
        // Whoever is left has agreements and no receipts yet.
        let unknown = open.values().copied().fold(0, i64::saturating_add);
        theirs.available(known.saturating_add(unknown), &terms)
    }

    /// Work was delivered and is not paid: it counts against the buyer's credit from now on.
    pub(super) fn left_unpaid(&mut self, buyer: &NodeId, price: Millicredits) {
        let writes = self.ledger.claim(buyer, price.0);
        self.journal.commit(writes, []);
    }

    /// How much a buyer's verdict on this node's work weighs, in ordinary trades: nothing from somebody who never paid,
    /// so that keys made to slander move no price; all from [`HEARD_AFTER`] receipts on.
    pub(super) fn word_of(&self, buyer: &NodeId) -> f64 {
        let receipts = self.ledger.receipts_with(buyer, HEARD_AFTER).len();
        receipts as f64 / HEARD_AFTER as f64
    }

    fn credit_terms(&self) -> CreditTerms {
        CreditTerms {
            newcomer: self.config.stranger_pair_max,
            pool: self.config.stranger_pool_max,
            growth_ppm: self.config.stranger_growth_ppm,
            line: self.config.stranger_line_max,
        }
    }
}

/// Agreed prices that have not been paid, by buyer.
pub(super) type OpenPrices = LiteMap<NodeId, i64>;
