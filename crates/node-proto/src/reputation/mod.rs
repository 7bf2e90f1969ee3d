//! Reputation: what this node has itself seen of a peer's conduct, and what others' payments say of it.
//!
//! Four metrics, as the source document names them: reliability, availability, response time and quality. Each is a Beta
//! posterior over "went well" and "went badly" (the Beta reputation system: A. Jøsang, R. Ismail, *The Beta Reputation
//! System*, Bled 2002), starting at the uniform Beta(1, 1). Observations fade: after one half-life an old one counts half
//! as much as a new one, so a peer can neither live on its past nor be damned by it.
//!
//! The score is the mean of the four, weighted by [`WEIGHTS`]. Its interval is that of the Beta distribution with the
//! score's mean and variance (the metrics taken as independent). Peers are ranked by the **lower bound** of the 90 %
//! interval: who is little known ranks low without being called bad.
//!
//! The four metrics are this node's own observations and nothing else. What others' receipts say, its [`merit`], only adds
//! up to [`SUPPORT_MAX`] good observations to the score of a peer, divided by one more than there are own ones of the same
//! kind: enough to prefer a stranger that one's partners paid over one that nobody did, and gone after a few trades of
//! one's own. Payments are the only reports, so a peer cannot be talked down.
//!
//! Whoever is convicted of fraud scores nothing, whatever its record says. Which convictions there are is decided elsewhere
//! (`node::convict`), by proofs; opinions and convictions make no room for each other.

mod beta;
mod merit;

use std::collections::BTreeSet;

use litemap::LiteMap;

use minicbor::{Decode, Encode};

use crate::ids::{Millicredits, NodeId, Timestamp};
use crate::io::Write;
use crate::view::{Metric, ReputationView, Voucher};
use crate::wire::{WireError, from_cbor, to_cbor};

use merit::MeritRank;

/// The first byte of a stored record's key.
pub(crate) const KEY_PREFIX: u8 = b'r';

/// The weights of the score, in the order of [`Aspect`]; they sum to 1.
pub const WEIGHTS: [f64; 4] = [0.35, 0.15, 0.15, 0.35];

/// Most good observations that others' payments stand for.
const SUPPORT_MAX: f64 = 4.0;
/// What a late result is worth of one that is in time.
const LATE_WORTH: f64 = 0.5;
/// Vouchers of one view.
const VOUCHERS_MAX: usize = 8;

/// One of the four metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// Delivered what was agreed, or paid for what was delivered.
    Reliability = 0,
    /// Answered when asked.
    Availability = 1,
    /// Kept the promised time.
    ResponseTime = 2,
    /// Results that were checked were right.
    Quality = 3,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct Counts {
    #[n(0)]
    well: f64,
    #[n(1)]
    badly: f64,
}

/// What is kept of one peer.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct Record {
    #[n(0)]
    counts: [Counts; 4],
    /// When the counts were last faded.
    #[n(1)]
    at_ms: u64,
    #[n(2)]
    receipts: u32,
    /// Checked results in a row that were right.
    #[n(3)]
    streak: u32,
}

/// Everyone this node has an opinion of.
pub struct Reputation {
    half_life_ms: u64,
    records_max: usize,
    records: LiteMap<NodeId, Record>,
    /// Peers that signed two blocks for one place in their chain. They are kept apart from the opinions, so that neither
    /// makes room for the other; their bound is that of the proofs they rest on.
    convicted: BTreeSet<NodeId>,
    merit: MeritRank,
}

impl Reputation {
    /// The opinions of `me`: observations count half after `half_life_ms`, and at most `records_max` peers are remembered.
    pub fn new(me: NodeId, half_life_ms: u64, records_max: usize) -> Self {
        Self {
            half_life_ms,
            records_max,
            records: LiteMap::new(),
            convicted: BTreeSet::new(),
            merit: MeritRank::new(me),
        }
    }

    /// `from` signed that it paid `to`.
    pub fn paid(&mut self, from: &NodeId, to: &NodeId, amount: Millicredits) {
        self.merit.paid(from, to, u64::try_from(amount.0).unwrap_or(0));
    }

    /// Whether a payment by this peer would change anything: its signature is worth checking.
    pub(crate) fn counts_payments_of(&self, peer: &NodeId) -> bool {
        self.merit.reaches(peer)
    }

    /// Takes back a record that [`observe`](Self::observe) wrote.
    pub(crate) fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), WireError> {
        let id = key.get(1..).and_then(|id| id.try_into().ok());
        let id = id.ok_or_else(|| WireError::Malformed("a reputation key".to_owned()))?;
        let record: Record = from_cbor(value)?;
        let sound = record
            .counts
            .iter()
            .flat_map(|c| [c.well, c.badly])
            .all(|n| n.is_finite() && n >= 0.0);
        if !sound {
            return Err(WireError::Malformed("a reputation record".to_owned()));
        }
        self.records.insert(NodeId(id), record);
        Ok(())
    }

    /// Counts something seen; `weight` 1 is one ordinary trade.
    pub fn observe(
        &mut self,
        now: Timestamp,
        peer: &NodeId,
        aspect: Aspect,
        well: bool,
        weight: f64,
    ) -> Vec<Write> {
        let half_life_ms = self.half_life_ms;
        self.change(now, peer, |record| {
            record.fade(now, half_life_ms);
            let counts = &mut record.counts[aspect as usize];
            if well {
                counts.well += weight;
            } else {
                counts.badly += weight;
            }
            if aspect == Aspect::Quality {
                record.streak = if well { record.streak.saturating_add(1) } else { 0 };
            }
        })
    }

    /// Counts a fully signed receipt.
    pub(crate) fn receipted(&mut self, now: Timestamp, peer: &NodeId) -> Vec<Write> {
        self.change(now, peer, |record| {
            record.receipts = record.receipts.saturating_add(1)
        })
    }

    /// Marks a peer that signed contradicting blocks. This does not fade.
    pub(crate) fn convict(&mut self, peer: NodeId) {
        self.convicted.insert(peer);
    }

    /// The proof against a peer is not held any more.
    pub(crate) fn forget_conviction(&mut self, peer: &NodeId) {
        self.convicted.remove(peer);
    }

    /// Whether a fraud proof against the peer is held.
    pub(crate) fn is_fraud(&self, peer: &NodeId) -> bool {
        self.convicted.contains(peer)
    }

    /// Everyone against whom one is.
    pub(crate) fn convicted(&self) -> &BTreeSet<NodeId> {
        &self.convicted
    }

    /// Whether anything was seen of the peer.
    pub(crate) fn knows(&self, peer: &NodeId) -> bool {
        self.records.contains_key(peer)
    }

    /// Fully signed receipts with the peer, as far as its record goes back.
    pub(crate) fn receipts(&self, peer: &NodeId) -> u32 {
        self.records.get(peer).map_or(0, |record| record.receipts)
    }

    /// Checked results in a row that were right.
    fn streak(&self, peer: &NodeId) -> u32 {
        self.records.get(peer).map_or(0, |record| record.streak)
    }

    /// The peers that something is known of; one may be named twice.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &NodeId> {
        self.records.keys().chain(&self.convicted)
    }

    /// Everything known of a peer, with intervals.
    pub fn view(&self, now: Timestamp, peer: &NodeId) -> ReputationView {
        let mut record = self.records.get(peer).cloned().unwrap_or_default();
        record.fade(now, self.half_life_ms);
        let [reliability, availability, response_time, quality] = record.counts.map(Counts::metric);
        let merit = self.merit.merit(peer);
        let (mean, variance) = record.score(self.support(peer));
        // The Beta distribution with this mean and variance.
        let size = mean * (1.0 - mean) / variance - 1.0;
        let bound = |p| beta::quantile(p, mean * size, (1.0 - mean) * size) as f32;
        let (score, lower, upper) = if self.is_fraud(peer) {
            (0.0, 0.0, 0.0)
        } else {
            (mean as f32, bound(0.05), bound(0.95))
        };
        ReputationView {
            reliability,
            availability,
            response_time,
            quality,
            score,
            lower,
            upper,
            receipts: record.receipts,
            merit: merit as f32,
            vouchers: Vec::new(),
        }
    }

    /// The lower bound of a peer's quality alone: the same number as in its [view](Self::view), for one quantile instead of ten.
    pub(crate) fn quality_lower(&self, now: Timestamp, peer: &NodeId) -> f32 {
        let mut record = self.records.get(peer).cloned().unwrap_or_default();
        record.fade(now, self.half_life_ms);
        record.counts[Aspect::Quality as usize].lower()
    }

    /// The same, with those whose payments the merit comes from.
    pub fn explained(&self, now: Timestamp, peer: &NodeId) -> ReputationView {
        let vouchers = self.merit.vouchers(peer, VOUCHERS_MAX).into_iter();
        let vouchers = vouchers.map(|(id, part)| Voucher {
            id,
            part: part as f32,
        });
        ReputationView {
            vouchers: vouchers.collect(),
            ..self.view(now, peer)
        }
    }

    /// How likely a right result is to come in time from a peer that agrees to give one: delivered, right, and a late one
    /// counts half. Unlike the [score](Self::view), to which each metric only adds its part, it goes down with every one of
    /// them: who is always wrong is no better for being reliable.
    pub(crate) fn success(&self, now: Timestamp, peer: &NodeId) -> f32 {
        if self.is_fraud(peer) {
            return 0.0;
        }
        let Some(record) = self.records.get(peer) else {
            return Record::default().success(self.support(peer)) as f32;
        };
        let mut record = record.clone();
        record.fade(now, self.half_life_ms);
        record.success(self.support(peer)) as f32
    }

    /// The same of a peer of which nothing is known.
    pub(crate) fn success_of_unknown(&self) -> f32 {
        Record::default().success(0.0) as f32
    }

    /// Right results in a row that a peer is credited with: its own to this node, and for those that others' payments speak
    /// for, up to [`SUPPORT_MAX`].
    pub(crate) fn credited_streak(&self, peer: &NodeId) -> u32 {
        self.streak(peer).saturating_add(self.support(peer) as u32)
    }

    /// What the payments of others count for, in observations: the most for a peer that is visited as much as those whom
    /// the walks mostly visit, so that it does not depend on how large the network is.
    fn support(&self, peer: &NodeId) -> f64 {
        let typical = self.merit.typical();
        if typical > 0.0 {
            (self.merit.merit(peer) / typical).min(1.0) * SUPPORT_MAX
        } else {
            0.0
        }
    }

    fn change(&mut self, now: Timestamp, peer: &NodeId, change: impl FnOnce(&mut Record)) -> Vec<Write> {
        let mut writes = Vec::new();
        if !self.records.contains_key(peer) && self.records.len() >= self.records_max {
            writes.extend(self.forget_one());
        }
        let record = self.records.entry(*peer).or_insert_with(|| Record {
            at_ms: now.0,
            ..Record::default()
        });
        change(record);
        writes.push(Write::Put {
            key: key(peer),
            value: to_cbor(record),
        });
        writes
    }

    /// Makes room: whoever has fewest receipts, then the oldest observations.
    fn forget_one(&mut self) -> Option<Write> {
        let least = self
            .records
            .iter()
            .min_by_key(|(_, record)| (record.receipts, record.at_ms))
            .map(|(id, _)| *id)?;
        self.records.remove(&least);
        Some(Write::Delete { key: key(&least) })
    }
}

fn key(peer: &NodeId) -> Vec<u8> {
    [&[KEY_PREFIX], peer.as_bytes().as_slice()].concat()
}

impl Record {
    fn fade(&mut self, now: Timestamp, half_life_ms: u64) {
        let age_ms = now.ms_since(Timestamp(self.at_ms));
        let factor = libm::exp2(-(age_ms as f64) / half_life_ms.max(1) as f64);
        for counts in &mut self.counts {
            counts.well *= factor;
            counts.badly *= factor;
        }
        self.at_ms = self.at_ms.max(now.0);
    }

    fn success(&self, support: f64) -> f64 {
        let mean = |aspect: Aspect| {
            let (a, b) = self.counts[aspect as usize].supported(support);
            a / (a + b)
        };
        let late = (1.0 - mean(Aspect::ResponseTime)) * (1.0 - LATE_WORTH);
        mean(Aspect::Reliability) * mean(Aspect::Quality) * (1.0 - late)
    }

    /// Mean and variance of the weighted mean of the four, each with up to `support` more that went well.
    fn score(&self, support: f64) -> (f64, f64) {
        let parts = WEIGHTS.iter().zip(&self.counts);
        parts.fold((0.0, 0.0), |(mean, variance), (weight, counts)| {
            let (a, b) = counts.supported(support);
            let size = a + b;
            (
                mean + weight * a / size,
                variance + weight * weight * a * b / (size * size * (size + 1.0)),
            )
        })
    }
}

impl Counts {
    fn parameters(self) -> (f64, f64) {
        (1.0 + self.well, 1.0 + self.badly)
    }

    /// The same with what others say, which counts while there is nothing of one's own to go by.
    fn supported(self, support: f64) -> (f64, f64) {
        let (a, b) = self.parameters();
        (a + support / (1.0 + self.well + self.badly), b)
    }

    /// The lower end of the interval.
    fn lower(self) -> f32 {
        let (a, b) = self.parameters();
        beta::quantile(0.05, a, b) as f32
    }

    fn metric(self) -> Metric {
        let (a, b) = self.parameters();
        Metric {
            mean: (a / (a + b)) as f32,
            lower: self.lower(),
            upper: beta::quantile(0.95, a, b) as f32,
            observations: (self.well + self.badly) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const PEER: NodeId = NodeId([1; 32]);
    const DAY_MS: u64 = 86_400_000;

    fn reputation() -> Reputation {
        Reputation::new(NodeId([9; 32]), 30 * DAY_MS, 3)
    }

    fn trades(count: u64, well: bool) -> Reputation {
        let mut reputation = reputation();
        for _ in 0..count {
            for aspect in [
                Aspect::Reliability,
                Aspect::Availability,
                Aspect::ResponseTime,
                Aspect::Quality,
            ] {
                reputation.observe(Timestamp(0), &PEER, aspect, well, 1.0);
            }
        }
        reputation
    }

    #[test]
    fn the_unknown_is_in_the_middle_and_wide() {
        let view = reputation().view(Timestamp(0), &PEER);
        assert_eq!(
            (view.score, view.quality.observations, view.receipts),
            (0.5, 0.0, 0)
        );
        assert!((view.quality.lower - 0.05).abs() < 1e-6 && (view.quality.upper - 0.95).abs() < 1e-6);
        assert!(view.lower < 0.35 && view.upper > 0.65);
        // Delivered or not, right or not, late or not: 1/2 × 1/2 × 3/4.
        let success = reputation().success(Timestamp(0), &PEER);
        assert!((success - 0.1875).abs() < 1e-6, "{success}");
    }

    #[test]
    fn good_conduct_raises_the_lower_bound_and_bad_lowers_it() {
        let lower = |count, well| trades(count, well).view(Timestamp(0), &PEER).lower;
        assert!(lower(0, true) < lower(1, true) && lower(1, true) < lower(20, true));
        assert!(lower(20, true) > 0.9);
        assert!(lower(1, false) < lower(0, false));
    }

    #[test]
    fn who_is_always_wrong_is_no_better_for_being_reliable() {
        let mut wrong = trades(20, true);
        let honest = wrong.success(Timestamp(0), &PEER);
        for _ in 0..20 {
            wrong.observe(Timestamp(0), &PEER, Aspect::Quality, false, 3.0);
        }
        let after = wrong.success(Timestamp(0), &PEER);
        assert!(honest > 0.85 && after < honest / 3.0, "{honest} {after}");
    }

    #[test]
    fn the_past_fades() {
        let reputation = trades(20, true);
        let young = reputation.view(Timestamp(0), &PEER);
        let old = reputation.view(Timestamp(30 * DAY_MS), &PEER);
        assert!((old.quality.observations - young.quality.observations / 2.0).abs() < 1e-4);
        assert!(old.lower < young.lower);
    }

    #[test]
    fn records_survive_and_the_least_known_makes_room() {
        let mut first = reputation();
        let writes = first.observe(Timestamp(5), &PEER, Aspect::Quality, true, 1.0);
        let [Write::Put { key, value }] = writes.as_slice() else {
            panic!("{writes:?}")
        };
        let mut second = reputation();
        second.restore(key, value).unwrap();
        assert_eq!(second.view(Timestamp(9), &PEER), first.view(Timestamp(9), &PEER));
        assert!(second.restore(&key[..9], value).is_err() && second.restore(key, &[0xff]).is_err());
        second.receipted(Timestamp(6), &PEER);
        for number in 2..=4 {
            second.observe(
                Timestamp(6 + number),
                &NodeId([number as u8; 32]),
                Aspect::Quality,
                true,
                1.0,
            );
        }
        assert_eq!(second.peers().count(), 3);
        assert_eq!(second.view(Timestamp(9), &PEER).receipts, 1);
    }

    #[test]
    fn payments_of_others_help_a_stranger_a_little_and_say_who() {
        let mut reputation = reputation();
        let (me, friend) = (NodeId([9; 32]), NodeId([2; 32]));
        let stranger = reputation.view(Timestamp(0), &PEER);
        assert!(!reputation.counts_payments_of(&friend));
        reputation.paid(&me, &friend, Millicredits(100));
        assert!(reputation.counts_payments_of(&friend));
        reputation.paid(&friend, &PEER, Millicredits(100));
        let view = reputation.explained(Timestamp(0), &PEER);
        assert!(view.lower > stranger.lower + 0.1 && view.merit > 0.2, "{view:?}");
        assert_eq!(view.vouchers.len(), 1);
        assert_eq!((view.vouchers[0].id, view.vouchers[0].part), (friend, 1.0));
        // The metrics stay this node's own, and a few bad trades of one's own weigh more.
        assert_eq!(view.quality, stranger.quality);
        for _ in 0..5 {
            reputation.observe(Timestamp(0), &PEER, Aspect::Quality, false, 1.0);
            reputation.observe(Timestamp(0), &PEER, Aspect::Reliability, false, 1.0);
        }
        assert!(reputation.view(Timestamp(0), &PEER).lower < stranger.lower + 0.05);
    }

    #[test]
    fn fraud_is_not_forgotten() {
        let mut reputation = trades(50, true);
        reputation.convict(PEER);
        assert!(reputation.is_fraud(&PEER));
        assert_eq!(reputation.view(Timestamp(400 * DAY_MS), &PEER).upper, 0.0);
    }
}
