//! The Ask page: passages, a question, the trade as it happens, and the closest passages.

use leptos::prelude::*;
use leptos::task::spawn_local;
use node_proto::ids::JobId;
use node_proto::io::Command;
use node_proto::service::{Failure, Requirements, Scope, ServiceRequest, WorkOutput};
use node_proto::view::{Outcome, TradeStep, Verification};
use node_wasm::error::RequestError;
use web_sys::SubmitEvent;

use super::knowledge::KnowledgeForm;
use super::parts::PageFrame;
use super::state::{App, Phase, use_app};
use super::trade_view::{AnswerView, Steps};
use crate::passages::{PASSAGES_MAX, Passage};
use crate::rank::{Ranked, rank};
use crate::recall::{Plan, Recall};
use crate::route::Page;
use crate::text;
use crate::text::ask as words;
use crate::trade::{Mark, Trade};

/// A question and how far its answer is.
#[derive(Clone)]
pub(crate) struct Run {
    /// The question.
    pub(crate) question: String,
    /// What it is compared with.
    pub(crate) passages: Vec<Passage>,
    /// The node's number for it; `None` until the node runs.
    job: Option<JobId>,
    /// The steps so far.
    pub(crate) trade: Trade,
    /// How it ended.
    pub(crate) end: Option<Result<Answer, Refusal>>,
}

/// The closest passages and how they were found.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) ranked: Vec<Ranked>,
    /// Passages whose embeddings were known from before.
    pub(crate) recalled: usize,
    pub(crate) outcome: Outcome,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    code: String,
    what: String,
    advice: &'static str,
}

impl Run {
    /// What is compared: the question, then the passages.
    fn texts(&self) -> Vec<String> {
        let passages = self.passages.iter().map(|passage| &passage.text);
        std::iter::once(&self.question).chain(passages).cloned().collect()
    }
}

/// Takes in a step of a trade.
pub(crate) fn step(app: App, job: JobId, step: &TradeStep) {
    app.run.update(|run| {
        if let Some(run) = run.as_mut().filter(|run| run.job == Some(job)) {
            run.trade.apply(step, |id| app.name(id));
        }
    });
}

/// Asks; with a node on its way, as soon as it runs.
fn ask(app: App, question: &str) -> Result<(), &'static str> {
    let question = question.trim();
    if question.is_empty() {
        return Err(words::NO_QUESTION);
    }
    let mut passages = app.knowledge.with_untracked(crate::passages::Knowledge::passages);
    if passages.is_empty() {
        return Err(words::NO_PASSAGES);
    }
    passages.truncate(PASSAGES_MAX);
    let run = Run {
        question: question.to_owned(),
        passages,
        job: None,
        trade: Trade::default(),
        end: None,
    };
    app.run.set(Some(run));
    begin(app);
    Ok(())
}

/// A person who may cancel at any time waits longer than a program: the only device here may be a slow one. A provider
/// that breaks its own promise is given up long before.
const PATIENCE_MS: u32 = 120_000;

/// Hands a waiting question to the node: its own text, and of the passages those that are not known from before.
fn begin(app: App) {
    let Some(node) = app.node() else { return };
    let waiting = app
        .run
        .get_untracked()
        .filter(|run| run.job.is_none() && run.end.is_none());
    let Some(run) = waiting else { return };
    let texts = run.texts();
    let plan = app.recall.with_value(|recall| recall.plan(&texts));
    let request = ServiceRequest::Inference {
        model: plan.model,
        texts: plan.missing(&texts),
    };
    let scope = app.prefs.with_untracked(|prefs| prefs.scope);
    let (job, outcome) = node.request(
        request,
        Requirements {
            scope,
            deadline_ms: PATIENCE_MS,
            ..Requirements::default()
        },
    );
    app.run.update(|run| {
        if let Some(run) = run {
            run.job = Some(job);
        }
    });
    spawn_local(async move {
        let result = outcome.await;
        finish(app, job, &plan, result);
    });
}

fn finish(app: App, job: JobId, plan: &Plan, result: Result<Outcome, RequestError>) {
    let gone = matches!(
        &result,
        Err(RequestError::Trade(Failure::NoProvider | Failure::UnknownModel))
    );
    let mut again = false;
    app.run.update(|run| {
        let Some(run) = run
            .as_mut()
            .filter(|run| run.job == Some(job) && run.end.is_none())
        else {
            return;
        };
        if gone && plan.model.is_some() {
            // Nobody runs the model of the known vectors any more; with another one all texts are new.
            (run.job, run.trade, again) = (None, Trade::default(), true);
            return;
        }
        let end = result
            .map_err(Refusal::from)
            .and_then(|outcome| read(app, outcome, plan, &run.texts()));
        run.trade
            .close(if end.is_ok() { Mark::Done } else { Mark::Failed });
        run.end = Some(end);
    });
    if again {
        app.recall.set_value(Recall::default());
        begin(app);
    }
}

fn read(app: App, outcome: Outcome, plan: &Plan, texts: &[String]) -> Result<Answer, Refusal> {
    let WorkOutput::Embeddings {
        dimension, values, ..
    } = &outcome.output;
    let dimension = *dimension as usize;
    let merged = plan.merge(values, dimension);
    let ranked = rank(&merged, dimension, texts.len() - 1).map_err(|error| Refusal {
        code: "bad_answer".to_owned(),
        what: words::bad_answer(&error.to_string()),
        advice: "",
    })?;
    let checked = matches!(
        outcome.verification,
        Verification::SpotChecked { .. } | Verification::TwoAgree { .. }
    );
    if let Some(model) = outcome.model.filter(|_| checked) {
        // The question is not kept: it is hardly asked twice.
        let passages = texts
            .iter()
            .map(String::as_str)
            .zip(merged.chunks(dimension))
            .skip(1);
        app.recall.update_value(|recall| recall.keep(model, passages));
    }
    Ok(Answer {
        ranked,
        recalled: plan.recalled(),
        outcome,
    })
}

fn cancel(app: App) {
    if let Some(job) = app.run.with_untracked(|run| run.as_ref().and_then(|run| run.job)) {
        app.command(Command::Cancel { job });
    }
    app.run.update(|run| {
        if let Some(run) = run.as_mut().filter(|run| run.end.is_none()) {
            run.trade.close(Mark::Failed);
            run.end = Some(Err(Refusal::from(RequestError::Trade(Failure::Cancelled))));
        }
    });
}

/// A failure's stable name, as it is written on the wire.
fn code(failure: &Failure) -> String {
    let written = serde_json::to_value(failure).unwrap_or_default();
    written
        .get("code")
        .and_then(|code| code.as_str())
        .unwrap_or("unknown")
        .to_owned()
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Trade(failure) => Self {
                code: code(&failure),
                what: text::failure(&failure),
                advice: text::advice(&failure),
            },
            RequestError::Command(error) => Self {
                code: error.code().to_owned(),
                what: text::sentence(&error),
                advice: words::KEPT,
            },
        }
    }
}

#[component]
pub(crate) fn AskPage() -> impl IntoView {
    let app = use_app();
    Effect::new(move || {
        if app.phase.get() == Phase::Ready {
            begin(app);
        }
    });
    view! {
        <PageFrame page=Page::Ask>
            <QuestionForm/>
            <div aria-live="polite">
                <Progress/>
                <Ending/>
            </div>
            <KnowledgeForm/>
        </PageFrame>
    }
}

fn running(app: App) -> Memo<bool> {
    Memo::new(move |_| {
        app.run
            .with(|run| run.as_ref().is_some_and(|run| run.end.is_none()))
    })
}

#[component]
fn QuestionForm() -> impl IntoView {
    let app = use_app();
    let kept = app
        .run
        .with_untracked(|run| run.as_ref().map(|run| run.question.clone()))
        .unwrap_or_default();
    let question = RwSignal::new(kept);
    let missing = RwSignal::new(None);
    let running = running(app);
    let elsewhere = move || matches!(app.phase.get(), Phase::OtherTab { .. } | Phase::Failed(_));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if !running.get_untracked() {
            missing.set(ask(app, &question.get_untracked()).err());
        }
    };
    view! {
        <form class="question" on:submit=submit>
            <label class="field" for="question">{words::QUESTION}</label>
            <div class="row">
                <input id="question" type="text" autocomplete="off" enterkeyhint="search" data-testid="ask-question"
                    aria-describedby="privacy" placeholder=words::QUESTION_PLACEHOLDER maxlength="2000"
                    prop:value=move || question.get() on:input:target=move |event| question.set(event.target().value())/>
                <button type="submit" class="button primary" data-testid="ask-submit" disabled=move || running.get() || elsewhere()>
                    {words::SUBMIT}
                </button>
                <Show when=move || running.get()>
                    <button type="button" class="button" data-testid="ask-cancel" on:click=move |_| cancel(app)>
                        {words::CANCEL}
                    </button>
                </Show>
            </div>
            {move || missing.get().map(|sentence| view! { <p class="bad-text" role="alert">{sentence}</p> })}
            <Privacy/>
        </form>
    }
}

/// Before text leaves the device the page says who can read it.
#[component]
fn Privacy() -> impl IntoView {
    let app = use_app();
    let scope = move || app.prefs.with(|prefs| prefs.scope);
    let sentence = move || match scope() {
        Scope::Anyone => words::PRIVACY_ANYONE.to_owned(),
        Scope::Device | Scope::Own | Scope::Group => words::privacy(app.group_name()),
    };
    let choose = move |value: String| {
        let scope = if value == "anyone" {
            Scope::Anyone
        } else {
            Scope::Group
        };
        app.choose(|prefs| prefs.scope = scope);
    };
    view! {
        <div class="privacy">
            <p id="privacy" class="hint">{sentence}</p>
            <label>
                <span>{words::SCOPE}</span>
                <select data-testid="ask-scope" on:change:target=move |event| choose(event.target().value())>
                    <option value="group" selected=move || scope() != Scope::Anyone>{move || app.group_name()}</option>
                    <option value="anyone" selected=move || scope() == Scope::Anyone>{words::SCOPE_ANYONE}</option>
                </select>
            </label>
        </div>
    }
}

#[component]
fn Progress() -> impl IntoView {
    let app = use_app();
    let asked = Memo::new(move |_| app.run.with(Option::is_some));
    let waiting = move || {
        app.run.with(|run| {
            run.as_ref()
                .is_some_and(|run| run.end.is_none() && run.trade.lines().is_empty())
        })
    };
    view! {
        <Show when=move || asked.get()>
            <section class="steps" aria-label=words::STEPS>
                <Show when=waiting><p class="step running"><span class="step-mark"></span>{words::WAITING}</p></Show>
                <Steps/>
            </section>
        </Show>
    }
}

#[component]
fn Ending() -> impl IntoView {
    let app = use_app();
    // An end never changes: the view is made once, so that opened details stay open.
    let ended = Memo::new(move |_| {
        app.run.with(|run| {
            run.as_ref()
                .filter(|run| run.end.is_some())
                .and_then(|run| run.job)
        })
    });
    let cancelled_early = Memo::new(move |_| {
        app.run.with(|run| {
            run.as_ref()
                .is_some_and(|run| run.end.is_some() && run.job.is_none())
        })
    });
    move || {
        if ended.get().is_none() && !cancelled_early.get() {
            return ().into_any();
        }
        match app
            .run
            .get_untracked()
            .and_then(|run| run.end.map(|end| (end, run.passages)))
        {
            Some((Ok(answer), passages)) => view! { <AnswerView answer passages/> }.into_any(),
            Some((Err(refusal), _)) => view! {
                <div class="notice bad stacked" data-testid="answer-error" data-code=refusal.code>
                    <p><strong>{words::NO_ANSWER}". "</strong>{refusal.what}"."</p>
                    <p class="hint">{refusal.advice}" "{words::KEPT}</p>
                </div>
            }
            .into_any(),
            None => ().into_any(),
        }
    }
}
