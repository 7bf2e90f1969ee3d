//! A module from its bytes to its outcomes.

use crate::engine::{self, Compiled, Halt};
use crate::instrument::{self, Metered};
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::refusal::{Refusal, quote};
use crate::survey;

/// A module with its meters, as any engine can run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrumented {
    wasm: Vec<u8>,
    start_units: u64,
}

impl Instrumented {
    /// Validates a module and puts the meters into it. The same module gives the same bytes everywhere.
    ///
    /// The limits are taken as they are: [`Limits::validate`] says whether they agree with one another.
    ///
    /// # Errors
    /// If the module may not run.
    pub fn new(module: &[u8], limits: &Limits) -> Result<Self, Refusal> {
        let survey = survey::survey(module, limits)?;
        let Metered { wasm, start_units } = instrument::instrument(module.len(), survey, limits)?;
        Ok(Self { wasm, start_units })
    }

    /// The metered module: no imports, and the exports `memory`, `alloc`, `run`, `fuel` and `stop`.
    #[must_use]
    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// Fuel that every run takes for compiling the module and clearing its memory.
    #[must_use]
    pub fn start_units(&self) -> u64 {
        self.start_units
    }
}

/// A module that this machine's engine has compiled.
///
/// In a browser it belongs into a worker, which is terminated when a run takes too long: while a module computes, nothing else does.
pub struct Prepared {
    compiled: Compiled,
    start_units: u64,
    limits: Limits,
}

impl Prepared {
    /// Validates, meters and compiles a module.
    ///
    /// # Errors
    /// [`Failure::BadModule`] if the module may not run, [`Failure::Machine`] if this engine cannot compile it.
    pub fn new(module: &[u8], limits: Limits) -> Result<Self, Failure> {
        let instrumented = Instrumented::new(module, &limits)
            .map_err(|refusal| Failure::BadModule(quote(&refusal.to_string())))?;
        let compiled = Compiled::new(&instrumented.wasm).map_err(|halt| match halt {
            Halt::Machine(reason) => Failure::Machine(quote(&reason)),
            Halt::Trap(trap) => Failure::Machine(trap.to_string()),
        })?;
        Ok(Self {
            compiled,
            start_units: instrumented.start_units,
            limits,
        })
    }

    /// Fuel that every run takes before it begins, and as much again for its input as [`weights`](crate::weights) says.
    #[must_use]
    pub fn start_units(&self) -> u64 {
        self.start_units
    }

    /// Computes one input with so much fuel, in memory of its own: no run sees another.
    #[must_use]
    pub fn run(&self, input: &[u8], fuel: u64) -> Outcome {
        match self.compiled.instantiate() {
            Ok(mut instance) => engine::run(&mut instance, input, fuel, self.start_units, &self.limits),
            Err(Halt::Machine(reason)) => Outcome::unused(Failure::Machine(quote(&reason))),
            Err(Halt::Trap(trap)) => Outcome::unused(Failure::Machine(trap.to_string())),
        }
    }
}

/// Prepares and runs a module once.
#[must_use]
pub fn compute(module: &[u8], input: &[u8], fuel: u64, limits: Limits) -> Outcome {
    match Prepared::new(module, limits) {
        Ok(prepared) => prepared.run(input, fuel),
        Err(failure) => Outcome::unused(failure),
    }
}
