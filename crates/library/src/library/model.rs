//! The vectors that one model made, and the passages that still wait for theirs.

use std::collections::{BTreeMap, BTreeSet};

use blob::Name;

use crate::index::{Quantised, Vectors};
use crate::pieces::{self, Key, ModelId, SEGMENT_ROWS, Segment};

/// Number of a document, and place of the passage in it.
pub(super) type Owner = (u32, u32);

/// Every passage of every document that is not forgotten has a row here or waits for one.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) vectors: Vectors,
    /// Whose each row is.
    pub(super) owners: Vec<Owner>,
    rows: BTreeMap<Owner, usize>,
    pub(super) waiting: BTreeSet<Owner>,
    /// Segments that are not kept as they are here.
    changed: BTreeSet<usize>,
}

impl Model {
    pub(super) fn new(dimension: usize) -> Self {
        Self {
            vectors: Vectors::new(dimension),
            owners: Vec::new(),
            rows: BTreeMap::new(),
            waiting: BTreeSet::new(),
            changed: BTreeSet::new(),
        }
    }

    pub(super) fn has(&self, owner: Owner) -> bool {
        self.rows.contains_key(&owner)
    }

    /// How many segments there are.
    pub(super) fn segments(&self) -> usize {
        self.owners.len().div_ceil(SEGMENT_ROWS)
    }

    /// Takes a vector of the right dimension for a passage that has none.
    pub(super) fn push(&mut self, owner: Owner, scale: f32, codes: &[i8]) {
        let row = self.owners.len();
        self.vectors.push(scale, codes);
        self.owners.push(owner);
        self.rows.insert(owner, row);
        self.waiting.remove(&owner);
    }

    /// Takes or replaces a passage's vector.
    pub(super) fn put(&mut self, owner: Owner, vector: &Quantised) {
        self.remove(owner);
        self.push(owner, vector.scale, &vector.codes);
        self.touch(self.owners.len() - 1);
    }

    /// The passages of a document that have no vector wait for it.
    pub(super) fn await_all(&mut self, number: u32, count: usize) {
        let all = (0..super::place(count)).map(|passage| (number, passage));
        let without = all.filter(|owner| !self.rows.contains_key(owner));
        self.waiting.extend(without);
    }

    /// No passage of a document waits any more.
    pub(super) fn await_none(&mut self, number: u32) {
        let waiting = self.waiting.range((number, 0)..=(number, u32::MAX));
        for owner in waiting.copied().collect::<Vec<_>>() {
            self.waiting.remove(&owner);
        }
    }

    /// Removes all that is of a document.
    pub(super) fn remove_all(&mut self, number: u32, count: usize) {
        self.await_none(number);
        for passage in 0..super::place(count) {
            self.remove((number, passage));
        }
    }

    /// Gives a passage's vector to another passage with the same words.
    pub(super) fn hand_over(&mut self, from: Owner, to: Owner) {
        if let Some(row) = self.rows.remove(&from) {
            self.owners[row] = to;
            self.rows.insert(to, row);
            self.waiting.remove(&to);
            self.touch(row);
        }
    }

    /// Marks segments as not kept, from this one to the last of so many.
    pub(super) fn rewrite(&mut self, from: usize, count: usize) {
        self.changed.extend(from..count.max(self.segments()));
    }

    /// Encodes the segments that changed.
    pub(super) fn take_changed(
        &mut self,
        id: &ModelId,
        numbers: &BTreeMap<u32, Name>,
        writes: &mut BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) {
        for number in self.take_numbers() {
            let segment = number as usize;
            let is_there = segment < self.segments();
            let value = is_there.then(|| pieces::encode(&self.segment(id, segment, numbers)));
            writes.insert(Key::Segment(*id, number).to_bytes(), value);
        }
    }

    /// The numbers of the segments that changed.
    pub(super) fn take_numbers(&mut self) -> impl Iterator<Item = u32> + use<> {
        std::mem::take(&mut self.changed).into_iter().map(super::place)
    }

    fn segment(&self, id: &ModelId, segment: usize, numbers: &BTreeMap<u32, Name>) -> Segment {
        let start = segment * SEGMENT_ROWS;
        let rows = start..self.owners.len().min(start + SEGMENT_ROWS);
        // Few documents share a segment, and those of neighbours are the last ones.
        let mut numbered: Vec<u32> = Vec::new();
        let mut found = Segment {
            model: *id,
            dimension: super::place(self.vectors.dimension()),
            documents: Vec::new(),
            owners: Vec::new(),
            scales: Vec::new(),
            codes: Vec::new(),
        };
        for row in rows {
            let (number, passage) = self.owners[row];
            let place = numbered
                .iter()
                .rposition(|known| *known == number)
                .unwrap_or_else(|| {
                    // Every owner is a document's.
                    let name = numbers.get(&number).copied().unwrap_or_default();
                    found.documents.push(name.into());
                    numbered.push(number);
                    numbered.len() - 1
                });
            let (scale, codes) = self.vectors.row(row);
            found.owners.push((super::place(place), passage));
            found.scales.push(scale);
            found.codes.extend(codes.iter().map(|code| code.cast_unsigned()));
        }
        found
    }

    fn remove(&mut self, owner: Owner) {
        if let Some(row) = self.rows.remove(&owner) {
            let last = self.owners.len() - 1;
            self.touch(row);
            self.touch(last);
            self.vectors.swap_remove(row);
            self.owners.swap_remove(row);
            if let Some(moved) = self.owners.get(row) {
                self.rows.insert(*moved, row);
            }
        }
    }

    fn touch(&mut self, row: usize) {
        self.changed.insert(row / SEGMENT_ROWS);
    }
}
