//! What the streams of one connection share: memory, in both directions.
//!
//! A data channel tells a sender how much its own browser still holds, and nothing about the reader at the other end:
//! a page receives whatever comes. So each stream has a receive window, as in yamux. The remote starts with the same
//! small window on every stream; a reader that has consumed half of it grants that much again, and the window grows
//! while there is memory to spare. Windows are announced in the session descriptions (see [`crate::sdp`]) and used when
//! both sides announce them. A remote that does not know them is held to a limit instead, and reset beyond it.
//!
//! ```text
//! receive_bytes_max ┬ half: reserved, streams_max × initial window
//!                   └ half: spare, for windows that grow (each up to WINDOW_BYTES_MAX)
//! send_bytes_max    ─ shared evenly by the streams that are open, half for frames under construction
//! ```
//!
//! Whatever a remote does, all streams of a connection together never hold more than `receive_bytes_max`.

use super::frame::LARGE_FRAME_BYTES_MAX;

/// The largest window of one stream: half of it, after which the reader grants more, is what a fast connection (10 MiB/s)
/// carries while a busy page takes 200 ms to answer.
pub(crate) const WINDOW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The least that a stream may hold for sending, so that no division makes it useless.
const SEND_SHARE_BYTES_MIN: usize = 4 * 1024;

/// Limits of one connection, from [`Config`](crate::Config).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) streams_max: usize,
    pub(crate) receive_bytes_max: usize,
    pub(crate) send_bytes_max: usize,
    pub(crate) stream_send_bytes_max: usize,
}

impl Limits {
    /// The window that every stream starts with.
    pub(crate) fn initial_window_bytes(&self) -> usize {
        (self.receive_bytes_max / 2 / self.streams_max.max(1)).min(WINDOW_BYTES_MAX)
    }
}

/// The account of one connection.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    streams: usize,
    held_bytes: usize,
    spare_bytes: usize,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            streams: 0,
            held_bytes: 0,
            spare_bytes: Self::spare_bytes_max(&limits),
        }
    }

    /// A message is held with its frame's header until it is taken apart; that much stays free.
    fn spare_bytes_max(limits: &Limits) -> usize {
        (limits.receive_bytes_max / 2).saturating_sub(LARGE_FRAME_BYTES_MAX)
    }

    /// Counts a stream in.
    pub(crate) fn open(&mut self) {
        self.streams += 1;
    }

    /// Counts a stream out.
    pub(crate) fn close(&mut self) {
        self.streams = self.streams.saturating_sub(1);
    }

    /// How many streams stand or linger.
    pub(crate) fn streams(&self) -> usize {
        self.streams
    }

    /// What one stream may hold for sending now: in the browser, and once more in the frame under construction.
    pub(crate) fn send_share_bytes(&self) -> usize {
        let share = self.limits.send_bytes_max / 2 / self.streams.max(1);
        share
            .min(self.limits.stream_send_bytes_max)
            .max(SEND_SHARE_BYTES_MIN)
    }

    /// Takes memory for received bytes, if there is enough.
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        let held = self.held_bytes.saturating_add(bytes);
        let fits = held <= self.limits.receive_bytes_max;
        if fits {
            self.held_bytes = held;
        }
        fits
    }

    /// Gives memory back.
    pub(crate) fn let_go(&mut self, bytes: usize) {
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
    }

    fn take_spare(&mut self, bytes: usize) -> bool {
        let enough = bytes <= self.spare_bytes;
        if enough {
            self.spare_bytes -= bytes;
        }
        enough
    }

    fn return_spare(&mut self, bytes: usize) {
        self.spare_bytes += bytes;
    }
}

/// How much the remote may send on one stream before we have read.
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    initial_bytes: usize,
    size_bytes: usize,
    /// Granted and not received yet.
    outstanding_bytes: usize,
    /// Read and not granted again yet.
    consumed_bytes: usize,
}

impl ReceiveWindow {
    pub(crate) fn new(initial_bytes: usize) -> Self {
        Self {
            initial_bytes,
            size_bytes: initial_bytes,
            outstanding_bytes: initial_bytes,
            consumed_bytes: 0,
        }
    }

    /// Counts received bytes; `false` when the remote sent more than it was granted.
    pub(crate) fn receive(&mut self, bytes: usize) -> bool {
        let left = self.outstanding_bytes.checked_sub(bytes);
        self.outstanding_bytes = left.unwrap_or(0);
        left.is_some()
    }

    /// Counts bytes that were read.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.consumed_bytes += bytes;
    }

    /// What to grant to the remote now, if it is worth a message.
    pub(crate) fn grant(&mut self, budget: &mut Budget) -> Option<u32> {
        if self.consumed_bytes == 0 || self.consumed_bytes < self.size_bytes / 2 {
            return None;
        }
        let growth = self
            .size_bytes
            .min(WINDOW_BYTES_MAX.saturating_sub(self.size_bytes));
        let growth = if budget.take_spare(growth) { growth } else { 0 };
        let granted = self.consumed_bytes + growth;
        self.size_bytes += growth;
        self.outstanding_bytes += granted;
        self.consumed_bytes = 0;
        // A window is at most WINDOW_BYTES_MAX.
        u32::try_from(granted).ok()
    }

    /// The stream is over.
    pub(crate) fn release(&mut self, budget: &mut Budget) {
        budget.return_spare(self.size_bytes - self.initial_bytes);
        self.size_bytes = self.initial_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        streams_max: 256,
        receive_bytes_max: 10 * 1024 * 1024,
        send_bytes_max: 6 * 1024 * 1024,
        stream_send_bytes_max: 1024 * 1024,
    };

    #[test]
    fn every_window_together_fits_into_the_memory_that_there_is() {
        let mut budget = Budget::new(LIMITS);
        let initial = LIMITS.initial_window_bytes();
        let mut windows: Vec<ReceiveWindow> = (0..LIMITS.streams_max)
            .map(|_| ReceiveWindow::new(initial))
            .collect();
        for _ in 0..20 {
            for window in &mut windows {
                let bytes = window.outstanding_bytes;
                assert!(window.receive(bytes));
                window.consume(bytes);
                window.grant(&mut budget);
            }
        }
        let granted: usize = windows.iter().map(|window| window.outstanding_bytes).sum();
        assert!(granted <= LIMITS.receive_bytes_max, "{granted}");
        assert!(windows[0].size_bytes > initial);
        for window in &mut windows {
            window.release(&mut budget);
        }
        assert_eq!(budget.spare_bytes, Budget::spare_bytes_max(&LIMITS));
    }

    #[test]
    fn a_remote_that_sends_more_than_it_was_granted_is_noticed() {
        let mut window = ReceiveWindow::new(100);
        assert!(window.receive(100));
        assert!(!window.receive(1));
    }

    #[test]
    fn what_was_not_read_is_not_granted_again() {
        let mut budget = Budget::new(Limits {
            receive_bytes_max: 0,
            ..LIMITS
        });
        let mut window = ReceiveWindow::new(100);
        assert!(window.receive(100));
        assert_eq!(window.grant(&mut budget), None);
        window.consume(49);
        assert_eq!(window.grant(&mut budget), None);
        window.consume(1);
        assert_eq!(window.grant(&mut budget), Some(50));
        assert!(window.receive(50) && !window.receive(1));
    }

    #[test]
    fn what_all_streams_hold_for_sending_is_bounded() {
        let mut budget = Budget::new(LIMITS);
        assert_eq!(budget.send_share_bytes(), LIMITS.stream_send_bytes_max);
        for _ in 0..LIMITS.streams_max {
            budget.open();
        }
        assert!(budget.send_share_bytes() * 2 * LIMITS.streams_max <= LIMITS.send_bytes_max);
        budget.close();
        assert_eq!(budget.streams(), LIMITS.streams_max - 1);
    }

    #[test]
    fn held_memory_has_an_end() {
        let mut budget = Budget::new(LIMITS);
        assert!(budget.hold(LIMITS.receive_bytes_max));
        assert!(!budget.hold(1));
        budget.let_go(1);
        assert!(budget.hold(1));
    }
}
