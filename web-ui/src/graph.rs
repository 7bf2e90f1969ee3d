//! Places for the ends of a small star graph.

use std::f64::consts::TAU;

/// Half axes of the ellipse on which the ends stand; the drawing is 320 × 240.
const HALF: (f64, f64) = (115.0, 78.0);

/// One place per end, evenly around this device, the first one at the top.
///
/// Only the count decides: the picture does not move while nobody comes or goes.
pub fn places(count: usize) -> Vec<(f64, f64)> {
    (0..count)
        .map(|index| {
            let angle = TAU * (index as f64 / count as f64 - 0.25);
            (HALF.0 * angle.cos(), HALF.1 * angle.sin())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_stand_apart_and_inside() {
        for count in 1..12 {
            let all = places(count);
            assert!(
                (all[0].0).abs() < 1e-9 && all[0].1 < 0.0,
                "the first one is at the top"
            );
            for (i, a) in all.iter().enumerate() {
                assert!(a.0.abs() <= 160.0 && a.1.abs() <= 120.0);
                assert!(all[i + 1..].iter().all(|b| (a.0 - b.0).hypot(a.1 - b.1) > 20.0));
            }
        }
        assert!(places(0).is_empty());
    }
}
