//! The ratio of two things measured in turns, with an interval.
//!
//! The estimate is the median of the turns' ratios. The interval is made of order statistics: of `n` independent turns,
//! the number that fall below the true median is binomial(n, ½), which needs no assumption about how times are
//! distributed (David and Nagaraja, "Order Statistics", 3rd edition, section 7.1).

use serde::Serialize;

/// The least probability that the interval holds the true median.
const CONFIDENCE: f64 = 0.95;

/// A median with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Ratio {
    /// The median of the turns.
    pub(super) median: f64,
    /// The interval's lower end.
    pub(super) low: f64,
    /// The interval's upper end.
    pub(super) high: f64,
}

impl Ratio {
    /// Of pairs (ours, theirs); `None` if there are none.
    pub(super) fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let mut ratios: Vec<f64> = pairs.iter().map(|(ours, theirs)| ours / theirs).collect();
        ratios.sort_by(f64::total_cmp);
        let count = ratios.len();
        let (&lower, &upper) = (ratios.get(count.checked_sub(1)? / 2)?, ratios.get(count / 2)?);
        let outside = cut(count);
        Some(Self {
            median: f64::midpoint(lower, upper),
            low: ratios[outside],
            high: ratios[count - 1 - outside],
        })
    }

    /// Whether the whole interval is above a bound.
    pub(super) fn breaks(self, bound: f64) -> bool {
        self.low > bound
    }
}

/// How many turns at each end are left out of the interval: the most that keep the confidence.
fn cut(count: usize) -> usize {
    let mut probability = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut tail = probability;
    let mut outside = 0;
    // Leaving out one more moves the probability of exactly that many below the median out of the interval, twice.
    while outside + 1 < count.div_ceil(2) {
        probability *= (count - outside) as f64 / (outside + 1) as f64;
        if 2.0 * (tail + probability) > 1.0 - CONFIDENCE {
            break;
        }
        tail += probability;
        outside += 1;
    }
    outside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_binomial_distribution() {
        // Ranks 2 to 8 of 9 hold the median with 96.1 %, ranks 6 to 15 of 20 with 95.9 %.
        assert_eq!([cut(5), cut(9), cut(20)], [0, 1, 5]);
    }

    #[test]
    fn one_slow_turn_does_not_move_the_interval() {
        let mut pairs = vec![(1.0, 4.0); 8];
        pairs.push((9.0, 1.0));
        let ratio = Ratio::of(&pairs).unwrap();
        assert_eq!((ratio.low, ratio.median, ratio.high), (0.25, 0.25, 0.25));
        assert!(ratio.breaks(0.2) && !ratio.breaks(0.3));
        assert_eq!(Ratio::of(&[]), None);
    }
}
