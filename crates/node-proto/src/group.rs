//! Groups: who finds whom, and who may trade with whom.
//!
//! A group is 32 secret bytes. Whoever has them is in. Two keys are derived from them with BLAKE3's `derive_key`, so that
//! neither leads back to the secret nor to the other:
//!
//! - the **rendezvous key** names the group at discovery points. A relay sees keyed hashes of it, one per service and
//!   model, and learns who registered under the same ones, nothing else;
//! - the **member key** proves membership. Every trade message carries a tag, a keyed hash over purpose, sender and
//!   receiver. It travels inside the encrypted connection, and is of no use to anyone but its sender.
//!
//! The **open group** is the group whose secret everyone knows: "everyone here" at a relay. Its members are strangers to
//! each other, so the bounds on credit apply between them.
//!
//! An invite is the secret as text: base58 of `version ‖ secret ‖ first four bytes of its checksum`.

use std::fmt;
use std::str::FromStr;

use crate::ids::{GroupId, ModelId, NodeId};
use crate::service::Service;

const INVITE_VERSION: u8 = 1;
const INVITE_BYTES: usize = 1 + 32 + 4;
/// Longer text is refused before it is decoded; an invite has at most 51 characters.
const INVITE_TEXT_MAX: usize = 64;

/// Why a text is not an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Characters or length do not fit.
    #[error("this is not an invite")]
    NotAnInvite,
    /// Made by a newer version of this software.
    #[error("this invite is of version {0}, which is not known here")]
    UnknownVersion(u8),
    /// A character is wrong or missing.
    #[error("this invite was copied incompletely or with a mistake")]
    Checksum,
}

/// The bytes that make a member. Shown by `Debug` as dots; the invite text is asked for by name.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupSecret([u8; 32]);

impl GroupSecret {
    /// From 32 random bytes, which the shell provides.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For the shell to keep.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The text that goes into a link's fragment.
    pub fn to_invite(&self) -> String {
        let mut bytes = Vec::with_capacity(INVITE_BYTES);
        bytes.push(INVITE_VERSION);
        bytes.extend_from_slice(&self.0);
        bytes.extend_from_slice(&self.checksum());
        bs58::encode(bytes).into_string()
    }

    fn checksum(&self) -> [u8; 4] {
        let key = blake3::derive_key("knowledge/1 invite checksum", &self.0);
        [key[0], key[1], key[2], key[3]]
    }
}

impl fmt::Debug for GroupSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupSecret(…)")
    }
}

impl FromStr for GroupSecret {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let text = text.trim();
        if text.len() > INVITE_TEXT_MAX {
            return Err(InviteError::NotAnInvite);
        }
        let bytes = bs58::decode(text)
            .into_vec()
            .map_err(|_| InviteError::NotAnInvite)?;
        let (&version, rest) = bytes.split_first().ok_or(InviteError::NotAnInvite)?;
        let (secret, checksum) = rest.split_at_checked(32).ok_or(InviteError::NotAnInvite)?;
        if checksum.len() != 4 {
            return Err(InviteError::NotAnInvite);
        }
        if version != INVITE_VERSION {
            return Err(InviteError::UnknownVersion(version));
        }
        let secret = Self(secret.try_into().map_err(|_| InviteError::NotAnInvite)?);
        if secret.checksum() == checksum {
            Ok(secret)
        } else {
            Err(InviteError::Checksum)
        }
    }
}

/// What a membership tag is for; one purpose's tag proves nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// In a record at a discovery point, from its owner to whoever reads it.
    Registration = 0,
    /// In a message of a trade.
    Trade = 1,
}

/// What discovery points file a record under.
pub type RendezvousKey = [u8; 32];

/// A group, ready to be used.
#[derive(Clone)]
pub struct Group {
    id: GroupId,
    open: bool,
    rendezvous_key: [u8; 32],
    member_key: [u8; 32],
}

impl Group {
    /// A group of one's own.
    pub fn private(secret: &GroupSecret) -> Self {
        Self::derive(secret.as_bytes(), false)
    }

    /// "Everyone here": the group that everyone is in who opens a relay's plain address.
    pub fn open() -> Self {
        Self::derive(b"knowledge/1: everyone here, open", true)
    }

    fn derive(secret: &[u8; 32], open: bool) -> Self {
        Self {
            id: GroupId(blake3::derive_key("knowledge/1 group id", secret)),
            open,
            rendezvous_key: blake3::derive_key("knowledge/1 group rendezvous", secret),
            member_key: blake3::derive_key("knowledge/1 group member", secret),
        }
    }

    /// Its public name.
    pub const fn id(&self) -> GroupId {
        self.id
    }

    /// Whether its members are strangers to each other.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Where members say that they are there.
    pub fn presence_key(&self) -> RendezvousKey {
        *blake3::keyed_hash(&self.rendezvous_key, b"presence").as_bytes()
    }

    /// Where offers of a service are filed; with `None` for those of every model.
    pub fn service_key(&self, service: Service, model: Option<&ModelId>) -> RendezvousKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.rendezvous_key);
        hasher.update(b"service").update(&[service as u8]);
        if let Some(model) = model {
            hasher.update(model.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// Proves to `to` that `from` is a member.
    pub fn tag(&self, purpose: Purpose, from: &NodeId, to: &NodeId) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.member_key);
        hasher
            .update(&[purpose as u8])
            .update(from.as_bytes())
            .update(to.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// Whether the tag is right, in constant time.
    pub(crate) fn check_tag(&self, purpose: Purpose, from: &NodeId, to: &NodeId, tag: &[u8; 32]) -> bool {
        blake3::Hash::from(self.tag(purpose, from, to)) == blake3::Hash::from(*tag)
    }

    /// Stands for the group in a receipt. Members recognise it; to others it is noise that differs in every receipt.
    pub fn receipt_mark(&self, agreement: &[u8; 32]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.member_key);
        hasher.update(b"receipt").update(agreement);
        *hasher.finalize().as_bytes()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("id", &self.id)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn an_invite_survives_the_clipboard_or_says_why_not() {
        let secret = GroupSecret::from_bytes([9; 32]);
        let text = secret.to_invite();
        assert_eq!(format!(" {text}\n").parse(), Ok(secret));
        assert_eq!("".parse::<GroupSecret>(), Err(InviteError::NotAnInvite));
        assert_eq!(
            "not an invite".parse::<GroupSecret>(),
            Err(InviteError::NotAnInvite)
        );
        assert_eq!(
            "1".repeat(5_000).parse::<GroupSecret>(),
            Err(InviteError::NotAnInvite)
        );
        let mut bytes = bs58::decode(&text).into_vec().unwrap();
        bytes[5] ^= 1;
        assert_eq!(
            bs58::encode(&bytes).into_string().parse::<GroupSecret>(),
            Err(InviteError::Checksum)
        );
        bytes[0] = 2;
        let newer = bs58::encode(&bytes).into_string();
        assert_eq!(newer.parse::<GroupSecret>(), Err(InviteError::UnknownVersion(2)));
    }

    #[test]
    fn a_tag_is_good_for_one_group_purpose_and_direction() {
        let group = Group::private(&GroupSecret::from_bytes([1; 32]));
        let other = Group::private(&GroupSecret::from_bytes([2; 32]));
        let (a, b) = (NodeId([3; 32]), NodeId([4; 32]));
        let tag = group.tag(Purpose::Trade, &a, &b);
        assert!(group.check_tag(Purpose::Trade, &a, &b, &tag));
        assert!(!group.check_tag(Purpose::Trade, &b, &a, &tag));
        assert!(!group.check_tag(Purpose::Registration, &a, &b, &tag));
        assert!(!other.check_tag(Purpose::Trade, &a, &b, &tag));
        assert!(!Group::open().check_tag(Purpose::Trade, &a, &b, &tag));
    }

    #[test]
    fn keys_differ_by_what_they_are_for() {
        let group = Group::open();
        let model = ModelId([5; 32]);
        let keys = [
            group.presence_key(),
            group.service_key(Service::Inference, None),
            group.service_key(Service::Inference, Some(&model)),
            group.service_key(Service::Storage, None),
            group.id().0,
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
