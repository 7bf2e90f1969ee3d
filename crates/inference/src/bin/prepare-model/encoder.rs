//! Texts through the encoder on the project's own kernels, which add in one order on every machine.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::thread;

use anyhow::{Context, Result, anyhow};
use inference::onnx;
use inference::session::Session;
use inference::tensor::Tensor;

use crate::algebra::Matrix;

/// Tokens that are computed together: more gain nothing and need memory.
const BATCH_TOKENS: usize = 768;

/// The model from token ids to hidden states.
pub(crate) struct Encoder {
    session: Session,
    hidden: usize,
}

impl Encoder {
    pub(crate) fn new(onnx: Vec<u8>, hidden: usize) -> Result<Self> {
        let session = Session::new(onnx::read(onnx.into())?)?;
        Ok(Self { session, hidden })
    }

    /// The average hidden state of each text, a row each. Every core computes; who computes what changes nothing.
    pub(crate) fn averages(&self, texts: &[Vec<i64>]) -> Result<Matrix> {
        let batches = batches(texts);
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        let done = thread::scope(|scope| {
            let mine = |worker: usize| batches.iter().skip(worker).step_by(workers);
            let started: Vec<_> = (0..workers)
                .map(|worker| scope.spawn(move || mine(worker).map(|batch| self.run(texts, batch)).collect()))
                .collect();
            let joined = started.into_iter().map(|worker| match worker.join() {
                Ok(done) => done,
                Err(_) => Err(anyhow!("a thread of the encoder died")),
            });
            joined.collect::<Result<Vec<Vec<Vec<f64>>>>>()
        })?;
        let mut found = Matrix::zeros(texts.len(), self.hidden);
        for (worker, results) in done.iter().enumerate() {
            let mine = batches.iter().skip(worker).step_by(workers);
            for (&text, row) in mine
                .flatten()
                .zip(results.iter().flat_map(|rows| rows.chunks_exact(self.hidden)))
            {
                found.values[text * self.hidden..][..self.hidden].copy_from_slice(row);
            }
        }
        Ok(found)
    }

    /// The averages of some texts of the same length.
    fn run(&self, texts: &[Vec<i64>], batch: &[usize]) -> Result<Vec<f64>> {
        let length = batch.first().map_or(0, |&text| texts[text].len());
        let shape = [batch.len(), length];
        let count = batch.len() * length;
        let ids: Vec<i64> = batch
            .iter()
            .flat_map(|&text| texts[text].iter().copied())
            .collect();
        let given = [
            ("input_ids", ids),
            ("attention_mask", vec![1; count]),
            ("token_type_ids", vec![0; count]),
        ];
        let given = given
            .into_iter()
            .map(|(name, values)| Ok((name.to_owned(), Tensor::integers(&shape, values)?)))
            .collect::<Result<BTreeMap<_, _>, inference::tensor::TensorError>>()?;
        let found = self.session.run(given)?;
        let states = found.get("last_hidden_state").and_then(Tensor::as_floats);
        let states = states.context("the encoder gave no hidden states")?;
        let mut averages = Vec::with_capacity(batch.len() * self.hidden);
        for text in states.chunks_exact(length * self.hidden) {
            let mut sums = vec![0.0; self.hidden];
            for row in text.chunks_exact(self.hidden) {
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, &x)| *sum += f64::from(x));
            }
            averages.extend(sums.into_iter().map(|sum| sum / length as f64));
        }
        Ok(averages)
    }
}

/// Texts of the same length together.
fn batches(texts: &[Vec<i64>]) -> Vec<Vec<usize>> {
    let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, text) in texts.iter().enumerate() {
        by_length.entry(text.len()).or_default().push(at);
    }
    by_length
        .iter()
        .flat_map(|(length, texts)| texts.chunks((BATCH_TOKENS / length.max(&1)).max(1)))
        .map(<[usize]>::to_vec)
        .collect()
}
