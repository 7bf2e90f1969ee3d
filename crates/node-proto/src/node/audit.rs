//! What a node holds, counted, for tests that drive it into arbitrary states. No shell has a use for it.

use crate::ids::ExchangeId;
use crate::node::Node;
use crate::node::deferred::ROWS_MAX;

/// How much there is of everything that grows with what others send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Requests of this node under way.
    pub jobs: usize,
    /// Agreements given up and not settled.
    pub partings: usize,
    /// Quotes given.
    pub quotes: usize,
    /// Agreements of buyers.
    pub agreements: usize,
    /// Activities that wait for the engine.
    pub queued: usize,
    /// The engine is thought to be busy.
    pub running: bool,
    /// Exchanges that an answer is waited for.
    pub exchanges: usize,
    /// The first of them.
    pub oldest_exchange: Option<ExchangeId>,
    /// Acknowledgements that wait for storage.
    pub acknowledgements: usize,
    /// Writes that wait behind the one under way.
    pub writes: usize,
    /// Payments whose answer is missing.
    pub payments: usize,
    /// Members known.
    pub members: usize,
    /// Offers known.
    pub offers: usize,
    /// Discovery points.
    pub points: usize,
    /// Peers that proved membership.
    pub proven: usize,
    /// Connections reported by the shell.
    pub connections: usize,
    /// Models with known answers.
    pub models_probed: usize,
    /// Rows whose check is put off.
    pub put_off: usize,
    /// The ledger waits for what counterparties hold.
    pub closed: bool,
}

/// Whether a collection is larger than its bound, and its name.
type Excess = Option<&'static str>;

impl Node {
    /// Counts everything.
    pub fn audit(&self) -> Audit {
        Audit {
            jobs: self.jobs.len(),
            partings: self.partings.len(),
            quotes: self.seller.quotes.len(),
            agreements: self.seller.active.len(),
            queued: self.monitor.queue.len(),
            running: self.seller.running.is_some(),
            exchanges: self.exchanges.sent.len(),
            oldest_exchange: self.exchanges.sent.first().map(|(exchange, _)| *exchange),
            acknowledgements: self.journal.waiting(),
            writes: self.journal.writes(),
            payments: self.retries.len(),
            members: self.network.members.len(),
            offers: self.network.offers.len(),
            points: self.network.points.len(),
            proven: self.network.proven.len(),
            connections: self.network.connections.len(),
            models_probed: self.probes.len(),
            put_off: self.deferred.rows(),
            closed: self.ledger.is_closed(),
        }
    }

    /// The first collection that is beyond its bound in the configuration.
    pub fn excess(&self) -> Excess {
        let (audit, config) = (self.audit(), &self.config);
        let bounds = [
            ("jobs", audit.jobs, config.jobs_max),
            ("partings", audit.partings, 3 * config.jobs_max),
            ("quotes", audit.quotes, config.quotes_max),
            ("agreements", audit.agreements, config.agreements_max),
            ("queued", audit.queued, config.queue_max),
            ("members", audit.members, config.peers_max),
            ("points", audit.points, config.discovery_points_max),
            ("proven", audit.proven, audit.connections),
            ("put off", audit.put_off, ROWS_MAX),
            ("probes", audit.models_probed, config.models_max),
        ];
        bounds
            .into_iter()
            .find(|(_, size, max)| size > max)
            .map(|(name, ..)| name)
    }
}
