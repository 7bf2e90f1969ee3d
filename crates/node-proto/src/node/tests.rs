//! What a provider answers to a member that breaks the rules, and whom a node dials when.

mod connect;
mod fraud;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::group::GroupSecret;
use crate::ids::{AgreementId, Millicredits};
use crate::market::input_hash;
use crate::service::{ModelInfo, Precision, Scope};
use crate::sign::{Domain, Ed25519Signer};
use crate::wire::{
    Agreement, ComparisonRule, Demand, OBJECT_VERSION, Presence, Proposal, Registration, SampledRecord,
    Signed,
};
use crate::work::WorkInput;

struct Pair {
    node: Node,
    buyer: Ed25519Signer,
    exchange: u64,
}

fn model(wake_ms: u32) -> ModelInfo {
    ModelInfo {
        id: ModelId([4; 32]),
        name: "test".to_owned(),
        dimension: 4,
        backend: "cpu".to_owned(),
        tokens_per_second: 500.0,
        precision: Precision::F32,
        wake_ms,
    }
}

impl Pair {
    fn new() -> Self {
        let group = Group::private(&GroupSecret::from_bytes([1; 32]));
        let signer = Box::new(Ed25519Signer::from_secret(&[2; 32]));
        let mut node = Node::new(Config::default(), signer, group, 1, Timestamp(0), []).unwrap();
        let buyer = Ed25519Signer::from_secret(&[3; 32]);
        let peer = buyer.id();
        let policy = crate::capability::LendPolicy {
            enabled: true,
            ..Default::default()
        };
        let path = crate::io::Path::Direct;
        for input in [
            Input::Connected { peer, path },
            Input::Command(Command::Models {
                models: vec![model(0)],
            }),
            Input::Command(Command::Lend(policy)),
        ] {
            node.handle_input(Timestamp(0), input);
        }
        Self {
            node,
            buyer,
            exchange: 0,
        }
    }

    fn ask(&mut self, request: &Request) -> Response {
        self.exchange += 1;
        let exchange = ExchangeId(self.exchange);
        let (peer, frame) = (self.buyer.id(), encode_frame(request));
        self.node.handle_input(
            Timestamp(1),
            Input::Request {
                exchange,
                peer,
                frame,
            },
        );
        let answer = std::iter::from_fn(|| self.node.poll_output()).find_map(|output| match output {
            Output::Respond {
                exchange: answered,
                frame,
            } if answered == exchange => Some(frame),
            _ => None,
        });
        decode_frame(&answer.unwrap()).unwrap()
    }

    fn code(&mut self, request: &Request) -> u16 {
        match self.ask(request) {
            Response::Refused(refusal) => refusal.code,
            other => panic!("{other:?}"),
        }
    }

    fn tag(&self) -> Hash {
        Hash(
            self.node
                .group
                .tag(TagPurpose::Trade, &self.buyer.id(), &self.node.me),
        )
    }

    fn demand(&self) -> Demand {
        Demand {
            nonce: [0; 16],
            scope: Scope::Group,
            service: 0,
            model: None,
            items: 1,
            tokens: 1,
            deadline_ms: 10_000,
            head: None,
            keys: None,
            bytes: None,
        }
    }

    fn quoted(&mut self) -> (Agreement, Hash) {
        let demand = self.demand();
        self.quoted_for(demand)
    }

    fn quoted_for(&mut self, demand: Demand) -> (Agreement, Hash) {
        let request = Request::RequestProposal {
            tag: self.tag(),
            demand,
        };
        let Response::Proposal(signed) = self.ask(&request) else {
            panic!("no proposal")
        };
        let proposal: Proposal = signed.open(&self.node.me).unwrap();
        let terms = Agreement {
            version: OBJECT_VERSION,
            requester: self.buyer.id(),
            provider: self.node.me,
            proposal: signed.hash::<Proposal>(),
            scope: Scope::Group,
            service: 0,
            model: proposal.model,
            precision: proposal.precision,
            rule: ComparisonRule::Cosine,
            cosine_min_ppm: 990_000,
            items: 1,
            tokens: 1,
            input: input_hash(&["text"]),
            price: proposal.price,
            factors: proposal.factors,
            promised_ms: proposal.promised_ms,
        };
        (terms, signed.hash::<Proposal>())
    }

    fn agree(&self, agreement: Signed) -> Request {
        Request::Agree {
            tag: self.tag(),
            agreement,
        }
    }
}

fn texts(text: &str) -> WorkInput {
    WorkInput::Texts {
        texts: vec![text.to_owned()],
    }
}

#[test]
fn demands_that_cannot_be_served_are_refused_with_their_reason() {
    let mut pair = Pair::new();
    let (tag, demand) = (pair.tag(), pair.demand());
    let mut code = |demand: Demand| pair.code(&Request::RequestProposal { tag, demand });
    let service = |service| Demand {
        service,
        ..demand.clone()
    };
    assert_eq!(code(service(4)), RefusalCode::UnknownService as u16);
    assert_eq!(code(service(200)), RefusalCode::UnknownService as u16);
    assert_eq!(
        code(Demand {
            scope: Scope::Own,
            ..demand.clone()
        }),
        RefusalCode::NotAMember as u16
    );
    assert_eq!(
        code(Demand {
            items: 0,
            ..demand.clone()
        }),
        RefusalCode::InvalidRequest as u16
    );
    assert_eq!(
        code(Demand {
            items: 300,
            tokens: 300,
            ..demand.clone()
        }),
        RefusalCode::InvalidRequest as u16
    );
    assert_eq!(
        code(Demand {
            deadline_ms: 1,
            ..demand.clone()
        }),
        RefusalCode::Deadline as u16
    );
    let model = Some(ModelId([9; 32]));
    assert_eq!(
        code(Demand {
            model,
            ..demand.clone()
        }),
        RefusalCode::UnknownModel as u16
    );
    let wrong = Request::RequestProposal {
        tag: Hash([0; 32]),
        demand,
    };
    assert_eq!(pair.code(&wrong), RefusalCode::NotAMember as u16);
}

#[test]
fn a_model_out_of_memory_is_promised_for_when_it_is_back() {
    let promised_ms = |wake_ms| {
        let mut pair = Pair::new();
        let models = vec![model(wake_ms)];
        pair.node
            .handle_input(Timestamp(0), Input::Command(Command::Models { models }));
        pair.quoted().0.promised_ms
    };
    // Bringing it back may take twice as long as it took last time, as computing may.
    assert_eq!(
        promised_ms(3_000),
        promised_ms(0) + 3_000 * crate::pace::PROMISE_SLACK
    );
    let mut pair = Pair::new();
    let models = vec![model(20_000)];
    pair.node
        .handle_input(Timestamp(0), Input::Command(Command::Models { models }));
    let (tag, demand) = (pair.tag(), pair.demand());
    let request = Request::RequestProposal { tag, demand };
    assert_eq!(pair.code(&request), RefusalCode::Deadline as u16);
}

#[test]
fn an_agreement_must_be_signed_and_say_what_was_quoted() {
    let mut pair = Pair::new();
    let (terms, proposal) = pair.quoted();
    let cheaper = Agreement {
        price: Millicredits(terms.price.0 - 1),
        ..terms.clone()
    };
    let request = pair.agree(Signed::seal(&pair.buyer, &cheaper));
    assert_eq!(pair.code(&request), RefusalCode::InvalidRequest as u16);
    let mut forged = Signed::seal(&pair.buyer, &terms);
    forged.signature[3] ^= 1;
    let request = pair.agree(forged);
    assert_eq!(pair.code(&request), RefusalCode::BadSignature as u16);
    let newer = Signed::seal(
        &pair.buyer,
        &Agreement {
            version: 2,
            ..terms.clone()
        },
    );
    let request = pair.agree(newer);
    assert_eq!(pair.code(&request), RefusalCode::UnknownVersion as u16);
    let unknown = Agreement {
        proposal: Hash([0; 32]),
        ..terms.clone()
    };
    let request = pair.agree(Signed::seal(&pair.buyer, &unknown));
    assert_eq!(pair.code(&request), RefusalCode::Expired as u16);
    let counter = Request::Counter {
        tag: pair.tag(),
        proposal,
        price: Millicredits(0),
    };
    assert_eq!(pair.code(&counter), RefusalCode::TooCheap as u16);
    // There is one counter-offer, whatever it says.
    let counter = Request::Counter {
        tag: pair.tag(),
        proposal,
        price: terms.price,
    };
    assert_eq!(pair.code(&counter), RefusalCode::TooCheap as u16);
    let request = pair.agree(Signed::seal(&pair.buyer, &terms));
    assert!(matches!(pair.ask(&request), Response::Agreed { .. }));
}

#[test]
fn an_input_must_be_the_agreed_one_and_a_payment_the_agreed_ones() {
    let mut pair = Pair::new();
    let (terms, _) = pair.quoted();
    let agreement = Signed::seal(&pair.buyer, &terms);
    let id = AgreementId(agreement.hash::<Agreement>().0);
    let request = pair.agree(agreement.clone());
    let Response::Agreed { signature } = pair.ask(&request) else {
        panic!("not agreed")
    };
    assert!(Domain::Agreement.verify(&pair.node.me, &agreement.body, &signature));
    let stranger = Request::Execute {
        agreement: AgreementId([0; 32]),
        input: texts("text"),
    };
    assert_eq!(pair.code(&stranger), RefusalCode::Expired as u16);
    let other = Request::Execute {
        agreement: id,
        input: texts("longer text"),
    };
    assert_eq!(pair.code(&other), RefusalCode::InvalidRequest as u16);
    // Neither without this node's own signature nor with a block that is none.
    let settle = |countersignature, block| Request::Settle {
        agreement: agreement.clone(),
        countersignature,
        block,
        partial: None,
    };
    let unsigned = settle([0; 64], agreement.clone());
    assert_eq!(pair.code(&unsigned), RefusalCode::BadSignature as u16);
    let blockless = settle(signature, agreement.clone());
    assert_eq!(pair.code(&blockless), RefusalCode::InvalidRequest as u16);
    assert_eq!(
        pair.node.snapshot(Timestamp(2)).balance.settled,
        Millicredits::ZERO
    );
}

#[test]
fn a_promise_that_others_work_has_overtaken_is_taken_back() {
    let mut pair = Pair::new();
    let (terms, _) = pair.quoted();
    let agreement = Signed::seal(&pair.buyer, &terms);
    let request = pair.agree(agreement);
    // Meanwhile the engine began with something that takes a minute.
    pair.node.seller.running = Some(seller::Run {
        work: crate::ids::WorkId(1),
        agreement: AgreementId([8; 32]),
        tokens: 30_000,
        tokens_per_s: 500.0,
        since: Timestamp(1),
        until: Timestamp(600_000),
    });
    assert_eq!(pair.code(&request), RefusalCode::Busy as u16);
    pair.node.seller.running = None;
    assert!(matches!(pair.ask(&request), Response::Agreed { .. }));
}

/// A node that a discovery point tells of one member.
struct Seeker {
    node: Node,
    point: NodeId,
    member: Ed25519Signer,
    /// Signs in the member's name.
    signer: Ed25519Signer,
}

impl Seeker {
    fn new() -> Self {
        let signer = Box::new(Ed25519Signer::from_secret(&[2; 32]));
        Self {
            node: Node::new(Config::default(), signer, Group::open(), 1, Timestamp(0), []).unwrap(),
            point: Ed25519Signer::from_secret(&[5; 32]).id(),
            member: Ed25519Signer::from_secret(&[3; 32]),
            signer: Ed25519Signer::from_secret(&[3; 32]),
        }
    }

    fn point(&mut self, now: u64, available: bool) {
        let peer = self.point;
        self.node
            .handle_input(Timestamp(now), Input::DiscoveryPoint { peer, available });
    }

    /// Answers what the node asks the discovery point; says whether it dials the member.
    fn dials(&mut self, now: u64) -> bool {
        let group = Group::open();
        let key = Hash(group.presence_key());
        let owner = self.member.id();
        let registration = Registration {
            version: OBJECT_VERSION,
            owner,
            sequence: 1,
            key,
            ttl_ms: 60_000,
            tag: Hash(group.tag(crate::group::Purpose::Registration, &owner, &owner)),
            addresses: vec!["/webrtc".to_owned()],
            presence: Some(Presence { tier: None }),
            offer: None,
        };
        let records = vec![SampledRecord {
            owner,
            registration: Signed::seal(&self.signer, &registration),
            age_ms: 0,
        }];
        let sampled = encode_frame(&Response::Sampled { total: 1, records });
        let sample = encode_frame(&Request::Sample {
            key,
            count: self.node.config.sample_size,
        });
        let mut dialled = false;
        self.node.handle_timeout(Timestamp(now));
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Dial { peer, .. } => dialled |= peer == owner,
                Output::Request { exchange, frame, .. } if frame == sample => {
                    let result = Ok(sampled.clone());
                    self.node
                        .handle_input(Timestamp(now), Input::Response { exchange, result });
                    self.node.handle_timeout(Timestamp(now));
                }
                _ => {}
            }
        }
        dialled
    }
}

#[test]
fn a_member_is_dialled_again_at_once_when_there_is_a_new_way_to_it() {
    let mut seeker = Seeker::new();
    seeker.point(0, true);
    assert!(seeker.dials(0));
    assert!(!seeker.dials(1_000), "it was tried a moment ago");
    seeker.point(2_000, false);
    assert!(!seeker.dials(2_000));
    seeker.point(3_000, true);
    assert!(seeker.dials(3_000));
}

#[test]
fn nobody_is_dialled_on_the_word_of_a_discovery_point() {
    let mut seeker = Seeker::new();
    seeker.signer = Ed25519Signer::from_secret(&[6; 32]);
    seeker.point(0, true);
    assert!(!seeker.dials(0));
    seeker.signer = Ed25519Signer::from_secret(&[3; 32]);
    seeker.point(1_000, false);
    seeker.point(2_000, true);
    assert!(seeker.dials(2_000));
}
