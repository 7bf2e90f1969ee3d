//! One node that knows of many others: their registrations are made here and told to it as a discovery point would.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "shared by a test and a benchmark, each of which uses its own part"
)]

use node_proto::group::Purpose;
use node_proto::price;
use node_proto::wire::{
    OBJECT_VERSION, Offer, Presence, Registration, Request, Response, SampledRecord, Signed, decode_frame,
    encode_frame,
};
use node_proto::{
    Command, Config, Ed25519Signer, Factors, Group, Hash, Input, ModelId, Node, NodeId, Output, Path,
    Precision, Service, Signer, Tier, Timestamp,
};

pub const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub const MODEL: ModelId = ModelId([42; 32]);

/// Everyone's registrations: presence and one offer each.
pub struct Town {
    pub members: Vec<SampledRecord>,
    pub offers: Vec<SampledRecord>,
}

impl Town {
    pub fn new(peers: u32) -> Self {
        let signers = (1..=peers).map(signer);
        let (members, offers) = signers
            .enumerate()
            .map(|(number, signer)| records(number, &signer))
            .unzip();
        Self { members, offers }
    }

    /// A node that was told of everyone by one discovery point.
    pub fn known_by_one(&self) -> Node {
        self.known_by_one_with(Config::default())
    }

    /// The same with parameters of one's own, but for how many are remembered.
    pub fn known_by_one_with(&self, config: Config) -> Node {
        let config = Config {
            peers_max: self.members.len().max(16),
            ..config
        };
        let signer = Box::new(signer(0));
        let mut node = Node::new(config, signer, Group::open(), 1, NOW, []).unwrap();
        let point = NodeId([255; 32]);
        node.handle_input(
            NOW,
            Input::Connected {
                peer: point,
                path: Path::Server,
            },
        );
        node.handle_input(
            NOW,
            Input::DiscoveryPoint {
                peer: point,
                available: true,
            },
        );
        let rounds = self.members.chunks(64).zip(self.offers.chunks(64));
        for (members, offers) in rounds {
            self.answer(&mut node, members, offers);
            node.handle_input(NOW, Input::Command(Command::RefreshMarket));
        }
        while node.poll_output().is_some() {}
        node
    }

    fn answer(&self, node: &mut Node, members: &[SampledRecord], offers: &[SampledRecord]) {
        let presence = Hash(Group::open().presence_key());
        let mut samples = Vec::new();
        while let Some(output) = node.poll_output() {
            if let Output::Request { exchange, frame, .. } = output
                && let Ok(Request::Sample { key, .. }) = decode_frame(&frame)
            {
                samples.push((exchange, if key == presence { members } else { offers }));
            }
        }
        for (exchange, records) in samples {
            let answer = Response::Sampled {
                total: u32::try_from(self.members.len()).unwrap(),
                records: records.to_vec(),
            };
            let result = Ok(encode_frame(&answer));
            node.handle_input(NOW, Input::Response { exchange, result });
        }
    }
}

/// The key of a peer, from 1; 0 is the node's that knows them.
pub fn signer(number: u32) -> Ed25519Signer {
    let mut secret = [7; 32];
    secret[..4].copy_from_slice(&number.to_le_bytes());
    Ed25519Signer::from_secret(&secret)
}

fn records(number: usize, signer: &Ed25519Signer) -> (SampledRecord, SampledRecord) {
    let (group, owner) = (Group::open(), signer.id());
    let speed = 100.0 + (number * 37 % 900) as f32;
    let factors = Factors {
        base_cost: price::unit_rate(node_proto::Millicredits(100), speed),
        quality_multiplier: price::quality_multiplier(Precision::F32, speed),
        market_demand: 1_000_000,
        reputation_factor: 900_000,
    };
    let offer = Offer {
        service: Service::Inference as u8,
        model: Some(MODEL),
        model_name: Some("all-MiniLM-L6-v2".to_owned()),
        unit_price: factors.price().unwrap(),
        factors,
        capacity: 8,
        unit_ms: Some((1e6 / speed) as u32),
        precision: Precision::F32,
    };
    let plain = Registration {
        version: OBJECT_VERSION,
        owner,
        sequence: 1,
        key: Hash(group.presence_key()),
        ttl_ms: 120_000,
        tag: Hash(group.tag(Purpose::Registration, &owner, &owner)),
        addresses: vec![format!(
            "/ip4/192.0.2.1/tcp/4001/ws/p2p-circuit/webrtc/p2p/{owner}"
        )],
        presence: None,
        offer: None,
    };
    let presence = Registration {
        presence: Some(Presence {
            tier: Some(Tier::Power),
        }),
        ..plain.clone()
    };
    let offering = Registration {
        key: Hash(group.service_key(Service::Inference, None)),
        offer: Some(offer),
        ..plain
    };
    let record = |registration: &Registration| SampledRecord {
        owner,
        registration: Signed::seal(signer, registration),
        age_ms: 1_000,
    };
    (record(&presence), record(&offering))
}
