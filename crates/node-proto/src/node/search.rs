//! Demand and proposals: who is asked, and what came back.

use litemap::LiteMap;

use crate::cache::{ANSWERS_MAX, PROOF_BYTES};
use crate::ids::{JobId, Millicredits, ModelId, NodeId};
use crate::io::Path;
use crate::market::{Candidate, rank_offers};
use crate::node::Node;
use crate::node::job::{Asked, Batch, End, Job, Quoted, Stage};
use crate::node::network::Purpose;
use crate::price;
use crate::reputation::Aspect;
use crate::service::{Failure, Probe};
use crate::verification::{alike_in_length, probes_wanted};
use crate::view::{Quote, TradeStep};
use crate::wire::{Demand, Proposal, Request, Response, Signed, open_body};
use crate::work::WorkInput;

/// What a frame needs besides its texts, bytes.
const FRAME_OVERHEAD_BYTES: usize = 64;
/// What one text adds to input and result: its length and a vector of 384 numbers. An estimate; the provider, who knows
/// the dimension, checks again.
const ITEM_OVERHEAD_BYTES: usize = 5 + 384 * 4;
/// What a kept answer adds to that: further signers' vectors, and what shows where each is from.
const CACHED_BYTES: usize = ANSWERS_MAX * PROOF_BYTES + (ANSWERS_MAX - 1) * 384 * 4;

/// What an offer without a speed is taken for, milliseconds for 1,000 tokens.
const UNIT_MS: u32 = 2_000;

/// So long from its beginning on a request for runs waits for a second quote, milliseconds.
const SECOND_MS: u64 = 3_000;
/// The pauses between asking those that are busy double so often.
const BUSY_DOUBLINGS_MAX: u32 = 3;

impl Node {
    /// Asks whoever can be asked and chooses when it is time to.
    pub(super) fn search(&mut self, job: &mut Job) -> Option<End> {
        if self.now >= job.deadline {
            return Some(End::Failed(Failure::Deadline));
        }
        if job.wait_until.is_some_and(|until| self.now >= until) {
            job.wait_until = None;
            self.ask_everyone_again(job);
        }
        let more_to_come = self.ask_candidates(job);
        let patience_over = self.now >= job.search_until;
        let grace_over = job.grace_until.is_some_and(|until| self.now >= until);
        let alone = job.quotes.len() == 1 && more_to_come;
        let all_here = job.asked.is_empty() && !(alone && self.is_all_strangers(job));
        let second_until = job.started.plus_ms(SECOND_MS);
        if self.now < second_until && self.lacks_second(job, more_to_come) {
            job.grace_until = Some(second_until);
            return None;
        }
        if !job.quotes.is_empty() && (all_here || grace_over || patience_over) {
            return self.choose(job);
        }
        let all_refused = job.refusals > 0 && !more_to_come && job.asked.is_empty();
        if !job.set_aside.is_empty() && (patience_over || all_refused) {
            job.quotes = std::mem::take(&mut job.set_aside);
            job.search_until = job.deadline;
            return self.choose(job);
        }
        if !job.asked.is_empty() {
            if patience_over {
                // Each of them has a deadline of its own.
                job.search_until = job.deadline;
            }
            return None;
        }
        if job.wait_until.is_some() {
            return None;
        }
        if all_refused && self.waits_for_the_busy(job) {
            return None;
        }
        (patience_over || all_refused).then(|| End::Failed(self.nobody(job)))
    }

    /// Whether somebody to compare the only quote's provider with may still quote, and nothing else says whether it is right.
    fn lacks_second(&self, job: &Job, more_to_come: bool) -> bool {
        let is_short = |peer: &NodeId| self.record_of(peer) < self.config.trust_after;
        matches!(job.input, WorkInput::Runs { .. })
            && job.quotes.len() == 1
            && (more_to_come || !job.asked.is_empty())
            && job.quotes.keys().all(is_short)
    }

    /// Whoever is busy with others' work now, or dear because of it, may have room in a moment: begins to wait for that, if
    /// there is time.
    pub(super) fn waits_for_the_busy(&mut self, job: &mut Job) -> bool {
        let pause_ms = self.config.busy_retry_ms << job.waits.min(BUSY_DOUBLINGS_MAX);
        let until = self.now.plus_ms(pause_ms.into());
        if !job.met_busy || until >= job.deadline {
            return false;
        }
        job.waits = job.waits.saturating_add(1);
        // They will be asked again: what they ask now is not what they ask then.
        job.quotes.clear();
        job.grace_until = None;
        job.wait_until = Some(until);
        // There are providers; how long they are waited for is for the deadline to say.
        job.search_until = job.deadline;
        self.trade(job.id, TradeStep::Waiting { ms: pause_ms });
        true
    }

    /// So many have refused because of others' work that the others need not be asked.
    fn are_all_busy(&self, job: &Job) -> bool {
        job.busy_refusals >= self.config.busy_refusals_max
    }

    /// The quotes are for known answers, too, and show that engines are scarce: asks for new ones without. Returns whether it did.
    pub(super) fn asks_for_less(&mut self, job: &mut Job, order: &[(NodeId, Candidate)]) -> bool {
        let Some((best, _)) = order.first() else {
            return false;
        };
        let is_checked = job
            .quotes
            .get(best)
            .is_some_and(|quoted| !quoted.batch.probes.is_empty());
        if !is_checked || !self.puts_off(job, best) {
            return false;
        }
        job.quotes.clear();
        job.grace_until = None;
        self.ask_everyone_again(job);
        true
    }

    fn ask_everyone_again(&mut self, job: &mut Job) {
        job.forget_asked();
        job.shortlist.clear();
        job.search_until = self.now.plus_ms(self.config.search_ms.into());
    }

    /// Sends the demand to providers not asked yet; returns whether some cannot be reached yet.
    pub(super) fn ask_candidates(&mut self, job: &mut Job) -> bool {
        if self.are_all_busy(job) {
            return false;
        }
        let candidates = self.candidates(job);
        let fits_circuit = self.fits_circuit(job);
        let reachable = |path: Option<Path>| match path {
            Some(Path::Relayed) => fits_circuit,
            Some(Path::Direct | Path::Server) => true,
            None => false,
        };
        let found = candidates.len() + job.approached.len();
        let room = self
            .config
            .proposals_max
            .saturating_sub(job.asked.len() + job.quotes.len());
        let is_ready = |peer: &NodeId| reachable(self.network.path(peer));
        let best = candidates.iter().take(room);
        let best = best.filter(|(peer, _)| !is_ready(peer)).count();
        let (ready, distant): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|(peer, _)| is_ready(peer));
        let dialled = best.max(room.saturating_sub(ready.len()));
        let chosen: Vec<_> = ready.into_iter().take(room).collect();
        for (peer, model) in &chosen {
            self.ask(job, *peer, *model);
        }
        for (peer, _) in distant.iter().take(dialled) {
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

    /// Whether there are others than those that have quoted.
    pub(super) fn has_others(&mut self, job: &mut Job) -> bool {
        !self.are_all_busy(job) && !self.candidates(job).is_empty()
    }

    /// Whether a relay may carry it. Modules are fetched, and blobs go over direct connections only.
    fn fits_circuit(&self, job: &Job) -> bool {
        let texts: Vec<usize> = match &job.input {
            WorkInput::Texts { texts } => texts.iter().map(String::len).collect(),
            WorkInput::Cached { keys } => vec![CACHED_BYTES; keys.len()],
            WorkInput::Runs { .. } | WorkInput::Keep { .. } => return false,
        };
        let texts = texts.iter().map(|bytes| bytes + ITEM_OVERHEAD_BYTES);
        FRAME_OVERHEAD_BYTES + texts.sum::<usize>() <= self.config.relayed_bytes_max
    }

    /// Whether providers are there, each behind a relay that must not carry so much.
    pub(super) fn is_too_long_for_all(&self, job: &Job) -> bool {
        let mut owners = self.network.offers.iter().map(|((owner, _, _), _)| owner);
        !self.fits_circuit(job) && owners.any(|owner| self.network.path(owner) == Some(Path::Relayed))
    }

    /// Providers that may be asked, each with the model to ask for, the best first.
    ///
    /// They come from a short list that is drawn once, so that whoever is being dialled stays on it; when nobody on it is
    /// left to be asked, another one is drawn.
    fn candidates(&mut self, job: &mut Job) -> Vec<(NodeId, Option<ModelId>)> {
        let left = self.left_on(job);
        if left.len() >= self.config.proposals_max || left.len() >= self.network.offers.len() {
            return left;
        }
        job.shortlist = self.shortlist(job);
        job.shortlist_gone = self.network.offers.gone();
        self.left_on(job)
    }

    fn left_on(&self, job: &Job) -> Vec<(NodeId, Option<ModelId>)> {
        let service = job.input.service() as u8;
        // Most often nothing has left the book since: then all that were drawn from it are still there.
        let all_stand = job.shortlist_gone == self.network.offers.gone();
        let left = job.shortlist.iter().filter(|(provider, model)| {
            !job.tried.contains(provider)
                && !job.approached.contains(provider)
                && (all_stand || self.network.offers.get(&(*provider, service, *model)).is_some())
        });
        left.copied().collect()
    }

    /// Some of the known providers in the order of their expected utility, as their offers and records tell: whoever is
    /// connected, and a random draw of the others.
    ///
    /// Drawing before choosing keeps the cost independent of how many are known, and keeps all buyers from running to the
    /// same best provider (M. Mitzenmacher, *The Power of Two Choices in Randomized Load Balancing*, IEEE TPDS 12(10),
    /// 2001). One place among those that are asked goes to anyone, so that a newcomer gets a first chance.
    fn shortlist(&mut self, job: &Job) -> Vec<(NodeId, Option<ModelId>)> {
        let drawn = self.draw(job);
        let tokens = job.input.units();
        let known = drawn.len();
        // In no order, so that those who are equal are not asked by their names.
        let drawn = self.rng.sample(drawn, known);
        let fit: Vec<((NodeId, Option<ModelId>), Candidate)> = drawn
            .into_iter()
            .filter(|(provider, _)| self.may_be_asked(job, provider))
            .filter_map(|place| Some((place, self.foreseen(job, &place, tokens)?)))
            .collect();
        let candidates: Vec<Candidate> = fit.iter().map(|(_, candidate)| *candidate).collect();
        let mut order: Vec<(NodeId, Option<ModelId>)> = rank_offers(&candidates)
            .into_iter()
            .filter_map(|place| fit.get(place).map(|(provider, _)| *provider))
            .collect();
        let last = self.config.proposals_max - 1;
        if order.len() > last + 1 {
            let chance = last + self.rng.below(order.len() - last);
            order.swap(last, chance);
        }
        order
    }

    /// Providers of what is wanted, each once, of several models with one that can be checked.
    fn draw(&mut self, job: &Job) -> Vec<(NodeId, Option<ModelId>)> {
        let service = job.input.service() as u8;
        let offers = &self.network.offers;
        let (checkable, others): (Vec<_>, Vec<_>) = match (&job.input, job.model) {
            // Whoever runs modules runs any, and whoever has room has it for any blob.
            (WorkInput::Runs { .. } | WorkInput::Keep { .. }, _) => (vec![None], Vec::new()),
            (WorkInput::Texts { .. } | WorkInput::Cached { .. }, Some(model)) => {
                (vec![Some(model)], Vec::new())
            }
            (WorkInput::Cached { .. }, None) => (Vec::new(), Vec::new()),
            (WorkInput::Texts { .. }, None) => offers
                .models(service)
                .partition(|model| model.is_some_and(|model| self.probes.contains_key(&model))),
        };
        let mut found: LiteMap<NodeId, Option<ModelId>> = LiteMap::new();
        for model in checkable.into_iter().chain(others) {
            let wanted = job.requirements.provider.into_iter();
            let connected = self.network.connections.keys().copied();
            let known = wanted.chain(connected);
            let known: Vec<NodeId> = known
                .filter(|peer| offers.get(&(*peer, service, model)).is_some())
                .collect();
            let drawn = match job.requirements.provider {
                Some(_) => Vec::new(),
                None => offers.draw(&mut self.rng, service, model, self.config.shortlist_max),
            };
            for provider in known.into_iter().chain(drawn) {
                found.entry(provider).or_insert(model);
            }
        }
        found.into_iter().collect()
    }

    fn may_be_asked(&self, job: &Job, provider: &NodeId) -> bool {
        job.requirements.provider.is_none_or(|wanted| wanted == *provider)
            && !job.tried.contains(provider)
            && !job.approached.contains(provider)
            && !self.deferred.excludes(job.id, provider)
            && !self.keeper.excludes(job.id, provider)
            && !self.reputation.is_fraud(provider)
            && (job.requirements.reputation_min <= 0.0
                || self.reputation.view(self.now, provider).lower >= job.requirements.reputation_min)
    }

    /// What an offer lets expect of so many tokens; `None` when it is coarser than what is wanted.
    fn foreseen(
        &self,
        job: &Job,
        (provider, model): &(NodeId, Option<ModelId>),
        tokens: u32,
    ) -> Option<Candidate> {
        let known = self
            .network
            .offers
            .get(&(*provider, job.input.service() as u8, *model))?;
        if known.offer.precision > job.requirements.precision {
            return None;
        }
        let unit_ms = u64::from(known.offer.unit_ms.unwrap_or(UNIT_MS));
        let promised_ms = unit_ms.saturating_mul(tokens.into()) / 1_000;
        let promised_ms = u32::try_from(promised_ms).unwrap_or(u32::MAX);
        Some(Candidate {
            price: Millicredits(price::base_cost(known.offer.unit_price.0, tokens)),
            expected_ms: self.expected_ms(provider, promised_ms),
            measured: self.paces.knows(provider),
            success: self.reputation.success(self.now, provider),
        })
    }

    fn ask(&mut self, job: &mut Job, peer: NodeId, model: Option<ModelId>) {
        let items = (0..job.input.len()).collect();
        let asked = self.demand(job, &peer, model, items, self.probes_for(job, &peer));
        let request = Request::RequestProposal {
            tag: self.tag(&peer),
            demand: asked.demand.clone(),
        };
        let purpose = Purpose::Propose { job: job.id };
        self.request(peer, &request, purpose, self.config.exchange_timeout_ms);
        job.approached.insert(peer);
        job.asked.insert(peer, asked);
    }

    /// What is asked for: some of the items, with probes hidden among texts.
    pub(super) fn demand(
        &mut self,
        job: &Job,
        peer: &NodeId,
        model: Option<ModelId>,
        items: Vec<usize>,
        probes_max: usize,
    ) -> Asked {
        let model = job.input.names().or(model);
        let probes = match &job.input {
            WorkInput::Texts { texts } => self.probes_among(texts, peer, model, &items, probes_max),
            WorkInput::Runs { .. } | WorkInput::Cached { .. } | WorkInput::Keep { .. } => Vec::new(),
        };
        let batch = Batch::new(&mut self.rng, &job.input, model, items, probes);
        let (items, tokens) = batch.amount(&job.input);
        let demand = Demand {
            nonce: self.rng.bytes(),
            scope: job.requirements.scope,
            service: job.input.service() as u8,
            model,
            items,
            tokens,
            deadline_ms: u32::try_from(job.deadline.ms_since(self.now)).unwrap_or(u32::MAX),
            head: self.ledger.head(),
            keys: batch.keys.clone(),
            bytes: match job.input {
                WorkInput::Keep { bytes, .. } => Some(bytes),
                _ => None,
            },
        };
        Asked {
            batch,
            demand,
            again: false,
        }
    }

    /// Known answers to hide among some of the texts.
    fn probes_among(
        &mut self,
        texts: &[String],
        peer: &NodeId,
        model: Option<ModelId>,
        items: &[usize],
        probes_max: usize,
    ) -> Vec<Probe> {
        let known = model.and_then(|model| self.probes.get(&model));
        let texts = items.iter().filter_map(|item| texts.get(*item));
        let known = alike_in_length(known.map_or(&[], Vec::as_slice), texts.map(String::len).collect());
        let wanted = probes_wanted(self.record_of(peer), self.config.trust_after, probes_max);
        self.rng.sample(known, wanted).into_iter().cloned().collect()
    }

    /// A provider answered a demand, or a counter-offer: then the new quote takes the old one's place.
    pub(super) fn proposed(
        &mut self,
        id: JobId,
        peer: &NodeId,
        result: Result<Response, Failure>,
        countered: bool,
    ) {
        self.with_job(id, |node, job| {
            let asked = job.asked.remove(peer)?;
            if result == Err(Failure::Disconnected) && !countered && node.ask_over_another(job, *peer, &asked)
            {
                return None;
            }
            match node.read_proposal(peer, asked, result) {
                Ok(quoted) => node.take_quote(job, *peer, Quoted { countered, ..quoted }),
                // The quote that was countered still stands.
                Err(_) if countered && job.quotes.contains_key(peer) => {}
                Err(reason) => node.refused(job, *peer, reason),
            }
            match job.stage {
                Stage::Searching => node.search(job),
                Stage::Trading => {
                    node.hedge(job);
                    None
                }
                Stage::Trying | Stage::Settling(_) => None,
            }
        });
    }

    /// The connection that a question went over is gone, as when a circuit is left, or a page was loaded anew. Where another one
    /// stands it is asked there, once.
    fn ask_over_another(&mut self, job: &mut Job, peer: NodeId, asked: &Asked) -> bool {
        if asked.again || self.network.path(&peer).is_none() {
            return false;
        }
        let request = Request::RequestProposal {
            tag: self.tag(&peer),
            demand: asked.demand.clone(),
        };
        let purpose = Purpose::Propose { job: job.id };
        self.request(peer, &request, purpose, self.config.exchange_timeout_ms);
        let asked = Asked {
            batch: asked.batch.clone(),
            demand: asked.demand.clone(),
            again: true,
        };
        job.asked.insert(peer, asked);
        true
    }

    fn take_quote(&mut self, job: &mut Job, peer: NodeId, quoted: Quoted) {
        let proposal = &quoted.proposal;
        let model = match &job.input {
            WorkInput::Texts { .. } | WorkInput::Cached { .. } => proposal.model,
            // Offers to run modules or to keep blobs name none.
            WorkInput::Runs { .. } | WorkInput::Keep { .. } => None,
        };
        let place = (peer, job.input.service() as u8, model);
        let offered = self.network.offers.get(&place).map(|known| &known.offer.factors);
        self.scarcity.quoted(self.now, &proposal.factors, offered);
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

    pub(super) fn refused(&mut self, job: &mut Job, peer: NodeId, reason: Failure) {
        if matches!(reason, Failure::Deadline | Failure::Disconnected) {
            self.observe(&peer, Aspect::Availability, false, 1.0);
        }
        self.scarcity.refused(self.now, &reason);
        let of_load = matches!(reason, Failure::Busy | Failure::Deadline);
        job.busy_refusals = job.busy_refusals.saturating_add(of_load.into());
        job.met_busy |= reason == Failure::Busy || self.are_all_busy(job);
        job.refusals = job.refusals.saturating_add(1);
        // Where money stood in the way, that is what a person wants to know.
        let of_money =
            |reason: &Failure| matches!(reason, Failure::TooExpensive | Failure::CreditLimit { .. });
        if of_money(&reason) || !job.last_refusal.as_ref().is_some_and(of_money) {
            job.last_refusal = Some(reason.clone());
        }
        self.trade(
            job.id,
            TradeStep::Refused {
                provider: peer,
                reason,
            },
        );
    }

    /// A quote that says what was asked for, at a price that is the product of its factors. Its signature is left to
    /// [`take_up`](Self::take_up).
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
        let proposal: Proposal = open_body(&signed.body).map_err(|error| Failure::from(&error))?;
        let Asked { batch, demand, .. } = asked;
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
        if !proposal.factors.are_within_bounds() {
            return Err(invalid("a factor beyond its bounds"));
        }
        let until = self.now.plus_ms(proposal.valid_ms.into());
        Ok(Quoted {
            batch,
            demand,
            proposal,
            signed,
            until,
            countered: false,
        })
    }
}
