//! The node: the one mutable thing of this crate, driven by its shell.
//!
//! | file | part of the chain |
//! | --- | --- |
//! | `discover` | presence, offers, samples |
//! | `connect` | connections: whom to dial, and on whom to hang up |
//! | `coordinate` | being a discovery point for others |
//! | `lending` | what is offered, at what price, or why not |
//! | `quote` | proposal and counter-offer on the provider's side |
//! | `sell`, `seller` | agreement and activity on the provider's side |
//! | `buy`, `job` | a request of this node from its beginning to its end |
//! | `search` | demand and proposals on the buyer's side |
//! | `choose` | choice and counter-offer on the buyer's side |
//! | `sample` | strangers tried out, and second opinions |
//! | `leg` | agreement and activity on the buyer's side |
//! | `hedge` | late providers, and agreements that are given up |
//! | `dispute` | two results that contradict each other |
//! | `deferred`, `scarcity` | checks that are put off while engines are scarce |
//! | `judge` | verification and payment on the buyer's side |
//! | `settle` | receipts, on both sides |
//! | `credit`, `lines` | how much a stranger, and a member, may owe |
//! | `recover` | receipts that were lost, from those who hold them |
//! | `gossip`, `convict` | blocks and proofs that show fraud, and what follows from one |
//! | `journal`, `restore` | what must be durable before it is said, and the way back |
//! | `fetch`, `hold` | blobs on their way here, and those that are given to others |
//! | `snapshot` | what a person sees |
//!
//! Every input is handled to its end before the next: state changes, outputs queue up, and what is due by now is done.
//! Waits are deadlines that [`Node::poll_timeout`] reports. Two things wait without one, because no time makes them right:
//! what must be durable before it is said (`journal`), and a ledger restored from a backup, which stays closed until the
//! first member is there to be asked (`recover`). Neither holds up a request, an agreement or an exchange.

mod audit;
mod buy;
mod choose;
mod connect;
mod convict;
mod coordinate;
mod credit;
mod deferred;
mod discover;
mod dispute;
mod fetch;
mod gossip;
mod hedge;
mod hold;
mod job;
mod journal;
mod judge;
mod keeper;
mod kept;
mod leg;
mod lending;
mod lines;
mod network;
mod quote;
mod recover;
mod restore;
mod sample;
mod scarcity;
mod search;
mod sell;
mod seller;
mod settle;
mod snapshot;

use std::collections::VecDeque;

use litemap::LiteMap;

use crate::cache::Cache;
use crate::config::Config;
use crate::group::{Group, Purpose as TagPurpose};
use crate::ids::{AgreementId, ExchangeId, Hash, JobId, Millicredits, ModelId, NodeId, Timestamp};
use crate::io::{Command, ExchangeFailure, Input, Output};
use crate::ledger::{Ledger, Place, Source, Witness};
use crate::monitor::Monitor;
use crate::pace::Paces;
use crate::reputation::{Aspect, Reputation};
use crate::rng::Rng;
use crate::service::{Failure, Probe};
use crate::sign::Signer;
use crate::storage::Keeper;
use crate::transfer::Transfer;
use crate::view::{Event, ReceiptView, ReputationView, ServeStep};
use crate::wire::{Refusal, RefusalCode, Request, Response, decode_frame, encode_frame};

pub use audit::Audit;
use convict::Aside;
use coordinate::Coordination;
use deferred::Deferred;
use gossip::Gossip;
use hold::Holding;
use job::{Job, Parting};
use journal::{Journal, Step};
use lending::Lending;
use lines::CreditLines;
pub use restore::RestoreError;
pub(crate) use sample::SAMPLES_MAX;

use network::{Exchanges, Network, Purpose, Sent};
use recover::Recovery;
use restore::Stored;
use scarcity::Scarcity;
use seller::Seller;
use settle::Retry;

/// What is done once a write is durable.
enum After {
    Respond(ExchangeId, Vec<u8>),
    /// The payer's half may leave.
    Settle(Place),
    /// The receipt is complete at the payer's.
    Receipted(Place),
    Event(Event),
}

/// A node of the network, without its body.
pub struct Node {
    config: Config,
    signer: Box<dyn Signer>,
    me: NodeId,
    group: Group,
    rng: Rng,
    now: Timestamp,
    outputs: VecDeque<Output>,
    journal: Journal<After>,
    ledger: Ledger,
    reputation: Reputation,
    /// Other people's blocks.
    witness: Witness,
    gossip: Gossip,
    aside: Aside,
    recovery: Recovery,
    network: Network,
    coordination: Coordination,
    exchanges: Exchanges,
    lending: Lending,
    cache: Cache,
    lines: CreditLines,
    monitor: Monitor,
    paces: Paces,
    seller: Seller,
    /// Boxed: each is taken out while it changes, and is a kilobyte and more.
    jobs: LiteMap<JobId, Box<Job>>,
    /// Agreements that were given up and are not settled yet.
    partings: LiteMap<AgreementId, Parting>,
    /// Payments that wait for the receiver's half.
    retries: LiteMap<Place, Retry>,
    probes: LiteMap<ModelId, Vec<Probe>>,
    /// Blobs on their way here.
    transfers: LiteMap<Hash, Transfer>,
    holding: Holding,
    /// Checks that are put off while engines are scarce.
    deferred: Deferred,
    /// Blobs that others keep for this node.
    keeper: Keeper,
    scarcity: Scarcity,
    /// Results since a comparison last contradicted the probes, see [`verification`](crate::verification).
    passed: u32,
    changed: bool,
}

impl Node {
    /// A node that continues from what its [`Write`](crate::Write)s stored, in any order; from nothing, a new one.
    pub fn new(
        config: Config,
        signer: Box<dyn Signer>,
        group: Group,
        seed: u64,
        now: Timestamp,
        stored: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, RestoreError> {
        config.validate()?;
        let me = signer.id();
        let mut reputation = Reputation::new(me, config.reputation_half_life_ms, config.peers_max);
        let stored = Stored::sort(stored, &mut reputation)?;
        let mut ledger = Ledger::restore(me, group.clone(), config.ledger_blocks_max, stored.ledger)?;
        let mut witness = Witness::new(config.witness_blocks_max, config.witness_told_max);
        ledger
            .others()
            .for_each(|half| drop(witness.show(half, Source::Own)));
        for (peer, exposure) in ledger.exposures() {
            reputation.paid(&me, peer, Millicredits(exposure.given));
        }
        let recovery = Recovery::new(ledger.exposures().map(|(peer, _)| *peer));
        let mut rng = Rng::new(seed, &me);
        ledger.begin_epoch(u16::from_le_bytes(rng.bytes()));
        let mut node = Self {
            rng,
            journal: Journal::new(config.persist_ms, config.persist_retry_ms),
            lending: Lending::new(&config, now),
            cache: Cache::new(group.id(), config.cache_rows_max, config.cache_age_ms),
            lines: stored.lines,
            monitor: Monitor::new(&config, now),
            paces: Paces::new(config.peers_max, config.overhead_ms),
            seller: Seller::default(),
            config,
            signer,
            me,
            group,
            now,
            outputs: VecDeque::new(),
            ledger,
            reputation,
            witness,
            gossip: Gossip::default(),
            aside: Aside::default(),
            recovery,
            network: Network::default(),
            coordination: Coordination::default(),
            exchanges: Exchanges::default(),
            jobs: LiteMap::new(),
            partings: LiteMap::new(),
            retries: LiteMap::new(),
            probes: LiteMap::new(),
            transfers: LiteMap::new(),
            holding: Holding::default(),
            deferred: Deferred::default(),
            keeper: stored.keeper,
            scarcity: Scarcity::default(),
            passed: 0,
            changed: true,
        };
        node.restore_convictions(stored.proofs);
        let writes = node.cache.restore(now, stored.cache);
        node.journal.commit_along(writes);
        node.rate_own_standing();
        node.resume_payments();
        Ok(node)
    }

    /// This node's name.
    pub fn id(&self) -> NodeId {
        self.me
    }

    /// Takes one input. `now` never runs backwards; an earlier one counts as the latest seen.
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Connected { peer, path } => self.connected(peer, path),
            Input::Disconnected { peer } => self.disconnected(&peer),
            Input::RoundTrip { peer, rtt_ms } => {
                if let Some(connection) = self.network.connections.get_mut(&peer) {
                    connection.rtt_ms = Some(rtt_ms);
                    self.changed = true;
                }
            }
            Input::Addresses(addresses) => self.set_addresses(addresses),
            Input::DiscoveryPoint { peer, available } => self.set_discovery_point(peer, available),
            Input::Request {
                exchange,
                peer,
                frame,
            } => self.answer(exchange, peer, &frame),
            Input::Response { exchange, result } => self.answered(exchange, result),
            Input::Persisted { seq } => {
                let afters = self.journal.persisted(seq);
                self.do_afters(afters);
            }
            Input::PersistFailed { seq } => {
                self.journal.failed(self.now, seq);
                self.fail_all_jobs(&Failure::Storage);
            }
            Input::WorkDone {
                work,
                result,
                took_ms,
            } => self.work_done(work, result, took_ms),
            Input::Command(command) => self.command(command),
            Input::Blob(input) => self.blob_input(input),
        }
        self.do_due();
    }

    /// The next thing to do; `None` until the next input or timeout.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        std::mem::take(&mut self.changed).then_some(Output::Event(Event::Changed))
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let exchanges = self.exchanges.sent.values().map(|sent| sent.expires).min();
        let jobs = self.jobs.values().map(|job| job.timeout()).min();
        let retries = self.retries.values().filter_map(|retry| retry.due()).min();
        [
            exchanges,
            jobs,
            retries,
            self.journal.timeout(),
            self.discovery_timeout(),
            self.selling_timeout(),
            self.gossip.timeout(),
            self.recovery_timeout(),
            self.transfers_timeout(),
            self.deferred.timeout(),
            self.keeper.timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.do_due();
    }

    /// What this node knows of a peer's conduct, and from whom.
    pub fn reputation(&self, peer: &NodeId) -> ReputationView {
        self.reputation.explained(self.now, peer)
    }

    /// The own receipts with a peer that its score rests on, newest first; older ones are folded into sums.
    pub fn receipts_with(&self, peer: &NodeId, count: usize) -> Vec<ReceiptView> {
        self.ledger.receipts_with(peer, count)
    }

    fn do_due(&mut self) {
        if self.journal.falls_silent(self.now) {
            self.fail_all_jobs(&Failure::Storage);
            self.changed = true;
        }
        for exchange in self.exchanges.expired(self.now) {
            self.answered(exchange, Err(ExchangeFailure::Timeout));
        }
        self.sell_due();
        self.coordinate_due();
        self.discover_due();
        self.connections_due();
        self.jobs_due();
        self.deferred_due();
        self.keeper_due();
        self.settle_due();
        self.gossip_due();
        self.recovery_due();
        self.transfers_due();
        self.flush();
    }

    /// Hands out the next write, or does what waited for nothing.
    fn flush(&mut self) {
        while let Some(step) = self.journal.poll(self.now) {
            match step {
                Step::Persist(output) => self.outputs.push_back(output),
                Step::Do(afters) => self.do_afters(afters),
            }
        }
    }

    fn do_afters(&mut self, afters: Vec<After>) {
        for after in afters {
            match after {
                After::Respond(exchange, frame) => {
                    self.outputs.push_back(Output::Respond { exchange, frame })
                }
                After::Settle(place) => self.send_settlement(place),
                After::Receipted(place) => self.receipted(place),
                After::Event(event) => self.event(event),
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Measured(measurements) => self.lending.measured(self.now, &measurements),
            Command::Environment(environment) => self.monitor.environment = environment,
            Command::Lend(policy) => self.monitor.policy = policy,
            Command::Models { models } => self.lending.set_models(models),
            Command::Computer { computer } => self.lending.set_computer(computer),
            Command::Store { store } => self.lending.set_store(store),
            Command::Keep(keep) => self.keep_elsewhere(keep),
            Command::Prolong { blob } => self.keeper.prolong(&blob),
            Command::Release { blob } => self.release(&blob),
            Command::Probes { model, mut probes } => {
                probes.truncate(self.config.probes_kept_max);
                if self.probes.len() < self.config.models_max || self.probes.contains_key(&model) {
                    self.probes.insert(model, probes);
                }
            }
            Command::Request {
                job,
                request,
                requirements,
            } => self.start_job(job, request, requirements),
            Command::Cancel { job } => self.cancel_job(job),
            Command::CreditLine { member, line } => {
                let write = self.lines.set(&self.config, member, line);
                self.journal.commit(write.into_iter().collect(), []);
            }
            Command::RefreshMarket => self.refresh_market(),
        }
        self.changed = true;
    }

    /// Sends a request that `purpose` will understand the answer of.
    fn request(&mut self, peer: NodeId, request: &Request, purpose: Purpose, timeout_ms: u32) {
        self.request_frame(peer, encode_frame(request), purpose, timeout_ms);
    }

    fn request_frame(&mut self, peer: NodeId, frame: Vec<u8>, purpose: Purpose, timeout_ms: u32) {
        let expires = self
            .now
            .plus_ms(u64::from(timeout_ms) + u64::from(self.config.unreported_ms));
        let exchange = self.exchanges.add(Sent {
            peer,
            purpose,
            expires,
        });
        if peer == self.me {
            return self.ask_itself(exchange, frame);
        }
        if !matches!(purpose, Purpose::Gossip | Purpose::Recover | Purpose::Evidence) {
            self.used(&peer);
        }
        self.outputs.push_back(Output::Request {
            exchange,
            peer,
            frame,
            timeout_ms,
        });
    }

    /// Dispatches the answer to an own request. An answer to none, or a second one, is ignored.
    fn answered(&mut self, exchange: ExchangeId, result: Result<Vec<u8>, ExchangeFailure>) {
        let Some(Sent { peer, purpose, .. }) = self.exchanges.sent.remove(&exchange) else {
            return;
        };
        let result = match result {
            Ok(frame) => decode_frame::<Response>(&frame).map_err(|error| Failure::from(&error)),
            Err(ExchangeFailure::Timeout) => Err(Failure::Deadline),
            Err(ExchangeFailure::Unreachable) => Err(Failure::Disconnected),
            Err(ExchangeFailure::Unsupported) => Err(Failure::Protocol {
                what: "the protocol is not spoken".to_owned(),
            }),
        };
        let result = match result {
            Ok(Response::Refused(refusal)) => Err(refusal.to_failure()),
            other => other,
        };
        match purpose {
            Purpose::Register { key } => self.registered(&peer, key, result),
            Purpose::SampleMembers => self.sampled_members(&peer, result),
            Purpose::SampleOffers { key } => self.sampled_offers(&peer, key, result),
            Purpose::Propose { job } => self.proposed(job, &peer, result, false),
            Purpose::ProposeSample { job } => self.proposed_sample(job, &peer, result),
            Purpose::Counter { job } => self.proposed(job, &peer, result, true),
            Purpose::Agree { job, agreement } => self.agreed(job, &agreement, &peer, result),
            Purpose::Execute { job, agreement } => self.executed(job, &agreement, &peer, result),
            Purpose::Cancel { agreement } => self.parted(&agreement, &peer, result),
            Purpose::Settle { place } => self.settled(place, result),
            Purpose::Recover => self.recovered(&peer, result),
            Purpose::Evidence => self.shown_evidence(&peer, result),
            Purpose::FetchPart { blob, part } => self.fetched_part(&blob, part, &peer, result),
            Purpose::Unregister | Purpose::Reject | Purpose::Gossip => {}
        }
    }

    /// Answers a peer's request, now or when the work or the write is done.
    fn answer(&mut self, exchange: ExchangeId, peer: NodeId, frame: &[u8]) {
        let request = match decode_frame::<Request>(frame) {
            Ok(request) => request,
            Err(error) => return self.refuse(exchange, &Refusal::from(&error)),
        };
        let tag = match &request {
            Request::RequestProposal { tag, .. }
            | Request::Counter { tag, .. }
            | Request::Agree { tag, .. }
            | Request::FetchPart { tag, .. } => Some(*tag),
            Request::FetchBlocks(fetch) => Some(fetch.tag),
            Request::Gossip(gossip) => Some(gossip.tag),
            _ => None,
        };
        if let Some(tag) = tag
            && !self.group.check_tag(TagPurpose::Trade, &peer, &self.me, &tag.0)
        {
            return self.refuse(exchange, &Refusal::new(RefusalCode::NotAMember));
        }
        if self.shuns(&peer, &request) {
            return self.refuse(exchange, &Refusal::new(RefusalCode::Fraud));
        }
        if tag.is_some() && self.network.connections.contains_key(&peer) {
            self.changed |= self.network.proven.insert(peer);
            self.met(&peer);
        }
        let response = match request {
            Request::RequestProposal { demand, .. } if self.doubts(&peer, &demand) => {
                Err(Refusal::new(RefusalCode::Fraud))
            }
            Request::RequestProposal { demand, .. } => self.quote(peer, demand),
            Request::Counter { proposal, price, .. } => self.counter(peer, &proposal, price),
            Request::Agree { agreement, .. } => self.agree(peer, &agreement),
            Request::Execute { agreement, input } => return self.execute(exchange, peer, agreement, input),
            Request::Settle {
                agreement,
                countersignature,
                block,
                partial,
            } => {
                let partial = partial.as_ref();
                return self.take_payment(exchange, peer, &agreement, &countersignature, &block, partial);
            }
            Request::Reject(verdict) => self.rejected(peer, &verdict),
            Request::FetchBlocks(fetch) => match self.show_blocks(&peer, &fetch) {
                // A receipt that is shown counts for its reader, so it leaves no sooner than it is durable here.
                Ok(response) if self.journal.waiting() < self.config.answers_max => {
                    let respond = After::Respond(exchange, encode_frame(&response));
                    return self.journal.commit(Vec::new(), [respond]);
                }
                Ok(_) => Err(Refusal::new(RefusalCode::Busy)),
                Err(refusal) => Err(refusal),
            },
            Request::Gossip(gossip) => Ok(self.hear(&peer, gossip)),
            Request::Cancel { agreement } => return self.cancelled(exchange, &peer, &agreement),
            Request::FetchPart { blob, chunk, .. } => match self.give_part(exchange, &peer, blob, chunk) {
                Ok(()) => return,
                Err(refusal) => Err(refusal),
            },
            Request::Register(_) | Request::Unregister(_) | Request::Sample { .. } => {
                match self.coordinate(peer, frame) {
                    Some(frame) => return self.outputs.push_back(Output::Respond { exchange, frame }),
                    None => Err(Refusal::because(
                        RefusalCode::UnknownMessage,
                        "not a discovery point",
                    )),
                }
            }
        };
        match response {
            Ok(response) => self.respond(exchange, &response),
            Err(refusal) => self.refuse(exchange, &refusal),
        }
    }

    fn respond(&mut self, exchange: ExchangeId, response: &Response) {
        let frame = encode_frame(response);
        self.outputs.push_back(Output::Respond { exchange, frame });
    }

    fn refuse(&mut self, exchange: ExchangeId, refusal: &Refusal) {
        self.respond(exchange, &Response::Refused(refusal.clone()));
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
        self.changed = true;
    }

    fn served(&mut self, requester: NodeId, step: ServeStep) {
        self.event(Event::Served {
            requester,
            at: self.now,
            step,
        });
    }

    /// Counts something seen of a peer and keeps it.
    fn observe(&mut self, peer: &NodeId, aspect: Aspect, well: bool, weight: f64) {
        let writes = self.reputation.observe(self.now, peer, aspect, well, weight);
        self.journal.commit(writes, []);
        self.changed = true;
    }

    /// Lets the price follow what buyers' verdicts showed of this node.
    fn rate_own_standing(&mut self) {
        let quality_lower = self.reputation.quality_lower(self.now, &self.me);
        self.lending.reputation_factor = crate::price::reputation_factor(quality_lower);
    }

    /// Proves to `peer` that this node is in the group.
    fn tag(&self, peer: &NodeId) -> Hash {
        Hash(self.group.tag(TagPurpose::Trade, &self.me, peer))
    }
}

#[cfg(test)]
mod tests;
