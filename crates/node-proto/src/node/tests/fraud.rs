//! What a node takes of others' word on third parties, and what a conviction ends.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::io::{Path, Write};
use crate::ledger::{Block, FRAUD_PREFIX, FraudProof};
use crate::made_up;
use crate::wire::{Gossip, Head, Rumour};
use crate::work::WorkOutput;

const FRIEND: u8 = 50;

fn key(number: u8) -> Ed25519Signer {
    Ed25519Signer::from_secret(&[number; 32])
}

fn block(author: &Ed25519Signer, sequence: u64, agreement: u8) -> Block {
    made_up::block(author.id(), sequence, agreement)
}

fn half(author: &Ed25519Signer, sequence: u64, agreement: u8) -> Signed {
    Signed::seal(author, &block(author, sequence, agreement))
}

fn fork(author: &Ed25519Signer) -> FraudProof {
    FraudProof {
        author: author.id(),
        first: half(author, 1, 1),
        second: half(author, 1, 2),
    }
}

/// A block under a name that nobody has.
fn junk(number: u8) -> Signed {
    let mut junk = half(&key(1), 1, 1);
    let place = junk
        .body
        .windows(32)
        .position(|bytes| bytes == key(1).id().as_bytes());
    junk.body[place.unwrap()] = number;
    junk
}

impl Pair {
    fn connect(&mut self, peer: NodeId) {
        let path = Path::Direct;
        self.node
            .handle_input(Timestamp(1), Input::Connected { peer, path });
    }

    /// Sends a request as somebody; returns all that the node does then.
    fn send(&mut self, peer: NodeId, request: &Request) -> Vec<Output> {
        self.exchange += 1;
        let (exchange, frame) = (ExchangeId(self.exchange), encode_frame(request));
        self.input(Input::Request {
            exchange,
            peer,
            frame,
        })
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        self.node.handle_input(Timestamp(1), input);
        let mut outputs = Vec::new();
        while let Some(output) = self.node.poll_output() {
            if let Output::Persist { seq, .. } = output {
                self.node.handle_input(Timestamp(1), Input::Persisted { seq });
            }
            outputs.push(output);
        }
        outputs
    }

    /// A friend tells of something.
    fn tell(&mut self, proofs: Vec<FraudProof>, blocks: Vec<Signed>) -> Vec<Output> {
        let friend = key(FRIEND).id();
        let tag = Hash(self.node.group.tag(TagPurpose::Trade, &friend, &self.node.me));
        let rumours = blocks.into_iter().map(|block| Rumour { block, hops: 0 });
        let rumours = rumours.collect();
        self.send(friend, &Request::Gossip(Gossip { tag, proofs, rumours }))
    }
}

/// Writes under the prefix of proofs: keys that were put, and keys that were deleted.
fn proof_writes(outputs: &[Output]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let writes = outputs.iter().filter_map(|output| match output {
        Output::Persist { writes, .. } => Some(writes),
        _ => None,
    });
    let (mut put, mut deleted) = (Vec::new(), Vec::new());
    for write in writes.flatten() {
        match write {
            Write::Put { key, .. } if key[0] == FRAUD_PREFIX => put.push(key.clone()),
            Write::Delete { key } if key[0] == FRAUD_PREFIX => deleted.push(key.clone()),
            _ => {}
        }
    }
    (put, deleted)
}

/// How many proofs are told to others.
fn proofs_told(outputs: &[Output]) -> usize {
    let told = outputs.iter().filter_map(|output| match output {
        Output::Request { frame, .. } => match decode_frame(frame) {
            Ok(Request::Gossip(gossip)) => Some(gossip.proofs.len()),
            _ => None,
        },
        _ => None,
    });
    told.sum()
}

fn answers(outputs: &[Output]) -> Vec<Response> {
    let frames = outputs.iter().filter_map(|output| match output {
        Output::Respond { frame, .. } => decode_frame(frame).ok(),
        _ => None,
    });
    frames.collect()
}

#[test]
fn a_proof_is_taken_when_it_concerns_this_node() {
    let mut pair = Pair::new();
    pair.connect(key(FRIEND).id());
    let (stranger, neighbour, former) = (key(60), key(61), key(62));
    pair.connect(neighbour.id());
    pair.node.reputation.receipted(Timestamp(0), &former.id());
    let strange = pair.tell(vec![fork(&stranger)], Vec::new());
    assert_eq!(proof_writes(&strange).0.len(), 0);
    // Those it may concern are told once.
    assert_eq!(proofs_told(&strange), 1);
    let again = pair.tell(vec![fork(&stranger)], Vec::new());
    assert_eq!(proofs_told(&again), 0);
    assert!(!pair.node.reputation.is_fraud(&stranger.id()));
    for author in [&neighbour, &former] {
        let outputs = pair.tell(vec![fork(author)], Vec::new());
        assert_eq!((proof_writes(&outputs).0.len(), proofs_told(&outputs)), (1, 1));
        assert!(pair.node.reputation.is_fraud(&author.id()));
    }
    // A contradiction that others' rumours make is no better than a proof that others show.
    let other = key(63);
    let outputs = pair.tell(Vec::new(), vec![half(&other, 1, 1), half(&other, 1, 2)]);
    assert_eq!((proof_writes(&outputs).0.len(), proofs_told(&outputs)), (0, 1));
    // The strangers turn up.
    for author in [stranger, other] {
        pair.connect(author.id());
        assert!(pair.node.reputation.is_fraud(&author.id()));
    }
}

#[test]
fn strangers_proofs_are_passed_on_no_faster_than_configured() {
    let mut pair = Pair::new();
    pair.connect(key(FRIEND).id());
    let burst = pair.node.config.strange_proofs_burst as usize;
    let mut told = 0;
    for number in 100..200 {
        let outputs = pair.tell(vec![fork(&key(number))], Vec::new());
        assert_eq!(proof_writes(&outputs).0.len(), 0);
        told += proofs_told(&outputs);
    }
    assert_eq!(told, burst);
    let pause_ms = u64::from(pair.node.config.strange_proof_ms);
    pair.node.handle_timeout(Timestamp(2 + pause_ms));
    for number in 200..210 {
        told += proofs_told(&pair.tell(vec![fork(&key(number))], Vec::new()));
    }
    assert_eq!(told, burst + 1);
}

#[test]
fn convictions_are_bounded_and_made_up_keys_push_out_only_each_other() {
    let config = Config {
        convictions_max: 4,
        ..Config::default()
    };
    let mut pair = Pair::new();
    pair.node.config = config.clone();
    pair.connect(key(FRIEND).id());
    let cheats: Vec<Ed25519Signer> = (60..63).map(key).collect();
    let honest = key(64).id();
    let mut stored = std::collections::BTreeMap::new();
    let mut keep = |writes: Vec<Write>| {
        for write in writes {
            match write {
                Write::Put { key, value } => stored.insert(key, value),
                Write::Delete { key } => stored.remove(&key),
            };
        }
    };
    let mut persisted = |outputs: Vec<Output>| {
        for output in outputs {
            if let Output::Persist { writes, .. } = output {
                keep(writes);
            }
        }
    };
    let now = Timestamp(0);
    let dealings = cheats.iter().map(Ed25519Signer::id).chain([honest]);
    for peer in dealings {
        let writes = pair.node.reputation.receipted(now, &peer);
        pair.node.journal.commit(writes, []);
    }
    for cheat in &cheats {
        persisted(pair.tell(vec![fork(cheat)], Vec::new()));
    }
    // Fifty keys that connect and are told of.
    let mut put = 0;
    for number in 100..150 {
        let made_up = key(number);
        pair.connect(made_up.id());
        let outputs = pair.tell(vec![fork(&made_up)], Vec::new());
        put += proof_writes(&outputs).0.len();
        persisted(outputs);
        pair.node.handle_timeout(Timestamp(u64::from(number) * 1_000));
        assert!(pair.node.reputation.convicted().len() <= 4);
    }
    // One filled the room; the burst and one in ten of the fifty seconds pushed out one another.
    assert!(put <= 1 + 16 + 6, "{put} were stored");
    let all_kept = |node: &Node| {
        let cheats = cheats.iter().all(|cheat| node.reputation.is_fraud(&cheat.id()));
        cheats && node.reputation.receipts(&honest) == 1 && !node.reputation.is_fraud(&honest)
    };
    assert!(all_kept(&pair.node));
    let proofs = |stored: &std::collections::BTreeMap<Vec<u8>, Vec<u8>>| {
        stored.keys().filter(|key| key[0] == FRAUD_PREFIX).count()
    };
    assert_eq!(proofs(&stored), 4);
    // After a restart the proofs alone convict; more of them than there is room for are deleted.
    let smaller = Config {
        convictions_max: 3,
        ..config
    };
    let group = pair.node.group.clone();
    let signer = Box::new(Ed25519Signer::from_secret(&[2; 32]));
    let pairs = stored.iter().map(|(key, value)| (key.clone(), value.clone()));
    let node = Node::new(smaller, signer, group, 2, Timestamp(1), pairs.collect::<Vec<_>>()).unwrap();
    assert!(all_kept(&node));
    pair.node = node;
    let outputs = pair.input(Input::Command(Command::RefreshMarket));
    assert_eq!(proof_writes(&outputs).1.len(), 1);
}

#[test]
fn a_forged_block_casts_no_doubt_on_an_honest_buyer() {
    let mut pair = Pair::new();
    pair.connect(key(FRIEND).id());
    let mut forged = half(&pair.buyer, 1, 2);
    forged.signature[0] ^= 1;
    pair.tell(Vec::new(), vec![forged]);
    let honest = half(&pair.buyer, 1, 1);
    let head = |sequence, block: &Signed| Head {
        epoch: 1,
        sequence,
        hash: block.hash::<Block>(),
    };
    let demand = Demand {
        head: Some(head(1, &honest)),
        ..pair.demand()
    };
    pair.quoted_for(demand);
    // One that it did sign does.
    pair.tell(Vec::new(), vec![half(&pair.buyer, 2, 2)]);
    let demand = Demand {
        head: Some(head(2, &half(&pair.buyer, 2, 3))),
        ..pair.demand()
    };
    let tag = pair.tag();
    let doubted = Request::RequestProposal { tag, demand };
    assert_eq!(pair.code(&doubted), RefusalCode::Fraud as u16);
}

#[test]
fn a_conviction_gives_back_what_has_not_begun_and_payments_are_taken() {
    let mut pair = Pair::new();
    let buyer = pair.buyer.id();
    pair.connect(key(FRIEND).id());
    let mut agreed = Vec::new();
    for number in 1..=3 {
        let demand = Demand {
            nonce: [number; 16],
            ..pair.demand()
        };
        let (terms, _) = pair.quoted_for(demand);
        let signed = Signed::seal(&pair.buyer, &terms);
        let Response::Agreed { signature } = pair.ask(&pair.agree(signed.clone())) else {
            panic!("not agreed")
        };
        agreed.push((terms, signed, signature));
    }
    let execute = |number: usize| Request::Execute {
        agreement: AgreementId(agreed[number].1.hash::<Agreement>().0),
        input: super::texts("text"),
    };
    // The first runs, the second waits, the third has no input yet; and one more was quoted.
    let begun = pair.send(buyer, &execute(0));
    let work = begun.iter().find_map(|output| match output {
        Output::Work { work, .. } => Some(*work),
        _ => None,
    });
    pair.send(buyer, &execute(1));
    pair.quoted();
    let proof = fork(&pair.buyer);
    let outputs = pair.tell(vec![proof], Vec::new());
    let is_fraud = |answer: &Response| matches!(answer, Response::Refused(refusal) if refusal.code == RefusalCode::Fraud as u16);
    assert_eq!(
        answers(&outputs).iter().filter(|answer| is_fraud(answer)).count(),
        1
    );
    assert!(pair.node.monitor.queue.is_empty() && pair.node.seller.quotes.is_empty());
    assert_eq!(pair.node.seller.active.len(), 1);
    for number in [1, 2] {
        assert_eq!(pair.code(&execute(number)), RefusalCode::Fraud as u16);
    }
    // What runs is delivered, and nothing is begun after it.
    let result = Ok(WorkOutput::Embeddings {
        dimension: 4,
        values: vec![0.5; 4],
        backend: "cpu".to_owned(),
    });
    let outputs = pair.input(Input::WorkDone {
        work: work.unwrap(),
        result,
        took_ms: 1,
    });
    assert!(matches!(answers(&outputs)[..], [Response::Result { .. }]));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Work { .. })));
    // It is paid for as ever.
    let (terms, agreement, countersignature) = agreed[0].clone();
    let id = AgreementId(agreement.hash::<Agreement>().0);
    let paid = Block {
        counterparty: pair.node.me,
        agreement: id,
        delta: terms.price.checked_neg().unwrap(),
        model: terms.model,
        units: terms.tokens,
        factors: terms.factors,
        scope: terms.scope,
        mark: Hash(pair.node.group.receipt_mark(id.as_bytes())),
        ..block(&pair.buyer, 7, 7)
    };
    let settle = Request::Settle {
        agreement,
        countersignature,
        block: Signed::seal(&pair.buyer, &paid),
        partial: None,
    };
    let outputs = pair.send(buyer, &settle);
    assert!(matches!(answers(&outputs)[..], [Response::Settled(_)]));
    assert_eq!(pair.node.snapshot(Timestamp(2)).balance.settled, terms.price);
    let tag = pair.tag();
    let demand = pair.demand();
    assert_eq!(
        pair.code(&Request::RequestProposal { tag, demand }),
        RefusalCode::Fraud as u16
    );
}

#[test]
fn a_peer_is_heard_no_faster_than_its_budget() {
    let mut pair = Pair::new();
    let friend = key(FRIEND).id();
    pair.connect(friend);
    let burst = pair.node.config.gossip_burst as usize;
    let junk: Vec<Signed> = (0..=255).chain(0..=255).map(junk).collect();
    for part in junk[..burst].chunks(64) {
        pair.tell(Vec::new(), part.to_vec());
    }
    // Whatever it tells now is not looked at, a real proof included, and coming back does not help.
    let cheat = key(60);
    pair.connect(cheat.id());
    pair.node
        .handle_input(Timestamp(1), Input::Disconnected { peer: friend });
    pair.connect(friend);
    let late = half(&key(70), 1, 1);
    pair.tell(vec![fork(&cheat)], vec![late.clone()]);
    let seen = |pair: &Pair, block: &Signed| pair.node.witness.newest(4_096).any(|held| held == block);
    assert!(!pair.node.reputation.is_fraud(&cheat.id()) && !seen(&pair, &late));
    // Others are heard meanwhile, and it is again in a while.
    let other = pair.buyer.id();
    let tag = pair.tag();
    let rumours = vec![Rumour {
        block: late.clone(),
        hops: 0,
    }];
    let proofs = Vec::new();
    pair.send(other, &Request::Gossip(Gossip { tag, proofs, rumours }));
    assert!(seen(&pair, &late));
    pair.node
        .handle_timeout(Timestamp(1 + 2 * u64::from(pair.node.config.gossip_check_ms)));
    pair.tell(vec![fork(&cheat)], vec![half(&key(71), 1, 1)]);
    assert!(pair.node.reputation.is_fraud(&cheat.id()) && !seen(&pair, &half(&key(71), 1, 1)));
    // A forgery that comes to light costs whoever told of it more than a rumour does.
    pair.node.handle_timeout(Timestamp(60_000));
    let cost = |pair: &Pair| pair.node.gossip.debt_ms(&friend, pair.node.now);
    let mut forged = half(&pair.buyer, 1, 2);
    forged.signature[0] ^= 1;
    pair.tell(Vec::new(), vec![half(&pair.buyer, 1, 1)]);
    let before = cost(&pair);
    pair.tell(Vec::new(), vec![forged]);
    assert!(cost(&pair) > 5 * before);
}

#[test]
fn newcomers_are_shown_payments_no_faster_than_configured() {
    let mut pair = Pair::new();
    // Where a line bounds what members owe each other, receipts concern others.
    pair.node.config.group_line = Some(Millicredits(1_000));
    let friend = key(FRIEND).id();
    pair.connect(friend);
    pair.tell(Vec::new(), vec![half(&key(70), 1, 1)]);
    while pair.node.poll_output().is_some() {}
    let burst = u8::try_from(pair.node.config.greetings_burst).unwrap();
    let greeted = |pair: &mut Pair, peer: NodeId| {
        pair.connect(peer);
        pair.node.network.proven.insert(peer);
        pair.node.greet(&peer);
        std::iter::from_fn(|| pair.node.poll_output())
            .any(|output| matches!(output, Output::Request { peer: to, .. } if to == peer))
    };
    // Those that came before there was anything to show have used nothing up.
    let shown = (0..burst).filter(|number| greeted(&mut pair, NodeId([100 + number; 32])));
    assert_eq!(shown.count(), usize::from(burst));
    assert!(!greeted(&mut pair, NodeId([200; 32])));
    let later = Timestamp(1 + u64::from(pair.node.config.greeting_ms));
    pair.node.handle_timeout(later);
    assert!(greeted(&mut pair, NodeId([201; 32])));
    // What convicts somebody is told to everyone that comes.
    pair.node.gossip.keep(fork(&key(60)));
    assert!(greeted(&mut pair, NodeId([202; 32])));
}
