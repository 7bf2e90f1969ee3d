//! The market table: its order, and what each factor adds to a price.

use std::cmp::Ordering;

use node_proto::order;
use node_proto::price::Factors;
use node_proto::view::{OfferView, PeerView};

/// One in parts per million.
const ONE_PPM: i128 = 1_000_000;

/// What each factor contributes to a price, in millicredits: the base, then how much each of the others adds to it (or
/// takes away). The four add up to the product, so that they can be drawn as one bar.
pub fn contributions(factors: &Factors) -> [i64; 4] {
    let mut price = i128::from(factors.base_cost);
    let mut parts = [factors.base_cost, 0, 0, 0];
    let multipliers = [
        factors.quality_multiplier,
        factors.market_demand,
        factors.reputation_factor,
    ];
    for (part, ppm) in parts[1..].iter_mut().zip(multipliers) {
        let next = price.saturating_mul(i128::from(ppm)) / ONE_PPM;
        *part = i64::try_from(next - price).unwrap_or(if next > price { i64::MAX } else { i64::MIN });
        price = next;
    }
    parts
}

/// A column of the table by which it can be ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// Peer id.
    Provider,
    /// Service and model.
    Service,
    /// Price of one unit.
    #[default]
    Price,
    /// Claimed speed.
    Speed,
    /// Measured round trip.
    RoundTrip,
    /// Lower bound of the reputation.
    Reputation,
}

/// An offer beside what is known of who makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The offer.
    pub offer: OfferView,
    /// Its provider; `None` when this node has never met it, and for its own offers.
    pub peer: Option<PeerView>,
}

impl Row {
    fn rtt_ms(&self) -> Option<u32> {
        self.peer.as_ref().and_then(|peer| peer.rtt_ms)
    }
}

/// Joins offers with peers.
pub fn rows(offers: &[OfferView], peers: &[PeerView]) -> Vec<Row> {
    let peer = |offer: &OfferView| peers.iter().find(|peer| peer.id == offer.provider).cloned();
    offers
        .iter()
        .map(|offer| Row {
            offer: offer.clone(),
            peer: peer(offer),
        })
        .collect()
}

/// The rows in order. Unknown values come last whichever way the column is ordered; ties keep the provider's order.
pub fn sorted(rows: &[Row], column: Column, descending: bool) -> Vec<Row> {
    order::sorted(rows, |a, b| {
        let order = match column {
            Column::Provider => directed(a.offer.provider.cmp(&b.offer.provider), descending),
            Column::Service => {
                let key = |row: &Row| (row.offer.service, row.offer.model_name.clone());
                directed(key(a).cmp(&key(b)), descending)
            }
            Column::Price => directed(a.offer.unit_price.cmp(&b.offer.unit_price), descending),
            Column::Speed => known_first(a.offer.unit_ms, b.offer.unit_ms, descending),
            Column::RoundTrip => known_first(a.rtt_ms(), b.rtt_ms(), descending),
            Column::Reputation => {
                let lower = |row: &Row| row.peer.as_ref().map_or(0.0, |peer| peer.reputation.lower);
                directed(lower(a).total_cmp(&lower(b)), descending)
            }
        };
        order.then_with(|| a.offer.provider.cmp(&b.offer.provider))
    })
}

fn directed(order: Ordering, descending: bool) -> Ordering {
    if descending { order.reverse() } else { order }
}

fn known_first<T: Ord>(a: Option<T>, b: Option<T>, descending: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => directed(a.cmp(&b), descending),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use node_proto::ids::{Millicredits, NodeId};
    use node_proto::service::Service;

    use super::*;

    fn factors(base_cost: i64, multipliers: [u32; 3]) -> Factors {
        let [quality_multiplier, market_demand, reputation_factor] = multipliers;
        Factors {
            base_cost,
            quality_multiplier,
            market_demand,
            reputation_factor,
        }
    }

    fn row(id: u8, price: i64, unit_ms: Option<u32>) -> Row {
        let offer = OfferView {
            provider: NodeId([id; 32]),
            mine: false,
            service: Service::Inference,
            model: None,
            model_name: None,
            unit_price: Millicredits(price),
            factors: factors(price, [1_000_000; 3]),
            capacity: 1,
            unit_ms,
            age_ms: 0,
        };
        Row { offer, peer: None }
    }

    #[test]
    fn the_parts_add_up_to_the_price() {
        let parts = contributions(&factors(1_000, [1_200_000, 1_500_000, 900_000]));
        assert_eq!(parts, [1_000, 200, 600, -180]);
        assert_eq!(parts.iter().sum::<i64>(), 1_620);
        let huge = contributions(&factors(i64::MAX, [u32::MAX; 3]));
        assert_eq!(huge[1], i64::MAX);
    }

    #[test]
    fn unknown_is_last_both_ways() {
        let rows = [row(1, 5, None), row(2, 5, Some(9)), row(3, 5, Some(3))];
        let ids = |rows: &[Row]| rows.iter().map(|row| row.offer.provider.0[0]).collect::<Vec<_>>();
        assert_eq!(ids(&sorted(&rows, Column::Speed, false)), [3, 2, 1]);
        assert_eq!(ids(&sorted(&rows, Column::Speed, true)), [2, 3, 1]);
    }

    #[test]
    fn equal_prices_keep_a_stable_order() {
        let rows = [row(3, 5, None), row(1, 5, None), row(2, 4, None)];
        assert_eq!(
            sorted(&rows, Column::Price, false)
                .iter()
                .map(|row| row.offer.provider.0[0])
                .collect::<Vec<_>>(),
            [2, 1, 3]
        );
    }
}
