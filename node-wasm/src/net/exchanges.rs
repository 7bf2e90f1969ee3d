//! Requests that wait for their answers, in both directions, with the core's own time limits.

use litemap::LiteMap;

use exchange::{Frame, ResponseChannel};
use libp2p::core::upgrade::NegotiationError;
use libp2p::request_response::{InboundRequestId, OutboundFailure, OutboundRequestId};
use node_proto::ids::{ExchangeId, Timestamp};
use node_proto::io::{ExchangeFailure, Input};

/// Requests of this node under way; the core has far fewer.
pub(super) const OUTBOUND_MAX: usize = 512;
/// Requests of others that the core has not answered yet.
const INBOUND_MAX: usize = 256;

/// The two tables.
#[derive(Default)]
pub(super) struct Exchanges {
    outbound: LiteMap<OutboundRequestId, (ExchangeId, Timestamp)>,
    inbound: LiteMap<ExchangeId, (InboundRequestId, ResponseChannel)>,
    last_inbound: u64,
}

impl Exchanges {
    /// Whether one more request may go out.
    pub(super) fn has_room(&self) -> bool {
        self.outbound.len() < OUTBOUND_MAX
    }

    pub(super) fn sent(&mut self, request: OutboundRequestId, exchange: ExchangeId, deadline: Timestamp) {
        self.outbound.insert(request, (exchange, deadline));
    }

    /// The answer to a request; `None` if its time had passed.
    pub(super) fn answered(
        &mut self,
        request: OutboundRequestId,
        result: Result<Frame, ExchangeFailure>,
    ) -> Option<Input> {
        let (exchange, _) = self.outbound.remove(&request)?;
        Some(Input::Response { exchange, result })
    }

    /// A request came in; `None` if too many wait, and the sender learns that the stream was closed.
    pub(super) fn received(
        &mut self,
        request: InboundRequestId,
        channel: ResponseChannel,
    ) -> Option<ExchangeId> {
        if self.inbound.len() >= INBOUND_MAX {
            return None;
        }
        self.last_inbound += 1;
        let exchange = ExchangeId(self.last_inbound);
        self.inbound.insert(exchange, (request, channel));
        Some(exchange)
    }

    /// The way to answer, once.
    pub(super) fn channel(&mut self, exchange: ExchangeId) -> Option<ResponseChannel> {
        self.inbound.remove(&exchange).map(|(_, channel)| channel)
    }

    /// Nobody waits for this answer any more.
    pub(super) fn forget(&mut self, request: InboundRequestId) {
        self.inbound.retain(|_, (waiting, _)| *waiting != request);
    }

    /// When the next request times out.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.outbound.values().map(|(_, deadline)| *deadline).min()
    }

    /// The requests whose time has passed.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<Input> {
        let late: Vec<OutboundRequestId> = self
            .outbound
            .iter()
            .filter(|(_, (_, deadline))| *deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        late.into_iter()
            .filter_map(|id| self.answered(id, Err(ExchangeFailure::Timeout)))
            .collect()
    }
}

/// What the core is told of a failure.
pub(super) fn failure_of(error: &OutboundFailure) -> ExchangeFailure {
    match error {
        OutboundFailure::Timeout => ExchangeFailure::Timeout,
        OutboundFailure::UnsupportedProtocols => ExchangeFailure::Unsupported,
        // Streams open without waiting for the protocol to be agreed on; the first read notices that it was not.
        OutboundFailure::Io(reason)
            if reason
                .get_ref()
                .is_some_and(|inner| inner.is::<NegotiationError>()) =>
        {
            ExchangeFailure::Unsupported
        }
        OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed | OutboundFailure::Io(_) => {
            ExchangeFailure::Unreachable
        }
    }
}
