//! The network between hosts: how long a message takes, whether it arrives, how often, and who can reach whom.

use crate::rng::{Rng, mix};

/// Milliseconds of virtual time since the start of the world.
pub type Millis = u64;

/// How links behave. Loss and duplication apply between peers; a connection to a relay is a WebSocket, which repeats what
/// is lost itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// Least time that a message takes, milliseconds. Also the width of the windows in which hosts are simulated
    /// independently of one another.
    pub latency_ms_min: u64,
    /// Different pairs are up to this much farther apart, milliseconds.
    pub distance_ms_max: u64,
    /// Each message takes up to this much longer, so that a later one may arrive first, milliseconds.
    pub jitter_ms_max: u64,
    /// Messages and attempts to connect that are lost, parts per million.
    pub loss_ppm: u32,
    /// Messages that arrive twice, parts per million.
    pub twice_ppm: u32,
    /// Who cannot reach whom, and when.
    pub partitions: Vec<Partition>,
}

/// For some time the hosts below `first_beyond` and the others are out of each other's reach. Relays stay with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From then on.
    pub from: Millis,
    /// Until then.
    pub until: Millis,
    /// The first host on the other side.
    pub first_beyond: u32,
}

impl Default for Links {
    /// Between homes on one continent: 20–80 ms one way, some jitter, a thousandth lost, few repeated.
    fn default() -> Self {
        Self {
            latency_ms_min: 20,
            distance_ms_max: 60,
            jitter_ms_max: 20,
            loss_ppm: 1_000,
            twice_ppm: 1_000,
            partitions: Vec::new(),
        }
    }
}

impl Links {
    /// How long one message takes.
    pub fn latency_ms(&self, rng: &mut Rng, from: u32, to: u32) -> u64 {
        let pair = u64::from(from.min(to)) << 32 | u64::from(from.max(to));
        let distance = mix(pair) % (self.distance_ms_max + 1);
        self.latency_ms_min + distance + rng.below(self.jitter_ms_max + 1)
    }

    /// How many times one message arrives.
    pub fn copies(&self, rng: &mut Rng) -> u32 {
        if rng.chance_ppm(self.loss_ppm) {
            0
        } else {
            1 + u32::from(rng.chance_ppm(self.twice_ppm))
        }
    }

    /// Whether a message between the two gets through at this time.
    pub fn reaches(&self, at: Millis, a: u32, b: u32) -> bool {
        self.partitions.iter().all(|partition| {
            let during = (partition.from..partition.until).contains(&at);
            !during || partition.same_side(a, b)
        })
    }
}

impl Partition {
    /// Whether both are on one side.
    pub fn same_side(&self, a: u32, b: u32) -> bool {
        (a < self.first_beyond) == (b < self.first_beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_parts_for_its_time_only() {
        let links = Links {
            partitions: vec![Partition {
                from: 10,
                until: 20,
                first_beyond: 2,
            }],
            ..Links::default()
        };
        assert!(links.reaches(9, 0, 2) && links.reaches(20, 0, 2));
        assert!(!links.reaches(10, 0, 2) && links.reaches(10, 0, 1) && links.reaches(10, 2, 3));
    }

    #[test]
    fn no_message_is_faster_than_the_least_latency() {
        let (links, mut rng) = (Links::default(), Rng::new(1, "test", 0));
        let times: Vec<u64> = (0..1_000).map(|n| links.latency_ms(&mut rng, 0, n)).collect();
        assert!(times.iter().all(|ms| (20..=100).contains(ms)));
        assert!(times.iter().any(|ms| *ms < 30) && times.iter().any(|ms| *ms > 80));
    }
}
