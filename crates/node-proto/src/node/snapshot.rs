//! What a person sees of the node.

use std::collections::BTreeSet;

use crate::capability::{self, Capability, Tier};
use crate::ids::{NodeId, Timestamp};
use crate::io::Path;
use crate::node::Node;
use crate::service::Service;
use crate::view::{Balance, GroupView, LendingView, OfferView, PeerView, ReceiptView, Snapshot};

/// What a device sold is shown for so long, in milliseconds.
const DAY_MS: u64 = 86_400_000;
/// Receipts of one snapshot.
const RECEIPTS_MAX: usize = 100;
/// Peers of one snapshot that are not connected.
const STRANGERS_MAX: usize = 64;

impl Node {
    /// The state, whole.
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let now = self.now.max(now);
        Snapshot {
            me: self.me,
            group: GroupView {
                id: self.group.id(),
                open: self.group.is_open(),
                line: self.lines.everyone(&self.config),
            },
            tier: self.lending.tier(),
            capability: self.capability(now),
            lending: self.lending_view(now),
            balance: self.balance(),
            peers: self.peer_views(now),
            offers: self.offer_views(now),
            receipts: self.ledger.receipts(RECEIPTS_MAX),
            discovery_points: u32::try_from(self.network.points.len()).unwrap_or(u32::MAX),
            members_seen: self.network.members_total,
            stored: self.keeper.views(),
        }
    }

    /// Credits.
    pub fn balance(&self) -> Balance {
        let (settled, pending) = self.ledger.balance();
        Balance {
            settled,
            pending,
            newcomer_allowance: self.config.newcomer_allowance,
            unlimited_in_group: !self.group.is_open() && self.config.group_line.is_none(),
        }
    }

    /// The newest receipts, newest first.
    pub fn receipts(&self, count: usize) -> Vec<ReceiptView> {
        self.ledger.receipts(count)
    }

    fn capability(&self, now: Timestamp) -> Capability {
        let runs = !self.lending.models.is_empty();
        let services = |list: fn(Tier, bool) -> Vec<Service>| {
            self.lending
                .tier()
                .map(|tier| list(tier, runs))
                .unwrap_or_default()
        };
        Capability {
            measurements: self.lending.measurements.clone(),
            confidence: self.lending.measurements.confidence(now),
            memory_bytes_max: self.monitor.memory_bytes(self.lending.tier()),
            storage_bytes_max: self.monitor.storage_bytes(self.lending.tier()),
            can_provide: services(capability::can_provide),
            need_provider: services(capability::need_provider),
            optimal_roles: services(capability::optimal_roles),
        }
    }

    fn lending_view(&self, now: Timestamp) -> LendingView {
        let yesterday = Timestamp(now.0.saturating_sub(DAY_MS));
        let (sold, earned) = self.ledger.earned_since(yesterday);
        let enabled = self.monitor.policy.enabled;
        let paused = self.paused().filter(|_| enabled);
        LendingView {
            policy: self.monitor.policy.clone(),
            paused,
            offering: enabled && paused.is_none() && self.network.points.values().any(|p| p.filed.len() > 1),
            running: self.seller.running(),
            sold,
            earned,
            busy_ms: self.lending.busy_ms,
        }
    }

    fn peer_views(&self, now: Timestamp) -> Vec<PeerView> {
        let connected = self.network.connections.iter();
        let connected = connected
            .filter(|(_, c)| c.path != Path::Server)
            .map(|(peer, _)| *peer);
        let absent = self
            .reputation
            .peers()
            .filter(|peer| !self.network.connections.contains_key(*peer));
        let absent = absent
            .filter(|peer| **peer != self.me)
            .take(STRANGERS_MAX)
            .copied();
        let peers: BTreeSet<NodeId> = connected.chain(absent).collect();
        let view = |id: NodeId| {
            let connection = self.network.connections.get(&id);
            let member = self.network.members.get(&id);
            PeerView {
                id,
                path: connection.map(|connection| connection.path),
                rtt_ms: connection.and_then(|connection| connection.rtt_ms),
                member: member.is_some() || self.network.proven.contains(&id),
                tier: member.and_then(|member| member.tier),
                reputation: self.reputation.view(now, &id),
                credit: (!self.group.is_open()).then(|| self.credit_view(&id)),
            }
        };
        peers.into_iter().map(view).collect()
    }

    fn offer_views(&self, now: Timestamp) -> Vec<OfferView> {
        let lends = self.monitor.policy.enabled && self.paused().is_none();
        let models = self.lending.models.values();
        let own = models.map(|model| self.lending.offer(model, self.config.queue_max));
        let own = own.chain(self.lending.computer_offer(self.config.queue_max));
        let own = own.filter(|_| lends).map(|offer| (self.me, offer, now));
        let others = self
            .network
            .offers
            .iter()
            .map(|((id, _, _), known)| (*id, known.offer.clone(), known.taken));
        own.chain(others)
            .filter_map(|(provider, offer, taken)| {
                Some(OfferView {
                    provider,
                    mine: provider == self.me,
                    service: Service::from_code(offer.service)?,
                    model: offer.model,
                    model_name: offer.model_name,
                    unit_price: offer.unit_price,
                    factors: offer.factors,
                    capacity: offer.capacity,
                    unit_ms: offer.unit_ms,
                    age_ms: now.ms_since(taken),
                })
            })
            .collect()
    }
}
