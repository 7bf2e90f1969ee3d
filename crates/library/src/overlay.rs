//! Whom to ask: what a peer says of its knowledge in a few kilobytes, and whose knowledge lies near a question.
//!
//! A peer's vectors are gathered into a few clusters by spherical k-means (Dhillon and Modha 2001), which begin where k-means++
//! puts them (Arthur and Vassilvitskii 2007). Their middles are its [`Summary`]. Whoever has a question compares it with the
//! middles of all summaries it knows and asks the few peers with the nearest one.
//!
//! How far that goes was measured by `examples/corpus.rs`: 3,552 passages of a manual on 100 nodes in the order of its pages, a fifth
//! of them at random, and no copies. No choice of five nodes has more than 77 % of the ten nearest passages. Those
//! that summaries of 32 clusters choose have 75 %, of 16 clusters 65 %, of 8 clusters 58 %. So finding more takes passages
//! that move or are copied to where they belong, not better summaries.
//!
//! A summary says what a peer knows *about*, so it is made for those who may see the documents, as a search is, and nothing
//! else goes into it. It is the peer's own word: one that claims to know everything is found out by its answers, not here.

use minicbor::{Decode, Encode};

use crate::document::Scope;
use crate::index::{Quantised, Question, Vectors};
use crate::library::{Library, ModelError};
use crate::pieces::{self, ModelId, PieceError};

/// Most clusters of a summary.
pub const CLUSTERS_MAX: usize = 32;
/// Longest summary, bytes: as many clusters of 384 dimensions, or fewer of more.
pub const SUMMARY_BYTES_MAX: usize = 16 * 1024;

/// Vectors that clusters are made of; of more, every so-many-th.
const SAMPLE_MAX: usize = 4096;
/// Most rounds of k-means. What moves after as many moves little.
const ROUNDS_MAX: usize = 12;

/// What a peer knows about.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Summary {
    #[cbor(n(0), with = "minicbor::bytes")]
    model: ModelId,
    /// How many passages it is about.
    #[n(1)]
    passages: u32,
    #[n(2)]
    clusters: Vec<Cluster>,
}

/// The middle of a cluster.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Cluster {
    #[n(0)]
    scale: f32,
    /// Two's complement.
    #[cbor(n(1), with = "minicbor::bytes")]
    codes: Vec<u8>,
}

impl Summary {
    /// The model whose vectors it is about.
    #[must_use]
    pub fn model(&self) -> &ModelId {
        &self.model
    }

    /// How many passages it is about, as its author says.
    #[must_use]
    pub fn passages(&self) -> u32 {
        self.passages
    }

    /// As it travels; the encoding of [`pieces`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        pieces::encode(self)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// If it is not that, or longer than [`SUMMARY_BYTES_MAX`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PieceError> {
        if bytes.len() > SUMMARY_BYTES_MAX {
            return Err(PieceError::TooLong(bytes.len()));
        }
        let summary: Self = pieces::decode(bytes)?;
        let dimension = summary.clusters.first().map_or(0, |cluster| cluster.codes.len());
        let is_sound = |cluster: &Cluster| {
            let is_long_enough = cluster.codes.len() == dimension && !cluster.codes.contains(&0x80);
            is_long_enough && cluster.scale.is_finite() && cluster.scale > 0.0
        };
        let is_empty = dimension == 0 || summary.clusters.len() > CLUSTERS_MAX;
        match is_empty || !summary.clusters.iter().all(is_sound) {
            true => Err(PieceError::Damaged("clusters out of range")),
            false => Ok(summary),
        }
    }

    /// The largest cosine between a question and the middle of a cluster; `None` for another model's question.
    fn nearness(&self, model: &ModelId, question: &Question) -> Option<f32> {
        if *model != self.model {
            return None;
        }
        let nearness = self.clusters.iter().filter_map(|cluster| {
            let codes: Vec<i8> = cluster.codes.iter().map(|code| code.cast_signed()).collect();
            (codes.len() == question.dimension()).then(|| question.cosine(cluster.scale, &codes))
        });
        nearness.max_by(f32::total_cmp)
    }
}

impl Library {
    /// Sums up what those may see who ask from so far away, in at most so many clusters; `None` if they may see nothing. The
    /// same seed gives the same clusters.
    ///
    /// # Errors
    /// If the model is not in use.
    pub fn summary(
        &self,
        id: &ModelId,
        from: Scope,
        clusters: usize,
        seed: u64,
    ) -> Result<Option<Summary>, ModelError> {
        let (vectors, rows) = self.visible(id, from)?;
        let dimension = vectors.dimension();
        // What a cluster takes besides its components: a scale, two headers and an array.
        let fitting = (SUMMARY_BYTES_MAX - 64) / (dimension + 12);
        let count = clusters.min(CLUSTERS_MAX).min(fitting);
        let every = rows.len().div_ceil(SAMPLE_MAX).max(1);
        let sample: Vec<usize> = rows.iter().copied().step_by(every).collect();
        let middles = cluster(vectors, &sample, count, seed);
        let clusters: Vec<Cluster> = middles
            .iter()
            .filter_map(|middle| Quantised::of(middle).ok())
            .map(|middle| Cluster {
                scale: middle.scale,
                codes: middle.codes.iter().map(|code| code.cast_unsigned()).collect(),
            })
            .collect();
        let passages = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        Ok((!clusters.is_empty()).then_some(Summary {
            model: *id,
            passages,
            clusters,
        }))
    }
}

/// The places of the `count` summaries nearest to a question, best first; of equally near ones those of more passages, then
/// the earlier. Those of other models are left out.
///
/// # Errors
/// If the question has no direction.
pub fn choose(
    model: &ModelId,
    question: &[f32],
    summaries: &[Summary],
    count: usize,
) -> Result<Vec<usize>, ModelError> {
    let question = Question::of(question)?;
    let mut near: Vec<(f32, u32, usize)> = summaries
        .iter()
        .enumerate()
        .filter_map(|(place, summary)| Some((summary.nearness(model, &question)?, summary.passages, place)))
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
    Ok(near.into_iter().take(count).map(|(_, _, place)| place).collect())
}

/// The middles of clusters of some rows, not of length 1.
fn cluster(vectors: &Vectors, rows: &[usize], count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut middles = begin(vectors, rows, count, seed);
    let mut former: Vec<usize> = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let questions: Vec<Question> = middles
            .iter()
            .filter_map(|middle| Question::of(middle).ok())
            .collect();
        let nearest = |row: &usize| {
            let (scale, codes) = vectors.row(*row);
            let cosines = questions
                .iter()
                .map(|question| question.cosine(scale, codes))
                .enumerate();
            cosines
                .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
                .map_or(0, |(place, _)| place)
        };
        let places: Vec<usize> = rows.iter().map(nearest).collect();
        if places == former {
            break;
        }
        let mut sums = vec![vec![0.0_f32; vectors.dimension()]; questions.len()];
        for (row, place) in rows.iter().zip(&places) {
            let (scale, codes) = vectors.row(*row);
            // Vectors of length 1 are added, in the order of their rows.
            for (sum, code) in sums[*place].iter_mut().zip(codes) {
                *sum += scale * f32::from(*code);
            }
        }
        // What nothing is near to any more, and what cancels itself out, is no cluster.
        sums.retain(|sum| Question::of(sum).is_ok());
        middles = sums;
        former = places;
    }
    middles
}

/// The first middles: rows of which each is likelier the farther it is from those before.
fn begin(vectors: &Vectors, rows: &[usize], count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = Random(seed);
    let mut middles = Vec::new();
    let mut distances = vec![1.0_f64; rows.len()];
    while middles.len() < count {
        let total: f64 = distances.iter().sum();
        // 53 bits, as many as a float has.
        let mut left = (random.next() >> 11) as f64 / (1_u64 << 53) as f64 * total;
        let mut drawn = distances
            .iter()
            .zip(rows)
            .filter(|(distance, _)| **distance > 0.0);
        let row = drawn.find(|(distance, _)| {
            left -= **distance;
            left < 0.0
        });
        let Some((_, row)) = row else { break };
        let (scale, codes) = vectors.row(*row);
        let middle: Vec<f32> = codes.iter().map(|code| scale * f32::from(*code)).collect();
        let Ok(question) = Question::of(&middle) else {
            break;
        };
        for (distance, row) in distances.iter_mut().zip(rows) {
            let (scale, codes) = vectors.row(*row);
            // Half the squared distance of vectors of length 1. Within the rounding they are the same.
            let apart = 1.0 - f64::from(question.cosine(scale, codes));
            *distance = distance.min(if apart > 1e-3 { apart } else { 0.0 });
        }
        middles.push(middle);
    }
    middles
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Kind, Provenance};
    use crate::library::NewDocument;
    use crate::limits::Limits;

    const MODEL: ModelId = [3; 32];
    const DIMENSION: usize = 48;

    /// A point near one of the topics' directions.
    fn point(topic: u64, number: u64, spread: f32) -> Vec<f32> {
        let mut middle = Random(topic * 7919 + 1);
        let mut noise = Random(topic << 32 | (number + 1));
        let next = |random: &mut Random| (random.next() >> 40) as f32 / (1 << 23) as f32 - 1.0;
        (0..DIMENSION)
            .map(|_| next(&mut middle) + spread * next(&mut noise))
            .collect()
    }

    /// A peer that knows of some topics, and of one secretly.
    fn peer(topics: &[u64], secret: u64) -> Library {
        let mut library = Library::new(Limits::default()).unwrap();
        library.open_model(MODEL, DIMENSION).unwrap();
        let mut add = |topic: u64, number: u64, scope| {
            let provenance = Provenance {
                scope,
                ..Provenance::default()
            };
            let text = format!("{topic} {number}");
            let kind = Kind::Plain;
            let new = NewDocument {
                kind,
                text: &text,
                provenance,
            };
            library.add(new).unwrap();
            let passage = library.waiting(&MODEL, None, 1)[0];
            library
                .put_vector(&MODEL, passage, &point(topic, number, 0.6))
                .unwrap();
        };
        for topic in topics {
            (0..40).for_each(|number| add(*topic, number, Scope::Group));
        }
        (0..40).for_each(|number| add(secret, number, Scope::Own));
        library
    }

    #[test]
    fn questions_go_to_those_who_know_the_topic() {
        let peers: Vec<Library> = (0..20)
            .map(|one| peer(&[one, (one + 1) % 20, (one + 7) % 20], one + 100))
            .collect();
        let summaries: Vec<Summary> = peers
            .iter()
            .zip(0..)
            .map(|(peer, seed)| peer.summary(&MODEL, Scope::Group, 4, seed).unwrap().unwrap())
            .collect();
        let mut right = 0;
        for topic in 0..20_usize {
            let question = point(topic as u64, 999, 0.6);
            let chosen = choose(&MODEL, &question, &summaries, 3).unwrap();
            let mut expected = [topic, (topic + 19) % 20, (topic + 13) % 20];
            expected.sort_unstable();
            let mut sorted = chosen.clone();
            sorted.sort_unstable();
            right += usize::from(sorted == expected);
        }
        assert!(right >= 19, "{right} of 20");
    }

    #[test]
    fn a_summary_tells_nothing_of_what_may_not_be_seen() {
        let peer = peer(&[1], 50);
        let nearness = |from, topic| {
            let summary = peer.summary(&MODEL, from, 4, 1).unwrap().unwrap();
            let question = Question::of(&point(topic, 999, 0.0)).unwrap();
            (summary.passages(), summary.nearness(&MODEL, &question).unwrap())
        };
        let (passages, secret) = nearness(Scope::Group, 50);
        assert!(passages == 40 && secret < 0.5, "{secret}");
        let (passages, secret) = nearness(Scope::Own, 50);
        assert!(passages == 80 && secret > 0.9, "{secret}");
        assert_eq!(peer.summary(&MODEL, Scope::Anyone, 4, 1), Ok(None));
    }

    #[test]
    fn a_summary_comes_back_from_its_bytes() {
        let peer = peer(&[1, 2, 3], 50);
        let summary = peer.summary(&MODEL, Scope::Group, 8, 9).unwrap().unwrap();
        let bytes = summary.to_bytes();
        assert!(bytes.len() < 8 * (DIMENSION + 12) + 64, "{} bytes", bytes.len());
        assert_eq!(Summary::from_bytes(&bytes).as_ref(), Ok(&summary));
        assert_eq!(
            peer.summary(&MODEL, Scope::Group, 8, 9),
            Ok(Some(summary.clone()))
        );
        for length in 0..bytes.len() {
            assert!(Summary::from_bytes(&bytes[..length]).is_err());
        }
        let empty = Summary {
            clusters: Vec::new(),
            ..summary.clone()
        };
        assert!(Summary::from_bytes(&empty.to_bytes()).is_err());
        assert_eq!(choose(&[4; 32], &point(1, 1, 0.0), &[summary], 3), Ok(vec![]));
    }
}
