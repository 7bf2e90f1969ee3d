//! The node's clock: the date when it started plus monotone time since, so that it never runs backwards when somebody
//! sets the machine's clock.

use node_proto::ids::Timestamp;

use crate::platform;

/// Reads the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Milliseconds since the Unix epoch at the page's time origin.
    origin_ms: f64,
    started: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let mut clock = Self {
            origin_ms: js_sys::Date::now() - platform::monotone_ms(),
            started: Timestamp::default(),
        };
        clock.started = clock.now();
        clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        // Dates are positive and far below 2^53, so the conversion keeps every millisecond.
        Timestamp((self.origin_ms + platform::monotone_ms()) as u64)
    }

    /// Since the node started.
    pub(crate) fn age_ms(&self) -> u64 {
        self.now().ms_since(self.started)
    }
}
