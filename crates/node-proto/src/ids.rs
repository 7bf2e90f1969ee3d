//! Names and units that every module shares.
//!
//! A [`NodeId`] *is* the node's Ed25519 public key, so that a signature needs no look-up to be checked. People and libp2p
//! see it as a peer id ("12D3KooW…"): base58 of the identity multihash of the key's protobuf, per libp2p's specs
//! `peer-ids/peer-ids.md`. Everything else that is named by a hash is 32 bytes, shown as hex.
//!
//! Money is [`Millicredits`], an integer; no float ever touches a balance. Time is a [`Timestamp`] that the shell hands
//! in: monotone milliseconds, counted from the Unix epoch so that people can read them. It never crosses the wire to
//! decide anything; there only durations do.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Identity multihash (code 0, length 36) of the protobuf `{1: Ed25519 = 1, 2: 32 bytes}`.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
/// Longer text is refused before it is decoded; an Ed25519 peer id has 52 characters.
const PEER_ID_TEXT_MAX: usize = 64;

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// Not base58 of a peer id.
    #[error("not a peer id")]
    NotAPeerId,
    /// A peer id of another kind of key.
    #[error("a peer id, but not one of an Ed25519 key")]
    NotEd25519,
    /// Not 64 hexadecimal digits.
    #[error("not 64 hexadecimal digits")]
    NotHex,
}

/// A node: its Ed25519 public key, shown as a libp2p peer id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(pub [u8; 32]);

impl NodeId {
    /// The first bytes in their order.
    fn head(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// In the order of the bytes. Keys differ in the first few of them, so that one comparison of numbers nearly always decides;
/// maps of thousands of peers are searched many times for each message.
impl Ord for NodeId {
    fn cmp(&self, other: &Self) -> Ordering {
        let heads = self.head().cmp(&other.head());
        heads.then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for NodeId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl NodeId {
    /// The public key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The bytes of the libp2p peer id (a multihash), as `PeerId::to_bytes` gives them.
    pub fn to_peer_id_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(38);
        bytes.extend_from_slice(&PEER_ID_PREFIX);
        bytes.extend_from_slice(&self.0);
        bytes
    }

    /// Reads the bytes of a libp2p peer id.
    pub fn from_peer_id_bytes(bytes: &[u8]) -> Result<Self, ParseIdError> {
        let key = bytes
            .strip_prefix(&PEER_ID_PREFIX)
            .ok_or(ParseIdError::NotEd25519)?;
        Ok(Self(key.try_into().map_err(|_| ParseIdError::NotEd25519)?))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.to_peer_id_bytes()).into_string())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if text.len() > PEER_ID_TEXT_MAX {
            return Err(ParseIdError::NotAPeerId);
        }
        let bytes = bs58::decode(text)
            .into_vec()
            .map_err(|_| ParseIdError::NotAPeerId)?;
        Self::from_peer_id_bytes(&bytes)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

fn parse_hex(text: &str) -> Result<[u8; 32], ParseIdError> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(ParseIdError::NotHex);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(ParseIdError::NotHex);
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Ok(bytes)
}

macro_rules! cbor_bytes {
    ($name:ident) => {
        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                let bytes = d.bytes()?.try_into();
                bytes
                    .map(Self)
                    .map_err(|_| minicbor::decode::Error::message("not 32 bytes"))
            }
        }
    };
}

cbor_bytes!(NodeId);

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident) => {
        cbor_bytes!($name);

        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

hash_id! {
    /// A BLAKE3 hash, plain or keyed, of whatever the place of use says.
    Hash
}
hash_id! {
    /// A group, as relays see it: derived from its secret, tells nothing of it.
    GroupId
}
hash_id! {
    /// A model: BLAKE3 of its ONNX file.
    ModelId
}
hash_id! {
    /// An agreement: BLAKE3 of the bytes that both sides sign.
    AgreementId
}
hash_id! {
    /// A receipt: BLAKE3 of the payer's half-block, which the receiver's half names.
    ReceiptId
}

macro_rules! counter_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter_id! {
    /// A buyer's request, numbered by whoever gives the command.
    JobId
}
counter_id! {
    /// One request frame and its answer; numbered by the core for those it starts, by the shell for those that come in.
    ExchangeId
}
counter_id! {
    /// One piece of work for this device's engine.
    WorkId
}

/// Monotone milliseconds since the Unix epoch, given by the shell; it never runs backwards within one run of a node.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Timestamp(#[n(0)] pub u64);

impl Timestamp {
    /// This much later.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here; 0 when `earlier` is later.
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Thousandths of a credit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Millicredits(#[n(0)] pub i64);

impl Millicredits {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The sum, unless it overflows.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, unless it overflows.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// The opposite, unless it overflows.
    pub const fn checked_neg(self) -> Option<Self> {
        match self.0.checked_neg() {
            Some(opposite) => Some(Self(opposite)),
            None => None,
        }
    }
}

impl fmt::Display for Millicredits {
    /// In credits, with all three decimals: `-0.412`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let amount = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:03}", amount / 1000, amount % 1000)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_node_id_is_a_libp2p_peer_id() {
        let id = NodeId([7; 32]);
        let text = id.to_string();
        assert!(text.starts_with("12D3KooW") && text.len() == 52, "{text}");
        assert_eq!(text.parse(), Ok(id));
        assert_eq!("12D3".parse::<NodeId>(), Err(ParseIdError::NotEd25519));
        assert_eq!("0OIl".parse::<NodeId>(), Err(ParseIdError::NotAPeerId));
        assert_eq!(
            "1".repeat(10_000).parse::<NodeId>(),
            Err(ParseIdError::NotAPeerId)
        );
        assert_eq!(
            serde_json::from_str::<NodeId>(&format!("\"{text}\"")).unwrap(),
            id
        );
    }

    #[test]
    fn hashes_are_hex() {
        let id = ModelId([0xab; 32]);
        assert_eq!(id.to_string(), "ab".repeat(32));
        assert_eq!("ab".repeat(32).parse(), Ok(id));
        assert_eq!("ab".repeat(31).parse::<ModelId>(), Err(ParseIdError::NotHex));
        assert_eq!("zz".repeat(32).parse::<ModelId>(), Err(ParseIdError::NotHex));
    }

    #[test]
    fn money_is_exact() {
        assert_eq!(Millicredits(-412).to_string(), "-0.412");
        assert_eq!(Millicredits(12_005).to_string(), "12.005");
        assert_eq!(Millicredits(i64::MIN).checked_neg(), None);
        assert_eq!(Millicredits(i64::MAX).checked_add(Millicredits(1)), None);
    }
}
