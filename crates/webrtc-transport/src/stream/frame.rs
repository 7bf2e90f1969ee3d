//! Frames of a stream: protobuf `{ flag: 1, message: 2 }` behind an unsigned-varint length.
//!
//! A third field is ours: `{ granted: 1001 }`, bytes that the receiver of the frame may send in addition. Readers of
//! protobuf skip fields that they do not know, and it is only sent to peers that announced windows.
//!
//! A data channel carries the frames as one sequence of bytes: js-libp2p may send a length and its body as two
//! messages of the channel, so the decoder knows no message boundaries. Lengths are checked before anything waits for
//! the bytes that they promise.

use bytes::{Buf, Bytes, BytesMut};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};

/// The largest frame sent to anyone, its length prefix included: the limit of the specification.
pub(crate) const FRAME_BYTES_MAX: usize = 16 * 1024;

/// The largest frame sent when both sides announced larger messages. Twice as much gains no throughput, and makes other
/// streams wait longer.
pub(crate) const LARGE_FRAME_BYTES_MAX: usize = 64 * 1024;

/// The largest frame body accepted. What browsers announce as their largest data-channel message, so that a remote
/// configured to send more than the specification's limit is understood.
const ACCEPTED_BYTES_MAX: usize = 256 * 1024;

/// Length, field key and field length in front of a payload.
const HEADER_BYTES_MAX: usize = 3 + 1 + 3;

/// Room for a flag, which peers may put into the frame of a payload.
const FLAG_BYTES: usize = 2;

/// The largest payload of a frame of this size.
const fn payload_bytes_max(frame_bytes_max: usize) -> usize {
    frame_bytes_max.saturating_sub(HEADER_BYTES_MAX + FLAG_BYTES)
}

/// How the remote broke the framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame is longer than any browser's data-channel message.
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// The frame is not the protobuf that it should be.
    #[error("malformed frame")]
    Malformed,
}

/// What a frame says about the stream, besides carrying data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Flag {
    /// The sender sends nothing more.
    Fin = 0,
    /// The sender reads nothing more.
    StopSending = 1,
    /// The sender gave the stream up.
    Reset = 2,
    /// The sender has seen the other side's `Fin`, and so everything before it.
    FinAck = 3,
}

/// A received frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) flag: Option<Flag>,
    pub(crate) payload: Bytes,
    pub(crate) granted_bytes: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(enumeration = "Flag", optional, tag = "1")]
    flag: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    message: Option<Bytes>,
    #[prost(uint32, optional, tag = "1001")]
    granted: Option<u32>,
}

/// The bytes of a frame that only carries a flag.
pub(crate) fn encode_flag(flag: Flag) -> Vec<u8> {
    Wire {
        flag: Some(flag.into()),
        ..Wire::default()
    }
    .encode_length_delimited_to_vec()
}

/// The bytes of a frame that only grants the remote more of the window.
pub(crate) fn encode_grant(bytes: u32) -> Vec<u8> {
    Wire {
        granted: Some(bytes),
        ..Wire::default()
    }
    .encode_length_delimited_to_vec()
}

/// The frame under construction: gathers small writes into one payload and puts the header in front without moving it.
#[derive(Debug)]
pub(crate) struct FrameBuilder {
    /// Room for the header, then the payload.
    buffer: Vec<u8>,
}

impl Default for FrameBuilder {
    fn default() -> Self {
        Self {
            buffer: vec![0; HEADER_BYTES_MAX],
        }
    }
}

impl FrameBuilder {
    /// Takes as many bytes as still fit into a frame of this size and says how many.
    pub(crate) fn push(&mut self, data: &[u8], frame_bytes_max: usize) -> usize {
        let room = payload_bytes_max(frame_bytes_max).saturating_sub(self.payload_len());
        let taken = data.len().min(room);
        self.buffer.extend_from_slice(&data[..taken]);
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.payload_len() == 0
    }

    /// Whether nothing more fits into a frame of this size.
    pub(crate) fn is_full(&self, frame_bytes_max: usize) -> bool {
        self.payload_len() >= payload_bytes_max(frame_bytes_max)
    }

    /// The finished frame; [`clear`](Self::clear) starts the next one.
    pub(crate) fn frame(&mut self) -> &[u8] {
        let payload_len = self.payload_len() as u64;
        let mut field = Vec::with_capacity(HEADER_BYTES_MAX);
        encode_key(2, WireType::LengthDelimited, &mut field);
        encode_varint(payload_len, &mut field);
        let mut header = Vec::with_capacity(HEADER_BYTES_MAX);
        encode_varint(field.len() as u64 + payload_len, &mut header);
        header.extend_from_slice(&field);
        let start = HEADER_BYTES_MAX - header.len();
        self.buffer[start..HEADER_BYTES_MAX].copy_from_slice(&header);
        &self.buffer[start..]
    }

    pub(crate) fn clear(&mut self) {
        self.buffer.truncate(HEADER_BYTES_MAX);
    }

    /// The length of the frame as it is now, or a little more.
    pub(crate) fn frame_len_max(&self) -> usize {
        self.buffer.len()
    }

    fn payload_len(&self) -> usize {
        self.buffer.len() - HEADER_BYTES_MAX
    }
}

/// Cuts the bytes of a channel into frames. Payloads are slices of the received bytes, not copies.
#[derive(Debug, Default)]
pub(crate) struct FrameDecoder {
    buffer: BytesMut,
}

impl FrameDecoder {
    /// Appends `len` bytes, written by `fill` into the space made for them.
    pub(crate) fn extend_with(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) {
        let start = self.buffer.len();
        self.buffer.resize(start + len, 0);
        fill(&mut self.buffer[start..]);
    }

    /// The next complete frame, if there is one.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((prefix_len, body_len)) = read_length(&self.buffer)? else {
            return Ok(None);
        };
        if self.buffer.len() < prefix_len + body_len {
            return Ok(None);
        }
        self.buffer.advance(prefix_len);
        let body = self.buffer.split_to(body_len).freeze();
        if self.buffer.is_empty() {
            // What a large frame took is not kept for the next, small one.
            self.buffer = BytesMut::new();
        }
        let wire = Wire::decode(body).map_err(|_| FrameError::Malformed)?;
        let flag = wire
            .flag
            .map(Flag::try_from)
            .transpose()
            .map_err(|_| FrameError::Malformed)?;
        Ok(Some(Frame {
            flag,
            payload: wire.message.unwrap_or_default(),
            granted_bytes: wire.granted,
        }))
    }

    /// Bytes of a frame that is not complete yet.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }
}

/// Lengths of prefix and body, once the prefix is complete.
fn read_length(buffer: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    /// Bytes of varint that [`ACCEPTED_BYTES_MAX`] takes.
    const PREFIX_BYTES_MAX: usize = 3;
    let mut length = 0;
    for (index, byte) in buffer.iter().take(PREFIX_BYTES_MAX).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let fits = length <= ACCEPTED_BYTES_MAX;
            return if fits {
                Ok(Some((index + 1, length)))
            } else {
                Err(FrameError::TooLong(length))
            };
        }
    }
    if buffer.len() < PREFIX_BYTES_MAX {
        Ok(None)
    } else {
        Err(FrameError::TooLong(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn decode_all(chunks: &[&[u8]]) -> Result<Vec<Frame>, FrameError> {
        let mut decoder = FrameDecoder::default();
        let mut frames = Vec::new();
        for chunk in chunks {
            decoder.extend_with(chunk.len(), |space| space.copy_from_slice(chunk));
            while let Some(frame) = decoder.next_frame()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn bytes_are_those_of_js_libp2p() {
        assert_eq!(encode_flag(Flag::Fin), [2, 0x08, 0]);
        assert_eq!(encode_flag(Flag::FinAck), [2, 0x08, 3]);
        let mut builder = FrameBuilder::default();
        builder.push(b"hi", FRAME_BYTES_MAX);
        assert_eq!(builder.frame(), [4, 0x12, 2, b'h', b'i']);
    }

    #[test]
    fn a_grant_is_a_field_that_others_skip() {
        assert_eq!(encode_grant(300), [4, 0xc8, 0x3e, 0xac, 0x02]);
        let frames = decode_all(&[&encode_grant(300)]).unwrap();
        assert_eq!(frames[0].granted_bytes, Some(300));
        assert!(frames[0].payload.is_empty() && frames[0].flag.is_none());
    }

    #[test]
    fn the_largest_frame_keeps_to_its_limit() {
        for limit in [FRAME_BYTES_MAX, LARGE_FRAME_BYTES_MAX] {
            let mut builder = FrameBuilder::default();
            let taken = builder.push(&vec![7; limit], limit);
            assert_eq!(taken, payload_bytes_max(limit));
            assert!(builder.is_full(limit));
            let len = builder.frame().len();
            assert!(len + FLAG_BYTES <= limit && len <= builder.frame_len_max());
            let frames = decode_all(&[builder.frame()]).unwrap();
            assert_eq!(frames[0].payload.len(), taken);
            builder.clear();
            assert!(builder.is_empty());
        }
    }

    #[test]
    fn flag_and_payload_may_share_a_frame_and_fields_may_be_unknown() {
        let frames = decode_all(&[&[5, 0x08, 0, 0x12, 1, b'x'], &[4, 0x18, 1, 0x08, 3]]).unwrap();
        assert_eq!(
            frames[0],
            Frame {
                flag: Some(Flag::Fin),
                payload: Bytes::from_static(b"x"),
                granted_bytes: None,
            }
        );
        assert_eq!(frames[1].flag, Some(Flag::FinAck));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(
            decode_all(&[&[0xff, 0xff, 0xff]]),
            Err(FrameError::TooLong(0x1f_ffff))
        );
        assert_eq!(
            decode_all(&[&[0x81, 0x80, 0x10]]),
            Err(FrameError::TooLong(ACCEPTED_BYTES_MAX + 1))
        );
        assert_eq!(decode_all(&[&[2, 0x08, 9]]), Err(FrameError::Malformed));
        assert_eq!(decode_all(&[&[2, 0x12, 9]]), Err(FrameError::Malformed));
    }
}

#[cfg(all(test, not(target_family = "wasm")))]
mod properties {
    use proptest::prelude::*;

    use super::{tests::decode_all, *};

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_bytes(
            writes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5_000), 0..12),
            chunk_len in 1usize..4_000,
        ) {
            let mut wire = Vec::new();
            let mut builder = FrameBuilder::default();
            for write in &writes {
                let mut rest = write.as_slice();
                while !rest.is_empty() {
                    rest = &rest[builder.push(rest, FRAME_BYTES_MAX)..];
                    if builder.is_full(FRAME_BYTES_MAX) {
                        wire.extend_from_slice(builder.frame());
                        builder.clear();
                    }
                }
            }
            wire.extend_from_slice(builder.frame());
            let chunks: Vec<&[u8]> = wire.chunks(chunk_len).collect();
            let read: Vec<u8> = decode_all(&chunks).unwrap().into_iter().flat_map(|f| f.payload).collect();
            prop_assert_eq!(read, writes.concat());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = decode_all(&[&bytes]);
        }
    }
}
