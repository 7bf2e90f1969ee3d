//! Frames of a stream: protobuf `{ flag: 1, message: 2 }` behind an unsigned-varint length.
//!
//! A data channel carries the frames as one sequence of bytes: js-libp2p may send a length and its body as two
//! messages of the channel, so the decoder knows no message boundaries. Lengths are checked before anything waits for
//! the bytes that they promise.

use bytes::{Buf, Bytes, BytesMut};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};

/// The largest frame sent, its length prefix included: the limit of the specification.
pub(crate) const FRAME_BYTES_MAX: usize = 16 * 1024;

/// The largest frame body accepted. What browsers announce as their largest data-channel message, so that a remote
/// configured to send more than the specification's limit is understood.
const ACCEPTED_BYTES_MAX: usize = 256 * 1024;

/// Length, field key and field length in front of a payload.
const HEADER_BYTES_MAX: usize = 2 + 1 + 2;

/// Room for a flag, which peers may put into the frame of a payload.
const FLAG_BYTES: usize = 2;

/// The largest payload of a frame.
pub(crate) const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - HEADER_BYTES_MAX - FLAG_BYTES;

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
}

#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(enumeration = "Flag", optional, tag = "1")]
    flag: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    message: Option<Bytes>,
}

/// The bytes of a frame that only carries a flag.
pub(crate) fn encode_flag(flag: Flag) -> Vec<u8> {
    Wire {
        flag: Some(flag.into()),
        message: None,
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
    /// Takes as many bytes as still fit and says how many.
    pub(crate) fn push(&mut self, data: &[u8]) -> usize {
        let taken = data.len().min(PAYLOAD_BYTES_MAX - self.payload_len());
        self.buffer.extend_from_slice(&data[..taken]);
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.payload_len() == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.payload_len() == PAYLOAD_BYTES_MAX
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
        let wire =
            Wire::decode(self.buffer.split_to(body_len).freeze()).map_err(|_| FrameError::Malformed)?;
        let flag = wire
            .flag
            .map(Flag::try_from)
            .transpose()
            .map_err(|_| FrameError::Malformed)?;
        Ok(Some(Frame {
            flag,
            payload: wire.message.unwrap_or_default(),
        }))
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
        builder.push(b"hi");
        assert_eq!(builder.frame(), [4, 0x12, 2, b'h', b'i']);
    }

    #[test]
    fn the_largest_frame_keeps_to_the_specification() {
        let mut builder = FrameBuilder::default();
        assert_eq!(builder.push(&[7; FRAME_BYTES_MAX]), PAYLOAD_BYTES_MAX);
        assert!(builder.is_full());
        assert_eq!(builder.frame().len(), FRAME_BYTES_MAX - FLAG_BYTES);
        let frames = decode_all(&[builder.frame()]).unwrap();
        assert_eq!(frames[0].payload.len(), PAYLOAD_BYTES_MAX);
        builder.clear();
        assert!(builder.is_empty());
    }

    #[test]
    fn flag_and_payload_may_share_a_frame_and_fields_may_be_unknown() {
        let frames = decode_all(&[&[5, 0x08, 0, 0x12, 1, b'x'], &[4, 0x18, 1, 0x08, 3]]).unwrap();
        assert_eq!(
            frames[0],
            Frame {
                flag: Some(Flag::Fin),
                payload: Bytes::from_static(b"x")
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
                    rest = &rest[builder.push(rest)..];
                    if builder.is_full() {
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
