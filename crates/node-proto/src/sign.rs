//! Signatures: one key per node, one domain per kind of object.
//!
//! What is signed is `"knowledge/1/<object>\0" ‖ canonical bytes`. The domain keeps a signature on one kind of object from
//! being passed off as one on another; the bytes are signed as they travel, so nothing is re-encoded to be checked.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

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
    pub fn verify(self, id: &NodeId, body: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(id.as_bytes()).is_ok_and(|key| {
            key.verify_strict(&self.message(body), &Signature::from_bytes(signature))
                .is_ok()
        })
    }
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
}
