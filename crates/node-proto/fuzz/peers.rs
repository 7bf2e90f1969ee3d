//! What the machine's node trades with: peers with real keys that sign and tag properly, in whatever order they are told to.

use std::collections::BTreeMap;

use node_proto::cache::{CachedAnswer, key_of};
use node_proto::group::Purpose;
use node_proto::ledger::{Block, Check, FraudProof};
use node_proto::sign::Domain;
use node_proto::verification::storage::Question;
use node_proto::wire::{
    Agreement, Blocks, ComparisonRule, Demand, FetchBlocks, Gossip, Head, OBJECT_VERSION, Offer, Partial,
    Presence, Proposal, Receipt, Registration, Request, Response, ResultHead, Rumour, SampledRecord, Signed,
    Verdict,
};
use node_proto::work::FUEL_PER_UNIT;
use node_proto::{
    AgreementId, Ed25519Signer, Factors, Group, Hash, Millicredits, NodeId, Part, Precision, Scope, Service,
    Signer, Tier, Verification, WorkInput, WorkOutput, price,
};

use super::blobs;
use super::machine::Bytes;
use super::world::{DIMENSION, MODEL, MODULE, embedding, outcome};

/// What a peer bought, as far as it came.
struct Deal {
    terms: Agreement,
    signed: Signed,
    countersignature: Option<[u8; 64]>,
    input: WorkInput,
    partial: Option<Signed>,
    half: Option<Signed>,
}

impl Deal {
    fn id(&self) -> AgreementId {
        AgreementId(self.signed.hash::<Agreement>().0)
    }
}

pub(crate) struct Peer {
    signer: Ed25519Signer,
    group: Group,
    node: NodeId,
    asked: Vec<(Demand, WorkInput)>,
    proposals: Vec<(Demand, WorkInput, Signed, Proposal)>,
    deals: Vec<Deal>,
    /// What it agreed to sell.
    sold: BTreeMap<AgreementId, Agreement>,
    chain: Vec<Signed>,
    /// The node's halves, answered.
    receipts: Vec<Receipt>,
}

impl Peer {
    pub(crate) fn new(signer: Ed25519Signer, group: Group, node: NodeId) -> Self {
        Self {
            signer,
            group,
            node,
            asked: Vec::new(),
            proposals: Vec::new(),
            deals: Vec::new(),
            sold: BTreeMap::new(),
            chain: Vec::new(),
            receipts: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.signer.id()
    }

    fn tag(&self) -> Hash {
        Hash(self.group.tag(Purpose::Trade, &self.id(), &self.node))
    }

    fn head(&self) -> Option<Head> {
        let hash = self.chain.last()?.hash::<Block>();
        Some(Head {
            epoch: 1,
            sequence: self.chain.len() as u64,
            hash,
        })
    }

    /// A request of kind `kind`, as far as what came before allows one.
    pub(crate) fn request(&mut self, kind: u8, bytes: &mut Bytes<'_>) -> Option<Request> {
        Some(match kind % 12 {
            0 => self.demand(bytes),
            1 => self.counter()?,
            2 => self.agree(bytes)?,
            3 => {
                let deal = self.deals.last()?;
                Request::Execute {
                    agreement: deal.id(),
                    input: deal.input.clone(),
                }
            }
            4 => self.settle(bytes)?,
            5 => self.reject()?,
            6 => Request::Cancel {
                agreement: self.deals.last()?.id(),
            },
            7 => Request::FetchBlocks(FetchBlocks {
                tag: self.tag(),
                epoch: u32::from(bytes.byte()),
                from: u64::from(bytes.byte()),
                count: u32::from(bytes.byte()),
                of: (bytes.below(2) == 0).then(|| self.id()),
            }),
            8 => self.gossip(bytes),
            9 => Request::Register(
                self.register(Hash(self.group.presence_key()), bytes.byte())
                    .registration,
            ),
            10 => match bytes.below(4) {
                0 => Request::Unregister(Hash(self.group.presence_key())),
                chunk => Request::FetchPart {
                    tag: self.tag(),
                    blob: Hash(*blake3::hash(&blobs::content()).as_bytes()),
                    chunk: (chunk > 1).then_some(chunk as u32),
                },
            },
            _ => Request::Sample {
                key: Hash(self.group.presence_key()),
                count: u32::from(bytes.byte()),
            },
        })
    }

    fn demand(&mut self, bytes: &mut Bytes<'_>) -> Request {
        let input = input(bytes);
        let doubtful = Head {
            epoch: 1,
            sequence: 1,
            hash: Hash([bytes.byte(); 32]),
        };
        let demand = Demand {
            nonce: [bytes.byte(); 16],
            scope: Scope::Group,
            service: input.service() as u8,
            model: input.names().or((bytes.below(2) == 0).then_some(MODEL)),
            items: input.len() as u32,
            tokens: input.units(),
            deadline_ms: 30_000,
            head: if bytes.below(4) == 0 {
                Some(doubtful)
            } else {
                self.head()
            },
            keys: match &input {
                WorkInput::Cached { keys } if bytes.below(4) > 0 => Some(keys.clone()),
                _ => None,
            },
            bytes: match &input {
                WorkInput::Keep { bytes: of, .. } if bytes.below(4) > 0 => Some(*of),
                _ => None,
            },
        };
        self.asked.push((demand.clone(), input));
        let tag = self.tag();
        Request::RequestProposal { tag, demand }
    }

    fn counter(&self) -> Option<Request> {
        let (_, _, signed, proposal) = self.proposals.last()?;
        Some(Request::Counter {
            tag: self.tag(),
            proposal: signed.hash::<Proposal>(),
            price: Millicredits(proposal.price.0 * 9 / 10),
        })
    }

    fn agree(&mut self, bytes: &mut Bytes<'_>) -> Option<Request> {
        if bytes.below(4) > 0 || self.deals.is_empty() {
            let at = bytes.below(self.proposals.len().max(1));
            let (demand, input, signed, proposal) = self.proposals.get(at)?;
            let terms = Agreement {
                version: OBJECT_VERSION,
                requester: self.id(),
                provider: self.node,
                proposal: signed.hash::<Proposal>(),
                scope: demand.scope,
                service: demand.service,
                model: proposal.model,
                precision: proposal.precision,
                rule: input.rule(),
                cosine_min_ppm: match input.rule() {
                    ComparisonRule::Cosine => 990_000,
                    ComparisonRule::Exact => 0,
                },
                items: demand.items,
                tokens: demand.tokens,
                input: input.hash(),
                price: proposal.price,
                factors: proposal.factors,
                promised_ms: proposal.promised_ms,
            };
            let signed = Signed::seal(&self.signer, &terms);
            let input = input.clone();
            self.deals.push(Deal {
                terms,
                signed,
                countersignature: None,
                input,
                partial: None,
                half: None,
            });
        }
        let agreement = self.deals.last()?.signed.clone();
        let tag = self.tag();
        Some(Request::Agree { tag, agreement })
    }

    /// Pays the newest deal, or an older one again; now and then on a place that is taken already.
    fn settle(&mut self, bytes: &mut Bytes<'_>) -> Option<Request> {
        let at = self
            .deals
            .len()
            .checked_sub(1 + bytes.below(self.deals.len().max(1)))?;
        let cheats = bytes.below(16) == 0;
        let me = self.id();
        let deal = self.deals.get(at)?;
        let countersignature = deal.countersignature?;
        let partial = deal.partial.clone();
        let units = partial
            .as_ref()
            .and_then(|signed| signed.open::<Partial>(&self.node).ok());
        let units = units.map_or(deal.terms.tokens, |partial| partial.units);
        let terms = deal.terms.clone();
        let agreement = deal.signed.clone();
        let block = match &deal.half {
            Some(half) if !cheats => half.clone(),
            _ => {
                let delta = -price::pro_rata(terms.price, units, terms.tokens).0;
                let id = deal.id();
                self.block(&terms, id, units, delta, None, me, cheats)
            }
        };
        self.deals.get_mut(at)?.half = Some(block.clone());
        Some(Request::Settle {
            agreement,
            countersignature,
            block,
            partial,
        })
    }

    /// The next block of the chain, or another one in the place of the last.
    #[allow(clippy::too_many_arguments, reason = "a block has many places")]
    fn block(
        &mut self,
        terms: &Agreement,
        agreement: AgreementId,
        units: u32,
        delta: i64,
        answers: Option<(&Block, Hash)>,
        author: NodeId,
        again: bool,
    ) -> Signed {
        if again {
            self.chain.pop();
        }
        let head = self.head();
        let check = Check::from(&Verification::Unchecked);
        let block = Block {
            version: OBJECT_VERSION,
            author,
            epoch: 1,
            sequence: self.chain.len() as u64 + 1,
            previous: head.map_or(Hash([0; 32]), |head| head.hash),
            counterparty: self.node,
            agreement,
            delta: Millicredits(delta),
            service: terms.service,
            model: terms.model,
            units,
            factors: terms.factors,
            scope: terms.scope,
            mark: Hash(self.group.receipt_mark(agreement.as_bytes())),
            check: answers.map_or(check, |(payer, _)| payer.check.clone()),
            link: answers.map(|(_, hash)| hash),
            at_ms: u64::from(again),
        };
        let signed = Signed::seal(&self.signer, &block);
        self.chain.push(signed.clone());
        signed
    }

    fn reject(&self) -> Option<Request> {
        let verdict = Verdict {
            version: OBJECT_VERSION,
            agreement: self.deals.last()?.id(),
            output: None,
            cosine_ppm: 0,
            required_ppm: 990_000,
        };
        Some(Request::Reject(Signed::seal(&self.signer, &verdict)))
    }

    fn gossip(&self, bytes: &mut Bytes<'_>) -> Request {
        let hops = bytes.byte();
        let rumours = self.chain.iter().rev().take(4).cloned();
        let proof = match self.chain.as_slice() {
            [first, .., second] => vec![FraudProof {
                author: self.id(),
                first: first.clone(),
                second: second.clone(),
            }],
            _ => Vec::new(),
        };
        Request::Gossip(Gossip {
            tag: self.tag(),
            proofs: proof,
            rumours: rumours.map(|block| Rumour { block, hops }).collect(),
        })
    }

    /// The node's answer to one of this peer's requests.
    pub(crate) fn hears(&mut self, request: &Request, response: Response) {
        match (request, response) {
            (Request::RequestProposal { demand, .. }, Response::Proposal(signed)) => {
                let asked = self.asked.iter().find(|(asked, _)| asked == demand);
                if let (Some((demand, texts)), Ok(proposal)) = (asked, signed.open::<Proposal>(&self.node)) {
                    self.proposals
                        .push((demand.clone(), texts.clone(), signed, proposal));
                }
            }
            (Request::Agree { agreement, .. }, Response::Agreed { signature }) => {
                let deals = self.deals.iter_mut();
                for deal in deals.filter(|deal| deal.signed == *agreement) {
                    deal.countersignature = Some(signature);
                }
            }
            (Request::Cancel { agreement }, Response::Cancelled(partial)) => {
                let deals = self.deals.iter_mut();
                for deal in deals.filter(|deal| deal.id() == *agreement && deal.half.is_none()) {
                    deal.partial = Some(partial.clone());
                }
            }
            _ => {}
        }
    }

    /// What an honest peer answers the node.
    pub(crate) fn answer(&mut self, request: &Request, value: u8) -> Option<Response> {
        Some(match request {
            Request::Register(_) => Response::Registered { ttl_ms: 60_000 },
            Request::Unregister(_) | Request::Reject(_) | Request::Gossip(_) => Response::Noted,
            Request::Sample { key, .. } => Response::Sampled {
                total: 2,
                records: vec![self.register(*key, value)],
            },
            Request::RequestProposal { demand, .. } => Response::Proposal(self.propose(demand)),
            Request::Counter { .. } => return None,
            Request::Agree { agreement, .. } => {
                let terms: Agreement = agreement.open(&self.node).ok()?;
                let id = AgreementId(agreement.hash::<Agreement>().0);
                self.sold.insert(id, terms);
                let signature = Domain::Agreement.sign(&self.signer, &agreement.body);
                Response::Agreed { signature }
            }
            Request::Execute { agreement, input } => self.result(*agreement, input),
            Request::Cancel { agreement } => {
                let partial = Partial {
                    version: OBJECT_VERSION,
                    agreement: *agreement,
                    units: u32::from(value % 4),
                };
                Response::Cancelled(Signed::seal(&self.signer, &partial))
            }
            Request::Settle {
                agreement,
                countersignature,
                block,
                ..
            } => Response::Settled(self.receive(agreement, countersignature, block)?),
            Request::FetchBlocks(fetch) => Response::Blocks(Blocks {
                head: self.head(),
                blocks: self.chain.iter().take(4).cloned().collect(),
                receipts: fetch.of.map(|_| self.receipts.iter().take(16).cloned().collect()),
            }),
            Request::FetchPart { chunk, .. } => {
                let part = chunk.map_or(Part::Outline, Part::Chunk);
                let mut bytes = blobs::given(&blobs::content(), part);
                bytes.truncate(usize::MAX >> (value % 64));
                Response::Part(bytes)
            }
        })
    }

    fn register(&self, key: Hash, sequence: u8) -> SampledRecord {
        let owner = self.id();
        let presence = key == Hash(self.group.presence_key());
        let registration = Registration {
            version: OBJECT_VERSION,
            owner,
            sequence: sequence.into(),
            key,
            ttl_ms: 60_000,
            tag: Hash(self.group.tag(Purpose::Registration, &owner, &owner)),
            addresses: vec!["/memory/1".to_owned()],
            presence: presence.then_some(Presence {
                tier: Some(Tier::Power),
            }),
            offer: (!presence).then(|| Offer {
                service: Service::Inference as u8,
                model: Some(MODEL),
                model_name: None,
                unit_price: factors(1).price().unwrap(),
                factors: factors(1),
                capacity: 4,
                unit_ms: Some(2_000),
                precision: Precision::F32,
            }),
        };
        SampledRecord {
            owner,
            registration: Signed::seal(&self.signer, &registration),
            age_ms: 10,
        }
    }

    fn propose(&self, demand: &Demand) -> Signed {
        let factors = factors(demand.tokens);
        let proposal = Proposal {
            version: OBJECT_VERSION,
            provider: self.id(),
            requester: self.node,
            demand: demand.hash(),
            model: Some(MODEL),
            precision: Precision::F32,
            price: factors.price().unwrap(),
            factors,
            promised_ms: 2_000,
            valid_ms: 20_000,
        };
        Signed::seal(&self.signer, &proposal)
    }

    fn result(&self, agreement: AgreementId, input: &WorkInput) -> Response {
        let output = output(input, 0);
        let head = ResultHead {
            version: OBJECT_VERSION,
            agreement,
            output: output.hash(),
            took_ms: 5,
            origin: None,
        };
        let units = match &output {
            WorkOutput::Embeddings { .. } | WorkOutput::Cached { .. } | WorkOutput::Held { .. } => None,
            // As many as the module's outcomes show.
            WorkOutput::Runs { outcomes } => Some(outcomes.len() as u32),
        };
        let partial = units.filter(|units| *units < input.units()).map(|units| {
            let partial = Partial {
                version: OBJECT_VERSION,
                agreement,
                units,
            };
            Signed::seal(&self.signer, &partial)
        });
        Response::Result {
            head: Signed::seal(&self.signer, &head),
            output,
            partial,
        }
    }

    /// Answers the node's half, the same one always with the same.
    fn receive(&mut self, agreement: &Signed, countersignature: &[u8; 64], own: &Signed) -> Option<Signed> {
        if let Some(receipt) = self.receipts.iter().find(|receipt| receipt.own == *own) {
            return Some(receipt.other.clone());
        }
        let payer: Block = own.open(&self.node).ok()?;
        let terms: Agreement = agreement.open(&self.node).ok()?;
        let answers = Some((&payer, own.hash::<Block>()));
        let me = self.id();
        let other = self.block(
            &terms,
            payer.agreement,
            payer.units,
            -payer.delta.0,
            answers,
            me,
            false,
        );
        self.receipts.push(Receipt {
            own: own.clone(),
            other: other.clone(),
            agreement: agreement.clone(),
            countersignature: *countersignature,
        });
        Some(other)
    }
}

fn factors(tokens: u32) -> Factors {
    Factors {
        base_cost: price::base_cost(price::unit_rate(Millicredits(100), 500.0), tokens),
        quality_multiplier: price::quality_multiplier(Precision::F32, 500.0),
        market_demand: 1_000_000,
        reputation_factor: 1_000_000,
    }
}

/// Some texts, or some runs.
pub(crate) fn input(bytes: &mut Bytes<'_>) -> WorkInput {
    let how = bytes.byte();
    let count = 1 + how % 3;
    let text = |number: u8| format!("text {number}");
    match how >> 6 {
        0 | 1 => WorkInput::Texts {
            texts: (0..count).map(text).collect(),
        },
        3 => WorkInput::Cached {
            keys: (0..count).map(|number| key_of(&text(number))).collect(),
        },
        _ if how & 32 != 0 => WorkInput::Keep {
            blob: MODULE.blob,
            bytes: MODULE.bytes,
            hours: 1 + u32::from(how % 4),
            questions: (0..count).map(question).collect(),
            answers: Vec::new(),
        },
        _ => WorkInput::Runs {
            module: MODULE,
            fuel: FUEL_PER_UNIT * u64::from(1 + how % 4),
            inputs: (0..count).map(|number| vec![number]).collect(),
        },
    }
}

fn question(number: u8) -> Question {
    Question {
        block: number.into(),
        nonce: [number; 32],
    }
}

/// What comes out of it, with so many rows more than there should be.
pub(crate) fn output(input: &WorkInput, more: usize) -> WorkOutput {
    match input {
        WorkInput::Texts { texts } => {
            let excess = texts.iter().take(more);
            WorkOutput::Embeddings {
                dimension: DIMENSION as u32,
                values: texts
                    .iter()
                    .chain(excess)
                    .flat_map(|text| embedding(text))
                    .collect(),
                backend: "cpu".to_owned(),
            }
        }
        WorkInput::Cached { keys } => {
            let excess = keys.iter().take(more);
            let answer = |_: &Hash| CachedAnswer { rows: Vec::new() };
            WorkOutput::Cached {
                answers: keys.iter().chain(excess).map(answer).collect(),
            }
        }
        WorkInput::Keep { questions, .. } => {
            let excess = questions.iter().take(more);
            let answer = |question: &Question| Hash(question.nonce);
            WorkOutput::Held {
                answers: questions.iter().chain(excess).map(answer).collect(),
            }
        }
        WorkInput::Runs { module, inputs, .. } => {
            let excess = inputs.iter().take(more);
            WorkOutput::Runs {
                outcomes: inputs
                    .iter()
                    .chain(excess)
                    .map(|input| outcome(module, input))
                    .collect(),
            }
        }
    }
}
