//! Every message once, and two that a newer version of this software might send.

use node_proto::wire::{
    Agreement, Blocks, FetchBlocks, Gossip, Head, Receipt, Refusal, RefusalCode, Request, Response,
    ResultHead, Rumour, SampledRecord, Signed, decode_frame, encode_frame,
};
use node_proto::{AgreementId, Hash, Millicredits, WorkInput};
use serde_json::{Value, json};

use crate::meaning::{self, bytes, hex, kind};
use crate::objects::{self, TEXTS, agreement, block, demand, partial, values};
use crate::{id, signer, storage};

/// An object whose content does not matter to the frame around it.
fn sealed() -> Signed {
    Signed::seal(&signer(1), &agreement())
}

fn half() -> Signed {
    Signed::seal(&signer(1), &block(AgreementId([1; 32])))
}

/// A provider's word on work given up.
fn word() -> Signed {
    Signed::seal(&signer(2), &partial(AgreementId([1; 32])))
}

pub(crate) const TAG: Hash = Hash([5; 32]);

fn requests() -> Vec<(Request, Value)> {
    let (signed, half, word) = (sealed(), half(), word());
    let one = |name: &str| json!([[name, meaning::signed(&signed)]]);
    let tag = || json!(["tag", bytes(&TAG.0)]);
    vec![
        (
            Request::Register(signed.clone()),
            kind(0, "Register", one("registration")),
        ),
        (
            Request::Unregister(Hash([1; 32])),
            kind(1, "Unregister", json!([["key", bytes(&[1; 32])]])),
        ),
        (
            Request::Sample {
                key: Hash([1; 32]),
                count: 32,
            },
            kind(2, "Sample", json!([["key", bytes(&[1; 32])], ["count", 32]])),
        ),
        (
            Request::RequestProposal {
                tag: TAG,
                demand: demand(),
            },
            kind(
                3,
                "RequestProposal",
                json!([tag(), ["demand", meaning::demand(&demand())]]),
            ),
        ),
        (
            Request::Counter {
                tag: TAG,
                proposal: Hash([6; 32]),
                price: Millicredits(200),
            },
            kind(
                4,
                "Counter",
                json!([tag(), ["proposal", bytes(&[6; 32])], ["price", 200]]),
            ),
        ),
        (
            Request::Agree {
                tag: TAG,
                agreement: signed.clone(),
            },
            kind(
                5,
                "Agree",
                json!([tag(), ["agreement", meaning::signed(&signed)]]),
            ),
        ),
        (
            Request::Execute {
                agreement: AgreementId([2; 32]),
                input: objects::texts(),
            },
            kind(
                6,
                "Execute",
                json!([
                    ["agreement", bytes(&[2; 32])],
                    ["input", kind(0, "Texts", json!([["texts", TEXTS]]))]
                ]),
            ),
        ),
        (
            Request::Execute {
                agreement: AgreementId([2; 32]),
                input: objects::runs(),
            },
            kind(
                6,
                "Execute",
                json!([
                    ["agreement", bytes(&[2; 32])],
                    [
                        "input",
                        kind(
                            1,
                            "Runs",
                            json!([
                                ["module", [["blob", bytes(&[7; 32])], ["bytes", 70_000]]],
                                ["fuel", 5_000_000],
                                ["inputs", [bytes(b"one"), bytes(b"")]],
                            ])
                        )
                    ]
                ]),
            ),
        ),
        (
            Request::RequestProposal {
                tag: TAG,
                demand: objects::demand_of_kept(),
            },
            kind(
                3,
                "RequestProposal",
                json!([
                    ["tag", bytes(&TAG.0)],
                    ["demand", meaning::demand(&objects::demand_of_kept())]
                ]),
            ),
        ),
        storage::demand(),
        storage::execute(),
        (
            Request::Execute {
                agreement: AgreementId([2; 32]),
                input: WorkInput::Cached {
                    keys: objects::keys(),
                },
            },
            kind(
                6,
                "Execute",
                json!([
                    ["agreement", bytes(&[2; 32])],
                    [
                        "input",
                        kind(
                            2,
                            "Cached",
                            json!([["names of texts", meaning::hashes(&objects::keys())]])
                        )
                    ]
                ]),
            ),
        ),
        (
            Request::Settle {
                agreement: signed.clone(),
                countersignature: [9; 64],
                block: half.clone(),
                partial: None,
            },
            kind(
                7,
                "Settle",
                json!([
                    ["agreement", meaning::signed(&signed)],
                    ["countersignature", bytes(&[9; 64])],
                    ["block", meaning::signed(&half)],
                ]),
            ),
        ),
        (
            Request::Settle {
                agreement: signed.clone(),
                countersignature: [9; 64],
                block: half.clone(),
                partial: Some(word.clone()),
            },
            kind(
                7,
                "Settle",
                json!([
                    ["agreement", meaning::signed(&signed)],
                    ["countersignature", bytes(&[9; 64])],
                    ["block", meaning::signed(&half)],
                    ["partial", meaning::signed(&word)],
                ]),
            ),
        ),
        (Request::Reject(signed.clone()), kind(8, "Reject", one("verdict"))),
        (
            Request::FetchBlocks(FetchBlocks {
                tag: TAG,
                epoch: 1,
                from: 7,
                count: 32,
                of: None,
            }),
            kind(
                9,
                "FetchBlocks",
                json!([["fetch", [tag(), ["epoch", 1], ["from", 7], ["count", 32]]]]),
            ),
        ),
        (
            Request::Cancel {
                agreement: AgreementId([2; 32]),
            },
            kind(11, "Cancel", json!([["agreement", bytes(&[2; 32])]])),
        ),
        (
            Request::FetchPart {
                tag: TAG,
                blob: Hash([6; 32]),
                chunk: Some(300),
            },
            kind(
                12,
                "FetchPart",
                json!([["tag", bytes(&TAG.0)], ["blob", bytes(&[6; 32])], ["chunk", 300]]),
            ),
        ),
        (
            Request::FetchPart {
                tag: TAG,
                blob: Hash([6; 32]),
                chunk: None,
            },
            kind(
                12,
                "FetchPart",
                json!([["tag", bytes(&TAG.0)], ["blob", bytes(&[6; 32])]]),
            ),
        ),
        (
            Request::FetchBlocks(FetchBlocks {
                tag: TAG,
                epoch: 1,
                from: 7,
                count: 16,
                of: Some(id(1)),
            }),
            kind(
                9,
                "FetchBlocks",
                json!([[
                    "fetch",
                    [
                        tag(),
                        ["epoch", 1],
                        ["from", 7],
                        ["count", 16],
                        ["of", bytes(&id(1).0)]
                    ]
                ]]),
            ),
        ),
        gossip(),
    ]
}

fn gossip() -> (Request, Value) {
    let (fork, half) = (objects::fork(), half());
    let meaning = json!([[
        "gossip",
        [
            ["tag", bytes(&TAG.0)],
            ["proofs", [meaning::fraud_proof(&fork)]],
            ["rumours", [[["block", meaning::signed(&half)], ["hops", 3]]]],
        ]
    ]]);
    let gossip = Gossip {
        tag: TAG,
        proofs: vec![fork],
        rumours: vec![Rumour { block: half, hops: 3 }],
    };
    (Request::Gossip(gossip), kind(10, "Gossip", meaning))
}

fn responses() -> Vec<(Response, Value)> {
    let (signed, half, word) = (sealed(), half(), word());
    let refusal = Refusal {
        available: Some(-5),
        required: Some(262),
        ..Refusal::new(RefusalCode::CreditLimit)
    };
    let head = Head {
        epoch: 1,
        sequence: 1,
        hash: half.hash::<node_proto::ledger::Block>(),
    };
    let record = SampledRecord {
        owner: id(2),
        registration: signed.clone(),
        age_ms: 1_500,
    };
    let result = Signed::seal(
        &signer(2),
        &ResultHead {
            version: node_proto::wire::OBJECT_VERSION,
            agreement: AgreementId(signed.hash::<Agreement>().0),
            output: node_proto::market::output_hash(2, &values()),
            took_ms: 61,
            origin: None,
        },
    );
    let (row, kept) = objects::kept();
    vec![
        (
            Response::Refused(refusal),
            kind(
                0,
                "Refused",
                json!([[
                    "refusal",
                    [
                        ["code", 10],
                        ["explanation", null],
                        ["available", -5],
                        ["required", 262]
                    ]
                ]]),
            ),
        ),
        (
            Response::Registered { ttl_ms: 60_000 },
            kind(1, "Registered", json!([["granted ms", 60_000]])),
        ),
        (Response::Noted, kind(2, "Noted", json!([]))),
        (
            Response::Sampled {
                total: 40,
                records: vec![record],
            },
            kind(
                3,
                "Sampled",
                json!([
                    ["total", 40],
                    [
                        "records",
                        [[
                            ["owner", bytes(&id(2).0)],
                            ["registration", meaning::signed(&signed)],
                            ["age ms", 1_500],
                        ]]
                    ],
                ]),
            ),
        ),
        (
            Response::Proposal(signed.clone()),
            kind(4, "Proposal", json!([["proposal", meaning::signed(&signed)]])),
        ),
        (
            Response::Agreed { signature: [9; 64] },
            kind(5, "Agreed", json!([["signature", bytes(&[9; 64])]])),
        ),
        (
            Response::Result {
                head: result.clone(),
                output: objects::embeddings(),
                partial: None,
            },
            kind(
                6,
                "Result",
                json!([
                    ["head", meaning::signed(&result)],
                    [
                        "output",
                        kind(
                            0,
                            "Embeddings",
                            json!([["dimension", 2], ["values", bytes(&values())], ["backend", "cpu"]])
                        )
                    ],
                ]),
            ),
        ),
        (
            Response::Result {
                head: result.clone(),
                output: objects::outcomes(),
                partial: Some(word.clone()),
            },
            kind(
                6,
                "Result",
                json!([
                    ["head", meaning::signed(&result)],
                    [
                        "output",
                        kind(
                            1,
                            "Runs",
                            json!([[
                                "outcomes",
                                [
                                    [["fuel", 3_000_000], ["ending", bytes(b"first")]],
                                    [["fuel", 0], ["ending", bytes(b"")]],
                                ]
                            ]])
                        )
                    ],
                    ["partial", meaning::signed(&word)],
                ]),
            ),
        ),
        (
            Response::Result {
                head: result.clone(),
                output: kept,
                partial: None,
            },
            kind(
                6,
                "Result",
                json!([
                    ["head", meaning::signed(&result)],
                    [
                        "output",
                        kind(
                            2,
                            "Cached",
                            json!([[
                                "answers",
                                [[["rows", [meaning::cached_row(&row, &values()[8..])]]]]
                            ]])
                        )
                    ],
                ]),
            ),
        ),
        storage::result(&result),
        (
            Response::Settled(half.clone()),
            kind(7, "Settled", json!([["block", meaning::signed(&half)]])),
        ),
        (
            Response::Blocks(Blocks {
                head: Some(head),
                blocks: vec![half.clone()],
                receipts: None,
            }),
            kind(
                8,
                "Blocks",
                json!([[
                    "part",
                    [
                        ["head", meaning::head(&head)],
                        ["blocks", [meaning::signed(&half)]]
                    ]
                ]]),
            ),
        ),
        (
            Response::Cancelled(word.clone()),
            kind(9, "Cancelled", json!([["partial", meaning::signed(&word)]])),
        ),
        (
            Response::Part(vec![1, 2, 3]),
            kind(10, "Part", json!([["bytes", bytes(&[1, 2, 3])]])),
        ),
        (
            Response::Blocks(Blocks {
                head: None,
                blocks: Vec::new(),
                receipts: Some(vec![Receipt {
                    own: half.clone(),
                    other: half.clone(),
                    agreement: signed.clone(),
                    countersignature: [9; 64],
                }]),
            }),
            kind(
                8,
                "Blocks",
                json!([[
                    "part",
                    [
                        ["head", null],
                        ["blocks", []],
                        [
                            "receipts",
                            [[
                                ["own", meaning::signed(&half)],
                                ["other", meaning::signed(&half)],
                                ["agreement", meaning::signed(&signed)],
                                ["countersignature", bytes(&[9; 64])],
                            ]]
                        ],
                    ]
                ]]),
            ),
        ),
    ]
}

/// `Sample` with one place more than this version knows, and with its array two places longer: both say the same.
fn grown() -> [Vec<u8>; 2] {
    let plain = encode_frame(&Request::Sample {
        key: Hash([1; 32]),
        count: 32,
    });
    // 01, 82 02 82 …: the version, [2, [key, count]].
    let grow = |length: u8, more: &[u8]| {
        let mut frame = plain.clone();
        frame[3] = 0x80 | length;
        [frame.as_slice(), more].concat()
    };
    [grow(3, &[0x63, b'n', b'e', b'w']), grow(4, &[0xf6, 0x82, 1, 2])]
}

pub(crate) fn vectors() -> Value {
    let entry = |direction: &str, frame: Vec<u8>, meaning: Value| json!({ "direction": direction, "frame": hex(&frame), "meaning": meaning });
    let mut all = Vec::new();
    for (request, meaning) in requests() {
        let frame = encode_frame(&request);
        assert_eq!(decode_frame(&frame), Ok(request));
        all.push(entry("request", frame, meaning));
    }
    for (response, meaning) in responses() {
        let frame = encode_frame(&response);
        assert_eq!(decode_frame(&frame), Ok(response));
        all.push(entry("response", frame, meaning));
    }
    let newer = grown().map(|frame| {
        let sample = Request::Sample { key: Hash([1; 32]), count: 32 };
        assert_eq!(decode_frame(&frame), Ok(sample));
        json!({ "frame": hex(&frame), "same as": hex(&encode_frame(&Request::Sample { key: Hash([1; 32]), count: 32 })) })
    });
    json!({ "messages": all, "with places that are not known": newer })
}
