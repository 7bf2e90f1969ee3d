//! The buyer's side up to the choice: demand, proposals, selection.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Hash, JobId, Millicredits, ModelId, NodeId};
use crate::io::Path;
use crate::market::{Candidate, rank};
use crate::node::Node;
use crate::node::job::{Asked, Batch, End, Job, Quoted, Stage, Which};
use crate::node::network::Purpose;
use crate::price;
use crate::reputation::Aspect;
use crate::service::{Failure, Requirements, Scope, Service, ServiceRequest, TEXT_BYTES_MAX, TEXTS_MAX};
use crate::verification::compare_chance_ppm;
use crate::view::{Event, Quote, TradeStep};
use crate::wire::{Demand, Proposal, Request, Response, Signed};

/// What a frame needs besides its texts, bytes.
const FRAME_OVERHEAD_BYTES: usize = 64;
/// What one text adds to input and result: its length and a vector of 384 numbers. An estimate; the provider, who knows
/// the dimension, checks again.
const ITEM_OVERHEAD_BYTES: usize = 5 + 384 * 4;

impl Node {
    pub(super) fn start_job(&mut self, id: JobId, request: ServiceRequest, requirements: Requirements) {
        let ServiceRequest::Inference { model, texts } = request;
        let refusal = if self.jobs.contains_key(&id) {
            Some(Failure::InvalidRequest {
                what: "this request is under way already".to_owned(),
            })
        } else if self.jobs.len() >= self.config.jobs_max {
            Some(Failure::Busy)
        } else if self.journal.is_failing() || !self.ledger.has_room() {
            Some(Failure::Storage)
        } else {
            check_request(&texts, &requirements).err()
        };
        if let Some(failure) = refusal {
            return self.event(Event::Failed { job: id, failure });
        }
        let now = self.now;
        let deadline = now.plus_ms(requirements.deadline_ms.into());
        let job = Job {
            id,
            texts,
            model,
            requirements,
            started: now,
            deadline,
            stage: Stage::Searching,
            search_until: now.plus_ms(self.config.search_ms.into()),
            grace_until: None,
            asked: BTreeMap::new(),
            quotes: BTreeMap::new(),
            approached: BTreeSet::new(),
            tried: BTreeSet::new(),
            refusals: 0,
            last_refusal: None,
            attempts: 0,
            main: None,
            second_asked: None,
            second: None,
            second_until: None,
            reported: (0, 0),
        };
        self.jobs.insert(id, job);
        let points: Vec<NodeId> = self.network.points.keys().copied().collect();
        let discovery_points = u32::try_from(points.len()).unwrap_or(u32::MAX);
        self.trade(id, TradeStep::Searching { discovery_points });
        let key = Hash(self.group.service_key(Service::Inference, model.as_ref()));
        for point in points {
            self.sample_service(&point, key);
        }
        self.with_job(id, Self::step);
    }

    pub(super) fn cancel_job(&mut self, id: JobId) {
        let settling = |job: &Job| matches!(job.stage, Stage::Settling(_));
        if self.jobs.get(&id).is_some_and(|job| !settling(job)) {
            self.with_job(id, |_, _| Some(End::Failed(Failure::Cancelled)));
        }
    }

    pub(super) fn fail_all_jobs(&mut self, failure: &Failure) {
        for id in self.jobs.keys().copied().collect::<Vec<_>>() {
            self.with_job(id, |_, _| Some(End::Failed(failure.clone())));
        }
    }

    /// Offers, connections or time changed: look at every search again.
    pub(super) fn search_again(&mut self) {
        let searching = self
            .jobs
            .iter()
            .filter(|(_, job)| matches!(job.stage, Stage::Searching));
        for id in searching.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.with_job(id, Self::step);
        }
    }

    pub(super) fn jobs_due(&mut self) {
        let due = self.jobs.iter().filter(|(_, job)| job.timeout() <= self.now);
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.with_job(id, Self::step);
        }
    }

    /// Changes a request; when it ends, says so.
    pub(super) fn with_job(&mut self, id: JobId, change: impl FnOnce(&mut Self, &mut Job) -> Option<End>) {
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        match change(self, &mut job) {
            None => {
                self.jobs.insert(id, job);
            }
            Some(End::Finished(outcome)) => self.event(Event::Finished { job: id, outcome }),
            Some(End::Failed(failure)) => self.event(Event::Failed { job: id, failure }),
        }
    }

    fn step(&mut self, job: &mut Job) -> Option<End> {
        match &job.stage {
            Stage::Searching => self.search(job),
            Stage::Trading if self.now >= job.deadline => Some(End::Failed(Failure::Deadline)),
            Stage::Trading => self.conclude(job),
            Stage::Settling(settling) if self.now >= settling.until => Some(self.finish(job)),
            Stage::Settling(_) => None,
        }
    }

    pub(super) fn trade(&mut self, job: JobId, step: TradeStep) {
        self.event(Event::Trade {
            job,
            at: self.now,
            step,
        });
    }

    /// Asks whoever can be asked and chooses when it is time to.
    pub(super) fn search(&mut self, job: &mut Job) -> Option<End> {
        if self.now >= job.deadline {
            return Some(End::Failed(Failure::Deadline));
        }
        let more_to_come = self.ask_candidates(job);
        let patience_over = self.now >= job.search_until;
        let grace_over = job.grace_until.is_some_and(|until| self.now >= until);
        if !job.quotes.is_empty() && (job.asked.is_empty() || grace_over || patience_over) {
            return self.choose(job);
        }
        if !job.asked.is_empty() {
            if patience_over {
                // Each of them has a deadline of its own.
                job.search_until = job.deadline;
            }
            return None;
        }
        let all_refused = job.refusals > 0 && !more_to_come;
        (patience_over || all_refused).then(|| End::Failed(self.nobody(job)))
    }

    /// Sends the demand to providers not asked yet; returns whether some cannot be reached yet.
    fn ask_candidates(&mut self, job: &mut Job) -> bool {
        let candidates = self.candidates(job);
        let size = FRAME_OVERHEAD_BYTES
            + job
                .texts
                .iter()
                .map(|text| text.len() + ITEM_OVERHEAD_BYTES)
                .sum::<usize>();
        let reachable = |path: Option<Path>| match path {
            Some(Path::Relayed) => size <= self.config.relayed_bytes_max,
            Some(Path::Direct | Path::Server) => true,
            None => false,
        };
        let found = candidates.len() + job.approached.len();
        let (ready, distant): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|(peer, _)| reachable(self.network.path(peer)));
        let room = self
            .config
            .proposals_max
            .saturating_sub(job.asked.len() + job.quotes.len());
        let chosen = self.rng.sample(ready, room);
        for (peer, model) in &chosen {
            self.ask(job, *peer, *model);
        }
        for (peer, _) in distant.iter().take(self.config.proposals_max) {
            self.dial(peer);
        }
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let report = (count(found), count(job.approached.len()));
        if report != job.reported && !chosen.is_empty() {
            job.reported = report;
            self.trade(
                job.id,
                TradeStep::Found {
                    candidates: report.0,
                    asked: report.1,
                },
            );
        }
        !distant.is_empty()
    }

    /// Providers that may be asked, each with the model to ask for.
    fn candidates(&self, job: &Job) -> Vec<(NodeId, Option<ModelId>)> {
        let mut found: BTreeMap<NodeId, Option<ModelId>> = BTreeMap::new();
        for (provider, service, model) in self.network.offers.keys() {
            let wanted = *service == Service::Inference as u8
                && (job.model.is_none() || job.model == *model)
                && job.requirements.provider.is_none_or(|wanted| wanted == *provider)
                && !job.tried.contains(provider)
                && !job.approached.contains(provider)
                && !self.reputation.is_fraud(provider);
            if !wanted {
                continue;
            }
            // Of several models the one that can be checked.
            let checkable = model.is_some_and(|model| self.probes.contains_key(&model));
            if checkable || !found.contains_key(provider) {
                found.insert(*provider, *model);
            }
        }
        let good_enough = |peer: &NodeId| {
            job.requirements.reputation_min <= 0.0
                || self.reputation.view(self.now, peer).lower >= job.requirements.reputation_min
        };
        found.into_iter().filter(|(peer, _)| good_enough(peer)).collect()
    }

    fn ask(&mut self, job: &mut Job, peer: NodeId, model: Option<ModelId>) {
        let items = (0..job.texts.len()).collect();
        let asked = self.demand(job, model, items);
        let request = Request::RequestProposal {
            tag: self.tag(&peer),
            demand: asked.demand.clone(),
        };
        let purpose = Purpose::Propose { job: job.id };
        self.request(peer, &request, purpose, self.config.exchange_timeout_ms);
        job.approached.insert(peer);
        job.asked.insert(peer, asked);
    }

    /// What is asked for: some of the texts, with probes hidden among them.
    fn demand(&mut self, job: &Job, model: Option<ModelId>, items: Vec<usize>) -> Asked {
        let known = model
            .and_then(|model| self.probes.get(&model))
            .cloned()
            .unwrap_or_default();
        let probes = self.rng.sample(known, self.config.probes_max);
        let batch = Batch::new(&mut self.rng, model, items, probes);
        let texts = batch.texts(&job.texts);
        let demand = Demand {
            nonce: self.rng.bytes(),
            scope: job.requirements.scope,
            service: Service::Inference as u8,
            model,
            items: u32::try_from(texts.len()).unwrap_or(u32::MAX),
            tokens: price::tokens(&texts),
            deadline_ms: u32::try_from(job.deadline.ms_since(self.now)).unwrap_or(u32::MAX),
            head: self.ledger.head(),
        };
        Asked { batch, demand }
    }

    pub(super) fn proposed(&mut self, id: JobId, peer: &NodeId, result: Result<Response, Failure>) {
        self.with_job(id, |node, job| {
            let asked = job.asked.remove(peer)?;
            match node.read_proposal(peer, asked, result) {
                Ok(quoted) => node.take_quote(job, *peer, quoted),
                Err(reason) => node.refused(job, *peer, reason),
            }
            match job.stage {
                Stage::Searching => node.search(job),
                _ => None,
            }
        });
    }

    /// The answer to a counter-offer: a new quote in the old one's place, or none.
    pub(super) fn countered(&mut self, id: JobId, peer: &NodeId, result: Result<Response, Failure>) {
        self.with_job(id, |node, job| {
            let asked = job.asked.remove(peer)?;
            match node.read_proposal(peer, asked, result) {
                Ok(quoted) => node.take_quote(
                    job,
                    *peer,
                    Quoted {
                        countered: true,
                        ..quoted
                    },
                ),
                Err(reason) => node.refused(job, *peer, reason),
            }
            match job.stage {
                Stage::Searching => node.search(job),
                _ => None,
            }
        });
    }

    fn take_quote(&mut self, job: &mut Job, peer: NodeId, quoted: Quoted) {
        let proposal = &quoted.proposal;
        let quote = Quote {
            price: proposal.price,
            factors: proposal.factors,
            promised_ms: proposal.promised_ms,
            valid_ms: proposal.valid_ms,
        };
        let grace = self.now.plus_ms(self.config.proposals_grace_ms.into());
        job.grace_until.get_or_insert(grace);
        job.quotes.insert(peer, quoted);
        self.observe(&peer, Aspect::Availability, true, 1.0);
        self.trade(
            job.id,
            TradeStep::Proposal {
                provider: peer,
                quote,
            },
        );
    }

    fn refused(&mut self, job: &mut Job, peer: NodeId, reason: Failure) {
        if matches!(reason, Failure::Deadline | Failure::Disconnected) {
            self.observe(&peer, Aspect::Availability, false, 1.0);
        }
        job.refusals = job.refusals.saturating_add(1);
        job.last_refusal = Some(reason.clone());
        self.trade(
            job.id,
            TradeStep::Refused {
                provider: peer,
                reason,
            },
        );
    }

    /// A quote that says what was asked for, at a price that is the product of its factors.
    pub(super) fn read_proposal(
        &self,
        peer: &NodeId,
        asked: Asked,
        result: Result<Response, Failure>,
    ) -> Result<Quoted, Failure> {
        let invalid = |what: &str| Failure::Protocol {
            what: what.to_owned(),
        };
        let Response::Proposal(signed) = result? else {
            return Err(invalid("not a proposal"));
        };
        let signed: Signed = signed;
        let proposal: Proposal = signed.open(peer).map_err(|error| Failure::from(&error))?;
        let Asked { batch, demand } = asked;
        let fits = proposal.provider == *peer
            && proposal.requester == self.me
            && proposal.demand == demand.hash()
            && (batch.model.is_none() || proposal.model == batch.model);
        if !fits {
            return Err(invalid("a proposal for something else"));
        }
        if proposal.price <= Millicredits::ZERO || proposal.factors.price() != Some(proposal.price) {
            return Err(invalid("a price that is not the product of its factors"));
        }
        let until = self.now.plus_ms(proposal.valid_ms.into());
        Ok(Quoted {
            batch,
            demand,
            hash: signed.hash::<Proposal>(),
            proposal,
            until,
            countered: false,
        })
    }

    /// Takes the best acceptable quote, or haggles once, or gives up.
    fn choose(&mut self, job: &mut Job) -> Option<End> {
        let now = self.now;
        job.quotes.retain(|_, quoted| quoted.until > now);
        let acceptable: Vec<NodeId> = job
            .quotes
            .iter()
            .filter(|(_, quoted)| self.objection(job, &quoted.proposal).is_none())
            .map(|(peer, _)| *peer)
            .collect();
        let candidates: Vec<Candidate> = acceptable
            .iter()
            .filter_map(|peer| job.quotes.get(peer).map(|quoted| (peer, &quoted.proposal)))
            .map(|(peer, proposal)| Candidate {
                price: proposal.price,
                promised_ms: proposal.promised_ms,
                reputation_lower: self.reputation.view(now, peer).lower,
            })
            .collect();
        let order: Vec<NodeId> = rank(&candidates)
            .into_iter()
            .filter_map(|place| acceptable.get(place).copied())
            .collect();
        let Some((best, others)) = order.split_first() else {
            return self.haggle(job);
        };
        let quoted = job.quotes.remove(best)?;
        let (price, backup) = (quoted.proposal.price, others.first().copied());
        self.trade(
            job.id,
            TradeStep::Chosen {
                provider: *best,
                price,
                backup,
            },
        );
        job.stage = Stage::Trading;
        if let Some(second) = backup {
            self.ask_second(job, best, second, &quoted);
        }
        self.start_leg(job, Which::Main, *best, quoted);
        None
    }

    /// Why a quote cannot be taken.
    pub(super) fn objection(&self, job: &Job, proposal: &Proposal) -> Option<Failure> {
        if job
            .requirements
            .price_max
            .is_some_and(|limit| proposal.price > limit)
        {
            return Some(Failure::TooExpensive);
        }
        if u64::from(proposal.promised_ms) > job.deadline.ms_since(self.now) {
            return Some(Failure::Deadline);
        }
        let available = self.credit_available()?.saturating_sub(job.committed());
        (proposal.price.0 > available).then_some(Failure::CreditLimit {
            available,
            required: proposal.price.0,
        })
    }

    /// How much this node may still spend in the present group; `None` is unlimited.
    fn credit_available(&self) -> Option<i64> {
        let line = match self.group.is_open() {
            true => Some(self.config.newcomer_allowance),
            false => self.config.group_line,
        };
        let committed: i64 = self.jobs.values().map(Job::committed).sum();
        line.map(|line| {
            line.0
                .saturating_add(self.ledger.balance_in_group())
                .saturating_sub(committed)
        })
    }

    /// No quote is acceptable: where the price alone is in the way, offer what the buyer would pay, once.
    fn haggle(&mut self, job: &mut Job) -> Option<End> {
        let cheapest = job
            .quotes
            .iter()
            .filter(|(_, quoted)| !quoted.countered)
            .filter(|(_, quoted)| self.objection(job, &quoted.proposal) == Some(Failure::TooExpensive))
            .min_by_key(|(_, quoted)| quoted.proposal.price)
            .map(|(peer, _)| *peer);
        let (Some(peer), Some(price)) = (cheapest, job.requirements.price_max) else {
            let objections = job
                .quotes
                .values()
                .filter_map(|quoted| self.objection(job, &quoted.proposal));
            job.last_refusal = objections
                .max_by_key(|failure| matches!(failure, Failure::CreditLimit { .. }))
                .or(job.last_refusal.take());
            return Some(End::Failed(self.nobody(job)));
        };
        let quoted = job.quotes.remove(&peer)?;
        let request = Request::Counter {
            tag: self.tag(&peer),
            proposal: quoted.hash,
            price,
        };
        self.request(
            peer,
            &request,
            Purpose::Counter { job: job.id },
            self.config.exchange_timeout_ms,
        );
        job.asked.insert(
            peer,
            Asked {
                batch: quoted.batch,
                demand: quoted.demand,
            },
        );
        None
    }

    /// Why a search ended without a provider.
    fn nobody(&self, job: &Job) -> Failure {
        let count = u32::try_from(job.approached.len()).unwrap_or(u32::MAX);
        match &job.last_refusal {
            Some(reason)
                if count <= 1 || matches!(reason, Failure::CreditLimit { .. } | Failure::TooExpensive) =>
            {
                reason.clone()
            }
            Some(_) => Failure::NoProposal { count },
            None if self.network.points.is_empty() && self.network.offers.is_empty() => Failure::NoDiscovery,
            None => Failure::NoProvider,
        }
    }

    /// Sometimes a second provider computes a sample, always while the first has a short record.
    fn ask_second(&mut self, job: &mut Job, main: &NodeId, second: NodeId, quoted: &Quoted) {
        let chance = compare_chance_ppm(self.reputation.streak(main), self.config.trust_after);
        let same_model = job.quotes.get(&second).is_some_and(|other| {
            other.proposal.model == quoted.proposal.model
                && other.proposal.precision == quoted.proposal.precision
        });
        if !same_model || self.config.compare_max == 0 || !self.rng.chance_ppm(chance) {
            return;
        }
        let mut items = self
            .rng
            .sample((0..job.texts.len()).collect(), self.config.compare_max);
        items.sort_unstable();
        let asked = self.demand(job, quoted.proposal.model, items);
        let request = Request::RequestProposal {
            tag: self.tag(&second),
            demand: asked.demand.clone(),
        };
        let purpose = Purpose::ProposeSecond { job: job.id };
        self.request(second, &request, purpose, self.config.exchange_timeout_ms);
        job.second_asked = Some((second, asked));
    }
}

/// What is wrong with a request, before anyone is asked.
fn check_request(texts: &[String], requirements: &Requirements) -> Result<(), Failure> {
    let invalid = |what: String| Err(Failure::InvalidRequest { what });
    if texts.is_empty() {
        return invalid("there is no text".to_owned());
    }
    if texts.len() > TEXTS_MAX {
        return invalid(format!(
            "{} texts are more than the {TEXTS_MAX} that go into one request",
            texts.len()
        ));
    }
    if let Some(longest) = texts
        .iter()
        .map(String::len)
        .max()
        .filter(|longest| *longest > TEXT_BYTES_MAX)
    {
        return invalid(format!(
            "a text of {longest} bytes is longer than {TEXT_BYTES_MAX}"
        ));
    }
    match requirements.scope {
        Scope::Group | Scope::Anyone => Ok(()),
        // Nobody else may read it, so nobody else can be asked.
        Scope::Device | Scope::Own => Err(Failure::NoProvider),
    }
}
