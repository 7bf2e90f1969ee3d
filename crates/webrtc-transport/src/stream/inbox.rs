//! The receiving side of one channel: frames in, data and answers out.
//!
//! Flags take effect when they arrive, not when someone reads, so that a writer is acknowledged and a reset is seen
//! even while the stream's owner is busy elsewhere.

use std::{collections::VecDeque, io};

use bytes::{Buf, Bytes};

use super::{
    frame::{Flag, FrameDecoder},
    state::State,
};

/// What keeping a payload costs beyond its bytes; it keeps a flood of tiny frames within the limit too.
const PAYLOAD_OVERHEAD_BYTES: usize = 64;

/// Receives the frames of one channel and keeps its [`State`].
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) state: State,
    decoder: FrameDecoder,
    payloads: VecDeque<Bytes>,
    held_bytes: usize,
    held_bytes_max: usize,
}

impl Inbox {
    pub(crate) fn new(held_bytes_max: usize) -> Self {
        Self {
            state: State::default(),
            decoder: FrameDecoder::default(),
            payloads: VecDeque::new(),
            held_bytes: 0,
            held_bytes_max,
        }
    }

    /// Takes one message of the channel, `len` bytes written by `fill`; returns the flags to answer with.
    ///
    /// A remote that breaks the framing, or outruns the reader by more than the limit, gets a reset.
    pub(crate) fn receive(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> Vec<Flag> {
        let mut answers = Vec::new();
        if self.held_bytes.saturating_add(len) > self.held_bytes_max {
            return self.reject("the reader lags behind");
        }
        self.decoder.extend_with(len, fill);
        loop {
            let frame = match self.decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return answers,
                Err(error) => {
                    tracing::debug!(%error, "bad frame on a stream");
                    return self.reject("bad frame");
                }
            };
            if !frame.payload.is_empty() && self.state.wants_data() {
                self.held_bytes += frame.payload.len() + PAYLOAD_OVERHEAD_BYTES;
                self.payloads.push_back(frame.payload);
            }
            if let Some(flag) = frame.flag {
                answers.extend(self.state.on_flag(flag));
            }
        }
    }

    /// Gives up on the remote; returns the flags to send.
    pub(crate) fn reject(&mut self, reason: &'static str) -> Vec<Flag> {
        tracing::debug!(reason, "resetting a stream");
        self.state.break_off();
        self.payloads.clear();
        self.held_bytes = 0;
        self.decoder = FrameDecoder::default();
        vec![Flag::Reset]
    }

    /// Moves data into `buffer`: `None` to wait, `Ok(0)` at the end of the stream.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let mut copied = 0;
        while copied < buffer.len() {
            let Some(payload) = self.payloads.front_mut() else {
                break;
            };
            let part = payload.len().min(buffer.len() - copied);
            payload.copy_to_slice(&mut buffer[copied..copied + part]);
            copied += part;
            self.held_bytes -= part;
            if payload.is_empty() {
                self.payloads.pop_front();
                self.held_bytes -= PAYLOAD_OVERHEAD_BYTES;
            }
        }
        if copied > 0 || buffer.is_empty() {
            return Some(Ok(copied));
        }
        self.state.read_end().map(|end| end.map(|()| 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::frame::{FrameBuilder, encode_flag};

    fn receive(inbox: &mut Inbox, bytes: &[u8]) -> Vec<Flag> {
        inbox.receive(bytes.len(), |space| space.copy_from_slice(bytes))
    }

    fn data(payload: &[u8]) -> Vec<u8> {
        let mut builder = FrameBuilder::default();
        assert_eq!(builder.push(payload), payload.len());
        builder.frame().to_vec()
    }

    #[test]
    fn data_before_the_end_is_read_before_the_end() {
        let mut inbox = Inbox::new(1_000);
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
        assert!(Inbox::new(1_000).read(&mut [0; 4]).is_none());
    }

    #[test]
    fn a_flood_is_reset() {
        let mut inbox = Inbox::new(1_000);
        let answers: Vec<Flag> = (0..20).flat_map(|_| receive(&mut inbox, &data(b"x"))).collect();
        assert_eq!(answers.first(), Some(&Flag::Reset));
        assert!(inbox.read(&mut [0; 4]).unwrap().is_err());
    }

    #[test]
    fn a_bad_frame_is_reset() {
        let mut inbox = Inbox::new(1_000);
        assert_eq!(receive(&mut inbox, &[2, 0x08, 9]), [Flag::Reset]);
        assert!(inbox.read(&mut [0; 4]).unwrap().is_err());
    }
}
