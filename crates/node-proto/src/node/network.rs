//! What the node knows of others: connections, members, offers and discovery points.

use litemap::LiteMap;

use crate::capability::Tier;
use crate::discovery::OfferBook;
use crate::ids::{AgreementId, ExchangeId, Hash, NodeId, Timestamp};
use crate::io::Path;
use crate::transfer::Part;
use crate::wire::Signed;

/// A standing connection.
pub(super) struct Connection {
    pub(super) path: Path,
    pub(super) rtt_ms: Option<u32>,
    /// When something was last done with the peer: it connected, was asked something, or agreed to buy.
    pub(super) used_at: Timestamp,
}

impl Connection {
    /// One, unless it is to a discovery point.
    fn is_to_peer(&self) -> usize {
        usize::from(self.path != Path::Server)
    }
}

/// A member of the group, as its registration tells.
pub(super) struct Member {
    pub(super) addresses: Vec<String>,
    pub(super) tier: Option<Tier>,
    /// BLAKE3 of the registration, so that the same one is not checked twice.
    pub(super) print: Hash,
    /// The discovery point that told of it last.
    pub(super) source: NodeId,
    pub(super) expires: Timestamp,
    /// Not dialled before this.
    pub(super) dial_after: Timestamp,
    pub(super) dialled_at: Option<Timestamp>,
    /// The registration that told of the addresses, until its signature has been checked: nobody is dialled on the word of
    /// a discovery point.
    pub(super) unchecked: Option<Signed>,
}

/// What was filed under one key.
pub(super) struct Filed {
    /// BLAKE3 of what was filed.
    pub(super) print: Hash,
    pub(super) filed_at: Timestamp,
    pub(super) renew_at: Timestamp,
}

/// What this node says of itself at discovery points, without the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) offering: bool,
    pub(super) tier: Option<Tier>,
    pub(super) market_demand: u32,
    pub(super) reputation_factor: u32,
    /// Counts how often the models changed.
    pub(super) models: u64,
}

/// When to look through what is filed again.
#[derive(Default)]
pub(super) struct Filing {
    /// What was to be filed the last time.
    pub(super) content: Option<Content>,
    /// The next renewal, or the next moment at which a change may be filed.
    pub(super) due: Timestamp,
}

/// A discovery point that can be asked now.
#[derive(Default)]
pub(super) struct Point {
    pub(super) filed: LiteMap<Hash, Filed>,
    pub(super) sample_at: Timestamp,
    /// It has told of members at least once: whoever turns up later came after this node.
    pub(super) answered: bool,
}

/// Everything known of others.
#[derive(Default)]
pub(super) struct Network {
    pub(super) connections: LiteMap<NodeId, Connection>,
    /// How many of them are to peers: with every input it is asked whether there is room for more.
    peer_connections: usize,
    /// Boxed: the map is a row, in which half of them move when one comes or goes.
    pub(super) members: LiteMap<NodeId, Box<Member>>,
    pub(super) offers: OfferBook,
    pub(super) points: LiteMap<NodeId, Point>,
    pub(super) filing: Filing,
    pub(super) addresses: Vec<String>,
    /// No member's registration runs out before this.
    pub(super) members_expire: Timestamp,
    /// Members that the largest answer spoke of, this node included when it was among them.
    pub(super) members_total: Option<u32>,
    /// Of the last registration.
    pub(super) sequence: u64,
    /// Peers that proved membership in a message.
    pub(super) proven: std::collections::BTreeSet<NodeId>,
}

impl Network {
    /// Connections to peers, discovery points not counted.
    pub(super) fn peer_connections(&self) -> usize {
        self.peer_connections
    }

    /// A connection stands, in place of a former one to the same peer.
    pub(super) fn connect(&mut self, peer: NodeId, connection: Connection) {
        self.peer_connections += connection.is_to_peer();
        let former = self.connections.insert(peer, connection);
        self.peer_connections -= former.map_or(0, |former| former.is_to_peer());
    }

    /// None stands any more.
    pub(super) fn disconnect(&mut self, peer: &NodeId) {
        let former = self.connections.remove(peer);
        self.peer_connections -= former.map_or(0, |former| former.is_to_peer());
    }

    pub(super) fn path(&self, peer: &NodeId) -> Option<Path> {
        self.connections.get(peer).map(|connection| connection.path)
    }

    /// Where a member can be reached, as far as is known.
    pub(super) fn addresses_of(&self, peer: &NodeId) -> Vec<String> {
        let member = self.members.get(peer);
        member.map_or_else(Vec::new, |member| member.addresses.clone())
    }

    /// Drops members and offers whose registrations have run out.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.members.len();
        if self.members_expire <= now {
            self.members.retain(|_, member| member.expires > now);
            self.members_expire = self.earliest_expiry();
        }
        self.offers.expire(now) || before != self.members.len()
    }

    /// Takes a member in.
    pub(super) fn learn(&mut self, peer: NodeId, member: Member) {
        self.members_expire = self.members_expire.min(member.expires);
        self.members.insert(peer, Box::new(member));
    }

    /// Lets members be dialled at once whose last dial led nowhere.
    pub(super) fn dial_again(&mut self, now: Timestamp) {
        for (_, member) in self.members.iter_mut() {
            if member.dialled_at.take().is_some() {
                member.dial_after = now;
            }
        }
    }

    fn earliest_expiry(&self) -> Timestamp {
        let expiries = self.members.values().map(|member| member.expires);
        expiries.min().unwrap_or(Timestamp(u64::MAX))
    }
}

/// What an own request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Register {
        key: Hash,
    },
    Unregister,
    SampleMembers,
    SampleOffers {
        key: Hash,
    },
    Propose {
        job: crate::ids::JobId,
    },
    ProposeSample {
        job: crate::ids::JobId,
    },
    Counter {
        job: crate::ids::JobId,
    },
    Agree {
        job: crate::ids::JobId,
        agreement: AgreementId,
    },
    Execute {
        job: crate::ids::JobId,
        agreement: AgreementId,
    },
    Cancel {
        agreement: AgreementId,
    },
    Settle {
        place: crate::ledger::Place,
    },
    Reject,
    Gossip,
    /// Own receipts that the peer may hold.
    Recover,
    /// The block that a doubtful head names.
    Evidence,
    FetchPart {
        blob: Hash,
        part: Part,
    },
}

/// An own request under way.
pub(super) struct Sent {
    pub(super) peer: NodeId,
    pub(super) purpose: Purpose,
    /// Given up after this, even when the shell never reports.
    pub(super) expires: Timestamp,
}

/// Own requests under way.
#[derive(Default)]
pub(super) struct Exchanges {
    last: u64,
    pub(super) sent: LiteMap<ExchangeId, Sent>,
}

impl Exchanges {
    pub(super) fn add(&mut self, sent: Sent) -> ExchangeId {
        self.last += 1;
        let exchange = ExchangeId(self.last);
        self.sent.insert(exchange, sent);
        exchange
    }

    /// Requests that nobody will answer any more.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<ExchangeId> {
        let late = self.sent.iter().filter(|(_, sent)| sent.expires <= now);
        late.map(|(exchange, _)| *exchange).collect()
    }

    pub(super) fn to(&self, peer: &NodeId) -> Vec<ExchangeId> {
        let theirs = self.sent.iter().filter(|(_, sent)| sent.peer == *peer);
        theirs.map(|(exchange, _)| *exchange).collect()
    }
}
