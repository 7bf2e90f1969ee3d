//! The ledger against a model: several parties trade over a network that loses and repeats, with disks that lose what was
//! written last, in arbitrary order. The model is a list of what was agreed and which of it was acknowledged.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::group::GroupSecret;
use crate::price::Factors;
use crate::service::{Precision, Scope};
use crate::sign::{Domain, Ed25519Signer};
use crate::wire::ComparisonRule;

#[path = "../../tests/draw/mod.rs"]
mod draw;

use draw::Draw;

const PARTIES: usize = 3;
const STEPS: usize = 60;
/// A batch of the fold and what stays whole.
const WHOLE_MAX: usize = 8;
const FOLDED_TRADES: usize = 280;

type Disk = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the model knows of one agreement.
struct Deal {
    payer: usize,
    receiver: usize,
    contract: Contract,
    /// The receiver's answer has left, so it was durable.
    acknowledged: bool,
}

#[derive(Clone)]
enum Message {
    Settle {
        deal: usize,
        half: Signed,
    },
    Settled {
        deal: usize,
        place: Place,
        answer: Signed,
    },
}

struct Party {
    signer: Ed25519Signer,
    ledger: Ledger,
    disk: Disk,
    /// Writes that are not durable, and what leaves when they are.
    queue: VecDeque<(Vec<Write>, Vec<Message>)>,
    backup: Option<Disk>,
    /// Of all runs: no shell draws the same twice, but by chance.
    epochs: BTreeSet<u32>,
}

fn group() -> Group {
    Group::private(&GroupSecret::from_bytes([7; 32]))
}

impl Party {
    fn new(number: usize) -> Self {
        let signer = Ed25519Signer::from_secret(&[number as u8 + 1; 32]);
        Self {
            ledger: Ledger::new(signer.id(), group(), 1_000),
            signer,
            disk: Disk::new(),
            queue: VecDeque::new(),
            backup: None,
            epochs: BTreeSet::new(),
        }
    }

    /// A run from what is durable; all else is forgotten.
    fn start(&mut self, draw: &mut Draw) {
        self.queue.clear();
        self.ledger = self.read();
        self.begin_epoch(draw);
    }

    fn read(&self) -> Ledger {
        let mut stored = StoredLedger::default();
        for (key, value) in &self.disk {
            stored.take(key.clone(), value.clone()).unwrap();
        }
        Ledger::restore(self.signer.id(), group(), 1_000, stored).unwrap()
    }

    fn begin_epoch(&mut self, draw: &mut Draw) {
        self.ledger.begin_epoch(draw.number() as u16);
        while !self.epochs.insert(self.ledger.epoch) {
            self.ledger.begin_epoch(draw.number() as u16);
        }
    }

    /// Puts an old backup in place of what is stored.
    fn restore(&mut self, draw: &mut Draw) {
        let Some(backup) = self.backup.clone() else { return };
        let metas: Vec<&[u8]> = backup
            .get(&[META_PREFIX][..])
            .map(Vec::as_slice)
            .into_iter()
            .collect();
        let meta = restored_meta(self.signer.id(), &metas).unwrap();
        self.disk = backup;
        keep(&mut self.disk, vec![meta]);
        self.start(draw);
        assert!(self.ledger.is_closed());
    }

    fn holds(&self, deal: &Deal) -> bool {
        self.ledger.by_agreement.contains_key(&deal.contract.id)
            || self.ledger.folded.contains(&deal.contract.id)
    }

    /// Each block names the one before it, within every epoch.
    fn check_links(&self) {
        let chain = self
            .ledger
            .records
            .values()
            .filter(|record| !record.found && record.in_group);
        let chain: Vec<&Box<Record>> = chain.collect();
        for pair in chain.windows(2) {
            let [before, after] = pair else { unreachable!() };
            if before.block.epoch == after.block.epoch && before.block.sequence + 1 == after.block.sequence {
                assert_eq!(after.block.previous, before.hash);
            }
        }
    }
}

fn keep(disk: &mut Disk, writes: Vec<Write>) {
    for write in writes {
        match write {
            Write::Put { key, value } => disk.insert(key, value),
            Write::Delete { key } => disk.remove(&key),
        };
    }
}

struct Town {
    parties: Vec<Party>,
    deals: Vec<Deal>,
    network: Vec<Message>,
}

impl Town {
    fn new(draw: &mut Draw) -> Self {
        let mut parties: Vec<Party> = (0..PARTIES).map(Party::new).collect();
        parties.iter_mut().for_each(|party| party.begin_epoch(draw));
        Self {
            parties,
            deals: Vec::new(),
            network: Vec::new(),
        }
    }

    fn agree(&mut self, draw: &mut Draw, payer: usize, receiver: usize) -> usize {
        let (requester, provider) = (&self.parties[payer].signer, &self.parties[receiver].signer);
        let price = 1 + draw.below(500) as i64;
        let terms = Agreement {
            version: OBJECT_VERSION,
            requester: requester.id(),
            provider: provider.id(),
            proposal: Hash(*blake3::hash(&self.deals.len().to_le_bytes()).as_bytes()),
            scope: Scope::Group,
            service: 0,
            model: None,
            precision: Precision::F32,
            rule: ComparisonRule::Cosine,
            cosine_min_ppm: 990_000,
            items: 1,
            tokens: 10,
            input: Hash([1; 32]),
            price: Millicredits(price),
            factors: Factors {
                base_cost: price,
                quality_multiplier: 1_000_000,
                market_demand: 1_000_000,
                reputation_factor: 1_000_000,
            },
            promised_ms: 1_000,
        };
        let signed = Signed::seal(requester, &terms);
        let id = AgreementId(signed.hash::<Agreement>().0);
        let partial = draw.one_in(4).then(|| {
            let units = 1 + draw.below(9) as u32;
            let partial = Partial {
                version: OBJECT_VERSION,
                agreement: id,
                units,
            };
            PartialDelivery {
                signed: Signed::seal(provider, &partial),
                units,
            }
        });
        let contract = Contract {
            id,
            terms,
            countersignature: Domain::Agreement.sign(provider, &signed.body),
            signed,
            partial,
        };
        self.deals.push(Deal {
            payer,
            receiver,
            contract,
            acknowledged: false,
        });
        self.deals.len() - 1
    }

    fn pay(&mut self, draw: &mut Draw) {
        let payer = draw.below(PARTIES);
        let receiver = (payer + 1 + draw.below(PARTIES - 1)) % PARTIES;
        if !self.parties[payer].ledger.has_room() {
            return;
        }
        let deal = self.agree(draw, payer, receiver);
        let contract = &self.deals[deal].contract;
        let party = &mut self.parties[payer];
        let paid = party
            .ledger
            .pay(&party.signer, Timestamp(1), contract, &Verification::Unchecked);
        let (place, writes) = paid.unwrap();
        let half = party.ledger.own(place).unwrap();
        party
            .queue
            .push_back((writes, vec![Message::Settle { deal, half }]));
    }

    /// The oldest writes of a party are durable, and what waited for them leaves.
    fn flush(&mut self, party: usize) {
        let Some((writes, messages)) = self.parties[party].queue.pop_front() else {
            return;
        };
        keep(&mut self.parties[party].disk, writes);
        for message in &messages {
            if let Message::Settled { deal, .. } = message {
                self.deals[*deal].acknowledged = true;
            }
        }
        self.network.extend(messages);
    }

    fn deliver(&mut self, draw: &mut Draw) {
        if self.network.is_empty() {
            return;
        }
        let at = draw.below(self.network.len());
        match draw.below(8) {
            0 => drop(self.network.swap_remove(at)),
            1 => self.arrive(self.network[at].clone()),
            2 => self.forge(draw, self.network[at].clone()),
            _ => {
                let message = self.network.swap_remove(at);
                self.arrive(message);
            }
        }
    }

    fn arrive(&mut self, message: Message) {
        match message {
            Message::Settle { deal, half } => {
                let Deal {
                    receiver, contract, ..
                } = &self.deals[deal];
                let party = &mut self.parties[*receiver];
                let before = party.ledger.balance();
                let received = party.ledger.receive(&party.signer, Timestamp(2), contract, &half);
                let known = received.as_ref().is_ok_and(|(_, writes)| writes.is_empty());
                assert!(
                    !known || before == party.ledger.balance(),
                    "a repetition was counted"
                );
                match received {
                    Ok((place, writes)) => {
                        let answer = party.ledger.own(place).unwrap();
                        let place = half_place(&half);
                        party
                            .queue
                            .push_back((writes, vec![Message::Settled { deal, place, answer }]));
                    }
                    // Folded meanwhile, paid for in another run of the payer, or closed after a restore.
                    Err(LedgerError::Mismatch | LedgerError::Full) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            Message::Settled { deal, place, answer } => {
                let party = &mut self.parties[self.deals[deal].payer];
                match party.ledger.complete(place, &answer) {
                    Ok(writes) => party.queue.push_back((writes, Vec::new())),
                    Err(LedgerError::Mismatch) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }

    /// The same with a bit turned, or for another deal: refused, and nothing changes.
    fn forge(&mut self, draw: &mut Draw, message: Message) {
        let at = draw.below(64);
        match message {
            Message::Settle { deal, mut half } => {
                half.signature[at] ^= 1;
                let Deal {
                    receiver, contract, ..
                } = &self.deals[deal];
                let party = &mut self.parties[*receiver];
                let before = party.ledger.balance();
                let received = party.ledger.receive(&party.signer, Timestamp(2), contract, &half);
                assert!(received.is_err() && party.ledger.balance() == before);
            }
            Message::Settled {
                deal,
                place,
                mut answer,
            } => {
                answer.signature[at] ^= 1;
                let party = &mut self.parties[self.deals[deal].payer];
                let before = party.ledger.balance();
                assert!(party.ledger.complete(place, &answer).is_err() && party.ledger.balance() == before);
            }
        }
    }

    /// Payments without an answer are sent again, those that are durable.
    fn resend(&mut self, party: usize) {
        let payer = &self.parties[party];
        let durable = payer.read();
        for (place, _) in payer.ledger.pending() {
            let (Some(pending), Some(_)) = (payer.ledger.pending_at(place), durable.own(place)) else {
                continue;
            };
            let agreement = AgreementId(pending.agreement.hash::<Agreement>().0);
            let deal = self
                .deals
                .iter()
                .position(|deal| deal.contract.id == agreement)
                .unwrap();
            let half = pending.block;
            self.network.push(Message::Settle { deal, half });
        }
    }

    /// A party asks everyone for what it may have lost, and opens.
    fn recover(&mut self, draw: &mut Draw, party: usize) {
        let me = self.parties[party].signer.id();
        for other in (0..PARTIES).filter(|other| *other != party) {
            // What it shows leaves once it is durable, like every other answer.
            while !self.parties[other].queue.is_empty() {
                self.flush(other);
            }
            let peer = self.parties[other].signer.id();
            let mut from = self.parties[party].ledger.newest_with(&peer);
            loop {
                let held = self.parties[other].ledger.held_of(&me, from, 16);
                let Some(last) = held.last() else { break };
                let (epoch, sequence) = half_place(&last.own);
                from = (epoch, sequence + 1);
                let party = &mut self.parties[party];
                for receipt in &held {
                    let writes = match party.ledger.pending_half(&receipt.own) {
                        Some(place) => party.ledger.complete(place, &receipt.other).unwrap(),
                        None => party.ledger.take_back(receipt).unwrap().1,
                    };
                    party.queue.push_back((writes, Vec::new()));
                    let before = party.ledger.balance();
                    assert!(party.ledger.take_back(receipt).unwrap().1.is_empty());
                    assert_eq!(party.ledger.balance(), before);
                }
            }
        }
        let party = &mut self.parties[party];
        if party.ledger.is_closed() || party.ledger.is_overtaken() {
            party.begin_epoch(draw);
            party.ledger.open();
        }
    }

    fn step(&mut self, draw: &mut Draw) {
        let party = draw.below(PARTIES);
        match draw.below(16) {
            0..=3 => self.pay(draw),
            4..=7 => self.flush(party),
            8..=11 => self.deliver(draw),
            12 => self.parties[party].start(draw),
            13 => self.resend(party),
            14 => self.recover(draw, party),
            // Backups are the first one's alone: what two have lost nobody can give back.
            _ if self.parties[0].backup.is_none() || draw.one_in(3) => {
                self.parties[0].backup = Some(self.parties[0].disk.clone());
            }
            _ => {
                self.parties[0].restore(draw);
                // Its connections end with the device.
                let deals = &self.deals;
                self.network.retain(|message| match message {
                    Message::Settle { deal, .. } => deals[*deal].payer != 0,
                    Message::Settled { deal, .. } => deals[*deal].receiver != 0,
                });
                self.recover(draw, 0);
            }
        }
        for deal in self
            .deals
            .iter()
            .filter(|deal| deal.acknowledged && deal.receiver != 0)
        {
            assert!(
                self.parties[deal.receiver].holds(deal),
                "an acknowledged receipt was lost"
            );
        }
        self.parties.iter().for_each(Party::check_links);
    }

    /// Everything that is under way arrives, until nothing is.
    fn come_to_rest(&mut self, draw: &mut Draw) {
        for _ in 0..4 {
            for party in 0..PARTIES {
                self.recover(draw, party);
                while !self.parties[party].queue.is_empty() {
                    self.flush(party);
                }
                self.resend(party);
            }
            while let Some(message) = self.network.pop() {
                self.arrive(message);
            }
        }
        for party in 0..PARTIES {
            while !self.parties[party].queue.is_empty() {
                self.flush(party);
            }
        }
    }

    /// What each has is what the acknowledged deals come to, in memory and on disk.
    fn check_sums(&self) {
        let mut expected = [0_i64; PARTIES];
        for deal in self.deals.iter().filter(|deal| self.counts(deal)) {
            let due = deal.contract.due().0;
            expected[deal.payer] -= due;
            expected[deal.receiver] += due;
        }
        assert_eq!(expected.iter().sum::<i64>(), 0);
        for (party, expected) in self.parties.iter().zip(expected) {
            let sums = (Millicredits(expected), Millicredits::ZERO);
            assert_eq!(party.ledger.balance(), sums);
            let read = party.read();
            assert_eq!(read.balance(), sums);
            assert_eq!(read.newest(), party.ledger.newest());
            for (peer, exposure) in party.ledger.exposures() {
                assert_eq!(read.exposure(peer), *exposure);
            }
        }
    }

    /// Both sides hold it, or neither.
    fn counts(&self, deal: &Deal) -> bool {
        let [payer, receiver] = [deal.payer, deal.receiver].map(|party| self.parties[party].holds(deal));
        let at = |party: usize| self.parties[party].ledger.by_agreement.get(&deal.contract.id);
        assert_eq!(
            payer,
            receiver,
            "one side counts what the other does not: {} at {:?} pays {} at {:?}",
            deal.payer,
            at(deal.payer),
            deal.receiver,
            at(deal.receiver)
        );
        assert!(payer || !deal.acknowledged, "an acknowledged receipt was lost");
        payer
    }
}

impl Ledger {
    /// The newest block of all runs, which is what a later run begins after.
    fn newest(&self) -> Option<Hash> {
        self.records.last_key_value().map(|(_, record)| record.hash)
    }
}

fn half_place(half: &Signed) -> Place {
    store::place_of(half).unwrap().1
}

fn trades_whatever_happens(draw: &mut Draw) {
    let mut town = Town::new(draw);
    for _ in 0..STEPS {
        town.step(draw);
    }
    town.come_to_rest(draw);
    town.check_sums();
}

fn folds_whatever_happens(draw: &mut Draw) {
    let mut town = Town::new(draw);
    for number in 0..FOLDED_TRADES {
        let party = number % PARTIES;
        town.pay(draw);
        town.flush(party);
        if let Some(message) = town.network.pop() {
            town.arrive(message);
        }
    }
    town.come_to_rest(draw);
    for party in (0..PARTIES).cycle().take(2 * PARTIES) {
        let before = town.parties[party].ledger.balance();
        // As the node does, with what else is written.
        let writes = town.parties[party].ledger.fold(WHOLE_MAX);
        assert_eq!(town.parties[party].ledger.balance(), before);
        if draw.one_in(2) {
            town.parties[party].queue.push_back((writes, Vec::new()));
            town.flush(party);
        }
        // The write was lost: the next run folds again.
        town.parties[party].start(draw);
        assert_eq!(town.parties[party].ledger.balance(), before);
    }
    town.come_to_rest(draw);
    town.check_sums();
}

#[test]
fn no_acknowledged_receipt_is_lost_or_counted_twice_whatever_happens() {
    draw::holds(64, trades_whatever_happens);
}

#[test]
fn folding_changes_no_sum_whatever_happens() {
    draw::holds(2, folds_whatever_happens);
}
