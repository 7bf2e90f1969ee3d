//! Whether something differs between two kinds of world by more than luck.
//!
//! Two towns that differ in one host's first request live different lives: among 300 hosts a lender's score differs by up to
//! 7 % between them and the median price by 15 %. So each kind of world lives several times with other luck, means are
//! compared, and a difference is stated with the interval that holds it in 95 of 100 such experiments (Student 1908). The
//! spread is pooled over all subjects of a comparison, since a handful of values says little of its own spread.

/// What was measured of one subject, with so many lucks, in the two kinds of world.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// Without what is examined.
    pub without: Vec<f64>,
    /// With it.
    pub with: Vec<f64>,
}

/// By what part of its value without it a subject was moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moved {
    /// Upwards, or downwards where negative.
    pub by: f64,
    /// The move lies within so much of that in 95 of 100 experiments.
    pub within: f64,
}

impl Moved {
    /// The least that it was moved by, whichever way: 0 where the interval holds no move at all.
    pub fn at_least(&self) -> f64 {
        (self.by.abs() - self.within).max(0.0)
    }
}

/// How each subject that was seen at least twice on either side was moved.
pub fn moved(subjects: &[Subject]) -> Vec<Moved> {
    let scaled = subjects.iter().filter_map(|subject| {
        let base = mean(&subject.without);
        let enough = subject.without.len() > 1 && subject.with.len() > 1 && base > 0.0;
        enough.then(|| Subject {
            without: subject.without.iter().map(|value| value / base).collect(),
            with: subject.with.iter().map(|value| value / base).collect(),
        })
    });
    let scaled: Vec<Subject> = scaled.collect();
    let sides = || {
        scaled
            .iter()
            .flat_map(|subject| [&subject.without, &subject.with])
    };
    let squares: f64 = sides().map(|side| squares(side)).sum();
    let freedom: usize = sides().map(|side| side.len() - 1).sum();
    let variance = squares / freedom.max(1) as f64;
    let moved = scaled.iter().map(|subject| {
        let parts = 1.0 / subject.without.len() as f64 + 1.0 / subject.with.len() as f64;
        Moved {
            by: mean(&subject.with) - 1.0,
            within: student(freedom) * (variance * parts).sqrt(),
        }
    });
    moved.collect()
}

/// What one member of a crowd adds to two shares: a part of something and its whole, for each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Added {
    /// To the part and the whole of the first share.
    pub first: (f64, f64),
    /// To those of the second.
    pub second: (f64, f64),
}

/// The first share over the second, and half the width of the interval that holds it in 95 of 100 such crowds. Each member is
/// one draw, whatever it adds (linearised ratio estimator: W. G. Cochran, *Sampling Techniques*, 1977, chapter 6). Without
/// anything in one of the parts there is no such ratio: 0 where the first is empty, else infinite.
pub fn ratio(crowd: &[Added]) -> Moved {
    let sum = |of: fn(&Added) -> f64| crowd.iter().map(of).sum::<f64>();
    let first = (sum(|added| added.first.0), sum(|added| added.first.1));
    let second = (sum(|added| added.second.0), sum(|added| added.second.1));
    if first.0 == 0.0 || second.0 == 0.0 {
        let by = if first.0 == 0.0 { 0.0 } else { f64::INFINITY };
        return Moved { by, within: 0.0 };
    }
    let by = (first.0 / first.1) / (second.0 / second.1);
    let pulls = crowd.iter().map(|added| {
        let part = added.first.0 / first.0 - added.second.0 / second.0;
        let whole = added.first.1 / first.1 - added.second.1 / second.1;
        (part - whole) * (part - whole)
    });
    Moved {
        by,
        within: student(crowd.len().saturating_sub(1)) * by * pulls.sum::<f64>().sqrt(),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn squares(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean) * (value - mean)).sum()
}

/// The 97.5 % quantile of Student's distribution; between two entries, the wider.
fn student(freedom: usize) -> f64 {
    const QUANTILES: [(usize, f64); 13] = [
        (1, 12.706),
        (2, 4.303),
        (3, 3.182),
        (4, 2.776),
        (5, 2.571),
        (6, 2.447),
        (8, 2.306),
        (10, 2.228),
        (15, 2.131),
        (20, 2.086),
        (30, 2.042),
        (60, 2.000),
        (120, 1.980),
    ];
    let entry = QUANTILES.iter().rev().find(|(entry, _)| *entry <= freedom);
    entry.map_or(f64::INFINITY, |(_, quantile)| *quantile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(without: &[f64], with: &[f64]) -> Subject {
        Subject {
            without: without.to_vec(),
            with: with.to_vec(),
        }
    }

    #[test]
    fn a_move_larger_than_luck_is_seen() {
        let moves = moved(&[subject(&[10.0, 10.2, 9.8], &[11.9, 12.1, 12.0])]);
        assert_eq!(moves.len(), 1);
        assert!(
            (moves[0].by - 0.2).abs() < 1e-9 && moves[0].at_least() > 0.15,
            "{moves:?}"
        );
    }

    #[test]
    fn a_move_within_luck_is_none() {
        let moves = moved(&[subject(&[10.0, 12.0, 8.0], &[11.0, 13.0, 9.0])]);
        assert_eq!(moves[0].at_least(), 0.0);
    }

    /// Members that add to both shares what chance gives them.
    fn crowd(members: u32, chance_percent: (u64, u64)) -> Vec<Added> {
        let mut rng = crate::rng::Rng::new(7, "crowd", 0);
        let mut draw = |percent: u64| f64::from(u8::from(rng.below(100) < percent));
        (0..members)
            .map(|_| Added {
                first: (draw(chance_percent.0), 1.0),
                second: (draw(chance_percent.1), 1.0),
            })
            .collect()
    }

    #[test]
    fn equal_shares_differ_by_luck_alone() {
        let ratio = ratio(&crowd(2_000, (20, 20)));
        assert!(
            (ratio.by - 1.0).abs() < ratio.within && ratio.within < 0.2,
            "{ratio:?}"
        );
    }

    #[test]
    fn a_larger_share_is_told_from_luck() {
        let ratio = ratio(&crowd(2_000, (30, 20)));
        assert!(ratio.by - ratio.within > 1.2, "{ratio:?}");
    }

    #[test]
    fn without_a_part_there_is_no_ratio() {
        let added = |first, second| {
            [Added {
                first: (first, 1.0),
                second: (second, 1.0),
            }]
        };
        assert_eq!(ratio(&added(0.0, 1.0)).by, 0.0);
        assert_eq!(ratio(&added(1.0, 0.0)).by, f64::INFINITY);
        assert_eq!(ratio(&[]).by, 0.0);
    }

    #[test]
    fn many_subjects_tell_of_the_spread_together() {
        let one = subject(&[1.0, 1.1], &[1.0, 1.1]);
        let alone = moved(std::slice::from_ref(&one))[0].within;
        assert!(moved(&vec![one; 20])[0].within < alone / 2.0);
    }

    #[test]
    fn whoever_was_seen_once_shows_nothing() {
        assert!(moved(&[subject(&[1.0], &[2.0, 2.0]), subject(&[], &[])]).is_empty());
    }
}
