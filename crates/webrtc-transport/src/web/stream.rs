//! A libp2p stream on a data channel.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{
    AsyncRead, AsyncWrite,
    future::{poll_fn, select},
};
use futures_timer::Delay;
use send_wrapper::SendWrapper;

use crate::{error::Error, stream::frame::FrameBuilder};

use super::{channel::Channel, peer_connection::Slot};

/// A stream of a [`Connection`](crate::Connection).
///
/// Small writes are gathered into one frame until it is full or flushed. A write is pending while the remote's window is
/// used up, where it has one, or while the browser holds as much as it should. Dropping an unfinished stream resets it.
pub struct Stream {
    inner: SendWrapper<Inner>,
}

struct Inner {
    channel: Rc<Channel>,
    outgoing: FrameBuilder,
    linger_timeout: Duration,
    slot: Option<Slot>,
}

impl Stream {
    pub(crate) fn new(channel: Channel, slot: Slot, linger_timeout: Duration) -> Self {
        let inner = Inner {
            channel: Rc::new(channel),
            outgoing: FrameBuilder::default(),
            linger_timeout,
            slot: Some(slot),
        };
        Self {
            inner: SendWrapper::new(inner),
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.inner.channel.inbox().borrow().state;
        f.debug_struct("Stream")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Sends the frame under construction, if there is anything in it.
    fn poll_send(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.outgoing.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.channel.inbox().borrow().state.is_unheard() {
            self.outgoing.clear();
            return Poll::Ready(Ok(()));
        }
        let bytes = self.outgoing.frame_len_max();
        ready!(self.channel.poll_send_ready(cx, bytes)).map_err(reset)?;
        self.channel.send(self.outgoing.frame()).map_err(reset)?;
        self.outgoing.clear();
        Poll::Ready(Ok(()))
    }

    fn check_write(&self) -> io::Result<()> {
        self.channel.inbox().borrow().state.check_write()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let channel = &self.inner.channel;
        let read = channel.inbox().borrow_mut().read(buffer);
        if let Some(result) = read {
            channel.send_grant();
            return Poll::Ready(result);
        }
        channel.wake_reader(cx);
        Poll::Pending
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &mut *self.inner;
        if inner.channel.inbox().borrow().state.is_unheard() {
            inner.channel.inbox().borrow_mut().state.swallow(data.len())?;
            return Poll::Ready(Ok(data.len()));
        }
        inner.check_write()?;
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let frame_bytes_max = inner.channel.frame_bytes_max();
        if inner.outgoing.is_full(frame_bytes_max) {
            ready!(inner.poll_send(cx))?;
        }
        let sendable = inner.channel.inbox().borrow().sendable(data.len());
        if sendable == 0 {
            // What is gathered may be all that the remote waits for before it grants more.
            ready!(inner.poll_send(cx))?;
            inner.channel.wake_writer(cx);
            return Poll::Pending;
        }
        let taken = inner.outgoing.push(&data[..sendable], frame_bytes_max);
        inner.channel.inbox().borrow_mut().spend(taken);
        if inner.outgoing.is_full(frame_bytes_max) {
            // What does not fit into the send buffer now goes with the next write or flush.
            let _ = inner.poll_send(cx)?;
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_send(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.inner;
        if inner.check_write().is_ok() {
            ready!(inner.poll_send(cx))?;
            // A stream may be closed before anything was written, and even before the channel is open.
            ready!(inner.channel.poll_send_ready(cx, 0)).map_err(reset)?;
        }
        let flag = inner.channel.inbox().borrow_mut().state.finish()?;
        if let Some(flag) = flag {
            inner.channel.send_flag(flag);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    /// Tells the remote how the stream ended and keeps the channel until that has been sent and acknowledged.
    fn drop(&mut self) {
        let channel = self.inner.channel.clone();
        let slot = self.inner.slot.take();
        let timeout = self.inner.linger_timeout;
        let farewell = channel.inbox().borrow_mut().state.abandon();
        if let Some(flag) = farewell {
            channel.send_flag(flag);
        }
        wasm_bindgen_futures::spawn_local(async move {
            let settled = poll_fn(|cx| channel.poll_settled(cx));
            select(settled, Delay::new(timeout)).await;
            channel.close();
            drop(channel);
            drop(slot);
        });
    }
}

fn reset(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
