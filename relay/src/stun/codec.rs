//! STUN's binding exchange (RFC 8489), the part that a server without accounts needs: bytes in, bytes out.
//!
//! ```text
//!  request:  type 0x0001 │ length │ magic cookie │ transaction id │ attributes …
//!  answer:   type 0x0101 │ length │ magic cookie │ transaction id │ XOR-MAPPED-ADDRESS
//! ```
//!
//! Whatever is not a well-formed binding request gets no answer: a port that answers noise helps those who send it in
//! somebody else's name. An attribute that must be understood and is not gets error 420, as section 6.3.1 asks. Answers
//! carry no FINGERPRINT, which section 14.7 wants only where other protocols share the port.
//!
//! # Bounds
//!
//! A request is at most [`MESSAGE_BYTES_MAX`] long, an answer at most 60 bytes: at most three times a request's least length.

use std::net::{IpAddr, SocketAddr};

/// The longest request that is read; browsers send 20 bytes, or 28 with a fingerprint.
pub const MESSAGE_BYTES_MAX: usize = 576;

const HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// From here on attributes may be skipped by those who do not know them.
const COMPREHENSION_OPTIONAL: u16 = 0x8000;
/// USERNAME, MESSAGE-INTEGRITY, REALM, NONCE, MESSAGE-INTEGRITY-SHA256, PASSWORD-ALGORITHM, USERHASH: of no consequence
/// where nobody has an account.
const UNDERSTOOD: [u16; 7] = [0x0006, 0x0008, 0x0014, 0x0015, 0x001C, 0x001D, 0x001E];
/// Unknown attributes that one error names.
const UNKNOWN_MAX: usize = 8;

/// The answer to a datagram from `source`; `None` when it deserves none.
pub fn answer(datagram: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let (header, attributes) = datagram.split_at_checked(HEADER_BYTES)?;
    let (word, cookie) = (
        |at: usize| u16::from_be_bytes([header[at], header[at + 1]]),
        &header[4..8],
    );
    let well_formed = datagram.len() <= MESSAGE_BYTES_MAX
        && word(0) == BINDING_REQUEST
        && usize::from(word(2)) == attributes.len()
        && cookie == MAGIC_COOKIE;
    if !well_formed {
        return None;
    }
    let transaction = &header[8..];
    let unknown = unknown_attributes(attributes)?;
    Some(if unknown.is_empty() {
        message(
            BINDING_SUCCESS,
            transaction,
            &[(XOR_MAPPED_ADDRESS, xor_mapped(source, transaction))],
        )
    } else {
        let mut error = vec![0, 0, 4, 20];
        error.extend_from_slice(b"Unknown Attribute   ");
        let names = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        message(
            BINDING_ERROR,
            transaction,
            &[(ERROR_CODE, error), (UNKNOWN_ATTRIBUTES, names)],
        )
    })
}

/// The attributes that must be understood and are not; `None` if the list is cut off.
fn unknown_attributes(mut rest: &[u8]) -> Option<Vec<u16>> {
    let mut unknown = Vec::new();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at_checked(4)?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        rest = tail.get(length.next_multiple_of(4)..)?;
        if kind < COMPREHENSION_OPTIONAL && !UNDERSTOOD.contains(&kind) && unknown.len() < UNKNOWN_MAX {
            unknown.push(kind);
        }
    }
    Some(unknown)
}

/// Section 14.2: the address is veiled with cookie and transaction, since some routers rewrite addresses that they see.
fn xor_mapped(source: SocketAddr, transaction: &[u8]) -> Vec<u8> {
    let veil = || MAGIC_COOKIE.iter().chain(transaction);
    let port = source.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
    // A socket for both families shows IPv4 callers as mapped addresses.
    let (family, address) = match source.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mut value = vec![0, family];
    value.extend(port.to_be_bytes());
    value.extend(address.iter().zip(veil()).map(|(byte, veil)| byte ^ veil));
    value
}

fn message(kind: u16, transaction: &[u8], attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        // Values are a few dozen bytes long.
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        body.extend(kind.to_be_bytes());
        body.extend(length.to_be_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = kind.to_be_bytes().to_vec();
    message.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend(MAGIC_COOKIE);
    message.extend(transaction);
    message.extend(body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transaction of RFC 5769's sample messages, which RFC 8489 keeps.
    const TRANSACTION: [u8; 12] = [
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];

    fn request(attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
        message(BINDING_REQUEST, &TRANSACTION, attributes)
    }

    #[test]
    fn the_mapped_addresses_are_those_of_rfc_5769() {
        // Sections 2.2 and 2.3.
        let v4 = [
            0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
        ];
        let v6 = [
            0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79,
            0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        for (source, attribute) in [
            ("192.0.2.1:32853", &v4[..]),
            ("[::ffff:192.0.2.1]:32853", &v4[..]),
            ("[2001:db8:1234:5678:11:2233:4455:6677]:32853", &v6[..]),
        ] {
            let answer = answer(&request(&[]), source.parse().unwrap()).unwrap();
            assert_eq!(answer[..2], BINDING_SUCCESS.to_be_bytes());
            assert_eq!(usize::from(answer[3]), attribute.len());
            assert_eq!(answer[8..20], TRANSACTION);
            assert_eq!(&answer[20..], attribute, "{source}");
        }
    }

    #[test]
    fn what_is_no_binding_request_gets_no_answer() {
        let source = "192.0.2.1:1".parse().unwrap();
        let good = request(&[(0x8022, b"test".to_vec())]);
        assert!(answer(&good, source).is_some());
        for cut in 0..good.len() {
            assert_eq!(answer(&good[..cut], source), None, "cut after {cut}");
        }
        for wrong in [0, 1, 3, 4, 7] {
            let mut bytes = good.clone();
            bytes[wrong] ^= 0x40;
            assert_eq!(answer(&bytes, source), None, "byte {wrong}");
        }
        assert_eq!(
            answer(&request(&[(0x8022, vec![0; MESSAGE_BYTES_MAX])]), source),
            None
        );
    }

    #[test]
    fn an_attribute_that_must_be_understood_is_named_in_an_error() {
        let source = "192.0.2.1:1".parse().unwrap();
        let refused = answer(&request(&[(0x0003, vec![0; 4]), (0x0006, vec![1; 5])]), source).unwrap();
        assert_eq!(refused[..2], BINDING_ERROR.to_be_bytes());
        assert_eq!(refused[24..28], [0, 0, 4, 20]);
        assert!(
            refused
                .windows(6)
                .any(|window| window == [0x00, 0x0A, 0x00, 0x02, 0x00, 0x03])
        );
        let many: Vec<_> = (0x40..0x80).map(|kind| (kind, Vec::new())).collect();
        assert!(answer(&request(&many), source).unwrap().len() <= 72);
    }
}
