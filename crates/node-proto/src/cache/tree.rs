//! A binary hash tree over the rows of a result. Where a level has an odd one out, it goes up as it is; the number of rows is signed
//! with the root, so that a place in the tree has one meaning.

use crate::cache::PATH_MAX;
use crate::ids::Hash;

/// What no row is.
const NOTHING: Hash = Hash([0; 32]);

/// The root over these leaves.
pub(super) fn root(mut level: Vec<Hash>) -> Hash {
    while level.len() > 1 {
        level = above(&level);
    }
    level.pop().unwrap_or(NOTHING)
}

/// The hashes beside the way from a leaf to the root.
pub(super) fn path(leaves: &[Hash], mut place: usize) -> Vec<Hash> {
    let mut path = Vec::new();
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        path.extend(level.get(place ^ 1).copied());
        level = above(&level);
        place /= 2;
    }
    path
}

/// The root that a leaf at this place of so many leads to; `None` where the way does not have the length of that place.
pub(super) fn climb(leaf: Hash, place: u32, count: u32, path: &[Hash]) -> Option<Hash> {
    if place >= count || path.len() > PATH_MAX {
        return None;
    }
    let (mut hash, mut place, mut count) = (leaf, place, count);
    let mut beside = path.iter();
    while count > 1 {
        if place ^ 1 < count {
            let other = beside.next()?;
            hash = match place % 2 {
                0 => join(&hash, other),
                _ => join(other, &hash),
            };
        }
        place /= 2;
        count = count.div_ceil(2);
    }
    beside.next().is_none().then_some(hash)
}

fn above(level: &[Hash]) -> Vec<Hash> {
    let pairs = level.chunks(2);
    pairs
        .map(|pair| match pair {
            [alone] => *alone,
            [] => NOTHING,
            [left, right, ..] => join(left, right),
        })
        .collect()
}

fn join(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(b"knowledge/1/rows\0")
        .update(&left.0)
        .update(&right.0);
    Hash(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count)
            .map(|leaf| Hash(*blake3::hash(&leaf.to_le_bytes()).as_bytes()))
            .collect()
    }

    #[test]
    fn every_leaf_leads_to_the_root_and_only_from_its_place() {
        for count in (1_u32..=34).chain([255, 256]) {
            let leaves = leaves(count as usize);
            let root = root(leaves.clone());
            for place in 0..count {
                let way = path(&leaves, place as usize);
                assert!(way.len() <= PATH_MAX);
                let climb =
                    |leaf: u32, place: u32, path: &[Hash]| climb(leaves[leaf as usize], place, count, path);
                assert_eq!(climb(place, place, &way), Some(root));
                let other = (place + 1) % count;
                if other != place {
                    assert_ne!(climb(other, place, &way), Some(root));
                    assert_ne!(climb(place, other, &way), Some(root));
                }
                let longer: Vec<Hash> = way.iter().copied().chain([root]).collect();
                assert_eq!(climb(place, place, &longer), None);
            }
        }
    }

    #[test]
    fn a_place_that_is_none_leads_nowhere() {
        let leaves = leaves(3);
        assert_eq!(climb(leaves[0], 3, 3, &path(&leaves, 0)), None);
        assert_eq!(climb(leaves[0], 0, 0, &[]), None);
    }
}
