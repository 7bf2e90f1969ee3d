//! How good a ranking is.

use inference::embed::cosine;
use serde::Serialize;

/// Places that count.
const PLACES: usize = 10;

/// Averages over all queries.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Score {
    /// How many queries there were.
    pub(crate) queries: usize,
    /// Normalised discounted cumulative gain over ten places: 1 where all that is relevant comes first.
    pub(crate) ndcg_at_10: f64,
    /// The share of what is relevant, of ten at most, that is among the first ten.
    pub(crate) recall_at_10: f64,
}

impl Score {
    /// Of queries with the passages that are relevant to them.
    pub(crate) fn of<'a>(
        passages: &[Vec<f32>],
        queries: impl Iterator<Item = (&'a Vec<f32>, &'a [usize])>,
    ) -> Self {
        let mut sum = Self::default();
        for (query, relevant) in queries {
            let (ndcg, recall) = of_ranking(&ranking(passages, query), relevant);
            sum.queries += 1;
            sum.ndcg_at_10 += ndcg;
            sum.recall_at_10 += recall;
        }
        let count = sum.queries.max(1) as f64;
        Self {
            ndcg_at_10: sum.ndcg_at_10 / count,
            recall_at_10: sum.recall_at_10 / count,
            ..sum
        }
    }
}

/// The closest passages, the closest first; of equally close ones the earlier first.
fn ranking(passages: &[Vec<f32>], query: &[f32]) -> Vec<usize> {
    let mut scored: Vec<(f32, usize)> = passages
        .iter()
        .enumerate()
        .map(|(at, passage)| (cosine(passage, query), at))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.into_iter().take(PLACES).map(|(_, at)| at).collect()
}

fn of_ranking(ranking: &[usize], relevant: &[usize]) -> (f64, f64) {
    let gain = |place: usize| 1.0 / ((place + 2) as f64).log2();
    let possible = relevant.len().clamp(1, PLACES);
    let best: f64 = (0..possible).map(gain).sum();
    let hits = || (0..ranking.len()).filter(|&place| relevant.contains(&ranking[place]));
    (
        hits().map(gain).sum::<f64>() / best,
        hits().count() as f64 / possible as f64,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ranking_is_scored_as_in_the_textbook() {
        // Järvelin and Kekäläinen: gains at places 1 and 3 of the two that are relevant.
        let (ndcg, recall) = of_ranking(&[7, 1, 9], &[7, 9]);
        assert!((ndcg - 1.5 / (1.0 + 1.0 / 3.0_f64.log2())).abs() < 1e-12);
        assert_eq!(recall, 1.0);
        assert_eq!(of_ranking(&[1, 2], &[3]), (0.0, 0.0));
    }

    #[test]
    fn the_closest_come_first() {
        let passages = [vec![0.0, 1.0], vec![1.0, 0.1], vec![1.0, 0.1], vec![-1.0, 0.0]];
        assert_eq!(ranking(&passages, &[1.0, 0.0]), [1, 2, 0, 3]);
    }
}
