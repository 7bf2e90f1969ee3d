//! The Ask page: passages, a question, the trade as it happens, and the closest passages.

use leptos::prelude::*;
use leptos::task::spawn_local;
use node_proto::ids::{JobId, ModelId};
use node_proto::io::Command;
use node_proto::service::{Failure, Requirements, Service, ServiceRequest, TEXTS_MAX};
use node_proto::view::{OfferView, Outcome, TradeStep, Verification};
use node_proto::work::WorkOutput;
use node_wasm::error::RequestError;
use web_sys::SubmitEvent;

use super::knowledge::KnowledgeForm;
use super::library::{self, DeviceLibrary, Hit};
use super::parts::{PageFrame, Privacy};
use super::state::{App, Phase, use_app};
use super::trade_view::{AnswerView, Steps};
use crate::route::Page;
use crate::text;
use crate::text::ask as words;
use crate::trade::{Mark, Trade};

/// Most passages that a question takes along: the question itself takes the first place of a request.
pub(crate) const TEXTS_ALONG_MAX: usize = TEXTS_MAX - 1;

/// A question and how far its answer is.
#[derive(Clone)]
pub(crate) struct Run {
    /// The question.
    pub(crate) question: String,
    /// Somebody has taken it up.
    begun: bool,
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
    pub(crate) hits: Vec<Hit>,
    /// Passages whose vectors were known from before.
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

/// What a request computes: with which model, if that matters, the question first.
struct Texts {
    turn: f64,
    model: Option<Vec<u8>>,
    all: Vec<String>,
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
    let is_empty = app
        .known
        .with_untracked(|known| known.as_ref().is_some_and(|known| known.documents.is_empty()));
    if is_empty && app.draft.with_untracked(|draft| draft.trim().is_empty()) {
        return Err(words::NO_PASSAGES);
    }
    let run = Run {
        question: question.to_owned(),
        begun: false,
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
/// What was kept is there at once, or it is computed.
const LOOK_UP_MS: u32 = 3_000;

/// Takes a waiting question up once node and library are there.
fn begin(app: App) {
    let mut waits = None;
    let is_ready = app.node().is_some() && app.library().is_some();
    app.run.update(|run| {
        if let Some(run) = run
            .as_mut()
            .filter(|run| is_ready && !run.begun && run.end.is_none())
        {
            run.begun = true;
            waits = Some(run.question.clone());
        }
    });
    if let Some(question) = waits {
        spawn_local(async move {
            if let Err(refusal) = answer(app, question).await {
                end(app, Err(refusal));
            }
        });
    }
}

async fn answer(app: App, question: String) -> Result<(), Refusal> {
    let library = app.library().ok_or(words::NOT_OPEN)?;
    library::add_draft(app).await?;
    let mut model = library.model();
    loop {
        let texts = take_along(&library, &question, model.take()).await?;
        let sent = texts.all.len();
        let outcome = match look_up(app, &texts).await {
            Some(kept) => Ok(kept),
            None => match start(app, embedding(&texts), PATIENCE_MS) {
                Some(outcome) => outcome.await,
                None => return Ok(()),
            },
        };
        let outcome = match outcome {
            // Nobody runs the model of the known vectors any more; with another one all texts are new.
            Err(RequestError::Trade(Failure::NoProvider | Failure::UnknownModel))
                if texts.model.is_some() =>
            {
                continue;
            }
            outcome => outcome?,
        };
        let hits = read(&library, texts.turn, &outcome).await?;
        library::refresh(app);
        let passages = app.known.with_untracked(|known| {
            known
                .as_ref()
                .map_or(0, |known| known.passages() - known.waiting as usize)
        });
        let recalled = (passages + 1).saturating_sub(sent);
        end(
            app,
            Ok(Answer {
                hits,
                recalled,
                outcome,
            }),
        );
        return Ok(());
    }
}

/// The question, and the passages that wait for their vectors.
async fn take_along(
    library: &DeviceLibrary,
    question: &str,
    model: Option<Vec<u8>>,
) -> Result<Texts, String> {
    let (turn, waiting) = library::next(library, model.clone(), TEXTS_ALONG_MAX).await?;
    let mut all = vec![question.to_owned()];
    all.extend(waiting);
    Ok(Texts { turn, model, all })
}

/// Buys the answer where somebody sells one that was computed before; `None` where nobody does, or more than the question is new.
async fn look_up(app: App, texts: &Texts) -> Option<Outcome> {
    let model = model_of(texts).filter(|_| texts.all.len() == 1)?;
    let is_sold =
        |offer: &OfferView| offer.service == Service::CacheQuery && offer.model == Some(model) && !offer.mine;
    let is_sold = app
        .snapshot
        .with_untracked(|snapshot| snapshot.iter().flat_map(|snapshot| &snapshot.offers).any(is_sold));
    let request = ServiceRequest::CacheQuery {
        model,
        texts: texts.all.clone(),
    };
    let outcome = is_sold.then(|| start(app, request, LOOK_UP_MS)).flatten()?;
    outcome.await.ok()
}

fn model_of(texts: &Texts) -> Option<ModelId> {
    let model = texts.model.as_deref()?;
    model.try_into().ok().map(ModelId)
}

fn embedding(texts: &Texts) -> ServiceRequest {
    ServiceRequest::Inference {
        model: model_of(texts),
        texts: texts.all.clone(),
    }
}

/// Makes a request for the question that is being answered; `None` if that was cancelled.
fn start(
    app: App,
    request: ServiceRequest,
    deadline_ms: u32,
) -> Option<impl Future<Output = Result<Outcome, RequestError>> + use<>> {
    let is_wanted = app
        .run
        .with_untracked(|run| run.as_ref().is_some_and(|run| run.end.is_none()));
    let (job, outcome) = app
        .node()
        .filter(|_| is_wanted)
        .map(|node| buy(app, &node, request, deadline_ms))?;
    app.run.update(|run| {
        if let Some(run) = run {
            (run.job, run.trade) = (Some(job), Trade::default());
        }
    });
    Some(outcome)
}

fn buy(
    app: App,
    node: &node_wasm::NodeHandle,
    request: ServiceRequest,
    deadline_ms: u32,
) -> (JobId, impl Future<Output = Result<Outcome, RequestError>> + use<>) {
    let scope = app.prefs.with_untracked(|prefs| prefs.scope);
    node.request(
        request,
        Requirements {
            scope,
            deadline_ms,
            ..Requirements::default()
        },
    )
}

/// Reads an outcome with the library, which keeps vectors that were checked.
async fn read(library: &DeviceLibrary, turn: f64, outcome: &Outcome) -> Result<Vec<Hit>, String> {
    let WorkOutput::Embeddings { values, .. } = &outcome.output else {
        return Err(words::bad_answer("it is no vector"));
    };
    let checked = matches!(
        outcome.verification,
        Verification::SpotChecked { .. } | Verification::TwoAgree { .. }
    );
    let model = outcome.model.unwrap_or(ModelId([0; 32]));
    let keeps = checked && outcome.model.is_some();
    library::answer(library, turn, &model.0, values, keeps)
        .await
        .map_err(|reason| words::bad_answer(&reason))
}

fn end(app: App, end: Result<Answer, Refusal>) {
    app.run.update(|run| {
        if let Some(run) = run.as_mut().filter(|run| run.end.is_none()) {
            run.trade
                .close(if end.is_ok() { Mark::Done } else { Mark::Failed });
            run.end = Some(end);
        }
    });
}

/// Has all passages embedded, as many at a time as a request takes, until that is done or not wanted any more.
pub(crate) fn prepare_all(app: App, all: usize) {
    app.preparing.set(Some((0, all)));
    spawn_local(async move {
        if let Err(refusal) = prepare(app, all).await {
            app.error.set(Some(refusal.what));
        }
        library::refresh(app);
        app.preparing.set(None);
    });
}

async fn prepare(app: App, all: usize) -> Result<(), Refusal> {
    let library = app.library().ok_or(words::NOT_OPEN)?;
    let node = app.node().ok_or(words::NOT_OPEN)?;
    while app.preparing.get_untracked().is_some() {
        let before = library.waiting();
        let mut texts = take_along(&library, "", library.model()).await?;
        // A request has no place for nothing: the first text stands for the question.
        let Some(first) = texts.all.get(1).cloned() else {
            break;
        };
        texts.all[0] = first;
        let outcome = buy(app, &node, embedding(&texts), PATIENCE_MS).1.await?;
        read(&library, texts.turn, &outcome).await?;
        let waiting = library.waiting();
        if waiting >= before {
            // Nothing was kept, and asking again would cost the same again.
            return Err(words::NOT_CHECKED.into());
        }
        if app.preparing.get_untracked().is_some() {
            app.preparing
                .set(Some((all.saturating_sub(waiting as usize), all)));
        }
    }
    Ok(())
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

impl From<String> for Refusal {
    fn from(what: String) -> Self {
        Self {
            code: "library".to_owned(),
            what,
            advice: "",
        }
    }
}

impl From<&'static str> for Refusal {
    fn from(what: &'static str) -> Self {
        what.to_owned().into()
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Trade(failure) => Self {
                code: failure.code().to_owned(),
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
        if app.phase.get() == Phase::Ready && app.known.with(Option::is_some) {
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
            <Privacy id="privacy" members=words::privacy anyone=words::PRIVACY_ANYONE/>
        </form>
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
        match app.run.get_untracked().and_then(|run| run.end) {
            Some(Ok(answer)) => view! { <AnswerView answer/> }.into_any(),
            Some(Err(refusal)) => view! {
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
