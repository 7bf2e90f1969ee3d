//! Answers that are kept and sold again: see [`cache`](crate::cache).

use crate::cache::{self, CachedAnswer, CachedRow, Provenance, Wanted};
use crate::ids::{AgreementId, ExchangeId, Hash};
use crate::node::Node;
use crate::node::job::{Job, Leg};
use crate::service::Scope;
use crate::verification::Slot;
use crate::view::Verification;
use crate::wire::{Agreement, Origin, Refusal, RefusalCode, Signed};
use crate::work::{WorkInput, WorkOutput};

impl Node {
    /// What this node's own result says of itself; nothing where it keeps no answers.
    pub(super) fn origin(&self, terms: &Agreement, keys: &[Hash], output: &WorkOutput) -> Option<Origin> {
        let (
            model,
            WorkOutput::Embeddings {
                dimension, values, ..
            },
        ) = (terms.model?, output)
        else {
            return None;
        };
        if keys.is_empty() {
            return None;
        }
        Some(Origin {
            model,
            precision: terms.precision,
            computed_at: self.now.0,
            rows: cache::root(keys, *dimension, values)?,
            count: terms.items,
        })
    }

    /// Keeps the rows of this node's own result.
    pub(super) fn keep_own(
        &mut self,
        scope: Scope,
        origin: &Origin,
        head: &Signed,
        keys: &[Hash],
        output: &WorkOutput,
    ) {
        if let WorkOutput::Embeddings {
            dimension, values, ..
        } = output
        {
            let rows = cache::rows(self.me, head, keys, *dimension, values);
            self.keep_rows(origin, scope, rows);
        }
    }

    fn keep_rows(&mut self, origin: &Origin, scope: Scope, rows: Vec<(Hash, CachedRow)>) {
        let writes = self.cache.keep(origin, scope, rows);
        self.journal.commit_along(writes);
        self.changed = true;
    }

    /// Keeps what was bought and found right, of others' results the request's own texts: known answers are nobody's questions.
    pub(super) fn keep_bought(&mut self, job: &Job, leg: &Leg) {
        let Some(delivery) = leg.delivery.as_ref().filter(|_| self.cache.is_on()) else {
            return;
        };
        match (&delivery.output, &job.input) {
            (
                WorkOutput::Embeddings {
                    dimension, values, ..
                },
                WorkInput::Texts { .. },
            ) => {
                let WorkInput::Texts { texts } = leg.batch.input(&job.input) else {
                    return;
                };
                let keys: Vec<Hash> = texts.iter().map(|text| cache::key_of(text)).collect();
                let Some(origin) = delivery.origin else { return };
                // What its provider says of it must be so, or nobody could sell it.
                let is_so = Some(origin.model) == leg.terms.model
                    && origin.precision == leg.terms.precision
                    && origin.count == leg.terms.items
                    && cache::root(&keys, *dimension, values) == Some(origin.rows);
                if !is_so {
                    return;
                }
                let rows = cache::rows(leg.provider, &delivery.head, &keys, *dimension, values);
                let slots = leg.batch.slots.iter().zip(rows);
                let own = slots.filter(|(slot, _)| matches!(slot, Slot::Item(_)));
                let own = own.map(|(_, row)| row).collect();
                self.keep_rows(&origin, leg.terms.scope, own);
            }
            (WorkOutput::Cached { answers }, WorkInput::Cached { .. }) => {
                for (key, answer) in leg.batch.keys.iter().flatten().zip(answers) {
                    for row in answer.rows.iter().rev() {
                        if let Some(origin) = row.origin(key) {
                            self.keep_rows(&origin, leg.terms.scope, vec![(*key, row.clone())]);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Gives what is kept to whoever agreed to pay for it.
    pub(super) fn deliver_kept(
        &mut self,
        id: AgreementId,
        terms: &Agreement,
        exchange: ExchangeId,
        keys: &[Hash],
    ) {
        let model = terms.model.as_ref();
        let answers = model.and_then(|model| self.cache.answers(model, keys, self.now));
        match answers {
            Some(answers) => {
                let output = WorkOutput::Cached { answers };
                self.deliver(id, terms, vec![exchange], output, 0, &[]);
            }
            None => {
                self.seller.active.remove(&id);
                self.refuse(exchange, &Refusal::new(RefusalCode::NotHeld));
            }
        }
    }

    /// Where kept answers come from; `Err` where they do not show it. Of several texts the one that the fewest signed, and of those
    /// the oldest, speaks for all.
    pub(super) fn check_kept(&self, leg: &Leg) -> Result<Option<Verification>, ()> {
        let Some(WorkOutput::Cached { answers }) = leg.delivery.as_ref().map(|delivery| &delivery.output)
        else {
            return Ok(None);
        };
        let (Some(model), Some(keys)) = (leg.terms.model, &leg.batch.keys) else {
            return Err(());
        };
        let prove = |(key, answer): (&Hash, &CachedAnswer)| {
            let wanted = Wanted {
                key: *key,
                model,
                precision: leg.terms.precision,
                cosine_min: self.config.cosine_min,
            };
            let proved = answer.prove(&wanted, self.now, self.config.cache_age_ms)?;
            (!self.reputation.is_fraud(&proved.signer)).then_some(proved)
        };
        let proved: Option<Vec<Provenance>> = keys.iter().zip(answers).map(prove).collect();
        let weakest = proved.and_then(|proved| {
            let weakness = |proved: &Provenance| (proved.signers, proved.computed_at);
            proved.into_iter().min_by_key(weakness)
        });
        let Provenance {
            signer,
            computed_at,
            signers,
        } = weakest.ok_or(())?;
        Ok(Some(Verification::Kept {
            signer,
            computed_at,
            signers,
        }))
    }
}
