//! The name as text: a CID of version 1 (codec `raw`, multihash `blake3`) in lower-case base32, as other content-addressed systems
//! write it.

use crate::Name;

/// Version 1, `raw` (0x55), `blake3` (0x1e), 32 bytes.
const PREFIX: [u8; 4] = [0x01, 0x55, 0x1e, 0x20];
/// RFC 4648's alphabet in lower case; multibase calls it `b`.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 36 bytes in base32 without padding, and the letter before them.
pub const CID_TEXT_LENGTH: usize = 59;

/// Why a text names no blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidError {
    /// Not base32 of the right length.
    #[error("not a CID in base32 (\"b…\", 59 characters)")]
    NotACid,
    /// A CID, of something else.
    #[error("a CID, but not one of raw bytes with a BLAKE3 hash")]
    OtherKind,
}

/// The name as text.
#[must_use]
pub fn to_cid(name: &Name) -> String {
    let mut text = String::with_capacity(CID_TEXT_LENGTH);
    text.push('b');
    let (mut bits, mut count) = (0_u32, 0);
    for byte in PREFIX.iter().chain(name) {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(letter(bits >> count));
        }
    }
    if count > 0 {
        text.push(letter(bits << (5 - count)));
    }
    text
}

/// The name that a text stands for.
///
/// # Errors
/// If the text is not exactly what [`to_cid`] writes.
pub fn from_cid(text: &str) -> Result<Name, CidError> {
    let letters = text.strip_prefix('b').ok_or(CidError::NotACid)?.as_bytes();
    if letters.len() != CID_TEXT_LENGTH - 1 {
        return Err(CidError::NotACid);
    }
    let mut bytes = Vec::with_capacity(PREFIX.len() + 32);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in letters {
        let value = match letter {
            b'a'..=b'z' => letter - b'a',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return Err(CidError::NotACid),
        };
        bits = bits << 5 | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    // The bits that are left over are zero, so that one name has one text.
    if bits & ((1 << count) - 1) != 0 {
        return Err(CidError::NotACid);
    }
    let name = bytes.strip_prefix(&PREFIX).ok_or(CidError::OtherKind)?;
    name.try_into().map_err(|_| CidError::OtherKind)
}

fn letter(bits: u32) -> char {
    // Five bits are within the alphabet.
    char::from(ALPHABET[(bits & 31) as usize])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_survives_its_text(name in any::<[u8; 32]>()) {
            let text = to_cid(&name);
            prop_assert_eq!(text.len(), CID_TEXT_LENGTH);
            prop_assert_eq!(from_cid(&text), Ok(name));
        }

        #[test]
        fn no_other_text_has_a_name(text in ".{0,80}") {
            if let Ok(name) = from_cid(&text) {
                prop_assert_eq!(to_cid(&name), text);
            }
        }
    }

    #[test]
    fn it_is_the_cid_that_other_systems_write() {
        // BLAKE3 of nothing (its own test vectors), encoded by Python's base64 module.
        let name = *blake3::hash(b"").as_bytes();
        assert_eq!(to_cid(&name), EMPTY);
        assert_eq!(from_cid(EMPTY), Ok(name));
    }

    #[test]
    fn a_cid_of_another_kind_is_told_from_no_cid() {
        // sha2-256 in place of blake3: 0x12.
        assert_eq!(from_cid(SHA2), Err(CidError::OtherKind));
        assert_eq!(from_cid(&EMPTY.to_uppercase()), Err(CidError::NotACid));
        assert_eq!(from_cid(&EMPTY[..58]), Err(CidError::NotACid));
        assert_eq!(from_cid(""), Err(CidError::NotACid));
    }

    const EMPTY: &str = "bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlpte2spfoihzsmi";
    const SHA2: &str = "bafkreiaha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4";
}
