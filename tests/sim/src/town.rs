//! The town that all scenarios begin with: who lives there, what they have and what they want.
//!
//! One host in five lends an engine, at speeds that vary eightfold; everyone asks for embeddings now and then. The numbers
//! are chosen so that about half of the engine time is asked for and a request takes about a second, and are the same at
//! every size of the town, so that what grows with the number of hosts can be seen.

use node_proto::{Config, Group, Millicredits};

use crate::engine::Honesty;
use crate::network::Links;
use crate::rng::Rng;
use crate::spec::{Conduct, Device, HostSpec, Wants, WorldSpec};

/// One host in so many lends.
pub const LENDERS: u32 = 5;
/// Requests begin after the town has settled, milliseconds.
pub const ASKING_FROM_MS: u64 = 20_000;
/// Mean time between two requests of one host, milliseconds.
pub const GAP_MS: u64 = 6_000;
/// Deadline of every request, milliseconds.
pub const DEADLINE_MS: u32 = 15_000;
/// Estimated tokens of each text.
pub const ITEM_TOKENS: u32 = 12;
/// Requests of each host on average.
pub const REQUESTS: u64 = 20;
/// After the last request there is time to settle, and to make the checks that were put off, milliseconds.
pub const SETTLING_MS: u64 = 240_000;
/// Clocks are wrong by up to an hour, milliseconds.
const SKEW_MS_MAX: u64 = 3_600_000;
/// What a lender's second of engine costs it, beside the 100 that it asks for by default.
const SECOND_COST: i64 = 40;

/// Whoever cheats lets its own node spend as much as its parameters allow.
pub const UNLIMITED: Millicredits = Millicredits(1_000_000_000_000);

/// A town of honest people, strangers to each other.
pub fn town(nodes: u32, seed: u64) -> WorldSpec {
    let mut rng = Rng::new(seed, "town", 0);
    let asking = ASKING_FROM_MS..ASKING_FROM_MS + REQUESTS * GAP_MS;
    WorldSpec {
        seed,
        group: Group::open(),
        links: Links::default(),
        relays: nodes.div_ceil(1_000),
        hosts: (0..nodes).map(|index| citizen(index, &mut rng)).collect(),
        acts: Vec::new(),
        until: asking.end + SETTLING_MS,
        asking,
        surge: None,
        watched: Vec::new(),
    }
}

fn citizen(index: u32, rng: &mut Rng) -> HostSpec {
    let lends = index.is_multiple_of(LENDERS).then(|| {
        let speed = rng.octaves(100, 3) as u32;
        device(speed)
    });
    HostSpec {
        config: config(),
        skew_ms: rng.below(2 * SKEW_MS_MAX + 1) as i64 - SKEW_MS_MAX as i64,
        lends,
        wants: Some(wants()),
        conduct: Conduct::default(),
    }
}

/// A device that does and is what it says.
pub fn device(speed: u32) -> Device {
    Device {
        speed,
        claimed_speed: speed,
        second_cost: SECOND_COST,
        honesty: Honesty::Right,
    }
}

/// What everyone wants.
pub fn wants() -> Wants {
    Wants {
        gap_ms: GAP_MS,
        items_min: 12,
        item_tokens: ITEM_TOKENS,
        worth_min: 400,
        worth_octaves: 4,
        deadline_ms: DEADLINE_MS,
    }
}

/// The defaults of the network, but for what depends on how long a session lasts: a town lives for minutes and looks
/// around less often, so that its size is limited by trades and not by small talk.
pub fn config() -> Config {
    Config {
        connections_max: 4,
        sample_interval_ms: 30_000,
        sample_size: 12,
        registration_ttl_ms: 600_000,
        engine_second_price: Millicredits(100),
        // No two requests of a town are for the same texts.
        cache_rows_max: 0,
        ..Config::default()
    }
}
