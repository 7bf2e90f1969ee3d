//! How a run ended.

use std::fmt;

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::limits::Limits;

/// How a run ended, and what it took.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Outcome {
    /// Units of fuel: what is paid for. Zero where nothing ran; all that was given where it ran out.
    #[n(0)]
    pub fuel_used: u64,
    /// What came out.
    #[n(1)]
    pub ending: Ending,
}

/// What came out of a run.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Ending {
    /// The output.
    #[n(0)]
    Output(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// None, and why.
    #[n(1)]
    Failed(#[n(0)] Failure),
}

/// Why there is no output.
#[derive(Debug, Clone, PartialEq, Eq, Error, Encode, Decode)]
#[non_exhaustive]
pub enum Failure {
    /// The module may not run, and why, in words of who refused it.
    #[n(0)]
    #[error("the module was refused{}", because(.0))]
    BadModule(#[n(0)] String),
    /// The input is longer than a run may be given.
    #[n(1)]
    #[error("the input is too long")]
    InputTooLong,
    /// All the fuel was used.
    #[n(2)]
    #[error("it took more work than was paid for")]
    OutOfFuel,
    /// It gave up after it was refused memory.
    #[n(3)]
    #[error("it needed more memory than a module may have")]
    MemoryLimit,
    /// Its calls were too deep.
    #[n(4)]
    #[error("its calls went too deep")]
    CallDepth,
    /// It did what cannot be done.
    #[n(5)]
    #[error("it failed: {0}")]
    Trap(#[n(0)] Trap),
    /// `alloc` or `run` named a place outside of the memory.
    #[n(6)]
    #[error("it named a place outside of its memory")]
    BadPlace,
    /// The output, or a message, is longer than it may be.
    #[n(7)]
    #[error("its output is too long")]
    OutputTooLong,
    /// The module does not accept the input, and says why.
    #[n(8)]
    #[error("it did not accept the input: {0}")]
    Refused(#[n(0)] String),
    /// The machine failed, and not the module: no memory was left, or the engine's own stack was too small.
    #[n(9)]
    #[error("the machine could not run it: {0}")]
    Machine(#[n(0)] String),
}

/// What a module did that cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[non_exhaustive]
pub enum Trap {
    /// It said that it cannot go on: most languages do so when a check of theirs fails.
    #[n(0)]
    Unreachable,
    /// Memory or a table was used beyond its end.
    #[n(1)]
    OutOfBounds,
    /// A whole number was divided by zero.
    #[n(2)]
    DivisionByZero,
    /// A result that fits into no whole number.
    #[n(3)]
    IntegerOverflow,
    /// An indirect call to nothing, or to a function of another type.
    #[n(4)]
    IndirectCall,
    /// Something that the engine does not tell apart, or that was left out to compare outcomes.
    #[n(5)]
    Other,
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "it gave up",
            Self::OutOfBounds => "it left its memory",
            Self::DivisionByZero => "it divided by zero",
            Self::IntegerOverflow => "a number was too large",
            Self::IndirectCall => "it called a function that is not there",
            Self::Other => "for a reason that is not named",
        })
    }
}

/// The words of a reason, where there are any.
fn because(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}

impl Failure {
    /// Whether every machine fails in this way, at the same fuel, so that replicas agree and what was used is paid.
    ///
    /// Only [`Failure::Machine`] is a matter of the machine; what runs it elsewhere may get an output.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        !matches!(self, Self::Machine(_))
    }
}

impl Ending {
    /// The same bytes for the endings of all outcomes that agree, and other bytes for all others: who compares them, and the fuel,
    /// needs not know what they mean. None where the machine failed, which is no result.
    ///
    /// They are CBOR, without what [`Outcome::agrees_with`] does not count: the kind of a trap is [`Trap::Other`], and a refusal
    /// has no words.
    #[must_use]
    pub fn to_canonical_bytes(&self) -> Option<Vec<u8>> {
        let plain = match self {
            Self::Failed(Failure::Machine(_)) => return None,
            Self::Failed(Failure::BadModule(_)) => &Self::Failed(Failure::BadModule(String::new())),
            Self::Failed(Failure::Trap(_)) => &Self::Failed(Failure::Trap(Trap::Other)),
            Self::Output(_) | Self::Failed(_) => self,
        };
        // Writing to memory does not fail.
        Some(minicbor::to_vec(plain).unwrap_or_default())
    }

    /// Reads what [`Ending::to_canonical_bytes`] wrote. How long it may be is for whoever took the bytes to bound.
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OutcomeError> {
        read(bytes)
    }
}

/// An outcome that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is not the outcome of a run")]
pub struct OutcomeError;

impl Outcome {
    /// A run that did not begin, and used nothing.
    #[must_use]
    pub fn unused(failure: Failure) -> Self {
        Self {
            fuel_used: 0,
            ending: Ending::Failed(failure),
        }
    }

    /// Whether two machines found the same. Outcomes that are a matter of the machine agree with nothing.
    ///
    /// Engines name the kinds of traps differently, and messages of refusals may be worded anew, so neither counts; the fuel at which
    /// they happened does.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let same = match (&self.ending, &other.ending) {
            (Ending::Output(ours), Ending::Output(theirs)) => ours == theirs,
            (Ending::Failed(Failure::Machine(_)), _) | (_, Ending::Failed(Failure::Machine(_))) => false,
            (Ending::Failed(Failure::BadModule(_)), Ending::Failed(Failure::BadModule(_))) => true,
            (Ending::Failed(Failure::Trap(_)), Ending::Failed(Failure::Trap(_))) => true,
            (Ending::Failed(ours), Ending::Failed(theirs)) => ours == theirs,
            _ => false,
        };
        same && self.fuel_used == other.fuel_used
    }

    /// The outcome as CBOR.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing to memory does not fail.
        minicbor::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Outcome::to_bytes`] wrote.
    ///
    /// # Errors
    /// If it is something else, or longer than the limits allow.
    pub fn from_bytes(bytes: &[u8], limits: &Limits) -> Result<Self, OutcomeError> {
        // A few bytes around the output, or around a message.
        const FRAME_BYTES_MAX: usize = 1024;
        if bytes.len() > limits.output_bytes_max.saturating_add(FRAME_BYTES_MAX) {
            return Err(OutcomeError);
        }
        read(bytes)
    }
}

/// Reads all of the bytes as one thing.
fn read<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, OutcomeError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().map_err(|_| OutcomeError)?;
    if decoder.position() == bytes.len() {
        Ok(value)
    } else {
        Err(OutcomeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(fuel_used: u64, failure: Failure) -> Outcome {
        Outcome {
            fuel_used,
            ending: Ending::Failed(failure),
        }
    }

    #[test]
    fn words_that_were_left_out_leave_no_gap() {
        assert_eq!(
            Failure::BadModule(String::new()).to_string(),
            "the module was refused"
        );
        assert_eq!(
            Failure::BadModule("no `run`".into()).to_string(),
            "the module was refused: no `run`"
        );
    }

    #[test]
    fn outcomes_are_read_as_they_were_written() {
        let limits = Limits::default();
        let output = Outcome {
            fuel_used: u64::MAX,
            ending: Ending::Output(vec![0, 255, 7]),
        };
        let refused = failed(3, Failure::Refused("no such colour".into()));
        for outcome in [output, refused, failed(9, Failure::Trap(Trap::DivisionByZero))] {
            let bytes = outcome.to_bytes();
            assert_eq!(Outcome::from_bytes(&bytes, &limits), Ok(outcome));
            assert!(Outcome::from_bytes(&bytes[1..], &limits).is_err());
            assert!(Outcome::from_bytes(&[&bytes[..], &[0]].concat(), &limits).is_err());
        }
    }

    #[test]
    fn outputs_beyond_the_limit_are_not_read() {
        let limits = Limits {
            output_bytes_max: 10,
            ..Limits::default()
        };
        let outcome = Outcome {
            fuel_used: 0,
            ending: Ending::Output(vec![0; 5_000]),
        };
        assert!(Outcome::from_bytes(&outcome.to_bytes(), &limits).is_err());
    }

    #[test]
    fn replicas_agree_on_what_every_machine_finds_and_on_nothing_else() {
        let trap = failed(5, Failure::Trap(Trap::OutOfBounds));
        assert!(trap.agrees_with(&failed(5, Failure::Trap(Trap::Other))));
        assert!(!trap.agrees_with(&failed(6, Failure::Trap(Trap::OutOfBounds))));
        assert!(!trap.agrees_with(&failed(5, Failure::OutOfFuel)));
        let machine = failed(5, Failure::Machine("no memory".into()));
        assert!(!machine.agrees_with(&machine));
        let output = |byte| Outcome {
            fuel_used: 5,
            ending: Ending::Output(vec![byte]),
        };
        assert!(output(1).agrees_with(&output(1)));
        assert!(!output(1).agrees_with(&output(2)));
    }
}
