//! A set from which members can be drawn at random: drawing k of n costs about k steps, not n.

use std::collections::BTreeSet;

use litemap::LiteMap;

use crate::rng::Rng;

/// Items in a row, and where each of them is.
#[derive(Clone, Debug)]
pub(crate) struct Pool<T> {
    row: Vec<T>,
    places: LiteMap<T, usize>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            row: Vec::new(),
            places: LiteMap::new(),
        }
    }
}

impl<T: Copy + Ord> Pool<T> {
    pub(crate) fn len(&self) -> usize {
        self.row.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    pub(crate) fn insert(&mut self, item: T) {
        if !self.places.contains_key(&item) {
            self.places.insert(item, self.row.len());
            self.row.push(item);
        }
    }

    /// The last one takes the place of the one that is removed.
    pub(crate) fn remove(&mut self, item: &T) {
        let Some(place) = self.places.remove(item) else {
            return;
        };
        self.row.swap_remove(place);
        if let Some(moved) = self.row.get(place) {
            self.places.insert(*moved, place);
        }
    }

    /// `count` distinct items (or all of them) in random order.
    ///
    /// Few of many are drawn by R. Floyd's algorithm (J. Bentley, R. Floyd, *A Sample of Brilliance*, Communications of the
    /// ACM 30(9), 1987), which needs no copy of the row.
    pub(crate) fn draw(&self, rng: &mut Rng, count: usize) -> Vec<T> {
        let all = self.row.len();
        if count >= all / 2 {
            return rng.sample(self.row.clone(), count);
        }
        let mut drawn = BTreeSet::new();
        let mut places = Vec::with_capacity(count);
        for last in all - count..all {
            let place = rng.below(last + 1);
            let place = if drawn.contains(&place) { last } else { place };
            drawn.insert(place);
            places.push(place);
        }
        // Floyd's set is uniform, its order is not.
        let places = rng.sample(places, count).into_iter();
        places.filter_map(|place| self.row.get(place).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::ids::NodeId;

    fn rng() -> Rng {
        Rng::new(1, &NodeId([0; 32]))
    }

    #[test]
    fn everyone_is_drawn_equally_often_in_every_place() {
        let mut pool = Pool::default();
        (0..20).for_each(|item| pool.insert(item));
        let mut rng = rng();
        let mut first = [0_u32; 20];
        let mut seen = [0_u32; 20];
        for _ in 0..20_000 {
            let drawn = pool.draw(&mut rng, 4);
            assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 4);
            first[drawn[0]] += 1;
            drawn.iter().for_each(|item| seen[*item] += 1);
        }
        // Expected 1,000 and 4,000; five standard deviations.
        assert!(
            first.iter().all(|count| (840..1_160).contains(count)),
            "{first:?}"
        );
        assert!(
            seen.iter().all(|count| (3_700..4_300).contains(count)),
            "{seen:?}"
        );
    }

    #[test]
    fn what_is_removed_is_not_drawn() {
        let mut pool = Pool::default();
        (0..10).for_each(|item| pool.insert(item));
        for item in [9, 0, 4, 4, 11] {
            pool.remove(&item);
        }
        pool.insert(1);
        let mut rng = rng();
        let mut all = pool.draw(&mut rng, 100);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 5, 6, 7, 8]);
        (0..10).for_each(|item| pool.remove(&item));
        assert!(pool.is_empty() && pool.draw(&mut rng, 3).is_empty());
    }
}
