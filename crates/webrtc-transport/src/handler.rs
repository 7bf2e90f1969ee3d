//! The per-connection half of signalling: it opens and accepts streams and hands them on unread.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
    time::Duration,
};

use libp2p_core::upgrade::ReadyUpgrade;
use libp2p_swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, StreamProtocol, StreamUpgradeError, SubstreamProtocol,
    handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
};

use crate::{
    error::{Error, Step},
    link::{Lease, Reply, Signalling},
    signalling::PROTOCOL,
};

/// Accepted streams that may wait for the behaviour; a peer needs one at a time.
const ACCEPTED_MAX: usize = 4;

/// A request of the behaviour for a signalling stream on this connection.
#[derive(Debug)]
pub struct Open(pub(crate) Reply);

/// A signalling stream that the peer opened.
#[derive(Debug)]
pub struct Accepted(pub(crate) Signalling);

/// Opens and accepts signalling streams on one connection.
#[derive(Debug)]
pub struct Handler {
    /// Shared with the behaviour, which sees from its count whether sessions run here.
    lease: Lease,
    open_timeout: Duration,
    to_open: VecDeque<Reply>,
    accepted: VecDeque<Stream>,
}

impl Handler {
    pub(crate) fn new(lease: Lease, open_timeout: Duration) -> Self {
        Self {
            lease,
            open_timeout,
            to_open: VecDeque::new(),
            accepted: VecDeque::new(),
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Accepted;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Open;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ()).with_timeout(self.open_timeout)
    }

    fn connection_keep_alive(&self) -> bool {
        !self.to_open.is_empty()
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        if let Some(reply) = self.to_open.pop_front() {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), Open(reply))
                .with_timeout(self.open_timeout);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        if let Some(stream) = self.accepted.pop_front() {
            let signalling = Signalling {
                stream,
                lease: self.lease.clone(),
            };
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Accepted(signalling)));
        }
        // Both queues are filled by calls that are followed by a poll.
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, Open(reply): Open) {
        self.to_open.push_back(reply);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Open>,
    ) {
        match event {
            // Beyond the limit the stream is dropped, which resets it.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. })
                if self.accepted.len() < ACCEPTED_MAX =>
            {
                self.accepted.push_back(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol,
                info: Open(reply),
            }) => {
                // A dropped receiver means that the dial was given up; so is the stream, then.
                let _ = reply.send(Ok(Signalling {
                    stream: protocol,
                    lease: self.lease.clone(),
                }));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError {
                info: Open(reply),
                error,
            }) => {
                let _ = reply.send(Err(match error {
                    StreamUpgradeError::Timeout => Error::Timeout(Step::Circuit),
                    StreamUpgradeError::NegotiationFailed => Error::Unsupported,
                    StreamUpgradeError::Io(error) => Error::Circuit(error.to_string()),
                    StreamUpgradeError::Apply(never) => match never {},
                }));
            }
            _ => {}
        }
    }
}
