//! Two ends in one page.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, TryStreamExt as _,
    channel::mpsc,
    future::{Either, join, select, try_join},
};
use futures_timer::Delay;
use libp2p_core::muxing::StreamMuxerExt as _;
use webrtc_transport::{Config, Connection, Stream, session};

/// One end of an in-memory signalling stream.
pub(crate) struct Pipe {
    reader: Pin<Box<dyn AsyncRead>>,
    writer: Option<mpsc::UnboundedSender<io::Result<Vec<u8>>>>,
}

pub(crate) fn pipe() -> (Pipe, Pipe) {
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

pub(crate) async fn connected(config: &Config) -> (Connection, Connection) {
    let (here, there) = pipe();
    try_join(session::dial(here, config), session::accept(there, config))
        .await
        .unwrap()
}

pub(crate) async fn open(connection: &mut Connection) -> Stream {
    poll_fn(|cx| connection.poll_outbound_unpin(cx)).await.unwrap()
}

pub(crate) async fn accept(connection: &mut Connection) -> Stream {
    poll_fn(|cx| connection.poll_inbound_unpin(cx)).await.unwrap()
}

/// A stream between the two, known to the accepting side by its first byte.
pub(crate) async fn stream_pair(from: &mut Connection, to: &mut Connection) -> (Stream, Stream) {
    let mut opened = open(from).await;
    opened.write_all(b"!").await.unwrap();
    opened.flush().await.unwrap();
    let mut accepted = accept(to).await;
    accepted.read_exact(&mut [0]).await.unwrap();
    (opened, accepted)
}

/// Sends a mebibyte of a pattern and expects the other side's.
pub(crate) async fn exchange(stream: Stream, seed: usize) {
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
pub(crate) async fn fill(stream: &mut Stream, bytes_max: usize) -> io::Result<usize> {
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
