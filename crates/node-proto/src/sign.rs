//! Signatures: one key per node, one domain per kind of object.
//!
//! What is signed is `"knowledge/1/<object>\0" ‖ canonical bytes`. The domain keeps a signature on one kind of object from
//! being passed off as one on another; the bytes are signed as they travel, so nothing is re-encoded to be checked.

use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};

use crate::ids::NodeId;

/// Holds the node's key. The core never sees the key itself.
pub trait Signer: Send {
    /// The public key.
    fn id(&self) -> NodeId;
    /// An Ed25519 signature (RFC 8032).
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// A key in memory; wiped when dropped.
pub struct Ed25519Signer(SigningKey);

impl Ed25519Signer {
    /// From the 32 secret bytes of RFC 8032.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }
}

impl Signer for Ed25519Signer {
    fn id(&self) -> NodeId {
        NodeId(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// The kinds of signed or hashed objects. Their names are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// An entry at a discovery point.
    Registration,
    /// A quote.
    Proposal,
    /// What both sides promise.
    Agreement,
    /// A computed result.
    Result,
    /// A buyer's refusal of a result.
    Verdict,
    /// One half of a receipt.
    Block,
    /// How far work had come when it was given up.
    Partial,
}

impl Domain {
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Registration => b"knowledge/1/registration\0",
            Self::Proposal => b"knowledge/1/proposal\0",
            Self::Agreement => b"knowledge/1/agreement\0",
            Self::Result => b"knowledge/1/result\0",
            Self::Verdict => b"knowledge/1/verdict\0",
            Self::Block => b"knowledge/1/block\0",
            Self::Partial => b"knowledge/1/partial\0",
        }
    }

    fn message(self, body: &[u8]) -> Vec<u8> {
        [self.prefix(), body].concat()
    }

    /// The object's name: BLAKE3 over the same bytes that are signed.
    pub fn hash(self, body: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.prefix()).update(body);
        *hasher.finalize().as_bytes()
    }

    /// Signs an object.
    pub fn sign(self, signer: &dyn Signer, body: &[u8]) -> [u8; 64] {
        signer.sign(&self.message(body))
    }

    /// Whether `id` signed the object. Strict: no small-order keys and no malleable signatures.
    ///
    /// The same signatures hold as for `VerifyingKey::verify_strict`, which computes the point R to learn whether its order
    /// is small. Here its encoding tells: a signature holds only when R is, byte for byte, the canonical encoding of the
    /// point that it should be, and of small order there are eight points, see [`SMALL_ORDER_Y`].
    pub fn verify(self, id: &NodeId, body: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(id.as_bytes()).is_ok_and(|key| {
            !key.is_weak()
                && !is_of_small_order(signature)
                && key
                    .verify(&self.message(body), &Signature::from_bytes(signature))
                    .is_ok()
        })
    }
}

/// The y coordinates of the eight points whose order divides eight, little-endian: one of order 1 (y = 1), one of order 2
/// (y = −1), two of order 4 (y = 0) and four of order 8. Points with the same y differ in the sign of x, the highest bit.
const SMALL_ORDER_Y: [[u8; 32]; 5] = {
    let (mut one, mut minus_one) = ([0; 32], [0xff; 32]);
    one[0] = 1;
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    [
        one,
        minus_one,
        [0; 32],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
    ]
};

/// Whether R, the first half of a signature, is the canonical encoding of a point of small order.
fn is_of_small_order(signature: &[u8; 64]) -> bool {
    let mut y: [u8; 32] = std::array::from_fn(|place| signature[place]);
    y[31] &= 0x7f;
    SMALL_ORDER_Y.contains(&y)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_signature_holds_in_its_domain_alone() {
        let signer = Ed25519Signer::from_secret(&[1; 32]);
        let signature = Domain::Block.sign(&signer, b"body");
        assert!(Domain::Block.verify(&signer.id(), b"body", &signature));
        assert!(!Domain::Agreement.verify(&signer.id(), b"body", &signature));
        assert!(!Domain::Block.verify(&signer.id(), b"bodY", &signature));
        assert!(!Domain::Block.verify(&NodeId([0; 32]), b"body", &signature));
        assert_ne!(Domain::Block.hash(b"body"), Domain::Agreement.hash(b"body"));
    }

    #[test]
    fn the_points_of_small_order_are_known_by_their_encodings() {
        let signs = |y: &[u8; 32]| [0, 0x80].map(|sign| [&y[..31], &[y[31] | sign]].concat());
        let points = SMALL_ORDER_Y.iter().flat_map(signs);
        let points: std::collections::BTreeSet<[u8; 32]> = points
            .map(|point| VerifyingKey::from_bytes(&point.try_into().unwrap()).unwrap())
            .inspect(|point| assert!(point.is_weak()))
            // x = 0 has no sign: these two encodings are not canonical and are the same point as without.
            .map(|point| point.to_edwards().compress().to_bytes())
            .collect();
        assert_eq!(
            points.len(),
            8,
            "all of them, since the order of the curve has the factor 8"
        );
        for point in points {
            let signature = std::array::from_fn(|place| point.get(place).copied().unwrap_or_default());
            assert!(is_of_small_order(&signature));
            assert!(!Domain::Block.verify(&NodeId(point), b"body", &signature));
        }
    }

    #[test]
    fn the_same_signatures_hold_as_for_the_library() {
        let signer = Ed25519Signer::from_secret(&[1; 32]);
        let genuine = Domain::Block.sign(&signer, b"body");
        let key = VerifyingKey::from_bytes(signer.id().as_bytes()).unwrap();
        let message = Domain::Block.message(b"body");
        for bit in 0..512 {
            let mut altered = genuine;
            altered[bit / 8] ^= 1 << (bit % 8);
            let strict = key
                .verify_strict(&message, &Signature::from_bytes(&altered))
                .is_ok();
            assert_eq!(Domain::Block.verify(&signer.id(), b"body", &altered), strict);
        }
    }
}
