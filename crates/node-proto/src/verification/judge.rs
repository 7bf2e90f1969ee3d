//! Disputes: a third party decides from signed evidence who is wrong.
//!
//! A buyer says "wrong", a provider says "right". Whoever wants to know is shown the [`Evidence`]: the agreement with both
//! signatures, the input, the result and the provider's signature on it. Nobody's word is taken for anything else:
//!
//! ```text
//! agreement signed by both? input as agreed? result signed by the provider for this agreement, of the agreed shape?
//!      no ─▶ EvidenceError: nothing is shown; whoever presents it proves nothing
//!      yes ─▶ compare the rows that the judge knows the answer to, by the agreement's rule
//!                some row differs ─▶ ProviderWrong     every row alike ─▶ ProviderRight     none known ─▶ Undecided
//! ```
//!
//! The judge's references are its own: it computed them with the model and the precision of the agreement, or knows them
//! as probes. Alike rows prove nothing about the others, so a [`Ruling::ProviderRight`] rests on as many rows as it says.

use crate::ids::AgreementId;
use crate::sign::Domain;
use crate::verification::required;
use crate::wire::{Agreement, ResultHead, Signed, WireError};
use crate::work::{Row, RunOutcome, WorkInput, WorkOutput, likeness};

/// What is laid before a judge.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The agreement with the requester's signature.
    pub agreement: Signed,
    /// The provider's signature on it.
    pub countersignature: [u8; 64],
    /// The input, probes included.
    pub input: WorkInput,
    /// The provider's word that this is its result.
    pub head: Signed,
    /// The result.
    pub output: WorkOutput,
}

/// What the judge knows of the right result.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Which of the items.
    pub row: usize,
    /// What belongs to it.
    pub right: Right,
}

/// What is right for one item.
#[derive(Clone, Debug)]
pub enum Right {
    /// A text's vector, by the agreed model in the agreed precision.
    Vector(Vec<f32>),
    /// How a run of the agreed module ends.
    Run(RunOutcome),
}

impl Right {
    fn row(&self) -> Row<'_> {
        match self {
            Self::Vector(vector) => Row::Vector(vector),
            Self::Run(outcome) => Row::Run(outcome),
        }
    }
}

/// Why evidence shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// An object is not what it should be, or not signed by whom it should be.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The provider did not sign the agreement.
    #[error("the provider did not sign the agreement")]
    NotAgreed,
    /// The input is not the agreed one.
    #[error("the input is not the agreed one")]
    OtherInput,
    /// The provider signed another result, or for another agreement.
    #[error("the result is not the one that the provider signed for this agreement")]
    OtherResult,
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ruling {
    /// A row is not what the agreement promised: the buyer need not pay.
    ProviderWrong {
        /// Which.
        row: usize,
        /// How alike it is, −1..=1.
        seen: f32,
        /// How alike it should be.
        required: f32,
    },
    /// Every row that the judge knows is right: the buyer's refusal is without ground, as far as can be seen.
    ProviderRight {
        /// How many rows that rests on.
        rows: usize,
    },
    /// The judge knows none of the rows.
    Undecided,
}

/// Decides.
pub fn judge(evidence: &Evidence, references: &[Reference]) -> Result<Ruling, EvidenceError> {
    let terms = open(evidence)?;
    let required = required(terms.rule, terms.cosine_min_ppm);
    let mut known = 0;
    for reference in references
        .iter()
        .filter(|reference| reference.row < evidence.input.len())
    {
        let seen = evidence.output.row(reference.row);
        let seen = seen.map_or(-1.0, |row| likeness(terms.rule, row, reference.right.row()));
        // False for a NaN, too.
        let enough = seen >= required;
        if !enough {
            return Ok(Ruling::ProviderWrong {
                row: reference.row,
                seen,
                required,
            });
        }
        known += 1;
    }
    Ok(match known {
        0 => Ruling::Undecided,
        rows => Ruling::ProviderRight { rows },
    })
}

/// The agreement, when everything that was signed fits together.
fn open(evidence: &Evidence) -> Result<Agreement, EvidenceError> {
    let terms: Agreement = crate::wire::open_body(&evidence.agreement.body)?;
    evidence.agreement.open::<Agreement>(&terms.requester)?;
    let agreed = Domain::Agreement.verify(
        &terms.provider,
        &evidence.agreement.body,
        &evidence.countersignature,
    );
    if !agreed {
        return Err(EvidenceError::NotAgreed);
    }
    if evidence.input.len() != terms.items as usize || evidence.input.hash() != terms.input {
        return Err(EvidenceError::OtherInput);
    }
    let head: ResultHead = evidence.head.open(&terms.provider)?;
    let id = AgreementId(evidence.agreement.hash::<Agreement>().0);
    if head.agreement != id || head.output != evidence.output.hash() {
        return Err(EvidenceError::OtherResult);
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::ids::{Hash, Millicredits};
    use crate::price::Factors;
    use crate::service::{Precision, Scope};
    use crate::sign::{Ed25519Signer, Signer as _};
    use crate::wire::{ComparisonRule, OBJECT_VERSION};

    fn evidence(rule: ComparisonRule, values: &[f32]) -> Evidence {
        let (buyer, seller) = (
            Ed25519Signer::from_secret(&[1; 32]),
            Ed25519Signer::from_secret(&[2; 32]),
        );
        let input = WorkInput::Texts {
            texts: vec!["one".to_owned(), "two".to_owned()],
        };
        let output = WorkOutput::Embeddings {
            dimension: 2,
            values: values.to_vec(),
            backend: String::new(),
        };
        let terms = Agreement {
            version: OBJECT_VERSION,
            requester: buyer.id(),
            provider: seller.id(),
            proposal: Hash([3; 32]),
            scope: Scope::Anyone,
            service: 0,
            model: None,
            precision: Precision::F32,
            rule,
            cosine_min_ppm: 990_000,
            items: 2,
            tokens: 2,
            input: input.hash(),
            price: Millicredits(1),
            factors: Factors {
                base_cost: 1,
                quality_multiplier: 1,
                market_demand: 1,
                reputation_factor: 1,
            },
            promised_ms: 1,
        };
        let agreement = Signed::seal(&buyer, &terms);
        let head = ResultHead {
            version: OBJECT_VERSION,
            agreement: AgreementId(agreement.hash::<Agreement>().0),
            output: output.hash(),
            took_ms: 1,
            origin: None,
        };
        Evidence {
            countersignature: Domain::Agreement.sign(&seller, &agreement.body),
            head: Signed::seal(&seller, &head),
            agreement,
            input,
            output,
        }
    }

    fn reference(row: usize, vector: [f32; 2]) -> Reference {
        Reference {
            row,
            right: Right::Vector(vector.to_vec()),
        }
    }

    const RIGHT: [Ruling; 2] = [
        Ruling::ProviderRight { rows: 1 },
        Ruling::ProviderRight { rows: 2 },
    ];

    #[test]
    fn the_agreements_rule_decides() {
        let values = [1.0, 0.0, 0.0, 1.0];
        let both = [reference(0, [1.0, 0.001]), reference(1, [0.0, 1.0])];
        let tolerant = evidence(ComparisonRule::Cosine, &values);
        assert_eq!(judge(&tolerant, &both), Ok(RIGHT[1]));
        assert_eq!(judge(&tolerant, &both[..1]), Ok(RIGHT[0]));
        let exact = evidence(ComparisonRule::Exact, &values);
        let ruling = Ruling::ProviderWrong {
            row: 0,
            seen: -1.0,
            required: 1.0,
        };
        assert_eq!(judge(&exact, &both), Ok(ruling));
        assert_eq!(judge(&exact, &both[1..]), Ok(RIGHT[0]));
        assert_eq!(judge(&tolerant, &[]), Ok(Ruling::Undecided));
        assert_eq!(
            judge(&tolerant, &[reference(2, [0.0, 0.0])]),
            Ok(Ruling::Undecided)
        );
    }

    #[test]
    fn a_wrong_row_or_a_missing_one_is_the_providers_fault() {
        let known = [reference(1, [0.0, 1.0])];
        for values in [
            &[1.0, 0.0, 1.0, 0.0][..],
            &[1.0, 0.0][..],
            &[1.0, 0.0, f32::NAN, 1.0][..],
        ] {
            let ruling = judge(&evidence(ComparisonRule::Cosine, values), &known);
            assert!(
                matches!(ruling, Ok(Ruling::ProviderWrong { row: 1, .. })),
                "{ruling:?}"
            );
        }
    }

    #[test]
    fn tampered_evidence_shows_nothing() {
        let good = evidence(ComparisonRule::Cosine, &[1.0, 0.0, 0.0, 1.0]);
        let known = [reference(0, [1.0, 0.0])];
        let other = |change: &dyn Fn(&mut Evidence)| {
            let mut evidence = good.clone();
            change(&mut evidence);
            judge(&evidence, &known).unwrap_err()
        };
        let result = |change: fn(&mut u32, &mut Vec<f32>)| {
            other(&|evidence| {
                let WorkOutput::Embeddings {
                    dimension, values, ..
                } = &mut evidence.output
                else {
                    panic!("it was made of vectors");
                };
                change(dimension, values);
            })
        };
        assert_eq!(result(|_, values| values[0] = 0.5), EvidenceError::OtherResult);
        assert_eq!(result(|dimension, _| *dimension = 4), EvidenceError::OtherResult);
        let longer = WorkInput::Texts {
            texts: vec!["one".to_owned(), "two!".to_owned()],
        };
        assert_eq!(other(&|e| e.input = longer.clone()), EvidenceError::OtherInput);
        assert_eq!(other(&|e| e.countersignature[0] ^= 1), EvidenceError::NotAgreed);
        let unsigned = EvidenceError::Wire(WireError::BadSignature);
        assert_eq!(other(&|e| e.agreement.signature[0] ^= 1), unsigned);
        assert_eq!(other(&|e| e.head.signature[0] ^= 1), unsigned);
        // The signed result of another agreement.
        let foreign = evidence(ComparisonRule::Exact, &[1.0, 0.0, 0.0, 1.0]).head;
        assert_eq!(other(&|e| e.head = foreign.clone()), EvidenceError::OtherResult);
    }
}
