//! Signed objects: one trade from the registration to both halves of its receipt, and a fork.

use node_proto::cache::{CachedAnswer, CachedRow, key_of, root, rows};
use node_proto::ledger::{Block, Check, FraudProof};
use node_proto::market::{input_hash, output_hash};
use node_proto::wire::{
    Agreement, ComparisonRule, Demand, Head, OBJECT_VERSION, Object, Offer, Origin, Partial, Presence,
    Proposal, Registration, ResultHead, Signed, Verdict,
};
use node_proto::{
    AgreementId, Ed25519Signer, Factors, Hash, Millicredits, ModelId, Module, Precision, RunOutcome, Scope,
    Signer, Tier, WorkInput, WorkOutput,
};
use serde_json::{Value, json};

use crate::meaning::{self, hex};
use crate::{id, signer};

pub(crate) const TEXTS: [&str; 2] = ["one", "zwei – drei"];

const FACTORS: Factors = Factors {
    base_cost: 200,
    quality_multiplier: 1_100_000,
    market_demand: 1_250_000,
    reputation_factor: 950_000,
};

/// Two vectors of two numbers.
pub(crate) fn values() -> Vec<u8> {
    [1.0_f32, 0.0, -0.5, 0.25]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// The texts as input.
pub(crate) fn texts() -> WorkInput {
    WorkInput::Texts {
        texts: TEXTS.map(str::to_owned).to_vec(),
    }
}

/// Two runs of a module.
pub(crate) fn runs() -> WorkInput {
    WorkInput::Runs {
        module: Module {
            blob: Hash([7; 32]),
            bytes: 70_000,
        },
        fuel: 5_000_000,
        inputs: vec![b"one".to_vec(), Vec::new()],
    }
}

/// The vectors as output.
pub(crate) fn embeddings() -> WorkOutput {
    WorkOutput::Embeddings {
        dimension: 2,
        values: vec![1.0, 0.0, -0.5, 0.25],
        backend: "cpu".to_owned(),
    }
}

/// How the two runs end.
pub(crate) fn outcomes() -> WorkOutput {
    let outcome = |fuel, ending: &[u8]| RunOutcome {
        fuel,
        ending: ending.to_vec(),
    };
    WorkOutput::Runs {
        outcomes: vec![outcome(3_000_000, b"first"), outcome(0, b"")],
    }
}

pub(crate) fn demand() -> Demand {
    Demand {
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
        keys: None,
        bytes: None,
    }
}

/// The names of the texts.
pub(crate) fn keys() -> Vec<Hash> {
    TEXTS.map(key_of).to_vec()
}

pub(crate) fn demand_of_kept() -> Demand {
    Demand {
        service: 1,
        model: Some(ModelId([6; 32])),
        tokens: 2,
        head: None,
        keys: Some(keys()),
        ..demand()
    }
}

/// The vectors as numbers.
pub(crate) fn numbers() -> Vec<f32> {
    let numbers = values();
    let numbers = numbers.as_chunks::<4>().0;
    numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// What a provider that keeps answers says of its result.
pub(crate) fn head_with_origin() -> ResultHead {
    ResultHead {
        version: OBJECT_VERSION,
        agreement: AgreementId([2; 32]),
        output: output_hash(2, &values()),
        took_ms: 61,
        origin: Some(Origin {
            model: ModelId([6; 32]),
            precision: Precision::Int8,
            computed_at: 1_700_000_000_123,
            rows: root(&keys(), 2, &numbers()).unwrap(),
            count: 2,
        }),
    }
}

/// The second of its rows, kept.
pub(crate) fn kept() -> (CachedRow, WorkOutput) {
    let seller = signer(2);
    let head = Signed::seal(&seller, &head_with_origin());
    let (_, row) = rows(seller.id(), &head, &keys(), 2, &numbers()).remove(1);
    let answer = CachedAnswer {
        rows: vec![row.clone()],
    };
    (
        row,
        WorkOutput::Cached {
            answers: vec![answer],
        },
    )
}

fn presence() -> Registration {
    Registration {
        version: OBJECT_VERSION,
        owner: id(2),
        sequence: 300,
        key: Hash([1; 32]),
        ttl_ms: 120_000,
        tag: Hash([2; 32]),
        addresses: vec!["/ip4/192.0.2.1/tcp/8080/ws".to_owned()],
        presence: Some(Presence {
            tier: Some(Tier::Power),
        }),
        offer: None,
    }
}

fn offer() -> Registration {
    let offer = Offer {
        service: 0,
        model: Some(ModelId([4; 32])),
        model_name: Some("MiniLM".to_owned()),
        unit_price: Millicredits(262),
        factors: FACTORS,
        capacity: 8,
        unit_ms: None,
        precision: Precision::Int8,
    };
    Registration {
        sequence: 301,
        addresses: Vec::new(),
        presence: None,
        offer: Some(offer),
        ..presence()
    }
}

pub(crate) fn proposal() -> Proposal {
    Proposal {
        version: OBJECT_VERSION,
        provider: id(2),
        requester: id(1),
        demand: demand().hash(),
        model: Some(ModelId([4; 32])),
        precision: Precision::F32,
        price: Millicredits(262),
        factors: FACTORS,
        promised_ms: 4_500,
        valid_ms: 30_000,
    }
}

pub(crate) fn agreement() -> Agreement {
    Agreement {
        version: OBJECT_VERSION,
        requester: id(1),
        provider: id(2),
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

/// The agreement of the work in "names", judged byte for byte.
fn exact_agreement() -> Agreement {
    Agreement {
        proposal: Signed::seal(&signer(2), &proposal()).hash::<Proposal>(),
        rule: ComparisonRule::Exact,
        cosine_min_ppm: 0,
        items: 2,
        tokens: node_proto::price::tokens(&TEXTS),
        input: input_hash(&TEXTS),
        ..agreement()
    }
}

pub(crate) fn block(agreement: AgreementId) -> Block {
    Block {
        version: OBJECT_VERSION,
        author: id(1),
        epoch: 1,
        sequence: 1,
        previous: Hash([0; 32]),
        counterparty: id(2),
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

/// The receiver's half of the same receipt.
fn answer(payer: &Block, hash: Hash) -> Block {
    Block {
        author: payer.counterparty,
        epoch: 70_000,
        sequence: 12,
        previous: Hash([8; 32]),
        counterparty: payer.author,
        delta: Millicredits(262),
        link: Some(hash),
        at_ms: 1_800_000_000_050,
        ..payer.clone()
    }
}

/// 370 of the agreed 1,000 tokens were done when the buyer gave up.
pub(crate) fn partial(agreement: AgreementId) -> Partial {
    Partial {
        version: OBJECT_VERSION,
        agreement,
        units: 370,
    }
}

pub(crate) fn fork() -> FraudProof {
    let first = block(AgreementId([1; 32]));
    let second = Block {
        agreement: AgreementId([2; 32]),
        ..first.clone()
    };
    FraudProof {
        author: id(1),
        first: Signed::seal(&signer(1), &first),
        second: Signed::seal(&signer(1), &second),
    }
}

fn object<T: Object + PartialEq + std::fmt::Debug>(
    domain: &str,
    name: &str,
    author: &Ed25519Signer,
    object: &T,
    meaning: Value,
) -> Value {
    let sealed = Signed::seal(author, object);
    assert_eq!(sealed.open::<T>(&author.id()).as_ref(), Ok(object));
    json!({
        "domain": domain,
        "name": name,
        "author": hex(&author.id().0),
        "meaning": meaning,
        "body": hex(&sealed.body),
        "signature": hex(&sealed.signature),
        "hash": sealed.hash::<T>().to_string(),
    })
}

pub(crate) fn vectors() -> Value {
    let (buyer, seller) = (signer(1), signer(2));
    let (presence, offer, proposal) = (presence(), offer(), proposal());
    let (terms, exact) = (agreement(), exact_agreement());
    let sealed = Signed::seal(&buyer, &terms);
    let agreed = AgreementId(sealed.hash::<Agreement>().0);
    let payer = block(agreed);
    let payer_hash = Signed::seal(&buyer, &payer).hash::<Block>();
    let receiver = answer(&payer, payer_hash);
    assert!(receiver.answers(&payer, &payer_hash));
    let head = ResultHead {
        version: OBJECT_VERSION,
        agreement: agreed,
        output: output_hash(2, &values()),
        took_ms: 61,
        origin: None,
    };
    let kept = head_with_origin();
    let verdict = Verdict {
        version: OBJECT_VERSION,
        agreement: agreed,
        output: Some(head.output),
        cosine_ppm: -120_000,
        required_ppm: 990_000,
    };
    let partial = partial(agreed);
    let part = Block {
        delta: Millicredits(-97),
        units: partial.units,
        ..payer.clone()
    };
    let fork = fork();
    assert_eq!(fork.verify(), Ok(()));
    json!({
        "signed": [
            object("registration", "presence", &seller, &presence, meaning::registration(&presence)),
            object("registration", "offer", &seller, &offer, meaning::registration(&offer)),
            object("proposal", "proposal", &seller, &proposal, meaning::proposal(&proposal)),
            object("agreement", "agreement", &buyer, &terms, meaning::agreement(&terms)),
            object("agreement", "countersigned", &seller, &terms, meaning::agreement(&terms)),
            object("agreement", "exact agreement", &buyer, &exact, meaning::agreement(&exact)),
            object("result", "result head", &seller, &head, meaning::result_head(&head)),
            object("result", "result head with its origin", &seller, &kept, meaning::result_head(&kept)),
            object("verdict", "verdict", &buyer, &verdict, meaning::verdict(&verdict)),
            object("partial", "work given up", &seller, &partial, meaning::partial(&partial)),
            object("block", "payer's half of a part", &buyer, &part, meaning::block(&part)),
            object("block", "payer's half", &buyer, &payer, meaning::block(&payer)),
            object("block", "receiver's half", &seller, &receiver, meaning::block(&receiver)),
        ],
        "demand": {
            "meaning": meaning::demand(&demand()),
            "body": hex(&minicbor::to_vec(demand()).unwrap()),
            "hash": demand().hash().to_string(),
        },
        "fraud proof": {
            "meaning": meaning::fraud_proof(&fork),
            "body": hex(&minicbor::to_vec(&fork).unwrap()),
        },
    })
}
