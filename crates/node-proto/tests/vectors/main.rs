//! The formats are final: these bytes were written once and must be read, and written again alike, by every later version.
//!
//! `tests/vectors/vectors.json` holds canonical bytes, what they mean and who signed them, all made of fixed keys and
//! values; `tests/vectors/verify.py` checks the same file without any of this project's code. Entries are added, never
//! changed: a change of format is a new version and new entries. After adding some here, write the file anew with
//! `KNOWLEDGE_WRITE_VECTORS=1 cargo test -p node-proto --test vectors` and read the difference.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod frames;
mod meaning;
mod objects;
mod refused;
mod storage;

use node_proto::cache::root;
use node_proto::group::Purpose;
use node_proto::market::{input_hash, output_hash};
use node_proto::service::Service;
use node_proto::{Ed25519Signer, Group, GroupSecret, ModelId, NodeId, Signer, WorkInput};
use serde_json::{Value, json};

use meaning::hex;

const VECTORS: &str = include_str!("../../../../tests/vectors/vectors.json");
/// How the file's entries are to be read; it changes only if that does.
const VECTORS_FORMAT: u32 = 1;

/// Key number `number`: 32 times the same byte is the secret of RFC 8032.
fn signer(number: u8) -> Ed25519Signer {
    Ed25519Signer::from_secret(&[number; 32])
}

fn id(number: u8) -> NodeId {
    signer(number).id()
}

fn names() -> Value {
    let secret = GroupSecret::from_bytes([7; 32]);
    let group = Group::private(&secret);
    let (from, to) = (id(1), id(2));
    let mut keys = objects::keys();
    keys.push(keys[0]);
    let numbers = objects::numbers();
    let three = root(&keys, 2, &[&numbers[..], &numbers[..2]].concat());
    json!({
        "node": { "secret": hex(&[1; 32]), "key": hex(&from.0), "text": from.to_string() },
        "group": {
            "secret": hex(secret.as_bytes()),
            "id": group.id().to_string(),
            "open id": Group::open().id().to_string(),
            "invite": secret.to_invite(),
            "presence key": hex(&group.presence_key()),
            "service": Service::Inference as u8,
            "service key": hex(&group.service_key(Service::Inference, None)),
            "model": hex(&[4; 32]),
            "model key": hex(&group.service_key(Service::Inference, Some(&ModelId([4; 32])))),
            "from": hex(&from.0),
            "to": hex(&to.0),
            "registration tag": hex(&group.tag(Purpose::Registration, &from, &from)),
            "trade tag": hex(&group.tag(Purpose::Trade, &from, &to)),
            "agreement": hex(&[2; 32]),
            "mark": hex(&group.receipt_mark(&[2; 32])),
        },
        "work": {
            "texts": objects::TEXTS,
            "tokens": node_proto::price::tokens(&objects::TEXTS),
            "input hash": input_hash(&objects::TEXTS).to_string(),
            "dimension": 2,
            "values": hex(&objects::values()),
            "output hash": output_hash(2, &objects::values()).to_string(),
        },
        "runs": {
            "module": hex(&[7; 32]),
            "module bytes": 70_000,
            "fuel": 5_000_000,
            "inputs": [hex(b"one"), ""],
            "units": objects::runs().units(),
            "input hash": objects::runs().hash().to_string(),
            "outcomes": [[3_000_000, hex(b"first")], [0, ""]],
            "output hash": objects::outcomes().hash().to_string(),
        },
        "cache": {
            "texts": objects::TEXTS,
            "keys": objects::keys().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "input hash": WorkInput::Cached { keys: objects::keys() }.hash().to_string(),
            "values": [hex(&objects::values()[..8]), hex(&objects::values()[8..]), hex(&objects::values()[..8])],
            "root of two": root(&objects::keys(), 2, &objects::numbers()).map(|root| root.to_string()),
            "root of three": three.map(|root| root.to_string()),
            "output hash": objects::kept().1.hash().to_string(),
        },
        "storage": {
            "blob": hex(&[6; 32]),
            "bytes": 30_000,
            "hours": 24,
            "block": 1,
            "nonce": hex(&[9; 32]),
            "units": storage::keep().units(),
            "input hash": storage::keep().hash().to_string(),
            "block bytes": hex(&storage::blob_block()[..16]),
            "block length": storage::blob_block().len(),
            "output hash": storage::held().hash().to_string(),
        },
    })
}

fn written() -> String {
    let vectors = json!({
        "format": VECTORS_FORMAT,
        "names": names(),
        "objects": objects::vectors(),
        "frames": frames::vectors(),
        "refused": refused::vectors(),
    });
    format!("{vectors:#}\n")
}

#[test]
fn what_was_written_once_is_written_again() {
    let written = written();
    #[cfg(not(target_arch = "wasm32"))]
    if std::env::var_os("KNOWLEDGE_WRITE_VECTORS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/vectors.json");
        std::fs::write(path, &written).unwrap();
        return;
    }
    if written != VECTORS {
        let differs = written.lines().zip(VECTORS.lines()).find(|(new, old)| new != old);
        panic!("the first line that differs, new and old: {differs:?}");
    }
}
