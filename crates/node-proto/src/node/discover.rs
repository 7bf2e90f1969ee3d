//! Being found and finding: registrations at discovery points, and samples from them.

use crate::discovery::KnownOffer;
use crate::group::{Purpose as TagPurpose, RendezvousKey};
use crate::ids::{Hash, Millicredits, ModelId, NodeId, Timestamp};
use crate::node::Node;
use crate::node::network::{Content, Filed, Filing, Member, Point, Purpose};
use crate::service::{Failure, Service};
use crate::wire::{
    ADDRESS_BYTES_MAX, ADDRESSES_MAX, OBJECT_VERSION, Offer, Presence, Registration, Request, Response,
    SampledRecord, Signed, open_body, to_cbor,
};

/// What stands under one key.
struct Notice {
    key: Hash,
    presence: Option<Presence>,
    offer: Option<Offer>,
}

impl Node {
    pub(super) fn set_addresses(&mut self, mut addresses: Vec<String>) {
        addresses.retain(|address| address.len() <= ADDRESS_BYTES_MAX);
        addresses.truncate(ADDRESSES_MAX);
        if addresses == self.network.addresses {
            return;
        }
        self.network.addresses = addresses;
        // Until the new ones are filed nobody can connect: this change does not wait its turn.
        let filed = self
            .network
            .points
            .iter_mut()
            .flat_map(|(_, point)| point.filed.iter_mut());
        filed.for_each(|(_, filed)| filed.filed_at = Timestamp::default());
        self.network.filing.due = self.now;
    }

    pub(super) fn set_discovery_point(&mut self, peer: NodeId, available: bool) {
        self.network.filing.due = self.now;
        self.changed = true;
        if !available {
            self.network.points.remove(&peer);
            return;
        }
        // What failed on the way through another one, or while this node slept, may work now.
        self.network.dial_again(self.now);
        let room = self.network.points.len() < self.config.discovery_points_max;
        if room || self.network.points.contains_key(&peer) {
            let point = Point {
                sample_at: self.now,
                ..Point::default()
            };
            self.network.points.insert(peer, point);
        }
    }

    pub(super) fn sample_soon(&mut self) {
        let now = self.now;
        self.network
            .points
            .iter_mut()
            .for_each(|(_, point)| point.sample_at = now);
    }

    pub(super) fn discovery_timeout(&self) -> Option<Timestamp> {
        let samples = self.network.points.values().map(|point| point.sample_at);
        let filing = (!self.network.points.is_empty()).then_some(self.network.filing.due);
        let dials = self.next_dial();
        let expiries = (!self.network.members.is_empty()).then_some(self.network.members_expire);
        let offers = self.network.offers.next_expiry();
        let demand = self
            .monitor
            .policy
            .enabled
            .then(|| self.lending.demand.step_ends());
        samples
            .chain(filing)
            .chain(dials)
            .chain(expiries)
            .chain(offers)
            .chain(demand)
            .min()
    }

    pub(super) fn discover_due(&mut self) {
        let share = self.monitor.share();
        let step_over = self.now >= self.lending.demand.step_ends();
        if step_over {
            self.see_others_prices();
            self.changed |= self.lending.measure_again(self.now);
        }
        self.changed |= self.lending.demand.advance(self.now, share);
        if step_over {
            self.rate_own_standing();
        }
        self.changed |= self.network.expire(self.now);
        self.file_all();
        for point in self.network.points.keys().copied().collect::<Vec<_>>() {
            self.sample(&point);
        }
    }

    /// Files at every discovery point, when what should be filed is another than the last time, or one is due.
    fn file_all(&mut self) {
        let content = self.content();
        let unchanged = self.network.filing.content.as_ref() == Some(&content);
        if unchanged && self.now < self.network.filing.due {
            return;
        }
        let notices = self.notices();
        let mut due = Timestamp(u64::MAX);
        for point in self.network.points.keys().copied().collect::<Vec<_>>() {
            due = due.min(self.file(&point, &notices));
        }
        self.network.filing = Filing {
            content: Some(content),
            due,
        };
    }

    /// Everything that notices are made of, in a form that is quickly compared.
    fn content(&self) -> Content {
        Content {
            offering: self.monitor.policy.enabled && self.paused().is_none(),
            tier: self.lending.tier(),
            market_demand: self.lending.demand.multiplier(),
            reputation_factor: self.lending.reputation_factor,
            models: self.lending.models_version + self.cache.version(),
        }
    }

    /// Lets demand know what others ask for the same: the middle one of their prices.
    fn see_others_prices(&mut self) {
        let Some(model) = self.lending.model(None) else {
            return;
        };
        let offers = self.network.offers.iter().map(|(_, known)| &known.offer);
        let same = offers.filter(|offer| offer.model == Some(model.id) && offer.precision == model.precision);
        let mut prices: Vec<Millicredits> = same.map(|offer| offer.unit_price).collect();
        prices.sort_unstable();
        let own = self.lending.offer(model, self.config.queue_max).unit_price;
        if let Some(middle) = prices.get(prices.len() / 2) {
            self.lending.demand.price_seen(own, *middle);
        }
    }

    /// What should be filed now.
    fn notices(&self) -> Vec<Notice> {
        let presence = Presence {
            tier: self.lending.tier(),
        };
        let mut notices = vec![Notice {
            key: Hash(self.group.presence_key()),
            presence: Some(presence),
            offer: None,
        }];
        if self.paused().is_some() || !self.monitor.policy.enabled {
            return notices;
        }
        let mut offer_under = |key: RendezvousKey, offer: Offer| {
            notices.push(Notice {
                key: Hash(key),
                presence: None,
                offer: Some(offer),
            });
        };
        for model in self.lending.models.values() {
            let offer = self.lending.offer(model, self.config.queue_max);
            offer_under(self.group.service_key(Service::Inference, Some(&model.id)), offer);
        }
        if let Some(model) = self.lending.model(None) {
            let offer = self.lending.offer(model, self.config.queue_max);
            offer_under(self.group.service_key(Service::Inference, None), offer);
        }
        if let Some(offer) = self.lending.computer_offer(self.config.queue_max) {
            offer_under(self.group.service_key(Service::Computation, None), offer);
        }
        if let Some(offer) = self.lending.store_offer(self.config.queue_max) {
            offer_under(self.group.service_key(Service::Storage, None), offer);
        }
        // Each model is a key of its own, of which a discovery point takes so many.
        let room = self.config.models_max.saturating_sub(self.lending.models.len());
        let cached = self.cache.models();
        for (model, precision) in cached.iter().take(room) {
            let offer = self
                .lending
                .cache_offer(*model, *precision, self.config.queue_max);
            offer_under(self.group.service_key(Service::CacheQuery, Some(model)), offer);
        }
        if let Some((model, precision)) = cached.iter().next() {
            let offer = self
                .lending
                .cache_offer(*model, *precision, self.config.queue_max);
            offer_under(self.group.service_key(Service::CacheQuery, None), offer);
        }
        notices
    }

    /// Files what is new, changed or about to run out, and withdraws what no longer holds. Returns when to look again.
    fn file(&mut self, point: &NodeId, notices: &[Notice]) -> Timestamp {
        let now = self.now;
        let mut look_again = Timestamp(u64::MAX);
        for notice in notices {
            let print = self.print(notice);
            let state = self.network.points.get(point);
            let filed = state.and_then(|point| point.filed.get(&notice.key));
            let due_at = filed.map_or(now, |filed| match filed.print == print {
                true => filed.renew_at,
                false => filed
                    .filed_at
                    .plus_ms(self.config.refile_ms.into())
                    .min(filed.renew_at),
            });
            let due_at = if due_at <= now {
                self.file_one(point, notice, print)
            } else {
                due_at
            };
            look_again = look_again.min(due_at);
        }
        self.withdraw_others(point, notices);
        look_again
    }

    /// Files one notice; returns when it is filed again unless the discovery point says something else.
    fn file_one(&mut self, point: &NodeId, notice: &Notice, print: Hash) -> Timestamp {
        let registration = self.registration(notice);
        let timeout_ms = self.config.exchange_timeout_ms;
        let wait_ms = u64::from(timeout_ms) + u64::from(self.config.refile_failed_ms);
        let renew_at = self.now.plus_ms(wait_ms);
        if let Some(point) = self.network.points.get_mut(point) {
            let filed = Filed {
                print,
                filed_at: self.now,
                renew_at,
            };
            point.filed.insert(notice.key, filed);
        }
        let purpose = Purpose::Register { key: notice.key };
        self.request(*point, &Request::Register(registration), purpose, timeout_ms);
        renew_at
    }

    /// Withdraws what no longer holds.
    fn withdraw_others(&mut self, point: &NodeId, notices: &[Notice]) {
        let Some(filed) = self.network.points.get_mut(point).map(|point| &mut point.filed) else {
            return;
        };
        let holds = |key: &Hash| notices.iter().any(|notice| notice.key == *key);
        let stale: Vec<Hash> = filed.keys().filter(|key| !holds(key)).copied().collect();
        filed.retain(|key, _| holds(key));
        let timeout_ms = self.config.exchange_timeout_ms;
        for key in stale {
            self.request(*point, &Request::Unregister(key), Purpose::Unregister, timeout_ms);
        }
    }

    fn print(&self, notice: &Notice) -> Hash {
        let content = (&notice.presence, &notice.offer, &self.network.addresses);
        Hash(*blake3::hash(&to_cbor(&content)).as_bytes())
    }

    fn registration(&mut self, notice: &Notice) -> Signed {
        self.network.sequence = self.now.0.max(self.network.sequence + 1);
        let registration = Registration {
            version: OBJECT_VERSION,
            owner: self.me,
            sequence: self.network.sequence,
            key: notice.key,
            ttl_ms: self.config.registration_ttl_ms,
            tag: Hash(self.group.tag(TagPurpose::Registration, &self.me, &self.me)),
            addresses: self.network.addresses.clone(),
            presence: notice.presence.clone(),
            offer: notice.offer.clone(),
        };
        Signed::seal(self.signer.as_ref(), &registration)
    }

    pub(super) fn registered(&mut self, point: &NodeId, key: Hash, result: Result<Response, Failure>) {
        let now = self.now;
        let filed = self
            .network
            .points
            .get_mut(point)
            .and_then(|point| point.filed.get_mut(&key));
        let Some(filed) = filed else { return };
        filed.renew_at = match result {
            Ok(Response::Registered { ttl_ms }) => now.plus_ms(u64::from(ttl_ms / 2).max(1_000)),
            _ => now.plus_ms(self.config.refile_failed_ms.into()),
        };
        self.network.filing.due = self.network.filing.due.min(filed.renew_at);
        self.changed = true;
    }

    fn sample(&mut self, point: &NodeId) {
        let (now, interval_ms) = (self.now, self.config.sample_interval_ms);
        let Some(state) = self.network.points.get_mut(point) else {
            return;
        };
        if state.sample_at > now {
            return;
        }
        state.sample_at = now.plus_ms(interval_ms.into());
        let (count, timeout_ms) = (self.config.sample_size, self.config.exchange_timeout_ms);
        let key = Hash(self.group.presence_key());
        self.request(
            *point,
            &Request::Sample { key, count },
            Purpose::SampleMembers,
            timeout_ms,
        );
        self.sample_service(point, self.key_of(Service::Inference, None));
        if self.cache.is_on() {
            self.sample_service(point, self.key_of(Service::CacheQuery, None));
        }
    }

    /// The rendezvous key of what is offered: of a model, or of whatever serves any request for the service.
    pub(super) fn key_of(&self, service: Service, model: Option<&ModelId>) -> Hash {
        let model = model.filter(|_| matches!(service, Service::Inference | Service::CacheQuery));
        Hash(self.group.service_key(service, model))
    }

    /// Looks again for everyone, and for offers of every service that is sold.
    pub(super) fn refresh_market(&mut self) {
        self.sample_soon();
        let keys = [Service::Computation, Service::CacheQuery, Service::Storage]
            .map(|service| self.key_of(service, None));
        for point in self.network.points.keys().copied().collect::<Vec<_>>() {
            for key in keys {
                self.sample_service(&point, key);
            }
        }
    }

    /// Asks one discovery point for offers under a key.
    pub(super) fn sample_service(&mut self, point: &NodeId, key: Hash) {
        let (count, timeout_ms) = (self.config.sample_size, self.config.exchange_timeout_ms);
        self.request(
            *point,
            &Request::Sample { key, count },
            Purpose::SampleOffers { key },
            timeout_ms,
        );
    }

    pub(super) fn sampled_members(&mut self, point: &NodeId, result: Result<Response, Failure>) {
        let Ok(Response::Sampled { total, records }) = result else {
            return;
        };
        let complete = records.len() >= total as usize;
        let key = Hash(self.group.presence_key());
        let listed: Vec<NodeId> = records.iter().map(|record| record.owner).collect();
        let first = self
            .network
            .points
            .get(point)
            .is_some_and(|point| !point.answered);
        for record in records {
            self.learn_member(point, &key, &record, first);
        }
        if complete {
            self.network
                .members
                .retain(|id, member| member.source != *point || listed.contains(id));
        }
        if let Some(point) = self.network.points.get_mut(point) {
            point.answered = true;
        }
        let others = total.saturating_sub(u32::from(listed.contains(&self.me) || !complete));
        self.network.members_total = Some(others);
        self.changed = true;
    }

    fn learn_member(&mut self, point: &NodeId, key: &Hash, record: &SampledRecord, first: bool) {
        let print = print_of(record);
        let now = self.now;
        if let Some(known) = self
            .network
            .members
            .get_mut(&record.owner)
            .filter(|known| known.print == print)
        {
            known.source = *point;
            return;
        }
        let Some(registration) = self.read_registration(key, record) else {
            return;
        };
        let former = self
            .network
            .members
            .get(&record.owner)
            .map(|member| (member.dial_after, member.dialled_at));
        if former.is_none() && self.network.members.len() >= self.config.peers_max {
            return;
        }
        let grace_ms = if first {
            0
        } else {
            u64::from(self.config.dial_grace_ms)
        };
        let lasts_ms = registration.ttl_ms.saturating_sub(record.age_ms);
        let member = Member {
            addresses: registration.addresses,
            tier: registration.presence.and_then(|presence| presence.tier),
            print,
            source: *point,
            expires: now.plus_ms(lasts_ms.into()),
            dial_after: former.map_or_else(|| now.plus_ms(grace_ms), |(after, _)| after),
            dialled_at: former.and_then(|(_, at)| at),
            unchecked: Some(record.registration.clone()),
        };
        self.network.learn(record.owner, member);
        self.retry_payments_to(&record.owner);
        self.met(&record.owner);
    }

    pub(super) fn sampled_offers(&mut self, point: &NodeId, key: Hash, result: Result<Response, Failure>) {
        let Ok(Response::Sampled { total, records }) = result else {
            return;
        };
        let complete = records.len() >= total as usize;
        let listed: Vec<NodeId> = records.iter().map(|record| record.owner).collect();
        for record in records {
            self.learn_offer(point, key, &record);
        }
        // Whoever offers any model is listed under the key for every model.
        let of_every_model = |service| key == self.key_of(service, None);
        let every_model = [Service::Inference, Service::CacheQuery]
            .into_iter()
            .find(|service| of_every_model(*service));
        if complete {
            self.network.offers.retain(|(owner, service, _), known| {
                let is_meant = known.key == key || every_model.is_some_and(|meant| *service == meant as u8);
                known.source != *point || !is_meant || listed.contains(owner)
            });
        }
        self.changed = true;
        self.search_again();
    }

    /// In a large group a provider is rarely among the few members that were sampled, but its offer says where it is.
    fn learn_address(
        &mut self,
        point: &NodeId,
        record: &SampledRecord,
        addresses: Vec<String>,
        expires: Timestamp,
    ) {
        let known = self.network.members.contains_key(&record.owner);
        if known || self.network.members.len() >= self.config.peers_max {
            return;
        }
        let member = Member {
            addresses,
            tier: None,
            print: Hash([0; 32]),
            source: *point,
            expires,
            dial_after: self.now.plus_ms(self.config.dial_grace_ms.into()),
            dialled_at: None,
            unchecked: Some(record.registration.clone()),
        };
        self.network.learn(record.owner, member);
        self.retry_payments_to(&record.owner);
    }

    fn learn_offer(&mut self, point: &NodeId, key: Hash, record: &SampledRecord) {
        let print = print_of(record);
        if self.network.offers.mentioned(&record.owner, &print, *point) {
            return;
        }
        let Some(registration) = self.read_registration(&key, record) else {
            return;
        };
        let Some(offer) = registration.offer else { return };
        if !offer.factors.are_within_bounds() || offer.factors.price() != Some(offer.unit_price) {
            return;
        }
        let offer_key = (record.owner, offer.service, offer.model);
        let full = self.network.offers.len() >= self.config.peers_max;
        if full && self.network.offers.get(&offer_key).is_none() {
            return;
        }
        let lasts_ms = registration.ttl_ms.saturating_sub(record.age_ms);
        let expires = self.now.plus_ms(lasts_ms.into());
        self.learn_address(point, record, registration.addresses, expires);
        let known = KnownOffer {
            offer,
            print,
            source: *point,
            key,
            taken: Timestamp(self.now.0.saturating_sub(record.age_ms.into())),
            expires,
        };
        self.network.offers.insert(offer_key, known);
    }

    /// What another member registered, its signature not checked yet; `None` when anything else about it is wrong.
    fn read_registration(&self, key: &Hash, record: &SampledRecord) -> Option<Registration> {
        if record.owner == self.me {
            return None;
        }
        let registration: Registration = open_body(&record.registration.body).ok()?;
        let member = self.group.check_tag(
            TagPurpose::Registration,
            &record.owner,
            &record.owner,
            &registration.tag.0,
        );
        (registration.owner == record.owner && registration.key == *key && member).then_some(registration)
    }
}

/// Tells registrations apart without checking their signatures again.
fn print_of(record: &SampledRecord) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(record.owner.as_bytes());
    hasher
        .update(&record.registration.signature)
        .update(&record.registration.body);
    Hash(*hasher.finalize().as_bytes())
}
