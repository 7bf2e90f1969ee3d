//! What is held of other people's chains, so that two blocks on one place are noticed whoever received them.
//!
//! A cheat that signs one block for Ann and another one for Ben on the same place is caught when both blocks meet. Halves
//! that a node receives are passed on to a few others (see `node::gossip`), each of which keeps the newest that it saw:
//!
//! ```text
//! block of X on place p ──▶ nothing held for (X, p)   keep it, pass it on while it has hops left
//!                           the same block held       nothing new
//!                           another block held        check both signatures: a FraudProof, or a forgery
//! ```
//!
//! Signatures are checked only when two blocks disagree. That is enough: an unsigned block can displace nothing, convict
//! nobody and is dropped at the first disagreement. It makes passing on cheap, which is what lets every receipt be passed
//! on (ConTrib checks each record on arrival: M. de Vos, J. Pouwelse, *ConTrib: Maintaining Fairness in Decentralized Big
//! Tech Alternatives by Accounting Work*, Computer Networks 192, 2021).
//!
//! Bounds: `blocks_max` blocks, the oldest go first; at most [`PER_AUTHOR_MAX`] of one author.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{Hash, NodeId};
use crate::ledger::{Block, FraudProof, Place};
use crate::wire::{OBJECT_BYTES_MAX, OBJECT_VERSION, Signed};

/// Blocks of one author that are kept: a cheat that floods pushes out its own.
const PER_AUTHOR_MAX: usize = 64;

/// What came of a block that somebody showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Not seen before.
    New,
    /// Held already.
    Known,
    /// Not a block, or not signed by its author.
    Worthless,
    /// It contradicts another one.
    Fraud(Box<FraudProof>),
}

struct Seen {
    signed: Signed,
    checked: bool,
}

/// Author and place as the body of a block names them. Nothing else is looked at: everything that follows from a block
/// opens it and checks its signature first.
pub(crate) fn head_of(body: &[u8]) -> Option<(NodeId, Place)> {
    if body.len() > OBJECT_BYTES_MAX {
        return None;
    }
    let mut decoder = minicbor::Decoder::new(body);
    decoder.array().ok()?;
    let version = decoder.u8().ok()?;
    let author = decoder.decode().ok()?;
    let place = (decoder.u32().ok()?, decoder.u64().ok()?);
    (version == OBJECT_VERSION && place.0 >= 1 && place.1 >= 1).then_some((author, place))
}

/// Other people's blocks.
pub(crate) struct Witness {
    blocks_max: usize,
    seen: BTreeMap<(NodeId, Place), Seen>,
    /// In the order in which they came.
    order: VecDeque<(NodeId, Place)>,
}

impl Witness {
    pub(crate) fn new(blocks_max: usize) -> Self {
        Self {
            blocks_max,
            seen: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Takes a block that this node or somebody else received; `checked` when its signature is known to hold.
    pub(crate) fn show(&mut self, signed: &Signed, checked: bool) -> Shown {
        let Some((author, place)) = head_of(&signed.body) else {
            return Shown::Worthless;
        };
        let genuine = |signed: &Signed| signed.open::<Block>(&author).is_ok_and(|block| block.is_sound());
        match self.seen.get_mut(&(author, place)) {
            None => {}
            Some(held) if held.signed.body == signed.body => {
                // The same body may have come before with a signature that was not one.
                let better = held.signed != *signed && !held.checked && (checked || genuine(signed));
                if better {
                    (held.signed, held.checked) = (signed.clone(), true);
                }
                return Shown::Known;
            }
            Some(_) if !(checked || genuine(signed)) => return Shown::Worthless,
            Some(held) if held.checked || genuine(&held.signed) => {
                let (first, second) = (held.signed.clone(), signed.clone());
                return Shown::Fraud(Box::new(FraudProof {
                    author,
                    first,
                    second,
                }));
            }
            Some(held) => {
                *held = Seen {
                    signed: signed.clone(),
                    checked: true,
                };
                return Shown::New;
            }
        }
        self.make_room(&author);
        self.order.push_back((author, place));
        let seen = Seen {
            signed: signed.clone(),
            checked,
        };
        self.seen.insert((author, place), seen);
        Shown::New
    }

    /// Whether an author's claim on which block is on a place agrees with what is held; `None` when nothing is.
    pub(crate) fn agrees(&self, author: &NodeId, place: Place, hash: &Hash) -> Option<bool> {
        let held = self.seen.get(&(*author, place));
        held.map(|seen| seen.signed.hash::<Block>() == *hash)
    }

    /// The newest blocks, newest first.
    pub(crate) fn newest(&self, count: usize) -> impl Iterator<Item = &Signed> {
        let newest = self.order.iter().rev().take(count);
        newest
            .filter_map(|key| self.seen.get(key))
            .map(|seen| &seen.signed)
    }

    fn make_room(&mut self, author: &NodeId) {
        let theirs = self
            .seen
            .range((*author, (0, 0))..=(*author, (u32::MAX, u64::MAX)))
            .count();
        let goes = if theirs >= PER_AUTHOR_MAX {
            self.order.iter().position(|(other, _)| other == author)
        } else {
            (self.order.len() >= self.blocks_max).then_some(0)
        };
        if let Some(key) = goes.and_then(|place| self.order.remove(place)) {
            self.seen.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::ids::{AgreementId, Millicredits};
    use crate::ledger::Check;
    use crate::price::Factors;
    use crate::service::Scope;
    use crate::sign::{Ed25519Signer, Signer as _};
    use crate::view::Verification;
    use crate::wire::OBJECT_VERSION;

    fn half(author: u8, sequence: u64, agreement: u8) -> Signed {
        let signer = Ed25519Signer::from_secret(&[author; 32]);
        let block = Block {
            version: OBJECT_VERSION,
            author: signer.id(),
            epoch: 1,
            sequence,
            previous: Hash([0; 32]),
            counterparty: NodeId([9; 32]),
            agreement: AgreementId([agreement; 32]),
            delta: Millicredits(-1),
            service: 0,
            model: None,
            units: 1,
            factors: Factors {
                base_cost: 1,
                quality_multiplier: 1,
                market_demand: 1,
                reputation_factor: 1,
            },
            scope: Scope::Anyone,
            mark: Hash([0; 32]),
            check: Check::from(&Verification::Unchecked),
            link: None,
            at_ms: 0,
        };
        Signed::seal(&signer, &block)
    }

    fn forged(mut signed: Signed) -> Signed {
        signed.signature[0] ^= 1;
        signed
    }

    #[test]
    fn two_blocks_on_one_place_are_fraud_whoever_showed_them() {
        let mut witness = Witness::new(10);
        assert_eq!(witness.show(&half(1, 1, 1), false), Shown::New);
        assert_eq!(witness.show(&half(1, 1, 1), false), Shown::Known);
        assert_eq!(witness.show(&half(1, 2, 2), false), Shown::New);
        let Shown::Fraud(proof) = witness.show(&half(1, 1, 3), false) else {
            panic!("not noticed")
        };
        assert_eq!(proof.verify(), Ok(()));
    }

    #[test]
    fn a_forgery_accuses_nobody_and_displaces_nothing() {
        let mut witness = Witness::new(10);
        let (good, bad) = (half(1, 1, 1), forged(half(1, 1, 2)));
        assert_eq!(witness.show(&good, true), Shown::New);
        assert_eq!(witness.show(&bad, false), Shown::Worthless);
        // The other way round: the forgery came first and makes room for the real one.
        let mut witness = Witness::new(10);
        assert_eq!(witness.show(&bad, false), Shown::New);
        assert_eq!(witness.show(&good, false), Shown::New);
        assert_eq!(
            witness.show(&half(1, 1, 3), false),
            Shown::Fraud(Box::new(FraudProof {
                author: Ed25519Signer::from_secret(&[1; 32]).id(),
                first: good.clone(),
                second: half(1, 1, 3),
            }))
        );
        // The real body under a false signature does not hide the real one either.
        let mut witness = Witness::new(10);
        assert_eq!(witness.show(&forged(good.clone()), false), Shown::New);
        assert_eq!(witness.show(&good, false), Shown::Known);
        assert!(matches!(witness.show(&half(1, 1, 3), false), Shown::Fraud(_)));
        let nonsense = Signed {
            body: vec![1],
            signature: [0; 64],
        };
        assert_eq!(witness.show(&nonsense, false), Shown::Worthless);
    }

    #[test]
    fn the_oldest_make_room_and_a_flood_pushes_out_its_own() {
        let mut witness = Witness::new(70);
        witness.show(&half(1, 1, 1), true);
        for sequence in 1..=100 {
            witness.show(&half(2, sequence, 1), true);
        }
        assert_eq!(witness.order.len(), 1 + PER_AUTHOR_MAX);
        let one = half(1, 1, 1).hash::<Block>();
        let first = Ed25519Signer::from_secret(&[1; 32]).id();
        assert_eq!(witness.agrees(&first, (1, 1), &one), Some(true));
        assert_eq!(witness.agrees(&first, (1, 1), &Hash([7; 32])), Some(false));
        for author in 3..=20 {
            witness.show(&half(author, 1, 1), true);
        }
        assert_eq!((witness.order.len(), witness.seen.len()), (70, 70));
        assert_eq!(witness.agrees(&first, (1, 1), &one), None);
        assert_eq!(witness.newest(2).count(), 2);
    }
}
