//! What crosses the wire: frames, messages and signed objects.
//!
//! A **frame** is one byte of protocol version and one CBOR message (RFC 8949). One request frame gets one response frame.
//! Structures are arrays, fields are places in them. Everything this crate writes is deterministic: definite lengths and
//! shortest integers, and optional fields at the end are left out when they are empty.
//!
//! **Messages** may grow: a reader ignores places it does not know at the end of an array, so a newer sender may append
//! optional ones. A message kind that is not known gets a typed refusal.
//!
//! **Signed objects** ([`Signed`]) travel as the bytes that were signed. They begin with their own version, are checked as
//! they are, and are then decoded *strictly*: what does not re-encode to the same bytes is refused, so one meaning has one
//! encoding, one hash and one signature. A signed object grows by a new version only.
//!
//! Nothing is reserved on the word of a sender: byte strings are bounded by the frame, arrays and texts by their own limits, and the
//! frame by whoever carried it.

mod message;
mod objects;

use minicbor::{Decode, Decoder, Encode};

use crate::ids::NodeId;
use crate::sign::{Domain, Signer};

pub(crate) use message::{BLOCKS_MAX, ITEMS_MAX, PROOFS_MAX, RECEIPTS_MAX, RUMOURS_MAX, SAMPLE_MAX};
pub use message::{
    Blocks, FetchBlocks, Gossip, Head, Receipt, Refusal, RefusalCode, Request, Response, Rumour,
    SampledRecord,
};
pub(crate) use objects::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, NAME_BYTES_MAX};
pub use objects::{
    Agreement, ComparisonRule, Demand, Offer, Origin, Partial, Presence, Proposal, Registration, ResultHead,
    Verdict,
};

/// The first byte of every frame.
pub const FRAME_VERSION: u8 = 1;
/// The version with which signed objects of this crate begin.
pub const OBJECT_VERSION: u8 = 1;
/// More than most frames and bodies take, bytes.
const FRAME_BYTES_USUAL: usize = 512;
/// Largest frame that is written or read, bytes; the transport has the same limit.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest signed object, bytes.
pub const OBJECT_BYTES_MAX: usize = 4 * 1024;

/// Why bytes were not understood. None is fatal to the node; each costs its sender the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More bytes than allowed.
    #[error("{bytes} bytes are more than the {bytes_max} allowed")]
    TooLong {
        /// How many came.
        bytes: usize,
        /// How many may.
        bytes_max: usize,
    },
    /// A frame or object of a version that is not known here.
    #[error("version {0} is not known here")]
    UnknownVersion(u8),
    /// A message of a kind that is not known here.
    #[error("a message of an unknown kind")]
    UnknownMessage,
    /// Not CBOR, cut short, or not of the expected shape.
    #[error("malformed: {0}")]
    Malformed(String),
    /// A signed object that is not in its one encoding.
    #[error("not in canonical encoding")]
    NotCanonical,
    /// The signature is not the named author's.
    #[error("the signature does not fit")]
    BadSignature,
}

/// Encodes what cannot fail: a `Vec` takes every byte, and no `Encode` of this crate reports errors of its own.
pub(crate) fn to_cbor<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_cbor(value, &mut bytes);
    bytes
}

fn append_cbor<T: Encode<()>>(value: &T, bytes: &mut Vec<u8>) {
    let encoded = minicbor::encode(value, bytes);
    debug_assert!(encoded.is_ok(), "a Vec takes every byte");
}

/// Decodes one value that fills the bytes.
pub(crate) fn from_cbor<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, WireError> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder
        .decode()
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    if decoder.position() == bytes.len() {
        Ok(value)
    } else {
        Err(WireError::Malformed("bytes after the end".to_owned()))
    }
}

/// Decodes strictly: only the bytes that this crate itself would write.
pub(crate) fn from_canonical<T>(bytes: &[u8]) -> Result<T, WireError>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    let value: T = from_cbor(bytes)?;
    let mut canonical = Vec::with_capacity(bytes.len());
    append_cbor(&value, &mut canonical);
    if canonical == bytes {
        Ok(value)
    } else {
        Err(WireError::NotCanonical)
    }
}

/// Writes a frame.
pub fn encode_frame<T: Encode<()>>(message: &T) -> Vec<u8> {
    // Most frames fit, so that they are not copied while they grow.
    let mut frame = Vec::with_capacity(FRAME_BYTES_USUAL);
    frame.push(FRAME_VERSION);
    append_cbor(message, &mut frame);
    frame
}

/// Reads a frame.
pub fn decode_frame<'b, T: Decode<'b, ()>>(frame: &'b [u8]) -> Result<T, WireError> {
    if frame.len() > FRAME_BYTES_MAX {
        return Err(WireError::TooLong {
            bytes: frame.len(),
            bytes_max: FRAME_BYTES_MAX,
        });
    }
    let (&version, body) = frame
        .split_first()
        .ok_or_else(|| WireError::Malformed("an empty frame".to_owned()))?;
    if version != FRAME_VERSION {
        return Err(WireError::UnknownVersion(version));
    }
    let mut decoder = Decoder::new(body);
    let message = decoder
        .decode()
        .map_err(|error| match error.is_unknown_variant() {
            true => WireError::UnknownMessage,
            false => WireError::Malformed(error.to_string()),
        })?;
    if decoder.position() == body.len() {
        Ok(message)
    } else {
        Err(WireError::Malformed("bytes after the end".to_owned()))
    }
}

/// A kind of object that is signed. Its first field is [`OBJECT_VERSION`].
pub trait Object: Encode<()> + for<'b> Decode<'b, ()> {
    /// Which signatures count.
    const DOMAIN: Domain;
}

/// An object as the bytes that were signed, and the signature. Whose it is, the place of use knows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signed {
    /// Canonical CBOR of the object.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// Ed25519 over the object's domain and the body.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

impl Signed {
    /// Encodes and signs.
    pub fn seal<T: Object>(signer: &dyn Signer, object: &T) -> Self {
        let mut body = Vec::with_capacity(FRAME_BYTES_USUAL);
        append_cbor(object, &mut body);
        // Many are kept for long.
        body.shrink_to_fit();
        let signature = T::DOMAIN.sign(signer, &body);
        Self { body, signature }
    }

    /// Checks size, version, encoding and signature, the cheap ones first.
    pub fn open<T: Object>(&self, author: &NodeId) -> Result<T, WireError> {
        let object = open_body(&self.body)?;
        if self.is_by::<T>(author) {
            Ok(object)
        } else {
            Err(WireError::BadSignature)
        }
    }

    /// Whether it was signed by `author`, as an object of this kind.
    pub(crate) fn is_by<T: Object>(&self, author: &NodeId) -> bool {
        T::DOMAIN.verify(author, &self.body, &self.signature)
    }

    /// The object's name.
    pub fn hash<T: Object>(&self) -> crate::ids::Hash {
        crate::ids::Hash(T::DOMAIN.hash(&self.body))
    }
}

/// Reads the body of a signed object without its signature.
pub(crate) fn open_body<T: Object>(body: &[u8]) -> Result<T, WireError> {
    if body.len() > OBJECT_BYTES_MAX {
        return Err(WireError::TooLong {
            bytes: body.len(),
            bytes_max: OBJECT_BYTES_MAX,
        });
    }
    let mut decoder = Decoder::new(body);
    let malformed = |error: minicbor::decode::Error| WireError::Malformed(error.to_string());
    decoder.array().map_err(malformed)?;
    match decoder.u8().map_err(malformed)? {
        OBJECT_VERSION => from_canonical(body),
        other => Err(WireError::UnknownVersion(other)),
    }
}

/// Decoders that stop at a limit instead of believing an announced length.
pub(crate) mod bounded {
    use minicbor::decode::Error;
    use minicbor::encode::{self, Write};
    use minicbor::{Decode, Decoder, Encoder};

    /// An array of at most `MAX` items.
    pub(crate) fn vec<'b, const MAX: usize, C, T: Decode<'b, C>>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Vec<T>, Error> {
        let announced = d
            .array()?
            .ok_or(Error::message("an array of indefinite length"))?;
        if announced > MAX as u64 {
            return Err(Error::message("an array that is too long"));
        }
        (0..announced).map(|_| d.decode_with(ctx)).collect()
    }

    /// An array of at most `MAX` items, or nothing.
    pub(crate) fn vec_or_none<'b, const MAX: usize, C, T: Decode<'b, C>>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Option<Vec<T>>, Error> {
        if d.datatype()? == minicbor::data::Type::Null {
            d.null()?;
            return Ok(None);
        }
        vec::<MAX, C, T>(d, ctx).map(Some)
    }

    /// Text of at most `MAX` bytes.
    pub(crate) fn text<'b, const MAX: usize, C>(d: &mut Decoder<'b>, _: &mut C) -> Result<String, Error> {
        let text = d.str()?;
        if text.len() > MAX {
            return Err(Error::message("a text that is too long"));
        }
        Ok(text.to_owned())
    }

    /// Texts, at most `MAX` of at most `BYTES` bytes each.
    pub(crate) fn texts<'b, const MAX: usize, const BYTES: usize, C>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Vec<String>, Error> {
        let announced = d
            .array()?
            .ok_or(Error::message("an array of indefinite length"))?;
        if announced > MAX as u64 {
            return Err(Error::message("an array that is too long"));
        }
        (0..announced).map(|_| text::<BYTES, C>(d, ctx)).collect()
    }

    /// Bytes, at most `MAX`.
    pub(crate) fn blob<'b, const MAX: usize, C>(d: &mut Decoder<'b>, _: &mut C) -> Result<Vec<u8>, Error> {
        let bytes = d.bytes()?;
        if bytes.len() > MAX {
            return Err(Error::message("bytes that are too long"));
        }
        Ok(bytes.to_owned())
    }

    /// Several of them, at most `MAX` of at most `BYTES` bytes each.
    pub(crate) fn blobs<'b, const MAX: usize, const BYTES: usize, C>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let announced = d
            .array()?
            .ok_or(Error::message("an array of indefinite length"))?;
        if announced > MAX as u64 {
            return Err(Error::message("an array that is too long"));
        }
        (0..announced).map(|_| blob::<BYTES, C>(d, ctx)).collect()
    }

    /// Writes what [`blobs`] reads.
    pub(crate) fn encode_blobs<W: Write, C>(
        blobs: &[Vec<u8>],
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(blobs.len() as u64)?;
        blobs.iter().try_for_each(|blob| e.bytes(blob).map(|_| ()))
    }

    /// 32-bit floats as the bytes of a byte string, little-endian.
    pub(crate) fn floats<'b, C>(d: &mut Decoder<'b>, _: &mut C) -> Result<Vec<f32>, Error> {
        let (words, rest) = d.bytes()?.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(Error::message("a float that is cut short"));
        }
        Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
    }

    /// Writes what [`floats`] reads.
    pub(crate) fn encode_floats<W: Write, C>(
        values: &[f32],
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&float_bytes(values))?;
        Ok(())
    }

    /// Floats as they travel.
    pub(crate) fn float_bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// A text of at most `MAX` bytes, or nothing.
    pub(crate) fn text_or_none<'b, const MAX: usize, C>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Option<String>, Error> {
        if d.datatype()? == minicbor::data::Type::Null {
            d.null()?;
            return Ok(None);
        }
        text::<MAX, C>(d, ctx).map(Some)
    }
}
