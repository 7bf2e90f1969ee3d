//! Work for the engines, and models that sleep: they leave the memory while nobody uses them, and are back when there is work
//! for them, or when the worker that had them died.

use futures::future::FutureExt as _;
use gloo::timers::future::TimeoutFuture;
use node_proto::ids::{ModelId, NodeId, WorkId};
use node_proto::io::Input;
use node_proto::service::Failure;
use node_proto::work::{WorkInput, WorkOutput};

use super::Driver;
use super::computing::Runs;
use super::files::Load;
use super::storing::Keeping;
use super::tasks::Done;
use crate::platform;

/// Work that came while its model slept.
pub(super) struct Waiting {
    since: f64,
    work: WorkId,
    model: ModelId,
    input: WorkInput,
    limit_ms: u32,
}

impl Driver {
    /// Work for an engine; a model that sleeps is woken for it.
    pub(super) fn work(
        &mut self,
        work: WorkId,
        requester: NodeId,
        model: Option<ModelId>,
        input: WorkInput,
        limit_ms: u32,
    ) {
        self.lending.running += 1;
        if let WorkInput::Runs { module, fuel, inputs } = input {
            let until = platform::monotone_ms() + f64::from(limit_ms);
            return self.compute(Runs {
                work,
                requester,
                module,
                fuel,
                inputs,
                until,
            });
        }
        if let WorkInput::Keep {
            blob,
            bytes,
            hours,
            questions,
            ..
        } = input
        {
            return self.keep_for_another(Keeping {
                work,
                requester,
                blob,
                bytes,
                hours,
                questions,
            });
        }
        // A worker that died a moment ago would fail this as well.
        self.revive();
        match model.filter(|model| self.models.is_asleep(model)) {
            Some(model) => {
                let since = platform::monotone_ms();
                self.lending.waiting.push(Waiting {
                    since,
                    work,
                    model,
                    input,
                    limit_ms,
                });
                // Waking is no faster for a limit, but whoever waits hears of it then.
                self.after(limit_ms, Done::Overdue(work));
                self.wake(model);
            }
            None => self.run_work(work, model, input, limit_ms),
        }
    }

    /// A model is awake, or cannot be woken.
    pub(super) fn work_that_waited(&mut self, woken: ModelId) {
        let waiting = std::mem::take(&mut self.lending.waiting);
        let (due, others) = waiting.into_iter().partition(|waiting| waiting.model == woken);
        self.lending.waiting = others;
        let due: Vec<Waiting> = due;
        for Waiting {
            since,
            work,
            model,
            input,
            limit_ms,
        } in due
        {
            let waited_ms = platform::monotone_ms() - since;
            // What is below zero is no time left.
            let left_ms = (f64::from(limit_ms) - waited_ms) as u32;
            match left_ms {
                0 => self.on_worked(work, Err(Failure::Deadline), 0),
                _ => self.run_work(work, Some(model), input, left_ms),
            }
        }
    }

    /// The time of work is over whose model may still be waking.
    pub(super) fn on_overdue(&mut self, work: WorkId) {
        let waiting = &mut self.lending.waiting;
        if let Some(place) = waiting.iter().position(|waiting| waiting.work == work) {
            waiting.remove(place);
            self.on_worked(work, Err(Failure::Deadline), 0);
        }
    }

    pub(super) fn on_worked(&mut self, work: WorkId, result: Result<WorkOutput, Failure>, took_ms: u32) {
        self.lending.running = self.lending.running.saturating_sub(1);
        self.lending.used_at = platform::monotone_ms();
        if let Ok(WorkOutput::Embeddings { .. }) = &result {
            self.lending.deaths.lives();
        }
        self.input(Input::WorkDone {
            work,
            result,
            took_ms,
        });
        self.revive();
        self.settle_models();
    }

    /// Brings a model back into memory. Meanwhile it is offered as before.
    pub(super) fn wake(&mut self, model: ModelId) {
        let Some(files) = self.models.files(&model) else {
            return;
        };
        if self.lending.loading.insert(model) {
            let pin = self.models.pin(&model);
            let load = Load {
                model,
                pin,
                reply: None,
            };
            self.gather(load, files.to_vec());
        }
    }

    /// Takes models out of memory that nobody used for a while.
    pub(super) fn rest(&mut self) {
        let idle_ms = platform::monotone_ms() - self.lending.used_at;
        let is_used = self.lending.running > 0 || !self.lending.loading.is_empty();
        if self.models.is_awake() && !is_used && idle_ms > self.lending.idle_ms_max {
            self.models.rest();
            self.offer();
        }
    }

    /// Loads again what a dead worker had loaded, until that looks hopeless.
    pub(super) fn revive(&mut self) {
        let lost = self.models.revive();
        if !lost.is_empty() {
            self.wake_again(lost);
        }
    }

    /// A worker took models with it, loaded or about to be.
    pub(super) fn wake_again(&mut self, models: Vec<ModelId>) {
        let after_ms = self.lending.deaths.died();
        if after_ms.is_none() {
            models.iter().for_each(|model| self.models.give_up(*model));
        }
        self.offer();
        for model in models {
            match after_ms {
                Some(after_ms) => self.after(after_ms, Done::LoadAgain(model)),
                None => self.work_that_waited(model),
            }
        }
    }

    pub(super) fn on_load_again(&mut self, model: ModelId) {
        // Meanwhile it may have been unloaded, or lending switched off.
        if self.models.is_asleep(&model) {
            self.wake(model);
        }
    }

    fn after(&self, ms: u32, done: Done) {
        self.tasks.push(
            async move {
                TimeoutFuture::new(ms).await;
                done
            }
            .boxed_local(),
        );
    }
}
