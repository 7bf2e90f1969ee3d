//! How a run ended.

use std::fmt;

use thiserror::Error;

use crate::cbor::{Reader, Writer};
use crate::limits::Limits;

/// How a run ended, and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Units of fuel: what is paid for. Zero where nothing ran; all that was given where it ran out.
    pub fuel_used: u64,
    /// What came out.
    pub ending: Ending,
}

/// What came out of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The output.
    Output(Vec<u8>),
    /// None, and why.
    Failed(Failure),
}

/// Why there is no output.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The module may not run, and why, in words of who refused it.
    #[error("the module was refused{}", because(.0))]
    BadModule(String),
    /// The input is longer than a run may be given.
    #[error("the input is too long")]
    InputTooLong,
    /// All the fuel was used.
    #[error("it took more work than was paid for")]
    OutOfFuel,
    /// It gave up after it was refused memory.
    #[error("it needed more memory than a module may have")]
    MemoryLimit,
    /// Its calls were too deep.
    #[error("its calls went too deep")]
    CallDepth,
    /// It did what cannot be done.
    #[error("it failed: {0}")]
    Trap(Trap),
    /// `alloc` or `run` named a place outside of the memory.
    #[error("it named a place outside of its memory")]
    BadPlace,
    /// The output, or a message, is longer than it may be.
    #[error("its output is too long")]
    OutputTooLong,
    /// The module does not accept the input, and says why.
    #[error("it did not accept the input: {0}")]
    Refused(String),
    /// The machine failed, and not the module: no memory was left, or the engine's own stack was too small.
    #[error("the machine could not run it: {0}")]
    Machine(String),
}

/// What a module did that cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trap {
    /// It said that it cannot go on: most languages do so when a check of theirs fails.
    Unreachable,
    /// Memory or a table was used beyond its end.
    OutOfBounds,
    /// A whole number was divided by zero.
    DivisionByZero,
    /// A result that fits into no whole number.
    IntegerOverflow,
    /// An indirect call to nothing, or to a function of another type.
    IndirectCall,
    /// Something that the engine does not tell apart, or that was left out to compare outcomes.
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
        let mut writer = Writer::default();
        plain.write(&mut writer);
        Some(writer.finish())
    }

    /// Reads what [`Ending::to_canonical_bytes`] wrote. How long it may be is for whoever took the bytes to bound.
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OutcomeError> {
        let mut reader = Reader(bytes);
        let ending = Self::read(&mut reader);
        ending
            .and_then(|ending| reader.finish(ending))
            .ok_or(OutcomeError)
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Output(output) => {
                writer.case(0, 1);
                writer.bytes(output);
            }
            Self::Failed(failure) => {
                writer.case(1, 1);
                failure.write(writer);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let case = reader.case()?;
        reader.list(1)?;
        match case {
            0 => Some(Self::Output(reader.bytes()?)),
            1 => Some(Self::Failed(Failure::read(reader)?)),
            _ => None,
        }
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

    /// The outcome as CBOR. The same outcome has the same bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.write(&mut writer);
        writer.finish()
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
        let mut reader = Reader(bytes);
        let outcome = Self::read(&mut reader);
        outcome
            .and_then(|outcome| reader.finish(outcome))
            .ok_or(OutcomeError)
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.list(2);
        writer.number(self.fuel_used);
        self.ending.write(writer);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.list(2)?;
        let fuel_used = reader.number()?;
        let ending = Ending::read(reader)?;
        Some(Self { fuel_used, ending })
    }
}

/// Numbers of failures that carry something.
mod case {
    pub(super) const BAD_MODULE: u64 = 0;
    pub(super) const TRAP: u64 = 5;
    pub(super) const REFUSED: u64 = 8;
    pub(super) const MACHINE: u64 = 9;
}

impl Failure {
    pub(crate) fn write(&self, writer: &mut Writer) {
        let (case, words) = match self {
            Self::BadModule(words) => (case::BAD_MODULE, words),
            Self::Refused(words) => (case::REFUSED, words),
            Self::Machine(words) => (case::MACHINE, words),
            Self::Trap(trap) => {
                writer.case(case::TRAP, 1);
                return writer.case(trap.number(), 0);
            }
            Self::InputTooLong => return writer.case(1, 0),
            Self::OutOfFuel => return writer.case(2, 0),
            Self::MemoryLimit => return writer.case(3, 0),
            Self::CallDepth => return writer.case(4, 0),
            Self::BadPlace => return writer.case(6, 0),
            Self::OutputTooLong => return writer.case(7, 0),
        };
        writer.case(case, 1);
        writer.text(words);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let case = reader.case()?;
        let carries = matches!(
            case,
            case::BAD_MODULE | case::TRAP | case::REFUSED | case::MACHINE
        );
        reader.list(carries.into())?;
        Some(match case {
            case::TRAP => {
                let trap = Trap::of(reader.case()?)?;
                reader.list(0)?;
                Self::Trap(trap)
            }
            1 => Self::InputTooLong,
            2 => Self::OutOfFuel,
            3 => Self::MemoryLimit,
            4 => Self::CallDepth,
            6 => Self::BadPlace,
            7 => Self::OutputTooLong,
            case::BAD_MODULE | case::REFUSED | case::MACHINE => {
                let words = reader.text()?;
                match case {
                    case::BAD_MODULE => Self::BadModule(words),
                    case::REFUSED => Self::Refused(words),
                    _ => Self::Machine(words),
                }
            }
            _ => return None,
        })
    }
}

impl Trap {
    /// In the order of their numbers.
    const ALL: [Self; 6] = [
        Self::Unreachable,
        Self::OutOfBounds,
        Self::DivisionByZero,
        Self::IntegerOverflow,
        Self::IndirectCall,
        Self::Other,
    ];

    fn number(self) -> u64 {
        self as u64
    }

    fn of(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
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
