//! Bounds, and whether a run kept them.

use serde::Serialize;

/// What a measured value must keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
    /// Less than this.
    Below(f64),
    /// More than this.
    Above(f64),
}

/// A bound by its name, with what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What the issue asks, in its words.
    pub name: String,
    /// What it is measured in.
    pub unit: &'static str,
    /// The value.
    pub measured: f64,
    /// The bound.
    pub bound: Bound,
    /// Whether it is kept. A value that is not a number keeps nothing.
    pub kept: bool,
}

impl Check {
    /// Compares.
    pub fn new(name: &str, unit: &'static str, measured: f64, bound: Bound) -> Self {
        let kept = match bound {
            Bound::AtMost(limit) => measured <= limit,
            Bound::AtLeast(limit) => measured >= limit,
            Bound::Below(limit) => measured < limit,
            Bound::Above(limit) => measured > limit,
        };
        Self {
            name: name.to_owned(),
            unit,
            measured,
            bound,
            kept,
        }
    }

    /// Something that must never happen.
    pub fn never(name: &str, times: u64) -> Self {
        Self::new(name, "times", times as f64, Bound::AtMost(0.0))
    }
}

/// `part / whole`, 0 of nothing.
pub fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

/// The middle one of the values; 0 without any.
pub fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 0.5)
}

/// The value below which this part of the values lies; 0 without any.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let place = (part.clamp(0.0, 1.0) * last as f64) as usize;
    values.get(place).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_kept_or_not() {
        assert!(Check::new("a", "", 1.0, Bound::AtMost(1.0)).kept);
        assert!(!Check::new("a", "", 1.0, Bound::Below(1.0)).kept);
        assert!(!Check::new("a", "", f64::NAN, Bound::AtLeast(0.0)).kept);
        assert!(!Check::never("a", 1).kept && Check::never("a", 0).kept);
    }

    #[test]
    fn quantiles_of_few() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(Vec::new()), 0.0);
        assert_eq!(quantile(&mut [1.0, 2.0], 1.0), 2.0);
    }
}
