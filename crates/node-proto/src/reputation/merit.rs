//! What others' receipts say: MeritRank, a personalised random walk that a crowd of fake identities cannot profit from.
//!
//! B. Nasrulin, G. Ishmaev, J. Pouwelse, *MeritRank: Sybil Tolerant Reputation for Merit-based Tokenomics*, BRAINS 2022
//! (arXiv 2207.09950). An edge u → v weighs what u paid v over receipts that u signed: work of v that u accepted. Walks
//! start at this node and follow edges in proportion to their weight; a peer's merit is the part of the walks that visit
//! it.
//!
//! - **Transitivity decay** α ([`STOP_PPM`]): every step ends the walk with this probability. What is far away counts
//!   little, and a coalition gets at most `(1 − α) / α` times the share of walks that enters it, whatever it signs among
//!   itself.
//! - **Connectivity decay** β ([`BRIDGE_DECAY_PPM`]): a peer that is reached through one and the same other in more than
//!   [`BRIDGE_PPM`] of its visits hangs on that one's word, as fake identities hang on their maker's, and loses this part of
//!   its merit.
//!
//! Only payments make edges, so there is no way to speak ill of a peer: slander has no effect here at all.
//!
//! **Incremental**: the walks are kept. A new payment u → v of weight w, with W paid by u before, redirects each walk that
//! went on from u with probability `w / (W + w)`; the rest stays as it is and is still distributed as a fresh walk would be
//! (B. Bahmani, A. Chowdhury, A. Goel, *Fast Incremental and Personalized PageRank*, VLDB 2010). A payment by somebody whom
//! no walk visits costs nothing.
//!
//! Bounds: [`PEERS_MAX`] peers, [`EDGES_MAX`] edges out of each but this node, [`WALKS`] walks of [`STEPS_MAX`] steps.
//! Walks end where they would come back to a peer, so that a ring gains nothing by turning in it.

use std::cell::Cell;

use litemap::LiteMap;

use crate::ids::NodeId;
use crate::order;
use crate::rng::Rng;

/// Walks that are kept; merit has a resolution of one in so many.
const WALKS: u16 = 1_000;
/// α: a step ends the walk with this probability, parts per million. The paper evaluates 0.1 to 0.4.
const STOP_PPM: u32 = 200_000;
/// More than this part of a peer's visits through one other is a bridge, parts per million.
const BRIDGE_PPM: u64 = 900_000;
/// β: what a peer behind a bridge loses, parts per million.
const BRIDGE_DECAY_PPM: u64 = 500_000;
/// No walk is longer; with α = 0.2 one in 35 would be.
const STEPS_MAX: usize = 16;
const PEERS_MAX: usize = 16_384;
const EDGES_MAX: usize = 256;
/// This node's own place.
const EGO: Place = 0;

/// Where a peer is in the graph; there are at most [`PEERS_MAX`].
type Place = u16;

/// One peer's place in the graph.
#[derive(Default)]
struct Vertex {
    /// To whom it paid how much.
    paid: Vec<(Place, u64)>,
    total: u64,
    /// The walks that visit it, in ascending order.
    walks: Vec<u16>,
    /// Its merit, once somebody asked, until a walk that visits it comes or goes. How a walk comes here cannot change
    /// without that, since walks are cut before they are redirected.
    merit: Cell<Option<f64>>,
}

impl Vertex {
    fn begin_visit(&mut self, walk: u16) {
        if let Err(at) = self.walks.binary_search(&walk) {
            self.walks.insert(at, walk);
        }
        self.merit.set(None);
    }

    fn end_visit(&mut self, walk: u16) {
        if let Ok(at) = self.walks.binary_search(&walk) {
            self.walks.remove(at);
        }
        self.merit.set(None);
    }
}

/// A walk in place: a thousand short rows of their own would take an allocation each.
#[derive(Clone, Copy)]
struct Walk {
    places: [Place; STEPS_MAX + 1],
    length: u8,
}

impl Walk {
    /// One that has not left this node.
    const START: Self = Self {
        places: [EGO; STEPS_MAX + 1],
        length: 1,
    };

    fn steps(&self) -> &[Place] {
        &self.places[..usize::from(self.length)]
    }

    /// Goes on to a place; false when the walk is as long as it may be.
    fn push(&mut self, step: Place) -> bool {
        let Some(place) = self.places.get_mut(usize::from(self.length)) else {
            return false;
        };
        *place = step;
        self.length += 1;
        true
    }
}

/// The graph of payments as seen from one node, and the walks in it.
pub(crate) struct MeritRank {
    ids: Vec<NodeId>,
    places: LiteMap<NodeId, Place>,
    vertices: Vec<Vertex>,
    /// Each begins at [`EGO`].
    walks: Vec<Walk>,
    /// Visits of all peers, this node not counted, and the squares of each one's.
    visits: (u64, u64),
    rng: Rng,
}

impl MeritRank {
    pub(crate) fn new(me: NodeId) -> Self {
        let ego = Vertex {
            walks: (0..WALKS).collect(),
            ..Vertex::default()
        };
        Self {
            ids: vec![me],
            places: LiteMap::from_iter([(me, EGO)]),
            vertices: vec![ego],
            walks: vec![Walk::START; usize::from(WALKS)],
            visits: (0, 0),
            // The walks need no secret: the same receipts in the same order give the same merit.
            rng: Rng::new(0, &me),
        }
    }

    /// Whether a payment by this peer would count at all.
    pub(crate) fn reaches(&self, peer: &NodeId) -> bool {
        let place = self
            .places
            .get(peer)
            .and_then(|place| self.vertices.get(*place as usize));
        place.is_some_and(|vertex| !vertex.walks.is_empty())
    }

    /// `from` paid `to` for work that it accepted.
    pub(crate) fn paid(&mut self, from: &NodeId, to: &NodeId, credits: u64) {
        if from == to || credits == 0 || !self.places.contains_key(from) {
            return;
        }
        let (Some(from), Some(to)) = (self.place(from), self.place(to)) else {
            return;
        };
        let before = self.vertices[from as usize].total;
        if !self.weigh(from, to, credits) {
            return;
        }
        let visiting = self.vertices[from as usize].walks.clone();
        for walk in visiting {
            self.redirect(walk, from, to, before, credits);
        }
    }

    /// The part of the walks that visit a peer, after both decays; 0 for a stranger.
    pub(crate) fn merit(&self, peer: &NodeId) -> f64 {
        let Some(place) = self.places.get(peer).copied().filter(|place| *place != EGO) else {
            return 0.0;
        };
        let vertex = &self.vertices[place as usize];
        let merit = vertex.merit.get().unwrap_or_else(|| self.count(place));
        vertex.merit.set(Some(merit));
        merit
    }

    /// The merit of the peer that a visit is paid to on average, before decays. Fake identities without visits do not move
    /// it.
    pub(crate) fn typical(&self) -> f64 {
        match self.visits {
            (0, _) => 0.0,
            (visits, squares) => squares as f64 / visits as f64 / f64::from(WALKS),
        }
    }

    fn count(&self, place: Place) -> f64 {
        let visits = self.vertices[place as usize].walks.len() as u64;
        if visits == 0 {
            return 0.0;
        }
        let mut through: LiteMap<Place, u64> = LiteMap::new();
        for walk in &self.vertices[place as usize].walks {
            let steps = self.walks[*walk as usize].steps().iter().skip(1);
            for step in steps.take_while(|step| **step != place) {
                *through.entry(*step).or_default() += 1;
            }
        }
        let most = through.values().copied().max().unwrap_or(0);
        let kept = if most * 1_000_000 > visits * BRIDGE_PPM {
            1_000_000 - BRIDGE_DECAY_PPM
        } else {
            1_000_000
        };
        (visits * kept) as f64 / (f64::from(WALKS) * 1e6)
    }

    /// By whose payments walks reach a peer, and what part of its visits each accounts for; the most important first.
    pub(crate) fn vouchers(&self, peer: &NodeId, count: usize) -> Vec<(NodeId, f64)> {
        let Some(place) = self.places.get(peer).copied().filter(|place| *place != EGO) else {
            return Vec::new();
        };
        let walks = &self.vertices[place as usize].walks;
        let mut last: LiteMap<Place, usize> = LiteMap::new();
        for walk in walks {
            let steps = self.walks[*walk as usize].steps();
            let before = steps
                .iter()
                .position(|step| *step == place)
                .and_then(|at| at.checked_sub(1));
            if let Some(voucher) = before.and_then(|at| steps.get(at)) {
                *last.entry(*voucher).or_default() += 1;
            }
        }
        let vouchers: Vec<(Place, usize)> = last.into_iter().collect();
        let vouchers = order::sorted(&vouchers, |a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let all = walks.len().max(1) as f64;
        let named = vouchers.into_iter().take(count);
        named
            .map(|(voucher, visits)| (self.ids[voucher as usize], visits as f64 / all))
            .collect()
    }

    fn place(&mut self, peer: &NodeId) -> Option<Place> {
        if let Some(place) = self.places.get(peer) {
            return Some(*place);
        }
        let place = Place::try_from(self.ids.len())
            .ok()
            .filter(|_| self.ids.len() < PEERS_MAX)?;
        self.ids.push(*peer);
        self.places.insert(*peer, place);
        self.vertices.push(Vertex::default());
        Some(place)
    }

    /// Adds to an edge; false when the payer has too many.
    fn weigh(&mut self, from: Place, to: Place, credits: u64) -> bool {
        let vertex = &mut self.vertices[from as usize];
        let is_full = from != EGO && vertex.paid.len() >= EDGES_MAX;
        match vertex.paid.iter_mut().find(|(other, _)| *other == to) {
            Some((_, weight)) => *weight = weight.saturating_add(credits),
            None if is_full => return false,
            None => vertex.paid.push((to, credits)),
        }
        vertex.total = vertex.total.saturating_add(credits);
        true
    }

    /// Gives one walk that visits `from` its chance to take the new edge.
    fn redirect(&mut self, walk: u16, from: Place, to: Place, before: u64, credits: u64) {
        let steps = self.walks[walk as usize].steps();
        let Some(at) = steps.iter().position(|step| *step == from) else {
            return;
        };
        let ended_here = at + 1 == steps.len();
        let takes = match (ended_here, before) {
            // It ended because there was nowhere to go: now there is.
            (true, 0) => !self.rng.chance_ppm(STOP_PPM),
            (true, _) => false,
            (false, _) => {
                let whole = u128::from(before) + u128::from(credits);
                u128::from(self.rng.next_u64()) * whole < u128::from(credits) << 64
            }
        };
        if takes {
            self.cut(walk, at + 1);
            self.walk_on(walk, Some(to));
        }
    }

    fn cut(&mut self, walk: u16, length: usize) {
        let steps = &mut self.walks[walk as usize];
        for step in &steps.steps()[length..] {
            let vertex = &mut self.vertices[*step as usize];
            vertex.end_visit(walk);
            self.visits.0 -= 1;
            // From (n + 1)² to n².
            self.visits.1 -= 2 * vertex.walks.len() as u64 + 1;
        }
        steps.length = steps.length.min(length as u8);
    }

    /// Continues a walk from where it stands, to `next` first.
    fn walk_on(&mut self, walk: u16, mut next: Option<Place>) {
        while let Some(step) = next {
            let steps = &mut self.walks[walk as usize];
            if steps.steps().contains(&step) || !steps.push(step) {
                return;
            }
            let vertex = &mut self.vertices[step as usize];
            // From n² to (n + 1)².
            self.visits.1 += 2 * vertex.walks.len() as u64 + 1;
            self.visits.0 += 1;
            vertex.begin_visit(walk);
            next = if self.rng.chance_ppm(STOP_PPM) {
                None
            } else {
                self.draw(step)
            };
        }
    }

    /// One of those whom a peer paid, in proportion to what it paid them.
    fn draw(&mut self, from: Place) -> Option<Place> {
        let vertex = &self.vertices[from as usize];
        let mut left = ((u128::from(self.rng.next_u64()) * u128::from(vertex.total)) >> 64) as u64;
        for (to, weight) in &vertex.paid {
            if left < *weight {
                return Some(*to);
            }
            left -= weight;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn id(number: u32) -> NodeId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        NodeId(id)
    }

    fn graph(payments: &[(u32, u32, u64)]) -> MeritRank {
        let mut graph = MeritRank::new(id(0));
        for (from, to, credits) in payments {
            graph.paid(&id(*from), &id(*to), *credits);
        }
        graph
    }

    #[test]
    fn merit_follows_payments_and_fades_with_distance() {
        let graph = graph(&[(0, 1, 300), (0, 2, 100), (1, 3, 50), (2, 3, 50), (3, 4, 10)]);
        let merit = |number| graph.merit(&id(number));
        // A walk leaves with 1 − α = 0.8 and goes to 1 in three of four cases.
        assert!((merit(1) - 0.6).abs() < 0.06, "{}", merit(1));
        assert!((merit(2) - 0.2).abs() < 0.05, "{}", merit(2));
        assert!((merit(3) - 0.64).abs() < 0.06, "{}", merit(3));
        assert!(merit(4) < merit(3) && merit(4) > 0.0);
        assert_eq!(merit(9), 0.0);
        let vouchers = graph.vouchers(&id(3), 8);
        assert_eq!(
            vouchers.iter().map(|(voucher, _)| *voucher).collect::<Vec<_>>(),
            [id(1), id(2)]
        );
        assert!((vouchers.iter().map(|(_, part)| part).sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn kept_walks_are_distributed_like_fresh_ones() {
        // The same payments in another order: the walks were redirected at other times, the merit is the same but for noise.
        let forward = [
            (0, 1, 100),
            (1, 2, 100),
            (0, 3, 100),
            (3, 2, 50),
            (0, 1, 200),
            (1, 4, 300),
            (3, 4, 50),
        ];
        let backward: Vec<_> = forward.iter().rev().copied().collect();
        // Reversed, payments of peers that are not known yet would not count: they are given twice.
        let mut other = MeritRank::new(id(0));
        for (_, to, _) in &backward {
            other.place(&id(*to));
        }
        for (from, to, credits) in &backward {
            other.paid(&id(*from), &id(*to), *credits);
        }
        let first = graph(&forward);
        for number in 1..=4 {
            let (a, b) = (first.merit(&id(number)), other.merit(&id(number)));
            assert!((a - b).abs() < 0.07, "{number}: {a} {b}");
        }
    }

    #[test]
    fn a_crowd_of_fakes_gains_what_its_maker_earned_and_no_more() {
        // 1 is honest, 2 makes fakes. Both earned the same from this node.
        let mut payments = vec![(0, 1, 1_000), (0, 2, 1_000), (1, 3, 500)];
        let alone: f64 = graph(&payments).merit(&id(2));
        for fake in 100..110 {
            payments.push((2, fake, 1_000_000));
            for other in 100..110 {
                payments.push((fake, other, 1_000_000));
            }
            payments.push((fake, 2, 1_000_000));
        }
        let graph = graph(&payments);
        let fakes: Vec<f64> = (100..110).map(|fake| graph.merit(&id(fake))).collect();
        // All of them hang on 2: halved, and together below (1 − α)/α times what enters through it.
        assert!(fakes.iter().sum::<f64>() < 0.5 * 4.0 * alone);
        assert!(
            fakes.iter().all(|fake| *fake < graph.merit(&id(1)) / 2.0),
            "{fakes:?}"
        );
        assert!((graph.merit(&id(2)) - alone).abs() < 0.05);
    }

    #[test]
    fn what_nobody_trusted_says_counts_for_nothing() {
        let mut graph = graph(&[(0, 1, 100)]);
        graph.paid(&id(7), &id(8), 1_000_000);
        graph.paid(&id(1), &id(1), 1_000_000);
        assert_eq!((graph.merit(&id(7)), graph.merit(&id(8))), (0.0, 0.0));
        assert!(!graph.reaches(&id(7)) && graph.reaches(&id(1)));
        assert!((graph.merit(&id(1)) - 0.8).abs() < 0.05);
    }

    #[test]
    fn every_index_agrees_with_the_walks() {
        let mut graph = MeritRank::new(id(0));
        let mut rng = Rng::new(3, &id(1));
        for _ in 0..2_000 {
            let (from, to) = (rng.below(60) as u32, rng.below(60) as u32);
            graph.paid(&id(from), &id(to), rng.below(500) as u64);
        }
        for (place, vertex) in graph.vertices.iter().enumerate() {
            let visiting: Vec<u16> = (0..WALKS)
                .filter(|walk| graph.walks[*walk as usize].steps().contains(&(place as Place)))
                .collect();
            assert_eq!(vertex.walks, visiting);
            assert_eq!(
                vertex.total,
                vertex.paid.iter().map(|(_, weight)| weight).sum::<u64>()
            );
        }
        let visits = graph.vertices[1..].iter().map(|vertex| vertex.walks.len() as u64);
        let sums = visits.fold((0, 0), |(sum, squares), n| (sum + n, squares + n * n));
        assert_eq!(graph.visits, sums);
        assert!(graph.walks.iter().all(|walk| walk.steps()[0] == EGO));
    }
}
