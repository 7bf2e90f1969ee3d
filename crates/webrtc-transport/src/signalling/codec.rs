//! Messages of the signalling protocol: protobuf behind an unsigned-varint length.
//!
//! The length is checked before anything is allocated for it.

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use prost::Message as _;

use super::SignallingError;

/// The longest accepted message. A data-channel-only description takes 0.5 to 1.5 KiB, even with candidates in it.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// A length up to [`MESSAGE_BYTES_MAX`] fits into three bytes of varint.
const LENGTH_BYTES_MAX: usize = 3;

/// A message of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// `RTCSessionDescription.sdp` of the dialler.
    Offer(String),
    /// `RTCSessionDescription.sdp` of the listener.
    Answer(String),
    /// `RTCIceCandidate.toJSON()` of either side.
    Candidate(String),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(enumeration = "Kind", optional, tag = "1")]
    kind: Option<i32>,
    #[prost(string, optional, tag = "2")]
    data: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    SdpOffer = 0,
    SdpAnswer = 1,
    IceCandidate = 2,
}

impl Message {
    /// The message with its length in front.
    pub(crate) fn encode(self) -> Vec<u8> {
        let (kind, data) = match self {
            Message::Offer(sdp) => (Kind::SdpOffer, sdp),
            Message::Answer(sdp) => (Kind::SdpAnswer, sdp),
            Message::Candidate(json) => (Kind::IceCandidate, json),
        };
        Wire {
            kind: Some(kind.into()),
            data: Some(data),
        }
        .encode_length_delimited_to_vec()
    }

    fn decode(body: &[u8]) -> Result<Self, SignallingError> {
        let wire = Wire::decode(body).map_err(|_| SignallingError::Malformed)?;
        let kind = wire.kind.ok_or(SignallingError::Malformed)?;
        // A candidate without data is how some implementations mark the end of candidates.
        let data = wire.data.unwrap_or_default();
        match Kind::try_from(kind).map_err(|_| SignallingError::Malformed)? {
            Kind::SdpOffer => Ok(Message::Offer(data)),
            Kind::SdpAnswer => Ok(Message::Answer(data)),
            Kind::IceCandidate => Ok(Message::Candidate(data)),
        }
    }
}

/// Reads one message; `None` when the stream ended between two.
pub(crate) async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Option<Message>, SignallingError> {
    let Some(length) = read_length(stream).await? else {
        return Ok(None);
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Message::decode(&body).map(Some)
}

/// Writes one message and flushes it.
pub(crate) async fn write<W: AsyncWrite + Unpin>(
    stream: &mut W,
    message: Message,
) -> Result<(), SignallingError> {
    stream.write_all(&message.encode()).await?;
    stream.flush().await?;
    Ok(())
}

async fn read_length<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Option<usize>, SignallingError> {
    let mut length = 0;
    for index in 0..LENGTH_BYTES_MAX {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return if index == 0 {
                Ok(None)
            } else {
                Err(SignallingError::Malformed)
            };
        }
        length |= usize::from(byte[0] & 0x7f) << (7 * index);
        if byte[0] & 0x80 == 0 {
            return if length <= MESSAGE_BYTES_MAX {
                Ok(Some(length))
            } else {
                Err(SignallingError::TooLong(length))
            };
        }
    }
    Err(SignallingError::TooLong(length))
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;
    use proptest::prelude::*;

    use super::*;

    fn read_all(bytes: &[u8]) -> Result<Vec<Message>, SignallingError> {
        let mut cursor = Cursor::new(bytes);
        let mut messages = Vec::new();
        block_on(async {
            while let Some(message) = read(&mut cursor).await? {
                messages.push(message);
            }
            Ok(messages)
        })
    }

    #[test]
    fn bytes_are_those_of_js_libp2p() {
        // protons writes the type even when it is 0, as an optional field must be.
        assert_eq!(Message::Offer("v".into()).encode(), [5, 0x08, 0, 0x12, 1, b'v']);
        assert_eq!(Message::Answer("v".into()).encode(), [5, 0x08, 1, 0x12, 1, b'v']);
        assert_eq!(Message::Candidate(String::new()).encode(), [4, 0x08, 2, 0x12, 0]);
    }

    #[test]
    fn too_long_is_refused_before_it_is_read() {
        assert!(matches!(
            read_all(&[0x81, 0x80, 0x01]),
            Err(SignallingError::TooLong(16_385))
        ));
        assert!(matches!(
            read_all(&[0xff, 0xff, 0xff, 0xff, 0x7f]),
            Err(SignallingError::TooLong(_))
        ));
    }

    #[test]
    fn cut_and_unknown_messages_are_refused() {
        assert!(matches!(read_all(&[0x80]), Err(SignallingError::Malformed)));
        assert!(matches!(read_all(&[5, 0x08, 0]), Err(SignallingError::Io(_))));
        assert!(matches!(read_all(&[2, 0x08, 9]), Err(SignallingError::Malformed)));
        assert!(matches!(read_all(&[0]), Err(SignallingError::Malformed)));
    }

    fn message() -> impl Strategy<Value = Message> {
        let text = "[ -~]{0,200}";
        prop_oneof![
            text.prop_map(Message::Offer),
            text.prop_map(Message::Answer),
            text.prop_map(Message::Candidate),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(messages in prop::collection::vec(message(), 0..8)) {
            let bytes: Vec<u8> = messages.iter().cloned().flat_map(Message::encode).collect();
            prop_assert_eq!(read_all(&bytes).unwrap(), messages);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_all(&bytes);
        }
    }
}
