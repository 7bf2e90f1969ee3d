//! What must not be taken, and the code with which it is refused.

use node_proto::Signer;
use node_proto::wire::{
    Agreement, OBJECT_BYTES_MAX, Refusal, RefusalCode, Request, Signed, WireError, decode_frame, encode_frame,
};
use serde_json::{Value, json};

use crate::meaning::hex;
use crate::objects::agreement;
use crate::{id, signer};

fn code(error: &WireError) -> u16 {
    Refusal::from(error).code
}

fn frames() -> Vec<(&'static str, Vec<u8>, RefusalCode)> {
    let good = encode_frame(&Request::Unregister(node_proto::Hash([1; 32])));
    let mut newer = good.clone();
    newer[0] = 2;
    let mut unknown = good.clone();
    unknown[2] = 23;
    vec![
        ("an empty frame", Vec::new(), RefusalCode::Malformed),
        ("a version alone", vec![1], RefusalCode::Malformed),
        ("a newer version", newer, RefusalCode::UnknownVersion),
        ("an unknown kind of message", unknown, RefusalCode::UnknownMessage),
        (
            "a frame that was cut",
            good[..20].to_vec(),
            RefusalCode::Malformed,
        ),
        (
            "a byte after the end",
            [&good[..], &[0]].concat(),
            RefusalCode::Malformed,
        ),
        (
            "a reserved CBOR item",
            vec![1, 0x82, 1, 0x81, 0x1c],
            RefusalCode::Malformed,
        ),
    ]
}

fn objects() -> Vec<(&'static str, Signed, RefusalCode)> {
    let key = signer(1);
    let good = Signed::seal(&key, &agreement());
    let resign = |body: Vec<u8>| Signed {
        signature: node_proto::sign::Domain::Agreement.sign(&key, &body),
        body,
    };
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut body = good.body.clone();
        change(&mut body);
        resign(body)
    };
    let signature = |change: &dyn Fn(&mut [u8; 64])| {
        let mut signature = good.signature;
        change(&mut signature);
        Signed {
            body: good.body.clone(),
            signature,
        }
    };
    let other_domain = Signed {
        signature: node_proto::sign::Domain::Block.sign(&key, &good.body),
        body: good.body.clone(),
    };
    vec![
        (
            "a newer version",
            with(&|body| body[1] = 2),
            RefusalCode::UnknownVersion,
        ),
        // The version 1 written in two bytes, and an array of indefinite length.
        (
            "an integer that is not shortest",
            with(&|body| {
                body.splice(1..2, [0x18, 1]);
            }),
            RefusalCode::Malformed,
        ),
        (
            "an indefinite length",
            with(&|body| {
                body[0] = 0x9f;
                body.push(0xff);
            }),
            RefusalCode::Malformed,
        ),
        (
            "one place too many",
            with(&|body| {
                body[0] += 1;
                body.push(0);
            }),
            RefusalCode::Malformed,
        ),
        (
            "a byte after the end",
            with(&|body| body.push(0)),
            RefusalCode::Malformed,
        ),
        (
            "more bytes than an object may have",
            with(&|body| body.resize(OBJECT_BYTES_MAX + 1, 0)),
            RefusalCode::Malformed,
        ),
        (
            "another signature",
            signature(&|bytes| bytes[0] ^= 1),
            RefusalCode::BadSignature,
        ),
        (
            "a malleable signature",
            signature(&add_group_order),
            RefusalCode::BadSignature,
        ),
        (
            "a signature of another domain",
            other_domain,
            RefusalCode::BadSignature,
        ),
    ]
}

/// The same signature modulo the order of the group: a lenient reader takes it for good.
fn add_group_order(signature: &mut [u8; 64]) {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
}

pub(crate) fn vectors() -> Value {
    let frames = frames().into_iter().map(|(what, frame, refusal)| {
        let error = decode_frame::<Request>(&frame).unwrap_err();
        assert_eq!(code(&error), refusal as u16, "{what}: {error}");
        json!({ "what": what, "frame": hex(&frame), "code": refusal as u16 })
    });
    let objects = objects().into_iter().map(|(what, signed, refusal)| {
        let error = signed.open::<Agreement>(&id(1)).unwrap_err();
        assert_eq!(code(&error), refusal as u16, "{what}: {error}");
        json!({
            "what": what,
            "domain": "agreement",
            "author": hex(&signer(1).id().0),
            "body": hex(&signed.body),
            "signature": hex(&signed.signature),
            "code": refusal as u16,
        })
    });
    json!({ "requests": frames.collect::<Vec<_>>(), "objects": objects.collect::<Vec<_>>() })
}
