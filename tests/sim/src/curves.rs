//! Welfare, prices and reputation over time, of one world or of several beside each other.

use std::collections::BTreeMap;

use crate::check::{median, share};
use crate::host::Host;
use crate::network::Millis;
use crate::plot::Plot;
use crate::summary::{Summary, prices};

/// Points of a curve over time.
const POINTS: u64 = 40;

/// Seconds and values.
type Curve = Vec<(f64, f64)>;

/// The panels, with a curve for each world.
pub struct Curves {
    welfare: Plot,
    price: Plot,
    honest: Plot,
    dishonest: Plot,
}

impl Curves {
    /// Without any world.
    pub fn new() -> Self {
        Self {
            welfare: Plot::new("Welfare: worth served in time, less cost", "mc a second and host"),
            price: Plot::new("Price of 1,000 tokens, median", "millicredits"),
            honest: Plot::new("Reputation of honest lenders with honest buyers", "mean score"),
            dishonest: Plot::new("Reputation of cheats with honest buyers", "mean score"),
        }
    }

    /// Adds a world.
    pub fn add(mut self, name: &str, summary: &Summary<'_>) -> Self {
        self.welfare = self.welfare.curve(name, welfare(summary));
        self.price = self.price.curve(name, price(summary));
        let honest = scores(summary, |host| host.spec().is_honest());
        self.honest = self.honest.curve(name, honest);
        let dishonest = scores(summary, |host| !host.spec().is_honest());
        self.dishonest = self.dishonest.curve(name, dishonest);
        self
    }

    /// The panels in which there is something to see.
    pub fn plots(self) -> Vec<Plot> {
        let plots = [self.welfare, self.price, self.honest, self.dishonest];
        let seen = |plot: &Plot| plot.curves.iter().any(|(_, points)| !points.is_empty());
        plots.into_iter().filter(seen).collect()
    }
}

impl Default for Curves {
    fn default() -> Self {
        Self::new()
    }
}

/// The same width for all stretches of time, milliseconds.
fn width(summary: &Summary<'_>) -> u64 {
    summary.world.now().div_ceil(POINTS).max(1)
}

/// Values by stretch as a curve through the middles of the stretches.
fn curve(width: u64, values: impl IntoIterator<Item = (u64, f64)>) -> Curve {
    let middle = |stretch: u64| (stretch * width + width / 2) as f64 / 1_000.0;
    let points = values.into_iter();
    points.map(|(stretch, value)| (middle(stretch), value)).collect()
}

/// What is served counts when it is there, what is computed when it begins.
fn welfare(summary: &Summary<'_>) -> Curve {
    let width = width(summary);
    let mut gains: BTreeMap<u64, f64> = BTreeMap::new();
    for (request, served) in summary.in_time().filter(|(_, served)| served.right) {
        *gains.entry(served.at / width).or_default() += request.worth as f64;
    }
    for host in summary.world.hosts() {
        let second_cost = host.spec().lends.map_or(0, |device| device.second_cost) as f64;
        for work in &host.works {
            let cost = f64::from(work.took_ms) / 1_000.0 * second_cost;
            *gains.entry(work.at / width).or_default() -= cost;
        }
    }
    let whole = width as f64 / 1_000.0 * summary.world.hosts().count() as f64;
    curve(
        width,
        gains
            .into_iter()
            .map(|(stretch, gain)| (stretch, share(gain, whole))),
    )
}

fn price(summary: &Summary<'_>) -> Curve {
    let width = width(summary);
    let mut trades: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for trade in summary.served() {
        trades.entry(trade.1.at / width).or_default().push(trade);
    }
    let medians = trades.into_iter();
    curve(
        width,
        medians.map(|(stretch, trades)| (stretch, median(prices(&trades)))),
    )
}

/// The mean score that those of the watched hosts have with honest ones that traded with them.
fn scores(summary: &Summary<'_>, of: impl Fn(&Host) -> bool) -> Curve {
    let world = summary.world;
    let mut sums: BTreeMap<Millis, (f64, u32)> = BTreeMap::new();
    let observers = world.hosts().filter(|host| host.spec().is_honest());
    for opinion in observers.flat_map(|host| &host.opinions) {
        if world.host(opinion.of).is_some_and(&of) {
            let (sum, count) = sums.entry(opinion.at).or_default();
            *sum += f64::from(opinion.score);
            *count += 1;
        }
    }
    let means = sums.into_iter();
    means
        .map(|(at, (sum, count))| (at as f64 / 1_000.0, share(sum, count.into())))
        .collect()
}
