//! Who asked how often.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use super::{BURST, NETWORKS_MAX, SECONDS_PER_DRAW};
use crate::limits::{Rate, TokenBucket};

/// Bits of an IPv6 address that one customer has at most.
const CUSTOMER_BITS: u32 = 48;

/// Addresses that are taken for one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Network(IpAddr);

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let kept = address.to_bits() >> (u128::BITS - CUSTOMER_BITS) << (u128::BITS - CUSTOMER_BITS);
                IpAddr::V6(kept.into())
            }
            address => address,
        })
    }

    pub(super) fn bytes(self) -> [u8; 16] {
        match self.0 {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        }
    }
}

/// A bucket for each network that asked lately.
#[derive(Debug, Default)]
pub(super) struct Callers(Mutex<BTreeMap<Network, TokenBucket>>);

impl Callers {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Counts a draw, or refuses it.
    pub(super) fn admit(&self, network: Network, now: Instant) -> bool {
        let rate = Rate {
            per_second: 1.0 / f64::from(SECONDS_PER_DRAW),
            burst: f64::from(BURST),
        };
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= NETWORKS_MAX && !buckets.contains_key(&network) {
            let oldest = buckets.iter().min_by_key(|(_, bucket)| bucket.filled_at());
            if let Some(oldest) = oldest.map(|(network, _)| *network) {
                buckets.remove(&oldest);
            }
        }
        buckets
            .entry(network)
            .or_insert_with(|| TokenBucket::new(rate, now))
            .take(rate, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_full_table_forgets_who_asked_least_recently() {
        let callers = Callers::new();
        let now = Instant::now();
        let network = |number: u32| Network::of(IpAddr::from(number.to_be_bytes()));
        let later = |ms: u64| now + Duration::from_millis(ms);
        for number in 0..NETWORKS_MAX as u32 {
            assert!(callers.admit(network(number), later(number.into())));
        }
        assert!(callers.admit(network(0), later(5_000)));
        assert!(callers.admit(network(u32::MAX), later(5_001)));
        let buckets = callers.0.lock().unwrap();
        assert_eq!(buckets.len(), NETWORKS_MAX);
        assert!(buckets.contains_key(&network(0)) && !buckets.contains_key(&network(1)));
    }

    #[test]
    fn an_address_written_in_the_other_family_is_the_same() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:ffff::"));
        assert_ne!(of("2001:db8:1::"), of("2001:db8:2::"));
    }
}
