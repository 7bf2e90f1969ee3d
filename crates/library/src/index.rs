//! Vectors of one byte a component, and the search through all of them.
//!
//! A vector is kept as integers from -127 to 127 and one scale, the largest component divided by 127 (symmetric scalar
//! quantisation), so that 384 dimensions take 388 bytes in place of 1,536. The question is rounded to 12 bits and a sign. Products
//! are summed in 32-bit integers, so that the sum is the same in every order and on every machine; only the two scales are
//! floats, and they are multiplied once a vector.
//!
//! The rounding costs 0.3 % of recall: of the ten passages nearest in floats 99.7 % are among the ten found here, and the cosines
//! are within 0.0016 (`examples/corpus.rs`, 832 titles asked of 3,552 passages of PostgreSQL 15's manual, MiniLM's vectors by
//! sentence-transformers). Floats are not kept, so nothing is ranked again by them.
//!
//! The search looks at every vector. At 50,000 that is within the time that a person notices (`cargo bench -p library`
//! measures it), and an approximate index would find less, take more memory, and have to be repaired whenever something is
//! forgotten.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Most components of a vector, so that no sum of products leaves 32 bits.
pub const DIMENSION_MAX: usize = 4096;

/// Largest component of a kept vector.
const CODE_MAX: f32 = 127.0;
/// Largest component of a question: 4096 × 127 × 4095 is below 2^31.
const QUESTION_MAX: f32 = 4095.0;

/// A vector that cannot be kept or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// Not as long as its model's.
    #[error("a vector of {actual} components, where the model gives {expected}")]
    Dimension {
        /// The model's.
        expected: usize,
        /// This one's.
        actual: usize,
    },
    /// No direction: a component is no number, or all of them are zero.
    #[error("a vector without a direction")]
    NoDirection,
}

/// A direction with integer components.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    /// What the integers are multiplied with; positive and finite.
    pub scale: f32,
    /// From -127 to 127.
    pub codes: Vec<i8>,
}

impl Quantised {
    /// Rounds a vector; its length becomes 1.
    ///
    /// # Errors
    /// [`VectorError::NoDirection`].
    pub fn of(vector: &[f32]) -> Result<Self, VectorError> {
        let (scale, unit) = scaled(vector, CODE_MAX)?;
        // Rounded values are within the range of the scale.
        let codes = unit.map(|value| value as i8).collect();
        Ok(Self { scale, codes })
    }
}

/// A question, ready to be compared.
#[derive(Clone, Debug)]
pub struct Question {
    scale: f32,
    codes: Vec<i16>,
}

impl Question {
    /// Rounds a vector; its length becomes 1.
    ///
    /// # Errors
    /// [`VectorError::NoDirection`].
    pub fn of(vector: &[f32]) -> Result<Self, VectorError> {
        let (scale, unit) = scaled(vector, QUESTION_MAX)?;
        let codes = unit.map(|value| value as i16).collect();
        Ok(Self { scale, codes })
    }

    /// How many components it has.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.codes.len()
    }

    /// The cosine between the two, up to rounding. Components that only one of them has count nothing.
    #[must_use]
    pub fn cosine(&self, scale: f32, codes: &[i8]) -> f32 {
        dot(codes, &self.codes) as f32 * (self.scale * scale)
    }
}

/// The scale, and the rounded components of the vector made of length 1. Square roots and divisions are the same on all
/// machines (IEEE 754).
fn scaled(vector: &[f32], code_max: f32) -> Result<(f32, impl Iterator<Item = f32>), VectorError> {
    let square: f64 = vector
        .iter()
        .map(|value| f64::from(*value) * f64::from(*value))
        .sum();
    let length = square.sqrt();
    let largest = vector
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let factor = f64::from(code_max) / f64::from(largest);
    let scale = (f64::from(largest) / length / f64::from(code_max)) as f32;
    if !(length.is_finite() && factor.is_finite() && scale.is_finite() && scale > 0.0) {
        return Err(VectorError::NoDirection);
    }
    let unit = vector
        .iter()
        .map(move |value| (f64::from(*value) * factor).round_ties_even() as f32);
    Ok((scale, unit))
}

/// Products that are summed side by side: what compilers make the fewest instructions of, for SSE2 as for wasm's vectors.
const LANES: usize = 32;

fn dot(codes: &[i8], question: &[i16]) -> i32 {
    let (codes, codes_rest) = codes.as_chunks::<LANES>();
    let (question, question_rest) = question.as_chunks::<LANES>();
    let mut sums = [0_i32; LANES];
    for (codes, question) in codes.iter().zip(question) {
        for ((sum, code), asked) in sums.iter_mut().zip(codes).zip(question) {
            *sum += product(*code, *asked);
        }
    }
    let rest = codes_rest.iter().zip(question_rest);
    sums.iter().sum::<i32>() + rest.map(|(code, asked)| product(*code, *asked)).sum::<i32>()
}

fn product(code: i8, asked: i16) -> i32 {
    i32::from(code) * i32::from(asked)
}

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) row: usize,
    pub(crate) cosine: f32,
}

/// The better one is the greater; of equals the earlier row.
impl Ord for Found {
    fn cmp(&self, other: &Self) -> Ordering {
        let cosines = self.cosine.total_cmp(&other.cosine);
        cosines.then_with(|| other.row.cmp(&self.row))
    }
}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Found {}

/// Vectors of one model, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Vectors {
    dimension: usize,
    scales: Vec<f32>,
    codes: Vec<i8>,
}

impl Vectors {
    pub(crate) fn new(dimension: usize) -> Self {
        Self {
            dimension,
            scales: Vec::new(),
            codes: Vec::new(),
        }
    }

    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(crate) fn len(&self) -> usize {
        self.scales.len()
    }

    /// Appends a vector of the right dimension.
    pub(crate) fn push(&mut self, scale: f32, codes: &[i8]) {
        debug_assert_eq!(codes.len(), self.dimension);
        self.scales.push(scale);
        self.codes.extend_from_slice(codes);
    }

    pub(crate) fn row(&self, row: usize) -> (f32, &[i8]) {
        let start = row * self.dimension;
        (self.scales[row], &self.codes[start..start + self.dimension])
    }

    /// Takes a row out; the last one takes its place.
    pub(crate) fn swap_remove(&mut self, row: usize) {
        let last = self.len() - 1;
        let start = last * self.dimension;
        self.codes.copy_within(start.., row * self.dimension);
        self.codes.truncate(start);
        self.scales.swap_remove(row);
    }

    /// The `count` rows nearest to a question, best first. Only rows that would be among them are put to `accept`.
    pub(crate) fn nearest(
        &self,
        question: &Question,
        count: usize,
        accept: &dyn Fn(usize) -> bool,
    ) -> Vec<Found> {
        // The worst of those found is on top.
        let mut found = BinaryHeap::new();
        let rows = self.codes.chunks_exact(self.dimension).zip(&self.scales);
        for (row, (codes, scale)) in rows.enumerate() {
            let cosine = question.cosine(*scale, codes);
            let one = std::cmp::Reverse(Found { row, cosine });
            let has_room = found.len() < count;
            // A later row is better only if it is nearer.
            if !has_room && found.peek().is_none_or(|worst| one >= *worst) {
                continue;
            }
            if accept(row) {
                if !has_room {
                    found.pop();
                }
                found.push(one);
            }
        }
        // Reversed, the best ones are the least.
        found.into_sorted_vec().into_iter().map(|one| one.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(seed: u32, dimension: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let vector: Vec<f32> = (0..dimension).map(|_| next()).collect();
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        vector.iter().map(|value| value / length).collect()
    }

    #[test]
    fn cosines_survive_the_rounding() {
        for seed in 0..50 {
            let (a, b) = (unit(seed, 384), unit(seed + 1, 384));
            let exact: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            let kept = Quantised::of(&b).unwrap();
            let question = Question::of(&a).unwrap();
            let cosine = question.cosine(kept.scale, &kept.codes);
            assert!((cosine - exact).abs() < 0.002, "{cosine} for {exact}");
            // Of any length: it is made 1.
            let longer: Vec<f32> = b.iter().map(|value| value * 3e4).collect();
            let longer = Quantised::of(&longer).unwrap();
            assert!((question.cosine(longer.scale, &longer.codes) - cosine).abs() < 0.002);
        }
    }

    #[test]
    fn the_largest_sum_fits() {
        let ones = vec![1.0; DIMENSION_MAX];
        let kept = Quantised::of(&ones).unwrap();
        let cosine = Question::of(&ones).unwrap().cosine(kept.scale, &kept.codes);
        assert!((cosine - 1.0).abs() < 1e-4, "{cosine}");
    }

    #[test]
    fn what_has_no_direction_is_refused() {
        for vector in [
            &[0.0, 0.0][..],
            &[f32::NAN, 1.0],
            &[1.0, f32::NAN],
            &[f32::INFINITY, 1.0],
            &[],
        ] {
            assert_eq!(Quantised::of(vector), Err(VectorError::NoDirection), "{vector:?}");
            assert!(Question::of(vector).is_err());
        }
        // The smallest numbers there are have one.
        assert_eq!(Quantised::of(&[1e-45, 0.0]).unwrap().codes, [127, 0]);
        assert_eq!(Quantised::of(&[f32::MAX, -f32::MAX]).unwrap().codes, [127, -127]);
    }

    #[test]
    fn the_nearest_are_those_that_sorting_all_finds() {
        let mut vectors = Vectors::new(16);
        for seed in 0..300 {
            // Some are equal.
            let kept = Quantised::of(&unit(seed % 250, 16)).unwrap();
            vectors.push(kept.scale, &kept.codes);
        }
        vectors.swap_remove(7);
        vectors.swap_remove(298);
        let question = Question::of(&unit(1000, 16)).unwrap();
        let accept = |row: usize| !row.is_multiple_of(3);
        let mut all: Vec<Found> = (0..vectors.len())
            .filter(|row| accept(*row))
            .map(|row| {
                let (scale, codes) = vectors.row(row);
                let cosine = question.cosine(scale, codes);
                Found { row, cosine }
            })
            .collect();
        all.sort_by(|a, b| b.cmp(a));
        for count in [0, 1, 10, 500] {
            let expected = &all[..count.min(all.len())];
            assert_eq!(vectors.nearest(&question, count, &accept), expected);
        }
    }
}
