//! How much one caller may have: a bucket of tokens per node or network, a number of connections per address.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often something may be had.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Over time.
    pub per_second: f64,
    /// At once.
    pub burst: f64,
}

const BURST_SECONDS: f64 = 5.0;

impl From<u32> for Rate {
    /// So many per second, and five seconds' worth at once.
    fn from(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            burst: per_second * BURST_SECONDS,
        }
    }
}

/// A token bucket.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    tokens: f64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate: impl Into<Rate>, now: Instant) -> Self {
        Self {
            tokens: rate.into().burst,
            filled_at: now,
        }
    }

    /// When it was last taken from.
    pub fn filled_at(&self) -> Instant {
        self.filled_at
    }

    /// Takes a token when there is one.
    pub fn take(&mut self, rate: impl Into<Rate>, now: Instant) -> bool {
        let rate = rate.into();
        let elapsed = now.saturating_duration_since(self.filled_at);
        self.tokens = (self.tokens + elapsed.as_secs_f64() * rate.per_second).min(rate.burst);
        self.filled_at = now;
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

/// Open connections, in total and per address. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct ConnectionCount {
    open: Arc<Mutex<Open>>,
    total_max: u32,
    per_ip_max: u32,
}

#[derive(Debug, Default)]
struct Open {
    total: u32,
    per_ip: BTreeMap<IpAddr, u32>,
}

impl ConnectionCount {
    /// Nothing open yet.
    pub fn new(total_max: u32, per_ip_max: u32) -> Self {
        Self {
            open: Arc::default(),
            total_max,
            per_ip_max,
        }
    }

    /// Counts a connection in until the permit is dropped, or refuses it. The table is as long as there are
    /// open connections, which `total_max` bounds.
    pub fn admit(&self, ip: IpAddr) -> Option<Permit> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let from_ip = open.per_ip.get(&ip).copied().unwrap_or(0);
        if open.total >= self.total_max || from_ip >= self.per_ip_max {
            return None;
        }
        open.total += 1;
        open.per_ip.insert(ip, from_ip + 1);
        Some(Permit {
            count: self.clone(),
            ip,
        })
    }
}

/// The right to keep one connection open.
#[derive(Debug)]
pub struct Permit {
    count: ConnectionCount,
    ip: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.count.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        match open.per_ip.get_mut(&self.ip) {
            Some(from_ip) if *from_ip > 1 => *from_ip -= 1,
            _ => drop(open.per_ip.remove(&self.ip)),
        }
    }
}

/// How long a caller may take for its request's head, and for a TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_rate_and_a_burst() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(2, start);
        assert_eq!((0..20).filter(|_| bucket.take(2, start)).count(), 10);
        let later = start + Duration::from_secs(3);
        assert_eq!((0..20).filter(|_| bucket.take(2, later)).count(), 6);
    }

    #[test]
    fn connections_are_counted_until_they_end() {
        let count = ConnectionCount::new(3, 2);
        let [a, b] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        let first = count.admit(a).unwrap();
        let _second = count.admit(a).unwrap();
        assert!(count.admit(a).is_none(), "one address has its share");
        let _third = count.admit(b).unwrap();
        assert!(count.admit(b).is_none(), "the relay is full");
        drop(first);
        assert!(count.admit(b).is_some());
        assert_eq!(count.open.lock().unwrap().per_ip.len(), 2);
    }
}
