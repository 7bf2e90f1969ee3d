//! The browser's half of the transport, in a real browser: two peer connections in one page, signalling over a pipe.
#![cfg(target_family = "wasm")]
// The lints know `#[test]`, but not the helpers of these tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, TryStreamExt,
    channel::mpsc,
    future::{Either, join, select, try_join},
};
use futures_timer::Delay;
use libp2p_core::muxing::{StreamMuxer, StreamMuxerExt};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use webrtc_transport::{Config, Connection, Error, SignallingError, Step, Stream, session};

wasm_bindgen_test_configure!(run_in_browser);

/// One end of an in-memory signalling stream.
struct Pipe {
    reader: Pin<Box<dyn AsyncRead>>,
    writer: Option<mpsc::UnboundedSender<io::Result<Vec<u8>>>>,
}

fn pipe() -> (Pipe, Pipe) {
    let (here, there) = (mpsc::unbounded(), mpsc::unbounded());
    let end = |writer, reader: mpsc::UnboundedReceiver<_>| Pipe {
        reader: Box::pin(reader.into_async_read()),
        writer: Some(writer),
    };
    (end(here.0, there.1), end(there.0, here.1))
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.reader.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let sent = self
            .writer
            .as_ref()
            .and_then(|writer| writer.unbounded_send(Ok(data.to_vec())).ok());
        Poll::Ready(sent.map(|()| data.len()).ok_or(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer = None;
        Poll::Ready(Ok(()))
    }
}

async fn connected(config: &Config) -> (Connection, Connection) {
    let (here, there) = pipe();
    try_join(session::dial(here, config), session::accept(there, config))
        .await
        .unwrap()
}

async fn open(connection: &mut Connection) -> Stream {
    poll_fn(|cx| connection.poll_outbound_unpin(cx)).await.unwrap()
}

async fn accept(connection: &mut Connection) -> Stream {
    poll_fn(|cx| connection.poll_inbound_unpin(cx)).await.unwrap()
}

/// A stream between the two, known to the accepting side by its first byte.
async fn stream_pair(from: &mut Connection, to: &mut Connection) -> (Stream, Stream) {
    let mut opened = open(from).await;
    opened.write_all(b"!").await.unwrap();
    opened.flush().await.unwrap();
    let mut accepted = accept(to).await;
    accepted.read_exact(&mut [0]).await.unwrap();
    (opened, accepted)
}

#[wasm_bindgen_test]
async fn streams_open_both_ways_and_close_by_halves() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let (mut from_a, mut at_b) = stream_pair(&mut a, &mut b).await;
    let (mut from_b, mut at_a) = stream_pair(&mut b, &mut a).await;

    from_a.write_all(b"question").await.unwrap();
    from_a.close().await.unwrap();
    let mut question = String::new();
    at_b.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    at_b.write_all(b"answer").await.unwrap();
    at_b.close().await.unwrap();
    let mut answer = String::new();
    from_a.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    assert_eq!(
        from_a.write(b"late").await.unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );

    from_b.write_all(b"the other way").await.unwrap();
    from_b.close().await.unwrap();
    let mut other = String::new();
    at_a.read_to_string(&mut other).await.unwrap();
    assert_eq!(other, "the other way");
}

#[wasm_bindgen_test]
async fn a_stream_that_was_written_to_and_dropped_delivers_everything() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let (mut from_a, mut at_b) = stream_pair(&mut a, &mut b).await;
    // The last of it is still under way when the stream is dropped.
    let send = async move {
        from_a.write_all(&[7; 200_000]).await.unwrap();
        from_a.close().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, read) = join(send, at_b.read_to_end(&mut received)).await;
    assert_eq!(read.unwrap(), 200_000);
}

#[wasm_bindgen_test]
async fn an_unfinished_stream_is_reset() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let (from_a, mut at_b) = stream_pair(&mut a, &mut b).await;
    drop(from_a);
    assert_eq!(
        at_b.read(&mut [0; 8]).await.unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(
        at_b.write(b"x").await.unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
}

#[wasm_bindgen_test]
async fn a_mebibyte_arrives_intact_both_ways_at_once() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let (from_a, at_b) = stream_pair(&mut a, &mut b).await;
    join(exchange(from_a, 1), exchange(at_b, 2)).await;
}

/// Sends a mebibyte of a pattern and expects the other side's.
async fn exchange(stream: Stream, seed: usize) {
    let pattern = |seed: usize| {
        (0..1024 * 1024)
            .map(|i| (i * seed % 251) as u8)
            .collect::<Vec<u8>>()
    };
    let (mut reader, mut writer) = stream.split();
    let send = async {
        for part in pattern(seed).chunks(10_000) {
            writer.write_all(part).await.unwrap();
        }
        writer.close().await.unwrap();
    };
    let receive = async {
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.unwrap();
        assert!(received == pattern(3 - seed));
    };
    join(send, receive).await;
}

/// Writes until that no longer works and returns how much was taken, or the error.
async fn fill(stream: &mut Stream, bytes_max: usize) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes_max {
        let write = std::pin::pin!(stream.write(&[7; 16 * 1024]));
        match select(write, Delay::new(Duration::from_millis(500))).await {
            Either::Left((written, _)) => taken += written?,
            Either::Right(_) => break,
        }
    }
    Ok(taken)
}

#[wasm_bindgen_test]
async fn a_reader_that_stops_holds_its_sender_and_nobody_else() {
    let config = Config::default();
    let (mut a, mut b) = connected(&config).await;
    let (mut slow_a, mut slow_b) = stream_pair(&mut a, &mut b).await;
    let held = fill(&mut slow_a, 16 * 1024 * 1024).await.unwrap();
    assert!(held <= config.receive_bytes_max, "{held}");

    let (from_a, at_b) = stream_pair(&mut a, &mut b).await;
    join(exchange(from_a, 1), exchange(at_b, 2)).await;

    // Once it is read, everything arrives.
    let send = async {
        slow_a.write_all(&[7; 100_000]).await.unwrap();
        slow_a.close().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, read) = join(send, slow_b.read_to_end(&mut received)).await;
    assert_eq!(read.unwrap(), held + 100_000);
}

#[wasm_bindgen_test]
async fn a_remote_without_windows_is_reset_when_its_reader_lags_and_the_connection_lives() {
    let reader = Config {
        stream_receive_bytes_max: 64 * 1024,
        ..Config::default()
    };
    let without_windows = Config {
        windows: false,
        ..Config::default()
    };
    let (here, there) = pipe();
    let (mut a, mut b) = try_join(
        session::dial(here, &without_windows),
        session::accept(there, &reader),
    )
    .await
    .unwrap();
    let (mut from_a, mut at_b) = stream_pair(&mut a, &mut b).await;
    let flood = async {
        while from_a.write_all(&[0; 16 * 1024]).await.is_ok() && from_a.flush().await.is_ok() {
            Delay::new(Duration::from_millis(1)).await;
        }
    };
    let in_time = select(Box::pin(flood), Delay::new(Duration::from_secs(10))).await;
    assert!(matches!(in_time, Either::Left(_)), "the flood was not stopped");
    assert!(at_b.read(&mut [0; 8]).await.is_err());
    stream_pair(&mut b, &mut a).await;
}

#[wasm_bindgen_test]
async fn more_streams_than_the_limit_wait_for_a_place() {
    let config = Config {
        streams_max: 2,
        ..Config::default()
    };
    let (mut a, mut b) = connected(&config).await;
    let (first, _first_at_b) = stream_pair(&mut a, &mut b).await;
    let _second = stream_pair(&mut a, &mut b).await;
    poll_fn(|cx| {
        assert!(a.poll_outbound_unpin(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(first);
    open(&mut a).await;
}

#[wasm_bindgen_test]
async fn the_other_side_learns_that_a_connection_is_closed() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let (_from_a, mut at_b) = stream_pair(&mut a, &mut b).await;
    drop(a);
    assert!(at_b.read(&mut [0; 8]).await.is_err());
    let lost = poll_fn(|cx| match Pin::new(&mut b).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(error),
        _ => Poll::Pending,
    });
    // Far less than the seconds that ICE takes to notice that nobody answers.
    match select(lost, Delay::new(Duration::from_secs(2))).await {
        Either::Left((error, _)) => assert!(matches!(error, Error::Closed)),
        Either::Right(_) => panic!("the loss went unnoticed"),
    }
}

#[wasm_bindgen_test]
async fn signalling_with_nobody_or_nonsense_fails_in_time() {
    let config = Config {
        description_timeout: Duration::from_millis(200),
        ..Config::default()
    };
    let (here, mut there) = pipe();
    let silent = session::dial(here, &config).await.unwrap_err();
    assert!(matches!(silent, Error::Timeout(Step::Description)), "{silent}");
    there.close().await.unwrap();

    for (bytes, expected) in [
        (&[0xff, 0xff, 0xff][..], "is too long"),
        (&[5, 0x08, 1, 0x12, 1, b'v'], "unexpected signalling message"),
        (&[5, 0x08, 0, 0x12, 1, b'v'], "bad session description"),
        (&[], "hung up"),
    ] {
        let (mut here, there) = pipe();
        here.write_all(bytes).await.unwrap();
        here.close().await.unwrap();
        let error = session::accept(there, &config).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[wasm_bindgen_test]
async fn a_description_without_a_fingerprint_is_refused() {
    let config = Config::default();
    let (here, there) = pipe();
    let sdp = b"v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=ice-ufrag:a\r\na=ice-pwd:b\r\n";
    let mut message = vec![4 + sdp.len() as u8, 0x08, 0, 0x12, sdp.len() as u8];
    message.extend_from_slice(sdp);
    let mut here = here;
    here.write_all(&message).await.unwrap();
    let error = session::accept(there, &config).await.unwrap_err();
    assert!(matches!(error, Error::Sdp(_)), "{error}");
    let (dialler, _) = pipe();
    let hung_up = session::dial(dialler, &config).await.unwrap_err();
    assert!(
        matches!(
            hung_up,
            Error::Signalling(SignallingError::Io(_) | SignallingError::HungUp)
        ),
        "{hung_up}"
    );
}
