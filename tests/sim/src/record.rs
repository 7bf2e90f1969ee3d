//! What is noted while a world runs, and what is computed from it afterwards.

use std::collections::BTreeMap;

use node_proto::{AgreementId, Event, Failure, JobId, NodeId, TradeStep, Verification};

use crate::engine;
use crate::network::Millis;

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who wanted it.
    pub buyer: u32,
    /// Which of its requests, from 0.
    pub number: u32,
    /// When it began.
    pub at: Millis,
    /// Estimated tokens, probes not counted.
    pub tokens: u32,
    /// What a right result in time is worth to the buyer, millicredits.
    pub worth: i64,
    /// Time until then, milliseconds.
    pub deadline_ms: u32,
    /// What became of it.
    pub end: End,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Nothing yet.
    Open,
    /// Its host crashed while it was open: nobody waits for it any more.
    Forgotten,
    /// It was answered.
    Served(Served),
    /// It was given up.
    Failed {
        /// When.
        at: Millis,
        /// Why.
        why: &'static str,
    },
}

/// An answered request.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// When the answer was there.
    pub at: Millis,
    /// Who computed it.
    pub provider: u32,
    /// What it cost, millicredits.
    pub price: i64,
    /// What a second provider was paid to check it.
    pub check_price: i64,
    /// Whether the result is the right one, which only the simulation knows.
    pub right: bool,
    /// Whether anything was checked.
    pub checked: bool,
    /// What the buyer's node expected, milliseconds.
    pub expected_ms: u32,
    /// From the sending of the input to its result, milliseconds.
    pub took_ms: u32,
}

/// What is counted at one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames sent to peers, requests and answers.
    pub to_peers: u64,
    /// The requests among them by their number on the wire.
    pub asked: [u64; Tally::KINDS.len()],
    /// Connections asked for.
    pub dials: u64,
    /// Connections closed to make room for others.
    pub hang_ups: u64,
    /// Frames sent to relays.
    pub to_relays: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Activities computed.
    pub works: u32,
    /// Their tokens.
    pub work_tokens: u64,
    /// Time in the engine, milliseconds.
    pub busy_ms: u64,
    /// Activities for which it was paid.
    pub paid: u32,
    /// Their prices, millicredits.
    pub earned: i64,
    /// Activities begun for somebody against whom its node held a proof of fraud.
    pub for_convicts: u64,
    /// Agreements that ended without payment.
    pub times_unpaid: u32,
    /// Times that a node could not be made from what was stored.
    pub times_unreadable: u32,
    /// Inputs that its node handled.
    pub inputs: u64,
}

impl Tally {
    /// What a request may be, in the order of the numbers on the wire (`docs/protocol.md`).
    pub const KINDS: [&str; 12] = [
        "register",
        "unregister",
        "sample",
        "request proposal",
        "counter",
        "agree",
        "execute",
        "settle",
        "reject",
        "fetch blocks",
        "gossip",
        "cancel",
    ];
}

/// What one activity of a lender's engine was for one request; a few are for several requests of one buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// When it began.
    pub at: Millis,
    /// Whose request it was for; the highest number when the texts do not say.
    pub buyer: u32,
    /// Which of that buyer's requests.
    pub request: u32,
    /// Tokens of the request's own texts.
    pub item_tokens: u32,
    /// Tokens of the known answers among them.
    pub probe_tokens: u32,
    /// Time in the engine for this request, milliseconds.
    pub took_ms: u32,
    /// Whether the result is the right one.
    pub right: bool,
}

/// What one host thinks of another at some time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opinion {
    /// When.
    pub at: Millis,
    /// Whose.
    pub by: u32,
    /// Of whom.
    pub of: u32,
    /// The score.
    pub score: f32,
    /// Its lower bound.
    pub lower: f32,
    /// Own receipts that it rests on.
    pub receipts: u32,
    /// Whether it holds a proof of fraud.
    pub convicted: bool,
}

/// Follows the requests of one host from its node's events.
#[derive(Debug, Default)]
pub struct Requests {
    /// By the number that the node knows them by.
    pub all: Vec<Request>,
    open: BTreeMap<JobId, Follow>,
    /// Providers that agreed to compute a whole request, and when.
    pub given: Vec<(Millis, u32)>,
    /// Providers' refusals, by reason.
    pub refusals: BTreeMap<&'static str, u32>,
    /// Orders that were given once more because the first provider was late.
    pub hedged: u32,
}

/// What a lender had to do with one of its buyers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dealing {
    /// The agreements whose results were delivered.
    pub delivered: Vec<AgreementId>,
    /// What was paid, millicredits.
    pub paid: i64,
    /// When the last result was delivered.
    pub last_at: Millis,
}

#[derive(Debug, Default)]
struct Follow {
    texts: Vec<String>,
    chosen: Option<u32>,
    expected_ms: u32,
    took_ms: u32,
}

impl Requests {
    /// A request begins.
    pub fn begin(&mut self, request: Request, texts: Vec<String>) -> JobId {
        let job = JobId(self.all.len() as u64);
        self.all.push(request);
        self.open.insert(
            job,
            Follow {
                texts,
                ..Follow::default()
            },
        );
        job
    }

    /// The host crashed, and with it goes what was open.
    pub fn forget_open(&mut self) {
        for job in std::mem::take(&mut self.open).into_keys() {
            if let Some(request) = self.all.get_mut(job.0 as usize) {
                request.end = End::Forgotten;
            }
        }
    }

    /// Notes an event of the node; `host_of` tells whose name a name is.
    pub fn note(&mut self, at: Millis, event: Event, host_of: impl Fn(&NodeId) -> Option<u32>) {
        match event {
            Event::Trade { job, step, .. } => self.step(at, job, step, host_of),
            Event::Finished { job, outcome } => {
                let (Some(follow), Some(request)) =
                    (self.open.remove(&job), self.all.get_mut(job.0 as usize))
                else {
                    return;
                };
                request.end = End::Served(Served {
                    at,
                    provider: host_of(&outcome.provider).unwrap_or(u32::MAX),
                    price: outcome.price.0,
                    check_price: outcome.check_price.0,
                    right: engine::is_right(&follow.texts, &outcome.output),
                    checked: outcome.verification != Verification::Unchecked,
                    expected_ms: follow.expected_ms,
                    took_ms: follow.took_ms,
                });
            }
            Event::Failed { job, failure } => {
                self.open.remove(&job);
                if let Some(request) = self.all.get_mut(job.0 as usize) {
                    request.end = End::Failed {
                        at,
                        why: name(&failure),
                    };
                }
            }
            Event::Served { .. } | Event::Blob { .. } | Event::Stored { .. } | Event::Changed => {}
        }
    }

    fn step(&mut self, at: Millis, job: JobId, step: TradeStep, host_of: impl Fn(&NodeId) -> Option<u32>) {
        let Some(follow) = self.open.get_mut(&job) else {
            return;
        };
        match step {
            TradeStep::Chosen {
                provider,
                expected_ms,
                ..
            } => {
                follow.expected_ms = expected_ms;
                follow.chosen = host_of(&provider);
            }
            TradeStep::Agreed { .. } => self.given.extend(follow.chosen.map(|host| (at, host))),
            TradeStep::Refused { reason, .. } => *self.refusals.entry(name(&reason)).or_insert(0) += 1,
            TradeStep::Hedged { .. } => self.hedged += 1,
            TradeStep::Delivered { took_ms } => follow.took_ms = took_ms,
            _ => {}
        }
    }
}

/// A failure's serialised code.
fn name(failure: &Failure) -> &'static str {
    match failure {
        Failure::NoDiscovery => "no_discovery",
        Failure::NoProvider => "no_provider",
        Failure::NoProposal { .. } => "no_proposal",
        Failure::Busy => "busy",
        Failure::Paused => "paused",
        Failure::CreditLimit { .. } => "credit_limit",
        Failure::TooExpensive => "too_expensive",
        Failure::Deadline => "deadline",
        Failure::Disconnected => "disconnected",
        Failure::WrongResult => "wrong_result",
        Failure::Expired => "expired",
        Failure::Storage => "storage",
        Failure::Cancelled => "cancelled",
        Failure::NotAMember => "not_a_member",
        _ => "other",
    }
}
