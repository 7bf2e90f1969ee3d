//! Models, their vectors, and what is near a question.

use std::ops::Bound;

use super::model::{Model, Owner};
use super::{Library, PassageId};
use crate::document::Scope;
use crate::index::{DIMENSION_MAX, Quantised, Question, VectorError, Vectors};
use crate::pieces::{Key, ModelId};

/// A passage that is near a question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Which.
    pub passage: PassageId,
    /// The cosine between its vector and the question's, from -1 to 1.
    pub cosine: f32,
}

/// Why a model or a vector of it is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// It was not opened.
    #[error("this model is not in use here")]
    Unknown,
    /// As many as may be are in use.
    #[error("{0} models are in use, and no more may be")]
    TooMany(usize),
    /// No vector has so many components, or this model's have another number.
    #[error("vectors of {dimension} components do not fit; expected {expected}")]
    Dimension {
        /// What was said.
        dimension: usize,
        /// What this model gives, or the most that is possible.
        expected: usize,
    },
    /// The vector.
    #[error(transparent)]
    Vector(#[from] VectorError),
}

impl Library {
    /// Begins to use a model; all passages wait for their vectors of it. Nothing happens if it is in use.
    ///
    /// # Errors
    /// If there is no place for another, or its vectors have another dimension.
    pub fn open_model(&mut self, id: ModelId, dimension: usize) -> Result<(), ModelError> {
        if let Some(model) = self.models.get(&id) {
            let expected = model.vectors.dimension();
            return match expected == dimension {
                true => Ok(()),
                false => Err(ModelError::Dimension { dimension, expected }),
            };
        }
        if dimension == 0 || dimension > DIMENSION_MAX {
            let expected = DIMENSION_MAX;
            return Err(ModelError::Dimension { dimension, expected });
        }
        if self.models.len() >= self.limits.models_max {
            return Err(ModelError::TooMany(self.models.len()));
        }
        let mut model = Model::new(dimension);
        for entry in self.documents.values() {
            if entry.document.forgotten_at_ms.is_none() {
                model.await_all(entry.number, entry.document.passages.len());
            }
        }
        self.models.insert(id, model);
        Ok(())
    }

    /// Stops using a model and removes its vectors. Nothing happens if it is not in use.
    pub fn drop_model(&mut self, id: &ModelId) {
        if let Some(mut model) = self.models.remove(id) {
            // All that may be kept: what is there, and what should have been deleted next.
            model.rewrite(0, 0);
            for segment in model.take_numbers() {
                self.changed.insert(Key::Segment(*id, segment).to_bytes(), None);
            }
        }
    }

    /// The models in use, with their dimensions and how many passages have a vector and how many wait for one.
    pub fn models(&self) -> impl Iterator<Item = (&ModelId, usize, usize, usize)> {
        self.models.iter().map(|(id, model)| {
            let (dimension, count) = (model.vectors.dimension(), model.vectors.len());
            (id, dimension, count, model.waiting.len())
        })
    }

    /// The next passages that wait for a vector of a model, those behind `after` if it is given. They wait until
    /// [`put_vector`](Self::put_vector), so whoever asks for more meanwhile, or has to pass one by, says how far it is. None if the
    /// model is not in use.
    #[must_use]
    pub fn waiting(&self, id: &ModelId, after: Option<PassageId>, count: usize) -> Vec<PassageId> {
        let from = match after {
            None => Bound::Unbounded,
            // What is gone meanwhile had the place of its next one.
            Some(passage) => match self.documents.get(&passage.document) {
                Some(entry) => Bound::Excluded((entry.number, passage.passage)),
                None => Bound::Unbounded,
            },
        };
        let waiting = self.models.get(id).map(|model| &model.waiting);
        let next = waiting
            .into_iter()
            .flat_map(|waiting| waiting.range((from, Bound::Unbounded)));
        next.take(count)
            .filter_map(|owner| self.passage_of(*owner))
            .collect()
    }

    /// Takes the vector that a model made of a passage's [`for_embedding`](super::PassageText::for_embedding). False if
    /// that passage is gone meanwhile.
    ///
    /// # Errors
    /// If the model is not in use, or the vector is none of it.
    pub fn put_vector(
        &mut self,
        id: &ModelId,
        passage: PassageId,
        vector: &[f32],
    ) -> Result<bool, ModelError> {
        let entry = self.documents.get(&passage.document);
        let entry = entry.filter(|entry| (passage.passage as usize) < entry.document.passages.len());
        let owner = entry.map(|entry| (entry.number, passage.passage));
        let model = self.models.get_mut(id).ok_or(ModelError::Unknown)?;
        let (expected, actual) = (model.vectors.dimension(), vector.len());
        if expected != actual {
            return Err(VectorError::Dimension { expected, actual }.into());
        }
        let vector = Quantised::of(vector)?;
        if let Some(owner) = owner {
            model.put(owner, &vector);
        }
        Ok(owner.is_some())
    }

    /// The `count` passages nearest to a question's vector, best first, of all that may be seen by who asks: this device
    /// itself ([`Scope::Device`]), the person's other devices, a member of the group, anyone.
    ///
    /// # Errors
    /// If the model is not in use, or the vector is none of it.
    pub fn search(
        &self,
        id: &ModelId,
        question: &[f32],
        count: usize,
        from: Scope,
    ) -> Result<Vec<Hit>, ModelError> {
        let model = self.models.get(id).ok_or(ModelError::Unknown)?;
        let (expected, actual) = (model.vectors.dimension(), question.len());
        if expected != actual {
            return Err(VectorError::Dimension { expected, actual }.into());
        }
        let question = Question::of(question)?;
        let accept = |row: usize| self.may_see(model.owners[row].0, from);
        let found = model.vectors.nearest(&question, count, &accept);
        let hit = |owner, cosine| {
            let passage = self.passage_of(owner)?;
            Some(Hit { passage, cosine })
        };
        let hits = found
            .iter()
            .filter_map(|one| hit(model.owners[one.row], one.cosine));
        Ok(hits.collect())
    }

    /// The vectors of a model, and the rows of what may be seen by who asks.
    pub(crate) fn visible(&self, id: &ModelId, from: Scope) -> Result<(&Vectors, Vec<usize>), ModelError> {
        let model = self.models.get(id).ok_or(ModelError::Unknown)?;
        let owners = model.owners.iter().enumerate();
        let rows = owners
            .filter(|(_, (number, _))| self.may_see(*number, from))
            .map(|(row, _)| row);
        Ok((&model.vectors, rows.collect()))
    }

    fn passage_of(&self, (number, passage): Owner) -> Option<PassageId> {
        let document = *self.numbers.get(&number)?;
        Some(PassageId { document, passage })
    }
}
