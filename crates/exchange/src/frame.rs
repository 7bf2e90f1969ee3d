//! A frame on a byte stream: an unsigned-varint length, then that many bytes.

use std::io;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The opaque bytes of one request or one response.
pub type Frame = Vec<u8>;

/// What a frame may reserve before any of its bytes have arrived.
pub const RESERVE_BYTES_MAX: usize = 16 * 1024;

/// The longest encoding of a `u32` length: five groups of seven bits.
const PREFIX_BYTES_MAX: usize = 5;

/// Why a frame could not be read or written. Each is fatal to its stream and to nothing else.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The frame is longer than its direction allows.
    #[error("a frame of {bytes} bytes exceeds the limit of {bytes_max}")]
    TooLong {
        /// The announced length.
        bytes: u64,
        /// The limit that it exceeds.
        bytes_max: usize,
    },
    /// The length prefix is not the shortest unsigned varint of a 32-bit number.
    #[error("the length prefix is not a minimal unsigned varint of 32 bits")]
    BadPrefix,
    /// The stream ended before the frame did.
    #[error("the stream ended {missing} bytes before the end of the frame")]
    Truncated {
        /// How many bytes were still to come; 1 when the prefix itself was cut.
        missing: usize,
    },
    /// The stream failed.
    #[error(transparent)]
    Stream(#[from] io::Error),
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        let kind = match error {
            FrameError::Stream(inner) => return inner,
            FrameError::TooLong { .. } | FrameError::BadPrefix => io::ErrorKind::InvalidData,
            FrameError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
        };
        io::Error::new(kind, error)
    }
}

/// Reads one frame of at most `bytes_max` bytes.
pub async fn read<T>(stream: &mut T, bytes_max: usize) -> Result<Frame, FrameError>
where
    T: AsyncRead + Unpin,
{
    let length = read_prefix(stream).await?;
    let expected = match usize::try_from(length) {
        Ok(expected) if expected <= bytes_max => expected,
        _ => {
            return Err(FrameError::TooLong {
                bytes: length.into(),
                bytes_max,
            });
        }
    };
    let mut frame = Frame::with_capacity(expected.min(RESERVE_BYTES_MAX));
    let received = stream.take(length.into()).read_to_end(&mut frame).await?;
    if received < expected {
        return Err(FrameError::Truncated {
            missing: expected - received,
        });
    }
    Ok(frame)
}

/// Writes one frame of at most `bytes_max` bytes and flushes it.
pub async fn write<T>(stream: &mut T, frame: &[u8], bytes_max: usize) -> Result<(), FrameError>
where
    T: AsyncWrite + Unpin,
{
    let too_long = || FrameError::TooLong {
        bytes: frame.len() as u64,
        bytes_max,
    };
    if frame.len() > bytes_max {
        return Err(too_long());
    }
    let length = u32::try_from(frame.len()).map_err(|_| too_long())?;
    let (prefix, used) = encode_prefix(length);
    stream.write_all(&prefix[..used]).await?;
    stream.write_all(frame).await?;
    stream.flush().await?;
    Ok(())
}

/// Reads byte by byte, since not one byte of what follows the prefix may be consumed with it.
async fn read_prefix<T>(stream: &mut T) -> Result<u32, FrameError>
where
    T: AsyncRead + Unpin,
{
    let mut length = 0_u64;
    for position in 0..PREFIX_BYTES_MAX {
        let mut byte = [0_u8];
        if stream.read(&mut byte).await? == 0 {
            return Err(FrameError::Truncated { missing: 1 });
        }
        let [byte] = byte;
        length |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            // A last group of zero would give one number two encodings.
            let minimal = byte != 0 || position == 0;
            return u32::try_from(length)
                .ok()
                .filter(|_| minimal)
                .ok_or(FrameError::BadPrefix);
        }
    }
    Err(FrameError::BadPrefix)
}

fn encode_prefix(length: u32) -> ([u8; PREFIX_BYTES_MAX], usize) {
    let mut prefix = [0; PREFIX_BYTES_MAX];
    let mut used = 0;
    let mut rest = length;
    loop {
        // The mask keeps seven bits, so the cast loses nothing.
        let group = (rest & 0x7f) as u8;
        rest >>= 7;
        prefix[used] = if rest == 0 { group } else { group | 0x80 };
        used += 1;
        if rest == 0 {
            return (prefix, used);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use futures::{executor::block_on, io::Cursor};
    use proptest::prelude::*;

    use super::*;

    fn encoded(frame: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        block_on(write(&mut wire, frame, usize::MAX)).unwrap();
        wire
    }

    /// Yields a prefix and then fails the test if anybody asks for more.
    struct OnlyPrefix(Cursor<Vec<u8>>);

    impl AsyncRead for OnlyPrefix {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            assert!(
                self.0.position() < self.0.get_ref().len() as u64,
                "read past the prefix"
            );
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    #[test]
    fn an_oversized_length_is_refused_at_its_prefix() {
        let (prefix, used) = encode_prefix(u32::MAX);
        let mut stream = OnlyPrefix(Cursor::new(prefix[..used].to_vec()));
        let error = block_on(read(&mut stream, 1024)).unwrap_err();
        assert!(matches!(
            error,
            FrameError::TooLong {
                bytes: 4_294_967_295,
                bytes_max: 1024
            }
        ));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn an_announced_length_reserves_little() {
        let (prefix, used) = encode_prefix(4 * 1024 * 1024);
        let mut wire = prefix[..used].to_vec();
        wire.push(1);
        let error = block_on(read(&mut Cursor::new(wire), 4 * 1024 * 1024)).unwrap_err();
        assert!(matches!(error, FrameError::Truncated { missing: 4_194_303 }));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_oversized_frame_is_not_written() {
        let mut wire = Vec::new();
        let error = block_on(write(&mut wire, &[0; 11], 10)).unwrap_err();
        assert!(matches!(
            error,
            FrameError::TooLong {
                bytes: 11,
                bytes_max: 10
            }
        ));
        assert!(wire.is_empty());
    }

    #[test]
    fn prefixes_that_are_no_lengths_are_refused() {
        for prefix in [&[0x80, 0x00][..], &[0xff, 0xff, 0xff, 0xff, 0x1f], &[0x80; 6]] {
            let error = block_on(read(&mut Cursor::new(prefix), usize::MAX)).unwrap_err();
            assert!(matches!(error, FrameError::BadPrefix), "{prefix:x?}");
        }
        for prefix in [&[][..], &[0x80]] {
            let error = block_on(read(&mut Cursor::new(prefix), usize::MAX)).unwrap_err();
            assert!(
                matches!(error, FrameError::Truncated { missing: 1 }),
                "{prefix:x?}"
            );
        }
    }

    #[test]
    fn the_encoding_is_the_published_one() {
        assert_eq!(encoded(b""), [0]);
        assert_eq!(encoded(&[7; 300])[..2], [0xac, 0x02]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_not_one_byte_more(frame: Vec<u8>, tail: Vec<u8>) {
            let mut wire = encoded(&frame);
            let end = wire.len();
            wire.extend(&tail);
            let mut stream = Cursor::new(wire);
            prop_assert_eq!(block_on(read(&mut stream, frame.len())).unwrap(), frame);
            prop_assert_eq!(stream.position(), end as u64);
        }

        #[test]
        fn any_cut_is_reported(frame in proptest::collection::vec(any::<u8>(), 1..500), cut: prop::sample::Index) {
            let mut wire = encoded(&frame);
            wire.truncate(cut.index(wire.len()));
            let error = block_on(read(&mut Cursor::new(wire), frame.len())).unwrap_err();
            let truncated = matches!(error, FrameError::Truncated { .. });
            prop_assert!(truncated);
        }

        #[test]
        fn any_input_ends_in_a_frame_or_an_error(wire: Vec<u8>) {
            if let Ok(frame) = block_on(read(&mut Cursor::new(&wire), 64)) {
                prop_assert!(frame.len() <= 64 && wire.starts_with(&encoded(&frame)));
            }
        }
    }
}
