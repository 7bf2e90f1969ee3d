//! Storage challenges: is what was given away still kept?
//!
//! Before a file leaves, its owner prepares questions that only a holder of the bytes can answer: for a random block and a
//! random nonce, `BLAKE3 keyed with the nonce over index ‖ block`. Each is asked once, later, and its answer compared.
//! The owner keeps 76 bytes per question and need not keep the file.
//!
//! A holder that dropped a part `f` of the blocks passes `k` questions with probability `(1 − f)^k` (G. Ateniese et al.,
//! *Provable Data Possession at Untrusted Stores*, CCS 2007): one percent missing is found with 99 % certainty by 459
//! questions, a tenth by 44. What cannot be told this way is how many copies there are, or where.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::{Hash, NodeId};
use crate::rng::Rng;
use crate::wire::bounded;

/// Size of the blocks that questions are about, bytes; the last one may be shorter.
pub const BLOCK_BYTES: usize = 16 * 1024;
/// Most questions that are prepared for one file.
pub const QUESTIONS_MAX: usize = 4_096;

/// A question: which block, under which nonce. The numbers are the wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Question {
    /// Number of the block.
    #[n(0)]
    pub block: u32,
    /// Known to nobody before it is asked.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub nonce: [u8; 32],
}

/// A question with the answer that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Prepared {
    /// What is asked.
    #[n(0)]
    pub question: Question,
    /// What only a holder of the block can say.
    #[n(1)]
    pub answer: Hash,
}

/// Questions whose answers are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Questions {
    #[cbor(n(0), decode_with = "bounded::vec::<QUESTIONS_MAX, _, _>")]
    prepared: Vec<Prepared>,
}

impl Questions {
    /// Prepares questions about a file of at most 2^32 blocks; an empty one has none. Whoever knows seed and owner knows
    /// the questions: the shell draws the seed anew for every file.
    pub fn prepare(seed: u64, owner: &NodeId, file: &[u8], count: usize) -> Self {
        let mut rng = Rng::new(seed, owner);
        let blocks = file.len().div_ceil(BLOCK_BYTES);
        let count = if blocks == 0 { 0 } else { count.min(QUESTIONS_MAX) };
        let prepared = (0..count).filter_map(|_| {
            let block = u32::try_from(rng.below(blocks)).ok()?;
            let question = Question {
                block,
                nonce: rng.bytes(),
            };
            let answer = answer(&question, file)?;
            Some(Prepared { question, answer })
        });
        Self {
            prepared: prepared.collect(),
        }
    }

    /// The next question and the answer that is right. Each comes once: a holder that heard it could keep its answer.
    pub fn take(&mut self) -> Option<Prepared> {
        self.prepared.pop()
    }

    /// Takes back one that nobody heard.
    pub fn put_back(&mut self, prepared: Prepared) {
        self.prepared.push(prepared);
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.prepared.len()
    }
}

/// The holder's side; `None` when the file has no such block.
pub fn answer(question: &Question, file: &[u8]) -> Option<Hash> {
    let start = (question.block as usize).checked_mul(BLOCK_BYTES)?;
    let rest = file.get(start..).filter(|rest| !rest.is_empty())?;
    let block = rest.get(..BLOCK_BYTES).unwrap_or(rest);
    let mut hasher = blake3::Hasher::new_keyed(&question.nonce);
    hasher.update(&question.block.to_le_bytes()).update(block);
    Some(Hash(*hasher.finalize().as_bytes()))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn file(blocks: usize) -> Vec<u8> {
        (0..blocks * BLOCK_BYTES - 100)
            .map(|at| (at / 7 % 251) as u8)
            .collect()
    }

    fn prepare(file: &[u8], count: usize) -> Questions {
        Questions::prepare(5, &NodeId([1; 32]), file, count)
    }

    #[test]
    fn whoever_keeps_everything_passes() {
        let file = file(20);
        let mut questions = prepare(&file, 100);
        assert_eq!(questions.left(), 100);
        while let Some(Prepared {
            question,
            answer: right,
        }) = questions.take()
        {
            assert_eq!(answer(&question, &file), Some(right));
        }
    }

    #[test]
    fn whoever_dropped_a_tenth_is_found() {
        let file = file(20);
        let mut kept = file.clone();
        kept[5 * BLOCK_BYTES..7 * BLOCK_BYTES].fill(0);
        let mut questions = prepare(&file, 100);
        let mut wrong = 0;
        while let Some(Prepared {
            question,
            answer: right,
        }) = questions.take()
        {
            wrong += u32::from(answer(&question, &kept) != Some(right));
        }
        assert!(wrong >= 3, "{wrong}");
    }

    #[test]
    fn nothing_is_asked_about_nothing() {
        assert_eq!(prepare(&[], 10).left(), 0);
        let beyond = Question {
            block: 1,
            nonce: [0; 32],
        };
        assert_eq!(answer(&beyond, &[1, 2, 3]), None);
        assert_eq!(
            answer(
                &Question {
                    block: u32::MAX,
                    ..beyond
                },
                &[1]
            ),
            None
        );
    }
}
