//! With whom this node is connected: members are dialled while there are few connections, and the one that was not used for
//! the longest time makes room where there are many.
//!
//! A tab holds as many connections as its browser carries well, and in a large network every trade may be with somebody
//! new. So a connection that nothing hangs on is closed when a further one comes: the least recently used, as caches do it,
//! and only after it was idle for a while, so that nobody who is about to answer is cut off. Discovery points, whoever is
//! registered here, and everyone with an open agreement, exchange or payment stay.

use crate::ids::{NodeId, Timestamp};
use crate::io::{Output, Path};
use crate::node::Node;
use crate::node::job::{Job, Leg};
use crate::node::network::{Connection, Member};
use crate::wire::Registration;

impl Node {
    pub(super) fn connected(&mut self, peer: NodeId, path: Path) {
        let former = self.network.connections.get(&peer);
        let connection = Connection {
            path,
            rtt_ms: former.and_then(|former| former.rtt_ms),
            used_at: self.now,
        };
        self.network.connect(peer, connection);
        self.turned_up(&peer);
        self.retry_payments_to(&peer);
        // A search may have dialled to ask this very peer.
        self.search_again();
        self.met(&peer);
        self.changed = true;
    }

    /// A peer is connected, or has turned out to be a member: what both may lack is exchanged.
    pub(super) fn met(&mut self, peer: &NodeId) {
        self.greet(peer);
        self.ask_back(peer);
    }

    pub(super) fn disconnected(&mut self, peer: &NodeId) {
        self.network.disconnect(peer);
        self.network.proven.remove(peer);
        self.gossip.disconnected(peer);
        self.witness.left(peer);
        self.forget_registrations(peer);
        for exchange in self.exchanges.to(peer) {
            self.answered(exchange, Err(crate::io::ExchangeFailure::Unreachable));
        }
        self.changed = true;
    }

    /// Something that is worth a connection was sent to a peer, or came from it.
    pub(super) fn used(&mut self, peer: &NodeId) {
        if let Some(connection) = self.network.connections.get_mut(peer) {
            connection.used_at = self.now;
        }
    }

    /// When the next member may be dialled, while there is room for another connection.
    pub(super) fn next_dial(&self) -> Option<Timestamp> {
        if self.connection_room() == 0 {
            return None;
        }
        let members = self.network.members.iter();
        let dials = members.filter(|(peer, member)| self.may_be_dialled(peer, member));
        let soon = self.now.plus_ms(1);
        dials.map(|(_, member)| member.dial_after.max(soon)).min()
    }

    /// Dials members where there are few connections, and hangs up where there are many.
    pub(super) fn connections_due(&mut self) {
        self.dial_members();
        while self.network.peer_connections() > self.config.connections_held_max {
            let Some(peer) = self.least_used() else { return };
            self.outputs.push_back(Output::HangUp { peer });
            self.disconnected(&peer);
        }
    }

    /// Whose connection was not used for the longest time, of those that can be done without.
    fn least_used(&self) -> Option<NodeId> {
        let idle_ms = u64::from(self.config.connection_idle_ms);
        let connections = self.network.connections.iter();
        let idle = connections.filter(|(peer, connection)| {
            connection.used_at.plus_ms(idle_ms) <= self.now && !self.needs(peer, connection)
        });
        let least = idle.min_by_key(|(_, connection)| connection.used_at);
        least.map(|(peer, _)| *peer)
    }

    fn needs(&self, peer: &NodeId, connection: &Connection) -> bool {
        let works_for_this = |job: &Job| job.legs().any(|leg: &Leg| leg.provider == *peer);
        connection.path == Path::Server
            || self.network.points.contains_key(peer)
            || self.registers(peer)
            || self.seller.active_of(peer).next().is_some()
            || self.jobs.values().any(|job| works_for_this(job))
            || self.retries.values().any(|retry| retry.is_to(peer))
            || !self.exchanges.to(peer).is_empty()
    }

    /// Connections that may still be made to members.
    fn connection_room(&self) -> usize {
        let held = self.network.peer_connections();
        self.config.connections_max.saturating_sub(held)
    }

    fn may_be_dialled(&self, peer: &NodeId, member: &Member) -> bool {
        !member.addresses.is_empty() && !self.network.connections.contains_key(peer)
    }

    fn dial_members(&mut self) {
        let (now, room) = (self.now, self.connection_room());
        if room == 0 {
            return;
        }
        let members = self.network.members.iter();
        let due: Vec<NodeId> = members
            .filter(|(peer, member)| member.dial_after <= now && self.may_be_dialled(peer, member))
            .map(|(peer, _)| *peer)
            .collect();
        let later = now.plus_ms(self.config.redial_ms.into());
        for peer in &due {
            if let Some(member) = self.network.members.get_mut(peer) {
                member.dial_after = later;
            }
        }
        for peer in self.rng.sample(due, room) {
            self.dial(&peer);
        }
    }

    /// Connects to a member, unless that was tried a moment ago.
    pub(super) fn dial(&mut self, peer: &NodeId) {
        let (now, redial_ms) = (self.now, u64::from(self.config.redial_ms));
        let Some(member) = self.network.members.get_mut(peer) else {
            return;
        };
        if member.addresses.is_empty() || member.dialled_at.is_some_and(|at| now < at.plus_ms(redial_ms)) {
            return;
        }
        if let Some(signed) = member.unchecked.take()
            && signed.open::<Registration>(peer).is_err()
        {
            self.network.members.remove(peer);
            return;
        }
        member.dialled_at = Some(now);
        member.dial_after = now.plus_ms(redial_ms);
        let addresses = member.addresses.clone();
        self.outputs.push_back(Output::Dial {
            peer: *peer,
            addresses,
        });
    }
}
