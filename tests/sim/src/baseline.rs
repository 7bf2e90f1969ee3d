//! What the market is compared with: three simpler ways of choosing, and the best that anyone could do.
//!
//! All four see the same requests and the same devices, know true speeds, pay no probes and have no latency. They are
//! favoured, so that being ahead of them means something.
//!
//! The **upper bound** is the optimum of a linear program. Let `y(r,p) ≥ 0` be the tokens of request `r` computed by
//! provider `p`:
//!
//! ```text
//! maximise   Σ (v(r) − c(p)) y(r,p)        value and cost of a token
//! subject to Σ_p y(r,p) ≤ w(r)             a request is served once
//!            Σ_r y(r,p) ≤ K(p)             capacity over the whole time
//! ```
//!
//! For any price `q ≥ 0` of a token, `D(q) = Σ_r max(0, v(r) − q) w(r) + Σ_p max(0, q − c(p)) K(p)` is the value of a
//! feasible dual solution, so by weak duality no allocation is better. `D` is convex and piecewise linear with its corners at
//! the values and costs; its least value is the optimum itself (the demand and supply curves cross there). So the bound
//! needs no solver and proves itself: whatever `q` was found, `D(q)` is an upper bound.

use std::collections::BinaryHeap;

use crate::record::Request;
use crate::rng::Rng;
use crate::spec::Device;

/// Providers that are looked at when the cheapest is picked, as many as the market asks for quotes.
const SAMPLE: u64 = 4;

/// A provider as the comparison sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Supply {
    /// Tokens a second.
    pub speed: f64,
    /// Millicredits that a token costs its owner.
    pub cost: f64,
    /// Millicredits that are asked for a token.
    pub price: f64,
}

impl Supply {
    /// A device that asks `second_price` for a second of its engine.
    pub fn new(device: &Device, second_price: i64) -> Self {
        let speed = f64::from(device.speed.max(1));
        Self {
            speed,
            cost: device.second_cost as f64 / speed,
            price: second_price as f64 / speed,
        }
    }
}

/// Total welfare under each way of choosing, millicredits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Welfare {
    /// No allocation is better.
    pub bound: f64,
    /// A provider picked at random.
    pub random: f64,
    /// The cheapest of four picked at random.
    pub cheapest: f64,
    /// One queue for all; whoever is free takes the first.
    pub queue: f64,
}

/// Computes all four. `span_ms` is the time in which providers can work.
pub fn compare(requests: &[&Request], supplies: &[Supply], span_ms: u64, seed: u64) -> Welfare {
    let mut rng = Rng::new(seed, "baselines", 0);
    let mut pick = |sample: u64| {
        let drawn = (0..sample).map(|_| rng.below(supplies.len() as u64) as usize);
        drawn.min_by(|a, b| supplies[*a].price.total_cmp(&supplies[*b].price))
    };
    Welfare {
        bound: upper_bound(requests, supplies, span_ms),
        random: dispatched(requests, supplies, || pick(1)),
        cheapest: dispatched(requests, supplies, || pick(SAMPLE)),
        queue: queued(requests, supplies),
    }
}

fn upper_bound(requests: &[&Request], supplies: &[Supply], span_ms: u64) -> f64 {
    let demands: Vec<(f64, f64)> = requests
        .iter()
        .map(|request| {
            (
                worth(request) / f64::from(request.tokens.max(1)),
                request.tokens.into(),
            )
        })
        .collect();
    let dual = |price: f64| {
        let buyers: f64 = demands
            .iter()
            .map(|(value, tokens)| (value - price).max(0.0) * tokens)
            .sum();
        let capacity = |supply: &Supply| supply.speed * span_ms as f64 / 1_000.0;
        let sellers: f64 = supplies
            .iter()
            .map(|s| (price - s.cost).max(0.0) * capacity(s))
            .sum();
        buyers + sellers
    };
    let mut corners: Vec<f64> = demands.iter().map(|(value, _)| *value).collect();
    corners.extend(supplies.iter().map(|supply| supply.cost));
    corners.push(0.0);
    corners.sort_by(f64::total_cmp);
    // The least of a convex function over its corners, by bisection on its slope.
    let (mut low, mut high) = (0, corners.len() - 1);
    while low < high {
        let middle = (low + high) / 2;
        if dual(corners[middle]) <= dual(corners[middle + 1]) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    dual(corners[low])
}

/// Each request goes to one provider at once and waits there.
fn dispatched(requests: &[&Request], supplies: &[Supply], mut pick: impl FnMut() -> Option<usize>) -> f64 {
    let mut free_at = vec![0.0; supplies.len()];
    let mut welfare = 0.0;
    for request in requests {
        let Some(provider) = pick() else { return 0.0 };
        let supply = &supplies[provider];
        if supply.price * f64::from(request.tokens) > worth(request) {
            continue;
        }
        let done = serve(request, supply, free_at[provider]);
        free_at[provider] = done;
        welfare += gain(request, supply, done);
    }
    welfare
}

/// Requests wait in one queue; those that are too late are dropped there.
fn queued(requests: &[&Request], supplies: &[Supply]) -> f64 {
    // Providers by when they are free, in microseconds, the earliest first.
    let mut free: BinaryHeap<(std::cmp::Reverse<u64>, usize)> = (0..supplies.len())
        .map(|provider| (std::cmp::Reverse(0), provider))
        .collect();
    let mut welfare = 0.0;
    for request in requests {
        let Some((std::cmp::Reverse(free_at), provider)) = free.pop() else {
            return 0.0;
        };
        let (supply, free_at) = (&supplies[provider], free_at as f64 / 1_000.0);
        let late = free_at > request.at as f64 + f64::from(request.deadline_ms);
        let dear = supply.price * f64::from(request.tokens) > worth(request);
        let mut done = free_at;
        if !late && !dear {
            done = serve(request, supply, free_at);
            welfare += gain(request, supply, done);
        }
        free.push((std::cmp::Reverse((done * 1_000.0) as u64), provider));
    }
    welfare
}

fn worth(request: &Request) -> f64 {
    request.worth as f64
}

fn serve(request: &Request, supply: &Supply, free_at: f64) -> f64 {
    free_at.max(request.at as f64) + f64::from(request.tokens) * 1_000.0 / supply.speed
}

/// What is in time is worth something; what was computed cost something either way.
fn gain(request: &Request, supply: &Supply, done: f64) -> f64 {
    let in_time = done <= request.at as f64 + f64::from(request.deadline_ms);
    let value = if in_time { worth(request) } else { 0.0 };
    value - supply.cost * f64::from(request.tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::End;

    fn request(at: u64, tokens: u32, worth: i64) -> Request {
        Request {
            buyer: 0,
            number: 0,
            at,
            tokens,
            worth,
            deadline_ms: 1_000,
            end: End::Open,
        }
    }

    fn supply(speed: f64, cost: f64) -> Supply {
        Supply {
            speed,
            cost,
            price: cost * 2.0,
        }
    }

    #[test]
    fn the_bound_is_the_optimum_of_a_small_market() {
        // 100 tokens worth 10 each and 100 worth 3; 150 tokens of capacity at 1: 100 × 9 + 50 × 2.
        let requests = [request(0, 100, 1_000), request(0, 100, 300)];
        let requests: Vec<&Request> = requests.iter().collect();
        let bound = upper_bound(&requests, &[supply(150.0, 1.0)], 1_000);
        assert!((bound - 1_000.0).abs() < 1e-6, "{bound}");
        // A provider that costs more than anything is worth changes nothing.
        let same = upper_bound(&requests, &[supply(150.0, 1.0), supply(1e6, 11.0)], 1_000);
        assert!((same - bound).abs() < 1e-6, "{same}");
    }

    #[test]
    fn no_baseline_beats_the_bound() {
        let mut rng = Rng::new(3, "test", 0);
        let requests: Vec<Request> = (0..400)
            .map(|n| request(n * 10, 50 + rng.below(100) as u32, 100 + rng.below(1_000) as i64))
            .collect();
        let requests: Vec<&Request> = requests.iter().collect();
        let supplies: Vec<Supply> = (0..20)
            .map(|n| supply(300.0 + 50.0 * f64::from(n), 0.5))
            .collect();
        let welfare = compare(&requests, &supplies, 5_000, 1);
        for other in [welfare.random, welfare.cheapest, welfare.queue] {
            assert!(other > 0.0 && other <= welfare.bound, "{welfare:?}");
        }
    }
}
