//! The receiving side of one channel: frames in, data and answers out.
//!
//! Flags take effect when they arrive, not when someone reads, so that a writer is acknowledged and a reset is seen
//! even while the stream's owner is busy elsewhere. Grants of the remote's window arrive here too, which is why the
//! inbox knows how much may be sent.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, Read as _},
    rc::Rc,
};

use super::{
    budget::{Budget, ReceiveWindow},
    frame::{Flag, FrameDecoder, FrameError},
    state::State,
};

/// An empty buffer that is larger than this is given back.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Why this end reset a stream. A reader finds it inside the [`io::Error`] of kind `ConnectionReset`; when the remote reset
/// the stream or the connection is gone, there is nothing inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The remote broke the framing.
    #[error("bad frame: {0}")]
    Frame(#[from] FrameError),
    /// The remote sent more than its window.
    #[error("the peer sent more than it was granted")]
    NotGranted,
    /// The remote knows no windows and ran too far ahead of the reader.
    #[error("the reader lags too far behind")]
    Lagging,
    /// The remote sent text, which no libp2p stream does.
    #[error("text instead of bytes")]
    Text,
}

/// The windows that both sides start with on every stream, when both know of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) send_bytes: usize,
    pub(crate) receive_bytes: usize,
}

/// Receives the frames of one channel and keeps its [`State`].
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) state: State,
    broken: Option<StreamError>,
    is_unused: bool,
    decoder: FrameDecoder,
    data: VecDeque<u8>,
    budget: Rc<RefCell<Budget>>,
    /// What this inbox has taken of the budget.
    held_bytes: usize,
    held_bytes_max: usize,
    window: Option<ReceiveWindow>,
    /// What the remote still takes; without windows, as much as there is.
    credit_bytes: Option<usize>,
}

impl Inbox {
    pub(crate) fn new(budget: Rc<RefCell<Budget>>, held_bytes_max: usize, windows: Option<Windows>) -> Self {
        Self {
            state: State::default(),
            broken: None,
            is_unused: true,
            decoder: FrameDecoder::default(),
            data: VecDeque::new(),
            budget,
            held_bytes: 0,
            held_bytes_max,
            window: windows.map(|windows| ReceiveWindow::new(windows.receive_bytes)),
            credit_bytes: windows.map(|windows| windows.send_bytes),
        }
    }

    /// Whether no message has come yet.
    pub(crate) fn is_unused(&self) -> bool {
        self.is_unused
    }

    /// Takes one message of the channel, `len` bytes written by `fill`; returns the flags to answer with.
    ///
    /// A remote that breaks the framing, or outruns the reader by more than the limits, gets a reset.
    pub(crate) fn receive(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> Vec<Flag> {
        self.is_unused = false;
        let fits = self.held_bytes.saturating_add(len) <= self.held_bytes_max;
        if !(fits && self.budget.borrow_mut().hold(len)) {
            return self.reject(StreamError::Lagging);
        }
        self.held_bytes += len;
        self.decoder.extend_with(len, fill);
        let outcome = self.take_frames();
        // Headers, and data that nobody wants, are gone already.
        self.let_go_to(self.data.len() + self.decoder.pending_bytes());
        outcome.unwrap_or_else(|reason| self.reject(reason))
    }

    fn take_frames(&mut self) -> Result<Vec<Flag>, StreamError> {
        let mut answers = Vec::new();
        while let Some(frame) = self.decoder.next_frame()? {
            if self.state.wants_data() {
                let granted = self
                    .window
                    .as_mut()
                    .is_none_or(|window| window.receive(frame.payload.len()));
                if !granted {
                    return Err(StreamError::NotGranted);
                }
                self.data.extend(frame.payload.iter());
            }
            if let (Some(credit), Some(granted)) = (&mut self.credit_bytes, frame.granted_bytes) {
                *credit = credit.saturating_add(granted as usize);
            }
            if let Some(flag) = frame.flag {
                answers.extend(self.state.on_flag(flag));
            }
        }
        Ok(answers)
    }

    /// Gives up on the remote; returns the flags to send.
    pub(crate) fn reject(&mut self, reason: StreamError) -> Vec<Flag> {
        tracing::debug!(%reason, "resetting a stream");
        self.is_unused = false;
        self.broken.get_or_insert(reason);
        self.state.break_off();
        self.data = VecDeque::new();
        self.decoder = FrameDecoder::default();
        self.let_go_to(0);
        vec![Flag::Reset]
    }

    /// Moves data into `buffer`: `None` to wait, `Ok(0)` at the end of the stream.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        if buffer.is_empty() {
            return Some(Ok(0));
        }
        if self.data.is_empty() {
            return self
                .state
                .read_end()
                .map(|end| end.map(|()| 0).map_err(|end| self.explain(end)));
        }
        let mut copied = 0;
        // The two halves of the ring.
        while copied < buffer.len() && !self.data.is_empty() {
            match self.data.read(&mut buffer[copied..]) {
                Ok(read) => copied += read,
                Err(error) => return Some(Err(error)),
            }
        }
        if self.data.is_empty() && self.data.capacity() > KEPT_BYTES_MAX {
            self.data = VecDeque::new();
        }
        if let Some(window) = &mut self.window {
            window.consume(copied);
        }
        self.let_go_to(self.data.len() + self.decoder.pending_bytes());
        Some(Ok(copied))
    }

    fn explain(&self, end: io::Error) -> io::Error {
        self.broken.map_or(end, |reason| {
            io::Error::new(io::ErrorKind::ConnectionReset, reason)
        })
    }

    /// What the remote is to be granted now, if anything.
    pub(crate) fn grant(&mut self) -> Option<u32> {
        if !self.state.wants_data() {
            return None;
        }
        self.window.as_mut()?.grant(&mut self.budget.borrow_mut())
    }

    /// How many of these bytes the remote takes.
    pub(crate) fn sendable(&self, bytes: usize) -> usize {
        self.credit_bytes.map_or(bytes, |credit| bytes.min(credit))
    }

    /// Counts bytes that will be sent.
    pub(crate) fn spend(&mut self, bytes: usize) {
        if let Some(credit) = &mut self.credit_bytes {
            *credit = credit.saturating_sub(bytes);
        }
    }

    fn let_go_to(&mut self, bytes: usize) {
        self.budget
            .borrow_mut()
            .let_go(self.held_bytes.saturating_sub(bytes));
        self.held_bytes = bytes;
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.let_go_to(0);
        if let Some(window) = &mut self.window {
            window.release(&mut self.budget.borrow_mut());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::stream::{
        budget::Limits,
        frame::{FRAME_BYTES_MAX, FrameBuilder, encode_flag, encode_grant},
    };

    /// An inbox on a connection of its own.
    pub(crate) fn inbox(held_bytes_max: usize, windows: Option<Windows>) -> Inbox {
        let budget = Budget::new(Limits {
            streams_max: 1,
            receive_bytes_max: held_bytes_max,
            send_bytes_max: held_bytes_max,
            stream_send_bytes_max: held_bytes_max,
        });
        Inbox::new(Rc::new(RefCell::new(budget)), held_bytes_max, windows)
    }

    fn reason(inbox: &mut Inbox) -> Option<StreamError> {
        let error = inbox.read(&mut [0; 4]).unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        error.get_ref().and_then(|inner| inner.downcast_ref().copied())
    }

    fn receive(inbox: &mut Inbox, bytes: &[u8]) -> Vec<Flag> {
        inbox.receive(bytes.len(), |space| space.copy_from_slice(bytes))
    }

    fn data(payload: &[u8]) -> Vec<u8> {
        let mut builder = FrameBuilder::default();
        assert_eq!(builder.push(payload, FRAME_BYTES_MAX), payload.len());
        builder.frame().to_vec()
    }

    #[test]
    fn data_before_the_end_is_read_before_the_end() {
        let mut inbox = inbox(1_000, None);
        receive(&mut inbox, &data(b"hello"));
        assert_eq!(receive(&mut inbox, &encode_flag(Flag::Fin)), [Flag::FinAck]);
        let mut buffer = [0; 3];
        assert_eq!(inbox.read(&mut buffer).unwrap().unwrap(), 3);
        assert_eq!(inbox.read(&mut buffer).unwrap().unwrap(), 2);
        assert_eq!(inbox.read(&mut buffer).unwrap().unwrap(), 0);
        assert_eq!(inbox.held_bytes, 0);
    }

    #[test]
    fn an_empty_stream_waits() {
        assert!(inbox(1_000, None).read(&mut [0; 4]).is_none());
    }

    #[test]
    fn a_flood_without_windows_is_reset_and_its_memory_given_back() {
        let mut inbox = inbox(1_000, None);
        let answers: Vec<Flag> = (0..200)
            .flat_map(|_| receive(&mut inbox, &data(&[7; 50])))
            .collect();
        assert_eq!(answers.first(), Some(&Flag::Reset));
        assert_eq!(reason(&mut inbox), Some(StreamError::Lagging));
        assert_eq!(inbox.held_bytes, 0);
        assert!(inbox.budget.borrow_mut().hold(1_000));
    }

    #[test]
    fn one_stream_cannot_take_what_others_hold() {
        let mut inbox = inbox(1_000, None);
        assert!(inbox.budget.borrow_mut().hold(990));
        assert_eq!(receive(&mut inbox, &data(&[7; 50])), [Flag::Reset]);
    }

    #[test]
    fn a_frame_that_never_ends_is_counted() {
        let mut inbox = inbox(1_000, None);
        // A length of 2,000, and then its bytes one by one.
        receive(&mut inbox, &[0xd0, 0x0f]);
        let answers: Vec<Flag> = (0..1_000).flat_map(|_| receive(&mut inbox, &[0])).collect();
        assert_eq!(answers.first(), Some(&Flag::Reset));
    }

    #[test]
    fn a_bad_frame_is_reset() {
        let mut inbox = inbox(1_000, None);
        assert_eq!(receive(&mut inbox, &[2, 0x08, 9]), [Flag::Reset]);
        assert_eq!(
            reason(&mut inbox),
            Some(StreamError::Frame(FrameError::Malformed))
        );
    }

    const WINDOWS: Windows = Windows {
        send_bytes: 10,
        receive_bytes: 100,
    };

    #[test]
    fn a_writer_has_the_remotes_window_and_what_is_granted() {
        let mut inbox = inbox(1_000, Some(WINDOWS));
        assert_eq!(inbox.sendable(100), 10);
        inbox.spend(10);
        assert_eq!(inbox.sendable(100), 0);
        receive(&mut inbox, &encode_grant(25));
        assert_eq!(inbox.sendable(100), 25);
        receive(&mut inbox, &encode_grant(u32::MAX));
        receive(&mut inbox, &encode_grant(u32::MAX));
        assert_eq!(inbox.sendable(100), 100);
    }

    #[test]
    fn a_reader_grants_what_it_has_read_and_a_remote_that_takes_more_is_reset() {
        let mut inbox = inbox(1_000, Some(WINDOWS));
        receive(&mut inbox, &data(&[7; 100]));
        assert_eq!(inbox.grant(), None);
        assert_eq!(inbox.read(&mut [0; 100]).unwrap().unwrap(), 100);
        assert_eq!(inbox.grant(), Some(100));
        receive(&mut inbox, &data(&[7; 100]));
        assert_eq!(receive(&mut inbox, &data(b"x")), [Flag::Reset]);
        // What came before the breach is given up with the stream.
        assert_eq!(reason(&mut inbox), Some(StreamError::NotGranted));
    }

    #[test]
    fn a_reset_by_the_remote_has_no_reason_of_ours() {
        let mut inbox = inbox(1_000, None);
        receive(&mut inbox, &encode_flag(Flag::Reset));
        assert_eq!(reason(&mut inbox), None);
    }
}
