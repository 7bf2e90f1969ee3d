//! A question, and the vectors that came with its own.

use library::index::{Quantised, Question as Vector};
use library::{Hit, Library, ModelError, ModelId, PassageId, Scope};
use wasm_bindgen::JsError;

/// The vectors of a question and of passages that waited for theirs.
pub(crate) struct Question {
    model: ModelId,
    dimension: usize,
    /// The question's row, and one for each passage.
    values: Vec<f32>,
    passages: Vec<PassageId>,
}

impl Question {
    pub(crate) fn new(model: ModelId, values: Vec<f32>, passages: Vec<PassageId>) -> Result<Self, JsError> {
        let rows = passages.len() + 1;
        let dimension = values.len() / rows;
        if dimension == 0 || values.len() != dimension * rows {
            let message = format!("{rows} vectors were expected, and {} numbers came", values.len());
            return Err(JsError::new(&message));
        }
        Ok(Self {
            model,
            dimension,
            values,
            passages,
        })
    }

    /// The passages nearest to the question.
    pub(crate) fn answer(
        &self,
        library: &mut Library,
        keeps: bool,
        count: usize,
    ) -> Result<Vec<Hit>, ModelError> {
        let (question, rows) = self.values.split_at(self.dimension);
        let new = || self.passages.iter().zip(rows.chunks_exact(self.dimension));
        if keeps {
            open(library, self.model, self.dimension)?;
            for (passage, row) in new() {
                library.put_vector(&self.model, *passage, row)?;
            }
        }
        let mut hits = match library.search(&self.model, question, count, Scope::Device) {
            // Nothing is kept of this model.
            Err(ModelError::Unknown) => Vec::new(),
            hits => hits?,
        };
        if !keeps {
            let question = Vector::of(question)?;
            for (passage, row) in new() {
                let vector = Quantised::of(row)?;
                let cosine = question.cosine(vector.scale, &vector.codes);
                hits.push(Hit {
                    passage: *passage,
                    cosine,
                });
            }
            hits.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
            hits.truncate(count);
        }
        Ok(hits)
    }
}

/// The next passages without a vector of the model; of no model, the first passages of all.
pub(crate) fn waiting(library: &Library, model: Option<&ModelId>, count: usize) -> Vec<PassageId> {
    let in_use = model.filter(|model| library.models().any(|(id, ..)| id == *model));
    match in_use {
        Some(model) => library.waiting(model, None, count),
        None => {
            let all = library.documents().flat_map(|document| {
                let passages = u32::try_from(document.passage_count()).unwrap_or(u32::MAX);
                (0..passages).map(|passage| PassageId {
                    document: document.name,
                    passage,
                })
            });
            all.take(count).collect()
        }
    }
}

/// Begins to use a model, instead of the one with the fewest vectors where there are too many.
fn open(library: &mut Library, model: ModelId, dimension: usize) -> Result<(), ModelError> {
    if let Err(ModelError::TooMany(_)) = library.open_model(model, dimension) {
        let fewest = library.models().min_by_key(|(_, _, vectors, _)| *vectors);
        if let Some(id) = fewest.map(|(id, ..)| *id) {
            library.drop_model(&id);
        }
    }
    library.open_model(model, dimension)
}
