//! Embeddings that were computed and checked before, kept until the page closes: asking again sends only what is new.
//!
//! Vectors of different models cannot be compared, so all that is kept belongs to one model, and a request that relies on
//! them names it.

use litemap::LiteMap;

use node_proto::ids::ModelId;

/// Most vectors kept; about 3 MB with 384 numbers each.
pub const VECTORS_MAX: usize = 2_048;

/// Embeddings of one model, by the hash of their text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recall {
    model: Option<ModelId>,
    vectors: LiteMap<[u8; 32], Vec<f32>>,
}

/// The texts of one question, parted into what must be computed and what is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The model that the request must name; `None` when nothing is known and any model will do.
    pub model: Option<ModelId>,
    /// For each text its vector, where it is known.
    pub known: Vec<Option<Vec<f32>>>,
}

impl Recall {
    /// What is known of these texts. The first one is the question: it is always computed, so that a request is never
    /// empty.
    pub fn plan(&self, texts: &[String]) -> Plan {
        let find =
            |(index, text): (usize, &String)| self.vectors.get(&key(text)).filter(|_| index > 0).cloned();
        let known: Vec<_> = texts.iter().enumerate().map(find).collect();
        let model = self.model.filter(|_| known.iter().any(Option::is_some));
        Plan { model, known }
    }

    /// Keeps new vectors. Those of another model are forgotten, and all of them when there would be too many.
    pub fn keep<'a>(&mut self, model: ModelId, new: impl IntoIterator<Item = (&'a str, &'a [f32])>) {
        if self.model != Some(model) {
            *self = Self {
                model: Some(model),
                vectors: LiteMap::new(),
            };
        }
        for (text, vector) in new {
            if self.vectors.len() >= VECTORS_MAX {
                self.vectors.clear();
            }
            self.vectors.insert(key(text), vector.to_vec());
        }
    }
}

impl Plan {
    /// How many vectors are known already.
    pub fn recalled(&self) -> usize {
        self.known.iter().flatten().count()
    }

    /// The texts that must be computed, in order.
    pub fn missing(&self, texts: &[String]) -> Vec<String> {
        texts
            .iter()
            .zip(&self.known)
            .filter(|(_, known)| known.is_none())
            .map(|(text, _)| text.clone())
            .collect()
    }

    /// All vectors in the order of the texts, row by row, from what was known and what came now.
    ///
    /// Too few or too many rows are left as they are: whoever ranks them finds the wrong shape.
    pub fn merge(&self, computed: &[f32], dimension: usize) -> Vec<f32> {
        let mut rows = computed.chunks(dimension.max(1));
        let mut all = Vec::with_capacity(self.known.len() * dimension);
        for known in &self.known {
            all.extend_from_slice(known.as_deref().or_else(|| rows.next()).unwrap_or_default());
        }
        rows.for_each(|row| all.extend_from_slice(row));
        all
    }
}

fn key(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: ModelId = ModelId([1; 32]);

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn only_what_is_new_is_sent_and_the_order_is_kept() {
        let mut recall = Recall::default();
        let all = texts(&["q", "a", "b"]);
        let first = recall.plan(&all);
        assert_eq!((first.model, first.missing(&all)), (None, all.clone()));
        recall.keep(MODEL, [("a", [1.0, 2.0].as_slice()), ("b", &[3.0, 4.0])]);

        let all = texts(&["other", "b", "new", "a"]);
        let second = recall.plan(&all);
        assert_eq!(second.model, Some(MODEL));
        assert_eq!(second.missing(&all), ["other", "new"]);
        assert_eq!(
            second.merge(&[9.0, 9.0, 8.0, 8.0], 2),
            [9.0, 9.0, 3.0, 4.0, 8.0, 8.0, 1.0, 2.0]
        );
    }

    #[test]
    fn another_model_starts_anew_and_the_number_is_bounded() {
        let mut recall = Recall::default();
        recall.keep(MODEL, [("a", [1.0].as_slice())]);
        recall.keep(ModelId([2; 32]), [("b", [1.0].as_slice())]);
        assert_eq!(recall.plan(&texts(&["q", "a"])).model, None);
        for number in 0..VECTORS_MAX * 2 {
            recall.keep(MODEL, [(number.to_string().as_str(), [0.0].as_slice())]);
            assert!(recall.vectors.len() <= VECTORS_MAX);
        }
    }

    #[test]
    fn a_question_is_computed_even_if_it_is_a_passage() {
        let mut recall = Recall::default();
        recall.keep(MODEL, [("a", [1.0].as_slice())]);
        let all = texts(&["a", "a"]);
        assert_eq!(recall.plan(&all).missing(&all), ["a"]);
    }

    #[test]
    fn a_wrong_number_of_rows_does_not_pass_for_a_right_one() {
        let plan = Recall::default().plan(&texts(&["q", "a"]));
        assert_eq!(plan.merge(&[1.0, 2.0], 2).len(), 2);
        assert_eq!(plan.merge(&[1.0; 6], 2).len(), 6);
        assert_eq!(plan.merge(&[], 0).len(), 0);
    }
}
