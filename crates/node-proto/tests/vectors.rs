//! The formats are final: these bytes were written once and must be read, and written again alike, by every later version.
//!
//! The vectors are made of fixed keys and values. They change only together with a version number.

use node_proto::ledger::{Block, Check};
use node_proto::wire::{Agreement, ComparisonRule, Head, OBJECT_VERSION, Request, Signed, encode_frame};
use node_proto::{
    AgreementId, Ed25519Signer, Factors, Group, GroupSecret, Hash, Millicredits, ModelId, NodeId, Precision,
    Scope, Signer,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signer(number: u8) -> Ed25519Signer {
    Ed25519Signer::from_secret(&[number; 32])
}

const FACTORS: Factors = Factors {
    base_cost: 200,
    quality_multiplier: 1_100_000,
    market_demand: 1_250_000,
    reputation_factor: 950_000,
};

fn agreement() -> Agreement {
    Agreement {
        version: OBJECT_VERSION,
        requester: signer(1).id(),
        provider: signer(2).id(),
        proposal: Hash([3; 32]),
        scope: Scope::Group,
        service: 0,
        model: Some(ModelId([4; 32])),
        precision: Precision::F32,
        rule: ComparisonRule::Cosine,
        cosine_min_ppm: 990_000,
        items: 5,
        tokens: 1_000,
        input: Hash([5; 32]),
        price: Millicredits(262),
        factors: FACTORS,
        promised_ms: 4_500,
    }
}

fn block(agreement: AgreementId) -> Block {
    Block {
        version: OBJECT_VERSION,
        author: signer(1).id(),
        epoch: 1,
        sequence: 1,
        previous: Hash([0; 32]),
        counterparty: signer(2).id(),
        agreement,
        delta: Millicredits(-262),
        service: 0,
        model: Some(ModelId([4; 32])),
        units: 1_000,
        factors: FACTORS,
        scope: Scope::Group,
        mark: Hash([6; 32]),
        check: Check {
            method: 1,
            probes: 2,
            compared: 0,
            cosine_ppm: 999_981,
            second: None,
        },
        link: None,
        at_ms: 1_800_000_000_000,
    }
}

#[test]
fn names_and_invites() {
    let vectors = include_str!("vectors/names.txt");
    let secret = GroupSecret::from_bytes([7; 32]);
    let made = format!(
        "node {}\ngroup {}\nopen {}\ninvite {}\n",
        NodeId(signer(1).id().0),
        Group::private(&secret).id(),
        Group::open().id(),
        secret.to_invite(),
    );
    assert_eq!(made, vectors);
}

#[test]
fn signed_objects() {
    let vectors = include_str!("vectors/objects.txt");
    let sealed = Signed::seal(&signer(1), &agreement());
    let id = AgreementId(sealed.hash::<Agreement>().0);
    let half = Signed::seal(&signer(1), &block(id));
    let made = format!(
        "agreement {}\nagreement signature {}\nagreement id {id}\nblock {}\nblock signature {}\nblock hash {}\n",
        hex(&sealed.body),
        hex(&sealed.signature),
        hex(&half.body),
        hex(&half.signature),
        half.hash::<Block>(),
    );
    assert_eq!(made, vectors);
    assert_eq!(sealed.open::<Agreement>(&signer(1).id()), Ok(agreement()));
    assert_eq!(half.open::<Block>(&signer(1).id()), Ok(block(id)));
}

#[test]
fn frames() {
    let vectors = include_str!("vectors/frames.txt");
    let sample = Request::Sample {
        key: Hash([1; 32]),
        count: 32,
    };
    let texts = vec!["one".to_owned(), "zwei – drei".to_owned()];
    let execute = Request::Execute {
        agreement: AgreementId([2; 32]),
        texts,
    };
    let demand = node_proto::wire::Demand {
        nonce: [3; 16],
        scope: Scope::Group,
        service: 0,
        model: None,
        items: 2,
        tokens: 5,
        deadline_ms: 30_000,
        head: Some(Head {
            epoch: 1,
            sequence: 7,
            hash: Hash([4; 32]),
        }),
    };
    let hash = demand.hash();
    let propose = Request::RequestProposal {
        tag: Hash([5; 32]),
        demand,
    };
    let made = format!(
        "sample {}\nexecute {}\nrequest proposal {}\ndemand {hash}\n",
        hex(&encode_frame(&sample)),
        hex(&encode_frame(&execute)),
        hex(&encode_frame(&propose)),
    );
    assert_eq!(made, vectors);
}
