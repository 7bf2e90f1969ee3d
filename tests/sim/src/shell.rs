//! The shell of a host: what arrives goes into the node, what the node wants is carried out.

use std::collections::BTreeMap;

use node_proto::wire::{Agreement, Request, decode_frame};
use node_proto::{
    AgreementId, Event as NodeEvent, ExchangeFailure, ExchangeId, Input, NodeId, Output, Path, ServeStep,
    WorkId, WorkInput, Write, price,
};

use crate::engine;
use crate::event::{Asker, What};
use crate::host::{Effects, Host};
use crate::network::Millis;
use crate::record::Work;
use crate::rng::Rng;
use crate::world::Shared;

/// A write takes this long, milliseconds.
const WRITE_MS: u64 = 3;
/// More connections than this a tab does not take.
const LINKS_MAX: usize = 64;
/// Place of a message's number in its frame: version, array head, number.
const KIND: usize = 2;
/// The number of a payment.
const SETTLE: u8 = 7;
/// The number of a question for blocks.
const FETCH_BLOCKS: u8 = 9;

impl Host {
    /// Something happens to a host that is up.
    pub(crate) fn happen(&mut self, from: u32, what: What, shared: &Shared, effects: &mut Effects) {
        match what {
            What::Frame {
                name,
                addressee,
                asker,
                frame,
            } => {
                // What the other end sends may overtake the word that the connection stands.
                if addressee == self.name && self.dialling.contains(&name) {
                    self.connected(name, shared, effects);
                }
                if addressee != self.name || !self.links.contains(&name) {
                    return self.is_gone(from, asker, addressee, shared, effects);
                }
                if self.spec.conduct.forks && is(&frame, FETCH_BLOCKS) {
                    return self.send(from, What::Answer { asker, frame: None }, shared, effects);
                }
                self.last_asked += 1;
                let exchange = ExchangeId(self.last_asked);
                self.asked.insert(exchange, (from, asker));
                let input = Input::Request {
                    exchange,
                    peer: name,
                    frame,
                };
                self.input(input, shared, effects);
            }
            What::Answer { asker, frame } if asker.life == self.life => {
                let input = Input::Response {
                    exchange: asker.exchange,
                    result: frame.ok_or(ExchangeFailure::Unreachable),
                };
                self.input(input, shared, effects);
            }
            What::Timeout { asker } if asker.life == self.life => {
                let input = Input::Response {
                    exchange: asker.exchange,
                    result: Err(ExchangeFailure::Timeout),
                };
                self.input(input, shared, effects);
            }
            What::Dial { name, addressee } if addressee == self.name && self.links.len() < LINKS_MAX => {
                let name_here = self.name;
                self.connected(name, shared, effects);
                self.send(from, What::Dialled { name: name_here }, shared, effects);
            }
            What::Dialled { name } => self.connected(name, shared, effects),
            What::Closed { name } => self.disconnected(name, shared, effects),
            What::Worked {
                life,
                work,
                result,
                took_ms,
            } if life == self.life => {
                let input = Input::WorkDone {
                    work,
                    result,
                    took_ms,
                };
                self.input(input, shared, effects);
            }
            _ => {}
        }
    }

    /// A write reached the disk. Of one that was under way at a crash the half chance decides whether it did.
    pub(crate) fn written(
        &mut self,
        life: u32,
        seq: u64,
        writes: Vec<Write>,
        shared: &Shared,
        effects: &mut Effects,
    ) {
        let alive = life == self.life && self.node.is_some();
        if !alive && (life != self.life || self.rng.chance_ppm(500_000)) {
            return;
        }
        for write in writes {
            match write {
                Write::Put { key, value } => self.disk.insert(key, value),
                Write::Delete { key } => self.disk.remove(&key),
            };
        }
        self.input(Input::Persisted { seq }, shared, effects);
    }

    /// Whoever asks over a connection that does not stand any more learns that, as from a refused one.
    pub(crate) fn is_gone(
        &mut self,
        from: u32,
        asker: Asker,
        addressee: NodeId,
        shared: &Shared,
        effects: &mut Effects,
    ) {
        self.send(from, What::Answer { asker, frame: None }, shared, effects);
        self.send(from, What::Closed { name: addressee }, shared, effects);
    }

    fn connected(&mut self, peer: NodeId, shared: &Shared, effects: &mut Effects) {
        self.dialling.remove(&peer);
        if self.links.insert(peer) {
            let path = Path::Direct;
            self.input(Input::Connected { peer, path }, shared, effects);
            // What the transport's ping would say.
            if let Some(other) = shared.host_of(&peer) {
                let way = |rng: &mut Rng, from, to| shared.links.latency_ms(rng, from, to);
                let there = way(&mut self.rng, self.index, other);
                let rtt_ms = u32::try_from(there + way(&mut self.rng, other, self.index));
                let rtt_ms = rtt_ms.unwrap_or(u32::MAX);
                self.input(Input::RoundTrip { peer, rtt_ms }, shared, effects);
            }
        }
    }

    fn disconnected(&mut self, peer: NodeId, shared: &Shared, effects: &mut Effects) {
        if self.links.remove(&peer) {
            self.input(Input::Disconnected { peer }, shared, effects);
        }
    }

    pub(crate) fn carry_out(&mut self, output: Output, shared: &Shared, effects: &mut Effects) {
        match output {
            Output::Request {
                exchange,
                peer,
                frame,
                timeout_ms,
            } => {
                let asker = Asker {
                    life: self.life,
                    exchange,
                };
                let timeout = What::Timeout { asker };
                self.cause(effects.now + u64::from(timeout_ms), self.index, timeout, effects);
                self.post(peer, asker, frame, shared, effects);
            }
            Output::Respond { exchange, frame } => {
                if let Some((to, asker)) = self.asked.remove(&exchange) {
                    self.tally.to_peers += 1;
                    self.tally.bytes += frame.len() as u64;
                    for _ in 0..shared.links.copies(&mut self.rng) {
                        let answer = What::Answer {
                            asker,
                            frame: Some(frame.clone()),
                        };
                        self.send(to, answer, shared, effects);
                    }
                }
            }
            Output::Dial { peer, .. } => {
                self.tally.dials += 1;
                self.dialling.insert(peer);
                let arrives = shared.links.copies(&mut self.rng) > 0;
                if let Some(to) = shared.host_of(&peer).filter(|_| arrives) {
                    let dial = What::Dial {
                        name: self.name,
                        addressee: peer,
                    };
                    self.send(to, dial, shared, effects);
                }
            }
            Output::HangUp { peer } => {
                self.tally.hang_ups += 1;
                if let (true, Some(to)) = (self.links.remove(&peer), shared.host_of(&peer)) {
                    let name = self.name;
                    self.send(to, What::Closed { name }, shared, effects);
                }
            }
            Output::Persist { seq, writes } => {
                let life = self.life;
                let written = What::Written { life, seq, writes };
                self.cause(effects.now + WRITE_MS, self.index, written, effects);
            }
            Output::Work { work, input, .. } => self.work(work, input, shared, effects),
            // No scenario moves blobs.
            Output::Blob(_) => {}
            Output::Event(event) => self.event(event, shared, effects),
        }
    }

    fn post(&mut self, peer: NodeId, asker: Asker, frame: Vec<u8>, shared: &Shared, effects: &mut Effects) {
        if self.spec.conduct.forks && is(&frame, FETCH_BLOCKS) {
            return;
        }
        let conduct = self.spec.conduct;
        if conduct.keeps_payments && is(&frame, SETTLE) {
            return;
        }
        if conduct.keeps_payments || conduct.slanders || conduct.forks {
            self.note_agreement(&frame);
        }
        let (to, copies) = match shared.relay_named(&peer) {
            Some(relay) => (relay, 1),
            None if self.links.contains(&peer) => {
                let copies = shared.links.copies(&mut self.rng);
                (shared.host_of(&peer).unwrap_or(self.index), copies)
            }
            None => {
                let answer = What::Answer { asker, frame: None };
                return self.cause(effects.now + 1, self.index, answer, effects);
            }
        };
        if shared.is_relay(to) {
            self.tally.to_relays += 1;
        } else {
            self.tally.to_peers += 1;
            let kind = frame.get(KIND).map_or(usize::MAX, |kind| usize::from(*kind));
            if let Some(asked) = self.tally.asked.get_mut(kind) {
                *asked += 1;
            }
        }
        self.tally.bytes += frame.len() as u64;
        for _ in 0..copies {
            let what = What::Frame {
                name: self.name,
                addressee: peer,
                asker,
                frame: frame.clone(),
            };
            self.send(to, what, shared, effects);
        }
    }

    /// Remembers what an agreement would cost, to add up later what was taken for nothing.
    fn note_agreement(&mut self, frame: &[u8]) {
        let Ok(Request::Agree { agreement, .. }) = decode_frame::<Request>(frame) else {
            return;
        };
        if let Ok(terms) = agreement.open::<Agreement>(&self.name) {
            let id = AgreementId(agreement.hash::<Agreement>().0);
            self.agreed.insert(id, terms.price.0);
        }
    }

    fn work(&mut self, work: WorkId, input: WorkInput, shared: &Shared, effects: &mut Effects) {
        let Some(device) = self.spec.lends else { return };
        let WorkInput::Texts { texts } = input else {
            return;
        };
        let right = device.honesty.is_right(&mut self.rng, self.tally.works);
        let took_ms = self.note_work(&texts, right, effects.now, shared);
        let worked = What::Worked {
            life: self.life,
            work,
            result: Ok(engine::compute(&texts, right, device.honesty, self.index)),
            took_ms,
        };
        let at = effects.now + u64::from(took_ms).max(1);
        self.cause(at, self.index, worked, effects);
    }

    /// Remembers what the engine does, and for whose requests; known answers are put down to the first of them. Returns how
    /// long it takes, milliseconds.
    fn note_work(&mut self, texts: &[String], right: bool, at: Millis, shared: &Shared) -> u32 {
        let first = texts.iter().find_map(|text| engine::asked(text));
        let first = first.unwrap_or((u32::MAX, u32::MAX));
        let coalition = self.spec.conduct.coalition;
        let pretended = coalition.is_some_and(|fellows| fellows.contains(first.0));
        let mut items = BTreeMap::from([(first, 0)]);
        let mut probe_tokens = 0;
        for text in texts.iter().filter(|_| !pretended) {
            let sum = match engine::asked(text) {
                Some(request) => items.entry(request).or_insert(0),
                None => &mut probe_tokens,
            };
            *sum += price::tokens(&[text]);
        }
        let speed = self.spec.lends.map_or(1, |device| device.speed.max(1));
        let took_ms = |tokens: u32| {
            let took_ms = (u64::from(tokens) * 1_000).div_ceil(speed.into());
            u32::try_from(took_ms).unwrap_or(u32::MAX)
        };
        for (request, item_tokens) in &items {
            let probe_tokens = if *request == first { probe_tokens } else { 0 };
            self.works.push(Work {
                at,
                buyer: request.0,
                request: request.1,
                item_tokens: *item_tokens,
                probe_tokens,
                took_ms: took_ms(item_tokens + probe_tokens),
                right,
            });
        }
        let tokens = items.values().sum::<u32>() + probe_tokens;
        let for_convict = shared.watched.contains(&first.0) && self.convicts(first.0, shared);
        self.tally.for_convicts += u64::from(for_convict);
        self.tally.works += 1;
        self.tally.work_tokens += u64::from(tokens);
        self.tally.busy_ms += u64::from(took_ms(tokens));
        took_ms(tokens)
    }

    fn event(&mut self, event: NodeEvent, shared: &Shared, effects: &mut Effects) {
        if let NodeEvent::Served { requester, step, .. } = &event {
            let buyer = shared.host_of(requester).unwrap_or(u32::MAX);
            let dealing = self.dealings.entry(buyer).or_default();
            match step {
                ServeStep::Delivered { agreement, .. } => {
                    dealing.delivered.push(*agreement);
                    dealing.last_at = effects.now;
                }
                ServeStep::Paid { price, .. } => {
                    dealing.paid += price.0;
                    self.tally.paid += 1;
                    self.tally.earned += price.0;
                }
                ServeStep::Quoted { quote } => {
                    self.reputation_factor = Some(quote.factors.reputation_factor);
                }
                ServeStep::Unpaid { .. } => self.tally.times_unpaid += 1,
                _ => {}
            }
        }
        self.requests
            .note(effects.now, event, |name| shared.host_of(name));
    }
}

/// Whether a frame carries a request of this number.
fn is(frame: &[u8], kind: u8) -> bool {
    frame.get(KIND) == Some(&kind)
}
