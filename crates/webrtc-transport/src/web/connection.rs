//! A direct connection as libp2p's muxer sees it: a source and sink of streams.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::FutureExt as _;
use futures_timer::Delay;
use libp2p_core::muxing::{StreamMuxer, StreamMuxerEvent};
use send_wrapper::SendWrapper;
use web_sys::RtcPeerConnectionState;

use crate::error::Error;

use super::{peer_connection::PeerConnection, stream::Stream};

/// A direct connection to another browser. It closes when dropped.
pub struct Connection {
    inner: SendWrapper<PeerConnection>,
    /// Runs while the browser reports the connection as `disconnected`, which it may recover from.
    disconnected: Option<Delay>,
}

impl Connection {
    pub(crate) fn new(mut inner: PeerConnection) -> Self {
        inner.watch_association();
        Self {
            inner: SendWrapper::new(inner),
            disconnected: None,
        }
    }

    /// How the peer is reached. Always [`Route::Direct`](crate::Route::Direct); the method exists so that code which
    /// shows connections need not know which transport made them.
    pub fn route(&self) -> crate::Route {
        crate::Route::Direct
    }

    fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        match self.inner.poll_state(cx) {
            RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed => Poll::Ready(Error::Closed),
            RtcPeerConnectionState::Disconnected => {
                let patience = self.inner.config().disconnected_timeout;
                let timer = self.disconnected.get_or_insert_with(|| Delay::new(patience));
                timer.poll_unpin(cx).map(|()| Error::Closed)
            }
            _ => {
                self.disconnected = None;
                Poll::Pending
            }
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let (channel, slot) = ready!(self.inner.poll_channel(cx));
        Poll::Ready(Ok(Stream::new(channel, slot, self.inner.config().linger_timeout)))
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let (channel, slot) = ready!(self.inner.poll_open_channel(cx));
        Poll::Ready(Ok(Stream::new(channel, slot, self.inner.config().linger_timeout)))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.close();
        Poll::Ready(Ok(()))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        self.poll_lost(cx).map(Err)
    }
}
