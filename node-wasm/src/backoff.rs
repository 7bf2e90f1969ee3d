//! When to try again: doubling waits with a random part, so that a relay that comes back is not met by everyone at once.

/// Longest wait, milliseconds: a relay that returns has all its tabs back within ten seconds, and a thousand tabs come
/// back spread over a few.
pub(crate) const WAIT_MS_MAX: u32 = 4_000;
/// Shortest wait, milliseconds.
const WAIT_MS_MIN: u32 = 500;

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Which attempt comes next; the first one is 1.
    pub(crate) fn attempt(self) -> u32 {
        self.failures.saturating_add(1)
    }

    /// Starts over.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How long to wait, in milliseconds: between half and all of the doubled wait, by `dice`.
    pub(crate) fn failed(&mut self, dice: u32) -> u32 {
        let doubled = WAIT_MS_MIN
            .saturating_mul(1 << self.failures.min(16))
            .min(WAIT_MS_MAX);
        self.failures = self.failures.saturating_add(1);
        doubled / 2 + dice % (doubled / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_start_over() {
        let mut backoff = Backoff::default();
        let longest: Vec<u32> = (0..9).map(|_| backoff.failed(u32::MAX - 1)).collect();
        assert!(longest.iter().all(|&wait| wait <= WAIT_MS_MAX));
        for _ in 0..100 {
            assert!(backoff.failed(0) >= WAIT_MS_MAX / 2);
        }
        assert_eq!(backoff.attempt(), 110);
        backoff.succeeded();
        assert!(backoff.failed(7) <= WAIT_MS_MIN);
    }
}
