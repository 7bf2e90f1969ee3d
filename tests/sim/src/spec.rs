//! What a world is made of: hosts with their devices and intentions, links, relays, and the times of a run.

use node_proto::{Config, Group};

use crate::engine::Honesty;
use crate::event::Act;
use crate::network::{Links, Millis};

/// A world before it begins.
#[derive(Clone)]
pub struct WorldSpec {
    /// Everything random follows from it.
    pub seed: u64,
    /// The group that all hosts are in; strangers to each other in the open one.
    pub group: Group,
    /// How messages travel.
    pub links: Links,
    /// Discovery points; each host uses one.
    pub relays: u32,
    /// The hosts, by number.
    pub hosts: Vec<HostSpec>,
    /// What happens to hosts apart from their own plans.
    pub acts: Vec<(Millis, u32, Act)>,
    /// Requests begin within this time.
    pub asking: std::ops::Range<Millis>,
    /// Times of higher demand and the factor by which requests come faster.
    pub surge: Option<(std::ops::Range<Millis>, u64)>,
    /// The end of the world.
    pub until: Millis,
    /// Hosts of which others note what they think.
    pub watched: Vec<u32>,
}

/// A host: a device with somebody's intentions.
#[derive(Clone)]
pub struct HostSpec {
    /// Its node's parameters.
    pub config: Config,
    /// Its clock is this much ahead, milliseconds.
    pub skew_ms: i64,
    /// What it lends.
    pub lends: Option<Device>,
    /// What it wants.
    pub wants: Option<Wants>,
    /// How it plays.
    pub conduct: Conduct,
}

/// A device that lends its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// What it really computes, tokens a second.
    pub speed: u32,
    /// What it says that it computes, tokens a second.
    pub claimed_speed: u32,
    /// What a second of the engine costs its owner, millicredits. The price that the node asks is
    /// [`Config::engine_second_price`].
    pub second_cost: i64,
    /// Whether its results are right.
    pub honesty: Honesty,
}

/// The requests of one host: a Poisson process of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Mean time between two requests, milliseconds.
    pub gap_ms: u64,
    /// Fewest texts of a request; most are twice as many.
    pub items_min: u32,
    /// Estimated tokens of one text.
    pub item_tokens: u32,
    /// Worth of 1,000 tokens to the buyer, at least, millicredits; the buyer pays no more than a request is worth.
    pub worth_min: u64,
    /// Worth varies over so many doublings.
    pub worth_octaves: u64,
    /// By when a request must be served, milliseconds.
    pub deadline_ms: u32,
}

/// How a host departs from the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conduct {
    /// Never lets a payment leave.
    pub keeps_payments: bool,
    /// Checks with false known answers, so that it refuses what is right and says that it was wrong.
    pub slanders: bool,
    /// Takes a new name after so many requests.
    pub renames_after: Option<u32>,
    /// Every start draws the same randomness, and neither asks for lost blocks nor shows its own: going back twice to one
    /// backup contradicts what was signed in between.
    pub forks: bool,
    /// Asks nobody but its fellows, and computes for them in no time: trades that only look like trades.
    pub coalition: Option<Coalition>,
}

/// Hosts of one mind, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coalition {
    /// The first of them.
    pub first: u32,
    /// How many they are.
    pub count: u32,
}

impl Coalition {
    /// Whether a host is one of them.
    pub fn contains(&self, host: u32) -> bool {
        (self.first..self.first + self.count).contains(&host)
    }
}

impl HostSpec {
    /// Whether it keeps to the rules in everything.
    pub fn is_honest(&self) -> bool {
        let device = self
            .lends
            .is_none_or(|device| device.honesty == Honesty::Right && device.claimed_speed == device.speed);
        device && self.conduct == Conduct::default()
    }
}
