//! A sheet of inputs, cut into requests of a few each, several of them under way at a time: the market spreads them over
//! whoever offers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use leptos::prelude::*;
use leptos::task::spawn_local;
use node_proto::ids::{JobId, Millicredits, NodeId};
use node_proto::io::Command;
use node_proto::service::{Requirements, ServiceRequest};
use node_proto::view::{Outcome, Verification};
use node_proto::work::{RunOutcome, WorkOutput};
use node_wasm::compute::Ending;
use node_wasm::error::RequestError;

use super::super::state::App;
use crate::text;

/// Requests under way at a time.
const AT_ONCE: usize = 4;
/// Inputs of one request.
const EACH_MAX: usize = 16;
/// Bytes of them, unless one alone has more.
const EACH_BYTES_MAX: usize = 512 * 1024;
/// As for questions: it can be cancelled at any time.
const PATIENCE_MS: u32 = 120_000;

/// What a run is given.
#[derive(Clone)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// What came of one input.
#[derive(Clone)]
pub(super) struct Done {
    pub(super) name: String,
    pub(super) output: Result<Vec<u8>, String>,
}

/// All inputs, and how far they are.
#[derive(Clone, Default)]
pub(super) struct Sheet {
    all: usize,
    pub(super) done: Vec<Done>,
    price: Millicredits,
    devices: Vec<NodeId>,
    checked: usize,
    jobs: Vec<JobId>,
    is_cancelled: bool,
    /// Tells one sheet from the next.
    number: u64,
}

/// What is shown of all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) all: usize,
    pub(super) done: usize,
    pub(super) price: Millicredits,
    pub(super) devices: usize,
    pub(super) checked: usize,
    is_cancelled: bool,
}

impl Head {
    pub(super) fn is_over(&self) -> bool {
        self.is_cancelled || self.done == self.all
    }
}

impl Sheet {
    pub(super) fn head(&self) -> Head {
        Head {
            all: self.all,
            done: self.done.len(),
            price: self.price,
            devices: self.devices.len(),
            checked: self.checked,
            is_cancelled: self.is_cancelled,
        }
    }

    fn take_in(&mut self, inputs: Vec<Input>, result: Result<Outcome, RequestError>) {
        let names = inputs.into_iter().map(|input| input.name);
        match result {
            Err(error) => {
                let reason = text::sentence(&error);
                self.done.extend(names.map(|name| Done {
                    name,
                    output: Err(reason.clone()),
                }));
            }
            Ok(outcome) => {
                let paid = self.price.0.saturating_add(outcome.price.0);
                self.price = Millicredits(paid.saturating_add(outcome.check_price.0));
                if !self.devices.contains(&outcome.provider) {
                    self.devices.push(outcome.provider);
                }
                let WorkOutput::Runs { outcomes } = outcome.output else {
                    return;
                };
                if matches!(outcome.verification, Verification::TwoAgree { .. }) {
                    self.checked += outcomes.len();
                }
                let outputs = outcomes.iter().map(output_of);
                self.done
                    .extend(names.zip(outputs).map(|(name, output)| Done { name, output }));
            }
        }
    }
}

fn output_of(outcome: &RunOutcome) -> Result<Vec<u8>, String> {
    match Ending::from_bytes(&outcome.ending) {
        Ok(Ending::Output(output)) => Ok(output),
        Ok(Ending::Failed(failure)) => Err(text::sentence(&failure)),
        Err(error) => Err(text::sentence(&error)),
    }
}

/// Parts of about equal length, so that several devices have something to do.
fn cut(inputs: Vec<Input>) -> VecDeque<Vec<Input>> {
    let each = inputs.len().div_ceil(AT_ONCE).clamp(1, EACH_MAX);
    let mut parts: VecDeque<Vec<Input>> = VecDeque::new();
    let mut bytes = 0;
    for input in inputs {
        bytes += input.bytes.len();
        match parts.back_mut() {
            Some(part) if part.len() < each && bytes <= EACH_BYTES_MAX => part.push(input),
            _ => {
                bytes = input.bytes.len();
                parts.push_back(vec![input]);
            }
        }
    }
    parts
}

/// Buys all runs.
pub(super) fn begin(
    app: App,
    sheet: RwSignal<Option<Sheet>>,
    module: Vec<u8>,
    inputs: Vec<Input>,
    fuel: u64,
) {
    cancel(app, sheet);
    let number = sheet.with_untracked(|sheet| sheet.as_ref().map_or(0, |sheet| sheet.number + 1));
    sheet.set(Some(Sheet {
        all: inputs.len(),
        number,
        ..Sheet::default()
    }));
    let parts = Rc::new(RefCell::new(cut(inputs)));
    let module: Rc<[u8]> = module.into();
    for _ in 0..AT_ONCE {
        let (parts, module) = (parts.clone(), module.clone());
        spawn_local(async move {
            loop {
                let part = parts.borrow_mut().pop_front();
                let (Some(part), Some(node)) = (part, app.node()) else {
                    return;
                };
                let request = ServiceRequest::Computation {
                    // Held anew each time: newer modules may have taken its room.
                    module: node.hold_module(&module),
                    fuel,
                    inputs: part.iter().map(|input| input.bytes.clone()).collect(),
                };
                let requirements = Requirements {
                    deadline_ms: PATIENCE_MS,
                    scope: app.prefs.with_untracked(|prefs| prefs.scope),
                    ..Requirements::default()
                };
                let (job, outcome) = node.request(request, requirements);
                let is_ours = |sheet: &Sheet| sheet.number == number && !sheet.is_cancelled;
                let change = |change: &mut dyn FnMut(&mut Sheet)| {
                    let mut is_wanted = false;
                    sheet.update(|sheet| {
                        if let Some(sheet) = sheet.as_mut().filter(|sheet| is_ours(sheet)) {
                            is_wanted = true;
                            change(sheet);
                        }
                    });
                    is_wanted
                };
                if !change(&mut |sheet| sheet.jobs.push(job)) {
                    // Only a node that ends does not hear it.
                    let _ = node.command(Command::Cancel { job });
                    return;
                }
                let mut came = Some((part, outcome.await));
                let goes_on = change(&mut |sheet| {
                    if let Some((part, result)) = came.take() {
                        sheet.jobs.retain(|other| *other != job);
                        sheet.take_in(part, result);
                    }
                });
                if !goes_on {
                    return;
                }
            }
        });
    }
}

/// Gives up what is not done; what came stays.
pub(super) fn cancel(app: App, sheet: RwSignal<Option<Sheet>>) {
    let mut jobs = Vec::new();
    sheet.update(|sheet| {
        if let Some(sheet) = sheet {
            sheet.is_cancelled = sheet.done.len() < sheet.all;
            jobs = std::mem::take(&mut sheet.jobs);
        }
    });
    for job in jobs {
        app.command(Command::Cancel { job });
    }
}
