//! Strangers' modules in the node's service: measured when lending is switched on, fetched from whoever wants them run, run.

use std::rc::Rc;
use std::time::Duration;

use computation::{Ending, Outcome, RULES_VERSION};
use futures::future::FutureExt as _;
use node_proto::capability::can_provide;
use node_proto::ids::{NodeId, WorkId};
use node_proto::io::Command;
use node_proto::service::{ComputerInfo, Failure, Service};
use node_proto::work::{FUEL_PER_UNIT, Module, RUN_BYTES_MAX, RunOutcome, WorkOutput};

use super::Driver;
use super::fetching::Wanted;
use super::tasks::Done;
use crate::compute::{Computer, Work};
use crate::error::ComputeError;
use crate::platform;
use crate::status::ComputerState;

/// Under this name the measured speed is kept, with the rules that it was measured by.
const SPEED: &str = "computer";
/// The engine for modules leaves the memory after so long without use: it is back in a moment.
const IDLE_MS: u32 = 15_000;

/// The engine for modules, and what waits for it.
pub(super) struct Computing {
    computer: Rc<Computer>,
    /// It was measured in this visit, or is being, or is not to run.
    measured: bool,
}

/// Runs that were agreed.
pub(super) struct Runs {
    pub(super) work: WorkId,
    /// It holds the module.
    pub(super) requester: NodeId,
    pub(super) module: Module,
    pub(super) fuel: u64,
    pub(super) inputs: Vec<Vec<u8>>,
    /// When the work is to be over, in the page's monotone milliseconds.
    pub(super) until: f64,
}

impl Computing {
    pub(super) fn new(origin: &str, idle_ms: u32, may_run: bool) -> Self {
        Self {
            computer: Rc::new(Computer::new(origin, idle_ms.min(IDLE_MS))),
            measured: !may_run,
        }
    }

    pub(super) fn end(&self) {
        self.computer.end();
    }
}

impl Driver {
    /// Measures the engine once, where this device may sell what it computes.
    pub(super) fn measure_computer(&mut self) {
        let snapshot = self.shared.handle().snapshot();
        let may = |tier| can_provide(tier, true).contains(&Service::Computation);
        if self.computing.measured || !snapshot.lending.policy.enabled || !snapshot.tier.is_some_and(may) {
            return;
        }
        self.computing.measured = true;
        self.show_computer(ComputerState::Measuring);
        let (computer, settings) = (self.computing.computer.clone(), self.settings.clone());
        let measure = async move {
            // On a later visit the worker is not worth its memory.
            let kept = match &settings {
                Some(settings) => settings.choice::<(u32, u64)>(SPEED).await,
                None => None,
            };
            Done::Computer(match kept {
                Some((RULES_VERSION, fuel_per_s)) => Ok(fuel_per_s),
                _ => {
                    let measured = computer.measure().await;
                    computer.end();
                    measured
                }
            })
        };
        self.tasks.push(measure.boxed_local());
    }

    pub(super) fn on_computer(&mut self, measured: Result<u64, ComputeError>) {
        let (computer, state) = match measured {
            Ok(fuel_per_s) => {
                self.keep(SPEED, (RULES_VERSION, fuel_per_s));
                let units_per_second = (fuel_per_s as f64 / FUEL_PER_UNIT as f64) as f32;
                let state = ComputerState::Ready { fuel_per_s };
                (Some(ComputerInfo { units_per_second }), state)
            }
            Err(error) => {
                // What could not be fetched may be there the next time that lending is switched on.
                self.computing.measured = matches!(error, ComputeError::WrongAnswer { .. });
                let reason = error.to_string();
                (None, ComputerState::Failed { reason })
            }
        };
        self.show_computer(state);
        self.command(Command::Computer { computer });
    }

    fn show_computer(&self, state: ComputerState) {
        self.shared.update(|status| status.computer = state);
    }

    /// Runs a module, which is fetched first where it is not here.
    pub(super) fn compute(&mut self, runs: Runs) {
        let Module { blob, bytes } = runs.module;
        let held = self.shared.modules.borrow_mut().get(&blob);
        if let Some(module) = held {
            return self.run_module(runs, module);
        }
        self.fetch_blob(blob, bytes, vec![runs.requester], Wanted::Runs(runs));
    }

    pub(super) fn run_module(&mut self, runs: Runs, module: Rc<[u8]>) {
        let computer = self.computing.computer.clone();
        self.tasks.push(
            async move {
                let started = platform::monotone_ms();
                let work = Work {
                    name: runs.module.blob.0,
                    module: &module,
                    inputs: runs.inputs,
                    fuel: runs.fuel,
                    deadline: Duration::from_secs_f64((runs.until - started).max(0.0) / 1_000.0),
                };
                let outcomes = computer.run(work).await.map_err(|error| Failure::Engine {
                    what: error.to_string(),
                });
                // Durations of a page's life fit.
                let took_ms = (platform::monotone_ms() - started) as u32;
                Done::Worked {
                    work: runs.work,
                    result: outcomes.and_then(|outcomes| output_of(&outcomes)),
                    took_ms,
                }
            }
            .boxed_local(),
        );
    }
}

/// The outcomes as they are compared and paid. Where the machine failed there is no output.
fn output_of(outcomes: &[Outcome]) -> Result<WorkOutput, Failure> {
    let outcome = |outcome: &Outcome| {
        let ending = match outcome.ending.to_canonical_bytes() {
            Some(ending) if ending.len() > RUN_BYTES_MAX => {
                Ending::Failed(computation::Failure::OutputTooLong).to_canonical_bytes()
            }
            other => other,
        };
        ending.map(|ending| RunOutcome {
            fuel: outcome.fuel_used,
            ending,
        })
    };
    let outcomes: Option<Vec<RunOutcome>> = outcomes.iter().map(outcome).collect();
    match outcomes {
        Some(outcomes) => Ok(WorkOutput::Runs { outcomes }),
        None => Err(Failure::Engine {
            what: "the machine could not run it".to_owned(),
        }),
    }
}
