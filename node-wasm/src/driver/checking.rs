//! Known answers: what this node hides among its texts to find out who computes wrongly.
//!
//! The manifest's are public, so a provider that lies knows them. The relay has a pool of secret ones and gives each buyer
//! a few; the manifest's remain for relays without one. What was used often may be recognised, so new ones are asked for from time to
//! time while requests are made. Whoever gives this page its code and its manifest gives it these too: they ask for no more trust.

use std::pin::pin;

use futures::future::{Either, FutureExt as _, select};
use gloo::timers::future::TimeoutFuture;
use inference::KnownAnswers;
use node_proto::ids::ModelId;
use node_proto::io::Command;
use node_proto::service::Probe;

use super::Driver;
use super::tasks::Done;
use crate::platform;

/// New ones are asked for after this long at the earliest.
const ANEW_AFTER_MS: u64 = 10 * 60_000;
/// Where none came, they are asked for again after this long at the earliest.
const RETRY_AFTER_MS: u64 = 60_000;
/// A relay that says nothing is given up after this long.
const FETCH_MS_MAX: u32 = 20_000;
/// Longest answer: 32 of the longest texts with as many embeddings have 2 MiB at most.
const BYTES_MAX: usize = 2 * 1024 * 1024;
/// Models that they are asked for, the relay's first choices.
const MODELS_MAX: usize = 8;

impl Driver {
    /// Asks the relay for secret known answers, unless it was asked a short while ago.
    pub(super) fn need_known_answers(&mut self) {
        let now = self.shared.clock.now();
        let models = self.models.dimensions();
        if now < self.known_answers_at || models.is_empty() {
            return;
        }
        self.known_answers_at = now.plus_ms(RETRY_AFTER_MS);
        for (model, dimension) in models.into_iter().take(MODELS_MAX) {
            let url = format!(
                "{}/known-answers/{}",
                self.origin,
                inference::ContentHash(model.0)
            );
            self.tasks.push(
                async move {
                    Done::KnownAnswers {
                        model,
                        probes: fetch(&url, dimension).await,
                    }
                }
                .boxed_local(),
            );
        }
    }

    /// Those that came take the place of the former ones.
    pub(super) fn on_known_answers(&mut self, model: ModelId, probes: Option<Vec<Probe>>) {
        if let Some(probes) = probes {
            self.known_answers_at = self.shared.clock.now().plus_ms(ANEW_AFTER_MS);
            self.command(Command::Probes { model, probes });
        }
    }
}

/// A relay may have none, or none left for this network: then those that are there stay.
async fn fetch(url: &str, dimension: usize) -> Option<Vec<Probe>> {
    let answer = pin!(platform::fetch_text(url, BYTES_MAX));
    let json = match select(answer, TimeoutFuture::new(FETCH_MS_MAX)).await {
        Either::Left((json, _)) => json.ok()?,
        Either::Right(_) => return None,
    };
    read(&json, dimension)
}

fn read(json: &str, dimension: usize) -> Option<Vec<Probe>> {
    let answers = KnownAnswers::from_json(json.as_bytes()).ok()?;
    let fits = answers.dimension() == dimension;
    let probe = |(text, embedding)| Probe { text, embedding };
    fits.then(|| answers.into_answers().map(probe).collect())
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn an_answer_is_read_and_one_for_another_model_is_not() {
        let json = r#"{"version":1,"texts":["a quiet place"],"embeddings":[[0.6,0.8]]}"#;
        let probe = Probe {
            text: "a quiet place".to_owned(),
            embedding: vec![0.6, 0.8],
        };
        assert_eq!(read(json, 2), Some(vec![probe]));
        assert_eq!(read(json, 3), None);
        assert_eq!(read("<html>", 2), None);
    }
}
