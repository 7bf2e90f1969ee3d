//! The discovery point: a bounded, expiring table of signed registrations. Sans-IO like the rest; relays run it.
//!
//! An entry is taken from its owner alone (the transport has proven who asks), checked once and handed out as it came,
//! so that readers need not trust the discovery point for more than completeness. Each node, each key and the whole have
//! a limit; a full table refuses newcomers and keeps renewals, so that a crowd cannot push others out.

use std::collections::{BTreeMap, BTreeSet};

use crate::discovery::pool::Pool;
use crate::ids::{Hash, NodeId, Timestamp};
use crate::rng::Rng;
use crate::wire::{
    Refusal, RefusalCode, Registration, Request, Response, SAMPLE_MAX, SampledRecord, Signed, decode_frame,
    encode_frame,
};

/// The bounds of a [`Registry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryLimits {
    /// Registrations of one node.
    pub per_node_max: usize,
    /// Registrations under one key.
    pub per_key_max: usize,
    /// Registrations in all; at a few hundred bytes each the default is some 30 MB.
    pub total_max: usize,
    /// Longest time to live that is granted, milliseconds.
    pub ttl_ms_max: u32,
    /// Most records of one answer; the wire format allows 64.
    pub sample_max: usize,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self {
            per_node_max: 32,
            per_key_max: 4_096,
            total_max: 65_536,
            ttl_ms_max: 600_000,
            sample_max: 64,
        }
    }
}

/// Which bound of a [`Registry`] would make it useless or unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry's {0} is out of bounds")]
pub struct RegistryLimitsError(pub &'static str);

impl RegistryLimits {
    /// Checks every bound; whoever makes a [`Registry`] from numbers that are not constants asks first.
    pub fn validate(&self) -> Result<(), RegistryLimitsError> {
        let bounds = [
            // Presence and one model at least.
            ("per_node_max", (2..=1_024).contains(&self.per_node_max)),
            // Ten times the default is 300 MB.
            ("total_max", (1..=655_360).contains(&self.total_max)),
            ("per_key_max", (1..=self.total_max).contains(&self.per_key_max)),
            ("ttl_ms_max", (1_000..=3_600_000).contains(&self.ttl_ms_max)),
            ("sample_max", (1..=SAMPLE_MAX).contains(&self.sample_max)),
        ];
        match bounds.iter().find(|(_, good)| !good) {
            Some((name, _)) => Err(RegistryLimitsError(name)),
            None => Ok(()),
        }
    }
}

struct Entry {
    registration: Signed,
    sequence: u64,
    taken: Timestamp,
    expires: Timestamp,
}

/// What is filed under one key.
#[derive(Default)]
struct Filed {
    by_owner: BTreeMap<NodeId, Entry>,
    owners: Pool<NodeId>,
}

/// The discovery point's table.
pub struct Registry {
    limits: RegistryLimits,
    rng: Rng,
    entries: BTreeMap<Hash, Filed>,
    keys_of: BTreeMap<NodeId, BTreeSet<Hash>>,
    expiries: BTreeSet<(Timestamp, Hash, NodeId)>,
}

impl Registry {
    /// An empty table. The seed decides which samples are drawn.
    pub fn new(limits: RegistryLimits, seed: u64) -> Self {
        Self {
            limits,
            rng: Rng::new(seed, &NodeId([0; 32])),
            entries: BTreeMap::new(),
            keys_of: BTreeMap::new(),
            expiries: BTreeSet::new(),
        }
    }

    /// Answers one request frame of a peer whom the transport has authenticated.
    pub fn handle_frame(&mut self, now: Timestamp, from: NodeId, frame: &[u8]) -> Vec<u8> {
        self.expire(now);
        let response = match decode_frame::<Request>(frame) {
            Ok(Request::Register(registration)) => self.register(now, from, registration),
            Ok(Request::Unregister(key)) => {
                self.remove(&key, &from);
                Response::Noted
            }
            Ok(Request::Sample { key, count }) => self.sample(now, &key, count),
            Ok(_) => Response::Refused(Refusal::because(
                RefusalCode::UnknownMessage,
                "a discovery point does not trade",
            )),
            Err(error) => Response::Refused(Refusal::from(&error)),
        };
        encode_frame(&response)
    }

    /// Whether a node has anything registered.
    pub(crate) fn lists(&self, node: &NodeId) -> bool {
        self.keys_of.contains_key(node)
    }

    /// Drops what a node registered, as when its connection is gone.
    pub fn forget(&mut self, node: &NodeId) {
        let keys: Vec<Hash> = self.keys_of.get(node).into_iter().flatten().copied().collect();
        for key in keys {
            self.remove(&key, node);
        }
    }

    /// Drops what has expired.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some((at, key, owner)) = self.expiries.first().copied() {
            if at > now {
                break;
            }
            self.remove(&key, &owner);
        }
    }

    /// Registrations held.
    pub fn len(&self) -> usize {
        self.expiries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.expiries.is_empty()
    }

    /// Nodes that hold at least one registration.
    pub fn nodes(&self) -> usize {
        self.keys_of.len()
    }

    fn register(&mut self, now: Timestamp, from: NodeId, registration: Signed) -> Response {
        let opened = match registration.open::<Registration>(&from) {
            Ok(opened) => opened,
            Err(error) => return Response::Refused(Refusal::from(&error)),
        };
        if opened.owner != from {
            return Response::Refused(Refusal::new(RefusalCode::BadSignature));
        }
        let former = self
            .entries
            .get(&opened.key)
            .and_then(|filed| filed.by_owner.get(&from));
        match former {
            Some(former) if former.sequence > opened.sequence => {
                return Response::Refused(Refusal::because(
                    RefusalCode::Expired,
                    "a newer registration stands",
                ));
            }
            None if !self.has_room(&opened.key, &from) => {
                return Response::Refused(Refusal::new(RefusalCode::Full));
            }
            _ => {}
        }
        let ttl_ms = opened.ttl_ms.min(self.limits.ttl_ms_max);
        self.remove(&opened.key, &from);
        let expires = now.plus_ms(ttl_ms.into());
        let entry = Entry {
            registration,
            sequence: opened.sequence,
            taken: now,
            expires,
        };
        let filed = self.entries.entry(opened.key).or_default();
        filed.by_owner.insert(from, entry);
        filed.owners.insert(from);
        self.keys_of.entry(from).or_default().insert(opened.key);
        self.expiries.insert((expires, opened.key, from));
        Response::Registered { ttl_ms }
    }

    fn has_room(&self, key: &Hash, owner: &NodeId) -> bool {
        self.expiries.len() < self.limits.total_max
            && self.entries.get(key).map_or(0, |filed| filed.owners.len()) < self.limits.per_key_max
            && self.keys_of.get(owner).map_or(0, BTreeSet::len) < self.limits.per_node_max
    }

    fn sample(&mut self, now: Timestamp, key: &Hash, count: u32) -> Response {
        let Some(filed) = self.entries.get(key) else {
            return Response::Sampled {
                total: 0,
                records: Vec::new(),
            };
        };
        let count = usize::try_from(count).map_or(self.limits.sample_max, |n| n.min(self.limits.sample_max));
        let total = u32::try_from(filed.owners.len()).unwrap_or(u32::MAX);
        let count = count.min(SAMPLE_MAX);
        let owners = filed.owners.draw(&mut self.rng, count).into_iter();
        let records = owners
            .filter_map(|owner| Some((owner, filed.by_owner.get(&owner)?)))
            .map(|(owner, entry)| SampledRecord {
                owner,
                registration: entry.registration.clone(),
                age_ms: u32::try_from(now.ms_since(entry.taken)).unwrap_or(u32::MAX),
            })
            .collect();
        Response::Sampled { total, records }
    }

    fn remove(&mut self, key: &Hash, owner: &NodeId) {
        let Some(filed) = self.entries.get_mut(key) else {
            return;
        };
        let Some(entry) = filed.by_owner.remove(owner) else {
            return;
        };
        filed.owners.remove(owner);
        self.expiries.remove(&(entry.expires, *key, *owner));
        if filed.owners.is_empty() {
            self.entries.remove(key);
        }
        if let Some(keys) = self.keys_of.get_mut(owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.keys_of.remove(owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::sign::{Ed25519Signer, Signer as _};
    use crate::wire::OBJECT_VERSION;

    const KEY: Hash = Hash([7; 32]);

    fn signer(number: u8) -> Ed25519Signer {
        Ed25519Signer::from_secret(&[number; 32])
    }

    fn registration(number: u8, sequence: u64, key: Hash) -> Signed {
        let owner = signer(number);
        let object = Registration {
            version: OBJECT_VERSION,
            owner: owner.id(),
            sequence,
            key,
            ttl_ms: 10_000,
            tag: Hash([0; 32]),
            addresses: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
            presence: None,
            offer: None,
        };
        Signed::seal(&owner, &object)
    }

    fn ask(registry: &mut Registry, at: u64, from: u8, request: &Request) -> Response {
        let frame = registry.handle_frame(Timestamp(at), signer(from).id(), &encode_frame(request));
        decode_frame(&frame).unwrap()
    }

    fn register(registry: &mut Registry, at: u64, number: u8, sequence: u64, key: Hash) -> Response {
        ask(
            registry,
            at,
            number,
            &Request::Register(registration(number, sequence, key)),
        )
    }

    fn count(registry: &mut Registry, at: u64) -> (u32, usize) {
        match ask(registry, at, 99, &Request::Sample { key: KEY, count: 3 }) {
            Response::Sampled { total, records } => (total, records.len()),
            other => panic!("{other:?}"),
        }
    }

    fn refused_with(response: &Response, code: RefusalCode) -> bool {
        matches!(response, Response::Refused(refusal) if refusal.code == code as u16)
    }

    #[test]
    fn registrations_are_sampled_until_they_expire() {
        let mut registry = Registry::new(RegistryLimits::default(), 1);
        for number in 1..=5 {
            assert_eq!(
                register(&mut registry, 0, number, 1, KEY),
                Response::Registered { ttl_ms: 10_000 }
            );
        }
        assert_eq!(count(&mut registry, 9_999), (5, 3));
        register(&mut registry, 9_999, 1, 2, KEY);
        assert_eq!(count(&mut registry, 10_000), (1, 1));
        assert_eq!(
            ask(&mut registry, 10_000, 1, &Request::Unregister(KEY)),
            Response::Noted
        );
        assert_eq!(count(&mut registry, 10_000), (0, 0));
        assert!(registry.is_empty() && registry.nodes() == 0);
    }

    #[test]
    fn only_the_owner_registers_and_only_forwards() {
        let mut registry = Registry::new(RegistryLimits::default(), 1);
        let stolen = Request::Register(registration(1, 5, KEY));
        assert!(refused_with(
            &ask(&mut registry, 0, 2, &stolen),
            RefusalCode::BadSignature
        ));
        register(&mut registry, 0, 1, 5, KEY);
        assert!(refused_with(
            &register(&mut registry, 1, 1, 4, KEY),
            RefusalCode::Expired
        ));
        let Request::Register(mut forged) = stolen else {
            unreachable!()
        };
        forged.body.push(0);
        assert!(refused_with(
            &ask(&mut registry, 2, 1, &Request::Register(forged)),
            RefusalCode::Malformed
        ));
    }

    #[test]
    fn limits_hold_for_a_node_a_key_and_all() {
        let limits = RegistryLimits {
            per_node_max: 2,
            per_key_max: 3,
            total_max: 4,
            ..Default::default()
        };
        let mut registry = Registry::new(limits, 1);
        for key in 0..2 {
            register(&mut registry, 0, 1, 1, Hash([key; 32]));
        }
        assert!(refused_with(
            &register(&mut registry, 0, 1, 1, KEY),
            RefusalCode::Full
        ));
        register(&mut registry, 0, 2, 1, KEY);
        register(&mut registry, 0, 3, 1, KEY);
        assert!(refused_with(
            &register(&mut registry, 0, 4, 1, KEY),
            RefusalCode::Full
        ));
        assert_eq!(
            register(&mut registry, 5, 3, 2, KEY),
            Response::Registered { ttl_ms: 10_000 }
        );
        registry.forget(&signer(1).id());
        assert_eq!(registry.len(), 2);
        assert!(matches!(
            register(&mut registry, 6, 4, 1, KEY),
            Response::Registered { .. }
        ));
    }

    #[test]
    fn bounds_are_checked_both_ways() {
        assert_eq!(RegistryLimits::default().validate(), Ok(()));
        type Change = fn(&mut RegistryLimits);
        let beyond: [(&str, Change, Change); 5] = [
            (
                "per_node_max",
                |l| l.per_node_max = 1,
                |l| l.per_node_max = usize::MAX,
            ),
            (
                "per_key_max",
                |l| l.per_key_max = 0,
                |l| l.per_key_max = usize::MAX,
            ),
            ("total_max", |l| l.total_max = 0, |l| l.total_max = usize::MAX),
            ("ttl_ms_max", |l| l.ttl_ms_max = 0, |l| l.ttl_ms_max = u32::MAX),
            ("sample_max", |l| l.sample_max = 0, |l| l.sample_max = 65),
        ];
        for (name, below, above) in beyond {
            for change in [below, above] {
                let mut limits = RegistryLimits::default();
                change(&mut limits);
                assert_eq!(limits.validate(), Err(RegistryLimitsError(name)));
            }
        }
    }

    #[test]
    fn nonsense_gets_a_typed_refusal() {
        let mut registry = Registry::new(RegistryLimits::default(), 1);
        let mut answer =
            |frame: &[u8]| decode_frame(&registry.handle_frame(Timestamp(0), signer(1).id(), frame)).unwrap();
        assert!(refused_with(&answer(&[]), RefusalCode::Malformed));
        assert!(refused_with(&answer(&[2, 0]), RefusalCode::UnknownVersion));
        assert!(refused_with(
            &answer(&[1, 0x82, 0x18, 200, 0x80]),
            RefusalCode::UnknownMessage
        ));
        assert!(refused_with(
            &answer(&[1, 0x9b, 255, 255, 255, 255]),
            RefusalCode::Malformed
        ));
    }
}
